"""Learning: a fitted recommender and logged decisions become what `NextBestAction` answers from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.arbitration import Arbiter
from engagelib.actions.bandit import LinearBandit
from engagelib.actions.catalogue import Action
from engagelib.actions.chances import Chances, names_of
from engagelib.actions.customers import CustomerFeatures, FeatureTable, Lifecycle
from engagelib.actions.known import Known
from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.reading import column_names, read_decisions
from engagelib.actions.response import ActionResponse, EventResponse, Gate, safe_gate
from engagelib.actions.traits import Traits
from engagelib.histories import Histories
from engagelib.models.factors import FactorModel
from engagelib.recommender.serving import Serving
from engagelib.tables import Cell

N_TASTES: Final = 8
"""Directions of taste that features hold: more of them are for ranking items, not for choosing actions."""

_LEAST_ALONE: Final = 50
"""Decisions to leave a customer alone from which on effects are told from chances."""


@dataclass(frozen=True)
class Recipe:
    """What is to be learned, as `NextBestAction` was told; `log` is where it writes its decisions."""

    actions: tuple[Action, ...]
    features: CustomerFeatures
    lifecycle: Lifecycle
    horizon_days: float
    uplift: bool | str
    gate: bool
    prior_sd: float
    rng: int
    log: Any = None


@dataclass(frozen=True, eq=False)
class LearnedActions:
    """All that fitting finds out. It is replaced as a whole: a call reads all of it or none.

    Attributes
    ----------
    known
        What to know of a customer.
    chances
        What would come of each action.
    bandit
        What outcomes taught since fitting.
    choice
        In words, where chances come from, and why.
    n_decisions
        How many decisions were learned from.
    erasure_pending
        How many customers were forgotten since these were learned.
    """

    known: Known
    chances: Chances
    bandit: LinearBandit
    choice: str
    n_decisions: int
    erasure_pending: int = 0

    def rows(self) -> list[tuple[Cell, ...]]:
        """Say what was learned, for a summary."""
        known, chances = self.known, self.chances
        rows: list[tuple[Cell, ...]] = [
            ("features", len(known.features.names_)),
            ("value", known.why_no_value or str(known.value)),
            ("chances from", self.choice),
        ]
        if chances.response is not None:
            rows.append(("decisions learned from", self.n_decisions))
            rows.append(("effects", "told by those left alone" if chances.has_uplift else _NO_UPLIFT))
        rows.append(("gate", "not asked for" if chances.gate is None else chances.gate.summary()))
        if chances.response is None:
            rows[-1] = ("gate", "no decisions: nothing to open it, and chances are not effects of acting")
        rows.append(("outcomes learned since", int(self.bandit.n_rows_.sum())))
        if self.erasure_pending:
            rows.append(("customers forgotten since", self.erasure_pending))
        return rows

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        parts: dict[str, Any] = {"known": self.known, "chances": self.chances, "bandit": self.bandit}
        return {
            f"{name}.{inner}": values
            for name, part in parts.items()
            for inner, values in part.to_arrays().items()
        }

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        return {
            "known": self.known.facts(),
            "chances": self.chances.facts(),
            "bandit": self.bandit.facts(),
            "choice": self.choice,
            "n_decisions": self.n_decisions,
            "erasure_pending": self.erasure_pending,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave."""

        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name[len(prefix) :]: part for name, part in arrays.items() if name.startswith(prefix)}

        return cls(
            Known.from_arrays(under("known."), facts["known"]),
            Chances.from_arrays(under("chances."), facts["chances"]),
            LinearBandit.from_arrays(under("bandit."), facts["bandit"]),
            facts["choice"],
            facts["n_decisions"],
            facts["erasure_pending"],
        )


def learn_actions(serving: Serving, recipe: Recipe, decisions: Any, traits: Traits | None) -> LearnedActions:
    """Learn from the histories of a recommender, and from decisions where there are some.

    Raises
    ------
    NotEnoughDataError
        If the log has no timestamps; if uplift is asked for, and nobody was left alone by lot.
    """
    histories = serving.learned.histories
    if histories.time_kind != "timestamp":
        raise errors.log.needs_time("NextBestAction", histories.time_kind)
    features = recipe.features.fit(histories, serving.learned.attributes, tastes_of(serving))
    known = Known.learn(
        histories,
        features=features,
        lifecycle=recipe.lifecycle,
        horizon_days=recipe.horizon_days,
        traits=traits,
    )
    # What conditions and values ask about is checked before all that takes long.
    Arbiter(recipe.actions, (), known.names, histories.items)
    names = names_of(recipe.actions)
    bandit = _bandit(histories, known, names, recipe)
    if decisions is not None and decisions is recipe.log:  # what is learned here, outcomes need not teach
        bandit.begin_after(recipe.log.last_number)
    logged, left_out = _logged_or_none(decisions, names, known, serving, recipe)
    if logged is None or not len(logged):
        if recipe.uplift is True:
            raise errors.actions.no_uplift(0, _LEAST_ALONE)
        chances, choice = _from_events(histories, known, recipe)
        n_decisions = 0
    else:
        chances, choice = _from_decisions(logged, known, recipe, names)
        n_decisions = len(logged)
    return LearnedActions(known, chances, bandit, choice + left_out, n_decisions)


