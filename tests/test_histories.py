"""Histories against the plain loops that define them, and the laws that every other room leans on."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engagelib import EventLog, Histories
from engagelib.errors import ArgumentError, ArtifactError, NotEnoughDataError
from engagelib.testing import histories_of, log_of, random_log
from engagelib.times import DAY
from engagelib.weights import EVENT_WEIGHTS

EPOCH = 1_704_067_200_000_000  # 1 January 2024
pytestmark = pytest.mark.usefixtures("kernel")

TYPES = ["view", "cart", "purchase", "return", "survey"]


@st.composite
def events(draw, *, distinct=False, min_size=1):
    """Rows of a small log in no order: few customers, items and days, so that everything collides."""
    day = st.integers(0, 8)
    row = st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from(["ann", "bob", "cyd", None]),
            "item_id": st.sampled_from([10, 20, 30]),
            "event_type": st.sampled_from(TYPES),
            "timestamp": day.map(lambda days: EPOCH + days * DAY),
            "quantity": st.sampled_from([1.0, 2.0, 3.0, None]),
            "session_id": st.sampled_from(["s1", "s2"]),
            "order_id": st.sampled_from([1, 2, None]),
            "location": st.sampled_from(["north", "south", None]),
        }
    )
    rows = draw(st.lists(row, min_size=min_size, max_size=14))
    if distinct:
        for place, row in enumerate(rows):
            row["timestamp"] += place
    return rows


def log_from(rows, **keywords):
    names = [
        "customer_id",
        "item_id",
        "event_type",
        "timestamp",
        "quantity",
        "session_id",
        "order_id",
        "location",
    ]
    return EventLog.from_frame({name: [row[name] for row in rows] for name in names}, unit="us", **keywords)


def in_order(rows):
    """The events by history: customers by id, then visits by session; each by time, then as given."""
    names = sorted({row["customer_id"] for row in rows if row["customer_id"]})
    visits = sorted({row["session_id"] for row in rows if not row["customer_id"]})
    belongs = lambda row: (row["customer_id"], None) if row["customer_id"] else (None, row["session_id"])  # noqa: E731
    keys = [(name, None) for name in names] + [(None, visit) for visit in visits]
    return [
        sorted((row for row in rows if belongs(row) == key), key=lambda row: row["timestamp"]) for key in keys
    ]


def kept_shares(history):
    """What was kept of each event: a return takes from the newest earlier purchases of the item.

    Those of one moment count as one, and come before the returns of that moment.
    """
    bought, left = {}, {}
    for row in history:
        if row["event_type"] == "purchase":
            layer = (row["item_id"], row["timestamp"])
            bought[layer] = left[layer] = bought.get(layer, 0) + (row["quantity"] or 1.0)
    for row in history:
        due = row["quantity"] or 1.0
        for layer in sorted(left, reverse=True):
            if row["event_type"] == "return" and layer[0] == row["item_id"] and layer[1] <= row["timestamp"]:
                taken = min(due, left[layer])
                left[layer] -= taken
                due -= taken
    layers = [(row["item_id"], row["timestamp"]) for row in history]
    return [
        left[layer] / bought[layer] if row["event_type"] == "purchase" else 1.0
        for row, layer in zip(history, layers, strict=True)
    ]


def drawn(rows, *, weights=None, half_life_days=None, half_life_steps=None, at=None, by="customer"):
    """The definition of `Histories.matrix`, as a dict from (row, item) to confidence."""
    weights = EVENT_WEIGHTS if weights is None else weights
    now = max(row["timestamp"] for row in rows) if at is None else at
    codes = {
        name: sorted({row[name] for row in rows} - {None}) for name in ("session_id", "order_id", "location")
    }
    column = {"session": "session_id", "order": "order_id", "location": "location"}.get(by)
    cells = {}
    for place, whole in enumerate(in_order(rows)):
        history = [row for row in whole if row["timestamp"] <= now]
        counted = []
        for row, share in zip(history, kept_shares(history), strict=True):
            weight = weights.get(row["event_type"], 0) * share
            if weight and (by == "customer" or row[column] is not None):
                counted.append((row, weight))
        for row, confidence in counted:
            weight = confidence
            if half_life_days:
                weight *= 0.5 ** ((now - row["timestamp"]) / DAY / half_life_days)
            if half_life_steps:
                later = {other["timestamp"] for other, _ in counted if other["timestamp"] > row["timestamp"]}
                weight *= 0.5 ** (len(later) / half_life_steps)
            key = place if by == "customer" else codes[column].index(row[column])
            cells[key, row["item_id"]] = cells.get((key, row["item_id"]), 0) + weight
    return cells


def as_cells(histories, matrix):
    cells = matrix.tocoo()
    items = histories.items.ids(cells.col.tolist())
    return dict(zip(zip(cells.row.tolist(), items, strict=True), cells.data.tolist(), strict=True))


def same_bits(left, right):
    return (
        left.shape == right.shape
        and left.indptr.tolist() == right.indptr.tolist()
        and left.indices.tolist() == right.indices.tolist()
        and left.data.tobytes() == right.data.tobytes()
    )


def same_histories(left, right):
    mine, theirs = left.to_arrays(), right.to_arrays()
    assert sorted(mine) == sorted(theirs)
    for name, values in mine.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert left.facts() == right.facts()


DRAWINGS = st.fixed_dictionaries(
    {},
    optional={
        "weights": st.dictionaries(st.sampled_from(TYPES), st.sampled_from([0, 1, 2.5]), min_size=1),
        "half_life_days": st.sampled_from([0.5, 3.0, 60.0]),
        "half_life_steps": st.sampled_from([0.5, 2.0]),
        "at": st.integers(-1, 9).map(lambda days: EPOCH + days * DAY),
        "by": st.sampled_from(["session", "order", "location"]),
    },
)


# Definition


@given(rows=events(), drawing=DRAWINGS)
def test_a_matrix_is_what_the_loops_say(rows, drawing):
    histories = Histories.from_log(log_from(rows))
    assume(drawing.get("by") != "order" or "order" in histories.codes)
    given_weights = {"event_weights" if name == "weights" else name: value for name, value in drawing.items()}
    matrix = histories.matrix(**given_weights)
    found, expected = as_cells(histories, matrix), drawn(rows, **drawing)
    assert found.keys() == expected.keys()
    for cell, value in found.items():
        assert math.isclose(value, expected[cell], rel_tol=1e-6), cell
    assert matrix.dtype == np.float32
    assert matrix.has_sorted_indices
    assert (matrix.data > 0).all()


@given(rows=events())
def test_events_come_by_history_and_time(rows):
    histories = Histories.from_log(log_from(rows))
    expected = in_order(rows)
    assert histories.n_histories == len(expected)
    assert histories.n_customers == len({row["customer_id"] for row in rows} - {None})
    flat = [row for history in expected for row in history]
    assert np.diff(histories.indptr).tolist() == [len(history) for history in expected]
    assert histories.items.ids(histories.item_index.tolist()) == [row["item_id"] for row in flat]
    assert [histories.event_types[code] for code in histories.event_type] == [
        row["event_type"] for row in flat
    ]
    assert histories.time.tolist() == [row["timestamp"] for row in flat]
    assert histories.newest == max(row["timestamp"] for row in rows)
    places = (
        [histories.tables["location"].find(row["location"]) for row in flat]
        if "location" in histories.tables
        else []
    )
    assert histories.codes["location"].tolist() == places


@given(rows=events(), which=st.sampled_from(["purchased", "any"]), at=st.none() | st.integers(-1, 9))
def test_seen_is_a_matrix_of_ones_where_something_was_met(rows, which, at):
    at = None if at is None else EPOCH + at * DAY
    histories = Histories.from_log(log_from(rows))
    one_type = len({row["event_type"] for row in rows}) == 1
    expected = {
        (place, row["item_id"]): 1.0
        for place, history in enumerate(in_order(rows))
        for row in history
        if (which == "any" or one_type or row["event_type"] in {"purchase", "return"})
        and (at is None or row["timestamp"] <= at)
    }
    assert as_cells(histories, histories.seen(which, at=at)) == expected


def test_cases_worked_by_hand():
    histories = histories_of(
        {
            "ann": [("lamp", "view"), "lamp", ("rug", "cart"), ("lamp", "view")],
            "bob": [
                {"item_id": "rug", "quantity": 4},
                {"item_id": "rug", "quantity": 1, "event_type": "return"},
            ],
        }
    )
    # A view counts 1, a cart 3, a purchase 5; of Bob's four rugs three stayed. Ann's newest day is day 3.
    assert histories.matrix().toarray().tolist() == [[7, 3], [0, 3.75]]
    by_days = histories.matrix(half_life_days=1.0).toarray().tolist()
    assert by_days == [[1 / 8 + 5 / 4 + 1, 3 / 2], [0, 3.75 / 8]]
    by_steps = histories.matrix(half_life_steps=1.0).toarray().tolist()
    assert by_steps == [[1 / 8 + 5 / 4 + 1, 3 / 2], [0, 3.75]]
    before = histories.matrix(at=EPOCH).toarray().tolist()  # Bob had not brought his rug back
    assert before == [[1, 0], [0, 5]]


def test_a_decay_beyond_float32_leaves_no_zeros():
    histories = histories_of({"ann": ["lamp", "rug"]})
    assert histories.matrix(half_life_days=0.001).toarray().tolist() == [[0, 5]]
    assert histories.matrix(half_life_days=0.001).nnz == 1


def test_times_after_the_moment_do_not_overflow():
    histories = histories_of({"ann": ["lamp", *["rug"] * 40]})
    assert histories.matrix(half_life_days=0.01, at=EPOCH).toarray().tolist() == [[5, 0]]


def test_infinite_half_lives_are_no_decay():
    histories = Histories.from_log(random_log())
    plain = histories.matrix()
    assert same_bits(histories.matrix(half_life_days=np.inf, half_life_steps=np.inf), plain)


# Laws


@given(rows=events(distinct=True), drawing=DRAWINGS, data=st.data())
def test_the_order_of_rows_does_not_matter(rows, drawing, data):
    shuffled = data.draw(st.permutations(rows))
    same_histories(Histories.from_log(log_from(rows)), Histories.from_log(log_from(shuffled)))


@given(rows=events(), data=st.data())
def test_with_ties_the_order_of_rows_changes_sums_by_rounding_alone(rows, data):
    first, second = (Histories.from_log(log_from(some)) for some in (rows, data.draw(st.permutations(rows))))
    for drawing in ({"half_life_days": 3.0}, {"by": "session"}, {"by": "location"}):
        if drawing.get("by", "session") in first.codes:
            left, right = (some.matrix(**drawing).toarray() for some in (first, second))
            np.testing.assert_allclose(left, right, rtol=1e-6)


@given(rows=events())
def test_renaming_ids_in_order_changes_nothing_but_names(rows):
    renamed = [
        row | {"customer_id": row["customer_id"] and f"x{row['customer_id']}", "item_id": row["item_id"] * 7}
        for row in rows
    ]
    first, second = (Histories.from_log(log_from(some)) for some in (rows, renamed))
    assert same_bits(first.matrix(half_life_steps=2.0), second.matrix(half_life_steps=2.0))
    assert first.indptr.tolist() == second.indptr.tolist()


@given(rows=events(min_size=2), data=st.data())
def test_a_log_in_two_parts_is_the_log(rows, data):
    cut = data.draw(st.integers(1, len(rows) - 1))
    whole = Histories.from_log(log_from(rows))
    joined = Histories.from_log(log_from(rows[:cut]).append(log_from(rows[cut:])))
    same_histories(whole, joined)


DRAWN = [
    {},
    {"half_life_days": 9.7},
    {"half_life_steps": 3.3},
    {"half_life_days": 9.7, "at": EPOCH + 90 * DAY},
    {"event_weights": {"view": 0.1, "purchase": 0.7}},
]


@pytest.mark.parametrize("drawing", DRAWN)
def test_a_row_alone_equals_the_row_among_all_bit_for_bit(drawing):
    histories = Histories.from_log(random_log(30, 12, 3000, rng=3))  # many events to a cell
    whole, seen = histories.matrix(**drawing), histories.seen("purchased", at=drawing.get("at"))
    for row in range(histories.n_histories):
        for alone in (histories.take(np.array([row])), histories.block(row, row + 1)):
            assert same_bits(alone.matrix(**drawing), whole[[row]])
            assert same_bits(alone.seen("purchased", at=drawing.get("at")), seen[[row]])


@given(rows=events(), wanted=st.lists(st.integers(-1, 4), max_size=6))
def test_take_draws_rows_in_any_order(rows, wanted):
    histories = Histories.from_log(log_from(rows))
    wanted = [row for row in wanted if row < histories.n_histories]
    taken = histories.take(np.array(wanted, np.int64))
    whole = histories.matrix(half_life_steps=2.0).toarray()
    empty = np.zeros(histories.n_items)
    expected = [whole[row] if row >= 0 else empty for row in wanted]
    assert taken.n_histories == len(wanted)
    assert taken.matrix(half_life_steps=2.0).toarray().tolist() == [row.tolist() for row in expected]
    assert taken.codes["session"].tolist() == [
        code
        for row in wanted
        if row >= 0
        for code in histories.codes["session"][histories.indptr[row] : histories.indptr[row + 1]].tolist()
    ]


@given(rows=events(), data=st.data())
def test_blocks_are_the_rows_between_and_share_their_memory(rows, data):
    histories = Histories.from_log(log_from(rows))
    start = data.draw(st.integers(0, histories.n_histories))
    stop = data.draw(st.integers(start, histories.n_histories))
    block = histories.block(start, stop)
    same_histories(block, histories.take(np.arange(start, stop)))
    assert not block.n_events or np.shares_memory(block.item_index, histories.item_index)


@given(rows=events(), at=st.integers(-1, 9))
def test_until_is_the_log_without_later_events(rows, at):
    at = EPOCH + at * DAY
    histories = Histories.from_log(log_from(rows))
    past = histories.until(at)
    assert past.n_histories == histories.n_histories
    expected = [[row["timestamp"] for row in history if row["timestamp"] <= at] for history in in_order(rows)]
    found = [past.block(row, row + 1).time.tolist() for row in range(past.n_histories)]
    assert found == expected
    assert same_bits(past.matrix(at=at), histories.matrix(at=at))


def test_until_leaves_a_set_alone():
    histories = histories_of({"ann": [1, 2]}, time_kind="set")
    assert histories.until(0) is histories


# Newest events appended


@pytest.mark.parametrize(("time_kind", "times"), [("position", [0, 1, 2, 3, 0, 1, 2]), ("set", None)])
def test_events_that_follow_count_on(time_kind, times):
    histories = histories_of({"ann": [10, 20], "bob": [30]}, time_kind=time_kind)
    longer = histories.followed_by(np.array([2, 0]), "view", None)
    assert longer.item_index.tolist() == [0, 1, 2, 0, 2, 2, 0]
    assert [longer.event_types[code] for code in longer.event_type] == ["purchase"] * 2 + ["view"] * 2 + [
        "purchase",
        "view",
        "view",
    ]
    assert (longer.time if times is None else longer.time.tolist()) == times
    assert histories.n_events == 3, "the histories themselves stay as they were"


def test_events_that_follow_are_the_newest_of_every_row():
    histories = Histories.from_log(random_log())
    some = histories.take(np.array([-1, 3, 4]))
    for at in (None, histories.newest + DAY, EPOCH):
        longer = some.followed_by(np.array([5, 6]), "cart", at)
        for row in range(3):
            alone = longer.block(row, row + 1)
            assert alone.item_index[-2:].tolist() == [5, 6]
            assert (np.diff(alone.time) >= 0).all()
            assert alone.time[-1] == max(
                alone.time[0], histories.newest if at is None else at, *alone.time[:-2].tolist()
            )
        assert np.isnan(longer.numbers["quantity"][longer.indptr[1:] - 1]).all()
        assert (longer.codes["session"][longer.indptr[1:] - 1] == -1).all()
    assert some.followed_by(np.zeros(0, int), "cart", None) is some
    nobody = histories.take(np.zeros(0, int))
    assert nobody.followed_by(np.array([1]), "view", None).n_events == 0


# To arrays and back


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_arrays_bring_histories_back(time_kind):
    histories = Histories.from_log(random_log(time_kind=time_kind))
    back = Histories.from_arrays(histories.to_arrays(), histories.facts())
    same_histories(back, histories)
    assert back.customers.ids(range(3)) == histories.customers.ids(range(3))
    assert back.tables["location"].ids(range(3)) == ["l0", "l1", "l2"]
    assert same_bits(back.matrix(), histories.matrix())


def test_it_says_what_it_holds():
    assert repr(histories_of({"ann": [1, 2], None: [{"item_id": 1, "session_id": "s"}]})) == (
        "Histories(3 events of 2 histories, 1 of them customers, and 2 items, time_kind='timestamp')"
    )


# Logs at the edge


def test_events_without_items_are_kept_and_draw_nothing():
    histories = histories_of({"ann": [{"item_id": None, "event_type": "survey"}], "bob": ["rug"]})
    assert histories.item_index.tolist() == [-1, 0]
    assert histories.matrix().toarray().tolist() == [[0], [5]]
    assert histories.seen("any").toarray().tolist() == [[0], [1]]


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_in_one_moment_purchases_come_before_returns(time_kind):
    when = {"timestamp": {"timestamp": "2024-01-01"}, "position": {"position": 4}, "set": {}}[time_kind]
    bought, returned = (
        {"item_id": "rug", "event_type": event_type, **when} for event_type in ("purchase", "return")
    )
    visits = {"ann": [bought, returned], "bob": [returned, bought], "cyd": [bought, returned, bought]}
    histories = histories_of(visits, time_kind=time_kind)
    assert histories.matrix().toarray().tolist() == [[0], [0], [5]]


def test_an_event_without_an_item_is_no_second_type_of_what_was_seen():
    visits = {"ann": [("rug", "listen")], "bob": [("lamp", "listen")]}
    survey = {"item_id": None, "event_type": "survey"}
    with_survey = {**visits, "cyd": [survey], "dan": []}
    for some in (visits, with_survey, {**visits, "cyd": [survey, {**survey, "event_type": "login"}]}):
        histories = histories_of(some)
        assert histories.item_types == ("listen",)
        seen = histories.seen("purchased")
        assert seen.toarray()[:2].tolist() == [[0, 1], [1, 0]]
        back = Histories.from_arrays(histories.to_arrays(), json.loads(json.dumps(histories.facts())))
        # What was decided for the log holds for every part of it, and for what is added to it.
        for part in (back, back.block(0, 1), back.take(np.array([0, -1])), back.until(EPOCH)):
            assert same_bits(part.seen("purchased")[[0]], seen[[0]])
        longer = histories.take(np.array([0])).followed_by(np.array([0]), "view", None)
        assert longer.seen("purchased").toarray().tolist() == [[0, 1]]
        assert longer.seen("any").toarray().tolist() == [[1, 1]]


def test_the_longest_histories_take_no_time():
    visits = {
        "ann": [
            {"item_id": n % 500, "event_type": ["purchase", "view", "return"][n % 3]} for n in range(20_000)
        ]
    }
    histories = Histories.from_log(log_of(visits, time_kind="position"))
    alone = histories.take(np.array([0]))
    assert same_bits(alone.matrix(half_life_steps=9.0), histories.matrix(half_life_steps=9.0))


# Refusals


@pytest.mark.parametrize(
    ("drawing", "text"),
    [
        ({"half_life_days": 0}, "half_life_days=0: expected a number above 0, or None for no decay."),
        (
            {"half_life_days": math.nan},
            "half_life_days=nan: expected a number above 0, or None for no decay.",
        ),
        ({"half_life_steps": -1.5}, "half_life_steps=-1.5: expected a number above 0, or None for no decay."),
        (
            {"event_weights": {"view": -1}},
            "event_weights={'view': -1}: expected weights from 0 to 1e+30; 'view' has -1.",
        ),
        (
            {"event_weights": {"view": 1, "cart": math.nan}},
            "event_weights={'view': 1, 'cart': nan}: expected weights from 0 to 1e+30; 'cart' has nan.",
        ),
        (
            {"event_weights": {"view": 1e31}},
            "event_weights={'view': 1e+31}: expected weights from 0 to 1e+30; 'view' has 1e+31.",
        ),
        ({"half_life_days": "x"}, "half_life_days='x': expected a number above 0, or None for no decay."),
        ({"half_life_days": [3]}, "half_life_days=[3]: expected a number above 0, or None for no decay."),
        ({"half_life_days": True}, "half_life_days=True: expected a number above 0, or None for no decay."),
        (
            {"half_life_days": 10**400},
            f"half_life_days={10**400}: expected a number above 0, or None for no decay.",
        ),
        (
            {"event_weights": {"view": "a"}},
            "event_weights={'view': 'a'}: expected weights from 0 to 1e+30; 'view' has 'a'.",
        ),
        (
            {"event_weights": ["view"]},
            "event_weights=['view']: expected a mapping from event types to weights, such as "
            '{"view": 1.0}, or None.',
        ),
        ({"by": ["item"]}, "by=['item']: expected one of customer, channel, location, order, session."),
        ({"by": "item"}, "by='item': expected one of customer, channel, location, order, session."),
    ],
)
def test_bad_arguments_are_refused(drawing, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        Histories.from_log(random_log()).matrix(**drawing)


@pytest.mark.parametrize(
    ("time_kind", "drawing", "text"),
    [
        (
            "position",
            {"half_life_days": 3.0},
            "half_life_days needs a timestamp for each event; this log tells order by 'position'. "
            "Hint: read the log with a 'timestamp' column.",
        ),
        (
            "set",
            {"half_life_steps": 3.0},
            "half_life_steps needs events in order; this log has neither times nor positions. "
            "Hint: read the log with a 'timestamp' or a 'position' column.",
        ),
        (
            "set",
            {"by": "channel"},
            "by=\"channel\" needs the column 'channel', which this log does not have.",
        ),
        ("set", {"by": "order"}, "by=\"order\" needs the column 'order_id', which this log does not have."),
    ],
)
def test_a_log_that_lacks_what_is_needed_is_refused(time_kind, drawing, text):
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}$"):
        Histories.from_log(random_log(time_kind=time_kind)).matrix(**drawing)


def altered(name, place, value):
    histories = Histories.from_log(random_log())
    arrays = {key: values.copy() for key, values in histories.to_arrays().items()}
    arrays[name][place] = value
    return Histories.from_arrays(arrays, histories.facts())


HINT = " Hint: the file may be damaged, or altered after it was written; save or copy it again."


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("item_index", 30, "item_index holds 30, expected numbers from -1 to 29."),
        ("item_index", -2, "item_index holds -2, expected numbers from -1 to 29."),
        ("item_index", 2**31 - 1, "item_index holds 2147483647, expected numbers from -1 to 29."),
        ("event_type", 5, "event_type holds 5, expected numbers from 0 to 4."),
        ("event_type", -1, "event_type holds -1, expected numbers from 0 to 4."),
    ],
)
def test_numbers_that_point_nowhere_are_refused_where_they_are_read(name, value, text):
    histories = altered(name, 0, value)
    row = int(np.searchsorted(histories.indptr, 0, side="right")) - 1
    others = histories.take(np.arange(histories.n_histories - 1, row, -1))
    for part in (histories, histories.block(row, row + 1), histories.take(np.array([row + 3, row]))):
        for ask in (
            part.matrix,
            lambda part=part: part.seen("purchased"),
            lambda part=part: part.seen("any"),
        ):
            with pytest.raises(ArtifactError) as caught:
                ask()
            assert str(caught.value) == f"the stored histories are broken: {text}{HINT}"
    assert others.matrix().nnz
    assert others.seen("any").nnz


@pytest.mark.parametrize("value", [-5, 0, 601, 2**62])
def test_rows_that_do_not_follow_each_other_are_refused(value):
    histories = altered("indptr", 7, value)
    for ask in (
        histories.matrix,
        lambda: histories.seen("any"),
        lambda: histories.block(6, 7),
        lambda: histories.block(2, 12),
        lambda: histories.take(np.array([6])),
        lambda: histories.take(np.array([9, -1, 6])),
    ):
        with pytest.raises(ArtifactError) as caught:
            ask()
        text = str(caught.value)
        assert text.startswith("the stored histories are broken: indptr has a row from ")
        assert text.endswith(f", expected rows that follow each other up to 600.{HINT}")
    assert histories.block(0, 6).seen("any").nnz


@pytest.mark.parametrize(("place", "value", "span"), [(0, 3, "3 to 600"), (-1, 599, "0 to 599")])
def test_rows_that_leave_events_out_are_refused(place, value, span):
    with pytest.raises(ArtifactError) as caught:
        altered("indptr", place, value).matrix()
    text = f"the stored histories are broken: indptr leads from {span}, expected from 0 to 600.{HINT}"
    assert str(caught.value) == text


def test_codes_beyond_their_table_are_refused_by_what_reads_them():
    histories = altered("codes.location", 4, 3)
    assert histories.matrix().nnz
    with pytest.raises(ArtifactError) as caught:
        histories.matrix(by="location")
    text = f"the stored histories are broken: location holds 3, expected numbers from -1 to 2.{HINT}"
    assert str(caught.value) == text


@pytest.mark.parametrize("name", ["item_index", "event_type", "time", "numbers.quantity", "codes.session"])
def test_arrays_of_different_lengths_are_refused(name):
    histories = Histories.from_log(random_log())
    arrays = histories.to_arrays()
    with pytest.raises(ArtifactError, match=r"^the stored histories are broken: an array is of "):
        Histories.from_arrays(arrays | {name: arrays[name][:-1]}, histories.facts())


def test_a_visit_counts_as_much_as_the_history_before_it():
    histories = histories_of({"ann": ["lamp", "rug", "rug"], "bob": [], "cat": ["cup"]})
    lamp, rug, cup = (histories.items.find(item) for item in ("lamp", "rug", "cup"))
    weights = {"purchase": 5, "view": 1, "cart": 3}
    visited = histories.followed_by(np.array([cup, lamp]), "view", None).followed_by(
        np.array([cup]), "cart", None
    )
    drawn = visited.matrix(event_weights=weights).toarray()
    ann, cat = (histories.customers.find(name) for name in ("ann", "cat"))
    # Ann's history weighs 15, her visit 1 + 1 + 3: each of its events counts three times.
    assert drawn[ann, [lamp, rug, cup]].tolist() == [5 + 3, 10, 3 + 9]
    assert drawn[cat, [lamp, rug, cup]].tolist() == [1, 0, 5 + 1 + 3]  # her visit weighs as much already
    without = visited.matrix(event_weights={"purchase": 5}).toarray()
    assert without[ann, [lamp, rug, cup]].tolist() == [5, 10, 0]  # no weight is not raised
    alone = visited.take(np.array([ann])).matrix(event_weights=weights).toarray()
    assert alone[0].tolist() == drawn[ann].tolist()


def test_a_return_in_a_visit_takes_from_what_was_bought_before():
    histories = histories_of({"ann": ["x", "x", "y", ("y", "return")]})
    assert histories.share.tolist() == [1, 1, 0, 1]
    x = np.array([histories.items.find("x")] * 2)
    visited = histories.followed_by(x, "return", None)
    assert visited.matrix(event_weights={"purchase": 1.0}).nnz == 0
    assert histories.followed_by(x, "view", None).share.tolist() == [1, 1, 0, 1, 1, 1]


def test_what_is_left_of_events_follows_them():
    histories = Histories.from_log(random_log())
    again = replace(histories, share=None)
    rows = np.array([3, 1, 1, 7])
    moments = np.quantile(histories.time, [0.2, 0.5, 0.9]).astype(np.int64).tolist()
    for at in (None, *moments):
        left, right = histories.take(rows), again.take(rows)
        assert same_bits(left.matrix(at=at), right.matrix(at=at))
        if at is not None:
            assert same_bits(left.until(at).matrix(at=at), right.matrix(at=at))


@pytest.mark.parametrize(
    ("share", "found"),
    [(np.zeros((1, 600), np.float32), "is 2-dimensional"), (np.ones(600), "is 1-dimensional, of float64")],
)
def test_what_is_left_of_events_is_one_number_each(share, found):
    histories = Histories.from_log(random_log())
    arrays = histories.to_arrays() | {"share": share}
    with pytest.raises(ArtifactError, match=r"^the stored histories are broken: ") as caught:
        Histories.from_arrays(arrays, histories.facts())
    assert found in str(caught.value) or "of 1 and 600 events" in str(caught.value)


def test_shares_beyond_all_count_as_all():
    histories = Histories.from_log(random_log())
    odd = replace(histories, share=np.full(histories.n_events, np.inf, np.float32))
    whole = replace(histories, share=np.ones(histories.n_events, np.float32))
    assert same_bits(odd.matrix(), whole.matrix())


def test_events_that_point_nowhere_are_refused_before_returns_are_matched():
    histories = replace(Histories.from_log(random_log()), share=None)
    event_type = histories.event_type.copy()
    event_type[5] = 99
    with pytest.raises(ArtifactError, match="event_type holds 99"):
        replace(histories, event_type=event_type).interest(at=int(np.median(histories.time)))
