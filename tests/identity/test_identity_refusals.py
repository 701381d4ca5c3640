"""What is refused as an identity, a link or a map, in exactly these words."""

import numpy as np
import pytest

from engagelib.errors import ArgumentError, ArtifactError, SchemaError
from engagelib.identity import IdentityMap, spelled

NO_IDENTITY = (
    "{} is no identity: expected an id, an integer or a text, or a pair of a namespace and an id, "
    "such as ('web', 77)."
)
NAMESPACE = (
    "namespace={}: expected a text that is not empty and holds no ':'. "
    "Hint: a pair is spelled 'namespace:id', so that the first ':' ends the namespace."
)
FLOATS = " Hint: a null among integers often turns them into floats; read the ids as integers."
REFUSED = [
    (None, NO_IDENTITY.format("None")),
    (True, NO_IDENTITY.format("True")),
    (np.bool_(True), NO_IDENTITY.format("np.True_")),
    (77.0, NO_IDENTITY.format("77.0") + FLOATS),
    (np.float64(77), NO_IDENTITY.format("np.float64(77.0)") + FLOATS),
    (b"ann", NO_IDENTITY.format("b'ann'")),
    (["web", 77], NO_IDENTITY.format("['web', 77]") + " Hint: write the pair as a tuple, in round brackets."),
    ((), NO_IDENTITY.format("()")),
    (("web",), NO_IDENTITY.format("('web',)")),
    (("web", 7, 7), NO_IDENTITY.format("('web', 7, 7)")),
    (("web", None), NO_IDENTITY.format("('web', None)")),
    (("web", True), NO_IDENTITY.format("('web', True)")),
    (("web", 1.0), NO_IDENTITY.format("('web', 1.0)")),
    (("web", ("app", 1)), NO_IDENTITY.format("('web', ('app', 1))")),
    (("", 7), NAMESPACE.format("''")),
    (("a:b", 7), NAMESPACE.format("'a:b'")),
    ((5, 7), NAMESPACE.format("5")),
    ((None, 7), NAMESPACE.format("None")),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[repr(given) for given, _ in REFUSED])
def test_what_is_no_identity_is_refused_everywhere(given, message):
    made = IdentityMap()
    calls = [spelled, made.canonical, made.members, made.without, lambda one: made.canonicals([1, one])]
    calls += [lambda one: made.link(one, 1), lambda one: made.link(1, one), lambda one: made.same(1, one)]
    for call in calls:
        with pytest.raises(ArgumentError) as caught:
            call(given)
        assert str(caught.value) == message
    assert len(made) == 0


EMPTY = (
    "{} has an empty id: expected an id to link. "
    "Hint: a missing id, linked as if it were one, makes one customer of all who have none."
)
UNSTORABLE = (
    "{} can't be linked: expected an integer from -2**63 to 2**63 - 1, or text that UTF-8 can hold. "
    "Hint: no log holds such an id; where does it come from?"
)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", EMPTY.format("''")),
        (("web", ""), EMPTY.format("('web', '')")),
        ("web:", EMPTY.format("'web:'")),
        (2**63, UNSTORABLE.format(str(2**63))),
        (-(2**63) - 1, UNSTORABLE.format(str(-(2**63) - 1))),
        ("\ud800", UNSTORABLE.format("'\\ud800'")),
        (("web", "\udfff"), UNSTORABLE.format("('web', '\\udfff')")),
    ],
)
def test_ids_that_no_log_holds_are_not_linked_and_may_be_asked_for(given, message):
    made = IdentityMap()
    made.link("a", "b")
    for pair in ((given, "a"), ("a", given), (given, given)):
        with pytest.raises(ArgumentError) as caught:
            made.link(*pair)
        assert str(caught.value) == message
    assert made.canonical(given) == spelled(given)
    assert made.members(given) == [spelled(given)]
    assert made.canonicals([given, "b"]) == [spelled(given), "a"]
    assert len(made.without(given)) == 2


# With text ids an integer is a text, of any length.
def test_a_large_integer_that_is_spelled_as_text_can_be_linked():
    assert IdentityMap(text_ids=True).link(2**63, "a") == str(2**63)


@pytest.mark.parametrize("column", ["", 5, True, b"channel", ["channel"], "customer_id"])
def test_what_is_no_name_of_a_column_of_namespaces(column):
    with pytest.raises(ArgumentError) as caught:
        IdentityMap(column)
    assert str(caught.value) == (
        f"column={column!r}: expected None, or the name of the column that holds the namespace of each row, "
        'such as "channel".'
    )


