"""Decisions are read from any table, checked, joined and summed up."""

import json
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engagelib import errors
from engagelib.actions.encoding import FeatureEncoding
from engagelib.actions.logged import LoggedDecisions

FRAME = {
    "action": ["call", "email", "call", "wait"],
    "outcome": [1.5, 0.0, 2.0, -1.0],
    "chance": [0.5, 0.25, 0.5, 1.0],
    "visits": [3, None, 0, 7],
    "member": [True, False, None, True],
    "city": ["Ulm", "Bonn", None, "Ulm"],
    "customer": ["c2", "c1", "c2", None],
    "decided": ["2024-03-02", "2024-03-01", "2024-03-01T12:00", "2024-03-05"],
    "holdout": [False, True, False, False],
}
ASKED = {
    "p_logged": "chance",
    "features": ("visits", "member", "city"),
    "customer_id": "customer",
    "at": "decided",
    "is_control": "holdout",
}


def whole(text):
    return f"^{re.escape(text)}$"


def frame(**changed):
    return {**FRAME, **changed}


def same(left, right):
    parts = ("action", "reward", "features", "p_logged", "allowed", "customer", "time", "is_control")
    for part in parts:
        np.testing.assert_array_equal(getattr(left, part), getattr(right, part))
    return (left.actions, left.feature_names) == (right.actions, right.feature_names)


def test_a_table_becomes_arrays_in_its_order():
    found = LoggedDecisions.from_frame(FRAME, **ASKED)
    assert found.actions == ("call", "email", "wait")
    assert found.action.tolist() == [0, 1, 0, 2]
    assert found.action.dtype == np.int32
    assert found.reward.tolist() == [1.5, 0.0, 2.0, -1.0]
    assert found.p_logged.tolist() == [0.5, 0.25, 0.5, 1.0]
    assert found.feature_names == ("visits", "member", "city=Bonn", "city=Ulm")
    expected = [[3, 1, 0, 1], [np.nan, 0, 1, 0], [0, np.nan, 0, 0], [7, 1, 0, 1]]
    np.testing.assert_array_equal(found.features, np.array(expected))
    # Somebody without an id is nobody else.
    assert found.customer.tolist() == [1, 0, 1, 2]
    assert found.customers.ids([0, 1]) == ["c1", "c2"]
    days = (found.time - found.time[1]) / 86_400_000_000
    assert days.tolist() == [1.0, 0.0, 0.5, 4.0]
    assert found.is_control.tolist() == [False, True, False, False]
    assert repr(found) == "LoggedDecisions(4 decisions, 3 actions, 4 features, p_logged known)"


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "records", "parquet", "csv"])
def test_any_table_reads_alike(kind, tmp_path):
    table = pa.table(FRAME)
    if kind == "parquet":
        pq.write_table(table, tmp_path / "decisions.parquet")
    if kind == "csv":
        pd.DataFrame(FRAME).to_csv(tmp_path / "decisions.csv", index=False)
    source = {
        "pandas": lambda: pd.DataFrame(FRAME).convert_dtypes(),
        "polars": lambda: pl.DataFrame(FRAME),
        "arrow": lambda: table,
        "records": table.to_pylist,
        "parquet": lambda: tmp_path / "decisions.parquet",
        "csv": lambda: tmp_path / "decisions.csv",
    }[kind]()
    assert same(LoggedDecisions.from_frame(source, **ASKED), LoggedDecisions.from_frame(FRAME, **ASKED))


def test_actions_may_be_numbers_or_named_in_an_order_of_ones_own():
    numbers = LoggedDecisions.from_frame({"action": [10, 9, 10], "outcome": [True, False, True]})
    assert numbers.actions == ("9", "10")
    assert numbers.action.tolist() == [1, 0, 1]
    assert numbers.reward.tolist() == [1, 0, 1]
    assert numbers.p_logged is None
    assert repr(numbers) == "LoggedDecisions(3 decisions, 2 actions, 0 features, p_logged unknown)"
    named = LoggedDecisions.from_frame(FRAME, actions=["wait", "push", "email", "call"])
    assert named.actions == ("wait", "push", "email", "call")
    assert named.action.tolist() == [3, 2, 3, 0]


