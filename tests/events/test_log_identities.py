"""EventLog with identities: one customer of all channels has one history, in whatever parts a log is read."""

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from event_cases import LONG, MODES, NOON, ODD_ROWS, THREE, as_table, holds_bytes, table
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engagelib import EventLog, Histories, split_by_position, split_by_time
from engagelib.errors import ArgumentError, SchemaError, UnknownCustomerError
from engagelib.events.customers import count_identities
from engagelib.identity import IdentityMap, spelled

# The ids of `ODD_ROWS`, and others that the log never holds.
ODD_IDS = st.sampled_from(["a", "b", "é", "e\u0301", "z\0", ("x", 1), "new", "newer"])
ODD_LINKS = st.lists(st.tuples(ODD_IDS, ODD_IDS), max_size=5)

NAMES = st.sampled_from(["web", "app", "é", "e\u0301", "", None])
SHOP_IDS = st.sampled_from(["1", "2", "ann", "web:1", None])
SHOP_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": SHOP_IDS,
            "item_id": st.sampled_from(["pen", "ink"]),
            "channel": NAMES,
            "session_id": st.sampled_from([1, 2]),
            "timestamp": st.integers(NOON, NOON + 3),
        }
    ),
    min_size=1,
    max_size=12,
)
SHOP_IDENTITIES = st.sampled_from(
    ["1", 2, "ann", ("web", 1), ("web", "2"), ("app", "ann"), ("é", 2), ("é", "1")]
)
SHOP_LINKS = st.lists(st.tuples(SHOP_IDENTITIES, SHOP_IDENTITIES), max_size=6)
SHOP_SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "item_id": pa.string(),
        "channel": pa.string(),
        "session_id": pa.int64(),
        "timestamp": pa.int64(),
    }
)


def shop(rows):
    return pa.Table.from_pylist(rows, schema=SHOP_SCHEMA)


def linked(links, column=None, **options):
    made = IdentityMap(column, **options)
    for a, b in links:
        made.link(a, b)
    return made


def identity_of(row):
    """The definition: a pair where there is a namespace, else the plain id."""
    if not row["customer_id"]:
        return None
    return (row["channel"], row["customer_id"]) if row["channel"] else row["customer_id"]


def replaced(rows, identities):
    """The same rows with the canonical id in place of each customer id, for a log read without a map."""
    found = [identity_of(row) for row in rows]
    return [
        {**row, "customer_id": None if identity is None else identities.canonical(identity)}
        for row, identity in zip(rows, found, strict=True)
    ]


def assert_same_log(found, expected):
    assert found.to_table().equals(expected.to_table())
    assert found.vocabularies == expected.vocabularies
    assert len(found.rejected) == len(expected.rejected)


def assert_same_histories(found, expected):
    ours, theirs = found.to_arrays(), expected.to_arrays()
    assert list(ours) == list(theirs)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert found.facts() == expected.facts()


# Laws

# Each of their examples reads half a dozen logs.
few_cases = settings(deadline=None, max_examples=25)


@few_cases
@given(rows=SHOP_ROWS, links=SHOP_LINKS)
def test_histories_are_those_of_the_canonical_ids(rows, links):
    identities = linked(links, "channel")
    log = EventLog.from_frame(shop(rows), identities=identities)
    plain = EventLog.from_frame(shop(replaced(rows, identities)))
    assert_same_log(log, plain)
    assert_same_histories(Histories.from_log(log), Histories.from_log(plain))


