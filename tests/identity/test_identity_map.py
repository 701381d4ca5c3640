"""IdentityMap: links one by one, from tables, from files and from other maps all say who is one customer."""

import logging
import pickle
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_cases import IDENTITIES, IDS, LINKS, PAIRS, PlainMap, assert_is, exactly, few, linked, spell

from engagelib import store
from engagelib.identity import IdentityMap


def assert_same_map(found, expected):
    """Two maps are the same in every array, and so in every answer."""
    assert found.facts() == expected.facts()
    ours, theirs = found.to_arrays(), expected.to_arrays()
    assert list(ours) == list(theirs)
    for name, values in ours.items():
        assert values.dtype == theirs[name].dtype
        assert values.tolist() == theirs[name].tolist(), name


def loaded(made):
    """The map as a file would give it back: over arrays that can't be written to."""
    arrays = {name: values.copy() for name, values in made.to_arrays().items()}
    for values in arrays.values():
        values.flags.writeable = False
    return IdentityMap.from_arrays(arrays, made.facts())


# Definition


@few
@given(links=LINKS, as_text=st.booleans())
def test_links_make_the_customers_of_the_definition(links, as_text):
    found, expected = IdentityMap(text_ids=as_text), PlainMap(as_text=as_text)
    for a, b in links:
        assert exactly(found.link(a, b)) == exactly(expected.link(a, b))
    assert_is(found, expected)


@few
@given(links=LINKS, more=LINKS, as_text=st.booleans())
def test_links_over_a_loaded_map_are_links_like_any_other(links, more, as_text):
    found = linked(more, loaded(linked(links, IdentityMap(text_ids=as_text))))
    assert_is(found, PlainMap(links + more, as_text=as_text))
    assert_same_map(found, linked(links + more, IdentityMap(text_ids=as_text)))
    assert_is(loaded(found), PlainMap(links + more, as_text=as_text))


def as_columns(links):
    """A table of links: one with integers that keep their type, one with text."""
    columns = {"customer_id": [], "namespace": [], "same_as": [], "same_as_namespace": []}
    for pair in links:
        for identity, names in zip(
            pair, (("customer_id", "namespace"), ("same_as", "same_as_namespace")), strict=True
        ):
            namespace, id_ = identity if isinstance(identity, tuple) else (None, identity)
            columns[names[0]].append(id_)
            columns[names[1]].append(namespace)
    return columns


INTEGERS = st.sampled_from([1, 2, 3, 2**63 - 1, ("web", 1), ("web", 2), ("app", 2), ("é", 5), ("e\u0301", 5)])
WORDS = st.sampled_from(
    ["1", "ann", "é", "e\u0301", "web:1", "a\0", ("web", "1"), ("app", "ann"), ("a", "b:c")]
)
ROWS = st.one_of(
    *(
        st.lists(st.tuples(a, b), min_size=1, max_size=14)
        for a in (INTEGERS, WORDS)
        for b in (INTEGERS, WORDS)
    )
)


@few
@given(rows=ROWS, as_text=st.booleans())
def test_a_table_links_as_its_rows_do(rows, as_text):
    found = IdentityMap.from_frame(as_columns(rows), text_ids=as_text)
    assert_same_map(found, linked(rows, IdentityMap(text_ids=as_text)))
    assert_is(found, PlainMap(rows, as_text=as_text))


@few
@given(links=LINKS, asked=st.lists(IDENTITIES, max_size=8), as_text=st.booleans())
def test_many_answers_are_single_answers(links, asked, as_text):
    made = linked(links, IdentityMap(text_ids=as_text))
    for some in (made, loaded(made), linked([("z", 1), ("z", "ann")], loaded(made))):
        expected = [some.canonical(identity) for identity in asked]
        assert exactly(*some.canonicals(asked)) == exactly(*expected)
        assert exactly(*some.canonicals(iter(asked))) == exactly(*expected)


@few
@given(links=st.lists(st.tuples(WORDS, WORDS), max_size=8), asked=st.lists(WORDS | st.none(), max_size=8))
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_an_arrow_array_of_texts_is_answered_as_one(kind, links, asked):
    made = linked(links, IdentityMap())
    spellings = [None if identity is None else spell(identity) for identity in asked]
    expected = [None if id_ is None else made.canonical(id_) for id_ in spellings]
    ids = pa.array(spellings, pa.string()).cast(kind)
    for container in (ids, pa.chunked_array([ids, ids]), ids.cast(pa.string()).dictionary_encode()):
        found = made.canonicals(container)
        assert found.type == pa.large_string()
        assert found.to_pylist() == expected * (len(container) // max(len(ids), 1) or 1)


@few
@given(links=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8), as_text=st.booleans())
def test_an_arrow_array_of_integers_is_answered_as_one(links, as_text):
    made = linked(links, IdentityMap(text_ids=as_text))
    found = made.canonicals(pa.array([0, 1, None, 2, 3, 4, 5, 6], pa.int16()))
    assert found.type == (pa.large_string() if as_text else pa.int64())
    expected = [made.canonical(id_) for id_ in range(7)]
    assert found.to_pylist() == [*expected[:2], None, *expected[2:]]


