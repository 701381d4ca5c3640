"""What response models refuse, in whole texts."""

from dataclasses import replace

import numpy as np
import pytest
from response_cases import made

from engagelib import errors
from engagelib.actions.response import ActionResponse, EventResponse, Uplift, safe_gate


def altered(**parts):
    decisions, _ = made(30)
    for name, (row, value) in parts.items():
        values = getattr(decisions, name).copy()
        values[row] = value
        decisions = replace(decisions, **{name: values})
    return decisions


@pytest.mark.parametrize("fit", [ActionResponse().fit, lambda given: safe_gate(given, ActionResponse())])
@pytest.mark.parametrize(
    ("decisions", "kind", "text"),
    [
        (
            altered(reward=(3, np.nan)),
            errors.ArgumentError,
            "reward[3]=nan: expected a finite number. "
            "Hint: leave out decisions whose outcome is not known yet; what is over without success is 0.",
        ),
        (
            altered(p_logged=(2, 0.0)),
            errors.ArgumentError,
            "p_logged[2]=0.0: expected a chance above 0 and at most 1. Hint: the action taken had "
            "some chance to be taken; leave out decisions for which it is not known.",
        ),
        (altered(action=(4, 3)), errors.ArgumentError, "action[4]=3: expected a code from 0 to 2."),
        (
            replace(made(30)[0], reward=np.zeros(29)),
            errors.ArgumentError,
            "decisions.reward has shape (29,): expected (30,), a row a decision.",
        ),
    ],
)
def test_decisions_that_nothing_can_be_learned_from(fit, decisions, kind, text):
    with pytest.raises(kind) as caught:
        fit(decisions)
    assert str(caught.value) == text


def test_no_decision_at_all():
    with pytest.raises(errors.NotEnoughDataError) as caught:
        ActionResponse().fit(made(30)[0].take(np.zeros(0, int)))
    assert str(caught.value) == (
        "there is no decision to fit a response model on: expected at least 1 whose outcome is known."
    )


def test_inverse_weights_need_chances():
    with pytest.raises(errors.NotEnoughDataError) as caught:
        ActionResponse(weights="inverse").fit(replace(made(30)[0], p_logged=None))
    assert str(caught.value) == (
        "weights='inverse' needs the chance with which each action was chosen, and p_logged is None. "
        "Hint: decide() writes it down; for a test with equal groups pass 1 / n_actions throughout."
    )


def test_features_of_another_width():
    model = ActionResponse().fit(made(60)[0])
    for features in (np.zeros((2, 5)), np.zeros(4)):
        with pytest.raises(errors.ArgumentError) as caught:
            model.predict(features)
        assert str(caught.value) == (
            f"features have shape {features.shape}: expected (n, 4), "
            "the features that the model was fitted on."
        )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "s"}, "kind='s': expected one of 'auto', 'shared', 'per_action', 'boosting'."),
        ({"weights": "overlap"}, "weights='overlap': expected one of 'equal', 'inverse'."),
        ({"own_penalty": 0}, "own_penalty=0: expected a number above 0, or None."),
    ],
)
def test_arguments_outside_their_range(options, text):
    with pytest.raises(errors.ArgumentError) as caught:
        ActionResponse(**options).fit(made(60)[0])
    assert str(caught.value) == text


@pytest.mark.parametrize("model", [ActionResponse(), EventResponse(("purchase",)), Uplift()])
def test_nothing_is_asked_before_a_fit(model):
    for ask in (lambda: model.predict(np.zeros((1, 4))), model.to_arrays):
        with pytest.raises(errors.NotFittedError, match="is not fitted yet"):
            ask()


def test_too_few_events_in_whole():
    assert str(errors.response.too_few_events("purchase", 3, 20)) == (
        "'purchase' follows 3 of the moments looked at: expected at least 20. "
        "Hint: take a longer horizon, or leave that event type out."
    )
