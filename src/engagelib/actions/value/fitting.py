"""Fitting: maximum likelihood over positive parameters by their logarithms, with what came of the search."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

BOUND: Final = 12.0
"""Logarithms of parameters stay within this of 0: beyond it a likelihood is flat to the last digit."""

_NEWTON_STEPS: Final = 8
_STEP: Final = 1e-5

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Gives the mean negative log likelihood and its gradient, from logarithms of the parameters."""


@dataclass(frozen=True)
class FitReport:
    """What came of a search for the maximum of a likelihood.

    Attributes
    ----------
    converged
        Whether the gradient vanishes where the search stopped.
    at_bound
        Whether a parameter ran to the end of its range, or so far towards it that it makes no difference (in
        BG/NBD, nobody leaves in a million purchases): the log does not determine it, though forecasts may
        still be sound. The gradient of the others vanishes.
    gradient_norm
        Largest slope of the mean log likelihood by the logarithm of a parameter that is not at a bound.
    log_likelihood
        Sum over the customers, in nats, without the penalty.
    n_customers, n_distinct
        Customers that were learned from, and how many rows were left once equal ones were merged.
    n_evaluations
        How often the likelihood was worked out.
    """

    converged: bool
    at_bound: bool
    gradient_norm: float
    log_likelihood: float
    n_customers: int
    n_distinct: int
    n_evaluations: int


def minimise(objective: Objective, start: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, int]:
    """Return where an objective is least within the bounds, its value and gradient there, and evaluations.

    L-BFGS-B comes near; Newton steps on differences of the analytic gradient then take it to the last digits.
    """
    from scipy.optimize import minimize

    count = 0

    def counted(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        return objective(point)

    limits = [(-BOUND, BOUND)] * len(start)
    options: dict[str, Any] = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-6}
    found = minimize(counted, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)
    point, value, gradient = np.asarray(found.x, float), float(found.fun), np.asarray(found.jac, float)
    for _ in range(_NEWTON_STEPS):
        free = ~stuck(point, gradient)
        if not free.any() or np.abs(gradient[free]).max() < 1e-9:
            break
        hessian = hessian_of(counted, point)[np.ix_(free, free)]
        roots, axes = np.linalg.eigh(hessian)
        # Where the objective does not curve upwards there is no summit to step to: the slope leads.
        step = axes @ ((axes.T @ gradient[free]) / np.maximum(np.abs(roots), 1e-10))
        moved = point.copy()
        moved[free] -= step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-300))
        moved = np.clip(moved, -BOUND, BOUND)
        new_value, new_gradient = counted(moved)
        better = new_value < value or (
            new_value <= value + 1e-12 * abs(value) and np.abs(new_gradient).max() < np.abs(gradient).max()
        )
        if not better:
            break
        point, value, gradient = moved, new_value, new_gradient
    return point, value, gradient, count


def stuck(point: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Say which parameters lie at a bound, with the slope leading beyond it, bool."""
    return ((point <= -BOUND) & (gradient >= 0)) | ((point >= BOUND) & (gradient <= 0))


def hessian_of(objective: Objective, point: np.ndarray) -> np.ndarray:
    """Return second derivatives, from central differences of the analytic gradient."""
    rows = []
    for place in range(len(point)):
        shift = np.zeros(len(point))
        shift[place] = _STEP
        rows.append((objective(point + shift)[1] - objective(point - shift)[1]) / (2 * _STEP))
    hessian = np.array(rows)
    return np.asarray((hessian + hessian.T) / 2)


def report_of(
    point: np.ndarray, gradient: np.ndarray, log_likelihood: float, weights: np.ndarray, n_evaluations: int
) -> FitReport:
    """Return what came of a search that stopped at a point."""
    beyond = stuck(point, gradient)
    norm = float(np.abs(gradient[~beyond]).max(initial=0.0))
    return FitReport(
        converged=norm < 1e-5,
        at_bound=bool(beyond.any()),
        gradient_norm=norm,
        log_likelihood=float(log_likelihood),
        n_customers=round(float(weights.sum())),
        n_distinct=len(weights),
        n_evaluations=n_evaluations,
    )


def merged(columns: tuple[np.ndarray, ...]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Merge equal rows of columns.

    Returns
    -------
    The columns with each row once, and the place of every given row among them. Where hardly any two are
    equal they come back as they were: sorting would cost more than it saves.
    """
    n = len(columns[0])
    sample = slice(None, None, max(1, n // 20_000))
    few = [np.unique(column[sample]) for column in columns]
    if n > 100_000 and max(map(len, few)) > 0.9 * len(columns[0][sample]):
        return columns, np.arange(n)
    order = np.lexsort(columns[::-1])
    new = np.zeros(n, bool)
    new[:1] = True
    for column in columns:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    code = np.empty(n, np.int64)
    code[order] = np.cumsum(new) - 1
    return tuple(column[order[new]] for column in columns), code
