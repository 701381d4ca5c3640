"""Questions: what a recommender answers about items and customers, beside lists of what to show next."""

from collections.abc import Iterable
from dataclasses import replace

from engagelib import errors
from engagelib.recommender.answering import find_audience, name_items
from engagelib.recommender.foundation import Foundation, Rules
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import Lists
from engagelib.recommender.neighbours import alike, going_with, neighbour_sources, standing_in
from engagelib.recommender.recommendations import Audience, Recommendations
from engagelib.recommender.request import ExcludeSeen, Request
from engagelib.recommender.serving import Serving
from engagelib.times import Moment
from engagelib.vocabulary import Id


class Questions(Foundation):
    """The part of `Recommender` that says what is like an item, goes with a basket, or suits whom."""

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
