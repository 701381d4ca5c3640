"""Stages: where customers stand, since when and why; counts of them at moments and between moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from engagelib.exporting import frame_of
from engagelib.tables import Table, html_table
from engagelib.times import DAY, spell, to_datetime

STAGES: Final = (
    "unknown",
    "interest",
    "first_purchase",
    "repeat",
    "loyal",
    "referral",
    "advocacy",
    "lapsing",
    "lost",
)
"""The names of the stages; codes are places among them, and of those that apply the last one counts."""

REASONS: Final = ("no_events", "no_purchase", "purchases", "referral_made", "recommends", "silent")
"""Why a customer stands where they do, as codes."""

NEVER: Final = -(2**63)
"""A moment that there is not, as NumPy writes it too (NaT)."""


@dataclass(frozen=True)
class Stage:
    """Where one customer stands.

    Attributes
    ----------
    name
        One of `STAGES`.
    since
        When the stage was entered, UTC; None for an unknown customer.
    reason
        Why, in words for people.
    kind
        Why, one of `REASONS`.
    """

    name: str
    since: datetime | None
    reason: str
    kind: str


@dataclass(frozen=True, eq=False)
class Stages:
    """Where customers stand, an entry for each customer and moment.

    Attributes
    ----------
    code
        Places in `STAGES`, int8, shape (n,).
    since
        When the stage was entered, int64 microseconds since 1970; `NEVER` for an unknown customer.
    kind
        Places in `REASONS`, int8.
    moment
        As of when, int64.
    n_events, n_purchases
        Events, and purchase occasions of which something was kept, int64.
    last_event, last_purchase, told
        When the last event and the last purchase were, and when the customer first referred somebody or,
        being an advocate, recommended; int64, `NEVER` for never.
    lapsing_after_days, lost_after_days
        After how many days of silence the customer counts as lapsing and as lost, float64; NaN without
        events.
    """

    code: np.ndarray
    since: np.ndarray
    kind: np.ndarray
    moment: np.ndarray
    n_events: np.ndarray
    n_purchases: np.ndarray
    last_event: np.ndarray
    last_purchase: np.ndarray
    told: np.ndarray
    lapsing_after_days: np.ndarray
    lost_after_days: np.ndarray

    def __len__(self) -> int:
        return len(self.code)

    def __repr__(self) -> str:
        counts = np.bincount(self.code, minlength=len(STAGES)).tolist()
        named = ", ".join(f"{name} {count:,}" for name, count in zip(STAGES, counts, strict=True) if count)
        return f"Stages({len(self):,}: {named})"

    def __getitem__(self, place: int) -> Stage:
        if not -len(self) <= place < len(self):
            raise IndexError(f"place {place} is outside {len(self):,} stages")
        name, since = STAGES[self.code[place]], int(self.since[place])
        kind = REASONS[self.kind[place]]
        return Stage(name, None if since == NEVER else to_datetime(since), self._text(kind, place), kind)

    def _text(self, kind: str, place: int) -> str:
        limit = (self.lost_after_days if STAGES[self.code[place]] == "lost" else self.lapsing_after_days)[
            place
        ]
        return reason_text(
            kind,
            int(self.moment[place]),
            int(self.n_events[place]),
            int(self.n_purchases[place]),
            (int(self.last_event[place]), int(self.last_purchase[place]), int(self.told[place])),
            float(limit),
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the entries as mappings of built-in types, in order."""
        entries = (self[place] for place in range(len(self)))
        return [
            {"stage": one.name, "since": one.since, "reason": one.reason, "kind": one.kind} for one in entries
        ]

    def to_frame(self) -> Any:
        """Return the entries as a pandas frame, or as a pyarrow table where pandas is not installed."""
        records = self.records()
        names = ("stage", "since", "reason", "kind")
        return frame_of({name: [record[name] for record in records] for name in names})


