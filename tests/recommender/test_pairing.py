"""What goes together and what stands in for what: definitions, cases worked by hand, laws, measurements."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from engagelib import Histories, ItemKNN
from engagelib.datasets import make_shop
from engagelib.datasets._shop_catalogue import item_ids, make_catalogue
from engagelib.errors import ArgumentError, ArtifactError
from engagelib.recommender.pairing import (
    ALIKE,
    ALIKE_ELSEWHERE,
    POPULAR_OF_CATEGORY,
    Together,
    complete_topk,
    learn_together,
    substitutes_topk,
)
from engagelib.scoring import ItemWeights, TopK
from engagelib.testing import histories_of, random_log


def shop_of(baskets, n_items=None):
    """Histories in which each basket is an order of a customer of its own; items are integers from 0."""
    visits = {
        place: [{"item_id": item, "order_id": f"o{place}"} for item in basket]
        for place, basket in enumerate(baskets)
    }
    n_items = n_items or 1 + max(item for basket in baskets for item in basket)
    return histories_of(visits, items={"item_id": list(range(n_items))})


def weights_by_hand(matrix):
    return Together(ItemWeights(csr_array(np.array(matrix, np.float32))), "order", 1)


# --- together, by definition --------------------------------------------------------------------------


def definition(baskets, n_items, n_neighbours, shrinkage):
    """Pair by pair: the cosine over baskets of length one, with purchases added to each item's own."""
    baskets = [sorted(set(basket)) for basket in baskets]
    mean = len(baskets) / sum(map(len, baskets))
    own = [shrinkage * mean + sum(1 / len(b) for b in baskets if i in b) for i in range(n_items)]
    weights = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            shared = sum(1 / len(basket) for basket in baskets if i in basket and j in basket)
            if i != j and shared:
                weights[i, j] = shared / np.sqrt(own[i] * own[j])
        # float32 decides ties, as it does in lists.
        weights[i, np.argsort(-weights[i].astype(np.float32), kind="stable")[n_neighbours:]] = 0
    return weights


BASKETS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=12)


@settings(max_examples=60)
@given(baskets=BASKETS, shrinkage=st.sampled_from([0, 1, 20.0]))
def test_weights_are_what_the_definition_says(baskets, shrinkage):
    together = learn_together(shop_of(baskets, 6), shrinkage=shrinkage)
    expected = definition(baskets, 6, 6, shrinkage)
    np.testing.assert_allclose(together.item_weights.matrix.toarray(), expected, rtol=2e-6)
    assert together.n_baskets == sum(len(set(basket)) > 1 for basket in baskets) or not expected.any()


@settings(max_examples=60)
@given(baskets=BASKETS, basket=st.lists(st.integers(0, 5), max_size=4), k=st.integers(1, 8),
       available=st.lists(st.booleans(), min_size=6, max_size=6))  # fmt: skip
def test_a_basket_is_completed_by_what_its_items_are_together_with(baskets, basket, k, available):
    together = learn_together(shop_of(baskets, 6))
    weights = together.item_weights.matrix.toarray()
    total = np.zeros(6, np.float32)
    for item in sorted(set(basket)):
        total += weights[item]
    total[[item for item in range(6) if item in basket or not available[item]]] = 0
    best = [item for item in np.argsort(-total, kind="stable").tolist() if total[item] > 0][:k]
    found = complete_topk(together, np.array(basket, np.int32), k, available=np.array(available))
    assert found.item_index.shape == (1, k)
    assert found.items(0) == best
    np.testing.assert_allclose(found.scores(0), total[best], rtol=1e-6)


# --- worked by hand -----------------------------------------------------------------------------------


def test_tea_and_cups_worked_by_hand():
    # Tea 0, cups 1, rugs 2. Tea weighs 1/2 + 1/2 + 1/3, cups 1/2 + 1/2 + 1/3, the rug 1/3 + 1.
    histories = shop_of([[0, 1], [0, 1], [0, 1, 2], [2]])
    weights = learn_together(histories, shrinkage=0).item_weights.matrix.toarray()
    np.testing.assert_allclose(weights, [[0, 1, 0.25], [1, 0, 0.25], [0.25, 0.25, 0]], rtol=1e-6)
    # Of eight purchases in four baskets each weighs a half; two more of each add 1 to an item's own 4/3.
    weights = learn_together(histories, shrinkage=2).item_weights.matrix.toarray()
    np.testing.assert_allclose(weights[0], [0, 4 / 7, 1 / 7], rtol=1e-6)
    found = complete_topk(learn_together(histories, shrinkage=0), np.array([2]), 5)
    assert found.items(0) == [0, 1]
    np.testing.assert_allclose(found.scores(0), [0.25, 0.25])