@few_cases
@given(rows=ODD_ROWS, modes=MODES, links=ODD_LINKS)
def test_what_is_refused_is_what_the_canonical_ids_make_of_it(rows, modes, links):
    identities = linked(links)
    known = [
        {**row, "customer_id": row["customer_id"] and identities.canonical(row["customer_id"])}
        for row in rows
    ]
    log = EventLog.from_frame(as_table(rows), on_bad="quarantine", identities=identities, **modes)
    plain = EventLog.from_frame(as_table(known), on_bad="quarantine", **modes)
    assert_same_log(log, plain)
    assert log.n_duplicates == plain.n_duplicates
    assert log.rejected["row"].equals(plain.rejected["row"])
    assert log.rejected["reason"].equals(plain.rejected["reason"])
    came = as_table(rows).take(pa.array(log.rejected["row"].to_numpy(), pa.int64()))
    assert repr(log.rejected.drop_columns(["identity", "row", "reason"]).to_pylist()) == repr(
        came.to_pylist()
    )
    spelled_ids = [row["customer_id"] and spelled(row["customer_id"]) for row in came.to_pylist()]
    assert log.rejected["identity"].to_pylist() == [id_ or None for id_ in spelled_ids]


@few_cases
@given(rows=SHOP_ROWS, links=SHOP_LINKS, data=st.data())
def test_the_order_of_rows_does_not_matter(rows, links, data):
    order = data.draw(st.permutations(range(len(rows))))
    identities = linked(links, "channel")
    first = EventLog.from_frame(shop(rows), identities=identities)
    other = EventLog.from_frame(shop([rows[place] for place in order]), identities=identities)
    assert first.vocabularies == other.vocabularies
    assert first.to_table().take(pa.array(order)).equals(other.to_table())
    assert count_identities(first) == count_identities(other)


# A prefix keeps the order of ids, and so renames the customers and nothing else.
@few_cases
@given(rows=SHOP_ROWS, links=SHOP_LINKS)
def test_renamed_ids_rename_the_customers(rows, links):
    def renamed(identity):
        return (identity[0], f"x{identity[1]}") if isinstance(identity, tuple) else f"x{identity}"

    def plain(identity):  # a text that is spelled like a pair would be renamed in its namespace
        return "web-1" if identity == "web:1" else identity

    rows = [{**row, "customer_id": plain(row["customer_id"])} for row in rows]
    others = [{**row, "customer_id": row["customer_id"] and renamed(row["customer_id"])} for row in rows]
    log = EventLog.from_frame(shop(rows), identities=linked(links, "channel"))
    other = EventLog.from_frame(
        shop(others), identities=linked([(renamed(a), renamed(b)) for a, b in links], "channel")
    )

    def told(id_):
        namespace, colon, rest = id_.partition(":")
        return f"{namespace}:x{rest}" if colon else f"x{id_}"

    assert other.to_table()["customer_id"].to_pylist() == [
        id_ and told(id_) for id_ in log.to_table()["customer_id"].to_pylist()
    ]


@few_cases
@given(rows=ODD_ROWS, modes=MODES, links=ODD_LINKS, data=st.data())
def test_two_parts_joined_are_the_whole(rows, modes, links, data):
    """Also where each part was read with some of the links only, or with none, or linked afterwards."""
    assume(len(rows) > 1)
    cut = data.draw(st.integers(1, len(rows) - 1))
    some = data.draw(st.integers(0, len(links)))
    options = {"on_bad": "quarantine", **modes}
    whole = EventLog.from_frame(as_table(rows), identities=linked(links), **options)

    def read(part, identities):
        return EventLog.from_frame(as_table(part), identities=identities, **options)

    parts = rows[:cut], rows[cut:]
    first = read(parts[0], linked(links))
    assert_same_log(first.append(as_table(parts[1]), on_bad="quarantine"), whole)
    assert_same_log(read(parts[0], linked(links[:some])).append(read(parts[1], linked(links[some:]))), whole)
    assert_same_log(read(parts[0], None).append(read(parts[1], linked(links))), whole)
    joined = first.append(read(parts[1], None))
    assert_same_log(joined, whole)
    assert joined.identities.members("a") == whole.identities.members("a")


