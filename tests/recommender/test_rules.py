"""Rules: what a shop may wish for, how it is written down, and what becomes of each item."""

import json
import math
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import Vocabulary
from engagelib.attributes import ItemAttributes
from engagelib.errors import ArgumentError
from engagelib.recommender.rules import Rule, check_rules, compile_rules

IDS = ["a", "b", "c", "d", "e", "é"]
CATEGORIES = ["lamps", "sofas", None]
PRICES = [1.0, 2.0, 3.0, None]
# Powers of two multiply exactly in any order, and often to 1.
FACTORS = [0.25, 0.5, 1, 2, 4.0, 1e-300, 1e300]

WHERES = [
    {"category": "lamps"},
    {"category": ["sofas", None]},
    {"price": {"min": 2}},
    {"price": {"max": 2}, "category": "lamps"},
    {"for_sale": True},
]
WHICH = st.one_of(
    st.fixed_dictionaries({"where": st.sampled_from(WHERES)}),
    st.fixed_dictionaries({"items": st.lists(st.sampled_from([*IDS, "e\u0301", "x", 1]), max_size=5)}),
)
MOST = st.fixed_dictionaries({}, optional={"most": st.integers(1, 3)})
RULES = st.one_of(
    st.builds(lambda factor, which: Rule.boost(factor, **which), st.sampled_from(FACTORS), WHICH),
    st.builds(lambda which, most: Rule.pin(**which, **most), WHICH, MOST),
    st.builds(lambda which: Rule.remove(**which), WHICH),
)


def shop(categories, prices, for_sale):
    """The attributes of the items called `IDS`, and these."""
    columns = {
        "item_id": IDS,
        "category": pa.array(categories, pa.string()),
        "price": pa.array(prices, pa.float64()),
        "for_sale": for_sale,
    }
    items = Vocabulary.from_values(IDS)
    return ItemAttributes.from_table(pa.table(columns), items), items


def six(values):
    return st.lists(st.sampled_from(values), min_size=6, max_size=6)


SHOPS = st.builds(shop, six(CATEGORIES), six(PRICES), six([True, False]))
ATTRIBUTES, ITEMS = shop(
    ["lamps", "lamps", "sofas", "sofas", None, None], [1.0, 2.0, 3.0, None, 1.0, 2.0], [True] * 6
)


def named(rule, attributes, items):
    """The items of a rule, one by one; those that have no index are None."""
    if rule.where is not None:
        return [index for index, found in enumerate(attributes.matches(rule.where)) if found]
    found = [items.find(id_) for id_ in rule.items]
    return [index if index >= 0 else None for index in found]


@given(case=SHOPS, rules=st.lists(RULES, max_size=6))
def test_compiled_rules_are_their_definition_item_by_item(case, rules):
    attributes, items = case
    compiled = compile_rules(rules, attributes, items)
    which = [named(rule, attributes, items) for rule in rules]
    removed, factors, pins = set(), [1.0] * 6, []
    for rule, indices in zip(rules, which, strict=True):
        if rule.effect == "remove":
            removed |= set(indices) - {None}
    for rule, indices in zip(rules, which, strict=True):
        for index in set(indices) - {None}:
            if rule.effect == "boost":
                factors[index] *= min(max(rule.factor, 1e-6), 1e6)
        left = [index for index in dict.fromkeys(indices) if index is not None and index not in removed]
        if rule.effect == "pin" and left:
            pins.append((rule.where is not None, left, rule.most or len(left)))
    factors = np.clip(factors, 1e-6, 1e6).astype(np.float32)
    boosts = (factors != 1).any()
    assert (compiled.removed is None) == (not removed)
    assert not removed or (compiled.removed.dtype, {*np.flatnonzero(compiled.removed)}) == (bool, removed)
    assert (compiled.factor is None) == (not boosts)
    assert not boosts or (compiled.factor.dtype, [*compiled.factor]) == (np.float32, [*factors])
    groups = [(float(factor), factors == factor) for factor in sorted({*factors}, reverse=True)]
    assert [(factor, [*mask]) for factor, mask in compiled.groups] == [
        (factor, [*mask]) for factor, mask in (groups if boosts else [])
    ]
    found = []
    for pin in compiled.pins:
        index = np.flatnonzero(pin.mask) if pin.item_index is None else pin.item_index
        found.append((pin.item_index is None, index.tolist(), pin.most))
    assert found == pins
    for pin in compiled.pins:
        assert (pin.mask is None) != (pin.item_index is None)
        assert pin.mask.dtype == bool if pin.item_index is None else pin.item_index.dtype == np.int32
    assert compiled.n_unknown_items == sum(indices.count(None) for indices in which)


