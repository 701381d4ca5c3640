"""Stages against the definition, by hand and by brute force, and the laws that hold for them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from customer_cases import (
    DAY,
    bad_kind,
    events_of,
    histories_of_rows,
    micros,
    moments_around,
    n_kept,
    random_rows,
    usual_interval,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.actions.customers import STAGES, Guard, Lifecycle, Stage
from engagelib.histories import Histories
from engagelib.testing import log_of

SEEDS = st.integers(0, 2**32 - 1)
RULES = {"loyal_from": 3, "lapsing_after_days": 6, "lost_after_days": 9, "interval_multiple": 2,
         "least_lapsing_days": 3, "recent_days": 5}  # fmt: skip


def on(day, event_type="purchase", item="lamp", **more):
    first = datetime(2024, 1, 1, 12, tzinfo=UTC)
    return {"item_id": item, "event_type": event_type, "timestamp": first + timedelta(days=day), **more}


def at(day):
    return micros(on(day)["timestamp"])


def told(*pairs):
    """An event of a type that names no item."""
    return [on(day, kind, None) for day, kind in pairs]


def ask(events, day, **arguments):
    """The stage of one customer, as of noon of a day, from the call for one and the call for many."""
    log = log_of(
        {"ann": events, "bob": [on(0, "view"), on(0, item="rug")]},
        itemless=("referral", "survey", "complaint"),
    )
    histories = Histories.from_log(log)
    lifecycle = Lifecycle(**arguments)
    one = lifecycle.one(histories.block(0, 1), at(day))
    assert lifecycle.of(histories, np.array([0]), np.array([at(day)]))[0] == one
    return one.name, one.since and round((micros(one.since) - at(0)) / DAY, 6), one.reason


BOUGHT = [on(0), on(10), on(20), on(30)]


@pytest.mark.parametrize(
    ("events", "day", "stage"),
    [
        ([on(1, "view")], 0, ("unknown", None, "no event")),
        ([on(0, "view"), on(3, "cart")], 5, ("interest", 0, "2 events, no purchase")),
        ([on(0, "view")], 5, ("interest", 0, "1 event, no purchase")),
        ([on(0, "view"), on(3)], 3, ("first_purchase", 3, "1 purchase, less than a day ago")),
        ([on(0, "view"), on(3)], 4, ("first_purchase", 3, "1 purchase, 1 day ago")),
        (BOUGHT[:2], 12, ("repeat", 10, "2 purchases, the last 2 days ago")),
        (BOUGHT, 29, ("repeat", 10, "3 purchases, the last 9 days ago")),
        (BOUGHT, 42, ("loyal", 30, "4 purchases, the last 12 days ago")),
        ([*BOUGHT, on(31, "return")], 32, ("repeat", 31, "3 purchases, the last 2 days ago")),
        ([on(0), on(2, "return")], 4, ("interest", 2, "2 events, nothing bought was kept")),
        ([*BOUGHT, on(35, "rating", rating=5.0)], 40,
         ("advocacy", 35, "4 purchases, the last 10 days ago; recommends, first 5 days ago")),
        ([on(-5, "survey", None, rating=9.0), *BOUGHT], 40,
         ("advocacy", 30, "4 purchases, the last 10 days ago; recommends, first 45 days ago")),
        ([*BOUGHT, on(35, "survey", None, rating=8.0)], 40,
         ("loyal", 30, "4 purchases, the last 10 days ago")),
        ([*BOUGHT, on(31, "rating", rating=5.0), on(35, "complaint", None)], 40,
         ("loyal", 30, "4 purchases, the last 10 days ago")),
        ([*BOUGHT, on(31, "complaint", None), on(35, "rating", rating=5.0)], 40,
         ("loyal", 30, "4 purchases, the last 10 days ago")),
        ([*BOUGHT, on(31, "complaint", None), on(35, "rating", rating=5.0), on(120, "view")], 122,
         ("advocacy", 121, "4 purchases, the last 92 days ago; recommends, first 87 days ago")),
        ([*BOUGHT, on(31, "complaint", None), on(35, "rating", rating=5.0), on(120, "view")], 121,
         ("advocacy", 121, "4 purchases, the last 91 days ago; recommends, first 86 days ago")),
        ([*BOUGHT[:2], on(11, "referral", None)], 12, ("referral", 11, "referred somebody, first 1 day ago")),
        ([*BOUGHT, on(31, "referral", None), on(35, "rating", rating=5.0)], 40,
         ("advocacy", 35, "4 purchases, the last 10 days ago; recommends, first 5 days ago")),
        (BOUGHT, 59, ("loyal", 30, "4 purchases, the last 29 days ago")),
        (BOUGHT, 60, ("lapsing", 60, "silent for 30 days, the limit is 30 days")),
        (BOUGHT, 65, ("lapsing", 60, "silent for 35 days, the limit is 30 days")),
        (BOUGHT, 91, ("lost", 90.833333, "silent for 61 days, the limit is 60.83 days")),
        ([on(0)], 179, ("first_purchase", 0, "1 purchase, 179 days ago")),
        ([on(0)], 180, ("lapsing", 180, "silent for 180 days, the limit is 180 days")),
        ([on(0)], 365, ("lost", 365, "silent for 365 days, the limit is 365 days")),
        ([*BOUGHT, on(400, "view")], 401, ("loyal", 30, "4 purchases, the last 371 days ago")),
        ([on(0), on(1)], 20, ("repeat", 1, "2 purchases, the last 19 days ago")),
        ([on(0), on(0, item="rug")], 1, ("first_purchase", 0, "1 purchase, 1 day ago")),
    ],
)  # fmt: skip
def test_customers_worked_out_by_hand(events, day, stage):
    assert ask(events, day) == stage


def test_thresholds_are_arguments():
    assert ask(BOUGHT[:2], 12, loyal_from=2)[0] == "loyal"
    assert ask(BOUGHT, 65, interval_multiple=None)[0] == "loyal"
    assert ask(BOUGHT, 65, interval_multiple=4)[0] == "loyal"
    assert ask([on(0), on(1)], 20, least_lapsing_days=10)[0] == "lapsing"
    assert ask([on(0)], 20, lapsing_after_days=20, lost_after_days=21)[0] == "lapsing"
    assert ask([on(0)], 21, lapsing_after_days=20, lost_after_days=21)[0] == "lost"
    assert ask([*BOUGHT, on(35, "rating", rating=4.0)], 40, high_rating=4)[0] == "advocacy"
    assert ask([*BOUGHT, on(35, "survey", None, rating=8.0)], 40, promoter_from=8)[0] == "advocacy"
    assert ask([on(0), *told((1, "survey"))], 2, referral="survey")[0] == "referral"


def by_hand(rows, name, moment):
    """The stage and its beginning, from the law of each stage, with every earlier moment looked at."""
    events = events_of(rows, name, moment)
    if not events:
        return "unknown", None

    def level(until):
        return min(n_kept([event for event in events if event["timestamp"] <= until]), 3)

    times = sorted({event["timestamp"] for event in events})
    stage, since = None, None
    for time in times:
        if stage is None or level(time) != stage:
            stage, since = level(time), micros(time)
    now = ["interest", "first_purchase", "repeat", "loyal"][stage]
    answer = now, since
    referrals = [micros(event["timestamp"]) for event in events if event["event_type"] == "referral"]
    if referrals:
        answer = "referral", referrals[0]
    bad = max((micros(event["timestamp"]) for event in events if bad_kind(event)), default=None)
    good = [
        micros(event["timestamp"])
        for event in events
        if event.get("rating") is not None
        and event["rating"] >= (9 if event["event_type"] == "survey" else 5)
        and (bad is None or micros(event["timestamp"]) > bad)
    ]
    if now == "loyal" and good and (bad is None or moment - bad >= 5 * DAY):
        answer = "advocacy", max(since, good[0], 0 if bad is None else bad + 5 * DAY)
    interval = usual_interval(events)
    lapsing = 6 if interval is None else max(3, 2 * interval)
    lost = 9 if interval is None else lapsing * 1.5
    silent = moment - micros(times[-1])
    for name_, days in (("lapsing", lapsing), ("lost", lost)):
        if silent >= round(days * DAY):
            answer = name_, micros(times[-1]) + round(days * DAY)
    return answer


def every_pair(rows, histories):
    moments = moments_around(rows) + [moments_around(rows)[-1] + days * DAY for days in (4, 8)]
    row = np.repeat(np.arange(histories.n_customers), len(moments))
    return row, np.tile(moments, histories.n_customers)


@settings(max_examples=30)
@given(seed=SEEDS)
def test_stages_are_what_plain_python_says_for_many_and_for_one(seed):
    rows = random_rows(seed)
    histories = histories_of_rows(rows)
    lifecycle, names = Lifecycle(**RULES), list(histories.customers)
    row, moment = every_pair(rows, histories)
    stages = lifecycle.of(histories, row, moment)
    for place, (customer, now) in enumerate(zip(row.tolist(), moment.tolist(), strict=True)):
        stage = stages[place]
        assert (stage.name, stage.since and micros(stage.since)) == by_hand(rows, names[customer], now)
        assert lifecycle.one(histories.block(customer, customer + 1), now) == stage


@settings(max_examples=25)
@given(seed=SEEDS)
def test_bad_experiences_are_what_plain_python_says(seed):
    rows = random_rows(seed)
    histories = histories_of_rows(rows)
    lifecycle, names = Lifecycle(**RULES), list(histories.customers)
    row, moment = every_pair(rows, histories)
    found = lifecycle.bad_experiences(histories, row, moment)
    order = ("complaint", "return", "low_survey", "low_rating")
    for place, (customer, now) in enumerate(zip(row.tolist(), moment.tolist(), strict=True)):
        bad = [(micros(event["timestamp"]), -order.index(bad_kind(event)))
               for event in events_of(rows, names[customer], now) if bad_kind(event)]  # fmt: skip
        when, kind = max(bad, default=(0, 0))
        guard = found[place]
        assert guard.allowed == bool(found.may_refer[place]) == (not bad or now - when >= 5 * DAY)
        if not guard.allowed:
            assert (guard.kind, micros(guard.when)) == (order[-kind], when)
        assert lifecycle.may_refer(histories.block(customer, customer + 1), now) == guard


def test_who_had_a_bad_experience_of_late_is_not_asked_for_a_referral():
    log = log_of({"ann": [on(0), on(2, "complaint", None), on(3, "rating", rating=2.0)]})
    histories, lifecycle = Histories.from_log(log), Lifecycle()
    history = histories.block(0, 1)
    assert lifecycle.may_refer(history, at(1)) == Guard(allowed=True)
    assert lifecycle.may_refer(history, at(2)).reason == "complained less than a day ago"
    assert lifecycle.may_refer(history, at(4)).reason == "gave a low rating 1 day ago"
    assert lifecycle.may_refer(history, at(92)).reason == "gave a low rating 89 days ago"
    assert lifecycle.may_refer(history, at(93)).allowed
    assert Lifecycle(low_rating=1).may_refer(history, at(4)).kind == "complaint"
    many = lifecycle.bad_experiences(histories, np.array([0, -1]), np.array([at(4), at(4)]))
    assert [record["may_refer"] for record in many.records()] == [False, True]


@settings(max_examples=25)
@given(seed=SEEDS)
def test_no_purchase_moves_a_customer_down(seed):
    rows = random_rows(seed)
    moment = moments_around(rows)[3 % len(moments_around(rows))]
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
    rows = [*rows, *({**rows[0], "customer_id": name, "item_id": "lamp", "event_type": "view", "rating": None,
                      "timestamp": rows[0]["timestamp"]} for name in ("ann", "bob", "cas"))]  # fmt: skip
    before = histories_of_rows(rows)
    more = [{"customer_id": name, "item_id": "rug", "event_type": "purchase", "timestamp": when}
            for name in before.customers]  # fmt: skip
    after = histories_of_rows([*rows, *more])
    row, moments = np.arange(3), np.full(3, moment)
    lifecycle = Lifecycle(**RULES)
    was, now = lifecycle.of(before, row, moments), lifecycle.of(after, row, moments)
    # Silence is no stage to climb to: it ends with the purchase.
    silent = was.code >= STAGES.index("lapsing")
    assert (now.code < STAGES.index("lapsing")).all()
    assert (now.code >= was.code)[~silent].all()
    assert (now.n_purchases >= was.n_purchases).all()


@settings(max_examples=25)
@given(seed=SEEDS)
def test_neither_later_events_nor_the_order_of_rows_move_a_stage(seed):
    rows = random_rows(seed)
    histories = histories_of_rows(rows)
    row, moment = every_pair(rows, histories)
    lifecycle = Lifecycle(**RULES)
    stages = lifecycle.of(histories, row, moment)
    turned = lifecycle.of(histories_of_rows(rows[::-1]), row, moment)
    for name, values in vars(stages).items():
        np.testing.assert_array_equal(values, getattr(turned, name))
    for customer, now, stage in zip(row.tolist(), moment.tolist(), stages.records(), strict=True):
        past = histories.block(customer, customer + 1).until(now)
        one = lifecycle.one(past, now)
        assert (one.name, one.since, one.reason, one.kind) == tuple(stage.values())


def test_tables_and_transitions_count_every_customer_once():
    rows = random_rows(77) + random_rows(78) + random_rows(79)
    histories = histories_of_rows(rows)
    lifecycle = Lifecycle(**RULES)
    moments = np.array(moments_around(rows))
    table, moves = lifecycle.table(histories, moments), lifecycle.transitions(histories, moments)
    assert (table.counts.sum(axis=1) == histories.n_customers).all()
    assert (moves.counts.sum(axis=(1, 2)) == histories.n_customers).all()
    np.testing.assert_array_equal(moves.counts.sum(axis=2), table.counts[:-1])
    np.testing.assert_array_equal(moves.counts.sum(axis=1), table.counts[1:])
    cohort = lifecycle.table(histories, moments, row=np.array([1]))
    one = [STAGES.index(lifecycle.one(histories.block(1, 2), at).name) for at in moments.tolist()]
    assert cohort.counts.argmax(axis=1).tolist() == one
    assert sum(record["n_customers"] for record in moves.to_records()) == 3 * (len(moments) - 1)
    assert len(table.to_frame()) == len(moments)
    assert len(moves.to_frame()) == len(moves.to_records())


GOLDEN = """\
moment            unknown  interest  first_purchase  repeat  loyal  referral  advocacy  lapsing  lost
----------------  -------  --------  --------------  ------  -----  --------  --------  -------  ----
2024-01-01 00:00        2         0               0       0      0         0         0        0     0
2024-01-03 00:00        0         1               1       0      0         0         0        0     0
2024-01-12 00:00        0         1               0       1      0         0         0        0     0"""

MOVES = """\
from            unknown  interest  first_purchase  repeat  loyal  referral  advocacy  lapsing  lost
--------------  -------  --------  --------------  ------  -----  --------  --------  -------  ----
unknown               0         1               1       0      0         0         0        0     0
interest              0         1               0       0      0         0         0        0     0
first_purchase        0         0               0       1      0         0         0        0     0"""


def test_tables_are_there_for_people_and_for_programs():
    histories = Histories.from_log(log_of({"ann": BOUGHT, "bob": [on(1, "view")]}))
    days = ["2024-01-01", "2024-01-03", datetime(2024, 1, 12)]
    table, moves = Lifecycle().table(histories, days), Lifecycle().transitions(histories, days)
    assert str(table) == GOLDEN
    assert str(moves).splitlines()[:5] == MOVES.splitlines()
    assert "<td" in table._repr_html_()
    assert "<td" in moves._repr_html_()
    assert moves.to_records()[0] == {
        "starts": datetime(2024, 1, 1, tzinfo=UTC), "ends": datetime(2024, 1, 3, tzinfo=UTC),
        "from_stage": "unknown", "to_stage": "interest", "n_customers": 1,
    }  # fmt: skip


def test_stages_give_records_and_frames():
    histories = Histories.from_log(log_of({"ann": BOUGHT}))
    stages = Lifecycle().of(histories, np.array([0, -1]), np.array([at(12), at(12)]))
    assert stages[0] == Stage("repeat", on(10)["timestamp"], "2 purchases, the last 2 days ago", "purchases")
    assert stages[-1] == Stage("unknown", None, "no event", "no_events")
    assert stages.records()[1] == {
        "stage": "unknown",
        "since": None,
        "reason": "no event",
        "kind": "no_events",
    }
    assert stages.to_frame()["stage"].tolist() == ["repeat", "unknown"]
    assert repr(stages) == "Stages(2: unknown 1, repeat 1)"
    assert len(Lifecycle().of(histories, np.array([], np.int64), np.array([], np.int64))) == 0


def test_the_arguments_make_the_same_lifecycle_again():
    lifecycle = Lifecycle(**RULES)
    assert Lifecycle(**lifecycle.facts()).facts() == lifecycle.facts()
    assert eval(repr(lifecycle)).facts() == lifecycle.facts()
