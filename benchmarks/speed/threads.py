"""Two threads over one: the wall time of a batch."""

import os
from functools import partial

from benchmarks.speed.data import Data
from benchmarks.speed.dense import prepare_fitted
from benchmarks.speed.ours import listed, on_threads
from benchmarks.speed.sparse import N_ROWS, prepare
from benchmarks.speed.suite import Benchmark, Comparison, SkippedError, Work

_TIMES = 5
"""Batches, one after the other: a single one may be over before the system has placed a thread."""


def _sparse(data: Data, n_threads: int) -> Work:
    from engagelib.scoring import ItemWeights, score_topk

    history, weights = data.csr("history", n_rows=N_ROWS), ItemWeights(data.csr("weights"))
    threads = _asked(on_threads(score_topk, n_threads), n_threads)
    return Work(
        lambda: [score_topk(history, weights, 20, exclude=history, **threads) for _ in range(_TIMES)],
        units=history.shape[0] * _TIMES,
        warm=lambda: score_topk(history[:50], weights, 20, exclude=history[:50], **threads),
        figures=lambda found: listed(found[0]),
    )


def _dense(data: Data, n_threads: int) -> Work:
    from engagelib.scoring import Factors, dense_topk

    found = data.read("factors")
    queries, factors = found["queries"], Factors(found["items"])
    threads = _asked(on_threads(dense_topk, n_threads), n_threads)
    return Work(
        lambda: [dense_topk(queries, factors, 10, **threads) for _ in range(_TIMES)],
        units=len(queries) * _TIMES,
        warm=lambda: dense_topk(queries[:50], factors, 10, **threads),
        figures=lambda found: listed(found[0]),
    )


def _asked(threads: dict[str, int], n_threads: int) -> dict[str, int]:
    if n_threads > 1 and not threads:
        raise SkippedError("the function has no n_threads")
    if (os.cpu_count() or 1) < n_threads:
        raise SkippedError("the machine has one processor")
    return threads


BENCHMARKS = tuple(
    Benchmark(
        f"threads-{name}",
        f"two threads over one: {about}",
        "customers",
        prepared,
        {"one thread": partial(work, n_threads=1), "two threads": partial(work, n_threads=2)},
        (Comparison("two threads", "one thread", "wall_seconds", least=1.8),),
        # BLAS is left to the kernel: it may use no more threads than it was given.
        threads={"two threads": 2},
    )
    for name, about, prepared, work in (
        ("sparse", "scoring from neighbours, 20 items for each customer", prepare, _sparse),
        ("dense", "scoring from factors, 10 items for each vector", prepare_fitted, _dense),
    )
)
