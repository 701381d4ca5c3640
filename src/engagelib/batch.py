"""Batch: lists for every customer, in blocks, as Parquet parts; a killed run goes on where it stopped.

The folder holds `_job.json`, which says what is being written, the parts, and at the end `_SUCCESS`. Readers
of Parquet folders pass over names that begin with an underscore or a dot.
"""

import inspect
import json
import logging
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from engagelib import __version__, errors
from engagelib.recommender.request import check_count
from engagelib.recommender.rules import check_rules
from engagelib.times import to_datetime, to_microseconds

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.recommender import Recommender
    from engagelib.vocabulary import Id, Vocabulary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

FORMAT: Final = "engagelib-batch"
FORMAT_VERSION: Final = 1

_JOB, _SUCCESS = "_job.json", "_SUCCESS"
_PART = re.compile(r"part-[0-9]{5,}\.parquet")
_TEMPORARY = re.compile(r"\.new-[0-9a-f]{16}")
_IDS_IN_FULL = 20  # longer lists of ids stand in the job as a count and a sum
_DIFFERENCES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a finished batch holds, and how much of it this run wrote.

    Attributes
    ----------
    path
        The folder.
    n_customers
        Customers that were listed for, in this run and before.
    n_rows
        Rows of all parts together.
    n_parts_written, n_parts_found
        Parts that this run wrote, and parts that an earlier run had finished.
    """

    path: Path
    n_customers: int
    n_rows: int
    n_parts_written: int
    n_parts_found: int


def recommend_all(
    recommender: "Recommender",
    out: str | os.PathLike[str],
    *,
    k: int = 10,
    part_size: int = 20_000,
    resume: bool = True,
    overwrite: bool = False,
    progress: bool | None = True,
    **arguments: Any,
) -> BatchResult:
    """Write the lists of every customer of `recommender.current_customers()` to Parquet parts in a folder.

    A part is written under another name, synced and moved into place: whatever ends the process, only whole
    parts are there, and the next call with the same model and settings writes those that are missing. Parts
    whose Parquet footer can't be read are written again. Memory does not grow with the number of customers.

    Parameters
    ----------
    recommender
        A fitted recommender. Where it was never saved it has no version: the column `model_version` is null
        then, and the job can't be resumed, because nothing says which model wrote the parts.
    out
        The folder, made with its parents where there is none. The parts are `part-00000.parquet` and so on,
        with the columns `customer_id`, `rank` (from 1), `item_id`, `score`, `source` and `model_version`; ids
        keep their types. With `probabilities=True` and a model that has a calibration there is the column
        `probability` behind `source`. `_SUCCESS` is there once all parts are.
    k
        Length of a list, at least 1.
    part_size
        Customers in a part, at least 1; parts follow the order of those.
    resume
        False refuses a folder with a job in it, the same one or another.
    overwrite
        Delete the job in the folder and begin again. A folder with anything but a job is refused even so.
    progress
        True shows a bar on stderr, None only where stderr is a terminal, False none.
    arguments
        As for `Recommender.recommend_many`: `at`, `channel`, `location`, `rules`, `exclude` and so on.
        `n_threads` is no part of the job: it can be resumed with another number.

    Raises
    ------
    NotFittedError, ArgumentError, NotEnoughDataError
        As `recommend_many` does, before the folder is touched.
    ArtifactError
        If the folder holds another job, anything else, or another process is writing into it.
    OSError
        If the disk is full or the folder can't be written.
    """
    part_size = check_count(part_size, "part_size")
    arguments = {name: _collected(value) for name, value in arguments.items()}
    recommender.recommend_many([], k=k, **arguments)  # checks them all
    recommender = copy(recommender)  # a reload meanwhile is not for this job
    customers = recommender.current_customers()
    job = _describe(recommender, customers, part_size, {"k": k, **arguments})
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise errors.batch.foreign_batch_folder(folder, "is a file")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _settle(folder, job, resume=resume, overwrite=overwrite)
        return _write_parts(
            recommender, folder, job, customers=customers, arguments={"k": k, **arguments}, progress=progress
        )


def _write_parts(
    recommender: "Recommender",
    folder: Path,
    job: dict[str, Any],
    *,
    customers: "Vocabulary",
    arguments: dict[str, Any],
    progress: bool | None,
) -> BatchResult:
    """Write the parts that are not there yet."""
    from tqdm import tqdm

    n_customers, n_parts = job["n_customers"], job["n_parts"]
    n_rows = [_rows_of(folder / _part_name(number)) for number in range(n_parts)]
    missing = [number for number, found in enumerate(n_rows) if found is None]
    n_written = len(missing)
    if missing:
        (folder / _SUCCESS).unlink(missing_ok=True)
    part_size = job["settings"]["part_size"]
    blocks = {
        number: range(number * part_size, min((number + 1) * part_size, n_customers)) for number in missing
    }
    found = n_customers - sum(map(len, blocks.values()))
    disable = None if progress is None else not progress
    with tqdm(total=n_customers, initial=found, unit=" customers", disable=disable) as bar:
        for number, block in blocks.items():
            table = _part(recommender, customers.ids(block), arguments)
            _write_part(folder / _part_name(number), table)
            n_rows[number] = len(table)
            logger.info("wrote %s of %s, %d of %d", _part_name(number), folder, number + 1, n_parts)
            bar.update(len(block))
    if not (folder / _SUCCESS).exists():
        with _placed(folder / _SUCCESS):
            pass
    total = sum(rows or 0 for rows in n_rows)
    return BatchResult(folder, n_customers, total, n_written, n_parts - n_written)


def _part(recommender: "Recommender", customers: list["Id"], arguments: dict[str, Any]) -> "pa.Table":
    """List for one block of customers, in the columns of a part."""
    import pyarrow as pa

    found = recommender.recommend_many(customers, **arguments).to_table()
    version = pa.array([recommender.model_version_], pa.string()).take(pa.array(np.zeros(len(found), int)))
    kinds = {"int": pa.int64(), "str": pa.string()}
    chance = {"probability": pa.float64()} if "probability" in found.column_names else {}
    schema = pa.schema(
        {
            "customer_id": kinds[recommender.customers_.kind],
            "rank": pa.int32(),
            "item_id": kinds[recommender.items_.kind],
            "score": pa.float32(),
            "source": pa.string(),
            **chance,
            "model_version": pa.string(),
        }
    )
    # Without a row Arrow would not know the types.
    return found.append_column("model_version", version).cast(schema)


def _write_part(file: Path, table: "pa.Table") -> None:
    import pyarrow.parquet as pq

    with _placed(file) as stream:
        pq.write_table(table, stream)


def _part_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _rows_of(file: Path) -> int | None:
    """Count the rows of a part by its footer, None where it is not there or can't be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(file).num_rows)
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        logger.warning("%s can't be read and is written again: %s", file, error)
        return None


