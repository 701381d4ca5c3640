"""Traits: what a shop knows of its customers beside their events, such as consent, plan or region."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from engagelib import errors
from engagelib.attributes.conditions import NumberKind
from engagelib.vocabulary import Id, Vocabulary


@dataclass(frozen=True, eq=False)
class Traits:
    """A customer table as arrays, a row a customer.

    Attributes
    ----------
    ids
        Whose rows they are.
    numbers
        By column, float64 of shape (n,), NaN for missing; booleans are 0 and 1, moments microseconds.
    kinds
        What each of `numbers` was.
    texts
        By column, int32 codes of shape (n,), -1 for missing, and the texts.
    """

    ids: Vocabulary
    numbers: Mapping[str, np.ndarray]
    kinds: Mapping[str, NumberKind]
    texts: Mapping[str, tuple[np.ndarray, Vocabulary]]

    @classmethod
    def read(cls, source: Any) -> Self:
        """Read a table with a column `customer_id`, each customer once, from whatever an `EventLog` reads.

        Columns of texts, numbers, booleans, dates and times are kept; others are left out.

        Raises
        ------
        SchemaError
            If there is no `customer_id`, it is null, repeated or of a wrong type.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        from engagelib.attributes import reading
        from engagelib.frames import Refused, encode_ids, open_table
        from engagelib.strings import decoded

        table = open_table(source, "customers", ids=("customer_id",))
        if "customer_id" not in table.column_names:
            raise errors.actions.customers_without_id(table.column_names)
        refused = Refused(np.zeros(len(table), np.uint8))
        codes, dictionary = encode_ids(table["customer_id"], "customer_id", refused)
        refused.add(codes < 0, "customer_id", "null in the customer table")
        refused.raise_first("give each row of the customer table an id.")
        listed = dictionary.take(pa.array(codes))
        ids = Vocabulary.from_values(listed)
        if len(ids) < len(listed):
            counts = pc.value_counts(listed)
            again = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
            raise errors.actions.repeated_customers(len(again), again[0].as_py())
        rows = np.zeros(len(ids), np.int64)
        rows[ids.indices(listed)] = np.arange(len(listed))
        places = pa.array(rows)
        numbers: dict[str, np.ndarray] = {}
        kinds: dict[str, NumberKind] = {}
        texts: dict[str, tuple[np.ndarray, Vocabulary]] = {}
        for name in table.column_names:
            if name == "customer_id" or name.startswith("__index_level_"):
                continue
            with reading.naming(name):
                values = decoded(table[name])
                kind = reading.kind_of(values)
                if kind == "coded" and not pa.types.is_integer(values.type):
                    texts[name] = reading.encode(values, places)
                elif kind is not None and kind != "coded":
                    numbers[name], kinds[name] = reading.read_numbers(values, places, kind), kind
        return cls(ids, numbers, kinds, texts)

    def one(self, customer_id: Id | None) -> tuple[list[float], list[int]]:
        """Return the numbers and the codes of one customer, missing where there is no row."""
        row = -1 if customer_id is None else self.ids.find(customer_id)
        if row < 0:
            return [math.nan] * len(self.numbers), [-1] * len(self.texts)
        numbers = [float(values[row]) for values in self.numbers.values()]
        return numbers, [int(codes[row]) for codes, _ in self.texts.values()]

    def places(self, customer_ids: "Sequence[Id | None] | Vocabulary") -> np.ndarray:
        """Return the row of each customer, -1 where there is none."""
        return self.ids.indices(customer_ids)

    def at(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers and the codes of rows, -1 for none; shapes (n, n_numbers) and (n, n_texts)."""
        there = places >= 0
        numbers = np.full((len(places), len(self.numbers)), np.nan)
        codes = np.full((len(places), len(self.texts)), -1, np.int64)
        for place, values in enumerate(self.numbers.values()):
            numbers[there, place] = values[places[there]]
        for place, (column, _) in enumerate(self.texts.values()):
            codes[there, place] = column[places[there]]
        return numbers, codes

    def without(self, customer_ids: Sequence[Id]) -> "Traits":
        """Return the table without some customers."""
        stays = np.ones(len(self.ids), bool)
        rows = self.ids.indices(customer_ids)
        stays[rows[rows >= 0]] = False
        numbers = {name: values[stays] for name, values in self.numbers.items()}
        texts = {}
        for name, (codes, table) in self.texts.items():
            left = codes[stays]
            # A text that nobody has any more goes too: it may say who had it.
            used = np.zeros(len(table) + 1, bool)
            used[left] = True
            places = np.append(np.cumsum(used[:-1]) - 1, -1).astype(np.int32)
            texts[name] = places[left], table.subset(used[:-1])
        return Traits(self.ids.subset(stays), numbers, self.kinds, texts)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name; `facts` holds the columns' names, which may be any text."""
        arrays = {f"ids.{part}": values for part, values in self.ids.to_arrays().items()}
        arrays |= {f"numbers.{place}": values for place, values in enumerate(self.numbers.values())}
        for place, (codes, table) in enumerate(self.texts.values()):
            parts = {"codes": codes, **table.to_arrays()}
            arrays |= {f"texts.{place}.{part}": values for part, values in parts.items()}
        return arrays

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {"numbers": list(self.numbers), "kinds": dict(self.kinds), "texts": list(self.texts)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        texts = {}
        for place, name in enumerate(facts["texts"]):
            parts = under(f"texts.{place}.")
            table = Vocabulary.from_arrays(parts)
            codes = parts["codes"]
            if len(codes) and not -1 <= codes.min() <= codes.max() < len(table):
                raise errors.rules.altered_attributes(name, "holds codes of no text", "codes of its texts")
            texts[name] = (codes, table)
        made = cls(
            Vocabulary.from_arrays(under("ids.")),
            {name: arrays[f"numbers.{place}"] for place, name in enumerate(facts["numbers"])},
            dict(facts["kinds"]),
            texts,
        )
        lengths = {name: len(values) for name, values in made.numbers.items()}
        lengths |= {name: len(codes) for name, (codes, _) in made.texts.items()}
        for name, length in lengths.items():
            if length != len(made.ids):
                expected = f"one for each of {len(made.ids):,} customers"
                raise errors.rules.altered_attributes(name, f"holds {length:,} values", expected)
        return made
