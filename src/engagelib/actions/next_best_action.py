"""NextBestAction: what to do next for one customer or for all, decided, written down, and learned from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engagelib import errors
from engagelib.actions import answering, deciding
from engagelib.actions.answers import ActionRecommendations, ActionTable, Decision
from engagelib.actions.keeping import Keeping
from engagelib.identity import Identity
from engagelib.recommender.request import check_count, whom
from engagelib.times import Moment
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.actions.customers import Audience
    from engagelib.actions.decisions import Recorded
    from engagelib.actions.logged import LoggedDecisions
    from engagelib.actions.parity import Parity


class NextBestAction(Keeping):
    """Decides what to do for customers, from the same log of events that a recommender reads.

    Whatever may be done is ranked by what it is expected to bring: chance x value x lever - cost, where the
    chance is that of a success, or how much the action raises it where a control group tells. Doing nothing
    is always a candidate. What was decided is written to a `DecisionLog` with its probability, so that it can
    be judged, and learned from.

    A customer is named by a plain id or by a pair of a namespace and an id, as for `Recommender`.

    Parameters
    ----------
    actions
        What may be done, a list of `Action`.
    recommender
        Whose histories, identities and availability count, fitted or not; None makes one that ranks nothing.
        A factor model in it gives features of taste.
    decision_log
        Where decisions and outcomes are written, and contacts counted. None: nothing can be decided, and
        cooldowns and limits are not checked.
    limits
        `ContactLimit`s over all actions.
    control_share, control_salt
        The share of customers, in [0, 1), who are left alone to compare with; drawn by a hash of their id and
        the salt, so that they are the same everywhere and always.
    features, lifecycle
        What is worked out of each history; None are the defaults.
    horizon_days
        Within how many days an event counts as a success, value is expected, and outcomes are awaited.
    uplift
        "auto" counts effects where at least 50 decisions left somebody alone by lot, else chances; True
        refuses to be without effects; False counts chances.
    gate
        Whether decisions may be followed customer by customer only once that is shown to bring more than the
        best one action for all. Without decisions chances are personal, and what outcomes teach is not.
    explore, floor
        How `decide` draws: "posterior", by the chance of each action to be the best, or "epsilon", the best
        one; a share `floor` of all draws, in (0, 1], is spread evenly over the candidates.
    lever_bounds
        What an action's lever may be.
    prior_sd
        How far outcomes may move a chance for one standard deviation of a feature, before any came.
    rng
        The seed of draws and folds.

    Attributes
    ----------
    actions, recommender, decision_log
        As above; `decision_log` can be assigned.
    features_, value_, response_, gate_, bandit_
        What was learned.
    model_version_
        The version of the artifact that this was loaded from or saved to last, else None.

    Raises
    ------
    ArgumentError
        If an argument is not as above.
    """

    def recommend(
        self,
        customer_id: Identity | None = None,
        *,
        channel: Id | None = None,
        location: Id | None = None,
        at: Moment | None = None,
        k: int | None = None,
    ) -> ActionRecommendations:
        """Rank the actions that may be done for a customer; nothing is written down.

        Parameters
        ----------
        customer_id
            The customer; None for an anonymous visitor. Who is unknown has the stage "unknown", and is
            judged by that.
        channel, location
            Where the customer is. None asks what may be done in any of them; limits of a channel are then
            not looked at.
        at
            The moment to answer for. None is the newest event known; where windows of time, cooldowns or
            limits exist it must be given.
        k
            The longest list, at least 1; None is all candidates.

        Returns
        -------
        Candidates by falling priority, "nothing" among them, with every term; ties in the order of the
        actions, doing nothing first. Every other action is in `suppressed`, with the reason.

        Raises
        ------
        NotFittedError, ArgumentError
            Before `fit`; for arguments outside their range; without `at` where the answer depends on it.
        """
        state, context = self._asked(channel, location, at)
        n = None if k is None else check_count(k, "k")
        return answering.recommend_one(state, context, customer_id, n)

    def recommend_many(
        self,
        customer_ids: "Sequence[Identity] | np.ndarray | Vocabulary | None" = None,
        *,
        channel: Id | None = None,
        location: Id | None = None,
        at: Moment | None = None,
        k: int = 1,
    ) -> ActionTable:
        """Rank actions for many customers, each list the same as `recommend` gives, in blocks of customers.

        Parameters
        ----------
        customer_ids
            The customers; None is all that are known now.
        k
            The longest list, at least 1.

        The other parameters, and what is raised, are those of `recommend`.
        """
        state, context = self._asked(channel, location, at)
        ids, keys, rows = whom(context.serving, customer_ids)
        return answering.recommend_many(state, context, ids, keys, rows, check_count(k, "k"))

    def decide(
        self,
        customer_id: Identity,
        *,
        channel: Id | None = None,
        location: Id | None = None,
        at: Moment,
    ) -> Decision:
        """Draw one action for a customer, write it down, and return it.

        The action is drawn from explicit probabilities, which the decision holds and the log keeps. What was
        done before is looked up, and the decision written, in one step: two workers can't both spend the
        last contact. When this returns the decision is acknowledged, and survives the death of the process.

        Parameters
        ----------
        customer_id
            The customer; nobody without an id can be decided for.
        channel, location
            Where. The channel must be given where an action or a limit names channels.
        at
            The moment.

        Raises
        ------
        ArgumentError
            Without a decision log, a customer, or the channel; and as `recommend` does.
        DecisionLogBusyError
            If the log can't be written in time.
        """
        log = self._writable_log()
        state, context = self._asked(channel, location, at, spends=True)
        if channel is None and state.arbiter.asks_channels:
            raise errors.actions.needs_channel()
        return deciding.decide(state, context, log, customer_id)

    def decide_many(
        self,
        customer_ids: "Sequence[Identity] | np.ndarray | Vocabulary | None" = None,
        *,
        channel: Id | None = None,
        location: Id | None = None,
        at: Moment,
    ) -> "pa.Table":
        """Draw and write down one action for each of many customers, as `decide` does, for a campaign.

        Customers are taken in blocks, each in one step: either all of a block is written down or none of it.
        Who is named twice is decided for twice, one after the other.

        Returns
        -------
        An Arrow table of decision_id, customer_id, action, p_logged, p_success and is_control.
        """
        log = self._writable_log()
        state, context = self._asked(channel, location, at, spends=True)
        if channel is None and state.arbiter.asks_channels:
            raise errors.actions.needs_channel()
        ids, keys, rows = whom(context.serving, customer_ids)
        return deciding.decide_many(state, context, log, ids, keys, rows)

    def record(
        self, decision_id: str, outcome: float = 1.0, *, name: str = "success", at: Moment | None = None
    ) -> None:
        """Write down what came of a decision; late ones count too, and of several the last.

        Parameters
        ----------
        decision_id
            As `decide` returned it.
        outcome
            1 for a success, 0 for none; other names may hold any number, such as an answer from 0 to 10.
        name
            "success" is what is learned from; others, such as "nps", are kept beside it.
        at
            When it came about; None where nobody knows.

        Raises
        ------
        UnknownDecisionError
            If the log holds no such decision.
        """
        self._writable_log().record(decision_id, outcome, name=name, at=at)

    def record_many(self, table: Any) -> "Recorded":
        """Write down many outcomes, from a table of decision_id and value, and optionally name and at.

        Rows of unknown decisions are set aside in what is returned, with the reason.
        """
        return self._writable_log().record_many(table)

    def choose(self, decisions: "LoggedDecisions") -> np.ndarray:
        """Say what would be done first in place of logged decisions, for `evaluate_policy` to judge.

        Parameters
        ----------
        decisions
            As `read_decisions` gives them from a log that this, or one with the same features, wrote. Of each
            only the actions that it was drawn from are looked at. They should be newer than what was learned
            from: nothing is judged fairly by what it knows.

        Returns
        -------
        Codes into `decisions.actions`, int64 of shape (n,). Ties go to the earlier name there.

        Raises
        ------
        ArgumentError
            If the decisions hold other features.
        """
        return answering.choose(self._fitted(), decisions)

    def audience(
        self,
        action: str,
        *,
        k: int | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        at: Moment | None = None,
    ) -> "Audience":
        """List the customers whom an action would suit, by falling priority.

        Parameters
        ----------
        action
            Its name.
        k
            The longest list; None is everybody for whom it may be done and is worth more than nothing.

        The other parameters are those of `recommend`.

        Raises
        ------
        ArgumentError
            If there is no such action.
        """
        state, context = self._asked(channel, location, at)
        if action not in state.arbiter.known:
            raise errors.actions.unknown_action(action, state.arbiter.known)
        n = None if k is None else check_count(k, "k")
        return answering.audience(state, context, action, n)

    def check_parity(
        self,
        *,
        new_stages: Sequence[str] = ("interest", "first_purchase"),
        by: str | None = "stage",
        channel: Id | None = None,
        location: Id | None = None,
        at: Moment | None = None,
    ) -> "Parity":
        """Compare what existing customers are offered with what new ones are.

        Only actions of kind "offer" count: for each customer the one that ranks first, by its `benefit`,
        without the limits of contact.

        Parameters
        ----------
        new_stages
            Stages of the lifecycle that count as new; all others but "unknown" are existing customers.
        by
            The name of a text to look at apart, such as "stage" or a column of the customer table. None is
            overall alone.

        Returns
        -------
        Overall and by segment, the mean benefit offered to new and to existing customers, the gap and its
        interval.

        Raises
        ------
        ArgumentError, NotEnoughDataError
            If there is no offer, no such text, or nobody to compare.
        """
        from engagelib.actions.parity import parity_of

        state, context = self._asked(channel, location, at)
        stages = (new_stages,) if isinstance(new_stages, str) else tuple(new_stages)
        return parity_of(state, context, stages, by)
