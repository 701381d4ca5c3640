"""What each argument of a call does, and the other questions a recommender answers."""

import math
from functools import partial

import numpy as np
import pytest

import engagelib as eg
from engagelib import EventLog, ItemKNN, Popularity, Recommender
from engagelib.attributes import ItemAttributes
from engagelib.errors import ArgumentError
from engagelib.histories import Histories
from engagelib.recommender.choosing import choose_models
from engagelib.recommender.repeating import learn_repeats
from engagelib.testing import log_of, random_log

# Lamps go with rugs, pens with paper; the vase was sold once and the mug never.
VISITS = {
    "ann": ["lamp", "rug"],
    "bob": ["lamp", "rug", ("pen", "view")],
    "cyd": ["pen", "paper"],
    "dan": ["pen", "paper", "postage"],
    "eve": ["lamp", "postage"],
    "fay": ["vase"],
}
ITEMS = {
    "item_id": ["lamp", "rug", "pen", "paper", "vase", "mug", "postage"],
    "title": ["Lamp", None, "Pen <b>", "", "Vase", "Mug", "Postage"],
    "for_sale": [True] * 6 + [False],
}


@pytest.fixture(scope="module")
def shop():
    return Recommender("item_knn").fit(log_of(VISITS, items=ITEMS))


@pytest.fixture(scope="module")
def wide():
    """More items than a model of a blend hands over."""
    return Recommender(["item_knn", "popularity"]).fit(random_log(60, 400, 6000, rng=5))


# Known, unknown, anonymous


def test_a_known_customer_gets_what_goes_with_their_things(shop):
    found = shop.recommend("eve", k=1)
    assert found.item_ids == ["rug"]
    assert found.known
    assert found.customer_id == "eve"
    assert found[0].source == "item_knn"


@pytest.mark.parametrize("customer", [None, "zoe", 7, 1.5, True, b"ann", ("ann",)])
def test_anybody_else_gets_what_is_popular(shop, customer):
    found = shop.recommend(customer)
    popular = shop.items_.ids(shop.popularity_.ranking_.tolist())
    assert found.item_ids == [item for item in popular if item != "postage"]
    assert {entry.source for entry in found} == {"popular"}
    assert not found.known


def test_ids_are_compared_by_type():
    integers = Recommender("item_knn").fit(log_of({1: [10, 20], 2: [10, 20], 3: [10]}))
    assert integers.recommend(3).item_ids == integers.recommend(np.int64(3)).item_ids == [20]
    assert not integers.recommend("3").known
    assert integers.recommend(3, exclude=["20", 20.0]).ignored == {"exclude": 2}
    assert integers.recommend(3, exclude=np.array([20])).item_ids == []
    table = integers.recommend_many(np.array([3, 1, 9])).to_table()
    assert table["customer_id"].to_pylist() == [3, 9, 9]
    assert table["item_id"].to_pylist() == [20, 10, 20]


# Session and basket


def test_what_is_looked_at_brings_its_neighbours(shop):
    assert shop.recommend(None, session=["pen"], k=2).item_ids[0] == "paper"
    assert shop.recommend("fay", session=["pen"], k=1).item_ids == ["paper"]
    # What was just looked at is still shown, unless asked otherwise.
    assert "rug" in shop.recommend(None, session=["lamp", "rug"]).item_ids
    assert "rug" not in shop.recommend(None, session=["lamp", "rug"], exclude_seen="any").item_ids


def test_what_is_in_the_basket_brings_its_neighbours_and_is_not_listed(shop):
    found = shop.recommend(None, basket=["pen", "unknown"])
    assert found.item_ids[0] == "paper"
    assert "pen" not in found.item_ids
    assert found.ignored == {"basket": 1}


def test_a_session_counts_as_of_any_moment():
    log = log_of(VISITS, items=ITEMS)
    shop = Recommender("item_knn").fit(log)
    # Bob came back after this moment; what he looks at now must not be lost with his later events.
    found = shop.recommend("bob", at="2024-01-01T12:00", session=["pen"], k=2, explain=True)
    assert {reason.item_id for entry in found for reason in entry.reasons} == {"pen", "lamp"}


# What may be listed


