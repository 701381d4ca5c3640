"""What is bought again: against its definition, cases worked by hand, laws, and what it does to lists."""

import json
import re
from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from engagelib import EventLog, Histories
from engagelib.datasets import make_shop
from engagelib.errors import ArgumentError
from engagelib.recommender import repeating
from engagelib.recommender.repeating import Repeats, bought_events, learn_repeats
from engagelib.testing import histories_of, random_log

START = datetime(2024, 1, 1)


def histories_on(rows, **columns):
    """Histories of (customer, item, day) purchases; a day may be a fraction, columns go beside the rows."""
    customers, items, days = zip(*rows, strict=True)
    frame = {
        "customer_id": list(customers),
        "item_id": list(items),
        "timestamp": [START + timedelta(days=day) for day in days],
        "event_type": ["view" if item == "look" else "purchase" for item in items],
    }
    return Histories.from_log(EventLog.from_frame(frame | columns))


def bought_again(item, n_buyers, n_again, *, days=(0, 1), name=""):
    """So many buyers of an item, of whom some buy it again; each with an id of their own."""
    first = [(f"{name or item}{buyer}", item, days[0]) for buyer in range(n_buyers)]
    return first + [(f"{name or item}{buyer}", item, days[1]) for buyer in range(n_again)]


def share_of(repeats, histories, item):
    return float(repeats.share[histories.items.find(item)])


def returns(repeats, histories, item):
    return bool(repeats.returns[histories.items.find(item)])


# --- by definition ------------------------------------------------------------------------------------


def definition(rows, orders, n_items, last_day):
    """Shares by the letter: trials one by one, the estimate by age step by step, the prior by moments."""
    events = defaultdict(list)
    for (customer, item, day), order in zip(rows, orders, strict=True):
        if item != "look":
            events[customer, item].append((day, order))
    trials = []
    for (_, item), times in events.items():
        times.sort(key=lambda event: event[0])
        first = times[0][0]
        first_order = min((order for day, order in times if day == first), key=lambda one: one or 0)
        later = [
            int(day) - int(first)
            for day, order in times
            if int(day) > int(first) and (order is None or order != first_order)
        ]
        trials.append((item, last_day - int(first), min(later, default=None)))
    ages = sorted(age for _, age, _ in trials if age > 0)
    if not ages:
        return None
    horizon = ages[int(0.9 * (len(ages) - 1))]
    ended = []
    for item, age, gap in trials:
        again = gap is not None and gap <= horizon
        ended.append((item, min(age, horizon), again, gap if again else min(age, horizon)))
    stays, repeated = 1.0, [0.0]
    for age in range(1, horizon + 1):
        waiting = sum(end >= age for *_, end in ended)
        back = sum(again and end == age for *_, again, end in ended)
        stays *= 1 - back / waiting if waiting else 1
        repeated.append(1 - stays)
    if not repeated[-1]:
        return None
    r, n = np.zeros(n_items), np.zeros(n_items)
    for item, age, again, _ in ended:
        r[item] += again
        n[item] += repeated[age] / repeated[-1]
    n = np.maximum(n, r)
    shop = r.sum() / n.sum()
    bought = n > 0
    total, k = n.sum(), bought.sum()
    room = total - (n**2).sum() / total - (k - 1)
    strength = 1000.0
    if room > 0 and 0 < shop < 1:
        spread = sum(n[i] * (r[i] / n[i] - shop) ** 2 for i in np.flatnonzero(bought))
        rho = (spread / (shop * (1 - shop)) - (k - 1)) / room
        strength = min(max(1 / rho - 1, 0.5), 1000.0) if rho > 0 else 1000.0
    return shop, strength, horizon, (r + strength * shop) / (n + strength)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 3), st.sampled_from([0, 0.5, 1, 1.75, 2, 3, 4, 5, 7]),
        st.sampled_from([None, None, 1, 2, 3]),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


