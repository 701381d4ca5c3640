"""Drawing: what stands between histories and the kernel that draws matrices from them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from engagelib import errors
from engagelib.cells import as_number, check_codes, check_offsets, weights_of
from engagelib.returning import match_returns
from engagelib.scoring import Rows
from engagelib.scoring.drawing import Aging, Events
from engagelib.segments import offsets_of, steps_back, sum_cells
from engagelib.times import DAY

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from engagelib.histories import Histories

Seen = Literal["purchased", "any"]
RowsBy = Literal["customer", "session", "order", "channel", "location"]

CODES: Final = {"channel": "channel", "location": "location", "order": "order_id", "session": "session_id"}
"""The columns of codes, and those of a log that they come from."""


class Taken(Mapping[str, np.ndarray]):
    """Columns of which some events are taken, each when it is asked for: most calls ask for none."""

    __slots__ = ("_columns", "_index")

    def __init__(self, columns: Mapping[str, np.ndarray], index: "slice | np.ndarray") -> None:
        self._columns = columns
        self._index = index

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name][self._index]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __reduce__(self) -> tuple[type, tuple[dict[str, np.ndarray]]]:
        # A copy holds what was taken, not the columns of everybody.
        return dict, ({name: self[name] for name in self},)


def events_of(histories: "Histories", at: int | None) -> Events:
    """Return the events as the kernel takes them, with what is left of each at a moment."""
    if at is None and histories._whole is not None:
        return histories._whole
    events = Events(
        histories.indptr,
        histories.item_index,
        histories.event_type,
        histories.time,
        shares_left(histories, at),
        len(histories.items),
        histories.n_visit,
    )
    if at is None:
        object.__setattr__(histories, "_whole", events)  # worked out of what never changes
    return events


def aging_of(
    histories: "Histories", half_life_days: float | None, half_life_steps: float | None, at: int | None
) -> Aging:
    """Check half-lives, and return how events fade; see `Histories.matrix` for what is refused."""
    for name, value in (("half_life_days", half_life_days), ("half_life_steps", half_life_steps)):
        if value is not None and not as_number(value) > 0:
            raise errors.bad_argument(name, value, "a number above 0, or None for no decay")
    if half_life_days is not None and histories.time_kind != "timestamp":
        raise errors.log.needs_time("half_life_days", histories.time_kind)
    if half_life_steps is not None and histories.time_kind == "set":
        raise errors.log.needs_order("half_life_steps")
    now = at if at is not None else histories.newest
    days = None if half_life_days is None or half_life_days == np.inf else DAY * half_life_days
    return Aging(at, 0 if now is None else now, days, None if half_life_steps == np.inf else half_life_steps)


def shares_left(histories: "Histories", at: int | None) -> np.ndarray | None:
    """Return the share of each event that was not returned up to a moment, None where nothing was."""
    if "return" not in histories.event_types:
        return None
    time = histories.time
    is_later = at is not None and time is not None and bool((time > at).any())
    if histories.share is not None and not is_later:
        return histories.share
    check_unaltered(histories)
    returned = histories.of_type("return")
    if not returned.any():
        return None
    moves = (returned | histories.of_type("purchase")) & (histories.item_index >= 0)
    if at is not None and time is not None:
        moves &= time <= at
    place = np.flatnonzero(moves)
    numbers = histories.numbers
    quantity = numbers["quantity"][place] if "quantity" in numbers else np.ones(len(place))
    moment = np.zeros(len(place), np.int64) if time is None else time[place]
    shares = np.ones(histories.n_events, np.float32)
    shares[place], _ = match_returns(
        histories.rows()[place], histories.item_index[place], returned[place], quantity, moment=moment
    )
    return shares


def draw_by(
    histories: "Histories",
    by: RowsBy,
    *,
    event_weights: Mapping[str, float] | None,
    half_life_days: float | None,
    half_life_steps: float | None,
    at: int | None,
) -> Rows:
    """Draw a matrix whose rows are sessions, orders, channels or locations; see `Histories.matrix`."""
    aging = aging_of(histories, half_life_days, half_life_steps, at)
    if by not in histories.codes:
        raise errors.log.needs_column(f'by="{by}"', CODES[by])
    check_unaltered(histories)
    rows, n_rows = histories.codes[by].astype(np.int64), len(histories.tables[by])
    check_codes(by, rows, -1, n_rows)
    time = histories.time
    weight = weights_of(histories.event_types, event_weights)[histories.event_type]
    weight[(histories.item_index < 0) | (rows < 0)] = 0.0
    if (shares := shares_left(histories, at)) is not None:
        weight *= shares
    if time is not None:
        if at is not None:
            weight[time > at] = 0.0
        if aging.half_life is not None:
            weight *= np.exp2(np.minimum(time - aging.now, 0) / aging.half_life)
        if aging.half_life_steps is not None:
            counts = np.flatnonzero(weight > 0)
            steps = steps_back(histories.rows()[counts], time[counts])
            weight[counts] *= np.exp2(-steps / aging.half_life_steps)
    kept = np.flatnonzero(weight > 0)
    shape = (n_rows, histories.n_items)
    row, item, value = sum_cells(rows[kept], histories.item_index[kept], weight[kept], shape)
    return Rows(offsets_of(row, n_rows), item, value, shape)


def seen_types(event_types: tuple[str, ...], item_types: tuple[str, ...], which: Seen) -> np.ndarray:
    """Say of each event type whether its items count as seen, bool, not to be written to."""
    if which == "any":
        return _among(event_types, event_types)
    return _among(event_types, item_types if len(item_types) == 1 else ("purchase", "return"))


@lru_cache(maxsize=256)
def _among(event_types: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    return np.array([name in names for name in event_types], bool)


def sound(histories: "Histories", rows: Rows | None) -> Rows:
    """Return what was drawn; where nothing could be, say what was altered."""
    if rows is None:
        check_unaltered(histories)
        found, expected = "has rows that overlap", "rows that follow each other"
        raise errors.log.altered_histories("indptr", found, expected)
    return rows


def check_unaltered(histories: "Histories") -> None:
    """Refuse what points outside the tables: the arrays may be mapped from a file that was altered."""
    indptr, n_events = histories.indptr, histories.n_events
    check_offsets(indptr[:-1], indptr[1:], n_events)
    if indptr[0] != 0 or indptr[-1] != n_events:
        found = f"leads from {indptr[0]} to {indptr[-1]}"
        raise errors.log.altered_histories("indptr", found, f"from 0 to {n_events}")
    check_codes("item_index", histories.item_index, -1, histories.n_items)
    check_codes("event_type", histories.event_type, 0, len(histories.event_types))


def canonical(rows: Rows) -> "csr_array":
    """Return rows that were drawn as a matrix that knows its indices to be sorted and distinct."""
    matrix = rows.to_matrix()
    matrix.has_canonical_format = True
    return matrix
