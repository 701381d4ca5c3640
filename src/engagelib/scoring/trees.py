"""Trees: a sum of decision trees over rows of features, stored as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring import _kernels as kernels
from engagelib.scoring._checks import FloatArray, dense_rows

__all__ = ["Trees", "score_trees"]

_MOST_LEAVES: Final = 32
"""Leaves of one tree: the kernel keeps them as the bits of one number."""


class Layout(NamedTuple):
    """Trees with their inner nodes in any order and their leaves from left to right (Lucchese et al., 2015).

    A row is in none of the leaves to the left of a node that sends it right. Of those that no node rules out
    the first is the one that a walk would end in.

    Attributes
    ----------
    feature, threshold
        As in `Trees`, of inner nodes, tree by tree.
    keeps
        The leaves that stay possible where the node sends a row right, one bit each, uint32.
    value
        What each leaf adds, tree by tree.
    node_starts, leaf_starts
        Where the nodes and the leaves of each tree begin and the last end, int32, shape (n_trees + 1,).
    """

    feature: npt.NDArray[np.int32]
    threshold: FloatArray
    keeps: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float64]
    node_starts: npt.NDArray[np.int32]
    leaf_starts: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Trees:
    """Decision trees whose leaves are added up; checked once, then trusted.

    Attributes
    ----------
    feature
        The feature that a node asks for, int32 of shape (n_nodes,), -1 for a leaf.
    threshold
        Rows with at most so much of it go left, others right, float32 of shape (n_nodes,).
    left, right
        Where they go, int32 of shape (n_nodes,), always further down the arrays. Of a leaf they say nothing.
    value
        What a leaf adds, float64 of shape (n_nodes,).
    roots
        The first node of each tree, rising, int32 of shape (n_trees,). A tree's nodes follow its root, and
        have at most 32 leaves.
    start
        What the sum begins with.
    n_features
        Width of the rows.
    """

    feature: npt.NDArray[np.int32]
    threshold: FloatArray
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int32]
    start: float
    n_features: int
    layout: Layout = field(init=False, repr=False)
    """The same trees as the kernel reads them."""

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault is not None:
            raise errors.scoring.broken_trees(fault)
        object.__setattr__(self, "layout", _laid_out(self))

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.roots)

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the columns by name, for the store."""
        start = np.array([self.start])
        names = ("feature", "threshold", "left", "right", "value", "roots")
        return {**{name: getattr(self, name) for name in names}, "start": start}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], n_features: int) -> Self:
        """Take back what `to_arrays` gave; altered trees are refused."""
        columns = {name: arrays[name] for name in ("feature", "threshold", "left", "right", "value", "roots")}
        return cls(**columns, start=float(arrays["start"][0]), n_features=n_features)  # type: ignore[arg-type]

    def _fault(self) -> str | None:
        """Say what would lead a walk astray, or round in circles."""
        n_nodes = len(self.feature)
        columns = (self.feature, self.threshold, self.left, self.right, self.value)
        if any(column.shape != (n_nodes,) for column in columns):
            return "its columns differ in length"
        if len(self.roots) and (self.roots.min() < 0 or self.roots.max() >= n_nodes):
            return f"a root is outside the {n_nodes:,} nodes"
        inner = np.flatnonzero(self.feature >= 0)
        if len(inner) and self.feature[inner].max() >= self.n_features:
            return f"a node asks for feature {self.feature.max()} of {self.n_features}"
        for name, child in (("left", self.left[inner]), ("right", self.right[inner])):
            astray = (child <= inner) | (child >= n_nodes)
            if astray.any():
                at = int(np.argmax(astray))
                return f"node {inner[at]:,} leads {name} to node {child[at]:,} of {n_nodes:,}"
        if not (np.isfinite(self.value).all() and np.isfinite(self.start)):
            return "a leaf is not finite"
        sizes = np.diff(np.append(self.roots, n_nodes))
        if (sizes > 2 * _MOST_LEAVES - 1).any() or (sizes < 1).any() or self._are_tangled():
            return f"its trees are not one after the other, of at most {_MOST_LEAVES} leaves each"
        return None

    def _are_tangled(self) -> bool:
        """Tell whether a node is not reached from exactly one other, of its own tree."""
        inner = np.flatnonzero(self.feature >= 0)
        child = np.append(self.left[inner], self.right[inner])
        reached = np.bincount(child, minlength=len(self.feature))
        reached[self.roots] += 1
        tree = np.searchsorted(self.roots, np.arange(len(self.feature)), side="right")
        return bool((reached != 1).any() or (tree[child] != np.tile(tree[inner], 2)).any())


def score_trees(trees: Trees, features: FloatArray) -> npt.NDArray[np.float64]:
    """Add up what the trees say of each row, in their order.

    Parameters
    ----------
    features
        float32, shape (n_rows, n_features); not a number goes right.

    Returns
    -------
    float64, shape (n_rows,).

    Raises
    ------
    ArgumentError
        If the rows are of another width than the trees.
    """
    if features.ndim != 2 or features.shape[1] != trees.n_features or features.dtype != np.float32:
        features = dense_rows(features, "features")
        expected = (len(features), trees.n_features)
        if features.shape != expected:
            raise errors.scoring.wrong_shape("features", features.shape, expected, "as wide as the trees")
    return kernels.active.score_trees(trees, np.ascontiguousarray(features), kernels.threads_of(None))


def _laid_out(trees: Trees) -> Layout:
    """Number the leaves of each tree from left to right, and say which ones each inner node rules out."""
    feature, left, right = trees.feature.tolist(), trees.left.tolist(), trees.right.tolist()
    nodes, keeps, leaves, node_starts, leaf_starts = [], [], [], [0], [0]

    def lay(node: int, first: int) -> int:
        """Lay out what stands below a node, its leaves numbered from `first`; return how many these are."""
        if feature[node] < 0:
            leaves.append(node)
            return 1
        n_left = lay(left[node], first)
        nodes.append(node)
        keeps.append(0xFFFFFFFF ^ (((1 << n_left) - 1) << first))
        return n_left + lay(right[node], first + n_left)

    for root in trees.roots.tolist():
        lay(root, 0)
        node_starts.append(len(nodes))
        leaf_starts.append(len(leaves))
    return Layout(
        trees.feature[nodes].astype(np.int32),
        trees.threshold[nodes].astype(np.float32),
        np.array(keeps, np.uint32),
        trees.value[leaves].astype(np.float64),
        np.array(node_starts, np.int32),
        np.array(leaf_starts, np.int32),
    )
