"""ItemKNN: an item is suggested because customers who met what you met, met it too."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
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
from engagelib.scoring import ItemWeights, Rows, TopK, score_topk

# How these defaults were found stands in docs/decisions/0005-item-knn-defaults.md.
_AUTO_DAYS: Final = 60.0
_AUTO_STEPS: Final = 3.0

_LEAST_RARITY: Final = 0.1
"""What a customer who met nearly everything still says: in a catalogue of three, most customers did."""

_ROWS_WEIGHED: Final = 8192
_ROWS_SORTED: Final = 1024
"""Lists that are put in order at once: they stay in cache."""

_NO_ITEM: Final = np.uint64(0xFFFFFFFF << 32)

Similarity = Literal["bm25", "tfidf", "cosine"]


class ItemKNN(LinearModel):
    """Item-item neighbours: each item keeps the `n_neighbours` items most like it.

    Items are documents and the customers who met them are their terms, so that a customer who met half of
    the catalogue says little about any two items of it.

    Parameters
    ----------
    similarity
        "bm25": inner product after Okapi BM25 weighting, which lets popular items count more the smaller
        `b` is (Robertson and Zaragoza, 2009). "tfidf": cosine after sqrt(tf) x idf weighting. "cosine":
        plain cosine of confidences (Sarwar et al., 2001).
    n_neighbours
        Neighbours kept for each item, at least 1.
    half_life_days
        Age after which an event counts half, when learning and when scoring. "auto" is 60 days where the
        log has timestamps, and no decay elsewhere; None is no decay.
    half_life_steps
        Steps back in a history after which an event counts half when scoring. "auto" is 3 where the log has
        positions, and no such decay elsewhere; None is none.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`.
    k1, b
        BM25's saturation, above 0, and length normalisation, in [0, 1].

    Attributes
    ----------
    item_weights_
        Likeness `[from, to]`, diagonal empty.
    """

    name: ClassVar[str] = "item_knn"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        similarity: Similarity = "bm25",
        n_neighbours: int = 100,
        *,
        half_life_days: HalfLife = "auto",
        half_life_steps: HalfLifeSteps = "auto",
        event_weights: Mapping[str, float] | None = None,
        k1: float = 1.2,
        b: float = 0.35,
    ) -> None:
        self.similarity: Similarity = similarity
        self.n_neighbours = n_neighbours
        self.half_life_days: HalfLife = half_life_days
        self.half_life_steps: HalfLifeSteps = half_life_steps
        self.event_weights = event_weights
        self.k1 = k1
        self.b = b

    def fit(self, histories: Histories) -> Self:
        """Learn each item's neighbours from all histories.

        Raises
        ------
        ArgumentError
            If a setting is outside its range.
        NotEnoughDataError
            If `half_life_days` is a number and the log has no timestamps, or `half_life_steps` one and the
            log no order; if no event type of the log counts.
        """
        self._check_settings(histories)
        check_interest(histories, self.event_weights)
        met = histories.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, histories, _AUTO_DAYS),
        )
        vectors = self._weigh(met)
        by_item = Rows.from_matrix(vectors.to_matrix().T)
        index = np.arange(histories.n_items + 1)
        itself = Rows(index, index[:-1], None, (histories.n_items, histories.n_items))
        most = min(self.n_neighbours, max(histories.n_items, 1))
        found = score_topk(by_item, ItemWeights(vectors), most, exclude=itself)
        self.item_weights_ = ItemWeights(by_index(found, itself.shape))
        return self

    def inputs(self, block: Histories, *, at: int | None = None) -> Rows:
        """Draw the confidences of each history, newest events counting most."""
        return block.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=resolve_half_life_steps(self.half_life_steps, block, _AUTO_STEPS),
            at=at,
        )

    def _weigh(self, met: Rows) -> Rows:
        """Turn confidences into the vectors whose inner products are the likeness of items."""
        breadth, n_items = np.diff(met.indptr), met.shape[1]
        rarity = np.maximum(np.log(max(n_items, 1) / (1.0 + breadth)), _LEAST_RARITY)
        damping = self._damping(met)

        def weighted(first: int) -> tuple[slice, np.ndarray]:
            """Weigh the entries of some rows, in float64, in arrays small enough to stay in cache."""
            last = min(first + _ROWS_WEIGHED, met.shape[0])
            part = slice(met.indptr[first], met.indptr[last])
            confidence = met.data[part].astype(np.float64)
            if self.similarity == "cosine":
                return part, confidence
            per_cell = np.repeat(rarity[first:last], breadth[first:last])
            if self.similarity == "tfidf":
                return part, np.sqrt(confidence) * per_cell
            return part, confidence * (self.k1 + 1.0) / (damping[met.indices[part]] + confidence) * per_cell

        starts, scale = range(0, met.shape[0], _ROWS_WEIGHED), None
        if self.similarity != "bm25":
            squares = np.zeros(n_items)
            for part, weight in map(weighted, starts):
                squares += np.bincount(met.indices[part], weight**2, minlength=n_items)
            scale = 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))
        vectors = np.empty(met.nnz, np.float32)
        for part, weight in map(weighted, starts):
            vectors[part] = weight if scale is None else weight * scale[met.indices[part]]
        return met._replace(data=vectors)

    def _damping(self, met: Rows) -> np.ndarray:
        """Return BM25's damping of each item: the more it was met, the less another meeting says."""
        length = np.bincount(met.indices, met.data, minlength=met.shape[1])
        relative = length * len(length) / max(length.sum(), np.finfo(float).tiny)
        return np.asarray(self.k1 * (1.0 - self.b + self.b * relative))

    def _check_settings(self, histories: Histories) -> None:
        if self.similarity not in ("bm25", "tfidf", "cosine"):
            raise errors.bad_argument("similarity", self.similarity, '"bm25", "tfidf" or "cosine"')
        is_whole = isinstance(self.n_neighbours, int | np.integer) and not isinstance(self.n_neighbours, bool)
        if not is_whole or self.n_neighbours < 1:
            raise errors.bad_argument("n_neighbours", self.n_neighbours, "an integer of at least 1")
        check_half_life(self.half_life_days)
        check_half_life_steps(self.half_life_steps, histories)
        if not 0 < as_number(self.k1) < np.inf:
            raise errors.bad_argument("k1", self.k1, "a number above 0")
        if not 0 <= as_number(self.b) <= 1:
            raise errors.bad_argument("b", self.b, "a number in [0, 1]")


def by_index(found: TopK, shape: tuple[int, int]) -> Rows:
    """Put the neighbours of each item in the order of their index, with 1 as the largest likeness.

    The scale of a likeness means nothing, and scores are easier to read so.
    """
    largest = found.score.max(initial=np.float32(1e-30))
    starts = np.concatenate([[0], np.cumsum(found.counts)])
    neighbours, likeness = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for first in range(0, len(found), _ROWS_SORTED):
        items, scores = (part[first : first + _ROWS_SORTED] for part in (found.item_index, found.score))
        # Item and likeness, which is above 0, are sorted as one integer; where a list is short it ends in -1,
        # which stands last without its sign.
        joined = items.astype(np.uint32).astype(np.uint64) << np.uint64(32)
        joined |= scores.view(np.uint32)
        joined.sort(axis=1)
        joined = joined[joined < _NO_ITEM]
        part = slice(starts[first], starts[first + len(items)])
        neighbours[part] = joined >> np.uint64(32)
        likeness[part] = joined.astype(np.uint32).view(np.float32)
        likeness[part] /= largest
    return Rows(starts, neighbours, likeness, shape)
