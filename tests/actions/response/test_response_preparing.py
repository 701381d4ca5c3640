"""Preparing: what becomes of a raw feature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.actions.response.preparing import Preparation


def some_features(n=500, rng=0):
    rng = np.random.default_rng(rng)
    features = np.stack(
        [
            rng.normal(3, 2, n),
            rng.lognormal(0, 1.5, n),
            rng.integers(0, 2, n),
            np.full(n, 0.1),
            rng.normal(size=n),
        ],
        axis=1,
    )
    features[::5, 4] = np.nan
    return features


def test_columns_are_filled_bent_and_scaled_as_the_definition_says():
    features = some_features()
    found = Preparation.learn(features)
    assert found.bent.tolist() == [1]
    assert found.flagged.tolist() == [4]
    design = found.apply(features)
    plain = features[:, 0]
    np.testing.assert_allclose(design[:, 0], np.clip((plain - plain.mean()) / plain.std(), -5, 5))
    bent = np.log1p(features[:, 1] / np.median(features[:, 1]))
    np.testing.assert_allclose(design[:, 1], np.clip((bent - bent.mean()) / bent.std(), -5, 5))
    assert not design[:, 3].any()
    held = features[:, 4].copy()
    held[::5] = np.nanmedian(features[:, 4])
    np.testing.assert_allclose(design[:, 4], (held - held.mean()) / held.std())
    flag = np.isnan(features[:, 4])
    np.testing.assert_allclose(design[:, 5], (flag - flag.mean()) / flag.std())


def test_a_seldom_missing_value_has_no_column_of_its_own():
    features = some_features(1_000)
    features[:, 4] = 1.5
    features[:4, 0] = np.nan
    assert not len(Preparation.learn(features).flagged)
    features[4, 0] = np.nan
    assert Preparation.learn(features).flagged.tolist() == [0]


def test_columns_missing_together_have_one_indicator():
    features = some_features()
    features[:, 0] = np.where(np.isnan(features[:, 4]), np.nan, features[:, 0])
    assert Preparation.learn(features).flagged.tolist() == [0]


@given(st.integers(0, 4), st.floats(1e-3, 1e3))
def test_the_unit_of_a_feature_makes_no_difference(place, unit):
    features = some_features(200)
    other = features.copy()
    other[:, place] *= unit
    np.testing.assert_allclose(
        Preparation.learn(other).apply(other), Preparation.learn(features).apply(features), atol=1e-9
    )


def test_what_lies_beyond_all_that_was_seen_counts_as_five_deviations():
    found = Preparation.learn(some_features())
    design = found.apply(np.array([[np.inf, np.inf, 1e300, 7.0, -np.inf]]))
    assert design[0, [0, 1, 2, 4]].tolist() == [5, 5, 5, -5]
    assert design[0, 3] == 0


def test_an_empty_column_says_nothing():
    features = some_features()
    features[:, 0] = np.nan
    found = Preparation.learn(features)
    assert not found.apply(features)[:, 0].any()


def test_the_round_trip_is_exact_and_altered_arrays_are_refused():
    features = some_features()
    found = Preparation.learn(features)
    arrays = found.to_arrays()
    np.testing.assert_array_equal(Preparation.from_arrays(arrays).apply(features), found.apply(features))
    with pytest.raises(errors.ArtifactError) as caught:
        Preparation.from_arrays({**arrays, "mean": arrays["mean"][:2]})
    assert str(caught.value) == (
        "the arrays of a response model do not fit each other: mean has shape (2,), not (6,)."
    )
    with pytest.raises(errors.ArtifactError) as caught:
        Preparation.from_arrays({**arrays, "bent": np.array([5])})
    assert str(caught.value) == (
        "the arrays of a response model do not fit each other: bent names a column outside the 5 features."
    )
