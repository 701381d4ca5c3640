"""Actions and contact limits: what they take, refuse, and give back from a file."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engagelib import errors
from engagelib.actions.catalogue import Action, ContactLimit, check_actions, check_limits
from engagelib.actions.durations import spell_span, to_span

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("given", "micros"),
    [
        ("30d", 30 * DAY),
        ("12h", DAY // 2),
        (" 90 m", DAY // 16),
        ("1.5w", 21 * DAY // 2),
        (timedelta(hours=6), DAY // 4),
        (7, 7 * DAY),
        (np.float32(0.5), DAY // 2),
    ],
)
def test_a_span_of_time_in_all_its_spellings(given, micros):
    assert to_span(given, "cooldown") == micros


@pytest.mark.parametrize("given", ["30", "d", "-3d", 0, -1, float("nan"), float("inf"), True, None, "40000d"])
def test_what_is_no_span_of_time(given):
    with pytest.raises(errors.ArgumentError) as caught:
        to_span(given, "cooldown")
    assert str(caught.value) == (
        f"cooldown={given!r}: expected a span of time above 0 and up to 100 years, "
        "such as '30d', '12h', a timedelta or days."
    )


@pytest.mark.parametrize(
    ("micros", "text"),
    [(7 * DAY, "7d"), (56 * DAY, "8w"), (DAY // 2, "12h"), (60_000_000, "1m"), (1, "1.157e-11d")],
)
def test_a_span_is_spelt_in_its_largest_whole_unit(micros, text):
    assert spell_span(micros) == text


FULL = Action(
    "spring-sale",
    value={"feature": "expected_value", "times": 0.1},
    cost=0.05,
    success="purchase",
    kind="offer",
    channels={"email", "app"},
    locations=["Bern"],
    starts="2024-03-01",
    ends=datetime(2024, 4, 1, tzinfo=UTC),
    items=["lamp", "bulb"],
    eligible={"consent": True},
    applicable={"stage": ["repeat", "loyal"], "recency_days": {"max": 60}},
    suitable={"days_since_bad_experience": None},
    cooldown="30d",
    limits=[ContactLimit(1, "7d", channel="email"), ContactLimit(3, timedelta(seconds=100), kind="offer")],
    lever=1.5,
    benefit=5.0,
    title="Spring sale",
)


def test_an_action_comes_back_from_json_as_it_was():
    again = Action.from_record(json.loads(json.dumps(FULL.to_record())))
    assert again.to_record() == FULL.to_record()
    assert again.window == FULL.window
    assert again.cooldown_span == FULL.cooldown_span == 30 * DAY
    assert [limit.span for limit in again.limits] == [7 * DAY, 100_000_000]
    assert again.channels == {"email", "app"}
    assert str(again) == "Spring sale"
    assert str(Action("call")) == "call"


def test_a_rule_that_is_a_function_can_not_be_saved():
    action = Action("call", suitable=lambda known: known["n_purchases"] > 3)
    with pytest.raises(errors.ArgumentError) as caught:
        action.to_record()
    assert str(caught.value) == (
        "the 'suitable' rule of action 'call' is a function, which no file can hold. "
        "Hint: write it as conditions by name, such as {'n_purchases': {'min': 1}}."
    )


def test_limits_in_words():
    assert str(ContactLimit(2, "7d")) == "at most 2 in 7d"
    assert str(ContactLimit(1, "30d", channel="email", action="call", kind="offer")) == (
        "at most 1 in 30d of kind 'offer' of 'call' by 'email'"
    )


KINDS = "one of message, offer, referral, review, survey"
NUMBER = "a finite number of at least 0"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": " "}, "name=' ': expected a text that names the action."),
        (
            {"name": "nothing"},
            "name='nothing': expected a text that names the action. "
            "Hint: 'nothing' is always among the candidates.",
        ),
        ({"success": ""}, "success='': expected a text."),
        ({"title": 3}, "title=3: expected a text."),
        ({"kind": "gift"}, f"kind='gift': expected {KINDS}."),
        ({"value": -1}, f"value=-1: expected {NUMBER}."),
        (
            {"value": {"times": 2}},
            "value={'times': 2}: expected a number of at least 0, or "
            '{"feature": "expected_value", "times": 0.1}.',
        ),
        ({"value": {"feature": "x", "times": -1}}, f'value["times"]=-1: expected {NUMBER}.'),
        ({"cost": float("nan")}, f"cost=nan: expected {NUMBER}."),
        ({"lever": True}, f"lever=True: expected {NUMBER}."),
        ({"benefit": "5"}, f"benefit='5': expected {NUMBER}."),
        (
            {"channels": "email"},
            "channels='email': expected a list of ids. Hint: put a single id into a list.",
        ),
        ({"items": "lamp"}, "items='lamp': expected a list of ids. Hint: put a single id into a list."),
        (
            {"starts": "2024-02-01", "ends": "2024-01-01"},
            "ends='2024-01-01': expected a moment after starts='2024-02-01'.",
        ),
        ({"limits": ContactLimit(1, 7)}, "limits is of type ContactLimit: expected a list of ContactLimit."),
        ({"limits": [3]}, "limits[0] is of type int: expected a ContactLimit."),
    ],
)
def test_what_an_action_refuses(wrong, text):
    with pytest.raises(errors.ArgumentError) as caught:
        Action(**{"name": "call", **wrong})
    assert str(caught.value) == text


def test_what_a_limit_refuses():
    with pytest.raises(errors.ArgumentError, match=r"^most=0: expected an integer of at least 1\.$"):
        ContactLimit(0, "7d")
    with pytest.raises(errors.ArgumentError) as caught:
        ContactLimit(1, "7d", kind="gift")
    assert str(caught.value) == f"kind='gift': expected {KINDS}."


def test_what_a_list_of_actions_refuses():
    with pytest.raises(
        errors.ArgumentError, match=r"^actions is of type Action: expected a list of Action\.$"
    ):
        check_actions(Action("call"))
    with pytest.raises(errors.ArgumentError, match=r"^actions\[0\] is of type str: expected an Action\.$"):
        check_actions("call")
    with pytest.raises(errors.ArgumentError, match=r"^actions=\[\]: expected at least one Action\.$"):
        check_actions([])
    with pytest.raises(errors.ArgumentError) as caught:
        check_actions([Action("call"), Action("call")])
    assert str(caught.value) == "actions[1].name='call': expected a name that no other action has."
    assert check_limits(()) == ()
