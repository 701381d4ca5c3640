"""Decisions of a log as arrays: holes filled as said, what was drawn from, and policies that keep to it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engagelib import DecisionLog, errors
from engagelib.actions import DecisionRow, read_decisions

NOW = datetime(2024, 5, 1, tzinfo=UTC)
DAY = 86_400_000_000


def micros(days):
    return int((NOW + timedelta(days=days)).timestamp() * 1e6)


@pytest.fixture
def log(tmp_path):
    """Four decisions about two customers; one name begins as another does."""
    log = DecisionLog(tmp_path / "d.sqlite")
    both, one = [("nothing", 0.25), ("mail", 0.25), ("mail-2", 0.5)], [("nothing", 0.5), ("mail-2", 0.5)]
    rows = [
        ("a", 0, "mail", both),
        ("b", 1, "mail-2", one),
        ("a", 5, "nothing", one),
        ("b", 9, "mail-2", both),
    ]
    ids = log.append_many(
        DecisionRow(
            who, micros(day), action, p_logged=dict(drawn)[action], eligible=drawn, is_control=day == 5,
            features=np.array([day, np.nan], np.float32), features_version="v",
        )
        for who, day, action, drawn in rows
    )  # fmt: skip
    log.record(ids[0], 1.0)
    log.record(ids[3], 0.0)
    log.record(ids[1], 8.0, name="nps")
    return log


def test_every_array_is_what_the_log_holds(log):
    found = read_decisions(log)
    assert found.actions == ("mail", "mail-2", "nothing")
    assert found.action.tolist() == [0, 1, 2, 1]
    assert found.reward.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert found.p_logged.tolist() == [0.25, 0.5, 0.5, 0.5]
    assert found.time.tolist() == [micros(day) for day in (0, 1, 5, 9)]
    assert found.is_control.tolist() == [False, False, True, False]
    assert [found.customers[code] for code in found.customer.tolist()] == ["a", "b", "a", "b"]
    assert found.allowed.tolist() == [[True] * 3, [False, True, True], [False, True, True], [True] * 3]
    np.testing.assert_array_equal(found.features, [[0, np.nan], [1, np.nan], [5, np.nan], [9, np.nan]])


def test_a_parquet_file_says_the_same_as_the_log(log, tmp_path):
    log.write_parquet(tmp_path / "d.parquet")
    one, other = read_decisions(log), read_decisions(tmp_path / "d.parquet")
    for name in ("action", "reward", "p_logged", "time", "is_control", "customer", "allowed", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_other_outcomes_and_other_times(log):
    answered = read_decisions(log, outcome="nps")
    assert (answered.reward.tolist(), answered.actions) == ([8.0], ("mail-2",))
    assert len(read_decisions(log, until=NOW + timedelta(days=5))) == 2
    # Of the newest decision's last three days nothing is known yet; what is as old as that stays.
    assert len(read_decisions(log, horizon=4 * DAY)) == 3
    assert len(read_decisions(log, horizon=4 * DAY + 1)) == 2


def test_the_young_stay_where_every_outcome_is_known(log):
    table = log.to_table()
    whole = table.set_column(table.column_names.index("outcome"), "outcome", [[1.0, 0.0, 0.0, 1.0]])
    assert len(read_decisions(whole, horizon=30 * DAY)) == 4


def test_chances_and_features_are_whole_or_none(log):
    log.append(DecisionRow("c", micros(10), "mail"))
    found = read_decisions(log)
    assert found.p_logged is None
    assert found.allowed is None
    assert found.features.shape == (5, 0)


def test_a_policy_that_prefers_an_action_keeps_to_what_might_have_been_done(log):
    found = read_decisions(log)
    assert found.prefer("mail").tolist() == [0, 2, 2, 0]
    assert found.prefer("mail-2").tolist() == [1, 1, 1, 1]
    assert found.prefer("mail", otherwise="mail-2").tolist() == [0, 1, 1, 0]
    # Where neither might have been done, what was done stands.
    assert found.prefer("mail", otherwise="unheard of").tolist() == [0, 1, 2, 0]
    with pytest.raises(errors.ArgumentError) as caught:
        found.prefer("post")
    assert str(caught.value) == "action='post': expected one of mail, mail-2, nothing."


def test_what_can_not_be_read(log):
    with pytest.raises(errors.NotEnoughDataError) as caught:
        read_decisions(log, until="2001-01-01")
    assert str(caught.value) == (
        "no decision is left: expected at least one. Hint: where outcomes are missing, decisions younger "
        "than the horizon are left out, because their outcomes may still come."
    )
    with pytest.raises(errors.SchemaError, match="outcome:spend"):
        read_decisions(log, outcome="spend")
