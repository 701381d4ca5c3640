"""Links: identities in arrays, and over them what was linked since, in dictionaries that stay small."""

from itertools import repeat
from typing import Final

import numpy as np

from engagelib import errors
from engagelib.identity.linked import Grouping, Linked
from engagelib.vocabulary import Id


class Links:
    """Spelled identities and their groups, to which links can be added one by one.

    An identity is a node: its place in the arrays, or a number that counts on from their length. Nodes
    beyond the arrays are younger than all of them, in the order of their numbers. A group is told by its
    root, the oldest of its nodes, and strung together in a ring (Tarjan, 1975, with the root chosen by age
    and paths compressed; joining two rings takes one exchange).

    Parameters
    ----------
    base
        The arrays, which are never changed.
    """

    __slots__ = ("_ids", "_merged", "_nodes", "_parent", "_ring", "base", "n_base", "n_customers")

    def __init__(self, base: Linked) -> None:
        self.base = base
        self.n_base: Final = len(base)
        self.n_customers = base.n_customers
        self._ids: list[Id] = []  # of the nodes beyond the arrays
        self._nodes: dict[Id, int] = {}
        # What the arrays do not say, or say otherwise: what a former root was merged into, and rings.
        self._parent: dict[int, int] = {}
        self._ring: dict[int, int] = {}
        self._merged: list[int] = []

    def __len__(self) -> int:
        return self.n_base + len(self._ids)

    def copy(self) -> "Links":
        """Return the same links over the same arrays, to be changed apart."""
        made = Links(self.base)
        made.n_customers = self.n_customers
        made._ids, made._merged = self._ids.copy(), self._merged.copy()
        made._nodes, made._parent, made._ring = self._nodes.copy(), self._parent.copy(), self._ring.copy()
        return made

    def node(self, id_: Id) -> int:
        """Return the node of an identity, -1 where it is not linked."""
        if self._nodes:
            node = self._nodes.get(id_, -1)
            if node >= 0:
                return node
        return self.base.find(id_) if self.n_base else -1

    def nodes(self, ids: list[Id]) -> np.ndarray:
        """Return the node of each identity, int64, -1 where it is not linked."""
        nodes = self.base.places(ids)
        if self._nodes:
            fresh = np.fromiter(map(self._nodes.get, ids, repeat(-1)), np.int64, len(ids))
            nodes = np.where(fresh >= 0, fresh, nodes)
        return nodes

    def id_of(self, node: int) -> Id:
        """Return the identity of a node."""
        return self.base.id_at(node) if node < self.n_base else self._ids[node - self.n_base]

    def age_of(self, node: int) -> int:
        """Return the rank of a node by age."""
        return self.base.age_of(node) if node < self.n_base else node

    def root_of(self, node: int) -> int:
        """Return the root of a node; those passed on the way lead straight to it from then on."""
        root = self.base.root_of(node) if node < self.n_base else node
        parent = self._parent
        if root not in parent:
            return root
        passed = []
        while (above := parent.get(root)) is not None:
            passed.append(root)
            root = above
        for one in passed:
            parent[one] = root
        return root

    def roots_of(self, nodes: np.ndarray) -> np.ndarray:
        """Return the root of each node, int64."""
        roots = nodes.copy()
        stored = nodes < self.n_base
        roots[stored] = self.base.roots(nodes[stored])
        if self._parent:
            moved = np.flatnonzero(np.isin(roots, np.fromiter(self._parent.copy(), np.int64)))
            distinct, place = np.unique(roots[moved], return_inverse=True)
            found = np.fromiter(map(self.root_of, distinct.tolist()), np.int64, len(distinct))
            roots[moved] = found[place]
        return roots

    def members_of(self, node: int) -> list[int]:
        """Return the nodes of the same group, oldest first."""
        ring, following = [node], self._next(node)
        while following != node:
            if len(ring) >= len(self):
                raise errors.identity.altered_map("a ring never closes", f"at most {len(self):,} identities")
            ring.append(following)
            following = self._next(following)
        return sorted(ring, key=self.age_of)

    def join(self, first: Id, second: Id) -> tuple[int, int]:
        """Make two identities one group.

        Returns
        -------
        The root, and the former root of the younger group, -1 where not both of them were groups before.
        """
        x, y = self.node(first), self.node(second)
        if x < 0 and y < 0:
            if first == second:
                return -1, -1
            x, y = self._add(first), self._add(second)
            self.n_customers += 1
            self._unite(x, y)
            self._nodes[first], self._nodes[second] = x, y
            return x, -1
        if x < 0 or y < 0:
            id_, root = (first, self.root_of(y)) if x < 0 else (second, self.root_of(x))
            new = self._add(id_)
            self._unite(root, new)
            # Last, so that another thread meets no identity before it leads to its root.
            self._nodes[id_] = new
            return root, -1
        x, y = self.root_of(x), self.root_of(y)
        if x == y:
            return x, -1
        kept, lost = (x, y) if self.age_of(x) < self.age_of(y) else (y, x)
        self._unite(kept, lost)
        self._merged.append(lost)
        self.n_customers -= 1
        return kept, lost

    def arrays(self) -> Linked:
        """Return all links as arrays."""
        return Linked.from_groupings([self.grouping()]) if self._ids or self._parent else self.base

    def grouping(self) -> Grouping:
        """Return all identities, those of the arrays and those over them."""
        base = self.base.grouping()
        if not self._ids and not self._parent:
            return base
        fresh = np.arange(self.n_base, len(self))
        root = self.roots_of(np.append(base.root, fresh))
        merged = np.append(base.merged, np.array(self._merged, np.int64))
        return base.with_ids(self._ids, root, np.append(base.age, fresh), merged)

    def _add(self, id_: Id) -> int:
        self._ids.append(id_)
        return self.n_base + len(self._ids) - 1

    def _unite(self, kept: int, lost: int) -> None:
        # Two rings become one when two of their nodes exchange the ones that follow.
        self._ring[kept], self._ring[lost] = self._next(lost), self._next(kept)
        self._parent[lost] = kept

    def _next(self, node: int) -> int:
        following = self._ring.get(node, -1)
        if following >= 0:
            return following
        return self.base.next_of(node) if node < self.n_base else node
