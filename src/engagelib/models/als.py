"""ALS: factors whose products are 1 where a customer met an item, and 0 elsewhere, as nearly as can be."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.models.alike import alike_columns
from engagelib.models.base import Contributions
from engagelib.models.decay import HalfLife
from engagelib.models.factors import LARGEST, FactorModel, average_alike, is_whole
from engagelib.models.folding import fold_rows, solve_rows
from engagelib.models.interest import check_interest
from engagelib.scoring import Factors, Rows
from engagelib.scoring import _kernels as kernels

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ENTRIES_A_THREAD: Final = 50_000
"""Fewer are not worth a thread: these wait for each other some hundred times."""

_N_STEPS: Final = 2
"""Conjugate gradients in a turn: a third changes the loss by less than a millionth."""

_START: Final = 0.01
"""The largest number in the factors that learning begins with."""

# How "auto" was found stands in docs/decisions/0016-sets-and-several-event-types.md.
_SHARE: Final = 0.04
"""What "auto" lets all interest together add to confidence, as a share of that of all pairs, 1 each."""

_ALPHAS: Final = (2.0, 100.0)
"""Where "auto" begins and ends: beyond, nothing but what was met would be learned from."""

_HINT: Final = "take a larger regularization, or a smaller alpha."


class ALS(FactorModel):
    """Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren and Volinsky, 2008).

    Factors minimise the sum over all customers and items of `c (p - x.y)^2`, where `p` is 1 for items met and
    0 for all others, and `c` is `1 + alpha * interest`, plus a penalty times all squares. Customers and items
    take turns, each time by a few conjugate gradients towards their minimum (Takacs, Pilaszy and Tikk, 2011);
    the last turn, of the items, is exact. A customer's factor is then the exact minimum for their history,
    with the items' factors as they are: the same for a known customer as for anybody with that history.

    Parameters
    ----------
    n_factors
        Length of a factor, at least 1.
    regularization
        Strength of the penalty, above 0, in units of the singular value up to which a log of this size is
        noise: the root of `a + b`, with `a` the number of items of a history and `b` the number of
        histories of an item, both as the mean over events. More makes recommendations more popular ones;
        from some point on, nothing is learned at all.
    alpha
        What full interest in an item adds to its confidence of 1, above 0. "auto" is 0.04 divided by the
        share of all pairs of a history and an item that met, from 2 to 100: where few pairs met, these say as
        much, against all others, as where many did.
    n_epochs
        Times that all customers and all items are solved for, at least 1.
    half_life_days
        Age after which an event counts half, when learning and when scoring. "auto" is 60 days where the
        log has timestamps, and no decay elsewhere; None is no decay.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`. Only their ratios matter:
        interest saturates, one event of the heaviest type counts a half.
    rng
        A seed, of at least 0; the same log and seed give the same model.
    n_threads
        Threads to learn with, at least 1; None is one a processor. Their number changes nothing but the time.

    Attributes
    ----------
    factors_
        Factors of the items, in coordinates in which those of a customer without history would have the unit
        matrix as their normal equations: with `Y` and the penalty as learned, `Y L^-T`, where
        `L L' = Y'Y + penalty I`. Products with customers' factors are the same as before.
    alpha_
        What full interest adds to confidence.
    penalty_
        The penalty itself, after `fit`.

    References
    ----------
    Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.

    G. Takacs, I. Pilaszy, D. Tikk, "Applications of the Conjugate Gradient Method for Implicit Feedback
    Collaborative Filtering", RecSys 2011.
    """

    name: ClassVar[str] = "als"

    def __init__(
        self,
        n_factors: int = 64,
        *,
        regularization: float = 0.7,
        alpha: float | Literal["auto"] = "auto",
        n_epochs: int = 15,
        half_life_days: HalfLife = "auto",
        event_weights: Mapping[str, float] | None = None,
        rng: int = 0,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.regularization = regularization
        self.alpha: float | Literal["auto"] = alpha
        self.n_epochs = n_epochs
        self.half_life_days: HalfLife = half_life_days
        self.event_weights = event_weights
        self.rng = rng
        self.n_threads = n_threads

    def fit(self, histories: Histories) -> Self:
        """Learn factors of items from all histories.

        Raises
        ------
        ArgumentError
            If a setting is outside its range, or leads to no finite factors.
        NotEnoughDataError
            If `half_life_days` is a number and the log has no timestamps; if no event type of the log
            counts.
        """
        self._check_settings(
            counts={"n_factors": self.n_factors, "n_epochs": self.n_epochs},
            above_zero={"regularization": self.regularization},
        )
        if not _is_auto(self.alpha) and not 0 < as_number(self.alpha) <= LARGEST:
            expected = f'"auto", or a number above 0, up to {LARGEST:,.0f}'
            raise errors.bad_argument("alpha", self.alpha, expected)
        if self.n_threads is not None and not (is_whole(self.n_threads) and self.n_threads >= 1):
            raise errors.bad_argument("n_threads", self.n_threads, "an integer of at least 1, or None")
        check_interest(histories, self.event_weights)
        interest = self.interest(histories)
        self.alpha_ = _auto_alpha(interest) if self.alpha == "auto" else float(self.alpha)
        confidence = self._confidence(interest)
        self.penalty_ = self.regularization * _noise(confidence)
        vectors = np.zeros((histories.n_items, self.n_factors), np.float32)
        if confidence.nnz:
            try:
                vectors = self._train(confidence)
            except ValueError as error:  # LinAlgError is one
                raise errors.models.no_end("ALS", _HINT) from error
        if not np.isfinite(vectors).all():
            raise errors.models.no_end("ALS", _HINT)
        self.factors_ = Factors(vectors)
        return self

    def fold(self, interest: Rows) -> np.ndarray:
        """Solve for the factors of histories, exactly: their gradient is zero."""
        confidence = Rows(interest.indptr, interest.indices, self._confidences(interest.data), interest.shape)
        return fold_rows(confidence, self.factors_.array).astype(np.float32)

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions:
        """Take the score apart by the items of the history (Hu, Koren and Volinsky, 2008, section 5).

        The factor of a history is a sum of one term an item, weighed by all items together; the product of
        such a term with a listed item is what the one contributes to the other.
        """
        from scipy.sparse import csr_array

        confidence = self._confidence(self._known_interest(block, at))
        vectors = self.factors_.array
        n_listed, n_entries = len(item_index), confidence.nnz
        asked = vectors[item_index].astype(np.float64)
        again = csr_array(
            (
                np.tile(confidence.data, n_listed),
                np.tile(confidence.indices, n_listed),
                np.arange(n_listed + 1) * n_entries,
            ),
            shape=(n_listed, confidence.shape[1]),
        )
        weighed = solve_rows(_beyond_one(again), vectors, asked)
        theirs = vectors[confidence.indices].astype(np.float64)
        value = np.einsum("if,jf->ij", weighed, theirs) * confidence.data
        listed = np.repeat(np.arange(n_listed), n_entries)
        return Contributions(listed, np.tile(confidence.indices, n_listed), value.ravel())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the factors of items, the order in which a search looks at them, and what interest adds."""
        return {**super().to_arrays(), "alpha": np.array([self.alpha_])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model without reading its factors; altered ones raise an error, never more."""
        model = super().from_arrays(arrays, params)
        model.alpha_ = float(arrays["alpha"][0])
        return model

    def _confidence(self, interest: "csr_array") -> "csr_array":
        from scipy.sparse import csr_array

        confidence = self._confidences(interest.data)
        return csr_array((confidence, interest.indices, interest.indptr), shape=interest.shape)

    def _confidences(self, interest: np.ndarray) -> np.ndarray:
        return np.asarray(1.0 + self.alpha_ * interest.astype(np.float64), np.float32)

    def _train(self, confidence: "csr_array") -> np.ndarray:
        """Return the factors of all items, the same to the last bit for those of equal columns."""
        kernel = kernels.active
        customers, items = _filled_rows(confidence), _columns(confidence)
        n_threads = min(self.n_threads or _n_processors(), 1 + confidence.nnz // _ENTRIES_A_THREAD)
        draw = np.random.default_rng(self.rng)
        theirs, learned = (
            draw.random((n, self.n_factors), np.float32) * np.float32(_START) for n in customers.shape
        )
        room = kernel.als_room(max(customers.shape), self.n_factors)
        for _ in range(self.n_epochs):
            for rows, fixed, solved in ((customers, learned, theirs), (items, theirs, learned)):
                kernel.als_half_step(
                    rows, fixed, solved, self.penalty_, n_steps=_N_STEPS, n_threads=n_threads, room=room
                )
        # The epochs take a few steps towards each minimum; the last factors of items are the minimum itself.
        solved = kernel.als_solve(items, theirs, self.penalty_, n_threads=n_threads, room=room)
        group = alike_columns(confidence)
        alike = np.ascontiguousarray(average_alike(solved, group)[group])
        return np.asarray(kernel.als_turn(alike, self.penalty_, n_threads=n_threads), np.float32)


def _filled_rows(matrix: "csr_array") -> Rows:
    """Return the rows that hold anything."""
    is_start = np.append(True, np.diff(matrix.indptr) > 0)
    indptr = matrix.indptr[is_start]
    return Rows(indptr, matrix.indices, matrix.data, (len(indptr) - 1, matrix.shape[1]))


def _columns(matrix: "csr_array") -> Rows:
    """Return the columns as rows, over the rows that hold anything."""
    from scipy.sparse import csc_array, csr_array

    filled = _filled_rows(matrix)
    by_column = csc_array(csr_array((filled.data, filled.indices, filled.indptr), shape=filled.shape))
    return Rows(by_column.indptr, by_column.indices, by_column.data, filled.shape[::-1])


def _n_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _beyond_one(confidence: "csr_array") -> "csr_array":
    """Return what confidence is above that of an item which was not met."""
    from scipy.sparse import csr_array

    beyond = confidence.data.astype(np.float64) - 1.0
    return csr_array((beyond, confidence.indices, confidence.indptr), shape=confidence.shape)


def _is_auto(alpha: Any) -> bool:
    return isinstance(alpha, str) and alpha == "auto"


def _auto_alpha(cells: "csr_array | Rows") -> float:
    """Return what "auto" stands for, by how many of all pairs of those who met anything met."""
    n_histories = int(np.count_nonzero(np.diff(cells.indptr)))
    n_items = int(np.count_nonzero(np.bincount(cells.indices, minlength=cells.shape[1])))
    share: float = len(cells.indices) / max(n_histories * n_items, 1)
    least, most = _ALPHAS
    return max(least, _SHARE / max(share, _SHARE / most))


def _noise(cells: "csr_array") -> float:
    """Return the singular value up to which a matrix with so many entries in rows and columns is noise."""
    squares = 0.0
    for lengths in (np.diff(cells.indptr), np.bincount(cells.indices, minlength=cells.shape[1])):
        squares += float((lengths.astype(np.float64) ** 2).sum())
    return float(np.sqrt(squares / max(cells.nnz, 1)))
