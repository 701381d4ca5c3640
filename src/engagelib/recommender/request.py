"""Request: what one call to a recommender asks for, checked once and turned into indices."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, cast

import numpy as np

from engagelib import errors
from engagelib.availability import BoundAvailability
from engagelib.errors import shown
from engagelib.histories import Histories
from engagelib.identity import Identity, spelled
from engagelib.recommender.diversifying import Spread
from engagelib.recommender.repeating import Repeats
from engagelib.recommender.rules import CompiledRules
from engagelib.recommender.serving import Serving, with_rules
from engagelib.scoring import Rows
from engagelib.times import Moment, to_microseconds
from engagelib.vocabulary import Id, Vocabulary

ExcludeSeen = Literal["purchased", "any", "none"]
OnUnknown = Literal["popular", "raise"]


@dataclass(frozen=True)
class SeenRule:
    """Which items of a history a list leaves out.

    Attributes
    ----------
    exclude_seen, repeat
        As in `Recommender.recommend`.
    repeats
        Which items are bought again.
    at
        Microseconds since 1970; later events are not read. None for all.
    """

    exclude_seen: ExcludeSeen
    repeat: bool | None
    repeats: Repeats
    at: int | None = None

    @classmethod
    def check(cls, exclude_seen: Any, repeat: Any, repeats: Repeats, at: int | None = None) -> Self:
        """Check the two arguments of a call."""
        if exclude_seen not in ("purchased", "any", "none"):
            raise errors.bad_argument("exclude_seen", exclude_seen, '"purchased", "any" or "none"')
        if not (repeat is None or isinstance(repeat, bool | np.bool_)):
            raise errors.bad_argument("repeat", repeat, "True, False or None")
        return cls(exclude_seen, None if repeat is None else bool(repeat), repeats, at)

    def leaves_only_new(self, item_types: tuple[str, ...]) -> bool:
        """Say whether nothing is listed that the customer met before, in a log of these types on items."""
        if self.exclude_seen == "any":
            return not self.repeat
        one_type = len(set(item_types) - {"return"}) <= 1
        return self.repeat is False and self.exclude_seen == "purchased" and one_type

    def excluded(self, block: Histories) -> Rows | None:
        """Return the items that each history of a block rules out, None where none does."""
        purchased_too = self.exclude_seen != "none" if self.repeat is None else not self.repeat
        if self.exclude_seen != "any":
            if not purchased_too:
                return None
            by_item = self.repeat is None and self.exclude_seen == "purchased"
            met = block.met("purchased", at=self.at, without=self.repeats.returns if by_item else None)
        elif purchased_too:
            met = block.met("any", at=self.at)
        else:
            from scipy.sparse import csr_array

            looked_at = csr_array(block.seen("any", at=self.at) - block.seen("purchased", at=self.at))
            looked_at.eliminate_zeros()
            met = Rows(looked_at.indptr, looked_at.indices, looked_at.data, looked_at.shape)
        return met if met.nnz else None


@dataclass(frozen=True)
class Request:
    """The arguments of `Recommender.recommend` as arrays.

    Attributes
    ----------
    k, fill
        As they were given.
    width
        Longest list that can come of it: `k`, or all items where they are fewer.
    at
        Microseconds since 1970 up to which histories are read, None for all that is known.
    location
        Code of the location, None where popularity is the same everywhere or the location is unknown.
    allowed
        True for items that may be listed to anybody in this call, bool of shape (n_items,).
    candidates, available
        The two masks among those that went into `allowed` that a short list is explained by; None where
        the call, or the shop, names none.
    place
        Where the items are to be had, in words.
    rules
        The rules of the call, None where there are none.
    spread
        How lists are arranged beside their scores, None where they are not.
    seen
        What of a history is left out.
    session, basket
        Item indices, oldest first.
    ignored
        How many unknown ids each argument held.
    """

    k: int
    width: int
    at: int | None
    location: int | None
    allowed: np.ndarray
    candidates: np.ndarray | None
    available: np.ndarray | None
    place: str
    rules: CompiledRules | None
    spread: Spread | None
    seen: SeenRule
    fill: bool
    session: np.ndarray
    basket: np.ndarray
    ignored: dict[str, int]

    @classmethod
    def check(
        cls,
        serving: Serving,
        *,
        k: Any,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        exclude: Iterable[Id] | None = (),
        candidates: Iterable[Id] | None = None,
        exclude_seen: Any = "purchased",
        repeat: Any = None,
        fill: Any = True,
        on_unknown: Any = "popular",
        rules: Any = (),
        session: Iterable[Id] | None = (),
        basket: Iterable[Id] | None = (),
        diversity: Any = 0.0,
        max_per_category: Any = None,
        explore: Any = 0.0,
        rng: Any = 0,
    ) -> Self:
        """Check the arguments of a call; see `Recommender.recommend` for what each may be.

        A call that names no item is checked once, and answered from memory until something changes: most
        calls of a shop differ by their customer, and by the moment, alone.
        """
        learned = serving.learned
        histories, items = learned.histories, learned.histories.items
        moment = None if at is None else to_microseconds(at)
        until = moment if histories.time_kind == "timestamp" else None
        if moment is not None and until is None and not serving.has_windows:
            raise errors.log.needs_time("at", histories.time_kind)
        key: tuple[Any, ...] | None = None
        revision = None if serving.available is None else serving.available.revision
        if candidates is None and session is basket is exclude is rules is _EMPTY:
            spread = (diversity, max_per_category, explore, rng)
            plain = (k, channel, location, exclude_seen, repeat, fill, on_unknown, *spread)
            key = (*plain, *map(type, plain))  # True and 1 are one to a dictionary, and two to the checks
            found = _recalled(serving, key, revision, moment)
            if found is not None:
                return cast(Self, found.at_moment(until))
        seen = SeenRule.check(exclude_seen, repeat, learned.repeats, until)
        if on_unknown not in ("popular", "raise"):
            raise errors.bad_argument("on_unknown", on_unknown, '"popular" or "raise"')
        ignored: dict[str, int] = {}
        looked_at, in_basket, left_out = (
            _known(items, ids, name, ignored)
            for ids, name in ((session, "session"), (basket, "basket"), (exclude, "exclude"))
        )
        available = _available(serving, channel, location, moment, ignored)
        compiled = with_rules(serving, rules)
        allowed = learned.for_sale if available is None else learned.for_sale & available
        named = None
        if candidates is not None:
            named = np.zeros(len(items), bool)
            named[_known(items, candidates, "candidates", ignored)] = True
            allowed = allowed & named
        if compiled is not None and compiled.removed is not None:
            allowed = allowed & ~compiled.removed
        if len(left_out) or len(in_basket) or (len(looked_at) and exclude_seen == "any"):
            allowed = allowed.copy()
            allowed[left_out] = False
            allowed[in_basket] = False
            if exclude_seen == "any":
                allowed[looked_at] = False
        k = check_count(k, "k")
        allowed = allowed.view()
        allowed.flags.writeable = False  # models may remember what they worked out of it
        request = cls(
            k=k,
            width=min(k, max(len(items), 1)),
            at=until,
            location=_code(serving, location),
            allowed=allowed,
            candidates=named,
            available=available,
            place=_place(serving, channel, location),
            rules=compiled,
            spread=Spread.check(learned, diversity, max_per_category, explore, rng),
            seen=seen,
            fill=check_flag(fill, "fill"),
            session=looked_at,
            basket=in_basket,
            ignored=ignored,
        )
        if key is not None:
            _remember(serving, key, request.at_moment(None), revision)
        return request

    def at_moment(self, at: int | None) -> Self:
        """Return the same request for histories up to another moment."""
        if at == self.at:
            return self
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, at=at, seen=replace(self.seen, at=at))
        return made

    @property
    def every_candidate(self) -> bool:
        """Whether unscored items complete the list whatever `fill` says."""
        return self.candidates is not None

    def shortfall(self, n_listed: int, n_excluded: int) -> str | None:
        """Say why a list is short, None where it is not."""
        if n_listed >= self.k:
            return None
        text = f"{n_listed:,} of {self.k:,} items asked for: "
        n_allowed = int(self.allowed.sum())
        if not self.fill and not self.every_candidate and n_listed < n_allowed - n_excluded:
            return text + f"the history speaks for {n_listed:,}; fill=True completes the list by popularity."
        left = np.ones(len(self.allowed), bool)
        parts = [f"the catalogue has {len(left):,}"]
        if self.candidates is not None:
            left = self.candidates
            unknown = self.ignored.get("candidates", 0)
            also = f" ({unknown:,} more unknown)" if unknown else ""
            parts.append(f"{int(left.sum()):,} of them are candidates{also}")
        if self.available is not None:
            left = left & self.available
            parts.append(f"{int(left.sum()):,} of these can be had {self.place}")
        if self.rules is not None and self.rules.removed is not None:
            left = left & ~self.rules.removed
            parts.append(f"the rules leave {int(left.sum()):,}")
        parts.append(f"{n_allowed:,} of these are for sale and not left out by the call")
        if n_excluded:
            parts.append(f"{n_excluded:,} of those were seen by the customer before")
        return text + ", ".join(parts) + "."


def _recalled(serving: Serving, key: tuple[Any, ...], revision: object, moment: int | None) -> Request | None:
    """Return the request that was checked under a key, None where there is none that still holds."""
    try:
        found, then = serving.requests.get(key, _NOTHING)
    except TypeError:  # what has no hash is nobody's name
        return None
    if found is None:
        return None
    if then is not revision:
        serving.requests.clear()  # all others are as old
        return None
    bound, (_, channel, location, *_) = serving.available, key
    # Where windows open and close, the mask of another moment is another object.
    holds = (
        bound is None or not serving.has_windows or found.available is bound.mask(channel, location, moment)
    )
    return cast(Request, found) if holds else None


def _remember(serving: Serving, key: tuple[Any, ...], request: Request, revision: object) -> None:
    """Keep a checked request, among no more than there is memory for."""
    if len(serving.requests) >= min(_MOST_REMEMBERED, 1 + _MOST_BYTES // max(request.allowed.nbytes, 1)):
        serving.requests.clear()
    with suppress(TypeError):  # what has no hash can't be looked up either
        serving.requests[key] = request, revision


def _available(
    serving: Serving,
    channel: Id | None,
    location: Id | None,
    moment: int | None,
    ignored: dict[str, int],
) -> np.ndarray | None:
    """Return what can be had there and then, None where nobody said; count names that nobody knows."""
    tables, bound = serving.learned.histories.tables, serving.available
    unknown = {} if bound is None else bound.unknown(channel, location)
    for name, given in (("channel", channel), ("location", location)):
        if given is None or (name in tables and tables[name].find(given) >= 0):
            continue
        # Where neither the log nor availability names any, there is none to be unknown.
        if name in unknown or (name in tables and not _named_by(bound, name)):
            ignored[name] = 1
    return None if bound is None else bound.mask(channel, location, moment)


def _code(serving: Serving, location: Id | None) -> int | None:
    tables = serving.learned.histories.tables
    code = tables["location"].find(location) if location is not None and "location" in tables else -1
    return code if code >= 0 else None


def _place(serving: Serving, channel: Id | None, location: Id | None) -> str:
    """Say in words where items are to be had; what the availability never names says nothing."""
    bound = serving.available
    if bound is None:
        return ""
    parts = []
    for name, given in (("channel", channel), ("location", location)):
        if given is not None:
            parts.append(f"{'in' if name == 'channel' else 'at'} {name} {shown(given)}")
        elif _named_by(bound, name):
            parts.append(f"{'in' if name == 'channel' else 'at'} every {name}")
    return " ".join(parts) or "now"


def _named_by(bound: BoundAvailability | None, name: str) -> bool:
    """Say whether availability depends on channels, or on locations."""
    if bound is None:
        return False
    return bool(bound.source.channels if name == "channel" else bound.source.locations)


def check_count(value: Any, name: str) -> int:
    """Return a whole number of at least 1, or refuse it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise errors.bad_argument(name, value, "an integer of at least 1")
    return int(value)


