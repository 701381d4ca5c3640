"""Learning: from a log to all that a recommender knows, first what the log supports, then in two stages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.ranking import (
    DEPTH,
    Kind,
    LearnedCalibration,
    LearnedRanker,
    Ranker,
    Slice,
    World,
    check_kind,
    draw_slice,
    learn_calibration,
    learn_ranker,
    slice_of_log,
    uncalibrated,
)
from engagelib.ranking.goals import goal_of
from engagelib.ranking.lists import Excluded
from engagelib.recommender.choosing import choose_filler, choose_models, fit_models
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import best_lists
from engagelib.recommender.pairing import learn_together
from engagelib.recommender.repeating import Repeats, learn_repeats
from engagelib.scoring import Rows

if TYPE_CHECKING:
    from engagelib.events import EventLog

_OFTEN: Final = 0.05
"""Share of what came next that lists leave out by default; of more, the second stage leaves out nothing."""


@dataclass(frozen=True)
class Recipe:
    """What a recommender is asked to learn; see the arguments of `Recommender`."""

    models: "str | Model | Sequence[str | Model]"
    ranker: Any
    target: str | None
    rng: Any
    by_location: bool


@dataclass(frozen=True)
class SecondStage:
    """What puts candidates in order: in lists as they are asked for by default, and in those of new items."""

    usual: Ranker | None = None
    new: Ranker | None = None
    choice: str = ""
    found: LearnedRanker | None = None


def learn(log: "EventLog", recipe: Recipe, validation: "EventLog | None", *, refit: bool) -> Learned:
    """Learn from a log; see `Recommender.fit` for what is refused.

    First the models are fitted on what came before a slice of the log, and the second stage learns from that
    slice; then, with `refit`, the models are fitted on everything.
    """
    kind = check_kind(recipe.ranker)
    histories = Histories.from_log(log)
    if not (histories.item_index >= 0).any():
        raise errors.answering.nothing_to_learn(len(log))
    attributes = ItemAttributes.from_table(log.item_table, log.items)
    chosen = choose_models(recipe.models, histories, attributes, by_location=recipe.by_location)
    goal = goal_of(histories, recipe.target)
    # A list of models that was asked for stays what it is, unless a ranker is asked for too.
    recipes = chosen.core + chosen.more
    wanted = kind is not None and (kind != "auto" or recipe.models == "auto") and len(recipes) > 1
    fitted: list[Model] | None = None
    second, chances = SecondStage(), uncalibrated(histories)
    if kind not in (None, "auto") and len(recipes) == 1:
        second = SecondStage(choice="one model alone, which leaves a ranker nothing to weigh")
    if wanted:
        rng = np.random.default_rng(recipe.rng)
        if validation is None:
            held = draw_slice(histories, goal, rng)
        else:
            held = slice_of_log(histories, validation, goal)
        if held is None:
            second = SecondStage(choice="an equal-weight blend: the log holds nothing back to learn from")
        else:
            fitted = fit_models(recipes, held.before, attributes)
            past = _Past(
                recipes, World(fitted, held, learn_repeats(held.before).share), goal, attributes, rng
            )
            second = _taught(past, None if kind == "auto" else kind)
            kept = fitted if second.usual or second.new else fitted[: len(chosen.core)]
            chances = _calibrated(histories, kept, held, goal, second.found, attributes, rng)
    if validation is not None and refit:
        log = log.append(validation)
        histories = Histories.from_log(log)
        attributes = ItemAttributes.from_table(log.item_table, log.items)
        fitted = None
    elif validation is None:
        fitted = None
    second, used = _pruned(second, len(recipes), len(chosen.core))
    recipes = [recipes[place] for place in used]
    fitted = None if fitted is None else [fitted[place] for place in used]
    models = fitted or fit_models(recipes, histories, attributes)
    repeats = learn_repeats(histories)
    usual, new = (
        None if ranker is None else ranker.with_facts(histories, attributes, repeats.share)
        for ranker in (second.usual, second.new)
    )
    if second.new is second.usual:
        new = usual
    return Learned(
        histories=histories,
        models=models,
        choice=chosen.reason if second.usual is None and second.new is None else chosen.reason_for_all,
        popularity=choose_filler(
            [] if recipe.models == "auto" else models, histories, by_location=recipe.by_location
        ),
        attributes=attributes,
        repeats=repeats,
        together=learn_together(histories),
        ranker=usual,
        ranker_of_new=new,
        ranked=second.choice,
        calibration=chances.calibration,
        calibrated=chances.choice,
        identities=log.identities,
    )


def _pruned(second: SecondStage, n_models: int, n_core: int) -> tuple[SecondStage, list[int]]:
    """Return the second stage without the models that it makes no use of, and the places of the others.

    Without one the core is what makes good lists alone. Blends do without what they give no weight; what
    describes candidates to a line or to trees is needed whatever its weight.
    """
    rankers = [ranker for ranker in (second.usual, second.new) if ranker is not None]
    if not rankers:
        return second, list(range(n_core))
    if any(ranker.scorer is not None for ranker in rankers):
        return second, list(range(n_models))
    weight = sum(ranker.weights for ranker in rankers)
    # Two at least: one model alone is no blend, and lists by scores of its own.
    used = sorted(np.argsort(-weight, kind="stable")[: max(int(np.count_nonzero(weight)), 2)].tolist())

    def lighter(ranker: Ranker | None) -> Ranker | None:
        return None if ranker is None else replace(ranker, weights=ranker.weights[used])

    usual = lighter(second.usual)
    new = usual if second.new is second.usual else lighter(second.new)
    return replace(second, usual=usual, new=new), used


class _Past:
    """The slices of a log from the latest backwards, each drawn from what came before the one after it."""

    def __init__(
        self,
        recipes: Sequence[Model],
        latest: World,
        goal: str,
        attributes: ItemAttributes,
        rng: np.random.Generator,
    ) -> None:
        self.recipes, self.goal, self.attributes, self.rng = recipes, goal, attributes, rng
        self.worlds: list[World | None] = [latest]

    @property
    def latest(self) -> World:
        """The slice that is judged by."""
        assert self.worlds[0] is not None  # it was given
        return self.worlds[0]

    def earlier(self, number: int) -> World | None:
        """Return the first slice before the latest, the second, and so on; None where there is none."""
        while len(self.worlds) <= number + 1:
            last = self.worlds[-1]
            held = None if last is None else draw_slice(last.held.before, self.goal, self.rng)
            if held is None:
                return None
            models = fit_models(self.recipes, held.before, self.attributes)
            self.worlds.append(World(models, held, learn_repeats(held.before).share))
        return self.worlds[number + 1]


def _taught(past: _Past, kind: Kind | None) -> SecondStage:
    """Teach one ranker for lists as they are asked for by default, another for items new to the customer."""
    held = past.latest.held
    repeats = learn_repeats(held.before)
    leaves_out = _share_left_out(held, repeats) <= _OFTEN

    def by_default(block: Histories, at: int | None) -> Rows | None:
        return block.met("purchased", at=at, without=repeats.returns) if leaves_out else None

    def all_met(block: Histories, at: int | None) -> Rows | None:
        return block.met("any", at=at)

    def learned(excluded: Excluded, *, hidden: bool) -> LearnedRanker:
        return learn_ranker(
            past.latest, past.goal,
            kind=kind, attributes=past.attributes, excluded=excluded, rng=past.rng, hidden=hidden,
            earlier=past.earlier,
        )  # fmt: skip

    usual = learned(by_default, hidden=False)
    choice = usual.choice if leaves_out else f"{usual.choice}; items met before are among them"
    if usual.ranker is None:  # then the models in use are those that need none, in lists of new items too
        return SecondStage(None, None, usual.choice, usual)
    if held.hidden is None and leaves_out and not repeats.returns.any():
        return SecondStage(usual.ranker, usual.ranker, choice, usual)
    new = learned(all_met, hidden=True)
    if new.ranker is None:
        return SecondStage(usual.ranker, usual.ranker, f"{choice}. Lists of new items alone: the same", usual)
    return SecondStage(usual.ranker, new.ranker, f"{choice}. Lists of new items alone: {new.choice}", usual)


def _calibrated(
    histories: Histories,
    models: Sequence[Model],
    held: Slice,
    goal: str,
    found: LearnedRanker | None,
    attributes: ItemAttributes,
    rng: np.random.Generator,
) -> LearnedCalibration:
    """Learn the chance of each place of the lists that a plain call would have made before the slice."""
    repeats, judge = learn_repeats(held.before), None if found is None else found.judge

    def listed(block: Histories) -> tuple[np.ndarray, np.ndarray]:
        met = block.met("purchased", without=repeats.returns)
        lists = best_lists(models, block, DEPTH, exclude=met, available=attributes.for_sale, ranker=judge)
        return lists.item_index, lists.score

    by_odds = judge is not None and judge.scorer is not None
    return learn_calibration(
        histories,
        held,
        goal,
        listed,
        by_odds=by_odds,
        unseen=None if found is None else found.unseen,
        rng=rng,
    )


def _share_left_out(held: Slice, repeats: Repeats) -> float:
    """Say how much of what came next had been bought before, and is no item that is bought again."""
    met = held.block.met("purchased", at=held.at, without=repeats.returns)
    n_items = met.shape[1]

    def cells(rows: Rows) -> np.ndarray:
        return np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)) * n_items + rows.indices

    wanted = cells(held.targets)
    return float(np.isin(wanted, cells(met)).mean()) if len(wanted) else 0.0
