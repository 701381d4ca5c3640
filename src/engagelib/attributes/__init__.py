"""Attributes: what is known of each item, as arrays that can be stored, mapped and asked about."""

from engagelib.attributes.attributes import ItemAttributes
from engagelib.attributes.conditions import check_where

__all__ = ["ItemAttributes", "check_where"]
