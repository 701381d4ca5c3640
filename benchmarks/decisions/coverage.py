"""How often 95% intervals of policy values hold the truth, where the truth is known.

Customers have one of 16 pairs of features; the logging policy prefers actions by the first, which also moves
the
outcome: confounded, with every chance known. The policies judged choose by the second. Features being few,
the truth is a sum and not another simulation.
"""

from typing import Any

import numpy as np

from engagelib.actions.logged import LoggedDecisions
from engagelib.evaluation import evaluate_policy

_GRID = np.array([(x, z) for x in np.linspace(-1.5, 1.5, 4) for z in np.linspace(-1.5, 1.5, 4)])
_ACTIONS = ("email", "call", "wait")


def _expected() -> np.ndarray:
    """Return the chance of success of each action, by pair of features."""
    x, z = _GRID.T
    scores = np.column_stack([0.8 * z - 0.9, -0.8 * z - 0.7, 0.1 * z - 0.8]) + 0.6 * x[:, None]
    return np.asarray(1 / (1 + np.exp(-scores)))


def _logging() -> np.ndarray:
    x = _GRID[:, 0]
    raised = np.exp(np.column_stack([0.9 * x, -0.9 * x, np.zeros(len(x))]))
    return np.asarray(0.1 + 0.7 * raised / raised.sum(axis=1, keepdims=True))


def simulate(n: int, rng: np.random.Generator) -> tuple[LoggedDecisions, np.ndarray]:
    """Return decisions, and the pair of features of each."""
    pair = rng.integers(0, len(_GRID), n)
    chances, expected = _logging()[pair], _expected()[pair]
    action = (chances.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1).astype(np.int32)
    rows = np.arange(n)
    reward = (rng.random(n) < expected[rows, action]).astype(float)
    features = _GRID[pair]
    log = LoggedDecisions(_ACTIONS, action, reward, features, ("x", "z"), p_logged=chances[rows, action])
    return log, pair


def policies() -> dict[str, np.ndarray]:
    """Return what each policy does, by pair of features."""
    raised = np.exp(2 * _expected())
    greedy = np.eye(len(_ACTIONS))[_expected().argmax(axis=1)]
    return {"best": greedy, "soft": raised / raised.sum(axis=1, keepdims=True)}


def run(n_seeds: int = 4000, n: int = 2000) -> list[dict[str, Any]]:
    """Return how often intervals of values and of gains held the truth, by policy and estimator."""
    expected, targets = _expected(), policies()
    truth = {name: float((target * expected).sum(axis=1).mean()) for name, target in targets.items()}
    logged = float((_logging() * expected).sum(axis=1).mean())
    constant = dict(zip(_ACTIONS, expected.mean(axis=0).tolist(), strict=True))
    held: dict[tuple[str, str, str], list[tuple[bool, float, float]]] = {}
    for seed in range(n_seeds):
        log, pair = simulate(n, np.random.default_rng(seed))
        found = evaluate_policy(log, {name: target[pair] for name, target in targets.items()}, rng=seed)
        # Folds are of one size, so that the best constant is worth the mean of those chosen.
        best = float(np.mean([constant[name] for name in found.chosen]))
        for name, by_estimator in found.policies.items():
            true = {
                "value": truth[name],
                "over_best": truth[name] - best,
                "over_logging": truth[name] - logged,
            }
            for estimator, judged in by_estimator.items():
                for what, right in true.items():
                    got = getattr(judged, what)
                    entry = (got.low <= right <= got.high, got.value - right, got.high - got.low)
                    held.setdefault((name, what, estimator), []).append(entry)
    return [
        {
            "policy": name,
            "figure": what,
            "estimator": estimator,
            "seeds": n_seeds,
            "decisions": n,
            "coverage": float(np.mean([inside for inside, _, _ in entries])),
            "bias": float(np.mean([off for _, off, _ in entries])),
            "rmse": float(np.sqrt(np.mean([off**2 for _, off, _ in entries]))),
            "width": float(np.mean([width for _, _, width in entries])),
        }
        for (name, what, estimator), entries in held.items()
    ]
