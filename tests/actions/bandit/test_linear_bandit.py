"""LinearBandit against the normal equations, and what it forgets."""

from itertools import pairwise

import numpy as np
import pytest
from bandit_cases import ACTIONS, MEAN, SCALE, bandit, rows, same_state, same_sums
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib.errors as errors
from engagelib.actions.bandit import LinearBandit


def normal_equations(design, residual, prior_sd, noise_sd):
    """Return mean and covariance of the weights as the textbook has them."""
    precision = design.T @ design / noise_sd**2 + np.eye(design.shape[1]) / prior_sd**2
    return np.linalg.solve(precision, design.T @ residual / noise_sd**2), np.linalg.inv(precision)


def standardised(features):
    """Return the rows as the docstring says, without the grid."""
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.clip((features - MEAN) / SCALE, -8, 8)
    plain[:, 2] = 0.0  # a scale of 0 says nothing
    return np.column_stack([np.ones(len(features)), np.nan_to_num(plain)])


@pytest.mark.parametrize("noise_sd", [0.7, None])
def test_weights_solve_the_normal_equations(noise_sd):
    features, action, residual = rows(400)
    learned = bandit(prior_sd=0.3, noise_sd=noise_sd).update(features, action, residual)
    weights, covariances = learned.weights()
    design = learned.design(features)
    on_grid = np.rint(residual * 2**20) / 2**20
    assert np.abs(design - standardised(features)).max() <= 0.5 / 4096
    for place in range(len(ACTIONS)):
        mine = action == place
        square = (10 * 0.5**2 + (on_grid[mine] ** 2).sum()) / (10 + mine.sum())
        noise = noise_sd or np.sqrt(square)
        mean, covariance = normal_equations(design[mine], on_grid[mine], 0.3, noise)
        assert np.allclose(weights[place], mean, rtol=1e-10, atol=1e-13)
        assert np.allclose(covariances[place], covariance, rtol=1e-10, atol=1e-13)
        # Without the grid the answer is the same for every purpose.
        mean, covariance = normal_equations(standardised(features)[mine], residual[mine], 0.3, noise)
        assert np.allclose(weights[place], mean, rtol=1e-3, atol=1e-4)


def test_posteriors_are_those_of_the_weights():
    features, action, residual = rows(200)
    learned = bandit().update(features, action, residual)
    weights, covariances = learned.weights()
    mean, sd = learned.posterior_many(features)
    design = learned.design(features)
    for place in (0, 7, 199):
        one_mean, one_sd = learned.posterior(features[place])
        spread = [design[place] @ covariance @ design[place] for covariance in covariances]
        assert np.allclose(one_mean, weights @ design[place], rtol=1e-12, atol=1e-15)
        assert np.allclose(one_sd**2, spread, rtol=1e-12)
        assert np.allclose(mean[place], one_mean, rtol=1e-12, atol=1e-15)
        assert np.allclose(sd[place], one_sd, rtol=1e-12)


def test_without_evidence_the_forecast_stays_and_is_uncertain():
    mean, sd = bandit(prior_sd=0.3).posterior(np.array([5.0, -1.0, np.nan]))
    assert mean.tolist() == [0.0] * 3
    assert np.allclose(sd, 0.3 * np.sqrt(1 + 1.0**2))


def test_the_restricted_form_is_the_regression_on_the_intercept_alone():
    features, action, residual = rows(300)
    learned = bandit(prior_sd=0.2, noise_sd=0.5).update(features, action, residual)
    mean, sd = learned.posterior(features[0], context_free=True)
    for place in range(3):
        target = np.rint(residual[action == place] * 2**20) / 2**20
        weight, variance = normal_equations(np.ones((len(target), 1)), target, 0.2, 0.5)
        assert mean[place] == pytest.approx(weight[0], rel=1e-12)
        assert sd[place] == pytest.approx(np.sqrt(variance[0, 0]), rel=1e-12)
    many_mean, many_sd = learned.posterior_many(features, context_free=True)
    assert (many_mean == mean).all()
    assert (many_sd == sd).all()
    assert many_mean.shape == (300, 3)


