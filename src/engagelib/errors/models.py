"""Wording of what models refuse to learn, or can't."""

from engagelib.errors._classes import ArgumentError, MissingExtraError, TooLargeError
from engagelib.errors._common import sentence


def ease_too_large(n_items: int, n_histories: int, needed: int, max_gib: float, fits: int) -> TooLargeError:
    """Word a log too large for EASE: `fits` is the largest number of items or of histories that is not."""
    return TooLargeError(
        f"EASE needs {needed / 2**30:,.2f} GiB for {n_items:,} items and {n_histories:,} histories: expected "
        f"at most max_gib={max_gib:g}, enough for a catalogue of {fits:,} items, or for any with as few "
        "histories. Hint: give it more memory, or leave rare items out of the log; item_knn and als need far "
        "less."
    )


def not_solvable(regularization: float) -> ArgumentError:
    """Word a system that float32 can't solve."""
    return ArgumentError(
        f"regularization={regularization!r} is too small for this log: expected one with which the equations "
        "can be solved in float32. Hint: the default is 1."
    )


def no_end(name: str, hint: str) -> ArgumentError:
    """Word training that grew beyond all numbers, or stalled."""
    return ArgumentError(
        sentence(f"{name} learned no finite factors with these settings: expected it to converge.", hint)
    )


def no_implicit(name: str, cause: str) -> MissingExtraError:
    """Word factors that are to be learned without the library that learns them."""
    return MissingExtraError(
        f"{name} learns by the package implicit, which can't be imported ({cause}). "
        "Hint: pip install implicit; a model that was saved answers without it."
    )


def other_catalogue(name: str, given: int, expected: int) -> ArgumentError:
    """Word histories over other items than those that a model was learned from."""
    return ArgumentError(
        f"the histories are over {given:,} items, and this {name} was fitted on {expected:,}: expected the "
        "same items. Hint: fit it anew, or take the histories of the log that it was fitted on."
    )
