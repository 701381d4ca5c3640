"""Lifecycle: the stage of customers as of any moment, from first interest to loyalty, silence and loss."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.actions.customers.account import Account, end_of
from engagelib.actions.customers.arguments import check_pairs, in_blocks, moments_of, number, whole
from engagelib.actions.customers.counting import intervals
from engagelib.actions.customers.guard import BadExperiences, Guard, guard_of, newest_bad, newest_bad_of
from engagelib.actions.customers.ledger import Ledger
from engagelib.actions.customers.spots import Spots, first_after, moment_ends
from engagelib.actions.customers.stages import (
    NEVER,
    REASONS,
    STAGES,
    Stage,
    Stages,
    StageTable,
    StageTransitions,
    reason_text,
)
from engagelib.histories import Histories
from engagelib.times import DAY, Moment, as_microseconds, to_datetime

_AT_ONCE = 1 << 16

_LOYAL, _REFERRAL, _ADVOCACY = (STAGES.index(name) for name in ("loyal", "referral", "advocacy"))
_LAPSING, _LOST = STAGES.index("lapsing"), STAGES.index("lost")


class Lifecycle:
    """Where customers stand, as a few thresholds say; nothing is learned.

    Purchases are counted as occasions: orders, or else days, of which something was kept. Of the stages that
    apply the last in this list counts:

    ==============  =========================================================================================
    unknown         no event
    interest        events, and no purchase that was kept
    first_purchase  one purchase
    repeat          from the second purchase on
    loyal           from `loyal_from` purchases on
    referral        made a referral, whenever it was and however much was bought
    advocacy        loyal, and recommends: gave a high rating or answered as a promoter, later than the newest
                    bad experience, which is not recent
    lapsing         silent for longer than expected: no event of any type
    lost            silent for much longer
    ==============  =========================================================================================

    Silence ends with the next event, whatever it is, and the customer stands where the purchases say. So no
    purchase ever moves a customer down; only time, returns and bad experiences do.

    `since` is the moment when the stage was entered: of the purchase that made it, or of the return that
    undid one; the first event; the first referral; the moment when the last of the conditions of advocacy
    came true; or when silence crossed the limit. A silence that ended in between is not counted as having
    left.

    Parameters
    ----------
    loyal_from
        Purchases from which a customer is loyal, at least 2.
    lapsing_after_days, lost_after_days
        Days of silence from which on a customer is lapsing and lost, for those who bought on fewer than two
        days; above 0, the second above the first.
    interval_multiple
        Who bought on several days is lapsing after this many times the usual interval, above 0: the mean of
        the days from one day of purchases to the next. Lost is as much later as `lost_after_days` is. None:
        everybody is measured by the days above.
    least_lapsing_days
        The usual interval never makes a customer lapse before this many days, at least 0.
    recent_days
        How long a bad experience keeps a customer from advocacy and from being asked for a referral, above 0.
    low_rating, low_survey
        A rating or an answer to a survey up to here is a bad experience, as are complaints and returns.
    high_rating, promoter_from
        A rating or an answer to a survey from here on recommends.
    referral
        The event type of a referral.

    Raises
    ------
    ArgumentError
        If an argument is out of its range.
    """

    def __init__(
        self,
        *,
        loyal_from: int = 4,
        lapsing_after_days: float = 180,
        lost_after_days: float = 365,
        interval_multiple: float | None = 3.0,
        least_lapsing_days: float = 30,
        recent_days: float = 90,
        low_rating: float = 2.0,
        low_survey: float = 6.0,
        high_rating: float = 5.0,
        promoter_from: float = 9.0,
        referral: str = "referral",
    ) -> None:
        self.loyal_from = whole("loyal_from", loyal_from, 2)
        self.lapsing_after_days = number("lapsing_after_days", lapsing_after_days, above=0)
        self.lost_after_days = number("lost_after_days", lost_after_days)
        if self.lost_after_days <= self.lapsing_after_days:
            expected = f"days above lapsing_after_days={lapsing_after_days}"
            raise errors.bad_argument("lost_after_days", lost_after_days, expected)
        self.interval_multiple = (
            None if interval_multiple is None else number("interval_multiple", interval_multiple, above=0)
        )
        self.least_lapsing_days = number("least_lapsing_days", least_lapsing_days)
        self.recent_days = number("recent_days", recent_days, above=0)
        self.low_rating = number("low_rating", low_rating)
        self.low_survey = number("low_survey", low_survey)
        self.high_rating = number("high_rating", high_rating)
        self.promoter_from = number("promoter_from", promoter_from)
        if not isinstance(referral, str) or not referral:
            raise errors.bad_argument("referral", referral, "the name of an event type")
        self.referral = referral
        self._limits = (self.low_rating, self.low_survey)
        self._recent = round(self.recent_days * DAY)

    def __repr__(self) -> str:
        return f"Lifecycle({', '.join(f'{name}={value!r}' for name, value in self.facts().items())})"

    def facts(self) -> dict[str, Any]:
        """Return the arguments, as built-in types: `Lifecycle(**facts)` is the same again."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def of(self, histories: Histories, row: np.ndarray, moment: np.ndarray) -> Stages:
        """Say where some customers stand, each as of a moment.

        Parameters
        ----------
        histories
            With real times.
        row
            Rows of the histories, -1 for an unknown customer, integers of shape (n,).
        moment
            Microseconds since 1970, int64 of shape (n,).

        Raises
        ------
        ArgumentError
            If the shapes differ, or a row is none of the histories'.
        NotEnoughDataError
            If the histories have no real times.
        """
        _needs_time("Lifecycle", histories)
        row, moment = check_pairs(histories, row, moment)
        parts: dict[str, np.ndarray] = {}
        for pairs, some, local in in_blocks(histories, row):
            ledger = Ledger(some)
            found = self._standing(ledger, Spots.of(ledger.indptr, ledger.time, local, moment[pairs]))
            for name, values in vars(found).items():
                parts.setdefault(name, np.empty(len(row), values.dtype))[pairs] = values
        if not parts:
            ledger = Ledger(histories.block(0, 0))
            return self._standing(ledger, Spots.of(ledger.indptr, ledger.time, row, moment))
        return Stages(**parts)

    def one(self, history: Histories, at: Moment | int, *, account: Account | None = None) -> Stage:
        """Say where one customer stands, as `of` does.

        Parameters
        ----------
        history
            A single row, such as `histories.block(row, row + 1)`.
        at
            A moment; or microseconds since 1970, which is quickest.
        account
            The history up to that moment, settled, where somebody else needs it too.
        """
        at = as_microseconds(at)
        if account is None:
            account = Account.of(history, at, "Lifecycle", with_money=False)
        end, time = account.end, account.time
        if not end:
            return Stage("unknown", None, reason_text("no_events", at, 0, 0, (NEVER,) * 3, 0.0), "no_events")
        n_kept, level, since = self._entered(account)
        kind, told = "purchases" if n_kept else "no_purchase", NEVER
        code, entered = level, since
        referrals = account.first_of(history.event_types, self.referral)
        if referrals is not None:
            code, kind, told, entered = _REFERRAL, "referral_made", referrals, referrals
        if level == _LOYAL and (words := self._recommends(history, account, at)):
            code, kind, told, entered = _ADVOCACY, "recommends", words[0], max(since, *words)
        lapsing_days, lost_days = self._silences(account.interval())
        limit, silent = lapsing_days, at - time[-1]
        for later, days in ((_LAPSING, lapsing_days), (_LOST, lost_days)):
            if silent >= round(days * DAY):
                code, kind, entered, limit = later, "silent", time[-1] + round(days * DAY), days
        bought = time[account.bought[-1]] if account.bought else NEVER
        text = reason_text(kind, at, end, n_kept, (time[-1], bought, told), limit)
        return Stage(STAGES[code], to_datetime(entered), text, kind)

    def bad_experiences(self, histories: Histories, row: np.ndarray, moment: np.ndarray) -> BadExperiences:
        """Say who had a bad experience in the last `recent_days`; the parameters are those of `of`.

        It is a complaint, a return, or a low rating or answer to a survey. A customer who had one is not to
        be asked for a referral.
        """
        _needs_time("Lifecycle", histories)
        row, moment = check_pairs(histories, row, moment)
        code, when = np.full(len(row), -1, np.int8), np.full(len(row), NEVER)
        for pairs, some, local in in_blocks(histories, row):
            ledger = Ledger(some)
            spots = Spots.of(ledger.indptr, ledger.time, local, moment[pairs])
            code[pairs], when[pairs] = newest_bad(ledger, spots, self._limits)
        old = (code >= 0) & (moment - when >= self._recent)
        code[old], when[old] = -1, NEVER
        return BadExperiences(code, when, moment)

    def may_refer(self, history: Histories, at: Moment | int, *, account: Account | None = None) -> Guard:
        """Say whether one customer may be asked for a referral; the parameters are those of `one`."""
        at = as_microseconds(at)
        if account is None:
            account = Account(history, end_of(history, at, "Lifecycle"))
        code, when = newest_bad_of(history, account, self._limits)
        return guard_of(code if code < 0 or at - when < self._recent else -1, when, at)

    def table(
        self,
        histories: Histories,
        moments: Sequence[Moment] | np.ndarray,
        *,
        row: np.ndarray | None = None,
    ) -> StageTable:
        """Count the customers of each stage at some moments.

        Parameters
        ----------
        histories
            With real times.
        moments
            Datetimes, or texts in ISO 8601; or an array of int64 microseconds since 1970.
        row
            The cohort, rows of the histories; None for every customer.
        """
        found, counts = moments_of(moments), np.zeros((len(moments), len(STAGES)), np.int64)
        for codes in self._paths(histories, found, row):
            for place in range(len(found)):
                counts[place] += np.bincount(codes[:, place], minlength=len(STAGES))
        return StageTable(found, counts)

    def transitions(
        self,
        histories: Histories,
        moments: Sequence[Moment] | np.ndarray,
        *,
        row: np.ndarray | None = None,
    ) -> StageTransitions:
        """Count the customers who went from one stage to another between moments that follow each other.

        The parameters are those of `table`.
        """
        found, n = moments_of(moments), len(STAGES)
        counts = np.zeros((max(len(found) - 1, 0), n, n), np.int64)
        for codes in self._paths(histories, found, row):
            for place in range(len(counts)):
                moves = codes[:, place].astype(np.int64) * n + codes[:, place + 1]
                counts[place] += np.bincount(moves, minlength=n * n).reshape(n, n)
        return StageTransitions(found, counts)

    def _paths(
        self, histories: Histories, moments: np.ndarray, row: np.ndarray | None
    ) -> Iterator[np.ndarray]:
        """Return the codes of some customers after the other, int8 of shape (n_some, n_moments)."""
        rows = np.arange(histories.n_customers) if row is None else np.asarray(row)
        for begin in range(0, len(rows), _AT_ONCE):
            some = rows[begin : begin + _AT_ONCE]
            pairs = self.of(histories, np.repeat(some, len(moments)), np.tile(moments, len(some)))
            yield pairs.code.reshape(len(some), len(moments))

    def _standing(self, ledger: Ledger, spots: Spots) -> Stages:
        """Work out the stages of pairs."""
        n_events, n_kept = spots.end - spots.start, spots.total(ledger.kept)
        filled = n_events > 0

        def time_of(place: np.ndarray) -> np.ndarray:
            return np.where(place >= 0, ledger.time[place], NEVER) if ledger.n_events else place * 0 + NEVER

        last_event = time_of(np.where(filled, spots.end - 1, -1))
        code = np.where(filled, self._levels(n_kept), 0)
        level_since = since = time_of(spots.newest(self._changes(ledger)))
        kind = np.where(filled, np.where(n_kept > 0, 2, 1), 0)
        referral = time_of(spots.oldest(ledger.histories.of_type(self.referral)))
        told = referral
        made = referral != NEVER
        recommends, words, entered = self._advocates(ledger, spots, time_of)
        recommends &= code == _LOYAL
        code, kind = np.where(made, _REFERRAL, code), np.where(made, REASONS.index("referral_made"), kind)
        since = np.where(made, referral, since)
        code = np.where(recommends, _ADVOCACY, code)
        kind = np.where(recommends, REASONS.index("recommends"), kind)
        told = np.where(recommends, words, told)
        since = np.where(recommends, np.maximum(level_since, entered), since)
        lapsing, lost = self._silence(intervals(ledger, spots), filled)
        for later, days in ((_LAPSING, lapsing), (_LOST, lost)):
            limit = np.rint(np.nan_to_num(days) * DAY).astype(np.int64)
            silent = filled & (spots.moment - np.where(filled, last_event, 0) >= limit)
            code = np.where(silent, later, code)
            kind = np.where(silent, REASONS.index("silent"), kind)
            since = np.where(silent, np.where(silent, last_event, 0) + limit, since)
        return Stages(
            code=code.astype(np.int8),
            since=since,
            kind=kind.astype(np.int8),
            moment=spots.moment,
            n_events=n_events,
            n_purchases=n_kept,
            last_event=last_event,
            last_purchase=time_of(spots.newest(ledger.is_purchase)),
            told=told,
            lapsing_after_days=lapsing,
            lost_after_days=lost,
        )

    def _entered(self, account: Account) -> tuple[int, int, int]:
        """Return how many purchases one customer kept, the stage that they make, and since when they do."""
        began = account.began
        if not account.ended:
            level = self._level_of(len(began))
            steps = (account.time, began, began[1:], began[self.loyal_from - 1 :])
            return len(began), level, steps[level - 1][0]
        level, since, n_kept = self._level_of(0), account.time[0], 0
        for moment, n_kept in account.path():
            if (now := self._level_of(n_kept)) != level:
                level, since = now, moment
        return n_kept, level, since

    def _level_of(self, n_kept: int) -> int:
        return 1 + (n_kept if n_kept < 2 else 2 if n_kept < self.loyal_from else 3)

    def _levels(self, n_kept: np.ndarray) -> np.ndarray:
        """Return the stage that a number of purchases makes."""
        return np.asarray(1 + (n_kept >= 1) + (n_kept >= 2) + (n_kept >= self.loyal_from))

    def _changes(self, ledger: Ledger) -> np.ndarray:
        """Say of each event whether with its moment the stage that purchases make became another, bool."""
        changes = np.zeros(ledger.n_events, bool)
        place = np.flatnonzero(moment_ends(ledger.row, ledger.time))
        if len(place):
            sums = np.append(0, np.cumsum(ledger.kept))
            row = ledger.row[place]
            level = self._levels(sums[place + 1] - sums[ledger.indptr[row]])
            new = np.ones(len(place), bool)
            new[1:] = (row[1:] != row[:-1]) | (level[1:] != level[:-1])
            changes[place[new]] = True
        return changes

    def _advocates(
        self, ledger: Ledger, spots: Spots, time_of: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Say who recommends, since which word, and since when nothing speaks against it."""
        n = len(spots.end)
        if "rating" not in ledger.histories.numbers or not ledger.n_events:
            return np.zeros(n, bool), np.full(n, NEVER), np.full(n, NEVER)
        good = (ledger.rated & (ledger.rating >= self.high_rating)) | (
            ledger.answers & (ledger.rating >= self.promoter_from)
        )
        _, bad = newest_bad(ledger, spots, self._limits)
        had = bad != NEVER
        after = np.where(had, first_after(ledger.time, spots.start, spots.end, bad), spots.start)
        word = spots.oldest(good, after)
        over = np.where(had, bad, 0) + self._recent
        words = time_of(word)
        recommends = (word >= 0) & (~had | (spots.moment >= over))
        return recommends, words, np.where(had, np.maximum(over, words), words)

    def _recommends(self, history: Histories, account: Account, at: int) -> tuple[int, ...]:
        """Return when one customer recommended, and when a bad experience before was over; nothing if not."""
        code, bad = newest_bad_of(history, account, self._limits)
        over = (bad + self._recent,) if code >= 0 else ()
        if over and at < over[0]:
            return ()
        for moment, rating, is_answer in account.ratings(history):
            if moment > bad and rating >= (self.promoter_from if is_answer else self.high_rating):
                return (moment, *over)
        return ()

    def _silences(self, interval: float | None) -> tuple[float, float]:
        if interval is None or self.interval_multiple is None:
            return self.lapsing_after_days, self.lost_after_days
        days = max(interval * self.interval_multiple, self.least_lapsing_days)
        return days, days * (self.lost_after_days / self.lapsing_after_days)

    def _silence(self, interval: np.ndarray, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the days of silence that make a customer lapsing and lost, NaN without events."""
        lapsing = np.where(filled, self.lapsing_after_days, np.nan)
        lost = np.where(filled, self.lost_after_days, np.nan)
        if self.interval_multiple is None:
            return lapsing, lost
        own = ~np.isnan(interval)
        days = np.maximum(interval * self.interval_multiple, self.least_lapsing_days)
        later = days * (self.lost_after_days / self.lapsing_after_days)
        return np.where(own, days, lapsing), np.where(own, later, lost)


def _needs_time(what: str, histories: Histories) -> None:
    if histories.time_kind != "timestamp":
        raise errors.log.needs_time(what, histories.time_kind)
