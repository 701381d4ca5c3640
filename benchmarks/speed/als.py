"""ALS: the same epochs from the same start, by what they cost and by the objective that they reach."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from benchmarks.speed.data import Data, keep_factors, keep_main_shop
from benchmarks.speed.ours import on_threads
from benchmarks.speed.suite import Benchmark, Comparison, SkippedError, Work

N_FACTORS = 64
N_EPOCHS = 15
N_STEPS = 3
"""Steps of conjugate gradients in each half of an epoch, as implicit takes them."""

_BLOCK = 1 << 20


def prepare(data: Data) -> None:
    """Write confidences, the penalty and the factors to begin with."""
    keep_main_shop(data)
    keep_factors(data)
    if data.has("start"):
        return
    rng = np.random.default_rng(0)
    n_customers, n_items = data.facts("confidence")["shape"]
    drawn = {"customers": n_customers, "items": n_items}
    data.keep(
        "start",
        {name: rng.random((n, N_FACTORS), dtype=np.float32) * np.float32(0.01) for name, n in drawn.items()},
    )


def ours(data: Data) -> Work:
    from engagelib.scoring import Rows, _kernels

    kernel: Any = _kernels.active
    if not hasattr(kernel, "als_half_step"):
        raise SkippedError(f"the {kernel.NAME} kernel has no als_half_step")
    confidence, penalty, start = _given(data, csr_array)

    def rows_of(cells: csr_array) -> Rows:
        return Rows(cells.indptr, cells.indices, cells.data, cells.shape)

    def learn() -> tuple[np.ndarray, np.ndarray]:
        customers, items = start["customers"].copy(), start["items"].copy()
        by_customer, by_item = rows_of(confidence), rows_of(confidence.T.tocsr())
        settings = {"n_steps": N_STEPS, "n_threads": 1}
        settings["room"] = kernel.als_room(max(confidence.shape), N_FACTORS)
        for _ in range(N_EPOCHS):
            kernel.als_half_step(by_customer, items, customers, penalty, **settings)
            kernel.als_half_step(by_item, customers, items, penalty, **settings)
        return customers, items

    return _work(learn, data, confidence, penalty)


def implicit(data: Data) -> Work:
    from implicit.cpu.als import AlternatingLeastSquares

    confidence, penalty, start = _given(data, csr_matrix)

    def learn() -> tuple[np.ndarray, np.ndarray]:
        model = AlternatingLeastSquares(
            factors=N_FACTORS, regularization=penalty, alpha=1.0, iterations=N_EPOCHS, num_threads=1
        )
        model.cg_steps = N_STEPS
        model.user_factors, model.item_factors = start["customers"].copy(), start["items"].copy()
        model.fit(confidence, show_progress=False)
        return model.user_factors, model.item_factors

    return _work(learn, data, confidence, penalty)


def ours_whole(data: Data) -> Work:
    from engagelib import ALS

    histories = data.histories()
    settings = {"half_life_days": None, "n_epochs": N_EPOCHS, **on_threads(ALS, 1)}
    return Work(
        lambda: ALS(N_FACTORS, **settings).fit(histories),
        units=_cells(data),
        warm=lambda: ALS(4, half_life_days=None, n_epochs=1).fit(histories.block(0, 50)),
    )


def objective(confidence: csr_array, customers: np.ndarray, items: np.ndarray, penalty: float) -> float:
    """Sum `c (p - x.y)^2` over all cells, met or not, and the penalty times all squares, in float64.

    Cells that were not met have confidence 1 and preference 0. Their sum over all cells is that of
    `(X'X) * (Y'Y)`; cells that were met put right what it says of them (Hu, Koren and Volinsky, 2008).
    """
    x, y = customers.astype(np.float64), items.astype(np.float64)
    total = float(((x.T @ x) * (y.T @ y)).sum())
    row = np.repeat(np.arange(len(x)), np.diff(confidence.indptr))
    for start in range(0, confidence.nnz, _BLOCK):
        part = slice(start, start + _BLOCK)
        scores = np.einsum("ij,ij->i", x[row[part]], y[confidence.indices[part]])
        total += float((confidence.data[part].astype(np.float64) * (1 - scores) ** 2 - scores**2).sum())
    return total + penalty * float((x**2).sum() + (y**2).sum())


def _given(data: Data, kind: type) -> tuple[Any, float, dict[str, np.ndarray]]:
    return data.csr("confidence", kind), float(data.facts("factors")["penalty"]), data.read("start")


def _work(
    learn: Callable[[], tuple[np.ndarray, np.ndarray]], data: Data, confidence: Any, penalty: float
) -> Work:
    return Work(
        learn,
        units=_cells(data),
        figures=lambda found: {"objective": objective(confidence, *found, penalty)},
    )


def _cells(data: Data) -> int:
    return len(data.read("confidence")["data"]) * N_EPOCHS


BENCHMARKS = (
    Benchmark(
        "als",
        f"{N_EPOCHS} epochs of ALS, {N_FACTORS} factors, {N_STEPS} steps of conjugate gradients each half",
        "cells times epochs",
        prepare,
        {
            "engagelib's kernel": ours,
            "implicit": implicit,
            "engagelib ALS.fit, from a start of its own": ours_whole,
        },
        (
            Comparison("engagelib's kernel", "implicit", least=2.0, sizes=("large",)),
            Comparison("engagelib's kernel", "implicit", "objective", most=1.001, sizes=("large",)),
            Comparison("engagelib ALS.fit, from a start of its own", "implicit"),
        ),
    ),
)
