"""Features against the definition: every column is what plain Python counts, as of every moment."""

import json
import math
from datetime import timedelta

import numpy as np
from customer_cases import (
    DAY,
    ITEMS,
    bad_kind,
    events_of,
    kept_shares,
    micros,
    moments_around,
    money,
    occasions,
    random_rows,
    shop_of,
    usual_interval,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.actions.customers import CustomerFeatures, FeatureTable
from engagelib.weights import EVENT_WEIGHTS

SEEDS = st.integers(0, 2**32 - 1)
VECTORS = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)
CATEGORY = {item["item_id"]: item["category"] for item in ITEMS}


def fitted(rows, **arguments):
    histories, attributes = shop_of(rows)
    vectors = VECTORS[: histories.n_items]
    return histories, CustomerFeatures(**arguments).fit(histories, attributes, vectors)


def share(part, whole):
    return part / whole if whole else math.nan


def days_since(at, events):
    return (at - micros(events[-1]["timestamp"])) / DAY if events else math.nan


def newest(events):
    """The lowest rating of the last moment."""
    last = [event["rating"] for event in events if event["timestamp"] == events[-1]["timestamp"]]
    return min(last, default=math.nan)


def by_hand(rows, name, at, names, item_ids):
    events = events_of(rows, name, at)
    bought = [event for event in events if event["event_type"] == "purchase"]
    views = [event for event in events if event["event_type"] == "view"]
    began = occasions(events)
    rated = [event for event in events if event.get("rating") is not None]
    ratings = [event for event in rated if event["event_type"] != "survey"]
    interval = usual_interval(events)
    interval = math.nan if interval is None else interval
    shares = kept_shares(events)
    facts = {
        "recency_days": days_since(at, events),
        "tenure_days": days_since(at, events[:1]),
        "n_events": len(events),
        "n_items": len({event["item_id"] for event in events} - {None}),
        "n_purchases": len(began),
        "days_since_purchase": days_since(at, bought),
        "usual_interval_days": interval,
        "days_overdue": days_since(at, bought) - interval,
        "browse_to_buy": share(len(views), len(began)),
        "value": money(events),
        "mean_order_value": share(money(events), len(began)),
        "n_returns": sum(event["event_type"] == "return" for event in events),
        "return_share": share(sum(left == 0 for left in shares.values()), len(bought)),
        "mean_rating": share(sum(event["rating"] for event in ratings), len(ratings)),
        "last_rating": newest(ratings),
        "last_survey": newest([event for event in rated if event["event_type"] == "survey"]),
        "days_since_bad_experience": days_since(at, [event for event in events if bad_kind(event)]),
    }
    for days in (3, 10.5):
        before = events_of(rows, name, at - round(days * DAY))
        facts[f"events_{days:g}d"] = len(events) - len(before)
        facts[f"purchases_{days:g}d"] = len(began) - len(occasions(before))
        facts[f"value_{days:g}d"] = money(events) - money(before)
    stated = [event.get("channel") for event in events if event.get("channel") is not None]
    categories = [CATEGORY[event["item_id"]] for event in bought if CATEGORY[event["item_id"]]]
    for column in names:
        kind, _, value = column.partition(":")
        if kind == "event_share":
            facts[column] = share(sum(event["event_type"] == value for event in events), len(events))
        elif kind == "channel_share":
            facts[column] = share(stated.count(value), len(stated))
        elif kind == "category_share":
            facts[column] = share(categories.count(value), len(categories))
    total, weights = np.zeros(3), 0.0
    for event in events:
        age = (at - micros(event["timestamp"])) / DAY
        weight = EVENT_WEIGHTS.get(event["event_type"], 0.0) * 2 ** (-age / 7)
        if event["item_id"] is not None and weight:
            total, weights = total + weight * VECTORS[item_ids.index(event["item_id"])], weights + weight
    facts |= {f"taste_{place}": share(total[place], weights) for place in range(3)}
    return [facts[column] for column in names]


@settings(max_examples=30)
@given(seed=SEEDS)
def test_every_feature_is_what_plain_python_counts(seed):
    rows = random_rows(seed)
    histories, features = fitted(rows, window_days=(3, 10.5), recent_days=7)
    moments = np.array(moments_around(rows))
    table = features.at(histories, moments)
    item_ids = list(histories.items)
    names = list(histories.customers)
    expected = [by_hand(rows, name, at, table.names, item_ids) for name in names for at in moments.tolist()]
    np.testing.assert_allclose(table.values, expected, rtol=1e-9, atol=2e-5)


