"""A decision log as a table and back, read on from a number, and summed up."""

import json

import numpy as np
import pyarrow as pa
import pytest
from decision_cases import START, decision

import engagelib.errors as errors
from engagelib.actions.decisions import DecisionLog, tables


def full_log(path, *, ids=("ann", "bob", 7)):
    log = DecisionLog(path)
    rng = np.random.default_rng(2)
    for place in range(40):
        who = ids[place % len(ids)]
        width = np.float32 if place % 3 else np.float64
        log.append(
            decision(
                who,
                ["nothing", "offer"][place % 2],
                place,
                p_logged=None if place % 5 == 0 else float(rng.uniform(0.01, 1)),
                channel="web" if place % 4 else None,
                p_success=float(rng.normal()),
                is_control=place % 7 == 0,
                terms={"x": place} if place % 2 else None,
                features=rng.normal(size=place % 4).astype(width) if place % 6 else None,
                features_version="f1",
                eligible=None
                if place % 3
                else [(["nothing", "offer"][place % 2], 1.0)]
                if place % 5 == 0
                else None,
                decision_id=f"{place:032x}",
            )
        )
        if place % 3 == 0:
            log.record(f"{place:032x}", float(rng.normal()))
        if place % 4 == 0:
            log.record(f"{place:032x}", place, name="nps")
    return log


def test_a_log_goes_through_parquet_exactly(tmp_path):
    log = full_log(tmp_path / "a.log")
    log.write_parquet(tmp_path / "d.parquet")
    again = DecisionLog.from_parquet(tmp_path / "d.parquet", tmp_path / "b.log")
    assert again.to_table().equals(log.to_table())
    for who in ("ann", 7):
        assert again.contacts(who) == log.contacts(who)
    query = "SELECT features, features_width, terms, eligible FROM decisions ORDER BY number"
    first, second = (each.read_state(lambda c: c.execute(query).fetchall()) for each in (log, again))
    assert first == second


@pytest.mark.parametrize(("ids", "kind"), [((1, 2), pa.int64()), (("1", "2"), pa.string())])
def test_ids_of_one_type_have_a_column_of_that_type(tmp_path, ids, kind):
    table = full_log(tmp_path / "a.log", ids=ids).to_table()
    assert table.schema.field("customer_id").type == kind
    assert "customer_id_type" not in table.column_names
    again = DecisionLog(tmp_path / "b.log")
    again.import_table(table)
    assert again.to_table().equals(table)


def test_an_empty_log_has_all_columns(tmp_path):
    table = DecisionLog(tmp_path / "a.log").to_table()
    assert table.num_rows == 0
    full = full_log(tmp_path / "b.log").to_table().column_names
    assert [name for name in full if name not in table.column_names] == ["customer_id_type", "outcome:nps"]
    report = DecisionLog(tmp_path / "c.log").import_table(table)
    assert (report.n_recorded, report.rejected.num_rows) == (0, 0)


def test_a_table_is_cut_by_time_and_number(tmp_path, monkeypatch):
    log = full_log(tmp_path / "a.log")
    whole = log.to_table()
    assert log.to_table(since="2024-01-11", until="2024-01-21").equals(whole.slice(10, 10))
    some = log.to_table(after_number=25)
    assert some["number"].to_pylist() == list(range(26, 41))
    monkeypatch.setattr(tables, "_BLOCK", 7)
    assert log.to_table().combine_chunks().equals(whole)


def test_reading_on_from_a_number_meets_every_decision_once(tmp_path):
    log = full_log(tmp_path / "a.log")
    seen, number = [], 0
    for n_rows in (1, 7, 100):
        for table in log.read_since(number, n_rows=n_rows):
            assert table.num_rows <= n_rows
            seen += table["number"].to_pylist()
            number = seen[-1]
        log.append(decision("new"))
    assert seen == list(range(1, 43))


