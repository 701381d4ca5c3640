"""Audiences: whom to ask, to win back or to listen to, best first and each with the reason."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.actions.customers.arguments import in_blocks, number
from engagelib.actions.customers.ledger import FINE, Ledger, Roles
from engagelib.actions.customers.lifecycle import Lifecycle
from engagelib.actions.customers.spots import Spots
from engagelib.actions.customers.stages import STAGES
from engagelib.drawing import check_unaltered
from engagelib.exporting import frame_of
from engagelib.histories import Histories
from engagelib.tables import Cell, Table, html_table
from engagelib.times import DAY, Moment, to_datetime, to_microseconds
from engagelib.vocabulary import Id


@dataclass(frozen=True, eq=False)
class Audience:
    """Customers by falling score, each with what speaks for them.

    Attributes
    ----------
    name
        What they have in common.
    customer_ids
        Whom to turn to; ties of the score go to the earlier id.
    score
        What they are ordered by, float64 of shape (n_customers,).
    reasons
        Under a name, one value a customer: built-in types.
    """

    name: str
    customer_ids: list[Id]
    score: np.ndarray
    reasons: Mapping[str, list[Any]]

    def __len__(self) -> int:
        return len(self.customer_ids)

    def __iter__(self) -> Iterator[Id]:
        return iter(self.customer_ids)

    def __getitem__(self, place: int) -> dict[str, Any]:
        one = {"customer_id": self.customer_ids[place], "score": float(self.score[place])}
        return one | {name: values[place] for name, values in self.reasons.items()}

    def to_records(self) -> list[dict[str, Any]]:
        """Return a mapping of built-in types for each customer: the id, the score and the reasons."""
        return [self[place] for place in range(len(self))]

    def to_frame(self) -> Any:
        """Return the same as a pandas frame, or as a pyarrow table where pandas is not installed."""
        return frame_of({"customer_id": self.customer_ids, "score": self.score, **self.reasons})

    def to_table(self, k: int = 20) -> Table:
        """Return the first `k` for people to look at."""
        names = ("customer_id", "score", *self.reasons)
        rows = [[_cell(name, self[place][name]) for name in names] for place in range(min(k, len(self)))]
        return Table(names, tuple(map(tuple, rows)), title=f"{self.name}: {len(self):,} customers")

    def __str__(self) -> str:
        return str(self.to_table())

    def __repr__(self) -> str:
        return f"Audience({self.name!r}, {len(self):,} customers)"

    def _repr_html_(self) -> str:
        table = self.to_table()
        return html_table(table.columns, table.rows, title=table.title)


def _cell(name: str, value: Any) -> Cell:
    if name.endswith("_id") and value is not None:
        return str(value)  # a number that is a name has no thousands
    return value if value is None or isinstance(value, str | int | float) else f"{value:%Y-%m-%d %H:%M}"


def _by_score(score: np.ndarray) -> np.ndarray:
    return np.argsort(-score, kind="stable")


def _moment(histories: Histories, at: Moment | int, what: str) -> int:
    if histories.time_kind != "timestamp":
        raise errors.log.needs_time(what, histories.time_kind)
    return int(at) if isinstance(at, int | np.integer) else to_microseconds(at)


def clicked_not_bought(
    histories: Histories,
    *,
    at: Moment | int,
    within_days: float = 14,
    click: Sequence[str] = ("message_click", "view", "cart"),
) -> Audience:
    """Find who clicked on something, or came by a message, and did not buy it since: for a survey.

    A click on an item is over once the customer buys that item, a click without an item once anything is
    bought, in the same moment or later.

    Parameters
    ----------
    histories
        With real times.
    at
        As of when: a datetime, or a text in ISO 8601; or microseconds since 1970.
    within_days
        How many days before `at` a click counts, above 0.
    click
        The event types that are clicks.

    Returns
    -------
    Customers by the number of clicks that came to nothing; of equal ones who clicked last comes first. The
    reasons are `n_items` (distinct items clicked), `last_click`, and `last_item_id` (None without an item).

    Raises
    ------
    NotEnoughDataError
        If the log has no real times, or none of the event types.
    """
    now, days = _moment(histories, at, "clicked_not_bought"), number("within_days", within_days, above=0)
    names = (click,) if isinstance(click, str) else tuple(click)
    if not set(names) & set(histories.event_types):
        raise errors.customers.no_click_types(names, histories.event_types)
    check_unaltered(histories)
    known = int(histories.indptr[histories.n_customers])
    assert histories.time is not None
    time, item = histories.time[:known], histories.item_index[:known].astype(np.int64)
    row = np.repeat(np.arange(histories.n_customers), np.diff(histories.indptr[: histories.n_customers + 1]))
    bought = Roles.of(histories.event_types, histories.item_types).purchases
    is_bought = np.isin(histories.event_type[:known], bought) & (time <= now)
    is_click = histories.of_type(*names)[:known] & ~is_bought & (time <= now)
    is_click &= time > now - round(days * DAY)
    clicks = np.flatnonzero(is_click)
    pair, last_of_pair = _last_times(row * (histories.n_items + 1) + item, time, np.flatnonzero(is_bought))
    anything, last_of_row = _last_times(row, time, np.flatnonzero(is_bought))
    of_item = _look_up(row[clicks] * (histories.n_items + 1) + item[clicks], pair, last_of_pair)
    of_any = _look_up(row[clicks], anything, last_of_row)
    clicks = clicks[np.where(item[clicks] >= 0, of_item, of_any) < time[clicks]]
    who, last, n_clicks = np.unique(row[clicks][::-1], return_index=True, return_counts=True)
    newest = clicks[len(clicks) - 1 - last]
    met = np.unique(np.stack([row[clicks], item[clicks]], axis=1)[item[clicks] >= 0], axis=0)
    n_items = np.bincount(met[:, 0], minlength=histories.n_customers)[who]
    order = np.lexsort((-time[newest], -n_clicks))
    who, newest, n_items = who[order], newest[order], n_items[order]
    last_item = [None if index < 0 else histories.items[index] for index in item[newest].tolist()]
    return Audience(
        "clicked and did not buy",
        histories.customers.ids(who.tolist()),
        n_clicks[order].astype(np.float64),
        {
            "n_items": n_items.tolist(),
            "last_click": [to_datetime(moment) for moment in time[newest].tolist()],
            "last_item_id": last_item,
        },
    )


def _last_times(key: np.ndarray, time: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys of some events, sorted, and the last time of each."""
    found, last = np.unique(key[which][::-1], return_index=True)
    return found, time[which[len(which) - 1 - last]]