def tastes_of(serving: Serving) -> np.ndarray | None:
    """Return the strongest directions of a factor model's items, float32, shape (n_items, at most 8).

    None where the recommender has no such model.
    """
    for model in serving.learned.models:
        if isinstance(model, FactorModel):
            factors = np.asarray(model.factors_.array, np.float64)
            centred = factors - factors.mean(axis=0)
            _, vectors = np.linalg.eigh(centred.T @ centred)
            strongest = vectors[:, ::-1][:, :N_TASTES]
            # Signs of eigenvectors are nobody's: the largest part of each points up.
            largest = strongest[np.abs(strongest).argmax(axis=0), range(strongest.shape[1])]
            strongest = strongest * np.sign(largest)
            return np.asarray(centred @ strongest, np.float32)
    return None


def as_logged(
    decisions: Any, names: tuple[str, ...], known: Known, serving: Serving, horizon_days: float
) -> tuple[LoggedDecisions, int]:
    """Return decisions as arrays with what was known when each was taken; and how many had to be left out.

    Left out are those of actions that there are no more, and of customers whom the log does not know.
    """
    given = read_decisions(decisions, horizon=round(horizon_days * 86_400e6))
    place = np.array([names.index(name) if name in names else -1 for name in given.actions], np.int64)
    action = place[given.action]
    if given.time is None:
        raise errors.log.missing_column("at", column_names(decisions), renames=False, in_index=False)
    assert given.customers is not None  # asked for
    assert given.customer is not None
    keys = list(map(serving.live.who, given.customers))
    row = serving.learned.histories.customers.indices(keys)[given.customer]
    kept = (action >= 0) & (row >= 0) & (row < serving.learned.histories.n_customers)
    given, action, row = given.take(kept), action[kept], row[kept]
    assert given.time is not None  # asked for
    design = known.many(serving.learned.histories, row, given.time).design
    logged = LoggedDecisions(
        actions=names, action=action.astype(np.int32), reward=given.reward, features=design,
        feature_names=known.design_names, p_logged=given.p_logged, customer=row.astype(np.int64),
        time=given.time, is_control=given.is_control, allowed=_renumbered(given.allowed, place, len(names)),
    )  # fmt: skip
    return logged, int(np.count_nonzero(~kept))


def _logged_or_none(
    decisions: Any, names: tuple[str, ...], known: Known, serving: Serving, recipe: Recipe
) -> tuple[LoggedDecisions | None, str]:
    """Return decisions as arrays, and in words what was left out.

    None stands for no decisions; an empty log, or one whose decisions are all too young, is as good as none.
    """
    if decisions is None or (hasattr(decisions, "deciding") and not len(decisions)):
        return None, ""
    try:
        logged, n_left = as_logged(decisions, names, known, serving, recipe.horizon_days)
    except errors.NotEnoughDataError:
        return (
            None,
            f"; all decisions are younger than {recipe.horizon_days:g} days, and outcomes are missing",
        )
    return logged, f"; {n_left:,} decisions name no action or customer of now" if n_left else ""


def _renumbered(allowed: np.ndarray | None, place: np.ndarray, n_actions: int) -> np.ndarray | None:
    """Return which actions were allowed in the numbers of now; `place` is -1 for one that is gone."""
    if allowed is None:
        return None
    found = np.zeros((len(allowed), n_actions), bool)
    stays = np.flatnonzero(place >= 0)
    found[:, place[stays]] = allowed[:, stays]
    return found


def _from_decisions(
    logged: LoggedDecisions, known: Known, recipe: Recipe, names: tuple[str, ...]
) -> tuple[Chances, str]:
    n_alone = int(np.count_nonzero(logged.action == 0))
    told = logged.p_logged is not None and n_alone >= _LEAST_ALONE
    if recipe.uplift is True and not told:
        raise errors.actions.no_uplift(n_alone, _LEAST_ALONE, known=logged.p_logged is not None)
    has_uplift = told and recipe.uplift is not False
    response = ActionResponse().fit(logged)
    # What would come of each action done to all of them, whoever it was done to.
    constant = response.predict(logged.features).mean(axis=0)
    if not has_uplift:
        constant[0] = np.nan
    gate: Gate | None = None
    if recipe.gate:
        values, costs = _gate_terms(logged, known, recipe, has_uplift)
        # The control group was never chosen for: its decisions teach, and judge no choice.
        chosen = logged if logged.is_control is None else logged.take(~logged.is_control)
        gate = safe_gate(
            chosen if len(chosen) else logged, ActionResponse(), values=values, costs=costs, rng=recipe.rng
        )
    chances = Chances(
        names, response, constant, gate, has_uplift, None, np.full(len(names) - 1, -1, np.int64), recipe.gate
    )
    n_customers = 0 if logged.customer is None else len(np.unique(logged.customer))
    return chances, f"{len(logged):,} decisions of {n_customers:,} customers"


