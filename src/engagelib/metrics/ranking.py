"""How good lists are, judged by what came after: recall, NDCG and their kin, over arrays alone.

Every function takes the lists as `item_index` and the truth as `relevant`, and gives one number a row.
An item is relevant or it is not: the values of `relevant` say which, and do not grade how much. Rows with
nothing to find are NaN, so that they are left out of a mean instead of dragging it down: no list, however
good, could have scored there.

The lists are turned once into their hits, one entry a hit. There are few of them, so what follows costs
little more than the search, and memory does not grow with the catalogue.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, csr_matrix

from engagelib import errors
from engagelib.metrics._hits import (
    Floats,
    Hits,
    Ints,
    checked_lists,
    checked_pair,
    checked_whole,
    depth_of,
    find_hits,
    first_shown,
)

__all__ = [
    "RANKING_METRICS",
    "average_precision",
    "coverage",
    "hit_rate",
    "ndcg",
    "precision",
    "ranking_metrics",
    "ranking_values",
    "recall",
    "reciprocal_rank",
]

# The names that `ranking_metrics` knows, in the order in which it reports them.
RANKING_METRICS: tuple[str, ...] = ("recall", "precision", "hit_rate", "ndcg", "mrr", "map", "coverage")


def recall(
    item_index: npt.ArrayLike,
    relevant: csr_array | csr_matrix,
    k: int | None = None,
    *,
    capped: bool = False,
) -> Floats:
    """Share of the relevant items that the first `k` positions hold.

    Parameters
    ----------
    item_index
        Items of each list, best first, integers of shape (n_rows, width). Lists shorter than the width end
        in -1; an item stands at most once in a list.
    relevant
        What each list should have held, sparse, shape (n_rows, n_items). Entries above 0 are relevant and
        count alike; entries stored twice are added up first, as SciPy does. The matrix is left as it is.
    k
        Positions that count, at least 1. None is the width; positions beyond a list's end are misses.
    capped
        Divide by the smaller of `k` and the number of relevant items, so that 1 can be reached also where
        more items are relevant than the list has places.

    Returns
    -------
    Hits / relevant items, in [0, 1], float64, shape (n_rows,). NaN where no item is relevant.

    Raises
    ------
    ArgumentError
        If the lists are not a two-dimensional array of integers, hold an item outside the catalogue, hold
        one twice or have padding before an item; if the rows differ in number; if `k` is below 1. The
        message names the first such place.

    References
    ----------
    C. D. Manning, P. Raghavan, H. Schütze, *Introduction to Information Retrieval*, Cambridge 2008,
    section 8.3. Capped: D. Liang et al., Variational autoencoders for collaborative filtering, WWW 2018,
    section 4.2.
    """
    hits, depth = _hits_within(item_index, relevant, k)
    return _capped_recall(hits, depth) if capped else _recall(hits, depth)


def precision(item_index: npt.ArrayLike, relevant: csr_array | csr_matrix, k: int | None = None) -> Floats:
    """Share of the first `k` positions that hold a relevant item.

    `k` is the divisor for short lists too: an empty place was a chance to show something. Where fewer than
    `k` items are relevant even a perfect list stays below 1. Arguments and errors are those of `recall`.

    Returns
    -------
    Hits / k, in [0, 1], float64, shape (n_rows,). NaN where no item is relevant.

    References
    ----------
    Manning, Raghavan, Schütze, *Introduction to Information Retrieval*, Cambridge 2008, sections 8.3, 8.4.
    """
    return _precision(*_hits_within(item_index, relevant, k))


def hit_rate(item_index: npt.ArrayLike, relevant: csr_array | csr_matrix, k: int | None = None) -> Floats:
    """Whether at least one of the first `k` positions holds a relevant item.

    Arguments and errors are those of `recall`. With one relevant item a row this is the recall.

    Returns
    -------
    1.0 or 0.0, float64, shape (n_rows,). NaN where no item is relevant.

    References
    ----------
    M. Deshpande, G. Karypis, Item-based top-N recommendation algorithms, ACM TOIS 22(1), 2004, section 6.
    """
    return _hit_rate(*_hits_within(item_index, relevant, k))


def ndcg(item_index: npt.ArrayLike, relevant: csr_array | csr_matrix, k: int | None = None) -> Floats:
    """Discounted gain of the first `k` positions, over that of the best list there is.

    A relevant item at rank r gains 1 / log2(1 + r), whatever its value in `relevant`. The best list has
    relevant items in its first min(k, relevant items) places. Arguments and errors are those of `recall`.

    Returns
    -------
    Normalised gain in [0, 1], float64, shape (n_rows,); exactly 1 for a best list. NaN where no item is
    relevant.

    References
    ----------
    K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4), 2002. Their
    discount spares rank 2; the one here, usual today, is that of C. Burges et al., Learning to rank using
    gradient descent, ICML 2005.
    """
    return _ndcg(*_hits_within(item_index, relevant, k))


def reciprocal_rank(
    item_index: npt.ArrayLike, relevant: csr_array | csr_matrix, k: int | None = None
) -> Floats:
    """One over the rank of the first relevant item among the first `k`; its mean is MRR@k.

    Arguments and errors are those of `recall`.

    Returns
    -------
    1 / rank in (0, 1], or 0 where the first `k` hold no relevant item; float64, shape (n_rows,). NaN where
    no item is relevant.

    References
    ----------
    E. M. Voorhees, The TREC-8 question answering track report, 1999.
    """
    return _reciprocal_rank(*_hits_within(item_index, relevant, k))


def average_precision(
    item_index: npt.ArrayLike, relevant: csr_array | csr_matrix, k: int | None = None
) -> Floats:
    """Precision at the rank of each hit among the first `k`, averaged; its mean is MAP@k.

    The sum is divided by min(k, relevant items), so that a relevant item which is not listed counts 0 as
    long as there was a place for it. Arguments and errors are those of `recall`.

    Returns
    -------
    Average precision in [0, 1], float64, shape (n_rows,). NaN where no item is relevant.

    References
    ----------
    Manning, Raghavan, Schütze, *Introduction to Information Retrieval*, Cambridge 2008, section 8.4. Cut at
    `k`: B. McFee et al., The million song dataset challenge, WWW 2012 companion.
    """
    return _average_precision(*_hits_within(item_index, relevant, k))


def coverage(item_index: npt.ArrayLike, n_items: int, k: int | None = None) -> float:
    """Share of the catalogue that the first `k` positions of at least one list show.

    Every row counts, also those with nothing to find: it says how much of the shop is ever seen.

    Parameters
    ----------
    item_index
        As in `recall`.
    n_items
        Size of the catalogue, at least 0.
    k
        As in `recall`.

    Returns
    -------
    Share in [0, 1]; 0 without lists, NaN for an empty catalogue.

    Raises
    ------
    ArgumentError
        If the lists or `k` are such as `recall` refuses, or `n_items` is not an integer of at least 0.

    References
    ----------
    M. Ge, C. Delgado-Battenfeld, D. Jannach, Beyond accuracy: evaluating recommender systems by coverage and
    serendipity, RecSys 2010.
    """
    lists = checked_lists(item_index)
    depth = depth_of(k, lists.shape[1])
    return _coverage(first_shown(lists, checked_whole("n_items", n_items, least=0), depth), depth)


def ranking_metrics(
    item_index: npt.ArrayLike,
    relevant: csr_array | csr_matrix,
    ks: Sequence[int] = (10,),
    *,
    names: Sequence[str] = RANKING_METRICS,
) -> dict[str, float]:
    """Compute several metrics at several cuts, searching the lists once.

    Parameters
    ----------
    item_index, relevant
        As in `recall`.
    ks
        Cuts, each at least 1; those beyond the width count the missing positions as misses.
    names
        Metrics to compute, out of `RANKING_METRICS`. "mrr" is the mean of `reciprocal_rank`, "map" that of
        `average_precision`, "recall" is not capped.

    Returns
    -------
    Means under names such as "recall@10", cut by cut, in the order given. They are over the rows that have a
    relevant item, and NaN where there is no such row; coverage is over all rows and all columns of
    `relevant`.

    Raises
    ------
    ArgumentError
        For what `recall` refuses, and if `ks` or `names` is empty or holds what is not known.
    """
    cuts = _checked_cuts(ks)
    wanted = _checked_names(names)
    lists, truth = checked_pair(item_index, relevant)
    values = _values(lists, truth, cuts, [name for name in wanted if name != "coverage"])
    first = first_shown(lists, truth.shape[1], max(cuts)) if "coverage" in wanted else None
    has_any = np.diff(truth.indptr) > 0
    means: dict[str, float] = {}
    for k in cuts:
        for name in wanted:
            at_k = f"{name}@{k}"
            means[at_k] = _mean(values[at_k][has_any]) if at_k in values else _coverage(cast(Ints, first), k)
    return means


def ranking_values(
    item_index: npt.ArrayLike,
    relevant: csr_array | csr_matrix,
    ks: Sequence[int] = (10,),
    *,
    names: Sequence[str] = RANKING_METRICS[:-1],
) -> dict[str, Floats]:
    """Compute several metrics at several cuts for each row, searching the lists once.

    Arguments and errors are those of `ranking_metrics`, save that coverage, which is of all lists together,
    is not among `names`.

    Returns
    -------
    float64 of shape (n_rows,) under names such as "recall@10"; NaN where no item is relevant.
    """
    cuts = _checked_cuts(ks)
    wanted = _checked_names(names, RANKING_METRICS[:-1])
    return _values(*checked_pair(item_index, relevant), cuts, wanted)


def _values(lists: npt.NDArray[Any], truth: Any, cuts: list[int], names: list[str]) -> dict[str, Floats]:
    if not names:
        return {}
    hits = find_hits(lists, truth, max(cuts))
    values: dict[str, Floats] = {}
    for k in cuts:
        within = hits.within(k)
        values |= {f"{name}@{k}": _BY_NAME[name](within, k) for name in names}
    return values


# The definitions, on hits that are cut at k.


def _recall(hits: Hits, k: int) -> Floats:  # noqa: ARG001
    return hits.divide(hits.per_row(), hits.n_relevant)


def _capped_recall(hits: Hits, k: int) -> Floats:
    return hits.divide(hits.per_row(), np.minimum(k, hits.n_relevant))


def _precision(hits: Hits, k: int) -> Floats:
    return hits.divide(hits.per_row(), k)


def _hit_rate(hits: Hits, k: int) -> Floats:  # noqa: ARG001
    return hits.divide(np.minimum(hits.per_row(), 1.0), 1.0)


def _ndcg(hits: Hits, k: int) -> Floats:
    # Only ranks that some row can fill count towards the best list, however large k is.
    places = min(k, max(int(hits.n_relevant.max(initial=0)), int(hits.rank.max(initial=0)), 1))
    discount = 1.0 / np.log2(np.arange(2, places + 2))
    # Both sums run rank by rank, so a best list gives the very same float and 1 is never overshot.
    best = np.cumsum(discount)[np.minimum(places, np.maximum(hits.n_relevant, 1)) - 1]
    return hits.divide(hits.per_row(discount[hits.rank - 1]), best)


def _reciprocal_rank(hits: Hits, k: int) -> Floats:  # noqa: ARG001
    return hits.divide(hits.per_row((hits.nth == 1) / hits.rank), 1.0)


def _average_precision(hits: Hits, k: int) -> Floats:
    return hits.divide(hits.per_row(hits.nth / hits.rank), np.minimum(k, hits.n_relevant))


_BY_NAME: dict[str, Callable[[Hits, int], Floats]] = {
    "recall": _recall,
    "precision": _precision,
    "hit_rate": _hit_rate,
    "ndcg": _ndcg,
    "mrr": _reciprocal_rank,
    "map": _average_precision,
}


def _coverage(first: Ints, k: int) -> float:
    return _mean((first < k).astype(np.float64))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _hits_within(item_index: npt.ArrayLike, relevant: Any, k: int | None) -> tuple[Hits, int]:
    lists, truth = checked_pair(item_index, relevant)
    depth = depth_of(k, lists.shape[1])
    return find_hits(lists, truth, depth), depth


def _checked_cuts(ks: Sequence[int]) -> list[int]:
    if not isinstance(ks, Iterable) or isinstance(ks, str):
        raise errors.bad_argument("ks", ks, "a sequence of cuts", "one cut is ks=(10,).")
    cuts = [checked_whole("k", k, least=1) for k in ks]
    if not cuts:
        raise errors.bad_argument("ks", ks, "at least one cut, as in ks=(10,)")
    return cuts


def _checked_names(names: Sequence[str], among: tuple[str, ...] = RANKING_METRICS) -> list[str]:
    known = ", ".join(among)
    if isinstance(names, str):
        raise errors.bad_argument("names", names, "a sequence of names", f"one name is names=({names!r},).")
    wanted = list(names)
    if not wanted:
        raise errors.bad_argument("names", names, f"at least one of {known}")
    for name in wanted:
        if name not in among:
            raise errors.bad_argument("names", name, f"metrics out of {known}")
    return wanted
