"""Quality benchmarks: figures are worked out by hand for lists that are known, and each protocol runs."""

import importlib
import json
import sys
from math import log2

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("psutil")
pytest.importorskip("threadpoolctl")

from benchmarks.quality import leave_last_out, next_basket, purchases, random_split, sessions
from benchmarks.quality.__main__ import tables
from benchmarks.quality.common import Run, relevant_of

from engagelib.recommender import RecommendationTable
from engagelib.vocabulary import Vocabulary

PROTOCOLS = ("leave_last_out", "sessions", "purchases", "random_split", "next_basket")


class Known:
    """Stands in for a recommender; its lists are told beforehand, and it notes what it is asked."""

    def __init__(self, lists):
        self.lists, self.fits, self.observed, self.asked = lists, [], [], []

    def __call__(self, models):
        self.models = models
        return self

    def fit(self, log, validation=None, *, refit=None):
        self.log = log
        self.fits.append((rows_of(log), None if validation is None else rows_of(validation), refit))
        return self

    def observe(self, events):
        self.observed += events

    def recommend_many(self, customer_ids=None, *, sessions=None, k, **options):
        whom = list(range(len(sessions))) if customer_ids is None else np.asarray(customer_ids).tolist()
        self.asked.append((whom if sessions is None else sessions.to_pylist(), k, options))
        index = np.full((len(whom), k), -1, np.int32)
        for row, customer in enumerate(whom):
            found = self.lists(customer, **options)
            index[row, : len(found)] = self.log.items.indices(found)
        return RecommendationTable(whom, index, index * 0.0, index, ("known",), self.log.items)


def rows_of(log):
    names = ("customer_id", "item_id", "session_id", "order_id", "event_type", "position", "timestamp")
    table = log.to_table()
    return [
        tuple(row.values())
        for row in table.select([name for name in names if name in table.column_names]).to_pylist()
    ]


def write(folder, name, rows, names):
    pq.write_table(
        pa.Table.from_pylist([dict(zip(names.split(), row, strict=True)) for row in rows]), folder / name
    )


def run_of(folder, lists, **options):
    known = Known(lists)
    return Run(folder, make=known, **options), known


# Definitions: lists that are known, figures worked out by hand


def test_the_last_item_is_asked_for_once_the_last_but_one_was_observed(tmp_path):
    sequences = {1: [10, 20, 30, 40], 2: [20, 10, 40], 3: [30, 40], 4: [30, 40, 20, 99]}
    rows = [(user, item, place) for user, items in sequences.items() for place, item in enumerate(items)]
    write(tmp_path, "sequences.parquet", rows[::-1], "user_id item_id position")
    run, known = run_of(tmp_path, lambda customer, **_: {1: [30, 10, 40], 2: [40], 4: [10, 20]}[customer])
    found = leave_last_out.judge(run)
    (log, validation, refit), second = known.fits
    assert refit is False
    assert second == (log, validation, True)
    assert sorted(row[:2] for row in log) == [(1, 10), (1, 20), (2, 20), (4, 30), (4, 40)]
    assert sorted(row[:2] for row in validation) == [(1, 30), (2, 10), (3, 30), (4, 20)]
    assert known.observed == [
        {"customer_id": 1, "item_id": 30, "position": 2},
        {"customer_id": 2, "item_id": 10, "position": 1},
        {"customer_id": 4, "item_id": 20, "position": 2},
    ]
    assert known.asked[0] == known.asked[1] == ([1, 2, 4], 20, {})  # of 3 nothing is learned
    # 1 finds its item third, 2 first, and nobody knows the item of 4.
    assert found["recall@10"] == found["refit.recall@10"] == pytest.approx(2 / 3, abs=1e-5)
    assert found["ndcg@10"] == pytest.approx((0.5 + 1 + 0) / 3, abs=1e-5)
    assert found["mrr@20"] == pytest.approx((1 / 3 + 1 + 0) / 3, abs=1e-5)


