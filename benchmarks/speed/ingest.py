"""Ingest: from a file of events with string ids to what a model learns from."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from benchmarks.speed.data import Data, keep_main_shop
from benchmarks.speed.suite import Benchmark, Work, against

_COLUMNS = ["customer_id", "item_id", "event_type", "timestamp"]
_ALL, _FEW = "ingest.parquet", "ingest-few.parquet"


def prepare(data: Data) -> None:
    """Write the events of known customers, four columns of them."""
    keep_main_shop(data)
    if data.has("ingest"):
        return
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    events = pq.read_table(data.folder / "shop" / "events.parquet", columns=_COLUMNS)
    events = events.filter(pc.is_valid(events["customer_id"]))
    pq.write_table(events, data.folder / _ALL)
    pq.write_table(events[:1000], data.folder / _FEW)
    data.keep("ingest", {}, {"rows": len(events)})


def ours(data: Data) -> Work:
    from engagelib import EventLog, Histories

    def read(file: str) -> Histories:
        return Histories.from_log(EventLog.read(data.folder / file))

    return _work(read, data, lambda found: {"customers": found.n_customers})


def ours_and_matrix(data: Data) -> Work:
    from engagelib import EventLog, Histories

    def read(file: str) -> csr_array:
        return Histories.from_log(EventLog.read(data.folder / file)).matrix()

    return _work(read, data, lambda found: {"customers": found.shape[0]})


def with_pandas(data: Data) -> Work:
    import pandas as pd

    def read(file: str) -> csr_array:
        table = pd.read_parquet(data.folder / file)
        rows, customers = pd.factorize(table["customer_id"])
        columns, items = pd.factorize(table["item_id"])
        return _counted(rows, columns, (len(customers), len(items)))

    return _work(read, data, lambda found: {"customers": found.shape[0]})


def with_polars(data: Data) -> Work:
    import polars as pl

    def read(file: str) -> csr_array:
        table = pl.read_parquet(data.folder / file)
        # Ranks of categories: a column's own codes may be shared with other columns.
        codes = [table[name].cast(pl.Categorical).to_physical().to_numpy() for name in _COLUMNS[:2]]
        rows, columns = (np.unique(values, return_inverse=True)[1] for values in codes)
        return _counted(rows, columns, (int(rows.max()) + 1, int(columns.max()) + 1))

    return _work(read, data, lambda found: {"customers": found.shape[0]})


def _counted(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    return coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape).tocsr()


def _work(read: Callable[[str], Any], data: Data, figures: Callable[[Any], dict[str, int]]) -> Work:
    rows = int(data.facts("ingest")["rows"])
    return Work(lambda: read(_ALL), units=rows, warm=lambda: read(_FEW), figures=figures)


_OURS = "engagelib, checked and in order of time"
_PEERS = {"pandas factorize, counted": None, "polars categories, counted": None}

BENCHMARKS = (
    Benchmark(
        "ingest",
        "a Parquet file of events to histories; peers only number the ids and count cells",
        "events",
        prepare,
        {
            _OURS: ours,
            "engagelib, and the matrix": ours_and_matrix,
            "pandas factorize, counted": with_pandas,
            "polars categories, counted": with_polars,
        },
        against(_OURS, _PEERS),
    ),
)
