"""Facts and goals: what is known of each item, worked out by hand."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engagelib import EventLog, errors
from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories
from engagelib.ranking.facts import draw_facts
from engagelib.ranking.goals import goal_of, group_codes, groups_of
from engagelib.testing import histories_of, log_of, random_log

GROUPS = (("purchase",), ("view", "cart"))


def at(day):
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)


def event(item, kind, day, **more):
    return {"item_id": item, "event_type": kind, "timestamp": at(day), **more}


LOG = log_of(
    {
        "ann": [event("a", "purchase", 0), event("a", "view", 90), event("b", "purchase", 95)],
        "bob": [event("a", "cart", 99), event("c", "survey", 99.5), event("b", "return", 100)],
    }
)


def drawn(histories, attributes=None, groups=GROUPS, repeats=None):
    if attributes is None:
        table = EventLog.from_frame(
            {"customer_id": ["ann"], "item_id": ["a"], "event_type": ["view"]}
        ).item_table
        attributes = ItemAttributes.from_table(table, histories.items)
    repeats = np.zeros(histories.n_items, np.float32) if repeats is None else repeats
    facts, names, levels = draw_facts(histories, attributes, repeats, groups)
    columns = {name: facts.columns[:, place] for place, name in enumerate(names)}
    return facts, columns, dict(zip(levels, facts.levels.T, strict=True))


def test_facts_of_a_small_log_by_hand():
    histories = Histories.from_log(LOG)
    assert list(histories.items.ids(range(3))) == ["a", "b", "c"]
    facts, columns, levels = drawn(histories, repeats=np.array([0.5, 0.25, 0], np.float32))
    expected = {
        # One purchase of each of a and b, none of c; one more each.
        "fame.purchase": np.log([2 / 5, 2 / 5, 1 / 5]),
        "fame.view+cart": np.log([3 / 5, 1 / 5, 1 / 5]),
        # After day 90: b's purchase and a's cart; after day 98: a's cart alone. Of all times: three and one.
        "trend.0.1": np.log([2 / 5, 2 / 5, 1 / 5]) - np.log([4 / 7, 2 / 7, 1 / 7]),
        "trend.0.02": np.log([2 / 4, 1 / 4, 1 / 4]) - np.log([4 / 7, 2 / 7, 1 / 7]),
        # In days before the newest event, whatever it is; what has none is as young and as quiet as can be.
        "age": [100, 5, 0],
        "quiet": [1, 5, 100],
        "repeats": [0.5, 0.25, 0],
    }
    assert list(columns) == list(expected)
    for name, column in expected.items():
        np.testing.assert_allclose(columns[name], column, rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(levels["fame"], columns["fame.purchase"])
    assert np.isnan(levels["price"]).all()
    assert facts.category.tolist() == [-1, -1, -1]
    assert facts.n_categories == 0
    assert facts.columns.dtype == facts.levels.dtype == np.float32


def test_without_times_nothing_is_known_of_trends():
    histories = histories_of({"ann": ["a", "b"], "bob": ["b"]}, time_kind="set")
    _, columns, _ = drawn(histories)
    for name in ("trend.0.1", "trend.0.02", "age", "quiet"):
        assert not columns[name].any()


def test_a_log_without_events_of_the_groups_gives_facts_all_the_same():
    histories = Histories.from_log(LOG)
    _, columns, _ = drawn(histories, groups=(("rating",),))
    np.testing.assert_allclose(columns["fame.rating"], np.log(1 / 3), rtol=1e-6)
    assert not columns["age"].any()


def test_of_visits_with_positions_the_numbers_of_sessions_tell_the_time():
    sessions = {1: "a", 2: "a", 3: "a", 4: "b", 5: "b"}
    log = EventLog.from_frame(
        {
            "customer_id": [None] * 5,
            "session_id": list(sessions),
            "item_id": list(sessions.values()),
            "event_type": ["purchase"] * 5,
            "position": [0] * 5,
        }
    )
    _, columns, _ = drawn(Histories.from_log(log))
    # From the first visit to the last are 4 of 5.
    np.testing.assert_allclose(columns["age"], [4 / 5, 1 / 5])
    np.testing.assert_allclose(columns["quiet"], [2 / 5, 0])


def test_a_price_is_that_of_the_item_table():
    log = log_of(
        {"ann": [event(item, "purchase", 0) for item in "abc"]},
        items={"item_id": ["c", "a"], "price": [2.0, 8.0], "category": ["x", "y"]},
    )
    attributes = ItemAttributes.from_table(log.item_table, log.items)
    facts, _, levels = drawn(Histories.from_log(log), attributes)
    np.testing.assert_allclose(levels["price"], [math.log(8), math.nan, math.log(2)], rtol=1e-6)
    assert facts.n_categories == 2
    assert facts.category[1] == -1
    assert sorted(facts.category[[0, 2]].tolist()) == [0, 1]


def test_or_else_a_price_is_what_was_paid_a_piece():
    histories = histories_of(
        {
            "ann": [event("a", "purchase", 0, value=6.0, quantity=2), event("b", "view", 1)],
            "bob": [event("a", "purchase", 0, value=3.0, quantity=1), event("c", "purchase", 2, value=0.0)],
        }
    )
    _, _, levels = drawn(histories)
    np.testing.assert_allclose(levels["price"], [math.log(3), math.nan, math.nan], rtol=1e-6)


@pytest.mark.parametrize("kind", ["timestamp", "position", "set"])
def test_the_order_of_rows_in_the_log_does_not_matter(kind):
    one, other = (
        drawn(Histories.from_log(random_log(time_kind=kind, shuffled=shuffled)))[0]
        for shuffled in (False, True)
    )
    for name in ("columns", "levels", "category"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# Goals


def of_types(*types):
    return histories_of({"ann": [("lamp", kind) for kind in types]})


@pytest.mark.parametrize(
    ("types", "goal"),
    [
        (["view", "purchase", "cart"], "purchase"),
        (["view", "cart"], "cart"),
        (["wave", "dance"], "dance"),
        (["wave", "view"], "view"),
        (["return", "view"], "view"),
        (["return"], "return"),
    ],
)
def test_the_goal_is_a_purchase_or_what_weighs_most(types, goal):
    assert goal_of(of_types(*types), None) == goal


def test_a_goal_can_be_asked_for():
    assert goal_of(of_types("purchase", "view"), "view") == "view"


@pytest.mark.parametrize("target", ["rating", "return", 3])
def test_a_goal_that_no_event_has_is_refused(target):
    with pytest.raises(errors.ArgumentError) as refused:
        goal_of(of_types("purchase", "view", "return"), target)
    assert str(refused.value) == (
        f"target={target!r}: expected one of the log's event types on items, purchase, view."
    )


def test_the_goal_is_a_group_of_its_own_and_the_lightest_types_share_one():
    histories = of_types("dance", "purchase", "view", "wishlist", "cart", "wave", "return")
    assert groups_of(histories, "purchase") == (
        ("purchase",), ("cart",), ("wishlist",), ("view", "dance", "wave"),
    )  # fmt: skip
    assert groups_of(histories, "view") == (
        ("view",), ("purchase",), ("cart",), ("wishlist", "dance", "wave"),
    )  # fmt: skip
    assert groups_of(of_types("purchase"), "purchase") == (("purchase",),)


def test_a_type_of_no_group_has_no_code():
    assert group_codes((("b",), ("a", "c")), ("a", "b", "c", "d")).tolist() == [1, 0, 1, -1]
