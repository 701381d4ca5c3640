"""The plots draw what was counted and measured."""

import sys

import matplotlib as mpl
import numpy as np
import pytest

from engagelib import EventLog, Recommender, errors
from engagelib.datasets import make_shop
from engagelib.evaluation import compare
from engagelib.plots import plot_comparison, plot_events
from engagelib.splitting import split_by_time

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def shop_log():
    return make_shop(200, 50, 5_000, rng=0).log


def test_each_event_type_is_a_line_that_counts_its_events(shop_log):
    ax = plot_events(shop_log, days=7)
    types = shop_log.vocabularies["event_type"]
    assert [line.get_label() for line in ax.get_lines()] == [str(name) for name in types]
    counts = np.bincount(shop_log.columns["event_type"], minlength=len(types))
    assert [int(np.sum(line.get_ydata())) for line in ax.get_lines()] == counts.tolist()


def test_the_last_step_ends_at_the_newest_event():
    log = EventLog.from_frame(
        {
            "customer_id": [1, 1, 1],
            "item_id": [1, 2, 3],
            "timestamp": ["2024-01-01", "2024-01-02", "2024-01-08"],
        }
    )
    (line,) = plot_events(log, days=2).get_lines()
    assert line.get_ydata().tolist() == [1, 0, 0, 2]  # newest first: the 7th and 8th, ..., the 1st and 2nd


def test_events_go_where_they_are_told(shop_log):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert plot_events(shop_log, ax=ax) is ax


def test_events_need_times_and_a_width(shop_log):
    plain = EventLog.from_frame({"customer_id": [1], "item_id": [1]})
    with pytest.raises(
        errors.NotEnoughDataError, match=r"^plot_events needs a timestamp for each event; .* 'set'\."
    ):
        plot_events(plain)
    with pytest.raises(errors.ArgumentError, match=r"^days=0: expected a number above 0\.$"):
        plot_events(shop_log, days=0)


def test_a_comparison_is_a_point_for_each_recommender(shop_log):
    split = split_by_time(shop_log, test_days=28)
    comparison = compare({"popularity": Recommender("popularity"), "default": Recommender()}, split)
    ax = plot_comparison(comparison)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("coverage@10", "ndcg@10")
    assert [text.get_text() for text in ax.texts] == ["popularity", "default"]
    points = [tuple(points.get_offsets()[0]) for points in ax.collections]
    assert points == [
        (found.metrics["coverage@10"], found.metrics["ndcg@10"]) for found in comparison.rows.values()
    ]
    with pytest.raises(errors.ArgumentError, match=r"^y='speed': expected one of recall@10, .*\.$"):
        plot_comparison(comparison, y="speed")


def test_without_matplotlib_the_extra_is_named(shop_log, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(
        ImportError, match=r"^matplotlib is not installed\. Hint: pip install 'engagelib\[plots\]'\.$"
    ):
        plot_events(shop_log)