@given(rules=st.lists(RULES, max_size=4))
def test_rules_travel_as_json(rules):
    records = [rule.to_record() for rule in rules]
    again = json.loads(json.dumps(records, allow_nan=False))
    assert again == records
    assert check_rules(again) == check_rules(rules) == tuple(rules)


def test_records_say_what_was_asked_for():
    rules = [
        Rule.boost(np.float32(0.5), where={"price": {"max": np.int64(3)}}),
        Rule.pin(items=("b", np.str_("a"))),
        Rule.pin(where={"category": ("a", None)}),
        Rule.pin(where={"category": "a"}, most=np.int64(3)),
        Rule.remove(items=np.array([1, 2])),
        Rule.remove(items=pa.array(["a", "b"])),
    ]
    records = [
        {"effect": "boost", "factor": 0.5, "where": {"price": {"max": 3}}},
        {"effect": "pin", "items": ["b", "a"]},
        {"effect": "pin", "where": {"category": ["a", None]}, "most": 1},
        {"effect": "pin", "where": {"category": "a"}, "most": 3},
        {"effect": "remove", "items": [1, 2]},
        {"effect": "remove", "items": ["a", "b"]},
    ]
    assert [rule.to_record() for rule in rules] == records
    assert type(rules[1].items[1]) is str
    assert type(rules[4].items[0]) is type(rules[3].most) is int
    assert list(check_rules(records)) == rules
    # What is null in a file is not given.
    assert Rule.from_record({"effect": "pin", "items": ["a"], "where": None, "most": None}) == Rule.pin(
        items=["a"]
    )
    assert repr(rules[0]) == "Rule.boost(factor=0.5, where={'price': {'max': 3}})"
    assert repr(rules[3]) == "Rule.pin(where={'category': 'a'}, most=3)"
    assert repr(rules[4]) == "Rule.remove(items=[1, 2])"


def test_a_rule_does_not_change_with_what_it_was_made_from():
    where, ids = {"category": ["a"]}, ["a"]
    first, second = Rule.remove(where=where), Rule.remove(items=ids)
    where["category"].append("b")
    ids.append("b")
    first.to_record()["where"]["category"].append("c")
    assert (first, second) == (Rule.remove(where={"category": ["a"]}), Rule.remove(items=["a"]))


def test_ids_are_compared_by_type_and_value():
    numbers = Vocabulary.from_values([1, 2, 3])
    attributes = ItemAttributes.from_table(pa.table({"item_id": [1, 2, 3]}), numbers)
    compiled = compile_rules([Rule.remove(items=["1", 2, np.int64(3), 4])], attributes, numbers)
    assert compiled.removed.tolist() == [False, True, True]
    assert compiled.n_unknown_items == 2
    compiled = compile_rules([Rule.pin(items=["e\u0301", "é", "a", 1, "\ud800"])], ATTRIBUTES, ITEMS)
    assert compiled.pins[0].item_index.tolist() == [5, 0]
    assert compiled.n_unknown_items == 2


def test_many_ids_are_found_as_a_few_are():
    ids = ["x", *IDS[::-1], "e\u0301", 1] * 6
    compiled = compile_rules([Rule.pin(items=ids, most=4)], ATTRIBUTES, ITEMS)
    assert compiled.pins[0].item_index.tolist() == [5, 4, 3, 2, 1, 0]
    assert compiled.pins[0].most == 4
    assert compiled.n_unknown_items == 12


def test_removing_beats_pinning_and_boosts_multiply_in_any_order():
    rules = [
        Rule.pin(items=["c", "a"]),
        Rule.boost(3, where={"category": "lamps"}),
        Rule.remove(items=["a"]),
        Rule.boost(0.5, where={"price": 2}),
        Rule.pin(items=["a"]),
        Rule.boost(0.7, items=["b", "b"]),
    ]
    forward, backward = compile_rules(rules, ATTRIBUTES, ITEMS), compile_rules(rules[::-1], ATTRIBUTES, ITEMS)
    assert [pin.item_index.tolist() for pin in forward.pins] == [[2]]
    assert forward.factor.tolist() == backward.factor.tolist()
    assert forward.factor.tolist() == np.float32([3, 3 * 0.5 * 0.7, 1, 1, 1, 0.5]).tolist()
    assert forward.removed.tolist() == backward.removed.tolist() == [True] + [False] * 5


