"""Available lists: what can't be had is in no answer, and what can is where it would have been."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib as eg
from engagelib import errors
from engagelib.availability import Availability
from engagelib.testing import log_of, random_log

ITEMS = [f"i{number:03d}" for number in range(30)]
START = datetime(2024, 1, 1, tzinfo=UTC)
TABLE = {
    "item_id": ITEMS,
    "category": ["lamp", "rug", "sofa"] * 10,
    "price": [10.0 + number for number in range(30)],
    "for_sale": [number % 11 != 3 for number in range(30)],
}


def sells(number):
    return TABLE["for_sale"][number]


@pytest.fixture(scope="module")
def recommender():
    return eg.Recommender("item_knn", popular_by=("location",)).fit(random_log(items=TABLE))


def with_availability(recommender, rows):
    shop = eg.Recommender(recommender.models)
    shop._serving = recommender._serving
    shop.availability = None if rows is None else Availability.from_frame(rows)
    return shop


ROWS = st.lists(
    st.fixed_dictionaries(
        {"item_id": st.sampled_from([*ITEMS, "not in the model"])},
        optional={
            "channel": st.sampled_from([None, "web", "store"]),
            "location": st.sampled_from([None, "l0", "l1"]),
            "quantity": st.sampled_from([None, 0, 3]),
            "starts": st.none() | st.integers(0, 150).map(lambda day: START + timedelta(days=day)),
        },
    ),
    min_size=1,
    max_size=40,
)
PLACES = st.tuples(
    st.sampled_from([None, "web", "store", "phone"]), st.sampled_from([None, "l0", "l1", "l9"])
)


def can_be_had(rows, item, channel, location, at):
    """By the words of the table: in every channel and location that it names, where a call names none."""
    channels = {row.get("channel") for row in rows} - {None} if channel is None else {channel}
    locations = {row.get("location") for row in rows} - {None} if location is None else {location}

    def in_force(row, channel, location):
        return (
            row["item_id"] == item
            and row.get("channel") in (None, channel)
            and row.get("location") in (None, location)
            and row.get("quantity") != 0
            and (row.get("starts") is None or row["starts"] <= at)
        )

    return all(
        any(in_force(row, one, other) for row in rows)
        for one in channels or {"anywhere"}
        for other in locations or {"anywhere"}
    )


@settings(max_examples=60)
@given(
    rows=ROWS,
    place=PLACES,
    day=st.integers(1, 199),
    customer=st.sampled_from(["c001", "c017", "nobody", None]),
)
def test_lists_are_the_whole_ranking_without_what_can_not_be_had(recommender, rows, place, day, customer):
    at, (channel, location) = START + timedelta(days=day), place
    shop = with_availability(recommender, rows)
    where = {"channel": channel, "location": location, "at": at}
    whole = recommender.recommend(customer, k=30, at=at, location=location).item_ids
    expected = [item for item in whole if can_be_had(rows, item, channel, location, at)]
    for k in (1, 6, 30):
        found = shop.recommend(customer, k=k, **where)
        assert found.item_ids == expected[:k]
        assert (found.shortfall is None) == (len(expected) >= k)
    assert shop.recommend_many([customer], k=6, **where).item_ids(0) == expected[:6]
    allowed = {item for item in ITEMS if sells(ITEMS.index(item)) and can_be_had(rows, item, *place, at)}
    assert set(shop.rank(customer, ITEMS, **where).item_ids) == allowed
    for call in (shop.similar, shop.substitutes):
        assert set(call("i004", 30, **where).item_ids) <= allowed - {"i004"}
    assert set(shop.complete(["i004", "i005"], 30, **where).item_ids) <= allowed - {"i004", "i005"}
    names = {name: {row.get(name) for row in rows} - {None} for name in ("channel", "location")}
    names["location"] |= {"l0", "l1", "l2"}  # those of the log
    assert set(found.ignored) == {
        name for name in names if names[name] and where[name] not in {None, *names[name]}
    }


def test_a_short_list_says_what_could_be_had_where(recommender):
    shop = with_availability(recommender, [{"item_id": item, "channel": "web"} for item in ITEMS[:5]])
    n = sum(map(sells, range(5)))
    assert shop.recommend("nobody", channel="web").shortfall == (
        f"{n} of 10 items asked for: the catalogue has 30, 5 of these can be had in channel 'web', {n} of "
        "these are for sale and not left out by the call."
    )
    assert shop.recommend("nobody", channel="store").shortfall == (
        "0 of 10 items asked for: the catalogue has 30, 0 of these can be had in channel 'store', 0 of "
        "these are for sale and not left out by the call."
    )
    shop = with_availability(
        recommender, [{"item_id": item, "channel": "web", "location": "l0"} for item in ITEMS[:5]]
    )
    assert "5 of these can be had in every channel at every location, " in shop.recommend("nobody").shortfall
    assert "5 of these can be had in every channel at location 'l0', " in (
        shop.recommend("nobody", location="l0").shortfall
    )
    shop = with_availability(recommender, [{"item_id": "i004"}])
    assert "1 of these can be had now, " in shop.recommend("nobody").shortfall
    assert shop.similar("i005").shortfall in {
        f"{n} of 10 items asked for: no other item is like it of those that can be had now." for n in (0, 1)
    }


def test_windows_need_the_moment(recommender):
    shop = with_availability(recommender, [{"item_id": "i004", "starts": START + timedelta(days=300)}])
    with pytest.raises(errors.ArgumentError, match=r"^at=None: expected a moment, because the availability"):
        shop.recommend("c001")
    assert shop.recommend("c001", at=START + timedelta(days=299)).item_ids == []
    assert shop.recommend("c001", at=START + timedelta(days=300), repeat=True).item_ids == ["i004"]


def test_windows_are_looked_up_for_logs_without_timestamps_too():
    shop = eg.Recommender("item_knn").fit(log_of({1: ["a", "b"], 2: ["a", "b", "c"]}, time_kind="position"))
    before = shop.recommend(1, k=3, repeat=True).item_ids
    with pytest.raises(errors.NotEnoughDataError):
        shop.recommend(1, at="2024-05-01")
    shop.availability = Availability.from_frame(
        {"item_id": ["a", "b", "c"], "ends": ["2024-05-01", "2024-07-01", "2024-07-01"]}
    )
    assert shop.recommend(1, k=3, repeat=True, at="2024-04-30").item_ids == before
    assert shop.recommend(1, k=3, repeat=True, at="2024-05-01").item_ids == [
        item for item in before if item != "a"
    ]


def test_an_update_is_seen_by_the_next_call(recommender):
    shop = with_availability(recommender, {"item_id": ITEMS})
    best = shop.recommend("c001", k=30).item_ids
    shop.availability.update([best[0], best[2]], False)
    assert shop.recommend("c001", k=30).item_ids == [best[1], *best[3:]]
    shop.availability.update([best[0]], [True], channel="store")
    assert shop.recommend("c001", k=30, channel="store").item_ids == [*best[:2], *best[3:]]
    assert shop.recommend("c001", k=30, channel="web").item_ids == [best[1], *best[3:]]
    shop.availability = None
    assert shop.recommend("c001", k=30).item_ids == best


def test_a_refit_and_a_reload_keep_what_can_be_had(tmp_path):
    log = random_log(items=TABLE)
    shop = eg.Recommender("item_knn", availability=Availability.from_frame({"item_id": ["i004", "new"]}))
    shop.fit(log)
    assert shop.recommend("nobody").item_ids == ["i004"]
    shop.save(tmp_path / "shop")
    more = log.append([{"customer_id": "c001", "item_id": "new", "timestamp": START + timedelta(days=201)}])
    eg.Recommender("item_knn").fit(more).save(tmp_path / "shop")
    assert shop.reload()
    assert set(shop.recommend("nobody").item_ids) == {"i004", "new"}
    shop.fit(log)
    assert shop.recommend("nobody").item_ids == ["i004"]
    assert eg.load(tmp_path / "shop").availability is None


def test_only_an_availability_is_taken(recommender):
    shop = with_availability(recommender, None)
    message = (
        "availability is of type dict: expected an Availability, such as "
        "Availability.from_frame(frame) makes, or None."
    )
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(message)}$"):
        shop.availability = {"item_id": ITEMS}
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(message)}$"):
        eg.Recommender(availability={})


def test_reasons_sum_to_the_score_of_what_can_be_had(recommender):
    shop = with_availability(recommender, {"item_id": ITEMS[::2]})
    for models in ("item_knn", ["item_knn", "popularity"]):
        ruled = eg.Recommender(models, availability=shop.availability).fit(random_log(items=TABLE))
        for entry in ruled.recommend("c001", explain=True):
            total = sum(reason.contribution for reason in entry.reasons)
            assert total == pytest.approx(entry.score, rel=1e-4, abs=1e-6)


# What stands in, and what goes with a basket


def test_substitutes_are_of_the_category_and_alike(recommender):
    shop = with_availability(recommender, {"item_id": ITEMS})
    found = shop.substitutes("i004", 30)
    category = dict(zip(ITEMS, TABLE["category"], strict=True))
    kinds = [category[item] == category["i004"] for item in found.item_ids]
    assert kinds == sorted(kinds, reverse=True)
    assert sum(kinds) == sum(sells(n) for n in range(30) if n % 3 == 1) - 1
    scores = [entry.score for entry in found]
    assert scores == sorted(scores, reverse=True)
    assert {entry.source for entry in found} <= {"item_knn", "popular"}
    assert all((entry.source == "popular") <= (entry.score == 0) for entry in found)
    assert str(found).startswith("Instead of item i004")
    assert shop.substitutes("i004", 3).item_ids == found.item_ids[:3]
    with pytest.raises(errors.UnknownItemError, match=r"^item 'nothing' is unknown"):
        shop.substitutes("nothing")
    by_category = eg.Recommender("popularity").fit(random_log(items=TABLE))
    assert {category[item] for item in by_category.substitutes("i004", 5).item_ids} == {category["i004"]}
    with pytest.raises(errors.NotEnoughDataError, match=r"^no model knows which items are alike"):
        eg.Recommender("popularity").fit(random_log()).substitutes("i004")


def test_a_basket_is_completed_by_what_was_bought_with_it():
    orders = [
        ["tea", "cup"],
        ["tea", "cup"],
        ["tea", "pot"],
        ["lamp", "bulb"],
        ["lamp", "bulb"],
        ["lamp", "tea"],
    ]
    visits = {}
    for number, order in enumerate(orders * 4):
        rows = [{"item_id": item, "order_id": f"o{number}"} for item in order]
        visits[number] = [*rows, {"item_id": "gift", "order_id": f"p{number}"}]
    shop = eg.Recommender("item_knn").fit(log_of(visits))
    found = shop.complete(["tea"], 10)
    assert found.item_ids[:3] == ["cup", "pot", "lamp"]
    assert [entry.source for entry in found][:3] == ["together"] * 3
    assert found[0].score > found[1].score > found[2].score > 0
    assert found.item_ids[3:] == ["gift"]  # nobody who bought tea bought a bulb
    assert {(entry.source, entry.score) for entry in found[3:]} == {("item_knn", 0.0)}
    assert found.shortfall == "4 of 10 items asked for: no other item goes with the basket."
    assert shop.complete(["tea", "unknown"], 2, exclude=["cup"]).item_ids == ["pot", "lamp"]
    assert shop.complete(["tea", "unknown"], 2).ignored == {"basket": 1}
    assert shop.complete([], 3).item_ids == []
    assert str(found).startswith("Goes with the basket")


def test_what_stands_in_comes_back_as_saved(recommender, tmp_path):
    recommender.save(tmp_path / "shop")
    back = eg.load(tmp_path / "shop")
    for item in ITEMS[::5]:
        assert back.substitutes(item).to_records() == recommender.substitutes(item).to_records()
        assert back.complete([item]).to_records() == recommender.complete([item]).to_records()
    assert np.array_equal(back.repeats_, recommender.repeats_)
