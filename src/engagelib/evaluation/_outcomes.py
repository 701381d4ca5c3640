"""Models that judging policies needs: what actions bring, and how likely they were, where nobody said."""

from typing import Any, Final, Self

import numpy as np

from engagelib.actions.logged import LoggedDecisions


class ShrunkOutcomes:
    """Expected reward of each action: one linear model for all, and each action's shrunk departure from it.

    Ridge regression in closed form, of standardised features; what is missing counts as the mean and is told
    by a feature of its own. How far coefficients are shrunk is taken from how far they vary beyond chance
    (empirical Bayes, by moments): effects that can't be told from noise vanish. Predictions stay within the
    rewards that were seen. An action without decisions is expected to bring what all do on average.

    The model is not meant to be the best there is: a doubly robust estimate is right on average with any.
    """

    def fit(self, decisions: LoggedDecisions) -> Self:
        """Learn from decisions; starts afresh."""
        self._scaling = Scaling(decisions.features)
        x = self._scaling.apply(decisions.features)
        self._mean = float(decisions.reward.mean())
        self._range = (float(decisions.reward.min()), float(decisions.reward.max()))
        rest = decisions.reward - self._mean
        self._shared = _ridge(x, rest, _penalty(x.T @ rest, (x**2).sum(axis=0), rest.var()))
        rest = rest - x @ self._shared
        noise = float(rest.var())
        code, n_actions = decisions.action, len(decisions.actions)
        n_taken = np.bincount(code, minlength=n_actions)
        sums = np.bincount(code, weights=rest, minlength=n_actions)
        taken = np.flatnonzero(n_taken)
        places = {action: np.flatnonzero(code == action) for action in taken.tolist()}
        own = _penalty(sums[taken], n_taken[taken], noise)
        products = np.array([x[rows].T @ rest[rows] for rows in places.values()])
        masses = np.array([(x[rows] ** 2).sum(axis=0) for rows in places.values()])
        penalties = np.append(own, np.full(x.shape[1], _penalty(products, masses, noise)))
        self._own = np.zeros((x.shape[1] + 1, n_actions))
        for action, rows in places.items():
            with_one = np.column_stack([np.ones(len(rows)), x[rows]])
            self._own[:, action] = _ridge(with_one, rest[rows], penalties)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the expected reward of each action, float64, shape (n, n_actions)."""
        x = self._scaling.apply(features)
        expected = (self._mean + x @ self._shared)[:, None] + self._own[0] + x @ self._own[1:]
        return np.asarray(np.clip(expected, *self._range))


class GuessedChances:
    """The logging policy, guessed: multinomial logistic regression of the actions on the features."""

    def fit(self, decisions: LoggedDecisions) -> Self:
        """Learn from decisions; starts afresh."""
        from scipy.optimize import minimize

        self._scaling = Scaling(decisions.features)
        x = np.column_stack([np.ones(len(decisions)), self._scaling.apply(decisions.features)])
        n_actions = len(decisions.actions)
        came = np.eye(n_actions)[decisions.action]
        shape = (x.shape[1], n_actions)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(shape)
            chance = _softmax(x @ weights)
            penalised = weights * (np.arange(len(weights)) > 0)[:, None]
            nats = -np.log(np.maximum((chance * came).sum(axis=1), 1e-300)).sum()
            gradient = x.T @ (chance - came) + penalised
            return (nats + 0.5 * float((penalised**2).sum())) / len(x), gradient.ravel() / len(x)

        found: Any = minimize(
            loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 300}
        )
        self._weights = found.x.reshape(shape)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the chance of each action, shape (n, n_actions)."""
        x = np.column_stack([np.ones(len(features)), self._scaling.apply(features)])
        return _softmax(x @ self._weights)


class Scaling:
    """Features made comparable: standardised, the missing ones told apart; those that never vary left out."""

    def __init__(self, features: np.ndarray) -> None:
        missing = np.isnan(features)
        n_there = np.maximum((~missing).sum(axis=0), 1)
        self._mean = np.where(missing, 0.0, features).sum(axis=0) / n_there
        rest = np.where(missing, 0.0, features - self._mean)
        spread = np.sqrt((rest**2).sum(axis=0) / n_there)
        # A spread of mere rounding would blow up noise.
        self._spread = np.where(spread > 1e-12 * (1 + np.abs(self._mean)), spread, np.inf)
        self._gaps = missing.any(axis=0) & ~missing.all(axis=0)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return standardised features and, for each that has gaps, where these are."""
        missing = np.isnan(features)
        scaled = np.where(missing, 0.0, (features - self._mean) / self._spread)
        # What lies far outside of all that was seen is not taken further.
        return np.column_stack([np.clip(scaled, -8.0, 8.0), missing[:, self._gaps]])


def _penalty(products: np.ndarray, masses: np.ndarray, noise: float) -> float:
    """Return the ridge penalty of coefficients that are, one by one, products / masses.

    Their sum of squares, weighed by mass, is `noise` each by chance alone; what is beyond tells how far they
    truly vary, and noise over that is the penalty (method of moments).
    """
    there = masses > 0
    if not there.any() or not noise > 0:
        return _MOST
    beyond = float((products[there] ** 2 / masses[there]).sum()) - noise * int(there.sum())
    return float(np.clip(noise * masses[there].sum() / max(beyond, 1e-300), 1.0, _MOST))


_MOST: Final = 1e12
"""A penalty that leaves nothing of a coefficient."""


def _ridge(x: np.ndarray, y: np.ndarray, penalty: Any) -> np.ndarray:
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(np.linalg.solve(gram, x.T @ y))


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
