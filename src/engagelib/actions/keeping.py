"""Keeping: what happens while `NextBestAction` serves, and what is learned and forgotten meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from engagelib import errors
from engagelib.actions.answering import fits_log
from engagelib.actions.bandit import LinearBandit
from engagelib.actions.foundation import ActionFoundation
from engagelib.identity import Identity
from engagelib.tables import Table
from engagelib.times import Moment
from engagelib.vocabulary import Id


class Keeping(ActionFoundation):
    """The part of `NextBestAction` that listens, learns from outcomes and forgets."""

    def observe(self, events: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> int:
        """Take note of what customers just did, as `Recommender.observe` does: the next answer knows it."""
        self._fitted()
        return self.recommender.observe(events)

    def link(self, first: Identity, second: Identity) -> Id:
        """State that two identities are one customer, as `Recommender.link` does."""
        self._fitted()
        return self.recommender.link(first, second)

    def forget(self, customer_id: Identity) -> None:
        """Erase a customer everywhere: history, row of the customer table, decisions, and what these taught.

        The decision log loses their rows for good, at once. The bandit's state is afterwards as if they had
        never been there; models keep a trace until they are fitted again, which `summary` counts.

        Raises
        ------
        UnknownCustomerError
            If there is nothing to forget.
        """
        state = self._fitted()
        serving = self.recommender.serving_
        key = serving.live.who(customer_id)
        names = [] if key is None else [key, *serving.live.links.members(key)]
        is_known = key is not None and serving.live.knows(customer_id)
        traits = state.learned.known.traits
        has_row = traits is not None and bool((traits.places(names) >= 0).any())
        n_erased = 0
        if self.decision_log is not None:
            logged = [name for name in dict.fromkeys(names) if fits_log(name)]
            for name in logged:
                self._unlearn(name)
            n_erased = self.decision_log.erase(*logged)
        if not is_known and not n_erased and not has_row:
            raise errors.answering.unknown_customer(customer_id, self.recommender.customers_.kind)
        if is_known:
            self.recommender.forget(customer_id)
        with self._lock:
            learned = self._state.learned
            known = learned.known
            if known.traits is not None:
                known = replace(known, traits=known.traits.without(names))
            learned = replace(learned, known=known, erasure_pending=learned.erasure_pending + 1)
            self._erased |= frozenset(names)
            self._serve(learned, self._state.version)

    def _unlearn(self, customer_id: Id) -> None:
        """Take back what a customer's decisions taught, before the decision log forgets them."""
        log = self._writable_log()
        with self._lock:
            learned = self._state.learned
            bandit = LinearBandit.from_arrays(learned.bandit.to_arrays(), learned.bandit.facts())
            bandit.erase(customer_id, log)
            self._state = replace(self._state, learned=replace(learned, bandit=bandit))

    def update(self, *, at: Moment, outcome_window_days: float | None = None) -> Table:
        """Learn from the decisions and outcomes that the log has taken in since the last time.

        It is for a job: workers never learn; they `reload` what the job saved. A decision counts once it is
        as old as outcomes may take to come, one without an outcome as none; later outcomes put it right.

        Parameters
        ----------
        at
            The moment of learning.
        outcome_window_days
            How long outcomes may take; None is `horizon_days`.

        Returns
        -------
        How many decisions were folded in, wait, were put right or left out.
        """
        log = self._writable_log()
        days = self.horizon_days if outcome_window_days is None else outcome_window_days
        with self._lock:  # what is forgotten meanwhile must not come back
            learned = self._state.learned
            bandit = LinearBandit.from_arrays(learned.bandit.to_arrays(), learned.bandit.facts())
            report = bandit.learn_from(log, at=at, outcome_window_days=days)
            self._state = replace(self._state, learned=replace(learned, bandit=bandit))
        return report
