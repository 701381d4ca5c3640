"""The control group: stable, of the right size, independent of everything but id and salt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.actions.groups import ControlGroup
from engagelib.vocabulary import Vocabulary

IDS = st.one_of(st.text(max_size=12), st.integers(-(2**62), 2**62))


@given(ids=st.lists(IDS, max_size=20), share=st.sampled_from([0.0, 0.1, 0.5, 0.999]))
def test_many_are_held_as_each_alone(ids, share):
    group = ControlGroup(share, "2024")
    assert group.holds_many(ids).tolist() == [group.holds(id_) for id_ in ids]


@pytest.mark.parametrize("at_once", [7, 2**16])
def test_a_vocabulary_is_held_as_its_ids(at_once, monkeypatch):
    monkeypatch.setattr("engagelib.actions.groups._AT_ONCE", at_once)
    group = ControlGroup(0.3)
    for values in (list(range(500)), [f"c-{n}" for n in range(500)], ["é", "e\u0301x", "z"]):
        ids = Vocabulary.from_values(values)
        assert group.holds_many(ids).tolist() == [group.holds(id_) for id_ in ids]


@pytest.mark.parametrize("ids", [range(20_000), [f"c-{n}" for n in range(20_000)]])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_share_is_the_share(ids, share):
    held = ControlGroup(share, "a").holds_many(Vocabulary.from_values(ids))
    # Four standard errors.
    assert abs(held.mean() - share) < 4 * np.sqrt(share * (1 - share) / len(held))


def test_a_smaller_group_is_part_of_the_larger_and_another_salt_is_independent():
    ids = Vocabulary.from_values(range(20_000))
    small, large, other = (
        ControlGroup(share, salt).holds_many(ids) for share, salt in ((0.1, "a"), (0.4, "a"), (0.4, "b"))
    )
    assert not (small & ~large).any()
    assert abs((large & other).mean() - 0.16) < 0.012


def test_golden_members_so_that_no_release_moves_anybody():
    group = ControlGroup(0.5, "golden")
    assert [group.holds(id_) for id_ in ("a", "b", "c", "d", 1, 2, 3, 4)] == GOLDEN
    assert group.holds("1") != group.holds(1) or group.holds("2") != group.holds(2)


def test_spellings_of_one_id_are_held_alike_and_nobody_never():
    group = ControlGroup(0.5)
    assert group.holds("e\u0301") == group.holds("é")
    assert not ControlGroup(0.999).holds(None)
    assert not ControlGroup(0.0).holds("a")


GOLDEN = [False, True, True, False, False, True, True, False]
