"""Availability: what may be shown, from a table and from updates since, and bound to the items of a model."""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from operator import or_
from typing import Any, Final, Self

import numpy as np

from engagelib.availability.arguments import check_kind, read_flags, read_ids, read_name
from engagelib.availability.bound import BoundAvailability
from engagelib.availability.digests import digest_of
from engagelib.availability.offers import Offers
from engagelib.availability.rows import NEVER_AFTER, NEVER_BEFORE, Rows, moments_of, stack
from engagelib.availability.scopes import Scope, code_of
from engagelib.availability.views import View
from engagelib.locks import WriterLock
from engagelib.tables import Cell, Table
from engagelib.times import spell
from engagelib.vocabulary import Id, Vocabulary

_SIDES: Final = ("channel", "location")


@dataclass(frozen=True)
class _State:
    """All that changes of an availability, replaced in one step: a reader meets all of an update or nothing.

    Attributes
    ----------
    codes
        Of channels and of locations: the code of each id, those of the table first.
    said
        Updates: the key of each scope and item, as in `Rows`; newer ones last.
    n_updates, n_bound
        How many updates and bindings there were.
    views
        What each model sees, by the number of its binding.
    """

    codes: tuple[Mapping[Id, int], ...]
    said: tuple[dict[tuple[Scope, Id], int], ...] = ()
    n_updates: int = 0
    n_bound: int = 0
    views: Mapping[int, View] = field(default_factory=dict)


