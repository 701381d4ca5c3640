"""Boosting: trees and lines learned by scikit-learn, and taken out of it as plain arrays."""

from typing import Any, Final

import numpy as np

from engagelib.ranking.lists import Examples
from engagelib.ranking.ranker import Line, curve
from engagelib.scoring.trees import Trees

# How these were found stands in docs/decisions/0017-second-stage.md.
_TREES: Final[dict[str, Any]] = {
    "max_iter": 200,
    "max_leaf_nodes": 8,
    "learning_rate": 0.06,
    "min_samples_leaf": 100,
    "l2_regularization": 5.0,
}
_STRENGTH: Final = 1.0
"""The inverse weight of the penalty of a line, as scikit-learn counts it."""


def learn_trees(examples: Examples) -> Trees:
    """Boost trees on candidates, those that were met against those that were not."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    features, is_met = examples
    # Of equal splits the first feature's is taken: what says nothing, or nothing more, would only take time.
    columns = _telling(features)
    # One thread: sums over several differ in their last bits, and a fork would find OpenMP's threads.
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(**_TREES, early_stopping=False, random_state=0)
        model.fit(features[:, columns], is_met)
    return trees_of(model, features.shape[1], columns)


def _telling(features: np.ndarray) -> np.ndarray:
    """Return the columns, at least one, that are not the same everywhere and no copy of one before."""
    first: dict[bytes, int] = {}
    for number, column in enumerate(features.T):
        held = np.ascontiguousarray(column).view(np.int32)
        if (held != held[:1]).any():
            first.setdefault(held.tobytes(), number)
    return np.array(list(first.values()) or [0])


def trees_of(model: Any, n_features: int, columns: np.ndarray | None = None) -> Trees:
    """Take the trees out of a fitted `HistGradientBoostingClassifier` of two classes.

    `columns` are those of the `n_features` that it learned from; None is all of them.
    """
    columns = np.arange(n_features) if columns is None else columns
    nodes = [predictor[0].nodes for predictor in model._predictors]
    sizes = [len(part) for part in nodes]
    roots = np.append(0, np.cumsum(sizes))[:-1].astype(np.int32)
    joined, shift = np.concatenate(nodes), np.repeat(roots, sizes)
    is_leaf = joined["is_leaf"].astype(bool)
    exact = joined["num_threshold"]
    threshold = exact.astype(np.float32)
    # The largest float32 that goes left with the exact threshold too.
    above = threshold > exact
    threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
    return Trees(
        feature=np.where(is_leaf, -1, columns[joined["feature_idx"]]).astype(np.int32),
        threshold=np.where(is_leaf, 0, threshold).astype(np.float32),
        left=np.where(is_leaf, 0, joined["left"] + shift).astype(np.int32),
        right=np.where(is_leaf, 0, joined["right"] + shift).astype(np.int32),
        value=np.where(is_leaf, joined["value"], 0.0),
        roots=roots,
        start=float(np.ravel(model._baseline_prediction)[0]),
        n_features=n_features,
    )


def learn_line(examples: Examples) -> Line:
    """Fit a logistic regression on candidates, on features that are bent, centred and scaled."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    features, is_met = examples
    curved = curve(features)
    mean, scale = curved.mean(axis=0), curved.std(axis=0)
    scale[scale < 1e-9] = 1.0
    curved -= mean
    curved /= scale
    with threadpool_limits(1):
        model = LogisticRegression(C=_STRENGTH, max_iter=200).fit(curved, is_met)
    return Line(model.coef_[0].astype(np.float64), mean, scale, float(model.intercept_[0]))
