"""EASE: inverting the Gram matrix of items, on one thread of BLAS."""

import numpy as np
from scipy.sparse import csr_array

from benchmarks.speed.data import Data, keep_shop
from benchmarks.speed.suite import Benchmark, Work, against

_SHOP = "ease-shop"


def prepare(data: Data) -> None:
    """Write a shop with more customers than items, and the matrix that EASE learns from."""
    n_items = data.size.n_ease_items
    keep_shop(data, _SHOP, 4 * n_items, n_items, 100 * n_items)
    if data.has("ease"):
        return
    from engagelib import EASE

    x = EASE(half_life_days=None).inputs(data.histories(_SHOP)).to_matrix()
    met = np.flatnonzero(np.bincount(x.indices, minlength=n_items))
    diagonal = np.bincount(x.indices, x.data.astype(np.float64) ** 2)
    data.keep_csr("ease", csr_array(x[:, met]))
    data.keep("ease-penalty", {"penalty": np.array([(diagonal**2).sum() / diagonal.sum()])})


def ours(data: Data) -> Work:
    from engagelib import EASE

    histories = data.histories(_SHOP)
    return Work(
        lambda: EASE(half_life_days=None, max_gib=16.0).fit(histories),
        units=data.facts("ease")["shape"][1],
        warm=lambda: EASE(half_life_days=None).fit(histories.block(0, 20)),
        figures=lambda model: {"entries": len(model.item_weights_.data)},
    )


def numpy_inverse(data: Data) -> Work:
    x, penalty = data.csr("ease").astype(np.float64), _penalty(data)

    def invert() -> np.ndarray:
        return np.linalg.inv(_gram(x, penalty))

    return Work(invert, units=x.shape[1], warm=lambda: np.linalg.inv(np.eye(4)))


def inverse_alone(data: Data) -> Work:
    # For float32 NumPy computes the same in float64.
    x = data.csr("ease").astype(np.float64)
    gram = _gram(x, _penalty(data))
    return Work(lambda: np.linalg.inv(gram), units=len(gram), warm=lambda: np.linalg.inv(np.eye(4)))


def lapack(data: Data) -> Work:
    from scipy.linalg.lapack import spotrf, spotri

    x, penalty = data.csr("ease"), _penalty(data)

    def invert() -> np.ndarray:
        factor, _ = spotrf(_gram(x, penalty).T, overwrite_a=True, clean=False)
        inverse, _ = spotri(factor, overwrite_c=True)
        return inverse

    return Work(invert, units=x.shape[1], warm=lambda: spotri(spotrf(np.eye(4, dtype=np.float32))[0]))


def _gram(x: csr_array, penalty: float) -> np.ndarray:
    gram = (x.T @ x).toarray()
    gram.flat[:: len(gram) + 1] += penalty
    return gram


def _penalty(data: Data) -> float:
    return float(data.read("ease-penalty")["penalty"][0])


BENCHMARKS = (
    Benchmark(
        "ease",
        "weights of EASE, pruned to 100 an item; the others only invert, in the type that is named",
        "items",
        prepare,
        {
            "engagelib EASE.fit": ours,
            "Gram, spotrf, spotri (float32)": lapack,
            "numpy.linalg.inv alone (float64)": inverse_alone,
            "Gram, numpy.linalg.inv (float64)": numpy_inverse,
        },
        against(
            "engagelib EASE.fit",
            {
                "numpy.linalg.inv alone (float64)": 4.0,
                "Gram, spotrf, spotri (float32)": 1.15,
                "Gram, numpy.linalg.inv (float64)": None,
            },
            share=("Gram, spotrf, spotri (float32)",),
            sizes=("large",),
        ),
    ),
)
