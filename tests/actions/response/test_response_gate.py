"""The safe gate: it opens for what is better, and for nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest
from response_cases import made

from engagelib import errors
from engagelib.actions.response import ActionResponse, Gate, compare_learners, safe_gate
from engagelib.actions.response.folding import clustered_mean, clusters_of, folds_of
from engagelib.actions.response.gate import doubly_robust, greedy, terms_of


def test_the_gate_opens_where_customers_differ():
    decisions, _ = made(6_000, interaction=1.0)
    gate = safe_gate(decisions, ActionResponse())
    assert gate.opened
    assert gate.policy == "personalised"
    others, chance = made(20_000, interaction=1.0, rng=5)
    chosen = ActionResponse().fit(decisions).predict(others.features).argmax(axis=1)
    true = chance[np.arange(20_000), chosen].mean() - chance.mean(axis=0).max()
    assert gate.low < true < gate.high
    assert gate.summary().startswith(
        f"Choosing for each customer is used: over {gate.best_constant!r} for all"
    )


def test_the_gate_stays_shut_where_customers_do_not_differ():
    gates = [
        safe_gate(made(800, interaction=0.0, rng=seed, truth=seed)[0], ActionResponse(), n_folds=3)
        for seed in range(24)
    ]
    # One in forty would open by chance if the learner chose at random.
    assert sum(gate.opened for gate in gates) <= 1
    assert all(gate.policy == gate.best_constant for gate in gates if not gate.opened)
    closed = next(gate for gate in gates if not gate.opened)
    assert closed.summary().startswith(
        f"{closed.best_constant!r} is used for all: choosing for each customer is "
    )


def test_the_gate_is_what_its_definition_says():
    decisions, _ = made(300, interaction=1.0)
    decisions = replace(decisions, customer=np.arange(300) // 2)
    values, costs = np.array([2.0, 3.0, 1.0]), np.array([0.0, 0.2, 0.1])
    gate = safe_gate(decisions, ActionResponse(), values=values, costs=costs, n_folds=3, level=0.9)
    fold = folds_of(decisions, 3)
    assert (fold.reshape(-1, 2)[:, 0] == fold.reshape(-1, 2)[:, 1]).all()
    difference = np.empty(300)
    for held in range(3):
        train, test = decisions.take(fold == (held + 1) % 3), decisions.take(fold == held)
        model = ActionResponse().fit(train)

        def scores(some, model=model):
            net = model.predict(some.features) * values - costs
            for row, (code, reward, p) in enumerate(
                zip(some.action, some.reward, some.p_logged, strict=True)
            ):
                net[row, code] += (reward * values[code] - costs[code] - net[row, code]) / p
            return net

        constant = scores(train).mean(axis=0).argmax()
        chosen = (model.predict(test.features) * values - costs).argmax(axis=1)
        net = scores(test)
        difference[fold == held] = net[np.arange(len(test)), chosen] - net[:, constant]
    assert gate.gain == pytest.approx(difference.mean())
    pairs = (difference - difference.mean()).reshape(-1, 2).sum(axis=1)
    error = np.sqrt((pairs**2).sum() * 150 / 149) / 300
    assert gate.low == pytest.approx(gate.gain - 1.6448536 * error)
    assert gate.high == pytest.approx(gate.gain + 1.6448536 * error)
    assert (gate.n, gate.n_customers, gate.level) == (300, 150, 0.9)


def test_scores_are_right_on_average_with_a_useless_model():
    decisions, chance = made(40_000)
    useless = ActionResponse(own_penalty=np.inf).fit(replace(decisions, features=decisions.features * 0))
    found = doubly_robust(
        replace(decisions, features=decisions.features * 0),
        useless,
        terms_of(None, None, 3),
        decisions.p_logged,
    )
    np.testing.assert_allclose(found.mean(axis=0), chance.mean(axis=0), atol=0.02)


def test_repeating_each_decision_of_a_customer_leaves_the_interval():
    decisions, _ = made(600, interaction=1.0)
    once = safe_gate(replace(decisions, customer=np.arange(600)), ActionResponse(own_penalty=5.0))
    again = np.repeat(np.arange(600), 2)
    twice = replace(decisions.take(again), customer=again)
    found = safe_gate(twice, ActionResponse(own_penalty=5.0))
    assert found.high - found.low == pytest.approx(once.high - once.low, rel=0.15)


def test_what_is_not_allowed_is_never_chosen():
    decisions, _ = made(900, interaction=1.0)
    allowed = np.random.default_rng(0).random((900, 3)) < 0.6
    allowed[np.arange(900), decisions.action] = True
    decisions = replace(decisions, allowed=allowed)
    forecast = ActionResponse().fit(decisions).predict(decisions.features)
    seen = np.array([True, True, False])
    chosen = greedy(forecast, decisions, terms_of(None, None, 3), seen)
    assert allowed[np.arange(900), chosen].all()
    either = allowed[:, :2].any(axis=1)
    assert (chosen[either] < 2).all()
    assert np.isfinite(safe_gate(decisions, ActionResponse()).gain)


def test_chances_that_nobody_wrote_down_are_estimated_and_said_to_be():
    decisions, _ = made(6_000, interaction=1.0)
    known = safe_gate(decisions, ActionResponse())
    found = safe_gate(replace(decisions, p_logged=None), ActionResponse())
    assert found.is_estimated
    assert not known.is_estimated
    assert "chances estimated" in found.summary()
    assert found.gain == pytest.approx(known.gain, abs=known.high - known.low)


def test_a_few_customers_open_nothing():
    decisions, _ = made(19)
    gate = safe_gate(decisions, ActionResponse())
    assert not gate.opened
    assert gate.summary() == (
        f"{gate.best_constant!r} is used for all: 19 customers are too few to show that choosing brings more."
    )


def test_a_reward_that_never_comes_opens_nothing():
    decisions, _ = made(200)
    assert not safe_gate(replace(decisions, reward=np.zeros(200)), ActionResponse()).opened


def test_the_table_has_every_constant_and_the_choice():
    decisions, _ = made(600)
    gate = safe_gate(decisions, ActionResponse())
    records = {row["policy"]: row for row in gate.table.to_records()}
    assert list(records) == ["nothing", "b", "c", "personalised"]
    assert sum(records[name]["share"] for name in ("nothing", "b", "c")) == pytest.approx(1)
    assert records["personalised"]["gain"] == gate.gain


@pytest.mark.parametrize("n", [10, 600])
def test_the_round_trip_is_exact(n):
    gate = safe_gate(made(n)[0], ActionResponse())
    again = Gate.from_facts(json.loads(json.dumps(gate.facts(), allow_nan=False)))
    assert again.__dict__ == gate.__dict__


def test_learners_are_judged_on_the_same_folds():
    decisions, _ = made(900, interaction=1.0)
    learners = {"one": ActionResponse(), "same": ActionResponse(), "none": ActionResponse(own_penalty=np.inf)}
    one, same, none = compare_learners(decisions, learners, rng=3).to_records()
    assert {**one, "learner": ""} == {**same, "learner": ""}
    gate = safe_gate(decisions, ActionResponse(), rng=3)
    assert (one["gain"], one["gain_low"], one["opens"]) == (gate.gain, gate.low, gate.opened)
    assert none["gain"] < one["gain"]


def test_the_learner_given_stays_as_it_is():
    learner = ActionResponse()
    safe_gate(made(300)[0], learner)
    with pytest.raises(errors.NotFittedError):
        learner.predict(np.zeros((1, 4)))


def test_a_mean_of_one_customer_has_no_error_that_could_be_known():
    assert clustered_mean(np.array([1.0, 2.0]), np.zeros(2, int), 1) == (1.5, float("inf"))
    decisions, _ = made(10)
    assert clusters_of(replace(decisions, customer=np.full(10, 4)))[1] == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_folds": 2}, "n_folds=2: expected an integer of at least 3."),
        ({"level": 1}, "level=1: expected a number between 0 and 1."),
        ({"values": [1.0]}, "values=[1.0]: expected 3 finite numbers, one an action."),
    ],
)
def test_arguments_outside_their_range(options, text):
    with pytest.raises(errors.ArgumentError) as caught:
        safe_gate(made(100)[0], ActionResponse(), **options)
    assert str(caught.value) == text
