"""Foundation: what a recommender stands on, learned from a log and kept up to date while it serves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from engagelib import errors, store
from engagelib.availability import Availability
from engagelib.histories import Histories
from engagelib.identity import Identity, IdentityMap
from engagelib.locks import WriterLock
from engagelib.models import Model, Popularity
from engagelib.ranking import Calibration
from engagelib.recommender.learned import Learned
from engagelib.recommender.learning import Recipe, learn
from engagelib.recommender.listing import source_names
from engagelib.recommender.live import Live
from engagelib.recommender.observing import Observed, check_events
from engagelib.recommender.request import check_flag
from engagelib.recommender.rules import Rule, check_rules
from engagelib.recommender.serving import Serving, compiled_rules
from engagelib.recommender.settling import settle
from engagelib.tables import Table
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from engagelib.events import EventLog

Rules = Sequence[Rule | Mapping[str, Any]]


class Foundation:
    """The part of `Recommender` that learns, listens, forgets, saves and reloads.

    All that a call reads lies in one object, `_serving`. Writers make another one under a lock and put it in
    its place in a single step; readers take no lock.
    """

    _serving: Serving

    def __init__(
        self,
        models: "str | Model | Sequence[str | Model]" = "auto",
        *,
        popular_by: Sequence[Literal["location"]] = (),
        rules: Rules = (),
        availability: Availability | None = None,
        ranker: Literal["auto", "blend", "boosting", "logistic"] | None = "auto",
        target: str | None = None,
        rng: int = 0,
    ) -> None:
        self.models = models
        self.popular_by = popular_by
        self.ranker: Literal["auto", "blend", "boosting", "logistic"] | None = ranker
        self.target = target
        self.rng = rng
        self.model_version_: str | None = None
        self._path: Path | None = None
        self._n_observed = 0
        self._n_changes = 0
        self._lock = WriterLock()
        self._rules = check_rules(rules)
        self._availability = _checked(availability)

    def fit(self, log: "EventLog", validation: "EventLog | None" = None, *, refit: bool = True) -> Self:
        """Learn from a log; whatever was learned or observed before is dropped.

        Where a second stage is to be learned, the models are first fitted on all but a slice of the log, the
        ranker learns from that slice, and the models are fitted again on everything.

        Parameters
        ----------
        log
            The events.
        validation
            Later events of the same customers, from which the second stage learns instead of a slice of the
            log. None draws that slice.
        refit
            Fit the models again once the second stage is learned, on both logs. False leaves them as they
            are fitted on `log`, which alone is known then; without a validation log it changes nothing.

        Raises
        ------
        ArgumentError
            If `models`, `popular_by` or `ranker` is not understood, no event on an item is of the type
            `target`, a rule asks for an attribute that no item has, or a log is no `EventLog`.
        NotEnoughDataError
            If no event of the log names an item or counts as interest, or the log lacks what a model needs.
        TooLargeError
            If a model that was asked for by name would need more memory than it may.
        """
        if isinstance(self.popular_by, str) or tuple(self.popular_by) not in {(), ("location",)}:
            raise errors.bad_argument("popular_by", self.popular_by, '() or ("location",)')
        for name, given in (("log", log), ("validation", validation)):
            if not hasattr(given, "history_index") and not (given is None and name == "validation"):
                expected = "an EventLog, such as EventLog.from_frame(frame) makes"
                raise errors.wrong_kind(name, type(given).__name__, expected)
        recipe = Recipe(self.models, self.ranker, self.target, self.rng, bool(self.popular_by))
        learned = learn(log, recipe, validation, refit=check_flag(refit, "refit"))
        with self._lock:
            self._serving = Serving.over(learned, self._availability, self._rules)
            self.model_version_, self._n_changes = None, 0
        return self

    # What was learned

    @property
    def serving_(self) -> Serving:
        """All that one call reads, in one piece, for other rooms of the library that answer calls."""
        return self._fitted()

    @property
    def histories_(self) -> Histories:
        """What each customer did, up to fitting."""
        return self._fitted().learned.histories

    @property
    def models_(self) -> list[Model]:
        """The fitted models."""
        return self._fitted().learned.models

    @property
    def popularity_(self) -> Popularity:
        """What ranks for those without a history, and completes short lists."""
        return self._fitted().learned.popularity

    @property
    def calibration_(self) -> Calibration | None:
        """What turns scores into probabilities, and how far these can be trusted; None where nothing does.

        It was learned from the latest tenth of the log's time, whose length is the horizon; `summary` says
        from whom, or why there is none.
        """
        return self._fitted().learned.calibration

    @property
    def repeats_(self) -> np.ndarray:
        """The chance that who bought an item buys it again, float32 of shape (n_items,)."""
        return self._fitted().learned.repeats.share

    @property
    def for_sale_(self) -> np.ndarray:
        """Whether each item may be shown at all, bool of shape (n_items,)."""
        return self._fitted().learned.for_sale

    @property
    def customers_(self) -> Vocabulary:
        """The customers that the recommender learned from; anonymous visits are none."""
        return self._fitted().learned.histories.customers

    def current_customers(self) -> Vocabulary:
        """Return the customers known now: `customers_`, with all that happened since.

        Those observed since are among them and those forgotten are not; linked ones stand under the id that
        stays. It is built anew where anything happened.
        """
        return self._fitted().live.customers()

    @property
    def items_(self) -> Vocabulary:
        """The items that the recommender knows."""
        return self._fitted().learned.histories.items

    @property
    def identities_(self) -> IdentityMap | None:
        """Which identities are one customer, links made since fitting included; None where none are."""
        live = self._fitted().live
        return live.links.copy() if len(live.links) else None

    @property
    def sources_(self) -> tuple[str, ...]:
        """What `source` can say: the models' names, then "popular"; with rules also what these add."""
        serving = self._fitted()
        return source_names(serving.learned.models, ruled=serving.compiled is not None)

    def summary(self) -> Table:
        """Say what was learned from what, and why these models; also a table in a notebook."""
        serving = self._fitted()
        rows = serving.learned.summary()
        live, bound = serving.live, serving.available
        if not live.is_empty:
            rows.append(("customers observed since", sum(entry.known for entry in live.entries.values())))
            rows.append(("customers forgotten since", live.n_forgotten))
        if bound is not None:
            rows.append(("availability", repr(bound.source)))
        if serving.rules:
            rows.append(("rules", len(serving.rules)))
        rows.append(("version", self.model_version_ or "not saved"))
        return Table(("what", "value"), tuple(rows))

    # What may be shown

    @property
    def availability(self) -> Availability | None:
        """What can be had, by channel, location and time; None where nobody said.

        Assigning another one, or None, is a single step: each call sees all of it or nothing. Items that it
        does not name are unavailable.
        """
        return self._availability

    @availability.setter
    def availability(self, availability: Availability | None) -> None:
        checked = _checked(availability)
        with self._lock:
            self._availability = checked
            if hasattr(self, "_serving"):
                items = self._serving.learned.histories.items
                bound = None if checked is None else checked.bind(items)
                self._serving = replace(self._serving, available=bound)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of every call; those of a call come on top of them. Assigning is a single step."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        checked = check_rules(rules)
        with self._lock:
            if hasattr(self, "_serving"):
                compiled = compiled_rules(self._serving.learned, checked)
                self._serving = replace(self._serving, rules=checked, compiled=compiled, rankings={})
            self._rules = checked

    # What happens while it serves

    @property
    def n_changes_(self) -> int:
        """How many events were observed, links made and customers forgotten since fitting or loading."""
        self._fitted()
        return self._n_changes

    def observe(self, events: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> int:
        """Take note of what customers just did: the next call of this process knows it, without a refit.

        A purchased item is not listed any more, and what goes with it moves up. Other processes know nothing
        of it; pass them the visit as `session=` and `basket=`, or have them `reload` what this one saves.

        Parameters
        ----------
        events
            One mapping or several, in the columns of `EventLog`: `customer_id` (a plain id or a pair),
            `item_id`, `event_type` ("purchase" where missing), `timestamp` or `position`, `quantity`,
            `value`, `rating`, `channel`, `location`, `order_id`, `session_id`. Without a time an event
            comes after all that is known of its customer. Items that the models never saw are kept and
            score nothing; customers that they never saw are known from now on. It is made for events as
            they come in; a whole log is for `fit`.

        Returns
        -------
        How many events were taken: all of them.

        Raises
        ------
        SchemaError, ArgumentError
            If an event is not as above; then none of the call is taken.
        """
        with self._lock:
            serving = self._fitted()
            learned, live = serving.learned, serving.live
            found = check_events(
                events,
                number=self._n_observed,
                time_kind=learned.histories.time_kind,
                newest=live.newest,
                namespace=live.links.column,
            )
            by_customer: dict[Id | None, list[Observed]] = {}
            for customer, event in found:
                key = None if customer is None else live.certainly(customer)
                by_customer.setdefault(key, []).append(event)
            for key in by_customer:
                if key is not None:
                    live.check_type(key)
            for key, theirs in by_customer.items():
                live.observe(key, theirs)
            self._n_observed += len(found)
            self._n_changes += len(found)
            return len(found)

    def link(self, first: Identity, second: Identity) -> Id:
        """State that two identities are one customer, as when a visitor signs in.

        From the next call on both have one history, all that either did.

        Returns
        -------
        The id that stays: that of the identity that was linked first of all, of two new ones `first`.

        Raises
        ------
        ArgumentError
            If one is neither an id nor a pair of a namespace and an id.
        SchemaError
            If neither id is of the type that customers have here.
        """
        with self._lock:
            kept = self._fitted().live.link(first, second)
            self._n_changes += 1
            return kept

    def forget(self, customer_id: Identity) -> None:
        """Erase a customer: from the next call on they are unknown here, and `save` writes nothing of them.

        What was learned by counting is learned anew on `save`. The weights of other models carry a trace
        until they are fitted again; `summary` and the saved manifest count these under `erasure_pending`.
        Files that were saved before are not touched, save for the artifact that is saved to next: of this,
        older versions are deleted. The log is yours to clean: `EventLog.forget`.

        Raises
        ------
        UnknownCustomerError
            If there is nothing to forget.
        """
        with self._lock:
            serving = self._fitted()
            if not serving.live.knows(customer_id):
                raise errors.answering.unknown_customer(customer_id, self.customers_.kind)
            self._serving = replace(serving, live=serving.live.without(customer_id))
            self._n_changes += 1

    # Files

    def save(self, path: str | Path) -> str:
        """Publish the recommender as an artifact; readers see the old version until the new one is whole.

        What was observed, linked and forgotten is worked in; rules are saved too, availability is not, for
        it would be out of date. The version before stays on disk, unless it knows somebody who was
        forgotten here.

        Returns
        -------
        The version, also in `model_version_`.

        Raises
        ------
        ArtifactError
            If `path` is something else than an artifact or an empty place.
        """
        return self.publish(path, "recommender", {}, {})

    def publish(
        self,
        path: str | Path,
        kind: str,
        more_arrays: Mapping[str, np.ndarray],
        more_facts: Mapping[str, Any],
        *,
        keep_before: bool = True,
    ) -> str:
        """Save as `save` does, as a part of an artifact of another kind.

        Parameters
        ----------
        path
            The folder.
        kind
            What the whole is.
        more_arrays, more_facts
            Its other parts, under names that no part of a recommender has.
        keep_before
            Whether the version before may stay on disk; it does not where it knows who was forgotten here.
        """
        with self._lock:
            serving = self._fitted()
            live, number, n_changes = serving.live.snapshot(), self._n_observed, self._n_changes
        learned = settle(serving.learned, live)
        facts = {**learned.facts(), "rules": [rule.to_record() for rule in serving.rules], **more_facts}
        keep = 1 if keep_before and not live.n_forgets else 0
        version = store.publish(path, kind, {**learned.to_arrays(), **more_arrays}, facts, keep=keep)
        if learned is not serving.learned:  # what was saved is mapped, and takes the place of the overlay
            artifact = store.open_artifact(path)
            if artifact.version == version:
                learned = Learned.from_arrays(artifact.arrays, artifact.meta)
        with self._lock:
            if self._serving.learned is serving.learned:  # neither fitted nor reloaded meanwhile
                self._settle_on(learned, live, number)
                self._n_changes -= n_changes
                self.model_version_, self._path = version, Path(path)
        return version

    def _settle_on(self, learned: Learned, saved: Live, number: int) -> None:
        """Serve what was saved, with what was observed, linked and forgotten since it was."""
        if learned is self._serving.learned:
            return
        live = self._serving.live.beyond(saved, learned.histories, learned.identities, number)
        self._serving = replace(Serving.over(learned, self._availability, self._rules), live=live)

    @classmethod
    def from_artifact(cls, artifact: store.Artifact) -> Self:
        """Serve from an opened artifact, over its mapped arrays."""
        learned = Learned.from_arrays(artifact.arrays, artifact.meta)
        popular_by: tuple[Literal["location"], ...] = ("location",) if learned.popularity.by_location else ()
        ranker = None if learned.ranker is None else learned.ranker.kind
        target = None if learned.ranker is None else learned.ranker.goal
        made: dict[str, Any] = {"popular_by": popular_by, "ranker": ranker, "target": target}
        recommender = cls(learned.models, rules=artifact.meta["rules"], **made)
        recommender._serving = Serving.over(learned, None, recommender._rules)
        recommender.model_version_, recommender._path = artifact.version, artifact.path
        return recommender

    def reload(self, path: str | Path | None = None, *, verify: Literal["quick", "full"] = "quick") -> bool:
        """Swap to the newest version of a saved recommender, while others go on asking this one.

        A call that has begun ends with the version that it began with. Availability stays, and so do the
        rules of this recommender. Of what was observed here, events stay that are later than the newest one
        that the new version knows; without timestamps all stay. Links stay, and who was forgotten stays so.

        Parameters
        ----------
        path
            The folder; None is where this recommender was loaded from or saved to last.
        verify
            As for `engagelib.load`.

        Returns
        -------
        Whether there was another version than the one that is served.

        Raises
        ------
        ArgumentError
            If there is no folder to think of, or a rule asks for what the new version's items do not have.
        ArtifactError
            As `engagelib.load` does.
        SchemaError
            If customers that were observed or linked here have ids of another type than the new version's.

        Whatever is raised, the recommender goes on as it was.
        """
        folder = self._path if path is None else Path(path)
        if folder is None:
            raise errors.live.nowhere_to_reload(path)
        artifact = store.open_artifact(folder, verify=verify)
        if artifact.version == self.model_version_ and folder == self._path:
            return False
        fresh = store.restore(artifact, {"recommender": type(self).from_artifact})
        self.take_over(fresh)
        self._path = folder
        return True

    def take_over(self, fresh: "Foundation") -> None:
        """Serve what another recommender learned, with what was observed, linked and forgotten here."""
        with self._lock:
            learned = fresh._serving.learned
            serving = Serving.over(learned, self._availability, self._rules)
            if hasattr(self, "_serving"):
                live = self._serving.live.rebased(learned.histories, learned.identities)
                serving = replace(serving, live=live)
            self._serving = serving
            self.model_version_, self._path = fresh.model_version_, fresh._path
            self._n_changes += 1

    def _fitted(self) -> Serving:
        if not hasattr(self, "_serving"):
            raise errors.not_fitted("Recommender")
        return self._serving


def _checked(availability: Any) -> Availability | None:
    if availability is None or isinstance(availability, Availability):
        return availability
    expected = "an Availability, such as Availability.from_frame(frame) makes, or None"
    raise errors.wrong_kind("availability", type(availability).__name__, expected)
