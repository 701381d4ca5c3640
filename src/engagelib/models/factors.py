"""Factors: what models of item factors share; a customer's factor is made when it is asked for."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.models.base import Model
from engagelib.models.decay import HalfLife, check_half_life, resolve_half_life
from engagelib.scoring import Factors, ItemWeights, Rows, TopK, dense_pairs, dense_topk, score_topk

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# How it was found stands in docs/decisions/0007-ease-and-factors.md.
_AUTO_DAYS: Final = 60.0

LARGEST: Final = 1e6
"""No setting that is larger leads anywhere in float32."""

_PARTS: Final = ("array", "by_norm", "norms_by_norm", "permutation", "place")


class FactorModel(Model):
    """A model whose score is the product of a customer's factor and an item's.

    A subclass learns `factors_` and implements `fold`. Factors of customers are made from their histories
    when they are asked for, known customers and unknown ones alike: nothing is stored of anybody, and what
    happened since the model was learned counts.

    A history that holds no item with a factor lists nothing. All others list every item with a factor,
    those with a score below 0 too: the model expects less interest in these than in the average item. A
    blend counts scores above 0 alone.
    """

    factors_: Factors
    # What was worked out of the factors, beside which factors it was.
    _counted: tuple[Factors | None, int] = None, 0
    _masked: tuple[Factors | None, np.ndarray | None, np.ndarray | None] = None, None, None

    half_life_days: HalfLife
    event_weights: Mapping[str, float] | None
    rng: int

    @abstractmethod
    def fold(self, interest: Rows) -> np.ndarray:
        """Make a query for `factors_` from each row of interest, float32, none of a row on another's.

        Rows hold items with factors alone, and may be empty; these are not read.
        """

    def interest(self, block: Histories, *, at: int | None = None) -> Rows:
        """Draw the interest of each history in items, newest events counting most."""
        half_life = resolve_half_life(self.half_life_days, block, _AUTO_DAYS)
        return block.interest(
            event_weights=self.event_weights, half_life_days=half_life, at=at, saturated=True
        )

    def score_topk(
        self,
        block: Histories,
        k: int,
        *,
        at: int | None = None,
        exclude: "Rows | csr_array | None" = None,
        available: np.ndarray | None = None,
    ) -> TopK:
        """List the k best items for each history; see `Model.score_topk`. Scores may be below 0."""
        queries, is_silent = self._queries(block, at)
        found = dense_topk(
            queries, self.factors_, k, exclude=exclude, available=self._with_factors(available)
        )
        if is_silent is not None:
            found.item_index[is_silent] = -1
            found.score[is_silent] = -np.inf
        return found

    def score_pairs(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Score given items for each history; see `Model.score_pairs`."""
        queries, _ = self._queries(block, at)
        return dense_pairs(queries, self.factors_, item_index)

    def similar_topk(self, item_index: int, k: int, *, available: np.ndarray | None = None) -> TopK:
        """List the items whose factors point most in the same direction, by cosine; only those above 0."""
        from scipy.sparse import csr_array

        self._check_fitted("factors_")
        vectors = self._directions()
        with np.errstate(invalid="ignore", divide="ignore"):  # an item may have no factor
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            cosine = np.einsum("ij,j->i", vectors, vectors[item_index]) / (lengths * lengths[item_index])
        cosine[~(np.isfinite(cosine) & (cosine > 0))] = 0.0
        cosine[item_index] = 0.0
        one = csr_array(np.ones((1, 1), np.float32))
        return score_topk(one, ItemWeights(csr_array(cosine[None, :])), k, available=available)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the factors of items, and the order in which a search looks at them."""
        self._check_fitted("factors_")
        return {f"factors_{part}": getattr(self.factors_, part) for part in _PARTS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model without reading its factors; altered ones raise an error, never more."""
        model = cls(**params)
        model.factors_ = Factors.from_arrays(*(arrays[f"factors_{part}"] for part in _PARTS))
        return model

    def _directions(self) -> np.ndarray:
        """Return the part of the factors that tells items apart, shape (n_items, any)."""
        return self.factors_.array

    def _known_interest(self, block: Histories, at: int | None) -> Rows:
        """Draw the interest in items with factors."""
        self._check_fitted("factors_")
        n_items = self.factors_.shape[0]
        if block.n_items != n_items:
            raise errors.models.other_catalogue(type(self).__name__, block.n_items, n_items)
        interest = self.interest(block, at=at)
        n_known = self._n_with_factors()
        if n_known == n_items:
            return interest
        known = self.factors_.place[interest.indices] < n_known
        if known.all():
            return interest
        before = np.append(0, np.cumsum(known))
        return Rows(before[interest.indptr], interest.indices[known], interest.data[known], interest.shape)

    def _queries(self, block: Histories, at: int | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a query for each history, of zeros where it says nothing, and where that is, if anywhere."""
        interest = self._known_interest(block, at)
        queries = self.fold(interest)
        is_silent = interest.indptr[1:] == interest.indptr[:-1]
        if not is_silent.any():
            return queries, None
        queries[is_silent] = 0.0
        return queries, is_silent

    def _n_with_factors(self) -> int:
        """Count the items with a factor: those of zeros stand last in the order of norms."""
        factors, n = self._counted
        if factors is not self.factors_:
            factors = self.factors_
            norms = factors.norms_by_norm
            n = len(norms) - int(np.searchsorted(norms[::-1], 0.0, side="right"))
            self._counted = factors, n
        return n

    def _with_factors(self, available: np.ndarray | None) -> np.ndarray | None:
        """Return which items may be listed: nothing is known of those without a factor.

        Most calls come with the mask of the call before; it is known again where nobody can write to it.
        """
        n = self._n_with_factors()
        if n == self.factors_.shape[0]:
            return available
        factors, mask, found = self._masked
        if factors is not self.factors_ or mask is not available or available is None:
            found = np.asarray(self.factors_.place < n)
            if available is not None:
                found &= available
            if available is None or not available.flags.writeable:
                self._masked = self.factors_, available, found
        return found

    def _check_settings(self, counts: Mapping[str, Any], above_zero: Mapping[str, Any]) -> None:
        """Check settings that are whole numbers of at least 1, numbers above 0, and those of all."""
        for name, value in counts.items():
            if not is_whole(value) or value < 1:
                raise errors.bad_argument(name, value, "an integer of at least 1")
        for name, value in above_zero.items():
            if not 0 < as_number(value) <= LARGEST:
                raise errors.bad_argument(name, value, f"a number above 0, up to {LARGEST:,.0f}")
        check_half_life(self.half_life_days)
        if not is_whole(self.rng) or self.rng < 0:
            hint = "a seed makes a refit the same model again, which a generator does not."
            raise errors.bad_argument("rng", self.rng, "an integer of at least 0", hint)


def average_alike(vectors: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the mean of the rows of each group, shape (n_groups, n_factors)."""
    from scipy.sparse import csr_array

    n_groups = int(group.max(initial=-1)) + 1
    members = csr_array((np.ones(len(group)), (group, np.arange(len(group)))), shape=(n_groups, len(group)))
    return np.asarray(members @ vectors) / np.bincount(group, minlength=n_groups)[:, None]


def is_whole(value: Any) -> bool:
    """Tell whether a setting is an integer; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
