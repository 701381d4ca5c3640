"""Requests are checked once: what is remembered of them is never another call's, another time's or another
process's."""

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engagelib import Availability, EventLog, Recommender, Rule
from engagelib.errors import ArgumentError
from engagelib.recommender.request import _MOST_REMEMBERED
from engagelib.testing import random_log
from engagelib.times import to_datetime

PLACES = {"item_id": ["i001", "i002", "i003"], "location": ["l1", "l2", "l1"]}


@pytest.fixture
def recommender():
    return Recommender("item_knn").fit(random_log())


def test_an_answer_shares_nothing_with_the_next(recommender):
    calls = [
        lambda: recommender.recommend("c003", k=5, location="nowhere"),
        lambda: recommender.similar("i003", k=5, location="nowhere"),
        lambda: recommender.substitutes("i003", k=5, location="nowhere"),
        lambda: recommender.recommend_many(["c003"], k=5, location="nowhere"),
    ]
    for call in calls:
        found = call()
        assert found.ignored == {"location": 1}
        found.ignored["made up"] = 5
        assert [again().ignored for again in calls] == [{"location": 1}] * len(calls)


def test_what_is_remembered_follows_availability_and_rules(recommender):
    everything = recommender.recommend("c003", k=30).item_ids
    assert recommender.recommend("c003", k=30).item_ids == everything
    first = everything[0]
    recommender.availability = Availability.from_frame({"item_id": everything})
    assert recommender.recommend("c003", k=30).item_ids == everything
    recommender.availability.update([first], [False])
    assert first not in recommender.recommend("c003", k=30).item_ids
    recommender.availability.update([first], [True])
    assert recommender.recommend("c003", k=30).item_ids == everything
    recommender.rules = [Rule.remove(items=[first])]
    assert first not in recommender.recommend("c003", k=30).item_ids
    recommender.rules = []
    assert recommender.recommend("c003", k=30).item_ids == everything


def test_another_moment_is_another_request(recommender):
    early, late = (int(np.quantile(recommender.histories_.time, share)) for share in (0.3, 0.9))
    moments = [to_datetime(moment) for moment in (early, late)]
    anew = [
        Recommender("item_knn")
        .fit(random_log())
        .recommend("c003", k=8, at=moment, exclude_seen="any")
        .item_ids
        for moment in moments
    ]
    assert anew[0] != anew[1]
    for _ in range(2):
        for moment, expected in zip(moments, anew, strict=True):
            found = recommender.recommend("c003", k=8, at=moment, exclude_seen="any")
            assert found.item_ids == expected


def test_windows_that_open_and_close_are_seen(recommender):
    first = recommender.recommend("c003", k=1).item_ids[0]
    others = [item for item in recommender.items_ if item != first]
    opens = datetime(2025, 6, 1, tzinfo=UTC)
    recommender.availability = Availability.from_frame(
        {"item_id": [first, *others], "starts": [opens, *[None] * len(others)]}
    )
    for _ in range(2):
        assert recommender.recommend("c003", k=1, at=opens).item_ids == [first]
        assert recommender.recommend("c003", k=1, at=opens - timedelta(seconds=1)).item_ids != [first]
        with pytest.raises(ArgumentError, match="at"):
            recommender.recommend("c003", k=1)


def test_true_is_not_one_and_a_list_is_no_name(recommender):
    assert len(recommender.recommend("c003", k=1)) == 1
    with pytest.raises(ArgumentError, match=r"^k=True: expected an integer of at least 1\.$"):
        recommender.recommend("c003", k=True)
    assert recommender.recommend("c003", k=1, location=["l1"]).ignored == {"location": 1}
    assert len(recommender.recommend("c003", k=1, location=np.array("l1"))) == 1


def test_a_recommender_that_answered_travels_to_another_process(recommender):
    recommender.availability = Availability.from_frame(PLACES)
    before = recommender.recommend("c003", location="l1").item_ids
    back = pickle.loads(pickle.dumps(recommender))
    assert back.recommend("c003", location="l1").item_ids == before


def test_only_so_many_requests_are_remembered(recommender):
    for place in range(_MOST_REMEMBERED + 50):
        recommender.recommend("c003", location=f"place {place}")
    assert 0 < len(recommender._serving.requests) <= _MOST_REMEMBERED


def test_a_mask_that_is_written_to_is_read_anew():
    log = random_log()
    unmet = {
        "customer_id": "c001",
        "item_id": "unmet",
        "event_type": "login",
        "timestamp": datetime(2024, 2, 1, tzinfo=UTC),
    }
    rows = [*log.to_table().to_pylist(), unmet]
    model = Recommender("als").fit(EventLog.from_records(rows)).models_[0]
    histories = Recommender("als").fit(EventLog.from_records(rows)).histories_
    mask = np.ones(histories.n_items, bool)
    first = model.score_topk(histories, 3, available=mask)
    mask[first.item_index[0]] = False
    again = model.score_topk(histories, 3, available=mask)
    assert not set(again.items(0)) & set(first.items(0))
    assert again.items(0) == model.score_topk(histories, 3, available=mask.copy()).items(0)


def test_what_is_left_of_purchases_stays_known_while_serving(tmp_path):
    recommender = Recommender("item_knn").fit(random_log())
    assert recommender.histories_.share is not None
    recommender.observe({"customer_id": "c001", "item_id": "i001", "event_type": "view"})
    _, history = recommender._serving.live.find("c003")
    assert history.share is not None
    recommender.save(tmp_path / "shop.engage")
    assert recommender.histories_.share is not None
