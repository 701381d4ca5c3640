"""Measures of probabilities against their definitions, scikit-learn, hand-worked cases and refusals."""

import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.metrics import brier_score, expected_calibration_error, log_loss, reliability_table

# Tenths, so that ties are common and some forecasts are certain.
FORECASTS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 1)), max_size=30)


def columns(pairs):
    return np.array([p for p, _ in pairs], float) / 10, np.array([y for _, y in pairs], int)


@given(pairs=FORECASTS, n_bins=st.integers(1, 12))
def test_bins_are_what_the_definition_says(pairs, n_bins):
    p, y = columns(pairs)
    bins = {}
    for forecast, outcome in zip(p, y, strict=True):
        number = math.floor(Fraction(n_bins * int((p < forecast).sum()), len(p)))
        bins.setdefault(number, []).append((forecast, outcome))
    expected = [
        {
            "low": min(f for f, _ in entries),
            "high": max(f for f, _ in entries),
            "n": len(entries),
            "probability": np.mean([f for f, _ in entries]),
            "share": np.mean([o for _, o in entries]),
        }
        for _, entries in sorted(bins.items())
    ]
    found = reliability_table(p, y, n_bins)
    assert found.to_records() == [pytest.approx(record) for record in expected]
    assert len(found) == len(expected) <= n_bins
    error = sum(row["n"] * abs(row["probability"] - row["share"]) for row in expected)
    got = expected_calibration_error(p, y, n_bins)
    assert got == pytest.approx(error / len(p)) if pairs else math.isnan(got)


@given(pairs=FORECASTS.filter(bool))
def test_scores_are_what_the_definition_says(pairs):
    p, y = columns(pairs)
    assert brier_score(p, y) == pytest.approx(np.mean([(f - o) ** 2 for f, o in zip(p, y, strict=True)]))
    given_to_it = [f if o else 1 - f for f, o in zip(p, y, strict=True)]
    nats = math.inf if 0 in given_to_it else -np.mean([math.log(f) for f in given_to_it])
    assert log_loss(p, y) == pytest.approx(nats)


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = rng.random(500) < p**1.5
    assert brier_score(p, y) == pytest.approx(sklearn.metrics.brier_score_loss(y, p))
    assert log_loss(p, y) == pytest.approx(sklearn.metrics.log_loss(y, p))


def test_hand_worked_bins():
    p, y = [0.1, 0.1, 0.1, 0.2, 0.8, 0.9], [0, 0, 1, 0, 1, 1]
    found = reliability_table(p, y, 2)
    # Three are below 0.2, half of all: it opens the second bin.
    assert found.n.tolist() == [3, 3]
    assert found.probability.tolist() == pytest.approx([0.1, 1.9 / 3])
    assert found.share.tolist() == pytest.approx([1 / 3, 2 / 3])
    assert expected_calibration_error(p, y, 2) == pytest.approx((1 / 3 - 0.1 + 2 / 3 - 1.9 / 3) / 2)
    assert len(reliability_table([0.5] * 9, [1] * 9, 3)) == 1


def test_edges_are_exact():
    # 3 of 10 bins of 30: 9 smaller forecasts are exactly three tenths, however a quotient would round.
    p = np.arange(30) / 30
    assert reliability_table(p, np.zeros(30), 10).n.tolist() == [3] * 10


def test_certain_and_right_is_best():
    y = [0, 1, 1, 0]
    assert (brier_score(y, y), log_loss(y, y), expected_calibration_error(y, y)) == (0.0, 0.0, 0.0)
    assert math.copysign(1, log_loss(y, y)) == 1
    assert log_loss([0.0], [True]) == math.inf
    assert (brier_score([1.0], [0]), expected_calibration_error([1.0], [0])) == (1.0, 1.0)


@pytest.mark.parametrize("score", [brier_score, log_loss, expected_calibration_error])
def test_no_forecasts_give_no_number(score):
    assert math.isnan(score([], []))
    assert len(reliability_table([], [])) == 0


def test_bins_show_themselves_as_a_table():
    found = reliability_table([0.25, 0.75], [0, 1], 2)
    assert (
        str(found)
        == repr(found)
        == (
            "   low    high  n  probability   share\n"
            "------  ------  -  -----------  ------\n"
            "0.2500  0.2500  1       0.2500  0.0000\n"
            "0.7500  0.7500  1       0.7500  1.0000"
        )
    )
    assert "<td" in found._repr_html_()
    assert json.loads(json.dumps(found.to_records()))[1]["n"] == 1


REFUSED = {
    "above 1": (
        lambda: brier_score([0.5, 1.1], [0, 1]),
        "probability[1]=1.1: expected a number from 0 to 1.",
    ),
    "NaN": (lambda: log_loss([math.nan], [0]), "probability[0]=nan: expected a number from 0 to 1."),
    "half an outcome": (lambda: brier_score([0.5], [0.5]), "outcome[0]=0.5: expected 0 or 1."),
    "unknown outcome": (lambda: brier_score([0.5], [math.nan]), "outcome[0]=nan: expected 0 or 1."),
    "of another length": (
        lambda: reliability_table([0.5], [0, 1]),
        "probability has 1 rows and outcome has 2: expected as many, in the same order.",
    ),
    "a table": (lambda: brier_score([[0.5]], [1]), "probability.ndim=2: expected 1, shape (n,)."),
    "text": (lambda: brier_score(["a"], [1]), "probability.dtype='<U1': expected numbers."),
    "no bin": (lambda: reliability_table([0.5], [1], 0), "n_bins=0: expected an integer of at least 1."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong(name):
    call, text = REFUSED[name]
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(text)}$"):
        call()
