"""Wording: the facts of a customer's page in words, laid out for a terminal and for a notebook."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import repeat
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from engagelib.recommender.recommendations import Reason
from engagelib.tables import Cell, html_table, text_table

if TYPE_CHECKING:
    from engagelib.recommender.pages import Bought, Line, Profile, Returned, Rhythm, Tally

WIDTH: Final = 100
"""Columns of a terminal that a page fits into."""

_MOST_NAMES: Final = 6
_MOST_REASONS: Final = 3
_LONGEST_NAME: Final = 40


def text_page(page: "Profile") -> str:
    """Write the page for a terminal: facts that are long go on below themselves, long titles are cut."""
    said = facts(page)
    room = max(len(label) for label, _ in said) + 2
    rows: list[tuple[str, str]] = []
    for label, text in said:
        lines = wrap(text, WIDTH - room)
        rows += zip([label, *repeat("", len(lines) - 1)], lines, strict=True)
    parts = [text_table(("", ""), rows, title="\n".join(wrap(heading(page), WIDTH)))]
    parts += [text_table(names, _narrowed(names, cells), title=title) for title, names, cells in lists(page)]
    if page.suggestions.shortfall:
        parts.append("\n".join(wrap(page.suggestions.shortfall, WIDTH)))
    return "\n\n".join(parts)


def html_page(page: "Profile") -> str:
    """Write the page for a notebook; everything is escaped."""
    parts = [html_table(("", ""), facts(page), title=heading(page))]
    parts += [html_table(names, cells, title=title) for title, names, cells in lists(page)]
    if page.suggestions.shortfall:
        parts.append(f"<p>{escape(page.suggestions.shortfall)}</p>")
    return "".join(parts)


def heading(page: "Profile") -> str:
    """Say whose page it is, and as of when."""
    asked_for: Any = page.suggestions.customer_id
    if isinstance(asked_for, tuple):
        asked_for = ":".join(map(str, asked_for))
    if asked_for is None:
        text = "An anonymous visitor"
    elif page.customer_id is None or str(asked_for) == str(page.customer_id):
        text = f"Customer {_name(asked_for)}"
    else:
        text = f"Customer {_name(page.customer_id)}, asked for as {_name(asked_for)}"
    text += "" if page.known or asked_for is None else " (unknown)"
    return text if page.as_of is None else f"{text}, as of {page.as_of:%Y-%m-%d %H:%M} UTC"


def facts(page: "Profile") -> list[tuple[str, str]]:
    """Say what is known in a few words each, under a word each."""
    found = []
    if page.identities:
        assert page.customer_id is not None  # nobody has no identities
        found.append(("known as", _some([_name(id_) for id_ in (page.customer_id, *page.identities)])))
    if not page.n_events:
        found.append(("history", "no event up to then" if page.known else "none is known"))
        return found
    if page.first_seen is not None and page.last_seen is not None and page.as_of is not None:
        ago = _n((page.as_of.date() - page.last_seen.date()).days, "day")
        found.append(("seen", f"{page.first_seen:%Y-%m-%d} to {page.last_seen:%Y-%m-%d}, {ago} ago"))
    types = _some(f"{_name(tally.name)} {tally.n_events:,}" for tally in page.event_types)
    found.append(("events", f"{page.n_events:,}: {types}"))
    if page.channels:
        found.append(("channels", _some(map(_channel, page.channels))))
    found.append(("bought", _bought(page.bought)))
    if page.returned.n_returns:
        found.append(("returned", _returned(page.returned)))
    if page.bought.n_purchases and page.rhythm.n_events_since is not None:
        found.append(("rhythm", _rhythm(page.rhythm)))
    if page.categories:
        shares = (f"{_name(one.category)} {one.share:.0%}" for one in page.categories)
        found.append(("categories", _some(shares)))
    return found


def lists(page: "Profile") -> list[tuple[str, list[str], list[tuple[Cell, ...]]]]:
    """Return the lists as tables: title, columns and rows."""
    found = []
    columns: dict[str, list[Cell]]
    if page.last_purchases:
        n_more = page.bought.n_purchases - len(page.last_purchases)
        title = "Bought last" if page.rhythm.n_events_since is not None else "Bought, in no order"
        title += f" ({len(page.last_purchases)} of {page.bought.n_purchases:,} purchases)" * (n_more > 0)
        columns = _columns(page.last_purchases)
        columns["returned"] = [
            f"{line.returned:.0%}" if line.returned else None for line in page.last_purchases
        ]
        found.append((title, *_with_content(columns)))
    if page.last_returns:
        found.append(("Returned", *_with_content(_columns(page.last_returns))))
    if len(page.suggestions):
        columns = {
            "rank": [entry.rank for entry in page.suggestions],
            "item_id": [str(entry.item_id) for entry in page.suggestions],
            "title": [entry.title for entry in page.suggestions],
            "source": [entry.source for entry in page.suggestions],
            "because of": [_because(entry.reasons) for entry in page.suggestions],
        }
        popular = all(entry.source == "popular" for entry in page.suggestions)
        title = "What to show next" if page.n_events or not popular else "What is popular"
        found.append((title, *_with_content(columns)))
    return found


def _bought(bought: "Bought") -> str:
    if not bought.n_purchases:
        return "nothing"
    text = _of_items(bought.quantity, bought.n_purchases, "purchase", bought.n_items)
    if bought.n_occasions is not None and bought.occasion is not None:
        where = {"order": "in", "day": "on", "position": "at"}[bought.occasion]
        text += f" {where} {_n(bought.n_occasions, bought.occasion)}"
    return text if bought.value is None else f"{text}, value {bought.value:,.2f}"


def _returned(returned: "Returned") -> str:
    text = _of_items(returned.quantity, returned.n_returns, "return", returned.n_items)
    if returned.value is not None:
        text += f", value {returned.value:,.2f}"
    if not returned.unmatched:
        return text
    return f"{text}; for {_number(returned.unmatched)} of them no purchase is known"


def _rhythm(rhythm: "Rhythm") -> str:
    assert rhythm.n_events_since is not None  # the caller has looked
    since = f"{_n(rhythm.n_events_since, 'event')} since the last purchase"
    if rhythm.days_since_last is None:
        return since
    text = f"last bought {_n(rhythm.days_since_last, 'day')} ago, {_n(rhythm.n_events_since, 'event')} since"
    if rhythm.usual_interval_days is None or rhythm.days_overdue is None:
        return text
    usual = f"usually every {_days(rhythm.usual_interval_days)} (median of {rhythm.n_intervals:,})"
    if rhythm.days_overdue < 0:
        return f"{usual}; {text}; due in {_days(-rhythm.days_overdue)}"
    was = "was" if rhythm.n_longer_intervals == 1 else "were"
    longer = f"{rhythm.n_longer_intervals:,} of the {_n(rhythm.n_intervals, 'interval')} {was} longer"
    return f"{usual}; {text}; {_days(rhythm.days_overdue)} overdue ({longer})"


def _of_items(quantity: float | None, n_events: int, event: str, n_items: int) -> str:
    if quantity is None:
        return f"{_n(n_events, event)} of {_n(n_items, 'item')}"
    return f"{_number(quantity)} {'piece' if quantity == 1 else 'pieces'} of {_n(n_items, 'item')}"


def _channel(tally: "Tally") -> str:
    name = "not stated" if tally.name is None else _name(tally.name)
    last = "" if tally.last_seen is None else f" (last {tally.last_seen:%Y-%m-%d})"
    return f"{name} {tally.n_events:,}{last}"


def _because(reasons: Sequence[Reason]) -> str:
    named = [reason.title or str(reason.item_id) for reason in reasons if reason.item_id is not None]
    kinds = [reason.kind.replace("_", " ") for reason in reasons]
    return "; ".join((named or kinds)[:_MOST_REASONS])


def _name(id_: object) -> str:
    """Write an id or a name in one short line: some are a megabyte long."""
    text = " ".join(str(id_).split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."


def _some(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _MOST_NAMES:,} more" if len(every) > _MOST_NAMES else ""
    return ", ".join(every[:_MOST_NAMES]) + more


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _days(days: float) -> str:
    return f"{_number(days)} {'day' if days == 1 else 'days'}"


def _number(value: float) -> str:
    """Write at most two decimals, and none where there are none."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _columns(lines: "Sequence[Line]") -> dict[str, list[Cell]]:
    return {
        "date": [None if line.timestamp is None else f"{line.timestamp:%Y-%m-%d}" for line in lines],
        "item_id": [str(line.item_id) for line in lines],
        "title": [line.title for line in lines],
        "channel": [None if line.channel is None else _name(line.channel) for line in lines],
        "quantity": _right(
            "quantity", [None if line.quantity is None else _number(line.quantity) for line in lines]
        ),
        "value": _right("value", [None if line.value is None else f"{line.value:,.2f}" for line in lines]),
    }


