"""Decisions to log in tests."""

from engagelib.actions.decisions import DecisionRow
from engagelib.times import DAY, to_microseconds

START = to_microseconds("2024-01-01")


def decision(customer_id="ann", action="offer", day=0.0, **fields):
    return DecisionRow(customer_id, START + int(day * DAY), action, **fields)
