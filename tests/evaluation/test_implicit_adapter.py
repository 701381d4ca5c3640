"""Models of `implicit` list what they score highest of what may be listed, and never end the process."""

import re
import sys
import warnings

import numpy as np
import pytest
from evaluation_cases import SPLIT, log_of, shop
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

from engagelib import Recommender, compare, errors, evaluate
from engagelib.evaluation import ImplicitAdapter
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.recommender.repeating import learn_repeats
from engagelib.recommender.request import SeenRule
from engagelib.splitting import split_by_time


class Wild(CosineRecommender):
    """Answers as some models do on a bad day: repetitions, unknown items, marks in the place of scores."""

    def __init__(self, found, score):
        super().__init__()
        self.found, self.score = found, score
        self.asked = []

    def fit(self, user_items, show_progress=True):
        pass

    def recommend(self, userid, user_items, N, filter_already_liked_items):
        assert len(userid) == user_items.shape[0]
        assert user_items.shape[1] >= N
        assert not filter_already_liked_items
        return self.found[userid], self.score[userid]


def recipes():
    return [
        AlternatingLeastSquares(factors=4, random_state=0),
        BayesianPersonalizedRanking(factors=4, iterations=5, random_state=0, num_threads=1),
        BM25Recommender(K=10),
    ]


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: type(recipe).__name__)
@pytest.mark.parametrize("exclude_seen", ["purchased", "any", "none"])
def test_lists_hold_the_highest_scores_of_what_may_be_listed(recipe, exclude_seen):
    goods = {"item_id": ["i3", "i8"], "for_sale": [False, False]}
    log = shop(n=200, items=goods)
    adapter = ImplicitAdapter(recipe).fit(log)
    ids = list(log.customers)
    lists = adapter.recommend_many([*ids, "nobody"], k=12, exclude_seen=exclude_seen).item_index
    assert lists.shape == (len(ids) + 1, 12)
    assert (lists[-1] == -1).all()
    histories = Histories.from_log(log)
    cells = histories.matrix()
    model = adapter.model_
    if hasattr(model, "similarity"):
        scores = (cells @ model.similarity).toarray()
    else:
        scores = model.user_factors @ model.item_factors.T
    rule = SeenRule.check(exclude_seen, None, learn_repeats(histories))
    hidden = rule.excluded(histories.block(0, len(ids)))
    for row in range(len(ids)):
        may = log.item_for_sale().copy()
        if hidden is not None:
            may[hidden.indices[hidden.indptr[row] : hidden.indptr[row + 1]]] = False
        if hasattr(model, "similarity"):
            may &= scores[row] > 0
        listed = lists[row][lists[row] >= 0]
        assert len(listed) == len(set(listed)) == min(12, may.sum())
        assert may[listed].all()
        expected = np.sort(scores[row][may])[::-1][: len(listed)]
        np.testing.assert_allclose(scores[row][listed], expected, rtol=1e-4, atol=1e-5)


TWO = log_of(["a p 0", "a q 0", "b r 0", "b s 0", "b t 0"])


class WildFactors(AlternatingLeastSquares):
    """A factor model, whose scores may be below 0, and whose mark for nothing is far below."""

    def fit(self, user_items, show_progress=True):
        pass

    def recommend(self, userid, user_items, N, filter_already_liked_items):
        mark = np.finfo(np.float32).min
        items = np.array([[4, 3, 0, 2]] * len(userid))
        return items, np.array([[1.0, -1.0, mark, -np.inf]] * len(userid), np.float32)


def test_low_scores_of_factors_are_scores_and_marks_are_none():
    adapter = ImplicitAdapter(WildFactors()).fit(TWO)
    lists = adapter.recommend_many(["a"], k=4, exclude_seen="none").item_index
    assert lists.tolist() == [[4, 3, -1, -1]]


WILD = st.lists(
    st.lists(
        st.tuples(st.integers(-2, 6), st.sampled_from([0.0, 0.5, -1.0, -3.4e38, np.nan, 2.0])),
        min_size=5,
        max_size=5,
    ),
    min_size=2,
    max_size=2,
)


@settings(deadline=None, max_examples=40)
@given(rows=WILD, k=st.integers(1, 6))
def test_what_is_no_item_or_none_that_may_be_listed_is_left_out(rows, k):
    found = np.array([[item for item, _ in row] for row in rows], np.int32)
    score = np.array([[value for _, value in row] for row in rows], np.float32)
    adapter = ImplicitAdapter(Wild(found, score)).fit(TWO)
    lists = adapter.recommend_many(["a", "b"], k=k).item_index
    for row, bought in enumerate([{0, 1}, {2, 3, 4}]):
        kept = []
        for item, value in rows[row]:
            if 0 <= item < 5 and value > 0 and item not in bought and item not in kept:
                kept.append(item)
        assert lists[row].tolist() == [*kept[:k], *[-1] * (k - len(kept[:k]))]


