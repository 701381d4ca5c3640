"""Live: what was observed, linked and forgotten since fitting, laid over what was learned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from engagelib import errors
from engagelib.histories import Histories
from engagelib.identity import Identity, IdentityMap, spelled
from engagelib.recommender.observing import Observed
from engagelib.vocabulary import Id, Vocabulary
from engagelib.weaving import join_rows, stack_rows

_COLUMN_OF = {"channel": "channel", "location": "location", "order": "order_id", "session": "session_id"}

_IDENTITIES = (str, int, tuple, np.integer)
_NOBODY = np.array([-1])


class Entry:
    """One customer's history as it stands now: rows of the learned histories, and events observed since.

    An entry never changes: a writer puts another one in its place. Entries share one growing list of events,
    of which each reads its first `n_events`.

    Parameters
    ----------
    rows
        Rows of the learned histories that are this customer's, oldest identity first.
    events
        Observed events, in the order in which they came.
    """

    __slots__ = ("_history", "events", "n_events", "rows")

    def __init__(self, rows: tuple[int, ...] = (), events: list[Observed] | None = None) -> None:
        self.rows = rows
        self.events: list[Observed] = [] if events is None else events
        self.n_events = len(self.events)
        self._history: Histories | None = None

    @property
    def known(self) -> bool:
        """Whether there is any history; there is none of whom was forgotten."""
        return bool(self.rows or self.n_events)

    def observed(self) -> list[Observed]:
        """Return the events observed since fitting."""
        return self.events[: self.n_events]

    def followed_by(self, events: Sequence[Observed]) -> "Entry":
        """Return the entry with more events; only the newest entry of a customer may be asked."""
        self.events.extend(events)
        return Entry(self.rows, self.events)

    def joined_with(self, other: "Entry") -> "Entry":
        """Return one entry for two that are one customer."""
        events = sorted([*self.observed(), *other.observed()], key=lambda event: event.number)
        return Entry((*self.rows, *(row for row in other.rows if row not in self.rows)), events)

    def history(self, learned: Histories, event_types: tuple[str, ...]) -> Histories:
        """Return the one row of all of it; it is woven when it is first asked for."""
        history = self._history
        if history is None:
            rows = np.array(self.rows or (-1,))
            history = join_rows(learned.take(rows))
            if self.n_events:
                newer = _as_row(self.observed(), history, event_types)
                history = join_rows(stack_rows([history, newer]))
            self._history = history = history.with_shares()
        return history


@dataclass(frozen=True)
class Live:
    """The overlay of one process over the `Histories` that were learned from.

    Readers take no lock. They look up who an identity is, and then one entry: whatever a writer does
    meanwhile, they see that customer before it or after it. Writers hold the recommender's lock.

    Attributes
    ----------
    base
        What was learned from.
    identities
        What the log, or an earlier process, knew of identities; None where it knew none.
    entries
        By canonical id the history as it stands now, of those alone whose history changed.
    visits
        The same of visits without a customer, by their session or order.
    aliases
        Canonical ids that were linked since, and what they lead to.
    links
        All links, those of `identities` and those made since; only writers read it.
    event_types
        Those of `base`, and others that were observed.
    n_forgotten
        How many customers of `base` were forgotten.
    n_forgets
        How often anybody was forgotten since `base` was learned or saved.
    forgotten
        The ids of all who were forgotten: a model that still knows them can't bring them back.
    latest
        One element: the newest time that was observed, in microseconds, or 0.
    names
        By canonical id every id that leads to it, of those alone that were linked since.

    The dictionaries and lists change in place, one step at a time; all else is replaced as a whole.
    """

    base: Histories
    identities: IdentityMap | None
    entries: dict[Id, Entry]
    visits: dict[tuple[str, Id], Entry]
    aliases: dict[Id, Id]
    links: IdentityMap
    event_types: list[str]
    n_forgotten: int = 0
    n_forgets: int = 0
    forgotten: frozenset[Id] = frozenset()
    latest: list[int] = field(default_factory=lambda: [0])
    names: dict[Id, tuple[Id, ...]] = field(default_factory=dict)

    @classmethod
    def over(cls, base: Histories, identities: IdentityMap | None) -> "Live":
        """Return an overlay that nothing was observed in yet."""
        links = IdentityMap() if identities is None else identities.copy()
        return cls(base, identities, {}, {}, {}, links, list(base.event_types))

    @property
    def is_empty(self) -> bool:
        """Whether answers are those of what was learned alone."""
        return not (self.entries or self.aliases or self.visits)

    @property
    def newest(self) -> int | None:
        """The newest moment known, what was observed included; None where the log has no times."""
        if self.base.time_kind != "timestamp" or self.base.newest is None:
            return self.base.newest
        return max(self.base.newest, self.latest[0])

    def as_of_now(self, block: Histories) -> Histories:
        """Return histories whose ages are counted from the newest moment known."""
        return block.as_of(self.newest)

    # Readers

    def who(self, identity: Any) -> Id | None:
        """Return the canonical id of an identity; an unknown one is its own.

        None is what can be nobody's id, such as True or 7.5: to ask about it is no error, and finds nobody.
        """
        if not isinstance(identity, _IDENTITIES) or isinstance(identity, bool):
            return None
        try:
            key = spelled(cast(Identity, identity))
        except errors.ArgumentError:  # a tuple that is no pair
            return None
        if self.identities is not None:
            key = self.identities.canonical(key)
        return self.aliases.get(key, key) if self.aliases else key

    def names_of(self, key: Id) -> list[Id]:
        """Return every id that leads to a canonical one, itself first."""
        found = [key, *self.names.get(key, ())]
        if self.identities is not None:
            found += self.identities.members(key)
        return list(dict.fromkeys(found))

    def find(self, identity: Any) -> tuple[bool, Histories]:
        """Return whether a customer is known, and the history, one row."""
        key = self.who(identity)
        entry = self.entries.get(key) if self.entries and key is not None else None
        if entry is not None:
            return entry.known, self.row_of(entry)
        row = self.base.customers.find(key)
        return row >= 0, self.as_of_now(
            self.base.block(row, row + 1) if row >= 0 else self.base.take(_NOBODY)
        )

    def row_of(self, entry: Entry) -> Histories:
        """Return the history of an entry, one row."""
        return self.as_of_now(entry.history(self.base, tuple(self.event_types)))

    def take(self, keys: Sequence[Id | None] | None, rows: np.ndarray) -> tuple[Histories, np.ndarray]:
        """Return the histories of many customers, and whether each is known.

        Parameters
        ----------
        keys
            Canonical ids; None where there are no entries to look up.
        rows
            Their rows in `base`, -1 where there is none.
        """
        block, known = self.as_of_now(self.base.take(rows)), np.asarray(rows) >= 0
        if keys is None or not self.entries:
            return block, known
        # No entry has the key None.
        found = [(place, entry) for place, entry in enumerate(map(self.entries.get, keys)) if entry]  # type: ignore[arg-type]
        if not found:
            return block, known
        order = np.arange(len(rows))
        for below, (place, entry) in enumerate(found):
            order[place], known[place] = len(rows) + below, entry.known
        return stack_rows([block, *(self.row_of(entry) for _, entry in found)]).take(order), known

    def stale_rows(self, entries: Mapping[Id, Entry]) -> np.ndarray:
        """Return the rows of `base` that some of the entries, or forgetting, stand in place of."""
        owners = (self.base.customers.find(key) for key in (*entries, *self.aliases))
        rows = {row for entry in entries.values() for row in entry.rows}
        return np.array(sorted({*rows, *owners} - {-1}), np.int64)

    def customers(self) -> Vocabulary:
        """Return the customers known now: without whom was forgotten, of linked ones the id that stays."""
        entries = dict(self.entries)
        return self.base.customers if not entries else self.joint_customers(entries)[0]

    def joint_customers(self, entries: Mapping[Id, Entry]) -> tuple[Vocabulary, Vocabulary, list[Id]]:
        """Return the customers known now, those of them whose row stands, and those that have an entry."""
        stale = self.stale_rows(entries)
        stands = np.ones(self.base.n_customers, bool)
        stands[stale[stale < self.base.n_customers]] = False
        fresh = [key for key, entry in entries.items() if entry.known and key not in self.aliases]
        old = self.base.customers.subset(stands)
        return _joined(old, fresh), old, fresh

    # Writers

    def certainly(self, identity: Identity) -> Id:
        """Return the canonical id of an identity, and refuse what can be nobody's id."""
        key = self.who(spelled(identity))
        assert key is not None  # it was spelled
        return key

    def observe(self, key: Id | None, events: Sequence[Observed]) -> None:
        """Append events in one step to a customer's history, by canonical id, or to anonymous visits."""
        for event in events:
            if event.event_type not in self.event_types:
                self.event_types.append(event.event_type)
            if event.time is not None and event.time > self.latest[0]:
                self.latest[0] = event.time
        if key is not None:
            self.entries[key] = self._entry(key).followed_by(events)
            return
        for event in events:
            visit = event.visit()
            self.visits[visit] = self.visits.get(visit, Entry()).followed_by([event])

    def link(self, first: Identity, second: Identity) -> Id:
        """Make one customer of two identities; return the id that stays.

        It is the older one, as in `IdentityMap.link`; an id of another type than the customers have can't
        stay.
        """
        one, other = self.certainly(first), self.certainly(second)
        if one == other:
            return one
        misfits = [key for key in (one, other) if not self._fits(key)]
        if len(misfits) == 2 or any(len(self.links.members(key)) > 1 for key in misfits):
            raise errors.live.other_id_type(misfits[0], self.base.customers.kind)
        if misfits == [one]:
            one, other = other, one
        mine, theirs = self._entry(one), self._entry(other)
        names = {one: self.links.members(one), other: self.links.members(other)}
        kept = self.links.link(one, other)
        gone, leaving, staying = (other, theirs, mine) if kept == one else (one, mine, theirs)
        # In this order a reader finds either the two histories or the joint one, under both names.
        self.entries[kept] = staying.joined_with(leaving)
        for alias in names[gone]:
            if self.aliases.get(alias) == gone:
                self.aliases[alias] = kept
        self.aliases[gone] = kept
        self.names[kept] = (*names[kept], *names[gone])
        return kept

    def without(self, customer: Identity) -> "Live":
        """Forget a customer under every name; return the overlay without the links between them.

        From the first step on, whoever asks under any of the names is unknown.
        """
        key = self.certainly(customer)
        names = {key, *(alias for alias, leads_to in self.aliases.items() if leads_to == key)}
        is_learned = any(self.base.customers.find(name) >= 0 for name in names)
        is_learned &= key not in self.entries or bool(self.entries[key].rows)
        for name in names:
            self.entries[name] = Entry()
        identities = self.identities
        for name in names:
            identities = None if identities is None else identities.without(name)
        links = self.links.without(key)
        aliases = {alias: leads_to for alias, leads_to in self.aliases.items() if leads_to != key}
        linked = {kept: listed for kept, listed in self.names.items() if kept != key}
        return replace(
            self, identities=identities, aliases=aliases, links=links, names=linked,
            n_forgotten=self.n_forgotten + is_learned, n_forgets=self.n_forgets + 1,
            forgotten=self.forgotten | names,
        )  # fmt: skip

    def snapshot(self) -> "Live":
        """Return a copy that no later writer changes."""
        return replace(
            self, entries=dict(self.entries), visits=dict(self.visits), aliases=dict(self.aliases),
            links=self.links.copy(), event_types=list(self.event_types), latest=list(self.latest),
            names=dict(self.names),
        )  # fmt: skip

    def knows(self, customer: Identity) -> bool:
        """Say whether there is anything to forget."""
        key = self.who(customer)
        if key is None:
            return False
        entry = self.entries.get(key)
        known = entry.known if entry is not None else self.base.customers.find(key) >= 0
        return known or len(self.links.members(key)) > 1

    def rebased(self, base: Histories, identities: IdentityMap | None) -> "Live":
        """Lay the overlay over histories that were learned anew.

        Links and what was forgotten stay. Of the events those stay that are later than all that the new
        histories know: the others are in them already, or came too late for them. Without timestamps
        nothing tells, and all stay.
        """
        live = Live.over(base, identities)
        for gone, kept in self.aliases.items():
            live.link(kept, gone)
        for name in self.forgotten:
            if live.knows(name):
                live = live.without(name)
        live = replace(live, forgotten=live.forgotten | self.forgotten)
        newest = base.newest if base.time_kind == "timestamp" else None

        def later(entry: Entry) -> list[Observed]:
            observed = entry.observed()
            if newest is None:
                return observed
            return [event for event in observed if event.time is None or event.time > newest]

        return self._carried(live, later)

    def beyond(self, saved: "Live", base: Histories, identities: IdentityMap | None, number: int) -> "Live":
        """Lay what came after a save over it: events from `number` on, links made and customers forgotten."""
        live = Live.over(base, identities)
        for gone, kept in self.aliases.items():
            if gone not in saved.aliases:
                live.link(kept, gone)
        for name in self.forgotten - saved.forgotten:
            if live.knows(name):
                live = live.without(name)
        live = replace(live, forgotten=live.forgotten | self.forgotten)

        def since(entry: Entry) -> list[Observed]:
            return [event for event in entry.observed() if event.number >= number]

        return self._carried(live, since)

    def _carried(self, live: "Live", wanted: Callable[[Entry], list[Observed]]) -> "Live":
        """Observe the events of this overlay that are wanted in another one."""
        for key, entry in self.entries.items():
            if events := wanted(entry):
                customer = live.certainly(key)
                live.check_type(customer)
                live.observe(customer, events)
        for entry in self.visits.values():
            live.observe(None, wanted(entry))
        return live

    def _entry(self, key: Id) -> Entry:
        entry = self.entries.get(key)
        if entry is not None:
            return entry
        row = self.base.customers.find(key)
        return Entry((row,) if row >= 0 else ())

    def check_type(self, key: Id) -> None:
        """Refuse a canonical id of another type than the customers have: no file could hold both."""
        if not self._fits(key):
            raise errors.live.other_id_type(key, self.base.customers.kind)

    def _fits(self, key: Id) -> bool:
        customers = self.base.customers
        if len(customers):
            return isinstance(key, str) == (customers.kind == "str")
        other = next(iter(self.entries), key)
        return isinstance(key, str) == isinstance(other, str)


