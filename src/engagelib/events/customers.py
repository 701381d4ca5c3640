"""Customers: the identity that each row of a log came under, and the customer that it belongs to."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.frames import Refused, encode_ids, naming
from engagelib.identity import IdentityMap, encode_namespaces, spell_pairs, unify
from engagelib.strings import to_nfc
from engagelib.tables import Table
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from engagelib.events.log import EventLog


def identify(
    codes: np.ndarray,
    ids: pa.Array,
    identities: IdentityMap,
    namespaces: pa.ChunkedArray | None,
    refused: Refused,
) -> tuple[np.ndarray, pa.Array]:
    """Spell the identity of each row from its customer id and, where the map has a column, its namespace.

    Returns
    -------
    The identity of each row, -1 for none, and the distinct identities.
    """
    if namespaces is None:
        return codes, ids.cast(pa.large_string()) if identities.text_ids else ids
    assert identities.column is not None  # else there are no namespaces
    with naming(identities.column):
        named, names = encode_namespaces(namespaces, identities.column, refused)
    return spell_pairs(codes, ids, named, names)


def as_column(codes: np.ndarray, ids: pa.Array) -> pa.ChunkedArray:
    """Return a column of ids from their codes, -1 for null, without writing out any of them."""
    return pa.chunked_array([pa.DictionaryArray.from_arrays(_null_for_none(codes), ids)])


def resolve(codes: np.ndarray, ids: pa.Array, identities: IdentityMap) -> tuple[np.ndarray, pa.Array]:
    """Bring identities to the canonical ids of their customers."""
    return unify(codes, identities.canonicals(ids))


def join_maps(first: IdentityMap | None, second: IdentityMap | None) -> IdentityMap | None:
    """Join the maps of two logs, those of the first log first."""
    if first is None or second is None or first is second:
        return second if first is None else first
    return first.merged_with(second).settled()


def join_identities(logs: "Iterable[EventLog]", identities: IdentityMap | None) -> pa.Array | None:
    """Return the distinct identities under which the rows of some logs came, None without a map."""
    if identities is None:
        return None
    parts = []
    for log in logs:
        read = log.customers.to_arrow() if log.identities_read is None else log.identities_read
        if len(read):
            parts.append(read.cast(pa.large_string()) if identities.text_ids else read)
    return pc.unique(pa.concat_arrays(parts)) if parts else pa.array([], pa.large_string())


def spell_log(log: "EventLog", column: str) -> tuple[Vocabulary, np.ndarray, pa.Table]:
    """Spell the customers of a log that was read without identities in the namespaces of a column.

    Returns
    -------
    The customers, the customer of each event, and the rejected rows with their identities.
    """
    if column not in log.vocabularies:
        raise errors.identity.missing_namespaces(column, log.to_table().column_names)
    spell, refused = IdentityMap(column), Refused(np.zeros(len(log), np.uint8))
    names = as_column(log.columns[column], log.vocabularies[column].to_arrow())
    codes, ids = identify(log.columns["customer_id"], log.customers.to_arrow(), spell, names, refused)
    refused.raise_first("a namespace ends at its first ':'; call it by another name.")
    customers = Vocabulary.from_values(ids)
    places = np.append(customers.indices(ids), np.int32(-1))
    rejected = log.rejected
    if column in rejected.column_names:
        refused = Refused(np.zeros(len(rejected), np.uint8))
        theirs, ids = encode_ids(rejected["customer_id"], "customer_id", refused)
        theirs, ids = identify(theirs, ids, spell, rejected[column], refused)
        rejected = with_identities(rejected, theirs, ids)
    return customers, places[codes], rejected


def with_identities(rejected: pa.Table, codes: np.ndarray, identities: pa.Array) -> pa.Table:
    """Note beside rows that were set aside the identity under which each came."""
    column = identities.take(_null_for_none(codes))
    return rejected.add_column(rejected.column_names.index("row"), "identity", column)


def owners(rejected: pa.Table) -> pa.ChunkedArray:
    """Return the identity of each row that was set aside, as far as it is told."""
    ids = rejected["customer_id"]
    if "identity" not in rejected.column_names:
        return ids
    identities = rejected["identity"]
    if identities.type != ids.type:  # read under different options, and joined since
        identities, ids = identities.cast(pa.large_string()), ids.cast(pa.large_string())
    return pc.coalesce(identities, ids)


def rows_of(rejected: pa.Table, members: Iterable[Id], *, as_text: bool) -> np.ndarray:
    """Find the rows of one customer among those set aside; joined logs may hold integers there as text.

    `as_text` says that integers and their texts are one.
    """
    ids = owners(rejected)
    if pa.types.is_null(ids.type):
        return np.zeros(len(ids), bool)
    of_integers = pa.types.is_integer(ids.type) and not as_text
    return _are_among(ids, [str(id_) for id_ in members if isinstance(id_, int) or not of_integers])


def without_ids(ids: pa.Array, members: Iterable[Id]) -> pa.Array:
    """Drop the identities of one customer from distinct ones."""
    integers = pa.types.is_integer(ids.type)
    texts = [str(id_) for id_ in members if isinstance(id_, int) == integers]
    return ids.filter(pa.array(~_are_among(ids, texts)))


def _are_among(ids: pa.Array | pa.ChunkedArray, texts: Iterable[str]) -> np.ndarray:
    # Text with a lone surrogate is in no table, and Arrow would refuse it.
    storable = [text for text in texts if text == text.encode(errors="ignore").decode()]
    wanted = pa.array(storable, pa.large_string())
    return np.asarray(pc.is_in(to_nfc(ids), value_set=wanted).to_numpy(zero_copy_only=False))


def count_identities(log: "EventLog") -> tuple[int, int]:
    """Count the identities under which the rows of a log came, and the customers who came under several."""
    assert log.identities is not None  # else each customer is one identity
    assert log.identities_read is not None
    place = log.customers.indices(log.identities.canonicals(log.identities_read))
    counts = np.bincount(place[place >= 0], minlength=log.n_customers)
    return int(counts.sum()), int((counts > 1).sum())


def merges_of(log: "EventLog") -> Table:
    """List the merges that concern customers of a log."""
    assert log.identities is not None  # else there are no merges
    merges = log.identities.merges
    known = log.customers.indices([row[0] for row in merges.rows]) >= 0
    return replace(merges, rows=tuple(compress(merges.rows, known.tolist())))


def _null_for_none(codes: np.ndarray) -> pa.Array:
    return pa.array(codes, mask=codes < 0)