def test_exclude_and_candidates(shop):
    assert "rug" not in shop.recommend("eve", exclude=["rug", "rug"]).item_ids
    found = shop.recommend("eve", candidates=["vase", "rug", "mug", "postage", "lamp", "rug", "unknown"])
    assert found.item_ids == ["rug", "vase", "mug"]  # unscored last; lamp is bought, postage not for sale
    assert [entry.score > 0 for entry in found] == [True, False, False]
    assert found.ignored == {"candidates": 1}
    assert shop.recommend("eve", candidates=[]).item_ids == []
    assert shop.recommend("eve", candidates=["vase"], fill=False).item_ids == ["vase"]


def test_exclude_seen_and_repeat(shop):
    def shown(**call):
        return {"lamp", "rug", "pen"} & set(shop.recommend("bob", **call).item_ids)

    assert shown() == {"pen"}
    assert shown(exclude_seen="any") == set()
    assert shown(exclude_seen="none") == {"lamp", "rug", "pen"}
    assert shown(exclude_seen="none", repeat=False) == {"pen"}
    assert shown(exclude_seen="any", repeat=True) == {"lamp", "rug"}
    assert shown(repeat=True) == {"lamp", "rug", "pen"}
    assert shown(at="2024-01-01") == {"rug", "pen"}


def test_with_one_event_type_that_type_counts_as_seen():
    visits = {
        name: [(item, "view") for item in items]
        for name, items in {"a": [1, 2], "b": [1, 2], "c": [1]}.items()
    }
    viewed = Recommender("item_knn").fit(log_of(visits))
    assert viewed.recommend("c").item_ids == [2]
    assert viewed.recommend("c", repeat=True).item_ids == [2, 1]


def test_returned_items_count_as_purchased_but_not_as_liked():
    log = log_of({"ann": [1, 2], "bob": [1, 2], "cyd": [1, (1, "return")]})
    found = Recommender("item_knn").fit(log).recommend("cyd", explain=True)
    assert found.item_ids == [2]
    assert found[0].source == "popular"


def test_without_filling_lists_are_as_short_as_the_history(shop):
    assert shop.recommend("fay", fill=False).item_ids == []
    assert shop.recommend("eve", fill=False).item_ids == ["rug", "pen", "paper"]  # by the postage
    assert shop.recommend("zoe", fill=False).item_ids == []


def test_items_that_only_the_table_knows_fill_lists(shop):
    assert shop.recommend("eve").item_ids[-1] == "mug"


def test_popularity_by_location():
    visits = {
        "ann": [{"item_id": "snow", "location": "north"}] * 2,
        "bob": [{"item_id": "sun", "location": "south"}] * 3,
    }
    local = Recommender("popularity", popular_by=("location",)).fit(log_of(visits))
    ask = lambda **call: local.recommend(None, k=1, **call).item_ids  # noqa: E731
    assert ask() == ask(location="elsewhere") == ask(location=3) == ["sun"]
    # The model ranks alike everywhere; where it is silent, the place decides.
    neighbours = Recommender("item_knn", popular_by=["location"]).fit(log_of(visits))
    assert neighbours.recommend(None, location="north", k=1).item_ids == ["snow"]
    assert neighbours.recommend(None, location="south", k=1).item_ids == ["sun"]
    assert neighbours.recommend_many([None], location="north", k=1).item_ids(0) == ["snow"]
    everywhere = Recommender("item_knn").fit(log_of(visits))
    assert everywhere.recommend(None, location="north", k=1).item_ids == ["sun"]


def test_before_the_first_event_everybody_is_new(shop):
    found = shop.recommend("eve", at="2023-06-01", explain=True)
    assert found.item_ids == shop.recommend(None).item_ids
    assert found.known


# Why


def test_reasons_name_what_is_for_sale(shop):
    (first,) = shop.recommend("dan", k=1, candidates=["lamp"], explain=True)
    # Eve had a lamp and postage, Bob a lamp and a look at a pen; of postage nobody is told.
    named = {(reason.kind, reason.item_id, reason.title) for reason in first.reasons}
    assert named == {("similar_item", "pen", "Pen <b>"), ("other_items", None, None)}
    assert sum(reason.contribution for reason in first.reasons) == pytest.approx(first.score, rel=1e-6)
    filling = shop.recommend("dan", explain=True)[-1]
    assert [(reason.kind, reason.contribution) for reason in filling.reasons] == [("popular", 0.0)]
    assert shop.recommend("dan")[0].reasons == ()


