"""EventLog: what customers did, read, checked and normalised; what is refused is kept and reported."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.events.customers import (
    join_identities,
    join_maps,
    rows_of,
    spell_log,
    without_ids,
)
from engagelib.events.items import item_for_sale, item_texts, join_items, no_items, read_items
from engagelib.events.joining import join_logs, stack
from engagelib.events.options import (
    ITEMLESS,
    Duplicates,
    OnBad,
    ReadOptions,
    check_map,
    check_names,
    check_options,
)
from engagelib.events.reading import ID_COLUMNS, Reading, read_events
from engagelib.events.refusals import (
    REPEATED,
    number_histories,
    repeats,
)
from engagelib.events.reports import report_on
from engagelib.events.settling import in_use, settle
from engagelib.frames import open_table
from engagelib.identity import Identity, IdentityMap
from engagelib.strings import StringColumn
from engagelib.tables import Table
from engagelib.times import Moment, to_microseconds
from engagelib.vocabulary import Vocabulary

__all__ = ["Duplicates", "EventLog", "OnBad", "ReadOptions", "TimeKind"]

TimeKind = Literal["timestamp", "position", "set"]


@dataclass(frozen=True, eq=False)
class EventLog:
    """A checked log of events, one row each, in the order of the input.

    Read one with `EventLog.read`, `EventLog.from_frame` or `EventLog.from_records`; they take the same
    options. A log is never changed: `append`, `link`, `forget` and `select` return another one.

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
    identities
        An `IdentityMap`: each row's customer is then the canonical id of its identity, which is the plain
        `customer_id` or, where the map has a `column`, a pair of the namespace in that column and the
        `customer_id`. All that follows is per customer: histories, bots, duplicates, `forget`.
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
        The rows that were set aside, with their `row` in the input and a `reason`; where the log was read
        with `identities`, also the `identity` under which each came.
    identities
        The map that the customers were resolved with, which stays as it was then; None without one.
    identities_read
        The distinct identities under which rows came, an Arrow array; None without `identities`. Identities
        of customers who are no longer in the log may be among them.
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
    identities: IdentityMap | None = None
    identities_read: pa.Array | None = field(default=None, repr=False)

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
        identities: IdentityMap | None = None,
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
        check_options(unit, on_bad, duplicates, max_events_per_customer)
        check_names(columns, event_types, itemless)
        identities = check_map(identities, text_ids=text_ids)
        ids = {(columns or {}).get(name, name) for name in ID_COLUMNS}
        texts = () if identities is None or identities.column is None else (identities.column,)
        reading = read_events(
            open_table(source, ids=ids, texts=texts),
            columns=columns,
            unit=unit,
            at=None if at is None else to_microseconds(at),
            event_types=event_types,
            itemless=itemless,
            text_ids=text_ids,
            identities=identities,
        )
        if on_bad == "raise":
            reading.refused.raise_first()
        return cls._settle(
            reading,
            item_table=no_items() if items is None else read_items(items, text_ids=text_ids),
            duplicates=duplicates,
            max_events_per_customer=int(max_events_per_customer),
            identities=identities,
        )

    @classmethod
    def _settle(
        cls,
        reading: Reading,
        *,
        item_table: pa.Table,
        duplicates: Duplicates,
        max_events_per_customer: int,
        identities: IdentityMap | None,
    ) -> Self:
        settled = settle(reading, item_table, duplicates, max_events_per_customer)
        return cls(
            columns=settled.columns,
            vocabularies=settled.vocabularies,
            time_kind=reading.time_kind,
            item_table=item_table,
            rejected=settled.rejected,
            duplicates=duplicates,
            max_events_per_customer=max_events_per_customer,
            ignored=reading.ignored,
            n_relabelled=settled.n_relabelled,
            identities=identities,
            identities_read=settled.identities_read,
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

        What is yet to be read is read with this log's `identities`, unless `options` name others. Where both
        logs have some, they are joined, those of this log first, and all customers resolved anew.

        Item attributes of `other` replace those of the same items. The limits of this log on events per
        customer and its treatment of duplicates hold for the whole, also for what is yet to be read unless
        `options` say otherwise. Rows that only the whole sets aside have no number in `rejected`.

        Raises
        ------
        SchemaError
            If ids differ in type, or the order of events is told in another way.
        ArgumentError
            If there are options for a log that is read already, or the maps of both logs look for the
            namespaces in different columns.
        """
        if not isinstance(other, EventLog):
            options.setdefault("duplicates", self.duplicates)
            options.setdefault("max_events_per_customer", self.max_events_per_customer)
            options.setdefault("identities", self.identities)
            other = type(self)._read(other, **options)
        elif options:
            expected = "no options beside an EventLog, which is read already"
            raise errors.bad_argument("append", sorted(options), expected)
        if self.time_kind != other.time_kind:
            raise errors.log.other_time_kind(other.time_kind, self.time_kind)
        return self._joined((self, other), join_maps(self.identities, other.identities))

    def link(self, identities: IdentityMap) -> Self:
        """Return the log with the customers of a map made one, as if it had been read with that map too.

        Links of `self.identities` stay, and come first. Namespaces are taken into account where this log
        was read without a map and has the column that `identities` names. Rows that are duplicates or of a
        bot only now are set aside; they have no number in `rejected`.

        Raises
        ------
        ArgumentError
            If `identities` is no map, or looks for namespaces in another column than the log's own map.
        SchemaError
            If the log lacks the column with the namespaces or was linked without it, or a canonical id
            differs in type from the customers here.
        """
        joined = check_map(identities, text_ids=False)
        if joined is None:
            raise errors.identity.not_a_map(identities)
        log = self
        if self.identities is not None:
            if self.identities.column is None and joined.column is not None:
                raise errors.identity.late_namespaces(joined.column)
            joined = self.identities.merged_with(joined).settled()
        elif joined.column is not None:
            customers, codes, rejected = spell_log(self, joined.column)
            log = replace(
                self,
                columns={**self.columns, "customer_id": codes},
                vocabularies={**self.vocabularies, "customer_id": customers},
                rejected=rejected,
            )
        return self._joined((log,), joined)

    def _joined(self, logs: "Sequence[EventLog]", identities: IdentityMap | None) -> Self:
        """Settle logs anew, one after the other, with this log's limits and one map for all of them."""
        item_table = logs[0].item_table
        for log in logs[1:]:
            item_table = join_items(item_table, log.item_table)
        joined = self._settle(
            join_logs(logs, identities),
            item_table=item_table,
            duplicates=self.duplicates,
            max_events_per_customer=self.max_events_per_customer,
            identities=identities,
        )
        return replace(
            joined,
            rejected=stack([*(log.rejected for log in logs), joined.rejected.drop_columns("row")]),
            ignored=tuple(dict.fromkeys(name for log in logs for name in log.ignored)),
            n_relabelled=sum(log.n_relabelled for log in logs),
            identities_read=join_identities(logs, identities),
        )

    def forget(self, customer_id: Identity) -> Self:
        """Return the log without any row of one customer, rejected rows included, nor any link to them.

        Parameters
        ----------
        customer_id
            Any identity of the customer, a plain id or a pair; all of them are forgotten.

        Raises
        ------
        UnknownCustomerError
            If neither the log nor its rejected rows nor its identities hold the customer.
        ArgumentError
            If it is no identity.
        """
        linked = self.identities if self.identities is not None else IdentityMap()
        members = linked.members(customer_id)
        place = self.customers.find(linked.canonical(customer_id))
        theirs = rows_of(self.rejected, members, as_text=linked.text_ids)
        if place < 0 and not theirs.any() and len(members) == 1:
            raise errors.answering.unknown_customer(members[0], self.customers.kind)
        log = self if place < 0 else self.select(self.columns["customer_id"] != place)
        if self.identities is not None:
            log = replace(
                log,
                identities=linked.without(customer_id).settled(),
                identities_read=without_ids(log.identities_read, members),
            )
        return replace(log, rejected=self.rejected.filter(pa.array(~theirs)))

    def select(self, keep: np.ndarray) -> Self:
        """Return the rows of a mask, or at these places in rising order, and the ids they use.

        Items of the item table stay, so that a training log still knows the whole catalogue. The rows left
        out are not among `rejected`, which comes back empty.
        """
        columns = {name: values[keep] for name, values in self.columns.items()}
        vocabularies = dict(self.vocabularies)
        for name, vocabulary in self.vocabularies.items():
            used = in_use(columns[name], len(vocabulary))
            if name == "item_id":
                used[vocabulary.indices(self.item_table["item_id"].combine_chunks())] = True
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
