"""Slices: what is held back, against loops over events, and that nothing held back is known before."""

import numpy as np
import pytest

from engagelib import EventLog
from engagelib.histories import Histories
from engagelib.ranking import draw_slice, slice_of_log, slices
from engagelib.testing import histories_of, log_of, random_log

SEEDS = range(4)


@pytest.fixture
def few_are_enough(monkeypatch):
    """Let a slice of time do with a few histories."""
    monkeypatch.setattr(slices, "_LEAST_ROWS", 5)


def drawn(histories, goal="purchase", rng=0):
    return draw_slice(histories, goal, np.random.default_rng(rng))


def one_type(log):
    """Keep the purchases of a log alone, so that nothing is hidden besides."""
    histories = Histories.from_log(log)
    kept = histories.keeping(histories.of_type("purchase"))
    kept.__dict__.update(item_types=("purchase",))
    return kept


def events(histories, rows=None):
    """List (item, type, time) of each row."""
    found = []
    for row in range(histories.n_histories) if rows is None else rows:
        some = slice(*histories.indptr[row : row + 2])
        time = [None] * (some.stop - some.start) if histories.time is None else histories.time[some].tolist()
        kinds = [histories.event_types[code] for code in histories.event_type[some]]
        found.append(list(zip(histories.item_index[some].tolist(), kinds, time, strict=True)))
    return found


def targets(held):
    rows = held.targets
    return [
        set(rows.indices[rows.indptr[row] : rows.indptr[row + 1]].tolist()) for row in range(rows.shape[0])
    ]


# The latest tenth of time


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("tied", [False, True])
def test_of_a_log_with_times_the_latest_tenth_of_time_is_held_back(few_are_enough, seed, tied):
    histories = one_type(random_log(rng=seed, tied=tied))
    held = drawn(histories)
    cut = int(histories.time.max()) - int(0.1 * (int(histories.time.max()) - int(histories.time.min())))
    assert held.by_time
    assert held.at == held.before.newest == cut
    before = [[event for event in own if event[2] <= cut] for own in events(histories)]
    assert events(held.before) == before
    after = [{item for item, _, time in own if time > cut} for own in events(histories)]
    asked = [row for row in range(histories.n_customers) if before[row] and after[row]]
    assert held.rows.tolist() == asked
    assert events(held.block) == [before[row] for row in asked]
    assert targets(held) == [after[row] for row in asked]
    assert held.what == f"the latest {(int(histories.time.max()) - cut) / 86_400e6:,.1f} days"


@pytest.mark.parametrize("seed", SEEDS)
def test_only_events_of_the_goal_are_targets(few_are_enough, seed):
    histories = Histories.from_log(random_log(rng=seed))
    for goal in ("purchase", "view"):
        held = drawn(histories, goal)
        expected = [
            {item for item, kind, time in own if time > held.at and kind == goal}
            for own in events(histories, held.rows)
        ]
        assert targets(held) == expected
        assert all(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_happened_after_the_cut_changes_nothing_before_it(few_are_enough, seed):
    log = random_log(rng=seed)
    histories = Histories.from_log(log)
    held = drawn(histories)
    late = histories.time > held.at
    # Other items, other types; the newest event stays, as the cut is counted from it.
    changed = histories.keeping(np.ones(histories.n_events, bool))
    others = np.random.default_rng(seed)
    changed.item_index[late] = others.integers(0, histories.n_items, late.sum())
    again = drawn(changed)
    assert again.at == held.at
    # What is hidden depends on the targets: without it nothing does.
    whole = slices._of_time(histories, "purchase", np.random.default_rng(0)).before
    assert events(slices._of_time(changed, "purchase", np.random.default_rng(0)).before) == events(whole)
    assert all(time <= held.at for own in events(again.before) + events(again.block) for _, _, time in own)


def test_what_happens_at_the_very_cut_is_known_before():
    day, start = np.timedelta64(1, "D"), np.datetime64("2024-01-01", "us")
    days = np.array([0, 90, 91, 100])
    columns = {"customer_id": ["ann"] * 4, "item_id": list("abcd"), "event_type": ["purchase"] * 4}
    histories = Histories.from_log(EventLog.from_frame({**columns, "timestamp": start + days * day}))
    held = slices._of_time(histories, "purchase", np.random.default_rng(0))
    assert held.block.item_index.tolist() == held.before.item_index.tolist() == [0, 1]
    assert targets(held) == [{2, 3}]


def test_a_return_after_the_cut_takes_nothing_back_before_it():
    day = np.timedelta64(1, "D")
    start = np.datetime64("2024-01-01", "us")
    kinds = ["purchase", "purchase", "return"]
    log = EventLog.from_frame(
        {
            "customer_id": ["ann", "ann", "ann"],
            "item_id": ["lamp", "rug", "lamp"],
            "event_type": kinds,
            "timestamp": [start, start + 50 * day, start + 100 * day],
        }
    )
    histories = Histories.from_log(log)
    assert histories.matrix().toarray().astype(bool).tolist() == [[False, True]]
    assert slices._of_time(histories, "purchase", np.random.default_rng(0)) is None  # nothing is bought late
    before = histories.until(histories.newest - int(10 * 86_400e6))
    assert before.matrix().toarray().astype(bool).tolist() == [[True, True]]


# The latest occasion of each


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["timestamp", "position"])
def test_where_few_come_back_the_latest_occasion_of_each_is_held_back(seed, kind):
    histories = Histories.from_log(random_log(rng=seed, tied=True, time_kind=kind))
    held = slices._held_back(histories, "purchase", np.random.default_rng(0))
    own = events(histories)
    before, after = [], []
    for row, some in enumerate(own):
        bought = [time for item, what, time in some if what == "purchase" and item >= 0]
        latest = max(bought) if bought and row < histories.n_customers else None
        before.append([event for event in some if latest is None or event[2] < latest])
        after.append(
            {item for item, what, time in some if what == "purchase" and time == latest and item >= 0}
        )
    asked = [row for row in range(histories.n_customers) if before[row] and after[row]]
    assert events(held.before) == before
    assert held.rows.tolist() == asked
    assert targets(held) == [after[row] for row in asked]
    assert held.at is None
    assert not held.by_time
    assert held.what == "each customer's latest occasion"