def test_reasons_of_a_blend_hold_nothing_that_the_list_did_not_count(wide):
    for customer in wide.customers_.ids(range(0, 60, 6)):
        found = wide.recommend(customer, k=250, explain=True)
        assert len(found) == 250
        assert found[-1].source == "popular", "filled beyond what the models hand over"
        for entry in found:
            total = sum(reason.contribution for reason in entry.reasons)
            assert math.isclose(total, entry.score, rel_tol=1e-4, abs_tol=1e-6)
        sides = {
            len({reason.kind for reason in entry.reasons} & {"similar_item", "popular"}) for entry in found
        }
        assert sides == {1, 2}, "some items are named by one model, some by both"


def test_a_blend_is_the_mean_of_scaled_scores(wide):
    customer = wide.customers_[3]
    row = wide.histories_.take(np.array([3]))
    seen = wide.histories_.seen("purchased")[[3]]
    parts = np.zeros((2, len(wide.items_)))
    for part, model in zip(parts, wide.models_, strict=True):
        best = model.score_topk(row, 100, exclude=seen)
        part[best.items(0)] = np.array(best.scores(0)) / best.scores(0)[0] / 2
    total = parts.sum(axis=0)
    order = np.lexsort((np.arange(len(total)), -total.astype(np.float32)))[:150]
    order = order[total[order] > 0]
    found = wide.recommend(customer, k=150, fill=False, repeat=False)
    assert found.item_ids == wide.items_.ids(order.tolist())
    np.testing.assert_allclose([entry.score for entry in found], total[order], rtol=1e-6)
    strongest = parts.argmax(axis=0)[order]  # of equal parts, the earlier model's
    assert [entry.source for entry in found] == [wide.sources_[model] for model in strongest]
    assert set(strongest.tolist()) == {0, 1}
    shorter, longer = (wide.recommend(customer, k=k, repeat=False).to_records() for k in (20, 150))
    assert shorter == longer[:20]


# rank, similar, audience


def test_rank_orders_what_it_is_given(shop):
    found = shop.rank("eve", ["vase", "lamp", "rug", "postage", "mug"], explain=True)
    assert sorted(found.item_ids) == ["lamp", "mug", "rug", "vase"]
    assert found.item_ids[0] in {"lamp", "rug"}
    assert [entry.score > 0 for entry in found] == [True, True, False, False]
    assert found[0].reasons
    assert shop.rank("eve", []).item_ids == []
    assert shop.rank(None, iter(["mug", "pen"]), session=["paper"]).item_ids == ["pen", "mug"]
    assert shop.rank(None, ["mug", "pen"], basket=["pen"]).item_ids == ["mug"]
    assert shop.rank("bob", ["rug", "pen"], at="2024-01-01").item_ids == ["rug", "pen"]


def test_similar_lists_neighbours_that_are_for_sale(shop):
    found = shop.similar("lamp")
    assert found.item_ids == ["rug", "pen"]
    assert found.shortfall == "2 of 10 items asked for: no other item is like it."
    assert shop.similar("lamp", 1).item_ids == ["rug"]
    assert shop.similar("lamp", 1).shortfall is None
    assert shop.similar("postage").item_ids[0] in {"lamp", "paper", "pen"}
    assert str(found).startswith("Like item lamp\n")


def test_similar_in_a_blend_asks_those_who_know(wide):
    only = Recommender("item_knn").fit(random_log(60, 400, 6000, rng=5))
    assert wide.similar("i010", 7).to_records() == only.similar("i010", 7).to_records()
    both = Recommender(["popularity", "item_knn", ItemKNN("cosine")]).fit(random_log())
    found = both.similar("i003", 5)
    assert {entry.source for entry in found} == {"item_knn"}
    assert [entry.score for entry in found] == sorted((entry.score for entry in found), reverse=True)