@few_cases
@given(rows=ODD_ROWS, modes=MODES, links=ODD_LINKS, data=st.data())
def test_a_log_that_is_linked_is_one_that_was_read_with_the_links(rows, modes, links, data):
    some = data.draw(st.integers(0, len(links)))
    options = {"on_bad": "quarantine", **modes}
    whole = EventLog.from_frame(as_table(rows), identities=linked(links), **options)
    plain = EventLog.from_frame(as_table(rows), **options)
    assert_same_log(plain.link(linked(links)), whole)
    twice = plain.link(linked(links[:some])).link(linked(links[some:]))
    assert_same_log(twice, whole)
    assert count_identities(twice) == count_identities(whole)
    assert plain.identities is None


@few_cases
@given(rows=SHOP_ROWS, links=SHOP_LINKS)
def test_a_log_is_linked_by_the_namespaces_that_were_read_with_it(rows, links):
    identities = linked(links, "channel")
    found = EventLog.from_frame(shop(rows)).link(identities)
    assert_same_log(found, EventLog.from_frame(shop(rows), identities=identities))


@few_cases
@given(rows=ODD_ROWS, modes=MODES, links=ODD_LINKS, who=ODD_IDS)
def test_a_forgotten_customer_was_never_there(rows, modes, links, who):
    identities = linked(links)
    options = {"on_bad": "quarantine", **modes}
    log = EventLog.from_frame(as_table(rows), identities=identities, **options)
    theirs = set(identities.members(who))
    rest = [row for row in rows if not row["customer_id"] or spelled(row["customer_id"]) not in theirs]
    if len(rest) == len(rows) and len(theirs) == 1:
        with pytest.raises(UnknownCustomerError):
            log.forget(who)
        return
    after = log.forget(who)
    assert after.identities.members(who) == [spelled(who)]
    assert not theirs & set(after.identities_read.to_pylist())
    if rest:
        assert_same_log(
            after, EventLog.from_frame(as_table(rest), identities=identities.without(who), **options)
        )
    else:
        assert (len(after), len(after.rejected)) == (0, 0)


# By hand


def test_a_visitor_who_signs_in_has_one_history_in_the_order_of_time():
    rows = {
        "customer_id": ["77", "ann", "77", "ann", "5"],
        "channel": ["web", None, "web", None, "store"],
        "item_id": ["lamp", "lamp", "rug", "vase", "chair"],
        "event_type": ["view", "purchase", "view", "view", "purchase"],
        "timestamp": [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 4, 3, 5, 2)],
    }
    identities = linked([("ann", ("web", 77)), ("ann", ("store", 5))], "channel")
    log = EventLog.from_frame(rows, identities=identities)
    histories = Histories.from_log(log)
    assert (list(log.customers), histories.n_histories) == (["ann"], 1)
    assert histories.items.ids(histories.item_index) == ["lamp", "chair", "rug", "lamp", "vase"]
    assert log.to_table()["customer_id"].to_pylist() == ["ann"] * 5
    assert log.to_table()["channel"].to_pylist() == rows["channel"]
    # Told apart they are three, and 77 of the web is not 77 of the store.
    apart = EventLog.from_frame(rows, identities=IdentityMap("channel"))
    assert list(apart.customers) == ["ann", "store:5", "web:77"]


def test_a_bot_is_one_under_all_of_its_identities():
    rows = {"customer_id": ["ann", "v1", "v2", "bob"], "item_id": [1, 2, 3, 4]}
    identities = linked([("ann", "v1"), ("v1", "v2")])
    log = EventLog.from_frame(rows, identities=identities, max_events_per_customer=2)
    assert list(log.customers) == ["bob"]
    assert log.rejected["identity"].to_pylist() == ["ann", "v1", "v2"]
    assert len(EventLog.from_frame(rows, max_events_per_customer=2)) == 4


def test_the_same_event_under_two_identities_is_a_duplicate():
    rows = {"customer_id": ["ann", "v1"], "item_id": [1, 1]}
    assert EventLog.from_frame(rows, identities=linked([("ann", "v1")])).n_duplicates == 1
    assert EventLog.from_frame(rows).n_duplicates == 0


