"""Moments: every accepted kind gives the same microseconds, and what is none is refused in these words."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.errors import ArgumentError
from engagelib.times import DAY, EARLIEST, LATEST, spell, to_datetime, to_microseconds

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
MICROS = 1_709_209_815_250_000

SAME = [
    MOMENT,
    MOMENT.replace(tzinfo=None),
    MOMENT.astimezone(timezone(timedelta(hours=-5))),
    MOMENT.astimezone(ZoneInfo("Asia/Kolkata")),
    pd.Timestamp(MOMENT),
    pd.Timestamp(MOMENT).tz_convert("Europe/Berlin"),
    pd.Timestamp("2024-02-29 12:30:15.250000999"),
    np.datetime64("2024-02-29T12:30:15.250"),
    np.datetime64("2024-02-29T12:30:15.250000999"),
    "2024-02-29T12:30:15.25",
    "2024-02-29 12:30:15.250000",
    "2024-02-29T12:30:15.25Z",
    "2024-02-29T14:30:15.25+02:00",
]


@pytest.mark.parametrize("moment", SAME, ids=repr)
def test_one_moment_however_it_is_passed(moment):
    assert to_microseconds(moment) == MICROS


@pytest.mark.parametrize(
    "day",
    [date(2024, 2, 29), "2024-02-29", np.datetime64("2024-02-29"), datetime(2024, 2, 29)],
    ids=repr,
)
def test_a_day_begins_at_midnight_utc(day):
    assert to_microseconds(day) == MICROS // DAY * DAY


# Summer and winter are an hour apart in Berlin, and not in the result.
def test_zones_know_their_summer():
    berlin = ZoneInfo("Europe/Berlin")
    winter, summer = (to_microseconds(datetime(2024, month, 1, 12, tzinfo=berlin)) for month in (1, 7))
    assert (winter % DAY, summer % DAY) == (11 * DAY // 24, 10 * DAY // 24)


@pytest.mark.parametrize(
    ("moment", "spelled"),
    [
        (1_700_000_000, "1700000000"),
        (1.7e9, "1700000000.0"),
        (True, "True"),
        (None, "None"),
        ("yesterday", "'yesterday'"),
        ("2024-02-30", "'2024-02-30'"),
        ("", "''"),
        (date(1989, 12, 31), "datetime.date(1989, 12, 31)"),
        (date(2201, 1, 1), "datetime.date(2201, 1, 1)"),
        (datetime(1990, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")), None),
        (pd.NaT, "NaT"),
        (np.datetime64("NaT"), repr(np.datetime64("NaT"))),
        # As microseconds this year wraps around 64 bits into 2024.
        (np.datetime64(2024 - 1970 + 2**64 // (31_556_952 * 10**6), "Y"), None),
        (np.datetime64(2**62, "D"), None),
    ],
    ids=str,
)
def test_what_is_no_moment_is_refused(moment, spelled):
    with pytest.raises(ArgumentError) as caught:
        to_microseconds(moment, "as_of")
    assert str(caught.value) == (
        f"as_of={spelled or repr(moment)}: expected a datetime, a date, a numpy.datetime64 or a text in "
        "ISO 8601, from 1990 to 2200."
    )


def test_the_first_and_the_last_moment():
    assert to_microseconds("1990-01-01") == EARLIEST
    assert to_microseconds("2200-12-31T23:59:59.999999") == LATEST - 1


@given(st.integers(EARLIEST, LATEST - 1))
def test_moments_come_back(micros):
    assert to_microseconds(to_datetime(micros)) == micros
    assert to_microseconds(np.datetime64(micros, "us")) == micros
    assert to_microseconds(to_datetime(micros).isoformat()) == micros


def test_people_read_times_to_the_minute_in_utc():
    assert spell(MICROS) == "2024-02-29 12:30"
    assert spell(np.int64(0)) == "1970-01-01 00:00"