@given(rows=ROWS)
def test_shares_are_what_the_definition_says(rows):
    orders = [order for *_, order in rows] + [None] * 5
    events = [row[:3] for row in rows] + [(9, "look", 9)] + [(9, "look", 9)] * 4
    ids = {"look": 99}
    frame_rows = [(customer, ids.get(item, item), day) for customer, item, day in events]
    log = EventLog.from_frame(
        {
            "customer_id": [row[0] for row in frame_rows],
            "item_id": [row[1] for row in frame_rows],
            "timestamp": [START + timedelta(days=row[2]) for row in frame_rows],
            "event_type": ["view" if row[1] == 99 else "purchase" for row in frame_rows],
            "order_id": [None if order is None else f"o{order}" for order in orders],
        },
        items={"item_id": [0, 1, 2, 3, 99]},
    )
    expected = definition(events, orders, 5, 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeating, "_LEAST_REPEATS", 1)
        found = learn_repeats(Histories.from_log(log), threshold=0.3)
    if expected is None:
        assert not found.share.any()
        assert not found.returns.any()
        assert found.choice.startswith("nothing returns: ")
        return
    shop, strength, horizon, share = expected
    assert found.horizon == horizon
    np.testing.assert_allclose([found.shop_share, found.strength], [shop, strength], rtol=1e-9)
    np.testing.assert_allclose(found.share, share, rtol=1e-6)
    assert found.returns.tolist() == (found.share >= np.float32(0.3)).tolist()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_what_is_bought_and_kept_is_what_the_matrix_counts(time_kind, tied):
    histories = Histories.from_log(random_log(15, 8, 900, time_kind=time_kind, tied=tied, rng=4))
    place = bought_events(histories)
    assert (np.diff(place) > 0).all()
    assert histories.of_type("purchase")[place].all()
    cells = csr_array(
        (np.ones(len(place)), (histories.rows()[place], histories.item_index[place])),
        shape=(histories.n_histories, histories.n_items),
    )
    counted = histories.matrix(event_weights={"purchase": 1.0})
    assert len(place) < np.count_nonzero(histories.of_type("purchase"))
    assert (cells.toarray() > 0).tolist() == (counted.toarray() > 0).tolist()


# --- worked by hand -----------------------------------------------------------------------------------


def test_groceries_return_and_sofas_do_not():
    # Everybody was watched for ten days. Milk: 10 of 20 again; sofas: 0 of 20; the shop: 10 of 40.
    rows = bought_again("milk", 20, 10) + bought_again("sofa", 20, 0) + [("end", "look", 10)]
    histories = histories_on(rows)
    repeats = learn_repeats(histories)
    # Moments: spread 40 x .25^2 = 2.5, over .25 x .75 is 40/3; less 1 is 37/3, over 40 - 20 - 1 is 37/57.
    assert repeats.strength == pytest.approx(20 / 37)
    assert repeats.shop_share == pytest.approx(0.25)
    assert repeats.horizon == 10
    assert share_of(repeats, histories, "milk") == pytest.approx(375 / 760)
    assert share_of(repeats, histories, "sofa") == pytest.approx(5 / 760)
    assert returns(repeats, histories, "milk")
    assert not returns(repeats, histories, "sofa")
    # What nobody bought behaves as the shop does.
    assert share_of(repeats, histories, "look") == pytest.approx(0.25)
    assert repeats.share.dtype == np.float32
    assert repeats.choice == (
        "25.0% of buyers buy an item again within 10 days: "
        "1 of 2 items bought return, those of at least 15.0%"
    )


def test_who_had_no_time_to_come_back_counts_in_part():
    # Of 20 watched for 10 days, 5 come back after a day and 5 after five; of 20 watched for two, 5 after one.
    rows = [(f"{place}", "tea", 0) for place in range(20)] + [(f"y{place}", "tea", 8) for place in range(20)]
    rows += [(f"{place}", "tea", 1 if place < 5 else 5) for place in range(10)]
    rows += [(f"y{place}", "tea", 9) for place in range(5)] + [("end", "look", 10)]
    histories = histories_on(rows)
    # A quarter comes back in a day, and of those who wait longer a third: half in all. So the young are half
    # a trial each: 15 of 20 + 10. Counting everybody would say 15 of 40.
    assert share_of(learn_repeats(histories), histories, "tea") == pytest.approx(0.5)


def test_no_share_is_above_one():
    # Half of those who come back for tea take five days, and all who bought oil came back after one of two.
    rows = bought_again("tea", 20, 6) + bought_again("tea", 20, 6, days=(0, 5), name="late")
    rows += [*bought_again("oil", 20, 20, days=(8, 9)), ("end", "look", 10)]
    histories = histories_on(rows)
    repeats = learn_repeats(histories)
    assert repeats.shop_share < 0.8 < share_of(repeats, histories, "oil") <= 1


def test_a_purchase_on_the_last_day_says_nothing():
    rows = bought_again("tea", 20, 12) + bought_again("lamp", 30, 3) + [("end", "look", 9)]
    before = learn_repeats(histories_on(rows))
    after = learn_repeats(histories_on(rows + [(f"new{place}", "lamp", 9) for place in range(50)]))
    assert after.share.tolist() == before.share.tolist()


