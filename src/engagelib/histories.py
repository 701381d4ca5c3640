"""Histories: what each customer did, in order, and the matrices that are drawn from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np

from engagelib import errors
from engagelib.cells import check_offsets, heaviest_of, weights_of
from engagelib.drawing import (
    CODES,
    RowsBy,
    Seen,
    Taken,
    aging_of,
    canonical,
    draw_by,
    events_of,
    seen_types,
    shares_left,
    sound,
)
from engagelib.scoring import Rows
from engagelib.scoring.drawing import Events, draw_interest, draw_met
from engagelib.segments import counting_order, gather, offsets_of
from engagelib.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from engagelib.events import EventLog

TimeKind = Literal["timestamp", "position", "set"]

_NUMBERS: Final = ("quantity", "value", "rating")


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
    share
        What is left of each event, float32 in [0, 1], shape (n_events,): less than all of a purchase that was
        returned since. None where nothing was, or where it was not worked out; `matrix` then does.
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
    share: np.ndarray | None = None
    # The events as the kernel takes them, kept once they were asked for.
    _whole: Events | None = field(default=None, init=False, repr=False, compare=False)

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
        histories = cls(
            customers=log.customers,
            items=log.items,
            event_types=event_types,
            time_kind=log.time_kind,
            indptr=offsets_of(history, n_histories),
            item_index=columns["item_id"][order],
            event_type=columns["event_type"].astype(np.int16)[order],
            time=None if time is None else time[order],
            numbers={name: columns[name].astype(np.float32)[order] for name in _NUMBERS if name in columns},
            codes={ours: columns[theirs][order] for ours, theirs in CODES.items() if theirs in columns},
            tables={ours: log.vocabularies[theirs] for ours, theirs in CODES.items() if theirs in columns},
            newest=None if time is None or not len(time) else int(time.max()),
            item_types=tuple(name for name, count in zip(event_types, counts, strict=True) if count),
        )
        return histories.with_shares()

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
        first, last = int(offsets[0]), int(offsets[-1])
        if stop - start == 1 and 0 <= first <= last <= len(self.item_index):
            offsets = np.array([0, last - first])  # one row is asked for most often, and in a hurry
        else:
            check_offsets(offsets[:-1], offsets[1:], self.n_events)
            offsets = offsets - first
        return self._with_events(offsets, slice(first, last), self.share)

    def take(self, rows: np.ndarray) -> "Histories":
        """Return these rows, in this order; a row of -1 is an empty history."""
        rows = np.asarray(rows, np.int64)
        if len(rows) == 1 and rows[0] >= 0:
            return self.block(int(rows[0]), int(rows[0]) + 1)
        starts = np.where(rows >= 0, self.indptr[rows], 0)
        ends = np.where(rows >= 0, self.indptr[rows + 1], 0)
        check_offsets(starts, ends, self.n_events)
        lengths = ends - starts
        return self._with_events(np.append(0, np.cumsum(lengths)), gather(starts, lengths), self.share)

    def as_of(self, newest: int | None) -> "Histories":
        """Return the same events with their ages counted from another moment."""
        if newest == self.newest:
            return self
        made = object.__new__(Histories)
        made.__dict__.update(self.__dict__, newest=newest)
        return made

    def with_shares(self) -> Self:
        """Return the same events with what is left of each worked out, as of the newest."""
        return replace(self, share=shares_left(replace(self, share=None), None))

    def until(self, at: int) -> "Histories":
        """Return every row without its events after `at`; a set has no times, and stays whole."""
        if self.time is None or not (late := self.time > at).any():
            return self
        return self.keeping(~late)

    def keeping(self, which: np.ndarray) -> "Histories":
        """Return every row with some of its events, bool of shape (n_events,)."""
        kept = np.flatnonzero(which)
        # A return that is left out takes nothing back.
        return self._with_events(np.searchsorted(kept, self.indptr), kept, None)

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
            # A return takes from what came before; the others leave all as it was.
            share=None if self.share is None or event_type == "return" else insert(self.share, 1.0),
        )

    def matrix(
        self,
        *,
        event_weights: Mapping[str, float] | None = None,
        half_life_days: float | None = None,
        half_life_steps: float | None = None,
        at: int | None = None,
        by: RowsBy = "customer",
    ) -> "csr_array":
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
        if by not in ("customer", *CODES):
            raise errors.bad_argument("by", by, f"one of {', '.join(['customer', *CODES])}")
        found = self.interest if by == "customer" else partial(draw_by, self, by)
        drawn = found(
            event_weights=event_weights,
            half_life_days=half_life_days,
            half_life_steps=half_life_steps,
            at=at,
        )
        return canonical(drawn)

    def interest(
        self,
        *,
        event_weights: Mapping[str, float] | None = None,
        half_life_days: float | None = None,
        half_life_steps: float | None = None,
        at: int | None = None,
        saturated: bool = False,
    ) -> Rows:
        """Draw what `matrix` draws by customer, as bare arrays: SciPy's take longer to make than one to draw.

        Parameters
        ----------
        event_weights, half_life_days, half_life_steps, at
            As for `matrix`, which also says what is refused.
        saturated
            Turn each sum `x` into `x / (x + w)`, in [0, 1), with `w` the heaviest event weight: the tenth
            purchase of an item says less than the first. One event of the heaviest type counts a half, and
            only ratios of weights matter. A visit may exceed 1, to count as much as all else.
        """
        aging = aging_of(self, half_life_days, half_life_steps, at)
        per_type = weights_of(self.event_types, event_weights)
        heaviest = heaviest_of(event_weights) if saturated else None
        return sound(self, draw_interest(events_of(self, at), per_type, aging, heaviest))

    def met(self, which: Seen, *, at: int | None = None, without: np.ndarray | None = None) -> Rows:
        """Draw what `seen` draws, as bare arrays, without the items of a mask, bool of shape (n_items,)."""
        counts = seen_types(self.event_types, self.item_types, which)
        return sound(self, draw_met(events_of(self, None), counts, at, without))

    def seen(self, which: Seen, *, at: int | None = None) -> "csr_array":
        """Return which items each history met, as a matrix of ones of shape (n_histories, n_items).

        "purchased" counts purchases, returned ones too; where the log has one event type on items, that type
        counts. "any" counts every event. `at` leaves out later events. An altered file raises
        `ArtifactError`, as in `matrix`.
        """
        return canonical(self.met(which, at=at))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        arrays = {"indptr": self.indptr, "item_index": self.item_index, "event_type": self.event_type}
        if self.time is not None:
            arrays["time"] = self.time
        if self.share is not None:
            arrays["share"] = self.share
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
        by_event = (plain.get(name, plain["item_index"]) for name in ("time", "share"))
        for values in (*events, *by_event):
            if len(values) != len(plain["item_index"]):
                lengths = f"of {len(values):,} and {len(plain['item_index']):,} events"
                raise errors.log.altered_histories("an array", f"is {lengths}", "one length")
        share = plain.get("share")
        if share is not None and (share.dtype != np.float32 or share.ndim != 1):
            found = f"is {share.ndim}-dimensional, of {share.dtype}"
            raise errors.log.altered_histories("share", found, "one float32 an event")
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
            share=share,
        )

    def _with_events(
        self, indptr: np.ndarray, index: "slice | np.ndarray", share: np.ndarray | None
    ) -> "Histories":
        # Past the constructor, which for a single row takes longer than drawing it.
        made = object.__new__(Histories)
        made.__dict__.update(
            self.__dict__,
            _whole=None,
            indptr=indptr,
            item_index=self.item_index[index],
            event_type=self.event_type[index],
            time=None if self.time is None else self.time[index],
            numbers=Taken(self.numbers, index),
            codes=Taken(self.codes, index),
            share=None if share is None else share[index],
        )
        return made
