"""Whole texts of refusals that the tests of their rooms meet only in part."""

import pytest

import engagelib as eg
from engagelib import errors, store
from engagelib.testing import random_log


def test_a_saved_model_of_an_unknown_name(tmp_path, monkeypatch):
    eg.Recommender("popularity").fit(random_log()).save(tmp_path / "shop.engage")
    saved = store.open_artifact(tmp_path / "shop.engage")
    models = [{"name": "oracle", "params": {}}]
    store.publish(tmp_path / "shop.engage", saved.kind, dict(saved.arrays), {**saved.meta, "models": models})
    # Without the models that other tests define, which count as known once they are.
    monkeypatch.setattr("engagelib.models._subclasses", lambda model: ())
    with pytest.raises(errors.ArtifactError) as caught:
        eg.load(tmp_path / "shop.engage")
    assert str(caught.value) == (
        "the file holds a model named 'oracle': expected one of als, bpr, content, customer_knn, ease, "
        "item_knn, item_walk, popularity, repeat, session_knn, transitions. Hint: import the "
        "module of a model of your own before loading; any other "
        "comes from a newer version of engagelib."
    )


CHECK = 'Hint: check the column; on_bad="quarantine" sets such rows aside in log.rejected.'


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (
            ["1971-05-01", "2024-01-01", "1980-05-01"],
            "column 'timestamp' spans the years 1971 to 1980 (2 rows). "
            "Times before the year 1990 are refused.",
        ),
        (
            ["2024-01-01", "2024-01-01", "2205-01-01"],
            "column 'timestamp' spans the year 2205 (1 row). Times after the year 2200 are refused.",
        ),
        (
            [1, 1_700_000_000, 1_700_000_000],
            "column 'timestamp' spans the year 1970 (1 row). Times before the year 1990 are refused.",
        ),
    ],
)
def test_times_that_fit_in_no_unit(times, text):
    columns = {"customer_id": [1, 2, 3], "item_id": [1, 2, 3], "timestamp": times}
    with pytest.raises(errors.SchemaError) as caught:
        eg.EventLog.from_frame(columns)
    assert str(caught.value) == f"{text} {CHECK}"
    assert caught.value.column == "timestamp"


def test_float_ids_of_any_column():
    columns = {"customer_id": [1], "item_id": [1], "order_id": [1.5]}
    with pytest.raises(errors.SchemaError) as caught:
        eg.EventLog.from_frame(columns)
    assert str(caught.value) == (
        "column 'order_id' is of type float: expected ids as integers or strings. Hint: a null among "
        "integers often turns them into floats, which are exact only up to 2**53; read the column as a "
        'nullable integer, such as pandas\' "Int64".'
    )


def test_an_argument_of_the_wrong_sort():
    assert str(errors.wrong_kind("events", "int", "a table")) == "events is of type int: expected a table."
    assert isinstance(errors.wrong_kind("events", "int", "a table"), errors.ArgumentError)
