"""Refusals of the value of customers: each has its exact wording, and altered files never crash."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from value_cases import day_of, log_of, shop, simulated

import engagelib as eg
from engagelib import errors
from engagelib.actions.value import (
    BetaGeometric,
    Engaged,
    GammaGamma,
    LifetimeValue,
    PurchaseSummary,
    summarise_purchases,
)

DAMAGED = "Hint: the file may be damaged, or altered after it was written; save or copy it again."


def refused(kind, text, call, *arguments, **named):
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    assert str(caught.value) == text
    return caught.value


@pytest.fixture(scope="module")
def summary():
    return simulated(200)[0]


COLUMNS = {
    "frequency": (
        {"frequency": [1, -1]},
        "frequency[1]=-1: expected a whole number of at least 0. Hint: the first purchase does not count.",
    ),
    "half a purchase": (
        {"frequency": [1.5, 1]},
        "frequency[0]=1.5: expected a whole number of at least 0. Hint: the first purchase does not count.",
    ),
    "negative recency": ({"recency": [-2, 0]}, "recency[0]=-2: expected a finite time of at least 0."),
    "no age": ({"age": [5, np.inf]}, "age[1]=inf: expected a finite time of at least 0."),
    "recency beyond age": (
        {"recency": [6, 1]},
        "recency[0]=6: expected at most the age. "
        "Hint: recency is the time from the first purchase to the last.",
    ),
    "recency without a repeat": (
        {"frequency": [1, 0]},
        "recency[1]=1: expected 0 for a customer without a repeat purchase.",
    ),
    "infinite money": (
        {"mean_value": [1, np.inf]},
        "mean_value[1]=inf: expected a finite value, or NaN where it is not known.",
    ),
    "part of a row": (
        {"age": [5, np.nan]},
        "age[1]=nan: expected a finite time of at least 0.",
    ),
    "lengths": (
        {"age": [5, 5, 5]},
        "the columns of purchases differ in length (frequency 2, recency 2, age 3, mean_value 2): expected "
        "one value a customer.",
    ),
    "shape": ({"age": [[5, 5]]}, "age.ndim=2: expected 1, shape (n_customers,)."),
    "text": ({"age": ["5", "5"]}, "age.dtype='<U1': expected numbers."),
    "unit": ({"by_days": 0}, "by_days=0: expected a finite number above 0."),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_that_no_customer_has_are_refused(case):
    given, text = COLUMNS[case]
    columns = {"frequency": [1, 1], "recency": [1, 1], "age": [5, 5], "mean_value": [1, 1]} | given
    refused(errors.ArgumentError, text, PurchaseSummary.from_columns, **columns)


def test_frames_without_the_columns_are_refused():
    text = (
        "the summary of purchases lacks recency, age. Found: frequency, x. Hint: pass a "
        "frame with frequency, "
        "recency, age (or T) and, for money, mean_value; summarise_purchases() makes one of a log."
    )
    error = refused(errors.SchemaError, text, PurchaseSummary.from_frame, {"frequency": [1], "x": [2]})
    assert error.column == "recency"
    text = "column 'T': infinite (1 row, first at 0). Hint: expected finite numbers."
    frame = {"frequency": [1.0], "recency": [1.0], "T": [np.inf]}
    refused(errors.SchemaError, text, PurchaseSummary.from_frame, frame)


def test_logs_without_times_are_refused(summary):
    log = eg.EventLog.from_frame({"customer_id": [1, 1], "item_id": [1, 2], "position": [1, 2]})
    histories = eg.Histories.from_log(log)
    text = (
        "the value of customers needs a timestamp for each event; this log tells order by 'position'. "
        "Hint: read the log with a 'timestamp' column."
    )
    model = LifetimeValue().fit(summary)
    for call in (summarise_purchases, LifetimeValue().fit, Engaged().fit, model.predict):
        refused(errors.NotEnoughDataError, text, call, histories)
    refused(errors.NotEnoughDataError, text, model.one, histories.take(np.array([0])), day_of(1))


def test_numbers_that_are_no_microseconds_are_refused():
    histories = log_of([(1, 1, 0, 5.0, None, "purchase")])
    text = "at=1700000000: expected microseconds since 1970, from 1990 to 2200."
    refused(errors.ArgumentError, text, summarise_purchases, histories, 1_700_000_000)
    text = (
        "at=True: expected a datetime, a date, a numpy.datetime64 or a text in ISO 8601, from 1990 to 2200."
    )
    refused(errors.ArgumentError, "at=True: expected microseconds since 1970, from 1990 to 2200.",
            summarise_purchases, histories, True)  # fmt: skip
    refused(errors.ArgumentError, text.replace("True", "1.5"), summarise_purchases, histories, 1.5)


def test_too_few_customers_are_refused(summary):
    few = summary.take(np.flatnonzero(summary.frequency > 0)[:9])
    text = (
        "BetaGeometric needs 10 customers who bought more than once; 9 of 9 did. "
        "Hint: take a longer log, or a later moment."
    )
    for model in (BetaGeometric(), LifetimeValue()):
        refused(errors.NotEnoughDataError, text, model.fit, few)
    text = (
        "GammaGamma needs 10 customers with a repeat purchase and a mean_value above 0; 9 have both. "
        "Hint: read the log with a 'value' column, the money of each row."
    )
    refused(errors.NotEnoughDataError, text, GammaGamma().fit, few)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"horizon_days": 0}, "horizon_days=0: expected a finite number above 0."),
        ({"horizon_days": True}, "horizon_days=True: expected a finite number above 0."),
        ({"by_days": -1}, "by_days=-1: expected a finite number above 0."),
        ({"penalty": -1}, "penalty=-1: expected a finite number of at least 0."),
        ({"discount_per_year": np.nan}, "discount_per_year=nan: expected a finite number of at least 0."),
        ({"n_resamples": 1.5}, "n_resamples=1.5: expected an integer of at least 0."),
        ({"level": 95}, "level=95: expected a number between 0 and 1."),
        ({"rng": -1}, "rng=-1: expected an integer of at least 0 or a numpy.random.Generator."),
    ],
)
def test_arguments_are_checked(summary, arguments, text):
    refused(errors.ArgumentError, text, LifetimeValue(**arguments).fit, summary)


def test_arguments_of_calls_are_checked(summary):
    model = LifetimeValue().fit(summary)
    text = "horizon_days=nan: expected a finite number above 0."
    for call in (model.predict, model.purchases_.expected_purchases, model.purchases_.p_purchase):
        refused(errors.ArgumentError, text, call, summary, horizon_days=np.nan)
    text = (
        "intervals need resamples: expected a model that was fitted with n_resamples above 0. "
        "Hint: LifetimeValue(n_resamples=200)."
    )
    refused(errors.ArgumentError, text, model.predict, summary, intervals=True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"cost_of_missing": 0}, "cost_of_missing=0: expected a finite number above 0."),
        ({"threshold": 1.5}, "threshold=1.5: expected a number between 0 and 1, or None."),
        ({"threshold": True}, "threshold=True: expected a number between 0 and 1, or None."),
        ({"method": "best"}, "method='best': expected auto, isotonic or sigmoid."),
        ({"rng": -1}, "rng=-1: expected an integer of at least 0."),
    ],
)
def test_arguments_of_engaged_are_checked(arguments, text):
    histories = log_of([(1, 1, 0, 5.0, None, "purchase")])
    refused(errors.ArgumentError, text, Engaged(**arguments).fit, histories)


def test_logs_that_teach_nothing_of_who_is_engaged_are_refused():
    text = (
        "horizon_days=90 needs a log of more than 180 days, a horizon to learn from and "
        "one to judge by; this "
        "one has 100.0. Hint: choose a shorter horizon."
    )
    rows = [(1, 1, 0, 5.0, None, "purchase"), (1, 1, 100, 5.0, None, "purchase")]
    refused(errors.NotEnoughDataError, text, Engaged().fit, log_of(rows))
    rows = [(customer, 1, day, 5.0, None, "purchase") for customer in range(30) for day in (0, 10, 250)]
    text = (
        "of 30 customers 30 bought within the last 90 days: expected at least 20 who did and 20 who did not. "
        "Hint: choose another horizon_days, or take a longer log."
    )
    refused(errors.NotEnoughDataError, text, Engaged().fit, log_of(rows))


def test_models_that_are_not_fitted_say_so(summary):
    text = "this {} is not fitted yet. Call fit() first, or load() a saved one."
    history = log_of([(1, 1, 0, 5.0, None, "purchase")])
    calls = [
        (BetaGeometric().p_alive, (summary,)),
        (BetaGeometric().expected_purchases, (summary, 3)),
        (GammaGamma().expected_mean_value, (summary,)),
        (LifetimeValue().predict, (summary,)),
        (LifetimeValue().of, ([1], [1], [1])),
        (LifetimeValue().one, (history, day_of(1))),
        (LifetimeValue().parameters, ()),
        (LifetimeValue().to_arrays, ()),
        (LifetimeValue().facts, ()),
        (Engaged().p_engaged, (summary,)),
        (Engaged().one, (history, day_of(1))),
        (Engaged().explain, ()),
        (Engaged().to_arrays, ()),
        (Engaged().facts, ()),
    ]
    for call, arguments in calls:
        name = type(call.__self__).__name__
        refused(errors.NotFittedError, text.format(name), call, *arguments)


@pytest.fixture(scope="module")
def stored(summary):
    value = LifetimeValue(n_resamples=2).fit(summary)
    engaged = Engaged(horizon_days=60).fit(shop(300))
    return {
        LifetimeValue: (value.to_arrays(), value.facts()),
        Engaged: (engaged.to_arrays(), engaged.facts()),
    }


NAN = np.full((2, 1), np.nan)


@pytest.mark.parametrize(
    ("kind", "name", "changed", "found", "expected"),
    [
        (LifetimeValue, "purchases", None, "is missing", "an array of float64"),
        (LifetimeValue, "purchases", np.ones(3), "is of shape (3,) and float64", "4 numbers of float64"),
        (LifetimeValue, "purchases", np.array([1, 1, 1, -2.0]), "holds -2", "finite numbers above 0"),
        (LifetimeValue, "money", np.ones(2), "is of shape (2,) and float64", "4 numbers of float64"),
        (LifetimeValue, "replicates", NAN, "is of shape (2, 1) and float64", "8 columns of float64"),
        (LifetimeValue, "replicates", np.zeros((2, 8)), "holds others", "finite numbers above 0"),
        (Engaged, "knots", None, "is missing", "an array of float64"),
        (Engaged, "knots", np.ones(3), "is of shape (3,)", "two rows of finite float64"),
        (Engaged, "knots", NAN, "is of shape (2, 1)", "two rows of finite float64"),
    ],
)
def test_altered_arrays_are_refused(stored, kind, name, changed, found, expected):
    arrays, facts = stored[kind]
    arrays = {key: values for key, values in arrays.items() if key != name}
    if changed is not None:
        arrays[name] = changed
    text = f"the stored value of customers is broken: {name} {found}, expected {expected}. {DAMAGED}"
    refused(errors.ArtifactError, text, kind.from_arrays, arrays, facts)


def test_altered_facts_are_refused(stored):
    text = (
        "the stored value of customers is broken: facts can't be read ({}), expected those of a fit. "
        + DAMAGED
    )
    changes = [
        (LifetimeValue, "horizon_days", -1, "horizon_days=-1: expected a finite number above 0."),
        (LifetimeValue, "level", 2, "level=2: expected a number between 0 and 1."),
        (LifetimeValue, "reports", {}, "'purchases'"),
        (LifetimeValue, "by_days_", "week", "by_days_='week': expected a finite number above 0."),
        (Engaged, "method", 5, "method=5: expected auto, isotonic or sigmoid."),
    ]
    for kind, name, value, cause in changes:
        arrays, facts = stored[kind]
        refused(errors.ArtifactError, text.format(cause), kind.from_arrays, arrays, facts | {name: value})


@given(data=st.data())
def test_whatever_a_file_holds_nothing_but_an_artifact_error_comes_of_it(stored, summary, data):
    kind = data.draw(st.sampled_from([LifetimeValue, Engaged]))
    arrays, facts = stored[kind]
    arrays, facts = {name: values.copy() for name, values in arrays.items()}, dict(facts)
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(arrays)))
        number = data.draw(st.sampled_from([0.0, -1.0, np.nan, np.inf, 1e300, 1e-300, 7.0]))
        arrays[name].flat[data.draw(st.integers(0, arrays[name].size - 1))] = number
    else:
        name = data.draw(st.sampled_from(sorted(facts)))
        facts[name] = data.draw(st.sampled_from([None, -1, "x", [], {}, 1e300, True]))
    try:
        model = kind.from_arrays(arrays, facts)
    except errors.ArtifactError:
        return
    few = summary.take(slice(0, 5))
    with np.errstate(all="ignore"):
        model.predict(few) if kind is LifetimeValue else model.p_engaged(few)
