"""Pairing: what goes together in one basket, and what can stand in for an item that is sold out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number, cells_matrix
from engagelib.histories import Histories
from engagelib.recommender.listing import Lists
from engagelib.recommender.repeating import bought_events
from engagelib.scoring import ItemWeights, Ranking, Rows, TopK, ranking_topk, score_topk
from engagelib.times import DAY

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# How these were found stands in docs/decisions/0009-pairs.md.
_N_NEIGHBOURS: Final = 100
_SHRINKAGE: Final = 20.0
_UNKNOWN_PRICE: Final = 0.5

ALIKE: Final = 0
"""Source of a substitute that the models find alike: of the same category, where the item has one."""

POPULAR_OF_CATEGORY: Final = 1
"""Source of one that is merely popular in the same category."""

ALIKE_ELSEWHERE: Final = 2
"""Source of one that is alike, but of another category or of none."""


@dataclass(frozen=True, eq=False)
class Together:
    """Which items are bought in one basket more than their own sales explain.

    Attributes
    ----------
    item_weights
        `[from, to]` in [0, 1), diagonal empty: the share of their baskets that two items have in common.
    baskets
        What a basket is: an "order", a "session", a "day" or "position" of a customer, or a "history".
    n_baskets
        How many baskets with at least two items that was learned from.
    """

    item_weights: ItemWeights
    baskets: str
    n_baskets: int

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the weights as the three arrays of a CSR matrix; `facts` holds the rest."""
        weights = self.item_weights
        return {"indptr": weights.indptr, "indices": weights.indices, "data": weights.data}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {"baskets": self.baskets, "n_baskets": self.n_baskets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave; altered weights raise an error, never more."""
        n_items = len(arrays["indptr"]) - 1
        weights = ItemWeights.from_arrays(
            arrays["indptr"], arrays["indices"], arrays["data"], (n_items, n_items)
        )
        return cls(weights, facts["baskets"], facts["n_baskets"])


def learn_together(
    histories: Histories, *, n_neighbours: int = _N_NEIGHBOURS, shrinkage: float = _SHRINKAGE
) -> Together:
    """Learn which items are bought in one basket.

    Baskets are the orders of the log; where no order holds two items, its sessions, else what one customer
    bought on one day (in UTC) or at one position, else all that a customer bought. What was returned in full
    is not in them. A basket counts once, however large: each of its n items weighs 1/n. Two items are
    together by the cosine of their baskets, with `shrinkage` more purchases of each in baskets of their own,
    so that a coincidence of two rare items says little.

    Parameters
    ----------
    histories
        The histories of the log, anonymous visits included. In a log with one event type on items that type
        counts as a purchase.
    n_neighbours
        Items kept for each item, at least 1.
    shrinkage
        Purchases, of average weight, that are added to each item's own; at least 0.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.
    """
    from scipy.sparse import coo_array, csr_array, eye_array  # to learn with: serving does without

    is_whole = isinstance(n_neighbours, int | np.integer) and not isinstance(n_neighbours, bool)
    if not is_whole or n_neighbours < 1:
        raise errors.bad_argument("n_neighbours", n_neighbours, "an integer of at least 1")
    if not 0 <= as_number(shrinkage) < np.inf:
        raise errors.bad_argument("shrinkage", shrinkage, "a number of at least 0")
    name, baskets = _baskets(histories)
    size = np.diff(baskets.indptr)
    weight = 1.0 / np.repeat(size, size)
    added = float(shrinkage) * (weight.mean() if len(weight) else 0.0)
    own = np.bincount(baskets.indices, weight, minlength=histories.n_items) + added
    vectors = csr_array(
        (np.sqrt(weight / own[baskets.indices]).astype(np.float32), baskets.indices, baskets.indptr),
        shape=baskets.shape,
    )
    itself = eye_array(histories.n_items, format="csr")
    by_item = csr_array(vectors.T.tocsr())
    found = score_topk(by_item, ItemWeights(vectors), int(n_neighbours), exclude=itself)
    row, place = np.nonzero(found.item_index >= 0)
    triplets = (found.score[row, place], (row, found.item_index[row, place]))
    weights = ItemWeights(coo_array(triplets, shape=itself.shape).tocsr())
    return Together(weights, name, int(np.count_nonzero(size > 1)))


def complete_topk(
    together: Together, basket: np.ndarray, k: int, *, available: np.ndarray | None = None
) -> TopK:
    """List the k items that go best with a basket: the sum of how much they are together with its items.

    Parameters
    ----------
    together
        What `learn_together` found.
    basket
        Item indices, in any order; one that stands there twice counts once. They are not listed.
    k
        Length of the list, at least 1.
    available
        True for items that may be listed, shape (n_items,). None means all.

    Returns
    -------
    One row, by falling score, ties to the lower index; short where few items were ever bought with these.
    """
    weights = together.item_weights
    items = np.unique(np.asarray(basket, np.int32))
    shape = (1, weights.shape[0])
    one = Rows(np.array([0, len(items)]), items, np.ones(len(items), np.float32), shape)
    return score_topk(one, weights, k, exclude=one, available=available)


def substitutes_topk(
    item_index: int,
    likeness: TopK,
    together: Together | None,
    k: int,
    *,
    ranking: np.ndarray,
    category: np.ndarray | None = None,
    price: np.ndarray | None = None,
    available: np.ndarray | None = None,
) -> Lists:
    """List the k items that can best stand in for one that can't be had.

    A substitute is alike but seldom bought in the same basket: that is a complement (McAuley, Pandey and
    Leskovec, 2015). The score of an alike item is its likeness, times the smaller of the two prices over
    the larger (0.5 where only the asked item's is known), times the share of their baskets that the two do
    not have in common. Where the item has a category, first come alike items of that category, then the
    most popular others of it, then alike items elsewhere: both only fill the list, with score 0. Without a
    category all alike items count as its own.

    Parameters
    ----------
    item_index
        The item asked about; it is never listed.
    likeness
        The items most like it, one row, of any width; a wide one, the same for every k, makes a shorter list
        a prefix of a longer one. Only likeness above 0 counts.
    together
        What `learn_together` found; None leaves baskets out.
    k
        Length of the list, at least 1.
    ranking
        Item indices, most popular first.
    category
        Code of each item's category, -1 where it has none, shape (n_items,).
    price
        Price of each item, NaN (or nothing above 0) where it has none, shape (n_items,).
    available
        True for items that may be listed, shape (n_items,). None means all.

    Returns
    -------
    One row; `source` is `ALIKE`, `POPULAR_OF_CATEGORY` or `ALIKE_ELSEWHERE`, -1 where the list is short.
    Ties go to the lower index.
    """
    alike, score = _alike(item_index, likeness, together, price, available)
    own = -1 if category is None else int(category[item_index])
    is_own = np.ones(len(alike), bool)
    popular = np.zeros(0, np.int32)
    if category is not None and own >= 0:
        is_own = category[alike] == own
        if np.count_nonzero(is_own) < k:
            allowed = category == own
            allowed[item_index] = False
            allowed[alike[is_own]] = False
            if available is not None:
                allowed &= available
            shelf = Ranking.from_array(ranking, len(category))
            popular = ranking_topk(shelf, 1, k, available=allowed)[0]
            popular = popular[popular >= 0]
    parts = (
        (alike[is_own], score[is_own], ALIKE),
        (popular, 0.0, POPULAR_OF_CATEGORY),
        (alike[~is_own], 0.0, ALIKE_ELSEWHERE),
    )
    lists = Lists.empty(1, k)
    place = 0
    for items, scores, source in parts:
        here = slice(place, min(place + len(items), k))
        n = here.stop - here.start
        lists.item_index[0, here] = items[:n]
        lists.score[0, here] = scores[:n] if isinstance(scores, np.ndarray) else scores
        lists.source[0, here] = source
        place = here.stop
    return lists


def _alike(
    item_index: int,
    likeness: TopK,
    together: Together | None,
    price: np.ndarray | None,
    available: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the alike items that may be listed, best first, and their scores as substitutes."""
    items, score = likeness.item_index[0], likeness.score[0]
    may_be = (items >= 0) & (items != item_index)
    if available is not None:
        may_be &= available[items]
    items, score = items[may_be], score[may_be].astype(np.float64)
    if price is not None and 0 < price[item_index] < np.inf:
        score *= _closeness(float(price[item_index]), price[items])
    if together is not None:
        row = together.item_weights.rows(np.array([item_index]))
        shared = np.zeros(row.shape[1], np.float32)
        shared[row.indices] = row.data
        score *= np.clip(1.0 - shared[items], 0.0, 1.0)
    score = score.astype(np.float32)
    items, score = items[score > 0], score[score > 0]
    order = np.lexsort((items, -score))
    return items[order], score[order]


def _closeness(price: float, others: np.ndarray) -> np.ndarray:
    """Return how close other prices are to one, in (0, 1]: the smaller over the larger."""
    known = (others > 0) & (others < np.inf)
    others = np.where(known, others, price)
    return np.where(known, np.minimum(others, price) / np.maximum(others, price), _UNKNOWN_PRICE)


def _baskets(histories: Histories) -> tuple[str, "csr_array"]:
    """Return what a basket is, and which items each holds, as the stored positions of a matrix.

    Of the ways to tell baskets apart it is the first by which some basket holds two items.
    """
    place = bought_events(histories)
    item = histories.item_index[place]
    for name, rows, n_rows in _ways(histories, place):
        has_basket = rows >= 0
        shape = (n_rows, histories.n_items)
        ones = np.ones(np.count_nonzero(has_basket))
        baskets = cells_matrix(rows[has_basket].astype(np.int64), item[has_basket], ones, shape)
        found = name, baskets
        if (np.diff(baskets.indptr) > 1).any():
            break
    return found


def _ways(histories: Histories, place: np.ndarray) -> Iterator[tuple[str, np.ndarray, int]]:
    """Go through the ways to tell baskets apart: a name, the basket of each purchase, how many there are."""
    for name in ("order", "session"):
        if name in histories.codes:
            yield name, histories.codes[name][place], len(histories.tables[name])
    row = histories.rows()[place]
    if histories.time is not None:
        is_timed = histories.time_kind == "timestamp"
        moment = histories.time[place] // DAY if is_timed else histories.time[place]
        begins = np.ones(len(place), bool)
        begins[1:] = (row[1:] != row[:-1]) | (moment[1:] != moment[:-1])
        yield "day" if is_timed else "position", np.cumsum(begins) - 1, int(np.count_nonzero(begins))
    yield "history", row, histories.n_histories
