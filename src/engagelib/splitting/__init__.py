"""Splitting: a log becomes what to learn from and what to be tested on, and nothing leaks between them."""

from engagelib.splitting._leaks import SplitBy
from engagelib.splitting._split import Split, check_not_fitted_on
from engagelib.splitting._ways import split_by_position, split_by_session, split_by_time, split_rolling

__all__ = [
    "Split",
    "SplitBy",
    "check_not_fitted_on",
    "split_by_position",
    "split_by_session",
    "split_by_time",
    "split_rolling",
]
