"""Exploring: which places of a list are for items that are hardly shown, and which items are tried there.

All is drawn from the seed of the call, the customer's id and the moment, and from nothing else: a list is
the same alone as among others, in any process.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Content
from engagelib.ranking import HEAD
from engagelib.recommender.diversifying import Spread
from engagelib.recommender.learned import Learned
from engagelib.scoring import Rows
from engagelib.strings import StringColumn

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_PLACES, _START, _DRAWS = (np.uint64(number) for number in (1, 2, 3))
"""What is drawn, so that no two draws are of one number."""


def customer_seeds(spread: Spread, ids: Sequence[Any], at: int | None) -> np.ndarray:
    """Return the number that all of a customer's draws begin with, uint64 of shape (n_ids,).

    `ids` are canonical, None for who has none.
    """
    # 1 and "1" are two customers; escaped, any text can be stored.
    texts = StringColumn.from_strings([ascii(str(one)) if isinstance(one, str) else str(one) for one in ids])
    moment = np.uint64((-1 if at is None else at) % 2**64)
    return _mixed(_mixed(_mixed(texts.hashes()) ^ np.uint64(spread.rng)) ^ moment)


def trial_places(spread: Spread, seeds: np.ndarray, k: int) -> np.ndarray:
    """Return which places are for trials, bool of shape (n_rows, k).

    They come at even distances, from a place that is drawn, and never the first: of k places no more than
    `explore * k`, rounded up, and on average so many. A shorter list is the beginning of a longer one.
    """
    start = _uniform(seeds ^ _PLACES) * (1.0 - spread.explore)
    reached = np.floor(start[:, None] + spread.explore * np.arange(k + 1) + 1e-9)
    places = np.diff(reached, axis=1) > 0
    places[:, :1] = False
    return places


def draw_trials(
    spread: Spread,
    learned: Learned,
    block: Histories,
    seen: Rows | None,
    allowed: np.ndarray,
    seeds: np.ndarray,
    n_wanted: int,
    *,
    at: int | None,
) -> np.ndarray:
    """Draw the items to try, in their order, int32 of shape (n_rows, m), -1 where there are fewer.

    They are items that may be listed and that fewer than `LITTLE_KNOWN` events are known of. Where a content
    model scores any of them for a customer, its best `HEAD` come first, drawn without replacement with
    chances in proportion to their scores; then all others, each with the same chance.
    """
    pool = np.flatnonzero(allowed & learned.little_known)
    n_rows = len(seeds)
    if not len(pool):
        return np.full((n_rows, 0), -1, np.int32)
    parts = []
    content = next((model for model in learned.models if isinstance(model, Content)), None)
    if content is not None:
        found = content.score_topk(block, HEAD, at=at, exclude=seen, available=allowed & learned.little_known)
        drawn = _uniform(seeds[:, None] ^ _DRAWS ^ (found.item_index.astype(np.uint64) * _ODD))
        with np.errstate(divide="ignore"):
            key = np.log(-np.log(drawn)) - np.log(np.maximum(found.score, np.finfo(np.float32).tiny))
        key[found.item_index < 0] = np.inf
        parts.append(np.take_along_axis(found.item_index, np.argsort(key, axis=1, kind="stable"), axis=1))
    shuffled = pool[np.random.default_rng(spread.rng).permutation(len(pool))].astype(np.int32)
    taken = 0 if seen is None else int(np.diff(seen.indptr).max(initial=0))
    width = min(len(pool), n_wanted + taken + sum(part.shape[1] for part in parts))
    start = (_uniform(seeds ^ _START) * len(pool)).astype(np.int64)
    others = shuffled[(start[:, None] + np.arange(width)) % len(pool)]
    if seen is not None:
        n_items = block.n_items
        row = np.repeat(np.arange(n_rows), np.diff(seen.indptr))
        cells = np.arange(n_rows)[:, None] * n_items + others
        others[np.isin(cells, row * n_items + seen.indices)] = -1
    return np.concatenate([*parts, others], axis=1)


def _uniform(numbers: np.ndarray) -> np.ndarray:
    """Turn numbers into draws from the open interval from 0 to 1, float64."""
    return (((_mixed(numbers) >> np.uint64(11)).astype(np.float64)) + 0.5) * 2.0**-53


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Mix the bits of 64-bit numbers: the finalizer of SplitMix64 (Steele et al., 2014)."""
    mixed = numbers.astype(np.uint64) + _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
