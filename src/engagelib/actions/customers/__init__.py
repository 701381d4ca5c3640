"""Customers at a moment: features, stages of the lifecycle, and audiences."""

from engagelib.actions.customers.audiences import (
    Audience,
    NetPromoter,
    about_to_lapse,
    clicked_not_bought,
    net_promoter,
)
from engagelib.actions.customers.features import CustomerFeatures
from engagelib.actions.customers.guard import BadExperiences, Guard
from engagelib.actions.customers.lifecycle import Lifecycle
from engagelib.actions.customers.stages import STAGES, Stage, Stages, StageTable, StageTransitions
from engagelib.actions.customers.table import FeatureTable

__all__ = [
    "Audience",
    "BadExperiences",
    "CustomerFeatures",
    "FeatureTable",
    "Guard",
    "Lifecycle",
    "NetPromoter",
    "STAGES",
    "Stage",
    "StageTable",
    "StageTransitions",
    "Stages",
    "about_to_lapse",
    "clicked_not_bought",
    "net_promoter",
]
