"""Histories against the plain loops that define them, and the laws that every other room leans on."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engagelib import EventLog, Histories
from engagelib.errors import ArgumentError, NotEnoughDataError
from engagelib.testing import histories_of, log_of, random_log
from engagelib.times import DAY
from engagelib.weights import EVENT_WEIGHTS

EPOCH = 1_704_067_200_000_000  # 1 January 2024
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
    """What was kept of each event: a return takes from the newest earlier purchase of the item."""
    size = [row["quantity"] or 1.0 for row in history]
    left = list(size)
    for place, row in enumerate(history):
        if row["event_type"] != "return":
            continue
        due = size[place]
        for earlier in reversed(range(place)):
            same = history[earlier]["item_id"] == row["item_id"]
            if same and history[earlier]["event_type"] == "purchase":
                taken = min(due, left[earlier])
                left[earlier] -= taken
                due -= taken
    return [part / whole for part, whole in zip(left, size, strict=True)]


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
    rows = [
        row for row in rows if row["event_type"] != "return"
    ]  # which of two came first does matter to these
    assume(rows)
    first, second = (Histories.from_log(log_from(some)) for some in (rows, data.draw(st.permutations(rows))))
    left, right = (some.matrix(half_life_days=3.0).toarray() for some in (first, second))
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


def test_a_set_matches_returns_in_the_order_of_the_log():
    histories = histories_of(
        {"ann": ["rug", ("rug", "return")], "bob": [("rug", "return"), "rug"]}, time_kind="set"
    )
    assert histories.matrix().toarray().tolist() == [[0], [5]]


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
