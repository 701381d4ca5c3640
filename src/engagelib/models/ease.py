"""EASE: interest in each item is predicted from all others at once; what two of them say counts once."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.models.alike import alike_columns
from engagelib.models.base import LinearModel
from engagelib.models.decay import (
    HalfLife,
    HalfLifeSteps,
    check_half_life,
    check_half_life_steps,
    resolve_half_life,
    resolve_half_life_steps,
)
from engagelib.models.interest import check_interest
from engagelib.scoring import ItemWeights, Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# How the defaults were found stands in docs/decisions/0007-ease-and-factors.md.
_AUTO_DAYS: Final = 60.0
_AUTO_STEPS: Final = 3.0

_BLOCK_BYTES: Final = 1 << 26
"""What is worked with beside the inverse: rows of it are drawn, scaled and pruned in blocks of this size."""

_BYTES_A_CELL: Final = 40
"""What one cell of such a block takes at most: its product in float64, as sparse and as dense."""


class EASE(LinearModel):
    """Linear regression of every item on all others, in closed form (Steck, 2019).

    The weights minimise `|X - X B|^2 + penalty |B|^2` with an empty diagonal, where `X` holds the interest
    of each history in each item. Unlike neighbours, items that say the same share what they say, and an item
    may speak against another: negative weights are kept.

    Learning takes time that grows with the third power, and memory that grows with the square, of the number
    of items met or of the number of histories, whichever is smaller: 10,000 take some ten seconds and
    0.4 GiB. Serving costs the same as for `ItemKNN`.

    Parameters
    ----------
    regularization
        Strength of the penalty, above 0, in units of the mean diagonal of `X'X`, over items by their share
        in it: one default serves logs of any size. More makes weights smaller and popular items count more.
    n_neighbours
        Weights kept of each item, at least 1: those to the items that it speaks for or against most
        strongly.
    half_life_days
        Age after which an event counts half, when learning and when scoring. "auto" is 60 days where the
        log has timestamps, and no decay elsewhere; None is no decay.
    half_life_steps
        Steps back in a history after which an event counts half when scoring. "auto" is 3 where the log has
        positions, and no such decay elsewhere; None is none.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`. Only their ratios matter:
        interest saturates, one event of the heaviest type counts a half.
    max_gib
        Memory that learning may take, in GiB, above 0.

    Attributes
    ----------
    item_weights_
        Weights `[from, to]` of either sign, diagonal empty.
    penalty_
        The penalty itself, after `fit`.

    References
    ----------
    H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
    """

    name: ClassVar[str] = "ease"

    def __init__(
        self,
        regularization: float = 1.0,
        n_neighbours: int = 100,
        *,
        half_life_days: HalfLife = "auto",
        half_life_steps: HalfLifeSteps = "auto",
        event_weights: Mapping[str, float] | None = None,
        max_gib: float = 4.0,
    ) -> None:
        self.regularization = regularization
        self.n_neighbours = n_neighbours
        self.half_life_days: HalfLife = half_life_days
        self.half_life_steps: HalfLifeSteps = half_life_steps
        self.event_weights = event_weights
        self.max_gib = max_gib

    def fit(self, histories: Histories) -> Self:
        """Solve for the weights from all histories.

        Raises
        ------
        ArgumentError
            If a setting is outside its range, or `regularization` too small to solve with.
        TooLargeError
            If more memory would be needed than `max_gib`; nothing large has been taken by then.
        NotEnoughDataError
            If `half_life_days` is a number and the log has no timestamps, or `half_life_steps` one and the
            log no order; if no event type of the log counts.
        """
        self._check_settings(histories)
        check_interest(histories, self.event_weights)
        x = self._interest(histories, None).to_matrix()
        self.penalty_ = self.regularization * _typical_square(x)
        self.item_weights_ = ItemWeights(self._solve(x))
        return self

    def inputs(self, block: Histories, *, at: int | None = None) -> Rows:
        """Draw the interest of each history, newest events counting most."""
        return self._interest(block, resolve_half_life_steps(self.half_life_steps, block, _AUTO_STEPS), at=at)

    def _interest(self, block: Histories, half_life_steps: float | None, *, at: int | None = None) -> Rows:
        return block.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=half_life_steps,
            at=at,
            saturated=True,
        )

    def _solve(self, x: "csr_array") -> "csr_array":
        """Return the pruned weights between all items of the catalogue."""
        from scipy.sparse import csr_array, diags_array

        n_items = x.shape[1]
        met = np.flatnonzero(np.bincount(x.indices, minlength=n_items))
        x = x[np.diff(x.indptr) > 0][:, met]
        group = alike_columns(x)
        size = np.bincount(group).astype(np.float64)
        smaller, limit = min(x.shape[0], len(size)), self.max_gib * 2**30
        needed = _bytes_to_learn(len(met), smaller, self.n_neighbours)
        if needed > limit:
            fits = (
                bisect_right(range(2**31), limit, key=lambda n: _bytes_to_learn(n, n, self.n_neighbours)) - 1
            )
            raise errors.models.ease_too_large(len(met), x.shape[0], needed, self.max_gib, max(fits, 0))
        if not len(met):
            return csr_array((n_items, n_items), dtype=np.float32)
        _, first = np.unique(group, return_index=True)
        inverse = _GramInverse(csr_array(x[:, first] @ diags_array(np.sqrt(size))), self.penalty_)
        if inverse.failed:
            raise errors.models.not_solvable(self.regularization)
        pieces = _pruned_rows(inverse, group, size, self.n_neighbours)
        return _gathered(pieces, met, n_items, self.n_neighbours)

    def _check_settings(self, histories: Histories) -> None:
        if not 0 < as_number(self.regularization) < np.inf:
            raise errors.bad_argument("regularization", self.regularization, "a number above 0")
        is_whole = isinstance(self.n_neighbours, int | np.integer) and not isinstance(self.n_neighbours, bool)
        if not is_whole or self.n_neighbours < 1:
            raise errors.bad_argument("n_neighbours", self.n_neighbours, "an integer of at least 1")
        check_half_life(self.half_life_days)
        check_half_life_steps(self.half_life_steps, histories)
        if not as_number(self.max_gib) > 0:
            raise errors.bad_argument("max_gib", self.max_gib, "a number above 0")


def _typical_square(x: "csr_array") -> float:
    """Return the mean diagonal of `x'x`, weighed by itself: an item nobody met, or one, hardly counts."""
    diagonal = np.bincount(x.indices, x.data.astype(np.float64) ** 2, minlength=x.shape[1])
    return float((diagonal**2).sum() / max(diagonal.sum(), np.finfo(float).tiny))


