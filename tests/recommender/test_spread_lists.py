"""Diversity, caps by category and exploration: held against their definitions, and what they never do."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib as eg
from engagelib import EventLog, Recommender, Rule, errors
from engagelib.models import Content, FactorModel
from engagelib.recommender.diversifying import Spread, arrange
from engagelib.recommender.exploring import customer_seeds, trial_places
from engagelib.recommender.listing import Lists
from engagelib.testing import random_log

N_ITEMS = 40
NAMES = [f"i{number:03d}" for number in range(N_ITEMS)]


def shop_items(n_items=N_ITEMS, **more):
    """Six categories of unequal size, some items without one, and ten items that nobody met."""
    category = [None if number % 7 == 3 else f"c{number % 11 % 6}" for number in range(n_items)]
    return {"item_id": NAMES[:n_items], "category": category, **more}


@pytest.fixture(scope="module")
def log():
    return random_log(items=shop_items())


@pytest.fixture(scope="module", params=["item_knn", "als", "blend", "content"])
def recommender(request, log):
    models = ["item_knn", "popularity"] if request.param == "blend" else request.param
    return Recommender(models).fit(log)


@pytest.fixture(scope="module")
def plain(log):
    return Recommender("item_knn").fit(log)


def category_of(recommender):
    codes, names = recommender._fitted().learned.attributes.texts["category"]
    found = dict(zip(recommender.items_, codes.tolist(), strict=True))
    return {item: names[code] if code >= 0 else None for item, code in found.items()}


def by_definition(entries, category, k, diversity, cap):
    """Choose place by place in plain Python; entries are (item, score) in their order."""
    best = max([score for _, score in entries] + [0.0])
    left, chosen = list(entries), []
    while left and len(chosen) < k:
        full = {
            name
            for name in set(category.values()) - {None}
            if cap is not None and sum(category[item] == name for item in chosen) >= cap
        }
        left = [(item, score) for item, score in left if category[item] not in full]
        if not left:
            break

        def value(entry):
            item, score = entry
            if score <= 0:
                return -9.0
            alike = any(category[item] is not None and category[item] == category[one] for one in chosen)
            return (1 - diversity) * float(np.float32(score)) / best - diversity * alike

        item = max(left, key=value)  # of equal ones the first
        left.remove(item)
        chosen.append(item[0])
    return chosen


@pytest.mark.parametrize(
    ("diversity", "cap"), [(0.2, None), (0.6, None), (1.0, None), (0.0, 1), (0.0, 2), (0.4, 2)]
)
def test_a_list_is_what_its_definition_says(recommender, diversity, cap):
    category = category_of(recommender)
    for customer in ("c001", "c007", "c020", "nobody"):
        whole = recommender.recommend(customer, k=N_ITEMS)
        entries = [(entry.item_id, entry.score) for entry in whole]
        found = recommender.recommend(customer, k=12, diversity=diversity, max_per_category=cap)
        assert found.item_ids == by_definition(entries, category, 12, diversity, cap)
        scores = dict(entries)
        assert [entry.score for entry in found] == [scores[item] for item in found.item_ids]


HOWS = [
    {"diversity": 0.3},
    {"diversity": 1},
    {"max_per_category": 1},
    {"diversity": 0.5, "max_per_category": 2},
    {"explore": 0.3, "rng": 5},
    {"explore": 0.5, "diversity": 0.4, "max_per_category": 2},
]


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_a_shorter_list_is_the_beginning_of_a_longer_one(recommender, how):
    for customer in ("c003", "c011", None):
        longest = recommender.recommend(customer, k=20, **how)
        for k in (1, 5, 10):
            assert recommender.recommend(customer, k=k, **how).to_records() == longest.to_records()[:k]


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_many_are_answered_as_each_alone(recommender, how):
    asked = ["c003", "nobody", "c011", "c003", "c020"]
    many = recommender.recommend_many(asked, k=8, **how)
    for place, customer in enumerate(asked):
        alone = recommender.recommend(customer, k=8, **how)
        items = [recommender.items_[int(one)] for one in many.item_index[place] if one >= 0]
        assert items == alone.item_ids
        codes = many.source[place][: len(items)]
        assert [many.sources[code] for code in codes] == [entry.source for entry in alone]
    everybody = recommender.recommend_many(k=8, **how)
    row = list(everybody.customer_ids).index("c011")
    assert np.array_equal(everybody.item_index[row], many.item_index[2])


def test_nothing_given_changes_nothing(recommender):
    for customer in ("c001", None):
        plain = recommender.recommend(customer)
        off = recommender.recommend(customer, diversity=0, max_per_category=None, explore=0.0, rng=7)
        assert off.to_records() == plain.to_records()
        roomy = recommender.recommend(customer, max_per_category=N_ITEMS)
        assert roomy.to_records() == plain.to_records()


def test_diversity_makes_lists_of_unlike_items(plain):
    category = category_of(plain)

    def n_categories(diversity):
        lists = [plain.recommend(f"c{one:03d}", k=5, diversity=diversity).item_ids for one in range(30)]
        return np.mean([len({category[item] or item for item in items}) for items in lists])

    assert n_categories(0.0) < n_categories(0.3) <= n_categories(0.9)


# Caps


def test_what_fills_a_list_keeps_to_the_cap(plain):
    category = category_of(plain)
    listed = plain.recommend("nobody", k=12, max_per_category=1)
    held = [category[item] for item in listed.item_ids if category[item] is not None]
    assert len(held) == len(set(held)) > 0
    assert {entry.source for entry in listed} == {"popular"}


def test_a_capped_list_is_filled_as_far_as_the_catalogue_goes(plain):
    category = category_of(plain)
    without = sum(name is None for name in category.values())
    listed = plain.recommend("nobody", k=N_ITEMS, max_per_category=1)
    assert len(listed) == without + len(set(category.values()) - {None})
    assert listed.shortfall is not None


def test_a_cap_reaches_far_behind_the_head():
    n_items = 900
    ids = [f"i{number:04d}" for number in range(n_items)]
    category = ["many" if number < 890 else f"few{number}" for number in range(n_items)]
    events = {"customer_id": [1, 2, 2], "item_id": ids[:1] + ids[:2], "event_type": ["purchase"] * 3}
    events["timestamp"] = ["2024-01-01"] * 3
    log = EventLog.from_frame(events, items={"item_id": ids, "category": category})
    listed = Recommender("item_knn").fit(log).recommend(1, k=8, max_per_category=2)
    assert len(listed) == 8
    assert listed.item_ids[2:] == ids[890:896]


def test_pins_stand_on_top_and_do_not_count(plain):
    category = category_of(plain)
    pinned = [item for item, name in category.items() if name == "c1"][:3]
    rules = [Rule.pin(items=pinned)]
    listed = plain.recommend("c001", k=10, rules=rules, diversity=0.5, max_per_category=1)
    assert listed.item_ids[:3] == pinned
    rest = [category[item] for item in listed.item_ids[3:] if category[item] is not None]
    assert len(rest) == len(set(rest))
    assert "c1" in rest


def test_categories_may_be_whole_numbers():
    log = random_log(items={"item_id": NAMES, "category": [number % 4 for number in range(N_ITEMS)]})
    recommender = Recommender("item_knn").fit(log)
    listed = recommender.recommend("c001", k=10, max_per_category=1)
    assert sorted(int(item[1:]) % 4 for item in listed.item_ids) == [0, 1, 2, 3]


# Likeness without categories


def test_without_categories_models_say_what_is_alike():
    log = random_log()
    for name in ("item_knn", "ease", "als"):
        recommender = Recommender(name).fit(log)
        model = recommender.models_[0]
        listed = recommender.recommend("c001", k=6)
        other = recommender.recommend("c001", k=6, diversity=0.9)
        first, second = (recommender.items_.find(item) for item in other.item_ids[:2])
        assert other.item_ids[0] == listed.item_ids[0]
        if isinstance(model, FactorModel):
            vectors = model._directions()
            unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            alike = np.maximum(unit @ unit[first], 0)
        else:
            alike = np.maximum(model.item_weights_.matrix.toarray()[first], 0)
            alike /= alike.max()
        entries = [entry for entry in recommender.recommend("c001", k=100) if entry.score > 0]
        value = {
            entry.item_id: 0.1 * entry.score / entries[0].score
            - 0.9 * alike[recommender.items_.find(entry.item_id)]
            for entry in entries[1:]
        }
        assert value[other.item_ids[1]] == pytest.approx(max(value.values()), abs=1e-5)
        assert second >= 0


def test_a_content_model_is_asked_first(log):
    without = random_log(items={"item_id": NAMES, "brand": [f"b{number % 5}" for number in range(N_ITEMS)]})
    recommender = Recommender(["item_knn", "content"]).fit(without)
    model = eg.recommender.diversifying.like_model(recommender.models_)
    assert isinstance(model, Content)


# Exploration


def few_and_many():
    """Twenty items that everybody meets, and twenty that nobody met yet."""
    return random_log(
        n_items=20, items={"item_id": NAMES, "brand": [f"b{number % 4}" for number in range(N_ITEMS)]}
    )


def test_explored_items_are_hardly_known_and_never_first():
    log = few_and_many()
    recommender = Recommender("item_knn").fit(log)
    count = dict.fromkeys(recommender.items_, 0)
    for item in recommender.histories_.item_index:
        if item >= 0:
            count[recommender.items_[int(item)]] += 1
    drawn = set()
    for number in range(30):
        listed = recommender.recommend(f"c{number:03d}", k=10, explore=0.2)
        tried = [entry for entry in listed if entry.source == "explored"]
        assert len(tried) == 2
        assert all(count[entry.item_id] < 10 and entry.score == 0 and entry.rank > 1 for entry in tried)
        assert len(set(listed.item_ids)) == 10
        drawn |= {entry.item_id for entry in tried}
    assert len(drawn) > 10


def test_other_seeds_and_moments_draw_other_items_and_the_same_ones_the_same():
    recommender = Recommender("item_knn").fit(few_and_many())

    def tried(**how):
        lists = [recommender.recommend(f"c{number:03d}", explore=0.3, **how) for number in range(10)]
        return [
            [(entry.rank, entry.item_id) for entry in listed if entry.source == "explored"]
            for listed in lists
        ]

    assert tried(rng=1) == tried(rng=1)
    assert tried(rng=1) != tried(rng=2)
    assert tried(at="2030-01-01") == tried(at="2030-01-01") != tried(at="2030-01-02")


def test_what_may_not_be_listed_is_not_explored():
    recommender = Recommender("item_knn").fit(few_and_many())
    gone = NAMES[20:35]
    rules = [Rule.remove(items=NAMES[35:38])]
    for row, customer in enumerate(recommender.customers_):
        listed = recommender.recommend(customer, explore=0.5, exclude=gone, rules=rules, repeat=False)
        tried = {entry.item_id for entry in listed if entry.source == "explored"}
        assert tried <= set(NAMES[38:]) | set(NAMES[:20])
        bought = recommender.histories_.block(row, row + 1).met("purchased").indices
        assert not tried & {recommender.items_[int(item)] for item in bought}


def test_a_content_model_draws_what_it_finds_likely():
    log = few_and_many()
    recommender = Recommender(["item_knn", "content"]).fit(log)
    content = recommender.models_[1]
    better = []
    for number in range(40):
        row = recommender.customers_.find(f"c{number:03d}")
        if row < 0:
            continue
        history = recommender.histories_.block(row, row + 1)
        scores = content.score_pairs(history, np.arange(N_ITEMS)[None, :])[0]
        for entry in recommender.recommend(f"c{number:03d}", explore=0.3):
            if entry.source == "explored":
                assert scores[recommender.items_.find(entry.item_id)] > 0
                better.append(scores[recommender.items_.find(entry.item_id)] / scores[20:].mean())
    assert np.mean(better) > 1


def test_explored_items_are_explained_as_no_one_s_choice():
    recommender = Recommender(["item_knn", "content"]).fit(few_and_many())
    listed = recommender.recommend("c001", explore=0.3, explain=True)
    for entry in listed:
        if entry.source == "explored":
            assert [(reason.kind, reason.contribution) for reason in entry.reasons] == [("explored", 0.0)]
        else:
            assert sum(reason.contribution for reason in entry.reasons) == pytest.approx(
                entry.score, rel=1e-4
            )


@settings(max_examples=100, deadline=None)
@given(st.floats(0.01, 0.5), st.integers(1, 60), st.integers(0, 2**62))
def test_places_are_never_the_first_and_as_many_as_the_share(explore, k, seed):
    spread = Spread(0.0, None, explore, seed)
    places = trial_places(spread, customer_seeds(spread, list(range(200)), None), k)
    assert not places[:, 0].any()
    count = places.sum(axis=1)
    assert count.max() <= np.ceil(explore * k + 1e-6)
    assert count.min() >= np.floor(explore * k - 1e-6) - 1e-9
    shorter = trial_places(spread, customer_seeds(spread, list(range(200)), None), max(k // 2, 1))
    assert np.array_equal(shorter, places[:, : max(k // 2, 1)])


def test_ids_of_two_types_are_two_customers():
    spread = Spread(0.0, None, 0.1, 0)
    seeds = customer_seeds(spread, [1, "1", np.str_("1"), None, "None", "\ud800"], 5)
    assert seeds[1] == seeds[2]
    assert len(set(seeds.tolist())) == 5


def test_arranging_nobody_gives_no_lists(plain):
    learned = plain._fitted().learned
    assert arrange(Spread(0.5, 1, 0.0, 0), learned, Lists.empty(0, 10), 3).item_index.shape == (0, 3)


# What is refused


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"diversity": 1.5}, "diversity=1.5: expected a number in [0, 1]."),
        ({"diversity": "high"}, "diversity='high': expected a number in [0, 1]."),
        ({"diversity": float("nan")}, "diversity=nan: expected a number in [0, 1]."),
        ({"max_per_category": 0}, "max_per_category=0: expected an integer of at least 1, or None."),
        ({"max_per_category": True}, "max_per_category=True: expected an integer of at least 1, or None."),
        ({"explore": 0.6}, "explore=0.6: expected a number in [0, 0.5]."),
        ({"rng": -1}, "rng=-1: expected a seed: an integer from 0 to 2**63 - 1."),
        ({"rng": 1.5}, "rng=1.5: expected a seed: an integer from 0 to 2**63 - 1."),
    ],
    ids=str,
)
def test_arguments_outside_their_range_are_refused(plain, how, expected):
    for _ in range(2):
        with pytest.raises(errors.ArgumentError, match=f"^{re.escape(expected)}$"):
            plain.recommend("c001", **how)
        with pytest.raises(errors.ArgumentError, match=f"^{re.escape(expected)}$"):
            plain.recommend_many(["c001"], **how)


def test_a_cap_without_categories_is_refused():
    recommender = Recommender("item_knn").fit(random_log(items={"item_id": NAMES, "brand": ["b"] * N_ITEMS}))
    expected = (
        "max_per_category needs an attribute 'category' of items (found: brand, for_sale). "
        "Hint: pass items= with such a column when the log is read."
    )
    with pytest.raises(errors.NotEnoughDataError, match=f"^{re.escape(expected)}$"):
        recommender.recommend("c001", max_per_category=1)


def test_diversity_without_any_likeness_is_refused():
    expected = (
        "diversity needs to know which items are alike: there is no attribute 'category', and no model "
        "knows (models: popularity). Hint: pass items= with such a column when the log is read, or "
        "fit with item_knn among the models."
    )
    with pytest.raises(errors.NotEnoughDataError, match=f"^{re.escape(expected)}$"):
        Recommender("popularity").fit(random_log()).recommend("c001", diversity=0.1)
