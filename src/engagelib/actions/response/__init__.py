"""Response: what a customer would do if an action were taken, and whether choosing by it is worth it."""

from engagelib.actions.response.events import EventCalibration, EventResponse
from engagelib.actions.response.gate import Gate, compare_learners, safe_gate
from engagelib.actions.response.responding import ActionResponse
from engagelib.actions.response.uplift import Uplift

__all__ = [
    "ActionResponse",
    "EventCalibration",
    "EventResponse",
    "Gate",
    "Uplift",
    "compare_learners",
    "safe_gate",
]
