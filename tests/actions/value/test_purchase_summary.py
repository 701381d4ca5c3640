"""Summaries: occasions, times and money against brute force, as of any moment, and what is refused."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from value_cases import DAY, day_of, log_of

from engagelib.actions.value import PurchaseSummary, summarise_purchases
from engagelib.actions.value.summary import one_customer

COLUMNS = ("frequency", "recency", "age", "mean_value")

# Few customers, items and days, so that orders share days and returns find purchases.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.just(0),
        st.integers(0, 40).map(lambda quarter: quarter / 4),
        st.sampled_from([None, 1.0, 2.0, 8.0]),
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from(["purchase", "purchase", "view"]),
    ),
    min_size=1,
    max_size=12,
)


def by_hand(rows, customer, at_day):
    """Return what is known of a customer by the definition, row by row."""
    rows = sorted(
        (row for row in rows if row[0] == customer and row[5] == "purchase"), key=lambda row: row[2]
    )
    occasions = {}
    for _, _, day, value, order, _ in rows:
        if day <= at_day:
            entry = occasions.setdefault(order if order is not None else int(day), (int(day), []))
            entry[1].append(value)
    if not occasions:
        return [np.nan] * 4
    days = [day for day, _ in occasions.values()]
    known = [
        values for _, values in list(occasions.values())[1:] if any(value is not None for value in values)
    ]
    sums = [sum(value for value in values if value is not None) for values in known]
    mean = np.mean(sums) if sums else np.nan
    return [len(days) - 1, days[-1] - days[0], int(at_day) - days[0], mean]


# Orders that interleave, and an order of which a row has no money.
@example(
    rows=[
        (0, 0, 1.0, 2.0, "a", "purchase"),
        (0, 0, 2.0, 8.0, "b", "purchase"),
        (0, 0, 3.0, 8.0, "a", "purchase"),
        (0, 0, 4.0, 1.0, "b", "purchase"),
    ],
    at_day=9.0,
)
@example(
    rows=[
        (0, 0, 1.0, 2.0, "a", "purchase"),
        (0, 0, 2.0, 8.0, "b", "purchase"),
        (0, 0, 2.0, None, "b", "purchase"),
    ],
    at_day=9.0,
)
@given(rows=ROWS, at_day=st.integers(0, 40).map(lambda quarter: quarter / 4))
def test_summaries_are_what_the_definition_says(rows, at_day):
    histories = log_of(rows)
    found = summarise_purchases(histories, day_of(at_day))
    for row, customer in enumerate(histories.customers):
        expected = by_hand(rows, customer, at_day)
        got = [getattr(found, name)[row] for name in COLUMNS]
        assert got == pytest.approx(expected, nan_ok=True)
        one = one_customer(histories.take(np.array([row])), day_of(at_day), 1.0)
        assert (one or [np.nan] * 4) == pytest.approx(expected, nan_ok=True)


@given(rows=ROWS, at_day=st.integers(0, 8))
def test_what_comes_after_the_moment_changes_nothing(rows, at_day):
    later = [(row[0], 0, row[2] + at_day + 1, 5.0, None, "return") for row in rows]
    anchors = [(customer, 1, 0.0, None, None, "view") for customer in range(3)]
    with_returns = [*anchors, *rows, (0, 0, 30.0, 1.0, None, "return"), *later]
    until = [row for row in with_returns if row[2] <= at_day]
    one = summarise_purchases(log_of(with_returns), day_of(at_day))
    other = summarise_purchases(log_of(until), day_of(at_day))
    for name in COLUMNS:
        assert getattr(one, name) == pytest.approx(getattr(other, name), nan_ok=True)


def test_returns_take_occasions_and_money_back():
    rows = [
        (1, "pen", 0, 10.0, "a", "purchase"),
        (1, "pen", 5, 20.0, "b", "purchase"),
        (1, "ink", 5, 7.0, "b", "purchase"),
        (1, "cap", 9, 30.0, "c", "purchase"),
        (1, "pen", 10, -20.0, "d", "return"),
        (1, "cap", 12, -30.0, "e", "return"),
    ]
    histories = log_of(rows)
    before, after, last = (summarise_purchases(histories, day_of(day)) for day in (9, 11, 13))
    assert [before.frequency[0], before.recency[0], before.mean_value[0]] == [2, 9, (27 + 30) / 2]
    assert [after.frequency[0], after.recency[0], after.mean_value[0]] == [2, 9, (7 + 30) / 2]
    assert [last.frequency[0], last.recency[0], last.age[0], last.mean_value[0]] == [1, 5, 13, 7]
    assert one_customer(histories, day_of(13), 1.0) == (1, 5, 13, 7)


def test_what_is_returned_in_part_counts_in_part():
    rows = [
        (1, "ink", 0, 3.0, "a", "purchase"),
        (1, "pen", 5, 10.0, "b", "purchase"),
        (1, "pen", 5, 10.0, "b", "purchase"),
        (1, "pen", 7, -10.0, "c", "return"),
    ]
    histories = log_of(rows)
    assert summarise_purchases(histories).mean_value.tolist() == [10]
    assert one_customer(histories, day_of(7), 1.0) == (1, 5, 7, 10)
    assert one_customer(histories, day_of(6), 1.0) == (1, 5, 6, 20)


def test_weeks_are_days_by_seven_and_moments_come_in_any_form():
    rows = [(1, "pen", 0, 1.0, None, "purchase"), (1, "pen", 14, 2.0, None, "purchase")]
    weeks = summarise_purchases(log_of(rows), "2024-01-29", by_days=7)
    assert (weeks.recency[0], weeks.age[0], weeks.by_days) == (2, 4, 7)
    for at in (
        datetime(2024, 1, 29, tzinfo=UTC),
        np.datetime64("2024-01-29"),
        day_of(28),
        np.int64(day_of(28)),
    ):
        assert summarise_purchases(log_of(rows), at).age[0] == 28
    assert summarise_purchases(log_of(rows)).age[0] == 14
    assert weeks.in_units_of(1).age[0] == 28
    assert weeks.at == day_of(28)
    assert DAY == 24 * 3600 * 10**6
    text = "PurchaseSummary(1 customers, 1 with a purchase, 1 with a repeat, in {})"
    assert repr(weeks) == text.format("weeks")
    assert repr(weeks.in_units_of(1)) == text.format("days")
    assert repr(weeks.in_units_of(30)) == text.format("units of 30 days")


def test_frames_are_read_by_name():
    frame = pd.DataFrame({"id": [7, 8], "frequency": [2, 0], "recency": [3.5, 0], "T": [9.0, 8.0]})
    found = PurchaseSummary.from_frame(frame)
    assert found.age.tolist() == [9, 8]
    assert np.isnan(found.mean_value).all()
    again = PurchaseSummary.from_frame(found.to_frame())
    for name in COLUMNS:
        assert getattr(again, name) == pytest.approx(getattr(found, name), nan_ok=True)
    with_money = PurchaseSummary.from_frame(frame.rename(columns={"T": "age"}).assign(mean_value=[5.0, 0.0]))
    assert with_money.mean_value == pytest.approx([5.0, np.nan], nan_ok=True)
    assert found.is_one_time.tolist() == [False, True]
    assert found.take(slice(1, 2)).age.tolist() == [8]


def test_anonymous_visits_are_left_out():
    import engagelib as eg

    table = {
        "customer_id": [1, None, 2],
        "session_id": ["s", "t", "u"],
        "item_id": [1, 1, 1],
        "timestamp": ["2024-01-01", "2024-01-02", "2024-01-04"],
    }
    histories = eg.Histories.from_log(eg.EventLog.from_frame(table))
    assert histories.n_histories == 3
    assert summarise_purchases(histories).age.tolist() == [3, 0]
