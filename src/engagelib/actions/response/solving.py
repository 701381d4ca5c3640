"""Solving: lines for several actions at once, with a part that all share and parts of their own.

Row i of action k has the score x_i . (shared + own_k). Parts of their own are held near 0 by a penalty of
their own, so that an action with few rows is what all actions are, and one with many is itself. Only sums
over the rows of each action are ever needed: a matrix of rows by (actions x columns) is never made.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

_MOST_STEPS: Final = 60
_TOLERANCE: Final = 1e-8
"""Largest mean gradient at which a solution is taken."""
_MOST_ROUNDS: Final = 25
_SMALLEST: Final = 1e-6
"""Variance below which an interaction counts as none."""
_PRIOR_ROWS: Final = 1.0


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows by action: of each its columns, a constant 1 among them, its rewards and its weights."""

    columns: tuple[np.ndarray, ...]
    reward: tuple[np.ndarray, ...]
    weight: tuple[np.ndarray, ...]
    is_binary: bool

    @property
    def n(self) -> int:
        """Number of rows."""
        return sum(map(len, self.reward))


def rows_of(
    design: np.ndarray, action: np.ndarray, reward: np.ndarray, n_actions: int, weight: np.ndarray | None
) -> Rows:
    """Sort rows by action, and put a constant 1 before their columns."""
    order = np.argsort(action, kind="stable")
    ends = np.searchsorted(action[order], np.arange(n_actions + 1))
    whole = np.empty((len(order), 1 + design.shape[1]))
    whole[:, 0] = 1.0
    whole[:, 1:] = design[order]
    weight = np.ones(len(order)) if weight is None else weight / weight.mean()

    def cut(values: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(values[start:stop] for start, stop in pairwise(ends.tolist()))

    is_binary = bool(((reward == 0) | (reward == 1)).all())
    return Rows(cut(whole), cut(reward[order]), cut(weight[order]), is_binary)


@dataclass(frozen=True, eq=False)
class Lines:
    """What was learned.

    Attributes
    ----------
    shared
        Weights for all actions, the constant first, shape (1 + n_columns,).
    own
        What each action adds to them, shape (n_actions, 1 + n_columns).
    shared_penalty, own_penalty
        Half of it times the square of each weight was added to the log loss, summed over rows; inf rules a
        weight out. Shape (1 + n_columns,).
    """

    shared: np.ndarray
    own: np.ndarray
    shared_penalty: np.ndarray
    own_penalty: np.ndarray


@dataclass(frozen=True, eq=False)
class _Slope:
    """Loss, gradient and curvature at a point."""

    loss: float
    shared: np.ndarray
    own: np.ndarray
    curvature: np.ndarray  # of the loss alone, (n_actions, n, n)


def slope(rows: Rows, lines: Lines, noise: float = 1.0) -> _Slope:
    """Return penalised loss and its gradient; `noise` is the variance of rewards that are not binary."""
    shared_penalty, own_penalty = _finite(lines.shared_penalty), _finite(lines.own_penalty)
    loss = 0.5 * float(shared_penalty @ lines.shared**2 + (own_penalty * lines.own**2).sum())
    n_actions, width = lines.own.shape
    gradients, curvature = np.zeros((n_actions, width)), np.zeros((n_actions, width, width))
    for place, (columns, reward, weight) in enumerate(
        zip(rows.columns, rows.reward, rows.weight, strict=True)
    ):
        if not len(reward):
            continue
        score = columns @ (lines.shared + lines.own[place])
        if rows.is_binary:
            mean = sigmoid(score)
            loss += float(weight @ (np.logaddexp(0.0, score) - reward * score))
            bend = weight * mean * (1.0 - mean)
            gradients[place] = columns.T @ (weight * (mean - reward))
        else:
            off = score - reward
            loss += 0.5 / noise * float(weight @ off**2)
            bend = weight / noise
            gradients[place] = columns.T @ (weight * off) / noise
        curvature[place] = (columns * bend[:, None]).T @ columns
    shared = gradients.sum(axis=0) + shared_penalty * lines.shared
    return _Slope(loss, shared, gradients + own_penalty * lines.own, curvature)


def sigmoid(score: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-score)); a score beyond any exponential gives 0 without a warning."""
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(-score, 700.0))))


def solve(
    rows: Rows, start: Lines, noise: float = 1.0, most_steps: int = _MOST_STEPS
) -> tuple[Lines, _Slope]:
    """Go by Newton's steps from `start` to where the gradient vanishes, with its penalties."""
    lines, at = start, slope(rows, start, noise)
    for _ in range(most_steps):
        if max(np.abs(at.shared).max(), np.abs(at.own).max()) <= _TOLERANCE * max(rows.n, 1):
            break
        step_shared, step_own = _step(at, lines)
        size = 1.0
        for _ in range(30):
            tried = Lines(
                lines.shared - size * step_shared,
                lines.own - size * step_own,
                lines.shared_penalty,
                lines.own_penalty,
            )
            ahead = slope(rows, tried, noise)
            if ahead.loss <= at.loss + 1e-12 * abs(at.loss):
                break
            size /= 2
        lines, at = tried, ahead
    return lines, at


def _finite(penalty: np.ndarray) -> np.ndarray:
    """Weights that are ruled out are 0 throughout and add nothing."""
    return np.where(np.isinf(penalty), 0.0, penalty)


