"""What the library's side of several benchmarks has in common."""

import inspect
from collections.abc import Callable
from typing import Any


def on_threads(function: Callable[..., Any], n_threads: int) -> dict[str, int]:
    """Return the argument that says how many threads a function may use; nothing where it has one anyway."""
    return {"n_threads": n_threads} if "n_threads" in inspect.signature(function).parameters else {}


def listed(found: Any) -> dict[str, float]:
    """Sum up lists, so that a reader sees that contenders found the same ones."""
    is_item = found.item_index >= 0
    return {"entries": int(is_item.sum()), "score_sum": float(found.score[is_item].sum(dtype=float))}
