"""Intervals are those of the samples that were drawn, and stand with every figure."""

import json
import math

import numpy as np
import pytest
from evaluation_cases import AFTER, BEFORE, SPLIT, Told, log_of, shop
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from engagelib import Recommender, compare, evaluate
from engagelib.evaluation import EVALUATION_METRICS, AskedWith, Comparison, _bootstrap
from engagelib.metrics import coverage, gini
from engagelib.models import ItemKNN
from engagelib.splitting import split_by_time

VALUES = st.lists(
    st.lists(st.one_of(st.just(math.nan), st.integers(-3, 3)), min_size=4, max_size=4), min_size=1, max_size=3
)


@settings(deadline=None)
@given(values=VALUES, seed=st.integers(0, 9))
def test_intervals_are_percentiles_of_means_of_samples(values, seed):
    values = np.array(values, float)
    low, high = _bootstrap.mean_intervals(values, 40, np.random.default_rng(seed))
    drawn = np.random.default_rng(seed).integers(0, 4, (40, 4))
    for place, row in enumerate(values):
        kept = [sample[~np.isnan(sample)] for sample in row[drawn]]
        means = [sample.mean() for sample in kept if len(sample)]
        expected = np.quantile(means, [0.025, 0.975]) if means else [math.nan] * 2
        assert_allclose([low[place], high[place]], expected, atol=1e-12)


@settings(deadline=None)
@given(data=st.data(), seed=st.integers(0, 9))
def test_errors_are_the_spread_of_samples_of_lists(data, seed):
    n_items, n_rows = 4, data.draw(st.integers(1, 5))
    rows = [data.draw(st.permutations(range(n_items)))[: data.draw(st.integers(0, 3))] for _ in range(n_rows)]
    lists = np.array([[*row, *[-1] * (3 - len(row))] for row in rows])
    got = _bootstrap.spread_errors(lists, n_items, 30, np.random.default_rng(seed))
    if not any(rows):
        assert np.isnan(got).all()
        return
    drawn = np.random.default_rng(seed).integers(0, n_rows, (30, n_rows))
    expected = [np.std([measure(lists[sample], n_items) for sample in drawn]) for measure in (coverage, gini)]
    assert_allclose(got, expected, atol=1e-12)


def test_blocks_of_samples_do_not_change_coverage_in_kind(monkeypatch):
    lists = np.random.default_rng(0).permuted(np.tile(np.arange(20), (50, 1)), axis=1)[:, :3]
    whole = _bootstrap.spread_errors(lists, 20, 200, np.random.default_rng(0))
    monkeypatch.setattr(_bootstrap, "_DRAWS", 170)
    parts = _bootstrap.spread_errors(lists, 20, 200, np.random.default_rng(0))
    assert_allclose(parts, whole, rtol=0.2)


def test_every_figure_has_an_interval_around_it():
    found = evaluate("item_knn", split_by_time(shop(), test_days=2), k=(3, 10), rng=5)
    assert list(found.intervals) == list(found.metrics)
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high
        assert low < high
    assert found == evaluate("item_knn", split_by_time(shop(), test_days=2), k=(3, 10), rng=5)


def test_intervals_do_not_depend_on_what_else_is_asked_for():
    split = split_by_time(shop(), test_days=2)
    alone = evaluate("popularity", split, names=("ndcg",))
    among = evaluate("popularity", split, by_segment=True)
    assert among.intervals["ndcg@10"] == pytest.approx(alone.intervals["ndcg@10"])


def test_more_customers_narrow_the_interval():
    few, many = (
        evaluate("popularity", split_by_time(shop(n=n), test_days=3), names=("ndcg", "coverage"), k=1)
        for n in (60, 600)
    )
    assert few.n_customers < many.n_customers
    width = [np.subtract(*found.intervals["ndcg@1"]) for found in (few, many)]
    assert -width[0] > -width[1]


# Several at once


def test_several_are_compared():
    split = split_by_time(shop(), test_days=2)
    pair = {"popular": "popularity", "near": ItemKNN()}
    found = evaluate(pair, split)
    assert isinstance(found, Comparison)
    assert found == compare(pair, split, names=EVALUATION_METRICS)
    assert found.metric == "ndcg@10"
    assert list(evaluate({"one": "popularity"}, split).to_records()[0])[-1] == "diversity@10"


