"""What the benchmarks of decisions share: a row a figure, and parts in processes of their own."""

import json
import subprocess
import sys
from typing import Any

Figure = dict[str, Any]


def figure(
    name: str,
    found: float | None,
    target: "float | tuple[float, float] | None" = None,
    *,
    unit: str = "",
    least: bool = False,
) -> Figure:
    """Return a row: what was found, what was aimed at, and whether it was reached.

    Parameters
    ----------
    name
        Of what.
    found
        None where there is no figure.
    target
        The highest that will do, or with `least` the lowest, or both; None where nothing is aimed at, and
        nothing reached or missed.
    """
    reached = None
    if target is not None:
        low, high = target if isinstance(target, tuple) else (target, None) if least else (None, target)
        reached = found is not None and (low is None or found >= low) and (high is None or found <= high)
    shown = f"{target[0]:g} to {target[1]:g}" if isinstance(target, tuple) else target
    return {"name": name, "target": shown, "found": found, "reached": reached, "unit": unit}


def measured_apart(module: str, part: str, n: int) -> dict[str, float]:
    """Run `measured(part, n)` of a module in a process of its own, and return what it found."""
    code = (
        f"import json; from benchmarks.decisions.{module} import measured; "
        f"print(json.dumps(measured({part!r}, {n})))"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return found
