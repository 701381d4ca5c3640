"""One shared ranking: each row gets its first k items without the row's own exclusions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix
from scoring_cases import rows_of, sizes, sparse

from engagelib.errors import ArgumentError, ArtifactError
from engagelib.scoring import Ranking, ranking_topk


@st.composite
def cases(draw):
    n_rows, n_items = draw(st.integers(0, 4)), draw(st.integers(0, 9))
    named = draw(st.permutations(range(n_items)))
    return (
        named[: draw(st.integers(0, n_items))],
        draw(st.none() | rows_of(n_rows, n_items)),
        draw(st.none() | st.lists(st.booleans(), min_size=n_items, max_size=n_items)),
        n_rows,
        n_items,
        draw(st.integers(1, 11)),
    )


@given(case=cases(), block=st.sampled_from([1, 2, 256]))
def test_gives_what_the_definition_says(case, block):
    ranking, exclude, available, n_rows, n_items, k = case
    arguments = {
        "exclude": None if exclude is None else sparse(exclude, n_items),
        "available": None if available is None else np.array(available, bool),
    }
    with sizes(_BLOCK_ROWS=block):
        found = ranking_topk(ranking, n_rows, k, n_items=n_items, **arguments)
        for make in (Ranking, Ranking.from_array):
            again = ranking_topk(make(ranking, n_items), n_rows, k, **arguments)
            assert np.array_equal(found, again)
    assert found.dtype == np.int32
    assert found.shape == (n_rows, k)
    for row in range(n_rows):
        barred = exclude[row] if exclude else ()
        kept = [item for item in ranking if item not in barred and (available is None or available[item])]
        assert found[row].tolist() == (kept + [-1] * k)[:k]


def test_the_work_does_not_grow_with_the_catalogue():
    n_items, n_rows = 50_000_000, 100_000  # n_rows x n_items would not fit anywhere
    ranking = np.arange(1000)
    items = np.arange(n_rows) % 20
    exclude = csr_array((np.ones(n_rows), items, np.arange(n_rows + 1)), shape=(n_rows, n_items))
    found = ranking_topk(ranking, n_rows, 10, n_items=n_items, exclude=exclude)
    assert found[4].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert found[15].tolist() == list(range(10))


def test_of_a_checked_ranking_no_more_is_read_than_the_lists_need():
    n_items = 200
    order = np.arange(n_items)
    order[60] = n_items  # an altered place shows how far was read
    ranking = Ranking.from_array(order, n_items)
    assert np.shares_memory(ranking.order, order)
    available = np.arange(n_items) % 2 == 0
    exclude = sparse([dict.fromkeys(range(0, 20, 2), 1), {}], n_items)
    for _ in range(2):
        assert ranking_topk(ranking, 1, 60)[0].tolist() == list(range(60))
        lists = ranking_topk(ranking, 2, 5, exclude=exclude, available=available)
        assert lists.tolist() == [[20, 22, 24, 26, 28], [0, 2, 4, 6, 8]]
        with pytest.raises(ArtifactError) as caught:
            ranking_topk(ranking, 1, 61)
        assert str(caught.value) == (
            "place 60 of the stored ranking is item 200, beyond 0 to 199: expected item indices as they were "
            "saved. Hint: the file was damaged or altered; `engagelib verify` finds where, then save or copy "
            "the model again."
        )
    order[60] = -1
    with pytest.raises(ArtifactError, match="is item -1, beyond 0 to 199"):
        ranking_topk(ranking, 1, 1, available=np.zeros(n_items, bool))


def test_a_ranking_says_what_it_is_of():
    ranking = Ranking([3, 1], 5)
    assert (len(ranking), ranking.n_items, repr(ranking)) == (2, 5, "Ranking(2 of 5 items)")
    assert ranking.first(1).tolist() == [3]
    assert ranking.first(9).tolist() == [3, 1]
    assert ranking_topk(ranking, 1, 3, n_items=5).tolist() == [[3, 1, -1]]
    assert ranking_topk(Ranking([], 0), 2, 1).tolist() == [[-1], [-1]]
    assert ranking_topk(Ranking.from_array([], 3), 1, 1, available=np.ones(3, bool)).tolist() == [[-1]]


@pytest.mark.parametrize("make", [csr_array, csr_matrix])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_classes_and_index_types_answer_alike(make, index_type):
    exclude = sparse([{2: 0}, {}, {0: 1, 1: 1}], 3, index_type, make)
    found = ranking_topk(np.array([2, 0, 1], index_type), 3, 2, n_items=3, exclude=exclude)
    assert found.tolist() == [[0, 1], [2, 0], [2, -1]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: ranking_topk([0, 2, 0], 1, 1, n_items=3),
            "ranking[2] is item 0 again: expected each item once.",
        ),
        (
            lambda: ranking_topk([0, 3], 1, 1, n_items=3),
            "ranking[1] is 3: expected item indices from 0 to 2.",
        ),
        (
            lambda: ranking_topk([0, -1], 1, 1, n_items=3),
            "ranking[1] is -1: expected item indices from 0 to 2.",
        ),
        (
            lambda: ranking_topk([[0]], 1, 1, n_items=3),
            "ranking has the shape (1, 1): expected one dimension.",
        ),
        (lambda: ranking_topk([0.5], 1, 1, n_items=3), "ranking is of type float64: expected integers."),
        (lambda: Ranking([1, 1], 3), "ranking[1] is item 1 again: expected each item once."),
        (lambda: Ranking([0], -1), "n_items=-1: expected an integer of at least 0."),
        (
            lambda: Ranking.from_array([[0]], 3),
            "ranking has the shape (1, 1): expected one dimension.",
        ),
        (lambda: Ranking.from_array(["a"], 3), "ranking is of type <U1: expected integers."),
        (lambda: Ranking.from_array([0], True), "n_items=True: expected an integer of at least 0."),
        (
            lambda: ranking_topk(Ranking([0], 3), 1, 1, n_items=4),
            "n_items=4: expected 3, as in the ranking, or None.",
        ),
        (lambda: ranking_topk([0], 1, 1), "n_items=None: expected an integer of at least 0."),
        (lambda: ranking_topk([0], -1, 1, n_items=3), "n_rows=-1: expected an integer of at least 0."),
        (lambda: ranking_topk([0], 1, 0, n_items=3), "k=0: expected an integer of at least 1."),
        (lambda: ranking_topk([0], 1, 1, n_items="3"), "n_items='3': expected an integer of at least 0."),
        (
            lambda: ranking_topk([0], 2, 1, n_items=3, exclude=csr_array((1, 3))),
            "exclude has the shape (1, 3): expected (2, 3), one row a list, one column an item.",
        ),
        (
            lambda: ranking_topk([0], 2, 1, n_items=3, available=[True]),
            "available has the type bool and the shape (1,): expected one bool an item, (3,).",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, text):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == text
