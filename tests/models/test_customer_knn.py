"""CustomerKNN against a dense definition, a case worked by hand, and its refusals."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import Histories
from engagelib.errors import ArgumentError
from engagelib.models import CustomerKNN
from engagelib.testing import histories_of, random_log

COUNTS = st.integers(2, 6).flatmap(
    lambda n_items: st.lists(
        st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=n_items, max_size=n_items), min_size=1, max_size=6
    ).filter(lambda rows: any(map(any, rows)))
)


def fit(counts, **settings):
    visits = {c: [i for i, n in enumerate(row) for _ in range(n)] for c, row in enumerate(counts)}
    histories = histories_of(visits, items={"item_id": list(range(len(counts[0])))})
    settings = {"half_life_days": None, "event_weights": {"purchase": 1.0}} | settings
    return CustomerKNN(**settings).fit(histories), histories


def scores(x, n_neighbours, own, max_customers):
    """The definition: cosines of weighed roots, the nearest, their mean and the customer's own vector."""
    rarity = np.maximum(np.log(len(x) / (1 + (x > 0).sum(axis=0))), 0.1)
    direction = np.sqrt(x * rarity)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    index = direction.copy()
    for column in index.T:
        column[np.argsort(-column.astype(np.float32), kind="stable")[max_customers:]] = 0
    near = (direction @ index.T).astype(np.float32).astype(float)
    shares = x / x.sum(axis=1, keepdims=True)
    result = np.empty(x.shape)
    for row, nearness in enumerate(near):
        nearest = np.argsort(-nearness, kind="stable")[:n_neighbours]
        weight = nearness[nearest]
        around = weight @ shares[nearest] / weight.sum() if weight.sum() > 0 else 0
        result[row] = own * shares[row] + (1 - own) * around
    return result


@given(
    counts=COUNTS,
    own=st.sampled_from([0.0, 0.3, 1.0]),
    max_customers=st.sampled_from([2, 9]),
)
def test_scores_are_what_the_dense_definition_says(counts, own, max_customers):
    counts = [row for row in counts if any(row)]
    # All neighbours: which of two equally near ones is taken is a matter of rounding.
    model, histories = fit(counts, n_neighbours=9, own=own, max_customers=max_customers)
    every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
    x = np.array(counts, float)
    if max_customers < len(x):
        # The index drops entries by their float32 weights; the definition sees those.
        kept = model.nearness_.matrix.toarray() > 0
        assert (kept.sum(axis=1) == np.minimum((x > 0).sum(axis=0), max_customers)).all()
        return
    np.testing.assert_allclose(
        model.score_pairs(histories, every), scores(x, 9, own, max_customers), rtol=3e-6, atol=1e-7
    )


@pytest.mark.parametrize("n_neighbours", [1, 4, 11])
@pytest.mark.parametrize("max_customers", [3, 6, 40])
def test_the_nearest_histories_and_the_heaviest_entries_alone_count(n_neighbours, max_customers):
    draw = np.random.default_rng(3)
    counts = draw.integers(1, 9, (30, 12)) * (draw.random((30, 12)) < 0.5)
    counts[:, 0] += 1
    model, histories = fit(counts.tolist(), n_neighbours=n_neighbours, own=0.4, max_customers=max_customers)
    every = np.tile(np.arange(12), (30, 1))
    expected = scores(counts.astype(float), n_neighbours, 0.4, max_customers)
    np.testing.assert_allclose(model.score_pairs(histories, every), expected, rtol=3e-6, atol=1e-7)
    assert (np.diff(model.nearness_.indptr) <= max_customers).all()


# Each of the first three items is met by two of four histories; Ann has two of them, Bob and Dee one of hers.
def test_neighbours_worked_by_hand():
    model, histories = fit([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]], own=0.5)
    assert model.rarity_[:3].tolist() == pytest.approx([np.log(4 / 3) ** 0.5] * 3)
    found = model.score_topk(histories.take(np.array([0])), 4)
    assert found.items(0) == [0, 1, 2]
    # Ann herself is as near as 1, the others 1/2 each: own shares (1/2, 1/2, 0), the mean (3/8, 3/8, 1/4).
    np.testing.assert_allclose(found.scores(0), [7 / 16, 7 / 16, 1 / 8], rtol=1e-6)


def test_own_moves_no_item_that_was_never_met():
    histories = Histories.from_log(random_log())
    met = histories.seen("any")
    lists = [CustomerKNN(own=own).fit(histories).score_topk(histories, 6, exclude=met) for own in (0.1, 0.8)]
    assert np.array_equal(lists[0].item_index, lists[1].item_index)


@pytest.mark.parametrize("settings", [{}, {"own": 1.0}, {"own": 0.0, "max_customers": 3}])
def test_what_items_contribute_sums_to_the_score(settings):
    histories = Histories.from_log(random_log())
    model = CustomerKNN(5, **settings).fit(histories)
    every = np.arange(histories.n_items)
    for row in range(0, histories.n_histories, 7):
        one = histories.take(np.array([row]))
        found = model.contributions(one, every)
        total = np.bincount(found.listed, found.value, minlength=len(every))
        np.testing.assert_allclose(total, model.score_pairs(one, every[None])[0], rtol=1e-5, atol=1e-7)
        assert set(found.item_index.tolist()) <= set(one.item_index.tolist())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_neighbours": 0}, "n_neighbours=0: expected an integer of at least 1."),
        ({"max_customers": True}, "max_customers=True: expected an integer of at least 1."),
        ({"own": 1.5}, "own=1.5: expected a number in [0, 1]."),
        ({"own": None}, "own=None: expected a number in [0, 1]."),
    ],
)
def test_settings_outside_their_range_are_refused_by_fit(settings, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        CustomerKNN(**settings).fit(histories_of({1: [1, 2]}))


def test_histories_over_other_items_are_refused():
    model = CustomerKNN().fit(histories_of({1: [1, 2]}))
    text = (
        "the histories are over 3 items, and this CustomerKNN was fitted on 2: expected the same items. "
        "Hint: fit it anew, or take the histories of the log that it was fitted on."
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        model.score_topk(histories_of({1: [1, 2, 3]}), 1)