def test_decisions_of_another_system_need_only_four_columns(tmp_path):
    log = DecisionLog(tmp_path / "a.log")
    report = log.import_table(
        {
            "decision_id": ["x", "y", "z", "x", None, "v", "w"],
            "customer_id": [1, 2, 3, 4, 5, None, 7],
            "at": ["2024-01-01", "2024-01-02", "1970-01-01", "2024-01-04", "2024-01-05", "2024-01-06", None],
            "action": ["offer", "nothing", "offer", "offer", "offer", "offer", "offer"],
            "unheard_of": [0] * 7,
        }
    )
    assert report.n_recorded == 2
    assert report.rejected.select(["row", "reason"]).to_pylist() == [
        {"row": 2, "reason": "at: outside the years 1990 to 2200"},
        {"row": 3, "reason": "decision_id: in the decision log already"},
        {"row": 4, "reason": "decision_id: null or empty"},
        {"row": 5, "reason": "customer_id: null or empty"},
        {"row": 6, "reason": "at: null"},
    ]
    assert [contact.at for contact in log.contacts(1)] == [START]
    assert log.contacts(2) == []


def test_structures_become_json_and_bad_values_are_set_aside(tmp_path):
    log = DecisionLog(tmp_path / "a.log")
    base = {"customer_id": "ann", "at": "2024-01-01", "action": "offer"}
    records = [
        {"decision_id": "a", **base, "p_logged": 0.5, "features": [1.0, None], "outcome": 1.0},
        {"decision_id": "b", **base, "p_logged": 1.5, "features": None, "outcome": None},
        {"decision_id": "c", **base, "p_logged": None, "features": [], "outcome": 0.0},
    ]
    for record in records:
        record["terms"] = {"x": 1}
    report = log.import_table(records)
    assert report.rejected["reason"].to_pylist() == ["p_logged: outside (0, 1]"]
    table = log.to_table()
    assert [json.loads(text) for text in table["terms"].to_pylist()] == [{"x": 1}] * 2
    assert table["outcome"].to_pylist() == [1.0, 0.0]
    assert np.isnan(table["features"].to_pylist()[0][1])
    assert table["features"].to_pylist()[1] == []


def test_a_parquet_file_with_a_bad_row_is_refused_whole(tmp_path):
    import pyarrow.parquet as pq

    table = full_log(tmp_path / "a.log").to_table()
    worse = table.set_column(table.column_names.index("p_logged"), "p_logged", pa.array([2.0] * len(table)))
    pq.write_table(worse, tmp_path / "d.parquet")
    with pytest.raises(errors.SchemaError) as caught:
        DecisionLog.from_parquet(tmp_path / "d.parquet", tmp_path / "b.log")
    assert str(caught.value) == (
        "column 'p_logged': outside (0, 1] (40 rows, first at 0, 1, 2, 3, 4 and 1 more). "
        "Hint: import_table(...) sets such rows aside and reports them."
    )


def test_a_summary_counts_by_action_and_overall(tmp_path):
    log = DecisionLog(tmp_path / "a.log")
    a, b, _ = log.append_many(
        [
            decision("ann", "offer"),
            decision("bob", "offer", 1),
            decision("cleo", "nothing", 2, is_control=True),
        ]
    )
    log.record(a, 1)
    log.record(b, 1)
    log.record(b, 0)
    log.record(b, 9, name="nps")
    summary = log.summary()
    columns = ("action", "decisions", "control share", "with outcome", "mean outcome", "first", "last")
    assert summary.columns == columns
    first, second, third = "2024-01-01 00:00", "2024-01-02 00:00", "2024-01-03 00:00"
    assert summary.rows == (
        ("offer", 2, 0.0, 2, 0.5, first, second),
        ("nothing", 1, 1.0, 0, None, third, third),
        ("all", 3, 1 / 3, 2, 0.5, first, third),
    )
    assert DecisionLog(tmp_path / "b.log").summary().rows == ()


def test_a_large_batch_of_outcomes_takes_a_moment(tmp_path):
    log = DecisionLog(tmp_path / "a.log")
    ids = log.append_many([decision(place % 100) for place in range(20_001)])
    report = log.record_many({"decision_id": [*ids, "gone"], "value": np.arange(20_002.0)})
    assert report.n_recorded == 20_001
    assert report.rejected["row"].to_pylist() == [20_001]
    assert log.to_table()["outcome"].to_pylist() == list(range(20_001))
