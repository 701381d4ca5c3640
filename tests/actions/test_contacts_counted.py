"""Contacts: nobody is contacted more often than limits allow, whatever names, moments and lists are used."""

from datetime import timedelta

import numpy as np
import pytest
from actions_cases import NOW

import engagelib as eg
from engagelib import Action, ContactLimit, DecisionLog, EventLog, NextBestAction
from engagelib.actions.decisions import DecisionRow
from engagelib.times import to_microseconds

SURE = [Action("call", value=1e6)]
WEEKLY = [ContactLimit(1, "7d")]


def limited(nba, tmp_path, actions=SURE, limits=WEEKLY, name="limited.sqlite"):
    """Return one that does what it can, over the same events."""
    log = DecisionLog(tmp_path / name)
    found = NextBestAction(
        actions, recommender=nba.recommender, decision_log=log, limits=limits, explore="epsilon", floor=1e-6
    )
    return found.fit()


def test_a_customer_named_twice_in_a_campaign_is_contacted_once(nba, tmp_path):
    found = limited(nba, tmp_path)
    table = found.decide_many(["k001", "k002", "k001", "k001"], at=NOW)
    assert table["customer_id"].to_pylist() == ["k001", "k002", "k001", "k001"]
    assert table["action"].to_pylist() == ["call", "call", "nothing", "nothing"]
    logged = {row["decision_id"]: row for row in found.decision_log.to_table().to_pylist()}
    for row in table.to_pylist():
        assert logged[row["decision_id"]]["customer_id"] == row["customer_id"]
        assert logged[row["decision_id"]]["action"] == row["action"]


def test_contacts_under_another_name_count_once_the_two_are_linked(log, tmp_path):
    found = NextBestAction(
        SURE, decision_log=DecisionLog(tmp_path / "d"), limits=WEEKLY, explore="epsilon", floor=1e-6
    ).fit(log)
    assert found.decide("device-7", at=NOW).action == "call"
    found.link("k001", "device-7")
    later = NOW + timedelta(hours=1)
    for name in ("k001", "device-7"):
        assert found.recommend(name, at=later).actions == ["nothing"]
        assert found.recommend_many([name], at=later, k=2).actions(0) == ["nothing"]
        assert found.decide(name, at=later).action == "nothing"
        assert found.decide_many([name], at=later)["action"].to_pylist() == ["nothing"]
    found.save(tmp_path / "shop.engage")  # links become a part of what was learned
    again = eg.load(tmp_path / "shop.engage")
    again.decision_log = found.decision_log
    assert again.recommend("k001", at=later).actions == ["nothing"]
    assert again.decide("k001", at=later).action == "nothing"
    # Who was not linked is still free.
    assert again.decide("k002", at=later).action == "call"


def test_contacts_of_identities_that_the_log_links_are_counted_together(tmp_path):
    identities = eg.IdentityMap(column="channel")
    rows = {
        "customer_id": ["1", "9", "2"], "channel": ["web", "app", "web"], "item_id": ["x", "y", "y"],
        "timestamp": [NOW - timedelta(days=3)] * 3,
    }  # fmt: skip
    store = DecisionLog(tmp_path / "d")
    store.append(DecisionRow("app:9", to_microseconds(NOW), "call"))  # before anybody knew
    identities.link(("web", "1"), ("app", "9"))
    found = NextBestAction(SURE, decision_log=store, limits=WEEKLY, explore="epsilon", floor=1e-6)
    found.fit(EventLog.from_frame(rows, identities=identities))
    later = NOW + timedelta(hours=1)
    assert found.recommend(("web", "1"), at=later).actions == ["nothing"]
    table = found.decide_many([("web", "1"), ("web", "2")], at=later)
    assert table["action"].to_pylist() == ["nothing", "call"]


