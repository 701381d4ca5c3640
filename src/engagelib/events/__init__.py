"""Events: a log of what customers did is read, checked and kept, with what was refused and why."""

from engagelib.events.log import EventLog
from engagelib.events.options import ITEMLESS

__all__ = ["ITEMLESS", "EventLog"]
