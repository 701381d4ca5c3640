"""Visiting: anonymous visits that go on now, many at once, as histories."""

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from engagelib import errors
from engagelib.histories import Histories
from engagelib.recommender.request import Request, id_list, known_items
from engagelib.recommender.serving import Serving
from engagelib.scoring import Rows
from engagelib.weaving import weave_visits

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.vocabulary import Id


def visits_of(
    serving: Serving, sessions: "Iterable[Iterable[Id] | None] | pa.Array | pa.ChunkedArray", request: Request
) -> tuple[Histories, int]:
    """Return a history for each session, and how many of the ids looked at are unknown.

    Raises
    ------
    ArgumentError
        If `sessions`, or one of them, is no list of ids.
    """
    if isinstance(sessions, str | bytes) or not isinstance(sessions, Iterable):
        raise _no_lists(sessions)
    lists = [_ids(ids) for ids in id_list(sessions, "sessions")]
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    learned = serving.learned
    index = known_items(learned.histories.items, list(chain.from_iterable(lists)))
    known = index >= 0
    offsets = np.append(0, np.cumsum(lengths))
    offsets = np.append(0, np.cumsum(known))[offsets]
    visits = weave_visits(
        serving.live.as_of_now(learned.histories),
        offsets,
        index[known],
        learned.counted_as("view"),
        request.at,
    )
    return visits, int(len(known) - known.sum())


def left_out(block: Histories, request: Request) -> Rows | None:
    """Return what each visit of a block leaves out of its list: what was looked at, where all seen is."""
    return block.met("any") if request.seen.exclude_seen == "any" and block.n_events else None


def _ids(ids: Any) -> list[Any]:
    if isinstance(ids, list):
        return ids  # by far the most frequent, and there may be a million
    if ids is not None and (isinstance(ids, str | bytes) or not isinstance(ids, Iterable)):
        raise _no_lists(ids)
    return [] if ids is None else id_list(ids, "sessions")


def _no_lists(given: Any) -> errors.ArgumentError:
    expected, hint = "a list of ids for each visit", "one visit is sessions=[[first, second]]."
    return errors.bad_argument("sessions", given, expected, hint)
