"""Learned: what a recommender found out from a log, in one piece, to and from an artifact's arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib.attributes import ItemAttributes
from engagelib.cells import check_event_weights
from engagelib.histories import Histories
from engagelib.identity import IdentityMap
from engagelib.models import Model, Popularity, restore_model
from engagelib.ranking import Calibration, Ranker
from engagelib.recommender.listing import source_names
from engagelib.recommender.pairing import Together
from engagelib.recommender.repeating import Repeats
from engagelib.strings import StringColumn
from engagelib.tables import Cell
from engagelib.times import spell

if TYPE_CHECKING:
    pass

LITTLE_KNOWN: Final = 10
"""Events from which on an item has had its chance."""


@dataclass(frozen=True)
class Learned:
    """All that fitting a recommender finds out. It is replaced as a whole: a call serves all of it or none.

    Attributes
    ----------
    histories
        What each customer did.
    models, choice
        The fitted models, and in words why these.
    popularity
        What completes short lists.
    attributes
        What is known of each item: its title, whether it may be shown at all, and other columns.
    ranker, ranker_of_new
        What puts the models' candidates in order, None where their equal-weight blend does; the second
        where a list holds nothing that the customer met before.
    ranked
        In words, how candidates are put in order, and why so.
    calibration, calibrated
        What gives the chance that a listed item comes about, None where nothing does, and in words why.
    repeats, together
        Which items are bought again, and which in one basket.
    identities
        Which identities are one customer; None where the log did not say.
    erasure_pending
        By model the number of customers that were forgotten since it was fitted, of those models that
        still carry a trace of them.
    """

    histories: Histories
    models: list[Model]
    choice: str
    popularity: Popularity
    attributes: ItemAttributes
    repeats: Repeats
    together: Together
    ranker: Ranker | None = None
    ranker_of_new: Ranker | None = None
    ranked: str = ""
    calibration: Calibration | None = None
    calibrated: str = ""
    identities: IdentityMap | None = None
    erasure_pending: Mapping[str, int] = field(default_factory=dict)

    def counted_as(self, event_type: str) -> str:
        """Return the type that events of a visit count as: where the log has one type on items, that one."""
        types = self.histories.item_types
        return types[0] if len(types) == 1 else event_type

    @property
    def titles(self) -> StringColumn:
        """The title of each item, empty where it has none."""
        return self.attributes.titles

    @property
    def for_sale(self) -> np.ndarray:
        """Whether each item may be shown at all, bool of shape (n_items,)."""
        return self.attributes.for_sale

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """What the source codes of lists mean, with those that rules and trials add."""
        return source_names(self.models, ruled=True, explored=True)

    @cached_property
    def categories(self) -> np.ndarray | None:
        """A code for the category of each item, -1 where it has none; None where no table says."""
        if "category" in self.attributes.texts:
            return self.attributes.texts["category"][0]
        if "category" not in self.attributes.numbers:
            return None
        numbers = self.attributes.numbers["category"]
        known = np.isfinite(numbers)
        codes = np.full(len(numbers), -1, np.int32)
        codes[known] = np.unique(numbers[known], return_inverse=True)[1]
        return codes

    @cached_property
    def little_known(self) -> np.ndarray:
        """Whether the log holds fewer than `LITTLE_KNOWN` events on an item, bool of shape (n_items,)."""
        item_index = self.histories.item_index
        count = np.bincount(item_index[item_index >= 0], minlength=self.histories.n_items)
        return np.asarray(count < LITTLE_KNOWN)

    def summary(self) -> list[tuple[Cell, ...]]:
        """Say what was learned from what, and why these models, in rows of (what, value)."""
        histories = self.histories
        newest = f"no times: order by {histories.time_kind}"
        if histories.time_kind == "timestamp" and histories.newest is not None:
            newest = f"{spell(histories.newest)} UTC"
        rows: list[tuple[Cell, ...]] = [
            ("models", ", ".join(map(repr, self.models))),
            ("chosen", self.choice),
            *((("ranked by", self.ranked),) if self.ranked else ()),
            *((("probabilities", self.calibrated),) if self.calibrated else ()),
            ("completed by", repr(self.popularity)),
            ("bought again", self.repeats.choice),
            ("customers", histories.n_customers),
            ("anonymous visits", histories.n_histories - histories.n_customers),
            ("items", histories.n_items),
            ("items for sale", int(self.for_sale.sum())),
            ("events", histories.n_events),
            *self._uncounted(),
            ("newest event", newest),
        ]
        if self.identities is not None:
            rows.append(("linked identities", len(self.identities)))
        for name, count in self.erasure_pending.items():
            rows.append((f"erasure pending: {name}", f"{count:,} customers, until it is fitted again"))
        return rows

    def _uncounted(self) -> list[tuple[Cell, ...]]:
        """Count the events on items that no weight makes count: a type by another name is easily missed."""
        weights = check_event_weights(self.popularity.event_weights)
        types = [name for name in self.histories.item_types if name != "return" and not weights.get(name)]
        return [
            (f"events without weight: {name}", int(np.count_nonzero(self.histories.of_type(name))))
            for name in types
        ]

    def _rankers(self) -> dict[str, Ranker]:
        """Return the rankers that there are, by name; one that stands for both, once."""
        named = {"ranker": self.ranker}
        if self.ranker_of_new is not self.ranker:
            named["ranker_of_new"] = self.ranker_of_new
        return {name: ranker for name, ranker in named.items() if ranker is not None}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        parts: dict[
            str, Histories | Model | ItemAttributes | Repeats | Together | Ranker | Calibration | IdentityMap
        ] = {
            "histories": self.histories,
            "attributes": self.attributes,
            "popularity": self.popularity,
            "repeats": self.repeats,
            "together": self.together,
        }
        parts |= {f"models.{place}": model for place, model in enumerate(self.models)}
        parts |= self._rankers()
        if self.calibration is not None:
            parts["calibration"] = self.calibration
        if self.identities is not None:
            parts["identities"] = self.identities
        arrays: dict[str, np.ndarray] = {}
        for name, part in parts.items():
            arrays |= {f"{name}.{inner}": values for inner, values in part.to_arrays().items()}
        return arrays

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "histories": self.histories.facts(),
            "attributes": self.attributes.facts(),
            "popularity": self.popularity.params(),
            "repeats": self.repeats.facts(),
            "together": self.together.facts(),
            "models": [{"name": model.name, "params": model.params()} for model in self.models],
            "choice": self.choice,
            "rankers": {name: ranker.described() for name, ranker in self._rankers().items()},
            "one_ranker": self.ranker is self.ranker_of_new,
            "ranked": self.ranked,
            "calibration": None if self.calibration is None else self.calibration.facts(),
            "calibrated": self.calibrated,
            "identities": None if self.identities is None else self.identities.facts(),
            "erasure_pending": dict(self.erasure_pending),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        identities, calibration = facts["identities"], facts["calibration"]
        rankers = {
            name: Ranker.from_arrays(under(f"{name}."), described)
            for name, described in facts["rankers"].items()
        }
        ranker = rankers.get("ranker")
        return cls(
            histories=Histories.from_arrays(under("histories."), facts["histories"]),
            models=[
                restore_model(model["name"], model["params"], under(f"models.{place}."))
                for place, model in enumerate(facts["models"])
            ],
            choice=facts["choice"],
            popularity=Popularity.from_arrays(under("popularity."), facts["popularity"]),
            attributes=ItemAttributes.from_arrays(under("attributes."), facts["attributes"]),
            repeats=Repeats.from_arrays(under("repeats."), facts["repeats"]),
            together=Together.from_arrays(under("together."), facts["together"]),
            ranker=ranker,
            ranker_of_new=ranker if facts["one_ranker"] else rankers.get("ranker_of_new"),
            ranked=facts["ranked"],
            calibration=None
            if calibration is None
            else Calibration.from_arrays(under("calibration."), calibration),
            calibrated=facts["calibrated"],
            identities=None
            if identities is None
            else IdentityMap.from_arrays(under("identities."), identities),
            erasure_pending=facts["erasure_pending"],
        )
