"""Ranking: the second stage, which puts what several models found into the order that the log teaches."""

from engagelib.ranking.calibrating import DEPTH, LearnedCalibration, learn_calibration, uncalibrated
from engagelib.ranking.calibration import Calibration
from engagelib.ranking.learning import LearnedRanker, World, learn_ranker
from engagelib.ranking.ranker import HEAD, Kind, Ranker, check_kind
from engagelib.ranking.reordering import ranked_blend
from engagelib.ranking.slices import Slice, draw_slice, slice_of_log

__all__ = [
    "DEPTH",
    "HEAD",
    "Calibration",
    "LearnedCalibration",
    "Kind",
    "LearnedRanker",
    "Ranker",
    "Slice",
    "World",
    "check_kind",
    "draw_slice",
    "learn_calibration",
    "learn_ranker",
    "ranked_blend",
    "slice_of_log",
    "uncalibrated",
]
