"""Actions: what a shop may do for a customer, what it is worth and costs, and when it may be done at all."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Self
from unicodedata import normalize

import numpy as np

from engagelib import errors
from engagelib.actions.durations import Duration, spell_span, to_span
from engagelib.actions.nothing import NOTHING
from engagelib.attributes import check_where
from engagelib.recommender.request import id_list
from engagelib.times import Moment, spell, to_microseconds
from engagelib.vocabulary import Id

Kind = Literal["message", "offer", "referral", "review", "survey"]
KINDS: Final[tuple[Kind, ...]] = ("message", "offer", "referral", "review", "survey")

Conditions = Mapping[str, Any] | Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""Conditions by the name of a feature, as `ItemAttributes.matches` takes them by attribute; or a function
from arrays by name to a mask, which can't be saved."""

RULES: Final = ("eligible", "applicable", "suitable")


@dataclass(frozen=True)
class ContactLimit:
    """At most `most` contacts of one customer within any span of time, all actions together or some of them.

    Doing nothing is no contact.

    Parameters
    ----------
    most
        At least 1.
    per
        The span, such as "7d"; it is counted back from the moment of a call, that moment included.
    channel, action, kind
        What counts: contacts in this channel, of this action, of actions of this kind. None is any.

    Raises
    ------
    ArgumentError
        If an argument is not as above.
    """

    most: int
    per: Duration
    channel: Id | None = None
    action: str | None = None
    kind: Kind | None = None

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int | np.integer) or self.most < 1:
            raise errors.bad_argument("most", self.most, "an integer of at least 1")
        to_span(self.per, "per")
        _check_kind(self.kind, also_none=True)

    @cached_property
    def span(self) -> int:
        """The span in microseconds."""
        return to_span(self.per, "per")

    def __str__(self) -> str:
        what = [] if self.kind is None else [f"of kind {self.kind!r}"]
        what += [] if self.action is None else [f"of {self.action!r}"]
        what += [] if self.channel is None else [f"by {self.channel!r}"]
        return " ".join([f"at most {self.most} in {spell_span(self.span)}", *what])

    def to_record(self) -> dict[str, Any]:
        """Return the limit as built-in types; `from_record` takes it back."""
        record = {"most": int(self.most), "per": spell_span(self.span)}
        record["per"] = record["per"] if to_span(record["per"], "per") == self.span else self.span / 86_400e6
        optional = {"channel": self.channel, "action": self.action, "kind": self.kind}
        return record | {name: value for name, value in optional.items() if value is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Take back what `to_record` made."""
        return cls(**record)


@dataclass(frozen=True)
class Action:
    """Something that may be done for a customer.

    Parameters
    ----------
    name
        What it is called, in answers, logs and limits; "nothing" is taken.
    value
        What a success brings, in the money of the log: a finite number of at least 0, or
        `{"feature": "expected_value", "times": 0.1}`, a share of what is known of the customer; a missing
        feature counts 0.
    cost
        What doing it costs, successful or not, at least 0.
    success
        The event type that makes it a success; what chances are learned of where there are no decisions.
    kind
        "message", "offer", "referral", "review" or "survey". Parity is checked among offers; a referral is
        never asked of a customer with a recent bad experience.
    channels, locations
        Where it may be done; None is everywhere.
    starts, ends
        The window of time in which it may be done, `ends` not included; None is open.
    items
        What it needs: it is only done where every one of these items can be had.
    eligible, applicable, suitable
        Whether they may have it, whether it makes sense now, whether it is good for them: conditions by
        name of a feature, of `stage`, or of a column of the customer table, all of which must hold.
        `{"n_purchases": {"min": 1}, "stage": ["repeat", "loyal"]}` is one. A function from arrays by name to
        a mask will do too, but can't be saved.
    cooldown
        How long after this action it is not done again for the same customer, such as "30d"; None is at once.
    limits
        `ContactLimit`s that hold for this action; those of the whole shop are given to `NextBestAction`.
    lever
        A weight that the shop puts on the action's value, within the bounds of `NextBestAction`; it shows
        in the terms of every answer.
    benefit
        What the customer gains by it, in money, such as the discount: what parity is measured in.
    title
        What people read; empty is the name.

    Raises
    ------
    ArgumentError
        If an argument is not as above.
    """

    name: str
    value: float | Mapping[str, Any] = 0.0
    cost: float = 0.0
    success: str = "purchase"
    kind: Kind = "message"
    channels: Iterable[Id] | None = None
    locations: Iterable[Id] | None = None
    starts: Moment | None = None
    ends: Moment | None = None
    items: Iterable[Id] = ()
    eligible: Conditions | None = None
    applicable: Conditions | None = None
    suitable: Conditions | None = None
    cooldown: Duration | None = None
    limits: Sequence[ContactLimit] = ()
    lever: float = 1.0
    benefit: float = 0.0
    title: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or self.name == NOTHING:
            hint = f"{NOTHING!r} is always among the candidates." if self.name == NOTHING else ""
            raise errors.bad_argument("name", self.name, "a text that names the action", hint)
        self._put("name", normalize("NFC", self.name))  # as the decision log keeps it
        for name in ("success", "title"):
            if not isinstance(getattr(self, name), str) or (name == "success" and not self.success):
                raise errors.bad_argument(name, getattr(self, name), "a text")
        _check_kind(self.kind, also_none=False)
        self._put("value", _check_value(self.value))
        for name in ("cost", "lever", "benefit"):
            self._put(name, _check_number(name, getattr(self, name)))
        for name in ("channels", "locations"):
            given = getattr(self, name)
            self._put(name, None if given is None else frozenset(id_list(_unordered(given), name)))
        self._put("items", tuple(id_list(self.items, "items")))
        for name in RULES:
            given = getattr(self, name)
            self._put(name, given if given is None or callable(given) else check_where(given))
        starts, ends = self.window
        if starts is not None and ends is not None and starts >= ends:
            raise errors.bad_argument("ends", self.ends, f"a moment after starts={self.starts!r}")
        if self.cooldown is not None:
            to_span(self.cooldown, "cooldown")
        self._put("limits", check_limits(self.limits))

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the class is frozen, and this is its making

    @property
    def window(self) -> tuple[int | None, int | None]:
        """When the window opens and closes, microseconds since 1970."""
        moments = [
            None if given is None else to_microseconds(given, name)
            for name, given in (("starts", self.starts), ("ends", self.ends))
        ]
        return moments[0], moments[1]

    @property
    def cooldown_span(self) -> int | None:
        """The cooldown in microseconds."""
        return None if self.cooldown is None else to_span(self.cooldown, "cooldown")

    def to_record(self) -> dict[str, Any]:
        """Return the action as built-in types, ready for JSON; `from_record` takes it back.

        Raises
        ------
        ArgumentError
            If a rule is a function: no file without code in it could hold one.
        """
        for name in RULES:
            if callable(getattr(self, name)):
                raise errors.actions.function_rule(self.name, name)
        starts, ends = self.window
        record: dict[str, Any] = {
            "name": self.name, "value": self.value, "cost": self.cost, "success": self.success,
            "kind": self.kind, "items": list(self.items), "lever": self.lever, "benefit": self.benefit,
            "title": self.title, "eligible": self.eligible, "applicable": self.applicable,
            "suitable": self.suitable, "limits": [limit.to_record() for limit in self.limits],
            "starts": None if starts is None else spell_exactly(starts),
            "ends": None if ends is None else spell_exactly(ends),
            "cooldown": None if self.cooldown_span is None else self.cooldown_span / 86_400e6,
        }  # fmt: skip
        for name in ("channels", "locations"):
            given = getattr(self, name)
            record[name] = None if given is None else sorted(given, key=lambda id_: (str(type(id_)), id_))
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Take back what `to_record` made."""
        limits = [ContactLimit.from_record(limit) for limit in record["limits"]]
        return cls(**{**record, "limits": limits})

    def __str__(self) -> str:
        return self.title or self.name


def check_actions(actions: Any) -> tuple[Action, ...]:
    """Return a shop's actions, or refuse what is none, and names that two share."""
    if isinstance(actions, Action) or not isinstance(actions, Iterable):
        raise errors.wrong_kind("actions", type(actions).__name__, "a list of Action")
    listed = tuple(actions)
    for place, action in enumerate(listed):
        if not isinstance(action, Action):
            raise errors.wrong_kind(f"actions[{place}]", type(action).__name__, "an Action")
    names = [action.name for action in listed]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise errors.bad_argument(f"actions[{place}].name", name, "a name that no other action has")
    if not listed:
        raise errors.bad_argument("actions", actions, "at least one Action")
    return listed


def check_limits(limits: Any) -> tuple[ContactLimit, ...]:
    """Return contact limits, or refuse what is none."""
    if isinstance(limits, ContactLimit) or not isinstance(limits, Iterable):
        raise errors.wrong_kind("limits", type(limits).__name__, "a list of ContactLimit")
    listed = tuple(limits)
    for place, limit in enumerate(listed):
        if not isinstance(limit, ContactLimit):
            raise errors.wrong_kind(f"limits[{place}]", type(limit).__name__, "a ContactLimit")
    return listed


def spell_exactly(micros: int) -> str:
    """Write a moment in ISO 8601, to the microsecond."""
    return str(np.datetime64(micros, "us"))


def window_text(action: Action) -> str:
    """Say when an action may be done."""
    starts, ends = action.window
    since = "" if starts is None else f"from {spell(starts)}"
    until = "" if ends is None else f"until {spell(ends)}"
    return f"{since} {until}".strip()


def _check_value(given: Any) -> float | dict[str, Any]:
    if not isinstance(given, Mapping):
        return _check_number("value", given)
    name = given.get("feature")
    if set(given) - {"feature", "times"} or not isinstance(name, str):
        expected = 'a number of at least 0, or {"feature": "expected_value", "times": 0.1}'
        raise errors.bad_argument("value", dict(given), expected)
    return {"feature": name, "times": _check_number('value["times"]', given.get("times", 1.0))}


def _check_number(name: str, given: Any) -> float:
    is_number = isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)
    if not is_number or not math.isfinite(given) or given < 0:
        raise errors.bad_argument(name, given, "a finite number of at least 0")
    return float(given)


def _check_kind(given: Any, *, also_none: bool) -> None:
    if given not in KINDS and not (also_none and given is None):
        raise errors.bad_argument("kind", given, f"one of {', '.join(KINDS)}")


def _unordered(given: Any) -> Any:
    return list(given) if isinstance(given, set | frozenset) else given
