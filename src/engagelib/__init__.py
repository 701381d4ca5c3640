"""Personalised recommendation and next best action, from browsing and purchase history.

Names are looked up when they are first used, so that a backend that only serves imports neither Arrow nor
anything else that fitting needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engagelib.actions import Action, ContactLimit, DecisionLog, NextBestAction
    from engagelib.availability import Availability
    from engagelib.errors import EngageError
    from engagelib.evaluation import compare, evaluate, evaluate_policy, tune
    from engagelib.events import EventLog
    from engagelib.histories import Histories
    from engagelib.identity import IdentityMap
    from engagelib.loading import load
    from engagelib.models import ALS, BPR, EASE, ItemKNN, Model, Popularity
    from engagelib.recommender import Recommendations, Recommender, Rule
    from engagelib.splitting import split_by_position, split_by_session, split_by_time, split_rolling
    from engagelib.versions import show_versions
    from engagelib.vocabulary import Vocabulary

__version__ = "0.1.0"

__all__ = [
    "ALS",
    "Action",
    "Availability",
    "BPR",
    "ContactLimit",
    "DecisionLog",
    "EASE",
    "EngageError",
    "EventLog",
    "Histories",
    "IdentityMap",
    "ItemKNN",
    "Model",
    "NextBestAction",
    "Popularity",
    "Recommendations",
    "Recommender",
    "Rule",
    "Vocabulary",
    "compare",
    "evaluate",
    "evaluate_policy",
    "load",
    "show_versions",
    "split_by_position",
    "split_by_session",
    "split_by_time",
    "split_rolling",
    "tune",
]

_HOMES = {
    "ALS": "models",
    "Action": "actions.catalogue",
    "Availability": "availability",
    "BPR": "models",
    "ContactLimit": "actions.catalogue",
    "DecisionLog": "actions.decisions",
    "EASE": "models",
    "EngageError": "errors",
    "EventLog": "events",
    "Histories": "histories",
    "IdentityMap": "identity",
    "ItemKNN": "models",
    "Model": "models",
    "NextBestAction": "actions.next_best_action",
    "Popularity": "models",
    "Recommendations": "recommender",
    "Recommender": "recommender",
    "Rule": "recommender",
    "Vocabulary": "vocabulary",
    "compare": "evaluation",
    "evaluate": "evaluation",
    "evaluate_policy": "evaluation",
    "load": "loading",
    "show_versions": "versions",
    "split_by_position": "splitting",
    "split_by_session": "splitting",
    "split_by_time": "splitting",
    "split_rolling": "splitting",
    "tune": "evaluation",
}

_ROOMS = frozenset(
    {
        "actions",
        "attributes",
        "availability",
        "batch",
        "datasets",
        "errors",
        "evaluation",
        "identity",
        "metrics",
        "models",
        "plots",
        "scoring",
        "splitting",
        "testing",
    }
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"engagelib.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"engagelib.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "__version__"])
