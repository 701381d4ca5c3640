"""Lists: candidates, which of them were met next, and how good an order of them is, against loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranking_cases import lists_of

from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories
from engagelib.models import ItemKNN, Popularity
from engagelib.ranking import Slice, slices
from engagelib.ranking.facts import draw_facts
from engagelib.ranking.goals import groups_of
from engagelib.ranking.lists import draw_lists, stacked
from engagelib.ranking.ranker import HEAD, RANKED, features_of
from engagelib.scoring import Rows
from engagelib.scoring.blending import blend
from engagelib.testing import random_log

WIDTH = 12


# How lists are judged


@st.composite
def judged_lists(draw):
    n_lists = draw(st.integers(1, 3))

    def table(values):
        return np.array(draw(st.lists(values, min_size=n_lists * WIDTH, max_size=n_lists * WIDTH)))

    is_met = table(st.booleans()).reshape(n_lists, WIDTH)
    is_met[:, 0] = True
    item_index = np.tile(np.arange(WIDTH), (n_lists, 1))
    short = draw(st.integers(0, 4))
    item_index[:, WIDTH - short :], is_met[:, WIDTH - short :] = -1, False
    more = draw(st.integers(0, 5))
    lists = lists_of(
        np.zeros((n_lists, WIDTH, 1)), is_met, item_index=item_index, n_targets=is_met.sum(axis=1) + more
    )
    return lists, table(st.sampled_from([0.0, 1.0, 2.0, 3.0])).reshape(n_lists, WIDTH)


@given(question=judged_lists(), by_score=st.booleans())
def test_lists_are_judged_by_ndcg_of_the_first_ten(question, by_score):
    lists, score = question
    found = lists.ndcg(score if by_score else None)
    for row in range(len(lists)):
        listed = [place for place in range(WIDTH) if lists.item_index[row, place] >= 0]
        if by_score:  # ties stay in the order of the blend
            listed.sort(key=lambda place: -score[row, place])
        gain = sum(
            1 / math.log2(rank + 2) for rank, place in enumerate(listed[:10]) if lists.is_met[row, place]
        )
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(lists.n_targets[row], 10)))
        assert found[row] == pytest.approx(gain / ideal)


# What is drawn


@pytest.fixture(scope="module")
def world():
    histories = Histories.from_log(log := random_log(n_customers=80, n_events=1500, rng=3))
    held = slices._held_back(histories, "purchase", np.random.default_rng(0))
    attributes = ItemAttributes.from_table(log.item_table, log.items)
    models = [model.fit(held.before) for model in (ItemKNN(), Popularity())]
    groups = groups_of(held.before, "purchase")
    facts, _, _ = draw_facts(held.before, attributes, np.zeros(held.before.n_items, np.float32), groups)
    return models, held, facts, groups


def drawn(world, *, asked=None, excluded=lambda block, at: None, most=10_000, available=None, weights=None):
    models, held, facts, groups = world
    asked = np.arange(held.block.n_histories) if asked is None else asked
    return draw_lists(
        models, held, facts, groups, weights=weights, asked=asked, excluded=excluded, available=available,
        most=most, rng=np.random.default_rng(0),
    )  # fmt: skip


def targets(held, row):
    rows = held.targets
    return set(rows.indices[rows.indptr[row] : rows.indptr[row + 1]].tolist())


def met_before(block, at):
    return block.met("any", at=at)


@pytest.mark.parametrize("weights", [None, np.array([0.75, 0.25])])
@pytest.mark.parametrize("excluded", [None, met_before])
def test_candidates_are_the_best_of_the_blend_and_labelled_by_what_was_met_next(world, weights, excluded):
    models, held, facts, groups = world
    excluded = excluded or (lambda block, at: None)
    lists = drawn(world, excluded=excluded, weights=weights)
    expected = {}
    n_asked = 0
    for row in range(held.block.n_histories):
        one = held.block.block(row, row + 1)
        left_out = excluded(one, held.at)
        wanted = targets(held, row) - set([] if left_out is None else left_out.indices.tolist())
        n_asked += bool(wanted)
        found = [model.score_topk(one, HEAD, at=held.at, exclude=left_out) for model in models]
        items = blend(found, RANKED, one.n_items, weights=weights)[0]
        if wanted & set(items[0].tolist()):
            features = features_of(found, items, one, held.at, groups, facts)
            expected[row] = (
                items[0],
                [item in wanted for item in items[0].tolist()],
                len(wanted),
                features[0],
            )
    assert lists.n_asked == n_asked
    assert sorted(lists.row.tolist()) == sorted(expected)
    assert len(expected) > 20
    for place, row in enumerate(lists.row.tolist()):
        items, is_met, n_targets, features = expected[row]
        np.testing.assert_array_equal(lists.item_index[place], items)
        assert lists.is_met[place].tolist() == is_met
        assert lists.n_targets[place] == n_targets
        np.testing.assert_array_equal(lists.features[place], features)


def test_what_a_list_leaves_out_is_no_target(world):
    _, held, _, _ = world

    item = int(np.bincount(held.targets.indices).argmax())

    def all_others(block, at):
        n_items = block.n_items
        others = np.flatnonzero(np.arange(n_items) != item).astype(np.int32)
        indptr = np.arange(block.n_histories + 1) * (n_items - 1)
        return Rows(indptr, np.tile(others, block.n_histories), None, (block.n_histories, n_items))

    lists = drawn(world, excluded=all_others)
    n_wanting = sum(item in targets(held, row) for row in range(held.block.n_histories))
    assert lists.n_asked == n_wanting > 3
    assert 0 < len(lists) <= n_wanting
    assert (lists.n_targets == 1).all()
    assert (lists.item_index[:, 0] == item).all()
    assert lists.is_met[:, 0].all()
    assert not lists.is_met[:, 1:].any()


def test_what_cannot_be_had_is_no_candidate(world):
    available = np.arange(world[1].before.n_items) % 2 == 0
    lists = drawn(world, available=available)
    items = lists.item_index[lists.item_index >= 0]
    assert len(items)
    assert available[items].all()


def test_where_nothing_can_be_had_there_are_no_lists(world):
    lists = drawn(world, available=np.zeros(world[1].before.n_items, bool))
    assert len(lists) == 0
    assert lists.features.shape == (0, RANKED, drawn(world).features.shape[2])


def test_only_the_rows_that_are_named_are_asked_for(world):
    asked = np.array([1, 5, 8, 9, 20])
    assert set(drawn(world, asked=asked).row.tolist()) <= set(asked.tolist())


def test_who_did_nothing_before_is_not_asked(world):
    models, held, facts, groups = world
    empty = held.block.keeping(np.repeat(np.arange(held.block.n_histories) != 3, np.diff(held.block.indptr)))
    part = Slice(held.before, empty, held.rows, held.targets, held.at, held.what)
    lists = drawn((models, part, facts, groups))
    assert 3 not in lists.row
    assert lists.n_asked < drawn(world).n_asked


def test_it_ends_once_there_are_enough(world, monkeypatch):
    monkeypatch.setattr("engagelib.ranking.lists._BLOCK", 4)
    few, whole = drawn(world, most=6), drawn(world)
    assert 6 <= len(few) < 10 < len(whole)
    # A block more or less changes nothing of a list.
    np.testing.assert_array_equal(few.features, whole.features[: len(few)])


def test_taken_lists_and_stacked_ones_keep_all_that_belongs_to_them(world):
    lists = drawn(world)
    first = np.arange(len(lists)) < 7
    again = stacked([lists.take(first), lists.take(~first)])
    for name in ("features", "item_index", "is_met", "n_targets", "row"):
        np.testing.assert_array_equal(getattr(again, name), getattr(lists, name))
    assert stacked([lists]) is lists
