"""Content: an item is suggested because it is like what you met, by what the item table says of both."""

from collections.abc import Mapping
from typing import ClassVar, Final, Self

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes, item_vectors
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
from engagelib.models.factors import is_whole
from engagelib.models.interest import check_interest
from engagelib.models.item_knn import by_index
from engagelib.scoring import ItemWeights, Rows, TopK, score_topk

_AUTO_DAYS: Final = 60.0
_AUTO_STEPS: Final = 3.0


class Content(LinearModel):
    """Item-item neighbours by attributes: an item that nobody met yet is suggested like any other.

    The likeness of two items is the cosine of their attributes (Pazzani and Billsus, 2007): values of texts
    such as a category or a brand, words of titles, and numbers such as a price; each counts by its rarity,
    so that a rare brand says more than a common word. It is squared, for the nearest items to count most.
    Events say what a customer met, and nothing else.

    Parameters
    ----------
    n_neighbours
        Neighbours kept for each item, at least 1.
    half_life_days
        Age after which an event counts half when scoring. "auto" is 60 days where the log has timestamps,
        and no decay elsewhere; None is no decay.
    half_life_steps
        Steps back in a history after which an event counts half when scoring. "auto" is 3 where the log has
        positions, and no such decay elsewhere; None is none.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`.

    Attributes
    ----------
    item_weights_
        Squared likeness `[from, to]`, divided by the largest of all, diagonal empty.
    """

    name: ClassVar[str] = "content"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        n_neighbours: int = 100,
        *,
        half_life_days: HalfLife = "auto",
        half_life_steps: HalfLifeSteps = "auto",
        event_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.n_neighbours = n_neighbours
        self.half_life_days: HalfLife = half_life_days
        self.half_life_steps: HalfLifeSteps = half_life_steps
        self.event_weights = event_weights

    def fit(self, histories: Histories) -> Self:
        """Refuse: histories alone say nothing of attributes. `fit_with` learns.

        Raises
        ------
        NotEnoughDataError
            Always.
        """
        raise errors.answering.no_content()

    def fit_with(self, histories: Histories, attributes: ItemAttributes) -> Self:
        """Learn each item's neighbours from the item table, items without any event among them.

        Raises
        ------
        ArgumentError
            If a setting is outside its range, or there are not as many attributes as items.
        NotEnoughDataError
            If the item table has no attribute beside `for_sale`; if `half_life_days` is a number and the log
            has no timestamps, or `half_life_steps` one and the log no order; if no event type of the log
            counts.
        """
        if not is_whole(self.n_neighbours) or self.n_neighbours < 1:
            raise errors.bad_argument("n_neighbours", self.n_neighbours, "an integer of at least 1")
        check_half_life(self.half_life_days)
        check_half_life_steps(self.half_life_steps, histories)
        check_interest(histories, self.event_weights)
        if attributes.n_items != histories.n_items:
            expected = f"{histories.n_items:,}, as many as the histories have"
            raise errors.bad_argument("attributes.n_items", attributes.n_items, expected)
        vectors = item_vectors(attributes)
        if not any(name != "for_sale" for name in attributes.names):
            raise errors.answering.no_content()
        n_items = histories.n_items
        index = np.arange(n_items + 1)
        itself = Rows(index, index[:-1], None, (n_items, n_items))
        by_feature = ItemWeights(vectors.to_matrix().T)
        found = score_topk(vectors, by_feature, min(self.n_neighbours, n_items), exclude=itself)
        found = TopK(found.item_index, np.where(found.item_index >= 0, found.score**2, found.score))
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