def test_anonymous_visits_stay_anonymous_in_any_namespace():
    rows = {"customer_id": [None, "1"], "item_id": [1, 1], "session_id": [1, 2], "channel": ["web", "web"]}
    log = EventLog.from_frame(rows, identities=IdentityMap("channel"))
    assert log.to_table()["customer_id"].to_pylist() == [None, "web:1"]
    nobody = EventLog.from_frame(rows | {"customer_id": [None, None]}, identities=IdentityMap("channel"))
    assert (nobody.n_customers, len(nobody)) == (0, 2)


def test_integers_stay_integers_without_a_namespace():
    rows = {"customer_id": [1, 2, None, 3], "item_id": [1] * 4, "session_id": [1] * 4}
    log = EventLog.from_frame(rows, identities=linked([(3, 1), (3, ("web", 9))]))
    assert log.to_table()["customer_id"].to_pylist() == [3, 2, None, 3]
    assert log.customers.kind == "int"
    with_column = EventLog.from_frame(rows | {"channel": [None] * 4}, identities=linked([(3, 1)], "channel"))
    assert with_column.to_table()["customer_id"].to_pylist() == ["3", "2", None, "3"]


def test_text_ids_spell_the_ids_of_the_map_too():
    rows = {"customer_id": [1, 2], "item_id": [1, 1]}
    log = EventLog.from_frame(rows, identities=linked([(("web", 9), 1), (7, 2)]), text_ids=True)
    assert log.to_table()["customer_id"].to_pylist() == ["web:9", "7"]
    assert log.identities.canonical(2) == "7"
    spelled_by_map = EventLog.from_frame(rows, identities=linked([(7, 2)], text_ids=True))
    assert spelled_by_map.to_table()["customer_id"].to_pylist() == ["1", "7"]
    assert spelled_by_map.identities_read.to_pylist() == ["1", "2"]
    assert spelled_by_map.forget(2).identities_read.to_pylist() == ["1"]


SOURCES = {
    "customer_id": ["1", "1", "1"],
    "item_id": [1, 2, 3],
    "src": ["web", None, "app"],
    "note": [1, 2, 3],
}


def test_namespaces_stand_in_any_column(tmp_path):
    identities = linked([("1", ("web", 1))], "src")
    log = EventLog.from_frame(SOURCES, identities=identities)
    assert log.to_table()["customer_id"].to_pylist() == ["1", "1", "app:1"]
    assert log.ignored == ("note",)
    assert log.to_table().column_names == ["customer_id", "item_id", "event_type"]
    renamed = EventLog.from_frame(SOURCES, identities=identities, columns={"channel": "src"})
    assert renamed.to_table()["customer_id"].to_pylist() == ["1", "1", "app:1"]
    assert renamed.to_table()["channel"].to_pylist() == SOURCES["src"]
    ours = EventLog.from_frame(
        SOURCES, identities=linked([("1", ("web", 1))], "channel"), columns={"channel": "src"}
    )
    assert ours.to_table().equals(renamed.to_table())
    # In a CSV file ids of this column would become integers, which are no namespaces.
    path = tmp_path / "log.csv"
    path.write_text("customer_id,item_id,src\n5,1,1\n5,1,\n6,1,007\n", "utf-8")
    log = EventLog.read(path, identities=linked([("ann", ("1", 5))], "src"))
    assert log.to_table()["customer_id"].to_pylist() == ["ann", "5", "007:6"]


def test_the_map_of_a_log_stays_as_it_was():
    identities = linked([("ann", "v1")])
    log = EventLog.from_frame(THREE, identities=identities)
    identities.link("ann", "bob")
    assert log.identities.members("ann") == ["ann", "v1"]
    with pytest.raises(ArgumentError, match="this map belongs to a log"):
        log.identities.link("ann", "bob")
    mine = log.identities.copy()
    mine.link("bob", "ann")
    assert list(log.link(mine).customers) == ["ann"]
    assert EventLog.from_frame(THREE).identities is None
    assert pickle.loads(pickle.dumps(log)).identities.members("v1") == ["ann", "v1"]


