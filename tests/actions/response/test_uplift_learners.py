"""Uplift: effects come close to the truth, and are refused where nothing was drawn by chance."""

from dataclasses import replace

import numpy as np
import pytest
from response_cases import made

from engagelib import errors
from engagelib.actions.response import Uplift
from engagelib.actions.response.uplift import compared

LEARNERS = ["shared", "t", "x", "dr", "class_transformation"]


@pytest.mark.parametrize("learner", LEARNERS)
def test_effects_come_close_to_the_truth(learner):
    decisions, _ = made(12_000)
    others, chance = made(4_000, rng=1)
    found = Uplift(learner).fit(decisions).predict(others.features)
    true = chance - chance[:, :1]
    assert not found[:, 0].any()
    for action in (1, 2):
        assert np.corrcoef(found[:, action], true[:, action])[0, 1] > 0.9
        assert found[:, action].mean() == pytest.approx(true[:, action].mean(), abs=0.03)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_small_control_group_gives_the_same_mean_effect(learner):
    rng = np.random.default_rng(1)
    n = 30_000
    treated = rng.random(n) < 0.9
    decisions, _ = made(n)
    decisions = replace(
        decisions,
        actions=("nothing", "b"),
        action=treated.astype(np.int32),
        reward=(rng.random(n) < np.where(treated, 0.5, 0.2)).astype(float),
        p_logged=np.where(treated, 0.9, 0.1),
    )
    assert Uplift(learner).fit(decisions).predict(decisions.features)[:, 1].mean() == pytest.approx(
        0.3, abs=0.03
    )


def test_doubly_robust_effects_are_right_with_forecasts_that_say_nothing(monkeypatch):
    decisions, _ = made(30_000)
    others, chance = made(4_000, rng=1)
    monkeypatch.setattr(Uplift, "_crossed", lambda self, some: np.full((len(some), 3), 0.3))
    found = Uplift("dr").fit(decisions).predict(others.features)
    true = chance - chance[:, :1]
    assert found.mean(axis=0) == pytest.approx(true.mean(axis=0), abs=0.03)
    assert np.corrcoef(found[:, 2], true[:, 2])[0, 1] > 0.8


@pytest.mark.parametrize("learner", LEARNERS[1:])
def test_boosted_effects_come_close_too(learner):
    decisions, _ = made(3_000, interaction=1.5)
    others, chance = made(2_000, rng=1, interaction=1.5)
    found = Uplift(learner, "boosting").fit(decisions).predict(others.features)
    true = chance - chance[:, :1]
    for action in (1, 2):
        assert np.corrcoef(found[:, action], true[:, action])[0, 1] > 0.4


@pytest.mark.parametrize("learner", ["shared", "t", "x", "dr"])
def test_rewards_other_than_0_and_1_have_effects_too(learner):
    decisions, _ = made(6_000, binary=False)
    others, mean = made(2_000, rng=1, binary=False)
    found = Uplift(learner).fit(decisions).predict(others.features)
    assert np.corrcoef(found[:, 1], (mean[:, 1] - mean[:, 0]))[0, 1] > 0.95


def test_of_two_classes_the_likelier_is_twice_the_effect():
    rng = np.random.default_rng(0)
    n = 40_000
    decisions, _ = made(n)
    action = rng.integers(0, 2, n)
    decisions = replace(
        decisions,
        actions=("nothing", "b"),
        action=action.astype(np.int32),
        features=np.zeros((n, 1)),
        feature_names=("none",),
        reward=(rng.random(n) < np.where(action == 1, 0.5, 0.2)).astype(float),
        p_logged=np.full(n, 0.5),
    )
    found = Uplift("class_transformation").fit(decisions).predict(np.zeros((1, 1)))
    assert found[0] == pytest.approx([0, 0.3], abs=0.015)


def test_a_control_group_drawn_by_chance_is_enough():
    decisions, _ = made(12_000)
    others, chance = made(2_000, rng=1)
    rng = np.random.default_rng(0)
    drawn = (decisions.action == 0) & (rng.random(12_000) < 0.9)
    decisions = replace(decisions, p_logged=None, is_control=drawn)
    model = Uplift("dr").fit(decisions)
    assert model.is_estimated_
    assert model.n_by_action_[0] == drawn.sum()
    true = chance[:, 1] - chance[:, 0]
    assert np.corrcoef(model.predict(others.features)[:, 1], true)[0, 1] > 0.9


