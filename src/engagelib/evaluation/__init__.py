"""Evaluation: how good recommenders' lists were, and policies, judged by what customers did afterwards."""

from engagelib.evaluation._comparing import Compared, Comparison, compare
from engagelib.evaluation._contending import AskedWith, Contender
from engagelib.evaluation._evaluating import Evaluation, evaluate
from engagelib.evaluation._implicit import ImplicitAdapter
from engagelib.evaluation._measuring import EVALUATION_METRICS, Difference, Figures
from engagelib.evaluation._policies import evaluate_policy
from engagelib.evaluation._policy_tables import Constant, PolicyEvaluation, PolicyValue
from engagelib.evaluation._segments import SEGMENTS, Segments
from engagelib.evaluation._tuning import Trial, Tuned, tune

__all__ = [
    "AskedWith",
    "Compared",
    "Comparison",
    "Constant",
    "Contender",
    "Difference",
    "EVALUATION_METRICS",
    "Evaluation",
    "Figures",
    "ImplicitAdapter",
    "PolicyEvaluation",
    "PolicyValue",
    "SEGMENTS",
    "Segments",
    "Trial",
    "Tuned",
    "compare",
    "evaluate",
    "evaluate_policy",
    "tune",
]
