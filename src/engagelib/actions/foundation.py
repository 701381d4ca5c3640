"""ActionFoundation: what `NextBestAction` stands on: what it was told and learned, saved and loaded."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from engagelib import errors, store
from engagelib.actions.arbitration import Arbiter, Place
from engagelib.actions.bandit import LinearBandit
from engagelib.actions.catalogue import Action, ContactLimit, check_actions, check_limits
from engagelib.actions.customers import CustomerFeatures, Lifecycle
from engagelib.actions.durations import to_span
from engagelib.actions.groups import ControlGroup
from engagelib.actions.learning import LearnedActions, Recipe, learn_actions
from engagelib.actions.settings import bounds_of, check_kind, place_id, seed_of, share_of
from engagelib.actions.state import Context, Explore, Exploring, State
from engagelib.actions.traits import Traits
from engagelib.locks import WriterLock
from engagelib.recommender import Recommender
from engagelib.recommender.request import check_flag
from engagelib.recommender.serving import Serving
from engagelib.tables import Table
from engagelib.times import Moment, to_microseconds
from engagelib.vocabulary import Id

if TYPE_CHECKING:
    from engagelib.actions.customers import StageTable
    from engagelib.actions.decisions import DecisionLog
    from engagelib.events import EventLog


class ActionFoundation:
    """The part of `NextBestAction` that learns, saves and reloads.

    All that a call reads lies in one object, `_state`, and in the recommender's; writers replace either in a
    single step.
    """

    _state: State

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        recommender: Recommender | None = None,
        decision_log: "DecisionLog | None" = None,
        limits: Iterable[ContactLimit] = (),
        control_share: float = 0.0,
        control_salt: str = "",
        features: CustomerFeatures | None = None,
        lifecycle: Lifecycle | None = None,
        horizon_days: float = 28.0,
        uplift: bool | Literal["auto"] = "auto",
        gate: bool = True,
        explore: Explore = "posterior",
        floor: float = 0.05,
        lever_bounds: tuple[float, float] = (0.5, 2.0),
        prior_sd: float = 0.05,
        rng: int = 0,
    ) -> None:
        self.actions = check_actions(actions)
        self.limits = check_limits(limits)
        lever_bounds = bounds_of(lever_bounds)
        for action in self.actions:
            if not lever_bounds[0] <= action.lever <= lever_bounds[1]:
                raise errors.actions.lever_out_of_bounds(action.name, action.lever, lever_bounds)
        self.recommender = Recommender("popularity", ranker=None) if recommender is None else recommender
        check_kind("recommender", self.recommender, "fit", "a Recommender, or None")
        self._fits_recommender = False
        if decision_log is not None:
            check_kind("decision_log", decision_log, "deciding", "a DecisionLog, or None")
        self._decision_log = decision_log
        self.control_share = share_of("control_share", control_share, below_one=True)
        self.control_salt = str(control_salt)
        self.features = CustomerFeatures() if features is None else features
        self.lifecycle = Lifecycle() if lifecycle is None else lifecycle
        for name, given in (("features", self.features), ("lifecycle", self.lifecycle)):
            check_kind(
                name, given, "one", f"a {'CustomerFeatures' if name == 'features' else 'Lifecycle'}, or None"
            )
        self.horizon_days = to_span(horizon_days, "horizon_days") / 86_400e6
        if not isinstance(uplift, bool) and uplift != "auto":
            raise errors.bad_argument("uplift", uplift, 'True, False or "auto"')
        self.uplift: bool | Literal["auto"] = uplift
        self.gate = check_flag(gate, "gate")
        if explore not in ("posterior", "epsilon"):
            raise errors.bad_argument("explore", explore, '"posterior" or "epsilon"')
        self.explore: Explore = explore
        self.floor = share_of("floor", floor, above_zero=True)
        self.lever_bounds = lever_bounds
        self.prior_sd = prior_sd
        self.rng = seed_of(rng)
        self.model_version_: str | None = None
        self._path: Path | None = None
        self._lock = WriterLock()
        self._erased: frozenset[Id] = frozenset()

    def fit(self, log: "EventLog | None" = None, decisions: Any = None, *, customers: Any = None) -> Self:
        """Learn from a log, and from decisions where there are some.

        Parameters
        ----------
        log
            The events, with timestamps. None where the recommender is fitted already: it is taken as it is.
        decisions
            What was done before and came of it: a `DecisionLog`, or a table with the columns `customer_id`,
            `at`, `action`, `outcome` (1 for a success, missing is none) and, where known, `p_logged` and
            `is_control`. None: chances are those of the events, and say nothing of what an action changes.
        customers
            A table with a row a customer, by `customer_id`, for conditions and models: consent, plan, region.
            None: nothing but events is known, whatever an earlier fit was given.

        A process that serves had better `reload` what another one fitted: here the recommender changes first,
        and this a moment later.

        Raises
        ------
        ArgumentError
            If there is neither a log nor a fitted recommender, or both; if a condition asks for what nothing
            is known by.
        NotEnoughDataError
            If the log has no timestamps; with `uplift=True` and nobody left alone by lot.
        """
        is_fitted = hasattr(self.recommender, "_serving")
        if log is None and not is_fitted:
            raise errors.actions.no_log()
        if log is not None and is_fitted and not self._fits_recommender:
            raise errors.actions.fitted_recommender()
        if log is not None:
            self._fits_recommender = True
            self.recommender.fit(log)
        serving = self.recommender.serving_
        traits = None if customers is None else Traits.read(customers)
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="blas"):  # thousands of small products, which threads only hold up
            learned = learn_actions(serving, self._recipe(), decisions, traits)
        self._erased = frozenset()
        self._serve(learned, None)
        return self

    def _recipe(self) -> Recipe:
        return Recipe(
            actions=self.actions, features=self.features, lifecycle=self.lifecycle,
            horizon_days=self.horizon_days, uplift=self.uplift, gate=self.gate, prior_sd=self.prior_sd,
            rng=self.rng, log=self.decision_log,
        )  # fmt: skip

    def _serve(self, learned: LearnedActions, version: str | None) -> None:
        items = self.recommender.items_
        state = State(
            learned=learned,
            arbiter=Arbiter(self.actions, self.limits, learned.known.names, items),
            group=ControlGroup(self.control_share, self.control_salt),
            exploring=Exploring(self.explore, self.floor, self.rng),
            log=self.decision_log,
            version=version,
            base=self.recommender.serving_.learned,
        )
        with self._lock:
            self._state = state

    # What was learned

    @property
    def features_(self) -> Table:
        """Names that conditions may ask for, what each holds, and the texts that it can be."""
        names = self._fitted().learned.known.names
        rows = [(name, "text", ", ".join(map(str, texts))) for name, texts in names.texts.items()]
        rows += [(name, str(kind), "") for name, kind in names.numbers.items()]
        return Table(("name", "holds", "one of"), tuple(rows))

    @property
    def gate_(self) -> Any:
        """Whether choosing by customer was shown to pay, a `Gate`; None without decisions."""
        return self._fitted().learned.chances.gate

    @property
    def response_(self) -> Any:
        """What chances come from: an `ActionResponse` with decisions, else an `EventResponse` or None."""
        chances = self._fitted().learned.chances
        return chances.events if chances.response is None else chances.response

    @property
    def value_(self) -> Any:
        """What customers are expected to bring, a `LifetimeValue`; None where the log does not tell."""
        return self._fitted().learned.known.value

    @property
    def bandit_(self) -> LinearBandit:
        """What outcomes taught since fitting."""
        return self._fitted().learned.bandit

    def summary(self) -> Table:
        """Say what was learned from what, whether the gate is open, and what is not checked."""
        state = self._fitted()
        rows = [("actions", ", ".join(state.arbiter.known)), *state.learned.rows()]
        rows.append(("control group", f"{self.control_share:.1%}"))
        if self.decision_log is None and state.arbiter.limits_contacts:
            rows.append(("contact limits", "not checked: there is no decision log to count in"))
        elif self.decision_log is not None:
            rows.append(("decision log", repr(self.decision_log)))
        rows.append(("version", self.model_version_ or "not saved"))
        return Table(("what", "value"), tuple(rows))

    def stages(self, moments: Sequence[Moment] | None = None) -> "StageTable":
        """Count the customers in each stage of the lifecycle, as of some moments.

        Parameters
        ----------
        moments
            None is the newest event of the log.
        """
        histories = self.recommender.histories_
        newest = np.array([histories.newest or 0], np.int64)
        return self._fitted().learned.known.lifecycle.table(histories, newest if moments is None else moments)

    @property
    def needs_moment_(self) -> str:
        """Why calls must say `at=`, in words; empty where the newest event known will do."""
        return _why_moment(*self._together())

    # What happens while it serves

    @property
    def decision_log(self) -> "DecisionLog | None":
        """Where decisions are written and contacts counted; None for nowhere. It can be assigned."""
        return self._decision_log

    @decision_log.setter
    def decision_log(self, log: "DecisionLog | None") -> None:
        with self._lock:
            self._decision_log = log
            if hasattr(self, "_state"):
                self._state = replace(self._state, log=log)

    # Files

    def save(self, path: str | Path) -> str:
        """Publish everything as one artifact, the recommender in it; readers see the old version until then.

        The decision log stays where it is, and so does availability. Returns the version.

        Raises
        ------
        ArgumentError
            If a rule is a function.
        ArtifactError
            If `path` is something else than an artifact or an empty place.
        """
        state = self._fitted()
        facts = {"settings": self._settings(), "learned": state.learned.facts()}
        arrays = {f"actions.{name}": values for name, values in state.learned.to_arrays().items()}
        version = self.recommender.publish(
            path, "next_best_action", arrays, {"actions": facts}, keep_before=not self._erased
        )
        with self._lock:
            base = self.recommender.serving_.learned
            self._state = replace(self._state, version=version, standing={}, base=base)
        self.model_version_, self._path = version, Path(path)
        return version

    def _settings(self) -> dict[str, Any]:
        return {
            "actions": [action.to_record() for action in self.actions],
            "limits": [limit.to_record() for limit in self.limits],
            "control_share": self.control_share, "control_salt": self.control_salt,
            "lifecycle": self.lifecycle.facts(), "horizon_days": self.horizon_days, "uplift": self.uplift,
            "gate": self.gate, "explore": self.explore, "floor": self.floor,
            "lever_bounds": list(self.lever_bounds), "prior_sd": self.prior_sd, "rng": self.rng,
        }  # fmt: skip

    @classmethod
    def from_artifact(cls, artifact: store.Artifact) -> Self:
        """Serve from an opened artifact; give it a `decision_log` to decide and to count contacts."""
        recommender = Recommender.from_artifact(artifact)
        parts = artifact.meta["actions"]
        settings = dict(parts["settings"])
        arrays = {
            name.removeprefix("actions."): values
            for name, values in artifact.arrays.items()
            if name.startswith("actions.")
        }
        learned = LearnedActions.from_arrays(arrays, parts["learned"])
        actions = [Action.from_record(record) for record in settings.pop("actions")]
        limits = [ContactLimit.from_record(record) for record in settings.pop("limits")]
        lifecycle = Lifecycle(**settings.pop("lifecycle"))
        bounds = tuple(settings.pop("lever_bounds"))
        made = cls(
            actions, recommender=recommender, limits=limits, lifecycle=lifecycle, lever_bounds=bounds,
            features=learned.known.features, **settings,
        )  # fmt: skip
        made._serve(learned, artifact.version)
        made.model_version_, made._path = artifact.version, artifact.path
        return made

    def reload(self, path: str | Path | None = None, *, verify: Literal["quick", "full"] = "quick") -> bool:
        """Swap to the newest saved version, while others go on asking this one.

        Availability and the decision log stay; so do events that are later than all that the version knows.
        Returns whether there was another version than the one that is served.

        Raises
        ------
        ArgumentError, ArtifactError, SchemaError
            As `Recommender.reload` does; it then goes on as it was.
        """
        folder = self._path if path is None else Path(path)
        if folder is None:
            raise errors.live.nowhere_to_reload(path)
        artifact = store.open_artifact(folder, verify=verify)
        if artifact.version == self.model_version_ and folder == self._path:
            return False
        fresh = store.restore(artifact, {"next_best_action": type(self).from_artifact})
        with self._lock:
            self.recommender.take_over(fresh.recommender)
            for name in ("actions", "limits", "control_share", "control_salt", *_TAKEN):
                setattr(self, name, getattr(fresh, name))
            learned = fresh._state.learned
            if self._erased and learned.known.traits is not None:  # the version may know them still
                traits = learned.known.traits.without(list(self._erased))
                learned = replace(learned, known=replace(learned.known, traits=traits))
            self._serve(learned, artifact.version)
            self.model_version_, self._path = artifact.version, folder
        return True

    def _fitted(self) -> State:
        if not hasattr(self, "_state"):
            raise errors.not_fitted("NextBestAction")
        return self._state

    def _together(self) -> tuple[State, Serving]:
        """Return what this one and its recommender serve by, of one fit or version."""
        state, serving = self._fitted(), self.recommender.serving_
        if serving.learned is not state.base:
            with self._lock:  # who is swapping them holds it
                state, serving = self._fitted(), self.recommender.serving_
                if serving.learned is not state.base:  # the recommender was saved or fitted by itself
                    self._serve(state.learned, state.version)
                    state, serving = self._state, self.recommender.serving_
        return state, serving

    def _writable_log(self) -> "DecisionLog":
        self._fitted()
        if self.decision_log is None:
            raise errors.actions.no_decision_log()
        return self.decision_log

    def _asked(
        self, channel: Id | None, location: Id | None, at: Moment | None, *, spends: bool = False
    ) -> tuple[State, Context]:
        """Return what to answer from, and check where and when a call asks."""
        state, serving = self._together()
        channel, location = place_id("channel", channel), place_id("location", location)
        if at is not None:
            place = Place(channel, location, to_microseconds(at), spends)
            return state, Context(serving, place)
        if why := _why_moment(state, serving):
            raise errors.actions.needs_moment(why)
        return state, Context(serving, Place(channel, location, serving.live.newest or 0))


def _why_moment(state: State, serving: Serving) -> str:
    """Say why an answer depends on the moment, empty where it does not."""
    if state.arbiter.has_windows:
        return "actions have windows of time"
    if serving.has_windows:
        return "availability has windows of time"
    return "contacts are limited by time" if state.log is not None and state.arbiter.limits_contacts else ""


_TAKEN = (
    "features", "lifecycle", "horizon_days", "uplift", "gate", "explore", "floor", "lever_bounds", "prior_sd",
    "rng",
)  # fmt: skip
