"""Laws of every list: over random calls, for one model and for a blend."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib as eg
from engagelib.histories import Histories
from engagelib.recommender.repeating import learn_repeats
from engagelib.recommender.serving import Serving
from engagelib.testing import random_log
from engagelib.times import to_datetime

ITEMS = st.sampled_from([f"i{number:03d}" for number in range(36)])  # 34 and 35 are unknown
SOME = st.lists(ITEMS, max_size=5)
CUSTOMERS = st.sampled_from([f"c{number:03d}" for number in range(42)] + [None, 7, True])

SHARED = {
    "k": st.sampled_from([1, 3, 10, 60]),
    "at": st.none()
    | st.integers(-3, 203).map(lambda day: to_datetime(1_704_067_200_000_000) + timedelta(days=day)),
    "location": st.sampled_from(["l0", "l2", "elsewhere", None]),
    "exclude": SOME,
    "candidates": st.none() | st.lists(ITEMS, max_size=12),
    "exclude_seen": st.sampled_from(["purchased", "any", "none"]),
    "repeat": st.sampled_from([True, False, None]),
    "fill": st.booleans(),
}
CALLS = st.fixed_dictionaries({"customer_id": CUSTOMERS}, optional=SHARED | {"session": SOME, "basket": SOME})
BATCHES = st.fixed_dictionaries({}, optional=SHARED)


def met(log, customer, at, types=None):
    """The items of a customer's events up to a moment, of some types or of all, read off the log itself."""
    place = log.customers.find(customer)
    if place < 0:
        return set()
    columns = log.columns
    keep = (columns["customer_id"] == place) & (columns["item_id"] >= 0)
    if at is not None:
        keep &= columns["time"] <= (at - to_datetime(0)) // timedelta(microseconds=1)
    if types:
        codes = [log.vocabularies["event_type"].find(name) for name in types]
        keep &= np.isin(columns["event_type"], codes)
    return set(log.items.ids(np.unique(columns["item_id"][keep]).tolist()))


def ruled_out(log, call):
    """What a call must not list, by the words of its arguments and what the log says of repeats."""
    bought = met(log, call["customer_id"], call.get("at"), ("purchase", "return"))
    seen = call.get("exclude_seen", "purchased")
    out = {*call.get("exclude", ()), *call.get("basket", ())}
    if seen == "any":
        out |= (met(log, call["customer_id"], call.get("at")) - bought) | set(call.get("session", ()))
    repeat = call.get("repeat")
    if repeat is False or (repeat is None and seen == "any"):
        out |= bought
    if repeat is None and seen == "purchased":
        out |= bought - bought_again(log)
    return out


@cache
def bought_again(log):
    """The items that the log says are bought again."""
    repeats = learn_repeats(Histories.from_log(log))
    return set(log.items.ids(np.flatnonzero(repeats.returns).tolist()))


def test_the_log_of_these_tests_knows_both_kinds_of_items(log):
    assert 0 < len(bought_again(log)) < log.n_items


def eligible(log, call):
    """What a call may list."""
    for_sale = {item for item, sold in zip(log.items, log.item_for_sale(), strict=True) if sold}
    named = for_sale if call.get("candidates") is None else for_sale & set(call["candidates"])
    return named - ruled_out(log, call)


@given(call=CALLS)
@settings(max_examples=150)
def test_every_list_keeps_the_rules(recommender, log, call):
    found = recommender.recommend(**call)
    k, may = call.get("k", 10), eligible(log, call)
    assert set(found.item_ids) <= may
    assert len(set(found.item_ids)) == len(found)
    if call.get("fill", True) or call.get("candidates") is not None:
        assert len(found) == min(k, len(may))
    assert [entry.rank for entry in found] == list(range(1, len(found) + 1))
    scores = [entry.score for entry in found]
    assert all(map(math.isfinite, scores))
    assert scores == sorted(scores, reverse=True)
    assert (found.shortfall is None) == (len(found) == k)
    assert found.known == (isinstance(call["customer_id"], str) and call["customer_id"] in log.customers)
    for entry in found:
        assert (entry.source == "popular") == (entry.score == 0)
        assert entry.title == (
            None if int(entry.item_id[1:]) % 4 == 0 else f"Item <b>{int(entry.item_id[1:])}</b>"
        )
    records = json.loads(json.dumps(found.to_records()))
    assert [record["item_id"] for record in records] == found.item_ids
    unknown = {
        name: sum(item > "i033" for item in call[name])
        for name in ("session", "basket", "exclude", "candidates")
        if call.get(name)
    }
    unknown["location"] = int(call.get("location") not in {None, *log.vocabularies["location"]})
    assert found.ignored == {name: count for name, count in unknown.items() if count}


@given(call=CALLS, shorter=st.integers(1, 9))
@settings(max_examples=60)
def test_a_shorter_list_is_the_beginning_of_a_longer_one(recommender, call, shorter):
    longer = recommender.recommend(**call | {"k": 10})
    assert recommender.recommend(**call | {"k": shorter}).to_records() == longer.to_records()[:shorter]


