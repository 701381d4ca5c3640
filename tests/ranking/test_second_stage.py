"""The second stage of a recommender: when it is learned, from what, and what it leaves as it was."""

from dataclasses import replace

import numpy as np
import pytest

import engagelib as eg
from engagelib import EventLog, Recommender, errors
from engagelib.datasets import make_shop
from engagelib.models import ItemKNN, Popularity
from engagelib.ranking import learning as ranking_learning
from engagelib.ranking import ranker as ranking
from engagelib.ranking import slices
from engagelib.recommender import learning
from engagelib.testing import log_of, random_log

TWO = ["item_knn", "popularity"]


@pytest.fixture(scope="module")
def log():
    return make_shop(500, 40, 9_000).log


@pytest.fixture(scope="module")
def shops(log):
    kinds = ("logistic", "boosting", "blend", None)
    return {kind: Recommender(TWO, ranker=kind).fit(log) for kind in kinds}


def learned(shop):
    return shop._serving.learned


def listed(shop, customers, **asked):
    return [
        [(entry.item_id, entry.score) for entry in shop.recommend(customer, **asked)]
        for customer in customers
    ]


def some(shop, n=12):
    return shop.customers_.ids(range(0, len(shop.customers_), len(shop.customers_) // n))


# Which ranker


@pytest.mark.parametrize("kind", ["logistic", "boosting", "blend"])
def test_a_ranker_that_is_asked_for_is_learned(shops, kind):
    found = learned(shops[kind])
    assert found.ranker.kind == kind
    assert (found.ranker.scorer is None) == (kind == "blend")
    spelled = {"logistic": "a logistic ranker", "boosting": "boosted trees", "blend": "no ranker"}[kind]
    assert found.ranked.startswith(f"{spelled} over the best 200 of ")
    assert ("ranked by", found.ranked) in shops[kind].summary().rows


def test_without_a_ranker_the_models_count_alike(shops, log):
    found = learned(shops[None])
    assert found.ranker is found.ranker_of_new is None
    assert found.ranked == ""
    assert listed(shops[None], some(shops[None])) == listed(Recommender(TWO).fit(log), some(shops[None]))


def test_a_list_of_models_keeps_equal_weights_unless_a_ranker_is_asked_for(log):
    own = Recommender(TWO, ranker="auto").fit(log)
    assert learned(own).ranker is None
    assert [model.name for model in own.models_] == TWO


def test_a_ranker_changes_lists(shops):
    customers = some(shops[None])
    kinds = {kind: listed(shop, customers) for kind, shop in shops.items()}
    plain = [[item for item, _ in one] for one in kinds[None]]
    for kind in ("logistic", "boosting"):
        assert [[item for item, _ in one] for one in kinds[kind]] != plain
        assert all(0 < score < 1 for one in kinds[kind] for _, score in one if score)


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_a_seed_settles_what_is_learned(log, shops, kind):
    again = Recommender(TWO, ranker=kind).fit(log)
    customers = some(again)
    assert listed(again, customers, k=30) == listed(shops[kind], customers, k=30)
    assert learned(again).ranked == learned(shops[kind]).ranked


def test_another_seed_learns_from_another_draw(log, shops):
    other = Recommender(TWO, ranker="logistic", rng=5).fit(log)
    assert learned(other).ranked != learned(shops["logistic"]).ranked


def test_the_order_of_rows_in_the_log_changes_nothing():
    tables = [random_log(n_customers=300, n_events=6_000, shuffled=shuffled) for shuffled in (False, True)]
    one, other = (Recommender(TWO, ranker="logistic").fit(log) for log in tables)
    assert learned(one).ranker is not None
    assert learned(one).ranked == learned(other).ranked
    assert listed(one, some(one)) == listed(other, some(one))


def test_new_names_in_the_same_order_change_nothing():
    one, other = (
        Recommender(TWO, ranker="logistic").fit(random_log(n_customers=300, n_events=6_000, prefix=prefix))
        for prefix in ("", "x")
    )
    customers = some(one)
    renamed = [[(f"x{item}", score) for item, score in own] for own in listed(one, customers)]
    assert learned(one).ranker is not None
    assert listed(other, [f"x{name}" for name in customers]) == renamed


# Small and odd logs


def test_a_log_too_small_to_learn_from_keeps_the_models_that_need_no_weights():
    own = Recommender().fit(random_log())
    assert learned(own).ranker is learned(own).ranker_of_new is None
    assert [model.name for model in own.models_] == ["ease"]
    said = "an equal-weight blend: "
    assert learned(own).ranked.startswith(said)
    assert learned(own).ranked.endswith(" hold what came next, at least 100 are needed")
    assert ("ranked by", learned(own).ranked) in own.summary().rows


def test_a_log_that_holds_nothing_back_says_so():
    own = Recommender(TWO, ranker="boosting").fit(log_of({"ann": ["a"], "bob": ["b"], "cy": ["a"]}))
    assert learned(own).ranked == "an equal-weight blend: the log holds nothing back to learn from"
    assert ("ranked by", learned(own).ranked) in own.summary().rows


@pytest.mark.parametrize("kind", ["logistic", "boosting", "blend"])
def test_one_item_leaves_nothing_to_choose(kind):
    visits = {f"c{number:03d}": ["lamp"] * 3 for number in range(200)}
    own = Recommender(TWO, ranker=kind).fit(log_of(visits))
    assert learned(own).ranker is None
    assert learned(own).ranked == (
        "an equal-weight blend: the lists of each customer's latest occasion leave nothing to choose"
    )
    assert [entry.item_id for entry in own.recommend("c001", exclude_seen="none")] == ["lamp"]


def test_returns_alone_are_refused_by_what_counts():
    records = log_of({"ann": [("lamp", "return")], "bob": [("rug", "return")]})
    with pytest.raises(errors.NotEnoughDataError) as refused:
        Recommender(TWO, ranker="logistic").fit(records)
    assert str(refused.value).startswith(
        "no event type of the log counts as interest (found: return): expected one of view, wishlist, cart, "
    )


def odd(change):
    columns = {
        "customer_id": [f"c{place % 300:03d}" for place in range(6_000)],
        "item_id": [f"i{place * place % 31:02d}" for place in range(6_000)],
        "event_type": [("view", "purchase")[place % 7 == 0] for place in range(6_000)],
        "timestamp": np.datetime64("2024-01-01", "us") + (np.arange(6_000) * 20).astype("timedelta64[m]"),
    }
    columns |= change(columns)
    return EventLog.from_frame(columns)


def no_purchase_before_the_end(columns):
    return {"event_type": ["view"] * 5_500 + ["purchase"] * 500}


def unknown_types(columns):
    return {"event_type": [{"view": "dance"}.get(kind, kind) for kind in columns["event_type"]]}


def one_moment(columns):
    return {"timestamp": np.full(6_000, np.datetime64("2024-01-01", "us"))}


def nobody_known(columns):
    return {"customer_id": [None] * 6_000, "session_id": [place // 3 for place in range(6_000)]}


def many_returns(columns):
    return {"event_type": [("view", "purchase", "return")[place % 3] for place in range(6_000)]}


@pytest.mark.parametrize(
    "change", [no_purchase_before_the_end, unknown_types, one_moment, nobody_known, many_returns]
)
def test_odd_logs_are_learned_from_all_the_same(change):
    own = Recommender([ItemKNN(), Popularity()], ranker="boosting").fit(odd(change))
    own.observe({"customer_id": "new", "item_id": "i01", "event_type": "wave"})
    for customer in ("c001", "new", None):
        for seen in ("purchased", "any", "none"):
            entries = own.recommend(customer, k=5, exclude_seen=seen)
            assert all(np.isfinite(entry.score) for entry in entries)


def test_nothing_for_sale_teaches_nothing_and_lists_nothing(log):
    items = {"item_id": list(log.items), "for_sale": [False] * len(log.items)}
    own = Recommender(TWO, ranker="logistic").fit(EventLog.from_frame(log.to_table(), items=items))
    assert learned(own).ranker is None
    assert list(own.recommend(some(own)[0])) == []


def test_a_ranker_is_learned_where_popularity_tells_locations_apart():
    log = random_log(n_customers=300, n_events=6_000)
    own = Recommender(TWO, ranker="logistic", popular_by=("location",)).fit(log)
    assert learned(own).ranker.kind == "logistic"
    own.recommend(some(own)[0], location="l1")


# What it is learned from


@pytest.mark.parametrize("models", ["auto", TWO])
def test_nothing_after_the_slice_began_is_known_to_what_the_second_stage_learns_from(models, monkeypatch):
    log = random_log(n_customers=500, n_events=12_000)
    monkeypatch.setattr(slices, "_LEAST_ROWS", 100)
    newest = {"models": [], "repeats": [], "facts": []}
    at = []

    def watched(module, name, key, place):
        plain = getattr(module, name)

        def seen(*given, **more):
            newest[key].append(int(given[place].time.max()))
            return plain(*given, **more)

        monkeypatch.setattr(module, name, seen)

    def taught(world, *given, **more):
        at.append(world.held.at)
        return plain(world, *given, **more)

    plain = learning.learn_ranker
    monkeypatch.setattr(learning, "learn_ranker", taught)
    watched(learning, "fit_models", "models", 1)
    watched(learning, "learn_repeats", "repeats", 0)
    watched(ranking_learning, "draw_facts", "facts", 0)
    own = Recommender(models, ranker="logistic").fit(log)
    assert "; learned from the latest " in learned(own).ranked
    (cut,) = set(at)
    last = int(log.columns["time"].max())
    assert cut == last - int(0.1 * (last - int(log.columns["time"].min())))
    # Models and repeats are learned again, of everything, once the second stage is.
    assert newest["models"].pop() == newest["repeats"].pop() == last
    for key in ("models", "repeats", "facts"):
        assert newest[key]
        assert max(newest[key]) <= cut


# A validation log


@pytest.fixture(scope="module")
def parts(log):
    moment = np.sort(log.columns["time"])[len(log) * 4 // 5]
    return log.select(log.columns["time"] <= moment), log.select(log.columns["time"] > moment)


@pytest.mark.parametrize("refit", [True, False])
def test_a_validation_log_teaches_the_second_stage(parts, log, refit):
    before, later = parts
    own = Recommender(TWO, ranker="logistic").fit(before, later, refit=refit)
    found = learned(own)
    assert "; learned from the validation log (" in found.ranked
    assert found.calibration is None
    plain = Recommender(TWO, ranker=None).fit(before.append(later) if refit else before)
    assert (
        len(own.histories_.item_index)
        == len(plain.histories_.item_index)
        == (len(log) if refit else len(before))
    )
    for one, other in zip(own.models_, plain.models_, strict=True):
        for name, array in one.to_arrays().items():
            np.testing.assert_array_equal(array, other.to_arrays()[name])


def test_what_the_models_learn_of_later_does_not_reach_what_the_second_stage_learns(parts):
    before, later = parts
    taught, left = (
        learned(Recommender(TWO, ranker="boosting").fit(before, later, refit=refit)).ranker
        for refit in (True, False)
    )
    for name, array in taught.to_arrays().items():
        if name == "weights" or name.startswith("scorer."):
            np.testing.assert_array_equal(array, left.to_arrays()[name])
    # Facts are those of all that is known in the end.
    assert (taught.facts.columns != left.facts.columns).any()


def test_without_a_validation_log_models_know_all_of_the_log(log, shops):
    for model, other in zip(shops["logistic"].models_, shops[None].models_, strict=True):
        for name, array in model.to_arrays().items():
            np.testing.assert_array_equal(array, other.to_arrays()[name])


# What is refused


@pytest.mark.parametrize("target", ["dance", "return", 7])
def test_a_target_that_no_event_has_is_refused(log, target):
    with pytest.raises(errors.ArgumentError) as refused:
        Recommender(TWO, ranker="logistic", target=target).fit(log)
    types = ", ".join(name for name in learned_types(log) if name != "return")
    assert (
        str(refused.value) == f"target={target!r}: expected one of the log's event types on items, {types}."
    )


def learned_types(log):
    return Recommender("popularity").fit(log).histories_.item_types


@pytest.mark.parametrize("kind", ["trees", 3, ["boosting"]])
def test_a_ranker_of_another_kind_is_refused(log, kind):
    with pytest.raises(errors.ArgumentError) as refused:
        Recommender(TWO, ranker=kind).fit(log)
    assert str(refused.value) == (
        f'ranker={kind!r}: expected "auto", "blend", "boosting", "logistic" or None.'
    )


def test_another_target_is_what_is_learned_from(log):
    own = Recommender(TWO, ranker="logistic", target="view").fit(log)
    assert learned(own).ranker.goal == "view"
    assert learned(own).ranker.groups[0] == ("view",)


# Serving


@pytest.mark.parametrize("kind", ["logistic", "boosting", "blend"])
def test_a_list_is_the_same_alone_as_among_all(shops, kind):
    shop = shops[kind]
    for seen in ("purchased", "any"):
        table = shop.recommend_many(k=12, exclude_seen=seen).to_table().to_pydict()
        own = {}
        for customer, item, score in zip(table["customer_id"], table["item_id"], table["score"], strict=True):
            own.setdefault(customer, []).append((item, score))
        for customer in some(shop):
            alone = listed(shop, [customer], k=12, exclude_seen=seen)[0]
            assert own[customer] == alone


def test_features_of_a_batch_are_described_64_rows_at_once(shops, monkeypatch):
    described, plain = [], ranking.features_of

    def counted(*asked):
        described.append(len(asked[1]))
        return plain(*asked)

    monkeypatch.setattr(ranking, "features_of", counted)
    shop = shops["boosting"]
    shop.recommend_many(k=5)
    assert max(described) == 64
    assert sum(described) >= len(shop.customers_)


@pytest.mark.parametrize("kind", ["logistic", "boosting", "blend", None])
def test_a_saved_recommender_lists_the_same(shops, kind, tmp_path):
    shop = shops[kind]
    shop.save(tmp_path / "model")
    again = eg.load(tmp_path / "model")
    customers = some(shop)
    for asked in ({}, {"exclude_seen": "any"}, {"k": 40, "exclude_seen": "none"}):
        assert listed(again, customers, **asked) == listed(shop, customers, **asked)
    assert learned(again).ranked == learned(shop).ranked


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_reasons_sum_to_the_score_and_what_the_ranker_makes_of_them_is_last(shops, kind):
    for customer in some(shops[kind]):
        for entry in shops[kind].recommend(customer, k=20, explain=True):
            if entry.score == 0:
                assert "ranked" not in {reason.kind for reason in entry.reasons}
                continue
            assert [reason.kind == "ranked" for reason in entry.reasons] == [False] * (
                len(entry.reasons) - 1
            ) + [True]
            assert sum(reason.contribution for reason in entry.reasons) == pytest.approx(
                entry.score, abs=1e-6
            )


def test_a_blend_needs_no_reason_of_its_own(shops):
    for customer in some(shops["blend"]):
        for entry in shops["blend"].recommend(customer, explain=True):
            assert "ranked" not in {reason.kind for reason in entry.reasons}
            if entry.score:
                total = sum(reason.contribution for reason in entry.reasons)
                assert total == pytest.approx(entry.score, rel=1e-4)


def test_lists_of_new_items_are_in_the_order_of_a_ranker_of_their_own(log):
    shop = Recommender(TWO, ranker="logistic").fit(log)
    found = learned(shop)
    assert found.ranker_of_new is not found.ranker
    customers = some(shop)
    usual, new = (listed(shop, customers, exclude_seen=seen) for seen in ("purchased", "any"))
    # The other ranker alone changes what its lists say.
    found = replace(found, ranker=found.ranker_of_new)
    shop._serving = replace(shop._serving, learned=found)
    assert listed(shop, customers, exclude_seen="any") == new
    assert listed(shop, customers) != usual


def test_a_ranker_that_is_asked_for_with_one_model_alone_is_not_silently_dropped():
    recommender = Recommender("popularity", ranker="boosting").fit(random_log())
    said = dict(recommender.summary().rows)["ranked by"]
    assert said == "one model alone, which leaves a ranker nothing to weigh"


def test_a_ranker_keeps_a_trace_of_who_is_forgotten_and_says_so(tmp_path):
    shop = make_shop(500, 40, 9_000)
    recommender = Recommender(["item_knn", "popularity"], ranker="logistic").fit(shop.log)
    recommender.forget(recommender.customers_[0])
    recommender.save(tmp_path / "shop.engage")
    assert eg.load(tmp_path / "shop.engage")._serving.learned.erasure_pending == {"ranker": 1}