@pytest.mark.parametrize(
    "container",
    [np.array, pd.Series, list, tuple, lambda ids: np.array(ids, object)],
    ids=["array", "series", "list", "tuple", "objects"],
)
def test_ids_of_any_container_are_answered_with_built_in_ones(container):
    made = IdentityMap()
    made.link(1, 2)
    made.link("a", "b")
    assert exactly(*made.canonicals(container([2, 3]))) == exactly(1, 3)
    assert exactly(*made.canonicals(container(["b", "e\u0301"]))) == exactly("a", "é")
    assert made.canonicals(container([])) == []


def test_nothing_is_known_of_an_array_of_nothing():
    assert IdentityMap().canonicals(pa.nulls(2)).to_pylist() == [None, None]


# Laws


# The canonical id is the first that was linked, not the first of a larger group or a smaller id.
def test_of_two_customers_the_older_one_stays():
    made = IdentityMap()
    assert made.link("zoe", ("web", 1)) == "zoe"
    assert made.link("ann", ("app", 1)) == "ann"
    assert made.link(("app", 1), ("app", 2)) == "ann"
    assert made.link(("app", 2), ("web", 1)) == "zoe"
    assert made.members("ann") == ["zoe", "web:1", "ann", "app:1", "app:2"]
    assert made.merges.to_records() == [{"kept": "zoe", "merged": "ann", "identities": 5}]
    assert (len(made), made.n_customers) == (5, 1)


@few
@given(links=LINKS)
def test_linking_again_changes_nothing(links):
    made = linked(links, IdentityMap())
    assert_same_map(linked(links, linked(links, IdentityMap())), made)
    assert_same_map(linked([(b, a) for a, b in links], made.copy()), made)


@few
@given(links=LINKS, more=LINKS)
def test_a_copy_goes_its_own_way(links, more):
    made = loaded(linked(links, IdentityMap()))
    first = linked(more, made.copy())
    assert_is(made, PlainMap(links))
    second = first.copy()
    linked(links, second.copy())
    assert_is(linked([("new", "newer")], first), PlainMap([*links, *more, ("new", "newer")]))
    assert_is(second, PlainMap(links + more))


@few
@given(links=LINKS, identity=IDENTITIES, again=LINKS)
def test_a_map_without_a_customer_is_one_that_never_knew_them(links, identity, again):
    made, expected = linked(links, IdentityMap()), PlainMap(links)
    expected.forget(identity)
    found = made.without(identity)
    assert_is(found, expected)
    assert_is(made, PlainMap(links))
    for a, b in again:
        expected.link(a, b)
    assert_is(linked(again, found), expected)


@few
@given(links=LINKS, others=LINKS, as_text=st.booleans(), other_as_text=st.booleans())
def test_joined_maps_hold_the_links_of_both(links, others, as_text, other_as_text):
    first = linked(links, IdentityMap(text_ids=as_text))
    second = linked(others, IdentityMap(text_ids=other_as_text))
    joined = first.merged_with(second)
    as_text = as_text or other_as_text
    expected = PlainMap(as_text=as_text)
    for some, was_text in ((links, first.text_ids), (others, second.text_ids)):
        for a, b in some:
            expected.link(a, b, before=not was_text)
    assert joined.text_ids == as_text
    assert joined.n_customers == len(expected.groups)
    for identity in IDS + PAIRS:
        assert exactly(*joined.members(identity)) == exactly(*expected.members(identity))
    # Whoever was canonical in one of them is either canonical now, or among the merges.
    heads = {spell(head, as_text=as_text) for head in PlainMap(links).heads + PlainMap(others).heads}
    assert {row[1] for row in joined.merges.rows} <= heads | set(expected.heads)
    for made in (first, second):
        canonical = {spell(made.canonical(id_), as_text=as_text) for id_ in IDS if len(made.members(id_)) > 1}
        assert {id_ for id_ in canonical if joined.canonical(id_) != id_} <= {
            row[1] for row in joined.merges.rows
        }
    assert_same_map(
        linked(others, first.copy()) if not other_as_text else joined, joined
    ) if not heads else None


