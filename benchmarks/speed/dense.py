"""Dense scoring: vectors of customers times factors of items with a top-k, beside the bare product."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed.data import Data, keep_factors, keep_main_shop
from benchmarks.speed.ours import listed, on_threads
from benchmarks.speed.suite import Benchmark, Work, against

N_FACTORS = 64


def prepare_fitted(data: Data) -> None:
    """Write the shop and its factors."""
    keep_main_shop(data)
    keep_factors(data)


def prepare_equal(data: Data) -> None:
    """Write random vectors of length 1: no item can be ruled out by its length."""
    if data.has("equal"):
        return
    rng = np.random.default_rng(0)

    def draw(n: int) -> np.ndarray:
        vectors = rng.standard_normal((n, N_FACTORS), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    data.keep("equal", {"queries": draw(data.size.n_batch), "items": draw(data.size.n_items)})


def ours(data: Data, group: str, k: int) -> Work:
    from engagelib.scoring import Factors, dense_topk

    queries, factors = _operands(data, group)
    checked, threads = Factors(factors), on_threads(dense_topk, 1)
    return Work(
        lambda: dense_topk(queries, checked, k, **threads),
        units=len(queries),
        warm=lambda: dense_topk(queries[:50], checked, k, **threads),
        figures=listed,
    )


def product(data: Data, group: str, k: int) -> Work:
    queries, factors = _operands(data, group)
    block = _best_block(queries, factors)
    out = np.empty((block, len(factors)), np.float32)

    def multiply() -> None:
        for start in range(0, len(queries), block):
            part = queries[start : start + block]
            np.matmul(part, factors.T, out=out[: len(part)])

    return Work(multiply, units=len(queries), figures=lambda _: {"block": block})


def _best_block(queries: np.ndarray, factors: np.ndarray) -> int:
    """Find how many queries at once make the product fastest."""
    cost = {}
    for block in (64, 256, 512, 1024, 2048):
        out, n = np.empty((block, len(factors)), np.float32), min(2048, len(queries))
        np.matmul(queries[:1], factors.T)
        begin = time.process_time()
        for start in range(0, n, block):
            part = queries[start : min(start + block, n)]
            np.matmul(part, factors.T, out=out[: len(part)])
        cost[block] = time.process_time() - begin
    return min(cost, key=lambda block: cost[block])


def implicit(data: Data, group: str, k: int) -> Work:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=N_FACTORS, num_threads=1)
    model.user_factors, model.item_factors = _operands(data, group)

    def ask(n: int) -> Any:
        return model.recommend(np.arange(n), None, N=k, filter_already_liked_items=False)

    n = len(model.user_factors)
    return Work(
        lambda: ask(n),
        units=n,
        warm=lambda: ask(50),
        figures=lambda found: {"entries": found[1].size, "score_sum": float(found[1].sum(dtype=float))},
    )


def partition(data: Data, group: str, k: int) -> Work:
    queries, factors = _operands(data, group)

    def select() -> float:
        total = 0.0
        for start in range(0, len(queries), 512):
            scores = queries[start : start + 512] @ factors.T
            found = np.argpartition(scores, -k, axis=1)[:, -k:]
            best = np.take_along_axis(scores, found, axis=1)
            order = np.argsort(-best, axis=1)
            np.take_along_axis(found, order, axis=1)
            total += float(best.sum(dtype=float))
        return total

    return Work(select, units=len(queries), figures=lambda total: {"score_sum": total})


def _operands(data: Data, group: str) -> tuple[np.ndarray, np.ndarray]:
    found = data.read(group)
    return found["queries"], found["items"]


def _benchmark(
    group: str,
    k: int,
    about: str,
    prepare: Callable[[Data], None],
    *,
    share: float | None,
    implicit_times: float | None,
) -> Benchmark:
    contenders = {
        "engagelib": ours,
        "product alone": product,
        "implicit": implicit,
        "NumPy product, argpartition": partition,
    }
    return Benchmark(
        f"dense-{group}-{k}",
        f"{k} items for each vector of {N_FACTORS} numbers, {about}",
        "customers",
        prepare,
        {name: partial(each, group=group, k=k) for name, each in contenders.items()},
        against(
            "engagelib",
            {"implicit": implicit_times, "product alone": share, "NumPy product, argpartition": None},
            share=("product alone",),
            sizes=("large",),
        ),
    )


BENCHMARKS = tuple(
    _benchmark(
        group,
        k,
        about,
        prepare,
        share=share if k == 10 else None,
        implicit_times=implicit_times if k == 10 else None,
    )
    for group, about, prepare, share, implicit_times in (
        ("factors", "factors that ALS learned", prepare_fitted, 0.4, 5.0),
        ("equal", "random factors of equal length: none can be ruled out", prepare_equal, 1.25, None),
    )
    for k in (10, 20, 100)
)
