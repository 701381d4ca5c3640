"""The recommender: models and rules over one log, answering what to show next for one customer or for all."""

from typing import TYPE_CHECKING, Any

from engagelib.recommender.recommendations import (
    Audience,
    Member,
    Reason,
    Recommendation,
    Recommendations,
    RecommendationTable,
)
from engagelib.recommender.recommender import Recommender
from engagelib.recommender.rules import Rule

if TYPE_CHECKING:
    from engagelib.recommender.pages import Profile

__all__ = [
    "Audience",
    "Member",
    "Profile",
    "Reason",
    "Recommendation",
    "RecommendationTable",
    "Recommendations",
    "Recommender",
    "Rule",
]


def __getattr__(name: str) -> Any:
    if name == "Profile":  # staff's pages are imported when one is asked for
        from engagelib.recommender.pages import Profile

        globals()[name] = Profile
        return Profile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
