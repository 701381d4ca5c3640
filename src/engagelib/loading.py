"""load(path): open a saved model of any kind, whatever its manifest says it is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from engagelib import store
from engagelib.recommender import Recommender


def _next_best_action(artifact: store.Artifact) -> Any:
    from engagelib.actions.next_best_action import NextBestAction  # most that is loaded is none

    return NextBestAction.from_artifact(artifact)


_KINDS: Final[Mapping[str, Callable[[store.Artifact], Any]]] = {
    "recommender": Recommender.from_artifact,
    "next_best_action": _next_best_action,
}


def load(path: str | Path, *, verify: Literal["quick", "full"] = "quick") -> Any:
    """Open a saved model: its arrays are mapped, so that opening reads next to nothing.

    Parameters
    ----------
    path
        The folder that `save` wrote.
    verify
        "quick" checks the manifest and the size, type and shape of each file; "full" reads everything.

    Returns
    -------
    What was saved: a `Recommender` or a `NextBestAction`.

    Raises
    ------
    ArtifactError
        If a file is missing, altered, foreign or written by a newer version, or the parts do not make what
        the manifest says; the message names the file or the folder.
    """
    return store.restore(store.open_artifact(path, verify=verify), _KINDS)
