"""Deciding: an action is drawn from explicit chances, in the step that counts contacts and writes it down."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib import errors
from engagelib.actions.answering import (
    ContactsOf,
    OneJudged,
    blocks_of,
    contact_table,
    contacts_one,
    judge_one,
    ranked,
    rules_for_one,
)
from engagelib.actions.answers import Decision, RankedAction
from engagelib.actions.arbitration import Contact
from engagelib.actions.bandit import action_probabilities, epsilon_greedy_probabilities
from engagelib.actions.state import Context, State
from engagelib.times import to_datetime
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.actions.decisions import DecisionLog, DecisionRow, Step

_WORD: Final = 2**64 - 1
_AT_ONCE: Final = 2048
"""Customers that are decided for in one step: other writers wait as long."""


def decide(state: State, context: Context, log: "DecisionLog", customer_id: Any) -> Decision:
    """Draw one action and write it down; see `NextBestAction.decide`."""
    judged = judge_one(state, context, customer_id)
    key = judged.key
    if key is None:
        raise errors.actions.needs_customer(customer_id)
    place = context.place
    is_control = state.group.holds(key)
    rng = np.random.default_rng([state.exploring.rng, _number(key), place.at & _WORD])
    with log.deciding(key) as step:
        contacts: list[Contact] = []
        if state.arbiter.limits_contacts:
            contacts = contacts_one(lambda name, since: step.contacts(since, name), state, context, key)
        why = rules_for_one(state, context, judged, contacts)
        may = np.array([True, *(found is None for found in why)])
        chances = np.eye(1, len(may))[0] if is_control else _chances(state, judged, may, rng)
        drawn = _draw(chances, float(rng.random()))
        names = state.learned.chances.names
        named = {name: chance for name, chance in zip(names, chances.tolist(), strict=True) if chance}
        (chosen,) = ranked(state, judged, [drawn])
        row = _row(state, context, key, chosen, judged, drawn, chances, named, is_control=is_control)
        decision_id = step.append(row)
    return Decision(
        decision_id=decision_id, customer_id=key, action=chosen.action, title=chosen.title,
        p_logged=float(chances[drawn]), p_success=chosen.p_success, uplift=chosen.uplift,
        value=chosen.value, lever=chosen.lever, cost=chosen.cost, priority=chosen.priority,
        basis=chosen.basis, is_control=is_control, at=to_datetime(place.at), channel=place.channel,
        location=place.location, probabilities=named,
        suppressed=tuple(found for found in why if found is not None),
    )  # fmt: skip


def _chances(state: State, judged: OneJudged, may: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the chance of each of "nothing" and the actions, for somebody outside the control group."""
    chance, spread = judged.chance, judged.spread.copy()
    effect = chance - chance[0] if state.learned.chances.has_uplift else chance.copy()
    if state.learned.chances.has_uplift:
        spread = np.sqrt(spread**2 + spread[0] ** 2)
    effect[0] = spread[0] = 0.0
    worth = np.array([0.0, *judged.worth]) * np.append(0.0, state.arbiter.lever)
    costs = np.append(0.0, state.arbiter.cost)
    if state.exploring.way == "epsilon":
        return epsilon_greedy_probabilities(
            effect, values=worth, costs=costs, epsilon=state.exploring.floor, eligible=may
        )
    return action_probabilities(
        effect, spread, values=worth, costs=costs, floor=state.exploring.floor, eligible=may, rng=rng
    )


def decide_many(
    state: State,
    context: Context,
    log: "DecisionLog",
    ids: "Sequence[Id] | Vocabulary",
    keys: list[Id | None] | None,
    rows: np.ndarray,
) -> "pa.Table":
    """Draw and write down an action for each of many; see `NextBestAction.decide_many`."""
    import pyarrow as pa

    whose: list[Id | None] = list(ids) if keys is None else keys
    for place, key in enumerate(whose):
        if key is None:
            raise errors.actions.needs_customer(ids[place])
    if len({isinstance(key, str) for key in whose}) > 1:  # no table could hold them
        raise errors.log.mixed_ids(sorted({type(key).__name__ for key in whose}), "customer_id")
    # Nobody is twice in a step, which would not see the contact that it makes itself.
    turn = _turns(whose)
    order = np.argsort(turn, kind="stable")
    is_sorted = not turn.any()
    if not is_sorted:
        whose, rows = [whose[place] for place in order.tolist()], rows[order]
    ends = np.cumsum(np.bincount(turn)).tolist()
    names = state.learned.chances.names
    is_control = state.group.holds_many(whose)
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for part in _parts(ends):
        with log.deciding_many() as step:
            some = whose[part]
            (block,) = blocks_of(
                state, context, some, some, rows[part], size=_AT_ONCE,
                contacts_of=_reader(state, context, step),
            )  # fmt: skip
            # Two campaigns of one moment draw apart: who begins a step tells them from each other.
            begins = [context.place.at & _WORD, part.start, _number(some[0] or 0)]
            rng = np.random.default_rng([state.exploring.rng, *begins])
            chances = _chances_of_block(state, block, rng)
            chances[is_control[part]] = np.eye(1, chances.shape[1])[0]
            n = len(some)
            drawn = (np.cumsum(chances, axis=1) < rng.random((n, 1))).sum(axis=1)
            drawn = np.minimum(drawn, chances.shape[1] - 1)
            drawn = np.where(chances[np.arange(n), drawn] > 0, drawn, chances.argmax(axis=1))
            p_logged = chances[np.arange(n), drawn]
            p_model = block.forecast[np.arange(n), drawn]
            p_success = block.chance[np.arange(n), drawn]
            made = step.append_many(
                _rows_of(state, context, some, block, drawn, chances, p_logged, p_model, is_control[part])
            )
        columns["decision_id"] += made
        columns["customer_id"] += some
        columns["action"] += [names[place] for place in drawn.tolist()]
        columns["p_logged"] += p_logged.tolist()
        columns["p_success"] += [_known(value) for value in p_success.tolist()]
        columns["is_control"] += is_control[part].tolist()
    table = pa.table(columns)
    return table if is_sorted else table.take(pa.array(np.argsort(order)))