def test_a_coincidence_of_rare_items_says_less_than_a_habit():
    baskets = [[0, 1]] * 60 + [[0], [1]] * 20 + [[2, 3]]
    raw, shrunk = (learn_together(shop_of(baskets), shrinkage=n).item_weights.matrix for n in (0, 20))
    assert raw[2, 3] > raw[0, 1]
    assert shrunk[2, 3] < shrunk[0, 1] / 5


def test_a_large_basket_counts_no_more_than_a_small_one():
    # A reseller bought everything twice; two people bought tea with cups.
    baskets = [list(range(40))] * 2 + [[0, 1]] * 2
    row = learn_together(shop_of(baskets)).item_weights.matrix.toarray()[0]
    assert row[1] > 5 * row[2] > 0


@pytest.mark.parametrize("n_neighbours", [1, 3, 100])
def test_each_item_keeps_its_nearest(n_neighbours):
    baskets = [np.flatnonzero(row).tolist() or [0] for row in np.random.default_rng(3).random((60, 12)) < 0.3]
    together = learn_together(shop_of(baskets, 12), n_neighbours=n_neighbours)
    expected = definition(baskets, 12, n_neighbours, 20)
    np.testing.assert_allclose(together.item_weights.matrix.toarray(), expected, rtol=2e-6)


def test_a_hundred_neighbours_are_kept_unless_told_otherwise():
    together = learn_together(shop_of([range(120)]))
    assert set(np.diff(together.item_weights.indptr)) == {100}


def test_a_log_without_two_items_in_one_basket_knows_nothing():
    together = learn_together(shop_of([[0], [1], [2]]))
    assert together.item_weights.matrix.nnz == 0
    assert together.n_baskets == 0
    assert complete_topk(together, np.array([0]), 3).counts.tolist() == [0]
    nothing_bought = histories_of({1: [("a", "view"), ("b", "cart")]})
    assert learn_together(nothing_bought).item_weights.shape == (2, 2)


# --- what a basket is ---------------------------------------------------------------------------------


def pairs_of(histories):
    together = learn_together(histories)
    rows, columns = together.item_weights.matrix.nonzero()
    ids = histories.items.ids
    pairs = {"".join(sorted(pair)) for pair in zip(ids(rows), ids(columns), strict=True)}
    return together.baskets, pairs


def rows_of(text, **columns):
    """Events of one customer from letters, with the columns given letter by letter."""
    return [
        {"item_id": letter, **{name: values[place] for name, values in columns.items()}}
        for place, letter in enumerate(text)
    ]


def test_orders_are_baskets_then_sessions_then_days_then_histories():
    orders, sessions = ["1", "1", "2", "2"], ["x", "y", "y", "x"]
    days = ["2024-01-01T08:00", "2024-01-02T00:00", "2024-01-02T23:59", "2024-01-03T00:00"]
    every = {"order_id": orders, "session_id": sessions, "timestamp": days}
    assert pairs_of(histories_of({1: rows_of("abcd", **every)})) == ("order", {"ab", "cd"})
    every["order_id"] = ["1", "2", "3", None]  # no order holds two items
    assert pairs_of(histories_of({1: rows_of("abcd", **every)})) == ("session", {"bc", "ad"})
    every["session_id"] = [None] * 4
    assert pairs_of(histories_of({1: rows_of("abcd", **every)})) == ("day", {"bc"})
    every["timestamp"] = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
    found = pairs_of(histories_of({1: rows_of("abcd", **every)}))
    assert found == ("history", {"ab", "ac", "ad", "bc", "bd", "cd"})


