"""Known: all that is known of a customer at a moment, for conditions, for values and for models."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import numpy as np

from engagelib import errors
from engagelib.actions.conditions import FactNames, Facts
from engagelib.actions.customers import STAGES, CustomerFeatures, FeatureTable, Lifecycle, Stage, Stages
from engagelib.actions.traits import Traits
from engagelib.actions.value import LifetimeValue
from engagelib.attributes.conditions import Kind
from engagelib.histories import Histories
from engagelib.vocabulary import Id

_MOST_TEXTS: Final = 16
"""A column of more texts than this says little that a linear model could learn from few decisions."""

_LEAST_SHARED: Final = 5
"""A text of fewer customers would say who they are, and teach nothing."""

VALUE_NAMES: Final = ("expected_purchases", "expected_value", "p_alive")


class OneKnown(NamedTuple):
    """What is known of one customer.

    Attributes
    ----------
    numbers, codes
        The columns of `Known.names`, as built-in numbers.
    design
        What models read, float64 of shape (1, n_columns).
    stage
        Where they stand in the lifecycle.
    trouble
        Their recent bad experience in words, empty where there was none.
    """

    numbers: list[float]
    codes: list[int]
    design: np.ndarray
    stage: Stage
    trouble: str


class ManyKnown(NamedTuple):
    """What is known of many customers: the same, as arrays."""

    facts: Facts
    design: np.ndarray
    stages: Stages
    is_troubled: np.ndarray


@dataclass(frozen=True, eq=False)
class Known:
    """What to know of a customer, and how to work it out as of any moment.

    Attributes
    ----------
    features
        What their events say.
    lifecycle
        Their stage.
    value
        What they are expected to bring; None where the log does not tell.
    why_no_value
        In words, why not; empty where it does.
    traits
        What the shop's customer table says; None where there is none.
    spread
        Text columns that models read, and of each the texts that are columns of 0 and 1.
    names
        What conditions may ask about.
    design_names, version
        The columns that models read, and a short name for these and their order.
    """

    features: CustomerFeatures
    lifecycle: Lifecycle
    value: LifetimeValue | None
    why_no_value: str
    traits: Traits | None
    spread: tuple[tuple[str, tuple[str, ...]], ...]
    names: FactNames = field(init=False)
    design_names: tuple[str, ...] = field(init=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        numbers: dict[str, Kind] = dict.fromkeys(self.features.names_, "number")
        texts: dict[str, Sequence[str]] = {"stage": STAGES}
        if self.value is not None:
            numbers |= dict.fromkeys(VALUE_NAMES, "number")
        if self.traits is not None:
            for name in (*self.traits.numbers, *self.traits.texts):
                if name in numbers or name in texts:
                    raise errors.actions.repeated_trait(name)
            numbers |= dict(self.traits.kinds)
            texts |= {name: tuple(map(str, table)) for name, (_, table) in self.traits.texts.items()}
        names = FactNames(numbers, texts)
        columns, spread = [*numbers], []
        for name, shared in self.spread:
            place_of = {text: len(columns) + place for place, text in enumerate(shared)}
            table = list(texts[name])
            at = np.array([*(place_of.get(text, -1) for text in table), -1], np.int64)
            spread.append((list(texts).index(name), at))
            columns += [f"{name}={text}" for text in shared]
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "design_names", tuple(columns))
        object.__setattr__(self, "_column_of", spread)
        expected = "expected_value"
        object.__setattr__(self, "_value_place", list(numbers).index(expected) if expected in numbers else -1)
        spelled = "\n".join(columns).encode()
        object.__setattr__(self, "version", hashlib.blake2b(spelled, digest_size=8).hexdigest())

    @classmethod
    def learn(
        cls,
        histories: Histories,
        *,
        features: CustomerFeatures,
        lifecycle: Lifecycle,
        horizon_days: float,
        traits: Traits | None,
    ) -> Self:
        """Take fitted features and a lifecycle, and learn what customers are expected to bring."""
        value, why = None, ""
        try:
            value = LifetimeValue(horizon_days=horizon_days).fit(histories)
        except errors.NotEnoughDataError as error:
            why = str(error).partition(" Hint: ")[0]
        return cls(features, lifecycle, value, why, traits, (("stage", STAGES), *_shared(traits)))

    def one(self, history: Histories, customer_id: Id | None, at: int) -> OneKnown:
        """Say what is known of one customer, from one row of history."""
        account = self.features.account(history, at)
        numbers: list[float] = self.features.one(history, at, account=account).tolist()
        if self.value is not None:
            expected = self.value.one(history, at)
            told_of = (expected.expected_purchases, expected.expected_value, expected.p_alive)
            numbers += [math.nan if value is None else value for value in told_of]
        stage = self.lifecycle.one(history, at, account=account)
        trouble = self.lifecycle.may_refer(history, at, account=account).reason
        codes = [STAGES.index(stage.name)]
        if self.traits is not None:
            told, more = self.traits.one(customer_id)
            numbers += told
            codes += more
        design = np.zeros((1, len(self.design_names)))
        design[0, : len(numbers)] = numbers
        for text, column_of in self._columns():
            if (column := column_of[codes[text]]) >= 0:
                design[0, column] = 1.0
        return OneKnown(numbers, codes, design, stage, trouble)

    def many(
        self,
        histories: Histories,
        row: np.ndarray,
        moment: np.ndarray,
        trait_places: np.ndarray | None = None,
    ) -> ManyKnown:
        """Say what is known of some customers, each as of a moment.

        Parameters
        ----------
        histories
            The histories.
        row, moment
            Which row, -1 for nobody known, and when, int64 of shape (n,).
        trait_places
            The row of each entry in the customer table, -1 for none, as `Traits.places` gives it; None looks
            up the customers behind the rows.
        """
        parts = [self.features.of(histories, row, moment).values]
        if self.value is not None:
            expected = self.value.predict_pairs(histories, row, moment)
            told_of = (expected.expected_purchases, expected.expected_value, expected.p_alive)
            parts.append(np.stack(told_of, axis=1))
        stages = self.lifecycle.of(histories, row, moment)
        codes = [stages.code.astype(np.int64)[:, None]]
        if self.traits is not None:
            if trait_places is None:
                of_rows = np.append(self.traits.places(histories.customers), -1)
                known = (row >= 0) & (row < histories.n_customers)
                trait_places = of_rows[np.where(known, row, -1)]
            told, more = self.traits.at(trait_places)
            parts.append(told)
            codes.append(more)
        facts = Facts(np.concatenate(parts, axis=1), np.concatenate(codes, axis=1))
        troubled = ~self.lifecycle.bad_experiences(histories, row, moment).may_refer
        return ManyKnown(facts, self.design(facts), stages, troubled)

    def design(self, facts: Facts) -> np.ndarray:
        """Return what models read: the numbers, and a column of 0 and 1 for each text."""
        n = len(facts.numbers)
        design = np.zeros((n, len(self.design_names)))
        design[:, : facts.numbers.shape[1]] = facts.numbers
        every = np.arange(n)
        for text, column_of in self._columns():
            column = column_of[facts.codes[:, text]]
            there = column >= 0
            design[every[there], column[there]] = 1.0
        return design

    def table(self, histories: Histories, row: np.ndarray, moment: np.ndarray) -> FeatureTable:
        """Return what models read as a table with names, as models of events are fitted on."""
        return FeatureTable(self.design_names, self.many(histories, row, moment).design)

    def _columns(self) -> list[tuple[int, np.ndarray]]:
        """Return the place of each text column that models read, and the column of each code or -1."""
        found: list[tuple[int, np.ndarray]] = self.__dict__["_column_of"]
        return found

    def expected_value(self, numbers: Sequence[float]) -> float | None:
        """Return what a customer is expected to bring, of their numbers; None where nobody knows."""
        place: int = self.__dict__["_value_place"]
        return None if place < 0 or math.isnan(numbers[place]) else numbers[place]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        parts: dict[str, Any] = {"features": self.features, "value": self.value, "traits": self.traits}
        return {
            f"{name}.{inner}": values
            for name, part in parts.items()
            if part is not None
            for inner, values in part.to_arrays().items()
        }

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "features": self.features.facts(),
            "lifecycle": self.lifecycle.facts(),
            "value": None if self.value is None else self.value.facts(),
            "why_no_value": self.why_no_value,
            "traits": None if self.traits is None else self.traits.facts(),
            "spread": [[name, list(texts)] for name, texts in self.spread],
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        value, traits = facts["value"], facts["traits"]
        return cls(
            CustomerFeatures.from_arrays(under("features."), facts["features"]),
            Lifecycle(**facts["lifecycle"]),
            None if value is None else LifetimeValue.from_arrays(under("value."), value),
            facts["why_no_value"],
            None if traits is None else Traits.from_arrays(under("traits."), traits),
            tuple((name, tuple(texts)) for name, texts in facts["spread"]),
        )


def _shared(traits: Traits | None) -> list[tuple[str, tuple[str, ...]]]:
    """Return the text columns that models can learn from, and their texts that enough customers have."""
    found = []
    for name, (codes, table) in ({} if traits is None else traits.texts).items():
        counts = np.bincount(codes[codes >= 0], minlength=len(table))
        texts = tuple(str(table[code]) for code in np.flatnonzero(counts >= _LEAST_SHARED).tolist())
        if len(texts) <= _MOST_TEXTS:
            found.append((name, texts))
    return found
