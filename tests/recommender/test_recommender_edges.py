"""Edges of a recommender: lists around the head of a blend, ids of other kinds, other processes."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

import engagelib as eg
from engagelib.ranking import HEAD
from engagelib.testing import log_of, random_log


@pytest.fixture(scope="module")
def wide_log():
    """More items than any model of a blend hands over."""
    return random_log(60, 3 * HEAD, 6_000)


@pytest.fixture(scope="module", params=["item_knn", ["item_knn", "popularity"], "two"])
def wide(request, wide_log):
    models = request.param
    if models == "two":
        models = [eg.ItemKNN("cosine", 250), eg.ItemKNN("bm25", 250)]
    return eg.Recommender(models).fit(wide_log)


def test_lists_are_prefixes_across_the_head(wide):
    for customer in ("c001", "nobody"):
        longest = wide.recommend(customer, k=2 * HEAD, explain=True).to_records()
        for k in (1, HEAD - 1, HEAD, HEAD + 1):
            assert wide.recommend(customer, k=k, explain=True).to_records() == longest[:k]


def test_similar_items_and_audiences_are_prefixes_across_the_head(wide):
    similar = wide.similar("i003", 2 * HEAD).to_records()
    audience = wide.audience("i003", 60, exclude_seen="none").to_records()
    for k in (1, HEAD - 1, HEAD, HEAD + 1):
        assert wide.similar("i003", k).to_records() == similar[:k]
        assert wide.audience("i003", k, exclude_seen="none").to_records() == audience[:k]


def test_a_list_is_no_wider_than_the_catalogue(wide):
    found = wide.recommend("nobody", k=10**9)
    assert len(found) == len(wide.items_)
    assert found.shortfall == (
        "300 of 1,000,000,000 items asked for: the catalogue has 300, 300 of these are for sale and not left "
        "out by the call."
    )
    assert wide.recommend_many(["c001"], k=10**9).item_index.shape == (1, len(wide.items_))


@pytest.mark.parametrize("kind", [pa.array, np.array, tuple, set])
def test_ids_come_in_any_kind_of_list(wide, kind):
    plain = wide.recommend("c001", k=3).item_ids
    found = wide.recommend("c001", k=3, exclude=kind(plain))
    assert not found.ignored
    assert not set(found.item_ids) & set(plain)
    if kind is not set:
        both = wide.recommend_many(kind(["c001", "c002"]), k=3)
        assert [both.item_ids(row) for row in (0, 1)] == [plain, wide.recommend("c002", k=3).item_ids]


def test_none_stands_for_no_ids(wide):
    plain = wide.recommend("c001").to_records()
    assert wide.recommend("c001", session=None, basket=None, exclude=None).to_records() == plain


@pytest.mark.parametrize("name", ["fill", "explain"])
def test_flags_are_true_or_false(wide, name):
    with pytest.raises(eg.EngageError, match=rf"^{name}='no': expected True or False\.$"):
        wide.recommend("c001", **{name: "no"})
    assert len(wide.recommend("c001", **{name: np.True_})) == 10


def test_ranking_gives_each_item_once_and_counts_under_its_own_name(wide):
    found = wide.rank("c001", ["i001", "i001", "i002", "no such item"])
    assert sorted(found.item_ids) == ["i001", "i002"]
    assert found.ignored == {"items": 1}
    assert found.shortfall == (
        "2 of 3 items asked for: the catalogue has 300, 2 of them are candidates (1 more unknown), 2 of "
        "these are for sale and not left out by the call."
    )
    assert wide.rank("c001", []).shortfall is None
    assert len(wide.rank("c001", [])) == 0


def test_at_most_ten_items_are_named_and_the_parts_still_sum_up(wide):
    for customer in ("c001", "c002", "c003"):
        for entry in wide.recommend(customer, explain=True):
            named = [reason for reason in entry.reasons if reason.item_id is not None]
            assert len(named) <= 10
            assert sum(reason.contribution for reason in entry.reasons) == pytest.approx(
                entry.score, rel=1e-4
            )


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_what_travelled_to_another_process_answers_alike(wide, wide_log, tmp_path, travel):
    wide.save(tmp_path / "shop.engage")
    for recommender in (wide, eg.load(tmp_path / "shop.engage")):
        other = travel(recommender)
        assert other.recommend("c001").to_records() == wide.recommend("c001").to_records()
        assert other.recommend_many().to_table() == wide.recommend_many().to_table()
    assert travel(wide_log).to_table() == wide_log.to_table()


def test_refitting_while_serving_answers_from_one_fit_or_the_other():
    """Two logs of other sizes: a call that mixed them would fail or name an unknown item."""
    logs = [random_log(40, 30, 600), random_log(90, 250, 3_000, rng=1)]
    recommender = eg.Recommender().fit(logs[0])
    either = [eg.Recommender().fit(log).recommend("c001").to_records() for log in logs]
    done = []

    def ask(_):
        while not done:
            assert recommender.recommend("c001").to_records() in either

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, n) for n in range(3)]
        for turn in range(30):
            recommender.fit(logs[turn % 2])
        done.append(True)
        for future in asking:
            future.result()


def test_the_summary_counts_events_that_say_nothing():
    """Whoever forgets to rename "buy" sees it here: views alone would be learned from."""
    visits = {n: [(n % 5, "view"), ((n + 1) % 5, "view"), (n % 5, "buy")] for n in range(20)}
    rows = dict(eg.Recommender().fit(log_of(visits)).summary().rows)
    assert rows["events without weight: buy"] == 20
    renamed = log_of(visits, event_types={"buy": "purchase"})
    assert not any("without weight" in str(what) for what, _ in eg.Recommender().fit(renamed).summary().rows)


def test_a_message_repeats_no_megabyte(wide):
    with pytest.raises(eg.errors.UnknownCustomerError) as caught:
        wide.recommend("x" * 1_000_000, on_unknown="raise")
    assert (
        str(caught.value)
        == f"customer '{'x' * 499}... (1,000,002 characters) is unknown to this model or log."
    )
