"""What lists and truth may look like: formats, types, messy entries, and where there is little or nothing."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix

from engagelib import metrics
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
LISTS = np.array([[4, 0, 2, 6, 5], [1, 3, -1, -1, -1], [0, 1, 2, 3, 4], [-1, -1, -1, -1, -1]])


def truth(rows, n_items):
    """Give the sets of relevant items as a matrix."""
    dense = np.zeros((len(rows), n_items), np.float32)
    for row, items in enumerate(rows):
        dense[row, list(items)] = 1
    return csr_array(dense)


WANTED = truth([{4, 2, 6, 1}, {3}, set(), {0, 1}], 8)


@pytest.mark.parametrize("kind", [csr_array, csr_matrix, csc_array, coo_array])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.float64])
def test_any_sparse_format_and_type_of_truth(kind, dtype):
    got = ndcg(LISTS, kind(WANTED.toarray().astype(dtype)), 3)
    assert_array_equal(got, ndcg(LISTS, WANTED, 3))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, ">i4"])
def test_any_integer_type_and_layout_of_lists(dtype):
    for lists in (LISTS.astype(dtype), np.asfortranarray(LISTS.astype(dtype)), LISTS.astype(dtype).tolist()):
        assert_array_equal(average_precision(lists, WANTED), average_precision(LISTS, WANTED))


def test_unsigned_lists_need_no_padding():
    lists = np.array([[4, 0, 2]], np.uint64)
    assert_array_equal(recall(lists, truth([{4, 2, 6, 1}], 8)), [1 / 2])


def test_values_do_not_grade():
    graded = WANTED.copy()
    graded.data = np.arange(1, len(graded.data) + 1, dtype=float)
    assert_array_equal(ndcg(LISTS, graded), ndcg(LISTS, WANTED))


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_unsorted_double_and_void_entries_of_the_truth(index_type):
    # Items 6 twice, 2, 5 as a stored 0, 4 cancelled by a return, 1 and 7 below 0; the sum of the
    # two entries of item 3 would wrap round to 0 in int8.
    items = np.array([6, 2, 6, 5, 4, 4, 1, 7, 3, 3, 3, 3], index_type)
    values = np.array([1, 1, 1, 0, 1, -1, -3, -1, 64, 64, 64, 64], np.int8)
    messy = csr_array((values, items, np.array([0, len(items)], index_type)), shape=(1, 8))
    before = messy.indices.copy(), messy.data.copy(), messy.indptr.copy()
    lists = np.array([[5, 6, 4, 1, 2, 0]])
    assert_array_equal(recall(lists, messy), [2 / 3])
    assert_allclose(average_precision(lists, messy), [(1 / 2 + 2 / 5) / 3])
    for old, new in zip(before, (messy.indices, messy.data, messy.indptr), strict=True):
        assert_array_equal(old, new)


def test_flag_that_went_out_of_date_is_not_trusted():
    wanted = truth([{0, 1, 2}], 3)
    assert wanted.has_canonical_format
    wanted.indices[:] = [2, 0, 1]
    assert_array_equal(recall([[0, 2]], wanted), [2 / 3])


# Where there is little or nothing.


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [None, 1, 5])
def test_no_rows(metric, k):
    assert metric(np.empty((0, 4), int), csr_array((0, 9)), k).shape == (0,)
    assert metric(np.empty((0, 0), int), csr_array((0, 9)), k).shape == (0,)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [None, 1, 5])
def test_lists_of_no_width_find_nothing(metric, k):
    assert_array_equal(metric(np.empty((2, 0), int), truth([{1}, set()], 3), k), [0.0, math.nan])


def test_nothing_to_find_at_all():
    got = ranking_metrics(LISTS, csr_array((4, 8)), (5,))
    assert got.pop("coverage@5") == 7 / 8
    assert all(math.isnan(value) for value in got.values())


def test_no_lists_show_nothing_and_no_catalogue_has_no_share():
    assert coverage(np.empty((0, 4), int), 9) == 0.0
    assert math.isnan(coverage(np.full((2, 3), -1), 0))


def test_key_of_row_and_item_does_not_overflow():
    # 2**31 columns and int32 lists: row times width is beyond int32 from the second row on.
    n_items = 2**31
    wanted = csr_array((np.ones(2), np.array([7, 7]), np.array([0, 1, 2])), shape=(2, n_items))
    assert_array_equal(recall(np.array([[7], [3]], np.int32), wanted), [1, 0])


def test_front_door_is_sorted():
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)
