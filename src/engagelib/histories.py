"""Histories: what each customer did, in order, and the matrices that are drawn from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.cells import as_number, check_codes, check_offsets, steps_back, sum_cells, weights_of
from engagelib.returning import match_returns
from engagelib.segments import counting_order, gather, offsets_of
from engagelib.times import DAY
from engagelib.vocabulary import Vocabulary

if TYPE_CHECKING:
    from engagelib.events import EventLog

TimeKind = Literal["timestamp", "position", "set"]
Seen = Literal["purchased", "any"]
RowsBy = Literal["customer", "session", "order", "channel", "location"]

_NUMBERS: Final = ("quantity", "value", "rating")

_CODES: Final = {"channel": "channel", "location": "location", "order": "order_id", "session": "session_id"}


@dataclass(frozen=True)
class Histories:
    """The events of every customer and anonymous visit, oldest first; ties keep the order of the log.

    Rows `0` to `n_customers - 1` are the customers in the order of `customers`; anonymous visits follow.
    Events of row `r` lie at `indptr[r]:indptr[r + 1]` of every other array. No weight is stored: `matrix`
    draws one from event types, ages and returns when it is asked for.

    Attributes
    ----------
    customers, items
        The ids behind rows and item indices.
    indptr
        int64, shape (n_histories + 1,).
    item_index
        int32, shape (n_events,); -1 where an event has no item.
    event_type
        int16 codes into `event_types`.
    time
        int64: microseconds since 1970, UTC, or positions, as `time_kind` says; None for a set.
    numbers
        float32 under `quantity`, `value`, `rating`, NaN for missing; only what the log had.
    codes, tables
        int32 codes under `channel`, `location`, `order`, `session`, -1 for missing, and the ids behind them.
    newest
        The newest time of the whole log, None without times. Ages are counted from it unless told otherwise.
    item_types
        Those of `event_types` that the whole log has on an item, in the same order.
    n_visit
        How many of the last events of each row are the visit that goes on now, as `followed_by` adds them.
    """

    customers: Vocabulary
    items: Vocabulary
    event_types: tuple[str, ...]
    time_kind: TimeKind
    indptr: np.ndarray
    item_index: np.ndarray
    event_type: np.ndarray
    time: np.ndarray | None
    numbers: Mapping[str, np.ndarray]
    codes: Mapping[str, np.ndarray]
    tables: Mapping[str, Vocabulary]
    newest: int | None
    item_types: tuple[str, ...]
    n_visit: int = 0

    @classmethod
    def from_log(cls, log: "EventLog") -> Self:
        """Put the events of a log in order."""
        history, n_histories = log.history_index()
        columns = log.columns
        time = columns.get("time")
        if time is None or (len(time) and (time[1:] >= time[:-1]).all()):
            order = counting_order(history, n_histories)
        else:
            by_time = np.argsort(time, kind="stable")
            order = by_time[counting_order(history[by_time], n_histories)]
        event_types = tuple(str(name) for name in log.vocabularies["event_type"])
        has_item = columns["item_id"] >= 0
        counts = np.bincount(columns["event_type"][has_item], minlength=len(event_types)).tolist()
        return cls(
            customers=log.customers,
            items=log.items,
            event_types=event_types,
            time_kind=log.time_kind,
            indptr=offsets_of(history, n_histories),
            item_index=columns["item_id"][order],
            event_type=columns["event_type"].astype(np.int16)[order],
            time=None if time is None else time[order],
            numbers={name: columns[name].astype(np.float32)[order] for name in _NUMBERS if name in columns},
            codes={ours: columns[theirs][order] for ours, theirs in _CODES.items() if theirs in columns},
            tables={ours: log.vocabularies[theirs] for ours, theirs in _CODES.items() if theirs in columns},
            newest=None if time is None or not len(time) else int(time.max()),
            item_types=tuple(name for name, count in zip(event_types, counts, strict=True) if count),
        )

    @property
    def n_histories(self) -> int:
        """Number of rows: customers and anonymous visits."""
        return len(self.indptr) - 1

    @property
    def n_customers(self) -> int:
        """Number of known customers."""
        return len(self.customers)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.item_index)

    def __repr__(self) -> str:
        return (
            f"Histories({self.n_events:,} events of {self.n_histories:,} histories, {self.n_customers:,} of "
            f"them customers, and {self.n_items:,} items, time_kind={self.time_kind!r})"
        )

    def of_type(self, *names: str) -> np.ndarray:
        """Say of each event whether its type is one of these, bool."""
        is_named = np.array([name in names for name in self.event_types], bool)
        return np.asarray(is_named[self.event_type])

    def rows(self) -> np.ndarray:
        """Return the row of each event, int64."""
        return np.repeat(np.arange(self.n_histories), np.diff(self.indptr))

    def block(self, start: int, stop: int) -> "Histories":
        """Return rows `start` to `stop - 1` over the same memory."""
        offsets = self.indptr[start : stop + 1]
        check_offsets(offsets[:-1], offsets[1:], self.n_events)
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        return self._with_events(offsets - first, slice(first, last))

    def take(self, rows: np.ndarray) -> "Histories":
        """Return these rows, in this order; a row of -1 is an empty history."""
        rows = np.asarray(rows, np.int64)
        if len(rows) == 1 and rows[0] >= 0:
            return self.block(int(rows[0]), int(rows[0]) + 1)
        starts = np.where(rows >= 0, self.indptr[rows], 0)
        ends = np.where(rows >= 0, self.indptr[rows + 1], 0)
        check_offsets(starts, ends, self.n_events)
        lengths = ends - starts
        return self._with_events(np.append(0, np.cumsum(lengths)), gather(starts, lengths))

    def until(self, at: int) -> "Histories":
        """Return every row without its events after `at`; a set has no times, and stays whole."""
        if self.time is None or not (late := self.time > at).any():
            return self
        kept = np.flatnonzero(~late)
        return self._with_events(np.searchsorted(kept, self.indptr), kept)

    def followed_by(self, item_index: np.ndarray, event_type: str, at: int | None) -> "Histories":
        """Append the same newest events to every row: the visit that goes on now.

        However long the history before it, the visit counts for at least as much in `matrix`.

        Parameters
        ----------
        item_index
            Items, oldest first, shape (n,).
        event_type
            The type of all of them.
        at
            Their time; None is the newest moment of the log. Where a row has later events they share the
            time of its newest. Positions count on from the newest of the row.
        """
        n_new, n_rows = len(item_index), self.n_histories
        if not n_new or not n_rows:
            return self
        types = self.event_types if event_type in self.event_types else (*self.event_types, event_type)
        after = np.repeat(self.indptr[1:], n_new)

        def insert(values: np.ndarray, new: Any) -> np.ndarray:
            return np.insert(values, after, np.broadcast_to(new, (n_rows * n_new,)).astype(values.dtype))

        time = self.time
        if time is not None:
            ends = np.maximum(self.indptr[1:] - 1, 0)
            filled = self.indptr[1:] > self.indptr[:-1]
            last = np.where(filled, time[ends] if len(time) else 0, -(2**62))
            if self.time_kind == "timestamp":
                first = np.maximum(last, at if at is not None else self.newest or 0)
                time = insert(time, np.repeat(first, n_new))
            else:
                first = np.where(filled, last, 0)
                time = insert(time, (first[:, None] + np.arange(1, n_new + 1)).ravel())
        return replace(
            self,
            event_types=types,
            indptr=self.indptr + n_new * np.arange(n_rows + 1),
            item_index=insert(self.item_index, np.tile(item_index, n_rows)),
            event_type=insert(self.event_type, types.index(event_type)),
            time=time,
            numbers={name: insert(values, np.nan) for name, values in self.numbers.items()},
            codes={name: insert(values, -1) for name, values in self.codes.items()},
            n_visit=self.n_visit + n_new,
        )

    def matrix(
        self,
        *,
        event_weights: Mapping[str, float] | None = None,
        half_life_days: float | None = None,
        half_life_steps: float | None = None,
        at: int | None = None,
        by: RowsBy = "customer",
    ) -> csr_array:
        """Draw a matrix of confidence, each cell the sum over a history's events on an item.

        A visit that `followed_by` added is raised to the weight of the history before it.

        Parameters
        ----------
        event_weights
            Confidence of one event by its type, from 0 to 1e30; types not named count 0. None stands for
            `EVENT_WEIGHTS`. A purchase that was returned since counts 0, one returned in part counts in part.
        half_life_days
            Age in days after which an event counts half, above 0; None keeps all events equal.
        half_life_steps
            The same in steps back from a history's newest event; events of one moment are one step.
        at
            Microseconds since 1970 (or a position): later events are left out, ages are counted from here.
            None is the newest event of the log.
        by
            What a row is: a history ("customer"), or a session, order, channel or location in the order of
            `tables[by]`.

        Returns
        -------
        float32 of shape (n_rows, n_items), indices sorted, without duplicates or zeros.

        Raises
        ------
        ArgumentError
            If a weight is not from 0 to 1e30, or a half-life is not above 0.
        NotEnoughDataError
            If the log lacks what was asked for: times for `half_life_days`, an order for `half_life_steps`,
            the column for `by`.
        ArtifactError
            If the histories come from a file that was altered, and point outside their tables.
        """
        self._check_drawing(half_life_days, half_life_steps, by)
        self._check_unaltered()
        per_type = weights_of(self.event_types, event_weights)
        history = self.rows()
        rows = history if by == "customer" else self.codes[by].astype(np.int64)
        n_rows = self.n_histories if by == "customer" else len(self.tables[by])
        if by != "customer":
            check_codes(by, rows, -1, n_rows)
        keep = (self.item_index >= 0) & (per_type > 0)[self.event_type] & (rows >= 0)
        if at is not None and self.time is not None:
            keep &= self.time <= at
        if (shares := self._kept_shares(history, at)) is not None:
            keep &= shares > 0
        kept = np.flatnonzero(keep)
        weight = per_type[self.event_type[kept]]
        if shares is not None:
            weight *= shares[kept]
        if half_life_days is not None and np.isfinite(half_life_days):
            now = at if at is not None else self.newest
            assert self.time is not None  # checked above
            assert now is not None
            # What is observed while serving may be newer than the moment that ages are counted from.
            weight *= np.exp2(np.minimum(self.time[kept] - now, 0) / (DAY * half_life_days))
        if half_life_steps is not None and np.isfinite(half_life_steps):
            assert self.time is not None  # checked above
            weight *= np.exp2(-steps_back(history[kept], self.time[kept]) / half_life_steps)
        if self.n_visit and by == "customer":
            weight *= self._emphasis(history[kept], kept, weight)
        return sum_cells(rows[kept], self.item_index[kept], weight, (n_rows, self.n_items))

    def _emphasis(self, history: np.ndarray, kept: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Raise the visit of each row to the weight of what came before it, where it weighs less.

        The thousand things that somebody bought in years would else drown what they look at now.
        """
        in_visit = kept >= self.indptr[1:][history] - self.n_visit
        visit, before = (
            np.bincount(history, weight * part, minlength=self.n_histories) for part in (in_visit, ~in_visit)
        )
        factor = np.ones(self.n_histories)
        np.divide(before, visit, out=factor, where=(visit > 0) & (before > visit))
        return np.where(in_visit, factor[history], 1.0)

    def seen(self, which: Seen, *, at: int | None = None) -> csr_array:
        """Return which items each history met, as a matrix of ones of shape (n_histories, n_items).

        "purchased" counts purchases, returned ones too; where the log has one event type on items, that type
        counts. "any" counts every event. `at` leaves out later events. An altered file raises
        `ArtifactError`, as in `matrix`.
        """
        self._check_unaltered()
        keep = self.item_index >= 0
        if which == "purchased":
            bought = self.item_types if len(self.item_types) == 1 else ("purchase", "return")
            keep &= self.of_type(*bought)
        if at is not None and self.time is not None:
            keep &= self.time <= at
        kept = np.flatnonzero(keep)
        met = sum_cells(
            self.rows()[kept], self.item_index[kept], np.ones(len(kept)), (self.n_histories, self.n_items)
        )
        met.data[:] = 1.0
        return met

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        arrays = {"indptr": self.indptr, "item_index": self.item_index, "event_type": self.event_type}
        if self.time is not None:
            arrays["time"] = self.time
        arrays |= {f"numbers.{name}": values for name, values in self.numbers.items()}
        arrays |= {f"codes.{name}": values for name, values in self.codes.items()}
        named = {"customers": self.customers, "items": self.items}
        named |= {f"tables.{name}": table for name, table in self.tables.items()}
        for name, vocabulary in named.items():
            arrays |= {f"{name}.{part}": values for part, values in vocabulary.to_arrays().items()}
        return arrays

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "event_types": list(self.event_types),
            "time_kind": self.time_kind,
            "newest": self.newest,
            "item_types": list(self.item_types),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy."""
        groups: dict[str, dict[str, np.ndarray]] = {}
        for name, values in arrays.items():
            group, _, part = name.rpartition(".")
            groups.setdefault(group, {})[part] = values
        tables = {
            name[7:]: Vocabulary.from_arrays(parts) for name, parts in groups.items() if name[:7] == "tables."
        }
        plain = groups[""]
        events = [plain["event_type"], *groups.get("numbers", {}).values(), *groups.get("codes", {}).values()]
        for values in (*events, plain.get("time", plain["item_index"])):
            if len(values) != len(plain["item_index"]):
                lengths = f"of {len(values):,} and {len(plain['item_index']):,} events"
                raise errors.log.altered_histories("an array", f"is {lengths}", "one length")
        return cls(
            customers=Vocabulary.from_arrays(groups["customers"]),
            items=Vocabulary.from_arrays(groups["items"]),
            event_types=tuple(facts["event_types"]),
            time_kind=facts["time_kind"],
            indptr=plain["indptr"],
            item_index=plain["item_index"],
            event_type=plain["event_type"],
            time=plain.get("time"),
            numbers=groups.get("numbers", {}),
            codes=groups.get("codes", {}),
            tables=tables,
            newest=facts["newest"],
            item_types=tuple(facts["item_types"]),
        )

    def _with_events(self, indptr: np.ndarray, index: "slice | np.ndarray") -> "Histories":
        return replace(
            self,
            indptr=indptr,
            item_index=self.item_index[index],
            event_type=self.event_type[index],
            time=None if self.time is None else self.time[index],
            numbers={name: values[index] for name, values in self.numbers.items()},
            codes={name: values[index] for name, values in self.codes.items()},
        )

    def _kept_shares(self, history: np.ndarray, at: int | None) -> np.ndarray | None:
        """Return the share of each event that was not returned up to `at`, None where nothing was."""
        if "return" not in self.event_types or not (returned := self.of_type("return")).any():
            return None
        moves = (returned | self.of_type("purchase")) & (self.item_index >= 0)
        if at is not None and self.time is not None:
            moves &= self.time <= at
        place = np.flatnonzero(moves)
        quantity = self.numbers["quantity"][place] if "quantity" in self.numbers else np.ones(len(place))
        shares = np.ones(self.n_events)
        moment = np.zeros(len(place), np.int64) if self.time is None else self.time[place]
        shares[place], _ = match_returns(
            history[place], self.item_index[place], returned[place], quantity, moment=moment
        )
        return shares

    def _check_drawing(self, half_life_days: float | None, half_life_steps: float | None, by: str) -> None:
        for name, value in (("half_life_days", half_life_days), ("half_life_steps", half_life_steps)):
            if value is not None and not as_number(value) > 0:
                raise errors.bad_argument(name, value, "a number above 0, or None for no decay")
        if half_life_days is not None and self.time_kind != "timestamp":
            raise errors.log.needs_time("half_life_days", self.time_kind)
        if half_life_steps is not None and self.time_kind == "set":
            raise errors.log.needs_order("half_life_steps")
        if by not in ("customer", *_CODES):
            raise errors.bad_argument("by", by, f"one of {', '.join(['customer', *_CODES])}")
        if by != "customer" and by not in self.codes:
            raise errors.log.needs_column(f'by="{by}"', _CODES[by])

    def _check_unaltered(self) -> None:
        """Refuse what points outside the tables: the arrays may be mapped from a file that was altered."""
        check_offsets(self.indptr[:-1], self.indptr[1:], self.n_events)
        if self.indptr[0] != 0 or self.indptr[-1] != self.n_events:
            found = f"leads from {self.indptr[0]} to {self.indptr[-1]}"
            raise errors.log.altered_histories("indptr", found, f"from 0 to {self.n_events}")
        check_codes("item_index", self.item_index, -1, self.n_items)
        check_codes("event_type", self.event_type, 0, len(self.event_types))
