"""Bootstrap: how far a figure depends on which customers came by."""

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.metrics.beyond import gini_of

_LEVELS: Final = [0.025, 0.975]

_FOR_ERRORS: Final = 200
"""Samples that a standard error needs (Efron and Tibshirani, 1993, section 6.4)."""

_DRAWS: Final = 2**20
_COUNTS: Final = 2**22
"""Draws, and numbers of counts by item, held at once."""


def checked_rng(rng: Any) -> np.random.Generator:
    """Return a generator from a seed or as it is."""
    whole = isinstance(rng, int | np.integer) and not isinstance(rng, bool)
    if not isinstance(rng, np.random.Generator) and not (whole and rng >= 0):
        raise errors.bad_argument("rng", rng, "an integer of at least 0 or a numpy.random.Generator")
    return np.random.default_rng(rng)


def mean_intervals(
    values: np.ndarray, n_resamples: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% interval of each row's mean; all rows share their samples of customers.

    `values` has shape (n_rows, n_customers). NaN is left out of a mean; where there is nothing else the
    interval is NaN too.
    """
    n_rows, n_customers = values.shape
    there = np.isfinite(values)
    filled, whole = np.where(there, values, 0.0), bool(there.all())
    means = np.empty((n_resamples, n_rows))
    start = 0
    for weights in _drawn(n_customers, n_resamples, generator):
        part = slice(start, start + len(weights))
        counted = n_customers if whole else weights @ there.T.astype(np.float64)
        with np.errstate(invalid="ignore"):  # a sample may hold none of a row
            means[part] = (weights @ filled.T) / counted
        start += len(weights)
    if whole:
        low, high = np.quantile(means, _LEVELS, axis=0)
        return low, high
    spread = np.full((2, n_rows), np.nan)
    some = there.any(axis=1)
    spread[:, some] = np.nanquantile(means[:, some], _LEVELS, axis=0)
    return spread[0], spread[1]


def spread_errors(
    lists: np.ndarray, n_items: int, n_resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the standard errors of the coverage and the Gini index of lists, padded with -1.

    Both are of all lists together. A sample repeats some lists and so shows fewer items than all do: its
    coverage is too low, but spreads about as much.
    """
    length = np.count_nonzero(lists >= 0, axis=1)
    indptr = np.append(0, np.cumsum(length))
    if not n_items or not indptr[-1]:
        return np.nan, np.nan
    shown = csr_array((np.ones(indptr[-1]), lists[lists >= 0], indptr), shape=(len(lists), n_items))
    wide = max(len(lists), n_items * _DRAWS // _COUNTS)
    found = []
    for weights in _drawn(len(lists), min(n_resamples, _FOR_ERRORS), generator, wide=wide):
        counts = np.asarray(weights @ shown)
        found.append(np.stack([(counts > 0).mean(axis=1), gini_of(counts)]))
    coverage, gini = np.concatenate(found, axis=1).std(axis=1)
    return float(coverage), float(gini)


def _drawn(n: int, n_resamples: int, generator: np.random.Generator, wide: int | None = None) -> Any:
    """Give samples of n out of n in blocks: how often each was drawn, float64 of shape (n_block, n)."""
    step = max(1, _DRAWS // (wide or n))
    for start in range(0, n_resamples, step):
        n_block = min(step, n_resamples - start)
        drawn = generator.integers(0, n, (n_block, n))
        drawn += n * np.arange(n_block)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n_block * n).reshape(n_block, n).astype(np.float64)