def test_selections_and_splits_keep_the_map():
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = {
        "customer_id": ["ann", "v1", "ann", "bob"],
        "item_id": [1, 2, 3, 4],
        "timestamp": [start + timedelta(days=day) for day in range(4)],
    }
    log = EventLog.from_frame(rows, identities=linked([("ann", "v1")]))
    assert log.select(np.array([True, False, False, False])).identities is log.identities
    for split in (split_by_time(log, test_days=2), split_by_position(log)):
        for side in (split.train, split.test):
            assert side.identities is log.identities
        assert split.train.customers[0] == "ann"
    tested = split_by_position(log).test
    assert (list(tested.customers), tested.to_table()["item_id"].to_pylist()) == (["ann"], [3])
    assert ("identities", 2, "1 customer came under more than one") in tested.report().rows


# Joining and linking


def test_maps_of_joined_logs_are_joined_and_merges_counted():
    first = EventLog.from_frame(
        {"customer_id": ["ann", "v1"], "item_id": [1, 2]}, identities=linked([("ann", "v1")])
    )
    second = EventLog.from_frame(
        {"customer_id": ["bob", "v2", "v1"], "item_id": [3, 4, 5]},
        identities=linked([("bob", "v2"), ("v2", "v1")]),
    )
    assert list(second.customers) == ["bob"]
    joined = first.append(second)
    assert list(joined.customers) == ["ann"]
    assert joined.identities.members("v2") == ["ann", "v1", "bob", "v2"]
    assert joined.report().rows[3:6] == (
        ("customers", 1, "ids are text"),
        ("identities", 4, "1 customer came under more than one"),
        ("customers merged", 1, "'bob' into 'ann'; see log.identities.merges"),
    )


def test_what_is_appended_is_read_with_the_maps_options():
    log = EventLog.from_frame(SOURCES, identities=IdentityMap("src"))
    more = log.append({"customer_id": [1, 2], "item_id": [1, 2], "src": ["web", "web"]})
    assert sorted(more.customers) == ["1", "app:1", "web:1", "web:2"]
    others = log.append({"customer_id": ["web:1"], "item_id": [1]}, identities=linked([("ann", ("web", 1))]))
    assert list(others.customers) == ["1", "ann", "app:1"]
    assert others.identities.column == "src"


def test_a_customer_of_one_log_is_a_bot_of_the_other_under_another_id():
    limits = {"max_events_per_customer": 2}
    day = EventLog.from_frame({"customer_id": ["v1"] * 3 + ["bob"], "item_id": [1, 2, 3, 4]}, **limits)
    night = EventLog.from_frame({"customer_id": ["ann", "bob"], "item_id": [1, 1]}, **limits)
    for first, second in ((day, night), (night, day)):
        joined = first.append(second).link(linked([("ann", "v1")]))
        assert list(joined.customers) == ["bob"]
        assert len(joined.rejected) == 4
    # Also where the rows that were set aside are told by a namespace.
    options = {"identities": IdentityMap("channel"), **limits}
    day = EventLog.from_frame(
        {"customer_id": ["1"] * 3, "item_id": [1, 2, 3], "channel": ["web"] * 3}, **options
    )
    night = EventLog.from_frame(
        {"customer_id": ["1", "ann"], "item_id": [1, 1]}, identities=linked([("ann", ("web", 1))])
    )
    assert list(night.append(day).customers) == ["1"]


def test_integers_in_a_log_that_is_linked_with_text_ids_are_forgotten_too():
    log = EventLog.from_frame({"customer_id": [1, 2, 1], "item_id": [1, 2, None]}, on_bad="quarantine")
    for start in (log, log.link(linked([(2, 3)]))):
        after = start.link(linked([(("web", 7), 1)], text_ids=True))
        assert after.to_table()["customer_id"].to_pylist() == ["web:7", "2"]
        for identity in (1, "1", ("web", 7)):
            gone = after.forget(identity)
            assert (list(gone.customers), len(gone.rejected)) == (["2"], 0)


# Forgetting


