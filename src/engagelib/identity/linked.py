"""Linked: the identities of a map as arrays, each with the customer that it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib import errors
from engagelib.strings import StringColumn, as_view
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa


class Linked:
    """Identities in groups, each group one customer; never changed, and ready to be mapped from a file.

    An identity stands at a place: integers first, then texts, each in the order of their vocabulary. All
    arrays are int32; those of one entry for each place have shape (n,).

    Parameters
    ----------
    numbers, texts
        The identities.
    root
        The place of the canonical identity of the same customer.
    age
        Rank in the order in which the identities came into the map. A canonical identity is the oldest of
        its group.
    ring
        The next identity of the same customer; the last one leads back to the first.
    merged
        Places of the identities that were canonical until their group was merged into another, oldest first.
    n_customers
        Number of groups.
    """

    __slots__ = ("_age", "_ring", "_root", "age", "merged", "n_customers", "numbers", "ring", "root", "texts")

    def __init__(
        self,
        numbers: Vocabulary,
        texts: Vocabulary,
        arrays: Mapping[str, np.ndarray],
        n_customers: int,
    ) -> None:
        self.numbers, self.texts = numbers, texts
        self.root, self.age, self.ring, self.merged = (arrays[name] for name in _ARRAYS)
        self.n_customers = n_customers
        self._root, self._age, self._ring = as_view(self.root), as_view(self.age), as_view(self.ring)

    @classmethod
    def from_groupings(cls, parts: "Sequence[Grouping]") -> "Linked":
        """Join groupings: what is one customer in any of them is one in the whole.

        Ages count on from grouping to grouping. An identity that was canonical in one of them, and is no
        longer, counts as merged.
        """
        import pyarrow as pa

        numbers = Vocabulary.from_values(pa.array(np.concatenate([part.numbers for part in parts])))
        texts = Vocabulary.from_values(pa.concat_arrays([part.texts for part in parts]))
        n = len(numbers) + len(texts)
        age = np.full(n, np.iinfo(np.int64).max)
        first, second, heads, older = [], [], [], 0
        for part in parts:
            place = np.concatenate([numbers.indices(part.numbers), len(numbers) + texts.indices(part.texts)])
            np.minimum.at(age, place, older + part.age)
            older += len(place)
            first.append(place[part.root])
            second.append(place)
            heads.append(place[np.append(part.merged, np.flatnonzero(part.root == np.arange(len(place))))])
        root = group(n, np.concatenate(first), np.concatenate(second), age)
        return cls.from_groups(numbers, texts, root, age, np.concatenate(heads))

    @classmethod
    def from_groups(
        cls, numbers: Vocabulary, texts: Vocabulary, root: np.ndarray, age: np.ndarray, heads: np.ndarray
    ) -> "Linked":
        """Store groups; `heads` are the places of all identities that ever were canonical."""
        if not len(age):
            return cls.empty()
        order = np.argsort(age)
        rank = np.empty(len(age), np.int32)
        rank[order] = np.arange(len(age))
        in_groups = order[np.argsort(root[order], kind="stable")]
        starts = np.flatnonzero(np.diff(root[in_groups], prepend=-1))
        ring = np.empty(len(age), np.int32)
        ring[in_groups[:-1]] = in_groups[1:]
        ring[in_groups[np.append(starts[1:], len(age)) - 1]] = in_groups[starts]
        merged = np.unique(heads[root[heads] != heads])
        merged = merged[np.argsort(rank[merged])]
        arrays = {"root": root, "age": rank, "ring": ring, "merged": merged}
        return cls(numbers, texts, {name: arrays[name].astype(np.int32) for name in _ARRAYS}, len(starts))

    @classmethod
    def empty(cls) -> "Linked":
        """Return what holds no identity yet."""
        numbers, texts = Vocabulary(np.zeros(0, np.int64)), Vocabulary(StringColumn.from_strings([]))
        return cls(numbers, texts, dict.fromkeys(_ARRAYS, np.zeros(0, np.int32)), 0)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_customers: int) -> "Linked":
        """Take back what `to_arrays` gave, mapped or in memory, without a copy."""
        parts: dict[str, dict[str, np.ndarray]] = {"numbers": {}, "texts": {}}
        for name, values in arrays.items():
            holder, _, part = name.rpartition(".")
            if holder in parts:
                parts[holder][part] = values
        empty = cls.empty()
        numbers = Vocabulary.from_arrays(parts["numbers"]) if parts["numbers"] else empty.numbers
        texts = Vocabulary.from_arrays(parts["texts"]) if parts["texts"] else empty.texts
        n = len(numbers) + len(texts)
        for name in ("root", "age", "ring"):
            if len(arrays[name]) != n:
                raise errors.identity.altered_map(f"{name} has {len(arrays[name]):,} entries", f"{n:,}")
        return cls(numbers, texts, arrays, n_customers)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name, ids in (("numbers", self.numbers), ("texts", self.texts)):
            if len(ids):
                arrays |= {f"{name}.{part}": values for part, values in ids.to_arrays().items()}
        return arrays

    def __len__(self) -> int:
        return len(self.root)

    def find(self, id_: Id) -> int:
        """Return the place of a spelled identity, -1 where it is not linked."""
        if type(id_) is str:
            place = self.texts.find(id_)
            return place if place < 0 else place + len(self.numbers)
        return self.numbers.find(id_)

    def places(self, ids: Any) -> np.ndarray:
        """Return the place of each spelled identity, int64, -1 where it is null or not linked."""
        places = self.texts.indices(ids).astype(np.int64)
        places[places >= 0] += len(self.numbers)
        if len(self.numbers):
            places = np.maximum(places, self.numbers.indices(ids))
        return places

    def root_of(self, place: int) -> int:
        """Return the place of the canonical identity."""
        return self._checked(self._root[place])

    def age_of(self, place: int) -> int:
        """Return the rank of an identity by age."""
        return self._age[place]

    def next_of(self, place: int) -> int:
        """Return the place of the next identity of the same customer."""
        return self._checked(self._ring[place])

    def roots(self, places: np.ndarray) -> np.ndarray:
        """Return the places of the canonical identities, int64."""
        self._check(places)
        roots: np.ndarray = self.root[places].astype(np.int64)
        self._check(roots)
        return roots

    def sizes(self) -> np.ndarray:
        """Return the number of identities of each canonical identity's customer, 0 for all others."""
        return np.bincount(self.roots(np.arange(len(self))), minlength=len(self))

    def id_at(self, place: int) -> Id:
        """Return the identity at a place."""
        n_numbers = len(self.numbers)
        if place < n_numbers:
            return self.numbers.ids((place,))[0]
        return self.texts.ids((place - n_numbers,))[0]

    def count_namespaces(self) -> tuple[int, dict[str, int]]:
        """Count the identities without a namespace, and those of each namespace."""
        import pyarrow.compute as pc

        found = pc.struct_field(pc.extract_regex(self.texts.to_arrow(), r"^(?P<name>[^:]+):"), "name")
        counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(found).to_pylist()}
        return len(self.numbers) + counts.pop(None, 0), counts

    def grouping(self) -> "Grouping":
        """Return the identities and their groups apart from any vocabulary."""
        return Grouping(
            np.asarray(self.numbers.values),
            self.texts.to_arrow(),
            self.roots(np.arange(len(self))),
            self.age.astype(np.int64),
            self.merged.astype(np.int64),
        )

    def _checked(self, place: int) -> int:
        # The arrays may be mapped from a file that was altered.
        if 0 <= place < len(self.root):
            return place
        raise errors.identity.altered_map(f"an identity leads to place {place:,}", f"0 to {len(self) - 1:,}")

    def _check(self, places: np.ndarray) -> None:
        if len(places):
            self._checked(int(places.min()))
            self._checked(int(places.max()))


