"""Solving: the solution is one, and shrinking does what it says."""

import numpy as np
import pytest
from response_cases import made
from sklearn.linear_model import LogisticRegression, Ridge

from engagelib.actions.response.solving import Lines, fit_lines, rows_of, sigmoid, slope, solve


def rows(weight=None, **options):
    decisions, _ = made(600, **options)
    return rows_of(decisions.features, decisions.action, decisions.reward, len(decisions.actions), weight)


def some_lines(n_actions=3, width=5, rng=0):
    rng = np.random.default_rng(rng)
    return Lines(
        rng.normal(size=width), rng.normal(size=(n_actions, width)), rng.random(width), rng.random(width)
    )


@pytest.mark.parametrize("binary", [True, False])
def test_the_gradient_and_the_curvature_are_those_of_the_loss(binary):
    weight = np.random.default_rng(3).random(600) + 0.5
    held, lines, step = rows(weight, binary=binary), some_lines(), 1e-5
    at = slope(held, lines, 2.0)
    for place in range(5):
        up, down = (
            slope(
                held, Lines(lines.shared + side * step * np.eye(5)[place], lines.own, *penalties(lines)), 2.0
            )
            for side in (1, -1)
        )
        assert (up.loss - down.loss) / (2 * step) == pytest.approx(at.shared[place], rel=1e-5, abs=1e-4)
        for action in range(3):
            away = np.zeros((3, 5))
            away[action, place] = step
            up, down = (
                slope(held, Lines(lines.shared, lines.own + side * away, *penalties(lines)), 2.0)
                for side in (1, -1)
            )
            assert (up.loss - down.loss) / (2 * step) == pytest.approx(
                at.own[action, place], rel=1e-5, abs=1e-4
            )
            bend = (up.own[action] - down.own[action]) / (2 * step)
            bend[place] -= lines.own_penalty[place]
            np.testing.assert_allclose(bend, at.curvature[action][place], rtol=1e-4, atol=1e-4)


def penalties(lines):
    return lines.shared_penalty, lines.own_penalty


@pytest.mark.parametrize("binary", [True, False])
def test_the_gradient_vanishes_where_the_solver_stops(binary):
    held = rows(binary=binary)
    lines, noise = fit_lines(held)
    at = slope(held, lines, noise)
    assert max(np.abs(at.shared).max(), np.abs(at.own).max()) < 1e-5
    # From elsewhere the same point is reached: there is one.
    far = Lines(lines.shared + 1, lines.own - 1, *penalties(lines))
    other, _ = solve(held, far, noise)
    np.testing.assert_allclose(other.own, lines.own, atol=1e-6)


def test_one_action_is_the_logistic_regression_of_scikit_learn():
    decisions, _ = made(800)
    held = rows_of(decisions.features, np.zeros(800, int), decisions.reward, 1, None)
    penalty = np.append(1e-9, np.full(4, 3.0))
    start = Lines(np.zeros(5), np.zeros((1, 5)), penalty, np.full(5, np.inf))
    found, _ = solve(held, start)
    model = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=1000).fit(decisions.features, decisions.reward)
    np.testing.assert_allclose(found.shared, [model.intercept_[0], *model.coef_[0]], atol=1e-5)


def test_one_action_with_other_rewards_is_the_ridge_of_scikit_learn():
    decisions, _ = made(800, binary=False)
    held = rows_of(decisions.features, np.zeros(800, int), decisions.reward, 1, None)
    start = Lines(np.zeros(5), np.zeros((1, 5)), np.append(1e-12, np.full(4, 3.0)), np.full(5, np.inf))
    found, _ = solve(held, start)
    model = Ridge(alpha=3.0).fit(decisions.features, decisions.reward)
    np.testing.assert_allclose(found.shared, [model.intercept_, *model.coef_], atol=1e-8)


def test_actions_together_are_the_regression_on_a_written_out_design():
    decisions, _ = made(500)
    held = rows_of(decisions.features, decisions.action, decisions.reward, 3, None)
    lines = some_lines()
    found, _ = solve(held, Lines(np.zeros(5), np.zeros((3, 5)), *penalties(lines)))
    whole = np.concatenate([np.ones((500, 1)), decisions.features], axis=1)
    wide = np.zeros((500, 15))
    for place in range(3):
        wide[:, 5 * place : 5 * place + 5] = whole * (decisions.action == place)[:, None]
    scale = np.sqrt(np.concatenate([lines.shared_penalty, np.tile(lines.own_penalty, 3)]))
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=5000)
    model.fit(np.concatenate([whole, wide], axis=1) / scale, decisions.reward)
    weight = model.coef_[0] / scale
    np.testing.assert_allclose(found.shared, weight[:5], atol=1e-4)
    np.testing.assert_allclose(found.own, weight[5:].reshape(3, 5), atol=1e-4)


def test_shrinking_without_limit_is_no_interaction():
    held = rows()
    near, _ = fit_lines(held, own_penalty=1e9)
    none, _ = fit_lines(held, own_penalty=np.inf)
    assert not none.own.any()
    np.testing.assert_allclose(near.own, 0, atol=1e-6)
    np.testing.assert_allclose(near.shared, none.shared, atol=1e-3)


def test_interactions_are_shrunk_where_there_are_none_and_left_where_there_are():
    alike = fit_lines(rows_from(0.0))[0]
    apart = fit_lines(rows_from(0.8))[0]
    assert np.median(alike.own_penalty[1:]) > 10 * np.median(apart.own_penalty[1:])


def rows_from(interaction):
    decisions, _ = made(6_000, interaction=interaction, n_actions=6)
    return rows_of(decisions.features, decisions.action, decisions.reward, 6, None)


def test_weights_count_as_copies():
    decisions, _ = made(300)
    times = np.random.default_rng(0).integers(1, 4, 300)
    again = np.repeat(np.arange(300), times)
    start = Lines(np.zeros(5), np.zeros((3, 5)), np.full(5, 2.0), np.full(5, 4.0))
    copied = rows_of(decisions.features[again], decisions.action[again], decisions.reward[again], 3, None)
    # Weights have mean 1, so penalties weigh by how many rows there are.
    share = 300 / times.sum()
    light = Lines(start.shared, start.own, start.shared_penalty * share, start.own_penalty * share)
    weighed = rows_of(decisions.features, decisions.action, decisions.reward, 3, times.astype(float))
    np.testing.assert_allclose(solve(weighed, light)[0].own, solve(copied, start)[0].own, atol=1e-7)


def test_a_reward_that_always_comes_has_a_finite_answer():
    decisions, _ = made(100)
    held = rows_of(decisions.features, decisions.action, np.ones(100), 3, None)
    lines, _ = fit_lines(held)
    chance = sigmoid(lines.shared[0] + lines.own[:, 0])
    assert (chance > 0.95).all()
    assert np.isfinite(lines.own).all()


def test_scores_beyond_any_exponential_give_chances():
    assert sigmoid(np.array([-1e9, 0.0, 1e9])).tolist() == pytest.approx([0, 0.5, 1], abs=1e-300)
