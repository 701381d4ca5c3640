"""ItemWalk: weights by their definition, from one matrix and from several types of event to another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import errors
from engagelib.errors import ArgumentError, NotEnoughDataError
from engagelib.models import ItemWalk
from engagelib.testing import histories_of

TYPES = ("view", "cart", "purchase")
WEIGHTS = {"view": 1.0, "cart": 3.0, "purchase": 5.0}

visits = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(TYPES)), max_size=6), min_size=1, max_size=5
)


def interest(log, event_weights):
    """Saturated interest of each history, by a loop over events."""
    x, heaviest = np.zeros((log.n_histories, log.n_items)), max(event_weights.values())
    for row, item, code in zip(log.rows(), log.item_index, log.event_type, strict=True):
        x[row, item] += event_weights.get(log.event_types[code], 0.0)
    return x / (x + heaviest)


def brute_force(log, blocks, target, powers, barred):
    """Return weights before they are scaled, block by block, each cell by a sum over histories."""
    customer_power, from_power, to_power = powers
    met = np.hstack(blocks)
    breadth = np.maximum((met > 0).sum(axis=1), 1)
    reached = np.maximum((target > 0).sum(axis=0), 1)
    weights = np.zeros((met.shape[1], log.n_items))
    for i in range(met.shape[1]):
        for j in range(log.n_items):
            if not (i % log.n_items == j and barred[i // log.n_items]):
                walked = sum(met[:, i] * target[:, j] / breadth**customer_power)
                weights[i, j] = walked / max((met[:, i] > 0).sum(), 1) ** from_power / reached[j] ** to_power
    return weights


def scaled(weights):
    return weights / max(weights.max(initial=0.0), 1e-30)


def log_of(rows):
    # One customer more, so that every type and item occurs.
    every = [(item, event_type) for item in range(5) for event_type in TYPES]
    return histories_of({**dict(enumerate(rows)), 99: every}, time_kind="set")


@settings(max_examples=25, deadline=None)
@given(rows=visits, powers=st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 3))
def test_one_matrix_is_walked_as_the_definition_says(rows, powers):
    log = log_of(rows)
    names = ("customer_power", "from_power", "to_power")
    model = ItemWalk(**dict(zip(names, powers, strict=True)), event_weights=WEIGHTS).fit(log)
    x = interest(log, WEIGHTS)
    expected = scaled(brute_force(log, [x], x, powers, [True]))
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=1e-5, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(rows=visits, powers=st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 3))
def test_each_type_has_weights_of_its_own_to_the_type_aimed_at(rows, powers):
    log = log_of(rows)
    names = ("customer_power", "from_power", "to_power")
    model = ItemWalk(
        **dict(zip(names, powers, strict=True)), event_weights=WEIGHTS, target_event_weights={"purchase": 1}
    ).fit(log)
    by_type = [interest(log, {name: 1.0}) for name in TYPES]
    blocks = [x * WEIGHTS[name] / 5.0 for name, x in zip(TYPES, by_type, strict=True)]
    inputs = model.inputs(log).to_matrix().toarray()
    np.testing.assert_allclose(inputs, np.hstack(blocks), rtol=1e-6)
    expected = scaled(brute_force(log, blocks, by_type[2], powers, [False, False, True]))
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=1e-5, atol=1e-7)
    pairs = model.score_pairs(log, np.tile(np.arange(log.n_items), (log.n_histories, 1)))
    np.testing.assert_allclose(pairs, inputs @ expected, rtol=1e-4, atol=1e-6)


def test_an_item_in_the_cart_speaks_for_buying_it():
    bought = {c: [("tea", "cart"), ("tea", "purchase"), ("salt", "view")] for c in range(3)}
    log = histories_of({**bought, 9: [("tea", "cart"), ("salt", "view")]})
    model = ItemWalk(target_event_weights={"purchase": 1.0}).fit(log)
    asked = log.take(np.array([log.customers.find(9)]))
    assert [log.items[item] for item in model.score_topk(asked, 2).items(0)] == ["tea"]
    tea = log.items.find("tea")
    assert model.similar_topk(tea, 5).items(0) == []
    found = model.contributions(asked, np.array([tea], np.int32))
    assert sorted(log.items[item] for item in found.item_index.tolist()) == ["salt", "tea"]


def test_types_speak_alike_where_nothing_is_said_of_them():
    log = log_of([[(0, "view"), (1, "purchase"), (2, "cart")]])
    said = ItemWalk(
        event_weights={"view": 1.0, "wishlist": 1.0, "cart": 1.0, "purchase": 1.0},
        target_event_weights={"purchase": 1.0},
    ).fit(log)
    unsaid = ItemWalk(target_event_weights={"purchase": 1.0}).fit(log)
    for name, values in unsaid.to_arrays().items():
        assert np.array_equal(values, said.to_arrays()[name])
    assert set(unsaid.inputs(log).data.tolist()) == {0.5}


def test_only_the_strongest_weights_are_kept():
    log = log_of([[(0, "purchase"), (1, "purchase")], [(0, "purchase"), (1, "purchase"), (2, "purchase")]])
    pruned = ItemWalk(1).fit(log).item_weights_.matrix
    assert np.diff(pruned.indptr).tolist() == [1] * 5
    assert pruned.indices[0] == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ItemWalk(0), "n_neighbours=0: expected an integer of at least 1."),
        (ItemWalk(True), "n_neighbours=True: expected an integer of at least 1."),
        (ItemWalk(customer_power=-1), "customer_power=-1: expected a number in [0, 2]."),
        (ItemWalk(from_power=np.nan), "from_power=nan: expected a number in [0, 2]."),
        (ItemWalk(to_power="a"), "to_power='a': expected a number in [0, 2]."),
        (ItemWalk(half_life_days=0), 'half_life_days=0: expected "auto", None or a number above 0.'),
    ],
)
def test_settings_out_of_range_are_refused(model, message):
    with pytest.raises(ArgumentError) as raised:
        model.fit(histories_of({1: [1, 2]}))
    assert str(raised.value) == message


def test_a_log_without_the_type_aimed_at_is_refused():
    log = histories_of({1: [1, 2]})
    with pytest.raises(NotEnoughDataError) as raised:
        ItemWalk(target_event_weights={"buy": 1.0}).fit(log)
    assert str(raised.value) == str(errors.answering.no_weighted_events(("purchase",), ["buy"]))
