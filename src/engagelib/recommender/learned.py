"""Learned: what a recommender found out from a log, in one piece, to and from an artifact's arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes
from engagelib.cells import check_event_weights
from engagelib.histories import Histories
from engagelib.identity import IdentityMap
from engagelib.models import Model, Popularity, restore_model
from engagelib.recommender.choosing import choose_filler, choose_models
from engagelib.recommender.listing import source_names
from engagelib.recommender.pairing import Together, learn_together
from engagelib.recommender.repeating import Repeats, learn_repeats
from engagelib.strings import StringColumn
from engagelib.tables import Cell
from engagelib.times import spell

if TYPE_CHECKING:
    from engagelib.events import EventLog


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
    identities: IdentityMap | None = None
    erasure_pending: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_log(
        cls, log: "EventLog", models: "str | Model | Sequence[str | Model]", *, by_location: bool
    ) -> Self:
        """Learn from a log; see `Recommender.fit` for what is refused."""
        histories = Histories.from_log(log)
        if not (histories.item_index >= 0).any():
            raise errors.answering.nothing_to_learn(len(log))
        fitted, choice = choose_models(models, histories, by_location=by_location)
        return cls(
            histories=histories,
            models=fitted,
            choice=choice,
            popularity=choose_filler(fitted, histories, by_location=by_location),
            attributes=ItemAttributes.from_table(log.item_table, log.items),
            repeats=learn_repeats(histories),
            together=learn_together(histories),
            identities=log.identities,
        )

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
        """What the source codes of lists mean, with those that rules add."""
        return source_names(self.models, ruled=True)

    def summary(self) -> list[tuple[Cell, ...]]:
        """Say what was learned from what, and why these models, in rows of (what, value)."""
        histories = self.histories
        newest = f"no times: order by {histories.time_kind}"
        if histories.time_kind == "timestamp" and histories.newest is not None:
            newest = f"{spell(histories.newest)} UTC"
        rows: list[tuple[Cell, ...]] = [
            ("models", ", ".join(map(repr, self.models))),
            ("chosen", self.choice),
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

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        parts: dict[str, Histories | Model | ItemAttributes | Repeats | Together | IdentityMap] = {
            "histories": self.histories,
            "attributes": self.attributes,
            "popularity": self.popularity,
            "repeats": self.repeats,
            "together": self.together,
        }
        parts |= {f"models.{place}": model for place, model in enumerate(self.models)}
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
            "identities": None if self.identities is None else self.identities.facts(),
            "erasure_pending": dict(self.erasure_pending),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        identities = facts["identities"]
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
            identities=None
            if identities is None
            else IdentityMap.from_arrays(under("identities."), identities),
            erasure_pending=facts["erasure_pending"],
        )
