"""Saving: what a recommender learned, to and from the named arrays of an artifact."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model, Popularity, restore_model
from engagelib.strings import StringColumn


@dataclass(frozen=True)
class Learned:
    """All that fitting a recommender finds out, in one piece: either all of it is served, or none.

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
