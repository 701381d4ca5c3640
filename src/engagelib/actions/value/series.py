"""Series: the expected number of purchases of BG/NBD, without a special function and stable throughout.

For somebody alive with `x` repeat purchases the expected purchases until `u` times (alpha + age) from now are

    E = (C / (a - 1)) (1 - 2F1(r + x, a - 1; C; -u)),  C = a + b + x - 1,

which is 0 / 0 at a = 1 and where 2F1 is most often evaluated badly. Two other forms are free of that.

- By Pfaff's transformation, with z = u / (1 + u) and L = log(1 + u): E = C (g(L) - exp(-(a - 1) L) S), where
  g(L) = (1 - exp(-(a - 1) L)) / (a - 1), and S sums (a + b - 1 - r)_k (a)_{k-1} z^k / ((C)_k k!) from
  k = 1. No parameter of the numerator grows with x, so that frequent customers need the fewest terms.
- As a sum over purchases: E = sum over k of P(K = k) (s_0 + ... + s_{k-1}), where K, the purchases of
  somebody who never leaves, is negative binomial, and s_j = (b + x)_j / (a + b + x)_j is the chance to
  survive j of them. All terms are positive, so that nothing cancels, but there are as many as purchases.

The first serves but where its terms alternate while they grow (r far above a + b) or overflow (a large).
"""

from math import exp, expm1, log1p
from typing import Final

import numpy as np

_ENOUGH: Final = 1e-15
_MOST_TERMS: Final = 200_000
_BLOCK: Final = 16_384

_MOST_EXCESS: Final = 4.0
_MOST_A: Final = 50.0


def expected_alive(parameters: np.ndarray, frequency: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the expected purchases of customers who are alive.

    Parameters
    ----------
    parameters
        `r`, `alpha`, `a`, `b`.
    frequency
        Repeat purchases, float64, shape (n,); NaN gives NaN.
    u
        The horizon over alpha + age, at least 0, same shape.
    """
    frequency, u = np.broadcast_arrays(np.asarray(frequency, np.float64), np.asarray(u, np.float64))
    r, _, a, b = (float(value) for value in parameters)
    found = np.empty(len(u))
    one = _by_purchases if _cancels(r, a, b) else _by_powers
    with np.errstate(under="ignore"):
        for start in range(0, len(u), _BLOCK):
            part = slice(start, start + _BLOCK)
            found[part] = one(r, a, b, frequency[part], u[part])
    return found


def expected_alive_one(r: float, a: float, b: float, x: float, u: float) -> float:
    """Return what `expected_alive` does, for one customer and in built-in numbers: in a hurry."""
    if _cancels(r, a, b):
        return float(_by_purchases(r, a, b, np.array([x]), np.array([u]))[0])
    z, log_u = u / (1.0 + u), log1p(u)
    c, top = a + b + x - 1.0, a + b - 1.0 - r
    term = top / c * z
    total, k = term, 1
    while abs(term) > _ENOUGH * (abs(total) + 1e-300) / (1.0 + u) and k < _MOST_TERMS:
        term *= (top + k) * (a + k - 1.0) / ((c + k) * (k + 1.0)) * z
        total += term
        k += 1
    shrunk = -expm1(-(a - 1.0) * log_u) / (a - 1.0) if abs(a - 1.0) > 1e-12 else log_u
    return c * (shrunk - exp(-(a - 1.0) * log_u) * total)


def _cancels(r: float, a: float, b: float) -> bool:
    """Say whether the terms of the first form alternate while they grow, or overflow."""
    return r + 1.0 - a - b > _MOST_EXCESS or a > _MOST_A


def _by_powers(r: float, a: float, b: float, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    z, log_u = u / (1.0 + u), np.log1p(u)
    c, top = a + b + x - 1.0, a + b - 1.0 - r
    term = top / c * z
    total = term.copy()
    open_rows: np.ndarray = np.flatnonzero(~np.isnan(term))
    term, place, ratio, below, slack = (
        term[open_rows],
        total[open_rows],
        z[open_rows],
        c[open_rows],
        1.0 + u[open_rows],
    )
    k = 1
    while len(open_rows) and k < _MOST_TERMS:
        for _ in range(8):
            below = below + 1.0
            term = term * ((top + k) * (a + k - 1.0) / (k + 1.0)) / below * ratio
            place = place + term
            k += 1
        total[open_rows] = place
        still = np.abs(term) > _ENOUGH * (np.abs(place) + 1e-300) / slack
        if not still.all():
            open_rows, term, place, ratio, below, slack = (
                values[still] for values in (open_rows, term, place, ratio, below, slack)
            )
    shrunk = -np.expm1(-(a - 1.0) * log_u) / (a - 1.0) if abs(a - 1.0) > 1e-12 else log_u
    return np.asarray(c * (shrunk - np.exp(-(a - 1.0) * log_u) * total))


def _by_purchases(r: float, a: float, b: float, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    n, z, log_u = r + x, u / (1.0 + u), np.log1p(u)
    total = np.where(np.isnan(n + u), np.nan, 0.0)
    rows = np.flatnonzero(~np.isnan(total) & (u > 0))
    n, log_z, x, mean, tail = n[rows], np.log(z[rows]), x[rows], (n * u)[rows], 1.0 + u[rows]
    log_mass = -n * log_u[rows]  # of P(K = 0)
    survived, so_far, found = np.ones(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    k = 0
    while len(rows) and k < _MOST_TERMS:
        log_mass = log_mass + np.log((n + k) / (k + 1.0)) + log_z
        so_far = so_far + survived  # the first k + 1 purchases, each if it is survived to
        survived = survived * (b + x + k) / (a + b + x + k)
        k += 1
        term = np.exp(log_mass) * so_far
        found = found + term
        if k % 8 == 0:
            total[rows] = found
            still = (k < mean) | (term * tail > _ENOUGH * found)
            if not still.all():
                rows, n, log_z, x, mean, tail, log_mass, survived, so_far, found = (
                    values[still]
                    for values in (rows, n, log_z, x, mean, tail, log_mass, survived, so_far, found)
                )
    return total
