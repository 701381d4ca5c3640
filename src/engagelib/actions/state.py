"""State: all that one call to `NextBestAction` reads, in one piece, which writers replace as a whole."""

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engagelib.actions.arbitration import Arbiter, Place, Suppression
from engagelib.actions.groups import ControlGroup
from engagelib.actions.learning import LearnedActions
from engagelib.recommender.serving import Serving
from engagelib.vocabulary import Id

if TYPE_CHECKING:
    from engagelib.actions.decisions import DecisionLog
    from engagelib.recommender.learned import Learned

Explore = Literal["posterior", "epsilon"]


@dataclass(frozen=True)
class Exploring:
    """How `decide` draws.

    Attributes
    ----------
    way
        "posterior" or "epsilon".
    floor
        The share of all draws that every candidate has a part in.
    rng
        The seed that posterior draws go by, together with the customer and the moment.
    """

    way: Explore
    floor: float
    rng: int


@dataclass(frozen=True, eq=False)
class State:
    """What answers are made from.

    Attributes
    ----------
    learned
        What was learned.
    arbiter
        The actions and their rules.
    group
        The control group.
    exploring
        How decisions are drawn.
    log
        Where contacts are looked up; None where there is no log.
    version
        Of the artifact that this came from, as decisions are logged under; None where it was not saved.
    base
        What the recommender had learned when this was made: it must be the same while this answers.
    standing
        What stands against actions whoever asks, by channel and location, with what it was worked out from.
    """

    learned: LearnedActions
    arbiter: Arbiter
    group: ControlGroup
    exploring: Exploring
    log: "DecisionLog | None"
    version: str | None = None
    base: "Learned | None" = None
    standing: dict[Any, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def edges(self) -> list[int]:
        """The moments at which windows of actions open or close, in order."""
        moments = {moment for action in self.arbiter.actions for moment in action.window}
        return sorted(moment for moment in moments if moment is not None)


@dataclass(frozen=True, eq=False)
class Context:
    """Where and when one call asks, and the histories that it reads."""

    serving: Serving
    place: Place


def standing_of(state: State, context: Context) -> list[Suppression | None]:
    """Return what stands against each action there and then, whoever asks.

    It is remembered by place, and by which windows of actions are open; where availability has windows of
    time it is worked out again.
    """
    serving, place = context.serving, context.place
    between = bisect_right(state.edges, place.at)
    key = (place.channel, type(place.channel), place.location, type(place.location), between)
    timed = serving.has_windows
    revision = None if serving.available is None else serving.available.revision
    stamp = (serving.learned, serving.available, revision)
    if not timed:
        found = state.standing.get(key)
        if found is not None and all(was is now for was, now in zip(found[0], stamp, strict=True)):
            standing: list[Suppression | None] = found[1]
            return standing
    worked_out = state.arbiter.standing(place, _available(serving, place.channel, place.location, place.at))
    if not timed:
        if len(state.standing) >= _MOST_PLACES:
            state.standing.clear()
        state.standing[key] = stamp, worked_out
    return worked_out


def _available(serving: Serving, channel: Id | None, location: Id | None, at: int) -> np.ndarray:
    """Return which items can be had, bool of shape (n_items,)."""
    for_sale = serving.learned.for_sale
    if serving.available is None:
        return for_sale
    return np.asarray(for_sale & serving.available.mask(channel, location, at))


_MOST_PLACES = 1024