def test_positions_and_sets_are_baskets_too():
    visits = {1: rows_of("abc", position=[0, 0, 1]), 2: rows_of("cd", position=[1, 2])}
    assert pairs_of(histories_of(visits, time_kind="position")) == ("position", {"ab"})
    assert pairs_of(histories_of({1: "ab", 2: "bc"}, time_kind="position")) == ("history", {"ab", "bc"})
    assert pairs_of(histories_of({1: "ab", 2: "bc"}, time_kind="set")) == ("history", {"ab", "bc"})


def test_two_customers_of_one_day_are_two_baskets():
    days = {"timestamp": ["2024-01-01", "2024-01-01"]}
    assert pairs_of(histories_of({1: rows_of("ab", **days), 2: rows_of("cd", **days)})) == (
        "day",
        {"ab", "cd"},
    )


def test_only_what_was_bought_and_kept_is_in_a_basket():
    rows = rows_of("abcd", order_id=["1"] * 4, event_type=["purchase", "purchase", "purchase", "view"])
    rows += rows_of("b", order_id=["2"], event_type=["return"])
    assert pairs_of(histories_of({1: rows})) == ("order", {"ac"})
    one_type = rows_of("ab", session_id=["1"] * 2, event_type=["listen"] * 2)
    assert pairs_of(histories_of({1: one_type})) == ("session", {"ab"})


def test_anonymous_baskets_count():
    rows = [{"customer_id": None, **row} for row in rows_of("ab", order_id=["1"] * 2)]
    assert pairs_of(histories_of({1: rows})) == ("order", {"ab"})


# --- laws ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_row_order_and_names_do_not_matter(time_kind):
    settings = {"time_kind": time_kind, "tied": True, "rng": 2}
    plain, shuffled, renamed = (
        learn_together(Histories.from_log(random_log(**settings, **more)))
        for more in ({}, {"shuffled": True}, {"prefix": "z-"})
    )
    assert len(plain.item_weights.data) > 20
    for other in (shuffled, renamed):
        for name, values in plain.to_arrays().items():
            assert other.to_arrays()[name].tobytes() == values.tobytes()
        assert other.facts() == plain.facts()


def test_what_was_learned_survives_its_file():
    together = learn_together(shop_of([[0, 1], [1, 2, 3], [0, 3]]))
    back = Together.from_arrays(together.to_arrays(), json.loads(json.dumps(together.facts())))
    assert back.facts() == together.facts() == {"baskets": "order", "n_baskets": 3}
    assert np.shares_memory(back.item_weights.data, together.item_weights.data)
    assert complete_topk(back, np.array([0, 2]), 4).items(0) == [1, 3]
    arrays = together.to_arrays() | {"indices": np.full(len(together.item_weights.indices), 77, np.int32)}
    with pytest.raises(ArtifactError):
        complete_topk(Together.from_arrays(arrays, together.facts()), np.array([0]), 4)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "all"])
def test_neighbours_are_counted(wrong):
    text = f"n_neighbours={wrong!r}: expected an integer of at least 1."
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        learn_together(shop_of([[0, 1]]), n_neighbours=wrong)


@pytest.mark.parametrize("wrong", [-0.1, float("inf"), float("nan"), "much", None])
def test_shrinkage_is_a_number(wrong):
    text = f"shrinkage={wrong!r}: expected a number of at least 0."
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        learn_together(shop_of([[0, 1]]), shrinkage=wrong)


# --- substitutes --------------------------------------------------------------------------------------


def alike_to(*pairs):
    """The likeness of items, best first, as a model hands it over: a wide row with padding."""
    items, scores = (list(part) for part in zip(*pairs, strict=True))
    pad = 3
    return TopK(np.array([items + [-1] * pad], np.int32), np.array([scores + [-np.inf] * pad], np.float32))


def listed(lists):
    n = lists.counts[0]
    return list(zip(lists.item_index[0, :n].tolist(), lists.source[0, :n].tolist(), strict=True))


def scores(lists):
    return lists.score[0, : lists.counts[0]].tolist()


RANKING = np.arange(8)[::-1].astype(np.int32)
NOTHING_TOGETHER = weights_by_hand(np.zeros((8, 8)))


