"""Moments: what is known of customers is asked for by a datetime, a text or microseconds alike."""

from datetime import UTC, datetime

import numpy as np
import pytest
from actions_cases import NOW

from engagelib import errors
from engagelib.times import to_microseconds

MICROS = to_microseconds(NOW)


@pytest.mark.parametrize("at", [NOW, NOW.isoformat(), np.datetime64(MICROS, "us"), np.int64(MICROS)])
def test_one_customer_is_asked_about_at_any_kind_of_moment(nba, at):
    history = nba.recommender.histories_.block(3, 4)
    known = nba._fitted().learned.known
    np.testing.assert_array_equal(known.features.one(history, at), known.features.one(history, MICROS))
    assert known.lifecycle.one(history, at) == known.lifecycle.one(history, MICROS)
    assert known.lifecycle.may_refer(history, at) == known.lifecycle.may_refer(history, MICROS)
    assert nba.value_.one(history, at) == nba.value_.one(history, MICROS)


@pytest.mark.parametrize(
    "moments",
    [[NOW] * 3, [NOW.isoformat()] * 3, np.array([MICROS] * 3, "datetime64[us]"), np.array([NOW] * 3, object)],
)
def test_pairs_are_asked_about_at_any_kind_of_moment(nba, moments):
    histories, row, micros = nba.recommender.histories_, np.array([0, 5, -1]), np.full(3, MICROS)
    known = nba._fitted().learned.known
    np.testing.assert_array_equal(
        known.features.of(histories, row, moments).values, known.features.of(histories, row, micros).values
    )
    stages = known.lifecycle.of(histories, row, moments)
    assert stages.code.tolist() == known.lifecycle.of(histories, row, micros).code.tolist()
    expected = nba.value_.predict_pairs(histories, row, micros).expected_value
    found = nba.value_.predict_pairs(histories, row.tolist(), moments).expected_value
    np.testing.assert_array_equal(found, expected)


def test_moments_that_are_none_are_refused_by_place(nba):
    histories = nba.recommender.histories_
    with pytest.raises(errors.ArgumentError) as caught:
        nba._fitted().learned.known.features.of(histories, [0, 1], [NOW, datetime(1970, 1, 1, tzinfo=UTC)])
    assert str(caught.value).startswith("moment[1]=datetime.datetime(1970, 1, 1")
    with pytest.raises(errors.ArgumentError) as caught:
        nba._fitted().learned.known.features.of(
            histories, [0, 1], np.array(["2024-01-01", "NaT"], "datetime64[D]")
        )
    assert str(caught.value) == "moment[1]='NaT': expected a moment from 1990 to 2200."