@dataclass(frozen=True)
class Grouping:
    """Identities in groups: places count `numbers` first, then `texts`, both in any order."""

    numbers: np.ndarray
    texts: "pa.Array"
    root: np.ndarray
    age: np.ndarray
    merged: np.ndarray

    def as_text(self) -> "Grouping":
        """Spell the numbers as text."""
        import pyarrow as pa

        spelled = pa.array(self.numbers).cast(pa.large_string())
        texts = pa.concat_arrays([spelled, self.texts])
        return Grouping(self.numbers[:0], texts, self.root, self.age, self.merged)

    def with_ids(
        self, ids: Sequence[Id], root: np.ndarray, age: np.ndarray, merged: np.ndarray
    ) -> "Grouping":
        """Add identities; the new `root` and `merged` count all of these last, and `age` lists them last."""
        import pyarrow as pa

        is_number = np.fromiter((isinstance(id_, int) for id_ in ids), bool, len(ids))
        numbers = np.array([id_ for id_ in ids if isinstance(id_, int)], np.int64)
        texts = pa.array([id_ for id_ in ids if isinstance(id_, str)], pa.large_string())
        n_numbers, n = len(self.numbers), len(self.root)
        of_numbers, of_texts = (n + np.flatnonzero(mask) for mask in (is_number, ~is_number))
        order = np.concatenate([np.arange(n_numbers), of_numbers, np.arange(n_numbers, n), of_texts])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return Grouping(
            np.append(self.numbers, numbers),
            pa.concat_arrays([self.texts, texts]),
            place[root[order]],
            age[order],
            place[merged],
        )

    def filter(self, keep: np.ndarray) -> "Grouping":
        """Return the identities of a mask, which must hold whole groups."""
        import pyarrow as pa

        place = np.cumsum(keep) - 1
        n_numbers = len(self.numbers)
        return Grouping(
            self.numbers[keep[:n_numbers]],
            self.texts.filter(pa.array(keep[n_numbers:])),
            place[self.root[keep]],
            self.age[keep],
            place[self.merged[keep[self.merged]]],
        )


def link_rows(n: int, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Link pairs of places row by row, as so many single links would; no row links a place with itself.

    Returns
    -------
    The canonical place of each place, its age, both of shape (n,), and the places that ever were canonical.
    """
    n_rows = len(first)
    age = np.zeros(n, np.int64)
    # Of several values for one place NumPy keeps the last, which is the first row from the end.
    age[np.stack([first, second], axis=1).ravel()[::-1]] = np.arange(2 * n_rows)[::-1]
    root = group(n, first, second, age)
    # A row that brings a new identity founds a group or adds to one. Any other row joins two groups, if it
    # does anything: what the former rows alone make of the places are the groups as they were founded.
    before = 2 * np.arange(n_rows)
    brings = (age[first] >= before) | (age[second] >= before)
    heads = np.flatnonzero(group(n, first[brings], second[brings], age) == np.arange(n))
    return root, age, heads


def group(n: int, first: np.ndarray, second: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Return the oldest place that each of `n` places is connected to, int64; no two are of one age."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    n_groups, label = connected_components(links, directed=False)
    oldest_first = np.argsort(age)
    oldest = np.empty(n_groups, np.int64)
    oldest[label[oldest_first[::-1]]] = oldest_first[::-1]
    root: np.ndarray = oldest[label]
    return root


_ARRAYS: Final = ("root", "age", "ring", "merged")
