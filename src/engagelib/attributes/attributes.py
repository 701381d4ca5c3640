"""ItemAttributes: the arrays, what they match, and what they say of single items."""

import math
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engagelib import errors
from engagelib.attributes.conditions import (
    TO_BUILTIN,
    Kind,
    NumberKind,
    Scalar,
    check_where,
    read_range,
    read_value,
    whole,
)
from engagelib.strings import StringColumn, as_view, decoded
from engagelib.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class ItemAttributes:
    """What the item table says of each item, in the order of a `Vocabulary` of items.

    Attributes
    ----------
    titles
        Titles, empty where there is none.
    for_sale
        Whether an item may be shown at all, bool of shape (n_items,).
    texts
        Under a name, int32 codes of shape (n_items,), -1 for missing, and the distinct values behind them.
        Integers that float64 can't tell apart stand here too.
    numbers
        Under a name, float64 of shape (n_items,), NaN for missing. Booleans are 0 and 1, dates and times
        microseconds since 1970 in UTC, exact from the year 1685 to 2254.
    skipped
        Columns of other types, such as lists, which can't be asked about.
    kinds
        What each of `numbers` was in the table; "number" where not named.
    """

    titles: StringColumn
    for_sale: np.ndarray
    texts: Mapping[str, tuple[np.ndarray, Vocabulary]]
    numbers: Mapping[str, np.ndarray]
    skipped: tuple[str, ...] = ()
    kinds: Mapping[str, NumberKind] = field(default_factory=dict)

    @classmethod
    def from_table(cls, table: "pa.Table", items: Vocabulary) -> Self:
        """Bring a table of item attributes into the order of `items`.

        Texts become texts in Unicode's NFC, an empty one counts as missing. Integers, floating-point numbers
        and decimals become numbers, NaN and infinities count as missing. Booleans, dates and times stay what
        they are, naive times are UTC. A dictionary column is what its values are. Columns of other types
        are named in `skipped`.

        Parameters
        ----------
        table
            `item_id`, each item once and in any order, and any other columns, as in `EventLog.item_table`.
            Items without a row have no value of anything, and are for sale.

        Raises
        ------
        SchemaError
            If a column holds what Arrow can't read, such as text that is not UTF-8.
        """
        from engagelib.attributes import reading

        places = reading.find_rows(table, items)
        titles, for_sale = StringColumn.from_strings([""] * len(items)), np.ones(len(items), bool)
        texts: dict[str, tuple[np.ndarray, Vocabulary]] = {}
        numbers: dict[str, np.ndarray] = {}
        kinds: dict[str, NumberKind] = {}
        skipped = []
        for name in table.column_names:
            if name == "item_id":
                continue
            with reading.naming(name):
                values = decoded(table[name])
                kind = reading.kind_of(values)
                if name == "title":
                    titles = reading.read_titles(values, places)
                elif name == "for_sale":
                    for_sale = reading.read_flags(values, places)
                elif kind == "coded":
                    texts[name] = reading.encode(values, places)
                elif kind is not None:
                    numbers[name], kinds[name] = reading.read_numbers(values, places, kind), kind
                else:
                    skipped.append(name)
        return cls(titles, for_sale, texts, numbers, tuple(skipped), kinds)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy.

        Raises
        ------
        ArtifactError
            If an array is not of one value an item: the file was altered.
        """
        groups: dict[str, dict[str, np.ndarray]] = {}
        for name, values in arrays.items():
            group, _, part = name.rpartition(".")
            groups.setdefault(group, {})[part] = values
        made = cls(
            titles=StringColumn.from_arrays(groups["titles"]),
            for_sale=arrays["for_sale"],
            texts={
                name: (groups[f"texts.{place}"]["codes"], Vocabulary.from_arrays(groups[f"texts.{place}"]))
                for place, name in enumerate(facts["texts"])
            },
            numbers={name: arrays[f"numbers.{place}"] for place, name in enumerate(facts["numbers"])},
            skipped=tuple(facts["skipped"]),
            kinds=dict(facts["kinds"]),
        )
        lengths = {"titles": len(made.titles)}
        lengths |= {name: len(codes) for name, (codes, _) in made.texts.items()}
        lengths |= {name: len(values) for name, values in made.numbers.items()}
        for name, length in lengths.items():
            if length != made.n_items:
                expected = f"one for each of {made.n_items:,} items"
                raise errors.rules.altered_attributes(name, f"holds {length:,} values", expected)
        return made

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the names, which may be any text."""
        arrays = {"for_sale": self.for_sale}
        arrays |= {f"titles.{part}": values for part, values in self.titles.to_arrays().items()}
        for place, (codes, vocabulary) in enumerate(self.texts.values()):
            parts = {"codes": codes, **vocabulary.to_arrays()}
            arrays |= {f"texts.{place}.{part}": values for part, values in parts.items()}
        return arrays | {f"numbers.{place}": values for place, values in enumerate(self.numbers.values())}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "texts": list(self.texts),
            "numbers": list(self.numbers),
            "kinds": dict(self.kinds),
            "skipped": list(self.skipped),
        }

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.for_sale)

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked about, sorted; "title" where at least one item has one."""
        titled = ["title"] if self.n_items and self.titles.offsets[-1] > self.titles.offsets[0] else []
        return tuple(sorted(["for_sale", *titled, *self.texts, *self.numbers]))

    def __repr__(self) -> str:
        return f"ItemAttributes({self.n_items:,} items: {', '.join(self.names)})"

    def kind(self, name: str) -> Kind:
        """Say what an attribute holds; "unknown" is one that no item has a value of.

        Raises
        ------
        ArgumentError
            If there is no such attribute.
        """
        if name in self.texts:
            vocabulary = self.texts[name][1]
            return "unknown" if not len(vocabulary) else "text" if vocabulary.kind == "str" else "integer"
        if name in self.numbers:
            return self.kinds.get(name, "number")
        if name not in self.names:
            raise errors.rules.unknown_attribute(name, self.names, self.skipped)
        return "text" if name == "title" else "boolean"

    def matches(self, where: Mapping[str, Any]) -> np.ndarray:
        """Say of each item whether all conditions hold, bool of shape (n_items,).

        Parameters
        ----------
        where
            From names of attributes to conditions: a value; a list, any value of which will do; or a closed
            range such as `{"min": 10, "max": 50}`, either bound of which may be left out. None is a missing
            value, and all that a missing value matches. Texts are compared letter by letter after Unicode's
            NFC; one that no item has matches nothing. Moments are texts in ISO 8601, or dates and datetimes;
            a date is its midnight, UTC. Without conditions every item matches.

        Raises
        ------
        ArgumentError
            If there is no such attribute, a condition is none of these, or it asks for a type of value that
            the attribute can't have.
        """
        mask = np.ones(self.n_items, bool)
        for name, condition in check_where(where).items():
            kind = self.kind(name)
            if isinstance(condition, dict):
                mask &= self._between(name, kind, condition)
            else:
                mask &= self._any_of(name, kind, condition)
        return mask

    def value(self, name: str, index: int) -> Scalar:
        """Return what is known of one item, None where nothing is; see `values`."""
        return self.values(name, [index])[0]

    def values(self, name: str, indices: Any) -> list[Scalar]:
        """Return what is known of some items: texts, numbers, booleans; None where nothing is.

        Dates and times are texts in ISO 8601. What is returned here can be asked for in `matches`.

        Parameters
        ----------
        indices
            Item indices, shape (n,).

        Raises
        ------
        ArgumentError
            If there is no such attribute, or an index lies outside the items.
        """
        kind, index = self.kind(name), np.asarray(indices)
        if not index.size:
            return []
        if index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= self.n_items:
            raise errors.bad_argument("indices", indices, f"item indices from 0 to {self.n_items - 1:,}")
        if name == "title":
            return [title or None for title in self.titles.take(index.tolist())]
        if name in self.texts:
            codes, vocabulary = self.texts[name]
            found = _checked(name, codes[index], vocabulary).tolist()
            return [vocabulary[code] if code >= 0 else None for code in found]
        column = self.for_sale if name == "for_sale" else self.numbers[name]
        return [None if math.isnan(value) else TO_BUILTIN[kind](value) for value in column[index].tolist()]

    def _any_of(self, name: str, kind: Kind, condition: Scalar | list[Scalar]) -> np.ndarray:
        """Say of which items the attribute has one of some values."""
        given = condition if isinstance(condition, list) else [condition]
        missing = None in given
        values = [read_value(name, kind, condition, value) for value in given if value is not None]
        if name == "title":
            return _any_title(self.titles, values, missing=missing)
        if name in self.texts:
            codes, vocabulary = self.texts[name]
            found = [vocabulary.find(whole(value)) for value in values]
            return _any_code(name, codes, vocabulary, [code for code in found if code >= 0] + [-1] * missing)
        column = self.for_sale if name == "for_sale" else self.numbers[name]
        # An integer that float64 can't hold is in no column of float64.
        mask = np.isin(column, [float(value) for value in values if float(value) == value])
        return mask | np.isnan(column) if missing else mask

    def _between(self, name: str, kind: Kind, bounds: dict[str, Scalar]) -> np.ndarray:
        """Say of which items the attribute lies in a closed range."""
        if kind == "unknown":
            return np.zeros(self.n_items, bool)
        low, high = read_range(name, kind, bounds)
        if name in self.texts:
            codes, vocabulary = self.texts[name]
            assert isinstance(vocabulary.values, np.ndarray)  # texts have no ranges
            numbers = as_view(vocabulary.values)  # built-in integers are compared exactly with any number
            return (codes >= bisect_left(numbers, low)) & (codes < bisect_right(numbers, high))
        column = self.numbers[name]
        least, most = float(low), float(high)
        # Where rounding moved a bound outwards, the next number inwards is the first that lies within.
        least = least if least >= low else math.nextafter(least, math.inf)
        most = most if most <= high else math.nextafter(most, -math.inf)
        return (column >= least) & (column <= most)


def _any_title(titles: StringColumn, values: Sequence[str], *, missing: bool) -> np.ndarray:
    """Say which titles are one of some texts."""
    lengths = titles.lengths()
    mask = lengths == 0 if missing else np.zeros(len(titles), bool)
    for text in values:
        try:
            one = StringColumn.from_strings([unicodedata.normalize("NFC", text)])
        except UnicodeEncodeError:  # a lone surrogate stands in no UTF-8 file
            continue
        alike = np.flatnonzero(lengths == one.lengths()[0])
        mask[alike] |= titles.equal(alike, one, np.zeros(len(alike), np.int64))
    return mask


def _any_code(name: str, codes: np.ndarray, vocabulary: Vocabulary, wanted: Sequence[int]) -> np.ndarray:
    """Say which codes are among some; -1 may be one of them."""
    if len(wanted) == 1:
        return np.asarray(codes == wanted[0])
    is_wanted = np.zeros(len(vocabulary) + 1, bool)  # the last place is that of -1
    is_wanted[wanted] = True
    return np.asarray(is_wanted[_checked(name, codes, vocabulary)])


def _checked(name: str, codes: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Refuse codes that point outside the vocabulary: they may be mapped from a file that was altered."""
    if codes.size and (codes.min() < -1 or codes.max() >= len(vocabulary)):
        beyond = codes.min() if codes.min() < -1 else codes.max()
        expected = f"codes from -1 to {len(vocabulary) - 1:,}"
        raise errors.rules.altered_attributes(name, f"holds the code {beyond}", expected)
    return codes
