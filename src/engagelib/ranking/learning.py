"""Learning: the second stage is taught by a slice of the log that the models did not see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from engagelib.attributes import ItemAttributes
from engagelib.models import Model
from engagelib.ranking.boosting import learn_line, learn_trees
from engagelib.ranking.facts import draw_facts
from engagelib.ranking.goals import groups_of
from engagelib.ranking.lists import CandidateLists, Examples, Excluded, draw_lists, thinned
from engagelib.ranking.ranker import RANKED, Kind, Ranker
from engagelib.ranking.slices import Slice
from engagelib.ranking.weighing import blended, learn_weights
from engagelib.scoring.describing import feature_names

_LEAST_LISTS: Final = 100
"""Lists that hold something that was met next: of fewer nothing is learned."""

_MOST_LISTS: Final = 8_000
"""Lists of one slice."""

_ENOUGH_LISTS: Final = 1_000
"""Lists of all slices from which on no earlier slice is drawn."""

_MOST_EARLIER: Final = 2
"""Slices before the latest that are learned from, where lists are few."""

_LISTS_FOR_WEIGHTS: Final = 2_000

_OF_WEIGHTS: Final = 0.5
"""How much the weights learned count where candidates are looked for, against equal ones."""

_CERTAIN: Final = 0.25
"""Standard errors by which a ranker has to be better than a smaller one to take its place."""

_JUDGED: Final = 0.25
"""Share of the lists that a ranker does not learn from until it has been judged by them."""


@dataclass(frozen=True, eq=False)
class LearnedRanker:
    """What came of learning a second stage.

    Attributes
    ----------
    ranker
        None where the plain blend of the models stays.
    choice
        In words, what was learned from what, or why nothing was.
    judge
        The same kind of ranker, learned without the lists that judged it.
    unseen
        Rows of the slice's histories that the judge knows nothing of: of those who met something next and of
        all others the same share. None for all rows.
    """

    ranker: Ranker | None
    choice: str
    judge: Ranker | None = None
    unseen: np.ndarray | None = None


class World(NamedTuple):
    """A slice of the log, and what was known before it.

    Attributes
    ----------
    models
        Models fitted on `held.before`.
    held
        The slice.
    repeats
        The chance that each item is bought again, as far as was known then, shape (n_items,).
    """

    models: Sequence[Model]
    held: Slice
    repeats: np.ndarray


def learn_ranker(
    world: World,
    goal: str,
    *,
    kind: "Kind | None",
    attributes: ItemAttributes,
    excluded: Excluded,
    rng: np.random.Generator,
    hidden: bool = False,
    earlier: Callable[[int], World | None] | None = None,
) -> LearnedRanker:
    """Teach a ranker to put the models' candidates into the order in which they were met.

    First the models are weighed, on some lists. Candidates are the best `RANKED` items of the blend with
    these weights. Rankers learn from those lists that hold something that was met next; a quarter of these is
    kept apart, to judge them. Where they are few, lists of earlier slices are learned from too.

    Parameters
    ----------
    world
        The latest slice, by which is judged.
    goal
        The event type that lists should lead to.
    kind
        Which ranker; None begins with the blend, and takes the line and then the trees where these are better
        by more than their standard error.
    attributes
        What the item table says.
    excluded
        What a list leaves out.
    rng
        Which histories are asked for, and which lists are kept apart.
    hidden
        Whether to ask for the histories that lost all that they did with their targets, or for the others;
        where a slice does not tell them apart, for all.
    earlier
        Gives the first slice before the latest, the second, and so on; None where there is no further one.
    """
    models, held, _ = world
    groups = groups_of(held.before, goal)
    facts, columns, levels = draw_facts(held.before, attributes, world.repeats, groups)
    named = ["+".join(types) for types in groups]
    names = feature_names([model.name for model in models], columns, named, levels)
    rows = _asked(held, hidden)

    def drawn(world: World, weights: np.ndarray | None, most: int) -> CandidateLists:
        of_then = facts
        if world.held is not held:
            of_then, _, _ = draw_facts(world.held.before, attributes, world.repeats, groups)
        return draw_lists(
            world.models, world.held, of_then, groups, weights=weights, asked=_asked(world.held, hidden),
            excluded=excluded, available=attributes.for_sale, most=most, rng=rng,
        )  # fmt: skip

    few = drawn(world, None, _LISTS_FOR_WEIGHTS)
    if len(few) < _LEAST_LISTS:
        what = f"{len(few):,} lists of {held.what} hold what came next, at least {_LEAST_LISTS} are needed"
        return LearnedRanker(None, f"an equal-weight blend: {what}")
    weights = learn_weights(few, len(models))
    # What a model of no weight alone would find is worth looking at too.
    to_find = _OF_WEIGHTS * weights + (1 - _OF_WEIGHTS) / len(models)
    lists = drawn(world, to_find, _MOST_LISTS)
    what = f"{held.what} ({lists.n_asked:,} histories asked for, {len(lists):,} lists with what came next)"

    def taught(one: Kind, some: Sequence[Examples]) -> Ranker:
        if one == "blend":
            return Ranker(one, weights, None, groups, facts, names)
        examples = Examples(*map(np.concatenate, zip(*some, strict=True)))
        scorer = learn_trees(examples) if one == "boosting" else learn_line(examples)
        return Ranker(one, to_find, scorer, groups, facts, names)

    judged = rng.random(len(lists)) < _JUDGED
    of_judges = held.rows[lists.row[judged]]
    before: list[Examples] = []
    n_lists = len(lists)
    for number in range(_MOST_EARLIER):
        then = None if earlier is None or n_lists >= _ENOUGH_LISTS else earlier(number)
        if then is None:
            break
        found = drawn(then, to_find, _MOST_LISTS)
        known = then.held.rows[found.row]
        found = found.take((known < 0) | ~np.isin(known, of_judges))
        before.append(thinned(found, rng))  # all candidates of many lists would fill the memory
        n_lists += len(found)
        what += f", and from {len(found):,} lists of the slice before"
    seen, unseen = [thinned(lists.take(~judged), rng), *before], lists.take(judged)
    if not len(unseen) or all(part.is_met.all() for part in seen):
        return LearnedRanker(None, f"an equal-weight blend: the lists of {held.what} leave nothing to choose")
    best: Kind = "blend" if kind is None else kind
    gains, judges = {"blend": unseen.ndcg(blended(unseen, weights))}, {"blend": taught("blend", seen)}
    for one in _STEPS if kind is None else tuple(step for step in _STEPS if step == kind):
        judges[one] = taught(one, seen)
        gains[one] = unseen.ndcg(judges[one].score_features(unseen.features))
        gain = gains[one] - gains[best]
        if gain.mean() > _CERTAIN * gain.std() / np.sqrt(len(gain)):
            best = one
    share = len(lists) / lists.n_asked  # who finds nothing among the candidates counts 0
    verdict = ", ".join(f"{one} {share * values.mean():.4f}" for one, values in gains.items())
    weighed = " + ".join(
        f"{weight:.2f} {model.name}" for weight, model in zip(weights, models, strict=True) if weight
    )
    choice = (
        f"{_SPELLED[best]} over the best {RANKED} of {weighed}; learned from {what}; NDCG@10 on a quarter "
        f"kept apart: {verdict}"
    )
    apart = None if best == "blend" else _apart(held, rows, lists.row, judged, rng)
    return LearnedRanker(taught(best, [*seen, thinned(unseen, rng)]), choice, judges[best], apart)


def _asked(held: Slice, hidden: bool) -> np.ndarray:
    if held.hidden is None:
        return np.arange(held.block.n_histories)
    return np.flatnonzero(held.hidden == hidden)


def _apart(
    held: Slice, asked: np.ndarray, listed: np.ndarray, judged: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the rows of `held.before` that a ranker did not learn from, and the same share of all others."""
    share = judged.mean()
    theirs = np.ones(len(held.rows), bool)
    theirs[asked] = rng.random(len(asked)) < share
    theirs[listed] = judged
    apart = rng.random(held.before.n_histories) < 1.0 - len(asked) / len(held.rows) * (1.0 - share)
    known = held.rows >= 0
    apart[held.rows[known]] = theirs[known]
    return np.flatnonzero(apart)


_STEPS: Final[tuple[Kind, ...]] = ("logistic", "boosting")
"""From the small choice to the large one."""

_SPELLED: Final = {"blend": "no ranker", "logistic": "a logistic ranker", "boosting": "boosted trees"}
