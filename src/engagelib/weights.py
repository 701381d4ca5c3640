"""What is known of event types by their names, where the caller does not say."""

from collections.abc import Mapping
from typing import Final

EVENT_WEIGHTS: Final[Mapping[str, float]] = {"view": 1.0, "wishlist": 2.0, "cart": 3.0, "purchase": 5.0}
"""Confidence of one event by its type; types not named count 0."""

ITEMLESS: Final = frozenset({"complaint", "survey", "message_open", "message_click", "login", "referral"})
"""Event types that need not name an item."""