def test_the_control_may_be_named_when_fitting():
    decisions, _ = made(1_000)
    model = Uplift(control="b").fit(decisions, "c")
    assert not model.predict(decisions.features)[:, 2].any()
    assert not Uplift(control="b").fit(decisions).predict(decisions.features)[:, 1].any()


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_round_trip_is_exact(learner):
    decisions, _ = made(900)
    model = Uplift(learner).fit(decisions)
    again = Uplift.from_arrays(model.to_arrays(), model.facts())
    np.testing.assert_array_equal(again.predict(decisions.features), model.predict(decisions.features))
    assert again.facts() == model.facts()
    assert (again.is_estimated_, again.control_) == (False, "nothing")


@pytest.mark.parametrize("learner", ["x", "dr", "class_transformation"])
def test_an_action_without_a_decision_has_no_effect(learner):
    decisions, _ = made(900)
    model = Uplift(learner).fit(replace(decisions, actions=(*decisions.actions, "new")))
    assert not model.predict(decisions.features)[:, 3].any()


def test_boosted_learners_are_not_saved():
    model = Uplift("t", "boosting").fit(made(600)[0])
    with pytest.raises(errors.ArgumentError) as caught:
        model.to_arrays()
    assert str(caught.value) == (
        "a learner with base='boosting' is not saved: expected the base 'logistic'. "
        "Hint: boosted learners are challengers; refit one where it is needed."
    )


def test_without_chances_or_a_control_group_there_is_no_uplift():
    decisions = replace(made(200)[0], p_logged=None)
    with pytest.raises(errors.NotEnoughDataError) as caught:
        Uplift().fit(decisions)
    assert str(caught.value) == (
        "nothing says that 'nothing' was chosen by chance: p_logged and is_control are both None. "
        "Hint: without a known chance, those who got an action may differ from those who did not; "
        "pass p_logged, or is_control where a control group was drawn at random."
    )


def test_a_control_group_must_be_large_enough():
    decisions, _ = made(300)
    few = decisions.take(
        np.append(np.flatnonzero(decisions.action), np.flatnonzero(decisions.action == 0)[:49])
    )
    with pytest.raises(errors.NotEnoughDataError) as caught:
        Uplift().fit(few)
    assert str(caught.value) == (
        "49 decisions took the control 'nothing': expected at least 50. Hint: uplift needs customers "
        "who were left alone by chance; set a control group aside and fit again."
    )


def test_a_control_group_that_got_something_tells_nothing():
    decisions = replace(made(300)[0], p_logged=None, is_control=np.arange(300) < 150)
    others = int((decisions.action[:150] > 0).sum())
    first = decisions.actions[decisions.action[:150][decisions.action[:150] > 0][0]]
    with pytest.raises(errors.NotEnoughDataError) as caught:
        Uplift().fit(decisions)
    assert str(caught.value) == (
        f"{others:,} decisions of the control group took {first!r}: expected the control throughout. "
        "Hint: a control group that is treated tells nothing of what would happen without."
    )


def test_a_control_is_one_of_the_actions():
    with pytest.raises(errors.ArgumentError) as caught:
        compared(made(300)[0], "none")
    assert str(caught.value) == (
        "control='none': expected one of the actions nothing, b, c. "
        "Hint: uplift is counted against customers for whom nothing was done, or one of these actions."
    )


@pytest.mark.parametrize(
    ("learner", "base", "text"),
    [
        ("s", "logistic", "learner='s': expected one of 'shared', 't', 'x', 'dr', 'class_transformation'."),
        ("t", "forest", "base='forest': expected one of 'logistic', 'boosting'."),
        ("shared", "boosting", "base='boosting': expected 'logistic' for the learner 'shared'."),
    ],
)
def test_arguments_outside_their_range(learner, base, text):
    with pytest.raises(errors.ArgumentError) as caught:
        Uplift(learner, base).fit(made(300)[0])
    assert str(caught.value) == text


def test_classes_are_only_for_rewards_that_come_or_do_not():
    with pytest.raises(errors.ArgumentError) as caught:
        Uplift("class_transformation").fit(made(300, binary=False)[0])
    assert str(caught.value) == (
        "learner='class_transformation': expected another learner for rewards beside 0 and 1."
    )