def test_a_log_at_one_moment_holds_nothing_back():
    moment = np.full(9, np.datetime64("2024-01-01", "us"))
    whose, what = list("xxxyyyzzz"), list("abcabcabc")
    for when in ({"timestamp": moment}, {"position": [7] * 9}):
        log = EventLog.from_frame(
            {"customer_id": whose, "item_id": what, "event_type": ["purchase"] * 9, **when}
        )
        assert drawn(Histories.from_log(log)) is None


def test_a_log_without_the_goal_holds_nothing_back():
    for kind in ("timestamp", "position", "set"):
        histories = histories_of({"ann": ["a", "b"], "bob": ["b", "c"]}, time_kind=kind)
        assert drawn(histories, "rating") is None


# One item of each


@pytest.mark.parametrize("seed", SEEDS)
def test_of_a_set_one_item_of_each_customer_is_held_back(seed):
    log = random_log(rng=seed, time_kind="set")
    histories = Histories.from_log(log)
    held = slices._held_back(histories, "purchase", np.random.default_rng(seed))
    own, before = events(histories), events(held.before)
    for row, some in enumerate(own):
        gone = [event for event in some if event not in before[row]]
        items = {item for item, _, _ in gone}
        bought = any(what == "purchase" and item >= 0 for item, what, _ in some)
        assert len(items) == (bought and row < histories.n_customers)
        assert {what for _, what, _ in gone} <= {"purchase"}
        # All purchases of the item go, and nothing else does.
        assert before[row] == [event for event in some if event not in gone]
        if before[row] and items:
            assert targets(held)[held.rows.tolist().index(row)] == items
        else:
            assert row not in held.rows
    assert held.what == "one item of each customer"


# Visits


def visits(n=300, seed=0, *, timed):
    rng = np.random.default_rng(seed)
    session = np.sort(rng.integers(0, n, 6 * n))
    item = rng.integers(0, 12, 6 * n)
    start = np.datetime64("2024-01-01", "us")
    minutes = (rng.permutation(n)[session] * 60 + np.arange(6 * n) % 50).astype("timedelta64[m]")
    when = {"timestamp": start + minutes} if timed else {"position": np.arange(6 * n)}
    return Histories.from_log(
        EventLog.from_frame(
            {
                "customer_id": [None] * (6 * n),
                "session_id": session.tolist(),
                "item_id": [f"i{one:02d}" for one in item],
                "event_type": ["view"] * (6 * n),
                **when,
            }
        )
    )


@pytest.mark.parametrize("timed", [True, False])
def test_of_visits_the_last_tenth_is_held_back_and_asked_for_before_what_came_next(timed):
    histories = visits(timed=timed)
    held = drawn(histories, "view")
    own, before = events(histories), events(held.before)
    gone = [row for row in range(len(own)) if own[row] != before[row]]
    filled = [row for row in range(len(own)) if own[row]]
    by_age = sorted(filled, key=lambda row: own[row][0][2] if timed else row)
    assert gone == sorted(by_age[-int(0.1 * len(filled)) :])
    assert not any(before[row] for row in gone)
    assert held.what == f"{len(gone)} visits"
    assert (held.rows == -1).all()
    rest = [own[row] for row in gone]
    for asked, wanted in zip(events(held.block), targets(held), strict=True):
        # A visit begins with what was asked for, and its next moment holds the targets.
        (whole,) = [some for some in rest if some[: len(asked)] == asked]
        moment = whole[len(asked)][2]
        assert asked
        assert all(time < moment for _, _, time in asked)
        assert wanted == {item for item, _, time in whole if time == moment}


