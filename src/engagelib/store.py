"""Named arrays and a manifest in a folder: published all at once, mapped, verified.

`path/CURRENT` is a text file that names a folder `path/versions/<id>/`, which holds a `.npy` file for each
array and `manifest.json`. A version never changes once it is there: publishing adds one, then replaces
`CURRENT` in one step, so that a reader finds the whole old version or the whole new one. The room knows no
class, and nothing in it is ever unpickled.
"""

import hashlib
import io
import json
import logging
import math
import mmap
import operator
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, SupportsIndex

import numpy as np

from engagelib import errors

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

FORMAT = "engagelib-store"
FORMAT_VERSION = 1

_CURRENT, _VERSIONS, _MANIFEST, _LOCK = "CURRENT", "versions", "manifest.json", ".lock"
_VERSION = re.compile(r"[0-9]{6,12}-[0-9a-f]{8}")
_TEMPORARY = re.compile(r"\.new-[0-9a-f]{16}")
_NAME = re.compile(r"(?=.{1,200}$)[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*")
_KINDS = "biufcmMSU"  # no objects, which would need pickle, and no records
_CHUNK_BYTES = 1 << 22
_ATTEMPTS = 50  # of a reader whose version is replaced and swept while it opens it

_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
# O_NONBLOCK, because a named pipe in place of a file would hang the reader.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS


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


def publish(
    path: str | os.PathLike[str],
    kind: str,
    arrays: Mapping[str, np.ndarray],
    meta: dict[str, Any],
    *,
    keep: SupportsIndex = 1,
) -> str:
    """Write arrays and meta as a new version of the artifact at `path`, and make it the current one.

    A process that dies on the way leaves the version before it in place. Publishers to one path wait for each
    other; where the file system has no locks they do not, and what a crash left behind stays there.

    Parameters
    ----------
    path
        Folder of the artifact; made, with its parents, where there is none.
    kind
        What is saved, such as `recommender`; not empty.
    arrays
        Arrays by name. Names are lower-case words with dots between, such as `model.item_knn.indptr`. Any
        order in memory, stored in C order. They may be mapped from this same artifact.
    meta
        A dict that JSON gives back as it was: no tuples, no NaN, no keys but strings.
    keep
        How many of the versions before this one stay on disk, at least 0.

    Returns
    -------
    Id of the new version: a number above all others, and the first digits of the manifest's sum.

    Raises
    ------
    ArgumentError
        If a name, an array, `kind`, `meta` or `keep` is not as above. Nothing is written then.
    ArtifactError
        If `path` is a file, or a folder with other things in it.
    OSError
        If the disk is full, or the folder can't be written. The artifact is as before then.
    """
    _check_arguments(kind, arrays, meta, keep)
    folder = Path(path)
    _refuse_foreign(folder)
    _make_folder(folder)
    with _locked(folder / _LOCK) as locked:
        versions = folder / _VERSIONS
        _make_folder(versions)
        temporary = f".new-{secrets.token_hex(8)}"
        try:
            total = _write_version(versions / temporary, kind, arrays, meta)
            number = 1 + max((_rank(name)[0] for name in _listed(versions, _VERSION)), default=0)
            version = f"{number:06d}-{total[:8]}"
            (versions / temporary).rename(versions / version)
            _sync_folder(versions)
            previous = _previous(folder)
            with _new_file(folder / temporary) as stream:
                stream.write(f"{version}\n".encode())
            (folder / temporary).replace(folder / _CURRENT)
        except BaseException:
            _remove(versions / temporary)
            _remove(folder / temporary)
            raise
        _sync_folder(folder)
        logger.info("published version %s of %s", version, folder)
        _sweep(folder, version, previous, operator.index(keep), locked=locked)
    return version


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
    version = _read_current(folder)
    for _ in range(_ATTEMPTS):
        try:
            return _open_version(folder, version, full=verify == "full")
        except errors.ArtifactError:
            newer = _read_current(folder)
            if newer == version:
                raise
            version = newer
    raise errors.restless_artifact(folder, _ATTEMPTS)


