"""Evaluation: how good recommenders' lists were, judged by what customers did afterwards."""

from engagelib.evaluation._comparing import Compared, Comparison, compare
from engagelib.evaluation._evaluating import Evaluation, evaluate

__all__ = ["Compared", "Comparison", "Evaluation", "compare", "evaluate"]
