"""The thin side of describing in C++: room for what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import FloatArray
from engagelib.scoring.describing import n_features_of
from engagelib.scoring.native import _kernel

if TYPE_CHECKING:
    from engagelib.scoring._operands import TopK
    from engagelib.scoring.describing import Clock, ItemFacts
    from engagelib.scoring.drawing import Events

_LATEST: Final = 2**63 - 1


def describe(
    found: Sequence[TopK],
    item_index: npt.NDArray[np.int32],
    events: Events,
    group: npt.NDArray[np.int8],
    n_groups: int,
    clock: Clock,
    facts: ItemFacts,
    n_threads: int,
) -> FloatArray | None:
    """Describe row by row."""
    features = np.empty((*item_index.shape, n_features_of(len(found), n_groups, facts)), np.float32)
    state = _kernel.describe(
        [best.item_index for best in found],
        [best.score for best in found],
        item_index,
        events.indptr,
        events.item_index,
        events.event_type,
        events.time,
        events.share,
        events.n_items,
        group,
        n_groups,
        _LATEST if clock.until is None else clock.until,
        clock.now,
        clock.day,
        facts.columns,
        facts.levels,
        facts.category,
        facts.n_categories,
        features.reshape(len(item_index), -1),
        n_threads,
    )
    if state > 0:
        raise errors.scoring.lists_unlike(events.n_items)
    return features if state == 0 else None
