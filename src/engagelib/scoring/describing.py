"""Describing: what is known of a candidate for a history, as the features that a second stage reads.

A row is described by itself, in float64 and in the order of its events, then rounded to float32: a candidate
has the same features alone as among others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engagelib.scoring import _kernels as kernels
from engagelib.scoring._checks import FloatArray

if TYPE_CHECKING:
    from engagelib.scoring._operands import TopK
    from engagelib.scoring.drawing import Events

__all__ = ["Clock", "ItemFacts", "describe", "feature_names", "n_features_of"]

PER_MODEL: Final = ("scaled", "score", "nearness")
OF_ALL: Final = ("named", "total")
PER_GROUP: Final = ("count", "recency_steps", "recency_days")
OF_GOAL: Final = ("occasions", "share_of_occasions", "due_steps", "due_days")
OF_ROW: Final = (
    "n_events", "n_items", "n_goal_events", "n_goal_items", "n_moments",
    "days_since_last", "days_since_first",
)  # fmt: skip
OF_CATEGORY: Final = ("category_share", "category_last")


class Clock(NamedTuple):
    """How time is told.

    Attributes
    ----------
    until
        Later events are not read; None reads all.
    now
        The time that days are counted from; later events have an age of 0.
    day
        One day in units of time, 0 where times are no moments but positions, or where there are none.
    """

    until: int | None = None
    now: int = 0
    day: int = 0


class ItemFacts(NamedTuple):
    """What is known of each item whoever asks.

    Attributes
    ----------
    columns
        Features that are passed on, float32 of shape (n_items, n_columns).
    levels
        Numbers of which the history's mean matters, such as a price, float32 of shape (n_items, n_levels),
        NaN where unknown.
    category
        int32 codes from 0 to `n_categories - 1`, -1 where unknown, shape (n_items,).
    n_categories
        Number of categories.
    """

    columns: FloatArray
    levels: FloatArray
    category: npt.NDArray[np.int32]
    n_categories: int


def feature_names(
    models: Sequence[str], columns: Sequence[str], groups: Sequence[str], levels: Sequence[str]
) -> tuple[str, ...]:
    """Name the features that `describe` gives, in their order."""
    return (
        *(f"{model}.{name}" for model in models for name in PER_MODEL),
        *OF_ALL,
        *(f"item.{name}" for name in columns),
        *(f"own.{group}.{name}" for group in groups for name in PER_GROUP),
        *(f"own.{name}" for name in OF_GOAL),
        *(f"history.{name}" for name in OF_ROW),
        *(f"from_usual.{name}" for name in levels),
        *OF_CATEGORY,
    )


def describe(
    found: Sequence[TopK],
    item_index: npt.NDArray[np.int32],
    events: Events,
    group: npt.NDArray[np.int8],
    n_groups: int,
    clock: Clock,
    facts: ItemFacts,
) -> FloatArray | None:
    """Describe candidates by what the models, the item and the history say of them.

    Parameters
    ----------
    found
        What each model lists, at least one, of the same rows; an item counts as it stands first, where its
        score is above 0.
    item_index
        The candidates, int32 of shape (n_rows, m); -1 is padding.
    events
        The histories, as many as rows.
    group
        To which group an event of each type belongs, shape (n_types,), -1 for one that is not read. Group 0
        is what is to be foretold.
    n_groups
        Number of groups, at least 1.
    clock
        How time is told.
    facts
        What is known of each item.

    Returns
    -------
    float32 of shape (n_rows, m, n_features), zeros for padding; None where the arrays of the events lead
    outside each other, as only those of an altered file do. The features, as `feature_names` names them:

    - of each model the score divided by its best of the row, the score, and one over the rank, items of one
      score sharing theirs; 0 where the model does not list it
    - the share of models that list it, and the mean of the scores divided by their best
    - the columns of the item
    - of each group how many events of the history are on the item, 1 / (1 + steps) and 1 / (1 + days) since
      the last of them, 0 where there is none; steps are distinct later moments of the history
    - of group 0 the moments with the item, their share of all such moments of the history, and the steps and
      days since the last divided by the mean between two, 0 where there were not two
    - of the history the events, distinct items, events and distinct items of group 0, moments, and days
      since the last and the first event
    - the item's level less the mean level of the history's events, 0 where one is unknown
    - the share of the history's events that are on the item's category, and whether the newest is

    Raises
    ------
    ArgumentError
        If an item index is outside its range, or something is not of the same rows.
    """
    return kernels.active.describe(
        found, item_index, events, group, n_groups, clock, facts, kernels.threads_of(None)
    )


def n_features_of(n_models: int, n_groups: int, facts: ItemFacts) -> int:
    """Count the features."""
    fixed = len(OF_ALL) + len(OF_GOAL) + len(OF_ROW) + len(OF_CATEGORY)
    by_model, by_group = n_models * len(PER_MODEL), n_groups * len(PER_GROUP)
    return fixed + by_model + by_group + int(facts.columns.shape[1] + facts.levels.shape[1])
