"""Logs to try things on: a real shop's year, bundled, made-up shops of any size, and published files."""

from engagelib.datasets._hillstrom import load_hillstrom
from engagelib.datasets._online_retail import load_online_retail
from engagelib.datasets._open_bandit import load_open_bandit
from engagelib.datasets._shop import Shop, make_shop, make_shop_tables

__all__ = [
    "Shop",
    "load_hillstrom",
    "load_online_retail",
    "load_open_bandit",
    "make_shop",
    "make_shop_tables",
]
