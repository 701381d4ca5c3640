"""Prints the lowest version of every dependency that pyproject.toml allows, as requirements for pip."""

import re
import sys
import tomllib
from pathlib import Path

BESIDE_THE_TESTS = {"docs"}
"""Extras that no test needs."""


def lowest_versions(pyproject):
    """Return requirements such as `numpy==2.0`, and for extras `pandas==2.2.*`.

    What the library needs to run is taken at its floor. Of what an extra brings, pip takes the newest patch:
    first releases are known to clash with newer versions of what they need themselves. Of a package that is
    named twice, the higher floor counts.
    """
    project = tomllib.loads(Path(pyproject).read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [(requirement, "") for requirement in project["dependencies"]]
    for name in extras.keys() - BESIDE_THE_TESTS:
        wanted += [(requirement, ".*") for requirement in extras[name]]
    lowest = {}
    for requirement, patch in wanted:
        found = re.fullmatch(r"([\w.-]+)(?:>=([\d.]+))?", requirement)
        if not found:
            sys.exit(f"{requirement}: expected a name, or a name and its lowest version as in numpy>=2.0")
        name, version = found.groups()
        floor = [int(part) for part in version.split(".")] if version else []
        lowest[name] = max(lowest.get(name, ([], "")), (floor, patch))
    return [
        f"{name}=={'.'.join(map(str, floor))}{patch}" if floor else name
        for name, (floor, patch) in sorted(lowest.items())
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest_versions(sys.argv[1])) + "\n")
