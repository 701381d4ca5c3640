"""Ranker: what puts the candidates of a history in order, from learned trees or a learned line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, cast, get_args

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes
from engagelib.drawing import check_unaltered, events_of
from engagelib.histories import Histories
from engagelib.ranking.facts import draw_facts
from engagelib.ranking.goals import group_codes
from engagelib.scoring import TopK
from engagelib.scoring.describing import Clock, ItemFacts, describe
from engagelib.scoring.trees import Trees, score_trees
from engagelib.times import DAY

HEAD: Final = 100
"""Items that each of several models hands over, however long a list is."""

RANKED: Final = 200
"""Candidates that are put in order, however long a list is."""

_ROWS_DESCRIBED: Final = 64
"""Histories whose candidates are described at once: features are many, and need not leave the cache."""

Kind = Literal["blend", "boosting", "logistic"]


def check_kind(kind: Any) -> "Kind | Literal['auto'] | None":
    """Return which ranker is asked for, or refuse it."""
    if kind is None or (isinstance(kind, str) and kind in ("auto", *get_args(Kind))):
        return cast("Kind | Literal['auto'] | None", kind)
    raise errors.bad_argument("ranker", kind, '"auto", "blend", "boosting", "logistic" or None')


@dataclass(frozen=True, eq=False)
class Line:
    """A weighted sum of features on a scale of their own.

    Attributes
    ----------
    weight, mean, scale
        float64, shape (n_features,): a feature `x` counts `weight * (curve(x) - mean) / scale`, where
        `curve` is the logarithm of one more than its size, with its sign.
    start
        What the sum begins with.
    """

    weight: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    start: float

    def score(self, features: np.ndarray) -> np.ndarray:
        """Score rows of features, float64."""
        curved = curve(features) - self.mean
        return np.asarray((curved * (self.weight / self.scale)).sum(axis=1) + self.start)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the numbers by name, for the store."""
        return {
            "weight": self.weight,
            "mean": self.mean,
            "scale": self.scale,
            "start": np.array([self.start]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave."""
        return cls(arrays["weight"], arrays["mean"], arrays["scale"], float(arrays["start"][0]))


def curve(features: np.ndarray) -> np.ndarray:
    """Bend counts and days, of which the first say most: sign(x) * log(1 + |x|), in float64."""
    wide = features.astype(np.float64)
    return np.asarray(np.copysign(np.log1p(np.abs(wide)), wide))


@dataclass(frozen=True, eq=False)
class Ranker:
    """Scores candidates by what models, item and history say of them.

    Attributes
    ----------
    kind
        "boosting", trees one after the other (Friedman, 2001); "logistic", one line; or "blend", the order of
        the weighted blend alone.
    weights
        What each model counts in the blend that names the candidates, at least 0, float64 of shape
        (n_models,), with sum 1.
    scorer
        What it learned, None for a blend.
    groups
        Event types in groups; the first holds the goal.
    facts
        What is known of each item.
    names
        What the features are.
    """

    kind: Kind
    weights: np.ndarray
    scorer: Trees | Line | None
    groups: tuple[tuple[str, ...], ...]
    facts: ItemFacts
    names: tuple[str, ...]

    @property
    def goal(self) -> str:
        """The event type that lists should lead to."""
        return self.groups[0][0]

    def with_facts(self, histories: Histories, attributes: ItemAttributes, repeats: np.ndarray) -> Self:
        """Return the same ranker with what is known of each item by now; see `facts.draw_facts`."""
        facts, _, _ = draw_facts(histories, attributes, repeats, self.groups)
        return replace(self, facts=facts)

    def score(
        self, found: Sequence[TopK], item_index: np.ndarray, block: Histories, at: int | None
    ) -> np.ndarray:
        """Score candidates, int32 of shape (n_rows, m) with -1 for padding, as float64 of the same shape.

        Scores are log-odds up to a constant: what is higher is more likely to be met next.
        """
        n_rows = len(item_index)
        if n_rows <= _ROWS_DESCRIBED:
            return self.score_features(features_of(found, item_index, block, at, self.groups, self.facts))
        scores = np.empty(item_index.shape)
        for start in range(0, n_rows, _ROWS_DESCRIBED):
            part = slice(start, min(start + _ROWS_DESCRIBED, n_rows))
            some = [TopK(best.item_index[part], best.score[part]) for best in found]
            scores[part] = self.score(some, item_index[part], block.block(part.start, part.stop), at)
        return scores

    def score_features(self, features: np.ndarray) -> np.ndarray:
        """Score candidates by their features, shape (n_rows, m, n_features)."""
        assert self.scorer is not None  # a blend scores nothing
        rows = features.reshape(-1, features.shape[2])
        scores = score_trees(self.scorer, rows) if isinstance(self.scorer, Trees) else self.scorer.score(rows)
        return scores.reshape(features.shape[:2])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `described` holds the rest."""
        facts = self.facts
        arrays = {
            "weights": self.weights,
            "columns": facts.columns,
            "levels": facts.levels,
            "category": facts.category,
        }
        learned = {} if self.scorer is None else self.scorer.to_arrays()
        return {**arrays, **{f"scorer.{name}": part for name, part in learned.items()}}

    def described(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "kind": self.kind,
            "groups": [list(types) for types in self.groups],
            "names": list(self.names),
            "n_categories": self.facts.n_categories,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `described` gave, mapped or in memory.

        Raises
        ------
        ArtifactError
            If the trees lead astray, a category is outside its range or an array does not fit the others: the
            file was altered.
        """
        parts = {name[7:]: part for name, part in arrays.items() if name.startswith("scorer.")}
        names = tuple(described["names"])
        scorer: Trees | Line | None = None
        if described["kind"] == "boosting":
            scorer = Trees.from_arrays(parts, len(names))
        elif described["kind"] == "logistic":
            scorer = Line.from_arrays(parts)
            for name in ("weight", "mean", "scale", "start"):
                expected = 1 if name == "start" else len(names)
                if parts[name].shape != (expected,) or not np.isfinite(parts[name]).all():
                    raise errors.scoring.broken_trees(
                        f"{name!r} of its line is not one finite number a feature"
                    )
        facts = ItemFacts(
            arrays["columns"], arrays["levels"], arrays["category"], int(described["n_categories"])
        )
        category = facts.category
        for name in ("columns", "levels"):
            if arrays[name].ndim != 2 or len(arrays[name]) != len(category):
                of_all = f"each of {len(category):,} items"
                raise errors.scoring.broken_trees(f"{name!r} is not a float32 row for {of_all}")
        if len(category) and not -1 <= category.min() <= category.max() < max(facts.n_categories, 1):
            raise errors.scoring.broken_trees("an item is of a category that there is not")
        groups = tuple(tuple(types) for types in described["groups"])
        return cls(described["kind"], arrays["weights"], scorer, groups, facts, names)


def features_of(
    found: Sequence[TopK],
    item_index: np.ndarray,
    block: Histories,
    at: int | None,
    groups: tuple[tuple[str, ...], ...],
    facts: ItemFacts,
) -> np.ndarray:
    """Describe candidates of the histories of a block, as of a moment; None is the newest event of all."""
    if len(facts.category) != block.n_items:  # the kernel trusts it
        fault = f"facts are of {len(facts.category):,} items where there are {block.n_items:,}"
        raise errors.scoring.broken_trees(fault)
    day = DAY if block.time_kind == "timestamp" else 0
    clock = Clock(at, (block.newest or 0) if at is None else at, day)
    codes = group_codes(groups, block.event_types)
    features = describe(found, item_index, events_of(block, at), codes, len(groups), clock, facts)
    if features is None:
        check_unaltered(block)
        raise errors.log.altered_histories("indptr", "has rows that overlap", "rows that follow each other")
    return features
