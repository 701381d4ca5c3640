"""ItemKNN: an item is suggested because customers who met what you met, met it too."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array, eye_array

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.models.base import LinearModel
from engagelib.models.decay import HalfLife, check_half_life, resolve_half_life
from engagelib.models.interest import check_interest
from engagelib.scoring import ItemWeights, score_topk

# How these defaults were found stands in docs/decisions/0005-item-knn-defaults.md.
_AUTO_DAYS: Final = 60.0

_LEAST_RARITY: Final = 0.1
"""What a customer who met nearly everything still says: in a catalogue of three, most customers did."""

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
        Steps back in a history after which an event counts half when scoring; None for no such decay.
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
        half_life_steps: float | None = None,
        event_weights: Mapping[str, float] | None = None,
        k1: float = 1.2,
        b: float = 0.35,
    ) -> None:
        self.similarity: Similarity = similarity
        self.n_neighbours = n_neighbours
        self.half_life_days: HalfLife = half_life_days
        self.half_life_steps = half_life_steps
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
        met = histories.matrix(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, histories, _AUTO_DAYS),
        )
        vectors = self._weigh(met)
        by_item = csr_array(vectors.T.tocsr())
        itself = eye_array(histories.n_items, format="csr")
        found = score_topk(by_item, ItemWeights(vectors), self.n_neighbours, exclude=itself)
        is_item = found.item_index >= 0
        # The scale of a likeness means nothing; with 1 as the largest, scores are easy to read.
        likeness = found.score[is_item] / found.score[is_item].max(initial=np.float32(1e-30))
        triplets = (likeness, (np.nonzero(is_item)[0], found.item_index[is_item]))
        self.item_weights_ = ItemWeights(coo_array(triplets, shape=itself.shape).tocsr())
        return self

    def inputs(self, block: Histories, *, at: int | None = None) -> csr_array:
        """Draw the confidences of each history, newest events counting most."""
        return block.matrix(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=self.half_life_steps,
            at=at,
        )

    def _weigh(self, met: csr_array) -> csr_array:
        """Turn confidences into the vectors whose inner products are the likeness of items."""
        breadth = np.diff(met.indptr)
        if self.similarity == "cosine":
            weighted = met.data.astype(np.float64)
        else:
            rarity = np.maximum(np.log(max(met.shape[1], 1) / (1.0 + breadth)), _LEAST_RARITY)
            per_cell = np.repeat(rarity, breadth)
            confidence = met.data.astype(np.float64)
            if self.similarity == "tfidf":
                weighted = np.sqrt(confidence) * per_cell
            else:
                length = np.bincount(met.indices, confidence, minlength=met.shape[1])
                relative = length * len(length) / max(length.sum(), np.finfo(float).tiny)
                damping = self.k1 * (1.0 - self.b + self.b * relative)
                weighted = confidence * (self.k1 + 1.0) / (damping[met.indices] + confidence) * per_cell
        vectors = csr_array((weighted, met.indices, met.indptr), shape=met.shape)
        if self.similarity != "bm25":
            norm = np.sqrt(np.bincount(met.indices, weighted**2, minlength=met.shape[1]))
            vectors = vectors @ diags_array(1.0 / np.where(norm > 0, norm, 1.0))
        vectors = csr_array(vectors).astype(np.float32)
        vectors.eliminate_zeros()
        return vectors

    def _check_settings(self, histories: Histories) -> None:
        if self.similarity not in ("bm25", "tfidf", "cosine"):
            raise errors.bad_argument("similarity", self.similarity, '"bm25", "tfidf" or "cosine"')
        is_whole = isinstance(self.n_neighbours, int | np.integer) and not isinstance(self.n_neighbours, bool)
        if not is_whole or self.n_neighbours < 1:
            raise errors.bad_argument("n_neighbours", self.n_neighbours, "an integer of at least 1")
        check_half_life(self.half_life_days)
        if self.half_life_steps is not None:
            if not as_number(self.half_life_steps) > 0:
                expected = "a number above 0, or None for no decay"
                raise errors.bad_argument("half_life_steps", self.half_life_steps, expected)
            if histories.time_kind == "set":
                raise errors.log.needs_order("half_life_steps")
        if not 0 < as_number(self.k1) < np.inf:
            raise errors.bad_argument("k1", self.k1, "a number above 0")
        if not 0 <= as_number(self.b) <= 1:
            raise errors.bad_argument("b", self.b, "a number in [0, 1]")
