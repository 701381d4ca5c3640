"""IdentityMap: identities that are linked to one another, and the customer that each belongs to."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from engagelib import errors
from engagelib.identity.linked import Linked
from engagelib.identity.links import Links
from engagelib.identity.reading import read_links
from engagelib.identity.spelling import Identity, spelled
from engagelib.strings import decoded, is_text, to_nfc
from engagelib.tables import Cell, Table
from engagelib.vocabulary import Id

logger = logging.getLogger(__name__)


class IdentityMap:
    """Which identities are one customer: a web visitor, an account, a loyalty card.

    An identity is a plain id, in the default namespace, or a pair of a namespace and an id, such as
    `("web", 77)`; `engagelib.identity.spelled` says which of them are the same. Identities that are linked,
    directly or by way of others, are one customer. The customer goes by the canonical id: the oldest of the
    identities, in the order in which they came into the map. An identity that was never linked is a customer
    of its own.

    What a map was loaded with stays in arrays; links that follow lie over them, so that opening a map of a
    million identities reads next to nothing. One thread may link while others ask.

    Parameters
    ----------
    column
        The column of a log in which the namespace of each row's customer stands, such as "channel"; null is
        the default namespace. None takes all ids of a log as they stand.
    text_ids
        Whether plain integer ids are spelled as text, as `EventLog.read(text_ids=True)` does, so that `7`
        and `"7"` are one identity. With a `column` they always are, because pairs are text.

    Raises
    ------
    ArgumentError
        If `column` is neither None nor the name of a column that can hold namespaces.
    """

    def __init__(self, column: str | None = None, *, text_ids: bool = False) -> None:
        if column is not None and (not isinstance(column, str) or column in ("", "customer_id")):
            raise errors.identity.bad_column(column)
        self._column = column
        self._text_ids = bool(text_ids) or column is not None
        self._settled = False
        self._links = Links(Linked.empty())

    @classmethod
    def _over(cls, links: Links, column: str | None, *, text_ids: bool) -> Self:
        made = cls(column, text_ids=text_ids)
        made._links = links
        return made

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        column: str | None = None,
        columns: Mapping[str, str] | None = None,
        text_ids: bool = False,
    ) -> Self:
        """Link from a table, row by row: `customer_id` is the same customer as `same_as`.

        Parameters
        ----------
        frame
            A path, a frame or records, as for `EventLog`, with the columns `customer_id` and `same_as`, and
            where ids have namespaces `namespace` (of the first) and `same_as_namespace` (of the second),
            null for the default one. Other columns are not read. No row at all gives an empty map.
        column, text_ids
            As for the class.
        columns
            Names in the table for ours, as in `{"same_as": "visitor"}`.

        Raises
        ------
        SchemaError
            If a column is missing, ids are of a type that no id has, an id is null, empty or too long, or a
            namespace is no text or holds a ":".
        ArgumentError
            If an argument is none of those above.
        """
        made = cls(column, text_ids=text_ids)
        linked = read_links(frame, columns, as_text=made._text_ids)
        if len(linked.merged):
            logger.info("%d customers were merged into others by the links read", len(linked.merged))
        made._links = Links(linked)
        return made

    @property
    def column(self) -> str | None:
        """The column of a log with the namespace of each row."""
        return self._column

    @property
    def text_ids(self) -> bool:
        """Whether plain integer ids are spelled as text."""
        return self._text_ids

    @property
    def n_customers(self) -> int:
        """Number of customers with linked identities."""
        return self._links.n_customers

    @property
    def merges(self) -> Table:
        """The ids that were canonical until a link made one customer of two, oldest first.

        `kept` is the canonical id now, `merged` the one that was, `identities` the number of identities of
        the customer by now.
        """
        linked = self._links.arrays()
        kept = linked.roots(linked.merged)
        sizes = linked.sizes()[kept].tolist()
        rows = zip(
            map(linked.id_at, kept.tolist()), map(linked.id_at, linked.merged.tolist()), sizes, strict=True
        )
        return Table(("kept", "merged", "identities"), tuple(rows), title="Merged customers")

    def __len__(self) -> int:
        """Return the number of linked identities."""
        return len(self._links)

    def __repr__(self) -> str:
        options = f", column={self._column!r}" if self._column is not None else ""
        options += ", text_ids=True" if self._text_ids and self._column is None else ""
        return f"IdentityMap({len(self):,} identities of {self._links.n_customers:,} customers{options})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as arrays."""
        return _unpickled, (type(self), self.to_arrays(), self.facts(), self._settled)

    def summary(self) -> Table:
        """Count identities, customers, merges, and the identities of each namespace."""
        linked = self._links.arrays()
        largest = int(linked.sizes().max(initial=0))
        where = "" if self._column is None else f"namespaces stand in column {self._column!r}"
        rows: list[tuple[Cell, ...]] = [
            ("identities", len(self), where),
            ("customers", self._links.n_customers, f"{largest:,} identities at most" if largest else ""),
            ("merges", len(linked.merged), "see merges" if len(linked.merged) else ""),
            *_namespace_rows(linked),
        ]
        return Table(("what", "count", "remark"), tuple(rows), title="Identity map")

    def link(self, a: Identity, b: Identity) -> Id:
        """State that two identities are one customer, and return the canonical id.

        Where both are customers already, the older canonical id stays; the merge is logged and stands in
        `merges`. Linking what is one customer already does nothing.

        Parameters
        ----------
        a, b
            Where both are new, `a` becomes canonical.

        Raises
        ------
        ArgumentError
            If one of them is no identity, its id is empty or one that no log can hold, or the map belongs to
            a log.
        """
        if self._settled:
            raise errors.identity.settled_map()
        first, second = self._linkable(a), self._linkable(b)
        kept, lost = self._links.join(first, second)
        if kept < 0:
            return first
        if lost >= 0:
            logger.info("customer %r is merged into %r", self._links.id_of(lost), self._links.id_of(kept))
        return self._links.id_of(kept)

    def canonical(self, identity: Identity) -> Id:
        """Return the id of the customer that an identity belongs to: its own, spelled, if never linked.

        Raises
        ------
        ArgumentError
            If it is no identity.
        """
        id_ = spelled(identity)
        if self._text_ids and type(id_) is int:
            id_ = str(id_)
        links = self._links
        node = links.node(id_)
        return id_ if node < 0 else links.id_of(links.root_of(node))

    def canonicals(self, ids: Any) -> Any:
        """Return the canonical id of each of many identities.

        Parameters
        ----------
        ids
            An Arrow array of spelled identities, or any other iterable of identities.

        Returns
        -------
        An Arrow array for an Arrow array, int64 or large_string, in which nulls stay; else a list.

        Raises
        ------
        SchemaError
            If an Arrow array would have to hold integers and text.
        ArgumentError
            If one of another iterable is no identity.
        """
        if type(ids).__module__.startswith("pyarrow"):
            return self._arrow_canonicals(ids)
        values, links = self._spelled_list(ids), self._links
        nodes = links.nodes(values)
        known = np.flatnonzero(nodes >= 0)
        if not len(known):
            return values
        roots, place = np.unique(links.roots_of(nodes[known]), return_inverse=True)
        names = np.fromiter(map(links.id_of, roots.tolist()), object, len(roots))
        found = np.fromiter(values, object, len(values))
        found[known] = names[place]
        return found.tolist()

    def _arrow_canonicals(self, ids: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        ids, linked = decoded(ids), self._links.arrays()
        of_text = is_text(ids.type) or (self._text_ids and pa.types.is_integer(ids.type))
        if of_text:
            ids = to_nfc(ids)
        elif pa.types.is_integer(ids.type):
            try:
                ids = ids.cast(pa.int64())
            except pa.ArrowInvalid as error:
                raise errors.log.large_ids() from error
        elif not pa.types.is_null(ids.type):
            raise errors.log.mixed_ids([str(ids.type)])
        places = linked.places(ids)
        moved = np.flatnonzero(places >= 0)
        roots = linked.roots(places[moved])
        moved, roots = moved[roots != places[moved]], roots[roots != places[moved]]
        others = (roots >= len(linked.numbers)) != of_text
        if others.any():
            place = int(np.argmax(others))
            given = linked.id_at(int(places[moved[place]]))
            raise errors.identity.other_canonical(given, linked.id_at(int(roots[place])))
        if not len(moved):
            return ids
        mask = np.zeros(len(ids), bool)
        mask[moved] = True
        names = linked.texts if of_text else linked.numbers
        index = roots - len(linked.numbers) if of_text else roots
        return pc.replace_with_mask(ids, pa.array(mask), names.to_arrow().take(pa.array(index)))

    def members(self, identity: Identity) -> list[Id]:
        """Return all identities of the same customer, spelled, oldest first; just itself if never linked.

        Raises
        ------
        ArgumentError
            If it is no identity.
        """
        id_ = self._spelled(identity)
        links = self._links
        node = links.node(id_)
        return [id_] if node < 0 else list(map(links.id_of, links.members_of(node)))

    def same(self, a: Identity, b: Identity) -> bool:
        """Say whether two identities are one customer; `ArgumentError` if one of them is no identity."""
        return self.canonical(a) == self.canonical(b)

    def copy(self) -> "IdentityMap":
        """Return a map of the same links, which may be changed apart from this one."""
        return IdentityMap._over(self._links.copy(), self._column, text_ids=self._text_ids)

    def settled(self, *, text_ids: bool = False) -> "IdentityMap":
        """Return a map of the same links that can no longer be changed, for a log to keep.

        `text_ids` spells integers as text, which makes one identity of `7` and `"7"`.
        """
        as_text = self._text_ids or text_ids
        if self._settled and as_text == self._text_ids:
            return self
        if as_text == self._text_ids:
            linked = self._links.arrays()
        else:
            linked = Linked.from_groupings([self._links.grouping().as_text()])
        made = IdentityMap._over(Links(linked), self._column, text_ids=as_text)
        made._settled = True
        return made

    def without(self, identity: Identity) -> "IdentityMap":
        """Return a map that knows nothing of a customer any more, under none of the identities.

        Raises
        ------
        ArgumentError
            If it is no identity.
        """
        linked = self._links.arrays()
        place = linked.find(self._spelled(identity))
        if place < 0:
            return self.copy()
        keep = linked.root != linked.root_of(place)
        rest = Linked.from_groupings([linked.grouping().filter(keep)])
        return IdentityMap._over(Links(rest), self._column, text_ids=self._text_ids)

    def merged_with(self, other: "IdentityMap") -> "IdentityMap":
        """Return a map of the links of both, those of this map first.

        Ids that were canonical in one of them and are no longer count among `merges`.

        Raises
        ------
        ArgumentError
            If they look for the namespaces in different columns.
        """
        if not isinstance(other, IdentityMap):
            raise errors.identity.not_a_map(other)
        first, second = self._column, other._column
        if first is not None and second is not None and first != second:
            raise errors.identity.two_columns(first, second)
        column = second if first is None else first
        text_ids = self._text_ids or other._text_ids
        parts = [self._links.grouping(), other._links.grouping()]
        if text_ids:
            parts = [part.as_text() for part in parts]
        return IdentityMap._over(Links(Linked.from_groupings(parts)), column, text_ids=text_ids)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        return self._links.arrays().to_arrays()

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {"column": self._column, "text_ids": self._text_ids, "n_customers": self._links.n_customers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy.

        Raises
        ------
        ArtifactError
            If the arrays contradict one another, now or when an identity is looked up.
        """
        links = Links(Linked.from_arrays(arrays, facts["n_customers"]))
        return cls._over(links, facts["column"], text_ids=facts["text_ids"])

    def _spelled(self, identity: Identity) -> Id:
        id_ = spelled(identity)
        return str(id_) if self._text_ids else id_

    def _spelled_list(self, ids: Iterable[Identity]) -> list[Id]:
        # Of times, `tolist` may make integers.
        as_they_are = isinstance(ids, np.ndarray) and ids.dtype.kind in "iuOU"
        values: list[Any] = ids.tolist() if as_they_are else list(ids)  # type: ignore[attr-defined]
        kinds = set(map(type, values))
        if (kinds == {str} and "".join(values).isascii()) or (kinds == {int} and not self._text_ids):
            return values
        return list(map(self._spelled, values))

    def _linkable(self, identity: Identity) -> Id:
        """Spell an identity, or refuse it where no log could hold it."""
        id_ = self._spelled(identity)
        if isinstance(id_, int):
            if not -(2**63) <= id_ < 2**63:
                raise errors.identity.unstorable(identity)
            return id_
        if not id_ or id_.find(":") == len(id_) - 1:
            raise errors.identity.empty_id(identity)
        try:
            id_.encode()
        except UnicodeEncodeError:
            raise errors.identity.unstorable(identity) from None
        return id_


def _namespace_rows(linked: Linked) -> list[tuple[Cell, ...]]:
    """Spell out how many identities each namespace has, the largest ones first."""
    plain, counts = linked.count_namespaces()
    largest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rows: list[tuple[Cell, ...]] = [("without a namespace", plain, "")]
    rows += [(f"namespace {name}", count, "") for name, count in largest[:_MOST_NAMESPACES]]
    if rest := largest[_MOST_NAMESPACES:]:
        rows.append((f"{len(rest):,} more namespaces", sum(count for _, count in rest), ""))
    return rows


_MOST_NAMESPACES = 8


def _unpickled(
    cls: type[IdentityMap], arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], settled: bool
) -> IdentityMap:
    made = cls.from_arrays(arrays, facts)
    made._settled = settled
    return made
