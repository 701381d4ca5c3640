"""What the tests of this room share: candidate lists, and rankers that learned nothing."""

import numpy as np

from engagelib.ranking.lists import CandidateLists
from engagelib.ranking.ranker import Line, Ranker
from engagelib.scoring import TopK
from engagelib.scoring.describing import PER_MODEL, ItemFacts, n_features_of
from engagelib.scoring.trees import Trees

GROUPS = (("purchase",), ("view",))


def lists_of(features, is_met, *, item_index=None, n_targets=None):
    """Candidate lists with these features, the others as plain as can be."""
    features, is_met = np.asarray(features, np.float32), np.asarray(is_met, bool)
    if item_index is None:
        item_index = np.tile(np.arange(is_met.shape[1]), (len(is_met), 1))
    n_targets = is_met.sum(axis=1) if n_targets is None else np.asarray(n_targets)
    return CandidateLists(
        features, np.asarray(item_index, np.int32), is_met, n_targets, len(is_met), np.arange(len(is_met))
    )


def lists_by_models(scaled, is_met):
    """Candidate lists of which each model says a score, shape (n_models, n_lists, m)."""
    scaled = np.asarray(scaled, np.float32)
    features = np.zeros((*scaled.shape[1:], len(PER_MODEL) * len(scaled)), np.float32)
    features[:, :, :: len(PER_MODEL)] = np.moveaxis(scaled, 0, 2)
    return lists_of(features, is_met)


def facts_of(n_items, rng):
    """Two columns, a level and categories at random."""
    return ItemFacts(
        rng.normal(size=(n_items, 2)).astype(np.float32),
        rng.normal(size=(n_items, 1)).astype(np.float32),
        rng.integers(-1, 3, n_items).astype(np.int32),
        3,
    )


def some_ranker(kind, n_items, *, n_models=2, weights=None, rng=0):
    """A ranker of random weights."""
    rng = np.random.default_rng(rng)
    facts = facts_of(n_items, rng)
    n_features = n_features_of(n_models, len(GROUPS), facts)
    weights = np.full(n_models, 1 / n_models) if weights is None else np.asarray(weights, np.float64)
    scorer = None
    if kind == "logistic":
        scale = rng.uniform(0.5, 2, n_features)
        scorer = Line(rng.normal(size=n_features), rng.normal(size=n_features), scale, 0.25)
    elif kind == "boosting":
        scorer = stumps(rng.integers(0, n_features, 40), rng.normal(size=(40, 2)), n_features)
    names = tuple(f"f{place}" for place in range(n_features))
    return Ranker(kind, weights, scorer, GROUPS, facts, names)


def stumps(feature, value, n_features):
    """Trees of one question each: whether a feature is above a half."""
    n = len(feature)
    root = 3 * np.arange(n, dtype=np.int32)
    column = np.full((n, 3), -1, np.int32)
    column[:, 0] = feature
    left, right = np.zeros((n, 3), np.int32), np.zeros((n, 3), np.int32)
    left[:, 0], right[:, 0] = root + 1, root + 2
    leaves = np.zeros((n, 3))
    leaves[:, 1:] = value
    return Trees(
        feature=column.ravel(), threshold=np.full(3 * n, 0.5, np.float32), left=left.ravel(),
        right=right.ravel(), value=leaves.ravel(), roots=root, start=0.0, n_features=n_features,
    )  # fmt: skip


def found_of(n_rows, n_items, width, n_models=2, rng=0):
    """What models name: distinct items with falling scores above 0."""
    rng = np.random.default_rng(rng)
    found = []
    for _ in range(n_models):
        items = np.stack([rng.permutation(n_items)[:width] for _ in range(n_rows)]).astype(np.int32)
        score = -np.sort(-rng.uniform(0.1, 9, (n_rows, width)), axis=1)
        found.append(TopK(items, score.astype(np.float32)))
    return found
