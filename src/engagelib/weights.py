"""How much an event of each type says about interest, where the caller does not say."""

from collections.abc import Mapping
from typing import Final

EVENT_WEIGHTS: Final[Mapping[str, float]] = {"view": 1.0, "wishlist": 2.0, "cart": 3.0, "purchase": 5.0}
"""Confidence of one event by its type; types not named count 0."""