@pytest.mark.parametrize("exclude_seen", ["purchased", "any", "none"])
def test_an_audience_is_everybody_by_score(alone, exclude_seen):
    returns = learn_repeats(alone.histories_).returns
    for item in ("i003", "i012", "i033"):  # i012 is not for sale, i033 was never met
        expected = []
        for customer in alone.customers_:
            history = alone.histories_.take(np.array([alone.customers_.find(customer)]))
            if exclude_seen != "none":
                place = alone.items_.find(item)
                met = history.seen("purchased" if exclude_seen == "purchased" else "any")
                if met[0, place] and not (exclude_seen == "purchased" and returns[place]):
                    continue
            score = float(alone.models_[0].score_pairs(history, np.array([[alone.items_.find(item)]]))[0, 0])
            if score > 0:
                expected.append((-score, customer))
        expected.sort()
        found = alone.audience(item, 12, exclude_seen=exclude_seen)
        assert [(-member.score, member.customer_id) for member in found] == expected[:12]
        assert [member.rank for member in found] == list(range(1, len(found) + 1))
    assert alone.audience("i003", 1000).customer_ids[:12] == alone.audience("i003", 12).customer_ids


def test_an_audience_score_is_the_score_in_the_list(alone):
    for member in alone.audience("i003", 8):
        listed = {entry.item_id: entry.score for entry in alone.recommend(member.customer_id, k=40)}
        assert listed["i003"] == member.score


def test_an_audience_of_a_blend_scales_each_model(blend):
    found = {member.customer_id: member.score for member in blend.audience("i003", 100)}
    for customer, score in found.items():
        listed = {entry.item_id: entry.score for entry in blend.recommend(customer, k=40)}
        assert listed["i003"] == pytest.approx(score, rel=1e-6)


def test_an_audience_as_of_a_moment(alone):
    assert alone.audience("i003", at="2023-01-01").customer_ids == []
    early = alone.audience("i003", 100, at="2024-02-01")
    assert 0 < len(early) < len(alone.audience("i003", 100, exclude_seen="none"))


# Many at once


def test_many_takes_all_customers_in_any_form(alone):
    every = alone.recommend_many(k=4)
    assert len(every) == len(alone.customers_)
    ids = list(alone.customers_)
    for form in (
        ids,
        tuple(ids),
        iter(ids),
        np.array(ids),
        alone.customers_,
        alone.customers_.to_arrow().to_pylist(),
    ):
        found = alone.recommend_many(form, k=4)
        assert found.item_index.tobytes() == every.item_index.tobytes()
        assert found.to_table().equals(every.to_table())
    assert len(alone.recommend_many([])) == 0
    assert alone.recommend_many([]).to_table().num_rows == 0
    assert repr(every) == f"RecommendationTable({len(ids)} customers, k=4)"


def test_many_more_than_a_block(wide):
    ids = [wide.customers_[n % len(wide.customers_)] for n in range(700)]
    found = wide.recommend_many(ids, k=5)
    for row in (0, 255, 256, 511, 512, 699):
        assert found.item_ids(row) == wide.recommend(ids[row], k=5).item_ids


def test_a_table_has_a_row_an_item(shop):
    table = shop.recommend_many(["eve", "zoe", "eve", None], k=2).to_table()
    assert table.column_names == ["customer_id", "rank", "item_id", "score", "source"]
    assert [str(column.type) for column in table.columns] == ["string", "int32", "string", "float", "string"]
    rows = table.to_pylist()
    assert [row["customer_id"] for row in rows] == ["eve", "eve", "zoe", "zoe", "eve", "eve", None, None]
    assert [row["rank"] for row in rows] == [1, 2] * 4
    assert rows[0] == {
        "customer_id": "eve",
        "rank": 1,
        "item_id": "rug",
        "score": rows[0]["score"],
        "source": "item_knn",
    }
    assert [row["source"] for row in rows[2:4]] == ["popular", "popular"]
    assert shop.recommend_many(["zoe"], fill=False).to_table().num_rows == 0


# Which models


def chosen(recommender):
    return dict(recommender.summary().rows)["chosen"]


def test_auto_says_what_it_chose_and_why(monkeypatch):
    small = Recommender().fit(random_log())
    assert repr(small.models_) == "[EASE()]"
    assert chosen(small) == (
        "auto: ease, as 30 unknowns are solved for in seconds; no als, as 30 items or histories are too few "
        "for factors (recent events count most)"
    )
    assert chosen(Recommender().fit(random_log(time_kind="set"))).endswith("(no timestamps: no decay)")
    monkeypatch.setattr("engagelib.recommender.choosing._LEAST_FOR_FACTORS", 20)
    blend = Recommender().fit(random_log())
    assert repr(blend.models_) == "[EASE(), ALS()]"
    n_several = int((np.diff(blend.histories_.matrix().indptr) > 1).sum())
    assert chosen(blend) == (
        "auto: ease, as 30 unknowns are solved for in seconds; als, as "
        f"{n_several} histories hold several of 30 items (recent events count most)"
    )
    monkeypatch.setattr("engagelib.recommender.choosing._MOST_FOR_EASE", 29)
    large = Recommender().fit(random_log())
    assert repr(large.models_) == "[ItemKNN(), ALS()]"
    assert "item_knn, as ease would solve for 30 unknowns, above 29; als" in chosen(large)