def test_visits_are_asked_for_at_every_point_but_the_first():
    histories = visits(2_000, timed=True)
    lengths = np.diff(drawn(histories, "view").block.indptr)
    assert lengths.min() == 1
    assert len(np.unique(lengths)) > 4


@pytest.mark.parametrize("timed", [True, False])
def test_before_a_slice_of_visits_there_is_another(timed):
    held = drawn(visits(timed=timed), "view")
    earlier = drawn(held.before, "view")
    assert earlier is not None
    assert earlier.before.n_events < held.before.n_events


# Another log


def test_a_validation_log_says_what_known_customers_met_next():
    before = histories_of({"ann": ["lamp", "rug"], "bob": ["lamp"], "cy": ["cup"]})
    later = log_of(
        {
            "bob": ["rug", ("cup", "view"), "sofa"],  # nobody knew the sofa
            "dee": ["rug"],  # nobody knew her
            "ann": ["cup", "cup", "lamp"],
            "cy": [("rug", "view")],
        }
    )
    held = slice_of_log(before, later, "purchase")
    names = before.customers.ids(held.rows)
    items = [sorted(before.items.ids(sorted(own))) for own in targets(held)]
    assert dict(zip(names, items, strict=True)) == {"ann": ["cup", "lamp"], "bob": ["rug"]}
    assert held.before is before
    assert events(held.block) == events(before, held.rows)
    assert (held.at, held.hidden, held.by_time, held.what) == (None, None, False, "the validation log")


def test_a_validation_log_of_strangers_says_nothing():
    before = histories_of({"ann": ["lamp", "rug"]})
    assert slice_of_log(before, log_of({"bob": ["rug"]}), "purchase") is None
    assert slice_of_log(before, log_of({"ann": ["sofa"]}), "purchase") is None
    assert slice_of_log(before, log_of({"ann": [("rug", "view")]}), "purchase") is None


# What is hidden


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["timestamp", "position", "set"])
def test_half_of_the_histories_lose_all_that_they_did_with_their_targets(seed, kind):
    histories = Histories.from_log(random_log(n_customers=80, rng=seed, time_kind=kind))
    whole = slices._held_back(histories, "purchase", np.random.default_rng(seed))
    held = drawn(histories, rng=seed)
    np.testing.assert_array_equal(held.rows, whole.rows)
    assert targets(held) == targets(whole)
    assert 0.25 < held.hidden.mean() < 0.75
    lost = {
        row: own
        for row, own, is_hidden in zip(held.rows.tolist(), targets(held), held.hidden, strict=True)
        if is_hidden
    }
    expected = [
        [event for event in own if event[0] not in lost.get(row, ())]
        for row, own in enumerate(events(whole.before))
    ]
    assert events(held.before) == expected
    assert events(held.block) == [expected[row] for row in held.rows]
    assert expected != events(whole.before)


def test_a_log_of_one_type_hides_nothing():
    assert drawn(one_type(random_log())).hidden is None


# Laws


@pytest.mark.parametrize("kind", ["timestamp", "position", "set"])
def test_the_order_of_rows_in_the_log_does_not_matter(few_are_enough, kind):
    found = []
    for shuffled in (False, True):
        log = random_log(time_kind=kind, shuffled=shuffled)
        held = drawn(Histories.from_log(log))
        items = np.array(log.items.ids(range(len(log.items))))
        names = log.customers.ids(held.rows)
        found.append((list(names), [sorted(items[sorted(own)]) for own in targets(held)]))
    if kind == "set":  # one item is drawn of the events as they stand
        assert found[0][0] == found[1][0]
    else:
        assert found[0] == found[1]


def test_so_many_histories_are_asked_for_and_no_more(monkeypatch):
    monkeypatch.setattr(slices, "MOST_ROWS", 10)
    histories = one_type(random_log())
    held = drawn(histories)
    assert held.block.n_histories == len(held.rows) == held.targets.shape[0] == 10
    monkeypatch.undo()
    whole = drawn(histories)
    by_row = dict(zip(whole.rows.tolist(), targets(whole), strict=True))
    assert targets(held) == [by_row[row] for row in held.rows.tolist()]
    assert events(held.block) == events(held.before, held.rows)
