"""SessionKNN against the loops that define it, cases worked by hand, and its refusals."""

import math
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.errors import ArgumentError, NotEnoughDataError
from engagelib.histories import Histories
from engagelib.models import SessionKNN
from engagelib.testing import histories_of, random_log

N_ITEMS = 6
WEIGHTS = {"view": 1.0, "cart": 3.0, "purchase": 5.0}
START = datetime(2024, 1, 1, tzinfo=UTC)


def fit(visits, *, time_kind="position", n_items=N_ITEMS, **settings):
    items = {"item_id": list(range(n_items))}
    histories = histories_of(visits, time_kind=time_kind, items=items)
    return SessionKNN(**settings).fit(histories), histories


def stored_of(events, max_length):
    """Where each item first stands, and its highest weight."""
    newest = events[-max_length:]
    places = sorted({event["position"] for event in newest})
    found = {}
    for event in newest:
        place, weight = found.get(event["item_id"], (len(places), 0.0))
        here = places.index(event["position"])
        found[event["item_id"]] = min(place, here), max(weight, WEIGHTS[event["event_type"]] / 5.0)
    return found


def scores_by_loops(visits, asked, model):
    """The definition: nearest histories, each of which speaks for what it holds near to the common item."""
    stored = [stored_of(events, model.max_length) for events in visits.values()]
    rarity = {
        item: math.log((len(stored) + 1) / max(sum(item in one for one in stored), 1))
        for item in range(N_ITEMS)
    }
    places = sorted({event["position"] for event in asked})
    x = np.zeros(N_ITEMS)
    for event in asked:
        steps = len(places) - 1 - places.index(event["position"])
        x[event["item_id"]] += WEIGHTS[event["event_type"]] * 0.5 ** (steps / model.half_life_steps)
    query = sorted(np.flatnonzero(x), key=lambda item: (-x[item].astype(np.float32), item))[: model.max_query]
    likeness, anchor = [], []
    for one in stored:
        common = [item for item in query if item in one]
        likeness.append(sum(x[item] * rarity[item] ** 2 * one[item][1] for item in common))
        anchor.append(one[common[0]][0] if common else None)
    nearest = sorted(range(len(stored)), key=lambda n: (-round(likeness[n], 4), -n))[: model.n_nearest]
    scores = np.zeros(N_ITEMS)
    for n in nearest:
        for item, (place, weight) in stored[n].items():
            if anchor[n] is None:
                continue
            apart = place - anchor[n]
            close = 0.5 ** ((abs(apart) - 1) / model.reach) * (1.0 if apart > 0 else model.before)
            close = model.itself if apart == 0 else close
            scores[item] += likeness[n] * close * weight * rarity[item] ** 0.5
    return scores


@st.composite
def some_visits(draw):
    event = st.fixed_dictionaries(
        {"item_id": st.integers(0, N_ITEMS - 1), "event_type": st.sampled_from(list(WEIGHTS))}
    )
    rows = draw(st.lists(st.lists(event, min_size=1, max_size=6), min_size=1, max_size=6))
    return {
        customer: [{**one, "position": place} for place, one in enumerate(events)]
        for customer, events in enumerate(rows)
    }


SETTINGS = st.fixed_dictionaries(
    {
        "max_length": st.integers(2, 7),
        "reach": st.sampled_from([0.5, 3.0]),
        "before": st.sampled_from([0.0, 0.5, 2.0]),
        "itself": st.sampled_from([0.0, 1.5]),
        "half_life_steps": st.sampled_from([0.7, 1.5]),
    }
)


@given(visits=some_visits(), settings=SETTINGS)
def test_scores_are_what_the_loops_say(visits, settings):
    model, histories = fit(visits, **settings)
    every = np.tile(np.arange(N_ITEMS), (len(visits), 1))
    found = model.score_pairs(histories, every)
    for row, asked in enumerate(visits.values()):
        np.testing.assert_allclose(found[row], scores_by_loops(visits, asked, model), rtol=2e-3, atol=1e-6)


def test_the_nearest_speak_and_of_equal_ones_the_newer():
    model, histories = fit({1: [0, 1], 2: [0, 2], 3: [0, 3], 4: [0], 5: [5]}, n_nearest=2, itself=0.0)
    found = model.score_topk(histories.take(np.array([3])), 5)
    assert found.items(0) == [3]  # the history itself is the other


def test_no_more_than_the_newest_of_an_item_are_looked_at():
    visits = {1: [0, 1], 2: [0, 2], 3: [0, 3], 4: [0], 5: [5]}
    model, histories = fit(visits, n_sampled=3, itself=0.0)
    assert sorted(model.score_topk(histories.take(np.array([3])), 5).items(0)) == [2, 3]
    assert np.diff(model.postings_.indptr).max() == 3


def test_with_times_the_newest_is_the_one_of_the_newest_event_whatever_its_row():
    visits = {
        customer: [{"item_id": item, "timestamp": START + timedelta(days=days)} for item in (0, customer)]
        for customer, days in ((1, 9), (2, 3), (3, 0))
    }
    model, _ = fit(visits | {4: [5]}, time_kind="timestamp", n_sampled=1)
    assert model.similar_topk(0, 5).items(0) == [1]


def test_only_what_counts_most_is_looked_up():
    model, histories = fit({1: [0, 1], 2: [2, 3], 3: [0, 2]}, max_query=1, itself=0.0)
    assert model.score_topk(histories.take(np.array([2])), 5).items(0) == [3, 0]


