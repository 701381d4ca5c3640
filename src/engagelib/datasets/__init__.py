"""Logs to try things on: a real shop's year, bundled, and made-up shops of any size."""

from engagelib.datasets._online_retail import load_online_retail
from engagelib.datasets._shop import Shop, make_shop, make_shop_tables

__all__ = ["Shop", "load_online_retail", "make_shop", "make_shop_tables"]
