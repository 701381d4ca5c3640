"""BPR: factors that put what a customer met before what they did not, pair by pair."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from engagelib.histories import Histories
from engagelib.models.alike import alike_columns
from engagelib.models.base import Contributions
from engagelib.models.decay import HalfLife
from engagelib.models.factors import FactorModel, average_alike
from engagelib.models.folding import sum_rows
from engagelib.models.interest import check_interest
from engagelib.models.training import implicit_matrix, run_apart
from engagelib.scoring import Factors, Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_HINT: Final = "take a smaller learning_rate, or a smaller regularization."


class BPR(FactorModel):
    """Bayesian personalised ranking (Rendle et al., 2009), learned by the library `implicit`.

    Learning looks at which items a history holds, not at how often or when. A customer's factor is then the
    mean of the factors of their items, by interest, times one number that is learned: the least-squares fit
    of such means to the factors that customers had while learning. So it is the same for a known customer as
    for anybody with that history, and new events count at once.

    A score of 0 is that of an item like those met on average; scores rank, and are no probabilities.

    Parameters
    ----------
    n_factors
        Length of a factor, at least 1, beside the bias of an item.
    learning_rate
        Length of a step, above 0.
    regularization
        How much a factor shrinks with each step, above 0.
    n_epochs
        Steps, in numbers of cells of the matrix, at least 1.
    half_life_days
        Age after which an event counts half when scoring. "auto" is 60 days where the log has timestamps,
        and no decay elsewhere; None is no decay.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`. Only their ratios matter:
        interest saturates, one event of the heaviest type counts a half.
    rng
        A seed, of at least 0; the same log and seed give the same model. For that, learning uses one thread.

    Attributes
    ----------
    factors_
        Factors of the items, shape (n_items, n_factors + 1): the last column is the bias.
    scale_
        What the mean over a history is multiplied by.

    References
    ----------
    S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from
    Implicit Feedback", UAI 2009.
    """

    name: ClassVar[str] = "bpr"

    def __init__(
        self,
        n_factors: int = 64,
        *,
        learning_rate: float = 0.05,
        regularization: float = 0.01,
        n_epochs: int = 100,
        half_life_days: HalfLife = "auto",
        event_weights: Mapping[str, float] | None = None,
        rng: int = 0,
    ) -> None:
        self.n_factors = n_factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.n_epochs = n_epochs
        self.half_life_days: HalfLife = half_life_days
        self.event_weights = event_weights
        self.rng = rng

    def fit(self, histories: Histories) -> Self:
        """Learn factors of items from all histories.

        Raises
        ------
        ArgumentError
            If a setting is outside its range, or leads to no finite factors.
        NotEnoughDataError
            If `half_life_days` is a number and the log has no timestamps; if no event type of the log
            counts.
        MissingExtraError
            If `implicit` is not installed.
        """
        self._check_settings(
            counts={"n_factors": self.n_factors, "n_epochs": self.n_epochs},
            above_zero={"learning_rate": self.learning_rate, "regularization": self.regularization},
        )
        check_interest(histories, self.event_weights)
        interest = self.interest(histories).to_matrix()
        vectors, scale = np.zeros((histories.n_items, self.n_factors + 1), np.float32), 1.0
        if interest.nnz:
            vectors, scale = run_apart(lambda check: self._train(interest, check), "BPR", _HINT)
        self.scale_ = scale
        self.factors_ = Factors(vectors)
        return self

    def fold(self, interest: Rows) -> np.ndarray:
        """Average the factors of each history's items, and add the place of the bias."""
        queries = self.scale_ * _means(interest, self.factors_.array)
        queries[:, -1] = 1.0
        return queries.astype(np.float32)

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions:
        """Take the score apart: it is the mean of what each item of the history alone would score."""
        interest = self._known_interest(block, at)
        vectors, n_listed = self.factors_.array, len(item_index)
        theirs, asked = (vectors[index].astype(np.float64) for index in (interest.indices, item_index))
        alone = self.scale_ * np.einsum("if,jf->ij", asked[:, :-1], theirs[:, :-1]) + asked[:, -1:]
        share = _shares(interest).data
        listed = np.repeat(np.arange(n_listed), len(share))
        return Contributions(listed, np.tile(interest.indices, n_listed), (alone * share).ravel())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the factors of items, the order in which a search looks at them, and the scale."""
        return {**super().to_arrays(), "scale": np.array([self.scale_])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model without reading its factors; altered ones raise an error, never more."""
        model = super().from_arrays(arrays, params)
        model.scale_ = float(arrays["scale"][0])
        return model

    def _directions(self) -> np.ndarray:
        return self.factors_.array[:, :-1]

    def _train(self, interest: "csr_array", check: Callable[..., None]) -> tuple[np.ndarray, float]:
        """Return the factors of all items, the same for those of equal columns, and the scale."""
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        met = interest.copy()
        met.data[:] = 1.0
        matrix = implicit_matrix(met)
        learner = BayesianPersonalizedRanking(
            factors=self.n_factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.n_epochs,
            num_threads=1,
            random_state=self.rng,
        )
        learner.fit(matrix, show_progress=False, callback=check)
        group = alike_columns(met)
        vectors = average_alike(learner.item_factors.astype(np.float64), group)[group].astype(np.float32)
        means = _means(interest[np.diff(interest.indptr) > 0], vectors)[:, :-1]
        square = float((means**2).sum())
        scale = float((means * learner.user_factors[:, :-1]).sum()) / square if square > 0 else 1.0
        return vectors, scale if scale > 0 else 1.0


def _means(interest: "Rows | csr_array", vectors: np.ndarray) -> np.ndarray:
    return sum_rows(_shares(interest), vectors)


def _shares(interest: "Rows | csr_array") -> Rows:
    """Divide the interest of each row by its sum."""
    row = np.repeat(np.arange(interest.shape[0]), np.diff(interest.indptr))
    total = np.bincount(row, interest.data, minlength=interest.shape[0])
    return Rows(interest.indptr, interest.indices, interest.data / total[row], interest.shape)
