"""The command line: `python -m benchmarks.decisions --data DIR` runs each part in a process of its own."""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks._measuring import Peak
from benchmarks.decisions.figures import figures, table
from benchmarks.speed.machine import machine, versions


@dataclass(frozen=True)
class Part:
    """Something to run.

    Attributes
    ----------
    about
        What it says.
    module, functions
        A module of this room, and functions in it, each of which returns one row or a list.
    folders, files
        What it reads: one of these folders below `--data`, and files in it; nothing where all is made up.
    takes
        "data" for all folders, "folder" for its own, empty for neither.
    """

    about: str
    module: str
    functions: tuple[str, ...] = ("run",)
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    takes: str = ""


PARTS = {
    "value": Part("published parameters, forecasts and what came", "value", ("run",), ("cdnow",),
                  ("transactions.parquet", "sample_summary.parquet"), "data"),
    "hillstrom": Part("policies and effects in a randomised test", "hillstrom", ("run",), ("hillstrom",),
                      ("email_test.parquet",), "data"),
    "synthetic": Part("how much of a known truth is gained", "synthetic", ("gains", "without_heterogeneity")),
    "intervals": Part("whether the gate's intervals hold a known truth", "synthetic", ("coverage",)),
    "coverage": Part("whether intervals of policies hold a known truth", "coverage"),
    "open_bandit": Part("estimates beside what came", "open_bandit", ("run",),
                        ("open_bandit", "open_bandit_small"), ("impressions.parquet",), "folder"),
    "coupons": Part("chances, checked by time", "coupons", ("run",), ("complete_journey",),
                    ("campaign_descriptions.parquet", "campaigns.parquet", "coupon_redemptions.parquet",
                     "coupons.parquet", "transactions.parquet"), "data"),
    "bandit": Part("the bandit and the decision log, a row", "bandit", takes="data"),
    "serving": Part("one customer, and a million", "serving", takes="data"),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the parts that were asked for; print their figures as Markdown, and write JSON beside."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder with a folder for each data set")
    parser.add_argument("--json", type=Path, help="write what was found to this file too")
    names = ", ".join(PARTS)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"run these alone, of {names}")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of an earlier run alone")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.table:
        found: dict[str, Any] = json.loads(options.table.read_text())
        print(table(found))
        return found
    if options.part:
        found = measured(options.part, options.data)
        print(json.dumps(found))
        return found
    chosen = list(PARTS) if options.only is None else options.only
    for name in chosen:
        if name not in PARTS:
            raise SystemExit(f"--only {name}: expected some of {names}.")
    found = run(chosen, options.data, must=options.only is not None)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    return found


def run(chosen: Sequence[str], data: Path | None, *, must: bool) -> dict[str, Any]:
    """Run parts one after the other, and say which can't be; with `must`, refuse these."""
    missing = {name: why for name in chosen if (why := lacking(PARTS[name], data))}
    for name, why in missing.items():
        if must:
            raise SystemExit(f"{name}: {why}")
        _say(f"{name}: {why} It is left out.")
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "missing": missing, "parts": []}
    for name in chosen:
        if name not in missing:
            _say(f"{name}: {PARTS[name].about} ...")
            command = [sys.executable, "-m", "benchmarks.decisions", "--part", name]
            command += [] if data is None else ["--data", str(data)]
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                missing[name] = f"it failed, with code {done.returncode}."
                _say(f"{name}: {missing[name]}")
                continue
            part = json.loads(done.stdout.splitlines()[-1])
            _say(f"{name}: {part['seconds']:,.0f} s")
            found["parts"].append(part)
    return found


def lacking(part: Part, data: Path | None) -> str:
    """Say what a part needs and is not there; empty where it can run."""
    if not part.files:
        return ""
    if data is None:
        return f"--data is missing: expected a folder with {part.folders[0]}/{part.files[0]}."
    folder = _folder(part, data)
    for name in part.files:
        if not (folder / name).is_file():
            there = sorted(path.name for path in data.iterdir()) if data.is_dir() else []
            return f"{folder / name} is missing (--data holds: {', '.join(there) or 'nothing'})."
    return ""


def _folder(part: Part, data: Path) -> Path:
    there = [data / name for name in part.folders if (data / name).is_dir()]
    return there[0] if there else data / part.folders[0]


def measured(name: str, data: Path | None) -> dict[str, Any]:
    """Run a part in this process; return its figures and rows with time, load and memory."""
    part = PARTS[name]
    module = importlib.import_module(f"benchmarks.decisions.{part.module}")
    given: tuple[Any, ...] = (data,) if part.takes else ()
    if part.takes == "folder" and data is not None:
        given = (_folder(part, data),)
    load, peak, begin, cpu = os.getloadavg()[0], Peak(), time.perf_counter(), _cpu()
    rows: list[Any] = []
    for function in part.functions:
        more = getattr(module, function)(*given)
        rows += [more] if isinstance(more, dict) else more
    seconds, cpu = time.perf_counter() - begin, _cpu() - cpu
    return {
        "part": name, "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1),
        "peak_mib": round(peak.mib_above(), 1), "load_before": load, "load_after": os.getloadavg()[0],
        "figures": _plain(figures(name, rows)), "rows": _plain(rows),
    }  # fmt: skip


def _cpu() -> float:
    """Return the CPU seconds of this process and of those it started."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _plain(rows: Any) -> Any:
    """Bring NumPy's numbers to those of JSON, which has no NaN either."""
    return json.loads(json.dumps(rows, default=_built_in), parse_constant=lambda _: None)


def _built_in(value: Any) -> Any:
    return value.item()


def _say(text: str) -> None:
    """Report progress where it does not get into the way of the figures."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
