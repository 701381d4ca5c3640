"""What customers are worth: how often they will buy, how much they will bring, and whether they still do."""

from engagelib.actions.value.beta_geometric import BetaGeometric
from engagelib.actions.value.engaged import Engaged, EngagedReport
from engagelib.actions.value.fitting import FitReport
from engagelib.actions.value.forecasts import CustomerValue, ValueForecast
from engagelib.actions.value.gamma_gamma import GammaGamma
from engagelib.actions.value.lifetime import LifetimeValue
from engagelib.actions.value.summary import PurchaseSummary, summarise_purchases

__all__ = [
    "BetaGeometric",
    "CustomerValue",
    "Engaged",
    "EngagedReport",
    "FitReport",
    "GammaGamma",
    "LifetimeValue",
    "PurchaseSummary",
    "ValueForecast",
    "summarise_purchases",
]
