"""ActionResponse: the chance, or the mean, of a reward for each action, of a customer with given features."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self, get_args

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response.checking import check_decisions, check_shape, checked_features, unpacked
from engagelib.actions.response.preparing import Preparation
from engagelib.actions.response.solving import fit_lines, rows_of, sigmoid
from engagelib.scoring.trees import Trees, score_trees
from engagelib.tables import Table

ResponseKind = Literal["auto", "shared", "per_action", "boosting"]
ResponseWeights = Literal["equal", "inverse"]

_AMPLE: Final = 20
"""Successes, and failures, for each column from which on an action is learned alone."""
_LARGEST_WEIGHT: Final = 20.0
_LEAST_BOOSTED: Final = 50


class ActionResponse:
    """What would come of each action for a customer, learned from decisions and what came of them.

    Parameters
    ----------
    kind
        "shared", one logistic model of all actions: weights that all share, and what each action adds to
        them, shrunk as strongly as the decisions themselves ask for (see `solving.fit_lines`).
        "per_action", a model of its own for each action with at least 20 successes and 20 failures (20 rows
        where rewards are not 0 or 1) for each column, the shared one for the rest. "boosting", trees for each
        action with at least 50 of each. "auto", "shared" or "per_action", whichever forecasts better over
        three folds. Rewards other than 0 and 1 are fitted by least squares in place of the logistic loss.
    weights
        "equal", or "inverse": each decision counts one over its `p_logged`, at most 20 times the mean. A
        model that fits every action well needs no weights; one that does not is then right on average.
    own_penalty
        How strongly interactions are shrunk, in units of decisions; `inf` for none at all. None learns it.

    Attributes
    ----------
    actions_, feature_names_
        What it was fitted on.
    kind_
        The kind that was fitted.
    n_by_action_
        Number of decisions by action, int64.
    weight_
        Of the constant and of each prepared column by action, float64, shape (n_actions, 1 + n_columns).
    own_penalty_
        How strongly what actions add was shrunk, by column, the constant first.
    """

    def __init__(
        self,
        kind: ResponseKind = "shared",
        *,
        weights: ResponseWeights = "equal",
        own_penalty: float | None = None,
    ) -> None:
        self.kind: ResponseKind = kind
        self.weights: ResponseWeights = weights
        self.own_penalty = own_penalty

    def __repr__(self) -> str:
        return f"ActionResponse(kind={self.kind!r}, weights={self.weights!r}, own_penalty={self.own_penalty})"

    def fit(self, decisions: LoggedDecisions) -> Self:
        """Learn from decisions; what was learned before is forgotten.

        Raises
        ------
        NotEnoughDataError
            If there is no decision, or `weights` ask for chances that nobody wrote down.
        ArgumentError
            If an argument is outside its range or the decisions' arrays do not fit each other.
        """
        self._check()
        check_decisions(decisions, "a response model")
        if self.weights == "inverse" and decisions.p_logged is None:
            raise errors.response.no_chances("weights='inverse'")
        self.actions_, self.feature_names_ = decisions.actions, decisions.feature_names
        self.n_by_action_ = np.bincount(decisions.action, minlength=len(decisions.actions)).astype(np.int64)
        self.is_binary_ = bool(np.isin(decisions.reward, (0, 1)).all())
        self.prepare_ = Preparation.learn(decisions.features)
        self.trees_: dict[int, Trees] = {}
        self.kind_ = _likelier(decisions, self) if self.kind == "auto" else self.kind
        design = self.prepare_.apply(decisions.features)
        weight = _inverse_weights(decisions) if self.weights == "inverse" else None
        rows = rows_of(design, decisions.action, decisions.reward, len(decisions.actions), weight)
        lines, _ = fit_lines(rows, own_penalty=self.own_penalty)
        self.weight_ = lines.shared + lines.own
        self.own_penalty_ = lines.own_penalty
        for place in range(len(self.actions_)) if self.kind_ != "shared" else ():
            mine = decisions.action == place
            reward = decisions.reward[mine]
            least = min((reward == 0).sum(), (reward == 1).sum()) if self.is_binary_ else len(reward)
            own_weight = None if weight is None else weight[mine]
            if self.kind_ == "per_action" and least >= _AMPLE * (1 + design.shape[1]):
                alone = rows_of(design[mine], np.zeros(len(reward), int), reward, 1, own_weight)
                self.weight_[place] = fit_lines(alone)[0].shared
            elif self.kind_ == "boosting" and least >= _LEAST_BOOSTED:
                self.trees_[place] = boosted(design[mine], reward, own_weight, is_binary=self.is_binary_)
        return self._ready()

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return what would come of each action.

        Parameters
        ----------
        features
            Raw features as they were fitted on, shape (n, n_features); NaN is missing.

        Returns
        -------
        float64, shape (n, n_actions): chances where rewards are 0 or 1, otherwise means. An action without a
        decision is given what actions have in common; `unseen` names it.

        Raises
        ------
        ArgumentError
            If the features are of another width.
        """
        if not hasattr(self, "_columns"):
            raise errors.not_fitted("ActionResponse")
        design = self.prepare_.apply(checked_features(features, len(self.feature_names_)))
        score = design @ self._columns
        score += self._constant
        for place, trees in self.trees_.items():
            score[:, place] = score_trees(trees, design.astype(np.float32))
        return sigmoid(score) if self.is_binary_ else np.asarray(score)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The actions without a decision, whose numbers are what actions have in common."""
        return tuple(name for name, n in zip(self.actions_, self.n_by_action_, strict=True) if not n)

    def summary(self) -> Table:
        """Return what each action was learned from, and what moves it most."""
        names = self.column_names
        away = self.weight_[:, 1:] - self.weight_[:, 1:].mean(axis=0)
        rows = []
        for place, action in enumerate(self.actions_):
            n = int(self.n_by_action_[place])
            top = [
                column for column in np.argsort(-np.abs(away[place]))[:3] if abs(away[place, column]) > 1e-3
            ]
            told = ", ".join(f"{names[column]} {away[place, column]:+.2f}" for column in top)
            how = "trees" if place in self.trees_ else self.kind_ if n else "what actions have in common"
            rows.append((action, n, how, told or None))
        return Table(("action", "decisions", "learned", "moved, more than others, by"), tuple(rows))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the prepared columns, in the order of `weight_` without the constant."""
        flagged = [f"{self.feature_names_[place]} missing" for place in self.prepare_.flagged]
        return (*self.feature_names_, *flagged)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        if not hasattr(self, "_columns"):
            raise errors.not_fitted("ActionResponse")
        prepare = {f"prepare.{name}": part for name, part in self.prepare_.to_arrays().items()}
        trees = {
            f"trees.{place}.{name}": part
            for place, some in self.trees_.items()
            for name, part in some.to_arrays().items()
        }
        learned = ("weight_", "n_by_action_", "own_penalty_")
        return {**{name.removesuffix("_"): getattr(self, name) for name in learned}, **prepare, **trees}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "kind": self.kind,
            "weights": self.weights,
            "own_penalty": None if self.own_penalty is None else str(self.own_penalty),
            "fitted": self.kind_,
            "actions": list(self.actions_),
            "feature_names": list(self.feature_names_),
            "is_binary": self.is_binary_,
            "boosted": sorted(self.trees_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave.

        Raises
        ------
        ArtifactError
            If arrays do not belong together.
        """
        penalty = facts["own_penalty"]
        found = cls(facts["kind"], weights=facts["weights"], own_penalty=penalty and float(penalty))
        found.kind_ = facts["fitted"]
        found.actions_, found.feature_names_ = tuple(facts["actions"]), tuple(facts["feature_names"])
        found.is_binary_ = bool(facts["is_binary"])
        found.prepare_ = Preparation.from_arrays(unpacked(arrays, "prepare."))
        if found.prepare_.n_features != len(found.feature_names_):
            raise errors.response.unfit_arrays(f"{len(found.feature_names_)} names for other columns")
        n_actions, width = len(found.actions_), 1 + found.prepare_.n_columns
        found.weight_ = check_shape("weight", arrays["weight"], (n_actions, width))
        found.n_by_action_ = check_shape("n_by_action", arrays["n_by_action"], (n_actions,))
        found.own_penalty_ = check_shape("own_penalty", arrays["own_penalty"], (width,))
        found.trees_ = {
            place: Trees.from_arrays(unpacked(arrays, f"trees.{place}."), width - 1)
            for place in facts["boosted"]
        }
        return found._ready()

    def _ready(self) -> Self:
        self._columns = np.ascontiguousarray(self.weight_[:, 1:].T)
        self._constant = np.ascontiguousarray(self.weight_[:, 0])
        return self

    def _check(self) -> None:
        for name, value, known in (
            ("kind", self.kind, get_args(ResponseKind)),
            ("weights", self.weights, get_args(ResponseWeights)),
        ):
            if value not in known:
                raise errors.bad_argument(name, value, f"one of {', '.join(map(repr, known))}")
        if self.own_penalty is not None and not self.own_penalty > 0:
            raise errors.bad_argument("own_penalty", self.own_penalty, "a number above 0, or None")


def _inverse_weights(decisions: LoggedDecisions) -> np.ndarray:
    assert decisions.p_logged is not None  # checked by fit
    weight = 1.0 / decisions.p_logged
    return np.asarray(np.minimum(weight, _LARGEST_WEIGHT * weight.mean()))


def _likelier(decisions: LoggedDecisions, asked: ActionResponse) -> ResponseKind:
    """Return the kind that forecasts better what it was not fitted on, of equals the shared one."""
    from engagelib.actions.response.folding import folds_of

    loss: dict[ResponseKind, float] = {"shared": 0.0, "per_action": 0.0}
    fold = folds_of(decisions, 3)
    for held in range(3):
        train, test = decisions.take(fold != held), decisions.take(fold == held)
        if not len(train) or not len(test):
            return "shared"
        for kind in loss:
            model = ActionResponse(kind, weights=asked.weights, own_penalty=asked.own_penalty).fit(train)
            found = model.predict(test.features)[np.arange(len(test)), test.action]
            if asked.is_binary_:
                found = np.clip(np.where(test.reward == 1, found, 1 - found), 1e-12, 1)
                loss[kind] -= float(np.log(found).sum())
            else:
                loss[kind] += float(((found - test.reward) ** 2).sum())
    return "per_action" if loss["per_action"] < loss["shared"] else "shared"


def boosted(design: np.ndarray, reward: np.ndarray, weight: np.ndarray | None, *, is_binary: bool) -> Trees:
    """Boost trees on the rows of one action, and take them out of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    from engagelib.ranking.boosting import trees_of

    make = HistGradientBoostingClassifier if is_binary else HistGradientBoostingRegressor
    with threadpool_limits(1):
        model = make(max_iter=100, max_leaf_nodes=15, early_stopping=False, random_state=0)
        # What trees are asked for later is of this width too.
        model.fit(design.astype(np.float32), reward, sample_weight=weight)
    return trees_of(model, design.shape[1])