def test_a_worker_whose_moment_is_a_little_earlier_sees_what_came_first_to_the_log(nba, tmp_path):
    found = limited(nba, tmp_path)
    earlier = NOW - timedelta(milliseconds=5)
    assert found.decide("k001", at=NOW).action == "call"
    assert found.decide("k001", at=earlier).action == "nothing"
    assert found.decide_many(["k001"], at=earlier)["action"].to_pylist() == ["nothing"]
    # Asked about the past, the answer is that of the past; and a week before is far enough.
    assert found.recommend("k001", at=earlier).actions == ["call", "nothing"]
    assert found.decide("k001", at=NOW - timedelta(days=7)).action == "call"
    calm = limited(nba, tmp_path, [Action("call", value=1e6, cooldown="3d")], (), "calm.sqlite")
    assert calm.decide("k001", at=NOW).action == "call"
    assert calm.decide("k001", at=earlier).action == "nothing"
    assert calm.decide("k001", at=NOW - timedelta(days=3)).action == "call"


def test_limits_of_channels_that_are_integers_hold(nba, tmp_path):
    limits = [ContactLimit(1, "7d", channel=1)]
    found = limited(nba, tmp_path, limits=limits)
    for number, expected in enumerate(["call", "nothing"]):
        assert found.decide("k001", channel=1, at=NOW + timedelta(hours=number)).action == expected
        table = found.decide_many(["k002"], channel=1, at=NOW + timedelta(hours=number))
        assert table["action"].to_pylist() == [expected]
    later = NOW + timedelta(hours=2)
    assert found.recommend("k001", channel=1, at=later).actions == ["nothing"]
    assert found.recommend("k001", channel=np.int64(1), at=later).actions == ["nothing"]
    assert found.recommend("k001", channel=2, at=later).actions == ["call", "nothing"]


def test_once_in_a_lifetime_reaches_back_beyond_all_that_a_log_can_hold(nba, tmp_path):
    found = limited(nba, tmp_path, [Action("welcome", value=1e6, cooldown="36525d")], ())
    assert found.recommend("k001", at=NOW).actions == ["welcome", "nothing"]
    assert found.decide("k001", at=NOW).action == "welcome"
    assert found.decide_many(["k001", "k002"], at=NOW)["action"].to_pylist() == ["nothing", "welcome"]
    assert found.recommend_many(["k001"], at="2100-01-01", k=2).actions(0) == ["nothing"]


def test_a_name_in_another_unicode_form_is_the_same_action(nba, tmp_path):
    name = "cafe\u0301"  # the log writes it with one letter less
    found = limited(nba, tmp_path, [Action(name, value=1e6, cooldown="7d")], ())
    assert found.decide("k001", at=NOW).action == "caf\u00e9"
    assert found.decide("k001", at=NOW + timedelta(hours=1)).action == "nothing"


def test_an_id_that_no_log_can_hold_has_no_contacts(nba, tmp_path):
    found = NextBestAction(
        SURE, recommender=nba.recommender, decision_log=DecisionLog(tmp_path / "d"), limits=WEEKLY,
        control_share=0.5,
    ).fit()  # fmt: skip
    for id_ in (2**70, 2**64 + 3, -(2**63) - 1, ""):
        one = found.recommend(id_, at=NOW)
        many = found.recommend_many([id_, id_], at=NOW, k=2)
        assert one.actions == many.actions(0) == many.actions(1)
        assert many.is_control.tolist() == [one.is_control] * 2
        with pytest.raises(eg.errors.UnknownCustomerError):
            found.forget(id_ or "nobody")


def test_ids_of_two_types_are_refused_before_anything_is_written(nba, tmp_path):
    found = limited(nba, tmp_path)
    expected = (
        "column 'customer_id' holds values of type int, str: expected either integers or strings throughout. "
        "Hint: 1 and '1' are two ids; bring the column to one type before reading it."
    )
    with pytest.raises(eg.errors.SchemaError) as caught:
        found.decide_many(["k001", 7], at=NOW)
    assert str(caught.value) == expected
    assert len(found.decision_log) == 0
    table = found.recommend_many(["k001", 7], at=NOW)
    assert len(table) == 2
    with pytest.raises(eg.errors.SchemaError) as caught:
        table.to_table()
    assert str(caught.value) == expected


def test_what_might_have_been_done_is_read_back_for_every_name(nba, tmp_path):
    names = ["Überweisung", 'say "hi"', "back\\slash"]
    found = limited(nba, tmp_path, [Action(name, value=9) for name in names], ())
    for customer in list(nba.recommender.customers_)[:6]:
        found.decide(customer, at=NOW)
    decisions = eg.actions.read_decisions(found.decision_log)
    assert decisions.allowed is not None
    assert decisions.allowed.all()
