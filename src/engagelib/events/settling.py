"""Settling: duplicates and bots are set aside, refused rows dropped, and the ids that remain get places."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from engagelib import errors
from engagelib.events.customers import with_identities
from engagelib.events.reading import Reading
from engagelib.events.refusals import set_aside_bots, set_aside_duplicates
from engagelib.vocabulary import Vocabulary


class Settled(NamedTuple):
    """The parts of a log that come of its rows; `EventLog` says what each is."""

    columns: dict[str, np.ndarray]
    vocabularies: dict[str, Vocabulary]
    rejected: pa.Table
    identities_read: pa.Array | None
    n_relabelled: int


def settle(reading: Reading, item_table: pa.Table, duplicates: str, max_events_per_customer: int) -> Settled:
    """Set aside duplicates and bots, drop what is refused, and give the ids that remain their places."""
    if duplicates == "reject":
        set_aside_duplicates(reading.refused, reading.codes | reading.numbers)
    set_aside_bots(reading.refused, reading.codes, max_events_per_customer)
    keep = reading.refused.code == 0
    columns, vocabularies = {}, {}
    for name, codes in reading.codes.items():
        kept, dictionary = codes[keep], reading.dictionaries[name]
        used = in_use(kept, len(dictionary))
        remaining = dictionary.filter(pa.array(used))
        listed = _with_table_items(remaining, item_table) if name == "item_id" else remaining
        vocabularies[name] = Vocabulary.from_values(listed)
        places = np.full(len(dictionary) + 1, -1, np.int32)
        places[:-1][used] = vocabularies[name].indices(remaining)
        columns[name] = places[kept]
    columns |= {name: values[keep] for name, values in reading.numbers.items()}
    rejected, identities_read = reading.refused.table(reading.table), None
    if reading.identity is not None:
        came_under, ids = reading.identity
        rejected = with_identities(rejected, came_under[~keep], ids)
        identities_read = ids.filter(pa.array(in_use(came_under[keep], len(ids))))
    n_relabelled = int((reading.relabelled & keep).sum())
    return Settled(columns, vocabularies, rejected, identities_read, n_relabelled)


def in_use(codes: np.ndarray, n: int) -> np.ndarray:
    """Say of each of `n` ids whether one of these codes, -1 for none, stands for it."""
    used = np.zeros(n + 1, bool)
    used[codes] = True
    return used[:-1]


def _with_table_items(remaining: pa.Array, item_table: pa.Table) -> pa.Array:
    if not len(item_table):
        return remaining
    listed = item_table["item_id"].combine_chunks()
    if len(remaining) and remaining.type != listed.type:
        given, expected = Vocabulary.from_values(listed).kind, Vocabulary.from_values(remaining).kind
        raise errors.log.other_id_type("item_id", given, expected, "items")
    return pa.concat_arrays([remaining.cast(listed.type), listed])
