"""Plots, for where people would rather look than read; they need the `plots` extra (matplotlib)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from engagelib import errors
from engagelib.times import DAY, to_datetime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from engagelib.evaluation import Comparison
    from engagelib.events import EventLog


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


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise errors.missing_extra("matplotlib", "plots") from error
    return plt.subplots(layout="constrained")[1]
