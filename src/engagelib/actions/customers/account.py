"""Account: the ledger of a single history, in plain Python over short lists, for serving in a hurry."""

from bisect import bisect_right
from functools import lru_cache
from math import isnan

import numpy as np

from engagelib import errors
from engagelib.actions.customers.ledger import FINE, Roles, millionths
from engagelib.actions.customers.undoing import ROUNDING
from engagelib.drawing import check_unaltered
from engagelib.histories import Histories
from engagelib.times import DAY

roles_of = lru_cache(maxsize=64)(Roles.of)


def end_of(history: Histories, at: int, what: str) -> int:
    """Return how many events of a single history lie up to a moment; refuse what is no such history."""
    if history.time_kind != "timestamp":
        raise errors.log.needs_time(what, history.time_kind)
    assert history.time is not None
    if history.n_histories != 1:
        raise errors.customers.not_one_history(history.n_histories)
    return int(history.time.searchsorted(at, "right"))


class Account:
    """Purchases, occasions and returns of one history up to a moment; see `ledger.Ledger` for the terms.

    Parameters
    ----------
    history
        One row with real times.
    end
        How many of its events count.
    """

    __slots__ = (
        "back",
        "began",
        "bought",
        "bought_at",
        "codes",
        "days",
        "earned",
        "end",
        "ended",
        "occasion",
        "rated",
        "roles",
        "taken",
        "time",
    )

    def __init__(self, history: Histories, end: int) -> None:
        assert history.time is not None
        self.end = end
        self.roles = roles = roles_of(history.event_types, history.item_types)
        self.codes: list[int] = history.event_type[:end].tolist()
        self.time: list[int] = history.time[:end].tolist()
        if self.codes and not 0 <= min(self.codes) <= max(self.codes) < len(history.event_types):
            check_unaltered(history)
        purchases, returns, codes = roles.purchases, roles.returns, self.codes
        self.bought = [place for place, code in enumerate(codes) if code in purchases]
        self.back = [place for place, code in enumerate(codes) if code in returns] if returns else []
        self.occasion: list[int] = []
        self.began: list[int] = []
        self.days: list[int] = []
        self.bought_at: list[int] = []
        self.earned: list[int] = []
        self.taken: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.rated: list[tuple[int, float, bool]] | None = None

    @classmethod
    def of(cls, history: Histories, at: int, what: str, *, with_money: bool) -> "Account":
        """Take the events of a single history up to a moment, and settle them."""
        return cls(history, end_of(history, at, what)).settle(history, with_money=with_money)

    def settle(self, history: Histories, *, with_money: bool) -> "Account":
        """Work out occasions, what returns end, and where asked for the money; the rest needs none of it."""
        end, bought = self.end, self.bought
        self.bought_at = [self.time[place] for place in bought]
        self.occasion = [-1 - moment // DAY for moment in self.bought_at]
        if "order" in history.codes:
            order = history.codes["order"][:end].tolist()
            self.occasion = [
                order[place] if order[place] >= 0 else day
                for place, day in zip(bought, self.occasion, strict=True)
            ]
        seen: set[int] = set()
        for moment, occasion in zip(self.bought_at, self.occasion, strict=True):
            if occasion not in seen:
                seen.add(occasion)
                self.began.append(moment)
        self.days = sorted({moment // DAY for moment in self.began})
        worth = self._worth(history) if with_money else {}
        if self.back:
            self._undo(history, worth)
        return self

    def _worth(self, history: Histories) -> dict[int, int]:
        """Note what each purchase brought; return it by place, nothing without values."""
        if "value" not in history.numbers or not self.bought:
            return {}
        self.earned = millionths(history.numbers["value"][: self.end][self.bought]).tolist()
        return dict(zip(self.bought, self.earned, strict=True)) if self.back else {}

    def _undo(self, history: Histories, worth: dict[int, int]) -> None:
        """Match returns; what they take and what they end is noted in `taken` and `ended`."""
        items: list[int] = history.item_index[: self.end].tolist()
        returned = {items[place] for place in self.back} - {-1}
        sizes = [1.0] * self.end
        if "quantity" in history.numbers:
            pieces = history.numbers["quantity"][: self.end].astype(np.float64).tolist()
            sizes = [1.0 if isnan(size) else abs(size) for size in pieces]
        moves: dict[int, list[tuple[int, bool, float, int]]] = {item: [] for item in returned}
        for places, is_return in ((self.bought, False), (self.back, True)):
            for place in places:
                if items[place] in returned and sizes[place] > 0:
                    moves[items[place]].append((self.time[place], is_return, sizes[place], place))
        for of_item in moves.values():
            stack: list[_Layer] = []
            top = None
            for moment, is_return, size, place in sorted(of_item):
                if is_return:
                    self._take(stack, size, place, moment)
                    top = None
                else:
                    if top is None or top.moment != moment:
                        top = _Layer(moment)
                        stack.append(top)
                    top.add(size, worth.get(place, 0), place)

    def _take(self, stack: "list[_Layer]", size: float, place: int, moment: int) -> None:
        rest = size
        while rest > 0 and stack:
            layer = stack[-1]
            amount = min(rest, layer.left)
            before = layer.left / layer.thick
            rest = 0.0 if rest - amount < size * ROUNDING else rest - amount
            left = layer.left - amount
            layer.left = 0.0 if left < layer.thick * ROUNDING else left
            taken = round(layer.left / layer.thick * float(layer.worth)) - round(before * float(layer.worth))
            self.taken.append((moment, taken))
            if layer.left == 0:
                self.ended += [(line, place) for line in layer.lines]
                stack.pop()

    def value(self, since: int | None = None) -> float:
        """Return the money kept, or what it grew by after a moment."""
        if since is None:
            return (sum(self.earned) + sum(amount for _, amount in self.taken)) / FINE
        earned = self.earned[bisect_right(self.bought_at, since) :]
        return (sum(earned) + sum(amount for moment, amount in self.taken if moment > since)) / FINE

    def interval(self) -> float | None:
        """Return the mean days from one day with purchases to the next, None with fewer than two."""
        days = self.days
        return (days[-1] - days[0]) / (len(days) - 1) if len(days) > 1 else None

    def ratings(self, history: Histories) -> list[tuple[int, float, bool]]:
        """Return the time and number of each rating, oldest first, and whether it answers a survey."""
        if self.rated is None:
            self.rated = [] if "rating" not in history.numbers else self._ratings(history)
        return self.rated

    def _ratings(self, history: Histories) -> list[tuple[int, float, bool]]:
        every = history.numbers["rating"][: self.end]
        stated = np.flatnonzero(~np.isnan(every))
        time, codes, surveys = self.time, self.codes, self.roles.surveys
        pairs = zip(stated.tolist(), every[stated].tolist(), strict=True)
        return [(time[place], rating, codes[place] in surveys) for place, rating in pairs]

    def first_of(self, event_types: tuple[str, ...], name: str) -> int | None:
        """Return the time of the first event of a type, None where there is none."""
        if name not in event_types or (code := event_types.index(name)) not in self.codes:
            return None
        return self.time[self.codes.index(code)]

    def path(self) -> list[tuple[int, int]]:
        """Return how many occasions something was kept of, after each moment with a purchase or return."""
        occasion = dict(zip(self.bought, self.occasion, strict=True))
        steps = [(self.time[place], 1, one) for place, one in occasion.items()]
        steps += [(self.time[by], -1, occasion[line]) for line, by in self.ended]
        alive: dict[int, int] = {}
        path: list[tuple[int, int]] = []
        n_kept = 0
        for moment, step, one in sorted(steps):
            before = alive.get(one, 0)
            alive[one] = before + step
            n_kept += (alive[one] > 0) - (before > 0)
            if path and path[-1][0] == moment:
                path.pop()
            path.append((moment, n_kept))
        return path


class _Layer:
    """Purchases of one item in one moment."""

    __slots__ = ("left", "lines", "moment", "thick", "worth")

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.thick = self.left = 0.0
        self.worth = 0
        self.lines: list[int] = []

    def add(self, size: float, worth: int, place: int) -> None:
        self.thick += size
        self.left = self.thick
        self.worth += worth
        self.lines.append(place)
