"""Alike: columns that no row tells apart are one, so that equal evidence gives equal scores, bit for bit."""

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MIX: Final = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


def alike_columns(matrix: "csr_array") -> np.ndarray:
    """Number the columns of a float32 matrix such that equal columns, and no others, share a number.

    Columns are compared by a sum over their entries of 64 mixed bits (the finaliser of SplitMix64): two
    different ones among a million share theirs with a chance below one in ten million.

    Returns
    -------
    int64, shape (n_columns,), numbered from 0 in the order in which they first come.
    """
    from scipy.sparse import csc_array

    columns = csc_array(matrix)
    entry = (columns.indices.astype(np.uint64) << np.uint64(32)) | columns.data.view(np.uint32)
    for multiplier, shift in zip(_MIX, (np.uint64(30), np.uint64(27)), strict=True):
        entry = (entry ^ (entry >> shift)) * multiplier
    entry ^= entry >> np.uint64(31)
    # Running sums wrap round at 2**64, and so do their differences: these are exact.
    running = np.append(np.uint64(0), np.cumsum(entry, dtype=np.uint64))
    sums = running[columns.indptr[1:]] - running[columns.indptr[:-1]]
    _, first, group = np.unique(sums, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[group]
