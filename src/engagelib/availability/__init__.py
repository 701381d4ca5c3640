"""What may be shown, by channel, location and window of time."""

from engagelib.availability.availability import Availability
from engagelib.availability.bound import BoundAvailability

__all__ = ["Availability", "BoundAvailability"]
