"""Guard: who had a bad experience of late, and is not to be asked for a referral."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from engagelib.actions.customers.account import Account
from engagelib.actions.customers.ledger import BAD, Ledger
from engagelib.actions.customers.spots import Spots
from engagelib.actions.customers.stages import NEVER
from engagelib.histories import Histories
from engagelib.times import DAY, to_datetime

_IN_WORDS: Final = {
    "complaint": "complained",
    "return": "returned something",
    "low_survey": "gave a low answer to a survey",
    "low_rating": "gave a low rating",
}


@dataclass(frozen=True)
class Guard:
    """Whether a customer may be asked for a referral.

    Attributes
    ----------
    allowed
        False where there was a bad experience of late.
    kind
        Which: "complaint", "return", "low_survey" or "low_rating", the newest; None where there was none.
    when
        When it was, UTC.
    reason
        The same in words for people; empty where there was none.
    """

    allowed: bool
    kind: str | None = None
    when: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class BadExperiences:
    """The newest bad experience of customers, as far as it is recent.

    Attributes
    ----------
    code
        Places in `BAD`, int8 of shape (n,); -1 where there was none.
    when
        int64 microseconds since 1970, `NEVER` where there was none.
    moment
        As of when, int64.
    """

    code: np.ndarray
    when: np.ndarray
    moment: np.ndarray

    def __len__(self) -> int:
        return len(self.code)

    @property
    def may_refer(self) -> np.ndarray:
        """Whether each customer may be asked for a referral, bool."""
        return np.asarray(self.code < 0)

    def __getitem__(self, place: int) -> Guard:
        if not -len(self) <= place < len(self):
            raise IndexError(f"place {place} is outside {len(self):,} customers")
        return guard_of(int(self.code[place]), int(self.when[place]), int(self.moment[place]))

    def records(self) -> list[dict[str, Any]]:
        """Return the entries as mappings of built-in types, in order."""
        guards = (self[place] for place in range(len(self)))
        return [
            {"may_refer": one.allowed, "kind": one.kind, "when": one.when, "reason": one.reason}
            for one in guards
        ]


def guard_of(code: int, when: int, moment: int) -> Guard:
    """Word a bad experience."""
    if code < 0:
        return Guard(allowed=True)
    days = (moment - when) // DAY
    ago = "less than a day ago" if not days else f"{days:,} {'day' if days == 1 else 'days'} ago"
    return Guard(
        allowed=False, kind=BAD[code], when=to_datetime(when), reason=f"{_IN_WORDS[BAD[code]]} {ago}"
    )


def newest_bad(ledger: Ledger, spots: Spots, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the code and time of the newest bad experience up to each moment, -1 and `NEVER` for none."""
    kind = ledger.bad(*limits)
    place = spots.newest(kind >= 0)
    if not ledger.n_events:
        return np.full(len(place), -1, np.int8), np.full(len(place), NEVER)
    return np.where(place >= 0, kind[place], -1), np.where(place >= 0, ledger.time[place], NEVER)


def newest_bad_of(history: Histories, account: Account, limits: tuple[float, float]) -> tuple[int, int]:
    """Return the same of a single history."""
    found = [(account.time[place], -BAD.index("return")) for place in account.back[-1:]]
    if complaints := account.roles.complaints:
        codes = account.codes
        found += [(account.time[place], 0) for place, code in enumerate(codes) if code in complaints]
    # A rating with a return or a complaint is named after those, which come first in one moment.
    for moment, rating, is_answer in account.ratings(history):
        if rating <= limits[is_answer]:
            found.append((moment, -BAD.index("low_survey" if is_answer else "low_rating")))
    if not found:
        return -1, NEVER
    when, code = max(found)
    return -code, when
