"""What the files of an artifact look like: names, the manifest's sum, and an opened artifact."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

FORMAT: Final = "engagelib-store"
FORMAT_VERSION: Final = 1

CURRENT, VERSIONS, MANIFEST = "CURRENT", "versions", "manifest.json"
VERSION_PATTERN: Final = re.compile(r"[0-9]{6,12}-[0-9a-f]{8}")
NAME_PATTERN: Final = re.compile(r"(?=.{1,200}$)[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*")
KINDS: Final = "biufcmMSU"
"""Kinds of dtype that are stored: no objects, which would need pickle, and no records."""

FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, eq=False, slots=True)
class Artifact:
    """One opened version of a saved artifact.

    Attributes
    ----------
    path
        The artifact's folder, as it was given.
    version
        Id of the version that was opened, such as `000007-3fa9c1d2`.
    kind
        What was saved; the publisher chose the word.
    meta
        What the publisher put beside the arrays.
    library_version
        Version of engagelib that wrote it.
    arrays
        Read-only arrays by name. They stay valid when this version is replaced and swept.
    size_bytes
        Size of all files of the version.
    """

    path: Path
    version: str
    kind: str
    meta: dict[str, Any]
    library_version: str
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    size_bytes: int


def sum_of_manifest(manifest: Mapping[str, Any]) -> str:
    """Return the sum over canonical JSON, so that white space does not count."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def blake2b() -> "hashlib.blake2b":
    """Return the hash that sums every file."""
    return hashlib.blake2b(digest_size=32)