def test_without_more_knowledge_the_alike_stand_in():
    found = substitutes_topk(0, alike_to((3, 0.9), (5, 0.5), (1, 0.25)), None, 5, ranking=RANKING)
    assert listed(found) == [(3, ALIKE), (5, ALIKE), (1, ALIKE)]
    assert scores(found) == [np.float32(0.9), 0.5, 0.25]
    assert found.item_index.tolist() == [[3, 5, 1, -1, -1]]
    assert found.source.tolist() == [[0, 0, 0, -1, -1]]
    assert found.score[0, 3:].tolist() == [-np.inf] * 2


def test_what_is_bought_in_one_basket_with_it_is_a_complement():
    together = np.zeros((8, 8))
    together[0, 3], together[3, 0] = 0.5, 0.5
    likeness = alike_to((3, 0.9), (5, 0.5))
    found = substitutes_topk(0, likeness, weights_by_hand(together), 2, ranking=RANKING)
    assert listed(found) == [(5, ALIKE), (3, ALIKE)]
    np.testing.assert_allclose(scores(found), [0.5, 0.45])
    together[0, 3] = 1.0  # never one without the other
    found = substitutes_topk(0, likeness, weights_by_hand(together), 2, ranking=RANKING)
    assert listed(found) == [(5, ALIKE)]


def test_a_close_price_stands_in_better():
    price = np.array([10.0, 20.0, 8.0, np.nan, 0.0, 10.0, np.inf, -3.0])
    likeness = alike_to(*((item, 0.5) for item in range(1, 8)))
    found = substitutes_topk(0, likeness, NOTHING_TOGETHER, 7, ranking=RANKING, price=price)
    # Twice the price and none at all are worth a half.
    assert [item for item, _ in listed(found)] == [5, 2, 1, 3, 4, 6, 7]
    np.testing.assert_allclose(scores(found), [0.5, 0.4, 0.25, 0.25, 0.25, 0.25, 0.25])
    for unknown in (np.nan, 0.0, np.inf):  # nothing to compare with
        price[0] = unknown
        found = substitutes_topk(0, likeness, NOTHING_TOGETHER, 7, ranking=RANKING, price=price)
        assert scores(found) == [0.5] * 7


def test_the_same_category_comes_first_and_is_filled_before_others():
    category = np.array([4, 4, 9, 4, 9, -1, 4, 4], np.int32)
    likeness = alike_to((2, 0.9), (3, 0.8), (5, 0.7), (1, 0.6), (4, 0.5))
    found = substitutes_topk(0, likeness, NOTHING_TOGETHER, 8, ranking=RANKING, category=category)
    assert listed(found) == [
        (3, ALIKE), (1, ALIKE), (7, POPULAR_OF_CATEGORY), (6, POPULAR_OF_CATEGORY),
        (2, ALIKE_ELSEWHERE), (5, ALIKE_ELSEWHERE), (4, ALIKE_ELSEWHERE),
    ]  # fmt: skip
    np.testing.assert_allclose(scores(found), [0.8, 0.6, 0, 0, 0, 0, 0])
    # An item without a category takes whatever is alike, and has no shelf to fill from.
    found = substitutes_topk(5, alike_to((2, 0.9), (3, 0.8)), None, 8, ranking=RANKING, category=category)
    assert listed(found) == [(2, ALIKE), (3, ALIKE)]


@st.composite
def questions(draw):
    n = 8
    some = st.sampled_from([0.0, 0.25, 0.5])
    order = draw(st.permutations(range(n)))[: draw(st.integers(1, n))]
    together = np.array(draw(st.lists(st.lists(some, min_size=n, max_size=n), min_size=n, max_size=n)))
    return {
        "item": draw(st.integers(0, n - 1)),
        "likeness": [(item, draw(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]))) for item in order],
        "together": together,
        "ranking": np.array(draw(st.permutations(range(n))), np.int32),
        "category": draw(st.none() | st.lists(st.integers(-1, 1), min_size=n, max_size=n)),
        "price": draw(st.none() | st.lists(st.sampled_from([1.0, 2.0, 4.0, np.nan]), min_size=n, max_size=n)),
        "available": draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n)),
    }


