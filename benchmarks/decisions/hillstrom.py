"""A randomised test of two e-mails against none: policies by doubly robust value, effects by Qini.

64,000 customers of an e-mail test that Kevin Hillstrom published in 2008; the reward is a visit within two
weeks. "Value" is that of a policy by 5-fold cross-fitting. "Qini" is of the women's e-mail against none, by
effects that were not learned from the customer: the area between the curve of additional visits and a
random order, in visits for each customer mailed, by scores of one fold at a time, averaged over folds and
seeds of folds. On the same scale a T-learner reaches .0073.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response import ActionResponse, Uplift, compare_learners, safe_gate
from engagelib.actions.response.folding import folds_of
from engagelib.actions.response.uplift import UpliftLearner

_CONTROL = "No E-Mail"
_ACTIONS = (_CONTROL, "Mens E-Mail", "Womens E-Mail")
_SEEDS = 4
_PUBLISHED = {"value of the best constant": 0.1823, "qini": 0.0073}


def decisions_of(data: Path) -> LoggedDecisions:
    """Read the test as decisions; kinds of place and channel become columns of 0 and 1."""
    table = pq.read_table(data / "hillstrom" / "email_test.parquet").to_pydict()
    columns = {
        name: np.array(table[name], np.float64) for name in ("recency", "history", "mens", "womens", "newbie")
    }
    for name in ("zip_code", "channel"):
        for value in sorted(set(table[name])):
            columns[f"{name}={value}"] = np.array([one == value for one in table[name]], np.float64)
    n = len(table["segment"])
    return LoggedDecisions(
        actions=_ACTIONS,
        action=np.array([_ACTIONS.index(segment) for segment in table["segment"]], np.int32),
        reward=np.array(table["visit"], np.float64),
        features=np.stack(list(columns.values()), axis=1),
        feature_names=tuple(columns),
        p_logged=np.full(n, 1 / 3),
    )


def run(data: Path) -> list[dict[str, Any]]:
    """Return a row a figure."""
    decisions = decisions_of(data)
    return [*values(decisions), *qinis(decisions)]


def values(decisions: LoggedDecisions) -> list[dict[str, Any]]:
    """Return what is used by default, and the table of challengers."""
    start = time.process_time()
    gate = safe_gate(decisions, ActionResponse())
    seconds = time.process_time() - start
    used = next(row for row in gate.table.to_records() if row["policy"] == gate.policy)
    rows = [
        {
            "benchmark": "hillstrom",
            "figure": "value of the default, with the gate",
            "learner": gate.policy,
            **{name: used[name] for name in ("value", "low", "high", "gain", "gain_low", "gain_high")},
            "opens": gate.opened,
            "cpu_seconds": seconds,
            "target": _PUBLISHED["value of the best constant"],
        }
    ]
    learners = {
        "shared": ActionResponse(),
        "per action": ActionResponse("per_action"),
        "boosting for each action": ActionResponse("boosting"),
        "T-learner, boosting": Uplift("t", "boosting", control=_CONTROL),
        "X-learner": Uplift("x", control=_CONTROL),
        "DR-learner": Uplift("dr", control=_CONTROL),
        "DR-learner, boosting": Uplift("dr", "boosting", control=_CONTROL),
    }
    challengers = compare_learners(decisions, learners).to_records()
    figure = {"benchmark": "hillstrom", "figure": "value of a challenger, without the gate"}
    return [*rows, *({**figure, **record} for record in challengers)]


def qinis(decisions: LoggedDecisions) -> list[dict[str, Any]]:
    """Return the Qini of each uplift learner, women's e-mail against none."""
    learners: tuple[UpliftLearner, ...] = ("shared", "t", "x", "dr", "class_transformation")
    lines = [_qini_row(decisions, Uplift(learner, control=_CONTROL), _SEEDS) for learner in learners]
    boosted = [_qini_row(decisions, Uplift(one, "boosting", control=_CONTROL), 1) for one in learners[1:4]]
    return lines + boosted


def _qini_row(decisions: LoggedDecisions, model: Uplift, n_seeds: int) -> dict[str, Any]:
    compared = decisions.action != _ACTIONS.index("Mens E-Mail")
    womens = decisions.action == _ACTIONS.index("Womens E-Mail")
    found, pooled = [], []
    for seed in range(n_seeds):
        fold = folds_of(decisions, 5, seed)
        effect = np.empty(len(decisions))
        for held in range(5):
            here = fold == held
            fitted = model.fit(decisions.take(~here))
            effect[here] = fitted.predict(decisions.features[here])[:, 2]
            judged = here & compared
            found.append(qini(effect[judged], decisions.reward[judged], womens[judged]))
        pooled.append(qini(effect[compared], decisions.reward[compared], womens[compared]))
    return {
        "benchmark": "hillstrom",
        "figure": "qini, womens against none",
        "learner": f"{model.learner}, {model.base}",
        "value": float(np.mean(found)),
        "pooled": float(np.mean(pooled)),
        "pooled_lowest": min(pooled),
        "pooled_highest": max(pooled),
        "target": _PUBLISHED["qini"] if model.learner == "shared" else None,
    }


def qini(effect: np.ndarray, reward: np.ndarray, treated: np.ndarray) -> float:
    """Return the area between the Qini curve and a random order, in rewards for each one treated.

    The curve is, over the share of customers in falling order of effect, the reward of the treated less that
    of the others scaled to as many (Radcliffe, 2007); equal effects are one step.
    """
    order = np.argsort(-effect, kind="stable")
    effect, reward, treated = effect[order], reward[order], treated[order].astype(np.float64)
    last = np.flatnonzero(np.append(effect[1:] != effect[:-1], True))
    n_treated = treated.cumsum()[last]
    n_others = (last + 1) - n_treated
    others = (reward * (1 - treated)).cumsum()[last]
    curve = (reward * treated).cumsum()[last] - others * n_treated / np.maximum(n_others, 1)
    share, curve = np.append(0, last + 1) / len(effect), np.append(0, curve)
    area = ((curve[1:] + curve[:-1]) * np.diff(share)).sum() / 2
    return float((area - curve[-1] / 2) / n_treated[-1])
