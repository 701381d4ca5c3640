"""Updates: what is told later, to whom it comes, and that nobody ever sees half of it."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from availability_cases import CALLS, MODEL, NOON, UPDATES, availability_of, refused, shown, tables, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.availability import Availability
from engagelib.availability.views import View
from engagelib.errors import ArgumentError, SchemaError
from engagelib.vocabulary import Vocabulary


def everything():
    """Items a and b in every channel."""
    return Availability.from_frame({"item_id": ["a", "b"]})


def test_an_update_supersedes_windows_and_quantities():
    table = {"item_id": ["a", "b", "c"], "ends": [NOON, None, None], "quantity": [1, 0, 1]}
    availability = Availability.from_frame(table)
    bound = availability.bind(MODEL)
    assert shown(bound, at=1) == {"c"}
    availability.update(["a", "b", "c", "d"], [True, True, False, True])
    assert shown(bound, at=1) == shown(bound, at=99) == shown(bound, at=-99) == {"a", "b", "d"}


def test_a_later_update_supersedes_an_earlier_one_where_it_reaches():
    availability = Availability.from_frame({"item_id": ["a", "a"], "channel": ["app", "web"]})
    bound = availability.bind(MODEL)
    steps = [
        (False, "web", None, [False, True, False]),
        (True, None, None, [True, True, True]),
        (False, None, "north", [False, False, False]),
        (True, "app", "north", [False, True, False]),
        (True, "web", None, [True, True, True]),
        (False, "app", None, [True, False, False]),
        (True, None, "north", [True, True, True]),
    ]
    for flag, channel, location, expected in steps:
        availability.update(["a"], flag, channel=channel, location=location)
        assert ["a" in shown(bound, asked, "north") for asked in ("web", "app", None)] == expected


def test_a_refusal_under_a_new_name_counts_where_none_is_named():
    table = {"item_id": ["a", "a", "b", "b"], "channel": ["app", "web", "app", "web"]}
    availability = Availability.from_frame(table)
    bound = availability.bind(MODEL)
    availability.update(["a", "c"], [False, True], channel="kiosk")
    assert availability.channels == ("app", "web")
    assert shown(bound, "kiosk") == {"c"}
    # b is not in the kiosk either, but no word was said of it; c is nowhere else.
    assert shown(bound) == {"b"}
    assert shown(bound, "web") == {"a", "b"}
    availability.update(["a"], True, channel="kiosk")
    assert shown(bound) == {"a", "b"}
    availability.update(["a"], False, location="moon")
    assert shown(bound) == {"b"}
    assert shown(bound, "web") == {"b"}
    assert shown(bound, "web", "north") == {"a", "b"}
    # Elsewhere on the moon the refusal still stands.
    availability.update(["a"], True, channel="web")
    availability.update(["a"], True, channel="app")
    assert shown(bound, "web") == {"a", "b"}
    assert shown(bound) == {"b"}
    availability.update(["a"], True)
    assert shown(bound) == {"a", "b"}


def test_new_names_do_not_empty_a_table_without_names():
    availability = everything()
    bound = availability.bind(MODEL)
    availability.update(["a", "c"], [False, True], channel="store")
    assert shown(bound, "store") == {"b", "c"}
    assert shown(bound, "web") == {"a", "b"}
    assert shown(bound) == {"b"}


CONTAINERS = [
    list,
    tuple,
    np.array,
    pa.array,
    pd.Series,
    pd.Index,
    pl.Series,
    iter,
    dict.fromkeys,
    Vocabulary.from_values,
]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda made: f"{made.__module__}.{made.__qualname__}")
def test_ids_and_flags_come_in_any_container(container):
    availability = everything()
    bound = availability.bind(MODEL)
    availability.update(container(["a", "d"]), True)
    assert shown(bound) == {"a", "b", "d"}
    if container not in (dict.fromkeys, Vocabulary.from_values):
        availability.update(["a", "c"], container([False, True]))
        assert shown(bound) == {"b", "c", "d"}
    numbers = Availability.from_frame({"item_id": [1, 2]})
    bound = numbers.bind(Vocabulary.from_values([1, 2, 3]))
    numbers.update(container([1, 3]), np.True_)
    numbers.update(container([2]), np.False_)
    assert shown(bound) == {1, 3}


@pytest.mark.parametrize("n_items", [3, 100])
def test_of_an_item_named_twice_the_last_value_counts(n_items):
    items = [f"x{number:03d}" for number in range(n_items)]
    availability = Availability.from_frame({"item_id": items})
    bound = availability.bind(Vocabulary.from_values(items))
    shown(bound)
    availability.update(
        [*items, items[0], "cafe\u0301", "caf\u00e9"], [False] * n_items + [True, False, True]
    )
    assert shown(bound) == {items[0]}
    assert shown(availability.bind(Vocabulary.from_values(["caf\u00e9"]))) == {"caf\u00e9"}


def test_two_spellings_of_an_item_are_one():
    once, twice = everything(), everything()
    once.update(["caf\u00e9"], True)
    twice.update(["cafe\u0301"], False)
    twice.update(np.array(["caf\u00e9"]), True)
    assert twice.digest() == once.digest()
    assert twice.summary().to_records()[-1] == {"what": "updates", "count": 2, "remark": "of 1 items"}


def test_an_update_of_nothing_is_none():
    availability = everything()
    before = availability.digest()
    for flags in (True, [], np.array([], bool)):
        availability.update([], flags, channel="kiosk")
    assert availability.digest() == before
    assert availability.summary().to_records()[-1] == {"what": "updates", "count": 0, "remark": ""}


def test_an_item_that_no_model_knows_yet_is_kept():
    availability = everything()
    old = availability.bind(MODEL)
    shown(old)
    availability.update(["new", "a"], [True, False])
    availability.update(["newer"], True, channel="web")
    assert shown(old) == {"b"}
    later = availability.bind(Vocabulary.from_values(["a", "b", "new", "newer"]))
    assert shown(later) == {"b", "new"}
    assert shown(later, "web") == {"b", "new", "newer"}
    assert later.n_unknown_items == old.n_unknown_items == 0


def test_many_small_updates_are_one_large_one():
    items = [f"x{number:03d}" for number in range(200)]
    model = Vocabulary.from_values(items)
    availability = Availability.from_frame({"item_id": items, "channel": ["app", "web"] * 100})
    bound = availability.bind(model)
    rng = np.random.default_rng(7)
    newest = {}
    for turn in range(1500):
        channel = ("app", "web", "kiosk")[rng.integers(3)]
        flags = {items[place]: bool(rng.integers(2)) for place in rng.integers(0, 200, 1 + turn % 3)}
        availability.update(list(flags), list(flags.values()), channel=channel)
        newest |= {(channel, item): flag for item, flag in flags.items()}
    for seen in (bound, availability.bind(model)):
        for place, channel in enumerate(("app", "web")):
            table = {item for number, item in enumerate(items) if number % 2 == place}
            assert shown(seen, channel) == {
                item for item in items if newest.get((channel, item), item in table)
            }
    # What was told is kept in a few pieces, each item and scope about once.
    (view, _) = availability._state.views.values()
    assert len(view.rows) < 9
    assert sum(map(len, view.rows[1:])) < 2 * len(newest)
    assert sum(map(len, availability._state.said)) < 2 * len(newest)


def test_a_mask_is_patched_not_drawn_again(monkeypatch):
    availability = Availability.from_frame({"item_id": ["a", "b"], "channel": ["app", "web"]})
    bound = availability.bind(MODEL)
    names = [("app", None), ("web", "north"), (None, None)]
    before = {pair: bound.mask(*pair, None) for pair in names}
    monkeypatch.setattr(View, "_draw", None)
    availability.update(["b"], True, channel="app")
    assert [shown(bound, *pair) for pair in names] == [{"a", "b"}, {"b"}, {"b"}]
    assert bound.mask("web", "north", None) is before["web", "north"]
    availability.update(["unheard of"], True)
    availability.update(["c"], True, location="south")
    assert [shown(bound, *pair) for pair in names[:2]] == [{"a", "b"}, {"b"}]
    assert bound.mask("web", "north", None) is before["web", "north"]


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "names", "text"),
    [
        (("a", True), {}, "item_ids='a': expected a list of ids. Hint: put a single id into a list."),
        ((7, True), {}, "item_ids=7: expected a list of ids. Hint: put a single id into a list."),
        (
            (["a", None, None], True),
            {},
            "item_ids: 2 of the ids are null, the first at 1: expected an id for each item.",
        ),
        (([None], True), {}, "item_ids: 1 of the ids is null, the first at 0: expected an id for each item."),
        (
            (["a", "b"], [True]),
            {},
            "available has 1 values for 2 item ids: expected one for each, or a single one.",
        ),
        (([], [True]), {}, "available has 1 values for 0 item ids: expected one for each, or a single one."),
        (
            (["a"], 1),
            {},
            "available=1: expected True or False, or a list with one of them for each of 1 items.",
        ),
        (
            (["a", "b"], [True, None]),
            {},
            "available=[True, None]: expected True or False, or a list with one of them for each of 2 items.",
        ),
        (
            (["a"], "yes"),
            {},
            "available='yes': expected True or False, or a list with one of them for each of 1 items.",
        ),
        (
            ([1], True),
            {},
            "item_ids has 1: this update would change nothing, because ids are strings there, and never "
            "integers. Hint: 1 and '1' are two ids; bring the update to the type of the table.",
        ),
        (
            (["a"], True),
            {"channel": 1},
            "channel has 1: this update would change nothing, because ids are strings there, and never "
            "integers. Hint: 1 and '1' are two ids; bring the update to the type of the table.",
        ),
        (
            (["a"], True),
            {"location": "1"},
            "location has '1': this update would change nothing, because ids are integers there, and never "
            "strings. Hint: 1 and '1' are two ids; bring the update to the type of the table.",
        ),
        (
            (["a"], True),
            {"channel": True},
            "channel=True: expected the id of a channel, an integer or a text, or None for every channel.",
        ),
        (
            (["a"], True),
            {"location": ["north"]},
            "location=['north']: expected the id of a location, an integer or a text, or None for every "
            "location.",
        ),
        (
            (["a"], True),
            {"channel": ""},
            "channel='': expected the id of a channel, an integer or a text, or None for every channel.",
        ),
    ],
)
def test_a_bad_update_changes_nothing(arguments, names, text):
    table = {"item_id": ["a", "b"], "channel": ["web", None], "location": [7, None]}
    availability = Availability.from_frame(table)
    bound = availability.bind(MODEL)
    before, seen = availability.digest(), bound.mask("web", 7, None)
    with refused(ArgumentError, text):
        availability.update(*arguments, **names)
    assert availability.digest() == before
    assert bound.mask("web", 7, None) is seen


ONE_TYPE = (
    "expected either integers or strings throughout. "
    "Hint: 1 and '1' are two ids; bring the column to one type before reading it."
)


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (["a", 1], f"the ids hold values of type int, str: {ONE_TYPE}"),
        ([1.0], f"the ids hold values of type float: {ONE_TYPE}"),
        ([True], f"the ids hold values of type bool: {ONE_TYPE}"),
        (
            [2**63],
            "the ids hold integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
            "Hint: read such ids as strings.",
        ),
        (
            ["\ud800"],
            "the ids hold text with a lone surrogate: expected text that UTF-8 can hold. "
            "Hint: it may come from a file decoded as something that it is not.",
        ),
    ],
)
def test_ids_of_no_type_are_refused(ids, text):
    availability = Availability.from_frame({"item_id": []})
    with refused(SchemaError, text):
        availability.update(ids, True)
    assert availability.summary().to_records()[-1]["count"] == 0


def test_an_empty_table_takes_ids_of_the_type_that_comes_first():
    availability = Availability.from_frame({"item_id": []})
    bound = availability.bind(Vocabulary.from_values([1, 2]))
    availability.update([1], True, channel=5)
    assert shown(bound, 5) == {1}
    text = (
        "{}: this update would change nothing, because ids are integers there, and never strings. "
        "Hint: 1 and '1' are two ids; bring the update to the type of the table."
    )
    with refused(ArgumentError, text.format("item_ids has '1'")):
        availability.update(["1"], True)
    with refused(ArgumentError, text.format("channel has '5'")):
        availability.update([1], True, channel="5")


def test_an_update_that_fails_on_the_way_changes_nothing(monkeypatch):
    availability = Availability.from_frame({"item_id": ["a", "b", "b"], "channel": ["web", "web", None]})
    first, second = availability.bind(MODEL), availability.bind(MODEL)
    before = availability.digest()
    original = View.updated

    def fails(view, *args):
        if view.bound() is second:
            raise MemoryError
        return original(view, *args)

    with monkeypatch.context() as patch:
        patch.setattr(View, "updated", fails)
        with pytest.raises(MemoryError):
            availability.update(["a"], True, channel="kiosk")
    for bound in (first, second):
        assert shown(bound, "kiosk") == {"b"}
        assert bound.unknown("kiosk", None) == {"channel": 1}
    assert availability.digest() == before
    availability.update(["a"], True, channel="kiosk")
    for bound in (first, second):
        assert shown(bound, "kiosk") == {"a", "b"}
        assert bound.unknown("kiosk", None) == {}


# Threads, forks, copies.


def test_no_reader_sees_half_an_update():
    items = [f"x{number}" for number in range(2000)]
    table = pa.table({"item_id": items[:1], "channel": ["web"], "starts": [NOON]})
    availability = Availability.from_frame(table)
    availability.update(["x0", "x1999"], [True, False])
    model = Vocabulary.from_values(items)
    bound = availability.bind(model)
    one, other = model.find("x0"), model.find("x1999")
    stop, torn, counts = threading.Event(), [], []

    def read(number):
        at = (NOON + number) * 1_000_000
        names = [("web", None), (None, None), ("app", "north"), (f"channel {number}", None)]
        seen = 0
        while not stop.is_set() and not torn:
            # Some moments and names are new, so that masks are drawn while they are replaced.
            channel, location = names[seen % 4]
            mask = bound.mask(channel, location, at - (seen % 7) * 1_000_000 * number)
            if mask[one] == mask[other]:
                torn.append((channel, location))
            seen += 1
        counts.append(seen)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + 0.6
    turn = 0
    while time.monotonic() < until or turn < 20:
        turn += 1
        availability.update(["x0", "x1999"], [turn % 2 == 0, turn % 2 == 1])
        if turn % 5 == 0:
            availability.bind(model)
    stop.set()
    for reader in readers:
        reader.join()
    assert not torn
    assert len(counts) == 8
    assert min(counts) > 0


def test_updates_of_many_threads_are_all_kept():
    items = [f"x{number:04d}" for number in range(800)]
    model = Vocabulary.from_values(items)
    availability = Availability.from_frame({"item_id": []})
    bound = availability.bind(model)

    def tell_some(number):
        for item in items[number::8]:
            availability.update([item], True)
            bound.mask(None, None, None)

    writers = [threading.Thread(target=tell_some, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert shown(bound) == set(items) == shown(availability.bind(model))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_updates_although_a_thread_was_updating(monkeypatch):
    availability = everything()
    bound = availability.bind(MODEL)
    shown(bound)
    inside, leave = threading.Event(), threading.Event()
    original = View.updated

    def waits(view, *args):
        inside.set()
        leave.wait(20)
        return original(view, *args)

    monkeypatch.setattr(View, "updated", waits)
    writer = threading.Thread(target=availability.update, args=(["a"], False))
    writer.start()
    assert inside.wait(20)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever goes wrong here must not run the tests a second time.
        found = b"failed"
        try:
            signal.alarm(30)  # a child that waits for a lock ends too
            View.updated = original
            before = shown(bound)
            availability.update(["b"], False)
            found = repr(
                (sorted(before), sorted(shown(bound)), sorted(shown(availability.bind(MODEL))))
            ).encode()
        finally:
            os.write(write, found)
            os._exit(0)
    os.close(write)
    answer = os.read(read, 1000)
    os.close(read)
    os.waitpid(child, 0)
    leave.set()
    writer.join()
    # The child knows nothing of the update that its parent had not ended, in any of its parts.
    assert answer == repr((["a", "b"], ["a"], ["a"])).encode()
    assert shown(bound) == {"b"}


def test_what_is_bound_is_not_kept_alive():
    availability = everything()
    kept = availability.bind(MODEL)
    for _ in range(5):
        passing = weakref.ref(availability.bind(MODEL))
    gc.collect()
    assert passing() is None
    assert len(availability._state.views) == 2  # those alive at the last binding
    availability.update(["a"], False)
    assert len(availability._state.views) == 1
    assert shown(kept) == {"b"}


@pytest.mark.parametrize(
    "twin_of", [lambda pair: pickle.loads(pickle.dumps(pair)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
def test_a_copy_goes_its_own_way(twin_of):
    table = {"item_id": ["a", "b"], "channel": ["web", None], "starts": [None, NOON]}
    availability = Availability.from_frame(table)
    bound = availability.bind(MODEL)
    availability.update(["c"], True, channel="kiosk")
    twin, bound_twin = twin_of((availability, bound))
    assert bound_twin.source is twin
    assert twin.digest() == availability.digest()
    twin.update(["a"], False)
    assert shown(bound_twin, "web") == {"b"}
    assert shown(bound, "web") == {"a", "b"}
    assert shown(bound_twin, "kiosk") == {"b", "c"}
    availability.update(["b"], False)
    assert shown(bound_twin, "web") == {"b"}
    assert shown(copy.copy(bound), "web") == {"a"}


@given(rows=tables(windows=True), updates=UPDATES, calls=st.lists(CALLS, min_size=1, max_size=4))
@settings(max_examples=30)
def test_a_pickle_says_the_same(rows, updates, calls):
    availability = availability_of(rows)
    for update in updates:
        tell(availability, update)
    bound = availability.bind(MODEL)
    twin = pickle.loads(pickle.dumps(availability))
    for update in updates[:2]:
        tell(availability, update)
        tell(twin, update)
    assert [shown(twin.bind(MODEL), *call) for call in calls] == [shown(bound, *call) for call in calls]


def test_serving_does_not_import_arrow(tmp_path):
    availability = Availability.from_frame({"item_id": ["a"], "channel": ["web"], "ends": [NOON]})
    (tmp_path / "pickle").write_bytes(pickle.dumps(availability.bind(MODEL)))
    program = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "import engagelib.availability\n"
        f"bound = pickle.loads(Path({str(tmp_path / 'pickle')!r}).read_bytes())\n"
        "bound.source.update(['b', 'c'], [True, False], channel='web')\n"
        "print(bound.mask('web', None, 0).tolist(), 'pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True, False, False] False"
