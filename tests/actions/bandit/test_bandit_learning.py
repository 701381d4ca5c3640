"""Learning from a decision log: each decision once, when it is mature, with its outcome as it stands."""

import numpy as np
import pytest
from bandit_cases import ACTIONS, bandit, decision, rows, same_state, same_sums
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib.errors as errors
from engagelib.actions.bandit import LinearBandit
from engagelib.actions.decisions import DecisionLog
from engagelib.times import to_datetime, to_microseconds

LATE = "2024-12-01"


@pytest.fixture
def log(tmp_path):
    with DecisionLog(tmp_path / "d.log") as opened:
        yield opened


def counts(report):
    return {name: n for name, n in report.rows if n}


def refit(log, *, at, window, **settings):
    """Learn from what stands in the log now, by the definition."""
    learned = bandit(**settings)
    newest = to_microseconds(at) - window * 86_400_000_000
    for row in log.to_table().to_pylist():
        mature = row["at"].timestamp() * 1_000_000 <= newest
        if mature and row["action"] in learned.actions and row["p_success"] is not None:
            features = np.full(3, np.nan) if row["features"] is None else np.array(row["features"])
            outcome = row["outcome"] or 0.0
            learned.update(features[None], [row["action"]], [outcome - row["p_success"]])
    return learned


def test_mature_decisions_are_folded_in_once(log):
    features, action, _ = rows(120)
    ids = log.append_many(
        decision(place % 9, ACTIONS[a], place / 4, features=x)
        for place, (a, x) in enumerate(zip(action, features, strict=True))
    )
    log.record_many({"decision_id": ids[::3], "value": np.ones(40)})
    learned = bandit()
    first = learned.learn_from(log, at="2024-01-22", outcome_window_days=7)
    assert counts(first) == {"folded in": 57, "not mature yet": 63}
    assert same_sums(learned, refit(log, at="2024-01-22", window=7))
    again = learned.learn_from(log, at="2024-01-22", outcome_window_days=7)
    assert counts(again) == {"not mature yet": 63}
    assert same_sums(learned, refit(log, at="2024-01-22", window=7))
    assert counts(learned.learn_from(log, at=LATE, outcome_window_days=7)) == {"folded in": 63}
    assert same_sums(learned, refit(log, at=LATE, window=7))
    assert learned.watermark_ == 120
    once = bandit()
    once.learn_from(log, at=LATE, outcome_window_days=7)
    assert same_state(once, learned)


def test_outcomes_that_come_late_or_are_put_right_replace_what_counted(log):
    first, second, third = log.append_many([decision(), decision(day=1), decision(day=200)])
    learned = bandit()
    learned.learn_from(log, at="2024-03-01", outcome_window_days=7)
    log.record(first, 1.0)
    log.record(third, 1.0)
    log.record(second, 5.0, name="nps")
    report = learned.learn_from(log, at="2024-03-01", outcome_window_days=7)
    assert counts(report) == {"put right": 1, "not mature yet": 1}
    log.record(first, 0.0)
    log.record(first, 0.5)
    log.record(second, 0.0)  # what it counted already
    report = learned.learn_from(log, at="2024-03-01", outcome_window_days=7)
    assert counts(report) == {"put right": 1, "not mature yet": 1}
    assert same_sums(learned, refit(log, at="2024-03-01", window=7))
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert same_sums(learned, refit(log, at=LATE, window=7))


def test_what_can_teach_little_or_nothing_is_counted(log):
    x = np.array([4.0, -1.0, 1.0])
    log.append_many(
        [
            decision(1, "nothing", features=x, is_control=True, features_version="f1"),
            decision(2, "offer"),
            decision(3, "offer", features=x, features_version="f0"),
            decision(4, "offer", features=x[:2], features_version="f1"),
            decision(5, "call", features=x, features_version="f1"),
            decision(6, "offer", features=x, features_version="f1", p_success=None),
            decision(7, "offer", features=x.astype(np.float32), features_version="f1"),
        ]
    )
    learned = bandit(features_version="f1")
    report = learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert counts(report) == {
        "folded in": 5,
        "folded in, of the control group": 1,
        "folded in, without these features": 3,
        "of actions not known": 1,
        "without p_success": 1,
    }
    gaps = np.full((3, 3), np.nan)
    features = np.vstack([x, gaps, x])
    expected = bandit().update(features, ["nothing"] + ["offer"] * 4, [-0.25] * 5)
    assert same_sums(learned, expected)


