"""What was measured on what: processor, memory and versions, without names of machines or folders."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_info


def machine() -> dict[str, Any]:
    """Describe the machine."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def versions() -> dict[str, str | None]:
    """Name versions, the scoring implementation in use and the BLAS below NumPy and SciPy."""
    import scipy.linalg  # its BLAS is listed once it is there

    import engagelib
    from engagelib import scoring

    assert scipy.linalg
    found = {
        "engagelib": engagelib.__version__,
        "implementation": scoring.implementation(),
        "python": platform.python_version(),
    }
    peers = ("numpy", "scipy", "pyarrow", "implicit", "sparse_dot_topn", "pandas", "polars")
    return found | {name: _version(name) for name in peers} | {"blas": _blas()}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _blas() -> str:
    found = {
        " ".join(str(each[key]) for key in ("internal_api", "version", "architecture") if each.get(key))
        for each in threadpool_info()
        if each["user_api"] == "blas"
    }
    return ", ".join(sorted(found)) or "unknown"
