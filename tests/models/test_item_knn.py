"""ItemKNN against dense definitions of its similarities, cases worked by hand, and its refusals."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import Histories, ItemKNN, Popularity
from engagelib.errors import ArgumentError, NotEnoughDataError, NotFittedError
from engagelib.models import make_model, model_names
from engagelib.testing import histories_of, random_log


def visits_of(counts):
    """A log in which customer `c` bought item `i` `counts[c][i]` times; every item stands in the table."""
    return {c: [i for i, n in enumerate(row) for _ in range(n)] for c, row in enumerate(counts)}


def fit(counts, **settings):
    items = {"item_id": list(range(len(counts[0])))}
    histories = histories_of(visits_of(counts), items=items)
    settings = {"half_life_days": None, "event_weights": {"purchase": 1.0}} | settings
    return ItemKNN(**settings).fit(histories), histories


def weighed(counts, similarity, k1=1.2, b=0.35):
    """The vectors of items, each weight from its formula, customers as terms and items as documents."""
    x = np.array([row for row in counts if any(row)], float)
    n_items = x.shape[1]
    breadth = (x > 0).sum(axis=1, keepdims=True)
    idf = np.maximum(np.log(n_items / (1 + breadth)), 0.1)
    if similarity == "bm25":
        length = x.sum(axis=0)
        return np.where(
            x > 0, x * (k1 + 1) / (k1 * (1 - b + b * length / length.mean()) + x + (x == 0)) * idf, 0
        )
    vectors = x if similarity == "cosine" else np.sqrt(x) * idf
    norm = np.sqrt((vectors**2).sum(axis=0))
    return vectors / np.where(norm > 0, norm, 1)


def neighbours(counts, similarity, n_neighbours, **settings):
    """The definition: inner products, the diagonal empty, the best of each row, 1 as the largest."""
    vectors = weighed(counts, similarity, **settings)
    likeness = vectors.T @ vectors
    np.fill_diagonal(likeness, 0)
    for row in likeness:
        row[np.argsort(-row, kind="stable")[n_neighbours:]] = 0
    return likeness / max(likeness.max(), 1e-30)


COUNTS = st.integers(2, 6).flatmap(
    lambda n_items: st.lists(
        st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=n_items, max_size=n_items), min_size=1, max_size=6
    ).filter(lambda rows: any(map(any, rows)))
)


@given(counts=COUNTS, similarity=st.sampled_from(["bm25", "tfidf", "cosine"]))
def test_weights_are_what_the_dense_definition_says(counts, similarity):
    model, _ = fit(counts, similarity=similarity)
    expected = neighbours(counts, similarity, 100)
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=2e-6)


@given(counts=COUNTS, k1=st.sampled_from([0.5, 1.2, 9.0]), b=st.sampled_from([0.0, 0.3, 1.0]))
def test_bm25_follows_its_settings(counts, k1, b):
    model, _ = fit(counts, k1=k1, b=b)
    expected = neighbours(counts, "bm25", 100, k1=k1, b=b)
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=2e-6)


@pytest.mark.parametrize("similarity", ["bm25", "tfidf", "cosine"])
@pytest.mark.parametrize("n_neighbours", [1, 3, 8])
def test_each_item_keeps_its_best_neighbours(similarity, n_neighbours):
    counts = np.random.default_rng(1).integers(1, 9, (20, 25)) * (
        np.random.default_rng(2).random((20, 25)) < 0.4
    )
    model, _ = fit(counts.tolist(), similarity=similarity, n_neighbours=n_neighbours)
    expected = neighbours(counts.tolist(), similarity, n_neighbours)
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=2e-6)
    assert (np.diff(model.item_weights_.indptr) <= n_neighbours).all()


# Hand-worked: lamps and rugs share two customers of three each, a rug and a vase one.
def test_cosine_worked_by_hand():
    model, histories = fit([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 1, 1]], similarity="cosine")
    root3 = 3**0.5
    # cos(lamp, rug) = 2/3, cos(rug, vase) = 1/sqrt(3); 2/3 is the largest, and becomes 1.
    expected = [[0, 1, 0], [1, 0, 1.5 / root3], [0, 1.5 / root3, 0]]
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=1e-6)
    # Whoever has a rug and a vase is shown a lamp by the rug, and each of the two by the other.
    found = model.score_topk(histories.take(np.array([3])), 3)
    assert found.items(0) == [0, 1, 2]
    np.testing.assert_allclose(found.scores(0), [1, 1.5 / root3, 1.5 / root3], rtol=1e-6)


def test_the_newest_events_of_a_history_count_most():
    histories = histories_of({1: ["a", "x"], 2: ["b", "y"], 3: ["a", "b"]})
    model = ItemKNN("cosine", half_life_days=1.0).fit(histories)
    third = histories.take(np.array([2]))
    found = model.score_topk(third, 4, exclude=third.seen("any"))
    assert histories.items.ids(found.items(0)) == ["y", "x"]
    by_steps = ItemKNN("cosine", half_life_days=None, half_life_steps=1.0).fit(histories)
    assert by_steps.inputs(third).to_matrix().toarray()[0, :2].tolist() == [2.5, 5]


def test_auto_decays_where_there_are_times_alone():
    for time_kind, expected in (("timestamp", 60.0), ("position", None)):
        histories = Histories.from_log(random_log(time_kind=time_kind))
        auto, named = (ItemKNN(half_life_days=days).fit(histories) for days in ("auto", expected))
        assert auto.item_weights_.data.tobytes() == named.item_weights_.data.tobytes()


def test_an_item_alone_has_no_neighbours():
    model, histories = fit([[1, 0], [0, 1]])
    assert model.item_weights_.matrix.nnz == 0
    assert model.score_topk(histories, 2).counts.tolist() == [0, 0]
    assert model.similar_topk(0, 2).items(0) == []


def test_no_items_at_all_are_no_error():
    histories = histories_of({1: [{"item_id": None, "event_type": "survey"}]})
    for name in set(model_names()) - {"content"}:  # it needs attributes
        model = make_model(name).fit(histories)
        assert model.score_topk(histories, 3).counts.tolist() == [0]
        assert model.score_pairs(histories, np.full((1, 2), -1)).tolist() == [[0, 0]]


def test_settings_come_back_as_built_in_types():
    model = ItemKNN(
        "cosine", np.int64(5), half_life_days=np.float32(2), event_weights={"view": np.float64(1)}
    )
    params = model.params()
    assert params == {
        "similarity": "cosine", "n_neighbours": 5, "half_life_days": 2.0, "half_life_steps": "auto",
        "event_weights": {"view": 1.0}, "k1": 1.2, "b": 0.35,
    }  # fmt: skip
    assert [type(params[name]) for name in ("n_neighbours", "half_life_days")] == [int, float]
    assert (
        repr(model)
        == "ItemKNN(similarity='cosine', n_neighbours=5, half_life_days=2.0, event_weights={'view': 1.0})"
    )
    assert repr(ItemKNN()) == "ItemKNN()"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"similarity": "dot"}, 'similarity=\'dot\': expected "bm25", "tfidf" or "cosine".'),
        ({"n_neighbours": 0}, "n_neighbours=0: expected an integer of at least 1."),
        ({"n_neighbours": 2.0}, "n_neighbours=2.0: expected an integer of at least 1."),
        ({"n_neighbours": True}, "n_neighbours=True: expected an integer of at least 1."),
        ({"half_life_days": "soon"}, "half_life_days='soon': expected \"auto\", None or a number above 0."),
        ({"half_life_days": 0}, 'half_life_days=0: expected "auto", None or a number above 0.'),
        ({"half_life_steps": -2}, 'half_life_steps=-2: expected "auto", None or a number above 0.'),
        ({"k1": 0}, "k1=0: expected a number above 0."),
        ({"k1": np.inf}, "k1=inf: expected a number above 0."),
        ({"b": 1.5}, "b=1.5: expected a number in [0, 1]."),
        ({"similarity": ["bm25"]}, 'similarity=[\'bm25\']: expected "bm25", "tfidf" or "cosine".'),
        ({"half_life_days": [3]}, 'half_life_days=[3]: expected "auto", None or a number above 0.'),
        ({"half_life_steps": "a"}, "half_life_steps='a': expected \"auto\", None or a number above 0."),
        ({"k1": None}, "k1=None: expected a number above 0."),
        ({"k1": True}, "k1=True: expected a number above 0."),
        ({"b": "a"}, "b='a': expected a number in [0, 1]."),
        (
            {"event_weights": ["view"]},
            "event_weights=['view']: expected a mapping from event types to weights, such as "
            '{"view": 1.0}, or None.',
        ),
        (
            {"event_weights": {"purchase": -1}},
            "event_weights={'purchase': -1}: expected weights from 0 to 1e+30; 'purchase' has -1.",
        ),
    ],
)
def test_settings_outside_their_range_are_refused_by_fit(settings, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        ItemKNN(**settings).fit(histories_of({1: [1, 2]}))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"half_life_days": 30.0},
            "half_life_days needs a timestamp for each event; this log tells order by 'set'. "
            "Hint: read the log with a 'timestamp' column.",
        ),
        (
            {"half_life_steps": 3.0},
            "half_life_steps needs events in order; this log has neither times nor positions. "
            "Hint: read the log with a 'timestamp' or a 'position' column.",
        ),
    ],
)
def test_a_decay_that_the_log_has_no_times_for_is_refused_by_fit(settings, text):
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
        ItemKNN(**settings).fit(histories_of({1: [1, 2]}, time_kind="set"))


def test_a_log_in_which_nothing_counts_is_refused_by_fit():
    histories = histories_of({1: [(1, "view"), (2, "Purchase"), {"item_id": None, "event_type": "survey"}]})
    hint = ' Hint: name yours when the log is read, as in event_types={"listen": "view"}.'
    found = "no event type of the log counts as interest (found: Purchase, view): expected one of "
    for model in (ItemKNN, Popularity):
        with pytest.raises(NotEnoughDataError) as caught:
            model(event_weights={"views": 1, "listen": 2.5, "view": 0}).fit(histories)
        assert str(caught.value) == f"{found}views, listen.{hint}"
        with pytest.raises(NotEnoughDataError) as caught:
            model(event_weights={"survey": 1}).fit(histories)  # without an item it speaks for none
        assert str(caught.value) == f"{found}survey.{hint}"
        model(event_weights={"Purchase": 1}).fit(histories)


@pytest.mark.parametrize("similarity", ["bm25", "tfidf", "cosine"])
@pytest.mark.parametrize("saved", [False, True])
def test_one_item_scores_as_among_all_bit_for_bit(similarity, saved):
    histories = Histories.from_log(random_log(60, 25, 3000, rng=3))
    model = ItemKNN(similarity, half_life_steps=3.3).fit(histories)
    if saved:
        model = ItemKNN.from_arrays(model.to_arrays(), model.params())
    every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
    for at in (None, int(np.median(histories.time))):
        expected = model.score_pairs(histories, every, at=at)
        assert expected.any()
        for item in range(histories.n_items):
            found = model.score_item(histories, item, at=at)
            assert found.dtype == np.float32
            assert found.tobytes() == np.ascontiguousarray(expected[:, item]).tobytes()
    assert model.score_item(histories.take(np.array([-1])), 2).tolist() == [0]
    assert model.score_item(histories.take(np.zeros(0, int)), 2).tolist() == []


def test_before_fit_every_question_is_refused():
    histories = histories_of({1: [1, 2]})
    model = ItemKNN()
    text = r"^this ItemKNN is not fitted yet\. Call fit\(\) first, or load\(\) a saved one\.$"
    for ask in (
        lambda: model.contributions(histories, np.array([0])),
        lambda: model.similar_topk(0, 1),
        lambda: model.score_topk(histories, 1),
        lambda: model.score_item(histories, 0),
    ):
        with pytest.raises(NotFittedError, match=text):
            ask()


def test_a_model_is_named_or_given():
    names = (
        "als, bpr, content, customer_knn, ease, item_knn, item_walk, popularity, repeat, session_knn, "
        "transitions"
    )
    assert ", ".join(model_names()) == names
    model = ItemKNN()
    assert make_model(model) is model
    assert repr(make_model("item_knn")) == "ItemKNN()"
    for wrong in ("nearest", 3):
        text = f"models={wrong!r}: expected a Model, or one of {names}."
        with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
            make_model(wrong)
