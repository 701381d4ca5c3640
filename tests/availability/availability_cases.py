"""What the tests of availability share: the definition in plain Python, and random tables and updates."""

import re

import pytest
from hypothesis import strategies as st

from engagelib.availability import Availability
from engagelib.vocabulary import Vocabulary

NOON = 1_700_000_000
SIDES = ("channel", "location")

# One item is in no row, one is unknown to the model.
ITEMS = ["a", "b", "c", "d"]
MODEL = Vocabulary.from_values(ITEMS)
TOLD = ["a", "b", "c", "elsewhere"]

# Few values make rows that meet, and windows that open or close at one moment, common.
CHANNELS = [None, None, "app", "web"]
LOCATIONS = [None, None, "north", "south"]
ASKED = {
    "channel": [None, "app", "web", "kiosk", "unheard of"],
    "location": [None, "north", "south", "moon", "unheard of"],
}
BOUNDS = [None, None, 0, 1, 2, 3]
WINDOWS = [(start, end) for start in BOUNDS for end in BOUNDS if None in (start, end) or start < end]


def tables(*, windows):
    """Rows of a table, with windows in seconds after noon or without."""
    row = st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(TOLD),
            "channel": st.sampled_from(CHANNELS),
            "location": st.sampled_from(LOCATIONS),
            "quantity": st.sampled_from([None, None, 0, 2]),
        }
    )
    window = st.sampled_from(WINDOWS if windows else [(None, None)])
    return st.lists(
        st.builds(lambda row, pair: {**row, "starts": pair[0], "ends": pair[1]}, row, window), max_size=9
    )


UPDATES = st.lists(
    st.fixed_dictionaries(
        {
            "flags": st.dictionaries(st.sampled_from(TOLD), st.booleans(), min_size=1, max_size=4),
            "channel": st.sampled_from([*CHANNELS, "kiosk"]),
            "location": st.sampled_from([*LOCATIONS, "moon"]),
        }
    ),
    max_size=7,
)
CALLS = st.tuples(st.sampled_from(ASKED["channel"]), st.sampled_from(ASKED["location"]), st.integers(-1, 4))


def availability_of(rows):
    """Read rows as `tables` gives them."""
    names = ("item_id", "channel", "location", "quantity", "starts", "ends")
    frame = {name: [row[name] for row in rows] for name in names}
    for name in ("starts", "ends"):
        frame[name] = [None if moment is None else NOON + moment for moment in frame[name]]
    return Availability.from_frame(frame)


def tell(availability, update):
    flags = update["flags"]
    availability.update(
        list(flags), list(flags.values()), channel=update["channel"], location=update["location"]
    )


def micros(moment):
    """Seconds after noon as `mask` takes them."""
    return (NOON + moment) * 1_000_000


def shown(bound, channel=None, location=None, at=0):
    """The ids that a mask lets through."""
    mask = bound.mask(channel, location, micros(at))
    return {item for item, allowed in zip(bound.items, mask.tolist(), strict=True) if allowed}


def may_be_shown(rows, updates, item, channel, location, at):
    """Say by the words of the documentation whether one item may be shown."""
    places, reach, added = [], [], []
    for side, asked in zip(SIDES, (channel, location), strict=True):
        named = sorted({row[side] for row in rows} - {None})
        others = sorted({update[side] for update in updates} - {None, *named})
        if asked is not None:
            named, others = [asked], []
        places.append(named or ["anywhere"])
        reach.append([*named, *others, "anywhere"] if asked is None else named)
        added.append(others)
    if not all(_holds(rows, updates, item, here, there, at) for here in places[0] for there in places[1]):
        return False
    return not any(_is_refused(updates, item, here, there, added) for here in reach[0] for there in reach[1])


def _newest(updates, item, channel, location):
    for update in reversed(updates):
        if (
            item in update["flags"]
            and update["channel"] in (None, channel)
            and update["location"] in (None, location)
        ):
            return update
    return None


def _holds(rows, updates, item, channel, location, at):
    update = _newest(updates, item, channel, location)
    if update is not None:
        return update["flags"][item]
    return any(
        row["item_id"] == item
        and row["channel"] in (None, channel)
        and row["location"] in (None, location)
        and (row["starts"] is None or row["starts"] <= at)
        and (row["ends"] is None or at < row["ends"])
        and (row["quantity"] is None or row["quantity"] > 0)
        for row in rows
    )


def _is_refused(updates, item, channel, location, added):
    """Say whether the last word on a place is a refusal under a name that only updates have."""
    update = _newest(updates, item, channel, location)
    return (
        update is not None
        and not update["flags"][item]
        and (update["channel"] in added[0] or update["location"] in added[1])
    )


def refused(error, text):
    return pytest.raises(error, match=f"^{re.escape(text)}$")
