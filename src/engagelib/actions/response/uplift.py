"""Uplift: what an action brings beyond what would have come of leaving the customer alone."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self, get_args

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response.chances import estimated_chances
from engagelib.actions.response.checking import check_decisions, check_shape, checked_features, unpacked
from engagelib.actions.response.folding import folds_of
from engagelib.actions.response.preparing import Preparation
from engagelib.actions.response.responding import ActionResponse, boosted
from engagelib.actions.response.solving import fit_lines, rows_of, sigmoid
from engagelib.scoring.trees import Trees, score_trees

UpliftLearner = Literal["shared", "t", "x", "dr", "class_transformation"]
UpliftBase = Literal["logistic", "boosting"]

_LEAST_CONTROL: Final = 50
_N_FOLDS: Final = 5


class Uplift:
    """The effect of each action on a customer, against a control that was drawn by chance.

    Parameters
    ----------
    learner
        "shared", the difference of an `ActionResponse`, whose interactions are shrunk. "t", of a model for
        each action. "x" and "dr" learn the effect itself, from rewards less forecasts that were not fitted
        on them: "x" from what each reward was beyond the forecast for the other side (Kunzel et al., 2019),
        "dr" from doubly robust differences (Kennedy, 2020). "class_transformation" learns which of an
        action with success and a control without is met, for rewards 0 and 1 (Jaskowski and Jaroszewicz,
        2012).
    base
        What forecasts: "logistic" models and lines, or "boosting", which is not saved; "shared" has lines
        alone.

    Attributes
    ----------
    actions_, feature_names_, control_
        What it was fitted on.
    is_estimated_
        Whether chances were estimated, since only the control group was drawn by chance: which of several
        actions a customer got is then taken to depend on the features alone.
    n_by_action_
        Number of decisions that were learned from, by action, int64.

    References
    ----------
    S. R. Kunzel et al., Metalearners for estimating heterogeneous treatment effects, PNAS 116(10), 2019.
    E. H. Kennedy, Towards optimal doubly robust estimation of heterogeneous causal effects, 2020.
    M. Jaskowski, S. Jaroszewicz, Uplift modeling for clinical trial data, ICML workshop, 2012.
    """

    def __init__(
        self,
        learner: UpliftLearner = "shared",
        base: UpliftBase = "logistic",
        *,
        control: str = "nothing",
    ) -> None:
        self.learner: UpliftLearner = learner
        self.base: UpliftBase = base
        self.control = control

    def __repr__(self) -> str:
        return f"Uplift({self.learner!r}, {self.base!r}, control={self.control!r})"

    def fit(self, decisions: LoggedDecisions, control: str | None = None) -> Self:
        """Learn effects against a control action; what was learned before is forgotten.

        Parameters
        ----------
        decisions
            Either every decision has `p_logged`, or `is_control` says who was drawn into a control group at
            random. In the latter case those who got the control otherwise are left out.
        control
            The action to compare with; None is the one that the object was made with.

        Raises
        ------
        NotEnoughDataError
            If neither chances nor a control group are known, fewer than 50 decisions took the control, or
            the control group got something else.
        ArgumentError
            If the control is no action, or an argument is outside its range.
        """
        control = self.control if control is None else control
        self._check()
        decisions, place = compared(decisions, control)
        if self.learner == "class_transformation" and not np.isin(decisions.reward, (0, 1)).all():
            raise errors.bad_argument("learner", self.learner, "another learner for rewards beside 0 and 1")
        self.control_, self.actions_ = control, decisions.actions
        self.feature_names_ = decisions.feature_names
        self.is_estimated_ = decisions.p_logged is None
        self.n_by_action_ = np.bincount(decisions.action, minlength=len(self.actions_)).astype(np.int64)
        self.response_: ActionResponse | None = None
        self.trees_: dict[int, list[tuple[float, Trees]]] = {}
        if self.learner in ("shared", "t"):
            self.response_ = _response(self.learner, self.base).fit(decisions)
            self.prepare_ = self.response_.prepare_
            self.weight_ = np.zeros((len(self.actions_), 1 + self.prepare_.n_columns))
            return self
        self.prepare_ = Preparation.learn(decisions.features)
        self.weight_ = np.zeros((len(self.actions_), 1 + self.prepare_.n_columns))
        chance = decisions.p_logged
        chance = estimated_chances(decisions, decisions) if chance is None else chance
        design = self.prepare_.apply(decisions.features)
        forecast = None if self.learner == "class_transformation" else self._crossed(decisions)
        for action in np.flatnonzero(self.n_by_action_).tolist():
            if action != place:
                pair = (place, action)
                self._learn(pair, design, decisions, chance, forecast)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the effect of each action.

        Parameters
        ----------
        features
            As they were fitted on, shape (n, n_features); NaN is missing.

        Returns
        -------
        float64, shape (n, n_actions): how much more reward than under the control; 0 for the control itself.
        An action without a decision has what actions have in common where the learner is "shared" or "t",
        otherwise 0.

        Raises
        ------
        ArgumentError
            If the features are of another width.
        """
        if not hasattr(self, "weight_"):
            raise errors.not_fitted("Uplift")
        place = self.actions_.index(self.control_)
        if self.response_ is not None:
            found = self.response_.predict(features)
            return np.asarray(found - found[:, place : place + 1])
        design = self.prepare_.apply(checked_features(features, len(self.feature_names_)))
        effect = design @ self.weight_[:, 1:].T + self.weight_[:, 0]
        for action, parts in self.trees_.items():
            single = design.astype(np.float32)
            effect[:, action] = sum(share * score_trees(trees, single) for share, trees in parts)
        if self.learner == "class_transformation":
            # Weighted so that both sides are as many, the success of one and the failure of the other are
            # met together (1 + effect) / 2 of the time.
            effect = 2.0 * sigmoid(effect) - 1.0
            effect[:, self.n_by_action_ == 0] = 0.0
            effect[:, place] = 0.0
        return np.asarray(effect)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest.

        Raises
        ------
        ArgumentError
            If the base is "boosting".
        """
        if not hasattr(self, "weight_"):
            raise errors.not_fitted("Uplift")
        if self.base == "boosting":
            raise errors.response.not_savable("base='boosting'")
        parts = {f"prepare.{name}": part for name, part in self.prepare_.to_arrays().items()}
        if self.response_ is not None:
            parts = {f"response.{name}": part for name, part in self.response_.to_arrays().items()}
        return {"n_by_action": self.n_by_action_, "weight": self.weight_, **parts}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "learner": self.learner,
            "base": self.base,
            "control": self.control_,
            "actions": list(self.actions_),
            "feature_names": list(self.feature_names_),
            "is_estimated": self.is_estimated_,
            "response": None if self.response_ is None else self.response_.facts(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave.

        Raises
        ------
        ArtifactError
            If arrays do not belong together.
        """
        found = cls(facts["learner"], facts["base"], control=facts["control"])
        found.control_, found.actions_ = facts["control"], tuple(facts["actions"])
        found.feature_names_ = tuple(facts["feature_names"])
        found.is_estimated_, found.trees_, found.response_ = bool(facts["is_estimated"]), {}, None
        if found.control_ not in found.actions_:
            raise errors.response.unfit_arrays(f"the control {found.control_!r} is no action")
        if facts["response"] is not None:
            found.response_ = ActionResponse.from_arrays(unpacked(arrays, "response."), facts["response"])
            found.prepare_ = found.response_.prepare_
            if found.response_.actions_ != found.actions_:
                raise errors.response.unfit_arrays("the response model has other actions")
        else:
            found.prepare_ = Preparation.from_arrays(unpacked(arrays, "prepare."))
        if found.prepare_.n_features != len(found.feature_names_):
            raise errors.response.unfit_arrays(f"{len(found.feature_names_)} names for other columns")
        n_actions, width = len(found.actions_), 1 + found.prepare_.n_columns
        found.n_by_action_ = check_shape("n_by_action", arrays["n_by_action"], (n_actions,))
        found.weight_ = check_shape("weight", arrays["weight"], (n_actions, width))
        return found

    def _check(self) -> None:
        for name, value, known in (
            ("learner", self.learner, get_args(UpliftLearner)),
            ("base", self.base, get_args(UpliftBase)),
        ):
            if value not in known:
                raise errors.bad_argument(name, value, f"one of {', '.join(map(repr, known))}")
        if self.learner == "shared" and self.base == "boosting":
            raise errors.bad_argument("base", self.base, "'logistic' for the learner 'shared'")

    def _crossed(self, decisions: LoggedDecisions) -> np.ndarray:
        """Return what each action would bring, forecast by models that did not see the row's customer."""
        fold = folds_of(decisions, _N_FOLDS)
        forecast = np.zeros((len(decisions), len(self.actions_)))
        for held in np.unique(fold).tolist():
            model = _response("shared", self.base).fit(decisions.take(fold != held))
            forecast[fold == held] = model.predict(decisions.features[fold == held])
        return forecast

    def _learn(
        self,
        pair: tuple[int, int],
        design: np.ndarray,
        decisions: LoggedDecisions,
        chance: np.ndarray,
        forecast: np.ndarray | None,
    ) -> None:
        """Learn the effect of one action against the control."""
        control, action = pair
        treated, left = decisions.action == action, decisions.action == control
        reward = decisions.reward
        if forecast is None:
            both = treated | left
            met = np.where(treated, reward, 1.0 - reward)[both]
            self._add(action, 1.0, design[both], met, 1.0 / chance[both])
            return
        difference = forecast[:, action] - forecast[:, control]
        if self.learner == "x":
            share = float(treated.sum() / (treated.sum() + left.sum()))
            self._add(action, 1.0 - share, design[treated], (reward - forecast[:, control])[treated], None)
            self._add(action, share, design[left], (forecast[:, action] - reward)[left], None)
            return
        difference[treated] += ((reward - forecast[:, action]) / chance)[treated]
        difference[left] -= ((reward - forecast[:, control]) / chance)[left]
        self._add(action, 1.0, design, difference, None)

    def _add(
        self, action: int, share: float, design: np.ndarray, reward: np.ndarray, weight: np.ndarray | None
    ) -> None:
        """Learn one part of an effect, and add it to what there is of it."""
        if self.base == "boosting":
            is_binary = self.learner == "class_transformation"
            trees = boosted(design, reward, weight, is_binary=is_binary)
            self.trees_.setdefault(action, []).append((share, trees))
            return
        rows = rows_of(design, np.zeros(len(reward), int), reward, 1, weight)
        self.weight_[action] += share * fit_lines(rows, own_penalty=np.inf)[0].shared


