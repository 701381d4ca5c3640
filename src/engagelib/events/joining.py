"""Joining: two logs become one, as if they had been read together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.events.customers import owners
from engagelib.events.reading import Reading
from engagelib.events.refusals import BOT
from engagelib.frames import Refused, encode_ids
from engagelib.identity import IdentityMap
from engagelib.vocabulary import Vocabulary

if TYPE_CHECKING:
    from engagelib.events.log import EventLog


def join_logs(logs: "Sequence[EventLog]", identities: IdentityMap | None) -> Reading:
    """Put logs one after the other, as if they had just been read.

    Parameters
    ----------
    logs
        Logs that tell order in the same way. Customers and visits that one of them set aside as bots are
        refused in the others too.
    identities
        The map by which the customers of all are resolved, joined from those of the logs.
    """
    codes, vocabularies, numbers = {}, {}, {}
    for name in dict.fromkeys(name for log in logs for name in log.columns):
        if any(name in log.vocabularies for log in logs):
            ids = [_ids_of(log, name, identities) for log in logs]
            joined = _join_ids(ids, name)
            vocabularies[name] = joined
            codes[name] = np.concatenate(
                [_recode(log, name, theirs, joined) for log, theirs in zip(logs, ids, strict=True)]
            )
        else:
            numbers[name] = np.concatenate([log.columns.get(name, np.full(len(log), np.nan)) for log in logs])
    n_rows = sum(len(log) for log in logs)
    refused = Refused(np.zeros(n_rows, np.uint8))
    for log in logs:
        bots = log.rejected.filter(pc.starts_with(log.rejected["reason"], BOT))
        if len(bots):
            column, reason = bots["reason"][0].as_py().split(": ")
            refused.add(_events_of(bots, codes, vocabularies, identities), column, reason)
    return Reading(
        table=stack([log.to_table() for log in logs]),
        codes=codes,
        dictionaries={name: vocabulary.to_arrow() for name, vocabulary in vocabularies.items()},
        numbers=numbers,
        time_kind=logs[0].time_kind,
        relabelled=np.zeros(n_rows, bool),
        refused=refused,
        ignored=(),
    )


def stack(tables: Sequence[pa.Table]) -> pa.Table:
    """Stack tables; columns whose types can't be joined without loss become text."""
    tables = list(tables)
    for name in dict.fromkeys(name for table in tables for name in table.column_names):
        kinds = {table[name].type for table in tables if name in table.column_names} - {pa.null()}
        if len(kinds) > 1:
            exact = all(pa.types.is_integer(kind) and kind != pa.uint64() for kind in kinds)
            kind = pa.int64() if exact else pa.large_string()
            tables = [
                table.set_column(table.column_names.index(name), name, table[name].cast(kind))
                if name in table.column_names
                else table
                for table in tables
            ]
    return pa.concat_tables(tables, promote_options="default")


def _ids_of(log: "EventLog", name: str, identities: IdentityMap | None) -> pa.Array | None:
    """Return the ids behind the codes of one column, if there is one; customers by the ids of a map."""
    if name not in log.vocabularies:
        return None
    ids = log.vocabularies[name].to_arrow()
    if name != "customer_id" or identities is None or identities is log.identities:
        return ids
    return identities.canonicals(ids)


def _join_ids(parts: "Sequence[pa.Array | None]", name: str) -> Vocabulary:
    known = [part for part in parts if part is not None]
    filled = [part for part in known if len(part)]
    kinds = ["int" if pa.types.is_integer(part.type) else "str" for part in filled]
    other = next((kind for kind in kinds if kind != kinds[0]), None)
    if other is not None:
        raise errors.log.other_id_type(name, other, kinds[0], "the log to append")
    return Vocabulary.from_values(pa.concat_arrays(filled or known[:1]))


def _recode(log: "EventLog", name: str, ids: pa.Array | None, joined: Vocabulary) -> np.ndarray:
    if ids is None:
        return np.full(len(log), -1, np.int32)
    places = np.append(joined.indices(ids), np.int32(-1))
    return np.asarray(places[log.columns[name]])


def _events_of(
    bots: pa.Table,
    codes: Mapping[str, np.ndarray],
    vocabularies: Mapping[str, Vocabulary],
    identities: IdentityMap | None,
) -> np.ndarray:
    """Say of each event whether its history (a customer, or else a session, or an order) is in a table."""
    found = np.zeros(len(codes["customer_id"]), bool)
    unsettled_bots, unsettled = np.ones(len(bots), bool), np.ones(len(found), bool)
    for name in ("customer_id", "session_id", "order_id"):
        if name not in codes:
            continue
        if name in bots.column_names:
            column = owners(bots) if name == "customer_id" else bots[name]
            theirs, ids = encode_ids(column, name, Refused(np.zeros(len(bots), np.uint8)))
            if name == "customer_id" and identities is not None:
                ids = identities.canonicals(ids)
            place = np.append(vocabularies[name].indices(ids), np.int32(-1))[theirs]
            listed = np.zeros(len(vocabularies[name]) + 1, bool)
            listed[place[unsettled_bots & (place >= 0)]] = True
            found |= unsettled & listed[codes[name]]
            unsettled_bots &= theirs < 0
        unsettled &= codes[name] < 0
    return found
