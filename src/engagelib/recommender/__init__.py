"""The recommender: models and rules over one log, answering what to show next for one customer or for all."""

from engagelib.recommender.pages import Profile
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
