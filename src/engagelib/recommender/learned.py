"""Learned: what a recommender found out from a log, in one piece, to and from an artifact's arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engagelib import errors
from engagelib.cells import check_event_weights
from engagelib.histories import Histories
from engagelib.models import Model, Popularity, restore_model
from engagelib.recommender.choosing import choose_filler, choose_models
from engagelib.recommender.listing import POPULAR
from engagelib.strings import StringColumn
from engagelib.tables import Cell, Table
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
    titles, for_sale
        Of each item its title, empty where it has none, and whether it may be shown at all.
    """

    histories: Histories
    models: list[Model]
    choice: str
    popularity: Popularity
    titles: StringColumn
    for_sale: np.ndarray

    @classmethod
    def from_log(
        cls, log: "EventLog", models: "str | Model | Sequence[str | Model]", *, by_location: bool
    ) -> Self:
        """Learn from a log; see `Recommender.fit` for what is refused."""
        histories = Histories.from_log(log)
        if not (histories.item_index >= 0).any():
            raise errors.answering.nothing_to_learn(len(log))
        fitted, choice = choose_models(models, histories, by_location=by_location)
        popularity = choose_filler(fitted, histories, by_location=by_location)
        return cls(histories, fitted, choice, popularity, log.item_texts("title"), log.item_for_sale())

    @property
    def sources(self) -> tuple[str, ...]:
        """What `source` can say: the models' names, then "popular"."""
        return (*(model.name for model in self.models), POPULAR)

    def summary(self, version: str | None) -> Table:
        """Say what was learned from what, and why these models."""
        histories = self.histories
        newest = f"no times: order by {histories.time_kind}"
        if histories.time_kind == "timestamp" and histories.newest is not None:
            newest = f"{spell(histories.newest)} UTC"
        return Table(
            ("what", "value"),
            (
                ("models", ", ".join(map(repr, self.models))),
                ("chosen", self.choice),
                ("completed by", repr(self.popularity)),
                ("customers", histories.n_customers),
                ("anonymous visits", histories.n_histories - histories.n_customers),
                ("items", histories.n_items),
                ("items for sale", int(self.for_sale.sum())),
                ("events", histories.n_events),
                *self._uncounted(),
                ("newest event", newest),
                ("version", version or "not saved"),
            ),
        )

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
        parts: dict[str, Histories | Model | StringColumn]
        parts = {"histories": self.histories, "titles": self.titles, "popularity": self.popularity}
        parts |= {f"models.{place}": model for place, model in enumerate(self.models)}
        arrays = {"for_sale": self.for_sale}
        for name, part in parts.items():
            arrays |= {f"{name}.{inner}": values for inner, values in part.to_arrays().items()}
        return arrays

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "histories": self.histories.facts(),
            "popularity": self.popularity.params(),
            "models": [{"name": model.name, "params": model.params()} for model in self.models],
            "choice": self.choice,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        return cls(
            histories=Histories.from_arrays(under("histories."), facts["histories"]),
            models=[
                restore_model(model["name"], model["params"], under(f"models.{place}."))
                for place, model in enumerate(facts["models"])
            ],
            choice=facts["choice"],
            popularity=Popularity.from_arrays(under("popularity."), facts["popularity"]),
            titles=StringColumn.from_arrays(under("titles.")),
            for_sale=arrays["for_sale"],
        )
