"""Wording of what the kernel refuses."""

from engagelib.errors._classes import ArgumentError
from engagelib.errors._common import sentence


def wrong_kind(name: str, given: str, expected: str) -> ArgumentError:
    """Word an operand of the wrong sort: a matrix that is not sparse, indices that are not integers."""
    return ArgumentError(f"{name} is of type {given}: expected {expected}.")


def wrong_dimensions(name: str, shape: tuple[int, ...], expected: str) -> ArgumentError:
    """Word an array with too many or too few dimensions."""
    return ArgumentError(f"{name} has the shape {shape}: expected {expected}.")


def wrong_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...], meaning: str) -> ArgumentError:
    """Word an operand that does not fit the others."""
    return ArgumentError(f"{name} has the shape {shape}: expected {expected}, {meaning}.")


def shapes_differ(
    left: str, left_shape: tuple[int, ...], right: str, right_shape: tuple[int, ...], expected: str
) -> ArgumentError:
    """Word two operands that do not fit each other."""
    return ArgumentError(
        f"{left} has the shape {left_shape} and {right} has the shape {right_shape}: expected {expected}."
    )


def wrong_mask(name: str, dtype: object, shape: tuple[int, ...], n_items: int) -> ArgumentError:
    """Word a mask over the items that is not one."""
    return ArgumentError(
        f"{name} has the type {dtype} and the shape {shape}: expected one bool an item, ({n_items},)."
    )


def broken_rows(name: str, fault: str, hint: str) -> ArgumentError:
    """Word a sparse matrix whose arrays contradict each other."""
    return ArgumentError(sentence(f"{name} is not a valid CSR matrix: {fault}.", hint))


def not_finite(name: str, position: tuple[int, ...], value: float) -> ArgumentError:
    """Word a NaN, an infinity, or a number too large for float32."""
    return ArgumentError(f"{name}{list(position)} is {value}: expected numbers that are finite in float32.")


def bad_index(name: str, position: tuple[int, ...], value: int, low: int, high: int) -> ArgumentError:
    """Word an item index outside the catalogue."""
    return ArgumentError(f"{name}{list(position)} is {value}: expected item indices from {low} to {high}.")


def ranking_repeats(name: str, position: int, item_index: int) -> ArgumentError:
    """Word a list that names an item twice."""
    return ArgumentError(f"{name}[{position}] is item {item_index} again: expected each item once.")
