"""ActionResponse: what it forecasts, and what does not change it."""

from dataclasses import replace

import numpy as np
import pytest
from response_cases import made

from engagelib import errors
from engagelib.actions.response import ActionResponse

KINDS = ["shared", "per_action", "boosting", "auto"]


def test_forecasts_come_close_to_the_truth():
    decisions, _ = made(20_000)
    others, chance = made(5_000, rng=1)
    found = ActionResponse().fit(decisions).predict(others.features)
    assert found.shape == (5_000, 3)
    assert np.abs(found - chance).mean() < 0.015


def test_means_of_other_rewards_come_close_too():
    decisions, _ = made(20_000, binary=False)
    others, mean = made(5_000, rng=1, binary=False)
    found = ActionResponse().fit(decisions).predict(others.features)
    assert np.abs(found - mean).mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_actions_makes_no_difference(kind):
    decisions, _ = made(1_500)
    order = np.array([2, 0, 1])
    place = np.argsort(order)
    other = replace(
        decisions,
        actions=tuple(decisions.actions[code] for code in order),
        action=place[decisions.action].astype(np.int32),
    )
    found = ActionResponse(kind).fit(decisions).predict(decisions.features)
    again = ActionResponse(kind).fit(other).predict(decisions.features)
    np.testing.assert_allclose(again, found[:, order], atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_of_a_feature_makes_no_difference(kind):
    decisions, _ = made(1_500)
    unit = np.array([1024, 0.125, 1, 4])
    other = replace(decisions, features=decisions.features * unit)
    found = ActionResponse(kind).fit(decisions).predict(decisions.features)
    np.testing.assert_allclose(ActionResponse(kind).fit(other).predict(other.features), found, atol=1e-7)


def test_without_interactions_all_actions_are_forecast_alike():
    decisions, _ = made(1_500)
    found = ActionResponse(own_penalty=np.inf).fit(decisions).predict(decisions.features)
    np.testing.assert_allclose(found, found[:, :1] * np.ones(3), atol=1e-12)


def test_an_action_without_a_decision_is_what_actions_have_in_common():
    decisions, _ = made(3_000)
    model = ActionResponse().fit(replace(decisions, actions=(*decisions.actions, "new")))
    found = model.predict(decisions.features)
    assert model.unseen == ("new",)
    middle = np.median(found[:, :3], axis=1)
    assert np.abs(found[:, 3] - middle).mean() < 0.03 < np.abs(found[:, :1] - found[:, 1:3]).mean()
    np.testing.assert_allclose(model.weight_[3], model.weight_[:3].mean(axis=0), atol=0.1)
    assert model.summary().rows[3][:3] == ("new", 0, "what actions have in common")


def test_an_ample_action_is_learned_alone():
    decisions, _ = made(6_000)
    rare = np.flatnonzero(decisions.action == 2)[20:]
    decisions = decisions.take(np.setdiff1d(np.arange(6_000), rare))
    alone = ActionResponse("per_action").fit(decisions)
    shared = ActionResponse().fit(decisions)
    np.testing.assert_array_equal(alone.weight_[2], shared.weight_[2])
    mine = decisions.take(decisions.action == 0)
    assert not np.allclose(alone.weight_[0], shared.weight_[0])
    # What others do makes no difference to it but for the scale of features.
    found = alone.predict(mine.features)[:, 0]
    assert found.mean() == pytest.approx(mine.reward.mean(), abs=0.002)


def test_auto_takes_a_model_for_each_action_only_where_it_forecasts_better():
    few, _ = made(400)
    assert ActionResponse("auto").fit(few).kind_ == "shared"


def test_inverse_weights_are_right_on_average_where_the_model_is_not():
    rng = np.random.default_rng(0)
    n = 20_000
    score = rng.normal(size=n)
    p_logged = np.where(score > 0, 0.9, 0.1)
    taken = rng.random(n) < p_logged
    decisions, _ = made(n)
    # The one feature says nothing of what both the policy and the reward go by.
    decisions = replace(
        decisions,
        action=taken.astype(np.int32),
        actions=("nothing", "b"),
        reward=(rng.random(n) < np.where(score > 0, 0.5, 0.1)).astype(float),
        features=rng.normal(size=(n, 1)),
        feature_names=("noise",),
        p_logged=np.where(taken, p_logged, 1 - p_logged),
    )
    equal = ActionResponse().fit(decisions).predict(decisions.features).mean(axis=0)
    inverse = ActionResponse(weights="inverse").fit(decisions).predict(decisions.features).mean(axis=0)
    assert equal[1] - equal[0] > 0.25
    assert inverse == pytest.approx([0.3, 0.3], abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("binary", [True, False])
def test_the_round_trip_is_exact(kind, binary):
    decisions, _ = made(800, binary=binary)
    features = decisions.features.copy()
    features[::7, 1] = np.nan
    model = ActionResponse(kind, own_penalty=None if binary else np.inf).fit(
        replace(decisions, features=features)
    )
    again = ActionResponse.from_arrays(model.to_arrays(), model.facts())
    np.testing.assert_array_equal(again.predict(features), model.predict(features))
    assert again.facts() == model.facts()
    assert str(again.summary()) == str(model.summary())


@pytest.mark.parametrize("name", ["weight", "n_by_action", "own_penalty", "prepare.scale", "trees.0.left"])
def test_altered_arrays_are_refused(name):
    decisions, _ = made(800)
    model = ActionResponse("boosting").fit(decisions)
    arrays = {**model.to_arrays()}
    arrays[name] = arrays[name][:1]
    with pytest.raises((errors.ArtifactError, errors.ArgumentError)):
        ActionResponse.from_arrays(arrays, model.facts())


def test_fitting_again_forgets_what_was_learned():
    one, _ = made(800, rng=1)
    other, _ = made(800, rng=2, truth=1)
    model = ActionResponse("boosting").fit(one)
    found = model.fit(other).predict(one.features)
    np.testing.assert_array_equal(found, ActionResponse("boosting").fit(other).predict(one.features))


def test_a_row_alone_is_forecast_as_among_others():
    decisions, _ = made(500)
    model = ActionResponse().fit(decisions)
    one = np.concatenate([model.predict(row[None]) for row in decisions.features[:20]])
    np.testing.assert_allclose(one, model.predict(decisions.features[:20]), atol=1e-12)