def _gate_terms(
    logged: LoggedDecisions, known: Known, recipe: Recipe, has_uplift: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a success is worth and what each action costs, nothing's the mean of the others.

    Without effects a success of doing nothing is worth nothing: nobody did anything for it.
    """
    numbers = list(known.names.numbers)
    worth = []
    for action in recipe.actions:
        value: Any = action.value
        if isinstance(value, Mapping):
            column = logged.features[:, numbers.index(value["feature"])]
            held = column[np.isfinite(column)]
            value = value["times"] * (float(held.mean()) if len(held) else 0.0)
        worth.append(float(value) * action.lever)
    idle = float(np.mean(worth)) if has_uplift else 0.0
    return np.array([idle, *worth]), np.array([0.0, *(action.cost for action in recipe.actions)])


def _from_events(histories: Histories, known: Known, recipe: Recipe) -> tuple[Chances, str]:
    """Learn the chance of each action's success from the events, where there are enough of them."""
    n_actions = len(recipe.actions)
    wanted = list(dict.fromkeys(action.success for action in recipe.actions))
    drawn = _drawn_once(known)
    fitted: list[str] = []
    why: dict[str, str] = {}
    for name in wanted:
        if name not in histories.event_types:
            why[name] = "no such event in the log"
            continue
        try:
            EventResponse((name,), recipe.horizon_days).fit(histories, drawn)
            fitted.append(name)
        except errors.NotEnoughDataError as error:
            why[name] = str(error).partition(". ")[0]
    events = EventResponse(tuple(fitted), recipe.horizon_days).fit(histories, drawn) if fitted else None
    outcome = np.array(
        [fitted.index(action.success) if action.success in fitted else -1 for action in recipe.actions],
        np.int64,
    )
    rates = [_rate(histories, action.success, recipe.horizon_days) for action in recipe.actions]
    chances = Chances(
        names_of(recipe.actions), None, np.array([np.nan, *rates]), None, False, events, outcome, recipe.gate
    )
    words = []
    if fitted:
        words.append(f"events: {', '.join(fitted)} within {recipe.horizon_days:g} days")
    words += [f"a flat guess for {name} ({reason})" for name, reason in why.items()]
    assert len(chances.constant) == 1 + n_actions
    return chances, "; ".join(words)


def _drawn_once(known: Known) -> Callable[[Histories, np.ndarray, np.ndarray], FeatureTable]:
    """Return what draws features, and remembers the last: each outcome asks for the same pairs."""
    last: list[tuple[np.ndarray, np.ndarray, FeatureTable]] = []

    def draw(histories: Histories, row: np.ndarray, moment: np.ndarray) -> FeatureTable:
        if last and np.array_equal(last[0][0], row) and np.array_equal(last[0][1], moment):
            return last[0][2]
        last[:] = [(row, moment, known.table(histories, row, moment))]
        return last[0][2]

    return draw


def _rate(histories: Histories, name: str, horizon_days: float) -> float:
    """Guess the chance of an event within a horizon from how often it came about at all."""
    n_customers = max(histories.n_customers, 1)
    time = histories.time
    span = 1.0 if time is None or not len(time) else max((int(time.max()) - int(time.min())) / 86_400e6, 1.0)
    count = int(np.count_nonzero(histories.of_type(name))) if name in histories.event_types else 0
    per_customer = (count + 0.5) / (n_customers + 1) * min(horizon_days / span, 1.0)
    return float(1.0 - np.exp(-per_customer))


def _bandit(histories: Histories, known: Known, names: Sequence[str], recipe: Recipe) -> LinearBandit:
    """Return a bandit that nothing taught yet, over features scaled as they are at the end of the log."""
    n = min(histories.n_customers, 20_000)
    row = np.linspace(0, max(histories.n_customers - 1, 0), n).astype(np.int64)
    moment = np.full(n, histories.newest or 0, np.int64)
    design = known.many(histories, row, moment).design if n else np.zeros((1, len(known.design_names)))
    there = np.isfinite(design)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, design, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(there, (design - mean) ** 2, 0.0).sum(axis=0) / count)
    return LinearBandit(
        tuple(names), mean, np.where(spread > 0, spread, 1.0), prior_sd=recipe.prior_sd,
        features_version=known.version,
    )  # fmt: skip


_NO_UPLIFT: Final = (
    "unknown: nobody was left alone by lot, so that a chance counts what would have come about anyway"
)
