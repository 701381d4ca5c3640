"""Blending against the loops that define it, and what both implementations agree on to the last bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.scoring import TopK, reference
from engagelib.scoring.blending import blend

N_ITEMS = 5
# Few numbers make ties common; one float32 below another, thirds and what rounds to 0 are among them.
SCORES = [-2.0, -0.5, -0.0, 0.0, 1e-45, 1 / 3, 1.0, 1.0000001, 3.0, 3e38]
FACTORS = [1.0, 0.5, 2.0, 3.0, 1e6]


@st.composite
def some_lists(draw, scores=SCORES):
    """Lists of one to three models, unsorted, with gaps; some name items twice."""
    n_rows = draw(st.integers(0, 3))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        shape = (n_rows, draw(st.integers(1, 7)))
        size = shape[0] * shape[1]
        items = draw(st.lists(st.integers(-1, N_ITEMS - 1), min_size=size, max_size=size))
        values = draw(st.lists(st.sampled_from(scores), min_size=size, max_size=size))
        item_index = np.array(items, np.int32).reshape(shape)
        score = np.where(item_index < 0, -np.inf, np.array(values).reshape(shape)).astype(np.float32)
        found.append(TopK(item_index, score))
    return found


factors = st.none() | st.lists(st.sampled_from(FACTORS), min_size=N_ITEMS, max_size=N_ITEMS).map(
    lambda values: np.array(values, np.float32)
)
masks = st.none() | st.lists(st.booleans(), min_size=N_ITEMS, max_size=N_ITEMS).map(np.array)


def blended_row(found, row, k, factor, among):
    """The loops: (item, score, source) of each listed item."""
    n_models = len(found)
    parts = {}
    for place, best in enumerate(found):
        pairs = list(zip(best.item_index[row].tolist(), best.score[row].tolist(), strict=True))
        highest = max(score for _, score in pairs)
        for item, score in pairs:
            counts = item >= 0 and (n_models == 1 or score > 0)
            if counts and place not in parts.setdefault(item, {}):
                parts[item][place] = score if n_models == 1 else score / highest / n_models
    cells = []
    for item, said in parts.items():
        if not said or (among is not None and not among[item]):
            continue
        score = np.float32(sum(said[place] for place in sorted(said)))
        source = max(sorted(said), key=said.get)  # of equal ones the first
        if factor is not None:
            score = score * factor[item] if score > 0 else score / factor[item]
            source += (n_models + 1) * bool(factor[item] != 1)
        cells.append((item, float(score), source))
    return sorted(cells, key=lambda cell: (-cell[1], cell[0]))[:k]


def rows_of(blended):
    """Each row as (item, score, source), without padding, whose form is checked."""
    items, scores, sources = blended
    assert [column.dtype for column in blended] == [np.int32, np.float32, np.int8]
    padding = items < 0
    assert (items[padding] == -1).all()
    assert (scores[padding] == -np.inf).all()
    assert (sources[padding] == -1).all()
    assert (padding[:, 1:] >= padding[:, :-1]).all(), "padding stands at the end"
    listed = [zip(*row, strict=True) for row in zip(*(c.tolist() for c in blended), strict=True)]
    return [[cell for cell in row if cell[0] >= 0] for row in listed]


@given(some_lists(), st.integers(1, N_ITEMS + 2), factors, masks)
def test_a_blend_is_what_the_loops_say(found, k, factor, among):
    with np.errstate(over="ignore"):
        expected = [blended_row(found, row, k, factor, among) for row in range(len(found[0].item_index))]
    blended = blend(found, k, N_ITEMS, factor=factor, among=among)
    assert blended[0].shape == blended[1].shape == blended[2].shape == (len(expected), k)
    assert rows_of(blended) == expected


@given(some_lists([*SCORES, np.nan, np.inf, -np.inf]), st.integers(1, N_ITEMS + 2), factors, masks)
def test_both_implementations_agree_to_the_last_bit(found, k, factor, among):
    blended = blend(found, k, N_ITEMS, factor=factor, among=among)
    expected = reference.blend(found, k, N_ITEMS, factor, among)
    for column, definition in zip(blended, expected, strict=True):
        assert column.dtype == definition.dtype
        # Of NaN there are several kinds, which nobody tells apart.
        plain = np.nan_to_num(column, nan=7.0), np.nan_to_num(definition, nan=7.0)
        assert plain[0].tobytes() == plain[1].tobytes()


def long_lists(rng, n_models, n_rows, width, n_items):
    found = []
    for _ in range(n_models):
        items = np.argsort(rng.random((n_rows, n_items)), axis=1)[:, :width].astype(np.int32)
        score = -np.sort(-rng.random((n_rows, width)).astype(np.float32), axis=1)
        found.append(TopK(np.append(items, items[:, :3], 1), np.append(score, score[:, :3], 1)))
    return found


@pytest.mark.parametrize("k", [1, 10, 100, 1000])
@pytest.mark.parametrize("n_models", [1, 2, 5])
def test_long_lists_agree_to_the_last_bit(n_models, k):
    rng = np.random.default_rng(7)
    found = long_lists(rng, n_models, 20, 100, 300)
    factor = rng.choice(np.array([1, 1, 3, 0.1], np.float32), 300)
    blended = blend(found, k, 300, factor=factor)
    expected = reference.blend(found, k, 300, factor, None)
    assert [column.tobytes() for column in blended] == [column.tobytes() for column in expected]


@given(some_lists(), st.integers(1, N_ITEMS), factors, masks)
def test_a_row_alone_is_the_row_among_others(found, k, factor, among):
    whole = blend(found, k, N_ITEMS, factor=factor, among=among)
    for row in range(len(whole[0])):
        part = [TopK(best.item_index[[row]], best.score[[row]]) for best in found]
        alone = blend(part, k, N_ITEMS, factor=factor, among=among)
        assert [c.tobytes() for c in alone] == [c[[row]].tobytes() for c in whole]


@given(some_lists(), factors, masks)
def test_a_shorter_list_is_a_prefix_of_a_longer_one(found, factor, among):
    longest = blend(found, N_ITEMS, N_ITEMS, factor=factor, among=among)
    for k in range(1, N_ITEMS):
        shorter = blend(found, k, N_ITEMS, factor=factor, among=among)
        assert [c.tobytes() for c in shorter] == [c[:, :k].tobytes() for c in longest]


def lists(*models):
    """One row of each model, as pairs of item and score."""
    return [
        TopK(np.array([[i for i, _ in m]], np.int32), np.array([[s for _, s in m]], np.float32))
        for m in models
    ]


def test_two_models_by_hand():
    found = lists([(3, 8.0), (1, 2.0), (-1, -np.inf)], [(1, 5.0), (0, 2.5), (2, -1.0)])
    assert rows_of(blend(found, 4, N_ITEMS)) == [[(1, 0.625, 1), (3, 0.5, 0), (0, 0.25, 1)]]


def test_what_a_model_names_twice_counts_once():
    found = lists([(3, 4.0), (1, 2.0), (3, 4.0)], [(1, 1.0), (1, 1.0)])
    assert rows_of(blend(found, 2, N_ITEMS)) == [[(1, 0.75, 1), (3, 0.5, 0)]]


def test_a_boost_brings_scores_below_0_nearer_to_0():
    factor = np.array([1, 4, 1, 1, 0.5], np.float32)
    found = lists([(4, 4.0), (0, 1.0), (2, -1.0), (1, -2.0)])
    assert rows_of(blend(found, 4, N_ITEMS, factor=factor)) == [
        [(4, 2.0, 2), (0, 1.0, 0), (1, -0.5, 2), (2, -1.0, 0)]
    ]


def test_zeros_of_either_sign_tie():
    factor = np.array([1e6, 1, 1, 1, 1], np.float32)
    found = lists([(1, 0.0), (0, -1e-45), (2, -0.0)])
    items, scores, _ = blend(found, 3, N_ITEMS, factor=factor)
    assert items.tolist() == [[0, 1, 2]]
    assert np.signbit(scores).tolist() == [[True, False, False]]


def test_neighbouring_items_and_those_far_apart_are_told_apart():
    n_items = 2**31 - 1
    for step in (1, 2**10, 2**16, 2**20):
        items = np.arange(0, 500 * step, step, dtype=np.int64).astype(np.int32)[None, :]
        score = np.linspace(2, 1, 500, dtype=np.float32)[None, :]
        found = [TopK(items, score), TopK(items[:, ::-1], score[:, ::-1])]
        blended = blend(found, 500, n_items)
        assert blended[0].tolist() == items.tolist()
        assert blended[1].tolist() == (score / 2).tolist()


def test_no_rows_and_no_items_are_fine():
    nobody = [TopK(np.empty((0, 3), np.int32), np.empty((0, 3), np.float32))] * 2
    assert blend(nobody, 2, N_ITEMS)[0].shape == (0, 2)
    nothing = lists([(-1, -np.inf)], [(-1, -np.inf)])
    assert rows_of(blend(nothing, 2, 0)) == [[]]
    no_columns = [TopK(np.empty((1, 0), np.int32), np.empty((1, 0), np.float32))] * 2
    assert rows_of(blend(no_columns, 2, N_ITEMS)) == [[]]


def test_arrays_that_may_not_be_written_to_are_read():
    found = lists([(3, 8.0), (1, 2.0)], [(1, 5.0), (0, 2.5)])
    arrays = [array for best in found for array in (best.item_index, best.score)]
    factor, among = np.ones(N_ITEMS, np.float32), np.ones(N_ITEMS, bool)
    for array in (*arrays, factor, among):
        array.flags.writeable = False
    assert rows_of(blend(found, 1, N_ITEMS, factor=factor, among=among)) == [[(1, 0.625, 1)]]


def test_columns_of_a_wider_array_are_read():
    found = long_lists(np.random.default_rng(3), 2, 4, 20, 50)
    cut = [TopK(best.item_index[:, ::2], best.score[:, ::2]) for best in found]
    copied = [TopK(best.item_index.copy(), best.score.copy()) for best in cut]
    assert [c.tobytes() for c in blend(cut, 5, 50)] == [c.tobytes() for c in blend(copied, 5, 50)]


@pytest.mark.parametrize("item", [N_ITEMS, -2, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("score", [1.0, -1.0, -np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_an_item_that_there_is_not_is_refused(item, score, place):
    models = [[(3, 8.0), (1, 2.0)], [(1, 5.0), (0, 2.5)]]
    models[place][1] = (item, score)
    message = rf"item_index\[0, 1\] is {item}: expected item indices from -1 to 4\."
    for found in (lists(*models), lists(models[place])):
        with pytest.raises(errors.ArgumentError, match=f"^{message}$"):
            blend(found, 2, N_ITEMS)


def test_lists_that_do_not_fit_each_other_are_refused():
    (first,) = lists([(3, 8.0), (1, 2.0)])
    two_rows = TopK(np.ones((2, 2), np.int32), np.ones((2, 2), np.float32))
    wide = TopK(first.item_index, np.ones((1, 3), np.float32))
    tall = TopK(first.item_index, np.ones((2, 2), np.float32))
    shape = r"expected \(1, 2\), that of its item_index\."
    for wrong, message in (
        (wide, rf"found\[1\]\.score has the shape \(1, 3\): {shape}"),
        (tall, rf"found\[1\]\.score has the shape \(2, 2\): {shape}"),
        (two_rows, r"item_index has the shape \(2, 2\): expected the shape \(1, any\)\."),
    ):
        with pytest.raises(errors.ArgumentError, match=f"^{message}$"):
            blend([first, wrong], 2, N_ITEMS)


def test_factors_and_masks_of_other_items_are_refused():
    found = lists([(3, 8.0), (1, 2.0)])
    with pytest.raises(errors.ArgumentError, match=r"^factor has the shape \(4,\): expected \(5,\), one"):
        blend(found, 2, N_ITEMS, factor=np.ones(4, np.float32))
    with pytest.raises(errors.ArgumentError, match=r"^among has the type bool and the shape \(6,\): exp"):
        blend(found, 2, N_ITEMS, among=np.ones(6, bool))


def test_many_threads_at_once_get_what_one_gets():
    found = long_lists(np.random.default_rng(5), 3, 50, 60, 200)

    def answer(_):
        return [column.tobytes() for column in blend(found, 10, 200)]

    expected = answer(0)
    with ThreadPoolExecutor(4) as pool:
        assert all(given == expected for given in pool.map(answer, range(60)))
