"""Growth: how the cost of scoring and fitting rises with what it is given, with the exponent fitted."""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.speed.data import EQUAL, Data, keep_factors, keep_main_shop, keep_neighbours, keep_shop
from benchmarks.speed.ours import on_threads
from benchmarks.speed.suite import Benchmark, Work

_PARTS = (4, 2, 1)
"""The share of all that a point of a curve is given: one in so many."""

_LENGTHS = (10, 20, 50, 100, 200)


def prepare_sparse(data: Data) -> None:
    """Write the shop that is divided by customers, and asked for lists of several lengths."""
    keep_main_shop(data)
    keep_neighbours(data)


def prepare_items(data: Data) -> None:
    """Write shops of as many customers and events with more and more items."""
    size = data.size
    for part in _PARTS:
        _keep(data, f"items-{part}", size.n_customers // 4, size.n_items // part, size.n_events // 4)


def prepare_events(data: Data) -> None:
    """Write shops of as many customers and items with more and more events."""
    size = data.size
    for part in _PARTS:
        _keep(data, f"events-{part}", size.n_customers // 4, size.n_items, size.n_events // 2 // part)


def _keep(data: Data, name: str, n_customers: int, n_items: int, n_events: int) -> None:
    keep_shop(data, name, n_customers, n_items, n_events)
    keep_neighbours(data, name, f"{name}-")


def prepare_dense(data: Data) -> None:
    """Write factors that were learned."""
    keep_main_shop(data)
    keep_factors(data)


def by_customers(data: Data, part: int) -> Work:
    n = data.facts("history")["shape"][0] // part
    return _scored(data, "", n, 20, n)


def by_items(data: Data, part: int) -> Work:
    return _scored(data, f"items-{part}-", None, 20, data.size.n_items // part)


def by_events(data: Data, part: int) -> Work:
    name = f"events-{part}-"
    met = data.csr(f"{name}history")
    return _scored(data, name, None, 20, met.nnz / met.shape[0])


def by_length(data: Data, k: int) -> Work:
    return _scored(data, "", data.size.n_batch, k, k)


def _scored(data: Data, prefix: str, n_rows: int | None, k: int, x: float) -> Work:
    from engagelib.scoring import ItemWeights, score_topk

    history = data.csr(f"{prefix}history", n_rows=n_rows)
    weights, threads = ItemWeights(data.csr(f"{prefix}weights")), on_threads(score_topk, 1)
    return Work(
        lambda: score_topk(history, weights, k, exclude=history, **threads),
        units=history.shape[0],
        warm=lambda: score_topk(history[:50], weights, k, exclude=history[:50], **threads),
        figures=lambda _: {"x": float(x)},
    )


def dense_by_items(data: Data, part: int) -> Work:
    n_items = len(data.read("factors")["items"]) // part
    # Any items, not the first ones: ids may go with popularity.
    some = np.random.default_rng(0).permutation(n_items * part)[:n_items]
    return _dense(data, 10, np.sort(some), n_items)


def dense_by_length(data: Data, k: int) -> Work:
    return _dense(data, k, np.arange(len(data.read("factors")["items"])), k)


def _dense(data: Data, k: int, items: np.ndarray, x: float) -> Work:
    from engagelib.scoring import Factors, dense_topk

    found = data.read("factors")
    queries, factors, threads = found["queries"], Factors(found["items"][items]), on_threads(dense_topk, 1)
    return Work(
        lambda: dense_topk(queries, factors, k, **threads),
        units=len(queries),
        warm=lambda: dense_topk(queries[:50], factors, k, **threads),
        figures=lambda _: {"x": float(x)},
    )


def fit_by_events(data: Data, part: int) -> Work:
    from engagelib import ItemKNN

    whole = data.histories()
    histories = whole.block(0, whole.n_customers // part)
    settings = {"half_life_days": None, "event_weights": EQUAL, **on_threads(ItemKNN, 1)}
    return Work(
        lambda: ItemKNN("cosine", 100, **settings).fit(histories),
        units=histories.n_events,
        warm=lambda: ItemKNN("cosine", 100, **settings).fit(histories.block(0, 50)),
        figures=lambda _: {"x": float(histories.n_events)},
    )


def _benchmark(
    name: str, about: str, axis: str, unit: str, *, prepare: Callable[[Data], None], work: Callable[..., Work]
) -> Benchmark:
    if axis == "k":
        contenders = {f"k = {k}": partial(work, k=k) for k in _LENGTHS}
    else:
        contenders = {f"{axis} / {part}" if part > 1 else axis: partial(work, part=part) for part in _PARTS}
    return Benchmark(f"growth-{name}", about, unit, prepare, contenders, axis=axis)


BENCHMARKS = (
    _benchmark(
        "sparse-customers",
        "sparse scoring, k = 20",
        "customers",
        "customers",
        prepare=prepare_sparse,
        work=by_customers,
    ),
    _benchmark(
        "sparse-items", "sparse scoring, k = 20", "items", "customers", prepare=prepare_items, work=by_items
    ),
    _benchmark(
        "sparse-events",
        "sparse scoring, k = 20",
        "items met by a customer",
        "customers",
        prepare=prepare_events,
        work=by_events,
    ),
    _benchmark("sparse-k", "sparse scoring", "k", "customers", prepare=prepare_sparse, work=by_length),
    _benchmark(
        "dense-items",
        "dense scoring, k = 10, learned",
        "items",
        "customers",
        prepare=prepare_dense,
        work=dense_by_items,
    ),
    _benchmark(
        "dense-k", "dense scoring, learned", "k", "customers", prepare=prepare_dense, work=dense_by_length
    ),
    _benchmark(
        "fitting-events", "ItemKNN.fit", "events", "events", prepare=prepare_sparse, work=fit_by_events
    ),
)
