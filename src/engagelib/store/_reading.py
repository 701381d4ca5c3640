"""Opening an artifact: resolve the current version once, check it, map its arrays."""

import hashlib
import io
import json
import math
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from engagelib import errors
from engagelib.store._format import (
    CURRENT,
    FLAGS,
    FORMAT,
    FORMAT_VERSION,
    KINDS,
    MANIFEST,
    NAME_PATTERN,
    VERSION_PATTERN,
    VERSIONS,
    Artifact,
    blake2b,
    sum_of_manifest,
)

_ATTEMPTS: Final = 50  # of a reader whose version is replaced and swept while it opens it

# O_NONBLOCK, because a named pipe in place of a file would hang the reader.
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | FLAGS


def open_artifact(path: str | os.PathLike[str], *, verify: Literal["quick", "full"] = "quick") -> Artifact:
    """Map the current version of the artifact at `path`.

    Parameters
    ----------
    path
        Folder that `publish` made.
    verify
        `quick` checks the manifest's own sum and format, and each file's name, size, dtype and shape; `full`
        also reads every file and compares its sum.

    Raises
    ------
    ArgumentError
        If `verify` is another word.
    ArtifactError
        If there is no artifact, or it is damaged, foreign or of a newer format. The message names the first
        bad file, in the order of names.
    """
    if verify not in ("quick", "full"):
        raise errors.bad_argument("verify", verify, "'quick' or 'full'")
    folder = Path(path)
    version = read_current(folder)
    for _ in range(_ATTEMPTS):
        try:
            return _open_version(folder, version, full=verify == "full")
        except errors.ArtifactError:
            newer = read_current(folder)
            if newer == version:
                raise
            version = newer
    raise errors.store.restless_artifact(folder, _ATTEMPTS)


def verify_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Read and check every byte of the current version, and return it opened.

    Raises
    ------
    ArtifactError
        As `open_artifact` does with `verify="full"`.
    """
    return open_artifact(path, verify="full")


def read_current(folder: Path) -> str:
    """Return the id that `CURRENT` names, checked to be one, so that it can't lead out of the folder."""
    file = folder / CURRENT
    if not folder.is_dir():
        raise errors.store.no_artifact(folder, "is a file" if folder.exists() else "does not exist")
    if not os.path.lexists(file):
        raise errors.store.no_artifact(folder, f"has no {CURRENT} file in it")
    with _opened(file) as stream:
        text = stream.read(64).decode("ascii", "backslashreplace")
    version = text.removesuffix("\n")
    if not VERSION_PATTERN.fullmatch(version):
        raise errors.store.damaged_artifact(file, f"holds {text!r}", "the id of a version")
    return version


def _open_version(folder: Path, version: str, *, full: bool) -> Artifact:
    place = folder / VERSIONS / version
    for part in (place.parent, place):
        if part.is_symlink() or not part.is_dir():
            found = "is a symbolic link" if part.is_symlink() else "is missing"
            raise errors.store.damaged_artifact(part, found, "a folder")
    with _opened(place / MANIFEST) as stream:
        text = stream.read()
    manifest = _checked_manifest(place / MANIFEST, text, version)
    entries = manifest["arrays"]
    arrays = {name: _map_array(place / f"{name}.npy", entries[name], full=full) for name in sorted(entries)}
    return Artifact(
        path=folder,
        version=version,
        kind=manifest["kind"],
        meta=manifest["meta"],
        library_version=manifest["library_version"],
        arrays=MappingProxyType(arrays),
        size_bytes=len(text) + sum(entry["size"] for entry in entries.values()),
    )


def _checked_manifest(file: Path, text: bytes, version: str) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.store.damaged_artifact(file, "is not JSON", "the manifest of an artifact") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise errors.store.foreign_manifest(file)
    given = manifest.get("format_version")
    if isinstance(given, int) and given > FORMAT_VERSION:
        raise errors.store.newer_format(file, given, FORMAT_VERSION, str(manifest.get("library_version")))
    total = str(manifest.pop("sum", ""))
    # The id holds the first digits of the sum, so that a manifest of another version is noticed too.
    if not version.endswith(f"-{total[:8]}") or total != sum_of_manifest(manifest):
        raise errors.store.damaged_artifact(file, "has another checksum", "the one it was published with")
    # Only a forger gets past the sum with a wrong field, and must not get further.
    fields = {"kind": str, "meta": dict, "library_version": str, "arrays": dict}
    sound = all(isinstance(manifest.get(name), kind) for name, kind in fields.items())
    for name, entry in manifest["arrays"].items() if sound else ():
        sound = sound and NAME_PATTERN.fullmatch(name) is not None and isinstance(entry, dict)
        sound = sound and entry.get("file") == f"{name}.npy"
        sound = sound and isinstance(entry.get("size"), int) and isinstance(entry.get("shape"), list)
    if not sound:
        raise errors.store.foreign_manifest(file)
    return manifest


def _map_array(file: Path, entry: Mapping[str, Any], *, full: bool) -> np.ndarray:
    """Check one file against its entry in the manifest, and map it."""
    with _opened(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != entry["size"]:
            raise errors.store.damaged_artifact(file, f"has {size:,} bytes", f"{entry['size']:,}")
        try:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError):
            raise errors.store.damaged_artifact(
                file, "has no readable header", "one of .npy version 1.0"
            ) from None
        if dtype.str != entry.get("dtype"):
            raise errors.store.damaged_artifact(file, f"has dtype {dtype.str}", str(entry.get("dtype")))
        if dtype.kind not in KINDS:
            raise errors.store.damaged_artifact(
                file, f"has dtype {dtype.str}", "numbers, booleans, times or strings"
            )
        if fortran_order or list(shape) != entry["shape"]:
            found = f"has shape {shape}{' in Fortran order' if fortran_order else ''}"
            raise errors.store.damaged_artifact(file, found, f"{tuple(entry['shape'])} in C order")
        offset = stream.tell()
        needed = offset + math.prod(shape) * dtype.itemsize
        if size != needed or min(shape, default=0) < 0:
            raise errors.store.damaged_artifact(
                file, f"has {size:,} bytes", f"{needed:,} for its shape {shape}"
            )
        if full:
            stream.seek(0)
            if hashlib.file_digest(stream, blake2b).hexdigest() != entry.get("sum"):
                raise errors.store.damaged_artifact(
                    file, "has another checksum", "the one it was published with"
                )
        pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        # Not np.memmap, whose slices cost several times those of a plain array.
        return np.ndarray(shape, dtype, buffer=pages, offset=offset)
    except ValueError:  # forged
        raise errors.store.damaged_artifact(file, f"has shape {shape}", "one that NumPy can hold") from None


@contextmanager
def _opened(file: Path) -> Iterator[io.BufferedReader]:
    """Open an ordinary file of an artifact, never through a symbolic link; word every failure to read it."""
    try:
        with os.fdopen(os.open(file, _READ), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise errors.store.damaged_artifact(file, "is not an ordinary file", "one")
            yield stream
    except errors.ArtifactError:
        raise
    except FileNotFoundError:
        raise errors.store.damaged_artifact(file, "is missing", "a file") from None
    except OSError as error:
        found = "is a symbolic link" if file.is_symlink() else f"can't be read ({error.strerror})"
        raise errors.store.damaged_artifact(file, found, "an ordinary file") from error