def everything_in(log):
    yield log.to_table()
    yield log.rejected
    yield log.item_table
    yield pa.table({"read": log.identities_read})
    yield from log.columns.values()
    yield from log.identities.to_arrays().values()
    for vocabulary in log.vocabularies.values():
        yield from vocabulary.to_arrays().values()


def traces(log, needle):
    return [part for part in everything_in(log) if holds_bytes(part, needle)]


@pytest.mark.parametrize(
    "identity", ["ann-of-green-gables", ("web", "cookie-77"), "web:cookie-77", ("app", 4_812_931)]
)
def test_nothing_of_a_forgotten_customer_remains_under_any_identity(identity):
    rows = {
        "customer_id": ["ann-of-green-gables", "cookie-77", "4812931", "bob", "cookie-77", "4812931"],
        "channel": [None, "web", "app", None, "web", "app"],
        "item_id": ["pen", "ink", "pen", "pen", None, "cap"],
    }
    identities = linked(
        [
            ("ann-of-green-gables", ("web", "cookie-77")),
            (("app", 4_812_931), "cookie-77"),
            ("bob", ("web", "b")),
        ],
        "channel",
    )
    identities.link(("app", 4_812_931), "ann-of-green-gables")
    secrets = [b"green-gables", b"cookie-77", b"4812931"]
    log = EventLog.from_frame(rows, identities=identities, on_bad="quarantine")
    log = log.append(EventLog.from_frame(rows, identities=IdentityMap("channel"), on_bad="quarantine"))
    assert all(traces(log, secret) for secret in secrets)
    after = log.forget(identity)
    assert not [secret for secret in secrets if traces(after, secret)]
    assert list(after.customers) == ["bob"]
    assert len(after) == 2
    assert len(after.rejected) == 0
    assert not any(secret.decode() in f"{after!r}{after.report()}{after.identities!r}" for secret in secrets)
    assert after.identities.members("bob") == ["bob", "web:b"]
    assert traces(log, secrets[0])  # a log is never changed


def test_who_is_linked_and_has_no_row_is_forgotten_too():
    log = EventLog.from_frame(THREE, identities=linked([("eve", ("web", 1)), ("ann", "v1")]))
    after = log.forget(("web", 1))
    assert len(after.identities) == 2
    assert len(after) == 3
    with pytest.raises(UnknownCustomerError) as caught:
        after.forget(("web", 1))
    assert str(caught.value) == "customer 'web:1' is unknown to this model or log."


def test_a_pair_is_forgotten_in_a_log_without_a_map():
    log = EventLog.from_frame(table(customer_id=["web:1", "web:1", "bob"]))
    assert list(log.forget(("web", 1)).customers) == ["bob"]
    with pytest.raises(ArgumentError, match="is no identity"):
        log.forget(1.5)
    with pytest.raises(UnknownCustomerError):
        log.forget("\ud800")


def test_rows_without_a_customer_are_kept_when_one_is_forgotten():
    rows = {
        "customer_id": [LONG, None, "1", "1"],
        "item_id": [1, 1, None, 2],
        "channel": ["web", "web", "web", None],
    }
    log = EventLog.from_frame(rows, identities=IdentityMap("channel"), on_bad="quarantine")
    after = log.forget(("web", 1))
    assert after.rejected["identity"].to_pylist() == [f"web:{LONG}", None]
    assert list(after.customers) == ["1"]
    assert log.forget(("web", LONG)).rejected["identity"].to_pylist() == [None, "web:1"]


def test_rows_set_aside_are_told_by_namespaces_once_the_log_is_linked_by_them():
    rows = {"customer_id": ["1", "1", "1"], "item_id": [None, None, "pen"], "channel": ["web", None, "web"]}
    log = EventLog.from_frame(rows, on_bad="quarantine").link(linked([("ann", ("web", 1))], "channel"))
    assert log.rejected["identity"].to_pylist() == ["web:1", "1"]
    assert (list(log.customers), len(log.forget("ann").rejected)) == (["ann"], 1)
    assert log.forget("1").rejected["identity"].to_pylist() == ["web:1"]


# The report


