"""What the protocols share: options, reading, asking for lists, judging them and the line that is printed."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from benchmarks._measuring import Peak
from benchmarks.speed.machine import machine, versions
from engagelib import EventLog, Recommender
from engagelib.metrics import ranking_metrics
from engagelib.vocabulary import Vocabulary


@dataclass
class Run:
    """One run of a protocol.

    Attributes
    ----------
    data
        The folder.
    limit
        How many customers, or visits, are judged at most; None for all. Models learn from everything.
    models
        What `Recommender` gets as `models`.
    make
        Makes the recommender that is judged.
    facts
        What is printed beside the metrics.
    """

    data: Path
    limit: int | None = None
    models: str | list[str] = "auto"
    rng: int = 0
    skip_refit: bool = False
    make: Callable[..., Any] = Recommender
    facts: dict[str, Any] = field(default_factory=dict)

    def recommender(self) -> Any:
        """Return a recommender that learned nothing yet, with defaults in all but the models."""
        return self.make(models=self.models)

    def read(self, name: str) -> pa.Table:
        """Read a file of the folder; refuse, with its name, one that is not there."""
        file = self.data / name
        if not file.is_file():
            there = sorted(path.name for path in self.data.glob("*.parquet")) if self.data.is_dir() else []
            found = ", ".join(there) or ("no Parquet file" if self.data.is_dir() else "no such folder")
            raise SystemExit(f"{file} is missing: expected {name} in --data (found: {found}).")
        table = pq.read_table(file)
        say(f"{name}: {len(table):,} rows of {', '.join(table.column_names)}")
        self.facts.setdefault("rows", {})[name] = len(table)
        return table

    def read_one(self, *names: str) -> pa.Table:
        """Read the first of these files that is there."""
        there = [name for name in names if (self.data / name).is_file()]
        return self.read(there[0] if there else " or ".join(names))

    def split(self, table: pa.Table, earlier: str, later: str) -> np.ndarray:
        """Say of each row whether it is of the earlier part, bool; refuse a split in other words."""
        found = sorted(table["split"].unique().to_pylist())
        if found != sorted((earlier, later)):
            raise SystemExit(f"column split holds {', '.join(found)}: expected {earlier} and {later}.")
        return np.asarray(table["split"].to_numpy() == earlier)

    def fitted(self, log: EventLog) -> Any:
        """Return a recommender that learned from a log."""
        recommender = self.recommender()
        with self.clock("fit"):
            recommender.fit(log)
        self.learned(recommender)
        return recommender

    def sample_of(self, owners: np.ndarray) -> np.ndarray:
        """Return the customers to judge, of those who own what is to be found."""
        customers = self.sample(np.unique(owners))
        self.facts["customers"] = len(customers)
        return customers

    def sample(self, ids: np.ndarray) -> np.ndarray:
        """Return the ids to judge, in their order: all, or as many as are asked for, drawn with a seed."""
        if self.limit is None or self.limit >= len(ids):
            return ids
        drawn = np.random.default_rng(self.rng).choice(len(ids), self.limit, replace=False)
        return ids[np.sort(drawn)]

    @contextlib.contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Add the wall time of a block to the facts, under `name`."""
        say(f"{name} ...")
        begin = time.perf_counter()
        yield
        seconds = time.perf_counter() - begin
        key = f"{name}_seconds"
        self.facts[key] = round(self.facts.get(key, 0.0) + seconds, 2)
        say(f"{name}: {seconds:,.1f} s")

    def learned(self, recommender: Any, prefix: str = "") -> None:
        """Note what a recommender learned, and say it."""
        if hasattr(recommender, "summary"):
            rows = dict(recommender.summary().rows)
            self.facts[f"{prefix}models"] = [model.name for model in recommender.models_]
            say(str(recommender.summary()))
            self.facts[f"{prefix}ranked"] = str(rows.get("ranked by", ""))


def say(text: str) -> None:
    """Report progress where it does not get into the way of the figures."""
    print(text, file=sys.stderr, flush=True)


def log_of(table: dict[str, Any]) -> EventLog:
    """Make a log of columns in the names of `EventLog`; no customer is taken for a bot."""
    return EventLog.from_frame(pa.table(table), max_events_per_customer=2**31)


def ints(table: pa.Table, name: str) -> np.ndarray:
    """Return a column as int64."""
    return table[name].to_numpy().astype(np.int64)


def relevant_of(customers: np.ndarray, owners: np.ndarray, items: np.ndarray, known: Vocabulary) -> csr_array:
    """Return which items each customer should have been shown.

    Those that nobody knows are columns of their own, and count as missed. Customers who are not judged are
    left out.
    """
    order = np.argsort(customers, kind="stable")
    place = np.searchsorted(customers[order], owners).clip(max=len(customers) - 1)
    row = order[place]
    judged = customers[row] == owners
    row, items = row[judged], items[judged]
    column = known.indices(items).astype(np.int64)
    strange = column < 0
    others, number = np.unique(items[strange], return_inverse=True)
    column[strange] = len(known) + number
    shape = (len(customers), len(known) + len(others))
    found = csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


def judged(
    found: Any, relevant: csr_array, names: Sequence[str], ks: Sequence[int], prefix: str = ""
) -> dict[str, float]:
    """Return the metrics of lists, as "recall@10", rounded to five digits behind the point."""
    metrics = ranking_metrics(found.item_index, relevant, ks, names=names)
    return {f"{prefix}{name}": round(value, 5) for name, value in metrics.items()}


def main(judge: Callable[[Run], dict[str, float]], protocol: str, about: str | None) -> dict[str, Any]:
    """Run a protocol from the command line; the last line that is printed is all that was found, as JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.quality.{protocol}", description=about)
    parser.add_argument("--data", type=Path, required=True, help="the folder")
    parser.add_argument("--limit-customers", type=int, help="judge a sample; models learn from everything")
    parser.add_argument("--models", default="auto", help="names with commas; default: the log decides")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--json", type=Path, help="write what was found to this file too")
    parser.add_argument(
        "--skip-refit", action="store_true", help="leave out the second figure, where there is one"
    )
    options = parser.parse_args()
    models = options.models.split(",") if "," in options.models else options.models
    run = Run(options.data, options.limit_customers, models, rng=options.seed, skip_refit=options.skip_refit)
    found = measured(judge, run, protocol)
    line = json.dumps(found)
    if options.json:
        options.json.write_text(line + "\n")
    print(line)
    return found


def measured(judge: Callable[[Run], dict[str, float]], run: Run, protocol: str) -> dict[str, Any]:
    """Return the metrics of a protocol with time, memory and what it was run on."""
    on = {"machine": machine(), "versions": versions()}
    load, version = on["machine"]["load"][0], on["versions"]["engagelib"]
    say(f"{protocol} on {run.data.name}, load {load}, engagelib {version}")
    peak, begin = Peak(), time.perf_counter()
    metrics = judge(run)
    seconds = time.perf_counter() - begin
    return {
        "protocol": protocol,
        "data": run.data.resolve().name,
        **metrics,
        "seconds": round(seconds, 1),
        "peak_mib": round(peak.mib_above(), 1),
        "limit_customers": run.limit,
        **run.facts,
        **on,
    }
