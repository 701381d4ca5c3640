"""Personalised recommendation and next best action, from browsing and purchase history.

Names are looked up when they are first used, so that a backend that only serves imports neither Arrow nor
anything else that fitting needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engagelib.errors import EngageError
    from engagelib.events import EventLog
    from engagelib.histories import Histories
    from engagelib.loading import load
    from engagelib.models import ItemKNN, Model, Popularity
    from engagelib.recommendations import Recommendations
    from engagelib.recommender import Recommender
    from engagelib.vocabulary import Vocabulary

__version__ = "0.1.0"

_HOMES = {
    "EngageError": "errors",
    "EventLog": "events",
    "Histories": "histories",
    "ItemKNN": "models",
    "Model": "models",
    "Popularity": "models",
    "Recommendations": "recommendations",
    "Recommender": "recommender",
    "Vocabulary": "vocabulary",
    "load": "loading",
}

__all__ = [
    "EngageError",
    "EventLog",
    "Histories",
    "ItemKNN",
    "Model",
    "Popularity",
    "Recommendations",
    "Recommender",
    "Vocabulary",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"engagelib.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return import_module(f"engagelib.{name}")
    raise AttributeError(f"module 'engagelib' has no attribute {name!r}")


_SUBMODULES = frozenset({"datasets", "errors", "metrics", "models", "scoring", "splitting", "testing"})


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES, "__version__"])
