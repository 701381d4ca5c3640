"""ItemWalk: from an item to those who met it, to what else they met, for one or several types of event."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number, check_event_weights
from engagelib.histories import Histories
from engagelib.models.base import Contributions, LinearModel
from engagelib.models.decay import HalfLife, check_half_life, resolve_half_life
from engagelib.models.factors import is_whole
from engagelib.models.interest import check_interest
from engagelib.models.item_knn import by_index
from engagelib.scoring import ItemWeights, Rows, TopK, score_topk

# How these defaults were found stands in docs/decisions/0016-sets-and-several-event-types.md.
_AUTO_DAYS: Final = 60.0


class ItemWalk(LinearModel):
    """Item-item neighbours by a walk from item to customer to item, popular stops counting less.

    The weight from item `i` to item `j` is the sum over customers of `x[c, i] * y[c, j]`, divided by
    `n_from[i]**from_power`, `n_items_of[c]**customer_power` and `n_to[j]**to_power`: the numbers of customers
    who met the one item and the other, and of items that the customer met. With all three at 1/2, 0 and 1/2
    that is a cosine; with 1, 1 and some `to_power`, the walk of Paudel et al. (2016).

    Where `target_event_weights` is given, each type of event that speaks has weights of its own, and all of
    them lead to the types that are aimed at: a view says something else of the next purchase than a purchase
    does. An item then leads to itself too under types that are not aimed at: having viewed it is evidence
    that it will be bought, as strong as the log says.

    Parameters
    ----------
    n_neighbours
        Weights kept of each item under each type, at least 1.
    customer_power
        How much less a customer says who met much, in [0, 2].
    from_power
        How much less an item says that many met, in [0, 2].
    to_power
        How much less an item is suggested that many met, in [0, 2].
    event_weights
        How much an event speaks, by its type; None for the defaults in `engagelib.weights`, or where
        `target_event_weights` is given, for the types named there, each as much as the others: what a type
        has to say is learned. Interest saturates, one event of the heaviest type counts a half.
    target_event_weights
        What the weights lead to, by event type, such as `{"purchase": 1.0}`. None stands for
        `event_weights`, all types as one matrix.
    half_life_days
        Age after which an event counts half, when learning and when scoring. "auto" is 60 days where the
        log has timestamps, and no decay elsewhere; None is no decay.

    Attributes
    ----------
    item_weights_
        Weights `[from, to]`, shape (n_types * n_items, n_items): a block of rows for each type that speaks,
        in the order of `event_weights`. One block, its diagonal empty, without `target_event_weights`.

    References
    ----------
    B. Paudel, F. Christoffel, C. Newell, A. Bernstein, "Updatable, Accurate, Diverse, and Scalable
    Recommendations for Interactive Applications", ACM TiiS 7(1), 2016.
    """

    name: ClassVar[str] = "item_walk"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        n_neighbours: int = 200,
        *,
        customer_power: float = 0.7,
        from_power: float = 0.7,
        to_power: float = 0.3,
        event_weights: Mapping[str, float] | None = None,
        target_event_weights: Mapping[str, float] | None = None,
        half_life_days: HalfLife = "auto",
    ) -> None:
        self.n_neighbours = n_neighbours
        self.customer_power = customer_power
        self.from_power = from_power
        self.to_power = to_power
        self.event_weights = event_weights
        self.target_event_weights = target_event_weights
        self.half_life_days: HalfLife = half_life_days

    def fit(self, histories: Histories) -> Self:
        """Learn the weights from all histories.

        Raises
        ------
        ArgumentError
            If a setting is outside its range.
        NotEnoughDataError
            If `half_life_days` is a number and the log has no timestamps; if no event type of the log
            counts, or none that is aimed at.
        """
        self._check_settings(histories)
        n_items = histories.n_items
        met = self.inputs(histories)
        aimed = self._drawn(histories, self._target(), None) if self._is_stacked else met
        by_item = Rows.from_matrix(met.to_matrix().T)
        spoken = _shares(np.diff(by_item.indptr), self.from_power)
        values = _data(by_item) * np.repeat(spoken, np.diff(by_item.indptr)).astype(np.float32)
        reached = _data(aimed) * np.repeat(
            _shares(np.diff(met.indptr), self.customer_power), np.diff(aimed.indptr)
        )
        met_by = np.bincount(aimed.indices, minlength=n_items)
        reached *= _shares(met_by, self.to_power)[aimed.indices]
        weights = ItemWeights(aimed._replace(data=reached.astype(np.float32)))
        most = min(int(self.n_neighbours), max(n_items, 1))
        found = score_topk(by_item._replace(data=values), weights, most, exclude=self._itself(n_items))
        self.item_weights_ = ItemWeights(by_index(found, (met.shape[1], n_items)))
        return self

    def inputs(self, block: Histories, *, at: int | None = None) -> Rows:
        """Draw the interest of each history, by type and item; shape (n_histories, n_types * n_items)."""
        if not self._is_stacked:
            return self._drawn(block, self.event_weights, at)
        named = self._speaking()
        heaviest = max(named.values())
        parts = []
        for name in self._types():
            drawn = self._drawn(block, {name: named[name]}, at)
            parts.append(drawn._replace(data=_data(drawn) * np.float32(named[name] / heaviest)))
        return _side_by_side(parts)

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions:
        """Return the terms of the sums, one by one; an item speaks once for each type it was met under."""
        found = super().contributions(block, item_index, at=at)
        return found._replace(item_index=found.item_index % self.item_weights_.shape[1])

    def similar_topk(self, item_index: int, k: int, *, available: np.ndarray | None = None) -> TopK:
        """List the items that a history of this one item, met under every type, would be shown."""
        self._check_fitted("item_weights_")
        n_from, n_items = self.item_weights_.shape
        index = np.arange(item_index, n_from, n_items, dtype=np.int32)
        met = Rows(np.array([0, len(index)]), index, np.ones(len(index), np.float32), (1, n_from))
        itself = Rows(np.array([0, 1]), np.array([item_index], np.int32), None, (1, n_items))
        return score_topk(met, self.item_weights_, k, exclude=itself, available=available)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model; altered weights raise an error, never more."""
        model = cls(**params)
        n_from = len(arrays["indptr"]) - 1
        shape = (n_from, n_from // len(model._types()) if model._is_stacked else n_from)
        model.item_weights_ = ItemWeights.from_arrays(
            arrays["indptr"], arrays["indices"], arrays["data"], shape
        )
        return model

    @property
    def _is_stacked(self) -> bool:
        return self.target_event_weights is not None

    def _types(self) -> list[str]:
        """Return the types that speak, each a block of rows."""
        return [name for name, weight in self._speaking().items() if weight > 0]

    def _speaking(self) -> Mapping[str, float]:
        named = check_event_weights(self.event_weights)
        return dict.fromkeys(named, 1.0) if self._is_stacked and self.event_weights is None else named

    def _target(self) -> Mapping[str, float]:
        return check_event_weights(self.target_event_weights)

    def _drawn(self, block: Histories, event_weights: Mapping[str, float] | None, at: int | None) -> Rows:
        half_life = resolve_half_life(self.half_life_days, block, _AUTO_DAYS)
        return block.interest(event_weights=event_weights, half_life_days=half_life, at=at, saturated=True)

    def _itself(self, n_items: int) -> Rows:
        """Mark for each row of the weights what it must not lead to: itself, under a type aimed at."""
        index = np.arange(n_items, dtype=np.int32)
        types: list[str] | None = self._types() if self._is_stacked else None
        barred = [True] if types is None else [self._target().get(name, 0.0) > 0 for name in types]
        lengths = np.repeat(barred, n_items)
        indices = np.tile(index, sum(barred))
        return Rows(np.append(0, np.cumsum(lengths)), indices, None, (len(lengths), n_items))

    def _check_settings(self, histories: Histories) -> None:
        if not is_whole(self.n_neighbours) or self.n_neighbours < 1:
            raise errors.bad_argument("n_neighbours", self.n_neighbours, "an integer of at least 1")
        for name in ("customer_power", "from_power", "to_power"):
            if not 0 <= as_number(getattr(self, name)) <= 2:
                raise errors.bad_argument(name, getattr(self, name), "a number in [0, 2]")
        check_half_life(self.half_life_days)
        check_interest(histories, self.event_weights)
        if self._is_stacked:
            check_interest(histories, self.target_event_weights)


def _shares(counts: np.ndarray, power: float) -> np.ndarray:
    """Return what is left of a weight of 1, float64; who met nothing has no entries to weigh."""
    return np.asarray(np.maximum(counts, 1).astype(np.float64) ** -power)


def _data(rows: Rows) -> np.ndarray:
    return np.asarray(rows.data)


def _side_by_side(parts: list[Rows]) -> Rows:
    """Join rows over the same histories to longer ones, the columns of each part behind those before it."""
    n_rows, n_columns = parts[0].shape
    indptr = np.asarray(sum(part.indptr.astype(np.int64) for part in parts))
    indices = np.empty(indptr[-1], np.int32)
    data = np.empty(indptr[-1], np.float32)
    start = indptr[:-1].copy()
    for number, part in enumerate(parts):
        lengths = np.diff(part.indptr)
        place = np.arange(len(part.indices)) + np.repeat(start - part.indptr[:-1], lengths)
        indices[place] = part.indices + np.int32(number * n_columns)
        data[place] = _data(part)
        start += lengths
    return Rows(indptr, indices, data, (n_rows, n_columns * len(parts)))
