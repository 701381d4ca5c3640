"""Action probabilities: how often each action should be taken, exactly, and never 0."""

from typing import Final

import numpy as np
import numpy.typing as npt

from engagelib import errors

_PARTS: Final = 2.0**40
"""Probabilities are whole multiples of 2**-40, so that their sum is 1 in any order of adding up."""

_AT_ONCE: Final = 2**18
"""Draws that are held in memory at a time."""


def action_probabilities(
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    values: npt.ArrayLike = 1.0,
    costs: npt.ArrayLike = 0.0,
    floor: float = 0.05,
    n_draws: int = 256,
    rng: np.random.Generator | int,
    eligible: npt.ArrayLike | None = None,
) -> np.ndarray:
    """Return the chance of each action to have the highest priority, mixed with a floor.

    An action's chance of success is drawn from a normal posterior, its priority is draw x value - cost, and
    the shares in which actions come out best are mixed with an equal share for all:
    (1 - floor) * share + floor / k. An action drawn from these probabilities is a Thompson sample whose
    probability is known, whatever the number of draws.

    Parameters
    ----------
    mean, sd
        Of the posterior of each action, shape (k,), or (n, k) for n customers at once; sd at least 0.
    values, costs
        What a success brings and what the action costs, in one unit; shape (k,), (n, k) or one number.
    floor
        The share that is spread evenly, above 0 and up to 1.
    n_draws
        Posterior draws for each customer, at least 1.
    rng
        A generator, or a seed.
    eligible
        Which actions may be taken, bool, shape (k,) or (n, k); others get exactly 0, and k counts those that
        may. None means every action.

    Returns
    -------
    float64 of the shape of `mean`. Each is a multiple of 2**-40 and at least floor / k to that precision;
    they sum to exactly 1 for each customer. Equal draws go to the lower place.

    Raises
    ------
    ArgumentError
        If a setting is outside its range, a number not finite, or a customer without any eligible action.

    References
    ----------
    W. R. Thompson, On the likelihood that one unknown probability exceeds another in view of the evidence of
    two samples, Biometrika 25, 1933.
    """
    if not isinstance(n_draws, int | np.integer) or n_draws < 1:
        raise errors.bad_argument("n_draws", n_draws, "an integer of at least 1")
    _check_share("floor", floor)
    centre, may = _checked("mean", mean, eligible)
    shape = centre.shape
    spread = _spread_over("sd", sd, shape)
    if (spread < 0).any():
        raise errors.bad_argument("sd", float(spread.min()), "no number below 0")
    worth, cost = _spread_over("values", values, shape), _spread_over("costs", costs, shape)
    rng = np.random.default_rng(rng)
    wide = [np.atleast_2d(part) for part in (centre * worth - cost, spread * worth, may)]
    share = _shares_of_best(wide[0], wide[1], wide[2], int(n_draws), rng)
    return _mixed(share, wide[2], floor).reshape(shape)


def epsilon_greedy_probabilities(
    mean: npt.ArrayLike,
    *,
    values: npt.ArrayLike = 1.0,
    costs: npt.ArrayLike = 0.0,
    epsilon: float = 0.05,
    eligible: npt.ArrayLike | None = None,
) -> np.ndarray:
    """Return the probabilities of taking the action of the highest priority, or any with chance `epsilon`.

    Arguments, errors and the exactness of the sum are those of `action_probabilities`; actions of equal
    priority share alike.
    """
    _check_share("epsilon", epsilon)
    centre, may = _checked("mean", mean, eligible)
    shape = centre.shape
    priority = centre * _spread_over("values", values, shape) - _spread_over("costs", costs, shape)
    priority, may = np.atleast_2d(np.where(may, priority, -np.inf)), np.atleast_2d(may)
    best = priority == priority.max(axis=1, keepdims=True)
    share = best / np.maximum(best.sum(axis=1, keepdims=True), 1)
    return _mixed(share, may, epsilon).reshape(shape)


def _shares_of_best(
    centre: np.ndarray, spread: np.ndarray, may: np.ndarray, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the share of draws in which each action came out best, (n, k).

    Drawing takes most of the time, so that nothing is drawn for what may not be taken: customers with as many
    actions go together.
    """
    count = may.sum(axis=1)
    order = np.argsort(~may, axis=1, kind="stable")  # what may be taken comes first, by place
    share = np.zeros(centre.shape)
    for width in sorted(set(count.tolist())):
        of_width = np.flatnonzero(count == width)
        step = max(_AT_ONCE // (width * n_draws), 1)
        for first in range(0, len(of_width), step):
            rows = of_width[first : first + step, None]
            cells = rows, order[rows[:, 0], :width]
            share[cells] = _drawn_best(centre[cells], spread[cells], n_draws, rng)
    return share


def _drawn_best(centre: np.ndarray, spread: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    n, k = centre.shape
    draws = rng.standard_normal((n, n_draws, k), np.float32) * spread[:, None]
    draws += centre[:, None]
    best = draws.argmax(axis=2)
    best += np.arange(0, n * k, k)[:, None]
    counts: np.ndarray = np.bincount(best.ravel(), minlength=n * k).reshape(n, k)
    return counts / n_draws


def _mixed(share: np.ndarray, may: np.ndarray, floor: float) -> np.ndarray:
    """Mix shares with an even spread, as multiples of 2**-40 that sum to exactly 1."""
    mixed = (1.0 - floor) * share + floor / may.sum(axis=1, keepdims=True)
    parts: np.ndarray = np.rint(mixed * _PARTS)
    parts[~may] = 0.0
    # What rounding lost or won goes to the largest, which is never less than 1/k.
    rows = np.arange(len(parts))
    parts[rows, parts.argmax(axis=1)] += _PARTS - parts.sum(axis=1)
    parts /= _PARTS
    return parts


def _checked(name: str, mean: npt.ArrayLike, eligible: npt.ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    centre = np.asarray(mean, np.float64)
    if centre.ndim not in (1, 2) or not centre.shape[-1]:
        raise errors.bad_argument(name, f"of shape {centre.shape}", "shape (k,) or (n, k), k at least 1")
    if not np.isfinite(centre).all():
        raise errors.bad_argument(name, "a NaN or an infinity", "finite numbers")
    if eligible is None:
        return centre, np.ones(centre.shape, bool)
    try:
        may = np.broadcast_to(np.asarray(eligible, bool), centre.shape)
    except ValueError:
        given = f"of shape {np.shape(eligible)}"
        raise errors.bad_argument("eligible", given, f"shape {centre.shape}, or its last axis") from None
    if not may.any(axis=-1).all():
        raise errors.bad_argument("eligible", "a customer without an action", "at least one action for each")
    return centre, may


def _spread_over(name: str, given: npt.ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(given, np.float64)
    if not np.isfinite(values).all():
        raise errors.bad_argument(name, "a NaN or an infinity", "finite numbers")
    try:
        return values if values.shape == shape else np.broadcast_to(values, shape)
    except ValueError:
        raise errors.bad_argument(
            name, f"of shape {values.shape}", f"shape {shape}, its last axis, or one number"
        ) from None


def _check_share(name: str, given: float) -> None:
    if not isinstance(given, int | float | np.floating) or not 0 < given <= 1:
        raise errors.bad_argument(name, given, "a number above 0 and up to 1")
