"""A decision log among processes and threads: killed, fighting, forked."""

import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from decision_cases import decision

import engagelib.errors as errors
from engagelib.actions.decisions import DecisionLog

WRITERS = Path(__file__).parent / "decision_writers.py"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def run(case, path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(WRITERS), case, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_nothing_acknowledged_is_lost_by_fifty_kills(tmp_path):
    result = run("killed", tmp_path / "d.log")
    assert result["sound"]
    assert result["acknowledged"] > 200
    assert result["outcomes"] > 50


def test_two_processes_never_both_spend_the_last_contact(tmp_path):
    result = run("fight", tmp_path / "d.log")
    assert result["contacts"] == [2] * 150
    assert sum(result["wins"]) == 300
    assert min(result["wins"]) > 0


def test_children_of_a_fork_write_with_connections_of_their_own(tmp_path):
    result = run("fork", tmp_path / "d.log")
    assert result["codes"] == [0] * 6
    assert result["counts"] == [1, result["thread"], 50, 1]
    assert result["check"] == "ok"


def test_many_processes_may_make_one_log_at_once(tmp_path):
    assert run("create", tmp_path / "d.log") == {"codes": [0] * 8, "n": 8}


def test_threads_share_a_log_and_keep_to_a_cap(tmp_path):
    log = DecisionLog(tmp_path / "d.log")
    wins = []

    def work():
        for customer in range(40):
            with log.deciding(customer) as step:
                if not step.contacts():
                    wins.append(step.append(decision(customer)))
            assert len(log.contacts(customer)) == 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 40
    assert len(log) == 40


def test_a_step_is_unseen_until_it_ends_and_readers_do_not_wait_for_it(tmp_path):
    log, other = DecisionLog(tmp_path / "d.log"), DecisionLog(tmp_path / "d.log", timeout_seconds=0)
    with log.deciding("ann") as step:
        step.append(decision())
        assert [len(step.contacts()), len(log.contacts("ann")), len(other.contacts("ann"))] == [1, 0, 0]
    assert [len(log.contacts("ann")), len(other.contacts("ann"))] == [1, 1]


def test_an_exception_takes_a_step_back(tmp_path):
    log = DecisionLog(tmp_path / "d.log")

    def fail():
        with log.deciding("ann") as step:
            step.append(decision())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(log) == 0
    log.append(decision())
    assert len(log) == 1


def test_a_writer_that_waits_too_long_is_told_so(tmp_path):
    log = DecisionLog(tmp_path / "d.log")
    other = DecisionLog(tmp_path / "d.log", timeout_seconds=0.05)
    with log.deciding("ann"), pytest.raises(errors.DecisionLogBusyError) as caught:
        other.append(decision())
    assert isinstance(caught.value, TimeoutError)
    assert str(caught.value) == (
        f"the decision log {tmp_path / 'd.log'} was held by another writer for 0.05 seconds. "
        "Hint: keep deciding(...) blocks short, write batch jobs in parts, or raise timeout_seconds."
    )
    other.append(decision())


def test_a_thread_of_the_same_log_that_waits_too_long_is_told_so(tmp_path):
    log = DecisionLog(tmp_path / "d.log", timeout_seconds=0.05)
    told = []

    def write():
        try:
            log.append(decision())
        except errors.DecisionLogBusyError as error:
            told.append(str(error))

    with log.deciding("ann"):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert "was held by another writer for 0.05 seconds" in told[0]


def test_a_write_beside_the_own_step_is_refused(tmp_path):
    log = DecisionLog(tmp_path / "d.log")
    with log.deciding("ann"), pytest.raises(errors.DecisionLogBusyError) as caught:
        log.append(decision())
    assert str(caught.value) == (
        f"this thread has a step of the decision log {tmp_path / 'd.log'} open, and would wait for itself. "
        "Hint: inside deciding(...) write with step.append(...), or leave the block first."
    )


def test_a_step_is_over_after_its_block(tmp_path):
    log = DecisionLog(tmp_path / "d.log")
    with log.deciding("ann") as step:
        pass
    with pytest.raises(errors.ArgumentError) as caught:
        step.append(decision())
    assert str(caught.value) == (
        "this step of a decision log is over: expected a call inside its `with` block, "
        "in the process that opened it."
    )


def test_a_pickle_holds_the_path_and_the_settings(tmp_path):
    log = DecisionLog(tmp_path / "d.log", durability="power", timeout_seconds=2)
    log.append(decision())
    text = pickle.dumps(log)
    assert len(text) < 300
    again = pickle.loads(text)
    assert (again.path, again.durability, again.timeout_seconds) == (log.path, "power", 2)
    assert len(again) == 1


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
def test_how_far_a_commit_goes_is_what_was_asked_for(tmp_path, durability, level):
    log = DecisionLog(tmp_path / "d.log", durability=durability)
    with log.deciding_many() as step:
        assert step.execute("PRAGMA synchronous").fetchone() == (level,)
        assert step.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert step.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_a_new_file_made_for_power_cuts_has_its_folder_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("engagelib.actions.decisions.files._sync_folder", synced.append)
    DecisionLog(tmp_path / "d.log", durability="process")
    DecisionLog(tmp_path / "d.log", durability="power")
    assert synced == []
    DecisionLog(tmp_path / "e.log", durability="power")
    assert synced == [tmp_path]


def test_a_step_keeps_its_log_open(tmp_path):
    with DecisionLog(tmp_path / "d.log").deciding("ann") as step:
        step.append(decision())
    assert len(DecisionLog(tmp_path / "d.log")) == 1


def test_what_reads_one_state_sees_nothing_of_later_writes(tmp_path):
    log = DecisionLog(tmp_path / "d.log")

    def read(connection):
        before = len(log)
        log.append(decision())
        return before, len(log), log.to_table().num_rows

    assert log.read_state(read) == (0, 0, 0)
    assert len(log) == 1