def verify_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Read and check every byte of the current version, and return it opened.

    Raises
    ------
    ArtifactError
        As `open_artifact` does with `verify="full"`.
    """
    return open_artifact(path, verify="full")


# Writing


def _check_arguments(
    kind: str, arrays: Mapping[str, np.ndarray], meta: dict[str, Any], keep: SupportsIndex
) -> None:
    if not isinstance(kind, str) or not kind:
        raise errors.bad_argument("kind", kind, "a word for what is saved")
    if isinstance(keep, bool) or not hasattr(keep, "__index__") or operator.index(keep) < 0:
        raise errors.bad_argument("keep", keep, "an integer of at least 0")
    for name, array in arrays.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            expected = "lower-case words of a-z, 0-9 and _ with dots between, up to 200 characters"
            raise errors.bad_argument("array name", name, expected)
        # A masked array would lose its mask; other subclasses may hold more than their data.
        if type(array) not in (np.ndarray, np.memmap):
            raise errors.bad_argument(f"type of array {name}", type(array).__name__, "a plain NumPy array")
        if array.dtype.kind not in _KINDS or not array.dtype.itemsize:
            expected = "numbers, booleans, times or strings of fixed width"
            raise errors.bad_argument(f"dtype of array {name}", str(array.dtype), expected)
    if not isinstance(meta, dict):
        raise errors.bad_argument("meta", meta, "a dict")
    for key, value in meta.items():
        try:
            same = json.loads(json.dumps({key: value}, allow_nan=False)) == {key: value}
        except (TypeError, ValueError, RecursionError):
            same = False
        if not same:
            hint = "lists for tuples, None for NaN, strings for keys, .item() of a NumPy scalar are fine."
            raise errors.bad_argument(f"meta[{key!r}]", value, "what JSON gives back as it was", hint)


def _refuse_foreign(folder: Path) -> None:
    """Refuse to write into a folder that is neither empty, nor an artifact, nor a crashed first save."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise errors.foreign_target(folder, "is a file")
    names = _listed(folder)
    for name in (_VERSIONS, _LOCK):
        if (folder / name).is_symlink():  # the sweep would delete in another place
            raise errors.foreign_target(folder, f"has a symbolic link {name} in it")
    if _CURRENT not in names or _VERSIONS not in names:
        for name in names:
            if name not in (_VERSIONS, _LOCK) and not _TEMPORARY.fullmatch(name):
                raise errors.foreign_target(folder, f"is not an artifact and has {name} in it")


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, and sync each into the one above it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        with suppress(FileExistsError):  # another publisher was faster; of a file, the next step complains
            folder.mkdir()
        _sync_folder(folder.parent)


def _write_version(folder: Path, kind: str, arrays: Mapping[str, np.ndarray], meta: dict[str, Any]) -> str:
    from importlib.metadata import version  # opening an artifact does without

    folder.mkdir()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": version("engagelib"),
        "kind": kind,
        "meta": meta,
        "arrays": {name: _write_array(folder / f"{name}.npy", arrays[name]) for name in sorted(arrays)},
    }
    total = _sum_of_manifest(manifest)
    with _new_file(folder / _MANIFEST) as stream:
        stream.write(json.dumps({**manifest, "sum": total}, indent=1).encode())
    _sync_folder(folder)
    return total


