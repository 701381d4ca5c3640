"""The recommender: models and rules over one log, answering what to show next for one customer or for all."""

from engagelib.recommender.recommendations import (
    Audience,
    Member,
    Reason,
    Recommendation,
    Recommendations,
    RecommendationTable,
)
from engagelib.recommender.recommender import Recommender

__all__ = [
    "Audience",
    "Member",
    "Reason",
    "Recommendation",
    "RecommendationTable",
    "Recommendations",
    "Recommender",
]
