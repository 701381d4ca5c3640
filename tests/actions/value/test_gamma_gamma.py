"""Gamma-gamma: likelihood and means against their definitions, the optimum, laws and recovery."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from value_cases import MONEY_TRUTH, POSITIVE, money_log_likelihood_of, simulated

from engagelib.actions.value import GammaGamma, PurchaseSummary, gamma_gamma
from engagelib.actions.value.fitting import hessian_of

ROWS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 400)), min_size=1, max_size=8)


def summary_of(rows):
    rows = [*rows, *[(2, 30)] * gamma_gamma.LEAST_CUSTOMERS]
    x, value = (np.array(column, float) for column in zip(*rows, strict=True))
    return PurchaseSummary.from_columns(x, np.ones(len(x)), np.ones(len(x)), value), rows


@pytest.fixture(scope="module")
def customers():
    return simulated(4000)[0]


@pytest.fixture(scope="module")
def fitted(customers):
    return GammaGamma().fit(customers)


def point_of(model, likelihood):
    return np.log(model.parameters / [1, 1, likelihood.scale])


@given(rows=ROWS, parameters=st.tuples(POSITIVE, POSITIVE, POSITIVE))
def test_the_likelihood_is_what_the_paper_says(rows, parameters):
    summary, rows = summary_of(rows)
    likelihood = gamma_gamma.MoneyLikelihood(summary)
    point = np.log(np.array(parameters) / [1, 1, likelihood.scale])
    expected = sum(money_log_likelihood_of(parameters, *row) for row in rows)
    found = likelihood.log_likelihood(likelihood(point)[0], point)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-8)


@given(rows=ROWS, logs=st.tuples(*[st.floats(-3, 3)] * 3))
def test_the_gradient_is_the_slope_of_the_likelihood(rows, logs):
    likelihood = gamma_gamma.MoneyLikelihood(summary_of(rows)[0], 0.1)
    point = np.array(logs)
    gradient = likelihood(point)[1]
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-5
        slope = (likelihood(point + step)[0] - likelihood(point - step)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_the_fit_stops_at_a_maximum(customers, fitted):
    likelihood = gamma_gamma.MoneyLikelihood(customers)
    point = point_of(fitted, likelihood)
    assert fitted.report_.converged
    assert np.abs(likelihood(point)[1]).max() < 1e-8
    assert np.linalg.eigvalsh(hessian_of(likelihood, point)).min() > 0


def test_parameters_are_found_again_in_simulated_customers(customers, fitted):
    likelihood = gamma_gamma.MoneyLikelihood(customers)
    curve = hessian_of(likelihood, point_of(fitted, likelihood)) * likelihood.total
    distance = np.abs(np.log(fitted.parameters / MONEY_TRUTH)) / np.sqrt(np.diag(np.linalg.inv(curve)))
    assert distance.max() < 3


def test_another_currency_scales_v_alone(customers, fitted):
    dearer = PurchaseSummary(
        customers.frequency, customers.recency, customers.age, customers.mean_value * 1000
    )
    again = GammaGamma().fit(dearer)
    assert again.parameters == pytest.approx(fitted.parameters * [1, 1, 1000], rel=1e-7)
    assert again.expected_mean_value(dearer) == pytest.approx(
        1000 * fitted.expected_mean_value(customers), rel=1e-7
    )


def test_expected_money_lies_between_the_customers_own_mean_and_that_of_all(customers, fitted):
    found = fitted.expected_mean_value(customers)
    p, q, v = fitted.parameters
    overall = p * v / (q - 1)
    repeat = customers.frequency > 0
    assert found[~repeat] == pytest.approx(overall)
    own = customers.mean_value[repeat]
    assert (found[repeat] >= np.minimum(own, overall) - 1e-9).all()
    assert (found[repeat] <= np.maximum(own, overall) + 1e-9).all()
    # By hand: p = 2, q = 3, v = 10, three purchases of 8 on average: 2 * (10 + 24) / (6 + 3 - 1).
    model = GammaGamma()
    model.p_, model.q_, model.v_, model.mean_ = 2.0, 3.0, 10.0, 1.0
    assert model.expected_mean_value(PurchaseSummary.from_columns([3], [1], [1], [8])) == pytest.approx([8.5])


def test_customers_without_money_are_counted_and_get_the_mean_of_all():
    summary, _ = summary_of([(3, 10), (2, 20), (1, 15)])
    value = summary.mean_value.copy()
    value[:2] = [-4.0, np.nan]
    model = GammaGamma(penalty=0.01).fit(
        PurchaseSummary.from_columns(summary.frequency, summary.recency, summary.age, value)
    )
    assert model.n_left_out == 2
    assert model.report_.n_customers == len(summary) - 2
    assert model.mean_ == pytest.approx(value[2:].mean())
    found = model.expected_mean_value(
        PurchaseSummary.from_columns([3, 0, np.nan], [1, 0, np.nan], [1, 1, np.nan])
    )
    assert found[0] == found[1]
    assert np.isnan(found[2])


def test_where_the_model_has_no_mean_that_of_the_data_stands_in():
    model = GammaGamma()
    model.p_, model.q_, model.v_, model.mean_ = 0.4, 0.5, 10.0, 33.0
    summary = PurchaseSummary.from_columns([0, 1, 3], [0, 1, 1], [1, 1, 1], [np.nan, 5, 8])
    # 0.4 + 0.5 is below 1; 3 * 0.4 + 0.5 - 1 = 0.7.
    assert model.expected_mean_value(summary) == pytest.approx([33.0, 33.0, 0.4 * 34 / 0.7])


def test_the_repr_shows_the_parameters():
    model = GammaGamma()
    assert repr(model) == "GammaGamma(penalty=0)"
    model.p_, model.q_, model.v_ = 6.25, 3.75, 15.5
    assert repr(model) == "GammaGamma(p=6.25, q=3.75, v=15.5)"
