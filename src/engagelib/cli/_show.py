"""Showing: tables and lists of suggestions as text that fits a terminal, and stages of work as they pass."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from engagelib.tables import Cell, Table, text_table

if TYPE_CHECKING:
    from engagelib.evaluation import PolicyEvaluation
    from engagelib.recommender.recommendations import Reason, Recommendations

WIDTH: Final = 100
_TITLE_WIDTH: Final = 38
_REASON_WIDTH: Final = 93  # of a line that may be indented twice
_REASONS: Final = 3
_UNNAMED: Final = {"other_items": "other items", "popular": "its popularity"}


@contextmanager
def stage(text: str) -> Iterator[None]:
    """Say on a terminal what is going on and how long it took; in a job's log this would be noise."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(f"{text} ... ", err=True, nl=False)
    start = time.perf_counter()
    try:
        yield
    except BaseException:
        click.echo(err=True)
        raise
    click.echo(f"{time.perf_counter() - start:.1f} s", err=True)


def shortened(text: str | None, width: int) -> str:
    """Cut a text that is too long, and show that it was."""
    text = " ".join((text or "").split())
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def fitted(table: Table, width: int = WIDTH) -> str:
    """Write a table with its widest column cut as far as the width asks for."""
    rows = [list(row) for row in table.rows]
    excess = max(map(len, text_table(table.columns, rows).splitlines()), default=0) - width
    texts = [place for place in range(len(table.columns)) if _longest(rows, place)]
    if excess > 0 and texts:
        widest = max(texts, key=lambda place: _longest(rows, place))
        limit = max(_longest(rows, widest) - excess, 12)
        for row in rows:
            if isinstance(row[widest], str):
                row[widest] = shortened(str(row[widest]), limit)
    return text_table(table.columns, rows, title=table.title)


def _longest(rows: Sequence[Sequence[Cell]], place: int) -> int:
    return max((len(cell) for row in rows if isinstance(cell := row[place], str)), default=0)


def suggestions(found: "Recommendations", *, explain: bool = False) -> str:
    """Write a list with titles and scores; with `explain`, below each item what speaks for it."""
    columns = ("rank", "item_id", "title", "score", "source")
    rows = [
        (entry.rank, str(entry.item_id), shortened(entry.title, _TITLE_WIDTH), entry.score, entry.source)
        for entry in found
    ]
    lines = text_table(columns, rows).splitlines()
    if explain:
        with_reasons = lines[:2]
        for line, entry in zip(lines[2:], found, strict=True):
            with_reasons += [line, f"    {because(entry.reasons, entry.score)}"]
        lines = with_reasons
    return "\n".join(lines)


def because(reasons: "Sequence[Reason]", score: float) -> str:
    """Name the strongest reasons and the part of the score that each gives, with titles cut to fit.

    Items that are not named stand last, with all that is not shown.
    """
    ordered = sorted(reasons, key=lambda reason: reason.kind == "other_items")
    rest = sum(reason.contribution for reason in ordered[_REASONS:])
    text = ""
    for limit in range(_TITLE_WIDTH, 11, -1):
        parts = [_spelled(reason, score, limit) for reason in ordered[:_REASONS]]
        if ordered[_REASONS:] and score > 0:
            parts.append(f"all else {rest / score:.0%}")
        text = f"from {', '.join(parts)}"
        if len(text) <= _REASON_WIDTH:
            break
    return text


def judged(found: "PolicyEvaluation") -> str:
    """Write what policies would have brought, and how much more than the best constant and than was done."""
    records = found.to_records()
    best = [str(row["policy"]) for row in records if str(row["policy"]).startswith(_BEST)]
    rows = [(row["policy"], *(row[name] for name in _JUDGED)) for row in records if row["policy"] not in best]
    names = ("policy", "value", "low", "high", "over best", "low", "high", "over done", "low", "high")
    title = [str(found).partition("\n")[0]]
    title += [f"over best: more than {name.removeprefix(_BEST)!r} for all" for name in best]
    return text_table(names, rows, title="\n".join([*title, "over done: more than what was done"]))


_BEST: Final = "best constant: "
_JUDGED: Final = (
    "value", "low", "high", "over_best", "best_low", "best_high", "over_logging", "logging_low",
    "logging_high",
)  # fmt: skip


def _spelled(reason: "Reason", score: float, limit: int) -> str:
    if reason.kind == "popular" and not reason.contribution:
        return "popularity: it completes the list"
    if reason.item_id is None:
        name = _UNNAMED.get(reason.kind, reason.kind.replace("_", " "))
    else:
        name = shortened(reason.title or str(reason.item_id), limit)
    return f"{name} {reason.contribution / score:.0%}" if score > 0 else name
