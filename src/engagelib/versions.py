"""Versions: what is installed and which scoring implementation is active, for a report of a fault."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from engagelib import __version__
from engagelib.tables import Cell, Table

_PACKAGES: Final = ("numpy", "scipy", "pyarrow", "threadpoolctl", "implicit", "click", "tqdm")


def show_versions() -> Table:
    """Return the versions of the library, of Python and of what the library stands on, as a table.

    Returns
    -------
    Rows of (what, value): engagelib, its scoring implementation ("native" is the one in C++, "reference" the
    one in NumPy and SciPy), Python, the platform and its number of processors, and each dependency, "not
    installed" where it is missing.
    """
    from engagelib import scoring

    rows: list[tuple[Cell, ...]] = [
        ("engagelib", __version__),
        ("scoring", scoring.implementation()),
        ("python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("platform", platform.platform()),
        ("processors", str(os.cpu_count())),
        *((name, _version_of(name)) for name in _PACKAGES),
    ]
    return Table(("what", "value"), tuple(rows))


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
