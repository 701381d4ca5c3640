"""Digests: one number for all that an availability says, by which a job knows that nothing changed."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from engagelib.availability.offers import Offers
from engagelib.availability.scopes import EVERY, Scope
from engagelib.vocabulary import Id, Vocabulary


def digest_of(offers: Offers, names: Sequence[Sequence[Id]], said: Mapping[tuple[Scope, Id], int]) -> str:
    """Return the blake2b of a table, in any order of its rows, and of the updates that still count.

    Parameters
    ----------
    offers
        The table.
    names
        The ids of channels and of locations, by code.
    said
        Keys of updates as in `Rows`, by scope and item.
    """
    total = blake2b(digest_size=32)
    for vocabulary in (offers.items, offers.channels, offers.locations):
        _add_ids(total, vocabulary)
    columns = (offers.item, offers.channel, offers.location, offers.starts, offers.ends, offers.in_stock)
    _add_rows(total, np.stack([column.astype(np.int64) for column in columns]))
    if said:
        scopes, ids = zip(*said, strict=True)
        items = Vocabulary.from_values(ids)
        _add_ids(total, items)
        channel, location = np.array(scopes, np.int64).T
        keys = np.fromiter(said.values(), np.int64, len(said))
        rows = _standing(items.indices(ids).astype(np.int64), channel, location, keys)
        for side, known in enumerate(names, start=1):
            codes = np.unique(rows[side][rows[side] >= 0])
            used = [known[code] for code in codes]
            vocabulary = Vocabulary.from_values(used)
            _add_ids(total, vocabulary)
            # The codes of names that only updates have tell in which order these came.
            renamed = np.full(len(known) + 1, -1)
            renamed[codes] = vocabulary.indices(used)
            rows[side] = renamed[rows[side]]
        _add_rows(total, rows)
    return total.hexdigest()


def _add(total: "blake2b", array: np.ndarray) -> None:
    total.update(f"{array.shape}{array.dtype.kind};".encode())
    total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def _add_ids(total: "blake2b", vocabulary: Vocabulary) -> None:
    values = vocabulary.values
    for part in (values,) if isinstance(values, np.ndarray) else (values.offsets, values.data):
        _add(total, part)


def _add_rows(total: "blake2b", columns: np.ndarray) -> None:
    """Add rows, int64 of shape (n_columns, n_rows), in an order of their own and each of them once."""
    columns = columns[:, np.lexsort(columns[::-1])]
    again = (columns[:, 1:] == columns[:, :-1]).all(axis=0)
    _add(total, columns[:, np.append(True, ~again)[: columns.shape[1]]])


def _standing(item: np.ndarray, channel: np.ndarray, location: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the updates that no later one covers: item, channel, location, what they say, their turn.

    Order matters only between one for a channel and one for a location that contradict each other. These
    fall into two sets, as either may say yes; turns count the changes between channel and location in each.
    """
    n_locations = int(location.max()) + 2
    n_places = (int(channel.max()) + 2) * n_locations

    def place(of_channel: np.ndarray | int, of_location: np.ndarray | int) -> np.ndarray:
        return np.asarray(item * n_places + (of_channel + 1) * n_locations + of_location + 1)

    own = place(channel, location)
    order = np.argsort(own)
    stands = np.ones(len(own), bool)
    for wider in (place(channel, EVERY), place(EVERY, location), place(EVERY, EVERY)):
        found = order[np.minimum(np.searchsorted(own[order], wider), len(own) - 1)]
        stands &= (own[found] != wider) | (keys[found] <= keys)
    item, channel, location, keys = item[stands], channel[stands], location[stands], keys[stands]
    yes = keys & 1
    turn = np.zeros(len(item), np.int64)
    crossing = np.flatnonzero((channel == EVERY) != (location == EVERY))
    of_channel = (location == EVERY).astype(np.int64)
    either = of_channel ^ yes
    crossing = crossing[np.lexsort((keys[crossing], either[crossing], item[crossing]))]
    turn[crossing[1:]] = np.cumsum(np.diff(of_channel[crossing]) != 0)
    return np.stack([item, channel, location, yes, turn])
