"""Asking: what recommenders are judged by, checked once, and the lists that they answer with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any, Final, Self

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.evaluation._contending import checked_ask
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.recommender.repeating import learn_repeats
from engagelib.recommender.request import ExcludeSeen, SeenRule, check_count
from engagelib.splitting import Split
from engagelib.tables import Table
from engagelib.times import to_datetime

_BLOCK: Final = 16_384
"""Customers asked for at once: enough to keep a batch busy, few enough to keep their ids small."""


class Shown:
    """Something found that shows itself as a table."""

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows of the table as mappings, of built-in types alone."""
        return self._table().to_records()

    def __str__(self) -> str:
        return str(self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        raise AssertionError("a subclass makes its table")  # pragma: no cover


@dataclass(frozen=True)
class Question:
    """What is asked of each recommender; `at` is when, in microseconds: None is after its newest event."""

    test: EventLog
    ks: tuple[int, ...]
    events: tuple[str, ...]
    exclude_seen: ExcludeSeen
    repeat: bool | None
    at: int | None
    ask: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def check(
        cls,
        split: Split | EventLog,
        k: Any,
        events: Any,
        exclude_seen: ExcludeSeen,
        repeat: bool | None,
        ask: Any = None,
    ) -> Self:
        test = split.test if isinstance(split, Split) else split
        if not len(test):
            raise errors.evaluation.empty_side("testing", "the test log", "it is empty")
        ks = tuple(dict.fromkeys(check_count(cut, "k") for cut in (k if isinstance(k, Sequence) else (k,))))
        if not ks:
            raise errors.bad_argument("k", k, "an integer of at least 1, or several")
        if isinstance(events, str) or not events:
            hint = f"one type is events=({events!r},)." if events else ""
            raise errors.bad_argument("events", events, "a sequence of event types", hint)
        if isinstance(split, Split):
            cut = split.cut
        else:
            cut = int(test.columns["time"].min()) if test.time_kind == "timestamp" else None
        # Histories are read up to and with `at`; an event at the cut is a test event already.
        at = None if cut is None else cut - 1
        return cls(test, ks, tuple(events), exclude_seen, repeat, at, checked_ask(ask))


def relevant_items(asked: Question, before: Histories) -> csr_array:
    """Return what each customer of the test log had to find, shape (n_customers, n_items) of that log."""
    test = asked.test
    shape = (test.n_customers, test.n_items)
    customer, item = test.columns["customer_id"], test.columns["item_id"]
    types = [code for code, name in enumerate(test.vocabularies["event_type"]) if name in asked.events]
    wanted = (customer >= 0) & (item >= 0) & np.isin(test.columns["event_type"], types)
    wanted &= np.append(test.item_for_sale(), False)[item]
    customer, item = customer[wanted].astype(np.int64), item[wanted]
    # Only what a list may hold can be found: the very rule by which lists leave out what was met before.
    rule = SeenRule.check(asked.exclude_seen, asked.repeat, learn_repeats(before))
    met = rule.excluded(before.take(before.customers.indices(test.customers)))
    cells = np.unique(customer * shape[1] + item)
    if met is not None:
        place = test.items.indices(before.items)[met.indices]
        rows = np.repeat(np.arange(shape[0]), np.diff(met.indptr))
        cells = np.setdiff1d(cells, (rows * shape[1] + place)[place >= 0], assume_unique=True)
    rows, columns = np.divmod(cells, max(shape[1], 1))
    return csr_array((np.ones(len(cells), np.float32), (rows, columns)), shape=shape)


@dataclass(frozen=True)
class Judged:
    """The lists of some customers, by the recommender's item indices, and how to say what they should hold.

    Attributes
    ----------
    lists
        int32, shape (n_rows, longest list), -1 where a list is short.
    rows
        The customers, by their index in the test log.
    showable
        Whether each item of the recommender is for sale.
    column, findable
        Of each item of the test log, its column in `truth`, and whether it may count.
    ms_per_customer
        CPU time of all threads that a list took.
    """

    lists: np.ndarray
    rows: np.ndarray
    showable: np.ndarray
    column: np.ndarray
    findable: np.ndarray
    ms_per_customer: float

    @classmethod
    def ask(cls, recommender: Any, asked: Question, rows: np.ndarray) -> Self:
        """Have the lists made."""
        longest = max(asked.ks)
        at = None if asked.at is None else to_datetime(asked.at)
        lists = np.full((len(rows), longest), -1, np.int32)
        seconds = 0.0
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            ids = asked.test.customers.ids(rows[part].tolist())
            began = process_time()
            found = recommender.recommend_many(
                ids, k=longest, at=at, exclude_seen=asked.exclude_seen, repeat=asked.repeat, **asked.ask
            ).item_index
            seconds += process_time() - began
            lists[part, : found.shape[1]] = found
        column = recommender.items_.indices(asked.test.items).astype(np.int64)
        findable = np.append(recommender.for_sale_, True)[column]
        # Items that the recommender does not know get columns behind its own, where no list can hit them.
        column = np.where(column >= 0, column, len(recommender.items_) + np.arange(len(column)))
        cost = 1000 * seconds / max(len(rows), 1)
        return cls(lists, rows, recommender.for_sale_, column, findable, cost)

    def truth(self, relevant: csr_array) -> csr_array:
        """Return what each list should have held, of what each customer of the test log had to find."""
        theirs = relevant[self.rows]
        keep = self.findable[theirs.indices]
        indptr = np.append(0, np.cumsum(keep))[theirs.indptr]
        parts = (theirs.data[keep], self.column[theirs.indices[keep]], indptr)
        return csr_array(parts, shape=(len(self.rows), len(self.showable) + len(self.column)))


def nothing_to_find(asked: Question, n_customers: int) -> errors.NotEnoughDataError:
    """Word test customers of whom nothing is left to find."""
    found = [str(name) for name in asked.test.vocabularies["event_type"]]
    return errors.evaluation.nothing_to_find(n_customers, asked.events, found)


def counted(n_customers: int) -> str:
    """Spell a number of customers."""
    return f"{n_customers:,} {'customer' if n_customers == 1 else 'customers'}"


def spell_settings(
    events: tuple[str, ...], exclude_seen: str, repeat: bool | None, ask: Mapping[str, Any]
) -> str:
    """Spell the settings that lists were asked with."""
    further = "".join(f", {name}={errors.shown(value)}" for name, value in ask.items())
    return f"events={events!r}, exclude_seen={exclude_seen!r}, repeat={repeat!r}{further}"