def test_a_year_is_the_longest_that_counts():
    rows = [*bought_again("sofa", 30, 20, days=(0, 400)), ("end", "look", 1000)]
    assert learn_repeats(histories_on(rows)).choice == (
        "nothing returns: 0 purchases were repeated within 365 days, at least 10 are needed"
    )
    within = learn_repeats(
        histories_on([*bought_again("sofa", 30, 20, days=(0, 365)), ("end", "look", 1000)])
    )
    assert within.horizon == 365
    assert within.shop_share == pytest.approx(2 / 3)


def test_the_same_day_or_the_same_order_is_one_occasion():
    twice = [*bought_again("tea", 20, 15, days=(0, 0.5)), ("end", "look", 9)]
    assert learn_repeats(histories_on(twice)).shop_share == 0
    rows = [*bought_again("tea", 20, 15), ("end", "look", 9)]
    of_customer = [row[0] for row in rows]
    assert learn_repeats(histories_on(rows, order_id=of_customer)).shop_share == 0
    of_day = [f"{customer} on {day}" for customer, _, day in rows]
    assert learn_repeats(histories_on(rows, order_id=of_day)).shop_share == pytest.approx(0.75)
    unknown = [None] * len(rows)
    assert learn_repeats(histories_on(rows, order_id=unknown)).shop_share == pytest.approx(0.75)
    # A session may be a cookie that lasts for months; it joins nothing.
    assert learn_repeats(histories_on(rows, session_id=of_customer)).shop_share == pytest.approx(0.75)


def test_of_several_repeats_the_first_counts_and_only_once():
    rows = [*bought_again("tea", 20, 12), ("end", "look", 9)]
    more = rows + [(f"tea{place}", "tea", day) for place in range(12) for day in (2, 5, 8)]
    assert (
        learn_repeats(histories_on(more)).share.tolist() == learn_repeats(histories_on(rows)).share.tolist()
    )


def test_a_second_order_on_the_first_day_does_not_hide_a_later_one():
    # Two orders at one moment, and the second of them again a day later: whatever the order of rows.
    rows, orders = [], []
    for place in range(12):
        rows += [(place, "tea", 0), (place, "tea", 0), (place, "tea", 1)]
        orders += [f"a{place}", f"b{place}", f"b{place}"]
    rows, orders = [*rows, (99, "look", 9)], [*orders, None]
    there = learn_repeats(histories_on(rows, order_id=orders))
    back = learn_repeats(histories_on(rows[::-1], order_id=orders[::-1]))
    assert there.shop_share == back.shop_share == 1


def test_returned_purchases_are_not_bought():
    again = {place: ["tea", "tea"] for place in range(12)}
    assert learn_repeats(histories_of(again | {99: [("look", "view")] * 9})).shop_share == 1
    sent_back = {place: ["tea", "tea", ("tea", "return")] for place in range(12)}
    assert learn_repeats(histories_of(sent_back | {99: [("look", "view")] * 9})).shop_share == 0


def test_positions_count_later_occasions_of_the_customer():
    # Tea is bought again at the second of three later occasions; those with none say nothing.
    visits = {place: ["tea", "rug", "tea", "oil"] for place in range(12)}
    visits |= {f"one{place}": ["tea"] for place in range(40)}
    visits = {str(customer): events for customer, events in visits.items()}
    histories = histories_of(visits, time_kind="position")
    repeats = learn_repeats(histories)
    assert repeats.horizon == 3
    # Tea: 12 of 12. Rugs were watched for two occasions, oil for none: 12 of 24 in the shop.
    assert repeats.shop_share == pytest.approx(0.5)
    assert share_of(repeats, histories, "tea") > share_of(repeats, histories, "oil") == pytest.approx(0.5)
    assert "within 3 occasions: " in repeats.choice


def test_a_log_with_one_event_type_learns_from_that():
    visits = {place: [("tea", "listen"), ("tea", "listen"), ("rug", "listen")] for place in range(12)}
    assert learn_repeats(histories_of(visits)).shop_share > 0.4
    visits |= {99: [("rug", "view")]}
    assert learn_repeats(histories_of(visits)).choice == (
        "nothing returns: no customer was seen after a first purchase"
    )


# --- too little ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_again", [1, 9, 10])
def test_a_log_with_too_few_repeats_returns_nothing(n_again):
    histories = histories_on([*bought_again("tea", 12, n_again), ("end", "look", 9)])
    repeats = learn_repeats(histories)
    assert repeats.returns.any() == (n_again == 10)
    assert repeats.share.any() == (n_again == 10)
    if n_again == 1:
        assert repeats.choice == (
            "nothing returns: 1 purchase was repeated within 9 days, at least 10 are needed"
        )


