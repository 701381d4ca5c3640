"""Features of repurchase against loops over one history at a time."""

import numpy as np
import pytest

from engagelib import Histories
from engagelib.models.repurchase import FEATURES, Repurchase
from engagelib.testing import histories_of, random_log
from engagelib.times import DAY


def purchases(past, row):
    """The kept purchases of one history as (occasion's moment, day, item), one an occasion and item."""
    is_timed, share = past.time_kind == "timestamp", past.share
    found = set()
    for place in range(past.indptr[row], past.indptr[row + 1]):
        name = past.event_types[past.event_type[place]]
        if past.item_index[place] < 0 or name != "purchase" or (share is not None and share[place] == 0):
            continue
        time = 0 if past.time is None else int(past.time[place])
        moment = time // DAY if is_timed else time
        found.add((moment, moment if is_timed else 0, int(past.item_index[place])))
    return sorted(found)


def described(bought, item, learned):
    moments = sorted({moment for moment, _, _ in bought})
    mine = [moment for moment, _, one in bought if one == item]
    days = [day for _, day, one in bought if one == item]
    newest_day = bought[-1][1] if bought else 0
    n = len(moments)
    back = {moment: n - 1 - place for place, moment in enumerate(moments)}
    weight = {moment: 2.0 ** (-back[moment] / 5) for moment in moments}
    total = sum(weight[moment] for moment, _, _ in bought)
    n_items = len({one for _, _, one in bought})
    known = bool(mine)
    since_last = back[mine[-1]] if known else -1
    since_first = back[mine[0]] if known else -1
    days_last, days_first = (newest_day - days[-1], newest_day - days[0]) if known else (-1, -1)
    due = (since_first - since_last + learned.interval_occasions[item]) / max(len(mine), 1)
    due_days = (days_first - days_last + learned.interval_days[item]) / max(len(mine), 1)
    return {
        "times_bought": len(mine),
        "share_of_occasions": len(mine) / max(n, 1),
        "share_since_first": len(mine) / (since_first + 1) if known else 0,
        "recent_share": sum(weight[moment] for moment in mine) / total if known else 0,
        "occasions_since_last": since_last,
        "occasions_since_first": since_first,
        "due_by_occasions": since_last / max(due, 1e-6) if known else -1,
        "days_since_last": days_last,
        "days_since_first": days_first,
        "due_by_days": days_last / max(due_days, 1e-6) if known else -1,
        "bought_in_last_1": known and since_last < 1,
        "bought_in_last_3": known and since_last < 3,
        "bought_in_last_5": known and since_last < 5,
        "n_occasions": n,
        "n_items_bought": n_items,
        "mean_basket": len(bought) / max(n, 1),
        "repeat_ratio": 1 - n_items / len(bought) if bought else 0,
        "buyers": learned.buyers[item],
        "item_repeat_share": learned.repeat_share[item],
        "item_interval_occasions": learned.interval_occasions[item],
        "item_interval_days": learned.interval_days[item],
    }


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
@pytest.mark.parametrize("share", [None, 0.6])
def test_features_are_what_loops_say(time_kind, share):
    histories = Histories.from_log(random_log(20, 10, 500, time_kind=time_kind, tied=True, rng=2))
    at = None if share is None or histories.time is None else int(np.quantile(histories.time, share))
    learned = Repurchase.from_histories(histories)
    every = np.tile(np.arange(-1, histories.n_items), (histories.n_histories, 1))
    found = learned.features(histories, every, at=at)
    assert found.dtype == np.float32
    assert found.shape == (*every.shape, len(FEATURES))
    assert not found[:, 0].any()
    past = (histories if at is None else histories.until(at)).with_shares()
    for row in range(histories.n_histories):
        bought = purchases(past, row)
        for item in range(histories.n_items):
            expected = described(bought, item, learned)
            got = dict(zip(FEATURES, found[row, item + 1].tolist(), strict=True))
            for name, value in expected.items():
                assert got[name] == pytest.approx(float(value), rel=1e-5, abs=1e-5), (name, row, item)


def test_one_row_is_described_as_among_all():
    histories = Histories.from_log(random_log())
    learned = Repurchase.from_histories(histories)
    every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
    found = learned.features(histories, every)
    for row in range(0, histories.n_histories, 5):
        alone = learned.features(histories.take(np.array([row])), every[:1])
        assert alone.tobytes() == np.ascontiguousarray(found[row : row + 1]).tobytes()
    nobody = learned.features(histories.take(np.array([-1])), np.array([[0, -1]]))
    assert nobody[0, 0, FEATURES.index("times_bought")] == 0
    assert np.isfinite(nobody).all()


# Tea on days 0, 3 and 4, seen again on days 2 and 5; a lamp seen once and never bought.
def test_what_was_met_and_when_worked_by_hand():
    visits = {1: ["tea", "rug", ("tea", "view"), "tea", "tea", ("tea", "cart"), ("lamp", "view")]}
    histories = histories_of(visits)
    learned = Repurchase.from_histories(histories)
    items = [histories.items.find(name) for name in ("tea", "lamp", "rug")]
    found = learned.features(histories, np.array([items]))[0]
    got = {name: found[:, place].tolist() for place, name in enumerate(FEATURES)}
    assert got["times_bought"] == [3, 0, 1]
    assert got["times_met"] == [2, 1, 0]
    assert got["met_since_bought"] == [1, 1, 0]
    assert got["days_quiet"] == [2, 2, 2]
    assert got["days_since_last"] == [0, -1, 3]
    assert learned.buyers[items].tolist() == [1, 0, 1]
    # One of two cells was bought again; ten cells of that share stand behind each item.
    assert learned.repeat_share[items].tolist() == pytest.approx([6 / 11, 0.5, 5 / 11])
    # Two gaps in all, of 4 days and 3 occasions together.
    assert learned.interval_days[items].tolist() == pytest.approx([2, 2, 2])
    assert learned.interval_occasions[items].tolist() == pytest.approx([1.5, 1.5, 1.5])


def test_it_comes_back_as_it_was_saved():
    histories = Histories.from_log(random_log())
    learned = Repurchase.from_histories(histories)
    back = Repurchase.from_arrays(learned.to_arrays())
    every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
    assert back.features(histories, every).tobytes() == learned.features(histories, every).tobytes()
