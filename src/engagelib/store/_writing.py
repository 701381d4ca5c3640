"""Publishing an artifact: a new version beside the old ones, made the current one in a single step."""

import errno
import io
import json
import logging
import math
import operator
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, SupportsIndex

import numpy as np

from engagelib import __version__, errors
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
    blake2b,
    sum_of_manifest,
)
from engagelib.store._reading import read_current

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_LOCK: Final = ".lock"
_TEMPORARY: Final = re.compile(r"\.new-[0-9a-f]{16}")
_CHUNK_BYTES: Final = 1 << 22
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS


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
        versions = folder / VERSIONS
        _make_folder(versions)
        temporary = f".new-{secrets.token_hex(8)}"
        try:
            total = _write_version(versions / temporary, kind, arrays, meta)
            number = 1 + max((_rank(name)[0] for name in _listed(versions, VERSION_PATTERN)), default=0)
            version = f"{number:06d}-{total[:8]}"
            (versions / temporary).rename(versions / version)
            _sync_folder(versions)
            previous = _previous(folder)
            with _new_file(folder / temporary) as stream:
                stream.write(f"{version}\n".encode())
            (folder / temporary).replace(folder / CURRENT)
        except BaseException:
            _remove(versions / temporary)
            _remove(folder / temporary)
            raise
        _sync_folder(folder)
        logger.info("published version %s of %s", version, folder)
        _sweep(folder, version, previous, operator.index(keep), locked=locked)
    return version


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a place that `publish` could not write to, before the work for what is to be published there.

    Nothing is made or changed. The disk may still be full, or the place be another one, when it comes to
    publishing.

    Raises
    ------
    ArtifactError
        If `path` is a file, lies in one, or is a folder with other things in it.
    OSError
        If the folder, or the one that it would be made in, can't be written.
    """
    folder = Path(path)
    _refuse_foreign(folder)
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not standing.is_dir():
        raise errors.store.foreign_target(standing, "is a file")
    for place in (standing, folder / VERSIONS):
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


def _check_arguments(
    kind: str, arrays: Mapping[str, np.ndarray], meta: dict[str, Any], keep: SupportsIndex
) -> None:
    if not isinstance(kind, str) or not kind:
        raise errors.bad_argument("kind", kind, "a word for what is saved")
    if isinstance(keep, bool) or not hasattr(keep, "__index__") or operator.index(keep) < 0:
        raise errors.bad_argument("keep", keep, "an integer of at least 0")
    for name, array in arrays.items():
        if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
            expected = "lower-case words of a-z, 0-9 and _ with dots between, up to 200 characters"
            raise errors.bad_argument("array name", name, expected)
        # A masked array would lose its mask; other subclasses may hold more than their data.
        if type(array) not in (np.ndarray, np.memmap):
            raise errors.bad_argument(f"type of array {name}", type(array).__name__, "a plain NumPy array")
        if array.dtype.kind not in KINDS or not array.dtype.itemsize:
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
        raise errors.store.foreign_target(folder, "is a file")
    names = _listed(folder)
    for name in (VERSIONS, _LOCK):
        if (folder / name).is_symlink():  # the sweep would delete in another place
            raise errors.store.foreign_target(folder, f"has a symbolic link {name} in it")
    if CURRENT not in names or VERSIONS not in names:
        for name in names:
            if name not in (VERSIONS, _LOCK) and not _TEMPORARY.fullmatch(name):
                raise errors.store.foreign_target(folder, f"is not an artifact and has {name} in it")


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, and sync each into the one above it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        with suppress(FileExistsError):  # another publisher was faster; of a file, the next step complains
            folder.mkdir()
        _sync_folder(folder.parent)


def _write_version(folder: Path, kind: str, arrays: Mapping[str, np.ndarray], meta: dict[str, Any]) -> str:
    folder.mkdir()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": __version__,
        "kind": kind,
        "meta": meta,
        "arrays": {name: _write_array(folder / f"{name}.npy", arrays[name]) for name in sorted(arrays)},
    }
    total = sum_of_manifest(manifest)
    with _new_file(folder / MANIFEST) as stream:
        stream.write(json.dumps({**manifest, "sum": total}, indent=1).encode())
    _sync_folder(folder)
    return total


def _write_array(file: Path, array: np.ndarray) -> dict[str, Any]:
    """Write an array in C order, hashing on the way, and return its entry in the manifest."""
    described = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": described, "fortran_order": False, "shape": array.shape}
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, header)
    total = blake2b()
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
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | FLAGS, 0o666)
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
    if not os.path.lexists(folder / CURRENT):
        return None
    try:
        return _rank(read_current(folder))
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
    versions = folder / VERSIONS
    others = sorted(
        (name for name in _listed(versions, VERSION_PATTERN) if name != version), key=_rank, reverse=True
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
