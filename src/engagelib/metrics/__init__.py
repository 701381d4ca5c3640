"""Figures that judge lists and probabilities, over arrays alone: no model and no log is known here."""

from engagelib.metrics.beyond import gini, intra_list_diversity, novelty
from engagelib.metrics.calibration import (
    Reliability,
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_table,
)
from engagelib.metrics.off_policy import (
    Estimate,
    dr_terms,
    effective_sample_size,
    importance_weights,
    ips_terms,
    mean_estimate,
    snips_terms,
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
from engagelib.metrics.uplift import (
    UpliftCurve,
    auuc_score,
    qini_curve,
    qini_score,
    uplift_at_k,
    uplift_curve,
)

__all__ = [
    "Estimate",
    "RANKING_METRICS",
    "Reliability",
    "UpliftCurve",
    "auuc_score",
    "average_precision",
    "brier_score",
    "coverage",
    "dr_terms",
    "effective_sample_size",
    "expected_calibration_error",
    "gini",
    "hit_rate",
    "importance_weights",
    "intra_list_diversity",
    "ips_terms",
    "log_loss",
    "mean_estimate",
    "ndcg",
    "novelty",
    "precision",
    "qini_curve",
    "qini_score",
    "ranking_metrics",
    "ranking_values",
    "recall",
    "reciprocal_rank",
    "reliability_table",
    "snips_terms",
    "uplift_at_k",
    "uplift_curve",
]
