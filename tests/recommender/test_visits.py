"""Visits: lists for many anonymous visits at once are those of one visit at a time."""

import re
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import EventLog, Recommender
from engagelib.errors import ArgumentError
from engagelib.histories import Histories
from engagelib.models import ItemKNN
from engagelib.recommender import Rule
from engagelib.recommender.request import Request
from engagelib.recommender.visiting import visits_of
from engagelib.testing import random_log
from engagelib.times import to_datetime, to_microseconds
from engagelib.weaving import weave_visits

ITEMS = [f"i{number:03d}" for number in range(34)]
SOME = st.lists(st.sampled_from([*ITEMS, "nothing"]), max_size=6)
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.integers(1, 40),
        "at": st.integers(1, 199).map(lambda day: to_datetime(0) + timedelta(days=19_800 + day)),
        "location": st.sampled_from(["l0", "elsewhere", None]),
        "exclude": SOME,
        "candidates": st.none() | st.lists(st.sampled_from(ITEMS), max_size=12),
        "exclude_seen": st.sampled_from(["purchased", "any", "none"]),
        "repeat": st.sampled_from([True, False, None]),
        "fill": st.booleans(),
        "rules": st.sampled_from([(), [Rule.boost(3.0, items=ITEMS[3:9]), Rule.pin(items=["i004"])]]),
    },
)


@pytest.fixture(scope="module")
def ranked():
    """A recommender whose second stage learned something."""
    log = random_log(n_customers=400, n_events=9000, items={"item_id": ITEMS}, rng=4)
    made = Recommender(["item_knn", "als"], ranker="logistic").fit(log)
    assert made._fitted().learned.ranker is not None
    return made


def assert_equal_to_singles(recommender, sessions, call):
    table = recommender.recommend_many(sessions=sessions, **call)
    assert list(table.customer_ids) == list(range(len(sessions)))
    unknown = {}
    for row, session in enumerate(sessions):
        single = recommender.recommend(None, session=session, **call)
        assert table.item_ids(row) == single.item_ids
        n = len(single)
        assert table.score[row, :n].tolist() == [entry.score for entry in single]
        assert [table.sources[code] for code in table.source[row, :n]] == [entry.source for entry in single]
        assert (table.item_index[row, n:] == -1).all()
        unknown |= {name: n for name, n in single.ignored.items() if name != "session"}
        unknown["sessions"] = unknown.get("sessions", 0) + single.ignored.get("session", 0)
    assert table.ignored == {name: n for name, n in unknown.items() if n}


@given(sessions=st.lists(SOME, min_size=1, max_size=5), call=CALLS)
@settings(max_examples=50)
def test_many_visits_equal_each_alone(recommender, sessions, call):
    assert_equal_to_singles(recommender, sessions, call)


@given(sessions=st.lists(SOME, min_size=1, max_size=5), call=CALLS)
@settings(max_examples=25)
def test_many_visits_equal_each_alone_behind_a_ranker(ranked, sessions, call):
    assert_equal_to_singles(ranked, sessions, call)


@pytest.mark.parametrize("time_kind", ["position", "set"])
def test_visits_need_no_times(time_kind):
    log = random_log(time_kind=time_kind, items={"item_id": ITEMS})
    shop = Recommender(["item_knn", "popularity"]).fit(log)
    assert_equal_to_singles(shop, [["i001", "i007", "i001"], [], ["i002"]], {})


def test_visits_know_what_moment_it_is():
    log = random_log(items={"item_id": ITEMS})
    shop = Recommender("item_knn").fit(log)
    shop.observe({"customer_id": "c001", "item_id": "i003", "timestamp": "2025-01-01"})
    assert_equal_to_singles(shop, [["i001"], ["i003", "i004"]], {})
    serving = shop._fitted()
    visits, _ = visits_of(serving, [["i001"]], Request.check(serving, k=1))
    moment = to_microseconds("2025-01-01")
    assert (visits.newest, visits.time.tolist()) == (moment, [moment])


