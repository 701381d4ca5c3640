"""Weighing: how much each model counts in the blend that names the candidates."""

from typing import Final

import numpy as np

from engagelib.ranking.lists import CandidateLists
from engagelib.scoring.describing import PER_MODEL

_MOST_STEPS: Final = 20

_TIE: Final = 1e-9


def blended(lists: CandidateLists, weights: np.ndarray) -> np.ndarray:
    """Return the score of each candidate in a weighted blend, float64 of shape (n_lists, RANKED)."""
    scaled = lists.features[:, :, : len(PER_MODEL) * len(weights) : len(PER_MODEL)]
    return np.asarray(scaled.astype(np.float64) @ weights)


def learn_weights(lists: CandidateLists, n_models: int) -> np.ndarray:
    """Choose models one by one, each as often as it helps the blend most (Caruana et al., 2004).

    The first is the model that ranks best alone. What is judged is the mean NDCG@10 of the lists; it ends
    where no model makes it better, or after 20 steps. Of equal choices the first model is taken.

    Returns
    -------
    The share of the steps that chose each model, float64 of shape (n_models,).

    References
    ----------
    R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes, "Ensemble Selection from Libraries of Models",
    ICML 2004.
    """
    scaled = [lists.features[:, :, len(PER_MODEL) * model].astype(np.float64) for model in range(n_models)]
    chosen, best = np.zeros(n_models), -1.0
    # Candidates come in the order of another blend: of equal ones the last is first, so that a model which
    # says nothing does not shine with that order.
    total = _TIE * np.arange(lists.item_index.shape[1]) + np.zeros(scaled[0].shape)
    for _ in range(_MOST_STEPS):
        judged = [float(lists.ndcg(total + one).mean()) for one in scaled]
        model = int(np.argmax(judged))
        if judged[model] <= best:
            break
        best = judged[model]
        chosen[model] += 1
        total += scaled[model]
    return np.asarray(chosen / chosen.sum())