def _turns(whose: Sequence[Id | None]) -> np.ndarray:
    """Return how often each customer was named before, int64; 0 for all where each is named once."""
    if len(set(whose)) == len(whose):
        return np.zeros(len(whose), np.int64)
    before: Counter[Id | None] = Counter()
    turns = []
    for key in whose:
        turns.append(before[key])
        before[key] += 1
    return np.array(turns, np.int64)


def _parts(ends: Sequence[int]) -> Iterator[slice]:
    """Return steps of few enough customers, none of which reaches beyond an end."""
    for begin, end in pairwise([0, *ends]):
        for start in range(begin, end, _AT_ONCE):
            yield slice(start, min(start + _AT_ONCE, end))


def _reader(state: State, context: Context, step: "Step") -> ContactsOf:
    """Return what looks contacts up within a step."""
    return lambda of, since: contact_table(step.contacts_many, state, context, of, since)


_COLUMNS: Final = ("decision_id", "customer_id", "action", "p_logged", "p_success", "is_control")


def _chances_of_block(state: State, block: Any, rng: np.random.Generator) -> np.ndarray:
    may = np.ones(block.priority.shape, bool)
    may[:, 1:] = block.why == 0
    spread = np.array(block.spread)
    if state.learned.chances.has_uplift:
        spread = np.sqrt(spread**2 + spread[:, :1] ** 2)
    spread[:, 0] = 0.0
    worth = np.zeros(may.shape)
    worth[:, 1:] = block.worth
    costs = np.append(0.0, state.arbiter.cost)
    if state.exploring.way == "epsilon":
        return epsilon_greedy_probabilities(
            block.effect, values=worth, costs=costs, epsilon=state.exploring.floor, eligible=may
        )
    return action_probabilities(
        block.effect, spread, values=worth, costs=costs, floor=state.exploring.floor, eligible=may, rng=rng
    )


def _rows_of(
    state: State,
    context: Context,
    some: Sequence[Any],
    block: Any,
    drawn: np.ndarray,
    logged: np.ndarray,
    p_logged: np.ndarray,
    p_model: np.ndarray,
    is_control: np.ndarray,
) -> "list[DecisionRow]":
    """Return what is written down of a block: a row a customer, as the log keeps them."""
    from engagelib.actions.decisions import DecisionRow  # SQLite, which only those who decide need

    names = state.learned.chances.names
    place = context.place
    features = block.told.design.astype(np.float32)
    version = state.learned.known.version
    priority = block.priority[np.arange(len(some)), drawn].tolist()
    chance = block.chance[np.arange(len(some)), drawn].tolist()
    listed = zip(
        some, drawn.tolist(), logged.tolist(), p_logged.tolist(), p_model.tolist(), priority, chance,
        is_control.tolist(), features, strict=True,
    )  # fmt: skip
    return [
        DecisionRow(
            customer_id=key, at=place.at, action=names[action], p_logged=p, channel=_text(place.channel),
            location=_text(place.location), p_success=_known(model), is_control=control,
            policy_version=state.version, terms={"priority": worth, "p_success": _known(success)},
            features=row, features_version=version,
            eligible=[(name, one) for name, one in zip(names, every, strict=True) if one],
        )
        for key, action, every, p, model, worth, success, control, row in listed
    ]  # fmt: skip


def _row(
    state: State,
    context: Context,
    key: Id,
    chosen: RankedAction,
    judged: OneJudged,
    drawn: int,
    chances: np.ndarray,
    named: Mapping[str, float],
    *,
    is_control: bool,
) -> "DecisionRow":
    from engagelib.actions.decisions import DecisionRow  # SQLite, which only those who decide need

    place = context.place
    terms = chosen._asdict()
    for name in ("action", "title", "rank"):
        del terms[name]
    return DecisionRow(
        customer_id=key, at=place.at, action=chosen.action, p_logged=float(chances[drawn]),
        channel=_text(place.channel), location=_text(place.location),
        # What the model had forecast, without what outcomes taught: the bandit learns what is left of it.
        p_success=_known(float(judged.forecast[drawn])), is_control=is_control, policy_version=state.version,
        terms=terms, features=judged.told.design[0].astype(np.float32),
        features_version=state.learned.known.version, eligible=list(named.items()),
    )  # fmt: skip


def _draw(chances: np.ndarray, ticket: float) -> int:
    """Draw one action."""
    drawn = int(np.searchsorted(np.cumsum(chances), ticket, side="right"))
    # The last sum may miss 1 by rounding.
    return drawn if drawn < len(chances) and chances[drawn] > 0 else int(np.argmax(chances))


def _number(key: Id) -> int:
    from engagelib.strings import hash_bytes

    return hash_bytes(key.encode()) if isinstance(key, str) else int(key) & _WORD


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _text(name: Id | None) -> str | None:
    return None if name is None else str(name)