class Availability:
    """What may be shown, by channel, location and window of time: a table, and updates since.

    A row of the table says that an item may be shown. It holds where its channel and its location are null
    or the ones that a call names, while `starts <= at < ends`, and unless its `quantity` is 0. An item may
    be shown if any of its rows holds. An item that no row names may not be shown.

    A call that names no channel, while the table names some, may show what is available in each of them: the
    answer may end up in any channel, and nothing is ever suggested that can't be fulfilled there. The same
    goes for locations; for a call that names neither, it goes for each pair of the two. In a channel that
    the table never names only those rows hold that are for every channel: no other says anything of it.

    Readers never wait, and never see half of an update: all that it changes is replaced in a single step, for
    every model that the availability is bound to.

    Use `Availability.from_frame`; the constructor trusts what it is given.
    """

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._names = tuple(offers.channels), tuple(offers.locations)
        self._n_named = len(offers.channels), len(offers.locations)
        self._has_windows = bool(offers.bounded.any())
        self._moments = moments_of(offers.rows(np.arange(len(offers.items), dtype=np.int32)))
        self._lock = WriterLock()
        channels, locations = ({id_: code for code, id_ in enumerate(names)} for names in self._names)
        self._state = _State((channels, locations))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        columns: Mapping[str, str] | None = None,
        unit: str | None = None,
        text_ids: bool = False,
    ) -> Self:
        """Read a table of what is offered.

        Columns of the input
        --------------------
        item_id
            Required: integers or strings throughout, as in `EventLog`.
        channel, location
            Integers or strings; null, an empty string or no such column means every one.
        starts, ends
            Times, dates, text in ISO 8601 or numbers in `unit`, from 1990 to 2200; naive times are UTC. The
            end is not included. Null means no bound.
        quantity
            Numbers of at least 0, of which only 0 matters: nothing here counts down. Null means not counted.

        Others are not read; `summary` lists them. A table without rows makes nothing available; it needs the
        column `item_id` all the same, so that an empty answer is told from a wrong one.

        Parameters
        ----------
        frame
            A path to Parquet or CSV, a frame with the Arrow stream protocol (pandas, polars, pyarrow and
            others), a mapping of columns or a list of records.
        columns
            Names in the input for ours, as in `{"item_id": "sku"}`.
        unit
            Unit of numeric times: "s" (default), "ms", "us" or "ns".
        text_ids
            True writes integer ids as text, as the same option of `EventLog` does.

        Raises
        ------
        SchemaError
            If `item_id` is missing or null, a window ends before or when it starts, a quantity is negative or
            infinite, a time lies outside the years 1990 to 2200, or a column has a wrong type.
        ArgumentError
            If `frame` is no table, or an option is none.
        """
        from engagelib.availability.reading import read_offers

        return cls(read_offers(frame, columns=columns, unit=unit, text_ids=text_ids))

    def __getstate__(self) -> dict[str, Any]:
        """Travel to another process, or into a copy, without what is bound here."""
        return {**self.__dict__, "_state": replace(self._state, views={}, n_bound=0)}

    def __repr__(self) -> str:
        channels, locations = self._n_named
        windows = "windows of time" if self.has_windows else "no windows"
        return (
            f"Availability({self.n_rows:,} rows of {len(self._offers.items):,} items, {channels:,} channels, "
            f"{locations:,} locations, {windows}, {self._state.n_updates:,} updates)"
        )

    @property
    def n_rows(self) -> int:
        """Number of rows of the table."""
        return len(self._offers)

    @property
    def has_windows(self) -> bool:
        """Whether any row of the table has a window of time, so that a call has to name its moment."""
        return self._has_windows

    @property
    def channels(self) -> tuple[Id, ...]:
        """The channels that the table names, sorted."""
        return self._names[0]

    @property
    def locations(self) -> tuple[Id, ...]:
        """The locations that the table names, sorted."""
        return self._names[1]

    def summary(self) -> Table:
        """Say what was read, and what was told since."""
        offers, said = self._offers, self._said()
        windows = int(offers.bounded.sum())
        out_of_stock = len(offers) - int(offers.in_stock.sum())
        rows: list[tuple[Cell, ...]] = [
            ("rows", len(offers), f"{out_of_stock:,} of them out of stock" if out_of_stock else ""),
            ("items", len(offers.items), ""),
            *(
                (f"{side}s", len(names), _first(names))
                for side, names in zip(_SIDES, self._names, strict=True)
            ),
            ("windows", windows, self._span() if windows else "calls need no moment"),
            ("updates", self._state.n_updates, f"of {len({id_ for _, id_ in said}):,} items" if said else ""),
        ]
        if offers.ignored:
            rows.append(("columns not read", len(offers.ignored), _first(offers.ignored)))
        return Table(("what", "count", "remark"), tuple(rows), title="Availability")

    def _span(self) -> str:
        bounds = np.append(self._offers.starts, self._offers.ends)
        bounds = bounds[(bounds > NEVER_BEFORE) & (bounds < NEVER_AFTER)]
        return f"{spell(bounds.min())} to {spell(bounds.max())} UTC"

    def digest(self) -> str:
        """Return a blake2b of all that the availability says, in hexadecimal digits.

        It is the same for the same rows in any order, and for the same updates in any order in which they
        come to the same. Of quantities it matters only whether they are 0.
        """
        return digest_of(self._offers, tuple(map(list, self._state.codes)), self._said())

    def _said(self) -> dict[tuple[Scope, Id], int]:
        every: dict[tuple[Scope, Id], int] = {}
        for run in self._state.said:
            every |= run
        return every

    def update(
        self,
        item_ids: Any,
        available: Any,
        *,
        channel: Id | None = None,
        location: Id | None = None,
    ) -> None:
        """Say of some items whether they may be shown from now on, whatever the table or earlier updates say.

        It supersedes windows and quantities too, until a table is read again, and for these items alone.
        An item that a model does not know is kept for models that do. A channel or location that the table
        never names becomes known to calls that name it; where a call names none, a refusal in such a place
        counts as one anywhere, and nothing else there does.

        Costs what changed, and a copy of each mask in use that it touches.

        Parameters
        ----------
        item_ids
            A list, array or series of ids, of the type that the table has. Of an item named twice the last
            value counts.
        available
            True or False for all, or a sequence of these, one for each item.
        channel, location
            Where it holds; None for every channel or location.

        Raises
        ------
        ArgumentError
            If an id is null, or its type or that of the channel or location is none that the table has;
            or if `available` is neither a boolean nor one for each item. Nothing is changed then.
        SchemaError
            If ids are of several types, or of a type that no id can have.
        """
        ids = read_ids(item_ids)
        flags = dict(zip(ids, read_flags(available, len(ids)), strict=True))
        names = read_name("channel", channel), read_name("location", location)
        if not flags:
            return
        with self._lock:
            state = self._state
            check_kind("item_ids", ids[0], self._an_item())
            codes = tuple(map(_with_name, _SIDES, names, state.codes))
            scope = code_of(codes[0], names[0]), code_of(codes[1], names[1])
            keys = 2 * (state.n_updates + 1) + np.fromiter(flags.values(), np.int64, len(flags))
            newest = dict(zip(zip(repeat(scope), flags, strict=False), keys.tolist(), strict=True))
            self._state = replace(
                state,
                codes=codes,
                said=stack(state.said, newest, or_),
                n_updates=state.n_updates + 1,
                views={
                    number: view.updated(list(flags), keys, scope)
                    for number, view in state.views.items()
                    if view.bound() is not None
                },
            )

    def _an_item(self) -> Id | None:
        """Return any id that the table or an update has, None where there is none."""
        if len(self._offers.items):
            return self._offers.items[0]
        return next((id_ for run in self._state.said for _, id_ in run), None)

    def bind(self, items: Vocabulary) -> BoundAvailability:
        """Return the availability as the items of one model see it; it follows later updates by itself.

        Items of which the availability does not speak may not be shown. Nothing keeps what is bound alive
        but those who hold it.
        """
        places = items.indices(self._offers.items)
        rows = self._offers.rows(places)
        with self._lock:
            state = self._state
            bound = BoundAvailability(self, items, state.n_bound, int((places < 0).sum()))
            updates = _rows_of(self._said(), items)
            view = View(
                weakref.ref(bound),
                items,
                (rows, updates) if len(updates) else (rows,),
                self._moments,
                self._n_named,
                {},
            )
            views = {number: seen for number, seen in state.views.items() if seen.bound() is not None}
            self._state = replace(state, n_bound=state.n_bound + 1, views=views | {state.n_bound: view})
        return bound


def _with_name(side: str, name: Id | None, codes: Mapping[Id, int]) -> Mapping[Id, int]:
    """Return codes in which a name has one."""
    if name is None or name in codes:
        return codes
    check_kind(side, name, next(iter(codes), None))
    return {**codes, name: len(codes)}


def _rows_of(said: Mapping[tuple[Scope, Id], int], items: Vocabulary) -> Rows:
    """Return what updates say of a model's items."""
    scopes = np.array([scope for scope, _ in said], np.int32).reshape(-1, 2)
    index = items.indices([id_ for _, id_ in said])
    kept = np.flatnonzero(index >= 0)
    kept = kept[np.lexsort((scopes[kept, 1], scopes[kept, 0]))]
    keys = np.fromiter(said.values(), np.int64, len(said))
    return Rows(index[kept], scopes[kept, 0], scopes[kept, 1], keys[kept])


def _first(names: Iterable[Id]) -> str:
    """Spell the first of some names."""
    shown = [str(name) for name in islice(names, 9)]
    return ", ".join(shown if len(shown) < 9 else [*shown[:8], "..."])
