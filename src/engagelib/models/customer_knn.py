"""CustomerKNN: what customers with a history like yours met often, blended with what you met yourself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.models.base import Contributions, Model
from engagelib.models.decay import (
    HalfLife,
    HalfLifeSteps,
    check_half_life,
    check_half_life_steps,
    resolve_half_life,
    resolve_half_life_steps,
)
from engagelib.models.factors import is_whole
from engagelib.models.interest import check_interest
from engagelib.scoring import ItemWeights, Rows, TopK, score_pairs, score_topk
from engagelib.segments import gather

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# How these defaults were found stands in docs/decisions/0015-repurchase.md.
_AUTO_DAYS: Final = 120.0
_AUTO_STEPS: Final = 20.0
_LEAST_RARITY: Final = 0.1
"""What an item that nearly everybody met still says: in a catalogue of three, most did."""

_PARTS: Final = ("indptr", "indices", "data")


class CustomerKNN(Model):
    """Customer neighbours: a mean over the nearest histories, blended with the customer's own.

    Each history is a vector of confidences that sum to 1, recent events counting most. A history is near
    another by the cosine of these vectors after a square root, each item times the root of its rarity. The
    score of an item is `own` times its share of the customer's own vector, and `1 - own` times the mean of
    its shares in the vectors of the nearest `n_neighbours`, weighted by nearness. With baskets for steps this
    is next-basket recommendation by neighbours (Hu et al., 2020), without groups of baskets, and with cosines
    in the place of distances.

    Histories are stored as they were when the model was fitted, a customer's own among them: it counts as one
    neighbour more.

    Parameters
    ----------
    n_neighbours
        Histories that are averaged, at least 1.
    own
        Share of the customer's own vector in a score, in [0, 1]. It changes nothing among items that the
        customer never met. 0 leaves it to the neighbours; with 1 there are none.
    half_life_days
        Age after which an event counts half. "auto" is 120 days where the log has timestamps, and no decay
        elsewhere; None is no decay.
    half_life_steps
        Steps back in a history after which an event counts half; events of one moment are one step. "auto" is
        20 where the log has positions, and no such decay elsewhere; None is no decay.
    max_customers
        Histories by which an item finds neighbours, at least 1: of more, those in whose vectors it weighs
        most. It bounds the time of an answer.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`.

    Attributes
    ----------
    nearness_
        What each item says for the nearness of each stored history, shape (n_items, n_histories).
    shares_
        The vectors of the stored histories, and below them the identity, by which a customer's own vector is
        added; shape (n_histories + n_items, n_items).
    rarity_
        The root of each item's rarity, float32, shape (n_items,).

    References
    ----------
    H. Hu, X. He, J. Gao, Z. Zhang, "Modeling Personalized Item Frequency Information for Next-basket
    Recommendation", SIGIR 2020.
    """

    name: ClassVar[str] = "customer_knn"
    counted: ClassVar[bool] = True

    nearness_: ItemWeights
    shares_: ItemWeights
    rarity_: np.ndarray

    def __init__(
        self,
        n_neighbours: int = 300,
        *,
        own: float = 0.5,
        half_life_days: HalfLife = "auto",
        half_life_steps: HalfLifeSteps = "auto",
        max_customers: int = 10_000,
        event_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.n_neighbours = n_neighbours
        self.own = own
        self.half_life_days: HalfLife = half_life_days
        self.half_life_steps: HalfLifeSteps = half_life_steps
        self.max_customers = max_customers
        self.event_weights = event_weights

    def fit(self, histories: Histories) -> Self:
        """Store the vectors of all histories, by history and by item.

        Raises
        ------
        ArgumentError
            If a setting is outside its range.
        NotEnoughDataError
            If the log lacks the times or the order that a half-life is counted in; if no event type of the
            log counts.
        """
        self._check_settings(histories)
        check_interest(histories, self.event_weights)
        met = self._interest(histories)
        n_items = histories.n_items
        n_met = np.bincount(met.indices, minlength=n_items)
        rarity = np.log(max(histories.n_histories, 1) / (1.0 + n_met))
        self.rarity_ = np.sqrt(np.maximum(rarity, _LEAST_RARITY)).astype(np.float32)
        by_item = Rows.from_matrix(self._directions(met).to_matrix().T)
        self.nearness_ = ItemWeights(_heaviest(by_item, self.max_customers))
        below = np.arange(1, n_items + 1) + met.nnz
        stacked = Rows(
            np.append(met.indptr, below),
            np.append(met.indices, np.arange(n_items, dtype=np.int32)),
            np.append(_share_rows(met), np.ones(n_items, np.float32)),
            (histories.n_histories + n_items, n_items),
        )
        self.shares_ = ItemWeights(stacked)
        return self

    def score_topk(
        self,
        block: Histories,
        k: int,
        *,
        at: int | None = None,
        exclude: "Rows | csr_array | None" = None,
        available: np.ndarray | None = None,
    ) -> TopK:
        """List the k best items for each history; see `Model.score_topk`. Only scores above 0 are listed."""
        mixed, _ = self._mixed(block, at)
        return score_topk(mixed, self.shares_, k, exclude=exclude, available=available)

    def score_pairs(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Score given items for each history; see `Model.score_pairs`."""
        mixed, _ = self._mixed(block, at)
        return score_pairs(mixed, self.shares_, item_index)

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions:
        """Take the score apart by the items of the history.

        The nearness of a neighbour is a sum over the items that both met; each of them speaks for what the
        neighbour speaks for, in that proportion.
        """
        from scipy.sparse import csr_array

        mixed, met = self._mixed(block, at)
        n_stored = self.nearness_.shape[1]
        is_neighbour = mixed.indices < n_stored
        neighbours = mixed.indices[is_neighbour]
        direction = self._directions(met)
        shared = self.nearness_.rows(met.indices)[:, neighbours].astype(np.float64)
        shared = csr_array(shared.multiply(direction.data[:, None].astype(np.float64)))
        total = np.asarray(shared.sum(axis=0)).ravel()
        part = mixed.data[is_neighbour].astype(np.float64) / np.where(total > 0, total, 1.0)
        spoken = self.shares_.rows(neighbours)[:, item_index].astype(np.float64)
        found = (csr_array(shared.multiply(part[None, :])) @ spoken).toarray()
        own = np.zeros(len(met.indices))
        own[np.searchsorted(met.indices, mixed.indices[~is_neighbour] - n_stored)] = mixed.data[~is_neighbour]
        found += own[:, None] * (met.indices[:, None] == np.asarray(item_index)[None, :])
        entry, listed = np.nonzero(found)
        return Contributions(listed, met.indices[entry], found[entry, listed])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return both matrices as CSR arrays, and what items count."""
        self._check_fitted("shares_")
        arrays = {"rarity": self.rarity_}
        for name, weights in (("nearness", self.nearness_), ("shares", self.shares_)):
            arrays |= {f"{name}_{part}": getattr(weights, part) for part in _PARTS}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model; altered weights raise an error, never more."""
        model = cls(**params)
        n_items = len(arrays["rarity"])
        n_below = len(arrays["shares_indptr"]) - 1
        shapes = {"nearness": (n_items, n_below - n_items), "shares": (n_below, n_items)}
        for name, shape in shapes.items():
            indptr, indices, data = (arrays[f"{name}_{part}"] for part in _PARTS)
            weights = ItemWeights.from_arrays(indptr, indices, data, shape)
            setattr(model, f"{name}_", weights)
        model.rarity_ = arrays["rarity"]
        return model

    def _interest(self, block: Histories, at: int | None = None) -> Rows:
        return block.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=resolve_half_life_steps(self.half_life_steps, block, _AUTO_STEPS),
            at=at,
        )

    def _directions(self, met: Rows) -> Rows:
        """Return the vectors whose inner products are the nearness of histories, of length 1."""
        squares = met._replace(data=met.data.astype(np.float64) * self.rarity_[met.indices] ** 2)
        return met._replace(data=np.sqrt(_share_rows(squares)).astype(np.float32))

    def _mixed(self, block: Histories, at: int | None) -> tuple[Rows, Rows]:
        """Return what of the rows of `shares_` each score is made of, and the interest it comes from.

        The stored histories come first, as they are near, then the customer's own items.
        """
        self._check_fitted("shares_")
        met = self._interest(block, at)
        n_rows, n_stored = met.shape[0], self.nearness_.shape[1]
        if met.shape[1] != len(self.rarity_):
            raise errors.models.other_catalogue("CustomerKNN", met.shape[1], len(self.rarity_))
        own = np.float64(self.own)
        n_own = np.diff(met.indptr) * (own > 0)
        mine = _share_rows(met) * own if own else np.zeros(0)
        near = score_topk(self._directions(met), self.nearness_, self._most())
        is_found = near.item_index >= 0
        n_found = near.counts * (own < 1)
        is_found &= own < 1
        row = np.repeat(np.arange(n_rows), n_found)
        score = near.score[is_found].astype(np.float64)
        total = np.bincount(row, score, minlength=n_rows)
        indptr = np.append(0, np.cumsum(n_found + n_own))
        indices = np.empty(indptr[-1], np.int32)
        data = np.empty(indptr[-1], np.float32)
        theirs = gather(indptr[:-1], n_found)
        indices[theirs], data[theirs] = near.item_index[is_found], score / total[row] * (1.0 - own)
        ours = gather(indptr[:-1] + n_found, n_own)
        if len(ours):
            indices[ours], data[ours] = met.indices + n_stored, mine
        return Rows(indptr, indices, data, (n_rows, self.shares_.shape[0])), met

    def _most(self) -> int:
        return max(min(self.n_neighbours, self.nearness_.shape[1]), 1)

    def _check_settings(self, histories: Histories) -> None:
        for name in ("n_neighbours", "max_customers"):
            if not (is_whole(value := getattr(self, name)) and value >= 1):
                raise errors.bad_argument(name, value, "an integer of at least 1")
        if not 0 <= as_number(self.own) <= 1:
            raise errors.bad_argument("own", self.own, "a number in [0, 1]")
        check_half_life(self.half_life_days)
        check_half_life_steps(self.half_life_steps, histories)


def _share_rows(rows: Rows) -> np.ndarray:
    """Divide each value by the sum of its row, in float64, one row's sum whatever others there are."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    value = rows.data.astype(np.float64)
    return np.asarray(value / np.bincount(row, value, minlength=rows.shape[0])[row])


def _heaviest(by_item: Rows, most: int) -> Rows:
    """Keep the `most` largest entries of each row, of equal ones the first."""
    lengths = np.diff(by_item.indptr)
    if lengths.max(initial=0) <= most:
        return by_item
    row = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((-by_item.data, row))
    place = np.empty(len(row), np.int64)
    place[order] = np.arange(len(row)) - by_item.indptr[row]
    kept = place < most
    indptr = np.append(0, np.cumsum(np.minimum(lengths, most)))
    return Rows(indptr, by_item.indices[kept], by_item.data[kept], by_item.shape)
