"""Ruled lists: boosts, pins and removals in the answers, against lists that are ranked by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib as eg
from engagelib import errors
from engagelib.recommender.rules import Rule
from engagelib.testing import log_of, random_log

ITEMS = [f"i{number:03d}" for number in range(30)]
TABLE = {
    "item_id": ITEMS,
    "category": ["lamp", "rug", "sofa"] * 10,
    "price": [float(number) for number in range(30)],
    "for_sale": [number % 7 != 3 for number in range(30)],
}


@pytest.fixture(scope="module")
def log():
    return random_log(items=TABLE)


@pytest.fixture(scope="module", params=["item_knn", "blend"])
def recommender(request, log):
    models = {"item_knn": "item_knn", "blend": ["item_knn", "popularity"]}[request.param]
    return eg.Recommender(models).fit(log)


WHICH = st.one_of(
    st.fixed_dictionaries(
        {"where": st.sampled_from([{"category": "lamp"}, {"price": {"min": 12, "max": 20}}])}
    ),
    st.fixed_dictionaries({"items": st.lists(st.sampled_from([*ITEMS, "unknown"]), max_size=4)}),
)
BOOSTS = st.lists(
    st.tuples(st.sampled_from([0.25, 0.5, 2.0, 4.0]), WHICH).map(lambda it: Rule.boost(it[0], **it[1])),
    max_size=3,
)
REMOVALS = st.lists(WHICH.map(lambda which: Rule.remove(**which)), max_size=2)
PINS = st.lists(
    st.tuples(WHICH, st.sampled_from([None, 1, 3])).map(lambda it: Rule.pin(**it[0], most=it[1])), max_size=2
)
CALLS = st.fixed_dictionaries(
    {"customer_id": st.sampled_from(["c001", "c017", "nobody", None])},
    optional={"exclude": st.lists(st.sampled_from(ITEMS), max_size=4), "fill": st.booleans()},
)


def named(rule):
    """The items that a rule names, in its order."""
    if rule.items is not None:
        return [item for item in rule.items if item in ITEMS]
    ((name, wanted),) = rule.where.items()
    if isinstance(wanted, str):
        return [item for item, value in zip(ITEMS, TABLE[name], strict=True) if value == wanted]
    return [
        item
        for item, value in zip(ITEMS, TABLE[name], strict=True)
        if wanted["min"] <= value <= wanted["max"]
    ]


def factor_of(rules, item):
    return float(np.prod([rule.factor for rule in rules if rule.effect == "boost" and item in named(rule)]))


@settings(max_examples=60)
@given(boosts=BOOSTS, removals=REMOVALS, pins=PINS, call=CALLS, k=st.sampled_from([1, 5, 30]))
def test_rules_do_what_they_say(recommender, boosts, removals, pins, call, k):
    rules = [*boosts, *removals, *pins]
    gone = {item for rule in removals for item in named(rule)}
    # Scales are taken from what may be listed: without what is removed.
    call = {**call, "exclude": [*call.get("exclude", ()), *gone]}
    plain = recommender.recommend(**call, k=30)
    popular = recommender.items_.ids(recommender.popularity_.ranking_.tolist())
    place = {item: place for place, item in enumerate(popular)}
    worth = dict(zip(ITEMS, recommender.popularity_.scores_.tolist(), strict=True))

    def ranked(entries):
        """By boosted score, then what fills by boosted popularity."""
        scored = [entry for entry in entries if entry.source != "popular"]
        filling = [entry for entry in entries if entry.source == "popular"]
        scored.sort(
            key=lambda entry: (-entry.score * factor_of(rules, entry.item_id), ITEMS.index(entry.item_id))
        )
        filling.sort(
            key=lambda entry: (-worth[entry.item_id] * factor_of(rules, entry.item_id), place[entry.item_id])
        )
        return [entry.item_id for entry in [*scored, *filling]]

    order = ranked(plain)
    # What is pinned is shown whether the list may be filled or not.
    filled = recommender.recommend(**{**call, "fill": True}, k=30)
    everything = ranked(filled)
    top = []
    for rule in pins:
        within = (
            named(rule) if rule.items is not None else [item for item in everything if item in named(rule)]
        )
        most = rule.most if rule.most is not None else len(named(rule)) if rule.items is not None else 1
        top += [item for item in dict.fromkeys(within) if item in everything][:most]
    top = list(dict.fromkeys(top))
    expected = (top + [item for item in order if item not in top])[:k]
    some = [item for item in call["exclude"] if item not in gone]
    found = recommender.recommend(**{**call, "exclude": some}, k=k, rules=rules, explain=True)
    assert found.item_ids == expected
    score = {entry.item_id: entry.score for entry in plain}
    for entry in found:
        boosted = score.get(entry.item_id, 0.0) * factor_of(rules, entry.item_id)
        assert entry.score == pytest.approx(boosted, rel=1e-5)
        assert (entry.source == "pinned") == (entry.item_id in top)
        if entry.source != "pinned":
            assert entry.source.endswith("+rule") == (factor_of(rules, entry.item_id) != 1)
        assert sum(reason.contribution for reason in entry.reasons) == pytest.approx(
            entry.score, rel=1e-4, abs=1e-6
        )
        assert entry.reasons


@settings(max_examples=15)
@given(boosts=BOOSTS, removals=REMOVALS, pins=PINS)
def test_rules_of_the_recommender_and_of_a_call_do_the_same(recommender, boosts, removals, pins):
    rules = [*boosts, *removals, *pins]
    ruled = eg.Recommender(recommender.models)
    ruled._serving = recommender._serving
    ruled.rules = [rule.to_record() for rule in rules]
    customers = ["c001", "c017", "nobody"]
    for fill in (True, False):
        table = ruled.recommend_many(customers, fill=fill)
        given_here = recommender.recommend_many(customers, fill=fill, rules=rules)
        for name in ("item_index", "score", "source"):
            assert np.array_equal(getattr(table, name), getattr(given_here, name))
        assert table.sources == given_here.sources
        for row, customer in enumerate(customers):
            one = ruled.recommend(customer, fill=fill)
            assert one.item_ids == table.item_ids(row)
            n = len(one)
            assert [table.sources[code] for code in table.source[row, :n]] == [entry.source for entry in one]
    assert recommender.rules == ()


def test_rules_of_a_call_come_on_top_and_both_are_saved(recommender, tmp_path):
    shop = eg.Recommender(recommender.models)
    shop._serving = recommender._serving
    shop.rules = [Rule.remove(where={"category": "lamp"})]
    found = shop.recommend("c001", k=30, rules=[Rule.remove(where={"category": "rug"})])
    assert {ITEMS.index(item) % 3 for item in found.item_ids} == {2}
    shop.save(tmp_path / "shop.engage")
    back = eg.load(tmp_path / "shop.engage")
    assert back.rules == shop.rules
    assert back.recommend("c001").to_records() == shop.recommend("c001").to_records()
    assert shop.sources_[-1] == "pinned"
    assert recommender.sources_[-1] == "popular"


def test_a_boosted_item_comes_up_from_however_far_below():
    visits = {number: ["a", *(f"b{other:03d}" for other in range(150)), "z"] for number in range(3)}
    visits |= {9: ["a"]}
    for models in ("item_knn", ["item_knn", "popularity"]):
        shop = eg.Recommender(models).fit(log_of(visits))
        if models == "item_knn":
            shop = eg.Recommender(eg.ItemKNN(n_neighbours=200)).fit(log_of(visits))
        assert shop.recommend(9, k=1, rules=[Rule.boost(50.0, items=["z"])]).item_ids == ["z"]


def test_a_short_list_counts_what_rules_took(recommender):
    found = recommender.recommend("nobody", k=30, rules=[Rule.remove(where={"category": ["lamp", "rug"]})])
    n_left = sum(number % 3 == 2 and number % 7 != 3 for number in range(30))
    assert found.shortfall == (
        f"{n_left} of 30 items asked for: the catalogue has 30, the rules leave 10, {n_left} of these are "
        "for sale and not left out by the call."
    )


def test_what_is_no_rule_is_refused(recommender):
    with pytest.raises(errors.ArgumentError, match=r"^rules="):
        recommender.recommend("c001", rules="boost")
    with pytest.raises(errors.ArgumentError, match="colour"):
        recommender.recommend("c001", rules=[Rule.remove(where={"colour": "red"})])
    with pytest.raises(errors.ArgumentError, match="colour"):
        eg.Recommender("item_knn", rules=[Rule.remove(where={"colour": "red"})]).fit(random_log())
    shop = eg.Recommender(recommender.models)
    shop._serving = recommender._serving
    with pytest.raises(errors.ArgumentError, match="colour"):
        shop.rules = [Rule.remove(where={"colour": "red"})]
    assert shop.rules == ()
    assert re.search("item_knn", shop.recommend("c001")[0].source)


def test_a_rule_for_nothing_changes_nothing(recommender):
    plain = recommender.recommend("c001", k=30)
    nothing = [Rule.boost(3.0, items=["unknown"]), Rule.pin(items=[]), Rule.remove(items=[])]
    found = recommender.recommend("c001", k=30, rules=nothing)
    assert found.to_records() == plain.to_records()
    assert replace(found, ignored={}) is not None
