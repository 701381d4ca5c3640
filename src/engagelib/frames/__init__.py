"""Any table that a caller has, opened with Arrow, its columns checked and each brought to one form."""

from engagelib.frames.columns import (
    encode_ids,
    ids_as_text,
    naming,
    read_numbers,
    read_positions,
    read_times,
)
from engagelib.frames.opening import index_names, open_table
from engagelib.frames.refused import Refused

__all__ = [
    "Refused",
    "encode_ids",
    "ids_as_text",
    "index_names",
    "naming",
    "open_table",
    "read_numbers",
    "read_positions",
    "read_times",
]
