"""Popularity against sums by hand, its rankings by location, and its refusals."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engagelib import Histories, ItemKNN, Popularity
from engagelib.errors import ArgumentError, NotEnoughDataError, NotFittedError
from engagelib.testing import histories_of, log_of, random_log
from engagelib.testing._contract import check_form

EVENT = st.tuples(st.sampled_from([10, 20, 30, 40]), st.sampled_from(["view", "cart", "purchase", "login"]))


@given(visits=st.dictionaries(st.sampled_from("abc"), st.lists(EVENT, min_size=1, max_size=6), min_size=1))
def test_scores_are_sums_of_confidence_and_rank_items(visits):
    histories = histories_of(visits)
    assume({"view", "purchase"} & {*histories.event_types})
    model = Popularity(half_life_days=None, event_weights={"view": 1, "purchase": 4}).fit(histories)
    expected = dict.fromkeys(histories.items.ids(range(histories.n_items)), 0)
    for events in visits.values():
        for item, event_type in events:
            expected[item] += {"view": 1, "purchase": 4}.get(event_type, 0)
    assert model.scores_.tolist() == list(expected.values())
    order = sorted(range(len(expected)), key=lambda index: -model.scores_[index])
    assert model.ranking_.tolist() == model.ranking().tolist() == order


def test_recent_events_count_most():
    histories = histories_of({"ann": ["old", "old", "new"]})
    model = Popularity(half_life_days=0.5).fit(histories)
    assert model.scores_.tolist() == [5.0, 5 / 16 + 5 / 4]
    assert histories.items.ids(model.ranking_.tolist()) == ["new", "old"]
    assert Popularity(half_life_days=None).fit(histories).scores_.tolist() == [5, 10]
    auto, thirty = (Popularity(half_life_days=days).fit(histories).scores_ for days in ("auto", 30.0))
    assert auto.tobytes() == thirty.tobytes()


def test_items_nobody_met_are_ranked_but_not_listed():
    histories = histories_of({"ann": ["b", ("c", "login")]}, items={"item_id": ["a", "b", "c", "d"]})
    model = Popularity(half_life_days=None).fit(histories)
    assert model.ranking_.tolist() == [1, 0, 2, 3]
    found = model.score_topk(histories, 4)
    assert found.items(0) == [1]
    assert found.scores(0) == [5.0]
    assert model.score_pairs(histories, np.array([[1, 0, -1]])).tolist() == [[5, 0, 0]]


def test_locations_rank_their_own_items_first():
    rows = {
        "ann": [{"item_id": item, "location": "north"} for item in ("snow", "snow", "tea")],
        "bob": [{"item_id": item, "location": "south"} for item in ("sun", "tea", "sun", "sun")],
        "cyd": [{"item_id": "pen", "location": None}],
    }
    histories = histories_of(rows)
    model = Popularity(half_life_days=None, by_location=True).fit(histories)
    named = lambda location: histories.items.ids(model.ranking(location).tolist())  # noqa: E731
    assert named(None) == ["sun", "snow", "tea", "pen"]
    assert named(histories.tables["location"].find("north")) == ["snow", "tea", "sun", "pen"]
    assert named(histories.tables["location"].find("south")) == ["sun", "tea", "snow", "pen"]


def test_local_sums_are_those_of_the_events_there():
    rng = np.random.default_rng(0)
    rows = [{"item_id": int(item), "location": int(place)} for item, place in rng.integers(0, 6, (80, 2))]
    model = Popularity(half_life_days=None, by_location=True).fit(histories_of({"ann": rows}))
    expected = np.zeros((6, 6))
    for row in rows:
        expected[row["location"], row["item_id"]] += 5
    assert model.local_scores_.toarray().tolist() == expected.tolist()


@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=40),
)
def test_a_location_ranks_by_its_sums_then_as_the_shop_does(rows):
    visits = {"ann": [{"item_id": item, "location": place} for item, place in rows]}
    histories = histories_of(visits, items={"item_id": list(range(12))})
    model = Popularity(half_life_days=None, by_location=True).fit(histories)
    local = model.local_scores_.toarray()
    for code in range(len(local)):
        order = sorted(range(12), key=lambda item: (-local[code, item], model.ranking_.tolist().index(item)))
        assert model.ranking(code).tolist() == order
        view = model.for_location(code)
        assert view.scores_.tolist() == local[code].tolist()
        listed = sorted(np.flatnonzero(local[code]).tolist(), key=lambda item: (-local[code, item], item))
        assert view.score_topk(histories, 12).items(0) == listed, "ties go to the lower index"
        assert view.ranking().tolist() == listed + [item for item in order if item not in listed]
        asked = np.arange(12)[None, :]
        assert view.score_pairs(histories, asked).tolist() == [local[code].tolist()]
        assert view.score_item(histories, 3).tolist() == [local[code, 3]]


def test_a_location_leaves_the_model_as_it_was():
    histories = Histories.from_log(random_log())
    model = Popularity(by_location=True).fit(histories)
    before = {name: values.copy() for name, values in model.to_arrays().items()}
    view = model.for_location(1)
    assert view.for_location(2) is view
    assert model.for_location(None) is model
    assert all(np.array_equal(values, before[name]) for name, values in model.to_arrays().items())
    everywhere = Popularity().fit(histories)
    assert everywhere.for_location(1) is everywhere
    neighbours = ItemKNN().fit(histories)
    assert neighbours.for_location(1) is neighbours
    check_form(view.score_topk(histories, 40), (histories.n_histories, 40), histories.n_items)
    with pytest.raises(NotFittedError):
        Popularity().for_location(None)


def test_saved_rankings_by_location_come_back():
    histories = Histories.from_log(random_log())
    model = Popularity(by_location=True).fit(histories)
    back = Popularity.from_arrays(model.to_arrays(), model.params())
    for location in (None, 0, 1, 2):
        assert back.ranking(location).tolist() == model.ranking(location).tolist()


def test_a_refit_without_locations_forgets_them():
    model = Popularity(by_location=True).fit(Histories.from_log(random_log()))
    model.by_location = False
    model.fit(Histories.from_log(random_log(rng=1)))
    assert model.local_scores_ is None
    assert sorted(model.to_arrays()) == ["ranking", "scores"]


def test_refusals():
    histories = histories_of({1: [1]}, time_kind="set")
    text = 'half_life_days=-1: expected "auto", None or a number above 0.'
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        Popularity(half_life_days=-1).fit(histories)
    for days in ([3], "soon", True, np.array(["auto", "auto"])):
        text = f'half_life_days={days!r}: expected "auto", None or a number above 0.'
        with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
            Popularity(half_life_days=days).fit(histories)
    text = (
        "half_life_days needs a timestamp for each event; this log tells order by 'set'. "
        "Hint: read the log with a 'timestamp' column."
    )
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
        Popularity(half_life_days=9.0).fit(histories)
    text = "by=\"location\" needs the column 'location', which this log does not have."
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
        Popularity(by_location=True).fit(Histories.from_log(log_of({1: [1]})))
    text = "this Popularity is not fitted yet. Call fit() first, or load() a saved one."
    with pytest.raises(NotFittedError, match=f"^{re.escape(text)}$"):
        Popularity().ranking()


def test_damaged_sums_by_location_are_refused_where_the_model_is_opened():
    model = Popularity(by_location=True).fit(Histories.from_log(random_log()))
    arrays = model.to_arrays()
    again = Popularity.from_arrays(arrays, model.params())
    assert (again.local_scores_ != model.local_scores_).nnz == 0
    assert again.local_scores_.shape == model.local_scores_.shape
    arrays["local_indptr"] = arrays["local_indptr"] + 1
    fault = r"^local is not a valid CSR matrix: indptr does not rise from 0\.$"
    with pytest.raises(ArgumentError, match=fault):
        Popularity.from_arrays(arrays, model.params())
