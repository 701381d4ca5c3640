"""DecisionLog: what was decided for whom, with what chance, and what came of it."""

from engagelib.actions.decisions.log import DecisionLog
from engagelib.actions.decisions.rows import Contact, Contacts, DecisionRow, Recorded
from engagelib.actions.decisions.steps import Step

__all__ = ["Contact", "Contacts", "DecisionLog", "DecisionRow", "Recorded", "Step"]
