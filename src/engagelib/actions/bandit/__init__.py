"""Learning while deciding: what decisions taught beyond the model, and the chances to act on it."""

from engagelib.actions.bandit.linear import LinearBandit
from engagelib.actions.bandit.probabilities import action_probabilities, epsilon_greedy_probabilities

__all__ = ["LinearBandit", "action_probabilities", "epsilon_greedy_probabilities"]
