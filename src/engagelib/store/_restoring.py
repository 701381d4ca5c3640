"""Restoring: an opened artifact becomes the object that its kind names; what does not fit says so."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from engagelib import __version__, errors
from engagelib.store._format import Artifact

_Object = TypeVar("_Object")


def restore(artifact: Artifact, kinds: Mapping[str, Callable[[Artifact], _Object]]) -> _Object:
    """Make the object that was saved.

    Parameters
    ----------
    artifact
        What was opened.
    kinds
        By kind, what makes the object.

    Raises
    ------
    ArtifactError
        If the kind is none of these, or the parts do not make what the manifest says.
    """
    if artifact.kind not in kinds:
        raise errors.answering.unknown_kind(str(artifact.path), artifact.kind, kinds)
    try:
        return kinds[artifact.kind](artifact)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # A part or a parameter that another version writes and this one does not know, or the reverse.
        raise errors.store.unfit_parts(
            artifact.path,
            artifact.version,
            artifact.kind,
            _fault(error),
            written_by=artifact.library_version,
            read_by=__version__,
        ) from error


def _fault(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error).partition(" Hint: ")[0].removesuffix(".")
