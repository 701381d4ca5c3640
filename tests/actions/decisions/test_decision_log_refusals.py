"""What a decision log refuses, word by word."""

import sqlite3

import numpy as np
import pytest
from decision_cases import decision

import engagelib.errors as errors
from engagelib.actions.decisions import DecisionLog


def refusal(kind, call, *arguments, **named):
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    return str(caught.value)


MICROS = "expected whole microseconds since 1970, from the years 1990 to 2200. "


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"customer_id": 1.0},
            "customer_id=1.0: expected an integer of 64 bits or a text that is not empty.",
        ),
        (
            {"customer_id": True},
            "customer_id=True: expected an integer of 64 bits or a text that is not empty.",
        ),
        (
            {"customer_id": 2**63},
            "customer_id=9223372036854775808: expected an integer of 64 bits or a text that is not empty.",
        ),
        ({"customer_id": ""}, "customer_id='': expected a text that is not empty."),
        (
            {"customer_id": "\ud800"},
            "customer_id='\\ud800': expected text that UTF-8 can hold. "
            "Hint: half a surrogate pair has no place in UTF-8.",
        ),
        ({"action": None}, "action=None: expected a text that is not empty."),
        ({"channel": ""}, "channel='': expected a text that is not empty."),
        ({"p_logged": 0.0}, "p_logged=0.0: expected a probability above 0 and up to 1, or None."),
        ({"p_logged": 1.5}, "p_logged=1.5: expected a probability above 0 and up to 1, or None."),
        ({"p_logged": np.nan}, "p_logged=nan: expected a probability above 0 and up to 1, or None."),
        ({"p_success": np.inf}, "p_success=inf: expected a finite number or None."),
        (
            {"terms": {"x": np.nan}},
            "terms={'x': nan}: expected what JSON can hold. "
            "Hint: Out of range float values are not JSON compliant.",
        ),
        (
            {"terms": {"x": {1}}},
            "terms={'x': {1}}: expected what JSON can hold. Hint: set is not JSON.",
        ),
        ({"features": np.zeros((1, 1))}, "features=array([[0.]]): expected numbers in one dimension."),
        (
            {"eligible": [("survey", 1.0)], "p_logged": 1.0},
            "action='offer' with p_logged=1.0: in eligible 'offer' is not among them. "
            "Expected the action to be one of those, with the probability it was drawn with.",
        ),
        (
            {"eligible": [("offer", 0.5), ("survey", 0.5)], "p_logged": 0.25},
            "action='offer' with p_logged=0.25: in eligible 'offer' has 0.5. "
            "Expected the action to be one of those, with the probability it was drawn with.",
        ),
    ],
)
def test_decisions_that_cannot_be_logged(tmp_path, fields, text):
    log = DecisionLog(tmp_path / "d.log")
    given = refusal(errors.ArgumentError, log.append, decision(**fields))
    # Versions of Python spell JSON's refusal with or without the number.
    assert given.replace("compliant: nan.", "compliant.") == text
    assert len(log) == 0


@pytest.mark.parametrize("at", ["2024-01-01", 1.7e15, True, 1_700_000_000])
def test_moments_that_are_no_microseconds(tmp_path, at):
    row = decision()
    row.at = at
    log = DecisionLog(tmp_path / "d.log")
    assert refusal(errors.ArgumentError, log.append, row) == (
        f"at={at!r}: {MICROS}Hint: times.to_microseconds turns a datetime or an ISO text into these."
    )
    assert refusal(errors.ArgumentError, log.contacts, "ann", at).startswith(f"since={at!r}: expected")


def test_ids_of_decisions_that_are_taken(tmp_path):
    log = DecisionLog(tmp_path / "d.log")
    log.append(decision(decision_id="mine"))
    text = (
        "decision_id='mine' is in the decision log already: expected a new one. "
        "Hint: leave decision_id out, and one is drawn."
    )
    assert refusal(errors.ArgumentError, log.append, decision(decision_id="mine")) == text
    rows = [decision(decision_id="new"), decision(decision_id="mine")]
    assert refusal(errors.ArgumentError, log.append_many, rows) == text
    rows = [decision(decision_id="new"), decision(decision_id="new")]
    assert refusal(errors.ArgumentError, log.append_many, rows) == text.replace("mine", "new")
    assert len(log) == 1
    with log.deciding_many() as step:
        refusal(errors.ArgumentError, step.append_many, rows)
        step.append(decision(decision_id="other"))
    assert log.to_table()["decision_id"].to_pylist() == ["mine", "other"]


def test_outcomes_that_cannot_be_recorded(tmp_path):
    log = DecisionLog(tmp_path / "d.log")
    id_ = log.append(decision())
    assert refusal(errors.UnknownDecisionError, log.record, "gone") == (
        "decision_id='gone' is not in the decision log. "
        "Hint: was it logged in another file, or its customer erased?"
    )
    assert issubclass(errors.UnknownDecisionError, LookupError)
    assert refusal(errors.UnknownDecisionError, log.record, None).startswith("decision_id=None is not in")
    assert refusal(errors.ArgumentError, log.record, id_, np.nan) == "value=nan: expected a finite number."
    assert refusal(errors.ArgumentError, log.record, id_, "1") == "value='1': expected a finite number."
    assert (
        refusal(errors.ArgumentError, log.record, id_, name="")
        == "name='': expected a text that is not empty."
    )
    assert refusal(errors.SchemaError, log.record_many, {"decision_id": [id_]}) == (
        "column 'value' is missing. Found: decision_id. Hint: rename the column."
    )


def test_files_that_are_no_decision_log(tmp_path):
    path = tmp_path / "d.log"
    hint = "Hint: give the path of a log that engagelib made, or of a file that does not exist yet."
    path.write_text("customer,item\n" * 200)
    assert refusal(errors.ArtifactError, DecisionLog, path) == (
        f"{path} is no decision log: file is not a database. {hint}"
    )
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    before = path.read_bytes()
    assert refusal(errors.ArtifactError, DecisionLog, path) == (
        f"{path} is no decision log: it is a database of another program. {hint}"
    )
    assert path.read_bytes() == before


def test_a_file_of_a_newer_layout(tmp_path):
    path = tmp_path / "d.log"
    DecisionLog(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version=2")
    newer.close()
    assert refusal(errors.ArtifactError, DecisionLog, path) == (
        f"the decision log {path} has layout 2; this release reads layouts up to 1. "
        "Hint: it was written by a newer engagelib; upgrade this one."
    )


def test_a_damaged_file(tmp_path):
    path = tmp_path / "d.log"
    with DecisionLog(path) as log:
        log.append_many(decision(place) for place in range(2000))
    raw = bytearray(path.read_bytes())
    raw[8192:] = b"\xff" * (len(raw) - 8192)
    path.write_bytes(raw)
    log = DecisionLog(path)
    text = (
        f"the decision log {path} is damaged: database disk image is malformed. "
        "Hint: restore it from a copy, or recover what is left with `sqlite3 FILE .recover`."
    )
    assert refusal(errors.ArtifactError, log.to_table) == text
    assert refusal(errors.ArtifactError, log.append, decision()) == text


def test_settings_and_folders(tmp_path):
    path = tmp_path / "none" / "d.log"
    assert refusal(errors.ArtifactError, DecisionLog, path) == (
        f"the decision log {path} can't be made: its folder does not exist. Hint: make the folder first."
    )
    assert refusal(errors.ArgumentError, DecisionLog, tmp_path / "d.log", durability="full") == (
        "durability='full': expected 'process' or 'power'."
    )
    assert refusal(errors.ArgumentError, DecisionLog, tmp_path / "d.log", timeout_seconds=-1) == (
        "timeout_seconds=-1: expected seconds from 0 to 86,400."
    )
    assert not (tmp_path / "d.log").exists()


def test_a_closed_log(tmp_path):
    with DecisionLog(tmp_path / "d.log") as log:
        log.append(decision())
    text = f"the decision log {tmp_path / 'd.log'} is closed. Hint: open it again with DecisionLog(path)."
    assert refusal(errors.ArgumentError, log.append, decision()) == text
    assert refusal(errors.ArgumentError, log.contacts, "ann") == text
    log.close()


def test_a_log_inherited_within_a_step():
    assert str(errors.decisions.inherited("d.log")) == (
        "the decision log d.log was inherited from a process that forked while a step of it was open. "
        "Hint: open it anew with DecisionLog(path) in a process that is started, not forked, or fork outside "
        "of deciding(...)."
    )
