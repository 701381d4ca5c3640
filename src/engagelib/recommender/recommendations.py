"""What a recommender answers with: ranked lists of items or customers, in built-in types."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

import numpy as np

from engagelib import errors
from engagelib.exporting import frame_of
from engagelib.identity import Identity, spelled
from engagelib.tables import Cell, html_table, text_table
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is in a list, for a shop to put into its own words.

    Attributes
    ----------
    kind
        "similar_item": an item of the history that speaks for this one, the ten strongest of them;
        "other_items": the other items of the history, and those not for sale, such as postage, together;
        "popular": many others chose it; "pinned": a rule put it on top; "explored": it is tried;
        "ranked", the last: what the second stage adds to the sum of the others, or takes from it.
    item_id, title
        The item of the history; None for the other kinds.
    contribution
        Its part of the score; the parts of all reasons sum to the score.
    """

    kind: str
    item_id: Id | None
    title: str | None
    contribution: float


class Recommendation(NamedTuple):
    """One item of a list.

    A named tuple: ten of them take a third of the time of frozen dataclasses, which a backend feels.

    Attributes
    ----------
    item_id, title
        The item; `title` is None where the log came without.
    score
        Unitless, higher is better, comparable within one list; 0 where an item only fills the list
        or is tried.
    rank
        Place in the list, from 1.
    source
        The model that contributed most, or "popular" for an item that fills the list; with "+rule" behind
        it where a rule changed the score; "pinned" where one put the item on top; "explored" for an item
        that is tried.
    probability
        Chance that the customer takes the item within the horizon of `Recommender.calibration_`, in [0, 1];
        None without calibration, and for an item that only fills the list. A rule's boost does not change it.
    reasons
        Strongest first; empty unless asked for.
    """

    item_id: Id
    title: str | None
    score: float
    rank: int
    source: str
    probability: float | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One customer of an audience, best first, `rank` from 1."""

    customer_id: Id
    score: float
    rank: int


_Entry = TypeVar("_Entry", Recommendation, Member)


class _Listed(Sequence[_Entry], Generic[_Entry]):
    """A read-only list of records that shows itself as a table."""

    _entries: tuple[_Entry, ...]

    @overload
    def __getitem__(self, index: int) -> _Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> _Entry | tuple[_Entry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[_Entry]:
        return iter(self._entries)

    def to_records(self) -> list[dict[str, Any]]:
        """Return one mapping an entry, of built-in types alone, ready for `json.dumps`."""
        return [_record(entry) for entry in self._entries]

    def to_frame(self) -> Any:
        """Return a pandas frame, or a pyarrow table where pandas is not installed.

        Reasons, where they were asked for, are lists of mappings.
        """
        records = self.to_records()
        return frame_of({name: [record[name] for record in records] for name in self._columns()})

    def _columns(self) -> list[str]:
        raise AssertionError("a subclass names its columns")  # pragma: no cover


@dataclass(frozen=True, eq=False)
class Recommendations(_Listed[Recommendation]):
    """A ranked list of items for one customer.

    Attributes
    ----------
    customer_id
        As it was asked for; None for an anonymous visitor.
    known
        Whether the model has a history of this customer.
    shortfall
        Why the list is shorter than asked for, None where it is not.
    ignored
        How many ids of each argument (`exclude`, `session`, ...) the model does not know.
    heading
        What the list is about, where it is not for a customer.
    """

    _entries: tuple[Recommendation, ...]
    customer_id: Identity | None = None
    known: bool = False
    shortfall: str | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)
    heading: str | None = None

    @property
    def item_ids(self) -> list[Id]:
        """The items, best first."""
        return [entry.item_id for entry in self._entries]

    def __str__(self) -> str:
        table = text_table(*self._shown(), title=self._title())
        return f"{table}\n{self.shortfall}" if self.shortfall else table

    def __repr__(self) -> str:
        return f"Recommendations({self.item_ids!r})"

    def _repr_html_(self) -> str:
        table = html_table(*self._shown(), title=self._title())
        return f"{table}<p>{escape(self.shortfall)}</p>" if self.shortfall else table

    def _title(self) -> str:
        if self.heading is not None:
            return self.heading
        who = "an anonymous visitor" if self.customer_id is None else f"customer {_shown(self.customer_id)}"
        return f"For {who}{'' if self.known or self.customer_id is None else ' (unknown)'}"

    def _shown(self) -> tuple[list[str], list[tuple[Cell, ...]]]:
        return _with_content(
            {
                "rank": [entry.rank for entry in self._entries],
                "item_id": [str(entry.item_id) for entry in self._entries],
                "title": [entry.title for entry in self._entries],
                "score": [entry.score for entry in self._entries],
                "probability": [entry.probability for entry in self._entries],
                "source": [entry.source for entry in self._entries],
                "because of": [_because(entry.reasons) for entry in self._entries],
            }
        )

    def _columns(self) -> list[str]:
        explained = ["reasons"] if any(entry.reasons for entry in self._entries) else []
        return ["item_id", "title", "score", "rank", "source", "probability", *explained]


@dataclass(frozen=True, eq=False)
class Audience(_Listed[Member]):
    """The customers whom one item suits best, best first."""

    _entries: tuple[Member, ...]
    item_id: Id

    @property
    def customer_ids(self) -> list[Id]:
        """The customers, best first."""
        return [entry.customer_id for entry in self._entries]

    def __str__(self) -> str:
        return text_table(self._columns(), self._rows(), title=f"For item {self.item_id}")

    def __repr__(self) -> str:
        return f"Audience({self.customer_ids!r})"

    def _repr_html_(self) -> str:
        return html_table(self._columns(), self._rows(), title=f"For item {self.item_id}")

    def _rows(self) -> list[Sequence[Cell]]:
        return [(str(entry.customer_id), entry.score, entry.rank) for entry in self._entries]

    def _columns(self) -> list[str]:
        return ["customer_id", "score", "rank"]


@dataclass(frozen=True, eq=False)
class RecommendationTable:
    """Lists for many customers as arrays.

    Attributes
    ----------
    customer_ids
        Whom each row is for; for anonymous visits their numbers, from 0.
    item_index
        int32, shape (n_customers, k), best first, -1 where a list is short.
    score
        float32, same shape, -inf where a list is short.
    source
        int8 codes into `sources`, same shape, -1 where a list is short.
    items
        The ids behind `item_index`.
    ignored
        How many ids of each argument (`exclude`, `candidates`, `sessions`) the model does not know.
    probability
        As `Recommendation.probability`, float64 of the same shape, NaN for None; None where it was not asked
        for, or there is no calibration.
    """

    customer_ids: Sequence[Id] | Vocabulary
    item_index: np.ndarray
    score: np.ndarray
    source: np.ndarray
    sources: tuple[str, ...]
    items: Vocabulary
    ignored: Mapping[str, int] = field(default_factory=dict)
    probability: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.item_index)

    def item_ids(self, row: int) -> list[Id]:
        """Return one list of items, best first."""
        found = self.item_index[row]
        return self.items.ids(found[found >= 0].tolist())

    def to_table(self) -> "pa.Table":
        """Return an Arrow table of customer_id, rank, item_id, score and source, a row an item.

        Where probabilities were asked for they are a column too, null where there is none.
        """
        import pyarrow as pa

        row, place = np.nonzero(self.item_index >= 0)
        customers = self._customers()
        sources = pa.DictionaryArray.from_arrays(pa.array(self.source[row, place]), pa.array(self.sources))
        chance = None if self.probability is None else self.probability[row, place]
        more = {} if chance is None else {"probability": pa.array(chance, from_pandas=True)}
        return pa.table(
            {
                "customer_id": plain_ids(customers.take(pa.array(row))),
                "rank": pa.array((place + 1).astype(np.int32)),
                "item_id": plain_ids(self.items.to_arrow().take(pa.array(self.item_index[row, place]))),
                "score": pa.array(self.score[row, place]),
                "source": sources.cast(pa.string()),
                **more,
            }
        )

    def to_frame(self) -> Any:
        """Return the same as a pandas frame, or as a pyarrow table where pandas is not installed."""
        table = self.to_table()
        return frame_of({name: table[name].to_pylist() for name in table.column_names})

    def _customers(self) -> "pa.Array":
        import pyarrow as pa

        if isinstance(self.customer_ids, Vocabulary):
            return self.customer_ids.to_arrow()
        try:
            return pa.array(self.customer_ids)
        except pa.ArrowException as error:
            kinds = {type(customer).__name__ for customer in self.customer_ids}
            raise errors.log.mixed_ids(sorted(kinds), "customer_id") from error

    def __repr__(self) -> str:
        n_rows, k = self.item_index.shape
        return f"RecommendationTable({n_rows:,} customers, k={k})"


def _record(entry: Recommendation | Member) -> dict[str, Any]:
    if isinstance(entry, Member):
        return asdict(entry)
    return {**entry._asdict(), "reasons": tuple(map(asdict, entry.reasons))}


def _shown(customer_id: Any) -> str:
    """Write an id for people; whatever was asked for, it is no error to show it."""
    if isinstance(customer_id, tuple):
        with suppress(errors.ArgumentError):  # no pair
            customer_id = spelled(customer_id)
    return str(customer_id)


_SHOWN = 3
"""Reasons in a table; the objects hold more."""

_IN_WORDS = {"other_items": "other items", "similar_item": "similar items"}


def _because(reasons: Sequence[Reason]) -> str | None:
    named = [reason.title or str(reason.item_id) for reason in reasons if reason.item_id is not None]
    kinds = [_IN_WORDS.get(reason.kind, reason.kind) for reason in reasons]
    return "; ".join(named[:_SHOWN]) or ", ".join(kinds[:_SHOWN]) or None


def _with_content(columns: Mapping[str, list[Cell]]) -> tuple[list[str], list[tuple[Cell, ...]]]:
    """Leave out columns without any content, such as titles that a log came without."""
    kept = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    return list(kept), list(zip(*kept.values(), strict=True))


def plain_ids(ids: "pa.Array") -> "pa.Array":
    """Write text ids as the string type that every reader of Parquet knows."""
    import pyarrow as pa

    return ids.cast(pa.string()) if pa.types.is_large_string(ids.type) else ids
