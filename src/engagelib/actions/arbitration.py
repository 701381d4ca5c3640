"""Arbitration: which actions may be done for a customer at a moment, and why the others may not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from unicodedata import normalize

import numpy as np

from engagelib import errors
from engagelib.actions.catalogue import RULES, Action, ContactLimit, Kind, window_text
from engagelib.actions.conditions import FactNames, Facts, Test, compile_rule
from engagelib.times import EARLIEST, spell
from engagelib.vocabulary import Id, Vocabulary

Rule = str
"""Why an action is suppressed: one of `SUPPRESSED_BY`."""

SUPPRESSED_BY: Final = (
    "control", "window", "channel", "location", "items", *RULES, "bad_experience", "cooldown", "limit",
)  # fmt: skip


class Suppression(NamedTuple):
    """An action that may not be done, and the first rule that says so.

    Attributes
    ----------
    action
        Its name.
    rule
        "control": the customer is left alone, to compare with. "window", "channel", "location": not then or
        there. "items": it needs what can't be had. "eligible", "applicable", "suitable": a condition does
        not hold. "bad_experience": no referral is asked of them now. "cooldown", "limit": there was contact
        enough.
    detail
        In words, what of the rule.
    """

    action: str
    rule: Rule
    detail: str


class Contact(NamedTuple):
    """Something that was done for the customer of a call: which action, in which channel, when."""

    action: str
    channel: Id | None
    at: int


@dataclass(frozen=True, eq=False)
class ContactTable:
    """Contacts of many customers.

    Attributes
    ----------
    place
        Whose, a place among the customers asked about, int64 of shape (n_contacts,).
    action
        Places among the actions, -1 for others.
    channel
        The channels, objects, None where none was named.
    at
        Microseconds since 1970.
    """

    place: np.ndarray
    action: np.ndarray
    channel: np.ndarray
    at: np.ndarray


@dataclass(frozen=True)
class Place:
    """Where and when a call asks: channel and location, None for any; the moment in microseconds.

    Attributes
    ----------
    spends
        Whether a contact is about to be made. Then those count too that were written down for a little later
        than `at`: another worker took its moment after this one, and came first to the log.
    """

    channel: Id | None
    location: Id | None
    at: int
    spends: bool = False

    def within(self, done: Any, span: int) -> Any:
        """Say whether contacts at some moments, one or an array, lie within a span of this one."""
        return (done > self.at - span) & (done < self.at + (span if self.spends else 1))


@dataclass(frozen=True, eq=False)
class _Compiled:
    """An action as calls ask about it."""

    action: Action
    starts: int | None
    ends: int | None
    items: np.ndarray
    tests: tuple[Test, ...]
    value_place: int
    limits: tuple[ContactLimit, ...]
    cooldown: int | None


class Arbiter:
    """A shop's actions and contact limits, compiled against what is known of customers.

    Parameters
    ----------
    actions
        The actions; numbers of actions below are places among them.
    limits
        Those of the whole shop.
    names
        What conditions may ask about.
    items
        The items that actions may need.
    """

    def __init__(
        self, actions: Sequence[Action], limits: Sequence[ContactLimit], names: FactNames, items: Vocabulary
    ) -> None:
        self.actions, self.names = tuple(actions), names
        self.known = {action.name: place for place, action in enumerate(actions)}
        for name in (limit.action for limit in (*limits, *(one for each in actions for one in each.limits))):
            if name is not None and name not in self.known:
                raise errors.actions.unknown_action(name, self.known)
        self.kinds = np.array([action.kind for action in actions], object)
        self._compiled = [self._compile(action, limits, items) for action in actions]
        self.lever = np.array([action.lever for action in actions])
        self.cost = np.array([action.cost for action in actions])
        self._flat = np.array([each.action.value if each.value_place < 0 else 0.0 for each in self._compiled])
        spans = [each.cooldown or 0 for each in self._compiled]
        spans += [limit.span for each in self._compiled for limit in each.limits]
        self.longest = max(spans, default=0)
        self.has_windows = any(action.window != (None, None) for action in actions)
        self.asks_channels = any(
            each.action.channels is not None or any(limit.channel is not None for limit in each.limits)
            for each in self._compiled
        )

    @property
    def limits_contacts(self) -> bool:
        """Whether an answer depends on what was done before."""
        return self.longest > 0

    def since(self, at: int) -> int:
        """Return from which moment on contacts count; no log holds any from before 1990."""
        return max(at - self.longest, EARLIEST)

    def _compile(self, action: Action, limits: Sequence[ContactLimit], items: Vocabulary) -> _Compiled:
        tests = [
            compile_rule(action.name, rule, getattr(action, rule), self.names)
            for rule in RULES
            if getattr(action, rule) is not None
        ]
        value_place = -1
        if isinstance(action.value, Mapping):
            name = action.value["feature"]
            if name not in self.names.numbers:
                raise errors.actions.unknown_feature(action.name, "value", name, tuple(self.names.numbers))
            value_place = list(self.names.numbers).index(name)
        theirs = [
            limit
            for limit in (*action.limits, *limits)
            if limit.action in (None, action.name) and limit.kind in (None, action.kind)
        ]
        starts, ends = action.window
        found = np.array([items.find(item) for item in action.items], np.int64)
        return _Compiled(
            action, starts, ends, found, tuple(tests), value_place, tuple(theirs), action.cooldown_span
        )

    def standing(self, place: Place, available: np.ndarray) -> list[Suppression | None]:
        """Say of each action why nobody is offered it there and then; None where nothing stands against it.

        `available` says which items can be had there, bool of shape (n_items,).
        """
        return [self._standing(each, place, available) for each in self._compiled]

    def _standing(self, each: _Compiled, place: Place, available: np.ndarray) -> Suppression | None:
        action = each.action
        if (each.starts is not None and place.at < each.starts) or (
            each.ends is not None and place.at >= each.ends
        ):
            return Suppression(action.name, "window", f"only {window_text(action)}")
        for rule, given, allowed in (
            ("channel", place.channel, action.channels),
            ("location", place.location, action.locations),
        ):
            if given is not None and allowed is not None and given not in allowed:
                return Suppression(action.name, rule, f"not {'in' if rule == 'channel' else 'at'} {given!r}")
        if len(each.items):
            had = (each.items >= 0) & available[each.items]
            if not had.all():
                missing = list(action.items)[int(np.argmin(had))]
                return Suppression(action.name, "items", f"item {missing!r} can't be had there")
        return None

    # One customer

    def one(
        self,
        standing: Sequence[Suppression | None],
        numbers: Sequence[float],
        codes: Sequence[int],
        *,
        trouble: str,
        contacts: Sequence[Contact],
        place: Place,
    ) -> list[Suppression | None]:
        """Say of each action why it may not be done for a customer, None where it may.

        Parameters
        ----------
        standing
            What stands against actions whoever asks.
        numbers, codes
            What is known of the customer.
        trouble
            The recent bad experience in words, empty where there was none.
        contacts
            What was done for them, in any order.
        """
        return [
            found or self._personal(each, numbers, codes, trouble, contacts, place)
            for each, found in zip(self._compiled, standing, strict=True)
        ]

    def _personal(
        self,
        each: _Compiled,
        numbers: Sequence[float],
        codes: Sequence[int],
        trouble: str,
        contacts: Sequence[Contact],
        place: Place,
    ) -> Suppression | None:
        action = each.action
        for test in each.tests:
            if test.function is not None:
                facts = Facts(np.array([numbers], float), np.array([codes], np.int64))
                if not test.asked(action.name, facts)[0]:
                    return Suppression(action.name, test.rule, "the shop's own function says no")
            for clause in test.clauses:
                if not clause.one(numbers, codes):
                    return Suppression(action.name, test.rule, f"expected {clause.wording}")
        if trouble and action.kind == "referral":
            return Suppression(action.name, "bad_experience", trouble)
        if not contacts:
            return None
        return self._after_contacts(each, contacts, place)

    def _after_contacts(
        self, each: _Compiled, contacts: Sequence[Contact], place: Place
    ) -> Suppression | None:
        name = each.action.name
        if each.cooldown is not None:
            again = [
                done.at for done in contacts if done.action == name and place.within(done.at, each.cooldown)
            ]
            if again:
                until = spell(max(again) + each.cooldown)
                return Suppression(name, "cooldown", f"done before, not again until {until}")
        for limit in each.limits:
            if limit.channel is not None and not _same(limit.channel, place.channel):
                continue
            count = sum(
                place.within(done.at, limit.span) and self._counts(limit, done.action, done.channel)
                for done in contacts
            )
            if count >= limit.most:
                return Suppression(name, "limit", f"{limit}, and there were {count}")
        return None

    def _counts(self, limit: ContactLimit, action: str, channel: Id | None) -> bool:
        if limit.kind is not None:
            known = self.known.get(action, -1)
            if known < 0 or self.actions[known].kind != limit.kind:
                return False
        return limit.action in (None, action) and (limit.channel is None or _same(limit.channel, channel))

    # Many customers

    def many(
        self,
        standing: Sequence[Suppression | None],
        facts: Facts,
        *,
        is_troubled: np.ndarray,
        contacts: ContactTable | None,
        place: Place,
    ) -> np.ndarray:
        """Say of each customer and action which rule suppresses it.

        Returns
        -------
        int8 of shape (n, n_actions): 0 where the action may be done, else one more than the rule's place in
        `SUPPRESSED_BY`.
        """
        n = len(facts.numbers)
        why = np.zeros((n, len(self._compiled)), np.int8)
        for number, (each, found) in enumerate(zip(self._compiled, standing, strict=True)):
            if found is not None:
                why[:, number] = _code(found.rule)
                continue
            column = why[:, number]
            for test in each.tests:
                holds = np.ones(n, bool)
                if test.function is not None:
                    holds = test.asked(each.action.name, facts)
                for clause in test.clauses:
                    holds &= clause.many(facts)
                _suppress(column, ~holds, test.rule)
            if each.action.kind == "referral":
                _suppress(column, is_troubled, "bad_experience")
            if contacts is not None:
                self._suppress_contacted(column, number, each, contacts, place)
        return why

    def _suppress_contacted(
        self, column: np.ndarray, number: int, each: _Compiled, contacts: ContactTable, place: Place
    ) -> None:
        n = len(column)
        if each.cooldown is not None:
            again = (contacts.action == number) & place.within(contacts.at, each.cooldown)
            _suppress(column, np.bincount(contacts.place[again], minlength=n) > 0, "cooldown")
        for limit in each.limits:
            if limit.channel is not None and not _same(limit.channel, place.channel):
                continue
            counted = place.within(contacts.at, limit.span)
            if limit.action is not None:
                counted &= contacts.action == self.known[limit.action]
            if limit.kind is not None:
                counted &= (contacts.action >= 0) & (self.kinds[contacts.action] == limit.kind)
            if limit.channel is not None:
                counted &= np.array([_same(limit.channel, one) for one in contacts.channel.tolist()], bool)
            count = np.bincount(contacts.place[counted], minlength=n)
            _suppress(column, count >= limit.most, "limit")

    # What it is worth

    def values(self, numbers: np.ndarray) -> np.ndarray:
        """Return what a success of each action is worth for each customer, shape (n, n_actions)."""
        worth = np.broadcast_to(self._flat, (len(numbers), len(self._flat)))
        shares = [(place, each) for place, each in enumerate(self._compiled) if each.value_place >= 0]
        if shares:
            worth = worth.copy()
        for place, each in shares:
            assert isinstance(each.action.value, Mapping)  # only these have a place
            known = numbers[:, each.value_place]
            worth[:, place] = np.where(np.isfinite(known), known, 0.0) * each.action.value["times"]
        return worth

    def values_one(self, numbers: Sequence[float]) -> list[float]:
        """Return the same for one customer."""
        worth: list[float] = self._flat.tolist()
        for place, each in enumerate(self._compiled):
            if each.value_place >= 0:
                assert isinstance(each.action.value, Mapping)  # only these have a place
                known = numbers[each.value_place]
                worth[place] = each.action.value["times"] * known if math.isfinite(known) else 0.0
        return worth


def kinds_of(actions: Sequence[Action], kind: Kind) -> np.ndarray:
    """Say which actions are of a kind, bool."""
    return np.array([action.kind == kind for action in actions], bool)


def _same(channel: Id, other: Id | None) -> bool:
    """Say whether two are one channel: the decision log keeps every channel as text."""
    return other is not None and normalize("NFC", str(channel)) == normalize("NFC", str(other))


def _code(rule: str) -> int:
    return SUPPRESSED_BY.index(rule) + 1


def _suppress(column: Any, which: np.ndarray, rule: str) -> None:
    column[which & (column == 0)] = _code(rule)
