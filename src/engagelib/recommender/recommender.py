"""Recommender: models and rules over one log, answering what to show next for one customer or for all."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engagelib import errors
from engagelib.histories import Histories
from engagelib.identity import Identity
from engagelib.recommender.answering import (
    chances_of,
    give_reasons,
    name_items,
    over_blocks,
    rank_block,
)
from engagelib.recommender.foundation import Rules
from engagelib.recommender.listing import Lists, source_names
from engagelib.recommender.questions import Questions
from engagelib.recommender.recommendations import Recommendations, RecommendationTable
from engagelib.recommender.request import (
    ExcludeSeen,
    OnUnknown,
    Request,
    check_count,
    check_flag,
    id_list,
    whom,
)
from engagelib.recommender.serving import Serving
from engagelib.recommender.visiting import left_out, visits_of
from engagelib.times import Moment
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.recommender.pages import Profile


class Recommender(Questions):
    """Ranks items for customers, from one log of events.

    A customer is named by a plain id, or by a pair of a namespace and an id, such as `("web", "a81")`, in
    every call.

    Parameters
    ----------
    models
        "auto" lets the log decide; a name from `engagelib.models.model_names()`; a `Model`; or a list of
        names and models, of which each hands over its best 100 items, scaled by its own best score, and the
        mean over all models ranks, or the `ranker`.
    popular_by
        `("location",)` ranks popular items by the location of a call; () is one ranking for the shop.
    rules
        `Rule`s for every call, or mappings that `Rule.to_record` made: boosts, pins and removals.
    availability
        What can be had; None lets every item for sale be shown.
    ranker
        What puts the models' candidates in order, learned from a slice of the log: "blend", a blend with
        weights; "logistic", a line over features of models, item and history; "boosting", trees over the
        same. "auto" takes for "auto" models the smallest of these that none is clearly better than, and for
        a list of models their mean; None is the mean for all.
    target
        The event type that lists should lead to, and that the ranker learns from. None is "purchase", or
        else the type that weighs most.
    rng
        The seed of what a second stage draws by lot, such as the histories that it asks for.

    Attributes
    ----------
    availability, rules
        As above; both can be assigned while others are asking.
    customers_, items_
        The ids that the recommender learned from, as `Vocabulary`.
    histories_, models_, popularity_, repeats_, for_sale_, identities_
        What was learned.
    model_version_
        The version of the artifact that this recommender was loaded from or saved to last, else None.
    """

    def recommend(
        self,
        customer_id: Identity | None = None,
        *,
        k: int = 10,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        session: Iterable[Id] | None = (),
        basket: Iterable[Id] | None = (),
        exclude: Iterable[Id] | None = (),
        candidates: Iterable[Id] | None = None,
        rules: Rules | None = (),
        exclude_seen: ExcludeSeen = "purchased",
        repeat: bool | None = None,
        fill: bool = True,
        explain: bool = False,
        on_unknown: OnUnknown = "popular",
        diversity: float = 0.0,
        max_per_category: int | None = None,
        explore: float = 0.0,
        rng: int = 0,
    ) -> Recommendations:
        """List the items to show one customer next.

        Parameters
        ----------
        customer_id
            The customer; None for an anonymous visitor. Unknown ones are shown what is popular.
        k
            Length of the list, at least 1.
        at
            The moment to answer for: later events of the history are not read, and what can be had is looked
            up. None is the newest event known; where availability has windows of time it must be given.
        channel, location
            Where the customer is: what can be had there is listed, and where `popular_by` names locations
            the popular items of the place complete the list. Nothing else depends on them. None is
            anywhere: only what can be had in every channel, or at every location, is listed.
        session, basket
            Items looked at and items in the basket, oldest first: the newest events of the history. Items
            in the basket are not listed. They count as views and carts (where a model gives these no
            weight, they change nothing), in a log with a single event type as events of that type, and
            together at least as much as the history before them.
        exclude
            Items never to list.
        candidates
            The only items to list, every eligible one of them, up to k: those without a score come last.
        rules
            `Rule`s of this call, on top of those of the recommender.
        exclude_seen
            "purchased" leaves out what the customer bought, returned or not, unless it is an item that is
            bought again; "any" all of that and what was looked at; "none" nothing. In a log with a single
            event type that type counts as purchased.
        repeat
            Whether purchased items may be listed: True, False, or None to let the log decide, item by item,
            as far as `exclude_seen` asks at all.
        fill
            Complete a short list by popularity, with score 0 and source "popular".
        explain
            Give reasons with each item.
        on_unknown
            "raise" refuses unknown customers instead.
        diversity
            How much unlike items are worth, in [0, 1]: 0 ranks by score alone, 1 by unlikeness alone after
            the first place. The best 100 are arranged anew; they keep their scores. Items are alike if they
            share the `category` of the item table, and without one as far as the models say so.
        max_per_category
            The most items of one value of `category` that a list may hold, pinned ones not counted. What
            fills the list keeps to it too; an item without a category does not count.
        explore
            Share of the places, in [0, 0.5], at which items are tried that fewer than ten events are known
            of, with score 0 and source "explored"; never the first place.
        rng
            The seed of what is explored: the same seed, customer and moment draw the same items.

        Returns
        -------
        At most k items by falling score, ties in the order of item ids; pinned items come before them.
        With `diversity`, `max_per_category` or `explore`, in the order that these make of it.
        Unknown ids in `session`, `basket`, `exclude` and `candidates`, and an unknown channel or location,
        are ignored and counted.

        Raises
        ------
        NotFittedError, ArgumentError
            Before `fit`; for arguments outside their range; without `at` where availability has windows.
        NotEnoughDataError
            If `at` is given, the log has no timestamps and availability no windows; with `max_per_category`
            and no `category`, or with `diversity` where nothing says which items are alike.
        UnknownCustomerError
            With `on_unknown="raise"`.
        """
        serving = self._fitted()
        request = Request.check(
            serving, k=k, at=at, channel=channel, location=location, session=session, basket=basket,
            exclude=exclude, candidates=candidates, rules=rules, exclude_seen=exclude_seen, repeat=repeat,
            fill=fill, on_unknown=on_unknown, diversity=diversity, max_per_category=max_per_category,
            explore=explore, rng=rng,
        )  # fmt: skip
        known, history = serving.live.find(customer_id)
        if not known and customer_id is not None and on_unknown == "raise":
            raise errors.answering.unknown_customer(customer_id, self.customers_.kind)
        return _listed(serving, request, history, customer_id, known, explain=check_flag(explain, "explain"))

    def recommend_many(
        self,
        customer_ids: "Sequence[Identity] | np.ndarray | Vocabulary | None" = None,
        *,
        sessions: "Iterable[Iterable[Id] | None] | pa.Array | pa.ChunkedArray | None" = None,
        k: int = 10,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        exclude: Iterable[Id] | None = (),
        candidates: Iterable[Id] | None = None,
        rules: Rules | None = (),
        exclude_seen: ExcludeSeen = "purchased",
        repeat: bool | None = None,
        fill: bool = True,
        on_unknown: OnUnknown = "popular",
        probabilities: bool = False,
        diversity: float = 0.0,
        max_per_category: int | None = None,
        explore: float = 0.0,
        rng: int = 0,
        n_threads: int = 1,
    ) -> RecommendationTable:
        """List the items to show many customers next, each list the same as `recommend` gives.

        Parameters
        ----------
        customer_ids
            The customers, repeats allowed; None is all of `current_customers()`. Unknown ids, and None among
            ids, are shown what is popular.
        sessions
            Instead of customers, anonymous visits: of each the items looked at, oldest first. Each list is
            that of `recommend(None, session=...)`; rows are numbered from 0 where customers are named.
        probabilities
            Give the probability of each item too, where there is a calibration.
        n_threads
            Threads that share the customers, at least 1; they end with the call, and change no list.

        The other parameters are those of `recommend`. The arrays are `k` columns wide, or as many as there
        are items where these are fewer.

        Raises
        ------
        ArgumentError
            As `recommend` does, and where both `customer_ids` and `sessions` are given.
        """
        serving = self._fitted()
        learned, live = serving.learned, serving.live
        request = Request.check(
            serving, k=k, at=at, channel=channel, location=location, exclude=exclude, candidates=candidates,
            rules=rules, exclude_seen=exclude_seen, repeat=repeat, fill=fill, on_unknown=on_unknown,
            diversity=diversity, max_per_category=max_per_category, explore=explore, rng=rng,
        )  # fmt: skip
        visits, keys, rows, ignored = None, None, np.zeros(0), dict(request.ignored)
        ids: Sequence[Id] | Vocabulary
        if sessions is None:
            ids, keys, rows = whom(serving, customer_ids)
        elif customer_ids is not None:
            raise errors.answering.customers_and_sessions()
        else:
            visits, n_unknown = visits_of(serving, sessions, request)
            ids = range(visits.n_histories)
            ignored |= {"sessions": n_unknown} if n_unknown else {}
        explores = request.spread is not None and request.spread.explore > 0
        who = list(ids if visits is not None else map(live.who, ids)) if explores else None
        lists = Lists.empty(len(ids), request.width)
        chances: np.ndarray | None = None
        if check_flag(probabilities, "probabilities") and learned.calibration is not None:
            chances = np.full(lists.score.shape, np.nan)

        def answer(part: slice) -> None:
            if visits is not None:
                block = visits.block(part.start, min(part.stop, len(ids)))
                seen = left_out(block, request)
            else:
                block, known = live.take(None if keys is None else keys[part], rows[part])
                if on_unknown == "raise" and not known.all():
                    unknown = ids[part.start + int(np.argmin(known))]
                    raise errors.answering.unknown_customer(unknown, learned.histories.customers.kind)
                seen = request.seen.excluded(block)
            found = rank_block(serving, block, seen, request, None if who is None else who[part])
            lists.item_index[part], lists.score[part] = found.item_index, found.score
            lists.source[part] = found.source
            if chances is not None:
                of_part = chances_of(learned, found, block, request)
                chances[part] = np.nan if of_part is None else of_part

        over_blocks(answer, len(ids), check_count(n_threads, "n_threads"))
        arrays = (lists.item_index, lists.score, lists.source)
        sources = source_names(learned.models, ruled=request.rules is not None, explored=explores)
        return RecommendationTable(ids, *arrays, sources, learned.histories.items, ignored, chances)

    def rank(
        self,
        customer_id: Identity | None,
        items: Iterable[Id],
        *,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        session: Iterable[Id] | None = (),
        basket: Iterable[Id] | None = (),
        rules: Rules | None = (),
        explain: bool = False,
    ) -> Recommendations:
        """Put given items in order for one customer: all that can be had come back, unscored ones last.

        Each comes back once; seen items stay in, items in the basket do not. The parameters are those of
        `recommend`.
        """
        items = list(dict.fromkeys(id_list(items, "items")))
        found = self.recommend(
            customer_id, k=max(len(items), 1), at=at, channel=channel, location=location, session=session,
            basket=basket, rules=rules, candidates=items, exclude_seen="none", explain=explain,
        )  # fmt: skip
        ignored = {{"candidates": "items"}.get(name, name): count for name, count in found.ignored.items()}
        return replace(found, ignored=ignored, shortfall=found.shortfall if items else None)

    def profile(
        self,
        customer_id: Identity | None,
        *,
        k: int = 5,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
    ) -> "Profile":
        """Say at a glance who a customer is, for a member of staff: what was bought, how often, what to show.

        All channels and linked identities count, and what was observed since fitting. Who is unknown has a
        page too, with what is popular.

        Parameters
        ----------
        customer_id
            The customer; None for an anonymous visitor.
        k
            How many suggestions, at least 1.
        at
            The moment to look at: later events are not read. Links between identities have no moment, and
            always count.
        channel, location
            Where the customer is now: for the suggestions, as for `recommend`.

        Raises
        ------
        NotFittedError, ArgumentError, NotEnoughDataError
            As `recommend` does.
        """
        from engagelib.recommender.profiling import draw_profile  # for members of staff alone

        serving = self._fitted()
        request = Request.check(serving, k=k, at=at, channel=channel, location=location)
        known, history = serving.live.find(customer_id)
        found = _listed(serving, request, history, customer_id, known, explain=True)
        return draw_profile(serving, history, found, at=request.at)

    def __repr__(self) -> str:
        by = f", popular_by={tuple(self.popular_by)!r}" if self.popular_by else ""
        return f"Recommender({self.models!r}{by})"


def _listed(
    serving: Serving,
    request: Request,
    history: Histories,
    who: Identity | None,
    known: bool,
    *,
    explain: bool,
) -> Recommendations:
    """Answer one request for one history."""
    learned = serving.learned
    seen = request.seen.excluded(history)
    if request.at is not None:
        history = history.until(request.at)
    if len(request.session) or len(request.basket):
        history = history.followed_by(request.session, learned.counted_as("view"), request.at)
        history = history.followed_by(request.basket, learned.counted_as("cart"), request.at)
    asked = None if request.spread is None else [serving.live.who(who)]
    lists = rank_block(serving, history, seen, request, asked)
    reasons = give_reasons(learned, history, seen, request, lists) if explain else None
    chances = chances_of(learned, lists, history, request)
    entries = name_items(learned, lists, reasons, chances=None if chances is None else chances[0])
    shortfall = None
    if len(entries) < request.k:
        n_excluded = 0 if seen is None else int(request.allowed[seen.indices].sum())
        shortfall = request.shortfall(len(entries), n_excluded)
    return Recommendations(entries, who, known, shortfall, dict(request.ignored))
