"""What can't be judged is refused with its whole text."""

import re

import numpy as np
import pytest

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.evaluation import evaluate_policy


def log(n=200, **changed):
    arrays = {
        "actions": ("a", "b", "c"),
        "action": (np.arange(n) % 2).astype(np.int32),
        "reward": np.arange(n, dtype=float) % 3,
        "features": np.arange(n, dtype=float)[:, None],
        "feature_names": ("x",),
        "p_logged": np.full(n, 0.5),
    }
    return LoggedDecisions(**{**arrays, **changed})


def refused(error, text, *arguments, **options):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        evaluate_policy(*arguments, **options)


def test_a_policy_of_what_was_never_tried():
    text = (
        "the policy gives 100% of its probability, in 200 of 200 decisions, to what was never taken: c. "
        "Expected actions that the log holds. Hint: nothing in the log says what came of them; try them on "
        "some customers first."
    )
    refused(errors.NoSupportError, text, log(), "c")
    share = text.replace("100%", "10%")
    refused(errors.NoSupportError, share, log(), np.tile([0.5, 0.4, 0.1], (200, 1)))


def test_a_policy_that_few_decisions_speak_of():
    chances = np.full(200, 0.5)
    chances[[3, 5]] = 1e-4
    text = (
        "200 decisions weigh as much as 2.0 for this policy: expected an effective sample size of at least "
        "30. The largest weights are of b, which the logging policy seldom took where this one does. Hint: "
        "log more decisions, give the logging policy a floor, or judge a policy nearer to it; "
        "min_effective= lowers the limit."
    )
    refused(errors.NoSupportError, text, log(p_logged=chances), "b")
    found = evaluate_policy(log(p_logged=chances), "b", min_effective=1)
    assert "few decisions count" in found["always b"]["dr"].warning


def test_decisions_without_their_chances():
    text = (
        "these decisions have no p_logged: expected the chance that the logging policy had to choose the "
        "action taken, above 0 and at most 1. Hint: log it when deciding; where actions were drawn by lot, "
        "pass that chance to LoggedDecisions.from_frame(p_logged=...); "
        'evaluate_policy(p_logged="estimate") guesses it from the features, and is right only if they hold '
        "all that the choice depended on."
    )
    refused(errors.NoSupportError, text, log(p_logged=None), "a")


def test_a_chance_of_nothing():
    chances = np.full(200, 0.5)
    chances[1] = 0
    text = (
        "p_logged is 0 in 1 of 200 decisions (first at 1, action b): expected the chance that the logging "
        "policy had to choose the action taken, above 0 and at most 1. Hint: what was taken had some "
        "chance; was a policy without a floor rounded, or the chance of another action logged?"
    )
    refused(errors.NoSupportError, text, log(p_logged=chances), "a")


class Shapeless:
    def fit(self, decisions):
        return self

    def predict(self, features):
        return np.zeros(3)


class Unfinished:
    def fit(self, decisions):
        return self


NO_POLICY = (
    "a policy of type {} can't be judged: expected the name of an action, an array of probabilities "
    "(n, n_actions) or of codes (n,), a function of features, an object with "
    "action_probabilities(features), or a learner with fit(decisions) and predict(features)."
)


@pytest.mark.parametrize(
    ("policy", "options", "text"),
    [
        ("d", {}, "action 'd' is none of these decisions: expected one of a, b, c."),
        (np.array(["a", "d"] * 100), {}, "action 'd' is none of these decisions: expected one of a, b, c."),
        ({}, {}, "policy={}: expected at least one policy."),
        (7, {}, NO_POLICY.format("int")),
        (Unfinished(), {}, NO_POLICY.format("Unfinished")),
        (Unfinished, {}, NO_POLICY.format("type (Unfinished)")),
        (Shapeless(), {}, "what policy predicts has shape (3,): expected (40, 3)."),
        (
            "a",
            {"outcome_model": Shapeless()},
            "what the outcome model predicts has shape (3,): expected (40, 3).",
        ),
        (
            np.zeros(200),
            {},
            "policy has shape (200,): expected (200, 3), the probability of each action, or (200,), "
            "a code each.",
        ),
        (np.full(200, 3), {}, "policy[0]=3: expected a code below 3."),
        (
            {"mine": np.full((200, 3), 0.5)},
            {},
            "the probabilities of mine at row 0 sum to 1.5: expected numbers from 0 to 1 that sum to 1. "
            "Hint: scores or expected rewards are no probabilities; pass np.argmax(scores, axis=1) for the "
            "best by score.",
        ),
        ("a", {"estimators": ()}, "estimators=(): expected some of ips, snips, dr."),
        ("a", {"estimators": "dm"}, "estimators='dm': expected some of ips, snips, dr."),
        ("a", {"n_folds": 1}, "n_folds=1: expected an integer of at least 2."),
        ("a", {"split": "rows"}, "split='rows': expected 'customers' or 'time'."),
        ("a", {"p_logged": "guess"}, "p_logged='guess': expected None or 'estimate'."),
        ("a", {"max_weight": 0.5}, "max_weight=0.5: expected a number of at least 1."),
        ("a", {"min_effective": -1}, "min_effective=-1: expected a number of at least 0."),
        ("a", {"level": 0}, "level=0: expected a number above 0 and below 1."),
        ("a", {"rng": -1}, "rng=-1: expected an integer of at least 0 or a numpy.random.Generator."),
    ],
)
def test_arguments_that_can_not_be(policy, options, text):
    refused(errors.ArgumentError, text, log(), policy, **options)


def test_an_array_that_leaves_out_the_control_group():
    is_control = np.arange(200) < 20
    text = "policy has shape (180,): expected 200 rows, one for each decision."
    refused(errors.ArgumentError, text, log(is_control=is_control), np.zeros(180, int))


def test_folds_need_as_many_customers_or_times():
    text = (
        "3 different customers can't be cut into 5 folds: expected at least 5. Hint: pass a smaller n_folds."
    )
    refused(errors.NotEnoughDataError, text, log(customer=np.arange(200) % 3), "a")
    text = text.replace("customers", "times").replace("5 folds", "6 folds").replace("least 5", "least 6")
    refused(errors.NotEnoughDataError, text, log(time=np.arange(200) % 3), "a", split="time")
    text = (
        'split="time" needs the time of each decision, which these do not have. '
        "Hint: pass at= to LoggedDecisions.from_frame()."
    )
    refused(errors.NotEnoughDataError, text, log(), "a", split="time")