def test_an_action_that_is_added_learns_from_later_decisions_alone(log):
    early = log.append(decision(1, "call"))
    young = log.append(decision(1, "call", 300))
    learned = bandit()
    learned.learn_from(log, at="2024-03-01", outcome_window_days=7)
    learned.add_action("call")
    log.record(early, 1.0)
    late = log.append(decision(1, "call", 1))
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert learned.n_rows_.tolist() == [0, 0, 0, 1]
    for id_ in (early, young, late):
        log.record(id_, 0.5)
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert learned.targets_[3, 0] == 0.5 - 0.25


def test_an_erased_customer_was_never_there(log):
    features, action, _ = rows(90)
    ids = log.append_many(
        decision(place % 9, ACTIONS[a], place, features=x)
        for place, (a, x) in enumerate(zip(action, features, strict=True))
    )
    log.record_many({"decision_id": ids[::2], "value": np.ones(45)})
    learned = bandit()
    learned.learn_from(log, at="2024-02-15", outcome_window_days=7)
    log.record(ids[3], 0.5)  # of that customer, not yet looked at
    log.record(ids[4], 0.5)
    assert learned.erase(3, log) == 4
    assert learned.erase(3, log) == 0
    # Between the two, and without the second, nothing of the customer comes back.
    learned.learn_from(log, at="2024-02-15", outcome_window_days=7)
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    log.record(ids[12], 0.75)
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert len(learned.withdrawn_) == 10
    log.erase(3)
    assert same_sums(learned, refit(log, at=LATE, window=7))
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert same_sums(learned, refit(log, at=LATE, window=7))
    assert len(learned.withdrawn_) == 0


def test_a_failure_halfway_leaves_the_bandit_as_it_was(log, monkeypatch):
    log.append_many([decision(), decision(day=1, features=np.ones(3))])
    learned, untouched = bandit(), bandit()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("engagelib.actions.decisions.lessons.Reader.outcomes", fail)
    with pytest.raises(MemoryError):
        learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert same_state(learned, untouched)


@pytest.mark.parametrize("days", [-1, "7", float("nan")])
def test_windows_outside_their_range(log, days):
    with pytest.raises(errors.ArgumentError) as caught:
        bandit().learn_from(log, at=LATE, outcome_window_days=days)
    assert str(caught.value) == f"outcome_window_days={days!r}: expected days from 0 to 36,500."


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), st.integers(0, 3), st.integers(0, 3), st.integers(0, 60)),
        st.tuples(st.just("record"), st.integers(0, 30), st.sampled_from([0.0, 0.5, 1.0])),
        st.tuples(st.just("learn"), st.integers(0, 80)),
        st.tuples(st.just("erase"), st.integers(0, 3)),
        st.tuples(st.just("store")),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(events=EVENTS)
def test_the_state_depends_on_what_stands_in_the_log_alone(tmp_path_factory, events):
    log = DecisionLog(tmp_path_factory.mktemp("bandit") / "d.log")
    log._connections.scrub = lambda: None  # the bytes of what is erased are not looked at here
    learned, ids, day = bandit(), [], 0
    features = rows(40)[0]
    for what, *details in events:
        if what == "decide":
            customer, action, when = details
            name = [*ACTIONS, "unknown"][action]
            x = features[len(ids)] if len(ids) % 3 else None
            ids.append(log.append(decision(customer, name, when, features=x)))
        elif what == "record" and ids:
            place, value = details
            log.record_many([{"decision_id": ids[place % len(ids)], "value": value}])
        elif what == "learn":
            day = max(day, details[0])
            at = to_datetime(to_microseconds("2024-01-01") + day * 86_400_000_000)
            learned.learn_from(log, at=at, outcome_window_days=7)
            assert same_sums(learned, refit(log, at=at, window=7))
        elif what == "erase":
            learned.erase(details[0], log)
            log.erase(details[0])
        elif what == "store":
            learned = LinearBandit.from_arrays(learned.to_arrays(), learned.facts())
    learned.learn_from(log, at=LATE, outcome_window_days=7)
    assert same_sums(learned, refit(log, at=LATE, window=7))
    log.close()
