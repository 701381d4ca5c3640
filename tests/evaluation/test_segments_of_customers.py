"""Segments hold the customers that their names say, and their figures are those of these alone."""

import json

import numpy as np
import pytest
from evaluation_cases import SPLIT, Told, log_of, shop

from engagelib import compare, evaluate
from engagelib.evaluation import SEGMENTS
from engagelib.events import EventLog
from engagelib.splitting import split_by_position, split_by_time


def test_figures_by_segment_are_those_worked_out_by_hand():
    found = evaluate("popularity", SPLIT, k=2, by_segment=True, names=("recall", "mrr", "coverage"))
    rows = found.segments.rows
    assert list(rows) == ["new", "light", "heavy", "explore", "channel app"]
    # e is shown p and q, and bought p. Of histories of 1 (d) and 2 (c) the median is 1.5.
    assert rows["new"].metrics == {"recall@2": 1.0, "mrr@2": 1.0, "coverage@2": 2 / 4}
    assert rows["light"].metrics == {"recall@2": 0.5, "mrr@2": 1.0, "coverage@2": 2 / 4}
    # b is listed s, and belongs here, too: with nothing to find, but with a list.
    assert rows["heavy"].metrics == {"recall@2": 0.5, "mrr@2": 0.5, "coverage@2": 2 / 4}
    assert rows["explore"].metrics == found.metrics
    assert {name: row.n_customers for name, row in rows.items()} == {
        "new": 1,
        "light": 1,
        "heavy": 1,
        "explore": 2,
        "channel app": 2,
    }


def test_repeats_and_what_is_new_to_a_customer_are_told_apart():
    found = evaluate("popularity", SPLIT, k=2, repeat=True, by_segment=("repeat",), names=("recall", "mrr"))
    rows = found.segments.rows
    # Everybody is shown p and q: b bought p again; d finds q of q and s, c nothing of s and a new item.
    assert rows["repeat"].metrics == {"recall@2": 1.0, "mrr@2": 1.0}
    assert rows["explore"].metrics == {"recall@2": 0.25, "mrr@2": 0.25}
    assert (rows["repeat"].n_customers, rows["explore"].n_customers) == (1, 2)


def test_channels_are_those_of_the_newest_event_before():
    found = evaluate("popularity", SPLIT, k=2, repeat=True, by_segment=("channel",), names=("recall",))
    assert {
        name: (row.n_customers, row.metrics["recall@2"]) for name, row in found.segments.rows.items()
    } == {
        "channel web": (1, 1.0),  # b
        "channel app": (2, 0.25),  # c and d, though they bought on the web afterwards
    }


def test_a_customer_of_several_channels_counts_in_the_newest():
    rows = ["a p 0 web", "a q 0.5 app", "b p 0 app", "b q 0.5 web", "a r 1 web", "b r 1 app", "c r 0 web"]
    split = split_by_time(log_of(rows), at="2024-01-02")
    found = evaluate(Told({"a": ["r"]}), split, by_segment=("channel",), names=("recall",))
    assert {name: row.metrics["recall@10"] for name, row in found.segments.rows.items()} == {
        "channel app": 1.0,
        "channel web": 0.0,
    }


def test_what_was_looked_at_is_not_what_was_bought():
    log = EventLog.from_frame(
        {
            "customer_id": ["a", "a", "b", "a", "a"],
            "item_id": ["p", "q", "q", "p", "q"],
            "timestamp": ["2024-01-01"] * 3 + ["2024-01-02"] * 2,
            "event_type": ["view", "purchase", "purchase", "purchase", "purchase"],
        }
    )
    split = split_by_time(log, at="2024-01-02")
    found = evaluate(Told({"a": ["p"]}), split, repeat=True, by_segment=("repeat",), names=("recall",))
    assert {name: row.metrics["recall@10"] for name, row in found.segments.rows.items()} == {
        "repeat": 0.0,
        "explore": 1.0,
    }


@pytest.mark.parametrize("split", [split_by_time(shop(), test_days=2), split_by_position(shop())])
def test_segments_of_customers_add_up_to_the_whole(split):
    found = evaluate("item_knn", split, by_segment=True, repeat=True)
    rows = found.segments.rows
    groups = [["light", "heavy"], ["channel ch0", "channel ch1", "channel ch2"]]
    for group in groups:
        sizes = [rows[name].n_customers for name in group]
        assert sum(sizes) == found.n_customers
        for metric in ("ndcg@10", "novelty@10", "recall@10"):
            means = [rows[name].metrics[metric] for name in group]
            assert np.average(means, weights=sizes) == pytest.approx(found.metrics[metric])
    for row in rows.values():
        for metric, (low, high) in row.intervals.items():
            assert low - 1e-12 <= row.metrics[metric] <= high + 1e-12


def test_all_of_one_length_are_light():
    log = EventLog.from_frame(
        {
            "customer_id": ["a", "b", "a", "b"],
            "item_id": ["p", "q", "q", "p"],
            "timestamp": ["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02"],
        }
    )
    found = evaluate("popularity", split_by_time(log, at="2024-01-02"), by_segment=True)
    assert list(found.segments.rows) == ["light", "explore"]  # no channels, nobody new, nothing bought again
    assert evaluate("popularity", split_by_time(log, at="2024-01-02")).segments is None


def test_a_test_log_alone_can_be_segmented():
    told = Told({"d": ["q"], "e": ["p"]}).fit(SPLIT.train)
    by_log = evaluate(told, SPLIT.test, by_segment=SEGMENTS, names=("recall",))
    assert by_log.segments == evaluate(told, SPLIT, by_segment=True, names=("recall",)).segments


def test_several_are_compared_in_each_segment():
    split = split_by_time(shop(n=2000), test_days=2)
    found = compare(["popularity", "item_knn"], split, by_segment=("history",), repeat=True)
    rows = found.segments.rows
    assert list(rows) == [(s, r) for s in ("light", "heavy") for r in ("popularity", "item_knn")]
    heavy = rows["heavy", "item_knn"]
    apart = heavy.metrics["ndcg@10"] - rows["heavy", "popularity"].metrics["ndcg@10"]
    assert heavy.differences["ndcg@10"].mean == pytest.approx(apart)
    record = json.loads(json.dumps(found.segments.to_records()))[-1]
    assert (record["segment"], record["recommender"]) == ("heavy", "item_knn")
    assert record["difference"] == pytest.approx(apart)
    assert {"segment", "recommender", "metric", "difference_low"} < set(
        found.segments.intervals().to_records()[0]
    )
    alone = evaluate("item_knn", split, by_segment=("history",), repeat=True, names=("ndcg",)).segments
    assert alone.rows["heavy"].metrics["ndcg@10"] == pytest.approx(heavy.metrics["ndcg@10"])


def test_segments_show_themselves_as_a_table():
    found = evaluate("popularity", SPLIT, k=2, by_segment=("history",), names=("recall",)).segments
    assert str(found) == (
        "segment  customers  recall@2\n"
        "-------  ---------  --------\n"
        "new              1    1.0000\n"
        "light            1    0.5000\n"
        "heavy            1    0.5000"
    )
    assert found.intervals().to_records()[0] == {
        "segment": "new",
        "metric": "recall@2",
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
    }
    assert "<table>" in found._repr_html_()
