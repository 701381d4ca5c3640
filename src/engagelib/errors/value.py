"""Wording of what the value of customers can't be learned from, or asked for."""

from collections.abc import Iterable

from engagelib.errors._classes import ArgumentError, ArtifactError, NotEnoughDataError, SchemaError
from engagelib.errors._common import listed, sentence


def missing_columns(missing: Iterable[str], found: Iterable[str]) -> SchemaError:
    """Word a summary of purchases that lacks what the models read."""
    names = list(missing)
    return SchemaError(
        f"the summary of purchases lacks {listed(names)}. Found: {listed(found)}. Hint: pass a frame with "
        "frequency, recency, age (or T) and, for money, mean_value; summarise_purchases() makes one of a "
        "log.",
        column=names[0],
    )


def lengths_differ(lengths: Iterable[tuple[str, int]]) -> ArgumentError:
    """Word columns of a summary that are not of one length."""
    shown = ", ".join(f"{name} {length:,}" for name, length in lengths)
    return ArgumentError(
        f"the columns of purchases differ in length ({shown}): expected one value a customer."
    )


def bad_purchases(name: str, place: int, given: float, expected: str, hint: str = "") -> ArgumentError:
    """Word a number of a summary that no customer can have; `place` counts from 0."""
    return ArgumentError(sentence(f"{name}[{place}]={given:g}: expected {expected}.", hint))


def too_few_repeats(what: str, found: int, least: int, n_customers: int) -> NotEnoughDataError:
    """Word a log in which hardly anybody bought twice."""
    return NotEnoughDataError(
        f"{what} needs {least:,} customers who bought more than once; {found:,} of {n_customers:,} did. "
        "Hint: take a longer log, or a later moment."
    )


def no_money(found: int, least: int) -> NotEnoughDataError:
    """Word purchases without the money that was paid for them."""
    return NotEnoughDataError(
        f"GammaGamma needs {least:,} customers with a repeat purchase and a mean_value above 0; {found:,} "
        "have both. Hint: read the log with a 'value' column, the money of each row."
    )


def one_outcome(n_customers: int, n_bought: int, horizon_days: float, least: int) -> NotEnoughDataError:
    """Word a slice of time that teaches nothing of who buys and who does not."""
    return NotEnoughDataError(
        f"of {n_customers:,} customers {n_bought:,} bought within the last {horizon_days:g} days: expected "
        f"at least {least:,} who did and {least:,} who did not. Hint: choose another horizon_days, or take a "
        "longer log."
    )


def too_short(horizon_days: float, found_days: float) -> NotEnoughDataError:
    """Word a log that is over before a horizon can be both learned and judged."""
    return NotEnoughDataError(
        f"horizon_days={horizon_days:g} needs a log of more than {2 * horizon_days:g} days, a horizon to "
        f"learn from and one to judge by; this one has {found_days:,.1f}. Hint: choose a shorter horizon."
    )


def no_resamples() -> ArgumentError:
    """Word an interval that is asked of a model which was fitted without a bootstrap."""
    return ArgumentError(
        "intervals need resamples: expected a model that was fitted with n_resamples above 0. "
        "Hint: LifetimeValue(n_resamples=200)."
    )


def altered_value(name: str, found: str, expected: str) -> ArtifactError:
    """Word a stored model of value whose numbers no fit can have given."""
    return ArtifactError(
        f"the stored value of customers is broken: {name} {found}, expected {expected}. "
        "Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )
