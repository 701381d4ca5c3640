"""Ranking metrics against their definitions, hand-worked cases, scikit-learn and the laws they must keep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    ndcg_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

import engagelib.metrics._hits
from engagelib.metrics import (
    RANKING_METRICS,
    average_precision,
    coverage,
    hit_rate,
    ndcg,
    precision,
    ranking_metrics,
    recall,
    reciprocal_rank,
)

PER_ROW = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
}


def capped_recall(item_index, relevant, k=None):
    return recall(item_index, relevant, k, capped=True)


EVERY = {**PER_ROW, "capped_recall": capped_recall}


def truth(rows, n_items):
    """Give the sets of relevant items as a matrix."""
    dense = np.zeros((len(rows), n_items), np.float32)
    for row, items in enumerate(rows):
        dense[row, list(items)] = 1
    return csr_array(dense)


def padded(lists, width):
    rows = [items + [-1] * (width - len(items)) for items in lists]
    return np.array(rows, np.int32).reshape(len(lists), width)


# The definitions, one list at a time and as the textbooks write them.


def slow(name, items, wanted, k):
    if not wanted:
        return math.nan
    shown = [items[r] if r < len(items) else None for r in range(k)]
    gains = [item in wanted for item in shown]
    n_hits = sum(gains)
    if name == "recall":
        return n_hits / len(wanted)
    if name == "capped_recall":
        return n_hits / min(k, len(wanted))
    if name == "precision":
        return n_hits / k
    if name == "hit_rate":
        return float(n_hits > 0)
    if name == "ndcg":
        gained = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
        return gained / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
    if name == "mrr":
        return next((1 / rank for rank, gain in enumerate(gains, 1) if gain), 0.0)
    at_hits = [sum(gains[:rank]) / rank for rank, gain in enumerate(gains, 1) if gain]
    return sum(at_hits) / min(k, len(wanted))


@st.composite
def cases(draw, max_rows=6):
    """Lists of few items over a small catalogue, so that hits, short lists and empty rows are all common."""
    n_items = draw(st.integers(1, 8))
    width = draw(st.integers(0, n_items))
    lists, wanted = [], []
    for _ in range(draw(st.integers(0, max_rows))):
        lists.append(draw(st.permutations(range(n_items)))[: draw(st.integers(0, width))])
        flags = draw(st.lists(st.booleans(), min_size=n_items, max_size=n_items))
        wanted.append({item for item, flag in enumerate(flags) if flag})
    return lists, wanted, n_items, width


CUTS = st.one_of(st.none(), st.integers(1, 10))


# One row a block puts the seams between blocks everywhere; the larger size is the one in use.
@settings(deadline=None)
@given(case=cases(), k=CUTS, block=st.sampled_from([1, 12, 1 << 18]))
@pytest.mark.parametrize("name", EVERY)
def test_metric_is_its_definition(name, case, k, block):
    lists, wanted, n_items, width = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engagelib.metrics._hits, "_BLOCK_POSITIONS", block)
        got = EVERY[name](padded(lists, width), truth(wanted, n_items), k)
    k = max(width, 1) if k is None else k
    expected = [slow(name, items, want, k) for items, want in zip(lists, wanted, strict=True)]
    assert got.dtype == np.float64
    assert got.shape == (len(lists),)
    assert_allclose(got, expected, rtol=1e-12)


@settings(deadline=None)
@given(case=cases(), k=CUTS, block=st.sampled_from([1, 12, 1 << 18]))
def test_coverage_is_its_definition(case, k, block):
    lists, _, n_items, width = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engagelib.metrics._hits, "_BLOCK_POSITIONS", block)
        got = coverage(padded(lists, width), n_items, k)
    shown = {item for items in lists for item in items[:k]}
    assert got == len(shown) / n_items


@settings(deadline=None)
@given(case=cases(), ks=st.lists(st.integers(1, 10), min_size=1, max_size=3))
def test_summary_is_the_mean_over_rows_with_something_to_find(case, ks):
    lists, wanted, n_items, width = case
    lists, wanted = padded(lists, width), truth(wanted, n_items)
    got = ranking_metrics(lists, wanted, ks)
    assert list(got) == list(dict.fromkeys(f"{name}@{k}" for k in ks for name in RANKING_METRICS))
    for k in ks:
        assert got[f"coverage@{k}"] == coverage(lists, n_items, k)
        for name, metric in PER_ROW.items():
            known = [value for value in metric(lists, wanted, k) if not math.isnan(value)]
            expected = math.fsum(known) / len(known) if known else math.nan
            assert got[f"{name}@{k}"] == pytest.approx(expected, nan_ok=True)
            assert type(got[f"{name}@{k}"]) is float


# Worked by hand. Row 0 finds 3 of its 4 relevant items, at ranks 1, 3 and 4; row 1 finds its only one at
# rank 2, in a list of two; row 2 has nothing to find; row 3 lists nothing.
LISTS = np.array([[4, 0, 2, 6, 5], [1, 3, -1, -1, -1], [0, 1, 2, 3, 4], [-1, -1, -1, -1, -1]])
WANTED = truth([{4, 2, 6, 1}, {3}, set(), {0, 1}], 8)
LOG3, LOG5 = math.log2(3), math.log2(5)
NAN = math.nan


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("recall", 3, [2 / 4, 1, NAN, 0]),
        ("recall", None, [3 / 4, 1, NAN, 0]),
        ("capped_recall", 3, [2 / 3, 1, NAN, 0]),
        ("capped_recall", 1, [1, 0, NAN, 0]),
        ("precision", 1, [1, 0, NAN, 0]),
        ("precision", 4, [3 / 4, 1 / 4, NAN, 0]),
        ("precision", None, [3 / 5, 1 / 5, NAN, 0]),
        ("precision", 10, [3 / 10, 1 / 10, NAN, 0]),
        ("hit_rate", 1, [1, 0, NAN, 0]),
        ("hit_rate", 2, [1, 1, NAN, 0]),
        ("ndcg", 1, [1, 0, NAN, 0]),
        ("ndcg", 3, [(1 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2), 1 / LOG3, NAN, 0]),
        ("ndcg", 10, [(1 + 1 / 2 + 1 / LOG5) / (1 + 1 / LOG3 + 1 / 2 + 1 / LOG5), 1 / LOG3, NAN, 0]),
        ("mrr", 1, [1, 0, NAN, 0]),
        ("mrr", 5, [1, 1 / 2, NAN, 0]),
        ("map", 1, [1, 0, NAN, 0]),
        ("map", 3, [(1 + 2 / 3) / 3, 1 / 2, NAN, 0]),
        ("map", 10, [(1 + 2 / 3 + 3 / 4) / 4, 1 / 2, NAN, 0]),
    ],
)
def test_hand_worked(name, k, expected):
    assert_allclose(EVERY[name](LISTS, WANTED, k), expected, rtol=1e-15)


@pytest.mark.parametrize(("k", "expected"), [(1, 3 / 8), (2, 4 / 8), (None, 7 / 8), (99, 7 / 8)])
def test_hand_worked_coverage(k, expected):
    assert coverage(LISTS, 8, k) == expected


def test_hand_worked_summary():
    got = ranking_metrics(LISTS, WANTED, (1, 4), names=("precision", "coverage", "mrr"))
    assert got == {
        "precision@1": 1 / 3,
        "coverage@1": 3 / 8,
        "mrr@1": 1 / 3,
        "precision@4": 1 / 3,
        "coverage@4": 6 / 8,
        "mrr@4": 1 / 2,
    }
    assert ranking_metrics(LISTS, WANTED, [2], names=["coverage"]) == {"coverage@2": 4 / 8}
    assert set(ranking_metrics(LISTS, WANTED)) == {f"{name}@10" for name in RANKING_METRICS}


# Against scikit-learn, where it means the same.


@pytest.fixture(scope="module")
def ranked():
    """Give whole rankings of 30 items for 200 rows, as scores, lists and truth."""
    rng = np.random.default_rng(5)
    scores = rng.permuted(np.tile(np.arange(30.0), (200, 1)), axis=1)
    wanted = rng.random((200, 30)) < 0.15
    wanted[np.arange(200), rng.integers(0, 30, 200)] = True
    return scores, np.argsort(-scores, axis=1), wanted.astype(int)


@pytest.mark.parametrize("k", [1, 5, 30])
def test_ndcg_is_that_of_scikit_learn(ranked, k):
    scores, lists, wanted = ranked
    got = ndcg(lists, csr_array(wanted), k)
    expected = [ndcg_score(wanted[[row]], scores[[row]], k=k) for row in range(len(lists))]
    assert_allclose(got, expected, rtol=1e-12)


def test_average_precision_of_a_whole_ranking_is_that_of_scikit_learn(ranked):
    scores, lists, wanted = ranked
    got = average_precision(lists, csr_array(wanted))
    expected = [average_precision_score(wanted[row], scores[row]) for row in range(len(lists))]
    assert_allclose(got, expected, rtol=1e-12)
    assert_allclose(got.mean(), label_ranking_average_precision_score(wanted, scores), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 30])
def test_precision_and_recall_are_those_of_scikit_learn(ranked, k):
    _, lists, wanted = ranked
    shown = np.zeros_like(wanted)
    np.put_along_axis(shown, lists[:, :k], 1, axis=1)
    expected = precision_recall_fscore_support(wanted, shown, average="samples")
    assert_allclose(precision(lists, csr_array(wanted), k).mean(), expected[0], rtol=1e-12)
    assert_allclose(recall(lists, csr_array(wanted), k).mean(), expected[1], rtol=1e-12)


def test_hit_rate_and_mrr_of_single_items_are_those_of_scikit_learn(ranked):
    scores, lists, _ = ranked
    target = np.arange(len(lists)) % 30
    wanted = np.eye(30, dtype=int)[target]
    expected = top_k_accuracy_score(target, scores, k=7)
    assert_allclose(hit_rate(lists, csr_array(wanted), 7).mean(), expected, rtol=1e-12)
    expected = label_ranking_average_precision_score(wanted, scores)
    assert_allclose(reciprocal_rank(lists, csr_array(wanted)).mean(), expected, rtol=1e-12)


# Laws.


@settings(deadline=None)
@given(case=cases(), k=CUTS)
def test_values_are_shares_or_nan_where_nothing_is_to_be_found(case, k):
    lists, wanted, n_items, width = case
    for metric in EVERY.values():
        got = metric(padded(lists, width), truth(wanted, n_items), k)
        assert_array_equal(np.isnan(got), [not items for items in wanted])
        assert np.all(np.isnan(got) | ((got >= 0) & (got <= 1)))


@settings(deadline=None)
@given(case=cases(), k=st.integers(1, 9))
def test_more_places_never_lose_a_hit(case, k):
    lists, wanted, n_items, width = case
    lists, wanted = padded(lists, width), truth(wanted, n_items)
    for metric in (recall, hit_rate, reciprocal_rank):
        shorter, longer = metric(lists, wanted, k), metric(lists, wanted, k + 1)
        assert np.all(np.isnan(shorter) | (longer >= shorter))
    assert coverage(lists, n_items, k + 1) >= coverage(lists, n_items, k)


# Up to 200 relevant items: sums of that many logarithms would differ in the last digit if they ran in
# another order than those they are divided by.
@settings(deadline=None)
@given(n_relevant=st.integers(1, 200), k=st.integers(1, 250), seed=st.integers(0, 99))
def test_best_list_gets_exactly_one(n_relevant, k, seed):
    items = np.random.default_rng(seed).permutation(200)
    wanted = truth([set(items[:n_relevant])], 200)
    for metric in (capped_recall, hit_rate, ndcg, reciprocal_rank, average_precision):
        assert_array_equal(metric(items[np.newaxis], wanted, k), [1.0])
    assert_array_equal(precision(items[np.newaxis], wanted, k), [min(n_relevant, k) / k])


@settings(deadline=None)
@given(case=cases(), k=CUTS)
def test_metrics_keep_their_order(case, k):
    lists, wanted, n_items, width = case
    lists, wanted = padded(lists, width), truth(wanted, n_items)
    known = np.diff(wanted.indptr) > 0
    got = {name: metric(lists, wanted, k)[known] for name, metric in EVERY.items()}
    assert np.all(got["hit_rate"] >= got["capped_recall"])
    assert np.all(got["capped_recall"] >= np.maximum(got["recall"], got["precision"]))
    assert np.all(got["hit_rate"] >= got["mrr"])
    # Average precision weighs each hit by a precision, which is at most 1.
    assert np.all(got["capped_recall"] >= got["map"] - 1e-15)


@settings(deadline=None)
@given(case=cases(), k=CUTS, data=st.data())
def test_order_of_rows_and_names_of_items_do_not_matter(case, k, data):
    lists, wanted, n_items, width = case
    rows = data.draw(st.permutations(range(len(lists))))
    renamed = data.draw(st.permutations(range(n_items)))
    other_lists = padded([[renamed[item] for item in lists[row]] for row in rows], width)
    other_wanted = truth([{renamed[item] for item in wanted[row]} for row in rows], n_items)
    for metric in EVERY.values():
        got = metric(other_lists, other_wanted, k)
        assert_array_equal(got, metric(padded(lists, width), truth(wanted, n_items), k)[rows])
    assert coverage(other_lists, n_items, k) == coverage(padded(lists, width), n_items, k)


@settings(deadline=None)
@given(case=cases(), k=st.integers(1, 8))
def test_moving_a_hit_up_never_hurts(case, k):
    lists, wanted, n_items, width = case
    moved = [
        sorted(items, key=lambda item, want=want: item not in want)
        for items, want in zip(lists, wanted, strict=True)
    ]
    for metric in EVERY.values():
        before = metric(padded(lists, width), truth(wanted, n_items), k)
        after = metric(padded(moved, width), truth(wanted, n_items), k)
        assert np.all(np.isnan(before) | (after >= before - 1e-15))
