"""Engaged: chances that can be taken at their word, a threshold with its reason, and the round trip."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from value_cases import day_of, shop

from engagelib.actions.value import BetaGeometric, Engaged, engaged, summarise_purchases
from engagelib.metrics import brier_score, expected_calibration_error


@pytest.fixture(scope="module")
def histories():
    return shop(1500)


@pytest.fixture(scope="module")
def fitted(histories):
    return Engaged(horizon_days=60).fit(histories, day_of(300))


def test_chances_hold_in_the_time_after(histories, fitted):
    chance = fitted.p_engaged(histories, day_of(300))
    known = ~np.isnan(chance)
    later = summarise_purchases(histories, day_of(360)).frequency
    before = summarise_purchases(histories, day_of(300)).frequency
    came = later[known] > before[known]
    assert expected_calibration_error(chance[known], came) < 0.06
    assert brier_score(chance[known], came) < came.mean() * (1 - came.mean()) - 0.03


def test_the_report_is_of_the_last_horizon(histories, fitted):
    report = fitted.report_
    assert report.cut == day_of(240)
    before = summarise_purchases(histories, day_of(240))
    assert report.n_customers == before.has_bought.sum()
    until = summarise_purchases(histories, day_of(300))
    assert report.n_bought == pytest.approx((until.frequency > before.frequency).sum(), abs=2)
    assert report.brier <= report.brier_before + 0.005
    assert report.method == "sigmoid"


def test_what_comes_later_changes_nothing(histories, fitted):
    again = Engaged(horizon_days=60).fit(histories.until(day_of(300)), day_of(300))
    assert (again.knots_ == fitted.knots_).all()
    assert (again.model_.parameters == fitted.model_.parameters).all()


def test_the_model_is_fitted_anew_on_everything(histories, fitted):
    whole = BetaGeometric().fit(summarise_purchases(histories, day_of(300)))
    assert (whole.parameters == fitted.model_.parameters).all()


def test_yes_and_no_are_told_apart_by_the_threshold(histories, fitted):
    chance = fitted.p_engaged(histories, day_of(300))
    answer = fitted.is_engaged(histories, day_of(300))
    assert answer.dtype == bool
    assert (answer == (np.nan_to_num(chance, nan=-1.0) >= 0.5)).all()
    assert not answer[np.isnan(chance)].any()
    assert 0 < answer.mean() < 1


def test_one_customer_gets_what_all_of_them_get(histories, fitted):
    many = fitted.p_engaged(histories, day_of(100))
    for row in range(0, 1500, 97):
        one = fitted.one(histories.take(np.array([row])), day_of(100))
        assert (np.nan if one is None else one) == pytest.approx(many[row], rel=1e-12, nan_ok=True)


def test_the_threshold_is_where_both_errors_cost_the_same(histories):
    model = Engaged(horizon_days=60, cost_of_missing=4).fit(histories)
    assert model.threshold_ == 0.2
    chance = model.threshold_
    assert chance * 4 == pytest.approx((1 - chance) * 1)
    assert Engaged(horizon_days=60, threshold=0.7).fit(histories).threshold_ == 0.7


def test_the_rule_is_told_in_words(histories):
    model = Engaged(horizon_days=60, cost_of_missing=3).fit(histories, day_of(300))
    report = model.report_
    end = (
        f"The chances were calibrated on {report.n_customers:,} customers as of 2024-08-28 00:00, of "
        f"whom {report.n_bought:,} bought within the horizon (Brier score {report.brier:.4f}, expected "
        f"calibration error {report.ece:.4f})."
    )
    assert model.explain() == (
        "A customer is engaged where the chance to buy within 60 days is at least 0.25. To miss a "
        "customer who would buy is 3 times as bad as to count on one who would not, and 1 / (1 + 3) = "
        f"0.25 is where both errors are expected to cost the same. {end}"
    )
    model = Engaged(horizon_days=60, threshold=0.4).fit(histories, day_of(300))
    assert model.explain() == (
        "A customer is engaged where the chance to buy within 60 days is at least 0.4. The threshold 0.4 was "
        f"chosen by hand. {end}"
    )
    assert repr(model) == "Engaged(horizon_days=60, threshold=0.4)"
    assert repr(Engaged(horizon_days=60)) == "Engaged(horizon_days=60)"


@given(pairs=st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=3, max_size=40))
def test_both_calibrations_rise_and_stay_chances(pairs):
    raw, came = np.array([p / 10 for p, _ in pairs]), np.array([y for _, y in pairs])
    grid = np.linspace(0, 1, 23)
    for method in ("isotonic", "sigmoid"):
        if came.all() or not came.any():
            continue
        found = engaged._applied(engaged._learned(raw, came, method), grid, method)
        assert ((found >= 0) & (found <= 1)).all()
        # Steps give nothing for certain, however few there are.
        assert method == "sigmoid" or ((found > 0) & (found < 1)).all()
        assert (np.diff(found) >= -1e-12).all()


def test_a_line_in_log_odds_is_found_again():
    rng = np.random.default_rng(0)
    raw = rng.beta(2, 3, 200_000)
    odds = -0.5 + 0.7 * np.log(raw / (1 - raw))
    came = rng.random(len(raw)) < 1 / (1 + np.exp(-odds))
    assert engaged._learned(raw, came, "sigmoid")[:, 0] == pytest.approx([-0.5, 0.7], abs=0.02)
    stairs = engaged._applied(engaged._learned(raw, came, "isotonic"), raw, "isotonic")
    assert np.abs(stairs - 1 / (1 + np.exp(-odds))).mean() < 0.01


def test_forecasts_that_point_the_wrong_way_become_one_chance():
    raw = np.repeat([0.2, 0.8], 100)
    came = raw < 0.5
    found = engaged._applied(engaged._learned(raw, came, "sigmoid"), np.array([0.1, 0.9]), "sigmoid")
    assert found == pytest.approx([0.5, 0.5])


def test_many_customers_are_calibrated_by_steps(histories, monkeypatch):
    monkeypatch.setattr(engaged, "_MANY", 50)
    model = Engaged(horizon_days=60).fit(histories)
    assert model.report_.method == "isotonic"
    back = Engaged.from_arrays(model.to_arrays(), json.loads(json.dumps(model.facts())))
    assert np.array_equal(back.p_engaged(histories), model.p_engaged(histories), equal_nan=True)


def test_what_is_stored_comes_back_exactly(histories, fitted):
    back = Engaged.from_arrays(fitted.to_arrays(), json.loads(json.dumps(fitted.facts())))
    assert np.array_equal(back.p_engaged(histories), fitted.p_engaged(histories), equal_nan=True)
    assert back.facts() == fitted.facts()
    assert back.explain() == fitted.explain()
