"""Attributes: what is known of each item, as arrays that can be stored, mapped and asked about."""

from engagelib.attributes.attributes import ItemAttributes
from engagelib.attributes.conditions import check_where
from engagelib.attributes.vectors import has_content, item_vectors

__all__ = ["ItemAttributes", "check_where", "has_content", "item_vectors"]
