"""Vocabulary: a sorted dictionary of ids, exact about types, that works straight out of a file."""

import threading
from unicodedata import normalize

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import Vocabulary
from engagelib.errors import SchemaError
from engagelib.strings import StringColumn

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.sampled_from([2**53, 2**53 + 1, 2**62])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["1", "é", "e\u0301", "a\0"]
)
ONE_KIND = st.lists(NUMBERS, max_size=12) | st.lists(TEXTS, max_size=12)


def reference(ids):
    distinct = sorted({normalize("NFC", id_) if isinstance(id_, str) else id_ for id_ in ids})
    return {id_: index for index, id_ in enumerate(distinct)}


@given(ids=ONE_KIND, asked=st.lists(NUMBERS | TEXTS, max_size=12))
def test_a_vocabulary_is_a_sorted_dictionary(ids, asked):
    vocabulary, expected = Vocabulary.from_values(ids), reference(ids)
    assert list(vocabulary) == list(expected)
    assert len(vocabulary) == len(expected)
    for id_ in [*asked, *ids]:
        index = expected.get(normalize("NFC", id_) if isinstance(id_, str) else id_, -1)
        assert vocabulary.find(id_) == index
        assert (id_ in vocabulary) == (index >= 0)
    for some in (asked, ids, [*ids, *asked]):
        assert vocabulary.indices(some).tolist() == [vocabulary.find(id_) for id_ in some]
    assert vocabulary.ids(range(len(expected))) == list(expected)


def arrow(ids):
    return pa.array(ids)


def with_null(ids):
    return pa.array([*ids, None])


def chunks(ids):
    return pa.chunked_array([pa.array([id_]) for id_ in ids])


CONTAINERS = [list, tuple, arrow, chunks, with_null, np.array, pd.Series, pd.Index, pd.Categorical, iter]
CONTAINERS += [lambda ids: np.array(ids, object), lambda ids: pa.array(ids).dictionary_encode()]
CONTAINERS += [dict.fromkeys, Vocabulary.from_values]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda made: made.__qualname__)
@pytest.mark.parametrize("ids", [[3, 1, 2], ["c", "a", "é"]], ids=["int", "str"])
def test_ids_come_in_any_container(container, ids):
    vocabulary = Vocabulary.from_values(ids)
    if container not in (pd.Index, pd.Categorical, pd.Series, Vocabulary.from_values):
        assert Vocabulary.from_values(container(ids)) == vocabulary
    expected = sorted(ids) if container == Vocabulary.from_values else ids
    expected = [sorted(ids).index(id_) for id_ in expected] + [-1] * (container is with_null)
    assert vocabulary.indices(container(ids)).tolist() == expected


def test_indices_are_int32():
    vocabulary = Vocabulary.from_values([1, 2])
    for ids in ([1], ["x"], [1, "x"], [], np.array([1]), pa.array([1, None])):
        assert vocabulary.indices(ids).dtype == np.int32


# Numbers, texts, booleans and floats are never taken for one another.
@pytest.mark.parametrize(
    "vocabulary", [Vocabulary.from_values([0, 1, 2]), Vocabulary.from_values(["0", "1", "1.0", "true"])]
)
@pytest.mark.parametrize(
    "others",
    [
        [True, False],
        [1.0],
        [None],
        [b"1"],
        [(1,)],
        np.array([True]),
        np.array([1.0]),
        np.array([b"1"]),
        np.array([1], "M8[ns]"),
        pa.array([True]),
        pa.array([1.0]),
        pa.array([None]),
        pa.array([1]).cast(pa.timestamp("s")),
        [2**63, -(2**70)],
        np.array([2**63], np.uint64),
        pa.array([2**63], pa.uint64()),
        ["\ud800"],
    ],
    ids=lambda others: f"{type(others).__name__} {getattr(others, 'dtype', getattr(others, 'type', others))}",
)
def test_other_types_are_unknown(vocabulary, others):
    assert set(vocabulary.indices(others).tolist()) == {-1}
    assert [vocabulary.find(other) for other in others] == [-1] * len(others)