def by_the_letter(q):
    """Substitutes, item by item."""
    item, category, price = q["item"], q["category"], q["price"]
    own = -1 if category is None else category[item]
    may_be = [j for j in range(8) if j != item and (q["available"] is None or q["available"][j])]
    alike = {}
    for j, likeness in q["likeness"]:
        closeness = 1.0
        if price is not None and not np.isnan(price[item]):
            known = not np.isnan(price[j])
            closeness = min(price[item], price[j]) / max(price[item], price[j]) if known else 0.5
        score = likeness * closeness * (1 - q["together"][item, j])
        if j in may_be and score > 0:
            alike[j] = score
    by_score = sorted(alike, key=lambda j: (-alike[j], j))
    first = [j for j in by_score if own < 0 or category[j] == own]
    shelf = [j for j in q["ranking"].tolist() if own >= 0 and category[j] == own and j in may_be]
    popular = [j for j in shelf if j not in first]
    others = [j for j in by_score if j not in first]
    return (
        [(j, ALIKE, alike[j]) for j in first]
        + [(j, POPULAR_OF_CATEGORY, 0.0) for j in popular]
        + [(j, ALIKE_ELSEWHERE, 0.0) for j in others]
    )


@given(q=questions())
def test_substitutes_are_what_the_definition_says_for_every_length(q):
    expected = by_the_letter(q)
    optional = {
        name: None if q[name] is None else np.array(q[name]) for name in ("category", "price", "available")
    }
    for k in (1, 2, 4, 9):
        found = substitutes_topk(
            q["item"], alike_to(*q["likeness"]), weights_by_hand(q["together"]), k,
            ranking=q["ranking"], **optional,
        )  # fmt: skip
        assert listed(found) == [entry[:2] for entry in expected[:k]]
        np.testing.assert_allclose(scores(found), [entry[2] for entry in expected[:k]], rtol=1e-6)
        assert found.item_index.shape == (1, k)


# --- what they are for --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop():
    """A made-up shop, and for each item of its log the cluster of alike things it comes from."""
    made, catalogue = make_shop(), make_catalogue(np.random.default_rng(0), 500)
    histories = Histories.from_log(made.log)
    index = histories.items.indices(item_ids(catalogue))
    parts = {name: np.zeros(histories.n_items) for name in ("cluster", "category", "price")}
    for name, values in parts.items():
        values[index] = getattr(catalogue, name)
    return made.log, histories, parts


def test_substitutes_come_from_the_same_cluster_far_more_often_than_similar_items(shop):
    log, histories, parts = shop
    model, together = ItemKNN().fit(histories), learn_together(histories)
    ranking = np.argsort(-np.bincount(histories.item_index, minlength=500), kind="stable").astype(np.int32)
    cluster, category = parts["cluster"], parts["category"].astype(np.int32)
    hits = {name: [] for name in ("similar", "substitute", "similar category", "substitute category")}
    for item in range(0, 500, 4):
        likeness = model.similar_topk(item, 100, available=log.item_for_sale())
        found = substitutes_topk(
            item, likeness, together, 10, ranking=ranking, category=category,
            price=parts["price"], available=log.item_for_sale(),
        )  # fmt: skip
        assert found.counts[0] == 10
        for name, listing in (("similar", likeness), ("substitute", found)):
            items = listing.item_index[0, :10]
            items = items[items >= 0]
            hits[name] += (cluster[items] == cluster[item]).tolist()
            hits[f"{name} category"] += (category[items] == category[item]).tolist()
    share = {name: np.mean(values) for name, values in hits.items()}
    assert share["substitute"] > share["similar"] + 0.1
    assert share["similar category"] < 0.75
    assert share["substitute category"] == 1


def test_a_hidden_item_of_a_basket_is_found_among_those_it_goes_with():
    # Forty kinds of three things that are bought together, one of them hidden; and noise.
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 40, 900)
    baskets = [[3 * kind, 3 * kind + 1, 3 * kind + 2, 120 + rng.integers(60)] for kind in kinds]
    together = learn_together(shop_of(baskets[:600], 180))
    found = [
        complete_topk(together, np.array([basket[0], *basket[2:]]), 1).items(0) for basket in baskets[600:]
    ]
    assert np.mean([items == [basket[1]] for items, basket in zip(found, baskets[600:], strict=True)]) > 0.95
