"""Masks: what may be shown in a call, whatever was asked and told before."""

import numpy as np
import pytest
from availability_cases import (
    ASKED,
    CALLS,
    ITEMS,
    MODEL,
    NOON,
    UPDATES,
    availability_of,
    may_be_shown,
    micros,
    refused,
    shown,
    tables,
    tell,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.availability import Availability
from engagelib.availability import views as views_module
from engagelib.errors import ArgumentError
from engagelib.vocabulary import Vocabulary


def defined(rows, updates, channel, location, at):
    return {item for item in ITEMS if may_be_shown(rows, updates, item, channel, location, at)}


@pytest.mark.parametrize("windows", [False, True])
@given(data=st.data())
@settings(max_examples=120)
def test_a_mask_is_what_rows_and_updates_say(windows, data):
    rows, updates = data.draw(tables(windows=windows)), data.draw(UPDATES)
    availability = availability_of(rows)
    bound = availability.bind(MODEL)
    for n_told in range(len(updates) + 1):
        if n_told:
            tell(availability, updates[n_told - 1])
        # What is asked here is patched by the updates to come.
        for channel, location, at in data.draw(st.lists(CALLS, max_size=5)):
            assert shown(bound, channel, location, at) == defined(
                rows, updates[:n_told], channel, location, at
            )
    afresh = availability.bind(MODEL)
    for channel in ASKED["channel"]:
        for location in ASKED["location"]:
            for at in (0, 2) if windows else (0,):
                expected = defined(rows, updates, channel, location, at)
                assert shown(bound, channel, location, at) == expected
                assert shown(afresh, channel, location, at) == expected


@given(rows=tables(windows=True), updates=UPDATES, calls=st.lists(CALLS, min_size=2, max_size=6))
@settings(max_examples=80)
def test_an_update_changes_no_other_item(rows, updates, calls):
    availability = availability_of(rows)
    bound = availability.bind(MODEL)
    for update in updates:
        before = [shown(bound, *call) for call in calls]
        tell(availability, update)
        for call, earlier in zip(calls, before, strict=True):
            assert shown(bound, *call) ^ earlier <= set(update["flags"])


def test_a_mask_is_read_only_and_never_changed():
    availability = Availability.from_frame({"item_id": ["a", "b"]})
    bound = availability.bind(MODEL)
    old = bound.mask(None, None, None)
    assert old.dtype == bool
    assert old.tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="read-only"):
        old[0] = False
    availability.update(["a", "d"], [False, True])
    new = bound.mask(None, None, None)
    assert new.tolist() == [False, True, False, True]
    assert old.tolist() == [True, True, False, False]
    assert not new.flags.writeable


# An electric kettle is sold everywhere, a mower in the stores alone, and a lamp in one store and online.
HOUSEHOLD = {
    "item_id": ["kettle", "mower", "lamp", "lamp"],
    "channel": [None, "store", "store", "web"],
    "location": [None, None, "north", None],
}
HOUSE = Vocabulary.from_values(["kettle", "lamp", "mower", "rake"])


@pytest.mark.parametrize(
    ("channel", "location", "expected"),
    [
        ("web", None, {"kettle", "lamp"}),
        ("web", "north", {"kettle", "lamp"}),
        ("web", "elsewhere", {"kettle", "lamp"}),
        ("store", "north", {"kettle", "lamp", "mower"}),
        ("store", "elsewhere", {"kettle", "mower"}),
        # north is all the table knows of: a location that it names none else of.
        ("store", None, {"kettle", "lamp", "mower"}),
        (None, "north", {"kettle", "lamp"}),
        (None, "elsewhere", {"kettle"}),
        (None, None, {"kettle", "lamp"}),
        ("call centre", None, {"kettle"}),
        ("call centre", "north", {"kettle"}),
    ],
)
def test_a_call_without_a_name_shows_what_every_place_has(channel, location, expected):
    bound = Availability.from_frame(HOUSEHOLD).bind(HOUSE)
    assert shown(bound, channel, location) == expected


