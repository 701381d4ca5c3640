"""What a decision log holds: decisions, contacts, outcomes, and nothing of whom it erased."""

import math
from collections import defaultdict
from unittest.mock import patch

import numpy as np
import pytest
from decision_cases import START, decision
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib.errors as errors
from engagelib.actions.decisions import Contact, DecisionLog
from engagelib.times import DAY


@pytest.fixture
def log(tmp_path):
    with DecisionLog(tmp_path / "d.log") as opened:
        yield opened


def outcomes(log, name="outcome"):
    table = log.to_table()
    return dict(zip(table["decision_id"].to_pylist(), table[name].to_pylist(), strict=True))


def test_a_decision_is_read_as_it_was_logged(log):
    features = np.array([1.5, np.nan, -0.0, np.inf], np.float32)
    given = decision(
        "zoë",
        "offer",
        p_logged=0.25,
        channel="web",
        location="Paris",
        p_success=0.125,
        is_control=True,
        policy_version="v1",
        terms={"value": np.float64(2.5), "n": np.int64(3), "why": ["a", None]},
        features=features,
        features_version="f1",
        eligible=[("offer", 0.25), ("nothing", np.float64(0.75))],
        decision_id="mine",
    )
    assert log.append(given) == "mine"
    (row,) = log.to_table().to_pylist()
    assert np.array_equal(np.array(row.pop("features"), np.float32), features, equal_nan=True)
    assert row.pop("at").timestamp() * 1_000_000 == START
    assert row == {
        "number": 1,
        "decision_id": "mine",
        "customer_id": "zoë",
        "channel": "web",
        "location": "Paris",
        "action": "offer",
        "p_logged": 0.25,
        "p_success": 0.125,
        "is_control": True,
        "policy_version": "v1",
        "terms": '{"value":2.5,"n":3,"why":["a",null]}',
        "features_width": 4,
        "features_version": "f1",
        "eligible": '[["offer",0.25],["nothing",0.75]]',
        "outcome": None,
    }


def test_ids_of_decisions_are_drawn_at_random(log):
    ids = log.append_many([decision() for _ in range(100)])
    assert len({*ids, log.append(decision())}) == 101
    assert all(len(id_) == 32 and int(id_, 16) >= 0 for id_ in ids)


def test_customers_are_told_apart_by_type_and_value(log):
    ids = [1, "1", "01", " 1", 2**63 - 1, -(2**63), "a", "A", "1.0", "é", "a\x00b"]
    for place, id_ in enumerate(ids):
        log.append(decision(id_, f"a{place}"))
    log.append(decision(np.int64(1), "numpy"))
    log.append(decision("e\u0301", "composed"))
    found = {id_: [contact.action for contact in log.contacts(id_)] for id_ in ids}
    assert found == {
        id_: [f"a{place}", *{1: ["numpy"], "é": ["composed"]}.get(id_, [])] for place, id_ in enumerate(ids)
    }
    many = log.contacts_many(ids)
    assert many.row.tolist() == sorted([*range(len(ids)), 0, 9])
    table = log.to_table().slice(0, len(ids))
    kinds = {"int": int, "str": str}
    assert [
        kinds[kind](id_)
        for id_, kind in zip(
            table["customer_id"].to_pylist(), table["customer_id_type"].to_pylist(), strict=True
        )
    ] == ids


def test_contacts_are_decisions_but_those_to_do_nothing_oldest_first(log):
    log.append(decision("ann", "offer", 3, channel="web"))
    log.append(decision("ann", "nothing", 2))
    log.append(decision("ann", "survey", 1))
    log.append(decision("bob", "offer", 1))
    offer = Contact("offer", "web", START + 3 * DAY)
    assert log.contacts("ann") == [Contact("survey", None, START + DAY), offer]
    assert log.contacts("ann", START + DAY + 1) == [offer]
    assert log.contacts("ann", START + 3 * DAY) == [offer]
    assert log.contacts("cleo") == []
    with log.deciding("ann") as step:
        assert step.contacts() == log.contacts("ann")
        assert step.contacts(START + 3 * DAY) == [offer]
        assert step.contacts(customer_id="bob") == log.contacts("bob")


def test_contacts_of_many_customers_are_those_of_each(log):
    rng = np.random.default_rng(3)
    names = ["nothing", "offer", "survey"]
    log.append_many(
        decision(int(c), names[a], float(d), channel=[None, "web", "app"][a])
        for c, a, d in zip(
            rng.integers(0, 9, 60), rng.integers(0, 3, 60), rng.integers(0, 30, 60), strict=True
        )
    )
    asked = [5, 3, "3", 77, *range(9), 5]
    for since in (None, START + 10 * DAY):
        many = log.contacts_many(asked, since)
        got = defaultdict(list)
        for row, action, channel, at in zip(many.row, many.action, many.channel, many.at, strict=True):
            name = many.channels[channel] if channel >= 0 else None
            got[int(row)].append(Contact(many.actions[action], name, int(at)))
        assert [sorted(got[row]) for row in range(len(asked))] == [
            sorted(log.contacts(c, since)) for c in asked
        ]
        assert (np.lexsort((many.at, many.row)) == np.arange(len(many))).all()
        with log.deciding_many() as step:
            assert step.contacts_many(asked, since).at.tolist() == many.at.tolist()
    assert len(log.contacts_many(np.array([], np.int64))) == 0


