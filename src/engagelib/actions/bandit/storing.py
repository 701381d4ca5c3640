"""Storing: a bandit from the arrays and facts that it was saved as, checked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engagelib import errors

if TYPE_CHECKING:
    from engagelib.actions.bandit.linear import LinearBandit

T = TypeVar("T", bound="LinearBandit")


def restored(kind: type[T], arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> T:
    """Build a bandit from what it was saved as; see `LinearBandit.from_arrays`."""
    try:
        bandit = kind(
            facts["actions"],
            arrays["mean"],
            arrays["scale"],
            prior_sd=facts["prior_sd"],
            noise_sd=facts["noise_sd"],
            features_version=facts["features_version"],
            outcome=facts["outcome"],
        )
        marks = (facts["watermark"], facts["outcome_watermark"])
        given = {name: np.asarray(arrays[name]) for name in _KINDS}
    except KeyError as error:
        raise errors.decisions.altered_bandit(str(error), "is missing", "every array and fact") from error
    except (errors.ArgumentError, TypeError) as error:
        raise errors.decisions.altered_bandit("a fact", f"is wrong ({error})", "what was saved") from error
    if not all(type(mark) is int and mark >= 0 for mark in marks):
        raise errors.decisions.altered_bandit("a watermark", f"is one of {marks}", "integers from 0")
    k, d = bandit.targets_.shape
    n_waiting = len(np.atleast_1d(given["immature"]))
    shapes = {"n_rows": (k,), "starts": (k,), "squares": (k,), "targets": (k, d), "products": (k, d, d)}
    shapes |= {"immature": (n_waiting,), "immature_at": (n_waiting,)}
    shapes |= {"withdrawn": (len(np.atleast_1d(given["withdrawn"])),), "forecasts": (k, 2)}
    for name, values in given.items():
        if values.dtype != _KINDS[name] or values.shape != shapes[name]:
            found = f"is {values.dtype} of shape {values.shape}"
            expected = f"{np.dtype(_KINDS[name])} of shape {shapes[name]}"
            raise errors.decisions.altered_bandit(name, found, expected)
        if not np.isfinite(values).all() or (name in _NEVER_NEGATIVE and (values < 0).any()):
            raise errors.decisions.altered_bandit(name, "holds what no rows make", "sums of rows")
    d_ = np.arange(d)
    products = given["products"]
    if (products[:, d_, d_] < 0).any() or not np.array_equal(products, products.transpose(0, 2, 1)):
        raise errors.decisions.altered_bandit("products", "holds what no rows make", "sums of rows")
    for name, values in given.items():
        setattr(bandit, f"{name}_", np.array(values))
    bandit.watermark_, bandit.outcome_watermark_ = marks
    try:
        bandit.weights()
    except np.linalg.LinAlgError as error:
        raise errors.decisions.altered_bandit(
            "products", "holds what no rows make", "sums of rows"
        ) from error
    return bandit


_KINDS = {
    "n_rows": np.int64,
    "products": np.float64,
    "targets": np.float64,
    "squares": np.float64,
    "starts": np.int64,
    "immature": np.int64,
    "immature_at": np.int64,
    "withdrawn": np.int64,
    "forecasts": np.float64,
}
_NEVER_NEGATIVE = ("n_rows", "squares", "starts")
