"""Named arrays and a manifest in a folder: published all at once, mapped, verified.

`path/CURRENT` is a text file that names a folder `path/versions/<id>/`, which holds a `.npy` file for each
array and `manifest.json`. A version never changes once it is there: publishing adds one, then replaces
`CURRENT` in one step, so that a reader finds the whole old version or the whole new one. The room knows no
class, and nothing in it is ever unpickled.
"""

from engagelib.store._format import FORMAT, FORMAT_VERSION, Artifact
from engagelib.store._reading import open_artifact, verify_artifact
from engagelib.store._restoring import restore
from engagelib.store._writing import check_target, publish

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Artifact",
    "check_target",
    "open_artifact",
    "publish",
    "restore",
    "verify_artifact",
]
