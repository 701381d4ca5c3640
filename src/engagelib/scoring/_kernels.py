"""Which implementation answers: the native one where it was built, else the reference."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from engagelib import errors
from engagelib.scoring._checks import whole_number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray, Rows
    from engagelib.scoring._operands import Factors, ItemWeights, Ranking, TopK
    from engagelib.scoring.blending import Blend
    from engagelib.scoring.describing import Clock, ItemFacts
    from engagelib.scoring.drawing import Aging, Events
    from engagelib.scoring.neighbours import Placed
    from engagelib.scoring.trees import Trees

    Doubles: TypeAlias = npt.NDArray[np.float64]

VARIABLE: Final = "ENGAGELIB_KERNEL"
"""The environment variable that asks for one of them, "native" or "reference"."""


class Kernel(Protocol):
    """What an implementation offers; operands come checked."""

    NAME: str

    @staticmethod
    def are_sound(rows: Rows) -> bool: ...
    @staticmethod
    def sparse_topk(
        rows: Rows,
        weights: ItemWeights,
        k: int,
        excluded: Rows | None,
        available: MaskArray | None,
        *,
        n_threads: int = 1,
    ) -> TopK: ...
    @staticmethod
    def sparse_pairs(rows: Rows, weights: ItemWeights, wanted: IndexArray) -> FloatArray: ...
    @staticmethod
    def dense_topk(
        queries: FloatArray,
        factors: Factors,
        k: int,
        excluded: Rows | None,
        available: MaskArray | None,
        *,
        n_threads: int = 1,
    ) -> TopK: ...
    @staticmethod
    def dense_pairs(queries: FloatArray, factors: Factors, wanted: IndexArray) -> FloatArray: ...
    @staticmethod
    def ranking_topk(
        ranking: Ranking, n_rows: int, k: int, excluded: Rows | None, available: MaskArray | None
    ) -> npt.NDArray[np.int32]: ...
    @staticmethod
    def blend(
        found: Sequence[TopK],
        k: int,
        n_items: int,
        factor: FloatArray | None,
        among: MaskArray | None,
        weights: Doubles | None,
    ) -> Blend: ...
    @staticmethod
    def draw_interest(
        events: Events, per_type: npt.NDArray[np.float64], aging: Aging, heaviest: float | None
    ) -> Rows | None: ...
    @staticmethod
    def draw_met(
        events: Events, counts: MaskArray, until: int | None, without: MaskArray | None
    ) -> Rows | None: ...
    @staticmethod
    def describe(
        found: Sequence[TopK],
        item_index: npt.NDArray[np.int32],
        events: Events,
        group: npt.NDArray[np.int8],
        n_groups: int,
        clock: Clock,
        facts: ItemFacts,
        n_threads: int,
    ) -> FloatArray | None: ...
    @staticmethod
    def score_trees(trees: Trees, features: FloatArray, n_threads: int) -> Doubles: ...
    @staticmethod
    def near_items(
        rows: Rows, postings: Placed, stored: Placed, closeness: Doubles, n_nearest: int
    ) -> Rows: ...
    @staticmethod
    def als_room(n_rows: int, n_factors: int) -> Any: ...
    @staticmethod
    def als_half_step(
        rows: Rows,
        fixed: FloatArray,
        solved: FloatArray,
        regularization: float,
        *,
        n_steps: int,
        n_threads: int,
        room: Any = None,
    ) -> None: ...
    @staticmethod
    def als_solve(
        rows: Rows, fixed: FloatArray, regularization: float, *, n_threads: int, room: Any = None
    ) -> Doubles: ...
    @staticmethod
    def als_turn(vectors: Doubles, regularization: float, *, n_threads: int) -> Doubles: ...
    @staticmethod
    def fold_rows(rows: Rows, vectors: FloatArray) -> Doubles: ...
    @staticmethod
    def solve_rows(
        extra: Rows, vectors: FloatArray, right: Doubles, *, most_steps: int | None = None
    ) -> Doubles: ...
    @staticmethod
    def sum_rows(weights: Rows, vectors: FloatArray) -> Doubles: ...


def _load(wanted: str | None) -> Kernel:
    if wanted not in (None, "", "native", "reference"):
        raise errors.bad_argument(VARIABLE, wanted, '"native", "reference" or nothing')
    if wanted == "reference":
        return _reference()
    try:
        from engagelib.scoring import native
    except ImportError as error:
        if wanted == "native":
            raise errors.scoring.no_native(VARIABLE, str(error)) from error
        if not isinstance(error, ModuleNotFoundError):  # it was built, and is broken
            text = errors.scoring.broken_native(str(error))
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        return _reference()
    return cast(Kernel, native)


def _reference() -> Kernel:
    from engagelib.scoring import reference  # it imports SciPy, which the native one does without

    return cast(Kernel, reference)


active: Kernel = _load(os.environ.get(VARIABLE))


_n_threads: ContextVar[int] = ContextVar("n_threads", default=1)


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Let the calls within a `with` block that do not say how many threads they take, take so many.

    It holds for this thread or task of asyncio, and for what it calls; other threads begin with one.

    Raises
    ------
    ArgumentError
        If it is not an integer of at least 1.
    """
    token = _n_threads.set(whole_number(n_threads, "n_threads", 1))
    try:
        yield
    finally:
        _n_threads.reset(token)


def threads_of(n_threads: int | None) -> int:
    """Return how many threads a call takes: what it says, or what was said around it, or one."""
    return _n_threads.get() if n_threads is None else whole_number(n_threads, "n_threads", 1)


@contextmanager
def using(name: str) -> Iterator[None]:
    """Answer with one implementation, in the whole process, until the block ends: for tests."""
    global active  # noqa: PLW0603
    before, active = active, _load(name)
    try:
        yield
    finally:
        active = before
