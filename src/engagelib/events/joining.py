"""Joining: two logs become one, as if they had been read together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.events.reading import Reading
from engagelib.events.refusals import BOT
from engagelib.frames import Refused, encode_ids
from engagelib.vocabulary import Vocabulary

if TYPE_CHECKING:
    from engagelib.events.log import EventLog


def join_logs(first: "EventLog", second: "EventLog") -> Reading:
    """Put two logs one after the other, as if they had just been read.

    Customers and visits that one of the logs set aside as bots are refused in the other one too.
    """
    logs = (first, second)
    codes, vocabularies, numbers = {}, {}, {}
    for name in dict.fromkeys([*first.columns, *second.columns]):
        if any(name in log.vocabularies for log in logs):
            joined = _join_vocabularies(
                [log.vocabularies[name] for log in logs if name in log.vocabularies], name
            )
            vocabularies[name] = joined
            codes[name] = np.concatenate([_recode(log, name, joined) for log in logs])
        else:
            numbers[name] = np.concatenate([log.columns.get(name, np.full(len(log), np.nan)) for log in logs])
    n_rows = len(first) + len(second)
    refused = Refused(np.zeros(n_rows, np.uint8))
    for log in logs:
        bots = log.rejected.filter(pc.starts_with(log.rejected["reason"], BOT))
        if len(bots):
            column, reason = bots["reason"][0].as_py().split(": ")
            refused.add(_events_of(bots, codes, vocabularies), column, reason)
    return Reading(
        table=stack([log.to_table() for log in logs]),
        codes=codes,
        dictionaries={name: vocabulary.to_arrow() for name, vocabulary in vocabularies.items()},
        numbers=numbers,
        time_kind=first.time_kind,
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


def _join_vocabularies(vocabularies: Sequence[Vocabulary], name: str) -> Vocabulary:
    filled = [vocabulary for vocabulary in vocabularies if len(vocabulary)]
    if len({vocabulary.kind for vocabulary in filled}) > 1:
        raise errors.log.other_id_type(name, filled[1].kind, filled[0].kind, "the log to append")
    if not filled:
        return vocabularies[0]
    return Vocabulary.from_values(pa.concat_arrays([vocabulary.to_arrow() for vocabulary in filled]))


def _recode(log: "EventLog", name: str, joined: Vocabulary) -> np.ndarray:
    if name not in log.columns:
        return np.full(len(log), -1, np.int32)
    places = np.append(joined.indices(log.vocabularies[name]), np.int32(-1))
    return np.asarray(places[log.columns[name]])


def _events_of(
    bots: pa.Table, codes: Mapping[str, np.ndarray], vocabularies: Mapping[str, Vocabulary]
) -> np.ndarray:
    """Say of each event whether its history (a customer, or else a session, or an order) is in a table."""
    found = np.zeros(len(codes["customer_id"]), bool)
    unsettled_bots, unsettled = np.ones(len(bots), bool), np.ones(len(found), bool)
    for name in ("customer_id", "session_id", "order_id"):
        if name not in codes:
            continue
        if name in bots.column_names:
            theirs, ids = encode_ids(bots[name], name, Refused(np.zeros(len(bots), np.uint8)))
            place = np.append(vocabularies[name].indices(ids), np.int32(-1))[theirs]
            listed = np.zeros(len(vocabularies[name]) + 1, bool)
            listed[place[unsettled_bots & (place >= 0)]] = True
            found |= unsettled & listed[codes[name]]
            unsettled_bots &= theirs < 0
        unsettled &= codes[name] < 0
    return found