@given(call=CALLS)
@settings(max_examples=60)
def test_reasons_sum_to_the_score_and_name_what_is_for_sale(recommender, log, call):
    plain, explained = recommender.recommend(**call), recommender.recommend(**call, explain=True)
    assert explained.item_ids == plain.item_ids
    for_sale = {item for item, sold in zip(log.items, log.item_for_sale(), strict=True) if sold}
    read = (
        met(log, call["customer_id"], call.get("at"))
        | set(call.get("session", ()))
        | set(call.get("basket", ()))
    )
    for entry in explained:
        assert entry.reasons
        total = sum(reason.contribution for reason in entry.reasons)
        assert math.isclose(total, entry.score, rel_tol=1e-4, abs_tol=1e-6)
        parts = [reason.contribution for reason in entry.reasons]
        assert parts == sorted(parts, reverse=True)
        named = {reason.item_id for reason in entry.reasons if reason.item_id is not None}
        assert named <= for_sale & read
        kinds = {reason.kind for reason in entry.reasons}
        assert kinds <= {"similar_item", "other_items", "popular"}
        assert entry.source != "popular" or [reason.kind for reason in entry.reasons] == ["popular"]


@given(call=BATCHES)
@settings(max_examples=40)
def test_a_batch_equals_its_single_answers_bit_for_bit(recommender, call):
    customers = ["c003", "c001", "nobody", "c003", None, "c022"]
    table = recommender.recommend_many(customers, **call)
    for row, customer in enumerate(customers):
        single = recommender.recommend(customer, **call)
        assert table.item_ids(row) == single.item_ids
        n = len(single)
        assert table.score[row, :n].tolist() == [entry.score for entry in single]
        assert [table.sources[code] for code in table.source[row, :n]] == [entry.source for entry in single]
        assert (table.item_index[row, n:] == -1).all()
        assert (table.score[row, n:] == -np.inf).all()
        assert table.ignored == single.ignored


@given(day=st.integers(1, 199), customer=CUSTOMERS, session=SOME, basket=SOME)
@settings(max_examples=40)
def test_as_of_a_moment_later_events_were_never_there(recommender, day, customer, session, basket):
    at = to_datetime(1_704_067_200_000_000) + timedelta(days=day, seconds=30)
    past = eg.Recommender(recommender.models)
    before = recommender.histories_.until((at - to_datetime(0)) // timedelta(microseconds=1))
    learned = recommender._serving.learned
    past._serving = Serving.over(replace(learned, histories=before), None, ())  # the same weights
    call = {"at": at, "session": session, "basket": basket, "explain": True}
    assert (
        recommender.recommend(customer, **call).to_records() == past.recommend(customer, **call).to_records()
    )


def test_threads_give_the_answers_of_one(recommender):
    calls = [
        {"customer_id": f"c{n % 40:03d}", "session": [f"i{n % 30:03d}"], "explain": n % 2 == 0}
        for n in range(160)
    ]
    alone = [recommender.recommend(**call).to_records() for call in calls]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda call: recommender.recommend(**call).to_records(), calls))
    assert together == alone


@pytest.mark.parametrize("models", ["item_knn", ["item_knn", "popularity"]])
@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_a_saved_recommender_answers_alike(tmp_path, models, time_kind):
    recommender = eg.Recommender(models, popular_by=("location",)).fit(random_log(time_kind=time_kind))
    version = recommender.save(tmp_path / "shop.engage")
    back = eg.load(tmp_path / "shop.engage", verify="full")
    assert back.model_version_ == recommender.model_version_ == version
    assert (
        repr(back)
        == "Recommender([ItemKNN()"
        + (", Popularity(by_location=True)" if len(models) == 2 else "")
        + "], popular_by=('location',))"
    )
    for customer in ("c001", "c017", "nobody", None):
        call = {"location": "l1", "session": ["i003"], "explain": True, "k": 25}
        assert (
            back.recommend(customer, **call).to_records()
            == recommender.recommend(customer, **call).to_records()
        )
    first, second = recommender.recommend_many(k=7), back.recommend_many(k=7)
    assert first.item_index.tobytes() == second.item_index.tobytes()
    assert first.score.tobytes() == second.score.tobytes()
    assert back.summary().rows == recommender.summary().rows
    assert back.audience("i004").to_records() == recommender.audience("i004").to_records()
    assert back.similar("i004").to_records() == recommender.similar("i004").to_records()
    again = back.save(tmp_path / "shop.engage")  # over the files that it is mapped from
    assert again == eg.load(tmp_path / "shop.engage").model_version_


def test_order_of_rows_and_names_of_ids_do_not_matter():
    plain = eg.Recommender().fit(random_log())
    shuffled = eg.Recommender().fit(random_log(shuffled=True))
    renamed = eg.Recommender().fit(random_log(prefix="x"))
    for customer in plain.customers_:
        expected = plain.recommend(customer, explain=True)
        assert shuffled.recommend(customer, explain=True).to_records() == expected.to_records()
        found = renamed.recommend(f"x{customer}")
        assert found.item_ids == [f"x{item}" for item in expected.item_ids]
        assert [entry.score for entry in found] == [entry.score for entry in expected]