def test_the_next_click_of_a_prefix_is_asked_for(tmp_path):
    write(tmp_path, "train_sessions.parquet", [(7, [1, 2, 1]), (8, [3, 2])], "session_id items")
    prefixes = [(0, [1, 2], 2), (1, [3], 1), (2, [2, 2, 9], 9), (3, [1], 3)]
    write(tmp_path, "test_prefix_target.parquet", prefixes, "example_id prefix target")
    run, known = run_of(tmp_path, lambda row, **_: [[1, 2], [1], [1, 2, 3], [2, 1]][row])
    found = sessions.judge(run)
    [(log, _, _)] = known.fits
    assert log == [
        (None, 1, 7, "view", 0),
        (None, 2, 7, "view", 1),
        (None, 1, 7, "view", 2),
        (None, 3, 8, "view", 0),
        (None, 2, 8, "view", 1),
    ]
    assert known.asked == [([[1, 2], [3], [2, 2, 9], [1]], 20, {"exclude_seen": "none"})]
    assert found["recall@20"] == pytest.approx(2 / 4)
    assert found["mrr@20"] == pytest.approx((1 / 2 + 1) / 4)


@pytest.mark.parametrize("timed", [True, False])
def test_a_held_out_purchase_is_asked_for_among_items_not_bought_and_among_new_ones(tmp_path, timed):
    events = [
        (1, 10, "view"),
        (1, 10, "buy"),
        (1, 20, "cart"),
        (2, 20, "buy"),
        (2, 30, "view"),
        (3, 40, "buy"),
    ]
    names = "user_id item_id event_type"
    if timed:
        times = np.arange("2024-01-01", "2024-01-07", dtype="datetime64[D]").astype("datetime64[us]").tolist()
        write(
            tmp_path, "events_train.parquet",
            [(*event, time) for event, time in zip(events, times, strict=True)], f"{names} timestamp",
        )  # fmt: skip
    else:
        write(tmp_path, "interactions_train.parquet", events, names)
    write(tmp_path, "heldout_buy_test.parquet", [(2, 30), (1, 20)], "user_id item_id")

    def lists(customer, exclude_seen):
        return {"purchased": {1: [30, 20], 2: [30]}, "any": {1: [40], 2: [10]}}[exclude_seen][customer]

    run, known = run_of(tmp_path, lists)
    found = purchases.judge(run)
    [(log, _, _)] = known.fits
    assert {row[:3] for row in log} == {
        (user, item, "purchase" if kind == "buy" else kind) for user, item, kind in events
    }
    assert known.log.time_kind == ("timestamp" if timed else "set")
    assert [options for *_, options in known.asked] == [
        {"exclude_seen": "purchased"},
        {"exclude_seen": "any"},
    ]
    assert found["hit_rate@10"] == 1.0
    assert found["ndcg@10"] == pytest.approx((1 / log2(3) + 1) / 2, abs=1e-5)
    assert found["unseen.hit_rate@10"] == found["unseen.ndcg@10"] == 0.0


def test_a_random_split_divides_recall_by_all_that_was_taken_out(tmp_path):
    train = [(user, item, "train") for user in (1, 2) for item in range(28 + user)]
    taken = [(1, 100 + item, "test") for item in range(25)] + [(2, 5, "test"), (2, 6, "test")]
    write(tmp_path, "interactions.parquet", taken + train, "user_id item_id split")
    run, known = run_of(tmp_path, lambda customer, **_: {1: [1, 2], 2: [5, 7, 6]}[customer])
    found = random_split.judge(run)
    [(log, _, _)] = known.fits
    assert {row[:2] for row in log} == {row[:2] for row in train}
    assert found["recall@20"] == pytest.approx((0 / 25 + 2 / 2) / 2)
    assert found["ndcg@20"] == pytest.approx((1 + 1 / 2) / (1 + 1 / log2(3)) / 2, abs=1e-5)
    known.lists = lambda customer, **_: [5, 6][: customer - 1]
    write(
        tmp_path,
        "interactions.parquet",
        [(1, item, "test") for item in range(25)] + train,
        "user_id item_id split",
    )
    known.lists = lambda customer, **_: list(range(20))
    found = random_split.judge(run)
    assert found["recall@20"] == pytest.approx(20 / 25)
    assert found["ndcg@20"] == pytest.approx(1.0)  # the best list is no longer than k


