"""load(path): open a saved model of any kind, whatever its manifest says it is."""

from pathlib import Path
from typing import Final, Literal

from engagelib import __version__, errors, store
from engagelib.recommender import Recommender

_KINDS: Final = {"recommender": Recommender.from_artifact}


def load(path: str | Path, *, verify: Literal["quick", "full"] = "quick") -> Recommender:
    """Open a saved model: its arrays are mapped, so that opening reads next to nothing.

    Parameters
    ----------
    path
        The folder that `save` wrote.
    verify
        "quick" checks the manifest and the size, type and shape of each file; "full" reads everything.

    Raises
    ------
    ArtifactError
        If a file is missing, altered, foreign or written by a newer version, or the parts do not make what
        the manifest says; the message names the file or the folder.
    """
    artifact = store.open_artifact(path, verify=verify)
    if artifact.kind not in _KINDS:
        raise errors.answering.unknown_kind(str(path), artifact.kind, _KINDS)
    try:
        return _KINDS[artifact.kind](artifact)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # A part or a parameter that another version writes and this one does not know, or the reverse.
        raise errors.store.unfit_parts(
            path,
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
