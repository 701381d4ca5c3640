"""What was read into a log, what was set aside and why, as a table."""

from typing import TYPE_CHECKING

import numpy as np

from engagelib.events.customers import count_identities, merges_of
from engagelib.events.refusals import number_histories
from engagelib.returning import match_returns
from engagelib.tables import Cell, Table
from engagelib.times import DAY, spell
from engagelib.weights import EVENT_WEIGHTS

if TYPE_CHECKING:
    from engagelib.events.log import EventLog


def report_on(log: "EventLog") -> Table:
    """Count what stands in a log, in rows of (what, count, remark)."""
    _, n_histories = number_histories(log.columns, log.n_customers)
    with_events = len(np.unique(log.columns["item_id"][log.columns["item_id"] >= 0]))
    repeats = "set aside" if log.duplicates == "reject" else "kept: real logs repeat real events"
    rows: list[tuple[Cell, ...]] = [
        ("rows read", len(log) + len(log.rejected), ""),
        ("rows kept", len(log), ""),
        ("rows set aside", len(log.rejected), "see log.rejected" if len(log.rejected) else ""),
        *(("", count, reason) for reason, count in _reasons(log)),
        ("customers", log.n_customers, f"ids are {_IDS[log.customers.kind]}" if log.n_customers else ""),
        *_identities(log),
        ("anonymous visits", n_histories - log.n_customers, "they feed the models and are no customers"),
        ("items", log.n_items, f"ids are {_IDS[log.items.kind]}; {with_events:,} with events"),
        ("time", None, _span(log)),
        ("exact duplicates", log.n_duplicates, repeats),
        *_event_types(log),
        *_returns(log),
        *(("missing", None, text) for text in _missing(log)),
    ]
    if log.ignored:
        rows.append(("columns not read", len(log.ignored), ", ".join(log.ignored)))
    return Table(("what", "count", "remark"), tuple(rows), title="Event log")


def _identities(log: "EventLog") -> list[tuple[Cell, ...]]:
    """Say how many identities became how many customers."""
    if log.identities is None:
        return []
    n_identities, n_several = count_identities(log)
    remark = f"{n_several:,} {'customer' if n_several == 1 else 'customers'} came under more than one"
    rows: list[tuple[Cell, ...]] = [("identities", n_identities, remark)]
    if merges := merges_of(log).to_records():
        named = [f"{merge['merged']!r} into {merge['kept']!r}" for merge in merges[:_FEW]]
        rest = f" and {len(merges) - _FEW:,} more" if len(merges) > _FEW else ""
        remark = f"{', '.join(named)}{rest}; see log.identities.merges"
        rows.append(("customers merged", len(merges), remark))
    return rows


_FEW = 3
_IDS = {"int": "integers", "str": "text"}


def _reasons(log: "EventLog") -> list[tuple[str, int]]:
    if not len(log.rejected):
        return []
    counts = log.rejected["reason"].value_counts().to_pylist()
    return sorted(((pair["values"], pair["counts"]) for pair in counts), key=lambda pair: -pair[1])


def _span(log: "EventLog") -> str:
    if log.time_kind == "set":
        return "none: histories are sets"
    time = log.columns["time"]
    if not len(time):
        return "no events"
    first, last = int(time.min()), int(time.max())
    if log.time_kind != "timestamp":
        return f"positions {first:,} to {last:,}"
    # Ages are counted from the newest event: a single mistyped year would make all others old.
    before = int(time.max(where=time < last, initial=first))
    gap = (last - before) // DAY
    alone = (
        f"; the newest comes {gap:,} days after the one before, is it mistyped?" if gap > _LONG_GAP else ""
    )
    return f"{spell(first)} to {spell(last)} UTC{alone}"


def _event_types(log: "EventLog") -> list[tuple[Cell, ...]]:
    types = [str(name) for name in log.vocabularies["event_type"]]
    counts = np.bincount(log.columns["event_type"], minlength=len(types)).tolist()
    return [(f"event type {name}", count, _role(name)) for name, count in zip(types, counts, strict=True)]


def _role(event_type: str) -> str:
    if event_type == "return":
        return "each undoes the newest earlier purchase"
    if event_type in EVENT_WEIGHTS:
        return f"weight {EVENT_WEIGHTS[event_type]:g}"
    return f'weight 0; if it is one of ours by another name: event_types={{"{event_type}": "purchase"}}'


def _returns(log: "EventLog") -> list[tuple[Cell, ...]]:
    """Count the returns that found their purchase, up to the end of the log."""
    types = log.vocabularies["event_type"]
    is_return = log.columns["event_type"] == types.find("return")
    if types.find("return") < 0:
        return []
    history, _ = number_histories(log.columns, log.n_customers)
    is_move = is_return | (log.columns["event_type"] == types.find("purchase"))
    place = np.flatnonzero(is_move & (log.columns["item_id"] >= 0))
    # Without times all of a history is one moment.
    moment = log.columns["time"][place] if "time" in log.columns else np.zeros(len(place), np.int64)
    quantity = log.columns["quantity"][place] if "quantity" in log.columns else np.ones(len(place))
    _, unmatched = match_returns(
        history[place], log.columns["item_id"][place], is_return[place], quantity, moment=moment
    )
    without = int((unmatched > 0).sum())
    remark = (
        f"{log.n_relabelled:,} were purchases with a negative quantity or value" if log.n_relabelled else ""
    )
    return [
        ("returns matched", int(is_return.sum()) - without, remark),
        ("returns unmatched", without, "no earlier purchase covers them" if without else ""),
    ]


_LONG_GAP = 90
"""Days without an event before the newest one that are worth a remark."""


def _missing(log: "EventLog") -> list[str]:
    shares = []
    for name, values in log.columns.items():
        absent = (
            np.isnan(values) if values.dtype.kind == "f" else values < 0 if name in log.vocabularies else None
        )
        if absent is not None and absent.any():
            shares.append(f"{name} in {absent.mean():.1%} of rows")
    return shares
