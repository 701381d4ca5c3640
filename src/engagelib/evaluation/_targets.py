"""Targets: what policies would have done where decisions were logged, learned on other folds if need be."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.metrics.off_policy import checked_policy

Split = Literal["customers", "time"]


@dataclass(frozen=True)
class Folds:
    """Which decisions are judged together, by what was learned elsewhere.

    `of` is the fold of each decision, -1 for those only learned from; by time a fold is learned from those
    before it.
    """

    of: np.ndarray
    n: int
    by_time: bool

    @classmethod
    def draw(
        cls, decisions: LoggedDecisions, n_folds: int, split: Split, generator: np.random.Generator
    ) -> "Folds":
        whole = isinstance(n_folds, int | np.integer) and not isinstance(n_folds, bool)
        if not whole or n_folds < 2:
            raise errors.bad_argument("n_folds", n_folds, "an integer of at least 2")
        if split == "customers":
            return cls(_by_customer(decisions, n_folds, generator), n_folds, by_time=False)
        if split != "time":
            raise errors.bad_argument("split", split, "'customers' or 'time'")
        if decisions.time is None:
            raise errors.policies.needs_time()
        # One block more than folds: the first is only learned from. Equal times share a block.
        moments, place = np.unique(decisions.time, return_inverse=True)
        if len(moments) < n_folds + 1:
            raise errors.policies.too_few_for_folds(len(moments), n_folds + 1, "times")
        before = np.append(0, np.cumsum(np.bincount(place)))[:-1]
        block = before[place] * (n_folds + 1) // len(decisions)
        # A moment of many decisions may leave a block empty, which numbering without gaps closes.
        numbered = np.unique(block, return_inverse=True)[1] - 1
        return cls(numbered, int(numbered.max()) + 1, by_time=True)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give, for each fold, masks of what is learned from and of what is judged."""
        for fold in range(self.n):
            yield (self.of < fold if self.by_time else self.of != fold), self.of == fold


def _by_customer(decisions: LoggedDecisions, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    n = len(decisions)
    if decisions.customer is None:
        n_customers, code = n, np.arange(n)
    else:
        customers, code = np.unique(decisions.customer, return_inverse=True)
        n_customers = len(customers)
    if n_customers < n_folds:
        raise errors.policies.too_few_for_folds(n_customers, n_folds, "customers")
    fold_of = np.arange(n_customers) % n_folds
    generator.shuffle(fold_of)
    return fold_of[code]


def cross_fitted(model: Any, decisions: LoggedDecisions, folds: Folds, name: str) -> np.ndarray:
    """Return what a model predicts for each decision, learned on other folds; NaN where none is judged."""
    shape = (len(decisions), len(decisions.actions))
    predicted = np.full(shape, np.nan)
    for learned, judged in folds:
        fitted = deepcopy(model).fit(decisions.take(learned))
        found = np.asarray(fitted.predict(decisions.features[judged]), np.float64)
        expected = (int(judged.sum()), shape[1])
        if found.shape != expected:
            raise errors.policies.wrong_shape(f"what {name} predicts", found.shape, str(expected))
        predicted[judged] = found
    return predicted


def target_of(policy: Any, decisions: LoggedDecisions, folds: Folds, name: str) -> np.ndarray:
    """Return what a policy does: codes (n,) or probabilities (n, n_actions)."""
    n, n_actions = len(decisions), len(decisions.actions)
    if isinstance(policy, str):
        if policy not in decisions.actions:
            raise errors.policies.unknown_action(policy, decisions.actions)
        return np.full(n, decisions.actions.index(policy), np.int64)
    if isinstance(policy, type):
        raise errors.policies.no_policy(f"type ({policy.__name__})")
    if hasattr(policy, "fit"):
        return _learned(policy, decisions, folds, name)
    choose: Callable[[np.ndarray], Any] | None = getattr(policy, "action_probabilities", None)
    if choose is None and callable(policy):
        choose = policy
    if choose is not None:
        return checked_policy(_coded(choose(decisions.features), decisions), n, n_actions, name)
    if isinstance(policy, np.ndarray | list | tuple) or hasattr(policy, "__array__"):
        return checked_policy(_coded(policy, decisions), n, n_actions, name)
    raise errors.policies.no_policy(type(policy).__name__)


def _coded(given: Any, decisions: LoggedDecisions) -> np.ndarray:
    """Turn names of actions into codes; leave anything else."""
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "OUT":
        return array
    code = {name: place for place, name in enumerate(decisions.actions)}
    for name in array.tolist():
        if name not in code:
            raise errors.policies.unknown_action(name, decisions.actions)
    return np.array([code[name] for name in array.tolist()], np.int64)


def _learned(learner: Any, decisions: LoggedDecisions, folds: Folds, name: str) -> np.ndarray:
    """Learn a policy for each fold on the others: none is judged by what it learned from."""
    n, n_actions = len(decisions), len(decisions.actions)
    if not hasattr(learner, "action_probabilities") and hasattr(learner, "predict"):
        expected = cross_fitted(learner, decisions, folds, name)
        expected[np.isnan(expected)] = -np.inf
        if decisions.allowed is not None:
            expected = np.where(decisions.allowed, expected, -np.inf)
        return np.asarray(np.argmax(expected, axis=1), np.int64)
    if not hasattr(learner, "action_probabilities"):
        raise errors.policies.no_policy(type(learner).__name__)
    chances = np.zeros((n, n_actions))
    chances[:, 0] = 1.0  # of rows that no fold judges
    for learned, judged in folds:
        fitted = deepcopy(learner).fit(decisions.take(learned))
        found = _coded(fitted.action_probabilities(decisions.features[judged]), decisions)
        part = checked_policy(found, int(judged.sum()), n_actions, name)
        chances[judged] = np.eye(n_actions)[part] if part.ndim == 1 else part
    return chances
