"""load(path): open a saved model of any kind, whatever its manifest says it is."""

from pathlib import Path
from typing import Final, Literal

from engagelib import store
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
    return store.restore(store.open_artifact(path, verify=verify), _KINDS)
