"""Goals: which event a list should lead to, and how the other event types are told apart."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from engagelib import errors
from engagelib.histories import Histories
from engagelib.weights import EVENT_WEIGHTS

_MOST_GROUPS: Final = 4
"""Event types that are told apart; lighter ones are one group."""


def goal_of(histories: Histories, target: str | None) -> str:
    """Return the event type that lists should lead to.

    Without one that is asked for it is "purchase", or else of the types on items the one that weighs most
    by default, of equal ones the first by name. Returns are a goal only where there is nothing else.

    Raises
    ------
    ArgumentError
        If no event on an item is of the type.
    """
    types = [name for name in histories.item_types if name != "return"] or list(histories.item_types)
    if target is None:
        return min(types, key=lambda name: (name != "purchase", -EVENT_WEIGHTS.get(name, 0.0), name))
    if target not in types:
        raise errors.bad_argument(
            "target", target, f"one of the log's event types on items, {', '.join(types)}"
        )
    return target


def groups_of(histories: Histories, goal: str) -> tuple[tuple[str, ...], ...]:
    """Put event types into groups, the goal alone in the first, then the others, the heaviest first."""
    others = [name for name in histories.item_types if name not in (goal, "return")]
    others.sort(key=lambda name: (-EVENT_WEIGHTS.get(name, 0.0), name))
    first, rest = others[: _MOST_GROUPS - 2], others[_MOST_GROUPS - 2 :]
    return ((goal,), *((name,) for name in first), *((tuple(rest),) if rest else ()))


def group_codes(groups: Sequence[Sequence[str]], event_types: tuple[str, ...]) -> np.ndarray:
    """Return the group of each event type, int8, -1 for none; not to be written to."""
    return _codes(tuple(map(tuple, groups)), event_types)


@lru_cache(maxsize=64)
def _codes(groups: tuple[tuple[str, ...], ...], event_types: tuple[str, ...]) -> np.ndarray:
    place = {name: number for number, names in enumerate(groups) for name in names}
    return np.array([place.get(name, -1) for name in event_types], np.int8)