def check_flag(value: Any, name: str) -> bool:
    """Return True or False, or refuse what is neither."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise errors.bad_argument(name, value, "True or False")
    return bool(value)


def id_list(ids: Any, name: str) -> list[Any]:
    """Return ids as a list of built-in values, or refuse a single one: a text would fall into letters."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise errors.bad_argument(name, ids, "a list of ids", "put a single id into a list.")
    # Arrow and NumPy hand out scalars of their own, which no lookup would know.
    for convert in ("to_pylist", "tolist"):
        if hasattr(ids, convert):
            return list(getattr(ids, convert)())
    return list(ids)


def whom(
    serving: Serving, customer_ids: "Sequence[Identity] | np.ndarray | Vocabulary | None"
) -> tuple[Sequence[Id] | Vocabulary, list[Id | None] | None, np.ndarray]:
    """Return the ids to answer for as they are shown, their canonical ids, and their rows.

    Canonical ids are None where the rows say all: nothing was linked, and nothing observed since fitting.
    """
    live, customers = serving.live, serving.learned.histories.customers
    ids: Sequence[Id] | Vocabulary
    if customer_ids is None or isinstance(customer_ids, Vocabulary):
        ids = live.customers() if customer_ids is None else customer_ids
    else:
        ids = list(map(_as_shown, id_list(customer_ids, "customer_ids")))
    if live.identities is None and live.is_empty:
        return ids, None, np.arange(len(ids)) if customer_ids is None else customers.indices(ids)
    keys = list(map(live.who, ids))
    return ids, keys, customers.indices(keys)


