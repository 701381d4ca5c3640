"""Dense scoring in C++: arrays in and out, and the product of matrices that it borrows from SciPy."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray, Rows
from engagelib.scoring._operands import Factors, TopK
from engagelib.scoring.native import _kernel

_FEW_ROWS = 12  # up to here a call takes longer with BLAS than without
_MOST_THREADS = 256


def dense_topk(
    queries: FloatArray,
    factors: Factors,
    k: int,
    excluded: Rows | None,
    available: MaskArray | None,
    *,
    n_threads: int = 1,
) -> TopK:
    """Search the items by falling norm, a block of queries at a time."""
    return counted_topk(queries, factors, k, excluded, available, n_threads=n_threads)[0]


def counted_topk(
    queries: FloatArray,
    factors: Factors,
    k: int,
    excluded: Rows | None,
    available: MaskArray | None,
    *,
    n_threads: int = 1,
) -> tuple[TopK, int]:
    """List as `dense_topk` does, and count the products that guided the search."""
    n_rows = len(queries)
    item_index = np.empty((n_rows, k), np.int32)
    score = np.empty((n_rows, k), np.float32)
    permutation = factors.permutation
    given = (
        np.ascontiguousarray(queries),
        factors.by_norm,
        factors.norms_by_norm,
        permutation,
        factors.place,
        None if excluded is None else _as_indices(excluded.indptr),
        None if excluded is None else _as_indices(excluded.indices),
        None if available is None else available.view(np.uint8),
        item_index,
        score,
    )
    n_threads = min(n_threads, _MOST_THREADS)
    if n_rows <= _FEW_ROWS:
        n_products = _kernel.dense_topk(*given, 0, n_threads)
    else:
        with _blas.alone():
            n_products = _kernel.dense_topk(*given, _blas.address, n_threads)
    if n_products < 0:
        at = -1 - n_products
        raise errors.scoring.altered_ranking(at, int(permutation[at]), len(permutation) - 1)
    return TopK(item_index, score), n_products


def dense_pairs(
    queries: FloatArray, factors: Factors, wanted: IndexArray, *, n_threads: int = 1
) -> FloatArray:
    """Score the wanted items in the fixed order of addition."""
    found = np.empty(wanted.shape, np.float32)
    items = np.ascontiguousarray(wanted, np.int64)
    threads = min(n_threads, _MOST_THREADS)
    _kernel.dense_pairs(np.ascontiguousarray(queries), factors.array, items, found, threads)
    return found


def _as_indices(index: IndexArray) -> IndexArray:
    if index.dtype not in (np.int32, np.int64):
        return index.astype(np.int64)
    return np.ascontiguousarray(index)


class _Blas:
    """The sgemm of SciPy's BLAS, found when a batch first needs it.

    Its own threads stay out while blocks of queries are answered, each on a thread of ours. Their number
    belongs to the process, and may only be put back by the thread that took it down: of several calls at
    once the first does both, and one that goes on after it may meet BLAS's threads, which costs time alone.
    """

    def __init__(self) -> None:
        self.address = 0
        self._controller: Any = None
        self.forget()

    def forget(self) -> None:
        """Begin as if no call were under way, as in the child of a fork none is."""
        self._lock = threading.Lock()
        self._is_limited = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep BLAS to the thread that calls it."""
        with self._lock:
            if self._controller is None:
                self._find()
            limits = not self._is_limited
            self._is_limited = True
        if not limits:
            yield
            return
        try:
            with self._controller.limit(limits=1):
                yield
        finally:
            self._is_limited = False

    def _find(self) -> None:
        from scipy.linalg import cython_blas
        from threadpoolctl import ThreadpoolController

        self.address = _kernel.sgemm_of(cython_blas.__pyx_capi__["sgemm"])
        self._controller = ThreadpoolController().select(user_api="blas")


_blas = _Blas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas.forget)