@pytest.mark.parametrize("event_type", ["view", "purchase", "click"])
def test_a_visit_in_a_log_of_one_type_is_the_history_of_whoever_did_the_same(event_type):
    """What goes on now is of one kind with what was learned from, a visit or a customer."""
    rows = [
        {
            "session_id": str(start),
            "order_id": f"{start} {place // 2}",
            "customer_id": None,
            "item_id": item,
            "position": place,
            "event_type": event_type,
        }
        for start in range(0, 30, 2)
        for place, item in enumerate(ITEMS[start : start + 3])
    ]
    models = ItemKNN(event_weights={event_type: 2.0})
    shop = Recommender(models).fit(EventLog.from_records(rows))
    session = ["i004", "i009", "i002"]
    many = shop.recommend_many(sessions=[session], exclude_seen="none")
    shop.observe([{"customer_id": "eve", "item_id": item, "event_type": event_type} for item in session])
    eve = shop.recommend_many(["eve"], exclude_seen="none")
    assert many.item_index.tolist() == eve.item_index.tolist()
    assert many.score.tolist() == eve.score.tolist()
    assert (eve.score[0, :3] > 0).all()
    assert shop.recommend(None, session=session, exclude_seen="none").item_ids == eve.item_ids(0)
    near = {"i018", "i019", "i021", "i022"}  # far from what is popular
    assert set(shop.recommend(None, basket=["i020"], k=4).item_ids) == near
    assert set(shop.complete(["i020"], k=4).item_ids) == near


def test_visits_come_in_any_form(alone):
    sessions = [["i001", "i002"], [], ["i007"]]
    expected = alone.recommend_many(sessions=sessions)
    forms = (
        tuple(map(tuple, sessions)),
        [["i001", "i002"], None, iter(["i007"])],
        [np.array(ids, dtype=object) for ids in sessions],
        pa.array(sessions, pa.list_(pa.string())),
        pa.chunked_array([pa.array(sessions[:1]), pa.array(sessions[1:], pa.list_(pa.string()))]),
        (ids for ids in sessions),
    )
    for form in forms:
        found = alone.recommend_many(sessions=form)
        assert found.item_index.tolist() == expected.item_index.tolist()
        assert found.score.tolist() == expected.score.tolist()
    assert len({tuple(row) for row in expected.item_index.tolist()}) == 3
    assert expected.to_table()["customer_id"].to_pylist() == np.repeat(range(3), 10).tolist()
    assert len(alone.recommend_many(sessions=[])) == 0


def test_visits_beyond_one_block_and_on_two_threads(blend):
    sessions = [[ITEMS[number % 34], ITEMS[number % 7]][: number % 3] for number in range(700)]
    one, two = (blend.recommend_many(sessions=sessions, n_threads=n) for n in (1, 2))
    assert one.item_index.tolist() == two.item_index.tolist()
    for row in (0, 255, 256, 511, 512, 699):
        assert one.item_ids(row) == blend.recommend(None, session=sessions[row]).item_ids


def test_visits_are_of_nobody_unknown(alone):
    assert len(alone.recommend_many(sessions=[["i001"]], on_unknown="raise")) == 1


LISTS = "expected a list of ids for each visit. Hint: one visit is sessions=[[first, second]]."


@pytest.mark.parametrize(
    ("given", "shown"), [("i001", "'i001'"), (["i001"], "'i001'"), ([[], 5], "5"), (7, "7"), ([b"x"], "b'x'")]
)
def test_visits_that_are_no_lists(alone, given, shown):
    with pytest.raises(ArgumentError, match=f"^{re.escape(f'sessions={shown}: {LISTS}')}$"):
        alone.recommend_many(sessions=given)


def test_customers_and_visits_at_once(alone):
    text = (
        "customer_ids and sessions are both given: expected one of them, as sessions are of nobody known. "
        "Hint: recommend takes a customer and a session."
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        alone.recommend_many(["c001"], sessions=[["i001"]])


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
@pytest.mark.parametrize("at", [None, 1_700_000_000_000_000])
@pytest.mark.parametrize("event_type", ["view", "look"])
def test_histories_of_visits_are_empty_rows_that_are_followed(time_kind, at, event_type):
    histories = Histories.from_log(random_log(time_kind=time_kind))
    visits = [[4, 2, 4], [], [7]]
    made = weave_visits(histories, np.array([0, 3, 3, 4]), np.array([4, 2, 4, 7]), event_type, at)
    for row, visit in enumerate(visits):
        one = histories.take(np.array([-1])).followed_by(np.array(visit, int), event_type, at)
        block = made.block(row, row + 1)
        assert block.item_index.tolist() == one.item_index.tolist() == visit
        assert [block.event_types[code] for code in block.event_type] == [event_type] * len(visit)
        assert (block.time is None) == (one.time is None)
        assert block.time is None or block.time.tolist() == one.time.tolist()
        assert np.isnan(block.numbers["quantity"]).all()
        assert all((codes == -1).all() for codes in map(block.codes.__getitem__, made.tables))
        weights = {"view": 1.0, "look": 2.0}
        for saturated in (False, True):
            drawn, expected = (
                each.interest(event_weights=weights, saturated=saturated) for each in (block, one)
            )
            assert drawn.indices.tolist() == expected.indices.tolist()
            assert drawn.data.tolist() == expected.data.tolist()
