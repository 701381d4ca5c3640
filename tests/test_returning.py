"""Returns take from the newest earlier purchase, as a stack does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.returning import match_returns

MOVES = st.tuples(
    st.integers(0, 1),  # customer
    st.integers(0, 2),  # item
    st.booleans(),
    st.integers(0, 4),
)


def stacks(moves):
    """The definition: a stack of purchases for each customer and item; shares kept, and what found none."""
    stack, left, unmatched = {}, [size for *_, size in moves], [0] * len(moves)
    for place, (customer, item, is_return, size) in enumerate(moves):
        bought = stack.setdefault((customer, item), [])
        if not is_return:
            bought.append(place)
            continue
        due = size
        while due > 1e-12 and bought:
            taken = min(due, left[bought[-1]])
            left[bought[-1]] -= taken
            due -= taken
            if left[bought[-1]] <= 1e-12:
                bought.pop()
        unmatched[place] = due
    kept = [
        1.0 if is_return or not size else max(left[place], 0) / size
        for place, (_, _, is_return, size) in enumerate(moves)
    ]
    return kept, unmatched


def match(moves, moments=None):
    customer, item, is_return, size = (np.array(part) for part in zip(*moves, strict=True))
    moment = None if moments is None else np.array(moments)
    return match_returns(customer, item.astype(np.int32), is_return, size.astype(float), moment=moment)


def tied_stacks(moves, moments):
    """The definition where moves share moments: a stack of layers, each all that was bought in a moment."""
    layers, unmatched = {}, [0] * len(moves)
    order = sorted(range(len(moves)), key=lambda place: (moments[place], moves[place][2], moves[place][3]))
    for place in order:
        customer, item, is_return, due = moves[place]
        left = layers.setdefault((customer, item), {})
        if not is_return:
            left[moments[place]] = left.get(moments[place], 0) + due
            continue
        for moment in sorted(left, reverse=True):
            taken = min(due, left[moment])
            left[moment] -= taken
            due -= taken
        unmatched[place] = due
    kept = []
    for (customer, item, is_return, size), moment in zip(moves, moments, strict=True):
        mine = [
            move[3]
            for move, when in zip(moves, moments, strict=True)
            if when == moment and move[:3] == (customer, item, False)
        ]
        kept.append(1.0 if is_return or not size else layers[customer, item][moment] / sum(mine))
    return kept, unmatched


# Whole numbers make the sums exact.
@given(moves=st.lists(MOVES, min_size=1, max_size=30))
def test_whole_quantities_match_as_on_a_stack(moves):
    kept, unmatched = match(moves)
    expected, alone = stacks(moves)
    assert kept.tolist() == expected
    assert unmatched.tolist() == alone


@given(moves=st.lists(MOVES, min_size=1, max_size=30))
def test_tenths_match_as_on_a_stack(moves):
    moves = [(customer, item, is_return, size / 10) for customer, item, is_return, size in moves]
    kept, unmatched = match(moves)
    expected, alone = stacks(moves)
    np.testing.assert_allclose(kept, expected, atol=1e-9)
    np.testing.assert_allclose(unmatched, alone, atol=1e-9)
    # Rounding leaves no crumbs of a purchase that was returned whole.
    assert (kept[np.isclose(expected, 0, atol=1e-9)] == 0).all()


@given(moves=st.lists(MOVES, min_size=1, max_size=20))
def test_one_customer_is_matched_alone_as_among_others(moves):
    kept, _ = match(moves)
    mine = [place for place, move in enumerate(moves) if move[0] == 0]
    if mine:
        alone, _ = match([moves[place] for place in mine])
        assert alone.tobytes() == kept[mine].tobytes()


@given(moves=st.lists(st.tuples(MOVES, st.integers(0, 3)), min_size=1, max_size=25))
def test_moves_of_one_moment_match_in_layers(moves):
    moves, moments = zip(*moves, strict=True)
    kept, unmatched = match(moves, moments)
    expected, alone = tied_stacks(moves, moments)
    assert kept.tolist() == expected
    # Of two like returns in one moment either may be the one that finds nothing.
    like = lambda found: sorted(zip(moves, moments, found, strict=True))  # noqa: E731
    assert like(unmatched.tolist()) == like(alone)


@given(moves=st.lists(st.tuples(MOVES, st.integers(0, 3)), min_size=1, max_size=25), data=st.data())
def test_the_order_of_rows_does_not_matter_where_moments_are_given(moves, data):
    found = []
    for some in (moves, data.draw(st.permutations(moves))):
        kept, unmatched = match(*zip(*some, strict=True))
        found.append(sorted(zip(some, kept.tolist(), strict=True)))
        found.append(sorted(zip(some, unmatched.tolist(), strict=True)))
    assert found[:2] == found[2:]


@pytest.mark.parametrize(
    ("moves", "kept", "unmatched"),
    [
        ("r1 b1", [1, 0], [0, 0]),
        ("b2 r1 b4", [5 / 6, 1, 5 / 6], [0, 0, 0]),
        ("r3 r1 b2", [1, 1, 0], [2, 0, 0]),
    ],
)
def test_one_moment_worked_by_hand(moves, kept, unmatched):
    steps = [(0, 0, step[0] == "r", int(step[1])) for step in moves.split()]
    found = match(steps, [7] * len(steps))
    assert found[0].tolist() == kept
    assert found[1].tolist() == unmatched


@pytest.mark.parametrize(
    ("moves", "kept", "unmatched"),
    [
        ([], [], []),
        ("b1", [1], [0]),
        ("b1 r1", [0, 1], [0, 0]),
        ("b2 b1 r1", [1, 0, 1], [0, 0, 0]),
        ("b2 b1 r2", [0.5, 0, 1], [0, 0, 0]),
        ("r1 b1", [1, 1], [1, 0]),
        ("b1 r3 b2 r1", [0, 1, 0.5, 1], [0, 2, 0, 0]),
        ("b4 r1 r1 b1 r2", [0.25, 1, 1, 0, 1], [0, 0, 0, 0, 0]),
    ],
)
def test_cases_worked_by_hand(moves, kept, unmatched):
    steps = [(0, 0, step[0] == "r", int(step[1])) for step in moves.split()] if moves else []
    found = match(steps) if steps else match_returns(*np.zeros((2, 0), int), np.zeros(0, bool), np.zeros(0))
    assert found[0].tolist() == kept
    assert found[1].tolist() == unmatched


def test_signs_are_not_read_and_a_missing_quantity_is_one():
    quantity = np.array([np.nan, 2.0, -1.0, np.nan])
    is_return = np.array([False, False, True, True])
    kept, unmatched = match_returns(np.zeros(4, int), np.zeros(4, np.int32), is_return, quantity)
    assert kept.tolist() == [1, 0, 1, 1]
    assert unmatched.tolist() == [0, 0, 0, 0]
