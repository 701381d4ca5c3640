"""Deciding what to do for a customer: who they are, what may be done, what it would bring and brought.

Names are looked up when they are first used: a backend that only serves imports nothing that learning needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engagelib.actions.answers import ActionRecommendations, ActionTable, Decision, RankedAction
    from engagelib.actions.arbitration import Suppression
    from engagelib.actions.bandit import LinearBandit, action_probabilities, epsilon_greedy_probabilities
    from engagelib.actions.catalogue import Action, ContactLimit
    from engagelib.actions.customers import (
        Audience,
        CustomerFeatures,
        FeatureTable,
        Lifecycle,
        about_to_lapse,
        clicked_not_bought,
        net_promoter,
    )
    from engagelib.actions.decisions import DecisionLog, DecisionRow
    from engagelib.actions.encoding import FeatureEncoding
    from engagelib.actions.groups import ControlGroup
    from engagelib.actions.logged import LoggedDecisions
    from engagelib.actions.next_best_action import NextBestAction
    from engagelib.actions.nothing import NOTHING
    from engagelib.actions.parity import Parity, check_parity
    from engagelib.actions.reading import read_decisions
    from engagelib.actions.response import (
        ActionResponse,
        EventResponse,
        Gate,
        Uplift,
        compare_learners,
        safe_gate,
    )
    from engagelib.actions.value import (
        BetaGeometric,
        Engaged,
        GammaGamma,
        LifetimeValue,
        PurchaseSummary,
        summarise_purchases,
    )

__all__ = [
    "Action",
    "ActionRecommendations",
    "ActionResponse",
    "ActionTable",
    "Audience",
    "BetaGeometric",
    "ContactLimit",
    "ControlGroup",
    "CustomerFeatures",
    "Decision",
    "DecisionLog",
    "DecisionRow",
    "Engaged",
    "EventResponse",
    "FeatureEncoding",
    "FeatureTable",
    "GammaGamma",
    "Gate",
    "Lifecycle",
    "LifetimeValue",
    "LinearBandit",
    "LoggedDecisions",
    "NOTHING",
    "NextBestAction",
    "Parity",
    "PurchaseSummary",
    "RankedAction",
    "Suppression",
    "Uplift",
    "about_to_lapse",
    "action_probabilities",
    "check_parity",
    "clicked_not_bought",
    "compare_learners",
    "epsilon_greedy_probabilities",
    "net_promoter",
    "read_decisions",
    "safe_gate",
    "summarise_purchases",
]

_HOMES = {
    "Action": "catalogue",
    "ActionRecommendations": "answers",
    "ActionResponse": "response",
    "ActionTable": "answers",
    "Audience": "customers",
    "BetaGeometric": "value",
    "ContactLimit": "catalogue",
    "ControlGroup": "groups",
    "CustomerFeatures": "customers",
    "Decision": "answers",
    "DecisionLog": "decisions",
    "DecisionRow": "decisions",
    "Engaged": "value",
    "EventResponse": "response",
    "FeatureEncoding": "encoding",
    "FeatureTable": "customers",
    "GammaGamma": "value",
    "Gate": "response",
    "Lifecycle": "customers",
    "LifetimeValue": "value",
    "LinearBandit": "bandit",
    "LoggedDecisions": "logged",
    "NOTHING": "nothing",
    "NextBestAction": "next_best_action",
    "Parity": "parity",
    "PurchaseSummary": "value",
    "RankedAction": "answers",
    "Suppression": "arbitration",
    "Uplift": "response",
    "about_to_lapse": "customers",
    "action_probabilities": "bandit",
    "check_parity": "parity",
    "clicked_not_bought": "customers",
    "compare_learners": "response",
    "epsilon_greedy_probabilities": "bandit",
    "net_promoter": "customers",
    "read_decisions": "reading",
    "safe_gate": "response",
    "summarise_purchases": "value",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"engagelib.actions.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
