"""Chances: how likely each action was to be taken, estimated where nobody wrote it down."""

from typing import Final

import numpy as np

from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response.preparing import Preparation

_LEAST: Final = 0.01
_PENALTY: Final = 1.0


def estimated_chances(train: LoggedDecisions, test: LoggedDecisions) -> np.ndarray:
    """Return the chance of each action taken in `test`, by a multinomial model fitted on `train`.

    Only actions that a row allows share its chance. None falls below 0.01: a smaller estimate says more of
    the model than of the policy.

    Returns
    -------
    float64 in [0.01, 1], shape (n_test,).
    """
    from scipy.optimize import minimize

    prepare = Preparation.learn(train.features)
    design = _with_constant(prepare.apply(train.features))
    n, n_actions = len(train), len(train.actions)
    taken = np.zeros((n, n_actions))
    taken[np.arange(n), train.action] = 1.0
    # The action taken was possible, whatever a mask says of it.
    allowed = None if train.allowed is None else train.allowed | (taken > 0)
    penalty = np.full((design.shape[1], 1), _PENALTY)
    penalty[0] = 1e-6

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = flat.reshape(design.shape[1], n_actions)
        chance = _shares(design @ weight, allowed)
        found = np.log(np.maximum(chance[taken > 0], 1e-300)).sum()
        total = -found + 0.5 * (penalty * weight**2).sum()
        return total / n, ((design.T @ (chance - taken) + penalty * weight) / n).ravel()

    found = minimize(loss, np.zeros(design.shape[1] * n_actions), jac=True, method="L-BFGS-B")
    weight = found.x.reshape(design.shape[1], n_actions)
    row = np.arange(len(test))
    allowed = None
    if test.allowed is not None:
        allowed = test.allowed.copy()
        allowed[row, test.action] = True
    chance = _shares(_with_constant(prepare.apply(test.features)) @ weight, allowed)
    return np.asarray(np.maximum(chance[row, test.action], _LEAST))


def _with_constant(design: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(design), 1)), design], axis=1)


def _shares(score: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
    if allowed is not None:
        score = np.where(allowed, score, -np.inf)
    score = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(score / score.sum(axis=1, keepdims=True))