def test_auto_says_what_else_a_second_stage_takes():
    log = random_log()
    nothing = ItemAttributes.from_table(log.item_table, log.items)
    choice = choose_models("auto", Histories.from_log(log), nothing)
    assert repr(choice.core) == "[EASE()]"
    assert [model.name for model in choice.more] == [
        "transitions", "session_knn", "transitions", "customer_knn", "item_walk", "item_walk", "item_walk",
        "repeat", "popularity",
    ]  # fmt: skip
    assert choice.reason_for_all == (
        "auto: ease, as 30 unknowns are solved for in seconds; no als, as 30 items or histories are too few "
        "for factors; transitions and session_knn, as events have an order; customer_knn, as customers have "
        "a history; item_walk from each event type to purchase; repeat and popularity, as items are met "
        "again (recent events count most)"
    )


def test_threads_change_no_list(monkeypatch):
    monkeypatch.setattr("engagelib.recommender.answering.BLOCK", 7)
    monkeypatch.setattr("engagelib.recommender.answering._BLOCK_OF_THREADS", 11)
    recommender = Recommender(["item_knn", "als"]).fit(random_log())
    one = recommender.recommend_many(k=5)
    for n_threads in (2, 3):
        several = recommender.recommend_many(k=5, n_threads=n_threads)
        assert several.item_index.tobytes() == one.item_index.tobytes()
        assert several.score.tobytes() == one.score.tobytes()
        assert several.source.tobytes() == one.source.tobytes()
    for call in (recommender.recommend_many, partial(recommender.recommend_many, ["c001"])):
        with pytest.raises(ArgumentError, match=r"^n_threads=0: expected an integer of at least 1\.$"):
            call(n_threads=0)


def test_auto_falls_back_on_popularity():
    recommender = Recommender().fit(log_of({"ann": [1], "bob": [2, 2], "cyd": [2]}))
    assert repr(recommender.models_) == "[Popularity()]"
    assert dict(recommender.summary().rows)["chosen"] == (
        "auto: no two items were met by one customer, so popularity alone"
    )
    found = recommender.recommend("ann", explain=True)
    assert found.item_ids == [2]
    assert found[0].source == "popularity"
    assert [reason.kind for reason in found[0].reasons] == ["popular"]


def test_three_items_are_enough_for_auto():
    found = (
        Recommender()
        .fit(log_of({"ann": [1, 2], "bob": [1, 2], "cyd": [2, 3], "dan": [1]}))
        .recommend("dan", k=1)
    )
    assert [(entry.item_id, entry.source) for entry in found] == [(2, "ease")]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("popularity", "[Popularity()]"),
        (ItemKNN("cosine"), "[ItemKNN(similarity='cosine')]"),
        (["item_knn", Popularity(half_life_days=7.0)], "[ItemKNN(), Popularity(half_life_days=7.0)]"),
        (("item_knn",), "[ItemKNN()]"),
    ],
)
def test_models_are_named_given_or_both(models, expected):
    recommender = Recommender(models).fit(random_log())
    assert repr(recommender.models_) == expected
    assert dict(recommender.summary().rows)["chosen"] == "as asked for"


def test_sources_name_the_model_that_contributed_most(blend):
    assert blend.sources_ == ("item_knn", "popularity", "popular")
    assert {entry.source for entry in blend.recommend("c003", k=8)} <= {"item_knn", "popularity"}
    assert {entry.source for entry in blend.recommend("nobody", k=8)} == {"popularity"}


def test_one_recipe_serves_two_recommenders():
    recipe = ItemKNN("cosine")
    first = Recommender(recipe).fit(random_log())
    before = first.recommend("c003").to_records()
    Recommender(recipe).fit(random_log(9, 12, 80, rng=4))
    assert first.recommend("c003").to_records() == before
    assert not hasattr(recipe, "item_weights_")


