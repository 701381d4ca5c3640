"""Settling: what was observed, linked and forgotten becomes part of what was learned, as a save writes it."""

from copy import copy
from dataclasses import replace
from typing import TypeVar

import numpy as np

from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories
from engagelib.identity import IdentityMap
from engagelib.models import Model
from engagelib.recommender.learned import Learned
from engagelib.recommender.live import Live
from engagelib.recommender.pairing import learn_together
from engagelib.recommender.repeating import learn_repeats
from engagelib.weaving import stack_rows

_Model = TypeVar("_Model", bound=Model)


def settle(learned: Learned, live: Live) -> Learned:
    """Return what was learned with the overlay worked in.

    The rows and the ids of those forgotten are gone. Models that learn by counting are learned anew from
    what is left, exactly as if the customers had never been there; of the others, `erasure_pending` says
    how many customers they still carry a trace of.

    Events on items that the models never saw stay as events without an item.
    """
    if live.is_empty and not live.n_forgets:
        return learned
    histories = _woven(live).with_shares()
    learned = replace(learned, histories=histories, identities=_identities(live))
    if not live.n_forgets:
        return learned
    histories = _without_traces(histories)
    pending = dict(learned.erasure_pending)
    for model in learned.models:
        if live.n_forgotten and not model.counted:
            pending[model.name] = pending.get(model.name, 0) + live.n_forgotten
    second_stage = {"ranker": learned.ranker or learned.ranker_of_new, "calibration": learned.calibration}
    for name, part in second_stage.items():
        if live.n_forgotten and part is not None:
            pending[name] = pending.get(name, 0) + live.n_forgotten
    return replace(
        learned,
        histories=histories,
        models=[_counted_anew(model, histories, learned.attributes) for model in learned.models],
        popularity=_counted_anew(learned.popularity, histories, learned.attributes),
        repeats=learn_repeats(histories),
        together=learn_together(histories),
        erasure_pending=pending,
    )


def _woven(live: Live) -> Histories:
    """Return histories with a row for each customer as they stand now, then the anonymous visits."""
    base, entries = live.base, dict(live.entries)
    customers, old, keys = live.joint_customers(entries)
    fresh, visits = [entries[key] for key in keys], list(live.visits.values())
    rows = np.full(len(customers), -1, np.int64)
    rows[customers.indices(old)] = base.customers.indices(old)
    rows[customers.indices(keys)] = base.n_histories + np.arange(len(fresh))
    below = base.n_histories + len(fresh) + np.arange(len(visits))
    order = np.concatenate([rows, np.arange(base.n_customers, base.n_histories), below])
    whole = stack_rows([base, *map(live.row_of, [*fresh, *visits])]).take(order)
    # Types that were observed may be more than any row needed.
    types = tuple(live.event_types)
    item_types = [name for name in types if name in base.item_types or _on_items(whole, name)]
    return replace(
        whole,
        customers=customers,
        event_types=types if len(types) > len(whole.event_types) else whole.event_types,
        newest=_newest(whole, base.newest),
        item_types=tuple(item_types),
    )


def _on_items(histories: Histories, name: str) -> bool:
    return bool((histories.of_type(name) & (histories.item_index >= 0)).any())


def _newest(histories: Histories, before: int | None) -> int | None:
    if histories.time is None or not len(histories.time):
        return before
    newest = int(histories.time.max())
    return newest if before is None else max(newest, before)


def _identities(live: Live) -> IdentityMap | None:
    return live.links if len(live.links) else live.identities


def _without_traces(histories: Histories) -> Histories:
    """Drop names that nobody uses any more, and count ages from what is left."""
    codes, tables = dict(histories.codes), dict(histories.tables)
    for name, table in histories.tables.items():
        used = np.zeros(len(table) + 1, bool)
        used[codes[name]] = True
        used = used[:-1]
        if not used.all():
            places = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
            codes[name], tables[name] = places[codes[name]], table.subset(used)
    in_use = np.unique(histories.event_type)
    place = np.zeros(len(histories.event_types), np.int16)
    place[in_use] = np.arange(len(in_use))
    types = tuple(histories.event_types[code] for code in in_use.tolist())
    time = histories.time
    newest = int(time.max()) if time is not None and len(time) else histories.newest
    return replace(
        histories, codes=codes, tables=tables, newest=newest, event_types=types,
        event_type=place[histories.event_type],
        item_types=tuple(name for name in types if name in histories.item_types),
    )  # fmt: skip


def _counted_anew(model: _Model, histories: Histories, attributes: ItemAttributes) -> _Model:
    return copy(model).fit_with(histories, attributes) if model.counted else model