def test_a_settled_map_is_not_changed():
    made = IdentityMap()
    made.link("a", "b")
    settled = made.settled()
    with pytest.raises(ArgumentError) as caught:
        settled.link("a", "c")
    assert str(caught.value) == (
        "this map belongs to a log that was read with it, and can't be changed: expected a map of one's own. "
        "Hint: link in log.identities.copy(), and pass that to log.link()."
    )
    made.link("a", "c")
    assert settled.members("a") == ["a", "b"]
    copy = settled.copy()
    assert copy.link("a", "d") == "a"
    assert settled.members("a") == ["a", "b"]


def test_maps_of_two_columns_are_not_joined():
    with pytest.raises(ArgumentError) as caught:
        IdentityMap("channel").merged_with(IdentityMap("source"))
    assert str(caught.value) == (
        "one map names column 'channel' for the namespaces, the other one 'source': expected the same. "
        "Hint: bring the namespaces of both logs under one name before they are read."
    )
    for first, second in ((None, "source"), ("source", None), ("source", "source")):
        assert IdentityMap(first).merged_with(IdentityMap(second)).column == "source"
    assert IdentityMap().merged_with(IdentityMap()).column is None


def test_only_a_map_is_joined_with_a_map():
    with pytest.raises(ArgumentError) as caught:
        IdentityMap().merged_with({"a": "b"})
    assert str(caught.value) == (
        "identities={'a': 'b'}: expected an IdentityMap. "
        'Hint: IdentityMap.from_frame reads a table with the columns "customer_id" and "same_as".'
    )


def test_an_arrow_array_does_not_mix_types():
    import pyarrow as pa

    made = IdentityMap()
    made.link("ann", 5)
    made.link(7, "bob")
    cases = [(pa.array([4, 5]), 5, "ann", "text"), (pa.array(["ann", "bob"]), "bob", 7, "an integer")]
    for ids, given, canonical, kind in cases:
        with pytest.raises(SchemaError) as caught:
            made.canonicals(ids)
        assert str(caught.value) == (
            f"column 'customer_id': {given!r} is the same customer as {canonical!r}, whose id is {kind}: "
            "expected ids of one type. Hint: the identity that was linked first names the customer; link the "
            "log's own id first, or spell all ids as text with text_ids=True."
        )
        assert caught.value.column == "customer_id"
    assert made.canonicals([5, "bob"]) == ["ann", 7]
    assert made.canonicals(pa.array([4])).to_pylist() == [4]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [0.5],
            "the ids hold values of type double: expected either integers or strings throughout. "
            "Hint: 1 and '1' are two ids; bring the column to one type before reading it.",
        ),
        (
            np.array([2**63], np.uint64),
            "the ids hold integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
            "Hint: read such ids as strings.",
        ),
    ],
)
def test_an_arrow_array_holds_ids(ids, message):
    import pyarrow as pa

    with pytest.raises(SchemaError) as caught:
        IdentityMap().canonicals(pa.array(ids))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "ids", [np.array([1.0]), np.array(["2024-01-01"], "datetime64[ns]"), np.array([True])]
)
def test_arrays_of_what_is_no_id_are_refused(ids):
    with pytest.raises(ArgumentError, match="is no identity: expected an id"):
        IdentityMap().canonicals(ids)


# Tables of links

LINKS = {"customer_id": ["a", "b"], "same_as": ["c", "d"]}
HINT = " Hint: a link needs two ids, each with the namespace that it is known by in the log."
REFUSED_TABLES = [
    (
        {"customer_id": ["a"]},
        "column 'same_as' is missing. Found: customer_id. "
        'Hint: pass columns={"same_as": "your name for it"}.',
    ),
    ({**LINKS, "same_as": ["c", None]}, "column 'same_as': null (1 row, first at 1)." + HINT),
    ({**LINKS, "customer_id": ["", "b"]}, "column 'customer_id': null (1 row, first at 0)." + HINT),
    (
        {**LINKS, "customer_id": ["b", "l" * 1025]},
        "column 'customer_id': an id of more than 1,024 bytes (1 row, first at 1)." + HINT,
    ),
    (
        {**LINKS, "namespace": ["web", "a:b"]},
        "column 'namespace': a namespace with a ':' in it (1 row, first at 1)." + HINT,
    ),
    (
        {**LINKS, "same_as": ["c", "\ud800"]},
        "column 'same_as' holds text with a lone surrogate: expected text that UTF-8 can hold. "
        "Hint: it may come from a file decoded as something that it is not.",
    ),
    (
        {**LINKS, "same_as_namespace": [1, 2]},
        "column 'same_as_namespace' is of type int64: expected text, the namespace of each row's id. "
        'Hint: text_ids=True reads a column "channel" or "location" of integers as text.',
    ),
    (
        {**LINKS, "same_as": [1.0, 2.0]},
        "column 'same_as' is of type float: expected ids as integers or strings." + " Hint: a null among "
        "integers often turns them into floats, which are exact only up to 2**53; read the column as a "
        'nullable integer, such as pandas\' "Int64".',
    ),
]


