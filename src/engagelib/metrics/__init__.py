"""Figures that judge lists and probabilities, over arrays alone: no model and no log is known here."""

from engagelib.metrics.beyond import gini, intra_list_diversity, novelty
from engagelib.metrics.calibration import (
    Reliability,
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_table,
)
from engagelib.metrics.ranking import (
    RANKING_METRICS,
    average_precision,
    coverage,
    hit_rate,
    ndcg,
    precision,
    ranking_metrics,
    ranking_values,
    recall,
    reciprocal_rank,
)

__all__ = [
    "RANKING_METRICS",
    "Reliability",
    "average_precision",
    "brier_score",
    "coverage",
    "expected_calibration_error",
    "gini",
    "hit_rate",
    "intra_list_diversity",
    "log_loss",
    "ndcg",
    "novelty",
    "precision",
    "ranking_metrics",
    "ranking_values",
    "recall",
    "reciprocal_rank",
    "reliability_table",
]
