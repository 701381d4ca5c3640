"""Chances that nobody wrote down: a multinomial regression, shared among what was allowed."""

from dataclasses import replace

import numpy as np
import pytest
from response_cases import made
from sklearn.linear_model import LogisticRegression

from engagelib.actions.response.chances import estimated_chances
from engagelib.actions.response.preparing import Preparation


def test_chances_are_those_of_a_multinomial_regression():
    decisions, _ = made(2_000)
    others, _ = made(500, rng=1)
    prepare = Preparation.learn(decisions.features)
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=2_000)
    model.fit(prepare.apply(decisions.features), decisions.action)
    expected = model.predict_proba(prepare.apply(others.features))[np.arange(500), others.action]
    found = estimated_chances(decisions, others)
    np.testing.assert_allclose(found, np.maximum(expected, 0.01), atol=2e-3)
    assert np.abs(found - others.p_logged).mean() < 0.06


def test_only_what_was_allowed_shares_the_chance():
    decisions, _ = made(900)
    allowed = np.zeros((900, 3), bool)
    allowed[:, 0] = True
    decisions = replace(decisions, action=np.zeros(900, np.int32), allowed=allowed)
    assert estimated_chances(decisions, decisions) == pytest.approx(1)
    # The action taken was possible, whatever a mask says.
    odd = replace(decisions, action=np.full(900, 1, np.int32))
    assert (estimated_chances(odd, odd) < 1).all()


def test_no_chance_falls_below_one_in_a_hundred():
    decisions, _ = made(2_000)
    sure = replace(decisions, action=(decisions.features[:, 0] > 0).astype(np.int32))
    wrong = replace(sure, action=1 - sure.action)
    assert estimated_chances(sure, wrong).min() == 0.01
