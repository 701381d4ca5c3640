"""Folding: decisions of a log become rows of a bandit, each once, and are taken back where need be."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engagelib import errors
from engagelib.actions.decisions.lessons import Lessons, Reader
from engagelib.actions.decisions.rows import exact_id
from engagelib.tables import Table
from engagelib.times import DAY, Moment, to_microseconds

if TYPE_CHECKING:
    from engagelib.actions.bandit.linear import LinearBandit
    from engagelib.actions.decisions.log import DecisionLog


def learn_from(bandit: "LinearBandit", log: "DecisionLog", at: Moment, outcome_window_days: float) -> Table:
    """Fold in what is mature and new; see `LinearBandit.learn_from`."""
    if not isinstance(outcome_window_days, int | float) or not 0 <= outcome_window_days <= 36_500:
        expected = "days from 0 to 36,500"
        raise errors.bad_argument("outcome_window_days", outcome_window_days, expected)
    newest_mature = to_microseconds(at) - int(outcome_window_days * DAY)
    # What is learned goes to a copy: a failure halfway leaves the bandit as it was.
    job = _Job(deepcopy(bandit), newest_mature)
    log.read_state(lambda connection: job.read(_reader(bandit, connection)))
    job.finish()
    vars(bandit).update(vars(job.bandit))
    return job.report()


def erase(bandit: "LinearBandit", customer_id: int | str, log: "DecisionLog") -> int:
    """Take back what a customer's decisions taught; see `LinearBandit.erase`."""
    whose = exact_id(customer_id)

    def read(connection: Any) -> tuple[Lessons, np.ndarray]:
        reader = _reader(bandit, connection)
        lessons = reader.of_customer(whose)
        return lessons, reader.outcomes(lessons.number, bandit.outcome_watermark_)

    lessons, outcome = log.read_state(read)
    seen = lessons.number <= bandit.watermark_
    waiting = np.isin(lessons.number, bandit.immature_)
    gone = np.isin(lessons.number, bandit.withdrawn_)
    codes = _codes(bandit, lessons)
    taken = seen & ~waiting & ~gone & (codes >= 0)
    expected = lessons.p_success[taken]
    bandit.remove(lessons.features[taken], codes[taken], outcome[taken] - expected, expected=expected)
    stays = ~np.isin(bandit.immature_, lessons.number)
    bandit.immature_, bandit.immature_at_ = bandit.immature_[stays], bandit.immature_at_[stays]
    bandit.withdrawn_ = np.union1d(bandit.withdrawn_, lessons.number)
    return int(np.count_nonzero(taken))


def _reader(bandit: "LinearBandit", connection: Any) -> Reader:
    return Reader(connection, len(bandit.mean), bandit.features_version, bandit.outcome)


def _codes(bandit: "LinearBandit", lessons: Lessons) -> np.ndarray:
    """Return the place of each decision's action, -1 where it teaches nothing."""
    places = {name: place for place, name in enumerate(bandit.actions)}
    codes = np.array([places.get(name, -1) for name in lessons.action], np.int64)
    known = codes >= 0
    # An action that was added later begins behind the decisions that were looked at without it.
    codes[known & (lessons.number <= np.append(bandit.starts_, 0)[codes])] = -1
    codes[np.isnan(lessons.p_success)] = -1
    return codes


@dataclass
class _Job:
    """One call: what it reads, block by block, goes to a bandit of its own."""

    bandit: "LinearBandit"
    newest_mature: int
    immature: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    withdrawn: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    watermark: int = 0
    outcome_watermark: int = 0

    def read(self, reader: Reader) -> None:
        bandit = self.bandit
        self.watermark, self.outcome_watermark = bandit.watermark_, reader.newest_outcome()
        self._correct(reader)
        ready = bandit.immature_at_ <= self.newest_mature
        self.immature.append((bandit.immature_[~ready], bandit.immature_at_[~ready]))
        for lessons in reader.numbered(bandit.immature_[ready]):
            self._fold(reader, lessons)
        for lessons in reader.after(bandit.watermark_):
            self.watermark = int(lessons.number[-1])
            young = lessons.at > self.newest_mature
            gone = np.isin(lessons.number, bandit.withdrawn_)
            self.immature.append((lessons.number[young & ~gone], lessons.at[young & ~gone]))
            self._fold(reader, lessons.take(~young & ~gone))
        # The numbers of what a log has erased since need not be remembered: they are not used again.
        still = [lessons.number for lessons in reader.numbered(bandit.withdrawn_)]
        self.withdrawn = np.concatenate([self.withdrawn, *still])

    def _fold(self, reader: Reader, lessons: Lessons) -> None:
        codes = _codes(self.bandit, lessons)
        kept = codes >= 0
        expected_none = np.isnan(lessons.p_success)
        self._count("of actions not known", int(np.count_nonzero(~kept & ~expected_none)))
        self._count("without p_success", int(np.count_nonzero(expected_none)))
        lessons, codes = lessons.take(kept), codes[kept]
        self._count("folded in", len(lessons))
        self._count("folded in, of the control group", int(np.count_nonzero(lessons.is_control)))
        self._count("folded in, without these features", int(np.count_nonzero(~lessons.has_features)))
        outcome = reader.outcomes(lessons.number, self.outcome_watermark)
        expected = lessons.p_success
        self.bandit.update(lessons.features, codes, outcome - expected, expected=expected)

    def _correct(self, reader: Reader) -> None:
        bandit = self.bandit
        numbers = reader.touched(bandit.outcome_watermark_)
        numbers = numbers[numbers <= bandit.watermark_]
        numbers = numbers[~np.isin(numbers, bandit.immature_) & ~np.isin(numbers, bandit.withdrawn_)]
        for touched in reader.numbered(numbers):
            codes = _codes(bandit, touched)
            lessons, codes = touched.take(codes >= 0), codes[codes >= 0]
            old, new = (
                reader.outcomes(lessons.number, up_to) - lessons.p_success
                for up_to in (bandit.outcome_watermark_, self.outcome_watermark)
            )
            other = old != new
            self._count("put right", int(np.count_nonzero(other)))
            bandit.correct(lessons.features[other], codes[other], old[other], new[other])

    def finish(self) -> None:
        """Set how far the log was read."""
        bandit = self.bandit
        numbers, moments = (np.concatenate(parts) for parts in zip(*self.immature, strict=True))
        order = np.argsort(numbers)
        bandit.immature_, bandit.immature_at_ = numbers[order], moments[order]
        bandit.withdrawn_ = self.withdrawn
        bandit.watermark_, bandit.outcome_watermark_ = self.watermark, self.outcome_watermark

    def report(self) -> Table:
        """Return what became of the decisions."""
        names = (
            "folded in",
            "folded in, of the control group",
            "folded in, without these features",
            "put right",
            "not mature yet",
            "of actions not known",
            "without p_success",
        )
        counts = self.counts | {"not mature yet": len(self.bandit.immature_)}
        return Table(("decisions", "n"), tuple((name, counts.get(name, 0)) for name in names))

    def _count(self, what: str, n: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + n
