"""What every model has in common: fit on histories, score blocks of them, be stored as plain arrays."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories
from engagelib.scoring import ItemWeights, Rows, TopK, score_pairs, score_topk

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Contributions(NamedTuple):
    """Which item of a history contributed how much to the score of which listed item, one entry each.

    `listed` are places in the list that was asked about; `item_index` the items of the history; `value`
    float64. The values of one place sum to its score, up to rounding.
    """

    listed: np.ndarray
    item_index: np.ndarray
    value: np.ndarray


class Model(ABC):
    """A model that scores items for histories.

    A subclass has a `name` and the `reason_kind` of what it finds, stores its arguments under their own
    names in `__init__`, learns in `fit` under names that end in `_`, and implements the abstract methods.
    It is `counted` where fitting only counts, so cheaply that erasing a customer can afford to fit anew.
    `engagelib.testing.ModelContract` holds it to what the recommender relies on.
    """

    name: ClassVar[str]
    reason_kind: ClassVar[str] = "similar_item"
    counted: ClassVar[bool] = False

    @abstractmethod
    def fit(self, histories: Histories) -> Self:
        """Learn from all histories, anonymous visits included; whatever was learned before is dropped."""

    def fit_with(self, histories: Histories, attributes: ItemAttributes) -> Self:
        """Learn from all histories and from what the item table says of the same items; a recommender's way.

        A model that reads no attributes learns from histories alone.
        """
        return self.fit(histories)

    @abstractmethod
    def score_topk(
        self,
        block: Histories,
        k: int,
        *,
        at: int | None = None,
        exclude: "Rows | csr_array | None" = None,
        available: np.ndarray | None = None,
    ) -> TopK:
        """List the k best items for each history of a block.

        Parameters
        ----------
        block
            Histories over the items that the model was fitted on.
        k
            Length of a list, at least 1.
        at
            Microseconds since 1970, or a position: what a history holds after this is not read. None reads
            all.
        exclude
            Items never to list, shape (n_histories, n_items); what is stored counts. A recommender passes
            `Rows`, the arrays of a `csr_array` without values; `to_matrix` makes one of them.
        available
            True for items that may be listed, shape (n_items,); None means all.

        Returns
        -------
        Lists by falling score, ties to the lower index; only items that the history speaks for.
        """

    @abstractmethod
    def score_pairs(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Score given items for each history, exactly as `score_topk` does.

        `item_index` has shape (n_histories, m), -1 for padding. Returns float32 of the same shape, 0 where
        the history says nothing about an item.
        """

    def score_item(self, block: Histories, item_index: int, *, at: int | None = None) -> np.ndarray:
        """Score one item for each history, bit for bit as `score_pairs` does; float32, shape (n_histories,).

        A model that can do so with less work than a score of every item overrides this.
        """
        return self.score_pairs(block, np.full((block.n_histories, 1), item_index), at=at)[:, 0]

    def for_location(self, location: int | None) -> "Model":
        """Return the model as it answers at one location, a code of `tables["location"]`; None is anywhere.

        A model that knows no locations answers alike at all of them.
        """
        return self

    @abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name, for the store."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model, mapped or in memory, without a copy."""

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions | None:
        """Say what in a history speaks for given items; None where a model does not read histories.

        `block` holds one history, `item_index` has shape (m,).
        """
        return None

    def similar_topk(self, item_index: int, k: int, *, available: np.ndarray | None = None) -> TopK | None:
        """List the k items most like one item; None where a model knows no likeness of items."""
        return None

    def params(self) -> dict[str, Any]:
        """Return the arguments that the model was made with, by name, as built-in types."""
        return {name: _builtin(getattr(self, name)) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = {name: value for name, value in self.params().items() if value != defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise errors.not_fitted(type(self).__name__)


class LinearModel(Model):
    """A model whose score is linear in the history: `score(c, j) = sum over i of x[c, i] * W[i, j]`.

    A subclass draws `x` in `inputs` and learns `item_weights_`, the `W` of shape (n_items, n_items).
    """

    item_weights_: ItemWeights

    @abstractmethod
    def inputs(self, block: Histories, *, at: int | None = None) -> "Rows | csr_array":
        """Draw what the model reads of each history, shape (n_histories, n_items)."""

    def score_topk(
        self,
        block: Histories,
        k: int,
        *,
        at: int | None = None,
        exclude: "Rows | csr_array | None" = None,
        available: np.ndarray | None = None,
    ) -> TopK:
        """List the k best items for each history; see `Model.score_topk`. Only scores above 0 are listed."""
        self._check_fitted("item_weights_")
        return score_topk(
            self.inputs(block, at=at), self.item_weights_, k, exclude=exclude, available=available
        )

    def score_pairs(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Score given items for each history; see `Model.score_pairs`."""
        self._check_fitted("item_weights_")
        return score_pairs(self.inputs(block, at=at), self.item_weights_, item_index)

    def score_item(self, block: Histories, item_index: int, *, at: int | None = None) -> np.ndarray:
        """Score one item by its column of the weights alone; the terms are added in the same order."""
        self._check_fitted("item_weights_")
        weights = self.item_weights_
        entries = np.flatnonzero(weights.indices == item_index)
        indptr = np.searchsorted(entries, weights.indptr)
        column = ItemWeights.from_arrays(
            indptr, np.zeros(len(entries), np.int32), weights.data[entries], (weights.shape[0], 1)
        )
        asked = np.zeros((block.n_histories, 1), np.int32)
        return score_pairs(self.inputs(block, at=at), column, asked)[:, 0]

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions:
        """Return the terms `x[i] * W[i, j]` of the sums, one by one."""
        self._check_fitted("item_weights_")
        x = self.inputs(block, at=at)
        rows = self.item_weights_.rows(x.indices).tocoo()
        place = np.full(self.item_weights_.shape[1], -1)
        place[item_index[::-1]] = np.arange(len(item_index))[::-1]
        listed = place[rows.col]
        term = np.flatnonzero(listed >= 0)
        value = x.data[rows.row[term]].astype(np.float64) * rows.data[term]
        return Contributions(listed[term], x.indices[rows.row[term]], value)

    def similar_topk(self, item_index: int, k: int, *, available: np.ndarray | None = None) -> TopK:
        """List the items that a history of this one item would be shown."""
        self._check_fitted("item_weights_")
        shape = (1, self.item_weights_.shape[0])
        one = Rows(np.array([0, 1]), np.array([item_index], np.int32), np.ones(1, np.float32), shape)
        return score_topk(one, self.item_weights_, k, exclude=one, available=available)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the weights as the three arrays of a CSR matrix."""
        self._check_fitted("item_weights_")
        weights = self.item_weights_
        return {"indptr": weights.indptr, "indices": weights.indices, "data": weights.data}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model; altered weights raise an error, never more."""
        model = cls(**params)
        n_items = len(arrays["indptr"]) - 1
        shape = (n_items, n_items)
        model.item_weights_ = ItemWeights.from_arrays(
            arrays["indptr"], arrays["indices"], arrays["data"], shape
        )
        return model


def _builtin(value: Any) -> Any:
    """Turn NumPy's numbers and any mapping into what JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    return {name: _builtin(item) for name, item in value.items()} if isinstance(value, Mapping) else value
