"""Off-policy estimates beside what the other policy did bring, on the Open Bandit sample.

Two policies showed items of clothing at the same time: one by lot, one by Bernoulli Thompson sampling.
Either is estimated from the decisions of the other, and compared with the mean of its own.

Thompson sampling knew nothing of the visitor, so that its distribution depends on the position alone, and on
how
far it had learned. It is estimated by how often it showed each item at each position. The mean of the logged
chances would not do: they stand in the log as often as the item was shown, so that a mean over decisions
weighs
each item's high moments, and over items these means sum to two or three. The lot is exact: one over the
items.
"""

from pathlib import Path
from typing import Any

import numpy as np

from engagelib.actions.logged import LoggedDecisions
from engagelib.errors import NoSupportError
from engagelib.evaluation import evaluate_policy
from engagelib.metrics import mean_estimate

_FEATURES = ("position_text", "user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3")


def run(data: Path, *, max_weight: float | None = None) -> list[dict[str, Any]]:
    """Return a row for each campaign, direction and estimator."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(data / "impressions.parquet")
    table = table.append_column("position_text", pc.cast(table["position"], pa.string()))
    rows: list[dict[str, Any]] = []
    for campaign in ("all", "men", "women"):
        logs = {
            name: _read(
                table.filter(
                    pc.and_(pc.equal(table["campaign"], campaign), pc.equal(table["behavior_policy"], name))
                )
            )
            for name in ("random", "bts")
        }
        for log, target in (("random", "bts"), ("bts", "random")):
            rows += _judge(campaign, log, target, logs, max_weight)
    return rows


def _read(table: Any) -> LoggedDecisions:
    names = {"action": "item_id", "reward": "click", "p_logged": "propensity_score", "at": "timestamp"}
    return LoggedDecisions.from_frame(table, features=_FEATURES, **names)


def _judge(
    campaign: str, log: str, target: str, logs: dict[str, LoggedDecisions], max_weight: float | None
) -> list[dict[str, Any]]:
    decisions, other = logs[log], logs[target]
    n_actions = len(decisions.actions)
    assert other.actions == decisions.actions
    lot = np.full((len(decisions), n_actions), 1 / n_actions)
    chances = _shown_at(other)[_position(decisions)] if target == "bts" else lot
    own = mean_estimate(other.reward)
    facts = {"campaign": campaign, "log": log, "target": target}
    truth = {"on_policy": own.value, "on_policy_low": own.low, "on_policy_high": own.high}
    try:
        found = evaluate_policy(decisions, {target: chances}, max_weight=max_weight)
    except NoSupportError as error:
        return [{**facts, **truth, "refused": str(error)}]
    return [
        {
            **facts,
            "estimator": estimator,
            "value": judged.value.value,
            "low": judged.value.low,
            "high": judged.value.high,
            "effective_n": judged.value.effective_sample_size,
            "mean_weight": judged.mean_weight,
            **truth,
            "inside": own.low <= judged.value.value <= own.high,
        }
        for estimator, judged in found[target].items()
    ]


def _position(decisions: LoggedDecisions) -> np.ndarray:
    """Return the position of each decision, from 0."""
    columns = [f"position_text={place}" for place in (1, 2, 3)]
    places = [decisions.feature_names.index(name) for name in columns]
    return np.argmax(decisions.features[:, places], axis=1)


def _shown_at(decisions: LoggedDecisions) -> np.ndarray:
    """Return the share of each item among what was shown at each position, shape (3, n_items)."""
    n_actions = len(decisions.actions)
    cell = _position(decisions) * n_actions + decisions.action
    counts = np.bincount(cell, minlength=3 * n_actions).reshape(3, n_actions)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))
