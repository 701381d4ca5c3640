"""Transitions against the loops that define them, cases worked by hand, and their refusals."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.errors import ArgumentError, NotEnoughDataError
from engagelib.histories import Histories
from engagelib.models import Transitions
from engagelib.testing import histories_of, random_log

N_ITEMS = 5
WEIGHTS = {"view": 1.0, "cart": 3.0, "purchase": 5.0}
PLAIN = {"gap_half_life_days": None, "half_life_days": None}


def fit(visits, *, time_kind="position", **settings):
    items = {"item_id": list(range(N_ITEMS))}
    histories = histories_of(visits, time_kind=time_kind, items=items)
    return Transitions(**{**PLAIN, **settings}).fit(histories), histories


def moments_of(events, repeats):
    """Lists of (item, type) that stand at one place; in a row of one and the same item alone they are one."""
    places = {}
    for event in events:
        places.setdefault(event["position"], []).append((event["item_id"], event["event_type"]))
    moments, was_alone = [], False
    for place in sorted(places):
        here = places[place]
        is_alone = len(here) == 1
        if not repeats and is_alone and was_alone and moments[-1][0][0] == here[0][0]:
            moments[-1].extend(here)
        else:
            moments.append(here)
        was_alone = is_alone
    return moments


def weights_by_loops(visits, settings):
    """The definition, dense: sums over pairs, both ways, divided by powers of what goes out and comes in."""
    counts = np.zeros((N_ITEMS, N_ITEMS))
    to_weights = settings["to_event_weights"] or WEIGHTS
    for events in visits.values():
        moments = moments_of(events, settings["repeats"])
        for first, earlier in enumerate(moments):
            for gap, later in enumerate(moments[first + 1 : first + 1 + settings["max_gap"]], 1):
                decay = 0.5 ** ((gap - 1) / settings["gap_half_life"])
                for item, kind in earlier:
                    for other, other_kind in later:
                        if item != other or settings["repeats"]:
                            to = to_weights.get(other_kind, 0.0) / max(to_weights.values())
                            counts[item, other] += WEIGHTS[kind] / 5.0 * to * decay
    counts = counts + settings["backward"] * counts.T
    out, come = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    scale = (
        np.where(out > 0, out, 1) ** settings["from_power"]
        * np.where(come > 0, come, 1) ** settings["to_power"]
    )
    weights = counts / scale
    return weights / max(weights.max(), 1e-300)


@st.composite
def some_visits(draw):
    event = st.fixed_dictionaries(
        {
            "item_id": st.integers(0, N_ITEMS - 1),
            "event_type": st.sampled_from(list(WEIGHTS)),
            "position": st.integers(0, 9),
        }
    )
    rows = draw(st.lists(st.lists(event, min_size=1, max_size=9), min_size=1, max_size=4))
    return {customer: sorted(events, key=lambda one: one["position"]) for customer, events in enumerate(rows)}


SETTINGS = st.fixed_dictionaries(
    {
        "max_gap": st.integers(1, 4),
        "gap_half_life": st.sampled_from([0.5, 2.0]),
        "from_power": st.sampled_from([0.0, 0.5, 1.0]),
        "to_power": st.sampled_from([0.0, 0.3]),
        "backward": st.sampled_from([0.0, 0.3, 1.0]),
        "repeats": st.booleans(),
        "to_event_weights": st.sampled_from([None, {"purchase": 2.0}, {"view": 1.0, "cart": 4.0}]),
    }
)


@given(visits=some_visits(), settings=SETTINGS)
def test_weights_are_what_the_loops_say(visits, settings):
    kinds = {event["event_type"] for events in visits.values() for event in events}
    if settings["to_event_weights"] and not kinds & set(settings["to_event_weights"]):
        settings = {**settings, "to_event_weights": None}
    model, _ = fit(visits, **settings)
    expected = weights_by_loops(visits, settings)
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=3e-6)


def test_what_comes_next_is_listed_first_and_what_came_before_less():
    model, histories = fit({c: [0, 1, 2] for c in range(3)} | {9: [1]})
    found = model.score_topk(histories.take(np.array([3])), 5)
    assert found.items(0) == [2, 0]
    forward, _ = fit({c: [0, 1, 2] for c in range(3)} | {9: [1]}, backward=0.0)
    assert forward.score_topk(histories.take(np.array([3])), 5).items(0) == [2]


def test_days_between_two_events_make_a_pair_count_less():
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def visit(item, days):
        return [
            {"item_id": 0, "timestamp": start},
            {"item_id": item, "timestamp": start + timedelta(days=days)},
        ]

    visits = {1: visit(1, 1), 2: visit(2, 3)}
    settings = {"time_kind": "timestamp", "backward": 0.0, "from_power": 0.0}
    model, _ = fit(visits, gap_half_life_days=1.0, **settings)
    weights = model.item_weights_.matrix.toarray()
    assert weights[0, 2] / weights[0, 1] == pytest.approx(0.25)
    default, _ = fit(visits, gap_half_life_days="auto", **settings)
    assert np.array_equal(default.item_weights_.matrix.toarray(), weights)
    without, _ = fit(visits, **settings)
    assert np.ptp(without.item_weights_.matrix.toarray()[0, 1:3]) == 0


def test_old_pairs_count_less_than_new_ones():
    old, new = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 11, tzinfo=UTC)
    visits = {
        customer: [
            {"item_id": 0, "timestamp": day},
            {"item_id": item, "timestamp": day + timedelta(minutes=1)},
        ]
        for customer, (item, day) in enumerate([(1, old), (2, new)])
    }
    model, _ = fit(visits, time_kind="timestamp", half_life_days=5.0, backward=0.0, from_power=0.0)
    weights = model.item_weights_.matrix.toarray()
    assert weights[0, 1] / weights[0, 2] == pytest.approx(0.25, rel=1e-3)


def test_each_item_keeps_its_strongest():
    visits = {c: [0, item] for c, item in enumerate([1, 1, 1, 2, 2, 3])}
    model, _ = fit(visits, n_neighbours=2, backward=0.0)
    assert model.item_weights_.matrix[[0]].indices.tolist() == [1, 2]
    ties, _ = fit({c: [0, item] for c, item in enumerate([3, 1, 2])}, n_neighbours=2, backward=0.0)
    assert ties.item_weights_.matrix[[0]].indices.tolist() == [1, 2]


def test_a_moment_of_very_many_items_is_paired_through_a_few_of_them_whatever_their_order():
    n = 400
    basket = [{"item_id": item, "position": 0} for item in range(n)]
    last = [{"item_id": n, "position": 1}]
    models = [
        Transitions(**PLAIN, n_neighbours=n).fit(histories_of({1: part + last}, time_kind="position"))
        for part in (basket, basket[::-1])
    ]
    weights = [model.item_weights_.matrix.toarray() for model in models]
    assert np.count_nonzero(weights[0][:, n]) == 20
    assert np.array_equal(*weights)


@pytest.mark.parametrize(("n_between", "is_paired"), [(19, True), (20, False)])
def test_what_comes_after_many_others_is_not_paired(n_between, is_paired):
    events = [{"item_id": 0, "position": 0}]
    events += [{"item_id": 1 + place, "position": 1 + place // 10} for place in range(n_between)]
    events += [{"item_id": 50, "position": 9}]
    histories = histories_of({1: events}, time_kind="position")
    weights = Transitions(**PLAIN).fit(histories).item_weights_.matrix.toarray()
    assert (weights[0, histories.items.find(50)] > 0) == is_paired


def test_returned_purchases_lead_nowhere():
    visits = {1: [0, 1, 2, (1, "return")], 2: [3, 4]}
    model, _ = fit(visits)
    weights = model.item_weights_.matrix.toarray()
    assert not weights[1].any()
    assert not weights[:, 1].any()
    assert weights[0, 2] > 0


def test_a_long_history_costs_as_much_as_many_short_ones_of_as_many_events():
    histories = Histories.from_log(random_log(1, 30, 20_000, time_kind="position"))
    model = Transitions().fit(histories)
    assert np.diff(model.item_weights_.indptr).max() <= 30


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_neighbours": 0}, "n_neighbours=0: expected an integer of at least 1."),
        ({"max_gap": True}, "max_gap=True: expected an integer of at least 1."),
        ({"gap_half_life": 0}, "gap_half_life=0: expected a number above 0, or None for no decay."),
        ({"half_life_steps": "no"}, "half_life_steps='no': expected a number above 0, or None for no decay."),
        ({"from_power": 1.5}, "from_power=1.5: expected a number in [0, 1]."),
        ({"to_power": -1}, "to_power=-1: expected a number in [0, 1]."),
        ({"backward": 2}, "backward=2: expected a number in [0, 1]."),
        ({"half_life_days": 0}, 'half_life_days=0: expected "auto", None or a number above 0.'),
        ({"gap_half_life_days": -1}, 'gap_half_life_days=-1: expected "auto", None or a number above 0.'),
    ],
)
def test_settings_outside_their_range_are_refused(settings, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        fit({1: [0, 1]}, **settings)


def test_what_the_log_lacks_is_said():
    text = (
        "transitions needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column."
    )
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
        fit({1: [0, 1]}, time_kind="set")
    for name in ("half_life_days", "gap_half_life_days"):
        text = (
            f"{name} needs a timestamp for each event; this log tells order by 'position'. "
            "Hint: read the log with a 'timestamp' column."
        )
        with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
            fit({1: [0, 1]}, **{name: 3.0})
    with pytest.raises(NotEnoughDataError, match="purchase"):
        fit({1: [0, 1]}, to_event_weights={"view": 1.0})
