"""Sparse scoring and fitting: histories times neighbours with a top-k, and all pairs of items."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix, diags_array, eye_array

from benchmarks.speed.data import EQUAL, Data, keep_main_shop, keep_neighbours, keep_shop
from benchmarks.speed.ours import listed, on_threads
from benchmarks.speed.suite import Benchmark, Work, against

K = 20
N_NEIGHBOURS = 100
N_ROWS = 50_000
"""Customers that are scored at most: more of them take longer, and say no more."""

_BLOCK = 2_048


_LONG = "long-"


def prepare(data: Data) -> None:
    """Write the shop, what each customer met and the neighbours of items."""
    keep_main_shop(data)
    keep_neighbours(data)


def prepare_long(data: Data) -> None:
    """Write a shop of as many events and items, with a fifth of the customers."""
    size = data.size
    keep_shop(data, "long-shop", size.n_customers // 5, size.n_items, size.n_events)
    keep_neighbours(data, "long-shop", _LONG)


def score_ours(data: Data, prefix: str) -> Work:
    from engagelib.scoring import ItemWeights, score_topk

    history, weights = data.csr(f"{prefix}history", n_rows=N_ROWS), ItemWeights(data.csr(f"{prefix}weights"))
    threads = on_threads(score_topk, 1)
    return Work(
        lambda: score_topk(history, weights, K, exclude=history, **threads),
        units=history.shape[0],
        warm=lambda: score_topk(history[:50], weights, K, exclude=history[:50], **threads),
        figures=lambda found: {**listed(found), "items_met": history.nnz / history.shape[0]},
    )


def score_implicit(data: Data, prefix: str) -> Work:
    from implicit.nearest_neighbours import ItemItemRecommender, NearestNeighboursScorer

    history = data.matrix(f"{prefix}history", N_ROWS)
    model = ItemItemRecommender(K=N_NEIGHBOURS, num_threads=1)
    model.similarity = data.matrix(f"{prefix}weights")
    model.scorer = NearestNeighboursScorer(model.similarity)

    def ask(n: int) -> Any:
        rows = history if n == history.shape[0] else history[:n]
        return model.recommend(np.arange(n), rows, N=K, filter_already_liked_items=True)

    return Work(
        lambda: ask(history.shape[0]),
        units=history.shape[0],
        warm=lambda: ask(50),
        figures=lambda found: {
            "entries": int((found[1] > 0).sum()),
            "score_sum": float(found[1][found[1] > 0].sum()),
        },
    )


def score_dot_topn(data: Data, prefix: str) -> Work:
    from sparse_dot_topn import sp_matmul_topn

    history, weights = data.matrix(f"{prefix}history", N_ROWS), data.matrix(f"{prefix}weights")
    return Work(
        lambda: sp_matmul_topn(history, weights, top_n=K, sort=True, n_threads=1),
        units=history.shape[0],
        warm=lambda: sp_matmul_topn(history[:50], weights, top_n=K, sort=True, n_threads=1),
        figures=lambda found: {"entries": int(found.nnz), "score_sum": float(found.data.sum(dtype=float))},
    )


def score_product(data: Data, prefix: str) -> Work:
    history, weights = data.csr(f"{prefix}history", n_rows=N_ROWS), data.csr(f"{prefix}weights")
    return Work(
        lambda: sum(product.nnz for product in _products(history, weights)),
        units=history.shape[0],
        warm=lambda: history[:50] @ weights,
    )


def score_partition(data: Data, prefix: str) -> Work:
    history, weights = data.csr(f"{prefix}history", n_rows=N_ROWS), data.csr(f"{prefix}weights")
    items = np.full((history.shape[0], K), -1, np.int32)

    def select() -> None:
        row = 0
        for product in _products(history, weights):
            for start, stop in zip(product.indptr[:-1], product.indptr[1:], strict=True):
                scores, columns = product.data[start:stop], product.indices[start:stop]
                if len(scores) > K:
                    best = np.argpartition(-scores, K - 1)[:K]
                    scores, columns = scores[best], columns[best]
                items[row, : len(scores)] = columns[np.argsort(-scores)]
                row += 1

    return Work(select, units=history.shape[0], warm=lambda: history[:50] @ weights)


def _products(history: csr_array, weights: csr_array) -> Iterator[csr_array]:
    """Multiply by blocks: the whole product would not fit into memory."""
    for start in range(0, history.shape[0], _BLOCK):
        yield history[start : start + _BLOCK] @ weights


def fit_ours(data: Data) -> Work:
    from engagelib import ItemKNN

    histories = data.histories()
    settings = {"half_life_days": None, "event_weights": EQUAL, **on_threads(ItemKNN, 1)}
    return Work(
        lambda: ItemKNN("cosine", N_NEIGHBOURS, **settings).fit(histories),
        units=histories.n_items,
        warm=lambda: ItemKNN("cosine", N_NEIGHBOURS, **settings).fit(histories.block(0, 50)),
        figures=lambda model: {"entries": len(model.item_weights_.data)},
    )


def fit_ours_alone(data: Data) -> Work:
    from engagelib.scoring import ItemWeights, score_topk

    met = data.csr("met")
    itself, threads = eye_array(met.shape[1], format="csr"), on_threads(score_topk, 1)

    def fit() -> Any:
        vectors = _normalised(met)
        by_item = csr_array(vectors.T.tocsr())
        return score_topk(by_item, ItemWeights(vectors), N_NEIGHBOURS, exclude=itself, **threads)

    return Work(fit, units=met.shape[1], figures=listed)


def fit_implicit(data: Data) -> Work:
    from implicit.nearest_neighbours import CosineRecommender

    met = data.matrix("met")

    def fit(cells: csr_matrix) -> CosineRecommender:
        # It counts the item itself among its neighbours.
        model = CosineRecommender(K=N_NEIGHBOURS + 1, num_threads=1)
        model.fit(cells, show_progress=False)
        return model

    return Work(
        lambda: fit(met),
        units=met.shape[1],
        warm=lambda: fit(csr_matrix(np.eye(3, dtype=np.float32))),
        figures=lambda model: {"entries": int(model.similarity.nnz)},
    )


def fit_dot_topn(data: Data) -> Work:
    from sparse_dot_topn import sp_matmul_topn

    met = data.csr("met")

    def fit() -> csr_matrix:
        vectors = csr_matrix(_normalised(met))
        by_item = vectors.T.tocsr()
        return sp_matmul_topn(by_item, vectors, top_n=N_NEIGHBOURS + 1, n_threads=1)

    return Work(fit, units=met.shape[1], figures=lambda found: {"entries": int(found.nnz)})


def _normalised(met: csr_array) -> csr_array:
    length = np.sqrt(np.bincount(met.indices, met.data.astype(np.float64) ** 2, minlength=met.shape[1]))
    scale = (1.0 / np.where(length > 0, length, 1.0)).astype(np.float32)
    return csr_array(met @ diags_array(scale)).astype(np.float32)


def _scoring(name: str, whose: str, prepare: Callable[[Data], None], prefix: str) -> Benchmark:
    contenders = {
        "engagelib": score_ours,
        "implicit item-item": score_implicit,
        "sparse_dot_topn, nothing left out": score_dot_topn,
        "SciPy product alone": score_product,
        "SciPy product, partition per row": score_partition,
    }
    return Benchmark(
        name,
        f"{K} items for each customer{whose} from {N_NEIGHBOURS} neighbours an item, items met left out",
        "customers",
        prepare,
        {name: partial(each, prefix=prefix) for name, each in contenders.items()},
        against(
            "engagelib",
            {
                "implicit item-item": None if prefix else 4.5,
                "sparse_dot_topn, nothing left out": None if prefix else 2.5,
                "SciPy product alone": None,
                "SciPy product, partition per row": None,
            },
        ),
    )


BENCHMARKS = (
    _scoring("sparse-scoring", "", prepare, ""),
    _scoring("sparse-scoring-long", " with five times the events", prepare_long, _LONG),
    Benchmark(
        "sparse-fitting",
        f"the {N_NEIGHBOURS} nearest items of each item by cosine",
        "items",
        prepare,
        {
            "engagelib ItemKNN.fit": fit_ours,
            "engagelib, normalise and score": fit_ours_alone,
            "implicit CosineRecommender": fit_implicit,
            "sparse_dot_topn": fit_dot_topn,
        },
        (
            *against(
                "engagelib ItemKNN.fit",
                {"implicit CosineRecommender": 2.0, "sparse_dot_topn": None},
                sizes=("large",),
            ),
            *against("engagelib, normalise and score", {"implicit CosineRecommender": None}),
        ),
    ),
)
