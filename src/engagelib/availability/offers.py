"""Offers: a table of what is offered as codes and moments, and what of it concerns the items of a model."""

from dataclasses import dataclass

import numpy as np

from engagelib.availability.rows import NEVER_AFTER, NEVER_BEFORE, TABLE_KEY, Rows
from engagelib.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Offers:
    """A checked table of what is offered, one row after the other as it came.

    Attributes
    ----------
    items, channels, locations
        The ids that rows name.
    item, channel, location
        int32 codes into these, shape (n_rows,); -1 for every channel and every location.
    starts, ends
        int64, microseconds since 1970; `NEVER_BEFORE` and `NEVER_AFTER` where there is no bound.
    in_stock
        False where the quantity is 0.
    ignored
        Columns that were not read.
    """

    items: Vocabulary
    channels: Vocabulary
    locations: Vocabulary
    item: np.ndarray
    channel: np.ndarray
    location: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    in_stock: np.ndarray
    ignored: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.item)

    @property
    def bounded(self) -> np.ndarray:
        """Say of each row whether it has a window, bool."""
        return np.asarray((self.starts > NEVER_BEFORE) | (self.ends < NEVER_AFTER))

    def rows(self, places: np.ndarray) -> Rows:
        """Return the rows that can hold, under the item indices of a model.

        `places` has the model's index of each item of the table, -1 for those that it does not know.
        """
        index = places[self.item]
        kept = np.flatnonzero(self.in_stock & (index >= 0))
        kept = kept[np.lexsort((self.location[kept], self.channel[kept]))]
        windows = (self.starts[kept], self.ends[kept]) if self.bounded.any() else (None, None)
        keys = np.full(len(kept), TABLE_KEY, np.int64)
        return Rows(index[kept], self.channel[kept], self.location[kept], keys, *windows)
