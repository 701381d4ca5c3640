"""The control group: customers that are left alone, always the same ones, by a hash of their id."""

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np

from engagelib.strings import StringColumn, hash_bytes
from engagelib.vocabulary import Id, Vocabulary

_AT_ONCE: Final = 2**16
_WORD: Final = 2**64 - 1
_STEPS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_TEXT, _INTEGER = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
"""Odd numbers that set the hashes of texts and integers apart: 1 and "1" are two customers."""


class ControlGroup:
    """A share of all customers, drawn by a hash of their ids: the same in every process and every year.

    A smaller share with the same salt is a part of the larger one, so that a control group can be made
    smaller without touching those who stay. Another salt draws afresh. The hash is SplitMix64's finalizer
    (Steele, Lea, Flood, 2014) over the id and the salt.

    Parameters
    ----------
    share
        Of all customers, in [0, 1).
    salt
        Any text.
    """

    def __init__(self, share: float, salt: str = "") -> None:
        self.share, self.salt = share, salt
        self._seed = int.from_bytes(hashlib.blake2b(salt.encode(), digest_size=8).digest(), "big")
        self._below = round(share * 2**64)

    def holds(self, customer_id: Id | None) -> bool:
        """Say whether a customer belongs to it; nobody without an id does."""
        if not self._below or customer_id is None:
            return False
        if isinstance(customer_id, str):
            return _mix(hash_bytes(_normal(customer_id).encode()) * _TEXT ^ self._seed) < self._below
        return _mix(int(customer_id) * _INTEGER ^ self._seed) < self._below

    def holds_many(self, customer_ids: "Sequence[Id | None] | Vocabulary") -> np.ndarray:
        """Say the same of many, bool of shape (n,)."""
        held = np.zeros(len(customer_ids), bool)
        if not self._below or not len(customer_ids):
            return held
        if isinstance(customer_ids, Vocabulary):
            values = customer_ids.values
            return self._held(values)
        texts = [place for place, id_ in enumerate(customer_ids) if isinstance(id_, str)]
        whole = {
            place: int(id_) & _WORD
            for place, id_ in enumerate(customer_ids)
            if isinstance(id_, int | np.integer)
        }
        if texts:
            named = [_normal(str(customer_ids[place])) for place in texts]
            held[texts] = self._held(StringColumn.from_strings(named))
        if whole:
            held[list(whole)] = self._held(np.array(list(whole.values()), np.uint64))
        return held

    def _held(self, values: "np.ndarray | StringColumn") -> np.ndarray:
        held = np.empty(len(values), bool)
        for start in range(0, len(held), _AT_ONCE):  # so that memory stays flat
            stop = min(start + _AT_ONCE, len(held))
            if isinstance(values, StringColumn):
                part: np.ndarray | StringColumn = StringColumn(values.offsets[start : stop + 1], values.data)
            else:
                part = values[start:stop]
            held[start:stop] = self._held_at_once(part)
        return held

    def _held_at_once(self, values: "np.ndarray | StringColumn") -> np.ndarray:
        if isinstance(values, StringColumn):
            words = values.hashes() * np.uint64(_TEXT)
        else:
            words = values.astype(np.uint64) * np.uint64(_INTEGER)
        words = words ^ np.uint64(self._seed)
        for shift, factor in _STEPS:
            words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
        words ^= words >> np.uint64(31)
        return np.asarray(words < np.uint64(min(self._below, _WORD)))


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _mix(word: int) -> int:
    word &= _WORD
    for shift, factor in _STEPS:
        word = (word ^ (word >> shift)) * factor & _WORD
    return word ^ (word >> 31)
