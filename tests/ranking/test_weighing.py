"""Weighing: models are chosen one by one, by lists of which it is known what was met next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranking_cases import lists_by_models

from engagelib.ranking.weighing import blended, learn_weights

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def some_lists(draw, n_models=3, width=12):
    n_lists = draw(st.integers(1, 4))
    scaled = draw(st.lists(SCORES, min_size=n_models * n_lists * width, max_size=n_models * n_lists * width))
    is_met = np.zeros((n_lists, width), bool)
    for row in range(n_lists):
        is_met[row, draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=4))] = True
    return lists_by_models(np.reshape(scaled, (n_models, n_lists, width)), is_met)


def judged(lists, weights):
    """Judge a blend as the weights are judged: of equal scores the last candidate is first."""
    late = 1e-9 * np.arange(lists.item_index.shape[1])
    return float(lists.ndcg(blended(lists, np.asarray(weights, np.float64)) + late).mean())


@given(lists=some_lists())
def test_weights_are_never_worse_than_the_best_model_alone(lists):
    weights = learn_weights(lists, 3)
    alone = [judged(lists, one) for one in np.eye(3)]
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    # Whole numbers again, whose sums are exact: shares would break ties by their last bits.
    steps = next(n for n in range(1, 21) if np.allclose(weights * n, np.round(weights * n), atol=1e-9))
    assert judged(lists, np.round(weights * steps)) >= max(alone) - 1e-9


@given(lists=some_lists())
def test_they_are_found_by_adding_the_model_that_helps_most(lists):
    chosen, best = np.zeros(3), -1.0
    for _ in range(20):
        tried = [judged(lists, chosen + one) for one in np.eye(3)]
        if max(tried) <= best:
            break
        best = max(tried)
        chosen[int(np.argmax(tried))] += 1
    np.testing.assert_allclose(learn_weights(lists, 3), chosen / chosen.sum())


def test_two_models_that_know_half_each_are_both_chosen():
    # Of two items met, each model knows one, and each list has a decoy of each model.
    first, second = np.zeros((2, 8, 12))
    first[:, [0, 2, 3]], second[:, [1, 3, 2]] = [1.0, 0.4, 0.3], [1.0, 0.4, 0.3]
    lists = lists_by_models([first, second], np.tile(np.arange(12) < 2, (8, 1)))
    assert judged(lists, [1, 0]) < 1
    weights = learn_weights(lists, 2)
    assert (weights > 0).all()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_model_that_says_nothing_counts_nothing(place):
    rng = np.random.default_rng(0)
    is_met = np.arange(12) < 2
    good = np.where(is_met, 1.0, 0.2) + rng.uniform(0, 0.1, (30, 12))
    scaled = [good, good[::-1]]
    scaled.insert(place, np.zeros((30, 12)))
    weights = learn_weights(lists_by_models(scaled, np.tile(is_met, (30, 1))), 3)
    assert weights[place] == 0
    assert weights.sum() == 1


def test_of_equal_models_the_first_is_taken():
    scaled = np.random.default_rng(0).uniform(0, 1, (5, 12))
    lists = lists_by_models([scaled] * 3, np.tile(np.arange(12) == 3, (5, 1)))
    assert learn_weights(lists, 3).tolist() == [1, 0, 0]


def test_a_blend_is_the_weighted_sum_of_what_the_models_say():
    scaled = np.random.default_rng(0).uniform(0, 1, (3, 4, 6)).astype(np.float32)
    weights = np.array([0.5, 0.0, 0.25])
    found = blended(lists_by_models(scaled, np.ones((4, 6))), weights)
    np.testing.assert_allclose(found, np.einsum("mij,m->ij", scaled.astype(float), weights), rtol=1e-12)
