"""What can't be divided by, or does not fit, is refused with its whole text."""

import re

import numpy as np
import pytest

from engagelib import errors
from engagelib.metrics import dr_terms, importance_weights, ips_terms, mean_estimate
from engagelib.metrics.off_policy import check_support, checked_propensities

WANTED = "expected the chance that the logging policy had to choose the action taken, above 0 and at most 1"


def whole(text):
    return f"^{re.escape(text)}$"


@pytest.mark.parametrize(
    ("chances", "text"),
    [
        (
            [0.5, np.nan, 0.5],
            f"p_logged is missing in 1 of 3 decisions (first at 1, action b): {WANTED}. Hint: a chance that "
            "nobody wrote down can't be made up later; leave such decisions out only if what is missing "
            "has nothing to do with what came of them.",
        ),
        (
            [0.0, 0.5, 0.0],
            f"p_logged is 0 in 2 of 3 decisions (first at 0, 2, action a): {WANTED}. Hint: what was taken "
            "had some chance; was a policy without a floor rounded, or the chance of another action logged?",
        ),
        (
            [0.5, -0.5, 0.5],
            f"p_logged is not above 0 in 1 of 3 decisions (first at 1, action b): {WANTED}. Hint: was a "
            "weight or a percentage logged in the place of a chance?",
        ),
        (
            [1.5, 50, np.inf],
            f"p_logged is above 1 in 3 of 3 decisions (first at 0, 1, 2, action a, b): {WANTED}. Hint: was "
            "a weight or a percentage logged in the place of a chance?",
        ),
    ],
)
def test_chances_that_are_none(chances, text):
    with pytest.raises(errors.NoSupportError, match=whole(text)):
        checked_propensities(chances, np.array([0, 1, 0]), ("a", "b"))
    with pytest.raises(errors.NoSupportError, match=whole(re.sub(r", action [ab](, b)?\)", ")", text))):
        ips_terms([1, 2, 3], chances, [1, 1, 1])


def test_chances_that_nobody_wrote_down():
    text = (
        f"these decisions have no p_logged: {WANTED}. Hint: log it when deciding; where actions were drawn "
        "by lot, pass that chance to LoggedDecisions.from_frame(p_logged=...); "
        'evaluate_policy(p_logged="estimate") guesses it from the features, and is right only if they hold '
        "all that the choice depended on."
    )
    with pytest.raises(errors.NoSupportError, match=whole(text)):
        checked_propensities(None)


def test_a_chance_of_one_may_be_off_by_a_rounding():
    assert checked_propensities([1 + 1e-12]).tolist() == [1 + 1e-12]


ACTIONS = ("a", "b", "c")


def test_a_policy_that_does_what_was_never_done():
    text = (
        "the policy gives 25% of its probability, in 1 of 2 decisions, to what was never taken: c. "
        "Expected actions that the log holds. Hint: nothing in the log says what came of them; try them on "
        "some customers first."
    )
    taken = np.array([0, 1])
    with pytest.raises(errors.NoSupportError, match=whole(text)):
        check_support(np.array([[0.5, 0, 0.5], [0.5, 0.5, 0]]), taken, ACTIONS)
    with pytest.raises(errors.NoSupportError, match=whole(text.replace("25%", "50%"))):
        check_support(np.array([2, 1]), taken, ACTIONS)
    check_support(np.array([[0.5, 0.5 - 1e-12, 1e-12], [0, 1, 0]]), taken, ACTIONS)
    check_support(np.array([1, 0]), taken, ACTIONS)


def test_a_policy_that_does_what_was_not_allowed():
    text = (
        "the policy gives 50% of its probability, in 1 of 2 decisions, to actions that were not allowed "
        "there: b. Expected probability only where `allowed` is true. Hint: have the policy choose among "
        "what is allowed."
    )
    taken, allowed = np.array([0, 1]), np.array([[True, False, False], [True, True, False]])
    with pytest.raises(errors.NoSupportError, match=whole(text)):
        check_support(np.array([1, 1]), taken, ACTIONS, allowed)
    with pytest.raises(errors.NoSupportError, match=whole(text)):
        check_support(np.array([[0, 1, 0], [0, 1, 0]]), taken, ACTIONS, allowed)
    check_support(np.array([0, 1]), taken, ACTIONS, allowed)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: importance_weights([[0.5]], [1]), "p_logged has shape (1, 1): expected (n,)."),
        (lambda: importance_weights([0.5], [1, 1]), "p_target_of_taken has shape (2,): expected (1,)."),
        (
            lambda: importance_weights([0.5], [1.5]),
            "p_target_of_taken[0]=1.5: expected a number from 0 to 1.",
        ),
        (
            lambda: importance_weights([0.5], [1], max_weight=0.5),
            "max_weight=0.5: expected a number of at least 1, or None.",
        ),
        (lambda: ips_terms([np.inf], [0.5], [1]), "reward[0]=inf: expected a finite number."),
        (lambda: ips_terms([1, 2], [0.5], [1]), "reward has shape (2,): expected (1,)."),
        (
            lambda: dr_terms([1], [0], [0.5], [[1.0]], [1.0]),
            "q has shape (1,): expected (n, n_actions).",
        ),
        (
            lambda: dr_terms([1], [0], [0.5], [[1.0]], [[np.nan]]),
            "q[0]=[nan]: expected finite numbers.",
        ),
        (lambda: dr_terms([1], [2], [0.5], [[1.0]], [[1.0]]), "action[0]=2: expected a code below 1."),
        (
            lambda: dr_terms([1], [0.0], [0.5], [[1.0]], [[1.0]]),
            "action has shape (1,): expected (1,), integers.",
        ),
        (
            lambda: dr_terms([1], [0], [0.5], [[0.5, 0.5]], [[1.0]]),
            "p_target has shape (1, 2): expected (1, 1), the probability of each action, or (1,), "
            "a code each.",
        ),
        (
            lambda: dr_terms([1], [0], [0.5], [[3.0, -1.0]], [[1.0, 2.0]]),
            "the probabilities of p_target at row 0 sum to 2: expected numbers from 0 to 1 that sum to 1. "
            "Hint: scores or expected rewards are no probabilities; pass np.argmax(scores, axis=1) for the "
            "best by score.",
        ),
        (lambda: mean_estimate([[1.0]]), "terms has shape (1, 1): expected (n,)."),
        (lambda: mean_estimate([1, 2], level=1), "level=1: expected a number above 0 and below 1."),
        (
            lambda: mean_estimate([1, 2], customer=[1]),
            "customer has shape (1,): expected (2,), a code for each decision.",
        ),
        (lambda: mean_estimate([1, 2], weights=[1]), "weights has shape (1,): expected (2,)."),
    ],
)
def test_arrays_that_do_not_fit(call, text):
    with pytest.raises(errors.ArgumentError, match=whole(text)):
        call()


def test_an_interval_needs_two_customers():
    text = (
        "an interval needs at least 2 customers with decisions, found {}. "
        "Hint: decisions of one customer count as one piece."
    )
    with pytest.raises(errors.NotEnoughDataError, match=whole(text.format(1))):
        mean_estimate([1, 2, 3], customer=[7, 7, 7])
    with pytest.raises(errors.NotEnoughDataError, match=whole(text.format(0))):
        mean_estimate([])