def _look_up(key: np.ndarray, keys: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the time of each key, far in the past where it has none."""
    place = np.searchsorted(keys, key)
    found = np.append(keys, -1)[place] == key
    return np.where(found, np.append(times, 0)[place], np.iinfo(np.int64).min)


def about_to_lapse(
    histories: Histories, lifecycle: Lifecycle, *, at: Moment | int, within_days: float = 30
) -> Audience:
    """Find who will count as lapsing within the next days if they stay silent, the most valuable first.

    Parameters
    ----------
    histories
        With real times.
    lifecycle
        Says after how many days of silence a customer counts as lapsing.
    at
        As of when: a datetime, or a text in ISO 8601; or microseconds since 1970. Later events are not read.
    within_days
        How many days to look ahead, above 0.

    Returns
    -------
    Customers by the money of what they bought and kept, to cents, or by their purchases where the log has no
    values. The reasons are `stage`, `lapses` (when, if they stay silent), `n_purchases` and `silent_days`.
    """
    now, days = _moment(histories, at, "about_to_lapse"), number("within_days", within_days, above=0)
    row = np.arange(histories.n_customers)
    stages = lifecycle.of(histories, row, np.full(len(row), now))
    lapses = stages.last_event + np.rint(np.nan_to_num(stages.lapsing_after_days) * DAY).astype(np.int64)
    is_active = (stages.code > 0) & (stages.code < STAGES.index("lapsing"))
    who = np.flatnonzero(is_active & (lapses <= now + round(days * DAY)))
    score = stages.n_purchases[who].astype(np.float64)
    if "value" in histories.numbers:
        for places, some, local in in_blocks(histories, who):
            ledger = Ledger(some)
            spots = Spots.of(ledger.indptr, ledger.time, local, np.full(len(local), now))
            score[places] = np.round(spots.total(ledger.money) / FINE, 2)
    order = _by_score(score)
    who = who[order]
    return Audience(
        "about to lapse",
        histories.customers.ids(who.tolist()),
        score[order],
        {
            "stage": [STAGES[code] for code in stages.code[who].tolist()],
            "lapses": [to_datetime(moment) for moment in lapses[who].tolist()],
            "n_purchases": stages.n_purchases[who].tolist(),
            "silent_days": ((now - stages.last_event[who]) / DAY).tolist(),
        },
    )


@dataclass(frozen=True)
class NetPromoter:
    """How many would recommend the shop, less those who would not.

    Attributes
    ----------
    score
        From -100 to 100: the share of promoters less that of detractors, in per cent. None without answers.
    interval
        An approximate interval of 95% around it, within -100 and 100.
    n_promoters, n_passives, n_detractors
        Customers who answered 9 or 10; from 7 to below 9; below 7.
    """

    score: float | None
    interval: tuple[float, float] | None
    n_promoters: int
    n_passives: int
    n_detractors: int

    def __len__(self) -> int:
        return self.n_promoters + self.n_passives + self.n_detractors


def net_promoter(histories: Histories, *, at: Moment | int, since_days: float = 365) -> NetPromoter:
    """Return the Net Promoter Score (Reichheld, 2003) of the customers who answered a survey of late.

    An answer is an event of type "survey" with the answer, 0 to 10, as its rating; the last answer of each
    customer counts, the lowest of one moment.

    Parameters
    ----------
    histories
        With real times.
    at
        As of when: a datetime, or a text in ISO 8601; or microseconds since 1970.
    since_days
        How many days back an answer counts, above 0.

    Returns
    -------
    The score with an interval by the normal approximation to the difference of two shares of one sample. One
    answer of each kind is added for the interval, so that a few answers that agree are not taken for all.

    Raises
    ------
    NotEnoughDataError
        If the log has no real times, no answers at all, or one outside 0 to 10.
    """
    now, days = _moment(histories, at, "net_promoter"), number("since_days", since_days, above=0)
    if "rating" not in histories.numbers or "survey" not in histories.event_types:
        raise errors.customers.no_answers("net_promoter")
    ledger = Ledger(histories.block(0, histories.n_customers))
    wrong = ledger.answers & ~((ledger.rating >= 0) & (ledger.rating <= 10))
    if wrong.any():
        raise errors.customers.answer_out_of_range(float(ledger.rating[np.argmax(wrong)]))
    row = np.arange(histories.n_customers)
    spots = Spots.of(ledger.indptr, ledger.time, row, np.full(len(row), now))
    place = spots.newest(ledger.answers)
    place = place[place >= 0]
    place = place[ledger.time[place] > now - round(days * DAY)]
    answer = ledger.lowest(ledger.answers)[place]
    promoters, detractors = int((answer >= 9).sum()), int((answer < 7).sum())
    n, passives = len(answer), len(answer) - promoters - detractors
    if not n:
        return NetPromoter(None, None, 0, 0, 0)
    up, down = (promoters + 1) / (n + 3), (detractors + 1) / (n + 3)
    half = 1.959964 * math.sqrt((up + down - (up - down) ** 2) / (n + 3))
    middle = up - down
    interval = (100 * max(middle - half, -1.0), 100 * min(middle + half, 1.0))
    return NetPromoter(100 * (promoters - detractors) / n, interval, promoters, passives, detractors)
