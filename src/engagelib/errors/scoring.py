"""Wording of what the kernel refuses."""

from engagelib.errors._classes import ArgumentError, ArtifactError, MissingExtraError
from engagelib.errors._common import sentence


def no_native(variable: str, cause: str) -> MissingExtraError:
    """Word a kernel in C++ that was asked for and is not there."""
    hint = (
        "install a compiler (GCC 11, Clang 14 or newer), then `pip install --verbose --force-reinstall "
        "--no-deps engagelib`; without the variable answers come from the kernel in NumPy."
    )
    return MissingExtraError(
        sentence(f"{variable}=native: expected the kernel in C++, which can't be imported ({cause}).", hint)
    )


def broken_native(cause: str) -> str:
    """Word the warning of a kernel in C++ that was built and can't be loaded."""
    return (
        f"the kernel in C++ can't be loaded ({cause}): answers come from the one in NumPy, many times "
        "slower. Hint: install engagelib again, on the machine that it shall run on."
    )


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


def altered_weights(entry: int, column: int, n_columns: int) -> ArtifactError:
    """Word stored weights that lead outside the catalogue, found when they are used."""
    return ArtifactError(
        f"entry {entry:,} of the stored weights leads to item {column} of {n_columns:,}: {_AS_SAVED}"
    )


def altered_ranking(position: int, item_index: int, highest: int) -> ArtifactError:
    """Word a stored ranking that names an item outside the catalogue, found when it is used."""
    return ArtifactError(
        f"place {position:,} of the stored ranking is item {item_index}, beyond 0 to {highest:,}: {_AS_SAVED}"
    )


_AS_SAVED = (
    "expected item indices as they were saved. Hint: the file was damaged or altered; `engagelib verify` "
    "finds where, then save or copy the model again."
)


def not_finite(name: str, position: tuple[int, ...], value: float) -> ArgumentError:
    """Word a NaN, an infinity, or a number too large for float32."""
    return ArgumentError(f"{name}{list(position)} is {value}: expected numbers that are finite in float32.")


def bad_index(name: str, position: tuple[int, ...], value: int, low: int, high: int) -> ArgumentError:
    """Word an item index outside the catalogue."""
    return ArgumentError(f"{name}{list(position)} is {value}: expected item indices from {low} to {high}.")


def ranking_repeats(name: str, position: int, item_index: int) -> ArgumentError:
    """Word a list that names an item twice."""
    return ArgumentError(f"{name}[{position}] is item {item_index} again: expected each item once.")


def broken_trees(fault: str) -> ArtifactError:
    """Word stored trees that lead astray."""
    return ArtifactError(
        f"the stored trees are broken: {fault}. Hint: the file was damaged or altered; `engagelib verify` "
        "finds where, then save or copy the model again."
    )


def lists_unlike(n_items: int) -> ArgumentError:
    """Word lists and candidates that do not belong together."""
    return ArgumentError(
        f"the lists or the candidates name an item that is not among the {n_items:,}, or are not of the same "
        "rows: expected item indices from -1, which is padding, and one row of each for every history."
    )


def altered_neighbours() -> ArtifactError:
    """Word stored histories, or lists of those that hold an item, that lead outside each other."""
    return ArtifactError(
        "the stored neighbours are broken: they lead outside their histories, or these outside the "
        "catalogue. Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )
