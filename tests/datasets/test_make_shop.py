"""Laws of the made-up shop: what is promised of its size, order, habits and stock."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from engagelib.datasets import Shop, make_shop, make_shop_tables
from engagelib.errors import ArgumentError

END = pd.Timestamp("2026-01-01", tz="UTC")
ONLINE = ("web", "app")


@pytest.fixture(scope="module")
def tables():
    return make_shop_tables(2_000, 500, 60_000, rng=7)


@pytest.fixture(scope="module")
def events(tables):
    return tables[0].to_pandas()


@pytest.fixture(scope="module")
def items(tables):
    return tables[1].to_pandas()


@pytest.fixture(scope="module")
def availability(tables):
    return tables[2].to_pandas()


@pytest.fixture(scope="module")
def purchases(events, items):
    return events[events["event_type"] == "purchase"].merge(items, on="item_id", validate="many_to_one")


# Shapes where rounding, cutting and redrawing are all that happens.
@pytest.mark.parametrize(
    ("n_customers", "n_items", "n_events"),
    [(1, 1, 1), (1, 1, 500), (7, 3, 7), (7, 3, 8), (50, 13, 120), (100, 2_000, 4_999), (3, 40, 2_000)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_sizes_are_exact_and_each_customer_appears(n_customers, n_items, n_events, seed):
    events, items, availability = make_shop_tables(n_customers, n_items, n_events, rng=seed)
    assert events.num_rows == n_events
    assert items.num_rows == n_items
    assert len(events["customer_id"].drop_null().unique()) == n_customers
    assert items["item_id"].to_pylist() == [f"i-{number:05d}" for number in range(n_items)]
    assert set(events["item_id"].to_pylist()) <= set(items["item_id"].to_pylist())
    assert set(availability["item_id"].to_pylist()) <= set(items["item_id"].to_pylist())


def test_the_same_seed_makes_the_same_shop():
    for one, other in zip(
        make_shop_tables(rng=3), make_shop_tables(rng=np.random.default_rng(3)), strict=True
    ):
        assert one.equals(other)


def test_another_seed_makes_another_shop():
    for one, other in zip(make_shop_tables(rng=3), make_shop_tables(rng=4), strict=True):
        assert not one.equals(other)


def test_a_generator_moves_on():
    rng = np.random.default_rng(3)
    assert not make_shop_tables(rng=rng)[0].equals(make_shop_tables(rng=rng)[0])


def test_ids_are_in_range(events):
    assert events["customer_id"].dropna().str.fullmatch(r"c-00[01]\d{3}").all()
    assert events["item_id"].str.fullmatch(r"i-00[0-4]\d\d").all()
    assert events["session_id"].dropna().str.fullmatch(r"s-\d{6}").all()


def test_rows_stand_in_time_order_over_one_year(events):
    assert events["timestamp"].is_monotonic_increasing
    assert events["timestamp"].min() >= END - pd.Timedelta(days=365)
    assert END - pd.Timedelta(days=2) < events["timestamp"].max() < END
    assert events.groupby(events["timestamp"].dt.month).size().min() > 1_000


def test_each_purchase_online_follows_a_view_and_a_cart_of_its_session(events):
    online = events[events["channel"].isin(ONLINE)]
    first = online.pivot_table(
        index=["session_id", "item_id"],
        columns="event_type",
        values="timestamp",
        aggfunc="min",
        observed=True,
    )
    bought, carted = first[first["purchase"].notna()], first[first["cart"].notna()]
    assert len(bought) > 3_000
    assert (bought["cart"] < bought["purchase"]).all()
    assert (carted["view"] < carted["cart"]).all()
    assert len(bought) < len(carted) < len(first)  # some stop halfway


def test_tills_see_purchases_and_what_comes_of_them(events):
    offline = events[~events["channel"].isin(ONLINE)]
    assert set(offline["event_type"]) == {"purchase", "rating", "return"}
    assert (events["location"].notna() == (events["channel"] == "store")).all()


def test_sessions_and_orders_belong_to_one_visit(events):
    of_session = events.dropna(subset=["session_id"]).groupby("session_id")
    assert (of_session[["customer_id", "channel", "location"]].nunique(dropna=False) == 1).all(axis=None)
    assert (of_session["timestamp"].max() - of_session["timestamp"].min()).max() < pd.Timedelta(hours=1.5)
    assert events["order_id"].notna().equals(events["event_type"].isin(["purchase", "return"]))
    assert (
        events.dropna(subset=["order_id"]).groupby("order_id")["customer_id"].nunique(dropna=False).max() == 1
    )
    assert not events.duplicated().any()


def test_anonymous_visits_have_sessions(events):
    anonymous = events[events["customer_id"].isna()]
    assert 0.03 < len(anonymous) / len(events) < 0.2
    assert anonymous["session_id"].notna().all()


def test_value_is_quantity_times_price(events, items):
    price = events["item_id"].map(items.set_index("item_id")["price"])
    paid = events["event_type"].isin(["purchase", "return"])
    assert np.allclose(events["value"][paid], (events["quantity"] * price)[paid], atol=0.006)
    assert (np.sign(events["value"][paid]) == np.where(events["event_type"][paid] == "return", -1, 1)).all()
    assert events["value"][~paid].isna().all()


def test_returns_follow_their_purchase(events):
    of = ["customer_id", "item_id", "order_id"]
    returns = events[events["event_type"] == "return"]
    bought = events[events["event_type"] == "purchase"].groupby(of)[["timestamp", "quantity"]].min()
    pairs = returns.merge(bought, left_on=of, right_index=True, suffixes=("", "_bought"))
    assert len(pairs) == len(returns) > 100
    assert (pairs["timestamp"] > pairs["timestamp_bought"]).all()
    assert (pairs["quantity"] == -pairs["quantity_bought"]).all()


def test_ratings_are_stars(events):
    rated = events["event_type"] == "rating"
    assert rated.sum() > 100
    assert set(events["rating"][rated]) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert events["rating"][~rated].isna().all()


def test_consumables_are_bought_again_at_an_interval_of_their_own(purchases):
    known = purchases.dropna(subset=["customer_id"])
    again = known.duplicated(["customer_id", "item_id"])
    share = again.groupby(known["category"]).mean()
    lasting = ["Bags", "Garden", "Home textiles", "Kitchen", "Lighting", "Stationery", "Toys"]
    assert share[lasting].max() < 0.1
    assert share.drop(lasting).min() > 0.4

    gap = known.groupby(["customer_id", "item_id"])["timestamp"].diff().dt.days.dropna()
    gaps = gap.groupby(known["item_id"]).agg(["median", "size"])
    usual = gaps["median"][gaps["size"] >= 30]
    assert usual.max() > 1.5 * usual.min()


def test_popularity_and_activity_have_long_tails(events):
    per_item = events["item_id"].value_counts()
    assert per_item.head(50).sum() > 0.35 * len(events)
    assert len(per_item) > 470
    per_customer = events["customer_id"].value_counts()
    assert per_customer.head(200).sum() > 0.35 * per_customer.sum()


def test_titles_are_readable_and_distinct(items):
    assert items["title"].is_unique
    assert items["title"].str.fullmatch(r"[A-Z][a-zA-Z ]+(, [a-z ]+)?").all()
    assert items["category"].nunique() == 12
    assert (items["price"] >= 0.5).all()


def test_sold_out_and_withdrawn_items_are_absent_from_availability(events, items, availability):
    absent = items[~items["item_id"].isin(availability["item_id"])]
    assert (~absent["for_sale"]).any()
    assert absent["for_sale"].any()
    assert items[~items["for_sale"]]["item_id"].isin(absent["item_id"]).all()
    shopping = events[events["event_type"].isin(["view", "cart", "purchase"])]
    sold_before = shopping[shopping["item_id"].isin(absent["item_id"])]
    assert len(sold_before) > 100  # they were in the shop
    assert sold_before["timestamp"].max() < END - pd.Timedelta(hours=20)


def test_habits_end_with_the_stock():
    events, items, _ = (table.to_pandas() for table in make_shop_tables(1_000, 6_000, 80_000))
    withdrawn = events[events["item_id"].isin(items["item_id"][~items["for_sale"]])]
    bought = withdrawn[withdrawn["event_type"] == "purchase"]
    assert bought.duplicated(["customer_id", "item_id"]).sum() > 10
    assert bought["timestamp"].max() < END - pd.Timedelta(days=59)


def test_nobody_bought_what_availability_bars(events, availability):
    bought = events[events["event_type"] == "purchase"].reset_index(names="row")
    offers = availability.drop(columns="quantity").rename(columns={"channel": "in", "location": "at"})
    offers[["in", "at"]] = offers[["in", "at"]].astype(object).where(offers[["in", "at"]].notna(), "any")
    pairs = bought.merge(offers, on="item_id")
    fits = (pairs["in"] == "any") | (pairs["in"] == pairs["channel"])
    fits &= (pairs["at"] == "any") | (pairs["at"] == pairs["location"])
    fits &= pairs["starts"].isna() | (pairs["starts"] <= pairs["timestamp"])
    fits &= pairs["ends"].isna() | (pairs["timestamp"] <= pairs["ends"])
    assert pairs["in"].nunique() == 5
    assert pairs["at"].nunique() == 9
    assert pairs["starts"].notna().any()
    assert pairs["ends"].notna().any()
    assert set(pairs["row"][fits]) == set(pairs["row"])


def test_items_alike_tell_more_than_popularity(events):
    known = events.dropna(subset=["customer_id", "session_id"])
    late = (known["timestamp"] > known["timestamp"].quantile(0.9)).to_numpy()
    customer, _ = pd.factorize(known["customer_id"])
    item, names = pd.factorize(known["item_id"])
    shape = (customer.max() + 1, len(names))

    def seen(rows):
        return csr_array((np.ones(rows.sum()), (customer[rows], item[rows])), shape=shape).toarray() > 0

    before, wanted = seen(~late), seen(late & (known["event_type"] == "purchase").to_numpy())
    wanted &= ~before
    norms = np.sqrt(before.sum(axis=0)) + 1e-9
    alike = (before.T.astype(float) @ before) / norms / norms[:, None]
    np.fill_diagonal(alike, 0)

    def recall(scores):
        best = np.argsort(np.where(before, -1.0, scores), axis=1)[:, -10:]
        return np.take_along_axis(wanted, best, axis=1).sum() / wanted.sum()

    assert wanted.sum() > 150
    assert recall(before @ alike) > 1.5 * recall(np.broadcast_to(before.sum(axis=0), shape))


def test_a_shop_holds_a_log_of_all_events():
    shop = make_shop(300, 100, 6_000, rng=1)
    assert isinstance(shop, Shop)
    assert (len(shop.log), shop.log.n_customers, shop.log.n_items) == (6_000, 300, 100)
    assert shop.log.rejected.num_rows == 0
    assert shop.items.column_names == ["item_id", "title", "category", "price", "for_sale"]
    assert shop.availability.column_names == ["item_id", "channel", "location", "starts", "ends", "quantity"]


def test_no_customer_is_taken_for_a_bot():
    assert len(make_shop(1, 5, 25_000).log) == 25_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_customers": 0}, "n_customers=0: expected an integer of at least 1."),
        ({"n_customers": 2.5}, "n_customers=2.5: expected an integer of at least 1."),
        ({"n_items": -3}, "n_items=-3: expected an integer of at least 1."),
        ({"n_items": True}, "n_items=True: expected an integer of at least 1."),
        (
            {"n_events": 1_999},
            "n_events=1999: expected an integer of at least 2,000. Hint: each customer needs an event.",
        ),
        ({"rng": -1}, "rng=-1: expected a seed of at least 0 or a NumPy Generator."),
        ({"rng": None}, "rng=None: expected a seed of at least 0 or a NumPy Generator."),
        ({"rng": "x"}, "rng='x': expected a seed of at least 0 or a NumPy Generator."),
    ],
)
@pytest.mark.parametrize("maker", [make_shop, make_shop_tables])
def test_nonsense_is_refused(maker, arguments, message):
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        maker(**arguments)
