"""Lessons: what learning reads of a decision log, as arrays, from one state of it."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engagelib.actions.decisions.tables import outcomes_of

_BLOCK: Final = 20_000
_COLUMNS: Final = "number, at, action, p_success, is_control, features, features_width, features_version"


@dataclass(frozen=True, eq=False)
class Lessons:
    """Decisions in the order of their numbers.

    Attributes
    ----------
    number, at
        int64, shape (n,).
    action
        Names.
    p_success
        float64, shape (n,); NaN where none was logged.
    is_control
        bool, shape (n,).
    features
        float64, shape (n, n_features); all NaN where none were logged, or others.
    has_features
        bool, shape (n,).
    """

    number: np.ndarray
    at: np.ndarray
    action: list[str]
    p_success: np.ndarray
    is_control: np.ndarray
    features: np.ndarray
    has_features: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def take(self, index: np.ndarray) -> "Lessons":
        """Return some of the decisions, by mask or place."""
        places = np.arange(len(self))[index]
        return Lessons(
            self.number[places],
            self.at[places],
            [self.action[place] for place in places.tolist()],
            self.p_success[places],
            self.is_control[places],
            self.features[places],
            self.has_features[places],
        )


class Reader:
    """Reads lessons and outcomes from one state of a log.

    Parameters
    ----------
    connection
        Inside a transaction that reads.
    n_features, version
        Which features are wanted; a version of None takes any of that number.
    outcome
        The name of the outcome that is learned from.
    """

    def __init__(
        self, connection: sqlite3.Connection, n_features: int, version: str | None, outcome: str
    ) -> None:
        self.connection = connection
        self.n_features = n_features
        self.version = version
        self.outcome = outcome

    def newest_outcome(self) -> int:
        """Return the number of the last outcome, 0 where there is none."""
        return int(self.connection.execute("SELECT ifnull(max(number), 0) FROM outcomes").fetchone()[0])

    def after(self, number: int) -> Iterator[Lessons]:
        """Go through the decisions with larger numbers, block by block."""
        while True:
            found = self._read("number > ? ORDER BY number LIMIT ?", (number, _BLOCK))
            if not len(found):
                return
            yield found
            number = int(found.number[-1])

    def numbered(self, numbers: np.ndarray) -> Iterator[Lessons]:
        """Go through the decisions of these numbers, rising, that are still there."""
        for first in range(0, len(numbers), _BLOCK):
            text = json.dumps(numbers[first : first + _BLOCK].tolist())
            yield self._read("number IN (SELECT value FROM json_each(?)) ORDER BY number", (text,))

    def of_customer(self, customer_id: int | str) -> Lessons:
        """Return the decisions about one customer."""
        return self._read("customer_id = ? ORDER BY number", (customer_id,))

    def outcomes(self, numbers: np.ndarray, up_to: int) -> np.ndarray:
        """Return the outcome of each decision among those recorded up to a number, 0 where there is none."""
        found = outcomes_of(self.connection, numbers, up_to, self.outcome).get(self.outcome)
        return np.zeros(len(numbers)) if found is None else np.nan_to_num(found)

    def touched(self, after: int) -> np.ndarray:
        """Return the numbers of decisions with outcomes recorded after a number, rising."""
        sql = "SELECT DISTINCT decision FROM outcomes WHERE number > ? AND name = ? ORDER BY decision"
        rows = self.connection.execute(sql, (after, self.outcome)).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def _read(self, where: str, parameters: tuple[Any, ...]) -> Lessons:
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM decisions WHERE {where}", parameters
        ).fetchall()
        columns = list(zip(*rows, strict=True)) if rows else [()] * 8
        number, at, action, p_success, is_control, blobs, widths, versions = columns
        features, fitting = self._features(blobs, widths, versions)
        return Lessons(
            np.array(number, np.int64),
            np.array(at, np.int64),
            list(action),
            np.array(p_success, np.float64),  # None becomes NaN
            np.array(is_control, bool),
            features,
            fitting,
        )

    def _features(
        self, blobs: tuple[Any, ...], widths: tuple[Any, ...], versions: tuple[Any, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        sizes = np.array([len(blob) if blob is not None else -1 for blob in blobs], np.int64)
        width = np.array([width or 0 for width in widths], np.int64)
        fitting = sizes == width * self.n_features
        if self.version is not None:
            fitting &= np.array([version == self.version for version in versions], bool)
        features = np.full((len(blobs), self.n_features), np.nan)
        for each in (4, 8):
            mine = np.flatnonzero(fitting & (width == each))
            joined = b"".join([blobs[place] for place in mine.tolist()])
            features[mine] = np.frombuffer(joined, f"<f{each}").reshape(len(mine), self.n_features)
        return features, fitting
