"""Recommender: models and rules over one log, answering what to show next for one customer or for all."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from engagelib import errors, store
from engagelib.histories import Histories
from engagelib.models import Model, Popularity
from engagelib.recommender.choosing import choose_models
from engagelib.recommender.explaining import explain_list
from engagelib.recommender.listing import (
    POPULAR,
    Lists,
    best_lists,
    fill_lists,
    listed_scales,
    model_scales,
    similar_lists,
)
from engagelib.recommender.recommendations import (
    Audience,
    Member,
    Reason,
    Recommendation,
    Recommendations,
    RecommendationTable,
)
from engagelib.recommender.request import ExcludeSeen, OnUnknown, Request, check_count, id_list
from engagelib.recommender.saving import Learned
from engagelib.tables import Table
from engagelib.times import Moment, spell
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from engagelib.events import EventLog

_BLOCK = 256
"""Customers scored at once: enough to keep a product busy, few enough to stay in cache."""


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
    models_
        The fitted models.
    popularity_
        Ranks for those without a history, and completes short lists.
    histories_
        What each customer did.
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
            raise errors.scoring.wrong_kind(
                "log", type(log).__name__, "an EventLog, such as EventLog.from_frame(frame) makes"
            )
        histories = Histories.from_log(log)
        if not (histories.item_index >= 0).any():
            raise errors.answering.nothing_to_learn(len(log))
        models, choice = choose_models(self.models, histories)
        popularity = Popularity(by_location=bool(self.popular_by)).fit(histories)
        titles, for_sale = log.item_texts("title"), log.item_for_sale()
        self._serve(Learned(histories, models, choice, popularity, titles, for_sale), version=None)
        return self

    def _serve(self, learned: Learned, version: str | None) -> None:
        self.histories_ = learned.histories
        self.models_, self._choice = learned.models, learned.choice
        self.popularity_ = learned.popularity
        self.titles_, self.for_sale_ = learned.titles, learned.for_sale
        self.model_version_ = version

    @property
    def customers_(self) -> Vocabulary:
        """The customers that the recommender knows; anonymous visits are none."""
        self._check_fitted()
        return self.histories_.customers

    @property
    def items_(self) -> Vocabulary:
        """The items that the recommender knows."""
        self._check_fitted()
        return self.histories_.items

    @property
    def sources_(self) -> tuple[str, ...]:
        """What `source` can say: the models' names, then "popular"."""
        self._check_fitted()
        return (*(model.name for model in self.models_), POPULAR)

    def recommend(
        self,
        customer_id: Id | None = None,
        *,
        k: int = 10,
        at: Moment | None = None,
        location: Id | None = None,
        session: Iterable[Id] = (),
        basket: Iterable[Id] = (),
        exclude: Iterable[Id] = (),
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
            in the basket are not listed.
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
        self._check_fitted()
        request = Request.check(
            self.histories_, self.for_sale_, k=k, at=at, location=location, session=session, basket=basket,
            exclude=exclude, candidates=candidates, exclude_seen=exclude_seen, repeat=repeat, fill=fill,
            on_unknown=on_unknown,
        )  # fmt: skip
        row = -1 if customer_id is None else self.customers_.find(customer_id)
        if row < 0 and customer_id is not None and on_unknown == "raise":
            raise errors.answering.unknown_customer(customer_id, self.customers_.kind)
        history = self.histories_.take(np.array([row]))
        seen = request.excluded(history)
        if request.at is not None:
            history = history.until(request.at)
        history = history.followed_by(request.session, "view", request.at)
        history = history.followed_by(request.basket, "cart", request.at)
        lists = self._lists(history, seen, request)
        reasons = self._reasons(history, seen, request, lists) if explain else None
        entries = self._entries(lists, reasons)
        shortfall = None
        if len(entries) < request.k:
            n_excluded = 0 if seen is None else int(request.allowed[seen.indices].sum())
            shortfall = request.shortfall(len(entries), n_excluded, len(self.items_))
        return Recommendations(entries, customer_id, row >= 0, shortfall, request.ignored)

    def recommend_many(
        self,
        customer_ids: "Sequence[Id] | np.ndarray | Vocabulary | None" = None,
        *,
        k: int = 10,
        at: Moment | None = None,
        location: Id | None = None,
        exclude: Iterable[Id] = (),
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
            shown what is popular. The other parameters are those of `recommend`.
        """
        self._check_fitted()
        request = Request.check(
            self.histories_, self.for_sale_, k=k, at=at, location=location, exclude=exclude,
            candidates=candidates, exclude_seen=exclude_seen, repeat=repeat, fill=fill, on_unknown=on_unknown,
        )  # fmt: skip
        ids = self.customers_ if customer_ids is None else customer_ids
        if not isinstance(ids, Vocabulary):
            ids = id_list(ids.tolist() if isinstance(ids, np.ndarray) else ids, "customer_ids")
        rows = np.arange(len(ids)) if customer_ids is None else self.customers_.indices(ids)
        if on_unknown == "raise" and (rows < 0).any():
            raise errors.answering.unknown_customer(list(ids)[int(np.argmax(rows < 0))], self.customers_.kind)
        lists = Lists.empty(len(rows), request.k)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = self.histories_.take(rows[part])
            found = self._lists(block, request.excluded(block), request)
            lists.item_index[part], lists.score[part], lists.source[part] = (
                found.item_index,
                found.score,
                found.source,
            )
        return RecommendationTable(
            ids, lists.item_index, lists.score, lists.source, self.sources_, self.items_, request.ignored
        )

    def rank(
        self,
        customer_id: Id | None,
        items: Iterable[Id],
        *,
        at: Moment | None = None,
        session: Iterable[Id] = (),
        basket: Iterable[Id] = (),
        explain: bool = False,
    ) -> Recommendations:
        """Put given items in order for one customer: all that are for sale come back, unscored ones last.

        Seen items stay in; items in the basket do not. The parameters are those of `recommend`.
        """
        items = id_list(items, "items")
        return self.recommend(
            customer_id, k=max(len(items), 1), at=at, session=session, basket=basket,
            candidates=items, exclude_seen="none", explain=explain,
        )  # fmt: skip

    def similar(self, item_id: Id, k: int = 10) -> Recommendations:
        """List the items most like one item, of those for sale; fewer where fewer are alike.

        Raises
        ------
        UnknownItemError
            If the item is unknown.
        NotEnoughDataError
            If no model knows which items are alike.
        """
        self._check_fitted()
        k = check_count(k, "k")
        lists = similar_lists(
            self.models_, self._item(item_id), k, n_items=len(self.items_), available=self.for_sale_
        )
        if lists is None:
            raise errors.answering.no_likeness([model.name for model in self.models_])
        entries = self._entries(lists, None)
        short = (
            None
            if len(entries) == k
            else f"{len(entries):,} of {k:,} items asked for: no other item is like it."
        )
        return Recommendations(entries, shortfall=short, like=item_id)

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
        self._check_fitted()
        item = self._item(item_id)
        request = Request.check(
            self.histories_, self.for_sale_, k=k, at=at, location=None, exclude=(), candidates=None,
            exclude_seen=exclude_seen, repeat=None, fill=False, on_unknown="popular",
        )  # fmt: skip
        n_customers = len(self.customers_)
        score = np.zeros(n_customers, np.float32)
        for start in range(0, n_customers, _BLOCK):
            block = self.histories_.block(start, min(start + _BLOCK, n_customers))
            seen = request.excluded(block)
            total = np.zeros(block.n_histories)
            scales = model_scales(self.models_, block, at=request.at, exclude=seen, available=request.allowed)
            for model, scale in zip(self.models_, scales.T, strict=True):
                total += (
                    scale
                    * model.score_pairs(block, np.full((block.n_histories, 1), item), at=request.at)[:, 0]
                )
            if seen is not None:
                total[seen[:, [item]].nonzero()[0]] = 0.0
            score[start : start + _BLOCK] = total
        best = np.argsort(-score, kind="stable")[: request.k]
        best = best[score[best] > 0]
        members = zip(self.customers_.ids(best.tolist()), score[best].tolist(), strict=True)
        return Audience(
            tuple(Member(customer, value, rank) for rank, (customer, value) in enumerate(members, 1)), item_id
        )

    def summary(self) -> Table:
        """Say what was learned from what, and why these models; also a table in a notebook."""
        self._check_fitted()
        histories = self.histories_
        newest = histories.newest
        until = (
            spell(newest) + " UTC"
            if newest is not None and histories.time_kind == "timestamp"
            else histories.time_kind
        )
        return Table(
            ("what", "value"),
            (
                ("models", ", ".join(map(repr, self.models_))),
                ("chosen", self._choice),
                ("completed by", repr(self.popularity_)),
                ("customers", len(self.customers_)),
                ("anonymous visits", histories.n_histories - len(self.customers_)),
                ("items", len(self.items_)),
                ("items for sale", int(self.for_sale_.sum())),
                ("events", histories.n_events),
                ("newest event", until),
                ("version", self.model_version_ or "not saved"),
            ),
        )

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
        self._check_fitted()
        learned = Learned(
            self.histories_, self.models_, self._choice, self.popularity_, self.titles_, self.for_sale_
        )
        self.model_version_ = store.publish(path, "recommender", learned.to_arrays(), learned.facts())
        return self.model_version_

    @classmethod
    def from_artifact(cls, artifact: store.Artifact) -> Self:
        """Serve from an opened artifact, over its mapped arrays."""
        learned = Learned.from_arrays(artifact.arrays, artifact.meta)
        popular_by: tuple[Literal["location"], ...] = ("location",) if learned.popularity.by_location else ()
        recommender = cls(learned.models, popular_by=popular_by)
        recommender._serve(learned, artifact.version)
        return recommender

    def __repr__(self) -> str:
        by = f", popular_by={tuple(self.popular_by)!r}" if self.popular_by else ""
        return f"Recommender({self.models!r}{by})"

    def _check_fitted(self) -> None:
        if not hasattr(self, "histories_"):
            raise errors.not_fitted("Recommender")

    def _item(self, item_id: Id) -> int:
        item = self.items_.find(item_id)
        if item < 0:
            raise errors.answering.unknown_item(item_id, self.items_.kind)
        return item

    def _lists(self, block: Histories, seen: "csr_array | None", request: Request) -> Lists:
        """Rank for a block: the models first, then popularity where the call lets it."""
        limits: dict[str, Any] = {"exclude": seen, "available": request.allowed}
        lists = best_lists(self.models_, block, request.k, at=request.at, **limits)
        if not request.fill and not request.every_candidate:
            return lists
        ranking = self.popularity_.ranking(request.location)
        return fill_lists(lists, ranking, n_items=len(self.items_), n_models=len(self.models_), **limits)

    def _entries(self, lists: Lists, reasons: list[tuple[Reason, ...]] | None) -> tuple[Recommendation, ...]:
        """Turn the first list into objects of built-in types."""
        n, sources = int(lists.counts[0]), self.sources_
        index, scores, source = (
            part[0, :n].tolist() for part in (lists.item_index, lists.score, lists.source)
        )
        return tuple(
            Recommendation(item_id, title, scores[place], place + 1, sources[source[place]], None, why)
            for place, ((item_id, title), why) in enumerate(
                zip(self._named(index), reasons or [()] * n, strict=True)
            )
        )

    def _named(self, index: Sequence[int]) -> list[tuple[Id, str | None]]:
        """Return the ids and titles of items."""
        titles = (title or None for title in self.titles_.take(index))
        return list(zip(self.items_.ids(index), titles, strict=True))

    def _reasons(
        self, history: Histories, seen: "csr_array | None", request: Request, lists: Lists
    ) -> list[tuple[Reason, ...]]:
        limits: dict[str, Any] = {"exclude": seen, "available": request.allowed}
        scales = listed_scales(self.models_, history, lists, at=request.at, **limits)

        listed = lists.item_index[0, : lists.counts[0]]
        return explain_list(
            self.models_, scales, history, listed, at=request.at, showable=self.for_sale_, named=self._named
        )
