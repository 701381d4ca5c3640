"""Weaving: rows of several histories become rows of one, as where two ids turn out to be one customer."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engagelib.histories import Histories


def stack_rows(blocks: Sequence[Histories]) -> Histories:
    """Put the rows of several blocks one below the other.

    All blocks are over the customers, items and tables of the first and hold the same codes; numbers that
    some lack are missing there. Their event types are those of the first, followed by others: the longest
    tuple becomes that of the whole.
    """
    if len(blocks) == 1:
        return blocks[0]
    first = blocks[0]
    ends = np.cumsum([block.n_events for block in blocks])
    offsets = [
        block.indptr[1:] + shift for block, shift in zip(blocks, [0, *ends[:-1].tolist()], strict=True)
    ]
    return replace(
        first,
        event_types=max((block.event_types for block in blocks), key=len),
        indptr=np.concatenate([[0], *offsets]).astype(np.int64),
        item_index=np.concatenate([block.item_index for block in blocks]),
        event_type=np.concatenate([block.event_type for block in blocks]),
        time=None if first.time is None else np.concatenate([block.time for block in blocks]),
        numbers={
            name: np.concatenate([_number(block, name) for block in blocks])
            for name in dict.fromkeys(name for block in blocks for name in block.numbers)
        },
        codes={name: np.concatenate([block.codes[name] for block in blocks]) for name in first.codes},
        share=None,  # an observed return is matched when it is asked for
    )


def _number(block: Histories, name: str) -> np.ndarray:
    found = block.numbers.get(name)
    return np.full(block.n_events, np.nan, np.float32) if found is None else found


def join_rows(block: Histories) -> Histories:
    """Make one row of all rows of a block, oldest event first; of one moment, the first row's come first."""
    order: slice | np.ndarray = slice(None)
    if block.time is not None and block.n_histories > 1:
        order = np.argsort(block.time, kind="stable")
    return replace(
        block,
        indptr=np.array([0, block.n_events], np.int64),
        item_index=block.item_index[order],
        event_type=block.event_type[order],
        time=None if block.time is None else block.time[order],
        numbers={name: values[order] for name, values in block.numbers.items()},
        codes={name: values[order] for name, values in block.codes.items()},
        share=None,  # what one id returned, another may have bought
    )


def weave_visits(
    base: Histories, offsets: np.ndarray, item_index: np.ndarray, event_type: str, at: int | None
) -> Histories:
    """Return visits that go on now, of nobody known, one a row: what `followed_by` makes of empty rows.

    Parameters
    ----------
    base
        The histories whose items, types and tables they share.
    offsets
        The items of row `r` are `item_index[offsets[r]:offsets[r + 1]]`, oldest first.
    item_index, event_type, at
        As for `Histories.followed_by`.
    """
    counts, n_new = np.diff(offsets), len(item_index)
    types = base.event_types if event_type in base.event_types else (*base.event_types, event_type)
    time: np.ndarray | None = None
    if base.time_kind == "timestamp":
        time = np.full(n_new, at if at is not None else base.newest or 0, np.int64)
    elif base.time_kind == "position":
        time = np.arange(1, n_new + 1) - np.repeat(offsets[:-1], counts)
    return replace(
        base,
        event_types=types,
        indptr=np.asarray(offsets, np.int64),
        item_index=np.asarray(item_index, np.int32),
        event_type=np.full(n_new, types.index(event_type), np.int16),
        time=time,
        numbers={name: np.full(n_new, np.nan, np.float32) for name in base.numbers},
        codes={name: np.full(n_new, -1, np.int32) for name in base.codes},
        n_visit=0,  # there is nothing before it that it could weigh less than
        share=None,
    )
