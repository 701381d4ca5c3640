"""Content: neighbours by attributes, held against their definition and against made-up shops."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib as eg
from engagelib import EventLog, Recommender, errors
from engagelib.attributes import ItemAttributes, has_content, item_vectors, vectors
from engagelib.models import Content
from engagelib.testing import histories_of
from engagelib.vocabulary import Vocabulary

STEP = 0.7


def attributes_of(**columns):
    n_items = len(next(iter(columns.values())))
    table = pa.table({"item_id": list(range(n_items)), **columns})
    return ItemAttributes.from_table(table, Vocabulary.from_values(list(range(n_items))))


def likeness(attributes):
    rows = item_vectors(attributes).to_matrix().toarray()
    return rows @ rows.T


def by_definition(titles, brands, prices):
    """Return the cosines of items, feature by feature, in plain Python."""
    n_items = len(titles)
    items = []
    for title, brand, price in zip(titles, brands, prices, strict=True):
        features = {("word", word): 1.0 for word in re.findall(r"[a-z0-9]+", (title or "").lower())}
        if brand is not None:
            features["brand", brand] = 1.0
        if price is not None:
            place = np.log(price) / STEP
            share = place - np.floor(place)
            for at, weight in ((np.floor(place), 1 - share), (np.floor(place) + 1, share)):
                if weight > 0:
                    features["price", at] = np.sqrt(weight)
        items.append(features)
    for name in {name for features in items for name in features}:
        holders = [features for features in items if name in features]
        for features in holders:
            features[name] *= np.log(n_items / len(holders)) if len(holders) > 1 else 0.0
    found = np.zeros((n_items, n_items))
    for i, one in enumerate(items):
        for j, other in enumerate(items):
            norm = np.sqrt(sum(v**2 for v in one.values()) * sum(v**2 for v in other.values()))
            if norm > 0:
                found[i, j] = sum(value * other.get(name, 0.0) for name, value in one.items()) / norm
    return found


cells = st.tuples(
    st.one_of(st.none(), st.text("ab C1-.", max_size=8)),
    st.one_of(st.none(), st.sampled_from(["x", "y", "z"])),
    st.one_of(st.none(), st.sampled_from([0.5, 1.0, 3.3, 19.99, 1000.0])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, min_size=1, max_size=8))
def test_likeness_is_the_cosine_of_features_weighed_by_rarity(rows):
    titles, brands, prices = map(list, zip(*rows, strict=True))
    attributes = attributes_of(
        title=pa.array(titles, pa.string()),
        brand=pa.array(brands, pa.string()),
        price=pa.array(prices, pa.float64()),
    )
    expected = by_definition(titles, brands, prices)
    assert likeness(attributes) == pytest.approx(expected, abs=1e-5)
    assert has_content(attributes) == bool(expected.any())


def test_a_rare_value_says_more_than_a_common_one():
    like = likeness(attributes_of(brand=list("aabbbbbb"), colour=list("rgrggggg")))
    assert like[0, 1] > like[1, 3] > 0


def test_near_prices_are_alike_and_far_ones_are_not():
    like = likeness(attributes_of(price=[10.0, 11.0, 14.0, 40.0, 42.0]))
    assert like[0, 1] > like[0, 2] > like[0, 3] == 0
    assert like[3, 4] > 0.9


def test_booleans_and_whole_numbers_match_by_value_and_dates_say_nothing():
    like = likeness(attributes_of(vegan=[True, True, False, None], maker=[7, 8, 8, 7]))
    assert like[0, 1] > 0
    assert like[0, 3] > 0
    assert like[1, 2] > 0
    assert like[0, 2] == 0
    days = pa.array([0, 0, 1], pa.date32())
    assert not has_content(attributes_of(since=days))


def test_what_all_items_share_or_one_alone_has_tells_nothing():
    assert not has_content(
        attributes_of(brand=["a", "a", "a"], code=["x", "y", "z"], title=["Mug 1", "Mug 2", "mug"])
    )
    assert has_content(attributes_of(brand=["a", "a", "b"]))


def test_a_crowded_value_is_split_and_the_same_items_stay_together(monkeypatch):
    monkeypatch.setattr(vectors, "_CROWD", 10)
    attributes = attributes_of(brand=list("ab" * 50), colour=list("aabb" * 25), title=["cup", "mug"] * 50)
    like = likeness(attributes)
    assert np.count_nonzero(like[0] > 0) <= 3 * 10
    assert like.max() <= 1 + 1e-6
    assert like.diagonal() == pytest.approx(np.ones(100))
    # What shares all three does so again and again within one group.
    assert np.count_nonzero(like > 0.99, axis=1).mean() > 3


def test_a_word_of_every_title_costs_nothing():
    attributes = attributes_of(title=[f"the w{place // 2}" for place in range(5000)])
    rows = item_vectors(attributes)
    assert rows.nnz == 5000
    assert np.bincount(rows.indices).max() == 2


# The model


def test_neighbours_are_pruned_and_weighed_by_the_square_of_the_likeness():
    attributes = attributes_of(
        brand=list("aaabbb"), colour=list("rrgggr"), price=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    )
    histories = histories_of({0: [0, 1, 2], 1: [3, 4, 5]})
    full = likeness(attributes)
    np.fill_diagonal(full, 0)
    model = Content(2).fit_with(histories, attributes)
    weights = model.item_weights_.matrix.toarray()
    expected = np.where(full >= np.sort(full, axis=1)[:, -2:-1], full, 0) ** 2
    assert weights == pytest.approx(expected / expected.max(), abs=1e-5)
    assert (np.diff(model.item_weights_.indptr) == 2).all()


ITEMS = {"item_id": ["a", "b", "c", "new"], "brand": ["x", "y", "y", "x"], "title": ["", "", "", "Brand new"]}
EVENTS = {
    "customer_id": [1, 1, 2, 3],
    "item_id": ["a", "b", "c", "a"],
    "event_type": ["purchase"] * 4,
    "timestamp": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"],
}


@pytest.fixture
def log():
    return EventLog.from_frame(EVENTS, items=ITEMS)


def test_an_item_without_any_event_is_suggested_for_its_attributes(log):
    recommender = Recommender("content").fit(log)
    listed = recommender.recommend(3, k=1, explain=True)
    assert listed.item_ids == ["new"]
    assert listed[0].source == "content"
    assert [reason.item_id for reason in listed[0].reasons] == ["a"]
    assert recommender.similar("new", k=1).item_ids == ["a"]


def test_a_blend_hands_the_attributes_on(log):
    recommender = Recommender(["item_knn", Content(5)]).fit(log)
    assert "new" in recommender.recommend(3, fill=False).item_ids


def test_it_is_saved_without_attributes_of_its_own(log, tmp_path):
    recommender = Recommender("content").fit(log)
    recommender.save(tmp_path / "shop")
    back = eg.load(tmp_path / "shop")
    assert back.recommend(3).item_ids == recommender.recommend(3).item_ids
    assert sorted(back.models_[0].to_arrays()) == ["data", "indices", "indptr"]


def test_it_stays_what_it_is_when_a_customer_is_forgotten(log, tmp_path):
    recommender = Recommender("content").fit(log)
    before = recommender.models_[0].to_arrays()
    recommender.forget(2)
    recommender.save(tmp_path / "shop")
    back = eg.load(tmp_path / "shop")
    for name, values in back.models_[0].to_arrays().items():
        assert np.array_equal(values, before[name])
    assert not any("erasure pending" in str(row) for row in back.summary().rows)


# What is refused


def test_a_log_without_attributes_is_refused():
    expected = (
        "no attribute says what items are like: expected one, such as a category, a brand, a title or a "
        "price. Hint: pass items= when the log is read; a model by itself learns by "
        "fit_with(histories, attributes)."
    )
    without = {"item_id": ["a", "b"], "for_sale": [True, False]}
    for log in (EventLog.from_frame(EVENTS), EventLog.from_frame(EVENTS, items=without)):
        with pytest.raises(errors.NotEnoughDataError, match=f"^{re.escape(expected)}$"):
            Recommender("content").fit(log)
    with pytest.raises(errors.NotEnoughDataError, match=f"^{re.escape(expected)}$"):
        Content().fit(histories_of({1: [1]}))


def test_attributes_that_tell_no_items_apart_list_nothing():
    items = {"item_id": ["a", "b", "c"], "brand": ["x", "x", "x"]}
    recommender = Recommender("content").fit(EventLog.from_frame(EVENTS, items=items))
    assert {entry.source for entry in recommender.recommend(1)} <= {"popular"}


def test_a_number_of_neighbours_is_whole_and_at_least_one(log):
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(
            errors.ArgumentError, match=rf"^n_neighbours={wrong}: expected an integer of at least 1.$"
        ):
            Recommender(Content(wrong)).fit(log)


def test_attributes_of_other_items_are_refused():
    expected = "attributes.n_items=2: expected 3, as many as the histories have."
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(expected)}$"):
        Content().fit_with(histories_of({1: [0, 1, 2]}), attributes_of(brand=["a", "b"]))