def _as_row(events: list[Observed], before: Histories, event_types: tuple[str, ...]) -> Histories:
    """Make a row of observed events, which follow the one row of `before` where they name no time."""
    n = len(events)
    # A low rating counts, also in a shop whose log held none when it was read.
    first = {"rating"} if any("rating" in event.numbers for event in events) else set()
    values: dict[str, Any] = {
        "numbers": {
            name: np.array([event.numbers.get(name, np.nan) for event in events], np.float32)
            for name in dict.fromkeys((*before.numbers, *first))
        },
        "codes": {
            ours: np.array([_find(before, ours, event) for event in events], np.int32)
            for ours in before.codes
        },
    }
    items = [-1 if event.item_id is None else before.items.find(event.item_id) for event in events]
    places = {name: place for place, name in enumerate(event_types)}
    return Histories(
        customers=before.customers,
        items=before.items,
        event_types=event_types,
        time_kind=before.time_kind,
        indptr=np.array([0, n], np.int64),
        item_index=np.array(items, np.int32),
        event_type=np.array([places[event.event_type] for event in events], np.int16),
        time=_times(events, before),
        tables=before.tables,
        newest=before.newest,
        item_types=before.item_types,
        **values,
    )


def _find(before: Histories, ours: str, event: Observed) -> int:
    value = event.names.get(_COLUMN_OF[ours])
    return -1 if value is None else before.tables[ours].find(value)


def _times(events: list[Observed], before: Histories) -> np.ndarray | None:
    """Return the times of events; those that name none come after all that came before them."""
    if before.time is None:
        return None
    times = []
    latest = int(before.time[-1]) if len(before.time) else 0
    step, least = (0, before.newest or 0) if before.time_kind == "timestamp" else (1, -(2**62))
    for event in events:
        time = max(latest + step, least) if event.time is None else event.time
        times.append(time)
        latest = max(latest, time)
    return np.array(times, np.int64)


def _joined(customers: Vocabulary, more: list[Id]) -> Vocabulary:
    import pyarrow as pa

    if not len(customers) or not more:
        return Vocabulary.from_values(more) if more else customers
    old = customers.to_arrow()
    return Vocabulary.from_values(pa.concat_arrays([old, pa.array(more, old.type)]))
