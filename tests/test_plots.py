"""The plots draw what was counted and measured."""

import sys

import matplotlib as mpl
import numpy as np
import pytest

from engagelib import EventLog, Recommender, errors, plots
from engagelib.actions.logged import LoggedDecisions
from engagelib.datasets import make_shop
from engagelib.evaluation import compare, evaluate, evaluate_policy
from engagelib.metrics import qini_curve, reliability_table
from engagelib.plots import (
    plot_calibration,
    plot_comparison,
    plot_events,
    plot_policies,
    plot_qini,
    plot_tradeoff,
)
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


@pytest.fixture(scope="module")
def compared(shop_log):
    split = split_by_time(shop_log, test_days=28)
    return compare({"fitted": Recommender("popularity").fit(split.train), "default": "auto"}, split)


def points_of(ax):
    return [tuple(float(at[0]) for at in bars.lines[0].get_data()) for bars in ax.containers]


def test_a_tradeoff_is_a_point_for_each_recommender_with_its_intervals(compared):
    ax = plot_tradeoff(compared)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("coverage", "ndcg")
    assert [text.get_text() for text in ax.texts] == ["fitted", "default"]
    rows = compared.rows.values()
    assert points_of(ax) == [(row.metrics["coverage@10"], row.metrics["ndcg@10"]) for row in rows]
    for bars, row in zip(ax.containers, rows, strict=True):
        ends = [bar.get_segments()[0] for bar in bars.lines[2]]
        assert ends[0][:, 0].tolist() == pytest.approx(row.intervals["coverage@10"])
        assert ends[1][:, 1].tolist() == pytest.approx(row.intervals["ndcg@10"])


def test_a_tradeoff_against_cost_leaves_out_what_was_not_measured(compared):
    ax = plot_tradeoff(compared, x="fit_seconds", y="recall@10")
    assert (ax.get_xlabel(), ax.get_xscale()) == ("seconds of fitting", "log")
    assert [text.get_text() for text in ax.texts] == ["default"]
    default = compared.rows["default"]
    assert points_of(ax) == [(default.fit_seconds, default.metrics["recall@10"])]
    assert len(plot_tradeoff(compared, x="ms_per_customer").texts) == 2


def test_evaluations_by_name_are_drawn_too(shop_log):
    split = split_by_time(shop_log, test_days=28)
    found = {"popular": evaluate("popularity", split, k=(5, 10))}
    assert points_of(plot_tradeoff(found, x="novelty")) == [
        (found["popular"].metrics["novelty@5"], found["popular"].metrics["ndcg@5"])
    ]


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (
            lambda _: plot_tradeoff({}),
            r"evaluations='dict': expected a Comparison, or a mapping .*",
        ),
        (
            lambda _: plot_tradeoff(3),
            r"evaluations='int': expected a Comparison, or a mapping .*",
        ),
        (
            lambda found: plot_tradeoff(found, x="speed"),
            r"x='speed': expected one of .*, fit_seconds\.",
        ),
        (lambda _: plot_calibration(reliability_table([], [])), r"table='no bins': expected at least one .*"),
    ],
)
def test_what_can_not_be_drawn_is_refused(compared, draw, text):
    with pytest.raises(errors.ArgumentError, match=f"^{text}$"):
        draw(compared)


def test_calibration_is_a_point_for_each_bin():
    rng = np.random.default_rng(0)
    forecast = rng.random(400) / 2
    table = reliability_table(forecast, rng.random(400) < forecast, 5)
    ax = plot_calibration(table)
    (points,) = [found for found in ax.collections if len(found.get_offsets()) == 5]
    assert points.get_offsets()[:, 0].tolist() == table.probability.tolist()
    assert points.get_offsets()[:, 1].tolist() == table.share.tolist()
    # Wilson's interval of 9 of 80, by hand.
    low, high = plots._wilson(np.array([9 / 80]), np.array([80]))
    assert (low[0], high[0]) == pytest.approx((0.0604, 0.2000), abs=2e-3)
    assert plots._wilson(np.array([0.0]), np.array([10]))[0][0] == pytest.approx(0.0, abs=1e-12)


def test_without_matplotlib_the_extra_is_named(shop_log, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(
        ImportError, match=r"^matplotlib is not installed\. Hint: pip install 'engagelib\[plots\]'\.$"
    ):
        plot_events(shop_log)


def test_a_curve_of_uplift_stands_beside_a_random_order():
    rng = np.random.default_rng(0)
    y, s, t = rng.integers(0, 2, 50), rng.normal(size=50), np.arange(50) % 2
    curves = {"a model": qini_curve(y, s, t), "the other way": qini_curve(y, -s, t)}
    ax = plot_qini(curves)
    chance, *lines = ax.get_lines()
    assert [line.get_label() for line in lines] == list(curves)
    for line, curve in zip(lines, curves.values(), strict=True):
        assert line.get_xdata().tolist() == curve.n.tolist()
        assert line.get_ydata().tolist() == curve.value.tolist()
    end = curves["a model"]
    assert list(chance.get_ydata()) == [0, end.value[-1]]
    assert list(chance.get_xdata()) == [0, 50]
    assert plot_qini(end, ax=ax) is ax
    with pytest.raises(errors.ArgumentError, match=r"^curves=\{\}: expected at least one curve\.$"):
        plot_qini({})


def test_policies_are_points_with_their_intervals():
    rng = np.random.default_rng(0)
    n = 300
    log = LoggedDecisions(
        ("a", "b"),
        rng.integers(0, 2, n).astype(np.int32),
        rng.random(n),
        np.zeros((n, 0)),
        (),
        np.full(n, 0.5),
    )
    found = evaluate_policy(log, {"mixed": np.full((n, 2), 0.5), "always a": "a"})
    ax = found.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mixed", "always a", "always b"]
    points = ax.containers[0].lines[0]
    expected = [
        found["mixed"]["dr"].value,
        found["always a"]["dr"].value,
        found.constants["b"].values["dr"].value,
    ]
    assert points.get_xdata().tolist() == [each.value for each in expected]
    bars = ax.containers[0].lines[2][0].get_segments()
    assert [bar[1][0] for bar in bars] == pytest.approx([each.high for each in expected])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first stands on top
    assert plot_policies(found, estimator="ips", ax=ax) is ax
    first = ax.containers[1].lines[0].get_xdata()[0]
    assert first == found["mixed"]["ips"].value.value
    with pytest.raises(errors.ArgumentError, match=r"^estimator='dm': expected one of ips, snips, dr\.$"):
        plot_policies(found, estimator="dm")
