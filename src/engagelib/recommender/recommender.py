"""Recommender: models and rules over one log, answering what to show next for one customer or for all."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from engagelib import errors, store
from engagelib.histories import Histories
from engagelib.models import Model, Popularity
from engagelib.recommender.answering import BLOCK, give_reasons, name_items, rank_block, score_customers
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import Lists, similar_lists
from engagelib.recommender.recommendations import Audience, Member, Recommendations, RecommendationTable
from engagelib.recommender.request import (
    ExcludeSeen,
    OnUnknown,
    Request,
    check_count,
    check_flag,
    id_list,
)
from engagelib.tables import Table
from engagelib.times import Moment
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from engagelib.events import EventLog


class Recommender:
    """Ranks items for customers, from one log of events.

    Parameters
    ----------
    models
        "auto" lets the log decide; a name from `engagelib.models.model_names()`; a `Model`; or a list of
        names and models, of which each hands over its best 100 items, scaled by its own best score, and the
        mean over all models ranks.
    popular_by
        `("location",)` ranks popular items by the location of a call; () is one ranking for the shop.

    Attributes
    ----------
    customers_, items_
        The ids that the recommender knows, as `Vocabulary`.
    histories_, models_, popularity_, for_sale_
        What was learned.
    model_version_
        The version of the artifact that this recommender was loaded from or saved to last, else None.
    """

    def __init__(
        self,
        models: "str | Model | Sequence[str | Model]" = "auto",
        *,
        popular_by: Sequence[Literal["location"]] = (),
    ) -> None:
        self.models = models
        self.popular_by = popular_by

    def fit(self, log: "EventLog") -> Self:
        """Learn from a log; whatever was learned before is dropped.

        Raises
        ------
        ArgumentError
            If `models` or `popular_by` is not understood, or `log` is no `EventLog`.
        NotEnoughDataError
            If no event of the log names an item or counts as interest, or the log lacks what a model needs.
        """
        if isinstance(self.popular_by, str) or tuple(self.popular_by) not in {(), ("location",)}:
            raise errors.bad_argument("popular_by", self.popular_by, '() or ("location",)')
        if not hasattr(log, "history_index"):
            raise errors.wrong_kind(
                "log", type(log).__name__, "an EventLog, such as EventLog.from_frame(frame) makes"
            )
        self._learned = Learned.from_log(log, self.models, by_location=bool(self.popular_by))
        self.model_version_: str | None = None
        return self

    @property
    def histories_(self) -> Histories:
        """What each customer did."""
        return self._fitted().histories

    @property
    def models_(self) -> list[Model]:
        """The fitted models."""
        return self._fitted().models

    @property
    def popularity_(self) -> Popularity:
        """What ranks for those without a history, and completes short lists."""
        return self._fitted().popularity

    @property
    def for_sale_(self) -> np.ndarray:
        """Whether each item may be shown at all, bool of shape (n_items,)."""
        return self._fitted().for_sale

    @property
    def customers_(self) -> Vocabulary:
        """The customers that the recommender knows; anonymous visits are none."""
        return self._fitted().histories.customers

    @property
    def items_(self) -> Vocabulary:
        """The items that the recommender knows."""
        return self._fitted().histories.items

    @property
    def sources_(self) -> tuple[str, ...]:
        """What `source` can say: the models' names, then "popular"."""
        return self._fitted().sources

    def recommend(
        self,
        customer_id: Id | None = None,
        *,
        k: int = 10,
        at: Moment | None = None,
        location: Id | None = None,
        session: Iterable[Id] | None = (),
        basket: Iterable[Id] | None = (),
        exclude: Iterable[Id] | None = (),
        candidates: Iterable[Id] | None = None,
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
            The moment to answer for: later events of the history are not read. None is the newest event
            known.
        location
            Whose popular items complete the list, where `popular_by` names locations.
        session, basket
            Items looked at and items in the basket, oldest first: the newest events of the history. Items
            in the basket are not listed. They count as views and carts (where a model gives these no
            weight, they change nothing), and together at least as much as the history before them.
        exclude
            Items never to list.
        candidates
            The only items to list, every eligible one of them, up to k: those without a score come last.
        exclude_seen
            "purchased" leaves out what the customer bought, returned or not; "any" also what was looked
            at; "none" nothing. In a log with a single event type that type counts as purchased.
        repeat
            Whether purchased items may be listed: True, False, or None to do as `exclude_seen` says.
        fill
            Complete a short list by popularity, with score 0 and source "popular".
        explain
            Give reasons with each item.
        on_unknown
            "raise" refuses unknown customers instead.

        Returns
        -------
        At most k items by falling score, ties in the order of item ids. Unknown ids in `session`, `basket`,
        `exclude` and `candidates` are ignored and counted.

        Raises
        ------
        NotFittedError, ArgumentError
            Before `fit`; for arguments outside their range.
        NotEnoughDataError
            If `at` is given and the log has no timestamps.
        UnknownCustomerError
            With `on_unknown="raise"`.
        """
        learned = self._fitted()
        request = Request.check(
            learned.histories, learned.for_sale, k=k, at=at, location=location, session=session,
            basket=basket, exclude=exclude, candidates=candidates, exclude_seen=exclude_seen, repeat=repeat,
            fill=fill, on_unknown=on_unknown,
        )  # fmt: skip
        row = -1 if customer_id is None else learned.histories.customers.find(customer_id)
        if row < 0 and customer_id is not None and on_unknown == "raise":
            raise errors.answering.unknown_customer(customer_id, learned.histories.customers.kind)
        history = learned.histories.take(np.array([row]))
        seen = request.excluded(history)
        if request.at is not None:
            history = history.until(request.at)
        history = history.followed_by(request.session, "view", request.at)
        history = history.followed_by(request.basket, "cart", request.at)
        lists = rank_block(learned, history, seen, request)
        explain = check_flag(explain, "explain")
        reasons = give_reasons(learned, history, seen, request, lists) if explain else None
        entries = name_items(learned, lists, reasons)
        shortfall = None
        if len(entries) < request.k:
            n_excluded = 0 if seen is None else int(request.allowed[seen.indices].sum())
            shortfall = request.shortfall(len(entries), n_excluded, len(learned.for_sale))
        return Recommendations(entries, customer_id, row >= 0, shortfall, request.ignored)

    def recommend_many(
        self,
        customer_ids: "Sequence[Id] | np.ndarray | Vocabulary | None" = None,
        *,
        k: int = 10,
        at: Moment | None = None,
        location: Id | None = None,
        exclude: Iterable[Id] | None = (),
        candidates: Iterable[Id] | None = None,
        exclude_seen: ExcludeSeen = "purchased",
        repeat: bool | None = None,
        fill: bool = True,
        on_unknown: OnUnknown = "popular",
    ) -> RecommendationTable:
        """List the items to show many customers next, each list the same as `recommend` gives.

        Parameters
        ----------
        customer_ids
            The customers, repeats allowed; None is all of `customers_`. Unknown ids, and None among ids, are
            shown what is popular. The other parameters are those of `recommend`. The arrays are `k` columns
            wide, or as many as there are items where these are fewer.
        """
        learned = self._fitted()
        request = Request.check(
            learned.histories, learned.for_sale, k=k, at=at, location=location, exclude=exclude,
            candidates=candidates, exclude_seen=exclude_seen, repeat=repeat, fill=fill, on_unknown=on_unknown,
        )  # fmt: skip
        customers = learned.histories.customers
        ids = customers if customer_ids is None else customer_ids
        if not isinstance(ids, Vocabulary):
            ids = id_list(ids, "customer_ids")
        rows = np.arange(len(ids)) if customer_ids is None else customers.indices(ids)
        if on_unknown == "raise" and (rows < 0).any():
            raise errors.answering.unknown_customer(list(ids)[int(np.argmax(rows < 0))], customers.kind)
        lists = Lists.empty(len(rows), request.width)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            block = learned.histories.take(rows[part])
            found = rank_block(learned, block, request.excluded(block), request)
            lists.item_index[part], lists.score[part] = found.item_index, found.score
            lists.source[part] = found.source
        arrays = (lists.item_index, lists.score, lists.source)
        return RecommendationTable(ids, *arrays, learned.sources, learned.histories.items, request.ignored)

    def rank(
        self,
        customer_id: Id | None,
        items: Iterable[Id],
        *,
        at: Moment | None = None,
        session: Iterable[Id] | None = (),
        basket: Iterable[Id] | None = (),
        explain: bool = False,
    ) -> Recommendations:
        """Put given items in order for one customer: all that are for sale come back, unscored ones last.

        Each comes back once; seen items stay in, items in the basket do not. The parameters are those of
        `recommend`.
        """
        items = list(dict.fromkeys(id_list(items, "items")))
        found = self.recommend(
            customer_id, k=max(len(items), 1), at=at, session=session, basket=basket,
            candidates=items, exclude_seen="none", explain=explain,
        )  # fmt: skip
        ignored = {{"candidates": "items"}.get(name, name): count for name, count in found.ignored.items()}
        return replace(found, ignored=ignored, shortfall=found.shortfall if items else None)

    def similar(self, item_id: Id, k: int = 10) -> Recommendations:
        """List the items most like one item, of those for sale; fewer where fewer are alike.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        NotEnoughDataError
            If no model knows which items are alike.
        """
        learned = self._fitted()
        k = check_count(k, "k")
        item, n_items = _item(learned, item_id), learned.histories.n_items
        lists = similar_lists(learned.models, item, k, n_items=n_items, available=learned.for_sale)
        if lists is None:
            raise errors.answering.no_likeness([model.name for model in learned.models])
        entries = name_items(learned, lists, None)
        shortfall = None
        if len(entries) < k:
            shortfall = f"{len(entries):,} of {k:,} items asked for: no other item is like it."
        return Recommendations(entries, shortfall=shortfall, like=item_id)

    def audience(
        self, item_id: Id, k: int = 100, *, at: Moment | None = None, exclude_seen: ExcludeSeen = "purchased"
    ) -> Audience:
        """List the customers whom one item suits best: those with a score above 0, ties in the order of ids.

        A blend counts what every model says of the item, however far down its own list.

        Parameters
        ----------
        item_id
            The item, for sale or not.
        k
            Most customers to list, at least 1.
        at, exclude_seen
            As for `recommend`: by default, customers who bought the item are left out.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        """
        learned = self._fitted()
        item = _item(learned, item_id)
        request = Request.check(
            learned.histories, learned.for_sale, k=k, at=at, location=None, exclude=(), candidates=None,
            exclude_seen=exclude_seen, repeat=None, fill=False, on_unknown="popular",
        )  # fmt: skip
        score = score_customers(learned, item, request)
        best = np.argsort(-score, kind="stable")[:k]
        best = best[score[best] > 0]
        found = zip(learned.histories.customers.ids(best.tolist()), score[best].tolist(), strict=True)
        return Audience(tuple(Member(*member, rank) for rank, member in enumerate(found, 1)), item_id)

    def summary(self) -> Table:
        """Say what was learned from what, and why these models; also a table in a notebook."""
        return self._fitted().summary(self.model_version_)

    def save(self, path: str | Path) -> str:
        """Publish the recommender as an artifact; readers see the old version until the new one is whole.

        Returns
        -------
        The version, also in `model_version_`.

        Raises
        ------
        ArtifactError
            If `path` is something else than an artifact or an empty place.
        """
        learned = self._fitted()
        self.model_version_ = store.publish(path, "recommender", learned.to_arrays(), learned.facts())
        return self.model_version_

    @classmethod
    def from_artifact(cls, artifact: store.Artifact) -> Self:
        """Serve from an opened artifact, over its mapped arrays."""
        learned = Learned.from_arrays(artifact.arrays, artifact.meta)
        popular_by: tuple[Literal["location"], ...] = ("location",) if learned.popularity.by_location else ()
        recommender = cls(learned.models, popular_by=popular_by)
        recommender._learned, recommender.model_version_ = learned, artifact.version
        return recommender

    def __repr__(self) -> str:
        by = f", popular_by={tuple(self.popular_by)!r}" if self.popular_by else ""
        return f"Recommender({self.models!r}{by})"

    def _fitted(self) -> Learned:
        if not hasattr(self, "_learned"):
            raise errors.not_fitted("Recommender")
        return self._learned


def _item(learned: Learned, item_id: Id) -> int:
    items = learned.histories.items
    item = items.find(item_id)
    if item < 0:
        raise errors.answering.unknown_item(item_id, items.kind)
    return item