@settings(max_examples=30)
@given(seed=SEEDS)
def test_one_customer_gets_the_numbers_of_many(seed):
    rows = random_rows(seed)
    histories, features = fitted(rows)
    moments = moments_around(rows)
    table = features.at(histories, np.array(moments))
    n_exact = len(features.names_) - 3
    for row in range(histories.n_customers):
        for place, at in enumerate(moments):
            one = features.one(histories.block(row, row + 1), at)
            many = table.values[row * len(moments) + place]
            np.testing.assert_array_equal(one[:n_exact], many[:n_exact])
            np.testing.assert_allclose(one[n_exact:], many[n_exact:], rtol=1e-12, atol=1e-12)


def same(one, other):
    """The same numbers; tastes are sums of fractions, whose order rows of one moment may change."""
    np.testing.assert_array_equal(one[:, :-3], other[:, :-3])
    np.testing.assert_allclose(one[:, -3:], other[:, -3:], rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(seed=SEEDS)
def test_nothing_later_than_the_moment_moves_a_feature(seed):
    rng, rows = np.random.default_rng(seed), random_rows(seed)
    at = moments_around(rows)[2]
    histories, features = fitted(rows)
    before = features.at(histories, np.array([at]))
    shifted = []
    for row in rows:
        if micros(row["timestamp"]) > at:
            if rng.random() < 0.3:
                continue
            late = row["timestamp"] + timedelta(hours=int(rng.integers(0, 200)))
            other = random_rows(int(rng.integers(0, 2**31)), 2)[0]
            kept = {name: other.get(name) for name in row if name != "customer_id"}
            shifted.append({**row, **kept, "timestamp": late})
        else:
            shifted.append(row)
    # Every customer and item stays known, so that rows and item vectors are the same, and no type is alone.
    last = max(row["timestamp"] for row in rows).replace(year=2025)
    known = [
        {**row, "event_type": kind, "timestamp": last, "rating": None}
        for row in rows
        for kind in (["cart", "view"] if row["item_id"] else ["survey"])
    ]
    changed, _ = shop_of(shifted + known)
    assert list(changed.customers) == list(histories.customers)
    assert list(changed.items) == list(histories.items)
    same(before.values, features.at(changed, np.array([at])).values)


@settings(max_examples=25)
@given(seed=SEEDS)
def test_the_order_of_rows_in_the_log_does_not_matter(seed):
    rows = random_rows(seed)
    histories, features = fitted(rows)
    moments = np.array(moments_around(rows))
    turned, _ = shop_of(rows[::-1])
    same(features.at(histories, moments).values, features.at(turned, moments).values)


def test_pairs_may_come_in_any_order_and_an_unknown_customer_has_done_nothing():
    rows = random_rows(5)
    histories, features = fitted(rows)
    at = moments_around(rows)[-1]
    every = features.at(histories, np.array([at])).values
    found = features.of(histories, np.array([2, -1, 0, 2]), np.full(4, at))
    np.testing.assert_array_equal(found.values[[0, 2, 3]], every[[2, 0, 2]])
    unknown = dict(zip(found.names, found.values[1], strict=True))
    counts = {"n_events", "n_items", "n_purchases", "n_returns", "value"}
    counts |= {name for name in found.names if name.endswith("0d")}
    assert {name for name, value in unknown.items() if value == 0} == counts & set(found.names)
    assert all(math.isnan(value) for name, value in unknown.items() if name not in counts)
    alone = features.of(histories, np.array([-1]), np.array([at]))
    np.testing.assert_array_equal(alone.values, found.values[1:2])
    np.testing.assert_array_equal(features.one(histories.take(np.array([-1])), at), found.values[1])
    assert len(features.of(histories, np.array([], np.int64), np.array([], np.int64))) == 0


def test_blocks_do_not_show(monkeypatch):
    rows = random_rows(11)
    histories, features = fitted(rows)
    moments = np.array(moments_around(rows))
    whole = features.at(histories, moments).values
    monkeypatch.setattr("engagelib.actions.customers.arguments._EVENTS", 1)
    monkeypatch.setattr("engagelib.actions.customers.arguments._PAIRS", 1)
    np.testing.assert_array_equal(features.at(histories, moments).values, whole)


def test_what_a_log_does_not_tell_is_no_column():
    rows = [{"customer_id": "ann", "item_id": "lamp", "timestamp": "2024-01-01"}]
    histories, attributes = shop_of(rows)
    assert CustomerFeatures(window_days=(7,)).fit(histories).names_ == (
        "recency_days", "tenure_days", "n_events", "n_items", "n_purchases", "days_since_purchase",
        "usual_interval_days", "days_overdue", "browse_to_buy", "events_7d", "purchases_7d",
        "event_share:purchase",
    )  # fmt: skip
    assert CustomerFeatures().fit(histories, attributes).names_[-1] == "category_share:light"
    assert not any(
        "category" in name for name in CustomerFeatures(n_categories=0).fit(histories, attributes).names_
    )


def test_a_log_that_lacks_a_column_later_leaves_its_features_missing():
    rows = [row | {"channel": "web", "rating": 4.0} for row in random_rows(2)]
    _, features = fitted(rows)
    poor = [
        {name: row[name] for name in ("customer_id", "item_id", "event_type", "timestamp")} for row in rows
    ]
    histories, _ = shop_of([{**row, "value": 1.0} for row in poor])
    at = moments_around(rows)[-1]
    table = features.of(histories, np.array([0]), np.array([at]))
    assert np.isnan(
        [table.column(name)[0] for name in ("mean_rating", "last_rating", "channel_share:web")]
    ).all()
    np.testing.assert_array_equal(features.one(histories.block(0, 1), at)[:-3], table.values[0, :-3])


def test_the_top_categories_are_those_most_bought():
    events = [("lamp", 2), ("desk", 2), ("rug", 3)]
    rows = [{"customer_id": "ann", "item_id": item, "event_type": "purchase", "timestamp": "2024-01-01"}
            for item, n in events for _ in range(n)]  # fmt: skip
    histories, attributes = shop_of(rows)
    features = CustomerFeatures(n_categories=2).fit(histories, attributes)
    assert features.names_[-2:] == ("category_share:floor", "category_share:light")
    one = features.one(histories.block(0, 1), histories.newest)
    assert one[-2:].tolist() == [3 / 7, 2 / 7]


def test_what_was_learned_comes_back_from_arrays():
    rows = random_rows(8)
    histories, features = fitted(rows, window_days=(7, 30.5), low_rating=1)
    facts = json.loads(json.dumps(features.facts()))
    back = CustomerFeatures.from_arrays(features.to_arrays(), facts)
    moments = np.array(moments_around(rows))
    assert back.names_ == features.names_
    np.testing.assert_array_equal(back.at(histories, moments).values, features.at(histories, moments).values)
    assert back.facts() == features.facts()


def test_a_table_gives_columns_records_and_frames():
    table = FeatureTable(("n_events", "value"), np.array([[1.0, 2.5], [0.0, np.nan]]))
    assert table.column("value").tolist()[0] == 2.5
    assert table.to_records() == [{"n_events": 1.0, "value": 2.5}, {"n_events": 0.0, "value": None}]
    assert table.to_frame()["n_events"].tolist() == [1.0, 0.0]
    assert (len(table), repr(table)) == (2, "FeatureTable(2 rows, 2 features)")


def test_many_moments_of_one_customer_fade_as_few_do():
    rows = random_rows(21)
    histories, features = fitted(rows, recent_days=0.01)
    start = moments_around(rows)[0]
    moments = start + np.arange(0, 40 * DAY, DAY // 3)
    table = features.at(histories, moments)
    for place in range(0, len(table), 17):
        row, at = place // len(moments), moments[place % len(moments)]
        one = features.one(histories.block(row, row + 1), int(at))
        np.testing.assert_allclose(one, table.values[place], rtol=1e-12, atol=1e-12)
    assert np.isfinite(table.column("taste_0")[-1])


def test_with_one_event_type_on_items_that_type_is_a_purchase():
    rows = [{"customer_id": "ann", "item_id": "lamp", "event_type": "play", "timestamp": f"2024-01-0{day}"}
            for day in (1, 2, 5)]  # fmt: skip
    histories, _ = shop_of(rows)
    features = CustomerFeatures().fit(histories)
    found = features.at(histories, np.array([histories.newest]))
    assert (found.column("n_purchases")[0], found.column("usual_interval_days")[0]) == (3, 2)
    np.testing.assert_array_equal(features.one(histories.block(0, 1), histories.newest), found.values[0])