def test_a_draw_by_lot_has_one_chance():
    found = LoggedDecisions.from_frame(FRAME, p_logged=1 / 3)
    assert found.p_logged.tolist() == [1 / 3] * 4


def test_what_was_allowed_is_a_column_of_lists():
    lists = [["wait", "call"], ["email"], ["call", "a nobody's action"], ["wait", "email"]]
    found = LoggedDecisions.from_frame(frame(allowed=lists), allowed="allowed")
    assert found.allowed.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 1]]


def test_a_later_table_becomes_the_same_features():
    first = LoggedDecisions.from_frame(FRAME, **ASKED)
    new = {"visits": [1.0, None], "member": [None, False], "city": ["Bonn", "Rome"]}
    expected = np.array([[1, np.nan, 1, 0], [np.nan, 0, 0, 0]])
    np.testing.assert_array_equal(first.encoding.encode(new), expected)
    kept = FeatureEncoding.from_facts(json.loads(json.dumps(first.encoding.facts())))
    assert kept == first.encoding
    later = LoggedDecisions.from_frame({**new, "action": ["a", "b"], "outcome": [1, 2]}, features=kept)
    np.testing.assert_array_equal(later.features, expected)
    assert FeatureEncoding.learn(FRAME, ["visits", "member", "city"]) == kept
    # A column of nulls has no type of its own.
    empty = first.encoding.encode({"visits": [None], "member": [None], "city": [None]})
    np.testing.assert_array_equal(empty, [[np.nan, np.nan, 0, 0]])


def test_texts_that_look_like_numbers_stay_texts_in_a_later_file(tmp_path):
    encoding = FeatureEncoding.learn({"size": ["10", "XL"]}, ["size"])
    (tmp_path / "new.csv").write_text("size\n10\n10\n")
    assert encoding.encode(tmp_path / "new.csv").tolist() == [[1, 0], [1, 0]]


def test_each_row_without_a_customer_is_a_customer_of_its_own():
    source = {"action": ["a"] * 4, "outcome": [1] * 4, "who": [None, 7, None, 7]}
    found = LoggedDecisions.from_frame(source, customer_id="who")
    assert found.customer.tolist() == [1, 0, 2, 0]
    both = LoggedDecisions.concat([found, found])
    assert both.customer.tolist() == [1, 0, 2, 0, 3, 0, 4, 0]


def test_a_column_of_texts_that_are_empty_is_one_of_texts():
    encoding = FeatureEncoding.learn({"note": ["", None]}, ["note"])
    assert encoding.names == ("note=",)
    assert encoding.encode({"note": ["", "a", None]}).tolist() == [[0], [0], [0]]


def test_decisions_are_put_behind_each_other():
    first = LoggedDecisions.from_frame(FRAME, **ASKED)
    second = LoggedDecisions.from_frame(
        {
            "action": ["push", "call"],
            "outcome": [5, 6],
            "customer": ["c3", "c2"],
            **{name: FRAME[name][:2] for name in ("visits", "member", "city")},
        },
        customer_id="customer",
        features=first.encoding,
    )
    both = LoggedDecisions.concat([first, second])
    assert both.actions == ("call", "email", "wait", "push")
    assert both.action.tolist() == [0, 1, 0, 2, 3, 0]
    assert both.reward.tolist() == [1.5, 0, 2, -1, 5, 6]
    assert both.p_logged is None
    assert both.time is None
    assert both.allowed.tolist() == [[1, 1, 1, 0]] * 4 + [[1, 0, 0, 1]] * 2
    assert both.customers.ids([0, 1, 2]) == ["c1", "c2", "c3"]
    assert both.customer.tolist() == [1, 0, 1, 3, 2, 1]
    assert both.encoding == first.encoding
    assert same(LoggedDecisions.concat([first]), first)


def test_parts_put_together_again_are_the_whole():
    found = LoggedDecisions.from_frame(FRAME, **ASKED)
    assert same(LoggedDecisions.concat([found.take(np.arange(2)), found.take(np.array([2, 3]))]), found)
    control = found.take(found.is_control)
    assert control.action.tolist() == [1]
    assert control.allowed is None