def compared(decisions: LoggedDecisions, control: str) -> tuple[LoggedDecisions, int]:
    """Return the decisions that effects can be learned from, and the place of the control; or say what lacks.

    Raises
    ------
    NotEnoughDataError, ArgumentError
        As `Uplift.fit` says.
    """
    check_decisions(decisions, "uplift")
    if control not in decisions.actions:
        raise errors.response.no_control(control, decisions.actions)
    place = decisions.actions.index(control)
    left = decisions.action == place
    if decisions.p_logged is None:
        if decisions.is_control is None:
            raise errors.response.not_randomised(control)
        treated = np.flatnonzero(decisions.is_control & ~left)
        if len(treated):
            other = decisions.actions[int(decisions.action[treated[0]])]
            raise errors.response.control_not_drawn(len(treated), other)
        # The rest of those left alone were left alone for a reason.
        decisions = decisions.take(decisions.is_control | ~left)
        left = decisions.action == place
    if left.sum() < _LEAST_CONTROL:
        raise errors.response.no_comparison(control, int(left.sum()), _LEAST_CONTROL)
    return decisions, place


def _response(learner: str, base: UpliftBase) -> ActionResponse:
    if base == "boosting":
        return ActionResponse("boosting")
    # Parts of their own under no penalty but the shared one's: a model for each action.
    return ActionResponse("shared" if learner == "shared" else "per_action")
