"""Bound: an availability as the items of one model see it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from engagelib import errors
from engagelib.availability.scopes import OTHER, code_of
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from engagelib.availability.availability import Availability


class BoundAvailability:
    """What may be shown of one model's items; it follows updates of its source by itself.

    Made by `Availability.bind`. A copy, or what arrives in another process, is bound to a source anew.

    Attributes
    ----------
    source
        The availability.
    items
        The items of the model.
    n_unknown_items
        How many items of the source's table the model does not know. Ids of another type are unknown.
    """

    __slots__ = ("__weakref__", "_number", "items", "n_unknown_items", "source")

    def __init__(self, source: "Availability", items: Vocabulary, number: int, n_unknown_items: int) -> None:
        self.source = source
        self.items = items
        self._number = number
        self.n_unknown_items = n_unknown_items

    def __reduce__(self) -> tuple[Any, ...]:
        return _bind, (self.source, self.items)

    def __repr__(self) -> str:
        return f"BoundAvailability({len(self.items):,} items of a model, {self.source!r})"

    def mask(self, channel: Id | None, location: Id | None, at: int | None) -> np.ndarray:
        """Say of each item of the model whether it may be shown.

        Asking again costs about a microsecond. A mask is drawn anew when a window opened or closed since, and
        never changed once it is handed out.

        Parameters
        ----------
        channel, location
            None where the call names none: an item then counts where it is available in every channel, or at
            every location, that the table names. In one that nothing names, as with an id of another type,
            only what holds for every one counts.
        at
            Microseconds since 1970; it does not matter where the table has no windows.

        Returns
        -------
        True where an item may be shown, bool of shape (n_items,), read-only.

        Raises
        ------
        ArgumentError
            If `at` is None and the table has windows.
        """
        source = self.source
        state = source._state
        if not source._has_windows:
            at = 0
        elif at is None:
            raise errors.availability.needs_moment()
        channels, locations = state.codes
        scope = code_of(channels, channel), code_of(locations, location)
        return state.views[self._number].mask(scope, at)

    @property
    def revision(self) -> object:
        """What is another object whenever anything was updated."""
        return self.source._state

    def unknown(self, channel: Id | None, location: Id | None) -> dict[str, int]:
        """Count the names of a call that neither the table nor an update has, where the table has any.

        Returns
        -------
        As in `{"channel": 1}`; empty where all is known.
        """
        source = self.source
        sides = zip(
            ("channel", "location"), (channel, location), source._state.codes, source._n_named, strict=True
        )
        return {side: 1 for side, name, codes, n_named in sides if n_named and code_of(codes, name) == OTHER}


def _bind(source: "Availability", items: Vocabulary) -> BoundAvailability:
    return source.bind(items)