def test_the_report_counts_identities_and_lists_merges():
    rows = {
        "customer_id": ["ann", "77", "bob", "88", "eve", "fay"],
        "channel": [None, "web", None, "web", None, "app"],
        "item_id": ["pen"] * 6,
    }
    identities = linked(
        [("ann", ("web", 77)), ("bob", ("web", 88)), ("gil", ("app", "fay")), ("hal", "gil")], "channel"
    )
    log = EventLog.from_frame(rows, identities=identities)
    assert ("identities", 6, "2 customers came under more than one") in log.report().rows
    assert log.report().rows[3:6] == (
        ("customers", 4, "ids are text"),
        ("identities", 6, "2 customers came under more than one"),
        ("anonymous visits", 0, "they feed the models and are no customers"),
    )
    for a, b in (
        ("ann", "bob"),
        ("c", "d"),
        ("ann", "d"),
        ("e", "f"),
        ("e", "ann"),
        ("g", "h"),
        ("g", "ann"),
        ("x", "y"),
        ("z", "zz"),
        ("x", "z"),
    ):
        identities.link(a, b)
    merged = log.link(identities)
    assert merged.report().rows[3:6] == (
        ("customers", 3, "ids are text"),
        ("identities", 6, "1 customer came under more than one"),
        (
            "customers merged",
            4,
            "'bob' into 'ann', 'c' into 'ann', 'e' into 'ann' and 1 more; see log.identities.merges",
        ),
    )
    alone = EventLog.from_frame(THREE, identities=IdentityMap())
    assert ("identities", 2, "0 customers came under more than one") in alone.report().rows


# Refusals


def refused(call, kind=SchemaError):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


TYPES = (
    "column 'customer_id': {!r} is the same customer as {!r}, whose id is {}: expected ids of one type. "
    "Hint: the identity that was linked first names the customer; link the log's own id first, or spell all "
    "ids as text with text_ids=True."
)


def test_canonical_ids_of_another_type_than_the_log():
    numbers, texts = table(customer_id=[5, 6, 5]), table(customer_id=["web:9", "b", "c"])
    pair_first, number_first = linked([(("web", 9), 5)]), linked([(5, ("web", 9))])
    assert refused(lambda: EventLog.from_frame(numbers, identities=pair_first)) == TYPES.format(
        5, "web:9", "text"
    )
    assert refused(lambda: EventLog.from_frame(numbers).link(pair_first)) == TYPES.format(5, "web:9", "text")
    message = TYPES.format("web:9", 5, "an integer")
    assert refused(lambda: EventLog.from_frame(texts, identities=number_first)) == message
    # Each of the remedies helps, and what the log does not hold does no harm.
    assert list(EventLog.from_frame(numbers, identities=number_first).customers) == [5, 6]
    assert list(EventLog.from_frame(texts, identities=number_first, text_ids=True).customers) == [
        "5",
        "b",
        "c",
    ]
    assert list(EventLog.from_frame(numbers, identities=linked([("eve", 7)])).customers) == [5, 6]


def test_joined_maps_may_bring_a_canonical_id_of_another_type():
    first = EventLog.from_frame(table(customer_id=[5, 6, 5]), identities=linked([(("web", 9), "v")]))
    second = EventLog.from_frame(table(customer_id=[5, 7, 5]), identities=linked([(5, ("web", 9))]))
    assert refused(lambda: first.append(second)) == TYPES.format(5, "web:9", "text")
    assert list(second.append(first).customers) == [5, 6, 7]


def test_integers_meet_text_where_the_map_of_one_log_spells_them_so():
    numbers = EventLog.from_frame(table(customer_id=[5, 6, 5]))
    texts = EventLog.from_frame(table(customer_id=[5, 7, 5]), identities=IdentityMap(text_ids=True))
    for joined in (texts.append(numbers), numbers.append(texts)):
        assert list(joined.customers) == ["5", "6", "7"]
    exact = EventLog.from_frame(table(customer_id=["5", "6", "5"]), identities=IdentityMap())
    assert refused(lambda: exact.append(numbers)) == (
        "the log to append: column 'customer_id' holds integers, the log holds strings. "
        "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type."
    )