def test_every_pair_of_channel_and_location_counts():
    pairs = [("web", "north"), ("web", "south"), ("app", "north")]
    rows = [{"item_id": "a", "channel": channel, "location": location} for channel, location in pairs]
    rows += [{"item_id": "b", "channel": "web"}, {"item_id": "b", "channel": "app"}]
    rows += [{"item_id": "c", "channel": "web"}, {"item_id": "c", "location": "north"}]
    bound = Availability.from_frame(rows).bind(MODEL)
    assert shown(bound) == {"b"}
    rows += [{"item_id": item, "channel": "app", "location": "south"} for item in ("a", "c")]
    bound = Availability.from_frame(rows).bind(MODEL)
    assert shown(bound) == {"a", "b", "c"}


def test_a_window_holds_from_its_start_to_before_its_end():
    table = {"item_id": ["a", "b"], "starts": [NOON, None], "ends": [NOON + 10, NOON + 5]}
    bound = Availability.from_frame(table).bind(MODEL)
    a, b = {"a"}, {"b"}
    moments = {-1: b, 0: a | b, 4: a | b, 5: a, 9: a, 10: set(), -9: b, 99: set()}
    for at, expected in [*moments.items(), *reversed(moments.items())]:
        assert shown(bound, at=at) == expected
    last = micros(5) - 1
    assert bound.mask(None, None, last).tolist() == [True, True, False, False]
    assert bound.mask("web", "north", np.int64(last)).tolist() == [True, True, False, False]


def test_windows_of_a_place_need_a_moment_in_every_place():
    table = {"item_id": ["a", "b"], "channel": ["web", "app"], "starts": [NOON, None]}
    availability = Availability.from_frame(table)
    bound = availability.bind(MODEL)
    text = (
        "at=None: expected a moment, because the availability has windows of time. Hint: nothing here reads "
        "the clock; pass the moment of the call, as in at=datetime.now(UTC)."
    )
    availability.update(["a", "b"], False)
    for channel in (None, "web", "app", "kiosk"):
        with refused(ArgumentError, text):
            bound.mask(channel, None, None)
    assert availability.has_windows


def test_a_moment_does_not_matter_without_windows():
    availability = Availability.from_frame({"item_id": ["a"], "starts": [None], "ends": [None]})
    assert not availability.has_windows
    bound = availability.bind(MODEL)
    assert bound.mask(None, None, None) is bound.mask(None, None, 0) is bound.mask(None, None, micros(0))


def counted(monkeypatch):
    """Count how often a mask is drawn from the table."""
    drawn = []
    original = views_module.available
    monkeypatch.setattr(views_module, "available", lambda *args: drawn.append(args[2:]) or original(*args))
    return drawn


def test_a_mask_is_drawn_once_for_each_span_between_windows(monkeypatch):
    table = {
        "item_id": ["a", "b", "c"],
        "channel": ["web", None, "app"],
        "starts": [NOON, NOON + 10, NOON + 5],
    }
    bound = Availability.from_frame(table).bind(MODEL)
    drawn = counted(monkeypatch)
    # In the web the window of app at 5 changes nothing.
    assert [shown(bound, "web", at=at) for at in (0, 3, 7, 9)] == [{"a"}] * 4
    assert len(drawn) == 1
    assert bound.mask("web", None, micros(0)) is bound.mask("web", None, micros(9))
    assert shown(bound, "web", at=10) == {"a", "b"}
    assert shown(bound, "web", at=-1) == set()
    assert len(drawn) == 3
    for _ in range(5):  # alternating moments stay known
        assert [shown(bound, "web", at=at) for at in (-1, 3, 10)] == [set(), {"a"}, {"a", "b"}]
    assert len(drawn) == 3
    for at in (0, 7):  # a call that names no channel meets the windows of each
        shown(bound, None, at=at)
    assert len(drawn) == 5


def test_masks_that_are_kept_are_few():
    rows = [{"item_id": "a", "location": f"l{number}", "starts": NOON + number} for number in range(300)]
    bound = Availability.from_frame(rows).bind(MODEL)
    (view,) = bound.source._state.views.values()
    for number in range(300):
        assert shown(bound, None, f"l{number}", number) == {"a"}
    assert len(view.memo) == 256
    for number in range(0, 300, 30):
        assert shown(bound, None, None, number) == set()
    assert sum(map(len, view.memo.values())) == 256
    assert max(map(len, view.memo.values())) == 4


