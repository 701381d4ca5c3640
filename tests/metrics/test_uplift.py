"""Uplift curves and scores: brute force, figures of scikit-uplift, laws and refusals."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.metrics import auuc_score, qini_curve, qini_score, uplift_at_k, uplift_curve

# Few scores, so that ties are common.
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 1)), min_size=2, max_size=25
).filter(lambda rows: len({t for _, _, t in rows}) == 2)


def columns(rows):
    y, s, t = (np.array(column) for column in zip(*rows, strict=True))
    return y, s, t


def brute_curves(y, s, t):
    """Return the points of both curves, one row after the other."""
    points = [(0, 0.0, 0.0)]
    for cut in sorted(set(s.tolist()), reverse=True):
        inside = s >= cut
        n_t, n_c = int((inside & (t == 1)).sum()), int((inside & (t == 0)).sum())
        y_t, y_c = float(y[inside & (t == 1)].sum()), float(y[inside & (t == 0)].sum())
        qini = y_t - (y_c * n_t / n_c if n_c else 0)
        uplift = ((y_t / n_t if n_t else 0) - (y_c / n_c if n_c else 0)) * (n_t + n_c)
        points.append((n_t + n_c, qini, uplift))
    return points


@given(rows=ROWS)
def test_curves_are_what_the_definitions_say(rows):
    y, s, t = columns(rows)
    n, qini, uplift = (list(column) for column in zip(*brute_curves(y, s, t), strict=True))
    for curve, expected in ((qini_curve(y, s, t), qini), (uplift_curve(y, s, t), uplift)):
        assert curve.n.tolist() == n
        assert curve.value == pytest.approx(np.array(expected))
        steps = zip(n, n[1:], expected, expected[1:], strict=False)
        assert curve.area == pytest.approx(sum((b - a) * (u + v) / 2 for a, b, u, v in steps))
        assert curve.random_area == pytest.approx(n[-1] * expected[-1] / 2)
        assert len(curve) == len(n)
        assert json.loads(json.dumps(curve.to_records()))[0] == {"n": 0, "value": 0.0}


SMALL = (
    np.array([1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0]),
    np.array([5, 5, 4, 4, 4, 3, 3, 2, 2, 1, 1, 0]),
    np.array([1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0]),
)
PLACES = np.arange(400)
LARGE = (
    (PLACES * 7919 % 11 < 4).astype(int),
    PLACES * 31 % 37,
    (PLACES * 104729 % 7 < 3).astype(int),
)
DISTINCT = PLACES * 9973 % 4001


def test_scores_are_those_of_scikit_uplift():
    # Computed with scikit-uplift 0.5.1, with ties.
    assert qini_score(*SMALL) == pytest.approx(-0.045512820512820455)
    assert qini_score(*SMALL, negative_effect=False) == pytest.approx(-0.11833333333333318)
    assert auuc_score(*SMALL) == pytest.approx(-0.19350000000000012)
    y, s, t = LARGE
    assert qini_score(y, s, t) == pytest.approx(-0.06389256324192372)
    assert auuc_score(y, s, t) == pytest.approx(-0.06884609634263905)
    assert qini_score(y, DISTINCT, t) == pytest.approx(0.05894706889899219)


def test_curves_are_those_of_scikit_uplift():
    qini, uplift = qini_curve(*SMALL), uplift_curve(*SMALL)
    assert qini.n.tolist() == uplift.n.tolist() == [0, 2, 5, 7, 9, 11, 12]
    assert qini.value == pytest.approx(np.array([0, 1, 1 / 2, 1 / 3, 1.5, 1.6, 2]))
    assert uplift.value == pytest.approx(np.array([0, 1, 5 / 6, 7 / 12, 2.7, 2.9333333, 4]))
    assert str(qini).splitlines()[:4] == [" n   value", "--  ------", " 0  0.0000", " 2  1.0000"]
    assert "<td" in qini._repr_html_()


def test_uplift_at_k_is_that_of_scikit_uplift():
    y, _, t = LARGE
    assert uplift_at_k(y, DISTINCT, t, k=0.3) == pytest.approx(0.08421960333429146)
    assert uplift_at_k(y, DISTINCT, t, k=0.3, by="arm") == pytest.approx(0.08823529411764702)
    assert uplift_at_k(y, DISTINCT, t, k=50) == pytest.approx(0.09847198641765703)
    assert uplift_at_k(y, DISTINCT, t, k=50, by="arm") == pytest.approx(0.1)


def test_rows_that_tie_at_the_last_place_count_by_their_share():
    y, s, t = np.array([1, 0, 1, 0]), np.array([2, 1, 1, 1]), np.array([1, 0, 1, 0])
    # The first and two thirds of each of three that tie.
    assert uplift_at_k(y, s, t, k=3) == pytest.approx(1.0)
    y = np.array([1, 1, 0, 0])
    assert uplift_at_k(y, s, t, k=3) == pytest.approx(1 / (1 + 2 / 3) - 1 / 2)
    assert np.isnan(uplift_at_k(y, s, t, k=1))
    assert np.isnan(uplift_at_k(y, s, t, k=0.1))
    assert uplift_at_k(y, s, t, k=99) == pytest.approx(1 / 2 - 1 / 2)


@given(rows=ROWS, seed=st.integers(0, 99))
def test_neither_the_order_of_rows_nor_the_scale_of_scores_matters(rows, seed):
    y, s, t = columns(rows)
    order = np.random.default_rng(seed).permutation(len(y))
    for score in (qini_score, auuc_score, uplift_at_k):
        other = score(y[order], np.exp(s[order] / 3), t[order])
        assert other == pytest.approx(score(y, s, t), nan_ok=True)


@given(rows=ROWS)
def test_the_best_order_scores_one_and_a_constant_none(rows):
    y, s, t = columns(rows)
    best = qini_score(y, np.where(t == 1, y, -y), t)
    assert np.isnan(best) or best == pytest.approx(1)
    if not np.isnan(best):
        assert qini_score(y, s * 0, t) == pytest.approx(0, abs=1e-9)
    assert qini_score(y, s * 0, t, normalized=False) == pytest.approx(0, abs=1e-12)
    assert auuc_score(y, s * 0, t, normalized=False) == pytest.approx(0, abs=1e-12)


@given(rows=ROWS, share=st.integers(1, 7))
def test_one_chance_for_all_scales_the_curve_and_leaves_the_score(rows, share):
    y, s, t = columns(rows)
    p = share / 8
    assert qini_curve(y, s, t, p_treated=p).value == pytest.approx(qini_curve(y, s, t).value / p)
    weighted = qini_score(y, s, t, p_treated=np.full(len(y), p))
    assert weighted == pytest.approx(qini_score(y, s, t), nan_ok=True)
    assert uplift_at_k(y, s, t, p_treated=p) == pytest.approx(uplift_at_k(y, s, t), nan_ok=True)


def test_unequal_chances_are_put_right():
    """Those who gain nothing are mostly treated; by score they come last, and weights uncover the effect."""
    rng = np.random.default_rng(0)
    n = 40_000
    gains = rng.random(n) < 0.5
    p = np.where(gains, 0.2, 0.8)
    t = rng.random(n) < p
    # The treated of those who gain succeed half the time, everybody else of them never; the others always.
    y = np.where(gains, t & (rng.random(n) < 0.5), True).astype(float)
    naive, right = qini_curve(y, gains, t), qini_curve(y, gains, t, p_treated=p)
    assert right.value[-1] / n == pytest.approx(0.25, abs=0.02)
    assert abs(naive.value[-1] / t.sum() - 0.25) > 0.1
    assert uplift_at_k(y, gains, t, k=1.0, p_treated=p) == pytest.approx(0.25, abs=0.02)
    assert right.value[1] / right.n[1] == pytest.approx(0.5, abs=0.03)


def test_outcomes_in_money_have_a_score_that_is_not_normalised():
    y, s, t = np.array([10.0, 0.0, 4.0, 4.0]), np.array([2, 2, 1, 1]), np.array([1, 0, 1, 0])
    # Points (0, 0), (2, 10), (4, 10): 30 under the curve, 20 under the line, over 4 squared.
    assert qini_score(y, s, t, normalized=False) == pytest.approx(10 / 16)
    assert auuc_score(y, s, t, normalized=False) == pytest.approx((2 * 20 / 2 + 2 * 20 - 40) / 16)


def test_treatment_that_harms_has_no_best_order_without_negative_effects():
    y, s, t = np.array([0, 1, 0, 1]), np.array([4, 3, 2, 1]), np.array([1, 0, 1, 0])
    assert np.isnan(qini_score(y, s, t, negative_effect=False))
    assert qini_score(y, s, t) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("arrays", "options", "text"),
    [
        (([1, 0], [1, 2, 3], [1, 0]), {}, "score has shape (3,): expected (2,), numbers."),
        ((["a", "b"], [1, 2], [1, 0]), {}, "outcome has shape (2,): expected (2,), numbers."),
        (([1, 0], [1, np.nan], [1, 0]), {}, "score[1]=nan: expected a finite number."),
        (([1, 0], [1, 2], [1, 2]), {}, "treated[1]=2.0: expected 0 or 1."),
        (
            ([1, 0], [1, 2], [1, 0]),
            {"p_treated": [0.5, 1.0]},
            "p_treated[1]=1.0: expected a number above 0 and below 1.",
        ),
        (
            ([1, 0], [1, 2], [1, 0]),
            {"p_treated": [0.5]},
            "p_treated has shape (1,): expected (2,), or one number.",
        ),
        (
            ([1, 0.5], [1, 2], [1, 0]),
            {},
            "outcome[1]=0.5: expected 0 or 1, as a normalised score compares with the best possible order. "
            "Hint: normalized=False takes any outcome.",
        ),
    ],
)
def test_arrays_that_do_not_fit(arrays, options, text):
    for score in (qini_score, auuc_score):
        with pytest.raises(errors.ArgumentError, match=f"^{re.escape(text)}$"):
            score(*arrays, **options)


@pytest.mark.parametrize("k", [0, -1, 0.0, 1.5, True])
def test_a_depth_that_is_none(k):
    text = f"k={k!r}: expected a share above 0 and up to 1, or a number of rows of at least 1."
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(text)}$"):
        uplift_at_k([1, 0], [1, 2], [1, 0], k=k)


def test_a_way_of_taking_that_is_none():
    with pytest.raises(errors.ArgumentError, match=r"^by='group': expected 'overall' or 'arm'\.$"):
        uplift_at_k([1, 0], [1, 2], [1, 0], by="group")


@pytest.mark.parametrize(("treated", "count"), [([1, 1], 2), ([0, 0], 0)])
def test_uplift_needs_a_control_group(treated, count):
    text = (
        f"{count} of 2 rows are treated: expected some with and some without treatment. "
        "Hint: uplift can't be measured without a control group."
    )
    with pytest.raises(errors.NoSupportError, match=f"^{re.escape(text)}$"):
        qini_curve([1, 0], [1, 2], treated)