def test_the_truth_is_found():
    rng = np.random.default_rng(0)
    features = MEAN + rng.normal(size=(20_000, 3)) * [2.0, 0.5, 1.0]
    truth = np.array([[0.0, 0.1, -0.05, 0.0], [0.05, 0.0, 0.1, 0.0], [-0.1, 0.02, 0.0, 0.0]])
    action = rng.integers(0, 3, len(features))
    expected = (standardised(features) * truth[action]).sum(axis=1)
    learned = bandit().update(features, action, expected + 0.3 * rng.normal(size=len(features)))
    weights, covariances = learned.weights()
    sd = np.sqrt(np.einsum("kii->ki", covariances))
    assert np.abs(weights - truth).max() < 0.02
    assert (np.abs(weights - truth) < 4 * sd).all()
    # The mean square holds what is learned as well: noise is never taken for less than it is.
    square = 0.3**2 + (truth**2).sum(axis=1)
    assert np.allclose(learned.noise_variances(), square, rtol=0.03)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_neither_the_order_of_rows_nor_the_sizes_of_batches_matter(seed, cuts):
    features, action, residual = rows(300, seed)
    whole = bandit().update(features, action, residual)
    order = np.random.default_rng(seed).permutation(300)
    parts = bandit()
    bounds = [0, *sorted(cuts), 300]
    for first, last in pairwise(bounds):
        some = order[first:last]
        parts.update(features[some], action[some], residual[some])
    assert same_state(whole, parts)


def test_what_is_taken_back_leaves_nothing_behind_after_many_additions_and_removals():
    features, action, residual = rows(3000)
    rng = np.random.default_rng(1)
    customer = rng.integers(0, 60, 3000)
    learned = bandit().update(features, action, residual)
    for _ in range(10):
        for who in rng.permutation(60):
            mine = customer == who
            learned.remove(features[mine], action[mine], residual[mine])
            learned.posterior(features[0])
            if who > 3 or _ < 9:
                learned.update(features[mine], action[mine], residual[mine])
    kept = customer > 3
    refit = bandit().update(features[kept], action[kept], residual[kept])
    assert same_state(learned, refit)
    for got, expected in zip(learned.weights(), refit.weights(), strict=True):
        assert np.allclose(got, expected, rtol=1e-9, atol=0)
    learned.remove(features[kept], action[kept], residual[kept])
    assert same_state(learned, bandit())


def test_removal_keeps_to_a_refit_where_sums_are_too_large_to_be_exact():
    rng = np.random.default_rng(0)
    features, action = rng.normal(size=(50_000, 3)) * 3, np.zeros(50_000, np.int64)
    residual = rng.normal(size=50_000) * 1e6  # such as money in small coin
    learned = bandit().update(features, action, residual)
    learned.remove(features[:40_000], action[:40_000], residual[:40_000])
    refit = bandit().update(features[40_000:], action[40_000:], residual[40_000:])
    for got, expected in zip(learned.weights(), refit.weights(), strict=True):
        assert np.allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_a_residual_that_is_put_right_counts_as_if_it_had_come_so():
    features, action, residual = rows(200)
    learned = bandit().update(features, action, residual)
    learned.correct(features[:50], action[:50], residual[:50], residual[:50] + 1)
    residual[:50] += 1
    assert same_state(learned, bandit().update(features, action, residual))


def test_actions_come_and_go():
    features, action, residual = rows(200)
    learned = bandit().update(features, action, residual)
    mean, sd = learned.posterior(features[0])
    learned.add_action("call")
    assert learned.actions == (*ACTIONS, "call")
    more_mean, more_sd = learned.posterior(features[0])
    assert more_mean.tolist() == [*mean.tolist(), 0.0]
    assert more_sd[:3].tolist() == sd.tolist()
    assert more_sd[3] > sd.max()
    learned.update(features[:5], ["call"] * 5, residual[:5])
    learned.remove_action("offer")
    assert learned.actions == ("nothing", "survey", "call")
    less, _ = learned.posterior(features[0])
    assert less[:2].tolist() == mean[[0, 2]].tolist()
    assert less[2] != 0
    assert learned.n_rows_[2] == 5


def test_names_and_places_of_actions_are_one():
    features, action, residual = rows(50)
    names = np.array(ACTIONS)[action]
    for given_ in (names, names.tolist(), action.astype(np.int8)):
        assert same_state(
            bandit().update(features, given_, residual), bandit().update(features, action, residual)
        )


def test_a_bandit_is_stored_exactly():
    features, action, residual = rows(200)
    learned = bandit(noise_sd=0.4, features_version="f1", outcome="bought").update(features, action, residual)
    learned.watermark_, learned.outcome_watermark_ = 7, 8
    learned.immature_, learned.immature_at_ = np.array([3, 5]), np.array([10, 11])
    learned.withdrawn_ = np.array([2])
    again = LinearBandit.from_arrays(learned.to_arrays(), learned.facts())
    assert same_state(again, learned)
    assert again.posterior(features[0])[0].tolist() == learned.posterior(features[0])[0].tolist()
    again.update(features, action, residual)  # its arrays are its own
    assert not same_sums(again, learned)


