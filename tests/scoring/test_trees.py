"""Trees against the walk that defines them, and what both implementations agree on to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.scoring import reference, threads
from engagelib.scoring.trees import Trees, score_trees

N_FEATURES = 3
VALUES = [-1.0, 0.0, 0.1, 1 / 3, 2.0]


@st.composite
def some_trees(draw):
    """A few trees of a few levels; leaves and thresholds are few numbers, so that ties are common."""
    columns = {name: [] for name in ("feature", "threshold", "left", "right", "value")}

    def add(depth):
        at = len(columns["feature"])
        is_leaf = depth == 0 or draw(st.booleans())
        columns["feature"].append(-1 if is_leaf else draw(st.integers(0, N_FEATURES - 1)))
        columns["threshold"].append(draw(st.sampled_from(VALUES)))
        columns["value"].append(draw(st.sampled_from(VALUES)))
        columns["left"].append(0)
        columns["right"].append(0)
        if not is_leaf:
            columns["left"][at] = add(depth - 1)
            columns["right"][at] = add(depth - 1)
        return at

    roots = [add(3) for _ in range(draw(st.integers(0, 3)))]
    return made(**columns, roots=roots, start=draw(st.sampled_from(VALUES)))


def made(feature, threshold, left, right, value, roots, start=0.0):
    whole = (np.array(part, np.int32) for part in (feature, left, right, roots))
    feature, left, right, roots = whole
    return Trees(
        feature,
        np.array(threshold, np.float32),
        left,
        right,
        np.array(value, float),
        roots,
        start,
        N_FEATURES,
    )


rows = st.lists(
    st.lists(st.sampled_from([*VALUES, np.nan]), min_size=N_FEATURES, max_size=N_FEATURES), max_size=5
).map(lambda cells: np.array(cells, np.float32).reshape(-1, N_FEATURES))


@given(trees=some_trees(), features=rows)
def test_leaves_add_up_in_the_order_of_the_trees(kernel, trees, features):
    got = score_trees(trees, features)
    for row, total in zip(features, got.tolist(), strict=True):
        expected = trees.start
        for at in trees.roots:
            while trees.feature[at] >= 0:
                goes_left = row[trees.feature[at]] <= trees.threshold[at]
                at = trees.left[at] if goes_left else trees.right[at]  # noqa: PLW2901
            expected += trees.value[at]
        assert total == expected


def test_many_rows_on_several_threads_are_the_same(kernel):
    rng = np.random.default_rng(4)
    trees = made([0, 1, -1, -1, -1, 2, -1, -1], [0.5] * 8, [1, 2, 0, 0, 0, 6, 0, 0], [4, 3, 0, 0, 0, 7, 0, 0],
                 rng.random(8), [0, 5])  # fmt: skip
    features = rng.random((1000, N_FEATURES), np.float32)
    with threads(3):
        got = score_trees(trees, features)
    assert np.array_equal(got, reference.score_trees(trees, features, 1))


def test_trees_survive_the_store():
    trees = made([0, -1, -1], [0.5, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1.0, 2.0], [0], 0.25)
    back = Trees.from_arrays(trees.to_arrays(), N_FEATURES)
    features = np.array([[0.5, 0, 0], [0.6, 0, 0]], np.float32)
    assert score_trees(back, features).tolist() == [1.25, 2.25]


FAULTS = {
    "its columns differ in length": {"threshold": [0.5]},
    "a root is outside the 3 nodes": {"roots": [3]},
    "a node asks for feature 3 of 3": {"feature": [3, -1, -1]},
    "node 0 leads left to node 0 of 3": {"left": [0, 0, 0]},
    "node 0 leads right to node 3 of 3": {"right": [3, 0, 0]},
    "a leaf is not finite": {"value": [0, np.inf, 1]},
    "its trees are not one after the other, of at most 32 leaves each": {"right": [1, 0, 0]},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_trees_that_lead_astray_are_refused(fault):
    sound = {"feature": [0, -1, -1], "threshold": [0.5, 0, 0], "left": [1, 0, 0], "right": [2, 0, 0],
             "value": [0, 1.0, 2.0], "roots": [0]}  # fmt: skip
    with pytest.raises(errors.ArtifactError) as caught:
        made(**{**sound, **FAULTS[fault]})
    assert str(caught.value) == (
        f"the stored trees are broken: {fault}. Hint: the file was damaged or altered; `engagelib verify` "
        "finds where, then save or copy the model again."
    )


def test_rows_of_another_width_are_refused(kernel):
    trees = made([-1], [0], [0], [0], [1.0], [0])
    with pytest.raises(errors.ArgumentError) as caught:
        score_trees(trees, np.zeros((2, 2), np.float32))
    assert str(caught.value) == "features has the shape (2, 2): expected (2, 3), as wide as the trees."