def _right(name: str, texts: Sequence[str | None]) -> list[Cell]:
    """Bring numbers that are texts already to one width, that of their heading at least."""
    width = max(map(len, [name, *filter(None, texts)]))
    return [None if text is None else text.rjust(width) for text in texts]


def _with_content(columns: dict[str, list[Cell]]) -> tuple[list[str], list[tuple[Cell, ...]]]:
    """Leave out columns without any content."""
    kept = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    return list(kept), list(zip(*kept.values(), strict=True))


def _narrowed(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Cut the longest texts as far as the width of a page asks for."""
    # Numbers were brought to one width; in other texts blanks say nothing.
    cells = [
        [" ".join(cell.split()) if isinstance(cell, str) and name not in ("quantity", "value") else cell
         for name, cell in zip(columns, row, strict=True)] for row in rows
    ]  # fmt: skip
    widths = [max(len(str(row[place] or "")) for row in cells) for place in range(len(columns))]
    room = WIDTH - 2 * (len(columns) - 1)
    limit = min(max(widths), WIDTH)
    while sum(max(len(name), min(width, limit)) for name, width in zip(columns, widths, strict=True)) > room:
        limit -= 1
    return [[_shortened(cell, limit) if isinstance(cell, str) else cell for cell in row] for row in cells]


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."