def reason_text(
    kind: str, moment: int, n_events: int, n_purchases: int, times: tuple[int, int, int], limit: float
) -> str:
    """Write why a customer stands where they do; `times` are those of the last event, purchase and word."""
    last_event, last_purchase, told = times
    if kind == "no_events":
        return "no event"
    if kind == "silent":
        return f"silent for {_days((moment - last_event) // DAY)}, the limit is {_days(limit)}"
    if kind == "referral_made":
        return f"referred somebody, first {_ago(moment, told)}"
    if kind == "no_purchase":
        kept = "no purchase" if last_purchase == NEVER else "nothing bought was kept"
        return f"{n_events:,} {'event' if n_events == 1 else 'events'}, {kept}"
    bought = f"{n_purchases:,} {'purchase' if n_purchases == 1 else 'purchases'}, "
    bought += f"{'the last ' if n_purchases > 1 else ''}{_ago(moment, last_purchase)}"
    return bought if kind == "purchases" else f"{bought}; recommends, first {_ago(moment, told)}"


def _days(count: float) -> str:
    return "1 day" if count == 1 else f"{count:,.4g} days"


def _ago(moment: int, then: int) -> str:
    days = (moment - then) // DAY
    return f"{_days(days)} ago" if days else "less than a day ago"


@dataclass(frozen=True, eq=False)
class StageTable:
    """How many customers stand where, at some moments.

    Attributes
    ----------
    moments
        int64 microseconds since 1970, shape (n_moments,).
    counts
        int64, shape (n_moments, n_stages), in the order of `STAGES`; each row adds up to the customers.
    """

    moments: np.ndarray
    counts: np.ndarray

    def to_table(self) -> Table:
        """Return a row a moment and a column a stage."""
        rows = zip(self.moments.tolist(), self.counts.tolist(), strict=True)
        return Table(("moment", *STAGES), tuple((spell(moment), *counts) for moment, counts in rows))

    def to_frame(self) -> Any:
        """Return the same as a pandas frame, or as a pyarrow table where pandas is not installed."""
        columns = {name: self.counts[:, place] for place, name in enumerate(STAGES)}
        return frame_of({"moment": [to_datetime(moment) for moment in self.moments.tolist()], **columns})

    def __str__(self) -> str:
        return str(self.to_table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self.to_table()
        return html_table(table.columns, table.rows)


@dataclass(frozen=True, eq=False)
class StageTransitions:
    """How many customers went from which stage to which, from each moment to the next.

    Attributes
    ----------
    moments
        int64 microseconds since 1970, shape (n_moments,).
    counts
        int64, shape (n_moments - 1, n_stages, n_stages), from the second axis to the third.
    """

    moments: np.ndarray
    counts: np.ndarray

    def to_records(self) -> list[dict[str, Any]]:
        """Return the moves that occur: between which moments, from where, to where, how many."""
        step, before, after = np.nonzero(self.counts)
        many = self.counts[step, before, after].tolist()
        times: Sequence[datetime] = [to_datetime(moment) for moment in self.moments.tolist()]
        cells = zip(step.tolist(), before.tolist(), after.tolist(), many, strict=True)
        return [
            {
                "starts": times[place],
                "ends": times[place + 1],
                "from_stage": STAGES[one],
                "to_stage": STAGES[other],
                "n_customers": count,
            }
            for place, one, other, count in cells
        ]

    def to_table(self) -> Table:
        """Return all steps together: a row for the stage before, a column for the stage after."""
        total = self.counts.sum(axis=0).tolist()
        return Table(("from", *STAGES), tuple((name, *row) for name, row in zip(STAGES, total, strict=True)))

    def to_frame(self) -> Any:
        """Return the moves as a pandas frame, or as a pyarrow table where pandas is not installed."""
        records = self.to_records()
        names = ("starts", "ends", "from_stage", "to_stage", "n_customers")
        return frame_of({name: [record[name] for record in records] for name in names})

    def __str__(self) -> str:
        return str(self.to_table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self.to_table()
        return html_table(table.columns, table.rows)