def _bytes_to_learn(n_items: int, smaller: int, n_neighbours: int) -> int:
    """Count the bytes that learning takes: the inverse, blocks of it, and what is kept, gathered twice."""
    return 4 * smaller**2 + _BLOCK_BYTES + 24 * n_items * min(n_neighbours, n_items)


class _GramInverse:
    """The inverse of `x'x + penalty I`, in float32, of which rows are drawn.

    Where there are fewer rows than columns in `x`, what is stored is the inverse `K` of `xx' + penalty I`:
    `(x'x + penalty I)^-1 = (I - x'Kx) / penalty` (Woodbury).
    """

    def __init__(self, x: "csr_array", penalty: float) -> None:
        from scipy.sparse import csr_array

        # In the type of what is stored: a product of two types would copy all of that.
        self.transposed = csr_array(x.T).astype(np.float32)
        self.penalty = penalty
        self.n, self.longest = int(x.shape[1]), int(max(x.shape))
        self.by_items = x.shape[1] <= x.shape[0]
        factors = (self.transposed, x) if self.by_items else (x, self.transposed)
        self.stored, self.failed = _inverted(*factors, penalty)

    @property
    def block_rows(self) -> int:
        """How many rows make a block."""
        return max(1, _BLOCK_BYTES // (_BYTES_A_CELL * self.longest))

    def diagonal(self) -> np.ndarray:
        """Return the diagonal, float64."""
        if self.by_items:
            return self.stored.diagonal().astype(np.float64)
        found = np.empty(self.n)
        for start, stop in _blocks(self.n, self.block_rows):
            part = self.transposed[start:stop]
            found[start:stop] = 1.0 - np.asarray(part.multiply(part @ self.stored).sum(axis=1)).ravel()
        return found / self.penalty

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return rows as a float32 array that may be written to, shape (stop - start, n).

        What stands on the diagonal is of no meaning.
        """
        if self.by_items:
            return np.array(self.stored[start:stop])
        explained = self.transposed @ (self.transposed[start:stop] @ self.stored).T
        rows: np.ndarray = np.ascontiguousarray(explained.T, np.float32)
        rows *= np.float32(-1.0 / self.penalty)
        return rows


def _inverted(left: "csr_array", right: "csr_array", penalty: float) -> tuple[np.ndarray, bool]:
    """Return the inverse of `left @ right + penalty I`, and whether LAPACK failed to find it.

    One array holds in turn the product, its Cholesky factor and the inverse.
    """
    from scipy.linalg import lapack  # to learn with: serving does without

    n = left.shape[0]
    left, right = left.astype(np.float64), right.astype(np.float64)
    gram = np.empty((n, n), np.float32)
    step = max(1, _BLOCK_BYTES // (_BYTES_A_CELL * n))
    for start, stop in _blocks(n, step):
        gram[start:stop] = (left[start:stop] @ right).toarray()
    gram[np.diag_indices(n)] += np.float32(penalty)
    # LAPACK counts columns first: to it, the array is its own transpose, and its lower part our upper one.
    factor, failed = lapack.spotrf(gram.T, lower=True, clean=False, overwrite_a=True)
    if not failed:
        inverse, failed = lapack.spotri(factor, lower=True, overwrite_c=True)
        gram = inverse.T
        for start, stop in _blocks(n, step):
            gram[start:stop, :start] = gram[:start, start:stop].T
            corner = gram[start:stop, start:stop]
            below = np.tril_indices(stop - start, -1)
            corner[below] = corner.T[below]
    return gram, bool(failed) or not np.isfinite(gram.diagonal()).all()


def _pruned_rows(
    inverse: _GramInverse, group: np.ndarray, size: np.ndarray, n_neighbours: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the weights kept, block by block, as (from, number among those of the item, to, value).

    `inverse` is over groups of equal columns, each the column of one of them times the root of how many they
    are. In the space that a group spans it is what the whole inverse is in the direction of their sum; in
    all others the whole is 1 / penalty.
    """
    apart = (1.0 - 1.0 / size) / inverse.penalty
    diagonal = inverse.diagonal()
    among = (1.0 / inverse.penalty - diagonal) / size  # between two of one group, negated
    diagonal = diagonal / size + apart
    to_group = (-1.0 / (np.sqrt(size) * diagonal)).astype(np.float32)
    from_group = (1.0 / np.sqrt(size)).astype(np.float32)
    within = (among / diagonal).astype(np.float32)
    by_group = np.argsort(group, kind="stable")
    for start, stop in _blocks(len(group), inverse.block_rows):
        items = by_group[start:stop]
        low, high = int(group[items[0]]), int(group[items[-1]]) + 1
        rows = inverse.rows(low, high)
        rows *= to_group
        rows *= from_group[low:high, None]
        rows[np.arange(high - low), np.arange(low, high)] = within[low:high]
        weights = rows[group[items] - low]
        if len(size) < len(group):
            weights = weights[:, group]
        weights[np.arange(len(items)), items] = 0.0
        row, column = np.nonzero(_strongest(weights, n_neighbours))
        yield items[row], np.arange(len(row)) - np.searchsorted(row, row), column, weights[row, column]


def _gathered(
    pieces: Iterator[tuple[np.ndarray, ...]], met: np.ndarray, n_items: int, n_neighbours: int
) -> "csr_array":
    """Put the pieces of weights between the items met together, as a matrix over the catalogue."""
    from scipy.sparse import csr_array

    width = min(n_neighbours, len(met))
    column = np.zeros((len(met), width), np.int32)
    value = np.zeros((len(met), width), np.float32)
    for item, place, to, weight in pieces:
        column[item, place], value[item, place] = met[to], weight
    kept = value != 0
    counts = np.zeros(n_items, np.int64)
    counts[met] = np.count_nonzero(kept, axis=1)
    indptr = np.append(0, np.cumsum(counts))
    return csr_array((value[kept], column[kept], indptr), shape=(n_items, n_items))


def _strongest(weights: np.ndarray, n: int) -> np.ndarray:
    """Mark the n entries of each row that are furthest from 0, ties to the lower index; never a 0."""
    size = np.abs(weights)
    kept: np.ndarray = size > 0
    if n >= size.shape[1]:
        return kept
    least = np.partition(size, size.shape[1] - n, axis=1)[:, [size.shape[1] - n]]
    kept &= size >= least
    tied = np.flatnonzero(np.count_nonzero(kept, axis=1) > n)
    above = size[tied] > least[tied]
    at_least = kept[tied] & ~above
    room = n - np.count_nonzero(above, axis=1)[:, None]
    kept[tied] = above | (at_least & (np.cumsum(at_least, axis=1) <= room))
    return kept


def _blocks(n: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, step):
        yield start, min(start + step, n)
