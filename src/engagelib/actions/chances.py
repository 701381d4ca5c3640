"""Chances: what would come of each action for a customer, and where that is known from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np

from engagelib.actions.catalogue import Action
from engagelib.actions.nothing import NOTHING
from engagelib.actions.response import ActionResponse, EventResponse, Gate

BASES: Final = ("none", "event log", "decisions", "constant", "prior")
"""What `RankedAction.basis` can say; numbers are places in it."""


@dataclass(frozen=True, eq=False)
class Chances:
    """Chances of success by action, from decisions where there are some, else from the events.

    Attributes
    ----------
    names
        "nothing", then the actions.
    response
        What was learned from decisions; None without any.
    constant
        The chance of each of `names` whoever it is, float64, shape (1 + n_actions,), NaN where unknown; used
        where the gate is closed, and of actions that nothing else is known of.
    gate
        Whether choosing by customer is shown to pay; None without decisions, or where it is not asked.
    has_uplift
        Whether some customers were left alone by lot, so that effects can be told from chances.
    events
        What was learned from the events; None where nothing could be.
    asks_gate
        Whether a policy by customer has to prove itself first.
    outcome
        Which column of `events` each action's success is, -1 where none is, int64 of shape (n_actions,).
    """

    names: tuple[str, ...]
    response: ActionResponse | None
    constant: np.ndarray
    gate: Gate | None
    has_uplift: bool
    events: EventResponse | None
    outcome: np.ndarray
    asks_gate: bool = True

    @property
    def is_personal(self) -> bool:
        """Whether chances differ by customer."""
        return self.gate is None or self.gate.opened

    @property
    def teaches_all_alike(self) -> bool:
        """Whether what outcomes teach has to hold for everybody: no gate has opened yet."""
        return self.asks_gate and (self.gate is None or not self.gate.opened)

    def basis(self) -> np.ndarray:
        """Return where each action's chance comes from, int8 codes into `BASES`, shape (n_actions,)."""
        if self.response is None:
            return np.where(self.outcome >= 0, BASES.index("event log"), BASES.index("prior")).astype(np.int8)
        from_decisions = BASES.index("decisions" if self.is_personal else "constant")
        seen = self.response.n_by_action_[1:] > 0
        return np.where(seen, from_decisions, BASES.index("prior")).astype(np.int8)

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The same in words."""
        return tuple(BASES[code] for code in self.basis().tolist())

    def of(self, design: np.ndarray) -> np.ndarray:
        """Return the chance of each of `names` for each customer, float64, shape (n, 1 + n_actions).

        That of "nothing" is NaN where nobody was left alone by lot.
        """
        n = len(design)
        if self.response is not None:
            if not self.is_personal:
                return np.repeat(self.constant[None], n, axis=0)
            chance = self.response.predict(design)
            if not self.has_uplift:
                chance[:, 0] = np.nan
            return chance
        chance = np.repeat(self.constant[None], n, axis=0)
        known = np.flatnonzero(self.outcome >= 0)
        if self.events is not None and len(known):
            chance[:, 1 + known] = self.events.predict(design)[:, self.outcome[known]]
        return chance

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        arrays = {"constant": self.constant, "outcome": self.outcome}
        for name, part in (("response", self.response), ("events", self.events)):
            if part is not None:
                arrays |= {f"{name}.{inner}": values for inner, values in part.to_arrays().items()}
        return arrays

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "names": list(self.names),
            "response": None if self.response is None else self.response.facts(),
            "gate": None if self.gate is None else self.gate.facts(),
            "has_uplift": self.has_uplift,
            "asks_gate": self.asks_gate,
            "events": None if self.events is None else self.events.facts(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        response, events, gate = facts["response"], facts["events"], facts["gate"]
        return cls(
            tuple(facts["names"]),
            None if response is None else ActionResponse.from_arrays(under("response."), response),
            np.asarray(arrays["constant"]),
            None if gate is None else Gate.from_facts(gate),
            facts["has_uplift"],
            None if events is None else EventResponse.from_arrays(under("events."), events),
            np.asarray(arrays["outcome"]),
            facts["asks_gate"],
        )


def names_of(actions: Sequence[Action]) -> tuple[str, ...]:
    """Return "nothing" and the names of the actions."""
    return (NOTHING, *(action.name for action in actions))


def moved(
    forecast: np.ndarray, mean: np.ndarray, spread: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move forecasts by what outcomes taught, in log-odds: a small chance moves little, none leaves [0, 1].

    What outcomes taught is how far the share of successes lies from what was expected where an action was
    taken. That is a shift of the log-odds there, and the same shift moves every forecast.

    Parameters
    ----------
    forecast
        Chances, shape (n_actions,) or (n, n_actions); NaN stays NaN.
    mean, spread
        What outcomes taught, and its standard deviation, same shape.
    expected
        What was expected on average where each action was taken, shape (n_actions,); NaN where it never was:
        there the forecast itself stands in.

    Returns
    -------
    The chances, and their standard deviations; the forecasts themselves where nothing was taught.
    """
    if not mean.any():
        return forecast, spread
    chance = np.minimum(np.maximum(forecast, _EDGE), 1.0 - _EDGE)
    begin = np.where(np.isnan(expected), chance, np.minimum(np.maximum(expected, _EDGE), 1.0 - _EDGE))
    end = np.minimum(np.maximum(begin + mean, _EDGE), 1.0 - _EDGE)
    odds = chance / (1.0 - chance) * (end / (1.0 - end)) / (begin / (1.0 - begin))
    found = np.where(mean == 0.0, forecast, odds / (1.0 + odds))
    scale = found * (1.0 - found) / (end * (1.0 - end))
    return found, np.where(mean == 0.0, spread, np.minimum(spread * scale, 0.5))


_EDGE: Final = 1e-3
"""What outcomes teach moves no average beyond this from 0 and 1."""