def test_a_column_of_namespaces_that_is_not_there():
    message = (
        "column 'channel', in which identities= looks for the namespaces, is missing. Found: {}. "
        "Hint: IdentityMap() without a column takes every id as it stands."
    )
    identities = IdentityMap("channel")
    log = EventLog.from_frame(THREE)
    assert refused(lambda: EventLog.from_frame(THREE, identities=identities)) == message.format(
        "customer_id, item_id"
    )
    assert refused(lambda: log.link(identities)) == message.format("customer_id, item_id, event_type")
    twice = pa.table([["a"], ["b"], ["web"], ["app"]], names=["customer_id", "item_id", "src", "src"])
    assert refused(lambda: EventLog.from_frame(twice, identities=IdentityMap("src"))) == (
        "column 'src' stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them."
    )


def test_a_column_that_holds_no_namespaces():
    message = (
        "column 'channel' is of type {}: expected text, the namespace of each row's id. "
        'Hint: text_ids=True reads a column "channel" or "location" of integers as text.'
    )
    identities = IdentityMap("channel")
    numbers = table(channel=[1, 2, None])
    assert refused(lambda: EventLog.from_frame(numbers, identities=identities)) == message.format("int64")
    found = EventLog.from_frame(numbers, identities=identities, text_ids=True)
    assert found.to_table()["customer_id"].to_pylist() == ["1:ann", "2:bob", "ann"]
    assert refused(lambda: EventLog.from_frame(numbers).link(identities)) == message.format("int64")


def test_a_namespace_with_a_colon():
    rows = table(channel=["web", "a:b", None])
    message = "column 'channel': a namespace with a ':' in it (1 row, first at 1). Hint: {}"
    aside = 'on_bad="quarantine" sets such rows aside in log.rejected.'
    identities = IdentityMap("channel")
    assert refused(lambda: EventLog.from_frame(rows, identities=identities)) == message.format(aside)
    log = EventLog.from_frame(rows, identities=identities, on_bad="quarantine")
    assert (list(log.customers), log.rejected["row"].to_pylist()) == (["ann", "web:ann"], [1])
    assert refused(lambda: EventLog.from_frame(rows).link(identities)) == message.format(
        "a namespace ends at its first ':'; call it by another name."
    )


@pytest.mark.parametrize("given", [{"a": "b"}, "links.csv", True])
def test_what_is_no_map(given):
    message = (
        f"identities={given!r}: expected an IdentityMap. "
        'Hint: IdentityMap.from_frame reads a table with the columns "customer_id" and "same_as".'
    )
    log = EventLog.from_frame(THREE)
    assert refused(lambda: EventLog.from_frame(THREE, identities=given), ArgumentError) == message
    assert refused(lambda: log.append(THREE, identities=given), ArgumentError) == message
    assert refused(lambda: log.link(given), ArgumentError) == message


def test_there_is_no_linking_with_nothing():
    assert refused(lambda: EventLog.from_frame(THREE).link(None), ArgumentError).startswith(
        "identities=None: "
    )


def test_maps_that_look_for_namespaces_in_different_columns():
    rows = table(channel=["web"] * 3, location=["here"] * 3)
    log = EventLog.from_frame(rows, identities=IdentityMap("channel"))
    message = (
        "one map names column 'channel' for the namespaces, the other one 'location': expected the same. "
        "Hint: bring the namespaces of both logs under one name before they are read."
    )
    other = IdentityMap("location")
    assert refused(lambda: log.link(other), ArgumentError) == message
    assert refused(lambda: log.append(rows, identities=other), ArgumentError) == message
    linked_without = EventLog.from_frame(rows, identities=IdentityMap())
    assert refused(lambda: linked_without.link(other)) == (
        "the customers of this log were linked without namespaces, and this map looks for them in column "
        "'location': expected a map without a column. Hint: read the log again with identities=."
    )