def test_it_stands_in_the_table_beside_recommenders():
    split = split_by_time(shop(), test_days=2)
    contenders = {"popular": "popularity", "neighbours": ImplicitAdapter(BM25Recommender(K=20))}
    found = compare(contenders, split, by_segment=True)
    assert found.rows["neighbours"].difference is not None
    assert found.rows["neighbours"].fit_seconds > 0
    again = compare([Recommender("popularity"), ImplicitAdapter(BM25Recommender(K=20))], split)
    assert list(again.rows) == ["popularity", "ImplicitAdapter"]
    assert again.rows["ImplicitAdapter"].metrics == found.rows["neighbours"].metrics


def test_each_fit_is_fresh_even_on_a_smaller_log():
    adapter = ImplicitAdapter(AlternatingLeastSquares(factors=4, random_state=0))
    big, small = shop(n=300), log_of(["a p 0", "a q 0", "b q 0", "b r 0"])
    first = adapter.fit(big).recommend_many(["c1"], k=3).item_index
    assert adapter.fit(small).recommend_many(["a"], k=9).item_index.shape == (1, 9)
    assert adapter.fit(big).recommend_many(["c1"], k=3).item_index.tolist() == first.tolist()
    assert adapter.model.item_factors is None


def test_customers_without_a_weight_get_empty_lists():
    log = EventLog.from_frame(
        {"customer_id": ["a", "a", "b", "c"], "item_id": ["p", "q", "p", "q"], "event_type": ["purchase"] * 4}
    )
    views = EventLog.from_frame(
        {"customer_id": ["z"], "item_id": ["p"], "event_type": ["login"]}, itemless=("login",)
    )
    adapter = ImplicitAdapter(AlternatingLeastSquares(factors=2, random_state=0)).fit(log.append(views))
    lists = adapter.recommend_many(["z", "c", "z"], k=2).item_index
    assert (lists[[0, 2]] == -1).all()
    assert lists[1, 0] == log.items.find("p")


def test_leaks_are_refused_as_of_any_recommender():
    both = SPLIT.train.append(SPLIT.test)
    adapter = ImplicitAdapter(CosineRecommender()).fit(both)
    with pytest.raises(errors.LeakError, match=r"^the recommender was fitted on 6 events at or after"):
        evaluate(adapter, SPLIT)


def test_no_thread_of_training_is_left_and_nothing_is_warned_of():
    import threading

    before = threading.active_count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImplicitAdapter(BM25Recommender()).fit(TWO).recommend_many(["a"], k=2)
    assert threading.active_count() == before


def fitted():
    model = AlternatingLeastSquares(factors=2)
    model.item_factors = np.zeros((1, 2))
    return model


SEEDED = AlternatingLeastSquares(factors=2, random_state=np.random.RandomState(0))
REFUSED = {
    "something else": (
        lambda: ImplicitAdapter("als").fit(TWO),
        errors.ArgumentError,
        "model='str': expected a model of the package implicit that learns on processors. "
        "Hint: implicit.cpu.als.AlternatingLeastSquares() is one; models of engagelib need no adapter.",
    ),
    "fitted before": (
        lambda: ImplicitAdapter(fitted()).fit(TWO),
        errors.ArgumentError,
        "this AlternatingLeastSquares is fitted: expected one that is not, because implicit learns on from "
        "what was learned before. Hint: pass a new object; it is copied and fitted.",
    ),
    "a state for a seed": (
        lambda: ImplicitAdapter(SEEDED).fit(TWO),
        errors.ArgumentError,
        f"random_state={SEEDED.random_state!r}: expected an integer of at least 0, or None.",
    ),
    "a weight below 0": (
        lambda: ImplicitAdapter(CosineRecommender(), event_weights={"purchase": -1.0}).fit(TWO),
        errors.ArgumentError,
        None,
    ),
    "nothing that counts": (
        lambda: ImplicitAdapter(CosineRecommender(), event_weights={"purchase": 0.0}).fit(TWO),
        errors.NotEnoughDataError,
        None,
    ),
    "not fitted": (
        lambda: ImplicitAdapter(CosineRecommender()).recommend_many(["a"]),
        errors.NotFittedError,
        "this ImplicitAdapter is not fitted yet. Call fit() first, or load() a saved one.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong(name):
    call, kind, text = REFUSED[name]
    with pytest.raises(kind, match="." if text is None else f"^{re.escape(text)}$"):
        call()


def test_without_implicit_its_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.bpr", None)
    with pytest.raises(errors.MissingExtraError, match=r"^CosineRecommender learns by the package implicit"):
        ImplicitAdapter(CosineRecommender()).fit(TWO)
