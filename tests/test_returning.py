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


def match(moves):
    customer, item, is_return, size = (np.array(part) for part in zip(*moves, strict=True))
    return match_returns(customer, item.astype(np.int32), is_return, size.astype(float))


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
