"""Audiences against the definition: who clicked and did not buy, who will lapse, who would recommend."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from customer_cases import (
    DAY,
    events_of,
    histories_of_rows,
    micros,
    moments_around,
    money,
    n_kept,
    random_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.actions.customers import Lifecycle, about_to_lapse, clicked_not_bought, net_promoter
from engagelib.histories import Histories
from engagelib.testing import log_of

SEEDS = st.integers(0, 2**32 - 1)
CLICKS = ("message_click", "view", "cart")


def on(day, event_type="purchase", item="lamp", **more):
    first = datetime(2024, 1, 1, 12, tzinfo=UTC)
    return {"item_id": item, "event_type": event_type, "timestamp": first + timedelta(days=day), **more}


VISITS = {
    "ann": [on(1, "view"), on(2, "cart"), on(3, "view", "rug"), on(4)],
    "bob": [on(1, "view"), on(2, "view", "rug"), on(3, "view", "mug")],
    "cas": [on(0), on(2, "message_click", None)],
    "dee": [on(2, "message_click", None), on(3, item="rug")],
    "eve": [on(2, "view"), on(2)],
    "fay": [on(-20, "view")],
}


def shop():
    return Histories.from_log(log_of(VISITS))


def test_who_clicked_and_did_not_buy_worked_out_by_hand():
    audience = clicked_not_bought(shop(), at="2024-01-06")
    assert audience.to_records() == [
        {
            "customer_id": "bob",
            "score": 3.0,
            "n_items": 3,
            "last_click": on(3)["timestamp"],
            "last_item_id": "mug",
        },
        {
            "customer_id": "ann",
            "score": 1.0,
            "n_items": 1,
            "last_click": on(3)["timestamp"],
            "last_item_id": "rug",
        },
        {
            "customer_id": "cas",
            "score": 1.0,
            "n_items": 0,
            "last_click": on(2)["timestamp"],
            "last_item_id": None,
        },
    ]
    assert list(audience) == audience.customer_ids == ["bob", "ann", "cas"]
    assert clicked_not_bought(shop(), at="2024-01-06", click="cart").customer_ids == []
    assert clicked_not_bought(shop(), at="2024-01-03T20:00", click="cart").customer_ids == ["ann"]
    assert clicked_not_bought(shop(), at="2024-01-06", within_days=30).customer_ids[-1] == "fay"
    assert clicked_not_bought(shop(), at="2024-01-05T12:00", within_days=2).customer_ids == ["ann", "bob"]


@settings(max_examples=25)
@given(seed=SEEDS)
def test_who_clicked_and_did_not_buy_is_what_plain_python_says(seed):
    rows = random_rows(seed)
    histories = histories_of_rows(rows)
    for at in moments_around(rows):
        expected = {}
        for name in histories.customers:
            events = events_of(rows, name, at)
            bought = [event for event in events if event["event_type"] == "purchase"]
            clicks = [
                event
                for event in events
                if event["event_type"] in CLICKS
                and micros(event["timestamp"]) > at - 4 * DAY
                and not any(
                    buy["timestamp"] >= event["timestamp"] and event["item_id"] in (None, buy["item_id"])
                    for buy in bought
                )
            ]
            if clicks:
                items = {event["item_id"] for event in clicks} - {None}
                expected[name] = (len(clicks), len(items), clicks[-1]["timestamp"])
        audience = clicked_not_bought(histories, at=at, within_days=4)
        got = {
            one["customer_id"]: (one["score"], one["n_items"], one["last_click"])
            for one in audience.to_records()
        }
        assert got == expected
        order = sorted(expected, key=lambda name: (-expected[name][0], -micros(expected[name][2]), name))
        assert audience.customer_ids == order


@settings(max_examples=25)
@given(seed=SEEDS)
def test_who_is_about_to_lapse_does_so_unless_something_happens(seed):
    rows = random_rows(seed)
    histories = histories_of_rows(rows)
    lifecycle = Lifecycle(lapsing_after_days=6, lost_after_days=90, interval_multiple=2, least_lapsing_days=3)
    at = moments_around(rows)[-2]
    past = histories.until(at)
    every = np.arange(histories.n_customers)
    now, soon = (lifecycle.of(past, every, np.full(len(every), at + days * DAY)) for days in (0, 5))
    active = ("interest", "first_purchase", "repeat", "loyal", "referral", "advocacy")
    expected = [
        name
        for name, one, other in zip(histories.customers, now.records(), soon.records(), strict=True)
        if one["stage"] in active and other["stage"] not in active
    ]
    audience = about_to_lapse(histories, lifecycle, at=at, within_days=5)
    assert sorted(audience) == expected
    for one in audience.to_records():
        events = events_of(rows, one["customer_id"], at)
        assert one["n_purchases"] == n_kept(events)
        worth = money(events) if "value" in histories.numbers else one["n_purchases"]
        assert one["score"] == pytest.approx(worth, abs=0.0051)
        row = histories.customers.find(one["customer_id"])
        stage = lifecycle.one(past.block(row, row + 1), micros(one["lapses"]))
        assert (stage.name, stage.since) == ("lapsing", one["lapses"])
    assert (np.diff(audience.score) <= 0).all()


def test_an_audience_is_there_for_people_and_for_programs():
    audience = clicked_not_bought(shop(), at="2024-01-06")
    assert str(audience).splitlines()[0] == "clicked and did not buy: 3 customers"
    assert repr(audience) == "Audience('clicked and did not buy', 3 customers)"
    assert "2024-01-04 12:00" in audience._repr_html_()
    assert audience.to_frame()["customer_id"].tolist() == ["bob", "ann", "cas"]
    assert (len(audience), len(audience.to_table(2).rows)) == (3, 2)


def answers(*ratings):
    visits = {n: [on(0), on(1, "survey", None, rating=float(rating))] for n, rating in enumerate(ratings)}
    return Histories.from_log(log_of(visits))


def test_the_score_is_promoters_less_detractors_in_per_cent():
    found = net_promoter(answers(10, 9, 9, 8.5, 7, 6.5, 0, 10), at="2024-02-01")
    assert (found.n_promoters, found.n_passives, found.n_detractors, len(found)) == (4, 2, 2, 8)
    assert found.score == 25.0
    up, down = 5 / 11, 3 / 11
    half = 1.959964 * math.sqrt((up + down - (up - down) ** 2) / 11)
    assert found.interval == pytest.approx((100 * (up - down - half), 100 * (up - down + half)))


def test_the_last_answer_of_each_customer_counts_and_the_lowest_of_a_moment():
    visits = {
        "ann": [on(0, "survey", None, rating=10.0), on(5, "survey", None, rating=3.0)],
        "bob": [on(5, "survey", None, rating=9.0), on(5, "survey", None, rating=7.0), on(6, item="rug")],
        "cas": [on(-400, "survey", None, rating=10.0)],
    }
    histories = Histories.from_log(log_of(visits))
    early, late = (net_promoter(histories, at=at, since_days=100) for at in ("2024-01-03", "2024-01-20"))
    assert (early.score, late.score, late.n_passives) == (100.0, -50.0, 1)
    assert net_promoter(histories, at="2024-01-20", since_days=500).score == 0.0
    assert net_promoter(histories, at="2023-11-20", since_days=1).score is None


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        found = net_promoter(answers(*rng.choice([10, 8, 2], 60, p=[0.5, 0.3, 0.2])), at="2024-02-01")
        low, high = found.interval
        covered += low <= 30 <= high
    assert 90 <= covered <= 99
