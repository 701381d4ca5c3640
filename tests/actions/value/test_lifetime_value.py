"""LifetimeValue: what is forecast, for many and for one, intervals, discounting, and the round trip."""

import json
import subprocess
import sys

import numpy as np
import pytest
from value_cases import MONEY_TRUTH, TRUTH, day_of, log_of, shop, simulated

from engagelib.actions.value import (
    BetaGeometric,
    GammaGamma,
    LifetimeValue,
    PurchaseSummary,
    summarise_purchases,
)

NAMES = ("expected_purchases", "expected_value", "p_alive", "p_purchase")


@pytest.fixture(scope="module")
def customers():
    return simulated(1500)[0]


@pytest.fixture(scope="module")
def histories():
    return shop()


@pytest.fixture(scope="module")
def fitted(histories):
    return LifetimeValue(n_resamples=20).fit(histories)


def test_it_puts_both_models_together(customers):
    model = LifetimeValue(horizon_days=100).fit(customers)
    purchases, money = BetaGeometric().fit(customers), GammaGamma().fit(customers)
    assert model.purchases_.parameters == pytest.approx(purchases.parameters)
    assert model.money_.parameters == pytest.approx(money.parameters)
    found = model.predict(customers)
    expected = purchases.expected_purchases(customers, 100)
    assert found.expected_purchases == pytest.approx(expected)
    assert found.expected_value == pytest.approx(expected * money.expected_mean_value(customers))
    assert found.p_alive == pytest.approx(purchases.p_alive(customers), nan_ok=True)
    assert found.p_purchase == pytest.approx(purchases.p_purchase(customers, 100))
    arrays = (customers.frequency, customers.recency, customers.age, customers.mean_value)
    assert model.of(*arrays).expected_value == pytest.approx(found.expected_value)
    assert len(found) == len(customers)
    assert repr(found).startswith("ValueForecast(1,500 customers, ")
    assert found.to_frame().num_rows == 1500


@pytest.mark.parametrize("discount", [0.0, 0.3])
def test_one_customer_gets_what_all_of_them_get(histories, fitted, discount):
    fitted.discount_per_year = discount
    for at in (histories.newest, day_of(200), day_of(100), day_of(0)):
        many = fitted.predict(histories, at, horizon_days=180)
        for row in range(0, histories.n_customers, 9):
            one = fitted.one(histories.take(np.array([row])), at, horizon_days=180).to_record()
            assert json.dumps(one)
            assert one["horizon_days"] == 180
            for name in NAMES:
                expected = getattr(many, name)[row]
                assert (np.nan if one[name] is None else one[name]) == pytest.approx(
                    expected, rel=1e-9, nan_ok=True
                )
            assert one["is_one_time"] == many.is_one_time[row]
    fitted.discount_per_year = 0.0


def test_a_customer_without_a_purchase_and_one_with_a_single_one():
    rows = [(1, 1, 0, 5.0, None, "view"), (2, 1, 0, 5.0, None, "purchase"), (2, 1, 9, None, None, "view")]
    histories = log_of(rows)
    model = LifetimeValue().fit(simulated(500)[0])
    nobody, once = (model.one(histories.take(np.array([row])), day_of(9)) for row in (0, 1))
    assert nobody.to_record() == dict.fromkeys(nobody.to_record()) | {
        "horizon_days": 365.0,
        "is_one_time": False,
    }
    assert once.is_one_time
    assert once.p_alive is None
    assert (once.frequency, once.recency_days, once.age_days, once.mean_value) == (0, 0, 9, None)
    assert once.expected_value > 0


def test_discounting_is_the_integral_over_when_purchases_are_due(customers):
    model = LifetimeValue(discount_per_year=0.25).fit(customers)
    plain = LifetimeValue().fit(customers)
    some = customers.take(slice(0, 200))
    # A sum over small steps: each step's purchases, discounted from its middle.
    grid = np.linspace(0, 365, 1461)
    counts = [np.zeros(200)] + [plain.predict(some, horizon_days=day).expected_purchases for day in grid[1:]]
    each = plain.predict(some).expected_value / plain.predict(some).expected_purchases
    middle = (grid[1:] + grid[:-1]) / 2
    expected = 1.25 ** (-middle / 365.25) @ np.diff(counts, axis=0) * each
    assert model.predict(some).expected_value == pytest.approx(expected, rel=1e-6)
    assert (model.predict(some).expected_value < plain.predict(some).expected_value).all()
    assert (model.predict(some).expected_purchases == plain.predict(some).expected_purchases).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    inside = []
    for seed in range(12):
        summary, _ = simulated(400, seed)
        table = LifetimeValue(n_resamples=60, level=0.9, rng=seed).fit(summary).parameters()
        truth = dict(zip(("r", "alpha", "a", "b", "p", "q", "v"), (*TRUTH, *MONEY_TRUTH), strict=True))
        inside += [record["low"] <= truth[record["name"]] <= record["high"] for record in table.to_records()]
    # 84 intervals of 90%, correlated within a sample: far from half and from all.
    assert 0.75 <= np.mean(inside) < 1