ALTERED = "Hint: the file may be damaged, or altered after it was written; save or copy it again."


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("targets", lambda a: a[:2], "targets is float64 of shape (2, 4), expected float64 of shape (3, 4)."),
        ("n_rows", lambda a: a - 1000, "n_rows holds what no rows make, expected sums of rows."),
        ("products", lambda a: a * np.nan, "products holds what no rows make, expected sums of rows."),
        ("products", lambda a: -a, "products holds what no rows make, expected sums of rows."),
        (
            "products",  # on its own no impossible sum, together with the prior it has no inverse
            lambda a: np.pad(np.full((3, 2, 2), [[1e30, 1e30], [1e30, 1e30]]), ((0, 0), (0, 2), (0, 2))),
            "products holds what no rows make, expected sums of rows.",
        ),
        (
            "squares",
            lambda a: a.astype(np.float32),
            "squares is float32 of shape (3,), expected float64 of shape (3,).",
        ),
        (
            "immature",
            lambda a: np.zeros(3, np.int64),
            "immature_at is int64 of shape (0,), expected int64 of shape (3,).",
        ),
        ("starts", None, "'starts' is missing, expected every array and fact."),
    ],
)
def test_altered_arrays_are_refused(name, change, text):
    learned = bandit().update(*rows(20))
    arrays = learned.to_arrays()
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    with pytest.raises(errors.ArtifactError) as caught:
        LinearBandit.from_arrays(arrays, learned.facts())
    assert str(caught.value) == f"the stored bandit is broken: {text} {ALTERED}"


@pytest.mark.parametrize(
    ("fact", "value", "text"),
    [
        ("watermark", -1, "a watermark is one of (-1, 0), expected integers from 0."),
        (
            "prior_sd",
            0,
            "a fact is wrong (prior_sd=0: expected a finite number above 0.), expected what was saved.",
        ),
    ],
)
def test_altered_facts_are_refused(fact, value, text):
    learned = bandit()
    with pytest.raises(errors.ArtifactError) as caught:
        LinearBandit.from_arrays(learned.to_arrays(), learned.facts() | {fact: value})
    assert str(caught.value) == f"the stored bandit is broken: {text} {ALTERED}"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda b: bandit(actions=["a", "a"]), "actions=('a', 'a'): expected distinct names."),
        (lambda b: bandit(prior_sd=0), "prior_sd=0: expected a finite number above 0."),
        (lambda b: bandit(noise_sd=np.inf), "noise_sd=inf: expected a finite number above 0."),
        (
            lambda b: LinearBandit(["a"], [1.0], [1.0, 2.0]),
            "mean and scale='of shapes (1,) and (2,)': expected one number a feature in each.",
        ),
        (
            lambda b: b.update(np.zeros((2, 2)), [0, 0], [0, 0]),
            "features='of shape (2, 2)': expected shape (n, 3), a column a feature.",
        ),
        (
            lambda b: b.update(np.zeros((2, 3)), [0], [0, 0]),
            "features, action and residual='of 2 rows, (1,) and (2,)': "
            "expected one action and residual a row.",
        ),
        (
            lambda b: b.update(np.zeros((1, 3)), [0], [np.nan]),
            "residual='a NaN or an infinity': expected finite numbers.",
        ),
        (
            lambda b: b.update(np.zeros((1, 3)), [3], [0.0]),
            "action 3 is not one of the bandit's actions. Known: nothing, offer, survey. "
            "Hint: add it with add_action(...) first.",
        ),
        (
            lambda b: b.update(np.zeros((1, 3)), ["call"], [0.0]),
            "action 'call' is not one of the bandit's actions. Known: nothing, offer, survey. "
            "Hint: add it with add_action(...) first.",
        ),
        (
            lambda b: b.remove(np.zeros((1, 3)), ["offer"], [0.0]),
            "action=\"1 rows of 'offer'\": expected at most the 0 it learned from.",
        ),
        (lambda b: b.posterior([1.0]), "features='of shape (1,)': expected shape (3,), a number a feature."),
        (lambda b: b.add_action("offer"), "name='offer': expected a name that is not among the actions yet."),
    ],
)
def test_arguments_outside_their_range(call, text):
    with pytest.raises(errors.ArgumentError) as caught:
        call(bandit())
    assert str(caught.value) == text
