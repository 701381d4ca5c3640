"""Boosting: what is taken out of scikit-learn scores as scikit-learn does."""

import numpy as np
import pytest
from ranking_cases import lists_of
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from engagelib.ranking.boosting import learn_line, learn_trees, trees_of
from engagelib.ranking.lists import thinned
from engagelib.ranking.ranker import curve
from engagelib.scoring.trees import score_trees


def some_rows(n_rows=2_000, n_features=5, rng=0):
    """Features of which many share a value, as counts do, or are far from round, and what came of them."""
    rng = np.random.default_rng(rng)
    features = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    features[:, 0] = rng.integers(0, 4, n_rows)
    features[:, 1] = rng.choice(np.float32([0.1, 0.2, 0.3]), n_rows)
    features[:, 2] *= np.float32(1e6)
    odds = features[:, 0] - 3 * features[:, 1] + features[:, 3] - 1
    return features, rng.random(n_rows) < 1 / (1 + np.exp(-odds))


def some_lists(n_lists=60, width=30):
    features, is_met = some_rows(n_lists * width)
    is_met[::width] = True
    return lists_of(features.reshape(n_lists, width, -1), is_met.reshape(n_lists, width))


@pytest.fixture(scope="module")
def fitted():
    features, is_met = some_rows()
    model = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, early_stopping=False, random_state=0
    )
    return model.fit(features, is_met)


def test_trees_score_as_the_model_that_they_were_taken_from(fitted):
    features, _ = some_rows(rng=1)
    found = score_trees(trees_of(fitted, features.shape[1]), features)
    np.testing.assert_allclose(found, fitted.decision_function(features), rtol=0, atol=1e-6)


def test_rows_on_a_threshold_and_next_to_it_go_where_the_model_sends_them(fitted):
    nodes = np.concatenate([predictor[0].nodes for predictor in fitted._predictors])
    inner = nodes[nodes["is_leaf"] == 0]
    near = inner["num_threshold"].astype(np.float32)
    base, _ = some_rows(len(inner), rng=2)
    for rows in (near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))):
        features = base.copy()
        features[np.arange(len(inner)), inner["feature_idx"]] = rows
        found = score_trees(trees_of(fitted, features.shape[1]), features)
        np.testing.assert_allclose(found, fitted.decision_function(features), rtol=0, atol=1e-6)


def test_a_threshold_between_two_floats_is_rounded_to_the_lower():
    # 1 and the next float: their middle, as scikit-learn splits, is no float32.
    features = np.ones((400, 1), np.float32)
    features[200:] = np.nextafter(np.float32(1), np.float32(2))
    model = HistGradientBoostingClassifier(max_iter=1, early_stopping=False, min_samples_leaf=5)
    model.fit(features, np.arange(400) >= 200)
    trees = trees_of(model, 1)
    assert trees.threshold[0] == 1
    found = score_trees(trees, features)
    assert found[0] < found[-1]
    np.testing.assert_allclose(found, model.decision_function(features), atol=1e-6)


def test_a_line_scores_as_the_regression_that_it_was_taken_from(monkeypatch):
    kept = []

    class Kept(LogisticRegression):
        def fit(self, features, is_met):
            kept.append((self, features.copy()))
            return super().fit(features, is_met)

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Kept)
    lists = some_lists()
    line = learn_line(thinned(lists, np.random.default_rng(0)))
    ((model, given),) = kept
    features, _ = thinned(lists, np.random.default_rng(0))
    np.testing.assert_allclose(line.score(features), model.decision_function(given), rtol=0, atol=1e-9)
    bent = curve(features)
    np.testing.assert_allclose(given, (bent - bent.mean(axis=0)) / bent.std(axis=0), atol=1e-9)


def test_features_are_bent_by_the_logarithm_of_one_more_with_their_sign():
    found = curve(np.array([0, 1, -1, 7, -7, 0.5], np.float32))
    np.testing.assert_allclose(found, [0, np.log(2), -np.log(2), np.log(8), -np.log(8), np.log(1.5)])


def test_a_feature_that_never_varies_counts_nothing():
    lists = some_lists()
    lists.features[:, :, 4] = 3.0
    line = learn_line(thinned(lists, np.random.default_rng(0)))
    assert line.scale[4] == 1
    assert line.weight[4] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("learn", [learn_line, learn_trees])
def test_what_is_learned_is_the_same_each_time(learn):
    lists = some_lists()
    one, other = (learn(thinned(lists, np.random.default_rng(3))).to_arrays() for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_all_that_was_met_is_learned_from_and_some_others():
    lists = some_lists(200)
    lists.item_index[:, -3:] = -1
    features, is_met = thinned(lists, np.random.default_rng(0))
    listed = lists.item_index >= 0
    assert is_met.sum() == (lists.is_met & listed).sum()
    assert (~is_met).sum() / (~lists.is_met & listed).sum() == pytest.approx(0.2, abs=0.03)
    assert len(features) == len(is_met)


def test_where_the_draw_leaves_no_other_all_are_learned_from(monkeypatch):
    monkeypatch.setattr("engagelib.ranking.lists._OTHERS", 0.0)
    lists = some_lists(10)
    _, is_met = thinned(lists, np.random.default_rng(0))
    assert len(is_met) == lists.item_index.size
