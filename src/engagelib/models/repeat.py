"""Repeat: what a customer met often and of late, they meet again: milk, and what was left in the cart."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

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
from engagelib.scoring import ItemWeights, Rows

# How these defaults were found stands in docs/decisions/0015-repurchase.md.
_AUTO_DAYS: Final = 120.0
_AUTO_STEPS: Final = 20.0


class Repeat(LinearModel):
    """A customer's own items by the confidence of their events, recent ones counting most.

    The score of an item is its confidence itself: `W` is the identity. Whether an item that was bought may be
    listed again is for who lists to say; this model says which of them first. It knows nothing of what a
    customer never met, and has nothing to fit but the catalogue.

    Parameters
    ----------
    half_life_days
        Age after which an event counts half. "auto" is 120 days where the log has timestamps, and no decay
        elsewhere; None is no decay.
    half_life_steps
        Steps back in a history after which an event counts half; events of one moment are one step. "auto" is
        20 where the log has positions, and no such decay elsewhere; None is no decay.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`.

    Attributes
    ----------
    item_weights_
        The identity.
    """

    name: ClassVar[str] = "repeat"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        *,
        half_life_days: HalfLife = "auto",
        half_life_steps: HalfLifeSteps = "auto",
        event_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.half_life_days: HalfLife = half_life_days
        self.half_life_steps: HalfLifeSteps = half_life_steps
        self.event_weights = event_weights

    def fit(self, histories: Histories) -> Self:
        """Take note of the catalogue.

        Raises
        ------
        ArgumentError
            If a setting is outside its range.
        NotEnoughDataError
            If the log lacks the times or the order that a half-life is counted in; if no event type of the
            log counts.
        """
        check_half_life(self.half_life_days)
        check_half_life_steps(self.half_life_steps, histories)
        check_interest(histories, self.event_weights)
        self.inputs(histories.take(np.zeros(0, np.int64)))  # refuses a decay that the log has no times for
        self.item_weights_ = _identity(histories.n_items)
        return self

    def inputs(self, block: Histories, *, at: int | None = None) -> Rows:
        """Draw the confidences of each history, newest events counting most."""
        return block.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=resolve_half_life_steps(self.half_life_steps, block, _AUTO_STEPS),
            at=at,
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the size of the catalogue, which is all there is to know."""
        self._check_fitted("item_weights_")
        return {"n_items": np.array([self.item_weights_.shape[0]], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model."""
        model = cls(**params)
        model.item_weights_ = _identity(int(arrays["n_items"][0]))
        return model


def _identity(n_items: int) -> ItemWeights:
    index = np.arange(n_items + 1, dtype=np.int32)
    return ItemWeights(Rows(index, index[:-1], np.ones(n_items, np.float32), (n_items, n_items)))
