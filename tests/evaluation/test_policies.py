"""Policies are judged by what another one did: values, gains, folds, and what stands in the tables."""

import json

import numpy as np
import pytest
from benchmarks.decisions.coverage import policies, simulate

import engagelib as eg
from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.evaluation import evaluate_policy
from engagelib.evaluation._outcomes import ShrunkOutcomes
from engagelib.metrics import dr_terms, ips_terms, mean_estimate, snips_terms

ACTIONS = ("email", "call", "wait")


class Mean:
    """An outcome model: the mean of all that it saw, for every action."""

    def fit(self, decisions):
        self.mean = decisions.reward.mean()
        self.n_actions = len(decisions.actions)
        return self

    def predict(self, features):
        return np.full((len(features), self.n_actions), self.mean)


@pytest.fixture(scope="module")
def log():
    return simulate(3000, np.random.default_rng(7))[0]


@pytest.fixture(scope="module")
def target(log):
    pair = simulate(3000, np.random.default_rng(7))[1]
    return policies()["soft"][pair]


def lottery(n=600, seed=0, **changed):
    """Decisions of three actions drawn by lot, of customers with one to three of them."""
    rng = np.random.default_rng(seed)
    action = rng.integers(0, 3, n).astype(np.int32)
    features = rng.normal(size=(n, 2))
    reward = (rng.random(n) < np.array([0.2, 0.5, 0.3])[action]).astype(float)
    arrays = {"p_logged": np.full(n, 1 / 3), "customer": np.sort(rng.integers(0, n // 2, n))}
    return LoggedDecisions(ACTIONS, action, reward, features, ("u", "v"), **{**arrays, **changed})


def test_figures_are_the_means_of_terms(log, target):
    found = evaluate_policy(log, target, outcome_model=Mean(), n_folds=2)["policy"]
    of_taken = target[np.arange(len(log)), log.action]
    for name, terms in (("ips", ips_terms), ("snips", snips_terms)):
        expected = terms(log.reward, log.p_logged, of_taken)
        estimate = mean_estimate(expected, weights=of_taken / log.p_logged)
        assert found[name].value == estimate
        gain = mean_estimate(expected - log.reward)
        got = found[name].over_logging
        assert (got.value, got.low, got.high) == pytest.approx((gain.value, gain.low, gain.high))
    # Each half's expectation is the other's mean; which half is which shows in the terms alone.
    assert found["dr"].value.value == pytest.approx(found["snips"].value.value, abs=0.01)
    assert found["ips"].mean_weight == pytest.approx(np.mean(of_taken / log.p_logged))


def test_outcomes_are_expected_by_models_of_the_other_folds():
    """The reward is the customer: a model that saw one would know."""
    n = 200
    customer = np.repeat(np.arange(n // 2), 2)
    decisions = lottery(n, customer=customer)

    class Rote:
        def fit(self, decisions):
            self.seen = set(decisions.features[:, 0].tolist())
            return self

        def predict(self, features):
            assert not self.seen & set(features[:, 0].tolist())
            return np.zeros((len(features), 3))

    features = np.column_stack([customer, np.zeros(n)]).astype(float)
    decisions = LoggedDecisions(
        ACTIONS, decisions.action, decisions.reward, features, ("u", "v"), decisions.p_logged, None, customer
    )
    found = evaluate_policy(decisions, "call", outcome_model=Rote())["always call"]
    # A model that expects nothing leaves the plain weighted rewards.
    assert found["dr"].value.value == pytest.approx(found["ips"].value.value)
    learned = evaluate_policy(decisions, Rote(), outcome_model=Rote())
    assert learned["policy"]["ips"].value == evaluate_policy(decisions, "email")["always email"]["ips"].value


def test_an_action_drawn_by_lot_is_worth_the_mean_of_its_arm():
    decisions = lottery()
    found = evaluate_policy(decisions, {name: name for name in ACTIONS})
    for code, name in enumerate(ACTIONS):
        arm = decisions.reward[decisions.action == code]
        assert found[name]["snips"].value.value == pytest.approx(arm.mean())
        assert found.constants[name].n == len(arm)
        assert found.constants[name].lowest_p_logged == pytest.approx(1 / 3)
        assert found.constants[name].values["dr"] == found[name]["dr"]
    assert found.chosen == ("call",) * 5
    assert found.best_constant == found["call"]
    assert found["call"]["dr"].over_best.value == 0
    assert (found["wait"]["dr"].over_best.high) < 0


def test_the_policy_that_logged_is_worth_what_it_brought():
    decisions = lottery()
    found = evaluate_policy(decisions, np.full((600, 3), 1 / 3))["policy"]
    assert found["ips"].value.value == pytest.approx(decisions.reward.mean())
    assert found["ips"].value.effective_sample_size == pytest.approx(600)
    assert found["ips"].over_logging.value == pytest.approx(0, abs=1e-12)
    assert found["ips"].over_logging.standard_error == pytest.approx(0, abs=1e-12)


def test_a_model_narrows_the_interval(log, target):
    found = evaluate_policy(log, target)["policy"]
    errors_of = {name: judged.value.standard_error for name, judged in found.items()}
    assert errors_of["dr"] < errors_of["snips"] < errors_of["ips"]


def test_a_policy_may_come_in_many_forms(log):
    codes = (log.features[:, 1] < 0).astype(int)

    class Fitted:
        def action_probabilities(self, features):
            return np.eye(3)[(features[:, 1] < 0).astype(int)]

    forms = {
        "codes": codes,
        "names": np.array(ACTIONS)[codes],
        "list": codes.tolist(),
        "probabilities": np.eye(3)[codes],
        "function": lambda features: (features[:, 1] < 0).astype(int),
        "object": Fitted(),
        "bound": Fitted().action_probabilities,
    }
    found = evaluate_policy(log, forms)
    assert list(found.policies) == list(forms)
    for name in forms:
        for estimator in ("ips", "snips", "dr"):
            assert found[name][estimator].value.value == pytest.approx(
                found["codes"][estimator].value.value, rel=1e-12
            )


def test_renaming_actions_and_shuffling_rows_changes_nothing():
    decisions = lottery()
    policy = np.random.default_rng(1).dirichlet(np.ones(3), 600)
    before = evaluate_policy(decisions, policy)
    order = np.array([2, 0, 1])  # of the new names, the old codes
    back = np.argsort(order)
    rows = np.random.default_rng(2).permutation(600)
    renamed = LoggedDecisions(
        tuple(ACTIONS[code] for code in order),
        back[decisions.action].astype(np.int32),
        decisions.reward,
        decisions.features,
        ("u", "v"),
        decisions.p_logged,
        None,
        decisions.customer,
    )
    after = evaluate_policy(renamed.take(rows), policy[:, order][rows])
    for estimator in ("ips", "snips", "dr"):
        was, now = before["policy"][estimator], after["policy"][estimator]
        for figure in ("value", "over_best", "over_logging"):
            one, other = getattr(was, figure), getattr(now, figure)
            assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))
    assert after.chosen == before.chosen


def test_a_learner_is_judged_by_what_it_did_not_learn_from():
    """Noise can be learned by heart, and brings nothing to others."""
    n = 900
    rng = np.random.default_rng(5)
    decisions = LoggedDecisions(
        ("a", "b"),
        rng.integers(0, 2, n).astype(np.int32),
        rng.normal(size=n),
        np.arange(n, dtype=float)[:, None],
        ("place",),
        np.full(n, 0.5),
    )

    class ByHeart:
        """Repeat what paid, do the other thing where it did not; by lot for whom it never saw."""

        def fit(self, decisions):
            paid = decisions.reward > 0
            best = np.where(paid, decisions.action, 1 - decisions.action)
            self.best = dict(zip(decisions.features[:, 0].tolist(), best.tolist(), strict=True))
            return self

        def action_probabilities(self, features):
            known = [self.best.get(place, -1) for place in features[:, 0].tolist()]
            return np.array([[0.5, 0.5] if code < 0 else np.eye(2)[code] for code in known])

    honest = evaluate_policy(decisions, ByHeart())["policy"]["dr"].value
    assert honest.low < 0 < honest.high
    flattered = evaluate_policy(decisions, ByHeart().fit(decisions).action_probabilities)["policy"]["dr"]
    assert flattered.value.low > 0.5


def test_a_learner_of_rewards_takes_the_highest_that_is_allowed():
    allowed = np.ones((600, 3), bool)
    decisions = lottery(seed=3)
    allowed[np.arange(0, 600, 2), 1] = False
    kept = allowed[np.arange(600), decisions.action]
    p_logged = np.where(allowed.all(axis=1), 1 / 3, 1 / 2)
    decisions = LoggedDecisions(
        ACTIONS, decisions.action, decisions.reward, decisions.features, ("u", "v"), p_logged, allowed
    ).take(kept)

    class Calls:
        def fit(self, decisions):
            return self

        def predict(self, features):
            return np.tile([0.1, 0.9, 0.2], (len(features), 1))

    found = evaluate_policy(decisions, Calls())
    expected = np.where(decisions.allowed[:, 1], 1, 2)
    assert found["policy"]["snips"] == evaluate_policy(decisions, expected)["policy"]["snips"]
    refused = found.constants["call"]
    assert not refused.values
    assert refused.refusal == (
        "the policy gives 39.8% of its probability, in 198 of 498 decisions, to actions that were not "
        "allowed there: call"
    )
    assert set(found.chosen) <= {"email", "wait"}
    assert found.by_action().rows[-1][0] == "call"


def test_by_time_each_block_is_judged_by_those_before_it():
    n = 600
    time = np.random.default_rng(0).permutation(n).astype(np.int64)
    decisions = lottery(n, time=time)
    decisions = LoggedDecisions(
        ACTIONS,
        decisions.action,
        decisions.reward,
        np.column_stack([time, time]).astype(float),
        ("u", "v"),
        decisions.p_logged,
        time=time,
    )
    seen = []

    class Watch:
        def fit(self, decisions):
            self.newest = decisions.features[:, 0].max()
            return self

        def predict(self, features):
            assert self.newest < features[:, 0].min()
            seen.append(len(features))
            return np.zeros((len(features), 3))

    found = evaluate_policy(decisions, Watch(), outcome_model=Watch(), n_folds=3, split="time")
    assert seen == [150] * 6
    assert found.n_decisions == 450
    late = decisions.take(time >= 150)
    assert found.logging == mean_estimate(late.reward)
    constant = evaluate_policy(late, "email", outcome_model=Mean())
    assert found["policy"]["ips"].value == constant["always email"]["ips"].value


def test_the_control_group_is_set_apart():
    is_control = np.arange(600) % 5 == 0
    decisions = lottery(is_control=is_control, customer=None)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 600)
    found = evaluate_policy(decisions, policy)
    rest = evaluate_policy(decisions.take(~is_control), policy[~is_control])
    assert found.policies == rest.policies
    assert found.n_decisions == 480
    assert found.control == mean_estimate(decisions.reward[is_control])
    assert rest.control is None
    assert found.to_records()[-1]["policy"] == "control group"


def test_clipping_is_reported_and_lowers_positive_rewards(log, target):
    plain = evaluate_policy(log, target)
    clipped = evaluate_policy(log, target, max_weight=1.5)
    raw = target[np.arange(len(log)), log.action] / log.p_logged
    judged = clipped["policy"]["ips"]
    assert judged.share_clipped == pytest.approx((raw > 1.5).mean())
    assert judged.mean_weight == pytest.approx(raw.mean())
    assert judged.value.value == pytest.approx((np.minimum(raw, 1.5) * log.reward).mean())
    assert judged.value.standard_error < plain["policy"]["ips"].value.standard_error
    assert judged.warning == f"{100 * judged.share_clipped:.1f}% clipped"
    assert "weights clipped at 1.5 (biased)" in str(clipped)
    assert plain["policy"]["ips"].warning == ""


def test_wrong_chances_show_in_the_mean_weight(log, target):
    wrong = LoggedDecisions(
        log.actions, log.action, log.reward, log.features, log.feature_names, np.sqrt(log.p_logged)
    )
    warning = evaluate_policy(wrong, target)["policy"]["dr"].warning
    assert warning == "mean weight is not 1: chances wrong, or the policy not covered"


def test_chances_are_guessed_only_where_asked_for(log, target):
    known = evaluate_policy(log, target)
    unknown = LoggedDecisions(log.actions, log.action, log.reward, log.features, log.feature_names)
    guessed = evaluate_policy(unknown, target, p_logged="estimate")
    assert guessed.estimated
    assert "p_logged GUESSED from the features" in str(guessed)
    assert not known.estimated
    assert "GUESSED" not in str(known)
    gap = guessed["policy"]["dr"].value.value - known["policy"]["dr"].value.value
    assert abs(gap) < known["policy"]["dr"].value.standard_error
    # Where nothing is known, the guess is the share of each action among the others.
    blind = LoggedDecisions(ACTIONS, log.action, log.reward, np.zeros((len(log), 0)), ())
    by_share = evaluate_policy(blind, "call", p_logged="estimate")["always call"]["ips"]
    assert by_share.mean_weight == pytest.approx(1, abs=0.01)


def test_policies_are_compared_in_pairs(log, target):
    found = evaluate_policy(log, {"soft": target, "email": "email", "call": "call"}, outcome_model=Mean())
    assert list(found.pairs) == [("soft", "email"), ("soft", "call"), ("email", "call")]
    soft, email = (found[name]["ips"].value.value for name in ("soft", "email"))
    pair = found.pairs["soft", "email"]["ips"]
    assert pair.value == pytest.approx(email - soft)
    raw = (log.action == 0) / log.p_logged - target[np.arange(len(log)), log.action] / log.p_logged
    assert pair.standard_error == pytest.approx(mean_estimate(raw * log.reward).standard_error)
    assert len(found.differences().rows) == 9
    assert found.differences().to_records()[0] == {
        "policy": "email",
        "less": "soft",
        "estimator": "ips",
        "difference": pair.value,
        "low": pair.low,
        "high": pair.high,
    }
    assert evaluate_policy(log, target).differences().rows == ()


def test_intervals_span_the_constants_that_folds_disagree_about():
    n = 900
    rng = np.random.default_rng(11)
    decisions = LoggedDecisions(
        ("a", "b"),
        (np.arange(n) % 2).astype(np.int32),
        rng.normal(size=n),
        np.zeros((n, 0)),
        (),
        np.full(n, 0.5),
    )
    half = np.full((n, 2), 0.5)
    for seed in range(40):
        found = evaluate_policy(decisions, {"half": half, "a": "a", "b": "b"}, rng=seed, n_folds=8)
        if len(set(found.chosen)) == 2:
            break
    gain = found["half"]["snips"].over_best
    # Pairs are the second less the first: turned round, they are the gains on each constant.
    each = [found.pairs["half", name]["snips"] for name in "ab"]
    assert gain.low <= min(-pair.high for pair in each) + 1e-12
    assert gain.high >= max(-pair.low for pair in each) - 1e-12
    assert gain.low < gain.value < gain.high
    label = found.to_records()[9]["policy"]
    assert label.startswith("best constant: ")
    assert "of 8 folds" in label


def test_the_result_shows_itself(log, target):
    found = eg.evaluate_policy(log, target, estimators=("snips", "dr"))
    lines = str(found).splitlines()
    assert lines[0] == "3,000 decisions, 3,000 customers, 3 actions; 95% intervals; p_logged as logged"
    assert lines[1].split()[:5] == ["policy", "estimator", "value", "low", "high"]
    records = json.loads(json.dumps(found.to_records()))
    assert [(row["policy"], row["estimator"]) for row in records] == [
        ("policy", "snips"),
        ("policy", "dr"),
        (f"best constant: {found.chosen[0]}", "snips"),
        (f"best constant: {found.chosen[0]}", "dr"),
        ("logging policy", "as it came"),
    ]
    assert records[1]["value"] == found["policy"]["dr"].value.value
    assert found.to_frame()["value"].tolist() == [row["value"] for row in records]
    assert found.by_action().columns[3] == "dr"
    means = [row[3] for row in found.by_action().rows]
    assert means == sorted(means, reverse=True)
    assert found.calibration.n.sum() == len(log)
    assert evaluate_policy(log, target, estimators="snips").calibration is None
    with pytest.raises(errors.ArgumentError, match=r"^policy='dr': expected one of policy\.$"):
        _ = found["dr"]


def test_a_frame_without_pandas_is_a_table(log, target, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    found = evaluate_policy(log, target, estimators="snips")
    assert found.to_frame()["value"].to_pylist() == [row["value"] for row in found.to_records()]


def test_the_same_seed_gives_the_same_folds(log, target):
    first, again = (evaluate_policy(log, target, rng=3).to_records() for _ in range(2))
    other = evaluate_policy(log, target, rng=4).to_records()
    assert first == again != other


def test_intervals_hold_the_truth():
    """A small version of benchmarks/decisions/coverage.py."""
    from benchmarks.decisions.coverage import run

    for row in run(n_seeds=150, n=600):
        assert row["coverage"] > 0.89, row
        assert abs(row["bias"]) < 4 * row["rmse"] / np.sqrt(150) + 0.002, row


def test_expected_outcomes_shrink_towards_what_actions_share():
    rng = np.random.default_rng(0)
    n = 4000
    x = rng.normal(size=(n, 2))
    action = rng.integers(0, 3, n).astype(np.int32)
    shared = 1 + x[:, 0]
    noise = rng.normal(size=n)
    alike = LoggedDecisions(ACTIONS, action, shared + noise, x, ("u", "v"))
    predicted = ShrunkOutcomes().fit(alike).predict(x)
    assert np.abs(predicted - shared[:, None]).max() < 0.35
    assert (predicted.max(axis=1) - predicted.min(axis=1)).max() < 0.35
    own = np.array([0.0, 1.0, -1.0])
    apart = LoggedDecisions(ACTIONS, action, shared + own[action] * (1 + x[:, 1]) + noise, x, ("u", "v"))
    predicted = ShrunkOutcomes().fit(apart).predict(x)
    off = predicted - (shared[:, None] + own * (1 + x[:, 1:]))
    assert np.sqrt((off**2).mean()) < 0.1


def test_expected_outcomes_stay_within_what_was_seen():
    x = np.array([[0.0], [1.0], [np.nan], [2.0]] * 5)
    decisions = LoggedDecisions(
        ACTIONS, np.array([0, 1, 0, 1] * 5, np.int32), np.array([0.0, 1, 0, 1] * 5), x, ("u",)
    )
    predicted = ShrunkOutcomes().fit(decisions).predict(np.array([[1e9], [-1e9], [np.nan]]))
    assert ((predicted >= 0) & (predicted <= 1)).all()
    # Nobody took the third action: it is expected to bring what all do.
    same = LoggedDecisions(ACTIONS, np.zeros(20, np.int32), np.ones(20), np.full((20, 1), np.nan), ("u",))
    assert (ShrunkOutcomes().fit(same).predict(x) == 1).all()


def test_doubly_robust_terms_are_those_of_the_arrays(log, target):
    """With one model for all folds, the terms are those of `dr_terms`."""

    class Fixed:
        def fit(self, decisions):
            return self

        def predict(self, features):
            return np.column_stack([features[:, 0], features[:, 1], features[:, 0] - 1])

    terms = dr_terms(log.reward, log.action, log.p_logged, target, Fixed().predict(log.features))
    found = evaluate_policy(log, target, outcome_model=Fixed())["policy"]["dr"].value
    expected = mean_estimate(terms)
    assert (found.value, found.standard_error) == pytest.approx((expected.value, expected.standard_error))
