"""What ranking metrics refuse, and that the message says what was given, what was expected and where."""

import re

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

import engagelib.metrics._hits
from engagelib.errors import ArgumentError, EngageError
from engagelib.metrics import (
    average_precision,
    coverage,
    hit_rate,
    ndcg,
    precision,
    ranking_metrics,
    recall,
    reciprocal_rank,
)

METRICS = [recall, precision, hit_rate, ndcg, reciprocal_rank, average_precision]
WANTED = csr_array(np.eye(3, 5))
GOOD = np.array([[0, 1, -1], [1, 2, 3], [4, 0, 1]])

BAD_LISTS = {
    "one list": (
        np.array([0, 1, 2]),
        "item_index.ndim=1: expected 2, shape (n_rows, width). Hint: one list is item_index[np.newaxis].",
    ),
    "three dimensions": (
        np.zeros((3, 1, 1), int),
        "item_index.ndim=3: expected 2, shape (n_rows, width).",
    ),
    "floats": (
        np.array([[0.0, np.nan]] * 3),
        "item_index.dtype='float64': expected an integer type. Hint: pad short lists with -1, not with NaN.",
    ),
    "flags": (np.ones((3, 2), bool), "item_index.dtype='bool': expected an integer type."),
    "beyond the catalogue": (
        np.array([[0, 1], [2, 5], [9, 9]]),
        "item_index[1, 1]=5: expected an item below n_items=5, counted from 0, or -1 after the last one. "
        "Hint: the lists and what they are judged by must number their items alike.",
    ),
    "other sentinel": (
        np.array([[0, 1], [2, 3], [4, -2]], np.int8),
        "item_index[2, 1]=-2: expected an item below n_items=5, counted from 0, or -1 after the last one. "
        "Hint: the lists and what they are judged by must number their items alike.",
    ),
    "largest unsigned": (
        np.array([[0, 1], [2, 2**64 - 1], [4, 0]], np.uint64),
        "item_index[1, 1]=18446744073709551615: expected an item below n_items=5, counted from 0, "
        "or -1 after the last one. "
        "Hint: the lists and what they are judged by must number their items alike.",
    ),
    "hole": (
        np.array([[0, 1, -1], [2, -1, 3], [-1, 1, 2]]),
        "item_index[1, 1]=-1: expected padding only after the last item of a list, but one follows.",
    ),
    "hole of two": (
        np.array([[0, 1, -1, -1], [2, -1, -1, 3], [0, 1, 2, 3]]),
        "item_index[1, 2]=-1: expected padding only after the last item of a list, but one follows.",
    ),
    "repeated": (
        np.array([[0, 1, -1], [4, 2, 4], [1, 1, 2]]),
        "row 1 of item_index holds item 4 more than once: expected each item at most once in a list.",
    ),
}


# One row a block shows that rows are counted from the start of the array, not of the block.
@pytest.mark.parametrize("block", [1, 1 << 18])
@pytest.mark.parametrize(("lists", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_bad_lists(lists, message, block, monkeypatch):
    monkeypatch.setattr(engagelib.metrics._hits, "_BLOCK_POSITIONS", block)
    for metric in METRICS:
        with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
            metric(lists, WANTED)
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        coverage(lists, 5)
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        ranking_metrics(lists, WANTED)
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        ranking_metrics(lists, WANTED, names=("coverage",))


# A defect in a place that does not count, or in a row with nothing to find, is a defect all the same.
def test_bad_lists_are_found_beyond_k_and_without_truth():
    with pytest.raises(ArgumentError, match="row 0 of item_index holds item 4 more than once"):
        recall(np.array([[0, 4, 4]]), csr_array((1, 5)), 1)


def test_rows_that_differ():
    message = "item_index has 3 rows and relevant has 1,200: expected as many, in the same order."
    for metric in [*METRICS, ranking_metrics]:
        with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
            metric(GOOD, csr_array((1200, 5)))


@pytest.mark.parametrize(
    ("relevant", "given"),
    [
        (np.eye(3, 5), "ndarray of 2 dimensions"),
        ([[1], [2], [3]], "list of 0 dimensions"),
        pytest.param(
            coo_array(np.ones(3)),
            "coo_array of 1 dimensions",
            marks=pytest.mark.skipif(coo_array(np.ones(3)).ndim == 2, reason="this SciPy has no vectors"),
        ),
    ],
    ids=["dense", "list", "vector"],
)
def test_truth_that_is_no_sparse_matrix(relevant, given):
    message = (
        f"relevant is {given}: expected a SciPy sparse matrix of shape (n_rows, n_items). "
        "Hint: wrap a dense array in scipy.sparse.csr_array."
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        recall(GOOD, relevant)


@pytest.mark.parametrize("k", [0, -3, 2.0, "5", True, np.True_, np.int64(0)])
def test_bad_k(k):
    message = f"k={k!r}: expected an integer of at least 1."
    for metric in METRICS:
        with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
            metric(GOOD, WANTED, k)
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        coverage(GOOD, 5, k)
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        ranking_metrics(GOOD, WANTED, (10, k))


def test_numpy_integer_is_a_k():
    assert recall(GOOD, WANTED, np.int32(2)).tolist() == recall(GOOD, WANTED, 2).tolist()
    assert list(ranking_metrics(GOOD, WANTED, np.array([3]), names=("map",))) == ["map@3"]


@pytest.mark.parametrize("n_items", [-1, 5.0, True, None])
def test_bad_size_of_catalogue(n_items):
    message = f"n_items={n_items!r}: expected an integer of at least 0."
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        coverage(GOOD, n_items)


@pytest.mark.parametrize(
    ("ks", "message"),
    [
        ((), "ks=(): expected at least one cut, as in ks=(10,)."),
        (10, "ks=10: expected a sequence of cuts. Hint: one cut is ks=(10,)."),
        ("10", "ks='10': expected a sequence of cuts. Hint: one cut is ks=(10,)."),
        ((5, None), "k=None: expected an integer of at least 1."),
    ],
)
def test_bad_cuts(ks, message):
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        ranking_metrics(GOOD, WANTED, ks)


KNOWN = "recall, precision, hit_rate, ndcg, mrr, map, coverage"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("recall", "auc"), f"names='auc': expected metrics out of {KNOWN}."),
        ((), f"names=(): expected at least one of {KNOWN}."),
        ("map", "names='map': expected a sequence of names. Hint: one name is names=('map',)."),
    ],
)
def test_bad_names(names, message):
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        ranking_metrics(GOOD, WANTED, names=names)


def test_refusals_are_what_a_caller_would_guess():
    with pytest.raises(ValueError, match="expected an integer"):
        recall(GOOD, WANTED, 0)
    with pytest.raises(EngageError, match="expected an integer"):
        recall(GOOD, WANTED, 0)