@pytest.mark.parametrize(("frame", "message"), REFUSED_TABLES)
def test_a_table_of_links_is_refused_in_these_words(frame, message):
    with pytest.raises(SchemaError) as caught:
        IdentityMap.from_frame(frame)
    assert str(caught.value) == message


def test_a_column_of_links_that_stands_twice():
    import pyarrow as pa

    with pytest.raises(SchemaError) as caught:
        IdentityMap.from_frame(pa.table([["a"], ["b"], ["c"]], names=["customer_id", "same_as", "same_as"]))
    assert str(caught.value) == (
        "column 'same_as' stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them."
    )


@pytest.mark.parametrize("columns", [["a"], {"a": "b"}, {"same_as": 5}, "same_as"])
def test_names_of_columns_that_a_table_of_links_does_not_have(columns):
    with pytest.raises(ArgumentError) as caught:
        IdentityMap.from_frame(LINKS, columns=columns)
    assert str(caught.value) == (
        f"columns={columns!r}: expected a mapping of customer_id, namespace, same_as, same_as_namespace to "
        'names in the table, such as {"same_as": "visitor"}.'
    )


def test_a_column_of_links_that_is_named_and_not_there():
    with pytest.raises(SchemaError) as caught:
        IdentityMap.from_frame(LINKS, columns={"namespace": "where"})
    assert str(caught.value) == (
        "column 'where', which columns= names as 'namespace', is missing. Found: customer_id, same_as."
    )


def test_what_is_no_table_of_links():
    with pytest.raises(ArgumentError) as caught:
        IdentityMap.from_frame(5)
    assert str(caught.value) == (
        "the table of links is of type int: expected a path, a frame with the Arrow stream protocol, a "
        "mapping of columns or a list of records."
    )


# Altered files


def stored():
    made = IdentityMap()
    for pair in ((1, "a"), (1, "b"), (2, "c")):
        made.link(*pair)
    return {name: values.copy() for name, values in made.to_arrays().items()}, made.facts()


DAMAGED = (
    "the stored identities are broken: {}, expected {}. "
    "Hint: the file may be damaged, or altered after it was written; save or copy it again."
)


@pytest.mark.parametrize("place", [5, 2**31 - 1, -1, -(2**31)])
def test_a_root_that_points_outside(place):
    arrays, facts = stored()
    arrays["root"][:] = place
    made = IdentityMap.from_arrays(arrays, facts)
    message = DAMAGED.format(f"an identity leads to place {place:,}", "0 to 4")
    for call in (lambda: made.canonical("a"), lambda: made.canonicals(["a", 1, "c"])):
        with pytest.raises(ArtifactError) as caught:
            call()
        assert str(caught.value) == message


@pytest.mark.parametrize("ring", [[1, 2, 3, 4, 2], [5] * 5, [-1] * 5])
def test_a_ring_that_leads_astray(ring):
    arrays, facts = stored()
    arrays["ring"][:] = ring
    with pytest.raises(ArtifactError) as caught:
        IdentityMap.from_arrays(arrays, facts).members(1)
    assert str(caught.value) in (
        DAMAGED.format("a ring never closes", "at most 5 identities"),
        DAMAGED.format("an identity leads to place 5", "0 to 4"),
        DAMAGED.format("an identity leads to place -1", "0 to 4"),
    )


@pytest.mark.parametrize("name", ["root", "age", "ring"])
def test_arrays_of_other_lengths(name):
    arrays, facts = stored()
    arrays[name] = arrays[name][:-1]
    with pytest.raises(ArtifactError) as caught:
        IdentityMap.from_arrays(arrays, facts)
    assert str(caught.value) == DAMAGED.format(f"{name} has 4 entries", "5")
