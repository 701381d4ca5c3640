"""Made decisions with a known truth, small enough for tests."""

import numpy as np

from engagelib.actions.logged import LoggedDecisions


def made(n=2_000, *, n_actions=3, n_features=4, interaction=0.5, start=-1.0, rng=0, binary=True, truth=0):
    """Return decisions of a confounded policy with its chances, and the true mean of each action."""
    fixed, draws = np.random.default_rng([7, truth]), np.random.default_rng([rng, n])
    main = fixed.normal(size=n_features) * 0.4
    own = fixed.normal(size=(n_actions, n_features)) * interaction
    level = fixed.normal(size=n_actions) * 0.2
    features = draws.normal(size=(n, n_features))
    score = start + level + (features @ main)[:, None] + features @ own.T
    logging = np.exp(0.5 * features[:, :1] * np.arange(n_actions))
    logging = 0.7 * logging / logging.sum(axis=1, keepdims=True) + 0.3 / n_actions
    action = (draws.random(n)[:, None] > logging.cumsum(axis=1)).sum(axis=1).clip(0, n_actions - 1)
    row = np.arange(n)
    mean = 1 / (1 + np.exp(-score)) if binary else score
    reward = draws.random(n) < mean[row, action] if binary else mean[row, action] + draws.normal(size=n)
    decisions = LoggedDecisions(
        actions=("nothing", *"bcdefghij")[:n_actions],
        action=action.astype(np.int32),
        reward=reward.astype(np.float64),
        features=features,
        feature_names=tuple(f"f{place}" for place in range(n_features)),
        p_logged=logging[row, action],
    )
    return decisions, mean
