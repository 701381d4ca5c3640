"""EventLog: what customers did, read, checked and normalised; what is refused is kept and reported."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self, TypedDict, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.events.items import item_for_sale, item_texts, join_items, no_items, read_items
from engagelib.events.joining import join_logs, stack
from engagelib.events.reading import ID_COLUMNS, Reading, read_events
from engagelib.events.refusals import (
    REPEATED,
    number_histories,
    repeats,
    set_aside_bots,
    set_aside_duplicates,
)
from engagelib.events.reports import report_on
from engagelib.frames import open_table
from engagelib.strings import StringColumn, to_nfc
from engagelib.tables import Table
from engagelib.times import Moment, to_microseconds
from engagelib.vocabulary import Vocabulary

ITEMLESS: Final = frozenset({"complaint", "survey", "message_open", "message_click", "login"})
"""Event types that need not name an item."""

OnBad = Literal["raise", "quarantine"]
Duplicates = Literal["keep", "reject"]
TimeKind = Literal["timestamp", "position", "set"]


class ReadOptions(TypedDict, total=False):
    """What `EventLog.read` and its like take beside the data; `EventLog` says what each does."""

    items: Any
    columns: Mapping[str, str] | None
    event_types: Mapping[str, str] | None
    unit: str | None
    at: Moment | None
    on_bad: OnBad
    duplicates: Duplicates
    max_events_per_customer: int
    itemless: Collection[str]
    text_ids: bool


@dataclass(frozen=True, eq=False)
class EventLog:
    """A checked log of events, one row each, in the order of the input.

    Read one with `EventLog.read`, `EventLog.from_frame` or `EventLog.from_records`; they take the same
    options. A log is never changed: `append`, `forget` and `select` return another one.

    Columns of the input
    --------------------
    customer_id, item_id
        Required; integers or strings throughout. Floats, booleans and mixed types are refused. Strings
        are brought to NFC and not folded in any other way; an empty string is a missing id. A null
        `customer_id` is an anonymous visit where `session_id` or `order_id` is given.
    event_type
        Text; `purchase` where the column is missing. A purchase with a negative quantity, or with a
        negative value and no quantity, becomes a `return`.
    timestamp
        Times, dates, text in ISO 8601, or numbers in `unit`; naive times are UTC.
    position
        Integers that order a customer's events, read only where there is no `timestamp`.
    quantity, value, rating
        Numbers, or text that is mostly numbers; `value` is money for the whole row. NaN and null mean
        missing.
    channel, location, order_id, session_id
        Integers or strings, may be null.

    Options
    -------
    items
        A table of item attributes: `item_id`, and any of `title`, `category`, `price`, `for_sale`
        (true where missing) and others.
    columns
        Names in the input for ours, as in `{"customer_id": "user"}`.
    event_types
        Names of event types in the input and ours for them, as in `{"addtocart": "cart"}`.
    unit
        Unit of numeric times: "s" (default), "ms", "us" or "ns".
    at
        Moment after which no event may lie, where the log has a `timestamp`.
    on_bad
        "raise" stops at the first kind of bad row; "quarantine" moves bad rows to `rejected`.
    duplicates
        "keep" counts exact duplicates; "reject" moves all but the first of each to `rejected`.
    max_events_per_customer
        A customer (or anonymous visit) with more events is taken for a bot: all of them move to
        `rejected`, whatever `on_bad` says.
    itemless
        Event types whose rows may lack an item.
    text_ids
        Read ids as text even where they are integers. A CSV file does not say which it means: its ids are
        integers where every one is written as an integer would be, and a backend that asks with text would
        then know nobody.

    Attributes
    ----------
    columns
        Arrays of shape (len(log),): codes into `vocabularies` (int32, -1 for null) under the names of the
        id columns and `event_type`; float64 under `quantity`, `value`, `rating`; int64 under `time`,
        microseconds since 1970 or positions.
    vocabularies
        The ids behind the codes.
    item_table
        Item attributes as they were given, one row an item; `item_texts` brings one into the order of
        `items`.
    rejected
        The rows that were set aside, with their `row` in the input and a `reason`.
    """

    columns: dict[str, np.ndarray]
    vocabularies: dict[str, Vocabulary]
    time_kind: TimeKind
    item_table: pa.Table
    rejected: pa.Table
    duplicates: Duplicates = "keep"
    max_events_per_customer: int = 20_000
    ignored: tuple[str, ...] = ()
    n_relabelled: int = 0

    @classmethod
    def read(cls, path: str | Path, **options: Unpack[ReadOptions]) -> Self:
        """Read a Parquet file, a folder of Parquet files, or a CSV file; see the class for options.

        Raises
        ------
        SchemaError
            If a column is missing or of a wrong type, or a row is bad and `on_bad` is "raise".
        """
        return cls._read(path, **options)

    @classmethod
    def from_frame(cls, frame: Any, **options: Unpack[ReadOptions]) -> Self:
        """Read any frame with the Arrow stream protocol (pandas, polars, pyarrow, duckdb), or a mapping
        of columns; see the class for options. A pandas index is not read.
        """
        return cls._read(frame, **options)

    @classmethod
    def from_records(cls, records: list[Mapping[str, Any]], **options: Unpack[ReadOptions]) -> Self:
        """Read a list of mappings, one for each event; see the class for options."""
        return cls._read(records, **options)

    @classmethod
    def _read(
        cls,
        source: Any,
        *,
        items: Any = None,
        columns: Mapping[str, str] | None = None,
        event_types: Mapping[str, str] | None = None,
        unit: str | None = None,
        at: Moment | None = None,
        on_bad: OnBad = "raise",
        duplicates: Duplicates = "keep",
        max_events_per_customer: int = 20_000,
        itemless: Collection[str] = ITEMLESS,
        text_ids: bool = False,
    ) -> Self:
        _check_options(unit, on_bad, duplicates, max_events_per_customer)
        _check_names(columns, event_types, itemless)
        ids = {(columns or {}).get(name, name) for name in ID_COLUMNS}
        reading = read_events(
            open_table(source, ids=ids),
            columns=columns,
            unit=unit,
            at=None if at is None else to_microseconds(at),
            event_types=event_types,
            itemless=itemless,
            text_ids=text_ids,
        )
        if on_bad == "raise":
            reading.refused.raise_first()
        return cls._settle(
            reading,
            item_table=no_items() if items is None else read_items(items, text_ids=text_ids),
            duplicates=duplicates,
            max_events_per_customer=int(max_events_per_customer),
        )

    @classmethod
    def _settle(
        cls,
        reading: Reading,
        *,
        item_table: pa.Table,
        duplicates: Duplicates,
        max_events_per_customer: int,
    ) -> Self:
        """Set aside duplicates and bots, drop what is refused, and give the ids that remain their places."""
        if duplicates == "reject":
            set_aside_duplicates(reading.refused, reading.codes | reading.numbers)
        set_aside_bots(reading.refused, reading.codes, max_events_per_customer)
        keep = reading.refused.code == 0
        columns, vocabularies = {}, {}
        for name, codes in reading.codes.items():
            kept, dictionary = codes[keep], reading.dictionaries[name]
            used = np.zeros(len(dictionary) + 1, bool)
            used[kept] = True
            used = used[:-1]
            in_use = dictionary.filter(pa.array(used))
            listed = _with_table_items(in_use, item_table) if name == "item_id" else in_use
            vocabularies[name] = Vocabulary.from_values(listed)
            places = np.full(len(dictionary) + 1, -1, np.int32)
            places[:-1][used] = vocabularies[name].indices(in_use)
            columns[name] = places[kept]
        columns |= {name: values[keep] for name, values in reading.numbers.items()}
        return cls(
            columns=columns,
            vocabularies=vocabularies,
            time_kind=reading.time_kind,
            item_table=item_table,
            rejected=reading.refused.table(reading.table),
            duplicates=duplicates,
            max_events_per_customer=max_events_per_customer,
            ignored=reading.ignored,
            n_relabelled=int((reading.relabelled & keep).sum()),
        )

    def __len__(self) -> int:
        return len(self.columns["customer_id"])

    def __repr__(self) -> str:
        return (
            f"EventLog({len(self):,} events of {self.n_customers:,} customers and {self.n_items:,} items, "
            f"time_kind={self.time_kind!r}, {len(self.rejected):,} rejected)"
        )

    @property
    def customers(self) -> Vocabulary:
        """The known customers; anonymous visits are none."""
        return self.vocabularies["customer_id"]

    @property
    def items(self) -> Vocabulary:
        """The items of the events and of the item table together."""
        return self.vocabularies["item_id"]

    @property
    def n_customers(self) -> int:
        """Number of known customers."""
        return len(self.customers)

    @property
    def n_items(self) -> int:
        """Number of items, those that only the item table names included."""
        return len(self.items)

    @property
    def n_duplicates(self) -> int:
        """Number of rows that repeat an earlier one in every column, kept or set aside."""
        if self.duplicates == "reject":
            return int(pc.sum(pc.equal(self.rejected["reason"], REPEATED)).as_py() or 0)
        return len(repeats(list(self.columns.values())))

    def history_index(self) -> tuple[np.ndarray, int]:
        """Number the histories: customers by their index, then anonymous visits.

        Returns
        -------
        The history of each event, int64 of shape (len(log),), and the number of histories.
        """
        return number_histories(self.columns, self.n_customers)

    def item_texts(self, name: str) -> StringColumn:
        """Return a text attribute such as `title` in the order of `items`, empty where unknown."""
        return item_texts(self.item_table, self.items, name)

    def item_for_sale(self) -> np.ndarray:
        """Say of each item of `items` whether it may be shown at all, bool."""
        return item_for_sale(self.item_table, self.items)

    def report(self) -> Table:
        """Say what was read, what was set aside and why; also a table in a notebook."""
        return report_on(self)

    def to_table(self) -> pa.Table:
        """Return the log as an Arrow table in the columns that `EventLog` reads."""
        table = {}
        for name, values in self.columns.items():
            if name == "time":
                kind = pa.timestamp("us", "UTC") if self.time_kind == "timestamp" else pa.int64()
                table[str(self.time_kind)] = pa.array(values).cast(kind)
            elif name in self.vocabularies:
                table[name] = self.vocabularies[name].to_arrow().take(pa.array(values, mask=values < 0))
            else:
                table[name] = pa.array(values, from_pandas=True)
        return pa.table(table)

    def append(self, other: Any, **options: Unpack[ReadOptions]) -> Self:
        """Return this log followed by another, or by anything that `from_frame` or `read` takes.

        Item attributes of `other` replace those of the same items. The limits of this log on events per
        customer and its treatment of duplicates hold for the whole, also for what is yet to be read unless
        `options` say otherwise. Rows that only the whole sets aside have no number in `rejected`.

        Raises
        ------
        SchemaError
            If ids differ in type, or the order of events is told in another way.
        ArgumentError
            If there are options for a log that is read already.
        """
        if not isinstance(other, EventLog):
            options.setdefault("duplicates", self.duplicates)
            options.setdefault("max_events_per_customer", self.max_events_per_customer)
            other = type(self)._read(other, **options)
        elif options:
            expected = "no options beside an EventLog, which is read already"
            raise errors.bad_argument("append", sorted(options), expected)
        if self.time_kind != other.time_kind:
            raise errors.log.other_time_kind(other.time_kind, self.time_kind)
        log = self._settle(
            join_logs(self, other),
            item_table=join_items(self.item_table, other.item_table),
            duplicates=self.duplicates,
            max_events_per_customer=self.max_events_per_customer,
        )
        return replace(
            log,
            rejected=stack([self.rejected, other.rejected, log.rejected.drop_columns("row")]),
            ignored=tuple(dict.fromkeys(self.ignored + other.ignored)),
            n_relabelled=self.n_relabelled + other.n_relabelled,
        )

    def forget(self, customer_id: int | str) -> Self:
        """Return the log without any row of one customer, rejected rows included.

        Raises
        ------
        UnknownCustomerError
            If neither the log nor its rejected rows hold the customer.
        """
        place = self.customers.find(customer_id)
        theirs = _rows_of(self.rejected, customer_id)
        if place < 0 and not theirs.any():
            raise errors.answering.unknown_customer(customer_id, self.customers.kind)
        log = self if place < 0 else self.select(self.columns["customer_id"] != place)
        return replace(log, rejected=self.rejected.filter(pa.array(~theirs)))

    def select(self, keep: np.ndarray) -> Self:
        """Return the rows of a mask, or at these places in rising order, and the ids they use.

        Items of the item table stay, so that a training log still knows the whole catalogue. The rows left
        out are not among `rejected`, which comes back empty.
        """
        columns = {name: values[keep] for name, values in self.columns.items()}
        vocabularies = dict(self.vocabularies)
        for name, vocabulary in self.vocabularies.items():
            used = np.zeros(len(vocabulary) + 1, bool)
            used[columns[name]] = True
            if name == "item_id":
                used[vocabulary.indices(self.item_table["item_id"].combine_chunks())] = True
            used = used[:-1]
            if not used.all():
                places = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
                columns[name] = places[columns[name]]
                vocabularies[name] = vocabulary.subset(used)
        return replace(
            self,
            columns=columns,
            vocabularies=vocabularies,
            rejected=self.rejected.schema.empty_table(),
            n_relabelled=0,
        )


def _check_options(unit: object, on_bad: object, duplicates: object, most: object) -> None:
    if unit not in (None, "s", "ms", "us", "ns"):
        raise errors.bad_argument("unit", unit, 'one of "s", "ms", "us", "ns"')
    if on_bad not in ("raise", "quarantine"):
        raise errors.bad_argument("on_bad", on_bad, '"raise" or "quarantine"')
    if duplicates not in ("keep", "reject"):
        raise errors.bad_argument("duplicates", duplicates, '"keep" or "reject"')
    if not isinstance(most, int | np.integer) or isinstance(most, bool) or most < 1:
        raise errors.bad_argument("max_events_per_customer", most, "an integer of at least 1")


def _check_names(columns: object, event_types: object, itemless: object) -> None:
    for name, given, example in (
        ("columns", columns, '{"customer_id": "user"}'),
        ("event_types", event_types, '{"addtocart": "cart"}'),
    ):
        if given is None:
            continue
        if not isinstance(given, Mapping) or not all(
            isinstance(text, str) and text for pair in given.items() for text in pair
        ):
            raise errors.bad_argument(name, given, f"a mapping of names to names, such as {example}")
    if isinstance(itemless, str) or not isinstance(itemless, Collection):
        raise errors.bad_argument("itemless", itemless, "a collection of event types")


def _with_table_items(in_use: pa.Array, item_table: pa.Table) -> pa.Array:
    if not len(item_table):
        return in_use
    listed = item_table["item_id"].combine_chunks()
    if len(in_use) and in_use.type != listed.type:
        given, expected = Vocabulary.from_values(listed).kind, Vocabulary.from_values(in_use).kind
        raise errors.log.other_id_type("item_id", given, expected, "items")
    return pa.concat_arrays([in_use.cast(listed.type), listed])


def _rows_of(rejected: pa.Table, customer_id: int | str) -> np.ndarray:
    """Find a customer's rows among those set aside; joined logs may hold integers there as text."""
    ids = rejected["customer_id"]
    if pa.types.is_null(ids.type) or (pa.types.is_integer(ids.type) and isinstance(customer_id, str)):
        return np.zeros(len(ids), bool)
    ids = to_nfc(ids)
    text = unicodedata.normalize("NFC", str(customer_id))
    return np.asarray(pc.fill_null(pc.equal(ids, text), False).to_numpy(zero_copy_only=False))
