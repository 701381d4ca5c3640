"""Traits: a customer table, by row and by column, to a file and back."""

import math

import numpy as np
import pandas as pd
import pytest

from engagelib import errors
from engagelib.actions.traits import Traits
from engagelib.vocabulary import Vocabulary

FRAME = pd.DataFrame(
    {
        "customer_id": ["c", "a", "b"],
        "consent": [True, None, False],
        "age": [31.5, np.nan, 47.0],
        "plan": ["paid", "free", None],
        "tags": [["x"], ["y"], []],
    }
)
NAN = math.nan


def test_each_customer_has_what_their_row_says():
    traits = Traits.read(FRAME)
    assert list(traits.numbers) == ["consent", "age"]
    assert list(traits.texts) == ["plan"]
    assert list(traits.texts["plan"][1]) == ["free", "paid"]
    assert traits.one("c") == ([1.0, 31.5], [1])
    assert traits.one("b") == ([0.0, 47.0], [-1])
    for nobody in ("z", None, 7):
        numbers, codes = traits.one(nobody)
        assert all(map(math.isnan, numbers))
        assert codes == [-1]


@pytest.mark.parametrize("ids", [["b", "z", "c", None, "b"], Vocabulary.from_values(["a", "c", "z"])])
def test_many_are_what_each_alone_is(ids):
    traits = Traits.read(FRAME)
    numbers, codes = traits.at(traits.places(ids))
    alone = [traits.one(id_) for id_ in ids]
    np.testing.assert_array_equal(numbers, [one[0] for one in alone])
    np.testing.assert_array_equal(codes, [one[1] for one in alone])


def test_the_table_comes_back_from_its_arrays_and_without_whom_was_forgotten():
    traits = Traits.read(FRAME)
    again = Traits.from_arrays(traits.to_arrays(), traits.facts())
    assert [again.one(id_) for id_ in "cb"] == [traits.one(id_) for id_ in "cb"]
    assert again.kinds == {"consent": "boolean", "age": "number"}
    less = traits.without(["b", "z"])
    assert list(less.ids) == ["a", "c"]
    assert less.one("c") == traits.one("c")


def test_an_altered_file_is_refused():
    traits = Traits.read(FRAME)
    for name, values, text in (
        ("numbers.0", np.zeros(2), "'consent' holds 2 values, expected one for each of 3 customers"),
        ("texts.0.codes", np.array([0, 1, 9], np.int32), "'plan' holds codes of no text"),
    ):
        with pytest.raises(errors.ArtifactError, match=text):
            Traits.from_arrays({**traits.to_arrays(), name: values}, traits.facts())


def test_tables_that_do_not_say_whose_rows_they_are():
    with pytest.raises(errors.SchemaError) as caught:
        Traits.read({"id": ["a"], "plan": ["x"]})
    assert str(caught.value) == (
        "customers= has no column 'customer_id': found id, plan. Expected a row a customer."
    )
    with pytest.raises(errors.SchemaError) as caught:
        Traits.read({"customer_id": ["a", "b", "a"]})
    assert str(caught.value) == (
        "1 customers have more than one row in customers=, the first 'a': expected one each."
    )
    with pytest.raises(errors.SchemaError, match="give each row of the customer table an id"):
        Traits.read({"customer_id": ["a", None]})
