"""Wording of what features, stages and audiences of customers refuse."""

from collections.abc import Iterable

from engagelib.errors._classes import ArgumentError, ArtifactError, NotEnoughDataError
from engagelib.errors._common import listed, sentence


def unknown_feature(name: object, names: Iterable[str]) -> ArgumentError:
    """Word a column that was not learned."""
    hint = "what a log does not tell, such as values or ratings, is not learned from it."
    return ArgumentError(
        sentence(f"there is no feature {name!r}: expected one of {listed(names, 40)}.", hint)
    )


def not_one_history(n_histories: int) -> ArgumentError:
    """Word histories of several customers, or of none, where one is due."""
    hint = "histories.block(row, row + 1) is one; many at once are what of() answers."
    return ArgumentError(sentence(f"history holds {n_histories:,} rows: expected one.", hint))


def rows_and_moments(n_rows: int, n_moments: int) -> ArgumentError:
    """Word pairs of which one half is missing."""
    return ArgumentError(
        f"row has {n_rows:,} values and moment has {n_moments:,}: expected as many, a moment for each row."
    )


def no_such_row(row: int, n_histories: int) -> ArgumentError:
    """Word a row that the histories do not have."""
    expected = f"rows from 0 to {n_histories - 1:,}, or -1 for an unknown customer"
    return ArgumentError(f"row holds {row:,}: expected {expected}.")


def tastes_differ(shape: tuple[int, ...], n_items: int) -> ArgumentError:
    """Word item vectors that are not of these items."""
    hint = "they must come from the same histories."
    return ArgumentError(sentence(f"tastes has the shape {shape}: expected ({n_items}, n_tastes).", hint))


def items_differ(name: str, given: int, expected: int) -> ArgumentError:
    """Word item attributes of another catalogue."""
    hint = "they must come from the same log."
    return ArgumentError(sentence(f"{name} is of {given:,} items: expected {expected:,}.", hint))


def no_click_types(click: Iterable[str], found: Iterable[str]) -> NotEnoughDataError:
    """Word a log without any of the event types that are to count as a click."""
    hint = "name the event types that count with click=."
    message = f"the log has none of the event types {listed(click)}; it has {listed(found)}."
    return NotEnoughDataError(sentence(message, hint))


def no_answers(what: str) -> NotEnoughDataError:
    """Word a log in which no survey was ever answered."""
    hint = 'an answer is an event of type "survey" with the answer, 0 to 10, as its rating.'
    return NotEnoughDataError(
        sentence(f"{what} needs answers to surveys, which this log does not have.", hint)
    )


def answer_out_of_range(answer: float) -> NotEnoughDataError:
    """Word an answer on another scale."""
    hint = "answers on another scale can't be read as promoters and detractors."
    return NotEnoughDataError(sentence(f"a survey was answered with {answer:g}: expected 0 to 10.", hint))


def altered_features(name: str, found: str, expected: str) -> ArtifactError:
    """Word learned features from a file whose arrays are not what was saved."""
    return ArtifactError(
        f"the stored customer features are broken: {name} {found}, expected {expected}. "
        "Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )
