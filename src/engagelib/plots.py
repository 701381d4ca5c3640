"""Plots, for where people would rather look than read; they need the `plots` extra (matplotlib)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib import errors
from engagelib.times import DAY, to_datetime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from engagelib.evaluation import Comparison, Evaluation, PolicyEvaluation
    from engagelib.events import EventLog
    from engagelib.metrics import Reliability, UpliftCurve


def plot_events(log: "EventLog", *, days: float = 7.0, ax: "Axes | None" = None) -> "Axes":
    """Draw how many events of each type a log holds over time: gaps and bursts show at a glance.

    Parameters
    ----------
    log
        A log with timestamps.
    days
        Width of a step in days, above 0; steps are counted back from the newest event, so that the last one
        is whole.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    The axes, with one line for each event type.

    Raises
    ------
    NotEnoughDataError
        If the log has no timestamps.
    ArgumentError
        If `days` is not above 0.
    """
    if log.time_kind != "timestamp":
        raise errors.log.needs_time("plot_events", log.time_kind)
    if not days > 0:
        raise errors.bad_argument("days", days, "a number above 0")
    ax = _axes(ax)
    from matplotlib.dates import ConciseDateFormatter

    time, newest = log.columns["time"], int(log.columns["time"].max())
    steps_back = ((newest - time) // int(days * DAY)).astype(np.int64)
    n_steps = int(steps_back.max()) + 1
    ends = [to_datetime(newest - int(step * days * DAY)) for step in range(n_steps)]
    for code, name in enumerate(log.vocabularies["event_type"]):
        counts = np.bincount(steps_back[log.columns["event_type"] == code], minlength=n_steps)
        ax.plot(ends, counts, label=str(name))  # type: ignore[arg-type]
    formatter = ConciseDateFormatter(ax.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)
    ax.set(title="Events over time", ylabel=f"events in {days:g} days")
    ax.legend()
    return ax


def plot_comparison(
    comparison: "Comparison", *, x: str | None = None, y: str | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw recommenders as points of accuracy against coverage: up and to the right is better.

    Parameters
    ----------
    comparison
        What `engagelib.evaluation.compare` gave.
    x, y
        Metrics by name, such as "coverage@10" and "ndcg@10"; None for the coverage and the NDCG at the first
        cut.
    ax
        Where to draw; a new figure where None.

    Raises
    ------
    ArgumentError
        If a metric was not measured.
    """
    measured = {name: found.metrics for name, found in comparison.rows.items()}
    known = list(next(iter(measured.values())))
    chosen = [
        metric or next((name for name in known if name.startswith(start)), start)
        for metric, start in ((x, "coverage@"), (y, "ndcg@"))
    ]
    for name, metric in zip("xy", chosen, strict=True):
        if metric not in known:
            raise errors.bad_argument(name, metric, f"one of {', '.join(known)}")
    ax = _axes(ax)
    for name, metrics in measured.items():
        ax.scatter(metrics[chosen[0]], metrics[chosen[1]])
        ax.annotate(name, (metrics[chosen[0]], metrics[chosen[1]]), (6, 4), textcoords="offset points")
    ax.set(title="Accuracy against coverage", xlabel=chosen[0], ylabel=chosen[1])
    ax.margins(0.2)
    return ax


def plot_tradeoff(
    evaluations: "Comparison | Mapping[str, Evaluation]",
    *,
    x: str = "coverage",
    y: str = "ndcg",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw recommenders as points of what they give against what it takes, with 95% intervals.

    Parameters
    ----------
    evaluations
        What `engagelib.compare` gave, or `engagelib.evaluate` of several; or what it gave of each, by name.
    x, y
        Metrics, such as "coverage@10", or "coverage" for the first cut; or what was paid: "ms_per_customer",
        CPU milliseconds a list, and "fit_seconds". Costs are drawn on a scale of powers of ten, and those
        that were not measured, because a recommender came fitted, are left out.
    ax
        Where to draw; a new figure where None.

    Raises
    ------
    ArgumentError
        If something was not measured, or there is nothing to draw.
    """
    rows: Any = getattr(evaluations, "rows", evaluations)
    if not isinstance(rows, Mapping) or not rows:
        expected = "a Comparison, or a mapping of names to evaluations"
        raise errors.bad_argument("evaluations", type(evaluations).__name__, expected)
    points = {
        name: [_measured(found, what, along) for what, along in ((x, "x"), (y, "y"))]
        for name, found in rows.items()
    }
    ax = _axes(ax)
    for name, ((across, width), (up, height)) in points.items():
        if across is None or up is None:
            continue
        bars = {"xerr": width, "yerr": height, "elinewidth": 0.8, "capsize": 2}
        ax.errorbar(across, up, fmt="o", label=name, **bars)
        ax.annotate(name, (across, up), (6, 4), textcoords="offset points")
    for what, axis in ((x, "x"), (y, "y")):
        ax.set(**{f"{axis}label": _COSTS.get(what, what)})
        if what in _COSTS:
            ax.set(**{f"{axis}scale": "log"})
    ax.set(title="What is given for what is taken")
    ax.margins(0.2)
    return ax


_COSTS: Final = {"ms_per_customer": "CPU ms a customer", "fit_seconds": "seconds of fitting"}


def _measured(found: Any, what: str, axis: str) -> tuple[float | None, Any]:
    """Return a figure, and how far its interval reaches below and above it."""
    if what in _COSTS:
        return getattr(found, what), None
    name = (
        what if what in found.metrics else next((n for n in found.metrics if n.startswith(f"{what}@")), what)
    )
    if name not in found.metrics:
        raise errors.bad_argument(axis, what, f"one of {', '.join([*found.metrics, *_COSTS])}")
    value, (low, high) = found.metrics[name], found.intervals[name]
    # A percentile may fall beside the mean, and no bar is shorter than nothing.
    return value, [[max(value - low, 0.0)], [max(high - value, 0.0)]]


def plot_calibration(table: "Reliability", *, ax: "Axes | None" = None) -> "Axes":
    """Draw what came about against what was forecast: on the diagonal, forecasts can be taken at their word.

    Parameters
    ----------
    table
        What `engagelib.metrics.reliability_table` gave.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    The axes: a point for each bin, larger where more forecasts fell into it, with the 95% interval of the
    share (Wilson, 1927).

    Raises
    ------
    ArgumentError
        If the table has no bins.
    """
    if not len(table):
        raise errors.bad_argument("table", "no bins", "at least one forecast")
    ax = _axes(ax)
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as forecast")
    low, high = _wilson(table.share, table.n)
    reach = [np.maximum(table.share - low, 0.0), np.maximum(high - table.share, 0.0)]
    ax.errorbar(table.probability, table.share, yerr=reach, fmt="none", ecolor="0.4", elinewidth=0.8)
    ax.scatter(
        table.probability, table.share, s=20 + 80 * table.n / table.n.max(), zorder=3, label="came about"
    )
    edge = 1.05 * max(float(table.probability.max()), float(high.max()))
    ax.set(title="Calibration", xlabel="forecast", ylabel="share that came about")
    ax.set(xlim=(0, edge), ylim=(0, edge))
    ax.legend()
    return ax


def plot_qini(curves: "UpliftCurve | Mapping[str, UpliftCurve]", *, ax: "Axes | None" = None) -> "Axes":
    """Draw what treating the first so many by score would bring, beside a random order.

    Parameters
    ----------
    curves
        What `engagelib.metrics.qini_curve` or `uplift_curve` gave, or several of the same customers by name.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    The axes: a line for each curve, and a straight one for a random order, to the end of the first.

    Raises
    ------
    ArgumentError
        If there is nothing to draw.
    """
    named: Mapping[str, Any] = curves if isinstance(curves, Mapping) else {"by score": curves}
    if not named:
        raise errors.bad_argument("curves", {}, "at least one curve")
    ax = _axes(ax)
    first = next(iter(named.values()))
    ax.plot([0, first.n[-1]], [0, first.value[-1]], color="0.7", linewidth=1, label="random order")
    for name, curve in named.items():
        ax.plot(curve.n, curve.value, label=name)
    ax.set(
        title="What treating the first brings", xlabel="treated, by falling score", ylabel="extra outcomes"
    )
    ax.legend()
    return ax


def plot_policies(
    evaluation: "PolicyEvaluation", *, estimator: str | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw what each policy would have brought, with its interval, beside what the logging policy did.

    Parameters
    ----------
    evaluation
        What `engagelib.evaluate_policy` gave.
    estimator
        Of those that were asked for; None for the last one.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    The axes: from the top the policies, then what always taking each action would have brought, where the log
    can tell; the shade is the interval of the logging policy.

    Raises
    ------
    ArgumentError
        If that estimator was not asked for.
    """
    known = evaluation.estimators
    chosen = estimator or known[-1]
    if chosen not in known:
        raise errors.bad_argument("estimator", estimator, f"one of {', '.join(known)}")
    rows = {name: values[chosen].value for name, values in evaluation.policies.items()}
    for name, found in evaluation.constants.items():
        if found.values and f"always {name}" not in rows:
            rows[f"always {name}"] = found.values[chosen].value
    ax = _axes(ax)
    logging = evaluation.logging
    ax.axvspan(logging.low, logging.high, color="0.9", label="logging policy")
    ax.axvline(logging.value, color="0.6", linewidth=1)
    places = np.arange(len(rows))
    values = np.array([found.value for found in rows.values()])
    reach = [found.high - found.value for found in rows.values()]
    ax.errorbar(values, places, xerr=reach, fmt="o", capsize=2, elinewidth=0.8, label=chosen)
    ax.set_yticks(places, list(rows))
    ax.invert_yaxis()
    ax.set(title="What policies would have brought", xlabel="mean reward a decision")
    ax.legend()
    return ax


def _wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% interval of shares of n."""
    z = 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - reach, middle + reach


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise errors.missing_extra("matplotlib", "plots") from error
    return plt.subplots(layout="constrained")[1]
