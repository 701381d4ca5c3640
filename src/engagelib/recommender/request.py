"""Request: what one call to a recommender asks for, checked once and turned into indices."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.histories import Histories
from engagelib.times import Moment, to_microseconds
from engagelib.vocabulary import Id, Vocabulary

ExcludeSeen = Literal["purchased", "any", "none"]
OnUnknown = Literal["popular", "raise"]


@dataclass(frozen=True)
class Request:
    """The arguments of `Recommender.recommend` as arrays.

    Attributes
    ----------
    k, exclude_seen, repeat, fill
        As they were given.
    width
        Longest list that can come of it: `k`, or all items where they are fewer.
    at
        Microseconds since 1970, None for all that is known.
    location
        Code of the location, None where popularity is the same everywhere or the location is unknown.
    allowed
        True for items that may be listed to anybody in this call, bool of shape (n_items,).
    n_candidates
        How many items the call lets in before for-sale and exclusions are looked at.
    session, basket
        Item indices, oldest first.
    every_candidate
        Whether unscored items complete the list whatever `fill` says.
    ignored
        How many unknown ids each argument held.
    """

    k: int
    width: int
    at: int | None
    location: int | None
    allowed: np.ndarray
    n_candidates: int
    exclude_seen: ExcludeSeen
    repeat: bool | None
    fill: bool
    session: np.ndarray
    basket: np.ndarray
    every_candidate: bool
    ignored: dict[str, int]

    @classmethod
    def check(
        cls,
        histories: Histories,
        for_sale: np.ndarray,
        *,
        k: Any,
        at: Moment | None,
        location: Id | None,
        exclude: Iterable[Id] | None,
        candidates: Iterable[Id] | None,
        exclude_seen: Any,
        repeat: Any,
        fill: Any,
        on_unknown: Any,
        session: Iterable[Id] | None = (),
        basket: Iterable[Id] | None = (),
    ) -> Self:
        """Check the arguments of a call; see `Recommender.recommend` for what each may be."""
        if exclude_seen not in ("purchased", "any", "none"):
            raise errors.bad_argument("exclude_seen", exclude_seen, '"purchased", "any" or "none"')
        if not (repeat is None or isinstance(repeat, bool | np.bool_)):
            raise errors.bad_argument("repeat", repeat, "True, False or None")
        if on_unknown not in ("popular", "raise"):
            raise errors.bad_argument("on_unknown", on_unknown, '"popular" or "raise"')
        if at is not None and histories.time_kind != "timestamp":
            raise errors.log.needs_time("at", histories.time_kind)
        ignored: dict[str, int] = {}
        items = histories.items
        looked_at, in_basket, left_out = (
            _known(items, ids, name, ignored)
            for ids, name in ((session, "session"), (basket, "basket"), (exclude, "exclude"))
        )
        allowed, n_candidates = for_sale, len(items)
        if candidates is not None:
            named = _known(items, candidates, "candidates", ignored)
            allowed = np.zeros(len(items), bool)
            allowed[named] = for_sale[named]
            n_candidates = len(np.unique(named))
        if len(left_out) or len(in_basket) or (len(looked_at) and exclude_seen == "any"):
            allowed = allowed.copy()
            allowed[left_out] = False
            allowed[in_basket] = False
            if exclude_seen == "any":
                allowed[looked_at] = False
        code = -1
        if location is not None:
            if "location" in histories.tables:
                code = histories.tables["location"].find(location)
            if code < 0:
                ignored["location"] = 1
        k = check_count(k, "k")
        return cls(
            k=k,
            width=min(k, max(len(items), 1)),
            at=None if at is None else to_microseconds(at),
            location=code if code >= 0 else None,
            allowed=allowed,
            n_candidates=n_candidates,
            exclude_seen=exclude_seen,
            repeat=None if repeat is None else bool(repeat),
            fill=check_flag(fill, "fill"),
            session=looked_at,
            basket=in_basket,
            every_candidate=candidates is not None,
            ignored=ignored,
        )

    def excluded(self, block: Histories) -> csr_array | None:
        """Return the items that each history of a block rules out, None where none does."""
        purchased_too = self.exclude_seen != "none" if self.repeat is None else not self.repeat
        if self.exclude_seen != "any" and not purchased_too:
            return None
        met = block.seen("any" if self.exclude_seen == "any" else "purchased", at=self.at)
        if not purchased_too:
            met = csr_array(met - block.seen("purchased", at=self.at))
            met.eliminate_zeros()
        return met if met.nnz else None

    def shortfall(self, n_listed: int, n_excluded: int, n_items: int) -> str | None:
        """Say why a list is short, None where it is not."""
        if n_listed >= self.k:
            return None
        text = f"{n_listed:,} of {self.k:,} items asked for: "
        if not self.fill and not self.every_candidate and n_listed < int(self.allowed.sum()) - n_excluded:
            return text + f"the history speaks for {n_listed:,}; fill=True completes the list by popularity."
        parts = [f"the catalogue has {n_items:,}"]
        if self.every_candidate:
            unknown = self.ignored.get("candidates", 0)
            also = f" ({unknown:,} more unknown)" if unknown else ""
            parts.append(f"{self.n_candidates:,} of them are candidates{also}")
        parts.append(f"{int(self.allowed.sum()):,} of these are for sale and not left out by the call")
        if n_excluded:
            parts.append(f"{n_excluded:,} of those were seen by the customer before")
        return text + ", ".join(parts) + "."


def check_count(value: Any, name: str) -> int:
    """Return a whole number of at least 1, or refuse it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise errors.bad_argument(name, value, "an integer of at least 1")
    return int(value)


def check_flag(value: Any, name: str) -> bool:
    """Return True or False, or refuse what is neither."""
    if not isinstance(value, bool | np.bool_):
        raise errors.bad_argument(name, value, "True or False")
    return bool(value)


def id_list(ids: Any, name: str) -> list[Id]:
    """Return ids as a list of built-in values, or refuse a single one: a text would fall into letters."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise errors.bad_argument(name, ids, "a list of ids", "put a single id into a list.")
    # Arrow and NumPy hand out scalars of their own, which no lookup would know.
    for convert in ("to_pylist", "tolist"):
        if hasattr(ids, convert):
            return list(getattr(ids, convert)())
    return list(ids)


def _known(items: Vocabulary, ids: Iterable[Id] | None, name: str, ignored: dict[str, int]) -> np.ndarray:
    """Return the indices of the ids that are known, in order; count the others. None holds no id."""
    ids = () if ids is None else ids
    ids = id_list(ids, name)
    if not ids:
        return _NONE
    found = items.indices(ids) if len(ids) > 32 else np.fromiter(map(items.find, ids), np.int32, len(ids))
    known = found[found >= 0]
    if len(known) < len(found):
        ignored[name] = len(found) - len(known)
    return known


_NONE = np.zeros(0, np.int32)