def test_intervals_of_customers_lie_around_what_is_expected(customers):
    model = LifetimeValue(n_resamples=40, rng=3).fit(customers)
    found = model.predict(customers, intervals=True)
    assert (
        (found.value_low <= found.expected_value) & (found.expected_value <= found.value_high)
    ).mean() > 0.9
    assert (found.purchases_low < found.purchases_high).all()
    low, high = np.quantile(model.replicates_[:, 0], [0.025, 0.975])
    first = model.parameters().to_records()[0]
    assert (first["low"], first["high"]) == pytest.approx((low, high))
    wider = LifetimeValue(n_resamples=40, rng=3, level=0.5).fit(customers).predict(customers, intervals=True)
    assert (wider.value_high - wider.value_low < found.value_high - found.value_low).all()
    again = LifetimeValue(n_resamples=40, rng=np.random.default_rng(3)).fit(customers)
    assert (again.replicates_ == model.replicates_).all()


def test_a_resample_is_a_fit_to_customers_drawn_again(customers):
    model = LifetimeValue(n_resamples=1, rng=11).fit(customers)
    drawn = np.random.default_rng(11).integers(0, len(customers), len(customers))
    again = LifetimeValue().fit(customers.take(drawn))
    expected = [*again.purchases_.parameters, *again.money_.parameters, again.money_.mean_]
    assert model.replicates_[0] == pytest.approx(expected, rel=1e-5)


def test_forecasts_follow_the_moment(histories, fitted):
    then, now = fitted.predict(histories, day_of(150)), fitted.predict(histories)
    assert then.expected_purchases[0] != now.expected_purchases[0]
    summary = summarise_purchases(histories, day_of(150))
    assert (fitted.predict(summary).p_purchase == then.p_purchase)[summary.has_bought].all()


def test_without_money_only_purchases_are_forecast():
    summary = simulated(300)[0]
    bare = PurchaseSummary.from_columns(summary.frequency, summary.recency, summary.age)
    model = LifetimeValue(n_resamples=3).fit(bare)
    assert model.money_ is None
    found = model.predict(bare, intervals=True)
    assert np.isnan(found.expected_value).all()
    assert np.isnan(found.value_low).all()
    assert (found.purchases_low > 0).all()
    assert [record["name"] for record in model.parameters().to_records()] == ["r", "alpha", "a", "b"]
    back = LifetimeValue.from_arrays(model.to_arrays(), model.facts())
    assert (back.predict(bare).p_purchase == found.p_purchase).all()


def test_weeks_give_what_days_give(histories):
    days, weeks = (LifetimeValue(by_days=by_days, discount_per_year=0.2).fit(histories) for by_days in (1, 7))
    assert weeks.by_days_ == 7
    assert weeks.purchases_.alpha_ == pytest.approx(days.purchases_.alpha_ / 7, rel=1e-6)
    found = weeks.predict(histories).expected_value
    assert found == pytest.approx(days.predict(histories).expected_value, rel=1e-6)


def test_what_is_stored_comes_back_exactly(histories, fitted):
    facts = json.loads(json.dumps(fitted.facts()))
    back = LifetimeValue.from_arrays(fitted.to_arrays(), facts)
    one, other = (model.predict(histories, intervals=True).columns() for model in (fitted, back))
    for name, values in one.items():
        assert np.array_equal(values, other[name], equal_nan=name != "is_one_time")
    assert back.facts() == fitted.facts()
    assert back.purchases_.report_ == fitted.purchases_.report_
    assert repr(back) == repr(fitted)


def test_refitting_starts_afresh(customers, histories):
    model = LifetimeValue().fit(histories)
    assert (
        model.fit(customers).purchases_.parameters == LifetimeValue().fit(customers).purchases_.parameters
    ).all()


def test_serving_loads_numpy_alone():
    code = (
        "import sys; import engagelib.actions.value; "
        "print(sorted({'scipy', 'pyarrow', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