def test_a_log_without_order_returns_nothing():
    histories = histories_of({place: ["tea", "tea"] for place in range(30)}, time_kind="set")
    repeats = learn_repeats(histories)
    assert not repeats.returns.any()
    assert (repeats.shop_share, repeats.horizon) == (0, 0)
    assert repeats.choice == "nothing returns: the log does not say in what order events came"


def test_a_log_of_one_day_returns_nothing():
    repeats = learn_repeats(histories_of({place: ["tea"] for place in range(30)}))
    assert repeats.choice == "nothing returns: no customer was seen after a first purchase"


def test_little_evidence_is_the_shop_and_much_is_the_item():
    # Ten kinds of groceries at a half, and two of which 1 and 60 were sold, never twice.
    rows = [row for kind in range(10) for row in bought_again(f"food{kind}", 40, 15 + kind)]
    rows += bought_again("few", 1, 0) + bought_again("many", 60, 0) + [("end", "look", 9)]
    histories = histories_on(rows)
    repeats = learn_repeats(histories)
    few, many = (share_of(repeats, histories, item) for item in ("few", "many"))
    assert many < 0.15 < few < repeats.shop_share
    assert returns(repeats, histories, "few")
    assert not returns(repeats, histories, "many")


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "half", None, True])
def test_a_threshold_is_a_share(threshold):
    text = f"threshold={threshold!r}: expected a number in [0, 1]."
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        learn_repeats(histories_of({1: ["tea"]}), threshold=threshold)


def test_the_threshold_decides_what_returns():
    histories = histories_on([*bought_again("tea", 20, 15), *bought_again("rug", 20, 5), ("end", "look", 9)])
    shares = learn_repeats(histories).share
    for threshold in (0, 0.15, float(shares.min()), float(shares.max()), 1):
        found = learn_repeats(histories, threshold=threshold)
        assert found.threshold == threshold
        assert found.returns.tolist() == (shares >= np.float32(threshold)).tolist()


# --- laws ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_kind", ["timestamp", "position"])
def test_row_order_and_names_do_not_matter(time_kind):
    settings = {"time_kind": time_kind, "tied": True, "rng": 1}
    plain, shuffled, renamed = (
        learn_repeats(Histories.from_log(random_log(30, 20, 3000, **settings, **more)))
        for more in ({}, {"shuffled": True}, {"prefix": "z-"})
    )
    assert plain.returns.any()
    for other in (shuffled, renamed):
        assert other.share.tobytes() == plain.share.tobytes()
        assert other.facts() == plain.facts()


def test_anonymous_visits_do_not_count():
    rows = bought_again("tea", 20, 12) + bought_again("rug", 20, 2) + [("end", "look", 9)]
    visits = [(None, "rug", day) for day in (0, 1, 2)] * 20
    named = learn_repeats(histories_on(rows, session_id=[None] * len(rows)))
    sessions = [None] * len(rows) + [f"s{place % 30}" for place in range(len(visits))]
    both = learn_repeats(histories_on(rows + visits, session_id=sessions))
    assert both.share.tolist() == named.share.tolist()


def test_what_was_learned_survives_its_file():
    repeats = learn_repeats(histories_on([*bought_again("tea", 20, 12), ("end", "look", 9)]))
    facts = json.loads(json.dumps(repeats.facts()))
    back = Repeats.from_arrays(repeats.to_arrays(), facts)
    assert back.facts() == repeats.facts()
    assert back.share is repeats.share
    assert back.returns is repeats.returns


# --- what it is for -----------------------------------------------------------------------------------


def test_a_made_up_shop_is_told_into_what_lasts_and_what_is_used_up():
    shop = make_shop()
    histories = Histories.from_log(shop.log)
    repeats = learn_repeats(histories)
    index = histories.items.indices(shop.items["item_id"].combine_chunks())
    used_up = {"Tea", "Bath and body", "Pet food", "Candles", "Larder"}
    is_used_up = np.zeros(histories.n_items, bool)
    is_used_up[index] = [category in used_up for category in shop.items["category"].to_pylist()]
    place = bought_events(histories)
    place = place[histories.rows()[place] < histories.n_customers]
    cells = np.unique(np.stack([histories.item_index[place], histories.rows()[place]]), axis=1)
    buyers = np.bincount(cells[0], minlength=histories.n_items)
    known = buyers >= 10
    assert (known & is_used_up).sum() > 50
    assert (known & ~is_used_up).sum() > 50
    assert repeats.returns[known & is_used_up].mean() > 0.98
    assert repeats.returns[known & ~is_used_up].mean() < 0.02
    # A customer's list would hold few of the lasting things that they have.
    shown_again = repeats.returns[cells[0]]
    assert shown_again[is_used_up[cells[0]]].mean() > 0.98
    assert shown_again[~is_used_up[cells[0]]].mean() < 0.05
