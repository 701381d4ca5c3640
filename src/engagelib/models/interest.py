"""Whether a log holds anything that a model counts as interest; one that holds nothing teaches nothing."""

from collections.abc import Mapping

from engagelib import errors
from engagelib.cells import check_event_weights
from engagelib.histories import Histories


def check_interest(histories: Histories, event_weights: Mapping[str, float] | None) -> None:
    """Refuse events on items none of which counts: most often, the name of an event type is misspelt.

    Histories without any item are let through: there is nothing in them to overlook.

    Raises
    ------
    ArgumentError
        If `event_weights` is not understood.
    NotEnoughDataError
        If no event type that occurs on an item has a weight above 0.
    """
    counted = [name for name, weight in check_event_weights(event_weights).items() if weight > 0]
    if histories.item_types and not set(counted) & set(histories.item_types):
        raise errors.answering.no_weighted_events(histories.item_types, counted)
