"""LinearBandit: what outcomes taught about each action beyond what the model had expected."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.actions.bandit.sums import Sums
from engagelib.tables import Table
from engagelib.times import Moment

if TYPE_CHECKING:
    from engagelib.actions.decisions import DecisionLog

_NOISE_SD: Final = 0.5
_NOISE_ROWS: Final = 10
"""An estimated noise begins at that of a coin, which counts as much as ten rows."""

_BLOCK: Final = 8192


class LinearBandit(Sums):
    """A Bayesian linear regression for each action, of what came about less what was expected.

    The outcome of a decision less its `p_success` is the part that the model did not foresee. For each action
    its expectation is linear in the customer's features, with weights that are normal, independent and around
    0 beforehand: an action without evidence leaves the model's forecast as it is, only less certain.

    What is kept are sums over rows. Features and residuals are first rounded to a fine grid (1/4096 of a
    standard deviation, 2**-20 of an outcome), far below their noise: products and sums of such numbers are
    exact in float64. So the order of rows and the sizes of batches make no difference, and rows that are
    taken back leave nothing behind. Beyond 2**53 steps of the grid, some million rows an action, sums round
    as usual.

    Parameters
    ----------
    actions
        Names of the actions, distinct.
    mean, scale
        Of each feature, float64, shape (n_features,): a feature enters as (value - mean) / scale, at most
        8 either way, and as 0 where it is missing or its scale is 0 or not finite. An intercept comes first.
    prior_sd
        Standard deviation of each weight beforehand, above 0.
    noise_sd
        Standard deviation of a residual, above 0. None estimates it for each action, from the mean square
        of its residuals, with ten rows of 0.5 beforehand.
    features_version
        Which columns the features are, as logged with decisions. None takes any of the right number.
    outcome
        The name of the outcome that is learned from.

    Attributes
    ----------
    n_rows_
        Rows that each action learned from, int64, shape (n_actions,).
    forecasts_
        Of the rows that say what was expected, the sum of that and their number, shape (n_actions, 2).
    watermark_, outcome_watermark_
        The last decision and the last outcome of the log that were looked at; 0 before the first.

    References
    ----------
    S. Agrawal, N. Goyal, Thompson sampling for contextual bandits with linear payoffs, ICML 2013.
    """

    def noise_variances(self) -> np.ndarray:
        """Return the variance of a residual of each action, given or estimated, shape (n_actions,)."""
        if self.noise_sd is not None:
            return np.full(len(self.actions), self.noise_sd**2)
        return (_NOISE_ROWS * _NOISE_SD**2 + self.squares_) / (_NOISE_ROWS + self.n_rows_)

    def posterior(
        self, features: npt.ArrayLike, *, context_free: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each action's expected residual for one customer.

        Parameters
        ----------
        features
            Shape (n_features,); NaN is missing.
        context_free
            Use only the average of each action, as where answers may not depend on the person. What is
            returned is the regression on the intercept alone.

        Returns
        -------
        Two float64 arrays of shape (n_actions,).
        """
        if context_free:
            return self._averages()
        raw = np.asarray(features, np.float64)
        if raw.shape != self.mean.shape:
            given = f"of shape {raw.shape}"
            raise errors.bad_argument("features", given, f"shape ({len(self.mean)},), a number a feature")
        self._solve()
        row = np.empty(len(raw) + 1)
        row[0] = 1.0
        self._standardise(raw, row[1:])
        # Action by action: one product of all is large enough for BLAS to wake its threads.
        spread = np.matmul(self._covariances, row) @ row
        return self._weights @ row, np.sqrt(np.maximum(spread, 0.0))

    def posterior_many(
        self, features: npt.ArrayLike, *, context_free: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `posterior` does, for features (n, n_features): mean and sd, (n, n_actions)."""
        if context_free:
            shape = (len(np.asarray(features)), len(self.actions))
            mean, sd = (np.broadcast_to(part, shape) for part in self._averages())
            return mean, sd
        raw = np.asarray(features, np.float64)
        self._solve()
        shape = (len(raw), len(self.actions))
        mean, sd = np.empty(shape), np.empty(shape)
        for first in range(0, max(len(raw), 1), _BLOCK):
            rows = self.design(raw[first : first + _BLOCK])
            mean[first : first + _BLOCK] = rows @ self._weights.T
            for place, covariance in enumerate(self._covariances):
                spread = np.einsum("nd,nd->n", rows @ covariance, rows)
                sd[first : first + _BLOCK, place] = np.sqrt(np.maximum(spread, 0.0))
        return mean, sd

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior of the weights: means (n_actions, d) and covariances (n_actions, d, d)."""
        self._solve()
        return self._weights.copy(), self._covariances.copy()

    def _averages(self) -> tuple[np.ndarray, np.ndarray]:
        noise = self.noise_variances()
        precision = self.n_rows_ / noise + 1.0 / self.prior_sd**2
        return self.targets_[:, 0] / noise / precision, 1.0 / np.sqrt(precision)

    def _solve(self) -> None:
        """Bring the posteriors up to date of those actions whose sums have changed."""
        if not self._stale.any():
            return
        if self._stale.all():  # at first, and where actions came or went
            self._weights, self._covariances = np.zeros_like(self.targets_), np.zeros_like(self.products_)
        noises, d = self.noise_variances().tolist(), self.targets_.shape[1]
        for place in np.flatnonzero(self._stale).tolist():
            precision = self.products_[place] / noises[place]
            precision.ravel()[:: d + 1] += 1.0 / self.prior_sd**2
            covariance = np.linalg.inv(precision)
            covariance = (covariance + covariance.T) / 2.0
            self._weights[place] = covariance @ (self.targets_[place] / noises[place])
            self._covariances[place] = covariance
            self._stale[place] = False

    def learn_from(self, log: "DecisionLog", *, at: Moment, outcome_window_days: float) -> Table:
        """Fold in the decisions of a log that are mature, each once, and outcomes that came since.

        A decision is mature when it is at least `outcome_window_days` old at `at`; without an outcome it then
        counts 0. One that is younger waits for a later call. An outcome that came late, or was put right,
        replaces what the decision counted. A second call with the same log changes nothing, and how often
        the job runs makes no difference.

        Decisions of the control group teach like others where their action is one of the bandit's, such as
        "nothing". A decision without features, or with features of another version or number, teaches the
        average alone, as one with all features missing. Without `p_success`, or of an action that the bandit
        does not have, it teaches nothing.

        Parameters
        ----------
        log
            Always the same one: the state remembers where in it to go on.
        at
            The moment of learning.
        outcome_window_days
            How long outcomes may take, at least 0.

        Returns
        -------
        How many decisions were folded in, wait, were put right or left out.

        Raises
        ------
        ArgumentError
            If `outcome_window_days` is outside its range.
        """
        from engagelib.actions.bandit.folding import learn_from

        return learn_from(self, log, at, outcome_window_days)

    def erase(self, customer_id: int | str, log: "DecisionLog") -> int:
        """Take back what a customer's decisions taught, and let them teach no more.

        Call it before `log.erase(customer_id)`: the rows are read from the log. Afterwards the state is what
        it would be had the customer never been there.

        Returns
        -------
        The number of rows that were taken back.
        """
        from engagelib.actions.bandit.folding import erase

        return erase(self, customer_id, log)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        return {name: getattr(self, name if name in ("mean", "scale") else f"{name}_") for name in _ARRAYS}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "actions": list(self.actions),
            "prior_sd": self.prior_sd,
            "noise_sd": self.noise_sd,
            "features_version": self.features_version,
            "outcome": self.outcome,
            "watermark": self.watermark_,
            "outcome_watermark": self.outcome_watermark_,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave; the arrays are copied.

        Raises
        ------
        ArtifactError
            If an array or a fact is missing or contradicts the others.
        """
        from engagelib.actions.bandit.storing import restored

        return restored(cls, arrays, facts)


_ARRAYS: Final = (
    "mean",
    "scale",
    "n_rows",
    "products",
    "targets",
    "squares",
    "starts",
    "immature",
    "immature_at",
    "withdrawn",
    "forecasts",
)
