import pytest
from actions_cases import shop_actions, shop_log

from engagelib import DecisionLog, NextBestAction


@pytest.fixture(scope="session")
def log():
    return shop_log()


@pytest.fixture(scope="session")
def nba(log):
    """Fitted once, without a decision log; tests must not change it."""
    return NextBestAction(shop_actions()).fit(log)


@pytest.fixture
def deciding(nba, log, tmp_path):
    """A fresh one over the same events, with a decision log of its own."""
    found = NextBestAction(
        shop_actions(), recommender=nba.recommender, decision_log=DecisionLog(tmp_path / "decisions.sqlite")
    )
    return found.fit()
