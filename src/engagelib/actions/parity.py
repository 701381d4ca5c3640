"""Parity: whether existing customers are offered less than new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from engagelib import errors
from engagelib.actions.answering import blocks_of
from engagelib.actions.arbitration import kinds_of
from engagelib.actions.state import Context, State
from engagelib.exporting import frame_of
from engagelib.tables import Cell, Table

_COLUMNS: Final = (
    "segment", "n_new", "n_existing", "new", "existing", "gap", "low", "high", "verdict",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Parity:
    """What new and existing customers are offered, overall and by segment.

    Attributes
    ----------
    rows
        A mapping a segment, the first overall: `segment`; `n_new` and `n_existing`; the mean offered to each,
        `new` and `existing`; `gap`, existing less new, with `low` and `high` of its interval; and `verdict`:
        "less" where existing customers are offered less, "more", or "no difference shown".
    level
        Of the intervals.
    """

    rows: tuple[Mapping[str, Any], ...]
    level: float

    @property
    def is_fair(self) -> bool:
        """Whether existing customers are nowhere shown to be offered less."""
        return all(row["verdict"] != "less" for row in self.rows)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows as mappings of built-in types."""
        return [dict(row) for row in self.rows]

    def to_frame(self) -> Any:
        """Return a pandas frame, or a pyarrow table where pandas is not installed."""
        return frame_of({name: [row[name] for row in self.rows] for name in _COLUMNS})

    def to_table(self) -> Table:
        """Return the rows for people to look at."""
        rows: list[tuple[Cell, ...]] = [tuple(row[name] for name in _COLUMNS) for row in self.rows]
        return Table(_COLUMNS, tuple(rows), title="What customers are offered, on average")

    def __str__(self) -> str:
        return str(self.to_table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()


def check_parity(
    benefit: Any,
    is_existing: Any,
    segments: Mapping[str, Any] | None = None,
    *,
    level: float = 0.95,
) -> Parity:
    """Compare what existing customers were offered, or got, with what new ones did.

    Parameters
    ----------
    benefit
        What each customer was offered, in money or as 0 and 1, finite, shape (n,).
    is_existing
        Whether they are an existing customer, bool, shape (n,).
    segments
        By name the segment that each belongs to, texts of shape (n,); "name=value" becomes a row where it
        has both new and existing customers.
    level
        Of the intervals, in (0, 1). The gap of two means, by Welch's standard error and the normal
        distribution; segments are looked at apart, without a correction for how many they are.

    Raises
    ------
    ArgumentError
        If lengths differ, or a benefit is not finite.
    NotEnoughDataError
        If there are fewer than two new, or fewer than two existing customers.
    """
    values, existing = np.asarray(benefit, np.float64), np.asarray(is_existing)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise errors.bad_argument("benefit", benefit, "finite numbers, one a customer")
    if existing.shape != values.shape or existing.dtype != bool:
        expected = f"bool of shape ({len(values)},)"
        raise errors.bad_argument("is_existing", f"of {existing.dtype} and shape {existing.shape}", expected)
    if not 0 < level < 1:
        raise errors.bad_argument("level", level, "a number between 0 and 1")
    for name, group in (("new", ~existing), ("existing", existing)):
        if group.sum() < _LEAST:
            raise errors.actions.nobody_to_compare(name, int(group.sum()))
    rows = [_compared("everybody", values, existing, level)]
    for name, texts in (segments or {}).items():
        given = np.asarray(texts, object)
        if given.shape != values.shape:
            raise errors.bad_argument(
                f"segments[{name!r}]", f"of shape {given.shape}", f"shape ({len(values)},)"
            )
        for text in sorted({str(one) for one in given if one is not None}):
            which = np.array([str(one) == text for one in given.tolist()], bool)
            if min((existing & which).sum(), (~existing & which).sum()) >= _LEAST:
                rows.append(_compared(f"{name}={text}", values[which], existing[which], level))
    return Parity(tuple(rows), level)


def _compared(segment: str, values: np.ndarray, existing: np.ndarray, level: float) -> dict[str, Any]:
    new, old = values[~existing], values[existing]
    gap = float(old.mean() - new.mean())
    error = float(np.sqrt(new.var(ddof=1) / len(new) + old.var(ddof=1) / len(old)))
    half = NormalDist().inv_cdf(0.5 + level / 2) * error
    verdict = "less" if gap + half < 0 else "more" if gap - half > 0 else "no difference shown"
    return {
        "segment": segment, "n_new": len(new), "n_existing": len(old), "new": float(new.mean()),
        "existing": float(old.mean()), "gap": gap, "low": gap - half, "high": gap + half, "verdict": verdict,
    }  # fmt: skip


def parity_of(state: State, context: Context, new_stages: Sequence[str], by: str | None) -> Parity:
    """Compare what the actions of kind "offer" come to; see `NextBestAction.check_parity`."""
    arbiter, names = state.arbiter, state.learned.known.names
    stages = names.texts["stage"]
    for stage in new_stages:
        if stage not in stages:
            raise errors.bad_argument("new_stages", stage, f"stages of {', '.join(stages)}")
    if by is not None and by not in names.texts:
        raise errors.bad_argument("by", by, f"one of {', '.join(names.texts)}, or None")
    offers = np.flatnonzero(kinds_of(arbiter.actions, "offer"))
    if not len(offers):
        raise errors.actions.no_offer(tuple(arbiter.known))
    gains = np.array([action.benefit for action in arbiter.actions])[offers]
    gains = gains if gains.any() else np.ones(len(offers))
    ids = context.serving.live.customers()
    keys = None if context.serving.live.is_empty and context.serving.live.identities is None else list(ids)
    rows = context.serving.learned.histories.customers.indices(ids if keys is None else keys)
    benefit, code = np.zeros(len(ids)), np.zeros((len(ids), len(names.texts)), np.int64)
    for block in blocks_of(state, context, ids, keys, rows):
        priority = np.where(block.why[:, offers] == 0, block.priority[:, 1 + offers], -np.inf)
        best = priority.argmax(axis=1)
        offered = priority[np.arange(len(best)), best] > 0
        benefit[block.part] = np.where(offered, gains[best], 0.0)
        code[block.part] = block.told.facts.codes
    of_stage = code[:, list(names.texts).index("stage")]
    is_known = of_stage != stages.index("unknown")
    is_new = np.isin(of_stage, [stages.index(name) for name in new_stages])
    segments = {}
    if by is not None and by != "stage":
        table = np.array([*names.texts[by], None], object)
        segments[by] = table[code[:, list(names.texts).index(by)]][is_known]
    found = check_parity(benefit[is_known], ~is_new[is_known], segments)
    if by != "stage":
        return found
    # A stage is all new or all existing: each existing one is compared with all who are new.
    more = []
    for place, name in enumerate(stages):
        which = is_known & (is_new | (of_stage == place))
        if name not in (*new_stages, "unknown") and (of_stage == place).sum() >= _LEAST:
            more.append(_compared(f"stage={name}", benefit[which], ~is_new[which], found.level))
    return Parity((*found.rows, *more), found.level)


_LEAST: Final = 2
"""Customers of which a standard error can be worked out."""