@pytest.mark.parametrize("timed", [True, False])
def test_the_next_basket_is_asked_for_and_what_is_new_in_it_apart(tmp_path, timed):
    rows = [
        (1, 0, 10, "history"), (1, 0, 20, "history"), (1, 1, 10, "history"),
        (2, 0, 30, "history"), (1, 2, 10, "future"), (1, 2, 30, "future"), (2, 1, 30, "future"),
    ]  # fmt: skip
    names = "user_id basket_index item_id split"
    if timed:
        day = np.datetime64("2024-01-01T12:00", "us")
        rows = [(*row, (day + np.timedelta64(row[1], "D")).item()) for row in rows]
        names += " timestamp"
    write(tmp_path, "baskets.parquet", rows, names)

    def lists(customer, repeat=None):
        return {1: [20, 30], 2: [20]}[customer] if repeat is False else {1: [10, 20], 2: [30]}[customer]

    run, known = run_of(tmp_path, lists)
    found = next_basket.judge(run)
    assert known.log.time_kind == ("timestamp" if timed else "position")
    assert len(known.log) == 4
    assert len(known.log.vocabularies["order_id"]) == 3
    assert [options for *_, options in known.asked] == [{}, {"repeat": False}]
    assert found["recall@10"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["ndcg@10"] == pytest.approx((1 / (1 + 1 / log2(3)) + 1) / 2, abs=1e-5)
    assert found["recall_new@10"] == 1.0  # of 1 alone: 2 bought nothing new


def test_what_is_relevant_counts_once_and_unknown_items_are_missed():
    customers, known = np.array([7, 3]), Vocabulary.from_values([10, 20])
    owners, items = np.array([3, 3, 7, 8, 3, 3]), np.array([20, 20, 10, 20, 99, 98])
    assert relevant_of(customers, owners, items, known).toarray().tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]


def test_a_sample_is_drawn_with_a_seed_and_judged_alone(tmp_path):
    train = [(user, user % 4, "train") for user in range(30)]
    write(
        tmp_path,
        "interactions.parquet",
        train + [(user, 9, "test") for user in range(30)],
        "user_id item_id split",
    )
    asked = []
    for seed in (0, 0, 1):
        run, known = run_of(tmp_path, lambda *_, **__: [], limit=5, rng=seed)
        random_split.judge(run)
        assert len(known.log) == 30
        asked.append(known.asked[0][0])
    assert asked[0] == asked[1] != asked[2]
    assert len(set(asked[0])) == run.facts["customers"] == 5


# Each protocol, from the command line


