"""What the scoring tests share: small cases, and the definition in plain Python."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from engagelib.scoring.reference import dense, rows


@st.composite
def rows_of(draw, n_rows, n_columns):
    """Rows as dicts from column to value; stored zeros and empty rows are common."""
    cell = st.dictionaries(st.integers(0, n_columns - 1), st.integers(-3, 3), max_size=n_columns)
    return draw(st.lists(cell, min_size=n_rows, max_size=n_rows)) if n_columns else [{}] * n_rows


def sparse(rows, n_columns, index_type=np.int32, make=csr_array, dtype=np.float32):
    """Build the matrix with exactly the stored positions of `rows`, in their order."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(index_type)
    indices = np.array([column for row in rows for column in row], index_type)
    data = np.array([value for row in rows for value in row.values()], dtype)
    matrix = make((len(rows), n_columns), dtype=dtype)
    # Past SciPy's constructor, which narrows int64 indices that fit and refuses those that are too large.
    matrix.indptr, matrix.indices, matrix.data = indptr, indices, data
    return matrix


def random_sparse(rng, shape, density):
    """Draw a matrix of numbers in (0, 1)."""
    return csr_array((rng.random(shape) * (rng.random(shape) < density)).astype(np.float32))


def listed(scores, k, excluded=(), available=None):
    """The definition of a list: (items, scores) of the best k of a dict from item to score."""
    open_items = [item for item in scores if item not in excluded and (available is None or available[item])]
    best = sorted(open_items, key=lambda item: (-scores[item], item))[:k]
    return best, [scores[item] for item in best]


def products(history_row, weight_rows):
    """The scores of one row as a dict from item to score."""
    scores = {}
    for i, x in history_row.items():
        for j, w in weight_rows[i].items():
            scores[j] = scores.get(j, 0) + x * w
    return scores


@contextmanager
def sizes(**constants):
    """Run with other block sizes than the usual ones."""
    with ExitStack() as stack:
        for name, value in constants.items():
            (home,) = (room for room in (dense, rows) if hasattr(room, name))
            stack.enter_context(patch.object(home, name, value))
        yield


def same(left, right):
    """Tell whether two answers agree to the last bit."""
    return (
        left.item_index.tobytes() == right.item_index.tobytes()
        and left.score.tobytes() == right.score.tobytes()
        and left.score.dtype == right.score.dtype == np.float32
        and left.item_index.dtype == right.item_index.dtype == np.int32
    )


def no_padding_faults(found, k):
    """Check the form that every answer has."""
    padding = found.item_index < 0
    assert found.item_index.shape == found.score.shape == (len(found), k)
    assert (found.item_index[padding] == -1).all()
    assert (found.score[padding] == -np.inf).all()
    assert not np.isnan(found.score).any()
    assert (padding[:, 1:] >= padding[:, :-1]).all(), "padding stands at the end"
    assert found.counts.tolist() == [len(found.items(row)) for row in range(len(found))]
    for row in range(len(found)):
        assert len(set(found.items(row))) == len(found.items(row))