def _inverse(curvature: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Invert curvature and penalty together; rows and columns of what is ruled out are 0."""
    free = np.isfinite(penalty)
    scale = 1.0 / np.sqrt(np.where(free, penalty, 1.0))
    # In units of what the penalty allows, where nothing is close to singular.
    inner = scale[:, None] * curvature * scale
    inner = np.where(free[:, None] & free, inner, 0.0) + np.eye(len(penalty))
    return np.asarray(np.where(free[:, None] & free, scale[:, None] * np.linalg.inv(inner) * scale, 0.0))


def _parts(at: _Slope, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverses of each action's own block, and of what is left of the shared one."""
    own = np.stack([_inverse(part, lines.own_penalty) for part in at.curvature])
    left = at.curvature - at.curvature @ own @ at.curvature
    return own, _inverse(left.sum(axis=0), lines.shared_penalty)


def _step(at: _Slope, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Solve the Newton equations, an arrow of blocks, by its Schur complement."""
    own, shared = _parts(at, lines)
    inner = np.einsum("kij,kj->ki", own, at.own)
    step = shared @ (at.shared - np.einsum("kij,kj->i", at.curvature, inner))
    step_own = inner - np.einsum("kij,kjl,l->ki", own, at.curvature, step, optimize=True)
    return step, step_own


def _variances(at: _Slope, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Return how far shared and own weights are still unsure, as variances (Laplace's approximation)."""
    own, shared = _parts(at, lines)
    through = own @ at.curvature
    carried = np.einsum("kij,jl,kil->ki", through, shared, through, optimize=True)
    return np.diag(shared).copy(), np.diagonal(own, axis1=1, axis2=2) + carried


def fit_lines(rows: Rows, *, own_penalty: float | np.ndarray | None = None) -> tuple[Lines, float]:
    """Learn lines, and from the rows themselves how strongly to shrink what they add to each other.

    Weights have normal priors of mean 0. The variance of shared weights is one number, that of own weights
    one for each column, over the actions: a feature which moves all actions alike gets no interaction at all.
    Variances are those under which the rows are likeliest (MacKay's fixed point, with each column's pulled to
    the mean of all as by one more action), by Laplace's approximation.

    Parameters
    ----------
    own_penalty
        A fixed penalty of own weights in place of a learned one, in units of rows; inf for none at all.

    Returns
    -------
    The lines, and the variance of rewards around them, 1 where rewards are binary.

    References
    ----------
    D. J. C. MacKay, Bayesian interpolation, Neural Computation 4(3), 1992.
    """
    n_actions, width = len(rows.columns), rows.columns[0].shape[1]
    shared_penalty = np.full(width, 1.0)
    shared_penalty[0] = 1e-4
    fixed = own_penalty is not None
    own = np.full(width, 20.0) if own_penalty is None else np.broadcast_to(own_penalty, width).astype(float)
    lines = Lines(np.zeros(width), np.zeros((n_actions, width)), shared_penalty, own)
    lines = Lines(_start(rows, width), lines.own, shared_penalty, own)
    noise = 1.0 if rows.is_binary else _noise(rows, lines)
    n_seen = sum(1 for part in rows.reward if len(part))
    for _ in range(_MOST_ROUNDS):
        lines, at = solve(rows, lines, noise, most_steps=2)
        before = np.append(lines.shared_penalty, lines.own_penalty)
        shared_penalty, own = _learned_penalties(at, lines, n_seen)
        own = lines.own_penalty if fixed else own
        lines = Lines(lines.shared, np.where(np.isinf(own), 0.0, lines.own), shared_penalty, own)
        noise = 1.0 if rows.is_binary else _noise(rows, lines)
        if np.allclose(before, np.append(shared_penalty, own), rtol=0.02):
            break
    lines, _ = solve(rows, lines, noise)
    return lines, noise


def _start(rows: Rows, width: int) -> np.ndarray:
    """Return weights under which every row has the mean reward."""
    start = np.zeros(width)
    total = sum(float(weight @ reward) for weight, reward in zip(rows.weight, rows.reward, strict=True))
    mean = total / max(sum(float(weight.sum()) for weight in rows.weight), 1e-12)
    if rows.is_binary:
        kept = min(max(mean, 1e-6), 1 - 1e-6)
        start[0] = np.log(kept / (1 - kept))
    else:
        start[0] = mean
    return start


def _noise(rows: Rows, lines: Lines) -> float:
    """Return the mean square of what lines are off by, kept above nothing."""
    off = 0.0
    for place, (columns, reward, weight) in enumerate(
        zip(rows.columns, rows.reward, rows.weight, strict=True)
    ):
        off += float(weight @ (columns @ (lines.shared + lines.own[place]) - reward) ** 2)
    return max(off / max(rows.n, 1), 1e-12)


def _learned_penalties(at: _Slope, lines: Lines, n_seen: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the penalties, one over a variance each, that the weights themselves speak for."""
    shared_unsure, own_unsure = _variances(at, lines)
    shared_penalty = lines.shared_penalty.copy()
    if len(shared_penalty) > 1:
        told = (1.0 - shared_penalty[1:] * shared_unsure[1:]).sum()
        variance = (lines.shared[1:] ** 2).sum() / max(told, 1e-9)
        shared_penalty[1:] = 1.0 / max(variance, _SMALLEST)
    if np.isinf(lines.own_penalty).all() or n_seen < 2:
        return shared_penalty, np.full_like(lines.own_penalty, np.inf)
    free = np.isfinite(lines.own_penalty)
    told = np.where(free, (1.0 - lines.own_penalty * own_unsure).sum(axis=0), 0.0)
    # What actions without a row leave open tells nothing.
    told = np.maximum(told, 1e-9)
    squares = (lines.own**2).sum(axis=0)
    variance = np.empty_like(squares)
    variance[0] = (squares[0] + 1e-3) / (told[0] + 1e-2)
    pooled = squares[1:].sum() / told[1:].sum() if len(squares) > 1 else 0.0
    variance[1:] = (squares[1:] + _PRIOR_ROWS * pooled) / (told[1:] + _PRIOR_ROWS)
    return shared_penalty, 1.0 / np.maximum(variance, _SMALLEST)
