"""Opening: a path, a frame, a mapping of columns or a list of records becomes an Arrow table."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.vocabulary import check_one_kind


def open_table(
    source: Any, what: str = "the log", *, ids: Collection[str], texts: Collection[str] = ()
) -> pa.Table:
    """Take a table from a Parquet or CSV path, a frame, a mapping of columns or a list of records.

    In CSV files the columns named by `ids` become integers only where every value is written as one
    would write an integer, so that `007` stays a string; those named by `texts` stay as they are written.
    """
    if isinstance(source, str | PathLike):
        return _open_path(Path(source), ids, texts)
    try:
        if isinstance(source, pa.Table):
            return source
        if isinstance(source, pa.RecordBatch):
            return pa.Table.from_batches([source])
        if hasattr(source, "__arrow_c_stream__"):
            return _open_frame(source)
        if isinstance(source, Mapping):
            columns = {name: _column(name, values, ids) for name, values in source.items()}
            return pa.table(columns)
        if isinstance(source, Sequence) and all(isinstance(record, Mapping) for record in source):
            names = dict.fromkeys(name for record in source for name in record)
            return pa.table(
                {name: _column(name, [record.get(name) for record in source], ids) for name in names}
            )
    except errors.EngageError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        text = " ".join(str(part) for part in error.args)
        column = text.partition("Conversion failed for column ")[2].partition(" with type")[0]
        if column in ids:
            _check_ids(source[column].dropna().tolist(), column)
        if isinstance(error, UnicodeEncodeError):
            raise errors.log.unencodable() from error
        raise errors.log.arrow_refused(text, column or None) from error
    expected = "a path, a frame with the Arrow stream protocol, a mapping of columns or a list of records"
    raise errors.wrong_kind(what, type(source).__name__, expected)


def index_names(table: pa.Table) -> list[str]:
    """Return the names that the index of a pandas frame had, where the table comes from one."""
    entries = (table.schema.pandas_metadata or {}).get("index_columns", ())
    return [entry["name"] if isinstance(entry, Mapping) else entry for entry in entries]


def _open_frame(frame: Any) -> pa.Table:
    table = pa.RecordBatchReader.from_stream(frame).read_all()
    for name in table.column_names:
        # Arrow takes the type of an object column from its first value, and cuts the hours off times that
        # follow a date.
        if pa.types.is_temporal(table.schema.field(name).type) and table.schema.pandas_metadata:
            values = frame[name]
            if values.dtype == object:
                _check_dates(values.dropna().tolist(), name)
    # An index of consecutive numbers is only described, any other one is a column.
    index = (table.schema.pandas_metadata or {}).get("index_columns", ())
    return table.drop_columns([entry for entry in index if isinstance(entry, str)])


def _column(name: str, values: Any, ids: Collection[str]) -> pa.Array:
    if isinstance(values, str | bytes):
        raise errors.wrong_kind(f"column {name!r}", type(values).__name__, "a sequence of values")
    try:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return values
        if hasattr(values, "__arrow_array__") or (isinstance(values, np.ndarray) and values.dtype != object):
            return pa.array(values)
        if hasattr(values, "__arrow_c_stream__") and str(getattr(values, "dtype", "")) != "object":
            return pa.chunked_array(values)
        values = list(values)
        if name in ids:
            _check_ids(values, name)
        _check_dates(values, name)
        return pa.array(values)
    except UnicodeEncodeError as error:
        raise errors.log.unencodable(name) from error
    except OverflowError as error:
        raise (
            errors.log.large_ids(name) if name in ids else errors.log.arrow_refused(str(error), name)
        ) from error
    except errors.EngageError:
        raise
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise errors.log.arrow_refused(str(error), name) from error


def _check_ids(values: Sequence[object], column: str) -> None:
    """Word it in ids where they are of more than one type, or floating-point numbers."""
    kinds = set(map(type, values)) - {type(None)}
    if any(issubclass(kind, float) for kind in kinds) and all(
        issubclass(kind, float | int | np.integer) and kind is not bool for kind in kinds
    ):
        raise errors.log.float_ids(column)
    if len(kinds) > 1:
        check_one_kind(values, column)


def _check_dates(values: Sequence[object], column: str) -> None:
    """Refuse dates beside values of another type, which Arrow would alter without a word."""
    kinds = set(map(type, values)) - {type(None)}
    dates = {kind for kind in kinds if issubclass(kind, date) and not issubclass(kind, datetime)}
    moments = {kind for kind in kinds if issubclass(kind, datetime)}
    if (dates or moments) and (kinds - dates - moments or (dates and moments)):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise errors.log.arrow_refused(f"it holds values of type {names}", column)


def _open_path(path: Path, ids: Collection[str], texts: Collection[str]) -> pa.Table:
    path.stat()  # FileNotFoundError where there is nothing
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    try:
        if path.is_dir():
            return _read_folder(path)
        if suffixes[-1:] in ([".parquet"], [".pq"]):
            import pyarrow.parquet as pq

            return pq.read_table(path, partitioning=None)
        if {".csv", ".tsv", ".txt"} & set(suffixes):
            return _read_csv(path, "\t" if ".tsv" in suffixes else ",", ids, texts)
    except errors.EngageError:
        raise
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise errors.log.unreadable_file(path, str(error)) from error
    except OSError as error:
        if error.errno is not None:  # the system's own, such as a missing permission
            raise
        raise errors.log.unreadable_file(path, str(error)) from error
    raise errors.bad_argument(
        "path", str(path), "a .parquet, .csv or .tsv file, or a folder of Parquet files"
    )


def _read_folder(path: Path) -> pa.Table:
    """Read every Parquet file under a folder; their columns are joined by name, also new ones."""
    from pyarrow import dataset

    parts = dataset.dataset(path, format="parquet", partitioning="hive")
    schemas = [parts.schema, *(part.physical_schema for part in parts.get_fragments())]
    joined = pa.unify_schemas(schemas, promote_options="permissive")
    return parts.replace_schema(joined).to_table()


def _read_csv(path: Path, delimiter: str, ids: Collection[str], texts: Collection[str]) -> pa.Table:
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(path, parse_options=parse) as peek:
        names = peek.schema.names
    as_text = [name for name in names if name in ids or name in texts]
    convert = csv.ConvertOptions(column_types=dict.fromkeys(as_text, pa.string()))
    table = csv.read_csv(path, parse_options=parse, convert_options=convert)
    return _integers_where_written(table, ids)


def _integers_where_written(table: pa.Table, ids: Collection[str]) -> pa.Table:
    """Turn text ids into integers where not a single one would change by it; refuse those of floats."""
    for place, name in enumerate(table.column_names):
        if name not in ids:
            continue
        text = table.column(place)
        distinct = pc.unique(text)
        distinct = distinct.filter(pc.not_equal(distinct, ""))
        if not len(distinct):
            continue
        if pc.all(pc.match_substring_regex(distinct, r"^-?\d+\.0*$")).as_py():
            raise errors.log.float_ids(name)
        if pc.all(pc.match_substring_regex(distinct, r"^(0|-?[1-9]\d{0,17})$")).as_py():
            filled = pc.if_else(pc.equal(text, ""), None, text)
            table = table.set_column(place, name, filled.cast(pa.int64()))
    return table