def test_mixed_ids_are_looked_up_each_by_its_type():
    numbers, texts = Vocabulary.from_values([1, 2]), Vocabulary.from_values(["1", "2"])
    asked = [1, "1", True, 2.0, np.int64(2), np.str_("2"), None, "\ud800"]
    assert numbers.indices(asked).tolist() == [0, -1, -1, -1, 1, -1, -1, -1]
    assert texts.indices(asked).tolist() == [-1, 0, -1, -1, -1, 1, -1, -1]


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.uint64])
def test_numbers_of_any_width_are_the_same_ids(kind):
    vocabulary = Vocabulary.from_values(np.array([3, 1], kind))
    assert list(vocabulary) == [1, 3]
    assert vocabulary.find(kind(3)) == 1
    assert type(vocabulary[0]) is int
    assert vocabulary.indices(np.array([3, 2], kind)).tolist() == [1, -1]
    assert vocabulary.indices(pa.array([3, 2], pa.from_numpy_dtype(kind))).tolist() == [1, -1]


ONE_TYPE = (
    "the ids hold values of type {}: expected either integers or strings throughout. "
    "Hint: 1 and '1' are two ids; bring the column to one type before reading it."
)
TOO_LARGE = (
    "the ids hold integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
    "Hint: read such ids as strings."
)
REFUSED = {
    "mixed": ([1, "1"], ONE_TYPE.format("int, str")),
    "bool": ([True], ONE_TYPE.format("bool")),
    "float": ([1.0], ONE_TYPE.format("float")),
    "NumPy bool": (np.array([True]), ONE_TYPE.format(type(np.True_).__name__)),
    "Arrow float": (pa.array([1.0]), ONE_TYPE.format("double")),
    "Arrow bool": (pa.array([True]), ONE_TYPE.format("bool")),
    "unsigned": ([2**63], TOO_LARGE),
    "huge": ([2**70], TOO_LARGE),
    "surrogate": (
        ["\ud800"],
        "the ids hold text with a lone surrogate: expected text that UTF-8 can hold. "
        "Hint: it may come from a file decoded as something that it is not.",
    ),
}


@pytest.mark.parametrize(("ids", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_id_is_refused(ids, message):
    with pytest.raises(SchemaError) as caught:
        Vocabulary.from_values(ids)
    assert str(caught.value) == message


def test_places_outside_are_refused():
    vocabulary = Vocabulary.from_values(["a", "b"])
    assert vocabulary[1] == "b"
    for index in (-1, 2):
        with pytest.raises(IndexError) as caught:
            vocabulary[index]
        assert str(caught.value) == f"index {index} is outside a vocabulary of 2 ids"


@given(ids=ONE_KIND, data=st.data())
def test_a_subset_is_the_vocabulary_of_its_ids(ids, data):
    vocabulary = Vocabulary.from_values(ids)
    keep = np.array([data.draw(st.booleans()) for _ in vocabulary], bool)
    kept = [id_ for id_, stays in zip(vocabulary, keep, strict=True) if stays]
    subset = vocabulary.subset(keep)
    assert list(subset) == kept
    assert subset.kind == vocabulary.kind
    assert subset.indices(vocabulary).tolist() == [
        kept.index(id_) if id_ in kept else -1 for id_ in vocabulary
    ]


@given(ids=ONE_KIND, order=st.randoms())
def test_the_order_of_ids_does_not_matter(ids, order):
    shuffled = ids.copy()
    order.shuffle(shuffled)
    assert Vocabulary.from_values(shuffled) == Vocabulary.from_values(ids)


def test_vocabularies_are_equal_by_content():
    assert Vocabulary.from_values([1]) != Vocabulary.from_values(["1"])
    assert Vocabulary.from_values([1]) != Vocabulary.from_values([1, 2])
    assert Vocabulary.from_values(["a"]) != Vocabulary.from_values(["b"])
    assert Vocabulary.from_values([1]) != [1]
    assert repr(Vocabulary.from_values([1, 2, 3, 4])) == "Vocabulary(4 ids: 1, 2, 3, ...)"
    assert repr(Vocabulary.from_values(["é"])) == "Vocabulary(1 ids: 'é')"


# Files


def mapped(folder, vocabulary):
    for name, values in vocabulary.to_arrays().items():
        np.save(folder / f"{name}.npy", values)
    return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.iterdir()}


@pytest.mark.parametrize(
    "ids", [[5, -1, 2**62], ["b", "é", "a\0", ""], [], ["x" * 9000]], ids=["int", "str", "none", "long"]
)
def test_a_vocabulary_works_out_of_a_read_only_file(tmp_path, ids):
    vocabulary = Vocabulary.from_values(ids)
    again = Vocabulary.from_arrays(mapped(tmp_path, vocabulary))
    assert again == vocabulary
    assert list(again) == list(vocabulary)
    assert again.indices([*ids, "?", 7]).tolist() == vocabulary.indices([*ids, "?", 7]).tolist()
    assert again.to_arrow().equals(vocabulary.to_arrow())


# Opening must not read what it maps: it neither copies an array nor builds a dict.
def test_opening_copies_nothing(tmp_path):
    arrays = mapped(tmp_path, Vocabulary.from_values([f"customer-{number}" for number in range(1000)]))
    vocabulary = Vocabulary.from_arrays(arrays)
    assert vocabulary.find("customer-7") == vocabulary.indices(["customer-7"])[0]
    held = [getattr(vocabulary, name) for name in Vocabulary.__slots__]
    assert not any(isinstance(part, dict | list | set) for part in held)
    for name, array in vocabulary.to_arrays().items():
        assert np.shares_memory(array, arrays[name])


def test_many_threads_may_ask_at_once():
    vocabulary = Vocabulary.from_values([str(number) for number in range(2000)])
    expected = vocabulary.indices([str(number) for number in range(2000)]).tolist()
    wrong = []

    def ask():
        if [vocabulary.find(str(number)) for number in range(2000)] != expected:
            wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# An altered file may cost an answer, never the process.
@settings(deadline=None, max_examples=200)
@given(ids=ONE_KIND.filter(bool), data=st.data())
def test_altered_arrays_give_an_error_or_a_wrong_answer(ids, data):
    arrays = {name: values.copy() for name, values in Vocabulary.from_values(ids).to_arrays().items()}
    for _ in range(data.draw(st.integers(1, 3))):
        values = arrays[data.draw(st.sampled_from(sorted(arrays)))]
        limits = np.iinfo(values.dtype)
        odd = st.sampled_from([limits.min, limits.max, 0, 1, 200]) | st.integers(limits.min, limits.max)
        values[data.draw(st.integers(0, len(values) - 1))] = data.draw(odd)
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(arrays)))
        arrays[name] = arrays[name][: data.draw(st.integers(0, len(arrays[name])))]
    asks = [
        lambda: vocabulary.indices(ids),
        lambda: [vocabulary.find(id_) for id_ in ids],
        lambda: list(vocabulary),
        lambda: vocabulary.to_arrow().to_pylist(),
        lambda: vocabulary.subset(np.ones(len(vocabulary), bool)),
        lambda: Vocabulary.from_values(ids).indices(vocabulary),
    ]
    try:
        vocabulary = Vocabulary.from_arrays(arrays)
    except (ValueError, IndexError):
        return
    for ask in asks:
        try:
            ask()
        except (ValueError, IndexError, NotImplementedError):
            continue


