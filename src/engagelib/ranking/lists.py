"""Lists: candidates of many histories with their features, and which of them were met next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.ranking.ranker import HEAD, RANKED, features_of
from engagelib.ranking.slices import Slice
from engagelib.scoring import Rows
from engagelib.scoring.blending import blend
from engagelib.scoring.describing import ItemFacts, n_features_of

Excluded = Callable[[Histories, int | None], Rows | None]
"""Says what of each history of a block a list leaves out, as of a moment."""

_BLOCK: Final = 1024

_OTHERS: Final = 0.2
"""Share of the candidates that were not met that is learned from."""

_DISCOUNT: Final = 1.0 / np.log2(np.arange(2, 12))
_DEPTH: Final = 10
"""Places of a list that are judged."""


@dataclass(frozen=True, eq=False)
class CandidateLists:
    """The candidates of those histories for whom one of them was met next.

    Attributes
    ----------
    features
        float32, shape (n_lists, RANKED, n_features).
    item_index
        In the order of the blend, int32, shape (n_lists, RANKED), -1 where short.
    is_met
        Whether the candidate was met next, bool of the same shape.
    n_targets
        How many items were met next, candidates or not, shape (n_lists,).
    n_asked
        How many histories were asked for.
    row
        The row of the slice's block that each is for, shape (n_lists,).
    """

    features: np.ndarray
    item_index: np.ndarray
    is_met: np.ndarray
    n_targets: np.ndarray
    n_asked: int
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.item_index)

    def take(self, which: np.ndarray) -> "CandidateLists":
        """Return some of the lists."""
        return CandidateLists(
            self.features[which],
            self.item_index[which],
            self.is_met[which],
            self.n_targets[which],
            self.n_asked,
            self.row[which],
        )

    def ndcg(self, score: np.ndarray | None = None) -> np.ndarray:
        """Judge the first ten by normalised discounted cumulative gain, by scores or by the blend."""
        is_met = self.is_met
        if score is not None:
            filled = np.where(self.item_index >= 0, score, -np.inf)
            is_met = np.take_along_axis(is_met, np.argsort(-filled, axis=1, kind="stable"), axis=1)
        gain = (is_met[:, :_DEPTH] * _DISCOUNT[:_DEPTH]).sum(axis=1)
        ideal = np.cumsum(_DISCOUNT[:_DEPTH])[np.minimum(self.n_targets, _DEPTH) - 1]
        return np.asarray(gain / ideal)


class Examples(NamedTuple):
    """Candidates one by one: `features`, float32 of shape (n, n_features), and whether each `is_met`."""

    features: np.ndarray
    is_met: np.ndarray


def thinned(lists: CandidateLists, rng: np.random.Generator) -> Examples:
    """Return the candidates of lists that were met next, and some of the others, drawn at random."""
    others = rng.random(lists.item_index.shape) < _OTHERS
    is_listed = lists.item_index >= 0
    kept = is_listed & (lists.is_met | others)
    if not (kept & ~lists.is_met).any():
        kept = is_listed
    return Examples(lists.features[kept], lists.is_met[kept])


def draw_lists(
    models: Sequence[Model],
    held: Slice,
    facts: ItemFacts,
    groups: tuple[tuple[str, ...], ...],
    *,
    weights: np.ndarray | None,
    asked: np.ndarray,
    excluded: Excluded,
    available: np.ndarray | None,
    most: int,
    rng: np.random.Generator,
) -> CandidateLists:
    """Ask the models for some histories of a slice, until so many lists hold something that was met next.

    What a list leaves out is no target. `asked` are rows of the slice's block; candidates are the best of the
    blend with these weights.
    """
    block, n_items = held.block, held.block.n_items
    order = rng.permutation(asked[np.diff(block.indptr)[asked] > 0])
    parts: list[CandidateLists] = []
    n_lists = n_asked = 0
    for start in range(0, len(order), _BLOCK):
        rows = np.sort(order[start : start + _BLOCK])
        part = block.take(rows)
        left_out = excluded(part, held.at)
        found = [
            model.score_topk(part, HEAD, at=held.at, exclude=left_out, available=available)
            for model in models
        ]
        item_index = blend(found, RANKED, n_items, weights=weights)[0]
        is_met, n_targets = _met(item_index, held.targets, rows, left_out)
        n_asked += int(np.count_nonzero(n_targets))
        kept = np.flatnonzero(is_met.any(axis=1))
        if not len(kept):
            continue
        some = [type(best)(best.item_index[kept], best.score[kept]) for best in found]
        features = features_of(some, item_index[kept], part.take(kept), held.at, groups, facts)
        parts.append(CandidateLists(features, item_index[kept], is_met[kept], n_targets[kept], 0, rows[kept]))
        n_lists += len(kept)
        if n_lists >= most:
            break
    if parts:
        return replace(stacked(parts), n_asked=n_asked)
    none = np.zeros((0, RANKED), np.int32)
    features = np.zeros((0, RANKED, n_features_of(len(models), len(groups), facts)), np.float32)
    return CandidateLists(features, none, none > 0, none[:, 0], n_asked, none[:, 0])


def _met(
    item_index: np.ndarray, targets: Rows, rows: np.ndarray, left_out: Rows | None
) -> tuple[np.ndarray, np.ndarray]:
    """Say which candidates are among the targets of their row, and how many targets each row has."""
    n_items = targets.shape[1]
    place = np.full(targets.shape[0], -1)
    place[rows] = np.arange(len(rows))
    row = place[np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))]
    wanted = (row * n_items + targets.indices)[row >= 0]
    if left_out is not None:
        out = np.repeat(np.arange(len(rows)), np.diff(left_out.indptr)) * n_items + left_out.indices
        wanted = wanted[~np.isin(wanted, out)]
    asked = np.arange(len(rows))[:, None] * n_items + item_index
    is_met = np.isin(asked, wanted) & (item_index >= 0)
    return is_met, np.bincount(wanted // n_items, minlength=len(rows))


def stacked(parts: Sequence[CandidateLists]) -> CandidateLists:
    """Put lists, of at least one drawing, one below the other; a single drawing is not copied."""
    if len(parts) == 1:
        return parts[0]
    return CandidateLists(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.item_index for part in parts]),
        np.concatenate([part.is_met for part in parts]),
        np.concatenate([part.n_targets for part in parts]),
        sum(part.n_asked for part in parts),
        np.concatenate([part.row for part in parts]),
    )
