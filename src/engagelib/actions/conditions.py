"""Conditions on what is known of a customer, compiled once, asked of one customer or of many."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.attributes.conditions import Condition as Given
from engagelib.attributes.conditions import Kind, read_range, read_value


@dataclass(frozen=True)
class FactNames:
    """What conditions may ask about.

    Attributes
    ----------
    numbers
        Names of the columns of numbers, and what each holds.
    texts
        Names of the columns of texts, and the texts that they can hold, in the order of their codes; -1 is
        missing.
    """

    numbers: Mapping[str, Kind]
    texts: Mapping[str, Sequence[str]]

    def __contains__(self, name: object) -> bool:
        return name in self.numbers or name in self.texts

    def __iter__(self) -> Any:
        return iter((*self.texts, *self.numbers))


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of some customers at a moment.

    Attributes
    ----------
    numbers
        float64 of shape (n, n_numbers), NaN for missing.
    codes
        int64 of shape (n, n_texts), -1 for missing.
    """

    numbers: np.ndarray
    codes: np.ndarray

    def named(self, names: FactNames) -> dict[str, np.ndarray]:
        """Return the columns by name, texts as arrays of objects with None for missing."""
        found: dict[str, np.ndarray] = dict(zip(names.numbers, self.numbers.T, strict=True))
        for place, (name, texts) in enumerate(names.texts.items()):
            table = np.array([*texts, None], object)
            found[name] = table[self.codes[:, place]]
        return found


@dataclass(frozen=True)
class Clause:
    """One condition: a column, and what it may hold.

    Attributes
    ----------
    name
        The column's name.
    place
        Its place among the numbers, or among the texts.
    is_text
        Which of the two.
    low, high
        Bounds, of a range alone.
    values
        What it may be otherwise, numbers or codes; NaN and -1 stand for missing.
    wording
        The condition as it was given, for people.
    """

    name: str
    place: int
    is_text: bool
    low: float
    high: float
    values: frozenset[float] | None
    missing: bool
    wording: str

    def one(self, numbers: Sequence[float], codes: Sequence[int]) -> bool:
        """Say whether it holds for a customer."""
        if self.is_text:
            assert self.values is not None  # texts have no ranges
            return codes[self.place] in self.values
        value = numbers[self.place]
        if self.values is None:
            return self.low <= value <= self.high
        return value in self.values or (self.missing and math.isnan(value))

    def many(self, facts: Facts) -> np.ndarray:
        """Say for each customer whether it holds, bool."""
        if self.is_text:
            assert self.values is not None  # texts have no ranges
            return np.isin(facts.codes[:, self.place], list(self.values))
        column = facts.numbers[:, self.place]
        if self.values is None:
            return (column >= self.low) & (column <= self.high)
        mask = np.isin(column, list(self.values))
        return mask | np.isnan(column) if self.missing else mask


@dataclass(frozen=True)
class Test:
    """A rule of an action, compiled: clauses that must all hold, or the shop's own function.

    Attributes
    ----------
    rule
        "eligible", "applicable" or "suitable".
    clauses
        In the order in which they were given.
    function, names
        The function, and the names of what it is handed; None for clauses.
    """

    __test__ = False  # it is no test of pytest's

    rule: str
    clauses: tuple[Clause, ...] = ()
    function: Callable[[Mapping[str, np.ndarray]], Any] | None = None
    names: FactNames | None = None

    def asked(self, action: str, facts: Facts) -> np.ndarray:
        """Ask the function, and refuse what is no mask."""
        assert self.function is not None
        assert self.names is not None
        found = np.asarray(self.function(facts.named(self.names)))
        if found.shape != (len(facts.numbers),) or found.dtype != bool:
            raise errors.actions.no_mask(action, self.rule, found.dtype, found.shape, len(facts.numbers))
        return found


def compile_rule(action: str, rule: str, given: Any, names: FactNames) -> Test:
    """Find the columns of a rule's conditions, and refuse what they can't hold.

    Raises
    ------
    ArgumentError
        If a condition asks about a name that nothing is known by, or for what that can't be.
    """
    if callable(given):
        return Test(rule, function=given, names=names)
    clauses = []
    for name, wish in given.items():
        if name not in names:
            raise errors.actions.unknown_feature(action, rule, name, tuple(names))
        try:
            clauses.append(_clause(name, wish, names))
        except errors.ArgumentError as error:
            raise errors.actions.in_rule(action, rule, error) from error
    return Test(rule, tuple(clauses))


def _clause(name: str, given: Given, names: FactNames) -> Clause:
    kind: Kind = "text" if name in names.texts else names.numbers[name]
    wording = _worded(name, given)
    if isinstance(given, dict):
        low, high = read_range(name, kind, given)
        return Clause(name, _place(name, names), False, float(low), float(high), None, False, wording)
    listed = given if isinstance(given, list) else [given]
    missing = None in listed
    values = [read_value(name, kind, given, value) for value in listed if value is not None]
    if kind == "text":
        table = {text: code for code, text in enumerate(names.texts[name])}
        if name == "stage" and (unknown := [value for value in values if value not in table]):
            raise errors.bad_argument("where['stage']", unknown[0], f"one of {', '.join(table)}")
        codes = {float(table[value]) for value in values if value in table} | ({-1.0} if missing else set())
        return Clause(
            name, _place(name, names), True, -math.inf, math.inf, frozenset(codes), missing, wording
        )
    numbers = frozenset(float(value) for value in values)
    return Clause(name, _place(name, names), False, -math.inf, math.inf, numbers, missing, wording)


def _place(name: str, names: FactNames) -> int:
    return list(names.texts if name in names.texts else names.numbers).index(name)


def _worded(name: str, given: Given) -> str:
    if isinstance(given, dict):
        bounds = {"min": "at least", "max": "at most"}
        return f"{name} " + " and ".join(f"{bounds[end]} {value}" for end, value in given.items())
    if isinstance(given, list):
        return f"{name} one of {', '.join('missing' if value is None else str(value) for value in given)}"
    return f"{name} missing" if given is None else f"{name} is {given}"
