"""Recommender: models and rules over one log, answering what to show next for one customer or for all."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engagelib import errors
from engagelib.histories import Histories
from engagelib.identity import Identity
from engagelib.recommender.answering import (
    find_audience,
    give_reasons,
    name_items,
    over_blocks,
    rank_block,
)
from engagelib.recommender.foundation import Foundation, Rules
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import Lists, source_names
from engagelib.recommender.neighbours import alike, going_with, neighbour_sources, standing_in
from engagelib.recommender.recommendations import Audience, Recommendations, RecommendationTable
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
from engagelib.times import Moment
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from engagelib.recommender.pages import Profile


class Recommender(Foundation):
    """Ranks items for customers, from one log of events.

    A customer is named by a plain id, or by a pair of a namespace and an id, such as `("web", "a81")`, in
    every call.

    Parameters
    ----------
    models
        "auto" lets the log decide; a name from `engagelib.models.model_names()`; a `Model`; or a list of
        names and models, of which each hands over its best 100 items, scaled by its own best score, and the
        mean over all models ranks.
    popular_by
        `("location",)` ranks popular items by the location of a call; () is one ranking for the shop.
    rules
        `Rule`s for every call, or mappings that `Rule.to_record` made: boosts, pins and removals.
    availability
        What can be had; None lets every item for sale be shown.

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
            weight, they change nothing), and together at least as much as the history before them.
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

        Returns
        -------
        At most k items by falling score, ties in the order of item ids; pinned items come before them.
        Unknown ids in `session`, `basket`, `exclude` and `candidates`, and an unknown channel or location,
        are ignored and counted.

        Raises
        ------
        NotFittedError, ArgumentError
            Before `fit`; for arguments outside their range; without `at` where availability has windows.
        NotEnoughDataError
            If `at` is given, the log has no timestamps and availability no windows.
        UnknownCustomerError
            With `on_unknown="raise"`.
        """
        serving = self._fitted()
        request = Request.check(
            serving, k=k, at=at, channel=channel, location=location, session=session, basket=basket,
            exclude=exclude, candidates=candidates, rules=rules, exclude_seen=exclude_seen, repeat=repeat,
            fill=fill, on_unknown=on_unknown,
        )  # fmt: skip
        known, history = serving.live.find(customer_id)
        if not known and customer_id is not None and on_unknown == "raise":
            raise errors.answering.unknown_customer(customer_id, self.customers_.kind)
        return _listed(serving, request, history, customer_id, known, explain=check_flag(explain, "explain"))

    def recommend_many(
        self,
        customer_ids: "Sequence[Identity] | np.ndarray | Vocabulary | None" = None,
        *,
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
        n_threads: int = 1,
    ) -> RecommendationTable:
        """List the items to show many customers next, each list the same as `recommend` gives.

        Parameters
        ----------
        customer_ids
            The customers, repeats allowed; None is all of `current_customers()`. Unknown ids, and None among
            ids, are shown what is popular.
        n_threads
            Threads that share the customers, at least 1; they end with the call, and change no list.

        The other parameters are those of `recommend`. The arrays are `k` columns wide, or as many as there
        are items where these are fewer.
        """
        serving = self._fitted()
        learned, live = serving.learned, serving.live
        request = Request.check(
            serving, k=k, at=at, channel=channel, location=location, exclude=exclude, candidates=candidates,
            rules=rules, exclude_seen=exclude_seen, repeat=repeat, fill=fill, on_unknown=on_unknown,
        )  # fmt: skip
        ids, keys, rows = whom(serving, customer_ids)
        lists = Lists.empty(len(rows), request.width)

        def answer(part: slice) -> None:
            block, known = live.take(None if keys is None else keys[part], rows[part])
            if on_unknown == "raise" and not known.all():
                unknown = ids[part.start + int(np.argmin(known))]
                raise errors.answering.unknown_customer(unknown, learned.histories.customers.kind)
            found = rank_block(serving, block, request.seen.excluded(block), request)
            lists.item_index[part], lists.score[part] = found.item_index, found.score
            lists.source[part] = found.source

        over_blocks(answer, len(rows), check_count(n_threads, "n_threads"))
        arrays = (lists.item_index, lists.score, lists.source)
        sources = source_names(learned.models, ruled=request.rules is not None)
        return RecommendationTable(ids, *arrays, sources, learned.histories.items, dict(request.ignored))

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

    def similar(
        self,
        item_id: Id,
        k: int = 10,
        *,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        rules: Rules | None = (),
    ) -> Recommendations:
        """List the items most like one item, of those that can be had; fewer where fewer are alike.

        Of the rules, removals alone count here. The parameters are those of `recommend`.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        NotEnoughDataError
            If no model knows which items are alike.
        """
        serving = self._fitted()
        item = _item(serving.learned, item_id)
        request = Request.check(serving, k=k, at=at, channel=channel, location=location, rules=rules)
        lists = alike(serving.learned, item, request.width, request.allowed)
        return _about(serving, request, lists, f"Like item {item_id}", "no other item is like it")

    def substitutes(
        self,
        item_id: Id,
        k: int = 10,
        *,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        rules: Rules | None = (),
    ) -> Recommendations:
        """List what can stand in for an item that can't be had, of those that can.

        First items that the models find alike, of the same category where the item table has one, closer in
        price first and seldom in one basket with it; then, with score 0, the most popular others of the
        category and alike items of other ones. Of the rules, removals alone count here. The parameters are
        those of `recommend`.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        NotEnoughDataError
            If no model knows which items are alike, and the item has no category.
        """
        serving = self._fitted()
        item = _item(serving.learned, item_id)
        request = Request.check(serving, k=k, at=at, channel=channel, location=location, rules=rules)
        lists = standing_in(serving.learned, item, request)
        return _about(
            serving,
            request,
            lists,
            f"Instead of item {item_id}",
            "no other item is like it or of its category",
        )

    def complete(
        self,
        basket: Iterable[Id],
        k: int = 10,
        *,
        at: Moment | None = None,
        channel: Id | None = None,
        location: Id | None = None,
        exclude: Iterable[Id] | None = (),
        rules: Rules | None = (),
    ) -> Recommendations:
        """List what goes with a basket, of what can be had: what others bought in one basket with its items.

        Where baskets say too little the list goes on, with score 0, with what the models say of somebody who
        has these in their basket. Unknown items are ignored and counted; of the rules, removals alone count
        here. The parameters are those of `recommend`.
        """
        serving = self._fitted()
        request = Request.check(
            serving,
            k=k,
            at=at,
            channel=channel,
            location=location,
            basket=basket,
            exclude=exclude,
            rules=rules,
        )
        lists = going_with(serving.learned, request)
        return _about(serving, request, lists, "Goes with the basket", "no other item goes with the basket")

    def audience(
        self, item_id: Id, k: int = 100, *, at: Moment | None = None, exclude_seen: ExcludeSeen = "purchased"
    ) -> Audience:
        """List the customers whom one item suits best: those with a score above 0, ties in the order of ids.

        A blend counts what every model says of the item, however far down its own list.

        Parameters
        ----------
        item_id
            The item, for sale and available or not.
        k
            Most customers to list, at least 1.
        at, exclude_seen
            As for `recommend`: by default, customers who bought the item are left out, unless it is one that
            is bought again.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        """
        # Whom an item suits has nothing to do with where it can be had today.
        serving = replace(self._fitted(), available=None, rules=(), compiled=None)
        item = _item(serving.learned, item_id)
        request = Request.check(serving, k=k, at=at, exclude_seen=exclude_seen, fill=False)
        return Audience(tuple(find_audience(serving, item, request, request.k)), item_id)

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
        history = history.followed_by(request.session, "view", request.at)
        history = history.followed_by(request.basket, "cart", request.at)
    lists = rank_block(serving, history, seen, request)
    reasons = give_reasons(learned, history, seen, request, lists) if explain else None
    entries = name_items(learned, lists, reasons)
    shortfall = None
    if len(entries) < request.k:
        n_excluded = 0 if seen is None else int(request.allowed[seen.indices].sum())
        shortfall = request.shortfall(len(entries), n_excluded)
    return Recommendations(entries, who, known, shortfall, dict(request.ignored))


def _about(serving: Serving, request: Request, lists: Lists, heading: str, otherwise: str) -> Recommendations:
    """Answer a question about items."""
    entries = name_items(serving.learned, lists, None, sources=neighbour_sources(serving.learned))
    shortfall = None
    if len(entries) < request.k:
        of_those = "" if request.available is None else f" of those that can be had {request.place}"
        shortfall = f"{len(entries):,} of {request.k:,} items asked for: {otherwise}{of_those}."
    return Recommendations(entries, shortfall=shortfall, ignored=dict(request.ignored), heading=heading)


def _item(learned: Learned, item_id: Id) -> int:
    items = learned.histories.items
    item = items.find(item_id)
    if item < 0:
        raise errors.answering.unknown_item(item_id, items.kind)
    return item
