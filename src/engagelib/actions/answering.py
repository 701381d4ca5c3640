"""Answering: one customer in a hurry, or many in blocks, to the same numbers."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from engagelib import errors
from engagelib.actions.answers import ActionRecommendations, ActionTable, RankedAction
from engagelib.actions.arbitration import SUPPRESSED_BY, Contact, ContactTable, Suppression
from engagelib.actions.chances import BASES, moved
from engagelib.actions.customers import STAGES
from engagelib.actions.known import ManyKnown, OneKnown
from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.nothing import NOTHING
from engagelib.actions.state import Context, State, standing_of
from engagelib.times import to_datetime
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    from engagelib.actions.customers import Audience

_BLOCK: Final = 8192
_CONTROL: Final = SUPPRESSED_BY.index("control") + 1


class OneJudged(NamedTuple):
    """All that an answer for one customer is made of.

    Attributes
    ----------
    known, key, told
        Whether there is a history; the id that stays; what is known.
    forecast
        What the models say of each of "nothing" and the actions, shape (1 + n_actions,), NaN where unknown.
    chance, spread
        What is made of it with what outcomes taught since, in [0, 1], and how sure that is, same shape.
    worth
        What a success of each action is worth.
    """

    known: bool
    key: Id | None
    told: OneKnown
    forecast: np.ndarray
    chance: np.ndarray
    spread: np.ndarray
    worth: list[float]


def judge_one(state: State, context: Context, customer_id: Any) -> OneJudged:
    """Work out what is known of a customer, and what would come of each action."""
    live, learned = context.serving.live, state.learned
    known, history = live.find(customer_id)
    key = None if customer_id is None else live.who(customer_id)
    told = learned.known.one(history, key, context.place.at)
    forecast = learned.chances.of(told.design)[0]
    bandit = learned.bandit
    mean, spread = bandit.posterior(told.design[0], context_free=learned.chances.teaches_all_alike)
    chance, spread = moved(forecast, mean, spread, bandit.mean_forecasts())
    return OneJudged(known, key, told, forecast, chance, spread, state.arbiter.values_one(told.numbers))


def rules_for_one(
    state: State, context: Context, judged: OneJudged, contacts: Sequence[Contact]
) -> list[Suppression | None]:
    """Say of each action why it may not be done for a customer, None where it may."""
    told = judged.told
    return state.arbiter.one(
        standing_of(state, context), told.numbers, told.codes, trouble=told.trouble, contacts=contacts,
        place=context.place,
    )  # fmt: skip


def recommend_one(state: State, context: Context, customer_id: Any, k: int | None) -> ActionRecommendations:
    """Rank the actions for one customer; see `NextBestAction.recommend`."""
    judged = judge_one(state, context, customer_id)
    is_control = state.group.holds(judged.key)
    if is_control:
        why: list[Suppression | None] = [
            Suppression(action.name, "control", "left alone, to compare with")
            for action in state.arbiter.actions
        ]
    else:
        contacts: Sequence[Contact] = ()
        if state.log is not None and state.arbiter.limits_contacts and judged.key is not None:
            contacts = contacts_one(state.log.contacts, state, context, judged.key)
        why = rules_for_one(state, context, judged, contacts)
    entries = ranked(state, judged, [0, *(place for place, found in enumerate(why, 1) if found is None)])
    entries.sort(key=lambda entry: -entry.priority)  # stable: ties stay in the order of the actions
    return ActionRecommendations(
        _entries=tuple(
            RankedAction(entry.action, entry.title, rank, *entry[3:])
            for rank, entry in enumerate(entries[:k], 1)
        ),
        customer_id=customer_id,
        known=judged.known,
        stage=judged.told.stage,
        at=to_datetime(context.place.at),
        is_control=is_control,
        suppressed=tuple(found for found in why if found is not None),
        expected_value=state.learned.known.expected_value(judged.told.numbers),
    )


def ranked(state: State, judged: OneJudged, places: Sequence[int]) -> list[RankedAction]:
    """Return some of "nothing", which is place 0, and the actions after it with their terms, unranked."""
    chances = state.learned.chances
    chance: list[float] = judged.chance.tolist()
    basis, has_uplift, found = chances.bases, chances.has_uplift, []
    for place in places:
        if not place:
            idle = None if math.isnan(chance[0]) else chance[0]
            found.append(RankedAction(NOTHING, NOTHING, 0, 0.0, idle, None, 0.0, 1.0, 0.0, BASES[0]))
            continue
        action = state.arbiter.actions[place - 1]
        success, value = chance[place], judged.worth[place - 1]
        uplift = success - chance[0] if has_uplift else None
        priority = (success if uplift is None else uplift) * value * action.lever - action.cost
        found.append(
            RankedAction(
                action.name, action.title or action.name, 0, priority, success, uplift, value, action.lever,
                action.cost, basis[place - 1],
            )
        )  # fmt: skip
    return found


# Many customers


class Block(NamedTuple):
    """Some customers of many.

    Attributes
    ----------
    part
        Which of them.
    told
        What is known.
    forecast, chance
        What the models say of each of "nothing" and the actions, and what is made of it with what outcomes
        taught, float64 of shape (n, 1 + n_actions); NaN where unknown.
    effect
        What counts of it: the uplift where it is known, else the chance; 0 for "nothing".
    spread
        How sure that is, same shape.
    worth
        What a success of each action is worth, lever included, shape (n, n_actions).
    priority
        Shape (n, 1 + n_actions), of all, suppressed or not.
    why
        Codes of rules that suppress actions, as `Arbiter.many` gives them, (n, n_actions).
    """

    part: slice
    told: ManyKnown
    forecast: np.ndarray
    chance: np.ndarray
    effect: np.ndarray
    spread: np.ndarray
    worth: np.ndarray
    priority: np.ndarray
    why: np.ndarray


ContactsOf = Callable[[Sequence[Id | None], int], ContactTable | None]


def blocks_of(
    state: State,
    context: Context,
    ids: "Sequence[Id | None] | Vocabulary",
    keys: "Sequence[Id | None] | None",
    rows: np.ndarray,
    *,
    contacts_of: ContactsOf | None = None,
    size: int = _BLOCK,
) -> Iterator[Block]:
    """Judge many customers, block by block."""
    live, learned, arbiter = context.serving.live, state.learned, state.arbiter
    standing, at = standing_of(state, context), context.place.at
    traits = learned.known.traits
    places = None if traits is None else traits.places(ids if keys is None else keys)
    for start in range(0, len(ids), size):
        part = slice(start, min(start + size, len(ids)))
        n = part.stop - start
        history, _ = live.take(None if keys is None else keys[part], rows[part])
        moment = np.full(n, at, np.int64)
        told = learned.known.many(history, np.arange(n), moment, None if places is None else places[part])
        forecast = learned.chances.of(told.design)
        mean, spread = learned.bandit.posterior_many(
            told.design, context_free=learned.chances.teaches_all_alike
        )
        chance, spread = moved(forecast, mean, spread, learned.bandit.mean_forecasts())
        has_uplift = learned.chances.has_uplift
        effect = chance - chance[:, :1] if has_uplift else chance.copy()
        effect[:, 0] = 0.0
        worth = arbiter.values(told.facts.numbers) * arbiter.lever
        priority = np.zeros(chance.shape)
        priority[:, 1:] = effect[:, 1:] * worth - arbiter.cost
        contacts = None
        if contacts_of is not None and arbiter.limits_contacts:
            whose = _named(ids, part) if keys is None else keys[part]
            contacts = contacts_of(whose, arbiter.since(at))
        why = arbiter.many(
            standing, told.facts, is_troubled=told.is_troubled, contacts=contacts, place=context.place
        )
        yield Block(part, told, forecast, chance, effect, spread, worth, priority, why)


def recommend_many(
    state: State,
    context: Context,
    ids: "Sequence[Id] | Vocabulary",
    keys: list[Id | None] | None,
    rows: np.ndarray,
    k: int,
) -> ActionTable:
    """Rank actions for many customers; see `NextBestAction.recommend_many`."""
    names = state.learned.chances.names
    n, width = len(ids), min(k, len(names))
    index = np.full((n, width), -1, np.int16)
    priority = np.full((n, width), np.nan, np.float32)
    success = np.full((n, width), np.nan, np.float32)
    stage = np.zeros(n, np.int8)
    is_control = state.group.holds_many(ids if keys is None else keys)
    suppressed = np.zeros((len(names) - 1, len(SUPPRESSED_BY)), np.int64)
    for block in blocks_of(state, context, ids, keys, rows, contacts_of=_contacts_of(state, context)):
        block.why[is_control[block.part]] = _CONTROL
        for code in range(1, len(SUPPRESSED_BY) + 1):
            suppressed[:, code - 1] += (block.why == code).sum(axis=0)
        found = block.priority
        found[:, 1:][block.why > 0] = -np.inf
        best = np.argsort(-found, axis=1, kind="stable")[:, :width]
        top = np.take_along_axis(found, best, axis=1)
        listed = top > -np.inf
        index[block.part] = np.where(listed, best, -1)
        priority[block.part] = np.where(listed, top, np.nan)
        success[block.part] = np.where(listed, np.take_along_axis(block.chance, best, axis=1), np.nan)
        stage[block.part] = block.told.stages.code
    return ActionTable(ids, names, index, priority, success, stage, tuple(STAGES), is_control, suppressed)


def audience(state: State, context: Context, action: str, k: int | None) -> "Audience":
    """List whom an action would suit; see `NextBestAction.audience`."""
    from engagelib.actions.customers import Audience

    place = state.arbiter.known[action]
    ids = context.serving.live.customers()
    keys = None if context.serving.live.is_empty and context.serving.live.identities is None else list(ids)
    rows = context.serving.learned.histories.customers.indices(ids if keys is None else keys)
    is_control = state.group.holds_many(ids)
    found = np.full(len(ids), -np.inf)
    chances = np.full(len(ids), np.nan)
    for block in blocks_of(state, context, ids, keys, rows, contacts_of=_contacts_of(state, context)):
        fits = (block.why[:, place] == 0) & ~is_control[block.part]
        found[block.part] = np.where(fits, block.priority[:, place + 1], -np.inf)
        chances[block.part] = block.chance[:, place + 1]
    order = np.argsort(-found, kind="stable")
    order = order[found[order] > 0][: len(ids) if k is None else k]
    return Audience(action, ids.ids(order.tolist()), found[order], {"p_success": chances[order].tolist()})


def choose(state: State, decisions: LoggedDecisions) -> np.ndarray:
    """Say what would have been done in place of logged decisions; see `NextBestAction.choose`."""
    learned, arbiter = state.learned, state.arbiter
    known, names = learned.known, learned.chances.names
    if decisions.features.shape[1] != len(known.design_names):
        raise errors.actions.other_features(decisions.features.shape[1], len(known.design_names))
    design = decisions.features
    taught = learned.bandit.posterior_many(design, context_free=learned.chances.teaches_all_alike)
    chance, _ = moved(learned.chances.of(design), *taught, learned.bandit.mean_forecasts())
    effect = chance - chance[:, :1] if learned.chances.has_uplift else chance
    worth = arbiter.values(design[:, : len(known.names.numbers)]) * arbiter.lever
    priority = np.zeros(chance.shape)
    priority[:, 1:] = effect[:, 1:] * worth - arbiter.cost
    place = np.array([names.index(name) if name in names else -1 for name in decisions.actions], np.int64)
    found = np.where(place >= 0, priority[:, place], -np.inf)
    if decisions.allowed is not None:
        found = np.where(decisions.allowed, found, -np.inf)
    codes = found.argmax(axis=1)
    # Where none of the actions of now might have been taken, what was done stands.
    return np.where(found[np.arange(len(codes)), codes] > -np.inf, codes, decisions.action)


def _contacts_of(state: State, context: Context) -> ContactsOf | None:
    """Return what looks contacts up in the log, None where there is no log."""
    log = state.log
    if log is None:
        return None
    return lambda ids, since: contact_table(log.contacts_many, state, context, ids, since)


def contacts_one(read: Callable[..., Any], state: State, context: Context, key: Id) -> list[Contact]:
    """Look a customer's contacts up under every name; `read` takes a name and the moment to begin at."""
    since = state.arbiter.since(context.place.at)
    return [
        Contact(*done)
        for name in context.serving.live.names_of(key)
        if fits_log(name)
        for done in read(name, since)
    ]


def contact_table(
    read: Callable[..., Any], state: State, context: Context, ids: Sequence[Id | None], since: int
) -> ContactTable | None:
    """Look contacts up, and bring them into the numbers of the actions; nobody has none."""
    whose, names = list[int](), list[Id]()
    names_of = context.serving.live.names_of
    for place, id_ in enumerate(ids):
        for name in () if id_ is None else names_of(id_):
            if fits_log(name):
                whose.append(place)
                names.append(name)
    there = np.array(whose, np.int64)
    found = read(names, since)
    if not len(found):
        return None
    numbers = np.array([state.arbiter.known.get(name, -1) for name in found.actions], np.int64)
    channels = np.array([*found.channels, None], object)
    return ContactTable(there[found.row], numbers[found.action], channels[found.channel], found.at)


def fits_log(customer_id: Id) -> bool:
    """Say whether a decision log could hold the id; about nobody else was anything decided."""
    return bool(customer_id) if isinstance(customer_id, str) else -(2**63) <= customer_id < 2**63


def _named(ids: "Sequence[Id | None] | Vocabulary", part: slice) -> Sequence[Id | None]:
    return ids.ids(range(part.start, part.stop)) if isinstance(ids, Vocabulary) else list(ids[part])