def test_a_list_is_named_by_its_models():
    split = split_by_time(shop(), test_days=2)
    given = [
        "popularity",
        ItemKNN(k1=1.5),
        Recommender(),
        Recommender(["item_knn", "popularity"]),
        AskedWith("item_knn", fill=False),
    ]
    names = list(compare(given, split).rows)
    assert names[0] == "popularity"
    assert names[1] == "ItemKNN(k1=1.5)"
    assert names[2:] == ["auto", "item_knn + popularity", "AskedWith(item_knn, fill=False)"]


def test_differences_of_every_metric_come_with_intervals():
    split = split_by_time(shop(n=2000), test_days=2)
    found = compare(["popularity", "item_knn"], split, k=(5, 10), names=EVALUATION_METRICS, repeat=True)
    first, second = found.rows.values()
    assert first.differences == {}
    assert set(second.differences) == set(second.metrics) - {
        f"{name}@{k}" for name in ("coverage", "gini") for k in (5, 10)
    }
    for name, apart in second.differences.items():
        assert apart.mean == pytest.approx(second.metrics[name] - first.metrics[name])
        assert apart.low <= apart.mean <= apart.high
    assert (second.difference, second.low, second.high) == second.differences["ndcg@5"]
    records = json.loads(json.dumps(found.intervals().to_records()))
    assert len(records) == 2 * len(second.metrics)
    assert records[0]["difference"] is None
    assert records[-1] == {
        "recommender": "item_knn",
        "metric": "diversity@10",
        "value": second.metrics["diversity@10"],
        "low": second.intervals["diversity@10"][0],
        "high": second.intervals["diversity@10"][1],
        "difference": second.differences["diversity@10"].mean,
        "difference_low": second.differences["diversity@10"].low,
        "difference_high": second.differences["diversity@10"].high,
    }


# What was paid, and how it was asked


def test_costs_are_measured_and_are_no_part_of_what_is_printed():
    split = split_by_time(shop(), test_days=2)
    fitted = Recommender("popularity").fit(split.train)
    found = compare({"fitted": fitted, "fresh": "item_knn"}, split)
    first, second = found.costs().to_records()
    assert first["fit_seconds"] is None
    assert second["fit_seconds"] > 0
    assert first["ms_per_customer"] >= 0
    assert "seconds" not in str(found)
    alone = evaluate("item_knn", split)
    assert alone.costs().to_records()[0]["recommender"] == "item_knn"
    assert (alone.fit_seconds > 0, alone.ms_per_customer >= 0) == (True, True)


def test_further_arguments_reach_the_recommender_and_are_shown():
    told = Told({"d": ["q"]})
    found = evaluate(told, SPLIT, ask={"fill": False})
    assert [asked["fill"] for asked in told.asked] == [False]
    assert str(found).splitlines()[1].endswith("repeat=None, fill=False")
    told.asked.clear()
    both = compare({"plain": told, "unfilled": AskedWith(told, fill=False)}, SPLIT, ask={"explain": 1})
    assert [(asked.get("fill"), asked["explain"]) for asked in told.asked] == [(None, 1), (False, 1)]
    assert both.rows["unfilled"].fit_seconds is None  # it is the first one, which is fitted by then


def test_items_of_one_category_are_alike():
    goods = {"item_id": ["p", "q", "r", "s", "new"], "category": ["A", "A", "B", None, "A"]}
    split = split_by_time(log_of(BEFORE + AFTER, items=goods), at="2024-01-02")
    told = Told({"d": ["q", "p"], "c": ["r", "s", "p"]})
    found = evaluate(told, split, names=("diversity",), k=3)
    assert found.metrics["diversity@3"] == pytest.approx((0 + 1) / 2)


def test_a_recommender_with_other_items_is_measured_by_the_same_knowledge():
    # It knows more items, and numbers them in another way.
    more = Told({"d": ["q", "r"], "c": ["s", "r"]}).fit(log_of(BEFORE, items={"item_id": ["s", "a", "p"]}))
    whole = Told(more.lists).fit(SPLIT.train)
    assert list(more.items_)[:4] != list(whole.items_)
    both = compare({"more": more, "whole": whole}, SPLIT, names=("novelty", "diversity"), k=2)
    one, other = (row.metrics for row in both.rows.values())
    assert one == pytest.approx(other)
    assert one["novelty@2"] > 0
    goods = {"item_id": ["p", "q", "r", "s"], "category": ["A", "A", "B", "B"]}
    split = split_by_time(log_of(BEFORE + AFTER, items=goods), at="2024-01-02")
    both = compare({"more": more, "whole": whole}, split, names=("diversity",), k=2)
    assert [row.metrics["diversity@2"] for row in both.rows.values()] == [0.5, 0.5]
