"""Stored rankers: what comes back scores the same, and what was altered is told."""

import json

import numpy as np
import pytest
from ranking_cases import some_ranker

from engagelib import errors
from engagelib.ranking.ranker import HEAD, RANKED, Ranker, check_kind

N_ITEMS = 9
HINT = (
    "Hint: the file was damaged or altered; `engagelib verify` finds where, "
    "then save or copy the model again."
)


def stored(kind):
    ranker = some_ranker(kind, N_ITEMS)
    return ranker, ranker.to_arrays(), json.loads(json.dumps(ranker.described()))


@pytest.mark.parametrize("kind", ["blend", "logistic", "boosting"])
def test_a_ranker_survives_the_store(kind):
    ranker, arrays, described = stored(kind)
    again = Ranker.from_arrays(arrays, described)
    assert (again.kind, again.groups, again.names) == (ranker.kind, ranker.groups, ranker.names)
    assert again.goal == "purchase"
    np.testing.assert_array_equal(again.weights, ranker.weights)
    for one, other in zip(again.facts, ranker.facts, strict=True):
        np.testing.assert_array_equal(one, other)
    if kind == "blend":
        assert again.scorer is None
        return
    features = np.random.default_rng(0).normal(size=(4, 6, len(ranker.names))).astype(np.float32)
    scores = ranker.score_features(features)
    np.testing.assert_array_equal(again.score_features(features), scores)
    assert len(np.unique(scores)) > 12


@pytest.mark.parametrize("category", [-2, 3])
def test_a_category_that_there_is_not_is_told(category):
    _, arrays, described = stored("logistic")
    arrays["category"] = arrays["category"].copy()
    arrays["category"][4] = category
    with pytest.raises(errors.ArtifactError) as refused:
        Ranker.from_arrays(arrays, described)
    assert str(refused.value) == (
        f"the stored trees are broken: an item is of a category that there is not. {HINT}"
    )


def test_trees_that_lead_astray_are_told():
    _, arrays, described = stored("boosting")
    arrays["scorer.left"] = arrays["scorer.left"].copy()
    arrays["scorer.left"][3] = 0
    with pytest.raises(errors.ArtifactError) as refused:
        Ranker.from_arrays(arrays, described)
    assert str(refused.value) == f"the stored trees are broken: node 3 leads left to node 0 of 120. {HINT}"


def test_trees_that_ask_for_a_feature_that_there_is_not_are_told():
    _, arrays, described = stored("boosting")
    arrays["scorer.feature"] = arrays["scorer.feature"].copy()
    arrays["scorer.feature"][0] = n_features = len(described["names"])
    with pytest.raises(errors.ArtifactError) as refused:
        Ranker.from_arrays(arrays, described)
    assert str(refused.value) == (
        f"the stored trees are broken: a node asks for feature {n_features} of {n_features}. {HINT}"
    )


@pytest.mark.parametrize("name", ["weight", "mean", "scale"])
@pytest.mark.parametrize("fault", ["short", "nan"])
def test_a_line_that_does_not_fit_its_features_is_told(name, fault):
    _, arrays, described = stored("logistic")
    altered = arrays[f"scorer.{name}"].copy()
    altered[0] = np.nan
    arrays[f"scorer.{name}"] = altered if fault == "nan" else arrays[f"scorer.{name}"][:-1]
    with pytest.raises(errors.ArtifactError) as refused:
        Ranker.from_arrays(arrays, described)
    assert str(refused.value) == (
        f"the stored trees are broken: {name!r} of its line is not one finite number a feature. {HINT}"
    )


@pytest.mark.parametrize("name", ["columns", "levels"])
def test_facts_of_fewer_items_than_have_a_category_are_told(name):
    _, arrays, described = stored("boosting")
    arrays[name] = arrays[name][:-1]
    with pytest.raises(errors.ArtifactError) as refused:
        Ranker.from_arrays(arrays, described)
    assert str(refused.value) == (
        f"the stored trees are broken: {name!r} is not a float32 row for each of {N_ITEMS} items. {HINT}"
    )


@pytest.mark.parametrize("kind", [None, "auto", "blend", "logistic", "boosting"])
def test_kinds_of_rankers_are_known(kind):
    assert check_kind(kind) is kind


@pytest.mark.parametrize("kind", ["trees", "", 1, True, ["blend"]])
def test_other_kinds_are_refused(kind):
    with pytest.raises(errors.ArgumentError) as refused:
        check_kind(kind)
    assert str(refused.value) == (
        f'ranker={kind!r}: expected "auto", "blend", "boosting", "logistic" or None.'
    )


def test_more_is_ranked_than_each_model_hands_over():
    assert RANKED >= HEAD
