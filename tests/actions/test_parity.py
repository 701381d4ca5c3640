"""Parity: the gap of two means and its interval, by segment, and what can't be compared."""

import math

import numpy as np
import pytest
from actions_cases import NOW

from engagelib import Action, NextBestAction, errors
from engagelib.actions import check_parity


def refusal(call, kind=errors.ArgumentError):
    """Return the text with which something is refused."""
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_the_gap_and_its_interval_are_those_of_welch():
    found = check_parity([1.0, 3.0, 4.0, 8.0, 0.0], [False, False, True, True, True])
    (row,) = found.to_records()
    # Means 2 and 4; variances 2 and 16 over 2 and 3 customers.
    half = 1.959963984540054 * math.sqrt(2 / 2 + 16 / 3)
    assert row == {
        "segment": "everybody", "n_new": 2, "n_existing": 3, "new": 2.0, "existing": 4.0, "gap": 2.0,
        "low": pytest.approx(2.0 - half), "high": pytest.approx(2.0 + half), "verdict": "no difference shown",
    }  # fmt: skip
    assert found.is_fair


def test_a_segment_in_which_existing_customers_get_less_is_found():
    benefit = np.tile([1.0, 0.0, 1.0, 1.0], 50)  # new and existing by turns, north first
    existing = np.tile([False, True], 100)
    region = np.tile(["north", "north", "south", None], 50)
    region[3::4] = "south"
    found = check_parity(benefit, existing, {"region": region})
    verdicts = {row["segment"]: row["verdict"] for row in found.to_records()}
    assert verdicts == {
        "everybody": "less", "region=north": "less", "region=south": "no difference shown",
    }  # fmt: skip
    assert not found.is_fair
    assert "What customers are offered, on average" in str(found)
    assert "<table>" in found._repr_html_()
    assert len(found.to_frame()) == 3
    # The other way round is no harm to who is here already.
    assert check_parity(benefit, ~existing).is_fair


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        existing = rng.random(300) < 0.7
        (row,) = check_parity((rng.random(300) < 0.3) * 5.0, existing, level=0.9).to_records()
        missed += not row["low"] <= 0.0 <= row["high"]
    assert 20 <= missed <= 64  # 40 are to be expected


def test_offers_of_a_shop_are_compared_by_stage_and_by_a_trait(nba, log):
    ids = list(log.customers)
    plans = {"customer_id": ids, "plan": ["a" if place % 2 else "b" for place in range(len(ids))]}
    actions = [
        Action("gift", value=50, kind="offer", benefit=4.0, eligible={"plan": "a"}),
        Action("news", value=99, benefit=9.0),
    ]
    shop = NextBestAction(actions, recommender=nba.recommender).fit(customers=plans)
    by_plan = {row["segment"]: row for row in shop.check_parity(at=NOW, by="plan").to_records()}
    assert set(by_plan) == {"everybody", "plan=a", "plan=b"}
    assert by_plan["plan=a"]["new"] == by_plan["plan=a"]["existing"] == 4.0
    assert by_plan["plan=b"]["new"] == by_plan["plan=b"]["existing"] == 0.0
    assert len(shop.check_parity(at=NOW, by=None).rows) == 1
    # One stage as text is that stage.
    one = shop.check_parity(at=NOW, new_stages="first_purchase", by=None).to_records()
    assert one == shop.check_parity(at=NOW, new_stages=["first_purchase"], by=None).to_records()


def test_what_parity_refuses(nba, log):
    plain = NextBestAction([Action("a"), Action("b")], recommender=nba.recommender).fit()
    assert refusal(lambda: plain.check_parity(at=NOW)) == (
        "no action is of kind 'offer', among a, b: expected at least one. "
        "Hint: Action(..., kind='offer', benefit=5.0) says what the customer gains."
    )
    assert refusal(lambda: plain.check_parity(at=NOW, new_stages=["fresh"])) == (
        "new_stages='fresh': expected stages of unknown, interest, first_purchase, repeat, loyal, referral, "
        "advocacy, lapsing, lost."
    )
    assert refusal(lambda: plain.check_parity(at=NOW, by="plan")) == (
        "by='plan': expected one of stage, or None."
    )
    offer = NextBestAction([Action("o", kind="offer", value=9)], recommender=nba.recommender).fit()
    nobody = (
        "0 new customers: expected some of both, new and existing. Hint: new_stages= says which stages of "
    )
    nobody += "the lifecycle count as new."
    assert refusal(lambda: offer.check_parity(at=NOW, new_stages=[]), errors.NotEnoughDataError) == nobody
    one_each = ([1.0, 2.0, 3.0], [True, False, False])
    assert refusal(lambda: check_parity(*one_each), errors.NotEnoughDataError) == nobody.replace(
        "0 new", "1 existing"
    )
    assert refusal(lambda: check_parity([1.0, math.nan], [True, False])) == (
        "benefit=[1.0, nan]: expected finite numbers, one a customer."
    )
    assert refusal(lambda: check_parity([1.0, 2.0], [1, 0])) == (
        "is_existing='of int64 and shape (2,)': expected bool of shape (2,)."
    )
    assert refusal(lambda: check_parity([1.0] * 4, [True, True, False, False], level=1.0)) == (
        "level=1.0: expected a number between 0 and 1."
    )
    assert refusal(lambda: check_parity([1.0] * 4, [True, True, False, False], {"x": ["a"]})) == (
        "segments['x']='of shape (1,)': expected shape (4,)."
    )