def test_actions_are_summed_up():
    decisions = LoggedDecisions.from_frame(
        {"action": ["a", "a", "a", "b", "b"], "outcome": [1, 2, 6, 5, 7], "who": [1, 2, 3, 4, 4]},
        customer_id="who",
        actions=["a", "b", "c"],
    )
    table = decisions.by_action()
    assert table.columns == ("action", "n", "mean", "low", "high")
    # 1, 2, 6: mean 3, standard error 1.5275, t of 2 degrees 4.3027; one customer alone has no interval.
    assert table.rows[0] == ("a", 3, 3.0, pytest.approx(-3.5724, abs=1e-4), pytest.approx(9.5724, abs=1e-4))
    assert table.rows[1:] == (("b", 2, 6.0, None, None), ("c", 0, None, None, None))
    (_, _, _, low, high), *_ = decisions.by_action(level=0.5).rows
    assert high - low == pytest.approx(2 * 0.81650 * 1.52753, rel=1e-4)


HINT = "Hint: leave out such rows, or find out what they should hold."


@pytest.mark.parametrize(
    ("changed", "asked", "column", "row", "text"),
    [
        ({"action": ["a", None, "b", ""]}, {}, "action", 1, f"null (2 rows, first at 1, 3). {HINT}"),
        ({"outcome": [1, 2, None, 3]}, {}, "outcome", 2, f"null (1 row, first at 2). {HINT}"),
        ({"outcome": [1, 2, np.inf, 3]}, {}, "outcome", 2, f"infinite (1 row, first at 2). {HINT}"),
        (
            {"chance": [0.5, 0, 1.5, -1]},
            {"p_logged": "chance"},
            "chance",
            1,
            f"no chance above 0 and up to 1 (3 rows, first at 1, 2, 3). {HINT}",
        ),
        (
            {"chance": [None, 1, 1, 1]},
            {"p_logged": "chance"},
            "chance",
            0,
            f"null (1 row, first at 0). {HINT}",
        ),
        (
            {"decided": ["yesterday"] + ["2024-01-01"] * 3},
            {"at": "decided"},
            "decided",
            0,
            f"no time in ISO 8601 (1 row, first at 0). {HINT}",
        ),
        (
            {"visits": [1, np.inf, 2, 3]},
            {"features": ["visits"]},
            "visits",
            1,
            "infinite (1 row, first at 1). Hint: leave out such rows, or put null where a number is unknown.",
        ),
        (
            {"holdout": [True, None, False, False]},
            {"is_control": "holdout"},
            "holdout",
            1,
            "neither true nor false (1 row, first at 1). Hint: every decision is the control group's or not.",
        ),
        (
            {"customer": ["c"] * 3 + ["x" * 2000]},
            {"customer_id": "customer"},
            "customer",
            3,
            "an id of more than 1,024 bytes (1 row, first at 3). Hint: ids of that length are mostly "
            "something else.",
        ),
    ],
)
def test_rows_that_can_not_be(changed, asked, column, row, text):
    with pytest.raises(errors.SchemaError, match=whole(f"column {column!r}: {text}")) as caught:
        LoggedDecisions.from_frame(frame(**changed), **asked)
    assert (caught.value.column, caught.value.row) == (column, row)


