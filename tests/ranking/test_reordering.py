"""Reordering: the head of a blended list in the ranker's order, against its definition and its laws."""

from dataclasses import replace

import numpy as np
import pytest
from ranking_cases import found_of, some_ranker

from engagelib import errors, scoring
from engagelib.histories import Histories
from engagelib.ranking import ranked_blend
from engagelib.ranking.ranker import RANKED, Kind, features_of
from engagelib.scoring import TopK
from engagelib.scoring.blending import blend
from engagelib.testing import random_log
from engagelib.vocabulary import Vocabulary

KINDS: tuple[Kind, ...] = ("blend", "logistic", "boosting")
N_ITEMS, N_ROWS = 400, 70


@pytest.fixture(scope="module")
def block():
    """More histories than are described at once, over more items than are ranked."""
    log = random_log(n_customers=N_ROWS, n_items=N_ITEMS, n_events=9_000)
    whole = Histories.from_log(log)
    ids = np.arange(N_ITEMS)  # of which some never occur
    return replace(whole, items=Vocabulary.from_values(ids)).block(0, N_ROWS)


@pytest.fixture(scope="module")
def found():
    return found_of(N_ROWS, N_ITEMS, 150)


def equal(one, other):
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def factors(rng=0):
    return np.random.default_rng(rng).choice(np.float32([0.5, 1, 2]), N_ITEMS)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("factor", [None, factors()])
def test_the_head_is_in_the_order_of_the_chances_times_the_factors(block, found, kind, factor):
    ranker = some_ranker(kind, N_ITEMS, weights=[0.75, 0.25])
    items, scores, sources = ranked_blend(ranker, found, block, 250, at=None, factor=factor)
    plain = blend(found, 250, N_ITEMS, factor=factor, weights=ranker.weights)
    odds = ranker.score(found, np.ascontiguousarray(plain[0][:, :RANKED]), block, None)
    for row in range(N_ROWS):
        head = []
        for place, item in enumerate(plain[0][row, :RANKED].tolist()):
            chance = np.float32(1 / (1 + np.exp(-np.clip(odds[row, place], -30, 30))))
            score = chance if factor is None else chance * factor[item]
            head.append((-score, item, plain[2][row, place]))
        head.sort()
        assert items[row, :RANKED].tolist() == [item for _, item, _ in head]
        np.testing.assert_array_equal(scores[row, :RANKED], [-score for score, _, _ in head])
        assert sources[row, :RANKED].tolist() == [source for _, _, source in head]
        # What follows stays as it was.
        assert items[row, RANKED:].tolist() == plain[0][row, RANKED:].tolist()
        assert sources[row, RANKED:].tolist() == plain[2][row, RANKED:].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_fall_and_are_above_0(block, found, kind):
    items, scores, _ = ranked_blend(some_ranker(kind, N_ITEMS), found, block, 300, at=None, factor=factors(1))
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert (scores[items >= 0] > 0).all()
    assert (scores[items < 0] == -np.inf).all()
    assert (items[:, RANKED:] >= 0).any()
    assert (items < 0).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 10, RANKED - 1, RANKED, RANKED + 1, 260])
def test_a_shorter_list_is_the_beginning_of_a_longer_one(block, found, kind, k):
    ranker = some_ranker(kind, N_ITEMS)
    longer = ranked_blend(ranker, found, block, 300, at=None)
    shorter = ranked_blend(ranker, found, block, k, at=None)
    equal(shorter, [part[:, :k] for part in longer])


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_is_the_same_alone_as_among_others_and_on_one_thread_as_on_several(block, found, kind):
    ranker = some_ranker(kind, N_ITEMS)
    with scoring.threads(4):
        whole = ranked_blend(ranker, found, block, 250, at=None)
    with scoring.threads(1):
        equal(whole, ranked_blend(ranker, found, block, 250, at=None))
        for row in (0, 1, 63, 64, N_ROWS - 1):
            some = [TopK(one.item_index[row : row + 1], one.score[row : row + 1]) for one in found]
            alone = ranked_blend(ranker, some, block.block(row, row + 1), 250, at=None)
            equal(alone, [part[row : row + 1] for part in whole])


def test_facts_of_other_items_than_the_histories_are_told(block, found):
    with pytest.raises(errors.ArtifactError) as refused:
        ranked_blend(some_ranker("logistic", N_ITEMS - 1), found, block, 10, at=None)
    assert str(refused.value) == (
        "the stored trees are broken: facts are of 399 items where there are 400. Hint: the file was damaged "
        "or altered; `engagelib verify` finds where, then save or copy the model again."
    )


def test_no_more_than_64_histories_are_described_at_once(block, found, monkeypatch):
    described = []

    def counted(*asked):
        described.append(len(asked[1]))
        return features_of(*asked)

    monkeypatch.setattr("engagelib.ranking.ranker.features_of", counted)
    ranked_blend(some_ranker("boosting", N_ITEMS), found, block, 10, at=None)
    assert described == [64, N_ROWS - 64]


@pytest.mark.parametrize("kind", KINDS)
def test_only_items_among_those_asked_for_are_listed(block, found, kind):
    ranker = some_ranker(kind, N_ITEMS)
    among = np.arange(N_ITEMS) % 3 == 0
    items, scores, _ = ranked_blend(ranker, found, block, N_ITEMS, at=None, among=among)
    whole, chances, _ = ranked_blend(ranker, found, block, N_ITEMS, at=None)
    for row in range(N_ROWS):
        listed = items[row][items[row] >= 0]
        assert sorted(listed) == sorted(item for item in whole[row] if item >= 0 and among[item])
        # It changes no score of what is in both heads.
        before = dict(zip(whole[row, :RANKED].tolist(), chances[row, :RANKED].tolist(), strict=True))
        for item, score in zip(listed.tolist(), scores[row].tolist(), strict=False):
            assert before.get(item, score) == score


def test_a_blend_is_the_weighted_blend(block, found):
    ranker = some_ranker("blend", N_ITEMS, weights=[0.9, 0.1])
    for k in (5, 250):
        made = ranked_blend(ranker, found, block, k, at=None, factor=factors())
        equal(made, blend(found, k, N_ITEMS, factor=factors(), weights=ranker.weights))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_ties_go_to_the_lower_index(block, found, kind):
    ranker = some_ranker(kind, N_ITEMS)
    name = "value" if kind == "boosting" else "weight"
    silent = replace(ranker.scorer, **{name: np.zeros_like(getattr(ranker.scorer, name))})
    ranker = replace(ranker, scorer=silent)
    items, scores, _ = ranked_blend(ranker, found, block, RANKED, at=None)
    assert (np.diff(items, axis=1) > 0).all()
    assert len(np.unique(scores)) == 1


@pytest.mark.parametrize("odds", [1e6, -1e6])
def test_chances_beyond_what_a_float_holds_are_neither_0_nor_above_1(block, found, odds):
    ranker = some_ranker("logistic", N_ITEMS)
    ranker.scorer.weight[:] = 0
    object.__setattr__(ranker.scorer, "start", odds)
    items, scores, _ = ranked_blend(ranker, found, block, 300, at=None)
    assert ((scores > 0) & (scores <= 1))[items >= 0].all()


def test_only_what_happened_up_to_a_moment_is_read(block, found):
    ranker = some_ranker("logistic", N_ITEMS)
    at = int(np.median(block.time))
    then = ranked_blend(ranker, found, block, 50, at=at)
    equal(then, ranked_blend(ranker, found, block.until(at), 50, at=at))
    assert (then[0] != ranked_blend(ranker, found, block, 50, at=None)[0]).any()