def test_counts_are_of_the_customer_or_of_everyone(log):
    log.append_many(
        [
            decision("ann", "offer", 1, channel="web"),
            decision("ann", "offer", 2, channel="app"),
            decision("ann", "survey", 3, channel="app"),
            decision("ann", "nothing", 3, channel="app"),
            decision("bob", "offer", 4, channel="app"),
        ]
    )
    with log.deciding("ann") as step:
        assert step.count() == 3
        assert step.count(action="offer") == 2
        assert step.count(action="nothing") == 1
        assert step.count(channel="app") == 2
        assert step.count(action="offer", channel="app", since=START + 2 * DAY) == 1
        assert step.count(customer_id="bob") == 1
        assert step.count(everyone=True) == 4
        assert step.count(action="offer", everyone=True, since=START + 2 * DAY) == 2
        step.append(decision("ann", "offer", 5))
        assert step.count(action="offer", everyone=True) == 4


def test_the_outcome_of_a_name_is_the_last_one_recorded(log):
    first, second = log.append_many([decision(), decision()])
    log.record(first, 1.0, at="2024-02-01")
    log.record(first, 1.0, at="2024-02-01")
    log.record(first, 9, name="nps")
    log.record(first, 0.5, at="2024-01-02")
    log.record(first)
    assert outcomes(log) == {first: 1.0, second: None}
    log.record(first, 0.0)
    assert outcomes(log) == {first: 0.0, second: None}
    assert outcomes(log, "outcome:nps") == {first: 9.0, second: None}


def test_many_outcomes_are_recorded_in_order_and_those_of_unknown_decisions_set_aside(log):
    first, second = log.append_many([decision(), decision()])
    table = {
        "decision_id": [first, "gone", second, first, None, second, second],
        "value": [1.0, 2.0, 3.0, 0.0, 1.0, math.nan, 7.0],
        "name": ["success", None, "", None, None, None, "nps"],
    }
    report = log.record_many(table)
    assert report.n_recorded == 4
    assert report.rejected.select(["row", "reason"]).to_pylist() == [
        {"row": 1, "reason": "decision_id: not in the decision log"},
        {"row": 4, "reason": "decision_id: null or empty"},
        {"row": 5, "reason": "value: null"},
    ]
    assert report.rejected["value"].to_pylist()[:2] == [2.0, 1.0]
    assert repr(report) == "Recorded(4 recorded, 3 rejected)"
    assert outcomes(log) == {first: 0.0, second: 3.0}
    assert outcomes(log, "outcome:nps") == {first: None, second: 7.0}
    again = log.record_many([{"decision_id": first, "value": 1, "at": "2024-02-01"}])
    assert (again.n_recorded, again.rejected.num_rows) == (1, 0)
    assert outcomes(log)[first] == 1.0


def files_of(path):
    return b"".join(
        part.read_bytes() for part in sorted(path.parent.iterdir()) if part.name.startswith(path.name)
    )


def test_no_byte_of_an_erased_customer_is_left_in_any_file(tmp_path):
    path = tmp_path / "d.log"
    log = DecisionLog(path)
    rng = np.random.default_rng(5)
    number = 0x7A6B5C4D3E2F1A0B
    ids = []
    for place in rng.integers(0, 60, 1500).tolist():
        who = number + place if place % 2 else f"customer-{place:03d}-secret"
        terms = {"note": f"term-{place:03d}-secret" + "x" * int(rng.integers(0, 700))}
        features = np.full(int(rng.integers(1, 600)), 1e6 + place)
        ids.append(log.append(decision(who, "offer", terms=terms, features=features)))
        if place % 3 == 0:
            log.record(ids[-1], 1000.0 + place)

    def traces(place):
        who = (number + place).to_bytes(8, "big") if place % 2 else f"customer-{place:03d}".encode()
        others = (f"term-{place:03d}".encode(), np.full(2, 1e6 + place).tobytes())
        data = files_of(path)
        return [data.count(trace) for trace in (who, *others)]

    gone = (6, 7, 33, 58)
    assert all(min(traces(place)) > 0 for place in gone)
    n = len(log)
    mine = [log.erase(number + place if place % 2 else f"customer-{place:03d}-secret") for place in gone]
    assert min(mine) > 10
    assert len(log) == n - sum(mine)
    assert [traces(place) for place in gone] == [[0, 0, 0]] * 4
    assert min(traces(8)) > 0
    left = log.read_state(lambda c: c.execute("SELECT count(*) FROM outcomes").fetchone())
    known = log.read_state(
        lambda c: c.execute(
            "SELECT count(*) FROM outcomes JOIN decisions d ON d.number = decision"
        ).fetchone()
    )
    assert left == known
    assert log.erase("customer-006-secret") == 0
    several = [f"customer-{place:03d}-secret" for place in (8, 10)]
    assert log.erase(*several) > 20
    assert [traces(place) for place in (8, 10)] == [[0, 0, 0]] * 2


