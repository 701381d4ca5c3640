"""Serving: all that one call reads, in one piece, which writers replace as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from engagelib.availability import Availability, BoundAvailability
from engagelib.recommender.learned import Learned
from engagelib.recommender.live import Live
from engagelib.recommender.rules import CompiledRules, Rule, check_rules, compile_rules


@dataclass(frozen=True)
class Serving:
    """What answers are made from. A call reads it once, and serves all of it or none.

    Attributes
    ----------
    learned
        What fitting found out.
    live
        What was observed, linked and forgotten since.
    available
        What can be had, by channel, location and time; None where nobody said.
    rules, compiled
        The rules of every call, and what they mean for this catalogue.
    rankings
        Popularity as those rules change it, by location; filled when first asked for.
    requests
        What plain calls ask for, by their arguments: a page asks the same of each of its customers.
    """

    learned: Learned
    live: Live
    available: BoundAvailability | None = None
    rules: tuple[Rule, ...] = ()
    compiled: CompiledRules | None = None
    rankings: dict[int | None, np.ndarray] = field(default_factory=dict, compare=False)
    # Made anew with each `Serving`, by `replace` too: what was checked against one says nothing of another.
    requests: dict[tuple[Any, ...], Any] = field(default_factory=dict, init=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is remembered: it can be made again, and holds what no other process can have."""
        return {**self.__dict__, "requests": {}}

    @classmethod
    def over(cls, learned: Learned, availability: Availability | None, rules: Sequence[Rule]) -> Self:
        """Serve what was learned, with what is available and the rules of every call."""
        return cls(
            learned,
            Live.over(learned.histories, learned.identities),
            None if availability is None else availability.bind(learned.histories.items),
            tuple(rules),
            compiled_rules(learned, rules),
        )

    @property
    def has_windows(self) -> bool:
        """Whether what can be had depends on the moment."""
        return self.available is not None and self.available.source.has_windows


def compiled_rules(learned: Learned, rules: Sequence[Rule]) -> CompiledRules | None:
    """Return what rules mean for a catalogue, None for no rules."""
    return compile_rules(rules, learned.attributes, learned.histories.items) if rules else None


def with_rules(serving: Serving, rules: Any) -> CompiledRules | None:
    """Return what the rules of every call and those of one call mean together, None for no rules."""
    more = check_rules(() if rules is None else rules)
    return compiled_rules(serving.learned, (*serving.rules, *more)) if more else serving.compiled
