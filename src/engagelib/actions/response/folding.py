"""Folding: decisions in parts that share no customer, so that what is judged was not learned from."""

import numpy as np

from engagelib.actions.logged import LoggedDecisions


def folds_of(decisions: LoggedDecisions, n_folds: int, rng: int = 0) -> np.ndarray:
    """Return the fold of each decision, int64 in [0, n_folds); all of one customer's share a fold.

    Folds hold as many customers each, give or take one.
    """
    cluster, n_clusters = clusters_of(decisions)
    fold = np.random.default_rng(rng).permutation(np.arange(n_clusters) % n_folds)
    return np.asarray(fold[cluster])


def clusters_of(decisions: LoggedDecisions) -> tuple[np.ndarray, int]:
    """Return the customer of each decision, numbered from 0, and how many there are."""
    if decisions.customer is None:
        return np.arange(len(decisions)), len(decisions)
    held, cluster = np.unique(decisions.customer, return_inverse=True)
    return np.asarray(cluster), len(held)


def clustered_mean(values: np.ndarray, cluster: np.ndarray, n_clusters: int) -> tuple[float, float]:
    """Return the mean of values and its standard error, with one customer's values free to go together."""
    mean = float(values.mean())
    sums = np.bincount(cluster, weights=values - mean, minlength=n_clusters)
    if n_clusters < 2:
        return mean, float("inf")
    return mean, float(np.sqrt((sums**2).sum() * n_clusters / (n_clusters - 1)) / len(values))
