"""Views: an availability as the items of one model see it, with the masks that were asked for so far."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engagelib.availability.rows import Rows, available, span_of, stack
from engagelib.availability.scopes import EVERY, Scope, overlap
from engagelib.vocabulary import Id, Vocabulary

_MOST_SPANS: Final = 4  # of one scope: calls may alternate between now and a moment that is judged
_MOST_MASKS: Final = 256
_MOST_BYTES: Final = 2**26

_Span = tuple[int, int, np.ndarray]


@dataclass(eq=False, slots=True)
class View:
    """What may be shown of a model's items, up to one update; the next update makes another view.

    Attributes
    ----------
    bound
        Who looks through it; the view does not keep them alive.
    items
        The items of the model.
    rows
        The table, then updates, older ones first.
    moments, n_named
        As in `span_of` and `places_of`.
    memo
        Masks that are known already: of each scope the spans of time in which they hold, newest first.
        A reader that needs another one replaces the whole memo. Where two do so at a time one of the masks
        is lost and drawn again: no reader waits for another.
    """

    bound: "weakref.ref[Any]"
    items: Vocabulary
    rows: tuple[Rows, ...]
    moments: Mapping[Scope, np.ndarray]
    n_named: tuple[int, int]
    memo: Mapping[Scope, tuple[_Span, ...]]

    def mask(self, scope: Scope, at: int) -> np.ndarray:
        """Say of each item whether it may be shown, bool of shape (n_items,), read-only."""
        for opens, closes, mask in self.memo.get(scope, ()):
            if opens <= at < closes:
                return mask
        return self._draw(scope, at)

    def _draw(self, scope: Scope, at: int) -> np.ndarray:
        mask = available(self.rows, len(self.items), scope, self.n_named, at)
        mask.flags.writeable = False
        memo = dict(self.memo)
        spans = memo.pop(scope, ())
        memo[scope] = ((*span_of(self.moments, scope, at), mask), *spans[: _MOST_SPANS - 1])
        surplus = sum(map(len, memo.values())) - _most_masks(len(self.items))
        for oldest in list(memo):
            if surplus <= 0:
                break
            surplus -= len(memo.pop(oldest))
        self.memo = memo
        return mask

    def updated(self, ids: Sequence[Id], keys: np.ndarray, scope: Scope) -> "View":
        """Return the view after an update of distinct items; the masks that it touches are copied."""
        index = _places(self.items, ids)
        order = np.argsort(index)
        order = order[np.searchsorted(index[order], 0) :]
        if not len(order):
            return self
        index, keys = index[order], keys[order]
        rows = (self.rows[0], *stack(self.rows[1:], update_rows(index, keys, scope), Rows.followed_by))
        about: list[Rows] = []

        def patched(asked: Scope, span: _Span) -> _Span:
            opens, closes, mask = span
            if EVERY in asked:
                # Other places have their say too. Within the span the table says the same all the time.
                if not about:
                    about.extend(part.about(index) for part in rows)
                values = available(about, len(index), asked, self.n_named, opens)
            else:
                values = (keys & 1).astype(bool)
            mask = mask.copy()
            mask[index] = values
            mask.flags.writeable = False
            return opens, closes, mask

        memo = {
            asked: tuple(patched(asked, span) for span in spans) if overlap(asked, scope) else spans
            for asked, spans in self.memo.items()
        }
        return View(self.bound, self.items, rows, self.moments, self.n_named, memo)


def update_rows(index: np.ndarray, keys: np.ndarray, scope: Scope) -> Rows:
    """Return what an update says of items at one scope."""
    channels, locations = (np.full(len(index), code, np.int32) for code in scope)
    return Rows(index, channels, locations, keys)


def _places(items: Vocabulary, ids: Sequence[Id]) -> np.ndarray:
    """Return the index of each id; of a few, one by one is faster."""
    return items.indices(ids) if len(ids) > 32 else np.fromiter(map(items.find, ids), np.int32, len(ids))


def _most_masks(n_items: int) -> int:
    return min(_MOST_MASKS, max(2 * _MOST_SPANS, _MOST_BYTES // max(n_items, 1)))