@pytest.mark.parametrize(
    ("changed", "asked", "error", "text"),
    [
        (
            {},
            {"reward": "revenue"},
            errors.SchemaError,
            "column 'revenue', which reward= names, is missing. Found: action, outcome, chance, visits, "
            "member, city, customer, decided and 1 more.",
        ),
        (
            {},
            {"actions": ["call", "wait"]},
            errors.SchemaError,
            "column 'action': 'email' is none of actions= (first at row 1): expected one of call, wait. "
            "Hint: name every action that was taken.",
        ),
        (
            {"city": [["Ulm"]] * 4},
            {"features": ["city"]},
            errors.SchemaError,
            "column 'city' is of type list<item: string>: expected numbers.",
        ),
        (
            {"action": [True, False, True, True]},
            {},
            errors.SchemaError,
            "column 'action' is of type bool: expected ids as integers or strings. Hint: True and False "
            "are no ids; was another column meant?",
        ),
        (
            {"action": [], "outcome": []},
            {},
            errors.SchemaError,
            "the table of decisions has no rows: expected at least one event. Hint: check the path, query "
            "or filter that it came from.",
        ),
        (
            {"allowed": ["call", "email", "call", "wait"]},
            {"allowed": "allowed"},
            errors.SchemaError,
            "column 'allowed' is of type string: expected lists of names of actions.",
        ),
        (
            {"allowed": [["call"], ["call"], ["call"], ["wait"]]},
            {"allowed": "allowed"},
            errors.ArgumentError,
            "decision 1 took 'email', which `allowed` rules out there: expected the action taken to be "
            "among those allowed. Hint: do the columns of `allowed` stand in the order of `actions`?",
        ),
        (
            {},
            {"p_logged": 0},
            errors.ArgumentError,
            "p_logged=0: expected the name of a column, or a number above 0 and up to 1.",
        ),
        (
            {},
            {"features": ["city", "city"]},
            errors.ArgumentError,
            "features=['city', 'city']: expected each column once.",
        ),
        (
            {},
            {"features": "city"},
            errors.ArgumentError,
            "features='city': expected a sequence of names of columns.",
        ),
    ],
)
def test_tables_that_can_not_be(changed, asked, error, text):
    source = changed if "action" in changed and not changed["action"] else frame(**changed)
    with pytest.raises(error, match=whole(text)):
        LoggedDecisions.from_frame(source, **asked)


def test_a_column_of_ids_is_no_feature():
    source = {"action": ["a"] * 300, "outcome": [0] * 300, "who": [f"c{n}" for n in range(300)]}
    text = (
        "column 'who' holds 300 different texts: expected at most 256 of a feature, each becomes a column. "
        "Hint: ids are no features; group rare values first."
    )
    with pytest.raises(errors.SchemaError, match=whole(text)):
        LoggedDecisions.from_frame(source, features=["who"])


def test_a_later_table_of_other_types():
    encoding = FeatureEncoding.learn(FRAME, ["visits", "city"])
    text = "column 'city' is of type int64: expected text, as when the encoding was learned."
    with pytest.raises(errors.SchemaError, match=whole(text)):
        encoding.encode({"visits": [1], "city": [2]})
    text = "column 'visits' is of type string: expected numbers, as when the encoding was learned."
    with pytest.raises(errors.SchemaError, match=whole(text)):
        encoding.encode({"visits": ["1"], "city": ["Ulm"]})


def made(**changed):
    arrays = {
        "actions": ("a", "b"),
        "action": np.array([0, 1]),
        "reward": np.array([1.0, 2.0]),
        "features": np.zeros((2, 1)),
        "feature_names": ("x",),
    }
    return LoggedDecisions(**{**arrays, **changed})


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"actions": ("a", "a")}, "actions=('a', 'a'): expected at least one name, each once."),
        ({"reward": np.zeros(3)}, "reward has shape (3,): expected (2,)."),
        ({"features": np.zeros((2, 2))}, "features has shape (2, 2): expected (2, 1)."),
        ({"allowed": np.ones((2, 3), bool)}, "allowed has shape (2, 3): expected (2, 2)."),
        ({"customer": np.zeros(1, int)}, "customer has shape (1,): expected (2,)."),
        ({"action": np.array([0, 2])}, "action[1]=2: expected a code below 2."),
        ({"reward": np.array([0, np.nan])}, "reward[1]=nan: expected a finite number."),
        (
            {"features": np.array([[np.nan], [np.inf]])},
            "features[1]=[inf]: expected finite numbers, or NaN where one is missing.",
        ),
    ],
)
def test_arrays_that_do_not_fit_each_other(changed, text):
    assert made().checked().actions == ("a", "b")
    with pytest.raises(errors.ArgumentError, match=whole(text)):
        made(**changed).checked()


def test_decisions_described_in_another_way_are_not_joined():
    text = (
        "the features differ: y, expected x. Hint: pass the first one's encoding as features= to "
        "LoggedDecisions.from_frame() for the others."
    )
    with pytest.raises(errors.ArgumentError, match=whole(text)):
        LoggedDecisions.concat([made(), made(feature_names=("y",))])
    with pytest.raises(errors.ArgumentError, match=whole("parts=[]: expected at least one LoggedDecisions.")):
        LoggedDecisions.concat([])