def test_rules_without_effect_leave_nothing():
    rules = [
        Rule.boost(2, where={"category": "shoes"}),
        Rule.boost(1, where={"category": "lamps"}),
        Rule.boost(4, items=["a"]),
        Rule.boost(0.25, items=["a"]),
        Rule.remove(items=["x"]),
        Rule.remove(items=[]),
        Rule.pin(where={"category": "shoes"}),
        Rule.pin(items=["x"]),
    ]
    for given_rules in (rules, []):
        compiled = compile_rules(given_rules, ATTRIBUTES, ITEMS)
        assert (compiled.removed, compiled.factor, compiled.groups, compiled.pins) == (None, None, (), ())
    assert compile_rules(rules, ATTRIBUTES, ITEMS).n_unknown_items == 2


def test_factors_stay_in_a_finite_range():
    up, down = ([Rule.boost(factor, items=["a"])] * 60 for factor in (1e300, 5e-324))
    for boosts, expected in (
        (up, 1e6),
        (down, 1e-6),
        (up[:1], 1e6),
        (down[:1], 1e-6),
        (up[:2] + down[:2], 1),
    ):
        rules = [*boosts, Rule.boost(2, items=["b"])]
        assert compile_rules(rules, ATTRIBUTES, ITEMS).factor.tolist()[:2] == [np.float32(expected), 2.0]


def test_an_empty_catalogue_takes_any_rule():
    items = Vocabulary.from_values([])
    attributes = ItemAttributes.from_table(pa.table({"item_id": pa.array([], pa.string())}), items)
    rules = [
        Rule.boost(2, where={"for_sale": True}),
        Rule.remove(items=["a"]),
        Rule.pin(where={"for_sale": True}),
    ]
    compiled = compile_rules(rules, attributes, items)
    assert (compiled.removed, compiled.factor, compiled.groups, compiled.pins) == (None, None, (), ())


def catalogue(n_items):
    items = Vocabulary.from_values(range(n_items))
    return ItemAttributes.from_table(pa.table({"item_id": range(n_items)}), items), items


def refused(text):
    return pytest.raises(ArgumentError, match=f"^{re.escape(text)}$")


def test_only_so_many_factors():
    attributes, items = catalogue(33)
    boosts = [Rule.boost(2 + index, items=[index]) for index in range(32)]
    # With the items that nothing boosts, the 32nd boost makes 33.
    assert len(compile_rules(boosts[:31], attributes, items).groups) == 32
    everything = Rule.boost(0.5, where={"for_sale": True})
    assert len(compile_rules([*boosts[:31], everything], attributes, items).groups) == 32
    text = (
        "the boosts make more than 32 different factors: expected at most 32. "
        "Hint: items are ranked apart for each factor, and an item's boosts multiply; use fewer different "
        "factors, or conditions that overlap less."
    )
    with refused(text):
        compile_rules(boosts, attributes, items)


FACTOR = "expected a finite number above 0."
BOTH = "Hint: where= names items by their attributes, items= by their ids."
SINGLE = "expected a list of item ids. Hint: put a single id into a list."
MAPPING = 'expected a mapping from names of attributes to conditions, such as {"category": "lamps"}.'
COUNT = "expected an integer of at least 1, or None."
ID = "expected an integer or a string."


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: Rule.boost(0, items=[]),
            f"factor=0: {FACTOR} Hint: remove() keeps items out of every list.",
        ),
        (lambda: Rule.boost(-1, items=[]), f"factor=-1: {FACTOR}"),
        (lambda: Rule.boost(math.nan, items=[]), f"factor=nan: {FACTOR}"),
        (lambda: Rule.boost(math.inf, items=[]), f"factor=inf: {FACTOR}"),
        (lambda: Rule.boost(True, items=[]), f"factor=True: {FACTOR}"),
        (lambda: Rule.boost("2", items=[]), f"factor='2': {FACTOR}"),
        (lambda: Rule.boost(10**400, items=[]), f"factor={10**400}: {FACTOR}"),
        (lambda: Rule.boost(2), f"Rule.boost got neither where= nor items=: expected one of them. {BOTH}"),
        (
            lambda: Rule.pin(where={"a": 1}, items=[1]),
            f"Rule.pin got both where= and items=: expected one of them. {BOTH}",
        ),
        (Rule.remove, f"Rule.remove got neither where= nor items=: expected one of them. {BOTH}"),
        (lambda: Rule.remove(items="abc"), f"items='abc': {SINGLE}"),
        (lambda: Rule.remove(items=b"abc"), f"items=b'abc': {SINGLE}"),
        (lambda: Rule.remove(items=7), f"items=7: {SINGLE}"),
        (lambda: Rule.remove(items={"a": 1}), f"items={{'a': 1}}: {SINGLE}"),
        (lambda: Rule.remove(items=["a", 1.0]), f"an item id=1.0: {ID} Hint: this one is of type float."),
        (lambda: Rule.pin(items=[True]), f"an item id=True: {ID} Hint: this one is of type bool."),
        (lambda: Rule.pin(items=[None]), f"an item id=None: {ID} Hint: this one is of type NoneType."),
        (
            lambda: Rule.remove(where={}),
            "where={}: expected at least one condition. "
            'Hint: it would name every item; {"for_sale": True} names those that can be listed.',
        ),
        (lambda: Rule.remove(where="lamps"), f"where='lamps': {MAPPING}"),
        (lambda: Rule.remove(where=[]), f"where=[]: {MAPPING}"),
        (
            lambda: Rule.boost(2, where={"price": {"from": 1}}),
            "where['price']={'from': 1}: expected a range with \"min\", \"max\" or both.",
        ),
        (lambda: Rule.pin(items=[1], most=0), f"most=0: {COUNT}"),
        (lambda: Rule.pin(items=[1], most=True), f"most=True: {COUNT}"),
        (lambda: Rule.pin(items=[1], most=1.0), f"most=1.0: {COUNT}"),
    ],
)
def test_rules_that_cannot_be_meant(make, text):
    with refused(text):
        make()


