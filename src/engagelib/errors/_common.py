"""Wording that every room uses, and the helpers that spell it."""

from collections.abc import Iterable, Sequence
from typing import Final

from engagelib.errors._classes import ArgumentError, MissingExtraError, NotFittedError

_LONGEST: Final = 500  # characters of a value that a message repeats


def bad_argument(name: str, given: object, expected: str, hint: str = "") -> ArgumentError:
    """Word an argument outside its range: `k=0: expected an integer of at least 1.` is one such text."""
    return ArgumentError(sentence(f"{name}={shown(given)}: expected {expected}.", hint))


def wrong_kind(name: str, given: str, expected: str) -> ArgumentError:
    """Word an argument of the wrong sort: a matrix that is not sparse, indices that are not integers."""
    return ArgumentError(f"{name} is of type {given}: expected {expected}.")


def not_fitted(what: str) -> NotFittedError:
    """Word the use of `what`, a class name, before `fit`."""
    return NotFittedError(f"this {what} is not fitted yet. Call fit() first, or load() a saved one.")


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Word a feature whose optional package is not installed."""
    return MissingExtraError(f"{package} is not installed. Hint: pip install 'engagelib[{extra}]'.")


def shown(given: object) -> str:
    """Write a value as Python does, cut where it would flood a log: an id may be a megabyte long."""
    text = repr(given)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def sentence(message: str, hint: str) -> str:
    """Put the hint, where there is one, behind a message."""
    return f"{message} Hint: {hint}" if hint else message


def listed(names: Iterable[object], limit: int = 8) -> str:
    """Spell out the first names of a list, and how many there are beyond."""
    every: Sequence[object] = list(names)
    text = ", ".join(str(name) for name in every[:limit])
    return f"{text} and {len(every) - limit:,} more" if len(every) > limit else text or "none"
