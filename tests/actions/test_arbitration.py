"""Arbitration: every rule by hand, and many customers at once as each alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import errors
from engagelib.actions.arbitration import SUPPRESSED_BY, Arbiter, Contact, ContactTable, Place
from engagelib.actions.catalogue import Action, ContactLimit
from engagelib.actions.conditions import FactNames, Facts
from engagelib.vocabulary import Vocabulary

DAY = 86_400_000_000
NOW = 19_800 * DAY
ITEMS = Vocabulary.from_values(["bulb", "lamp"])
NAMES = FactNames(
    {"n_purchases": "number", "recency_days": "number", "consent": "boolean"},
    {"stage": ("interest", "repeat", "loyal"), "plan": ("free", "paid")},
)
ALL = np.ones(2, bool)


def why(action, *, numbers=(2.0, 10.0, 1.0), codes=(1, 0), trouble="", contacts=(), limits=(), **place):
    """Return the rule and detail that suppress one action, None where it may be done."""
    arbiter = Arbiter([action], limits, NAMES, ITEMS)
    at = Place(place.get("channel"), place.get("location"), place.get("at", NOW))
    standing = arbiter.standing(at, place.get("available", ALL))
    found = arbiter.one(standing, numbers, codes, trouble=trouble, contacts=contacts, place=at)
    return None if found[0] is None else tuple(found[0][1:])


def test_an_action_without_rules_may_be_done():
    assert why(Action("call")) is None


def test_the_window_is_closed_at_its_end():
    action = Action("call", starts="2024-03-01", ends="2024-03-20")
    opens, closes = action.window
    assert why(action, at=opens) is None
    assert why(action, at=closes) == ("window", "only from 2024-03-01 00:00 until 2024-03-20 00:00")
    assert why(action, at=opens - 1) == ("window", "only from 2024-03-01 00:00 until 2024-03-20 00:00")


def test_channels_and_locations():
    action = Action("call", channels=["phone"], locations=["Bern"])
    assert why(action) is None
    assert why(action, channel="phone", location="Bern") is None
    assert why(action, channel="web") == ("channel", "not in 'web'")
    assert why(action, location="Thun") == ("location", "not at 'Thun'")


def test_every_item_that_an_action_needs_must_be_had():
    action = Action("offer", items=["lamp", "bulb"])
    assert why(action) is None
    assert why(action, available=np.array([False, True])) == ("items", "item 'bulb' can't be had there")
    assert why(Action("offer", items=["sofa"])) == ("items", "item 'sofa' can't be had there")


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ({"n_purchases": 2}, True),
        ({"n_purchases": [1, 3]}, False),
        ({"n_purchases": {"min": 2, "max": 2}}, True),
        ({"n_purchases": {"max": 1.5}}, False),
        ({"n_purchases": None}, False),
        ({"consent": True, "stage": "repeat"}, True),
        ({"stage": ["interest", "loyal"]}, False),
        ({"plan": "free"}, True),
        ({"plan": "unheard of"}, False),
        ({"plan": ["paid", None]}, False),
    ],
)
@pytest.mark.parametrize("rule", ["eligible", "applicable", "suitable"])
def test_conditions_hold_or_suppress(where, holds, rule):
    found = why(Action("call", **{rule: where}))
    assert (found is None) is holds
    assert found is None or (found[0] == rule and found[1].startswith("expected "))


def test_missing_values_match_none_alone():
    numbers, codes = (float("nan"), 10.0, 1.0), (1, -1)
    for where, holds in (
        ({"n_purchases": None}, True),
        ({"n_purchases": [None, 7]}, True),
        ({"n_purchases": {"max": 100}}, False),
        ({"n_purchases": 2}, False),
        ({"plan": None}, True),
        ({"plan": "free"}, False),
    ):
        assert (why(Action("call", eligible=where), numbers=numbers, codes=codes) is None) is holds


def test_what_is_expected_stands_in_the_detail():
    found = why(Action("call", eligible={"consent": True, "n_purchases": {"min": 4, "max": 9}}))
    assert found == ("eligible", "expected n_purchases at least 4 and at most 9")


def test_only_a_referral_minds_a_bad_experience():
    assert why(Action("call"), trouble="a return 3 days ago") is None
    found = why(Action("refer", kind="referral"), trouble="a return 3 days ago")
    assert found == ("bad_experience", "a return 3 days ago")
    assert why(Action("refer", kind="referral")) is None


def test_a_cooldown_ends_to_the_microsecond():
    action = Action("call", cooldown="7d")
    done = Contact("call", None, NOW - 7 * DAY)
    assert why(action, contacts=[done]) is None
    found = why(action, contacts=[done._replace(at=done.at + 1)])
    assert found == ("cooldown", "done before, not again until 2024-03-18 00:00")
    assert why(action, contacts=[done._replace(at=NOW + 1)]) is None
    assert why(action, contacts=[Contact("mail", None, NOW)]) is None


def test_limits_count_what_they_name():
    action = Action("call", kind="offer")
    past = [Contact("call", "email", NOW - DAY), Contact("call", "web", NOW - 2 * DAY)]
    limit = ContactLimit(2, "7d")
    assert why(action, contacts=past, limits=[limit]) == ("limit", "at most 2 in 7d, and there were 2")
    assert why(action, contacts=past[:1], limits=[limit]) is None
    assert why(action, contacts=past, limits=[ContactLimit(2, "2d")]) is None
    by_mail = ContactLimit(1, "7d", channel="email")
    assert why(action, contacts=past, limits=[by_mail], channel="web") is None
    assert why(action, contacts=past, limits=[by_mail]) is None
    assert why(action, contacts=past, limits=[by_mail], channel="email") == (
        "limit",
        "at most 1 in 7d by 'email', and there were 1",
    )
    assert why(action, contacts=past, limits=[ContactLimit(1, "7d", kind="survey")]) is None
    # What another version of the catalogue did is of no kind that is known.
    gone = [Contact("gone", None, NOW)]
    assert why(action, contacts=gone, limits=[ContactLimit(1, "7d", kind="offer")]) is None
    assert why(action, contacts=gone, limits=[ContactLimit(1, "7d")]) == (
        "limit",
        "at most 1 in 7d, and there were 1",
    )


def test_a_function_sees_arrays_by_name():
    def loyal_and_paid(known):
        return (known["stage"] == "loyal") & (known["plan"] == "paid") & (known["n_purchases"] > 1)

    action = Action("call", suitable=loyal_and_paid)
    assert why(action, codes=(2, 1)) is None
    assert why(action, codes=(2, -1)) == ("suitable", "the shop's own function says no")
    with pytest.raises(errors.ArgumentError) as caught:
        why(Action("call", suitable=lambda known: known["n_purchases"]))
    assert str(caught.value) == (
        "the 'suitable' rule of action 'call' gave an array of float64 and shape (1,): "
        "expected bool of shape (1,). Hint: it is handed one array a name, with an entry a customer."
    )


def test_what_a_condition_may_not_ask():
    with pytest.raises(errors.ArgumentError) as caught:
        why(Action("call", eligible={"purchases": 1}))
    assert str(caught.value) == (
        "'eligible' of action 'call' asks for 'purchases': expected one of stage, plan, n_purchases, "
        "recency_days, consent. Hint: was 'n_purchases' meant?"
    )
    with pytest.raises(errors.ArgumentError) as caught:
        why(Action("call", value={"feature": "worth"}))
    assert str(caught.value) == (
        "'value' of action 'call' asks for 'worth': expected one of n_purchases, recency_days, consent. "
        "Hint: features depend on the log: features_ lists them all."
    )
    with pytest.raises(errors.ArgumentError) as caught:
        why(Action("call", eligible={"stage": "loyale"}))
    assert str(caught.value) == (
        "'eligible' of action 'call': where['stage']='loyale': expected one of interest, repeat, loyal."
    )
    with pytest.raises(errors.ArgumentError) as caught:
        why(Action("call", suitable={"consent": "yes"}))
    assert str(caught.value) == (
        "'suitable' of action 'call': where['consent']='yes': expected True, False or None, "
        "as this attribute holds nothing else."
    )
    with pytest.raises(errors.ArgumentError) as caught:
        why(Action("call"), limits=[ContactLimit(1, 7, action="cal")])
    assert str(caught.value) == "no action 'cal': expected one of call."


def test_a_value_may_follow_the_customer():
    actions = [Action("a", value=3), Action("b", value={"feature": "recency_days", "times": 0.5})]
    arbiter = Arbiter(actions, (), NAMES, ITEMS)
    numbers = np.array([[0.0, 10.0, 1.0], [0.0, np.nan, 1.0]])
    assert arbiter.values(numbers).tolist() == [[3.0, 5.0], [3.0, 0.0]]
    assert [arbiter.values_one(row) for row in numbers.tolist()] == [[3.0, 5.0], [3.0, 0.0]]


MOMENTS = st.integers(-3, 30).map(lambda hours: NOW - hours * DAY // 24)
CONDITION = st.one_of(
    st.fixed_dictionaries({"n_purchases": st.sampled_from([1, [0, 2], None, {"min": 1}, {"max": 1}])}),
    st.fixed_dictionaries({"stage": st.sampled_from(["repeat", ["interest", "loyal"], None])}),
    st.fixed_dictionaries({"plan": st.sampled_from(["paid", [None, "free"]]), "consent": st.booleans()}),
)


@st.composite
def shops(draw):
    """Draw actions with all sorts of rules, limits for all of them, customers and their contacts."""
    limit = st.builds(
        ContactLimit,
        st.integers(1, 3),
        st.sampled_from(["6h", "1d"]),
        channel=st.sampled_from([None, "web", "email"]),
        action=st.sampled_from([None, "a0"]),
        kind=st.sampled_from([None, "offer"]),
    )
    rules = {name: st.none() | CONDITION for name in ("eligible", "applicable", "suitable")}
    more = {
        "kind": st.sampled_from(["offer", "referral", "message"]),
        "channels": st.sampled_from([None, ["web"]]),
        "items": st.sampled_from([(), ("lamp",)]),
        "cooldown": st.sampled_from([None, "5h"]),
        "limits": st.lists(limit, max_size=1),
        "ends": st.sampled_from([None, "2030-01-01", "2020-01-01"]),
    }
    n = draw(st.integers(1, 4))
    actions = [Action(f"a{place}", **draw(st.fixed_dictionaries({**rules, **more}))) for place in range(n)]
    customers = draw(
        st.lists(
            st.tuples(
                st.tuples(
                    st.sampled_from([0.0, 1.0, 2.0, np.nan]), st.just(5.0), st.sampled_from([0.0, 1.0])
                ),
                st.tuples(st.integers(-1, 2), st.integers(-1, 1)),
                st.booleans(),
                st.lists(
                    st.builds(
                        Contact,
                        st.sampled_from(["a0", "a1", "gone"]),
                        st.sampled_from([None, "web", "email"]),
                        MOMENTS,
                    ),
                    max_size=4,
                ),
            ),
            min_size=1,
            max_size=4,
        )
    )
    return (
        actions,
        draw(st.lists(limit, max_size=2)),
        customers,
        draw(st.sampled_from([None, "web", "email"])),
    )


@settings(max_examples=200, deadline=None)
@given(shop=shops(), has_lamp=st.booleans())
def test_many_customers_are_judged_as_each_alone(shop, has_lamp):
    actions, limits, customers, channel = shop
    arbiter = Arbiter(actions, limits, NAMES, ITEMS)
    place = Place(channel, None, NOW)
    standing = arbiter.standing(place, np.array([True, has_lamp]))
    alone = [
        arbiter.one(standing, numbers, codes, trouble="x" * bad, contacts=contacts, place=place)
        for numbers, codes, bad, contacts in customers
    ]
    whose = np.repeat(np.arange(len(customers)), [len(one[3]) for one in customers])
    every = [done for one in customers for done in one[3]]
    table = ContactTable(
        whose,
        np.array([arbiter.known.get(done.action, -1) for done in every], np.int64),
        np.array([done.channel for done in every], object),
        np.array([done.at for done in every], np.int64),
    )
    facts = Facts(np.array([one[0] for one in customers]), np.array([one[1] for one in customers]))
    troubled = np.array([one[2] for one in customers])
    found = arbiter.many(standing, facts, is_troubled=troubled, contacts=table, place=place)
    expected = [[0 if why is None else SUPPRESSED_BY.index(why.rule) + 1 for why in row] for row in alone]
    assert found.tolist() == expected