RECORD = 'expected a Rule or a mapping such as {"effect": "remove", "items": ["i-17"]}.'
EFFECT = 'expected "boost", "pin" or "remove".'
MISSPELT = "Hint: a misspelt name would be ignored without a word."


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("remove", f"rule='remove': {RECORD}"),
        (None, f"rule=None: {RECORD}"),
        ({"items": ["a"]}, f"effect=None: {EFFECT}"),
        ({"effect": "hide", "items": ["a"]}, f"effect='hide': {EFFECT}"),
        ({"effect": ["pin"], "items": ["a"]}, f"effect=['pin']: {EFFECT}"),
        (
            {"effect": "pin", "items": ["a"], "factor": 2, 3: 4},
            f"a 'pin' rule has no 'factor', 3: expected only effect, where, items, most. {MISSPELT}",
        ),
        (
            {"effect": "remove", "item": ["a"]},
            f"a 'remove' rule has no 'item': expected only effect, where, items. {MISSPELT}",
        ),
        ({"effect": "boost", "items": ["a"]}, f"factor=None: {FACTOR}"),
        ({"effect": "remove", "items": "a"}, f"items='a': {SINGLE}"),
    ],
    ids=str,
)
def test_records_that_are_no_rules(rule, text):
    with refused(f"rules[1]: {text}"):
        check_rules([Rule.remove(items=["a"]), rule])
    with refused(f"rules[0]: {text}"):
        compile_rules([rule], ATTRIBUTES, ITEMS)
    with refused(text):
        Rule.from_record(rule)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (
            Rule.remove(items=["a"]),
            "rules=Rule.remove(items=['a']): expected a list of rules. Hint: put a single rule into a list.",
        ),
        (
            {"effect": "pin"},
            "rules={'effect': 'pin'}: expected a list of rules. Hint: put a single rule into a list.",
        ),
        ("remove", "rules='remove': expected a list of rules."),
        (None, "rules=None: expected a list of rules."),
    ],
    ids=str,
)
def test_rules_come_in_a_list(rules, text):
    with refused(text):
        check_rules(rules)


def test_conditions_are_held_against_the_attributes():
    rules = [Rule.remove(items=["a"]), Rule.boost(2, where={"colour": "red"})]
    text = (
        "rules[1]: no attribute 'colour': expected one of category, for_sale, price. "
        "Hint: attributes are the columns of the item table that was there at the last fit."
    )
    with refused(text):
        compile_rules(rules, ATTRIBUTES, ITEMS)
    text = (
        "rules[0]: where['category']=1: expected a text, a list of texts or None, as this attribute holds "
        "texts. Hint: 1 and '1' are two values."
    )
    with refused(text):
        compile_rules([Rule.remove(where={"category": 1})], ATTRIBUTES, ITEMS)


def test_attributes_and_items_are_of_one_catalogue():
    with refused("attributes are of 6 items, and items holds 2: expected the same items."):
        compile_rules([], ATTRIBUTES, Vocabulary.from_values(["a", "b"]))