def _write_array(file: Path, array: np.ndarray) -> dict[str, Any]:
    """Write an array in C order, hashing on the way, and return its entry in the manifest."""
    described = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": described, "fortran_order": False, "shape": array.shape}
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, header)
    total = _blake2b()
    with _new_file(file) as stream:
        total.update(head.getbuffer())
        stream.write(head.getbuffer())
        # Each chunk is a view where the array is in C order, else a copy of that chunk alone.
        how: Any = ["external_loop", "buffered"]
        which: Any = [["readonly", "contig"]]
        length = max(1, _CHUNK_BYTES // array.itemsize)
        for chunk in np.nditer(array, how, which, order="C", buffersize=length) if array.size else ():
            data = np.asarray(chunk).view(np.uint8).data
            total.update(data)
            stream.write(data)
        size = stream.tell()
    entry = {"file": file.name, "dtype": array.dtype.str, "shape": list(array.shape), "size": size}
    return {**entry, "sum": total.hexdigest()}


@contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Create a file that was not there, with the permissions that the umask leaves, and sync it."""
    with os.fdopen(os.open(file, _CREATE, 0o666), "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows has no such call."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Wait for the publishers' lock, which dies with its process; yield whether it is held."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
    held = False
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                held = True
            except OSError as error:  # some network file systems
                logger.warning("publishing without a lock: %s: %s", file, error)
        yield held
    finally:
        if held:  # a process forked meanwhile shares the descriptor and would go on holding the lock
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _listed(folder: Path, pattern: re.Pattern[str] = re.compile(".*", re.DOTALL)) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if pattern.fullmatch(entry.name))


def _rank(version: str) -> tuple[int, str]:
    return int(version.partition("-")[0]), version


def _previous(folder: Path) -> tuple[float, str] | None:
    """Rank of the current version, None before the first; of a damaged `CURRENT`, above all."""
    if not os.path.lexists(folder / _CURRENT):
        return None
    try:
        return _rank(_read_current(folder))
    except errors.ArtifactError as error:
        logger.warning("replacing a damaged file: %s", error)
        return math.inf, ""


def _sweep(
    folder: Path, version: str, previous: tuple[float, str] | None, keep: int, *, locked: bool
) -> None:
    """Delete versions before the `keep` previous ones, and what crashed publishers left.

    Above the previous version are only those that never became current. Without a lock these, and temporary
    folders, may belong to a publisher at work; they stay then.
    """
    versions = folder / _VERSIONS
    others = sorted(
        (name for name in _listed(versions, _VERSION) if name != version), key=_rank, reverse=True
    )
    earlier = [name for name in others if previous is not None and _rank(name) <= previous]
    for name in others if locked else earlier:
        if name not in earlier[:keep]:
            # Under a temporary name first, so that half a version never passes for one.
            doomed = versions / f".new-{secrets.token_hex(8)}"
            try:
                (versions / name).rename(doomed)
            except OSError as error:
                logger.warning("an old version stays: %s", error)
            else:
                _remove(doomed)
    for parent in (folder, versions) if locked else ():
        for name in _listed(parent, _TEMPORARY):
            _remove(parent / name)


def _remove(victim: Path) -> None:
    """Delete a file or folder if it is there; where that fails, the next sweep tries again."""
    try:
        if victim.is_dir() and not victim.is_symlink():
            shutil.rmtree(victim)
        else:
            victim.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s stays: %s", victim, error)


# Reading


def _read_current(folder: Path) -> str:
    """Id that `CURRENT` names, checked to be one, so that it can't lead out of the folder."""
    file = folder / _CURRENT
    if not folder.is_dir():
        raise errors.no_artifact(folder, "is a file" if folder.exists() else "does not exist")
    if not os.path.lexists(file):
        raise errors.no_artifact(folder, f"has no {_CURRENT} file in it")
    with _opened(file) as stream:
        text = stream.read(64).decode("ascii", "backslashreplace")
    version = text.removesuffix("\n")
    if not _VERSION.fullmatch(version):
        raise errors.damaged_artifact(file, f"holds {text!r}", "the id of a version")
    return version


def _open_version(folder: Path, version: str, *, full: bool) -> Artifact:
    place = folder / _VERSIONS / version
    for part in (place.parent, place):
        if part.is_symlink() or not part.is_dir():
            found = "is a symbolic link" if part.is_symlink() else "is missing"
            raise errors.damaged_artifact(part, found, "a folder")
    with _opened(place / _MANIFEST) as stream:
        text = stream.read()
    manifest = _checked_manifest(place / _MANIFEST, text, version)
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
        raise errors.damaged_artifact(file, "is not JSON", "the manifest of an artifact") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise errors.foreign_manifest(file)
    given = manifest.get("format_version")
    if isinstance(given, int) and given > FORMAT_VERSION:
        raise errors.newer_format(file, given, FORMAT_VERSION, str(manifest.get("library_version")))
    total = str(manifest.pop("sum", ""))
    # The id holds the first digits of the sum, so that a manifest of another version is noticed too.
    if not version.endswith(f"-{total[:8]}") or total != _sum_of_manifest(manifest):
        raise errors.damaged_artifact(file, "has another checksum", "the one it was published with")
    # Only a forger gets past the sum with a wrong field, and must not get further.
    fields = {"kind": str, "meta": dict, "library_version": str, "arrays": dict}
    sound = all(isinstance(manifest.get(name), kind) for name, kind in fields.items())
    for name, entry in manifest["arrays"].items() if sound else ():
        sound = sound and _NAME.fullmatch(name) is not None and isinstance(entry, dict)
        sound = sound and entry.get("file") == f"{name}.npy"
        sound = sound and isinstance(entry.get("size"), int) and isinstance(entry.get("shape"), list)
    if not sound:
        raise errors.foreign_manifest(file)
    return manifest


def _map_array(file: Path, entry: Mapping[str, Any], *, full: bool) -> np.ndarray:
    """Check one file against its entry in the manifest, and map it."""
    with _opened(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != entry["size"]:
            raise errors.damaged_artifact(file, f"has {size:,} bytes", f"{entry['size']:,}")
        try:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError):
            raise errors.damaged_artifact(file, "has no readable header", "one of .npy version 1.0") from None
        if dtype.str != entry.get("dtype"):
            raise errors.damaged_artifact(file, f"has dtype {dtype.str}", str(entry.get("dtype")))
        if dtype.kind not in _KINDS:
            raise errors.damaged_artifact(
                file, f"has dtype {dtype.str}", "numbers, booleans, times or strings"
            )
        if fortran_order or list(shape) != entry["shape"]:
            found = f"has shape {shape}{' in Fortran order' if fortran_order else ''}"
            raise errors.damaged_artifact(file, found, f"{tuple(entry['shape'])} in C order")
        offset = stream.tell()
        needed = offset + math.prod(shape) * dtype.itemsize
        if size != needed or min(shape, default=0) < 0:
            raise errors.damaged_artifact(file, f"has {size:,} bytes", f"{needed:,} for its shape {shape}")
        if full:
            stream.seek(0)
            if hashlib.file_digest(stream, _blake2b).hexdigest() != entry.get("sum"):
                raise errors.damaged_artifact(file, "has another checksum", "the one it was published with")
        pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        # Not np.memmap, whose slices cost several times those of a plain array.
        return np.ndarray(shape, dtype, buffer=pages, offset=offset)
    except ValueError:  # forged
        raise errors.damaged_artifact(file, f"has shape {shape}", "one that NumPy can hold") from None


@contextmanager
def _opened(file: Path) -> Iterator[io.BufferedReader]:
    """Open an ordinary file of an artifact, never through a symbolic link; word every failure to read it."""
    try:
        with os.fdopen(os.open(file, _READ), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise errors.damaged_artifact(file, "is not an ordinary file", "one")
            yield stream
    except errors.ArtifactError:
        raise
    except FileNotFoundError:
        raise errors.damaged_artifact(file, "is missing", "a file") from None
    except OSError as error:
        found = "is a symbolic link" if file.is_symlink() else f"can't be read ({error.strerror})"
        raise errors.damaged_artifact(file, found, "an ordinary file") from error


def _sum_of_manifest(manifest: Mapping[str, Any]) -> str:
    """Sum over canonical JSON, so that white space does not count."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def _blake2b() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=32)
