"""One customer: an id goes in, objects come out, and each call is timed by itself."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.data import Data, keep_main_shop
from benchmarks.speed.suite import Benchmark, Comparison, SkippedError, Work

K = 10
RECTOOLS = "BENCHMARK_RECTOOLS"
"""The environment variable that names a Python in which RecTools is installed."""


def time_calls(call: Callable[[Any], object], arguments: Iterable[Any]) -> dict[str, float]:
    """Time each call by the CPU time of this thread, in microseconds; nothing is subtracted."""
    clock = time.thread_time_ns
    taken, empty = [], []
    for argument in arguments:
        begin = clock()
        call(argument)
        taken.append(clock() - begin)
    for _ in range(1000):
        begin = clock()
        empty.append(clock() - begin)
    median, p99 = np.percentile(taken, [50, 99]) / 1e3
    return {
        "median_us": float(median),
        "p99_us": float(p99),
        "timer_us": float(np.median(empty)) / 1e3,
        "cpu_seconds": sum(taken) / 1e9,
    }


def prepare(data: Data, models: str) -> None:
    """Write the shop, a fitted recommender, and what peers need: histories, neighbours or factors."""
    keep_main_shop(data)
    name = f"asked-{models}"
    if data.has(name):
        return
    from engagelib import Recommender

    recommender = Recommender(models=models).fit(data.log())
    recommender.save(data.folder / f"{models}.engage")
    n_customers = len(recommender.customers_)
    rows = np.random.default_rng(1).permutation(n_customers)[: data.size.n_calls + data.size.n_calls // 10]
    if models != "auto":
        model, known = recommender.models_[0], recommender.histories_.block(0, n_customers)
        drawn = model.inputs(known) if models == "item_knn" else model.interest(known)
        data.keep_csr(f"{name}/history", drawn.to_matrix())
        if models == "item_knn":
            data.keep_csr(f"{name}/weights", model.item_weights_.matrix)
        else:
            factors = {"items": model.factors_.array, "customers": model.fold(drawn)}
            data.keep(f"{name}/factors", factors)
    data.keep(name, {"rows": rows}, {"models": [type(model).__name__ for model in recommender.models_]})


def ours(data: Data, models: str) -> Work:
    import engagelib

    recommender = engagelib.load(data.folder / f"{models}.engage")

    def ask(customer_id: Any) -> list[Any]:
        return [entry.item_id for entry in recommender.recommend(customer_id, k=K)]

    rows = data.read(f"asked-{models}")["rows"].tolist()
    work = _work(ask, recommender.customers_.ids(rows), data)
    learned = ", ".join(data.facts(f"asked-{models}")["models"])
    return Work(work.run, work.units, work.warm, lambda found: {**found, "models": learned})


def implicit_items(data: Data) -> Work:
    from implicit.nearest_neighbours import ItemItemRecommender, NearestNeighboursScorer

    history = data.matrix("asked-item_knn/history")
    model = ItemItemRecommender(K=100, num_threads=1)
    model.similarity = data.matrix("asked-item_knn/weights")
    model.scorer = NearestNeighboursScorer(model.similarity)

    def ask(row: int) -> list[int]:
        found: list[int] = model.recommend(row, history[row], N=K)[0].tolist()
        return found

    return _work(ask, data.read("asked-item_knn")["rows"].tolist(), data)


def implicit_factors(data: Data, recalculate: bool) -> Work:
    from implicit.cpu.als import AlternatingLeastSquares

    history, factors = data.matrix("asked-als/history"), data.read("asked-als/factors")
    model = AlternatingLeastSquares(factors=64, regularization=1.0, num_threads=1)
    model.item_factors, model.user_factors = factors["items"], factors["customers"]

    def ask(row: int) -> list[int]:
        found: list[int] = model.recommend(row, history[row], N=K, recalculate_user=recalculate)[0].tolist()
        return found

    return _work(ask, data.read("asked-als")["rows"].tolist(), data)


def rectools(data: Data) -> Work:
    python = os.environ.get(RECTOOLS)
    if not python:
        raise SkippedError("no Python with RecTools was named (--rectools)")
    script = Path(__file__).with_name("rectools_peer.py")
    n_calls = min(data.size.n_calls, 200)
    history, rows = data.folder / "asked-item_knn" / "history", data.folder / "asked-item_knn"

    def ask() -> dict[str, Any]:
        command = [python, str(script), str(history), str(rows / "rows.npy"), str(n_calls)]
        found: dict[str, Any] = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
        return found

    return Work(ask, units=n_calls, figures=dict)


def _work(ask: Callable[[Any], object], arguments: list[Any], data: Data) -> Work:
    """Ask for some customers to warm up, and then time the calls for the others."""
    later, first = arguments[: data.size.n_calls], arguments[data.size.n_calls :]

    def warm() -> None:
        for argument in first:
            ask(argument)

    return Work(lambda: time_calls(ask, later), units=len(later), warm=warm, figures=dict)


def _asked(
    microseconds: float, measure: str = "median_us", *, sizes: tuple[str, ...] = ("medium", "large")
) -> Comparison:
    return Comparison("engagelib", measure=measure, most=microseconds, sizes=sizes)


BENCHMARKS = (
    Benchmark(
        "one-item-knn",
        f"{K} items for one customer from neighbours of items, one call at a time",
        "calls",
        partial(prepare, models="item_knn"),
        {
            "engagelib": partial(ours, models="item_knn"),
            "implicit item-item": implicit_items,
            "RecTools": rectools,
        },
        (
            _asked(60.0),
            _asked(250.0, "p99_us"),
            Comparison("engagelib", "implicit item-item", "median_us"),
            Comparison("engagelib", "RecTools", "median_us"),
        ),
    ),
    Benchmark(
        "one-als",
        f"{K} items for one customer from factors, one call at a time",
        "calls",
        partial(prepare, models="als"),
        {
            "engagelib": partial(ours, models="als"),
            "implicit, customer solved for": partial(implicit_factors, recalculate=True),
            "implicit, factors of customers kept": partial(implicit_factors, recalculate=False),
        },
        (
            _asked(120.0, sizes=("large",)),
            Comparison(
                "engagelib", "implicit, customer solved for", "median_us", least=5.0, sizes=("large",)
            ),
            Comparison(
                "engagelib", "implicit, factors of customers kept", "median_us", least=5.0, sizes=("large",)
            ),
        ),
    ),
    Benchmark(
        "one-default",
        f"{K} items for one customer from the models that the log decides on, one call at a time",
        "calls",
        partial(prepare, models="auto"),
        {"engagelib": partial(ours, models="auto")},
        (Comparison("engagelib", measure="median_us"),),
    ),
)