def test_a_history_is_stored_in_parts_where_much_time_passes():
    day = timedelta(days=1)
    visits = {1: [{"item_id": i, "timestamp": START + n * day} for n, i in enumerate([0, 1, 2])], 2: [0]}
    asked = np.array([1])
    for gap_days, expected in ((0.5, []), (None, [1, 2]), ("auto", [])):
        model, histories = fit(visits, time_kind="timestamp", gap_days=gap_days, itself=0.0)
        assert model.score_topk(histories.take(asked), 5).items(0) == expected
    model, _ = fit(visits, time_kind="timestamp", gap_days=1.0)
    assert np.diff(model.stored_.indptr).tolist() == [1, 3] or np.diff(model.stored_.indptr).tolist() == [
        3,
        1,
    ]


def test_old_histories_count_less():
    visits = {
        customer: [{"item_id": 0, "timestamp": day}, {"item_id": item, "timestamp": day}]
        for customer, (item, day) in enumerate([(1, START), (2, START + timedelta(days=10))])
    }
    visits[9] = [{"item_id": 3, "timestamp": START}]
    model, histories = fit(visits, time_kind="timestamp", half_life_days=5.0)
    one = histories.take(np.array([-1])).followed_by(np.array([0]), "purchase", None)
    scores = model.score_pairs(one, np.array([[1, 2]]))[0]
    assert scores[0] / scores[1] == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize(("numbers", "is_aged"), [(range(4), True), ("abcd", False)])
def test_without_times_sessions_that_are_numbered_age_by_their_numbers(numbers, is_aged):
    rows = [
        {"session_id": session, "customer_id": None, "item_id": item, "position": place}
        for session, items in zip(numbers, [[0, 1], [0, 2], [3, 4], [3, 4]], strict=True)
        for place, item in enumerate(items)
    ]
    histories = histories_of({9: [{"item_id": 5, "session_id": None}], 8: rows}, time_kind="position")
    for half_life_days, expected in (("auto", 2**-0.5 if is_aged else 1.0), (None, 1.0)):
        model = SessionKNN(half_life_days=half_life_days).fit(histories)
        one = histories.take(np.array([-1])).followed_by(np.array([0]), "purchase", None)
        scores = model.score_pairs(one, np.array([[1, 2]]))[0]
        assert scores[0] / scores[1] == pytest.approx(expected, rel=1e-4)


def test_what_neighbours_speak_for_may_be_weighed_apart():
    visits = {1: [(0, "view"), (1, "view"), (2, "purchase")], 2: [(0, "view")], 3: [(3, "view")]}
    model, histories = fit(visits, to_event_weights={"purchase": 1.0})
    assert model.score_topk(histories.take(np.array([1])), 5).items(0) == [2]


def test_items_of_the_history_are_scored_too():
    model, histories = fit({1: [0, 1], 2: [0], 3: [2]})
    assert model.score_topk(histories.take(np.array([1])), 5).items(0) == [0, 1]


def test_similar_items_are_those_of_a_history_of_one_item():
    model, _ = fit({1: [0, 1, 2], 2: [0, 1], 3: [3]})
    assert model.similar_topk(0, 5).items(0) == [1, 2]
    assert model.similar_topk(0, 5, available=np.arange(N_ITEMS) != 1).items(0) == [2]


def test_one_very_long_history_leaves_its_newest_alone():
    histories = Histories.from_log(random_log(1, 30, 20_000, time_kind="position"))
    model = SessionKNN(max_length=12).fit(histories)
    assert np.diff(model.stored_.indptr).max() <= 12
    assert model.stored_.place.max() <= 11


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_nearest": 0}, "n_nearest=0: expected an integer of at least 1."),
        ({"n_sampled": 2.5}, "n_sampled=2.5: expected an integer of at least 1."),
        ({"max_length": 1}, "max_length=1: expected an integer of at least 2."),
        ({"max_query": False}, "max_query=False: expected an integer of at least 1."),
        ({"reach": 0}, "reach=0: expected a number above 0."),
        ({"before": -1}, "before=-1: expected a number of at least 0."),
        ({"itself": math.inf}, "itself=inf: expected a number of at least 0."),
        ({"half_life_steps": 0}, "half_life_steps=0: expected a number above 0, or None for no decay."),
        ({"half_life_days": "soon"}, "half_life_days='soon': expected \"auto\", None or a number above 0."),
        ({"gap_days": 0}, 'gap_days=0: expected "auto", None or a number above 0.'),
    ],
)
def test_settings_outside_their_range_are_refused(settings, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        fit({1: [0, 1]}, **settings)


def test_what_the_log_lacks_is_said():
    text = (
        "session_knn needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column."
    )
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
        fit({1: [0, 1]}, time_kind="set")
    for name in ("half_life_days", "gap_days"):
        text = (
            f"{name} needs a timestamp for each event; this log tells order by 'position'. "
            "Hint: read the log with a 'timestamp' column."
        )
        with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
            fit({1: [0, 1]}, **{name: 3.0})


def test_histories_over_other_items_are_refused():
    model, _ = fit({1: [0, 1]})
    text = (
        "the histories are over 2 items, and this SessionKNN was fitted on 6: expected the same items. "
        "Hint: fit it anew, or take the histories of the log that it was fitted on."
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        model.score_topk(histories_of({1: [0, 1]}, time_kind="position"), 3)
