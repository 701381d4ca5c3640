"""What features, stages and audiences refuse, with the whole text."""

from dataclasses import replace

import numpy as np
import pytest
from customer_cases import ITEMS, random_rows, shop_of

from engagelib import errors
from engagelib.actions.customers import (
    CustomerFeatures,
    FeatureTable,
    Lifecycle,
    about_to_lapse,
    clicked_not_bought,
    net_promoter,
)
from engagelib.testing import histories_of

ROWS = [{**row, "rating": None, "order_id": None} for row in random_rows(4)]
HISTORIES, ATTRIBUTES = shop_of(ROWS)
FITTED = CustomerFeatures().fit(HISTORIES, ATTRIBUTES)
POSITIONS = histories_of({"ann": ["lamp"]}, time_kind="position")
ANSWER = {"item_id": "lamp", "event_type": "survey", "rating": 50}
NOW, ROW = np.array([HISTORIES.newest]), np.array([0])
TIME = (
    "needs a timestamp for each event; this log tells order by 'position'. "
    "Hint: read the log with a 'timestamp' column."
)
N = HISTORIES.n_histories
BROKEN = "the stored histories are broken"
ALTERED = "Hint: the file may be damaged, or altered after it was written; save or copy it again."


def altered(**arrays):
    return CustomerFeatures.from_arrays({**FITTED.to_arrays(), **arrays}, FITTED.facts())


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: CustomerFeatures().fit(POSITIONS), errors.NotEnoughDataError,
         f"CustomerFeatures {TIME}"),
        (lambda: FITTED.of(POSITIONS, ROW, NOW), errors.NotEnoughDataError,
         f"CustomerFeatures {TIME}"),
        (lambda: FITTED.one(POSITIONS, 3), errors.NotEnoughDataError,
         f"CustomerFeatures {TIME}"),
        (lambda: Lifecycle().of(POSITIONS, ROW, NOW), errors.NotEnoughDataError,
         f"Lifecycle {TIME}"),
        (lambda: Lifecycle().bad_experiences(POSITIONS, ROW, NOW), errors.NotEnoughDataError,
         f"Lifecycle {TIME}"),
        (lambda: Lifecycle().one(POSITIONS, 3), errors.NotEnoughDataError,
         f"Lifecycle {TIME}"),
        (lambda: Lifecycle().may_refer(POSITIONS, 3), errors.NotEnoughDataError,
         f"Lifecycle {TIME}"),
        (lambda: clicked_not_bought(POSITIONS, at="2024-01-01"), errors.NotEnoughDataError,
         f"clicked_not_bought {TIME}"),
        (lambda: about_to_lapse(POSITIONS, Lifecycle(), at="2024-01-01"), errors.NotEnoughDataError,
         f"about_to_lapse {TIME}"),
        (lambda: net_promoter(POSITIONS, at="2024-01-01"), errors.NotEnoughDataError,
         f"net_promoter {TIME}"),
        (lambda: CustomerFeatures().of(HISTORIES, ROW, NOW), errors.NotFittedError,
         "this CustomerFeatures is not fitted yet. Call fit() first, or load() a saved one."),
        (lambda: CustomerFeatures().one(HISTORIES, 3), errors.NotFittedError,
         "this CustomerFeatures is not fitted yet. Call fit() first, or load() a saved one."),
        (lambda: CustomerFeatures().to_arrays(), errors.NotFittedError,
         "this CustomerFeatures is not fitted yet. Call fit() first, or load() a saved one."),
        (lambda: CustomerFeatures().facts(), errors.NotFittedError,
         "this CustomerFeatures is not fitted yet. Call fit() first, or load() a saved one."),
        (lambda: FeatureTable(("a", "b"), np.zeros((1, 2))).column("c"), errors.ArgumentError,
         "there is no feature 'c': expected one of a, b. Hint: what a log does not tell, such as values or "
         "ratings, is not learned from it."),
        (lambda: FITTED.one(HISTORIES, 3), errors.ArgumentError,
         f"history holds {N} rows: expected one. Hint: histories.block(row, row + 1) is one; "
         "many at once are what of() answers."),
        (lambda: FITTED.of(HISTORIES, np.array([0, 1]), NOW), errors.ArgumentError,
         "row has 2 values and moment has 1: expected as many, a moment for each row."),
        (lambda: FITTED.of(HISTORIES, np.array([9]), NOW), errors.ArgumentError,
         f"row holds 9: expected rows from 0 to {N - 1}, or -1 for an unknown customer."),
        (lambda: FITTED.of(HISTORIES, np.array([-2]), NOW), errors.ArgumentError,
         f"row holds -2: expected rows from 0 to {N - 1}, or -1 for an unknown customer."),
        (lambda: FITTED.of(HISTORIES, np.array([0.0]), NOW), errors.ArgumentError,
         "row is of type float64 of shape (1,): expected integers of shape (n,)."),
        (lambda: FITTED.at(HISTORIES, "2024-01-01"), errors.ArgumentError,
         "moments='2024-01-01': expected a sequence of moments, or an array of int64 microseconds "
         "since 1970."),
        (lambda: FITTED.at(HISTORIES, [3]), errors.ArgumentError,
         "moments[0]=3: expected a datetime, a date, a numpy.datetime64 or a text in ISO 8601, from 1990 "
         "to 2200."),
        (lambda: CustomerFeatures().fit(HISTORIES, ATTRIBUTES, np.zeros((2, 3))), errors.ArgumentError,
         f"tastes has the shape (2, 3): expected ({HISTORIES.n_items}, n_tastes). "
         "Hint: they must come from the same histories."),
        (lambda: CustomerFeatures().fit(histories_of({"ann": ["lamp"]}), ATTRIBUTES), errors.ArgumentError,
         f"attributes is of {ATTRIBUTES.n_items} items: expected 1. Hint: they must come from the same log."),
        (lambda: CustomerFeatures(window_days=(30, 0)).fit(HISTORIES), errors.ArgumentError,
         "window_days[1]=0: expected a finite number above 0."),
        (lambda: CustomerFeatures(recent_days=-1).fit(HISTORIES), errors.ArgumentError,
         "recent_days=-1: expected a finite number above 0."),
        (lambda: CustomerFeatures(low_rating="bad").fit(HISTORIES), errors.ArgumentError,
         "low_rating='bad': expected a finite number."),
        (lambda: CustomerFeatures(n_categories=-1).fit(HISTORIES), errors.ArgumentError,
         "n_categories=-1: expected an integer of at least 0."),
        (lambda: Lifecycle(loyal_from=1), errors.ArgumentError,
         "loyal_from=1: expected an integer of at least 2."),
        (lambda: Lifecycle(lapsing_after_days=0), errors.ArgumentError,
         "lapsing_after_days=0: expected a finite number above 0."),
        (lambda: Lifecycle(lapsing_after_days=20, lost_after_days=20), errors.ArgumentError,
         "lost_after_days=20: expected days above lapsing_after_days=20."),
        (lambda: Lifecycle(interval_multiple=float("nan")), errors.ArgumentError,
         "interval_multiple=nan: expected a finite number above 0."),
        (lambda: Lifecycle(referral=""), errors.ArgumentError,
         "referral='': expected the name of an event type."),
        (lambda: clicked_not_bought(HISTORIES, at="2024-01-01", click="tap"), errors.NotEnoughDataError,
         f"the log has none of the event types tap; it has {', '.join(HISTORIES.event_types)}. "
         "Hint: name the event types that count with click=."),
        (lambda: clicked_not_bought(HISTORIES, at="2024-01-01", within_days=0), errors.ArgumentError,
         "within_days=0: expected a finite number above 0."),
        (lambda: net_promoter(histories_of({"ann": ["lamp"]}), at="2024-01-01"), errors.NotEnoughDataError,
         "net_promoter needs answers to surveys, which this log does not have. "
         'Hint: an answer is an event of type "survey" with the answer, 0 to 10, as its rating.'),
        (lambda: net_promoter(histories_of({"ann": [ANSWER]}), at="2024-01-01"), errors.NotEnoughDataError,
         "a survey was answered with 50: expected 0 to 10. "
         "Hint: answers on another scale can't be read as promoters and detractors."),
        (lambda: altered(tastes=np.zeros((3, 2), np.float32)), errors.ArtifactError,
         f"the stored customer features are broken: tastes is float32 of shape (3, 2), "
         f"expected float32 of 0 columns. {ALTERED}"),
        (lambda: altered(category=np.zeros(1, np.int32)), errors.ArtifactError,
         f"the stored customer features are broken: category is int32 of shape (1,), "
         f"expected int32 of shape ({len(ITEMS)},). {ALTERED}"),
        (lambda: altered(category=np.full(len(ITEMS), 9, np.int32)), errors.ArtifactError,
         f"the stored customer features are broken: category holds 9, expected numbers from -1 to "
         f"{len(FITTED.columns_.categories)}. {ALTERED}"),
    ],
)  # fmt: skip
def test_refusals_say_what_was_given_and_what_was_expected(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_places_outside_are_no_places():
    stages = Lifecycle().of(HISTORIES, ROW, NOW)
    guards = Lifecycle().bad_experiences(HISTORIES, ROW, NOW)
    with pytest.raises(IndexError, match=r"^place 1 is outside 1 stages$"):
        stages[1]
    with pytest.raises(IndexError, match=r"^place 1 is outside 1 customers$"):
        guards[1]


def damaged(name, value):
    """The histories of one channel with a wrong code in an array, as a file that was altered may hold it."""
    rows = [{**row, "channel": "web"} for row in ROWS]
    histories, _ = shop_of(rows)
    codes = np.full(histories.n_events, value, np.int32)
    if name == "channel":
        return replace(histories, codes={**histories.codes, "channel": codes})
    return replace(histories, **{name: codes})


@pytest.mark.parametrize(("name", "value"), [("event_type", -3), ("event_type", 99), ("item_index", 99)])
def test_altered_histories_are_refused_by_the_calls_for_many(name, value):
    histories = damaged(name, value)
    calls = [
        lambda: FITTED.of(histories, ROW, NOW),
        lambda: Lifecycle().of(histories, ROW, NOW),
        lambda: Lifecycle().bad_experiences(histories, ROW, NOW),
        lambda: CustomerFeatures().fit(histories),
        lambda: clicked_not_bought(histories, at="2024-01-05"),
    ]
    for call in calls:
        with pytest.raises(errors.ArtifactError, match=f"^{BROKEN}: {name} holds {value}, "):
            call()


def test_altered_histories_are_refused_or_answered_by_the_calls_for_one():
    at, features = int(NOW[0]), CustomerFeatures().fit(damaged("channel", 0), None, np.zeros((4, 2)))
    for name, value in (("event_type", -3), ("event_type", 99), ("channel", -9)):
        with pytest.raises(errors.ArtifactError, match=f"^{BROKEN}: {name} holds {value}, "):
            features.one(damaged(name, value).block(0, 1), at)
    for name, value in (("item_index", 99), ("item_index", -9), ("channel", 9)):
        features.one(damaged(name, value).block(0, 1), at)
    with pytest.raises(errors.ArtifactError, match=f"^{BROKEN}: event_type holds 99, "):
        Lifecycle().one(damaged("event_type", 99).block(0, 1), at)
