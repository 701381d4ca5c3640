"""BG/NBD: likelihood and forecasts against their definitions, the optimum, laws and recovery."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from value_cases import (
    CUSTOMERS,
    POSITIVE,
    TRUTH,
    expected_purchases_of,
    log_likelihood_of,
    simulated,
)

from engagelib.actions.value import BetaGeometric, PurchaseSummary, beta_geometric, series
from engagelib.actions.value.fitting import hessian_of, merged


@pytest.fixture(scope="module")
def customers():
    return simulated(4000)[0]


@pytest.fixture(scope="module")
def fitted(customers):
    return BetaGeometric().fit(customers)


def likelihood_of(rows):
    # The tenth customer onwards lets small cases through: a fit asks for ten repeat buyers.
    rows = [*rows, *[(2, 10.0, 30.0)] * beta_geometric.LEAST_REPEATS]
    summary = PurchaseSummary.from_columns(*map(np.array, zip(*rows, strict=True)))
    return beta_geometric.Likelihood(summary), rows


def made(parameters):
    model = BetaGeometric()
    model.r_, model.alpha_, model.a_, model.b_ = parameters
    model.by_days_ = 1.0
    return model


@given(rows=CUSTOMERS, parameters=st.tuples(POSITIVE, POSITIVE, POSITIVE, POSITIVE))
def test_the_likelihood_is_what_the_paper_says(rows, parameters):
    likelihood, rows = likelihood_of(rows)
    r, alpha, a, b = parameters
    point = np.log([r, alpha / likelihood.scale, a, b])
    value, _ = likelihood(point)
    expected = sum(log_likelihood_of(parameters, *row) for row in rows)
    assert likelihood.log_likelihood(value, point) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(rows=CUSTOMERS, logs=st.tuples(*[st.floats(-3, 3)] * 4))
def test_the_gradient_is_the_slope_of_the_likelihood(rows, logs):
    likelihood, _ = likelihood_of(rows)
    likelihood.penalty = 0.1
    point = np.array(logs)
    gradient = likelihood(point)[1]
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-5
        slope = (likelihood(point + step)[0] - likelihood(point - step)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_the_fit_stops_at_a_maximum(customers, fitted):
    assert fitted.report_.converged
    assert not fitted.report_.at_bound
    assert fitted.report_.gradient_norm < 1e-8
    likelihood = beta_geometric.Likelihood(customers)
    point = np.log(fitted.parameters / [1, likelihood.scale, 1, 1])
    assert np.linalg.eigvalsh(hessian_of(likelihood, point)).min() > 0
    value, gradient = likelihood(point)
    assert np.abs(gradient).max() < 1e-8
    assert fitted.report_.log_likelihood == pytest.approx(likelihood.log_likelihood(value, point))


def test_parameters_are_found_again_in_simulated_customers(customers, fitted):
    likelihood = beta_geometric.Likelihood(customers)
    point = np.log(fitted.parameters / [1, likelihood.scale, 1, 1])
    error = np.sqrt(np.diag(np.linalg.inv(hessian_of(likelihood, point) * len(customers))))
    distance = np.abs(np.log(fitted.parameters) - np.log(TRUTH)) / error
    assert distance.max() < 3


def test_another_unit_of_time_scales_alpha_alone(customers, fitted):
    weekly = BetaGeometric().fit(customers.in_units_of(7))
    assert weekly.parameters == pytest.approx(fitted.parameters / [1, 7, 1, 1], rel=1e-6)
    assert weekly.expected_purchases(customers, 60) == pytest.approx(
        fitted.expected_purchases(customers, 60), rel=1e-6
    )
    assert weekly.p_alive(customers) == pytest.approx(fitted.p_alive(customers), rel=1e-6, nan_ok=True)


@given(rows=CUSTOMERS, repeats=st.integers(1, 4), logs=st.tuples(*[st.floats(-2, 2)] * 4))
def test_merged_rows_count_as_often_as_they_came(rows, repeats, logs):
    once, _ = likelihood_of(rows)
    point = np.array(logs)
    weights = np.arange(1.0, len(rows) + beta_geometric.LEAST_REPEATS + 1)
    once.weigh(weights)
    expected = -sum(
        weight * log_likelihood_of(np.exp(point) * [1, once.scale, 1, 1], *row)
        for weight, row in zip(weights, likelihood_of(rows)[1], strict=True)
    )
    value = once(point)[0]
    assert -once.log_likelihood(value, point) == pytest.approx(expected, rel=1e-9)


@given(columns=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12))
def test_merging_keeps_every_row_once(columns):
    first, second = (np.array(column, float) for column in zip(*columns, strict=True))
    (one, other), code = merged((first, second))
    assert list(zip(one, other, strict=True)) == sorted(set(columns))
    assert (one[code] == first).all()
    assert (other[code] == second).all()


def test_the_order_of_customers_does_not_matter(customers, fitted):
    order = np.random.default_rng(1).permutation(len(customers))
    again = BetaGeometric().fit(customers.take(order))
    assert again.parameters == pytest.approx(fitted.parameters, rel=1e-7)


@given(
    parameters=st.tuples(st.floats(0.05, 12), st.floats(0.5, 50), POSITIVE, POSITIVE),
    x=st.integers(0, 60),
    part=st.floats(0, 1),
    age=st.floats(0.5, 400),
    horizon=st.floats(0.1, 800),
)
def test_expected_purchases_are_what_the_paper_says(parameters, x, part, age, horizon):
    assume(abs(parameters[2] - 1) > 1e-3)
    recency = part * age if x else 0.0
    expected = expected_purchases_of(parameters, x, recency, age, horizon)
    summary = PurchaseSummary.from_columns(*(np.array([float(v)]) for v in (x, recency, age)))
    assert made(parameters).expected_purchases(summary, horizon) == pytest.approx([expected], rel=1e-9)


@pytest.mark.parametrize("a", [0.2, 1.0, 1.0 + 1e-13, 3.0, 60.0, 3000.0])
@pytest.mark.parametrize("r", [0.1, 2.0, 90.0])
@pytest.mark.parametrize("x", [0.0, 5.0, 200.0])
def test_both_series_and_the_one_for_a_single_customer_agree(r, a, x):
    for u in (1e-9, 0.3, 3.0, 40.0):
        arguments = (r, a, 2.5, np.array([x]), np.array([u]))
        by_purchases = series._by_purchases(*arguments)[0]
        parameters = np.array([r, 1.0, a, 2.5])
        assert series.expected_alive(parameters, *arguments[3:]) == pytest.approx([by_purchases], rel=1e-9)
        assert series.expected_alive_one(r, a, 2.5, x, u) == pytest.approx(by_purchases, rel=1e-9)


def test_the_chance_of_a_purchase_is_one_less_the_chance_of_none():
    summary, later = simulated(60_000, 3, until=90.0)
    model = made(TRUTH)
    chance = model.p_purchase(summary, 90)
    for group in (summary.frequency == 0, summary.frequency == 1, summary.frequency > 3):
        bought = later[group] > 0
        error = bought.std() / math.sqrt(group.sum())
        assert abs(chance[group].mean() - bought.mean()) < 4 * error
        expected = model.expected_purchases(summary, 90)[group].mean()
        error = later[group].std() / math.sqrt(group.sum())
        assert abs(expected - later[group].mean()) < 4 * error


def test_the_chance_to_be_alive_by_hand():
    # All parameters 1, one repeat: alive (1 + T)^-2 against gone (1 + tx)^-2.
    summary = PurchaseSummary.from_columns([1, 1, 0], [3, 7, 0], [7, 7, 7])
    assert made((1.0, 1.0, 1.0, 1.0)).p_alive(summary) == pytest.approx([1 / 5, 1 / 2, np.nan], nan_ok=True)
    assert made((1.0, 1.0, 1.0, 1.0)).p_alive(summary, one_time=1.0)[2] == 1.0
    # Likewise nothing within 8: 1 - (8 / 16)^2, and for who bought once 1 - 8 / 16.
    assert made((1.0, 1.0, 1.0, 1.0)).p_purchase(summary, 8) == pytest.approx([0.15, 0.375, 0.5])


@given(
    parameters=st.tuples(POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    x=st.integers(0, 30),
    age=st.floats(1, 300),
    horizon=st.floats(1, 300),
)
def test_more_purchases_recency_and_time_never_mean_less(parameters, x, age, horizon):
    model = made(parameters)
    # Who just bought: more purchases, more to come; later purchases, more likely alive.
    several = PurchaseSummary.from_columns([x + 1, x + 2, x + 2], [age, age, age / 2], [age] * 3)
    expected = model.expected_purchases(several, horizon)
    longer = model.expected_purchases(several, 2 * horizon)
    alive = model.p_alive(several)
    chance = model.p_purchase(several, horizon)
    assert expected[2] <= expected[1] * (1 + 1e-9)
    assert (longer >= expected * (1 - 1e-9)).all()
    assert ((alive >= 0) & (alive <= 1)).all()
    assert alive[2] <= alive[1]
    assert (chance <= np.minimum(alive, expected) * (1 + 1e-9) + 1e-12).all()


def test_frequent_customers_lose_no_digits():
    summary = PurchaseSummary.from_columns([5000, 5000], [999, 400], [1000, 1000])
    model = made((0.3, 5.0, 0.8, 2.5))
    found = model.expected_purchases(summary, 365)
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(
        expected_purchases_of((0.3, 5.0, 0.8, 2.5), 5000, 999, 1000, 365), rel=1e-9
    )
    assert found[1] == pytest.approx(0, abs=1e-9)


def test_customers_without_a_purchase_are_left_out_and_forecast_nothing(customers, fitted):
    nobody = PurchaseSummary.from_columns([np.nan] * 3, [np.nan] * 3, [np.nan] * 3)
    both = PurchaseSummary(
        *(
            np.append(getattr(nobody, name), getattr(customers, name))
            for name in ("frequency", "recency", "age", "mean_value")
        )
    )
    assert BetaGeometric().fit(both).parameters == pytest.approx(fitted.parameters, rel=1e-12)
    for found in (
        fitted.expected_purchases(nobody, 30),
        fitted.p_purchase(nobody, 30),
        fitted.p_alive(nobody),
    ):
        assert np.isnan(found).all()


def test_a_log_in_which_nobody_ever_leaves_runs_to_a_bound_and_says_so():
    summary, _ = simulated(300, 5, truth=(2.0, 20.0, 1e-6, 50.0))
    model = BetaGeometric().fit(summary)
    assert model.report_.converged
    assert model.report_.at_bound
    assert model.p_alive(summary)[summary.frequency > 0].min() > 0.99
    steadied = BetaGeometric(penalty=0.01).fit(summary)
    assert steadied.report_.converged
    assert not steadied.report_.at_bound


def test_the_repr_shows_the_parameters(fitted):
    assert repr(BetaGeometric()) == "BetaGeometric(penalty=0)"
    assert repr(made((0.25, 4.5, 0.75, 2.5))) == "BetaGeometric(r=0.25, alpha=4.5, a=0.75, b=2.5)"