# Lookups compare few candidates, whatever the pattern of the ids. Counted, not timed.

PATTERNS = {
    "consecutive": np.arange(200_000),
    "multiples of 2**20": np.arange(200_000) << 20,
    "multiples of 2**40": np.arange(200_000) << 40,
    "multiples of 1000": np.arange(200_000) * 1000,
    "squares": np.arange(200_000) ** 2,
    "negative": -np.arange(200_000),
    "random": np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 200_000),
    "texts of numbers": [f"customer-{number:08}" for number in range(200_000)],
    "texts of even length": [f"{number * 4096:x}" for number in range(200_000)],
    "one letter apart": ["x" * (place % 40) + str(place) for place in range(200_000)],
}


@pytest.mark.parametrize("ids", PATTERNS.values(), ids=PATTERNS)
def test_a_lookup_compares_few_candidates(ids):
    vocabulary = Vocabulary.from_values(ids)
    sizes = np.diff(vocabulary.bucket_starts)
    assert sizes.sum() == len(vocabulary)
    # Of buckets filled at random with at most one id each on average, the mean candidate count is below 2.
    assert (sizes.astype(float) ** 2).sum() / len(vocabulary) < 2.5
    assert sizes.max() <= 16


def test_an_array_of_ids_is_looked_up_without_a_loop_over_ids(monkeypatch):
    vocabulary = Vocabulary.from_values([f"customer-{number}" for number in range(50_000)])
    passes = []
    equal = StringColumn.equal
    monkeypatch.setattr(StringColumn, "equal", lambda *given: passes.append(1) or equal(*given))
    monkeypatch.setattr(Vocabulary, "find", None)
    ids = [f"customer-{number}" for number in range(49_000, 99_000)]
    assert (vocabulary.indices(ids) >= 0).sum() == 1000
    assert len(passes) <= 16
