"""What the tests of identities share: a definition in plain Python, and small identities full of odd ones."""

from unicodedata import normalize

from hypothesis import settings
from hypothesis import strategies as st

# Few of them, so that links meet; several are spelled in more than one way.
IDS = [1, 2, 3, "1", "2", "ann", "é", "e\u0301", "web:1", "a\0", -(2**63), 2**63 - 1]
PAIRS = [("web", 1), ("web", "1"), ("web", 2), ("app", 2), ("é", "x"), ("e\u0301", "x"), ("a", "b:c")]
IDENTITIES = st.sampled_from(IDS + PAIRS)
few = settings(max_examples=30)

LINKS = st.lists(st.tuples(IDENTITIES, IDENTITIES), max_size=14)


def spell(identity, *, as_text=False):
    """The definition of a spelling."""
    if isinstance(identity, tuple):
        return normalize("NFC", f"{identity[0]}:{identity[1]}")
    if isinstance(identity, int):
        return str(identity) if as_text else identity
    return normalize("NFC", identity)


class PlainMap:
    """The definition of a map: lists of lists, searched from end to end."""

    def __init__(self, links=(), *, as_text=False):
        self.as_text = as_text
        self.order, self.groups, self.heads = [], [], []
        for a, b in links:
            self.link(a, b)

    def spell(self, identity):
        return spell(identity, as_text=self.as_text)

    def _group(self, id_):
        # By type and value: 1 and "1" are never equal in Python either.
        return next((group for group in self.groups if id_ in group), None)

    def link(self, a, b, *, before=False):
        """Link two; `before` says that it was done while integers were not yet spelled as text."""
        is_one = spell(a) == spell(b)
        a, b = self.spell(a), self.spell(b)
        if a == b and before and not is_one and a not in self.order:
            self.order.append(a)
            self.groups.append([a])
            self.heads.append(a)
        if a == b:
            return self.canonical(a)
        ours, theirs = self._group(a), self._group(b)
        self.order += [id_ for id_ in (a, b) if id_ not in self.order]
        if ours is None and theirs is None:
            self.groups.append([a, b])
            self.heads.append(a)
        elif ours is None:
            theirs.append(a)
        elif theirs is None:
            ours.append(b)
        elif ours is not theirs:
            self.groups.remove(theirs)
            ours += theirs
        return self.canonical(a)

    def canonical(self, identity):
        return self.members(identity)[0]

    def members(self, identity):
        id_ = self.spell(identity)
        return sorted(
            self._group(id_) or [id_], key=lambda id_: self.order.index(id_) if id_ in self.order else 0
        )

    def merges(self):
        merged = [id_ for id_ in self.order if id_ in self.heads and self.canonical(id_) != id_]
        return [(self.canonical(id_), id_, len(self.members(id_))) for id_ in merged]

    def forget(self, identity):
        gone = self.members(identity)
        self.order = [id_ for id_ in self.order if id_ not in gone]
        self.heads = [id_ for id_ in self.heads if id_ not in gone]
        self.groups = [group for group in self.groups if not set(group) & set(gone)]


def assert_is(found, expected):
    """Compare a map with its definition, for every identity that the cases hold."""
    assert len(found) == len(expected.order)
    assert found.n_customers == len(expected.groups)
    assert list(found.merges.rows) == expected.merges()
    every = IDS + PAIRS
    canonical = [expected.canonical(identity) for identity in every]
    assert exactly(*map(found.canonical, every)) == exactly(*canonical)
    assert exactly(*found.canonicals(every)) == exactly(*canonical)
    for place, identity in enumerate(every):
        assert exactly(*found.members(identity)) == exactly(*expected.members(identity))
        assert found.same(identity, every[place - 1]) == (canonical[place] == canonical[place - 1])
        assert found.same(identity, every[place - 5]) == (canonical[place] == canonical[place - 5])


def exactly(*ids):
    return [(type(id_), id_) for id_ in ids]


def linked(links, made):
    for a, b in links:
        made.link(a, b)
    return made