def _as_shown(customer_id: Any) -> Any:
    """Return an id as a table shows it: a pair as its text, NumPy's integers as Python's."""
    if isinstance(customer_id, tuple):
        try:
            return spelled(customer_id)
        except errors.ArgumentError:  # no pair, and nobody's id
            return str(customer_id)
    return int(customer_id) if isinstance(customer_id, np.integer) else customer_id


def known_items(items: Vocabulary, ids: Sequence[Id]) -> np.ndarray:
    """Return the index of each item id, int32, -1 where it is unknown."""
    return items.indices(ids) if len(ids) > 32 else np.fromiter(map(items.find, ids), np.int32, len(ids))


def _known(items: Vocabulary, ids: Iterable[Id] | None, name: str, ignored: dict[str, int]) -> np.ndarray:
    """Return the indices of the ids that are known, in order; count the others. None holds no id."""
    listed = id_list(() if ids is None else ids, name)
    if not listed:
        return _NONE
    found = known_items(items, listed)
    known = found[found >= 0]
    if len(known) < len(found):
        ignored[name] = len(found) - len(known)
    return known


_NONE = np.zeros(0, np.int32)
_EMPTY: Final = ()
_NOTHING: Final = (None, None)
_MOST_BYTES: Final = 1 << 24
_MOST_REMEMBERED: Final = 256
"""Requests that are remembered at once: a shop has some tens of places where it shows lists."""