def test_a_refit_starts_afresh_and_a_failed_one_changes_nothing():
    log = random_log()
    recommender = Recommender(ItemKNN(half_life_days=9.0)).fit(random_log(9, 60, 300, rng=1)).fit(log)
    fresh = Recommender(ItemKNN(half_life_days=9.0)).fit(log)
    expected = fresh.recommend("c003", explain=True).to_records()
    assert recommender.recommend("c003", explain=True).to_records() == expected
    with pytest.raises(eg.EngageError):
        recommender.fit(random_log(time_kind="set"))
    assert recommender.recommend("c003", explain=True).to_records() == expected
    broken = Recommender(ItemKNN(half_life_days=9.0))
    with pytest.raises(eg.EngageError):
        broken.fit(random_log(time_kind="set"))
    with pytest.raises(eg.EngageError, match="not fitted"):
        broken.recommend("c003")


def test_summary_says_what_was_learned(blend, tmp_path):
    rows = dict(blend.summary().rows)
    assert rows["models"] == "ItemKNN(), Popularity(by_location=True)"
    assert rows["completed by"] == "Popularity(by_location=True)"
    assert rows["items"] == 34
    assert rows["items for sale"] == 27
    assert rows["events"] == blend.histories_.n_events
    assert rows["customers"] + rows["anonymous visits"] == blend.histories_.n_histories
    assert rows["newest event"].startswith("2024-07-")
    assert rows["version"] == "not saved"
    other = Recommender().fit(log_of(VISITS, time_kind="position"))
    assert dict(other.summary().rows)["newest event"] == "no times: order by position"
    version = other.save(tmp_path / "shop")
    assert dict(other.summary().rows)["version"] == version
    assert "<td" in other.summary()._repr_html_()


# Logs at the edge


def test_nothing_for_sale():
    closed = {"item_id": [1, 2, 3], "for_sale": [False] * 3}
    for models in ("auto", ["item_knn", "popularity"]):
        recommender = Recommender(models).fit(log_of({"ann": [1, 2], "bob": [1, 2, 3]}, items=closed))
        found = recommender.recommend("ann", explain=True)
        assert found.item_ids == []
        assert found.shortfall == (
            "0 of 10 items asked for: the catalogue has 3, "
            "0 of these are for sale and not left out by the call."
        )
        assert recommender.recommend_many().to_table().num_rows == 0
        assert recommender.similar(1).item_ids == []


def test_a_customer_whose_events_have_no_item():
    visits = {"ann": [1, 2], "bob": [1, 2], "cyd": [{"item_id": None, "event_type": "survey"}]}
    recommender = Recommender().fit(log_of(visits, time_kind="set"))
    found = recommender.recommend("cyd")
    assert found.known
    assert found.item_ids == [1, 2]
    assert {entry.source for entry in found} == {"popular"}


def test_one_event():
    recommender = Recommender().fit(log_of({"ann": ["lamp"]}))
    assert recommender.recommend("ann").item_ids == []
    assert recommender.recommend("bob").item_ids == ["lamp"]
    assert recommender.audience("lamp").customer_ids == []


def test_anonymous_visits_teach_and_are_nobody():
    rows = [
        {"customer_id": None, "session_id": f"s{visit}", "item_id": item}
        for visit in range(5)
        for item in ("lamp", "rug")
    ]
    recommender = Recommender().fit(
        EventLog.from_records([*rows, {"customer_id": "ann", "session_id": "t", "item_id": "lamp"}])
    )
    assert list(recommender.customers_) == ["ann"]
    assert recommender.recommend("ann").item_ids == ["rug"]
    assert recommender.audience("rug").customer_ids == ["ann"]
    nobody = Recommender().fit(EventLog.from_records(rows))
    assert len(nobody.customers_) == 0
    assert len(nobody.recommend_many()) == 0
    assert nobody.audience("rug").customer_ids == []
    assert nobody.recommend(None, session=["lamp"], k=1).item_ids == ["rug"]


def test_the_longest_histories_are_answered():
    visits = {
        "bot": [{"item_id": n % 90, "position": n} for n in range(20_000)],
        "ann": [1, 2],
        "bob": [1, 2],
    }
    recommender = Recommender(["item_knn", "popularity"]).fit(log_of(visits, time_kind="position"))
    assert recommender.recommend("bot", repeat=False).item_ids == []
    assert len(recommender.recommend("bot", repeat=True, explain=True)) == 10
