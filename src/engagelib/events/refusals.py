"""Refusals: the rows of a log that are set aside (bad rows, bots, exact duplicates), each with its reason."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from engagelib.frames import Refused

REPEATED: Final = "row: repeats an earlier row in every column"
BOT: Final = "customer_id: a customer with more than"
"""How the reasons of exact duplicates and of bots read, or begin."""


def number_histories(codes: Mapping[str, np.ndarray], n_customers: int) -> tuple[np.ndarray, int]:
    """Number the histories of a log: customers by their code, then anonymous visits.

    A visit is a session, or an order where the row has no session. Visits are numbered by their codes, so
    that the order of rows does not matter.

    Returns
    -------
    The history of each event, int64, and the number of histories.
    """
    history = codes["customer_id"].astype(np.int64)
    anonymous = np.flatnonzero(history < 0)
    if not len(anonymous):
        return history, n_customers
    visit = np.full(len(anonymous), -1, np.int64)
    first = 0
    for name in ("session_id", "order_id"):
        if name in codes:
            code = codes[name][anonymous].astype(np.int64)
            visit = np.where((visit < 0) & (code >= 0), first + code, visit)
            first += int(codes[name].max(initial=-1)) + 1
    visits, place = np.unique(visit, return_inverse=True)
    history[anonymous] = n_customers + place
    return history, n_customers + len(visits)


def set_aside_bots(refused: Refused, codes: Mapping[str, np.ndarray], most: int) -> None:
    """Set aside every row of a customer or anonymous visit with more than `most` events."""
    kept = np.flatnonzero(refused.code == 0)
    n_customers = int(codes["customer_id"].max(initial=-1)) + 1
    history, n_histories = number_histories({name: code[kept] for name, code in codes.items()}, n_customers)
    too_many = np.bincount(history, minlength=n_histories) > most
    if too_many.any():
        mask = np.zeros(len(refused.code), bool)
        mask[kept] = too_many[history]
        column, reason = BOT.split(": ")
        refused.add(mask, column, f"{reason} {most:,} events")


def set_aside_duplicates(refused: Refused, columns: Mapping[str, np.ndarray]) -> None:
    """Set aside rows that repeat an earlier one in every column."""
    kept = np.flatnonzero(refused.code == 0)
    mask = np.zeros(len(refused.code), bool)
    mask[kept[repeats([values[kept] for values in columns.values()])]] = True
    column, reason = REPEATED.split(": ")
    refused.add(mask, column, reason)


def repeats(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return the places, rising, of rows that equal an earlier one in every column; NaN equals NaN."""
    words = [_words(values) for values in columns]
    mixed = np.zeros(len(words[0]), np.uint64)
    for word in words:
        mixed ^= word
        mixed *= np.uint64(0xBF58_476D_1CE4_E5B9)
        mixed ^= mixed >> np.uint64(31)
    # Equal rows have equal hashes: only rows whose hash occurs twice are compared in full.
    in_order = np.sort(mixed)
    twice = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    if not len(twice):
        return np.zeros(0, np.int64)
    nearest = np.minimum(np.searchsorted(twice, mixed), len(twice) - 1)
    suspects = np.flatnonzero(twice[nearest] == mixed)
    rows = np.stack([word[suspects] for word in words], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.delete(suspects, first)


def _words(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values, np.int64).view(np.uint64)
    plain = values + 0.0  # -0.0 becomes 0.0, and a NaN gets the bits of every other
    plain[np.isnan(plain)] = np.nan
    return plain.view(np.uint64)
