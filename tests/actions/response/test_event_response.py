"""EventResponse: what follows a moment, learned from the log, and checked on a later time."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.actions.response import EventResponse
from engagelib.actions.response.events import _followed, _pairs
from engagelib.datasets import make_shop
from engagelib.histories import Histories
from engagelib.metrics import expected_calibration_error
from engagelib.testing import random_log
from engagelib.times import DAY


@dataclass
class Counted:
    """A stand-in for a table of features."""

    values: np.ndarray
    names: tuple[str, ...] = ("events", "days since last", "noise")


class Counting:
    """A stand-in for features of customers: how many events until a moment, and the days since the last."""

    def of(self, histories, row, moment):
        n, since = np.zeros(len(row)), np.full(len(row), np.nan)
        for place, (one, at) in enumerate(zip(row, moment, strict=True)):
            time = histories.time[histories.indptr[one] : histories.indptr[one + 1]]
            n[place] = np.searchsorted(time, at, "right")
            if n[place]:
                since[place] = (at - time[int(n[place]) - 1]) / DAY
        return Counted(np.stack([n, since, (row % 7).astype(float)], axis=1))


@pytest.fixture(scope="module")
def histories():
    return Histories.from_log(make_shop(1_000, 60, 20_000).log)


@pytest.fixture(scope="module")
def fitted(histories):
    return EventResponse(("purchase", "view"), 28).fit(histories, Counting())


def test_chances_are_near_what_came_about_later(histories, fitted):
    row, moment = _pairs(histories, fitted.moments_[-1:])
    found = fitted.predict(Counting().of(histories, row, moment).values)
    for place, outcome in enumerate(fitted.outcomes):
        came = _followed(histories, outcome, row, moment, 28 * DAY)
        assert found[:, place].mean() == pytest.approx(came.mean(), abs=1e-6)
        assert expected_calibration_error(found[:, place], came) < 0.1
        kept = fitted.calibration_[outcome]
        assert kept.ece < 0.1
        assert (kept.n, kept.n_met) == (len(row), came.sum())
        assert kept.brier < came.mean() * (1 - came.mean())
        assert kept.reliability.n.sum() == len(row)


def test_the_time_that_calibrates_lies_behind_the_time_that_teaches(histories, fitted):
    assert (np.diff(fitted.moments_) == 28 * DAY).all()
    assert fitted.moments_[-1] + 28 * DAY == histories.newest
    assert histories.time.min() < fitted.moments_[0]
    assert len(fitted.moments_) <= 7


def test_what_happens_after_the_last_horizon_begins_teaches_no_weight(histories, fitted):
    # Of the last horizon purchases are dropped for half of the customers: it is only calibrated by.
    last = fitted.moments_[-1]
    dropped = (histories.time > last) & (histories.rows() % 2 == 0)
    dropped &= histories.event_type == histories.event_types.index("purchase")
    other = EventResponse(("purchase", "view"), 28).fit(histories.keeping(~dropped), Counting())
    np.testing.assert_array_equal(other.moments_, fitted.moments_)
    np.testing.assert_array_equal(other.weight_, fitted.weight_)
    assert other.platt_[0, 1] < fitted.platt_[0, 1]


def test_what_is_known_in_the_later_time_teaches_no_scale(histories, fitted):
    def features(some, row, moment):
        values = Counting().of(some, row, moment).values
        return np.where((moment == fitted.moments_[-1])[:, None], 7 * values + 1, values)

    other = EventResponse(("purchase", "view"), 28).fit(histories, features)
    np.testing.assert_array_equal(other.prepare_.mean, fitted.prepare_.mean)
    np.testing.assert_array_equal(other.weight_, fitted.weight_)


@given(st.integers(0, 20))
def test_what_follows_is_what_the_definition_says(seed):
    found = Histories.from_log(random_log(12, 8, 80, rng=seed))
    rng = np.random.default_rng(seed)
    row = rng.integers(0, found.n_customers, 30)
    moment = rng.choice(np.append(found.time, found.time - 5 * DAY), 30)
    for code, name in enumerate(found.event_types):
        came = _followed(found, name, row, moment, 5 * DAY)
        for place in range(30):
            mine = slice(found.indptr[row[place]], found.indptr[row[place] + 1])
            time = found.time[mine][found.event_type[mine] == code]
            expected = ((time > moment[place]) & (time <= moment[place] + 5 * DAY)).any()
            assert came[place] == expected


def test_customers_are_learned_from_once_they_are_known(histories):
    at = np.array([int(np.median(histories.time))])
    row, moment = _pairs(histories, at)
    known = [
        one
        for one in range(histories.n_customers)
        if (histories.time[histories.indptr[one] : histories.indptr[one + 1]] <= at[0]).any()
    ]
    assert row.tolist() == known
    assert set(moment.tolist()) == {at[0]}


def test_features_may_come_from_a_function_as_an_array(histories, fitted):
    plain = EventResponse(("purchase", "view"), 28).fit(
        histories, lambda *asked: Counting().of(*asked).values
    )
    np.testing.assert_array_equal(plain.weight_, fitted.weight_)
    assert plain.feature_names_ == ("feature 0", "feature 1", "feature 2")
    assert fitted.feature_names_ == Counted(np.zeros(0)).names


def test_the_round_trip_is_exact(histories, fitted):
    again = EventResponse.from_arrays(fitted.to_arrays(), fitted.facts())
    features = np.array([[3.0, 2.0, 1.0], [np.nan, np.nan, np.nan], [1e9, 0.0, -4.0]])
    np.testing.assert_array_equal(again.predict(features), fitted.predict(features))
    assert str(again.summary()) == str(fitted.summary())
    assert again.facts() == fitted.facts()
    with pytest.raises(errors.ArtifactError):
        EventResponse.from_arrays({**fitted.to_arrays(), "platt": np.zeros((3, 2))}, fitted.facts())


def test_the_summary_has_a_row_an_outcome(fitted):
    records = fitted.summary().to_records()
    assert [row["outcome"] for row in records] == ["purchase", "view"]
    assert records[0]["ece"] == fitted.calibration_["purchase"].ece


def test_a_log_without_times_is_refused():
    log = random_log(time_kind="position")
    with pytest.raises(errors.NotEnoughDataError) as caught:
        EventResponse(("purchase",)).fit(Histories.from_log(log), Counting())
    assert str(caught.value) == (
        "EventResponse needs times, and the log has none. "
        "Hint: pass a log whose 'timestamp' says when each event happened."
    )


def test_a_short_log_is_refused(histories):
    days = (histories.newest - histories.time.min()) / DAY
    with pytest.raises(errors.NotEnoughDataError) as caught:
        EventResponse("purchase", 200).fit(histories, Counting())
    assert str(caught.value) == (
        f"the log spans {days:,.1f} days: expected at least 800.0 for horizon_days=200, one horizon to know "
        "customers by, two to learn from and one, later, to check the chances with. "
        "Hint: take a shorter horizon."
    )


def test_an_event_type_that_the_log_does_not_have_is_refused(histories):
    with pytest.raises(errors.ArgumentError) as caught:
        EventResponse(("click",)).fit(histories, Counting())
    assert str(caught.value) == (
        "outcomes holds 'click': expected event types of the log, cart, purchase, rating, return, view."
    )


def test_an_event_that_hardly_ever_follows_is_refused(histories):
    purchase = histories.event_types.index("purchase")
    kept = (histories.event_type != purchase) | (np.cumsum(histories.event_type == purchase) <= 5)
    with pytest.raises(
        errors.NotEnoughDataError, match=r"^'purchase' follows \d+ of the moments looked at: "
    ):
        EventResponse(("purchase",)).fit(histories.keeping(kept), Counting())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"outcomes": ()}, "outcomes=(): expected at least one event type."),
        ({"horizon_days": 0}, "horizon_days=0: expected a number of days above 0."),
        ({"n_moments": 0}, "n_moments=0: expected an integer of at least 1."),
    ],
)
def test_arguments_outside_their_range(histories, options, text):
    with pytest.raises(errors.ArgumentError) as caught:
        EventResponse(**{"outcomes": ("purchase",), **options}).fit(histories, Counting())
    assert str(caught.value) == text