@few
@given(links=LINKS)
def test_a_settled_map_spells_integers_as_text_where_asked(links):
    made = linked(links, IdentityMap())
    settled, expected = made.settled(text_ids=True), PlainMap(as_text=True)
    for a, b in links:
        expected.link(a, b, before=True)
    assert settled.text_ids
    for identity in IDS + PAIRS:
        assert settled.members(identity) == expected.members(identity)
    assert settled.settled(text_ids=True) is settled
    assert settled.settled() is settled
    assert_is(made.settled(), PlainMap(links))
    assert_is(made, PlainMap(links))


def test_a_map_with_a_column_spells_all_ids_as_text():
    made = IdentityMap("channel")
    assert made.link(5, ("web", 7)) == "5"
    assert exactly(made.canonical(("web", "7")), made.canonical(5), made.canonical(6)) == exactly(
        "5", "5", "6"
    )
    assert made.same(5, "5")
    assert made.canonicals([7, ("web", 7)]) == ["7", "5"]
    assert (made.column, made.text_ids) == ("channel", True)


@pytest.mark.parametrize("n", [3, 10_000])
def test_chains_are_followed_however_long(n):
    """Neither a stack of calls nor a walk of the whole chain at each link could do it."""
    forward, backward, woven = IdentityMap(), IdentityMap(), IdentityMap()
    for i in range(n):
        forward.link(i, i + 1)
        backward.link(n - i, n - i - 1)
        woven.link(i, ("web", i))
    # Each merge of these makes a former root lead to another former root.
    for i in range(n - 1, 0, -1):
        woven.link(i, i - 1)
    assert (forward.canonical(n), forward.n_customers, len(forward)) == (0, 1, n + 1)
    assert (backward.canonical(0), backward.n_customers) == (n, 1)
    assert (woven.canonical(("web", n - 1)), woven.n_customers, len(woven)) == (0, 1, 2 * n)
    assert len(woven.members(n // 2)) == 2 * n
    assert len(woven.to_arrays()["merged"]) == n - 1


def test_a_long_table_of_links():
    n = 50_000
    chain = np.arange(n)
    made = IdentityMap.from_frame({"customer_id": chain[::-1] + 1, "same_as": chain[::-1]})
    assert (made.canonical(0), made.n_customers, len(made.merges.rows)) == (n, 1, 0)
    visitors = {"customer_id": chain // 2, "same_as": chain, "same_as_namespace": ["web"] * n}
    made = IdentityMap.from_frame(visitors, column="channel")
    assert (made.canonical(("web", n - 1)), made.n_customers, len(made)) == (
        str(n // 2 - 1),
        n // 2,
        n // 2 + n,
    )


def test_merges_are_logged(caplog):
    made = linked([("ann", 1), ("bob", 2)], IdentityMap())
    with caplog.at_level(logging.INFO, "engagelib.identity"):
        made.link("ann", 3)
        assert not caplog.records
        made.link(2, 1)
        made.link("bob", "ann")
        IdentityMap.from_frame({"customer_id": ["a", "b", "a"], "same_as": ["c", "d", "d"]})
        IdentityMap.from_frame({"customer_id": ["a"], "same_as": ["c"]})
    assert [record.getMessage() for record in caplog.records] == [
        "customer 'bob' is merged into 'ann'",
        "1 customers were merged into others by the links read",
    ]


def test_a_map_is_asked_while_it_is_linked():
    made = loaded(linked([(i, ("web", i)) for i in range(500)], IdentityMap()))
    wrong, done = [], threading.Event()

    def ask():
        while not done.is_set():
            for i in range(0, 500, 7):
                found = made.canonical(("web", i))
                if not 0 <= found <= i:
                    wrong.append((i, found))
            if (fresh := made.canonical(("app", 3))) not in ("app:3", 3, 2, 1, 0):
                wrong.append(fresh)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for i in range(499, 0, -1):
        made.link(("web", i), ("web", i - 1))
        made.link(("app", i), i)
    done.set()
    for thread in asking:
        thread.join()
    assert not wrong
    assert made.canonical(499) == 0


# Tables of links


def test_links_come_from_files_and_frames_under_any_names(tmp_path):
    rows = {"account": [5, 6], "visitor": ["007", "8"], "where": ["1", None]}
    names = {"customer_id": "account", "same_as": "visitor", "same_as_namespace": "where"}
    pd.DataFrame(rows).to_csv(tmp_path / "links.csv", index=False)
    pd.DataFrame(rows).to_parquet(tmp_path / "links.parquet")
    records = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    for source in (
        tmp_path / "links.csv",
        tmp_path / "links.parquet",
        pd.DataFrame(rows),
        pa.table(rows),
        records,
    ):
        made = IdentityMap.from_frame(source, columns=names)
        assert made.members(5) == [5, "1:007"]
        assert made.members(6) == [6, "8"]


def test_a_table_without_rows_links_nothing():
    for source in (
        {"customer_id": [], "same_as": []},
        pa.table({"customer_id": pa.array([], pa.int64()), "same_as": pa.array([], pa.string())}),
        {"customer_id": ["a"], "same_as": ["a"]},  # says nothing
    ):
        made = IdentityMap.from_frame(source)
        assert (len(made), made.n_customers, made.canonical("a")) == (0, 0, "a")
        assert_same_map(made, IdentityMap())
        assert made.link("a", "b") == "a"


# Files


@few
@given(links=LINKS, as_text=st.booleans())
def test_a_map_comes_back_from_its_arrays(links, as_text):
    made = linked(links, IdentityMap(text_ids=as_text))
    assert_same_map(loaded(made), made)
    assert_same_map(pickle.loads(pickle.dumps(made)), made)
    assert list(loaded(made).merges.rows) == PlainMap(links, as_text=as_text).merges()


def test_a_loaded_map_shares_the_memory_of_its_arrays():
    made = linked([(1, "ann"), ("é", ("web", 2))], IdentityMap())
    arrays = made.to_arrays()
    again = IdentityMap.from_arrays(arrays, made.facts())
    for name, values in again.to_arrays().items():
        assert np.shares_memory(values, arrays[name]) or not len(values)


def test_a_map_lives_in_the_store_and_serves_without_heavy_imports(tmp_path):
    made = linked([(1, ("web", 2)), ("ann", ("web", 3)), (("web", 4), "ann")], IdentityMap())
    store.publish(tmp_path / "map", "identities", made.to_arrays(), made.facts())
    code = """
import sys
from engagelib import store
from engagelib.identity import IdentityMap
saved = store.open_artifact(sys.argv[1])
identities = IdentityMap.from_arrays(saved.arrays, saved.meta)
assert identities.canonical(("web", "2")) == 1
assert identities.link("bob", ("web", 4)) == "ann"
assert identities.canonicals(["bob", 1, "eve", ("web", 3)]) == ["ann", 1, "eve", "ann"]
assert identities.members("bob") == ["ann", "web:3", "web:4", "bob"]
copy = identities.copy()
print(repr(copy))
heavy = sorted({name.partition(".")[0] for name in sys.modules} & {"pyarrow", "pandas", "polars", "sklearn"})
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "map")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "IdentityMap(6 identities of 2 customers)\n")


def traces(made, needle):
    return [name for name, values in made.to_arrays().items() if needle in values.tobytes()]


@pytest.mark.parametrize("over", [IdentityMap, lambda: loaded(linked([("x", "y")], IdentityMap()))])
def test_nothing_of_a_forgotten_customer_remains(over):
    number = 0x1122_3344_5566_7788
    made = linked([("ann-of-green-gables", number), (("web", "ann-77"), number), ("bob", ("web", 5))], over())
    secrets = [b"ann-of-green-gables", b"web:ann-77", number.to_bytes(8, "little")]
    assert all(traces(made, secret) for secret in secrets)
    for identity in ("ann-of-green-gables", number, ("web", "ann-77")):
        for map_ in (made, loaded(made)):
            rest = map_.without(identity)
            assert not any(traces(rest, secret) for secret in secrets)
            assert "ann" not in f"{rest!r}{rest.merges}{rest.summary()}"
            assert rest.canonical(number) == number
            assert rest.members("bob") == ["bob", "web:5"]
    assert made.canonical(number) == "ann-of-green-gables"


# What it says of itself


def test_the_summary_and_the_repr():
    made = linked(
        [("ann", ("web", 1)), ("bob", ("web", 2)), (1, "ann"), (("app", 1), "bob"), ("bob", "ann")],
        IdentityMap("channel"),
    )
    made.link("urn:isbn:5", ("web", 9))
    assert str(made.summary()) == SUMMARY
    assert repr(made) == "IdentityMap(8 identities of 2 customers, column='channel')"
    assert repr(IdentityMap(text_ids=True)) == "IdentityMap(0 identities of 0 customers, text_ids=True)"
    empty = IdentityMap().summary().rows
    assert empty == (
        ("identities", 0, ""),
        ("customers", 0, ""),
        ("merges", 0, ""),
        ("without a namespace", 0, ""),
    )
    many = linked([(("n" + str(i // 2), i), i) for i in range(20)], IdentityMap())
    assert many.summary().rows[-2:] == (("namespace n7", 2, ""), ("2 more namespaces", 4, ""))
    assert many.summary().rows[3:5] == (("without a namespace", 20, ""), ("namespace n0", 2, ""))


SUMMARY = """\
Identity map
what                 count  remark
-------------------  -----  ------------------------------------
identities               8  namespaces stand in column 'channel'
customers                2  6 identities at most
merges                   1  see merges
without a namespace      3
namespace web            3
namespace app            1
namespace urn            1"""
