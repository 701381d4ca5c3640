"""Figures that judge lists, over arrays alone: no model and no log is known here."""

from engagelib.metrics.ranking import (
    RANKING_METRICS,
    average_precision,
    coverage,
    hit_rate,
    ndcg,
    precision,
    ranking_metrics,
    recall,
    reciprocal_rank,
)

__all__ = [
    "RANKING_METRICS",
    "average_precision",
    "coverage",
    "hit_rate",
    "ndcg",
    "precision",
    "ranking_metrics",
    "recall",
    "reciprocal_rank",
]
