"""Wording of what splits and evaluations refuse."""

from collections.abc import Iterable, Sequence

from engagelib.errors._classes import (
    ArgumentError,
    LeakError,
    NotEnoughDataError,
    NotFittedError,
    SchemaError,
)
from engagelib.errors._common import bad_argument, listed


def exactly_one(given: Sequence[str], names: Iterable[str]) -> ArgumentError:
    """Word arguments of which one alone must be given."""
    found = listed(given) if given else "none of them"
    return ArgumentError(f"given: {found}. Expected exactly one of {listed(names)}.")


def empty_side(side: str, asked: str, found: str) -> NotEnoughDataError:
    """Word a split that leaves nothing for training or for testing."""
    return NotEnoughDataError(f"{asked} leaves no event for {side}: {found}. Expected events on both sides.")


def sides_differ(test: str, train: str, whose: str = "the training log") -> SchemaError:
    """Word a test log whose order is told in another way than that of what it is to judge."""
    return SchemaError(
        f"the test log tells order by {test!r}, {whose} by {train!r}: expected the same. "
        "Hint: make both from one log."
    )


def leaked_over_cut(side: str, events: int, whose: str, cut: str) -> LeakError:
    """Word events on the wrong side of a moment."""
    lie, expected = ("at or after", "before") if side == "training" else ("before", "at or after")
    return LeakError(
        f"{events:,} {side} {_plural(events, 'event lies', 'events lie')} {lie} the cut, {cut} ({whose}): "
        f"expected all {expected} it. Hint: the two logs overlap or were swapped; make both from one log "
        "with split_by_time()."
    )


def leaked_within_customers(n_customers: int, first: object, by: str) -> LeakError:
    """Word customers of whom the training log holds what came after their first test event or visit."""
    have = _plural(n_customers, "customer has", "customers have")
    unit = "visits that start" if by == "session" else "events"
    after = "visit" if by == "session" else "event"
    return LeakError(
        f"{n_customers:,} {have} training {unit} after the first test {after} (first: {first!r}): "
        "expected the test part of each customer to come last. "
        f"Hint: the two logs overlap or were swapped; make both from one log with split_by_{by}()."
    )


def leaked_sessions(n_sessions: int, first: object) -> LeakError:
    """Word sessions that were torn apart."""
    have = _plural(n_sessions, "session has", "sessions have")
    return LeakError(
        f"{n_sessions:,} {have} events in both logs (first: {first!r}): expected whole sessions. "
        "Hint: the two logs overlap, or were split by event; make both from one log with split_by_session()."
    )


def fitted_too_late(events: int, whose: str, cut: str) -> LeakError:
    """Word a recommender that has seen the time it is to be tested on."""
    found = f"{events:,} {_plural(events, 'event', 'events')}"
    return LeakError(
        f"the recommender was fitted on {found} at or after {cut}, where the "
        f"test begins ({whose}): expected earlier events only. {_REFIT}"
    )


def fitted_on_test(n: int, what: str, first: object) -> LeakError:
    """Word a recommender that has seen the test events of some customers, or test sessions."""
    return LeakError(
        f"the recommender was fitted on test events of {n:,} {_plural(n, what, what + 's')} "
        f"(first: {first!r}): expected training events only. {_REFIT}"
    )


_REFIT = "Hint: fit it on split.train, or pass it unfitted with the split."


def no_split_to_fit_on() -> NotFittedError:
    """Word an unfitted recommender that comes with a test log alone."""
    return NotFittedError(
        "the recommender is not fitted, and a test log alone gives nothing to fit it on. "
        "Hint: pass the Split, or fit the recommender on what came before."
    )


def nobody_known(n_customers: int, who: str) -> NotEnoughDataError:
    """Word a test log without any customer that the recommender, or each of several, knows."""
    return NotEnoughDataError(
        f"{who} none of the test log's {n_customers:,} "
        f"{_plural(n_customers, 'customer', 'customers')}: expected at least one. "
        "Hint: anonymous visits can't be judged; are both logs of the same shop?"
    )


def nothing_to_find(n_customers: int, wanted: Iterable[str], found: Iterable[str]) -> NotEnoughDataError:
    """Word a test log in which no known customer did what is looked for."""
    whom = f"{n_customers:,} known {_plural(n_customers, 'customer', 'customers')}"
    return NotEnoughDataError(
        f"none of {whom} has anything to find in the test log: "
        f"expected events of type {listed(wanted)}, on an item for sale that the lists may hold. "
        f'Hint: the test log has {listed(found)}; exclude_seen="none" or repeat=True count items met before.'
    )


def _plural(n: int, one: str, many: str) -> str:
    return one if n == 1 else many


def too_few(given: object, least: int) -> ArgumentError:
    """Word fewer recommenders than are needed, or something that holds none."""
    many = "at least two recommenders" if least == 2 else "at least one recommender"
    return bad_argument("recommenders", given, f"{many}, as a mapping of names to them, or a list")


def same_name(name: str) -> ArgumentError:
    """Word two recommenders of a list that would stand under one name."""
    return ArgumentError(
        f"two recommenders of the list are called {name!r}: expected names that differ. "
        "Hint: pass a mapping, as in {'first': ..., 'second': ...}."
    )


def no_model_of_implicit(given: str) -> ArgumentError:
    """Word something else where a model of the library implicit is due."""
    return bad_argument(
        "model",
        given,
        "a model of the package implicit that learns on processors",
        "implicit.cpu.als.AlternatingLeastSquares() is one; models of engagelib need no adapter.",
    )


def fitted_recipe(given: str) -> ArgumentError:
    """Word a model that would learn on from where it stands."""
    return ArgumentError(
        f"this {given} is fitted: expected one that is not, because implicit learns on from what was learned "
        "before. Hint: pass a new object; it is copied and fitted."
    )