# The job


def _describe(
    recommender: "Recommender", customers: "Vocabulary", part_size: int, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Say in JSON's types what makes two runs the same job."""
    # Defaults spelled out, so that a caller who names one asks for the same job.
    bound = inspect.signature(recommender.recommend_many).bind([], **arguments)
    bound.apply_defaults()
    settings = {name: _setting(name, value) for name, value in bound.arguments.items()}
    del settings["customer_ids"], settings["n_threads"]
    # What changes answers beside the version of the model: a resumed job must not mix two states.
    rules = (*recommender.rules, *check_rules(bound.arguments["rules"] or ()))
    settings["rules"] = [rule.to_record() for rule in rules]
    available = recommender.availability
    settings["availability"] = None if available is None else available.digest()
    settings["changes_since_loading"] = recommender.n_changes_
    n_customers = len(customers)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model_version": recommender.model_version_,
        "library_version": __version__,
        "settings": {**settings, "part_size": part_size},
        "n_customers": n_customers,
        # Without customers there is one empty part, so that the folder can be read.
        "n_parts": max(-(-n_customers // part_size), 1),
    }


def _collected(value: Any) -> Any:
    """Make a list of whatever can be gone through once only; a text stays one."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value


def _setting(name: str, value: Any) -> Any:
    """Spell a setting so that equal ones compare equal: a set of ids has no order, a moment many forms."""
    if name == "rules":  # spelled out where all of them are known
        return None
    if name == "at" and value is not None:
        return to_datetime(to_microseconds(value)).isoformat()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        ids = sorted({_setting("", item) for item in value}, key=lambda id_: (type(id_).__name__, id_))
        if len(ids) <= _IDS_IN_FULL:
            return ids
        total = blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest()
        return f"{len(ids):,} ids with sum {total}"
    return value


def _settle(folder: Path, job: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Make sure that the folder holds this job and no other."""
    names = sorted(entry.name for entry in folder.iterdir())
    for name in filter(_TEMPORARY.fullmatch, names):  # of a run that was killed
        (folder / name).unlink(missing_ok=True)
    names = [name for name in names if not _TEMPORARY.fullmatch(name)]
    if names:
        there = _read_job(folder / _JOB)
        if there is None:
            raise errors.batch.foreign_batch_folder(folder, f"is not a batch job and has {names[0]} in it")
        if not overwrite:
            _check_same(folder, there, job, resume=resume)
            return
        # `_SUCCESS` first and the job last: at any moment the folder is what its job says.
        doomed = [name for name in names if _PART.fullmatch(name)]
        for name in (_SUCCESS, *doomed):
            (folder / name).unlink(missing_ok=True)
    with _placed(folder / _JOB) as stream:
        stream.write(json.dumps(job, indent=1).encode())


def _check_same(folder: Path, there: dict[str, Any], here: dict[str, Any], *, resume: bool) -> None:
    if not resume:
        raise errors.batch.job_in_place(folder)
    old, new = (
        {**job["settings"], **{name: job.get(name) for name in ("model_version", "library_version")}}
        for job in (there, here)
    )
    different = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if different:
        texts = [
            f"{name} is {old.get(name)!r} there and {new.get(name)!r} here"
            for name in different[:_DIFFERENCES_SHOWN]
        ]
        if len(different) > _DIFFERENCES_SHOWN:
            texts.append(f"and {len(different) - _DIFFERENCES_SHOWN} more")
        raise errors.batch.other_job(folder, texts)
    if here["model_version"] is None:
        raise errors.batch.unsaved_job(folder)


def _read_job(file: Path) -> dict[str, Any] | None:
    """Return the job that a folder holds, None where there is none that this library wrote."""
    try:
        job = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(job, dict) or job.get("format") != FORMAT or not isinstance(job.get("settings"), dict):
        return None
    return job


# Files


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder; the lock is the folder's own and dies with the process."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.batch.busy_batch_folder(folder) from None
        except OSError as error:  # some network file systems
            logger.warning("writing without a lock: %s: %s", folder, error)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _placed(file: Path) -> Iterator[BinaryIO]:
    """Open a stream whose bytes become `file` all at once, synced, when the block ends well."""
    temporary = file.with_name(f".new-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the name too; Windows has no such call
        descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
