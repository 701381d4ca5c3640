"""Made decisions whose truth is known: how much of what can be gained is gained, and do intervals hold.

The truth is a logistic model. Each customer has 12 standard normal features. A main effect of standard
deviation .3 moves all actions alike; half of the features also have a different effect for each of the 8
actions, of standard deviation .195; rewards come about 5 to 9% of the time. The logging policy prefers
actions by other functions of the same features, so that means by action mislead. With these sizes boosting
for each action, on 20,000 rows, gains about a seventh of what the best policy would over the best constant:
little enough signal for shrinking to matter, and linear, which is what the shared model assumes.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response import ActionResponse, safe_gate
from engagelib.actions.response.folding import folds_of
from engagelib.actions.response.gate import cross_fit, terms_of

_POPULATION = 20_000


@dataclass(frozen=True)
class World:
    """A truth, drawn from a seed.

    Attributes
    ----------
    seed
        Of the truth itself.
    interaction
        Standard deviation of what an action adds to the effect of a feature; 0 for no heterogeneity.
    """

    seed: int
    interaction: float = 0.195
    n_actions: int = 8
    n_features: int = 12
    main: float = 0.3
    start: float = -3.0

    def draw(self, n: int, rng: int) -> tuple[LoggedDecisions, np.ndarray]:
        """Return decisions of a confounded policy with its chances, and the true chance of each action."""
        truth = np.random.default_rng(self.seed)
        main = truth.normal(size=self.n_features) * self.main
        own_start = truth.normal(size=self.n_actions) * 0.15
        own = truth.normal(size=(self.n_actions, self.n_features)) * self.interaction
        own[:, self.n_features // 2 :] = 0.0
        preferred = truth.normal(size=(self.n_actions, self.n_features)) * 0.5
        draws = np.random.default_rng([self.seed, rng])
        features = draws.normal(size=(n, self.n_features))
        success = 1 / (1 + np.exp(-(self.start + own_start + (features @ main)[:, None] + features @ own.T)))
        logging = np.exp(features @ preferred.T)
        logging = 0.8 * logging / logging.sum(axis=1, keepdims=True) + 0.2 / self.n_actions
        action = (draws.random(n)[:, None] > logging.cumsum(axis=1)).sum(axis=1).clip(0, self.n_actions - 1)
        row = np.arange(n)
        decisions = LoggedDecisions(
            actions=tuple(f"action {place}" for place in range(self.n_actions)),
            action=action.astype(np.int32),
            reward=(draws.random(n) < success[row, action]).astype(np.float64),
            features=features,
            feature_names=tuple(f"feature {place}" for place in range(self.n_features)),
            p_logged=logging[row, action],
        )
        return decisions, success


def attained(chosen: np.ndarray, success: np.ndarray) -> tuple[float, float]:
    """Return what a choice gains over the best constant, and what the best policy does."""
    constant = success.mean(axis=0).max()
    value = success[np.arange(len(success)), chosen].mean()
    return float(value - constant), float(success.max(axis=1).mean() - constant)


def run(data: Path | None = None, *, n_worlds: int = 8, n_seeds: int = 1000) -> list[dict[str, Any]]:
    """Return a row a figure; `data` is not read."""
    return [*gains(n_worlds), without_heterogeneity(5 * n_worlds), coverage(n_seeds)]


def gains(n_worlds: int = 8) -> list[dict[str, Any]]:
    """Return how much of what is attainable each learner attains, over worlds, and in the extreme ones."""
    rows = []
    for n in (20_000, 100_000):
        for kind in ("shared", "per_action", "boosting"):
            found, seconds = [], []
            for seed in range(n_worlds):
                decisions, _ = World(seed).draw(n, 1)
                others, success = World(seed).draw(_POPULATION, 2)
                start = time.process_time()
                model = ActionResponse(kind).fit(decisions)
                seconds.append(time.process_time() - start)
                found.append(attained(model.predict(others.features).argmax(axis=1), success))
            gain, attainable = (float(np.sum(part)) for part in zip(*found, strict=True))
            rows.append(
                {
                    "benchmark": "synthetic",
                    "figure": "share of the attainable gain",
                    "rows": n,
                    "learner": kind,
                    "value": gain / attainable,
                    "lowest": min(one / most for one, most in found),
                    "highest": max(one / most for one, most in found),
                    "cpu_seconds": float(np.mean(seconds)),
                    "target": {("shared", 20_000): 0.68, ("shared", 100_000): 0.92}.get((kind, n)),
                }
            )
    return rows


def without_heterogeneity(n_worlds: int = 40) -> dict[str, Any]:
    """Return what is lost where the same action suits all customers, with and without the gate."""
    lost, ungated, opened = [], [], 0
    for seed in range(n_worlds):
        world = World(seed, interaction=0.0)
        decisions, _ = world.draw(20_000, 1)
        others, success = world.draw(_POPULATION, 2)
        gate = safe_gate(decisions, ActionResponse())
        chosen = ActionResponse().fit(decisions).predict(others.features).argmax(axis=1)
        constant = success.mean(axis=0)[decisions.actions.index(gate.best_constant)]
        personal = success[np.arange(len(success)), chosen].mean()
        opened += gate.opened
        lost.append(max(float(constant - personal), 0.0) if gate.opened else 0.0)
        ungated.append(float(constant - personal))
    return {
        "benchmark": "synthetic",
        "figure": "loss against the constant, no heterogeneity",
        "rows": 20_000,
        "worlds": n_worlds,
        "opened": opened,
        "value": float(np.mean(lost)),
        "largest": float(np.max(lost)),
        "without_gate_mean": float(np.mean(ungated)),
        "without_gate_largest": float(np.max(ungated)),
        "target": 0.0,
    }


class _Kept(ActionResponse):
    """A response model that remembers its copies, whose policies are what an interval is about."""

    def __init__(self, kept: list[ActionResponse]) -> None:
        super().__init__()
        self.kept = kept

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Kept":
        copied = _Kept(self.kept)
        self.kept.append(copied)
        return copied


def coverage(n_seeds: int = 1000, n: int = 3_000) -> dict[str, Any]:
    """Return how often the 95% interval of the gain holds the true gain.

    The truth is that of the policies that the interval is about: for each fold the policy and the constant
    learned from others, by the true chances of 20,000 other customers, averaged over folds. Each
    seed is another truth (4 actions, 4 features) and another log.
    """
    held, above, below = 0, 0, 0
    for seed in range(n_seeds):
        world = World(seed, interaction=0.4, n_actions=4, n_features=4, start=-1.5)
        decisions, _ = world.draw(n, 1)
        others, success = world.draw(_POPULATION, 2)
        kept: list[ActionResponse] = []
        learner = _Kept(kept)
        gate = safe_gate(decisions, learner)
        kept.clear()
        fold = folds_of(decisions, 5)
        crossed = cross_fit(decisions, learner, terms_of(None, None, 4), fold)
        true = 0.0
        for place, model in enumerate(kept):
            chosen = model.predict(others.features).argmax(axis=1)
            constant = crossed.constant[fold == place][0]
            gain = (success[np.arange(_POPULATION), chosen] - success[:, constant]).mean()
            true += float(gain) * float((fold == place).mean())
        held += gate.low <= true <= gate.high
        above += true > gate.high
        below += true < gate.low
    return {
        "benchmark": "synthetic",
        "figure": "share of 95% intervals of the gain that hold the truth",
        "rows": n,
        "seeds": n_seeds,
        "value": held / n_seeds,
        "truth_above": above / n_seeds,
        "truth_below": below / n_seeds,
        "target": "0.93 to 0.97",
    }