def test_an_erasure_that_a_reader_keeps_from_the_bytes_says_so_and_can_be_repeated(tmp_path):
    log = DecisionLog(tmp_path / "d.log", timeout_seconds=0.05)
    log.append(decision("customer-secret"))
    reader = DecisionLog(tmp_path / "d.log")

    def erase_meanwhile(connection):
        connection.execute("SELECT count(*) FROM decisions").fetchone()
        with pytest.raises(errors.DecisionLogBusyError) as caught:
            log.erase("customer-secret")
        return str(caught.value)

    assert reader.read_state(erase_meanwhile) == (
        f"the customer was erased from the decision log {tmp_path / 'd.log'}, but others kept it in "
        "use for 0.05 seconds, so bytes of what was erased remain in its files. "
        "Hint: call erase(...) again when nobody else reads or writes the log."
    )
    assert len(log) == 0
    log.erase("customer-secret")
    assert b"customer-secret" not in files_of(tmp_path / "d.log")


def test_numbers_are_never_used_again(log):
    log.append_many([decision("ann"), decision("bob")])
    log.erase("bob")
    log.append(decision("cleo"))
    assert log.to_table()["number"].to_pylist() == [1, 3]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"),
            st.sampled_from([1, "1", "ann"]),
            st.sampled_from(["nothing", "offer"]),
            st.integers(0, 5),
        ),
        st.tuples(
            st.just("record"), st.integers(0, 12), st.sampled_from(["success", "nps"]), st.integers(0, 3)
        ),
        st.tuples(st.just("many"), st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=4)),
        st.tuples(st.just("erase"), st.sampled_from([1, "1", "ann"])),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


# The bytes of what is erased are another test's; writing files anew would make this one slow.
@patch("engagelib.actions.decisions.files.Connections.scrub", lambda connections: None)
@settings(max_examples=30, deadline=None)
@given(operations=OPERATIONS)
def test_a_log_is_what_a_dict_of_decisions_and_one_of_outcomes_would_be(tmp_path_factory, operations):
    path = tmp_path_factory.mktemp("model") / "d.log"
    log, rows, came, ids = DecisionLog(path), {}, {}, ["never"]
    for what, *given_ in operations:
        if what == "append":
            customer, action, day = given_
            ids.append(log.append(decision(customer, action, day)))
            rows[ids[-1]] = (customer, action, START + day * DAY)
        elif what == "record":
            place, name, value = given_
            if ids[place % len(ids)] in rows:
                log.record(ids[place % len(ids)], value, name=name)
                came[ids[place % len(ids)], name] = value
            else:
                with pytest.raises(errors.UnknownDecisionError):
                    log.record(ids[place % len(ids)], value, name=name)
        elif what == "many":
            pairs = [(ids[place % len(ids)], value) for place, value in given_[0]]
            records = [{"decision_id": id_, "value": value} for id_, value in pairs]
            expected = [(id_, value) for id_, value in pairs if id_ in rows]
            if records:
                assert log.record_many(records).n_recorded == len(expected)
            came |= {(id_, "success"): value for id_, value in expected}
        elif what == "erase":
            mine = [
                id_ for id_, row in rows.items() if row[0] == given_[0] and type(row[0]) is type(given_[0])
            ]
            assert log.erase(given_[0]) == len(mine)
            for id_ in mine:
                del rows[id_]
            came = {key: value for key, value in came.items() if key[0] in rows}
        else:
            log.close()
            log = DecisionLog(path)
    table = log.to_table()
    assert table["decision_id"].to_pylist() == list(rows)
    assert table["action"].to_pylist() == [row[1] for row in rows.values()]
    assert table["outcome"].to_pylist() == [came.get((id_, "success")) for id_ in rows]
    if any(name == "nps" for _, name in came):
        assert table["outcome:nps"].to_pylist() == [came.get((id_, "nps")) for id_ in rows]
    for customer in (1, "1", "ann"):
        mine = [
            (at, action) for c, action, at in rows.values() if c == customer and type(c) is type(customer)
        ]
        assert sorted((contact.at, contact.action) for contact in log.contacts(customer)) == sorted(
            (at, action) for at, action in mine if action != "nothing"
        )
    assert len(log) == len(rows)
    log.close()
