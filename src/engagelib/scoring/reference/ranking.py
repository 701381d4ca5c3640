"""One ranking for many rows, without what each row excludes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import IndexArray, MaskArray, Rows
from engagelib.scoring._operands import Ranking
from engagelib.scoring.reference.rows import (
    block_rows,
    blocks,
    entries_of,
)


def ranking_topk(
    ranking: Ranking, n_rows: int, k: int, excluded: Rows | None, available: MaskArray | None
) -> npt.NDArray[np.int32]:
    """Strike each row's exclusions from the shared order, looking no further than they can push the list."""
    found = np.full((n_rows, k), -1, np.int32)
    if excluded is None:
        order = _first_available(ranking, k, available)
        found[:, : len(order)] = order
        return found
    n_excluded = np.diff(excluded.indptr)
    order = _first_available(ranking, k + int(n_excluded.max(initial=0)), available)
    for start, stop in blocks(n_rows, block_rows(len(order))):
        head = order[: k + int(n_excluded[start:stop].max())]
        row, item = entries_of(excluded, start, stop)
        by_item = np.argsort(head)
        kept = np.ones((stop - start, len(head)), np.bool_)
        if len(head):
            at = by_item[np.minimum(np.searchsorted(head, item, sorter=by_item), len(head) - 1)]
            struck = head[at] == item
            kept[row[struck], at[struck]] = False
        rank = np.cumsum(kept, axis=1)
        row, column = np.nonzero(kept & (rank <= k))
        found[start + row, rank[row, column] - 1] = head[column]
    return found


def _first_available(ranking: Ranking, n: int, available: MaskArray | None) -> IndexArray:
    """Read the ranking until n items were found that may be listed; most often they come soon."""
    if available is None:
        return ranking.first(n)
    stop = 2 * n
    while True:
        head = ranking.first(stop)
        listed = head[available[head]]
        if len(listed) >= n or stop >= len(ranking):
            return listed[:n]
        stop *= 4