def test_masks_of_a_wide_catalogue_are_fewer(monkeypatch):
    monkeypatch.setattr(views_module, "_MOST_BYTES", 10 * len(MODEL))
    names = [f"w{number:02d}" for number in range(20)]
    availability = Availability.from_frame({"item_id": ["a"] * 20, "channel": names})
    bound = availability.bind(MODEL)
    for round_ in range(3):
        availability.update(["b"], round_ % 2 == 0, channel="w03")
        for name in names:
            assert shown(bound, name) == ({"a", "b"} if name == "w03" and round_ != 1 else {"a"})
    (view,) = availability._state.views.values()
    assert list(view.memo) == [(number, -1) for number in range(10, 20)]


def test_unknown_names_share_one_mask(monkeypatch):
    bound = Availability.from_frame(HOUSEHOLD).bind(HOUSE)
    drawn = counted(monkeypatch)
    for number in range(50):
        assert shown(bound, f"channel {number}", number) == {"kettle"}
        assert shown(bound, b"web", [number]) == {"kettle"}
        assert shown(bound, True, 1.0) == {"kettle"}
    assert len(drawn) == 1


def test_unknown_names_are_counted_where_there_are_names():
    availability = Availability.from_frame({"item_id": ["a", "b"], "channel": ["web", None]})
    bound = availability.bind(MODEL)
    assert bound.unknown(None, None) == {}
    assert bound.unknown("web", "north") == {}
    assert bound.unknown("wbe", "north") == {"channel": 1}
    assert bound.unknown(1, None) == {"channel": 1}
    availability.update(["a"], True, channel="app", location="north")
    assert bound.unknown("app", "north") == {}
    assert bound.unknown("kiosk", "south") == {"channel": 1}
    both = Availability.from_frame(HOUSEHOLD).bind(HOUSE)
    assert both.unknown("wbe", "elsewhere") == {"channel": 1, "location": 1}


def test_names_are_exact_about_type_and_value():
    numbers = Availability.from_frame({"item_id": ["a", "b"], "channel": [1, 2]}).bind(MODEL)
    assert numbers.source.channels == (1, 2)
    assert shown(numbers, 1) == shown(numbers, np.int32(1)) == {"a"}
    for other in ("1", True, 1.0, np.float64(1), np.True_):
        assert shown(numbers, other) == set()
        assert numbers.unknown(other, None) == {"channel": 1}
    texts = Availability.from_frame({"item_id": ["a", "b"], "channel": ["1", "caf\u00e9"]}).bind(MODEL)
    assert texts.source.channels == ("1", "caf\u00e9")
    assert shown(texts, 1) == set()
    assert shown(texts, "1") == shown(texts, np.str_("1")) == {"a"}
    assert shown(texts, "cafe\u0301") == shown(texts, "caf\u00e9") == {"b"}
    assert shown(texts, "Caf\u00e9") == set()


def test_items_of_another_type_are_unknown():
    numbers = Vocabulary.from_values([1, 2, 3])
    bound = Availability.from_frame({"item_id": ["1", "2", "1"]}).bind(numbers)
    assert bound.n_unknown_items == 2
    assert bound.mask(None, None, None).tolist() == [False] * 3
    bound = Availability.from_frame({"item_id": [1, 2, 7]}).bind(numbers)
    assert bound.n_unknown_items == 1
    assert bound.mask(None, None, None).tolist() == [True, True, False]


def test_items_are_brought_to_nfc():
    model = Vocabulary.from_values(["caf\u00e9"])
    availability = Availability.from_frame({"item_id": ["cafe\u0301"]})
    bound = availability.bind(model)
    assert shown(bound) == {"caf\u00e9"}
    availability.update(["cafe\u0301"], False)
    assert shown(bound) == set()


def test_models_see_it_each_by_its_own_items():
    availability = Availability.from_frame({"item_id": ["b", "a", "z"]})
    one = availability.bind(MODEL)
    other = availability.bind(Vocabulary.from_values(["z", "b"]))
    empty = availability.bind(Vocabulary.from_values([]))
    assert (shown(one), shown(other), shown(empty)) == ({"a", "b"}, {"z", "b"}, set())
    assert [bound.n_unknown_items for bound in (one, other, empty)] == [1, 1, 3]
    availability.update(["z", "c"], [False, True])
    assert (shown(one), shown(other), shown(empty)) == ({"a", "b", "c"}, {"b"}, set())
    assert empty.mask(None, None, None).shape == (0,)