def folder_for(protocol, folder):
    """Write a small folder in the form of a protocol: customers keep to items of their kind."""
    rng = np.random.default_rng(3)
    visits = [(who, (who % 4 * 6 + rng.choice(6, 5, replace=False)).tolist()) for who in range(60)]
    if protocol == "leave_last_out":
        rows = [(who, item, place) for who, items in visits for place, item in enumerate(items)]
        write(folder, "sequences.parquet", rows, "user_id item_id position")
    elif protocol == "sessions":
        write(folder, "train_sessions.parquet", visits, "session_id items")
        rows = [(who, items[:2], items[2]) for who, items in visits]
        write(folder, "test_prefix_target.parquet", rows, "example_id prefix target")
    elif protocol == "purchases":
        kinds = ["view", "view", "cart", "buy"]
        rows = [
            (who, item, kind) for who, items in visits for item, kind in zip(items[:4], kinds, strict=True)
        ]
        write(folder, "interactions_train.parquet", rows, "user_id item_id event_type")
        write(
            folder, "heldout_buy_test.parquet", [(who, items[4]) for who, items in visits], "user_id item_id"
        )
    elif protocol == "random_split":
        rows = [
            (who, item, "test" if place > 3 else "train")
            for who, items in visits
            for place, item in enumerate(items)
        ]
        write(folder, "interactions.parquet", rows, "user_id item_id split")
    else:
        rows = [
            (who, place // 2, item, "future" if place > 3 else "history")
            for who, items in visits
            for place, item in enumerate(items)
        ]
        write(folder, "baskets.parquet", rows, "user_id basket_index item_id split")


def called(monkeypatch, protocol, *arguments):
    module = importlib.import_module(f"benchmarks.quality.{protocol}")
    monkeypatch.setattr(sys, "argv", [protocol, *map(str, arguments)])
    return module.main(module.judge, protocol, module.__doc__)


FIGURES = {
    "leave_last_out": {"recall@10", "ndcg@10", "refit.recall@10", "refit.ndcg@10"},
    "sessions": {"recall@20", "mrr@20"},
    "purchases": {"hit_rate@10", "ndcg@10", "unseen.hit_rate@10", "unseen.ndcg@10"},
    "random_split": {"recall@20", "ndcg@20"},
    "next_basket": {"recall@10", "ndcg@10", "recall_new@10"},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_protocol_prints_one_line_of_figures_last(protocol, tmp_path, monkeypatch, capsys):
    folder_for(protocol, tmp_path)
    file = tmp_path / "found.json"
    found = called(
        monkeypatch, protocol, "--data", tmp_path, "--json", file, "--models", "item_knn,popularity",
        "--limit-customers", 40,
    )  # fmt: skip
    printed, progress = capsys.readouterr()
    assert json.loads(printed.splitlines()[-1]) == json.loads(file.read_text()) == found
    assert found.keys() >= FIGURES[protocol] | {"seconds", "peak_mib", "fit_seconds", "machine", "versions"}
    assert all(0 <= found[name] <= 1 for name in FIGURES[protocol])
    # Items are of four kinds, and each customer keeps to one: by chance 10 of 24 items would be right.
    assert max(found[name] for name in FIGURES[protocol]) > 0.6
    assert found["models"] == ["item_knn", "popularity"]
    assert (found["protocol"], found["data"], found["customers"]) == (protocol, tmp_path.name, 40)
    assert "fit: " in progress


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_missing_file_is_named(protocol, tmp_path, monkeypatch):
    with pytest.raises(
        SystemExit, match=r"\.parquet is missing: expected \w+\.parquet.* in --data \(found: no Parquet"
    ):
        called(monkeypatch, protocol, "--data", tmp_path)
    with pytest.raises(SystemExit, match="found: no such folder"):
        called(monkeypatch, protocol, "--data", tmp_path / "nowhere")


def test_a_split_in_other_words_is_refused(tmp_path):
    write(tmp_path, "interactions.parquet", [(1, 1, "train"), (1, 2, "valid")], "user_id item_id split")
    with pytest.raises(SystemExit, match=r"^column split holds train, valid: expected train and test\.$"):
        random_split.judge(Run(tmp_path))


def test_ours_stands_beside_what_was_published():
    found = {
        "protocol": "random_split", "data": "gowalla_lightgcn", "recall@20": 0.19, "ndcg@20": 0.15,
        "seconds": 61.0, "peak_mib": 512.0, "customers": 29858, "limit_customers": None, "models": ["ease"],
    }  # fmt: skip
    text = tables([found, {**found, "limit_customers": 500, "customers": 500, "data": "elsewhere"}])
    assert "| LightGCN | .1820 | .1547 |" in text
    assert "| **engagelib** | **.1900** | **.1500** |" in text
    assert "500 of its customers" in text
    assert text.count("### ") == 2
    assert text.count("LightGCN |") == 1  # elsewhere nothing was published
