"""Rows of a decision log: what one holds, how it is checked, and how it lies in the file."""

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unicodedata import normalize

import numpy as np

from engagelib import errors
from engagelib.times import EARLIEST, LATEST

if TYPE_CHECKING:
    import pyarrow as pa


class Contact(NamedTuple):
    """One decision to do something for a customer."""

    action: str
    channel: str | None
    at: int
    """Microseconds since 1970."""


@dataclass(frozen=True, eq=False)
class Contacts:
    """Contacts of many customers at once, ordered by customer as asked for, then by time.

    Attributes
    ----------
    row
        Whose contact it is: a place in the ids that were asked for, int64, shape (n,).
    action, channel
        Codes into `actions` and `channels`, int32, shape (n,); -1 is no channel.
    at
        Microseconds since 1970, int64, shape (n,).
    actions, channels
        The names, sorted.
    """

    row: np.ndarray
    action: np.ndarray
    channel: np.ndarray
    at: np.ndarray
    actions: tuple[str, ...]
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(eq=False, slots=True)
class DecisionRow:
    """One decision, as it is logged.

    Attributes
    ----------
    customer_id
        Whom it is about, an integer or a text; 1 and "1" are two customers.
    at
        When it was taken, microseconds since 1970.
    action
        Its name; "nothing" is doing nothing.
    p_logged
        The chance that the policy had to choose this action, in (0, 1]; None where nobody knows.
    channel, location
        Where; None is none.
    p_success
        The outcome that was expected of the action when it was chosen; None where none was.
    is_control
        Whether the customer is in the control group.
    policy_version
        Which policy decided.
    terms
        What the decision was made of, anything that JSON can hold.
    features
        What was known of the customer, float64 or float32, shape (n_features,); NaN is missing.
    features_version
        Which columns these are.
    eligible
        Each action that was drawn from, with its probability.
    decision_id
        The name of this decision; 32 random hexadecimal digits where None.
    """

    customer_id: int | str
    at: int
    action: str
    p_logged: float | None = None
    channel: str | None = None
    location: str | None = None
    p_success: float | None = None
    is_control: bool = False
    policy_version: str | None = None
    terms: Mapping[str, Any] | None = None
    features: np.ndarray | None = None
    features_version: str | None = None
    eligible: Sequence[tuple[str, float]] | None = None
    decision_id: str | None = None


@dataclass(frozen=True, eq=False)
class Recorded:
    """What became of a batch of rows.

    Attributes
    ----------
    n_recorded
        How many are in the log now.
    rejected
        The others as they came, each with its row number and the reason, a pyarrow Table.
    """

    n_recorded: int
    rejected: "pa.Table"

    def __repr__(self) -> str:
        return f"Recorded({self.n_recorded:,} recorded, {self.rejected.num_rows:,} rejected)"


COLUMNS: Final = (
    "decision_id",
    "customer_id",
    "at",
    "channel",
    "location",
    "action",
    "p_logged",
    "p_success",
    "is_control",
    "policy_version",
    "terms",
    "features",
    "features_width",
    "features_version",
    "eligible",
)
"""The columns of a decision in the file, behind its number."""


def encode_row(row: DecisionRow) -> tuple[Any, ...]:
    """Check a decision and return its values in the order of `COLUMNS`."""
    action = _text("action", row.action)
    p_logged, eligible = row.p_logged, None
    if p_logged is not None:
        p_logged = _finite("p_logged", p_logged, "a probability above 0 and up to 1, or None")
        if not 0.0 < p_logged <= 1.0:
            raise errors.decisions.bad_row("p_logged", p_logged, "a probability above 0 and up to 1, or None")
    if row.eligible is not None:
        eligible = _encode_eligible(row.eligible, action, p_logged)
    features, width = _encode_features(row.features)
    p_success = row.p_success
    return (
        _text("decision_id", row.decision_id) if row.decision_id is not None else secrets.token_hex(16),
        exact_id(row.customer_id),
        moment(row.at),
        None if row.channel is None else _text("channel", row.channel),
        None if row.location is None else _text("location", row.location),
        action,
        p_logged,
        None if p_success is None else _finite("p_success", p_success, "a finite number or None"),
        1 if row.is_control else 0,
        None if row.policy_version is None else _text("policy_version", row.policy_version),
        None if row.terms is None else to_json("terms", row.terms),
        features,
        width,
        None if row.features_version is None else _text("features_version", row.features_version),
        eligible,
    )


def exact_id(customer_id: object, name: str = "customer_id") -> int | str:
    """Return an id as a Python integer or NFC text; what is neither is refused."""
    if type(customer_id) is str:
        return _text(name, customer_id)
    if type(customer_id) is int or isinstance(customer_id, np.integer):
        number = int(customer_id)
        if -(2**63) <= number < 2**63:
            return number
    elif isinstance(customer_id, str):
        return _text(name, str.__str__(customer_id))
    raise errors.decisions.bad_row(name, customer_id, "an integer of 64 bits or a text that is not empty")


def moment(at: object, name: str = "at") -> int:
    """Return microseconds since 1970; what lies outside the years 1990 to 2200 is refused."""
    expected = "whole microseconds since 1970, from the years 1990 to 2200"
    try:
        micros = index(at)  # type: ignore[arg-type]
    except TypeError:
        raise errors.decisions.bad_row(name, at, expected, _NO_MOMENT) from None
    if not EARLIEST <= micros < LATEST or isinstance(at, bool):
        raise errors.decisions.bad_row(name, at, expected, _NO_MOMENT)
    return micros


_NO_MOMENT: Final = "times.to_microseconds turns a datetime or an ISO text into these."


def outcome_value(value: object) -> float:
    """Return an outcome as a float; what is not finite is refused."""
    return _finite("value", value, "a finite number")


def outcome_name(name: object) -> str:
    """Return the name of an outcome."""
    return _text("name", name)


def to_json(field: str, given: object) -> str:
    """Write a value as JSON, NumPy's scalars and arrays as Python's; NaN has no place in JSON."""
    try:
        return json.dumps(given, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise errors.decisions.bad_row(field, given, "what JSON can hold", f"{error}.") from error


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _encode_eligible(eligible: Sequence[tuple[str, float]], action: str, p_logged: float | None) -> str:
    pairs = [[name, float(chance)] for name, chance in eligible]
    found = [chance for name, chance in pairs if name == action]
    if len(found) != 1 or (p_logged is not None and not math.isclose(found[0], p_logged, rel_tol=1e-9)):  # type: ignore[arg-type]
        raise errors.decisions.unlike_eligible(action, p_logged, found[0] if found else None)
    return to_json("eligible", pairs)


def _encode_features(features: np.ndarray | None) -> tuple[bytes | None, int | None]:
    if features is None:
        return None, None
    values = np.asarray(features)
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise errors.decisions.bad_row("features", features, "numbers in one dimension")
    width = 4 if values.dtype == np.float32 else 8
    return values.astype(f"<f{width}", copy=False).tobytes(), width


def _finite(field: str, given: object, expected: str) -> float:
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or isinstance(given, str):
        raise errors.decisions.bad_row(field, given, expected)
    return number


def _text(field: str, given: object) -> str:
    if not isinstance(given, str) or not given:
        raise errors.decisions.bad_row(field, given, "a text that is not empty")
    if given.isascii():
        return given
    try:
        given.encode()
    except UnicodeEncodeError:
        hint = "half a surrogate pair has no place in UTF-8."
        raise errors.decisions.bad_row(field, given, "text that UTF-8 can hold", hint) from None
    return normalize("NFC", given)
