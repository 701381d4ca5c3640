"""Profiles: a customer's page says what the events say, of every identity, and nothing of later ones."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import engagelib as eg
from engagelib import errors
from engagelib.testing import log_of

ITEMS = [
    {"item_id": "lamp", "title": "Lamp & shade", "category": "light", "for_sale": True},
    {"item_id": "rug", "title": "Rug", "category": "floor", "for_sale": True},
    {"item_id": "mug", "title": "Mug", "category": "kitchen", "for_sale": True},
    {"item_id": "desk", "title": "Desk", "category": "office", "for_sale": True},
    {"item_id": "sofa", "title": None, "category": "office", "for_sale": True},
    {"item_id": "post", "title": "Postage", "category": "services", "for_sale": False},
]


def event(customer, item, when, event_type="purchase", quantity=1, value=None, order=None, channel="web"):
    return {"customer_id": customer, "item_id": item, "event_type": event_type,
            "timestamp": f"2024-{when}T10:00Z", "quantity": quantity, "value": value, "order_id": order,
            "channel": channel}  # fmt: skip


LOG = [
    event("ann", "lamp", "01-01", "view"),
    event("ann", "lamp", "01-02", quantity=2, value=40.0, order="o1"),
    event("ann", "post", "01-02", value=4.5, order="o1"),
    event("ann", "rug", "01-20", value=30.0, order="o2", channel="store"),
    event("ann", "lamp", "01-25", "return", value=-20.0, channel="store"),
    event("ann", "sofa", "02-01", "return", value=-99.0, channel=None),
    *(event(name, item, "02-05", order=f"{name}1") for name in ("bob", "cas") for item in ("lamp", "desk")),
    event("dee", "rug", "03-01", order="d1"),
]


def shop():
    """A fresh recommender: the tests tell it what happens."""
    return eg.Recommender(["item_knn"]).fit(eg.EventLog.from_records(LOG, items=ITEMS))


def signed_in():
    recommender = shop()
    recommender.link("ann", ("web", "a81"))
    recommender.observe(event(("web", "a81"), "mug", "02-09", quantity=3, value=15.0, order="o9"))
    return recommender


GOLDEN = """\
Customer ann, asked for as web:a81, as of 2024-03-01 10:00 UTC
known as    ann, web:a81
seen        2024-01-01 to 2024-02-09, 21 days ago
events      7: purchase 4, return 2, view 1
channels    web 4 (last 2024-02-09), store 2 (last 2024-01-25), not stated 1 (last 2024-02-01)
bought      7 pieces of 4 items in 3 orders, value 89.50
returned    2 pieces of 2 items, value 119.00; for 1 of them no purchase is known
rhythm      usually every 19 days (median of 2); last bought 21 days ago, 0 events since; 2 days
            overdue (0 of the 2 intervals were longer)
categories  floor 40%, kitchen 40%, light 20%

Bought last (3 of 4 purchases)
date        item_id  title         channel  quantity  value  returned
----------  -------  ------------  -------  --------  -----  --------
2024-02-09  mug      Mug           web             3  15.00
2024-01-20  rug      Rug           store           1  30.00
2024-01-02  lamp     Lamp & shade  web             2  40.00  50%

Returned
date        item_id  title         channel  quantity  value
----------  -------  ------------  -------  --------  -----
2024-02-01  sofa                                   1  99.00
2024-01-25  lamp     Lamp & shade  store           1  20.00

What to show next
rank  item_id  title  source    because of
----  -------  -----  --------  ------------
   1  desk     Desk   item_knn  Lamp & shade

1 of 3 items asked for: the catalogue has 6, 5 of these are for sale and not left out by the call, 4
of those were seen by the customer before."""


def test_the_page_of_a_customer_word_for_word():
    assert str(signed_in().profile(("web", "a81"), k=3)) == GOLDEN


# Who, and when


def test_the_suggestions_are_those_of_recommend():
    recommender, how = signed_in(), {"at": "2024-02-08", "channel": "web", "location": "york", "k": 2}
    page, found = recommender.profile("ann", **how), recommender.recommend("ann", explain=True, **how)
    assert page.suggestions.to_records() == found.to_records()
    assert page.suggestions.ignored == found.ignored
    assert page.to_dict()["shortfall"] == found.shortfall
    assert len(shop().profile("dee").suggestions) == 5 - 1


def test_linked_identities_are_one_page_whoever_is_asked_for():
    recommender = signed_in()
    for name in ("ann", ("web", "a81"), "web:a81"):
        page = recommender.profile(name)
        assert (page.customer_id, page.identities, page.known) == ("ann", ("web:a81",), True)
        assert page.n_events == len([row for row in LOG if row["customer_id"] == "ann"]) + 1
    assert shop().profile(("web", "a81")).known is False
    assert recommender.profile("bob").identities == ()


def test_a_visitor_who_was_only_linked_is_unknown_and_has_names():
    recommender = shop()
    recommender.link(("web", "x"), ("app", "y"))
    page = recommender.profile(("app", "y"))
    assert (page.known, page.customer_id, page.identities) == (False, "web:x", ("app:y",))
    assert str(page).splitlines()[:3] == [
        "Customer web:x, asked for as app:y (unknown), as of 2024-03-01 10:00 UTC",
        "known as  web:x, app:y",
        "history   none is known",
    ]


def test_what_was_observed_counts_at_once_also_of_items_that_the_model_never_saw():
    recommender = shop()
    before = recommender.profile("dee").bought
    recommender.observe(event("dee", "mug", "03-05", quantity=2, value=10.0))
    recommender.observe(event("dee", "novelty", "03-05", value=7.0, channel="kiosk"))
    page = recommender.profile("dee")
    assert (before.n_items, before.quantity, before.value) == (1, 1.0, 0.0)
    assert (page.bought.n_items, page.bought.quantity, page.bought.value) == (2, 4.0, 17.0)
    assert [line.item_id for line in page.last_purchases] == ["mug", "rug"]
    assert (page.bought.n_occasions, page.rhythm.usual_interval_days) == (2, 4.0)
    assert page.as_of == page.last_seen == datetime(2024, 3, 5, 10, tzinfo=UTC)
    assert [(tally.name, tally.n_events) for tally in page.channels] == [("web", 2), (None, 1)]
    recommender.forget("dee")
    assert recommender.profile("dee").known is False


def test_later_events_are_hidden():
    recommender = signed_in()
    page = recommender.profile("ann", at="2024-01-19")
    assert (page.n_events, page.returned.n_returns, page.bought.quantity) == (3, 0, 3.0)
    assert page.last_purchases[0].returned == 0.0
    assert page.rhythm.days_since_last == 17
    early = recommender.profile("ann", at="2023-01-01")
    assert str(early).startswith(
        "Customer ann, as of 2023-01-01 00:00 UTC\n"
        "known as  ann, web:a81\n"
        "history   no event up to then\n\n"
        "What is popular\n"
    )


@pytest.mark.parametrize("customer", ["nobody", ("app", 7), None, 7, 7.5, True, ("a:b", "c"), "x" * 10**5])
def test_who_is_unknown_has_a_page_with_what_is_popular(customer):
    recommender = shop()
    page = recommender.profile(customer, k=2)
    assert page.known is False
    assert page.suggestions.item_ids == recommender.recommend(None, k=2).item_ids
    assert (page.n_events, page.bought.value, page.last_purchases, page.rhythm.n_intervals) == (0, 0.0, (), 0)
    lines = str(page).splitlines()
    assert lines[1] == "history  none is known"
    assert lines[3] == "What is popular"
    who = {("app", 7): "Customer app:7 (unknown)", ("a:b", "c"): "Customer a:b:c (unknown)",
           None: "An anonymous visitor"}.get(customer, f"Customer {customer} (unknown)")  # fmt: skip
    if isinstance(customer, str) and len(customer) > 40:
        who = f"Customer {'x' * 37}... (unknown)"
    assert lines[0] == f"{who}, as of 2024-03-01 10:00 UTC"
    json.dumps(page.to_dict())


# Other logs


def page_of(visits, customer, **how):
    """The page of a customer of a log by hand, without the suggestions."""
    page = eg.Recommender("popularity").fit(log_of(visits, **how)).profile(customer, k=1)
    return str(page).partition("\n\nWhat to show next")[0]


def test_a_log_of_positions_knows_what_came_last():
    visits = {"ann": ["lamp", "rug", ("lamp", "view")], "bob": ["lamp", "mug"]}
    assert (
        page_of(visits, "ann", time_kind="position")
        == """\
Customer ann
events  3: purchase 2, view 1
bought  2 purchases of 2 items at 2 positions
rhythm  1 event since the last purchase

Bought last
item_id
-------
rug
lamp"""
    )
    log = log_of(visits, time_kind="position")
    with pytest.raises(errors.NotEnoughDataError, match="at needs a timestamp"):
        eg.Recommender("popularity").fit(log).profile("ann", at="2024-01-01")


def test_a_log_without_an_order_says_what_it_can():
    visits = {"ann": ["lamp", "rug", ("lamp", "view")], "bob": ["lamp", "mug"], "cas": [("mug", "view")]}
    assert (
        page_of(visits, "ann", time_kind="set")
        == """\
Customer ann
events  3: purchase 2, view 1
bought  2 purchases of 2 items

Bought, in no order
item_id
-------
rug
lamp"""
    )
    assert (
        page_of(visits, "cas", time_kind="set")
        == """\
Customer cas
events  1: view 1
bought  nothing"""
    )


def test_days_are_occasions_where_there_are_no_orders():
    start = "2024-01-0{}T{}:59:59Z"
    bought = (("lamp", 1, "09"), ("rug", 1, "23"), ("mug", 2, "00"))
    rows = [{"item_id": item, "timestamp": start.format(day, hour)} for item, day, hour in bought]
    page = page_of({"ann": rows}, "ann").splitlines()
    assert page[3] == "bought  3 purchases of 3 items on 2 days"
    assert page[4] == (
        "rhythm  usually every 1 day (median of 1); last bought 0 days ago, 0 events since; due in 1 day"
    )
    assert page_of({"ann": ["lamp"]}, "ann").splitlines()[3:5] == [
        "bought  1 purchase of 1 item on 1 day",
        "rhythm  last bought 0 days ago, 0 events since",
    ]


def test_a_log_with_one_event_type_counts_that_type_as_bought():
    recommender = eg.Recommender("popularity").fit(log_of({"ann": [("a", "view"), ("b", "view")]}))
    assert recommender.profile("ann").bought.n_purchases == 2
    recommender.observe({"customer_id": "ann", "item_id": "a", "event_type": "purchase"})
    assert recommender.profile("ann").bought.n_purchases == 3


def test_categories_are_texts_and_few_items_need_have_one():
    def shares(categories):
        items = {"item_id": ["a", "b", "c"], "category": categories}
        log = log_of({"ann": ["a", "b", "c"]}, items=items)
        page = eg.Recommender("popularity").fit(log).profile("ann")
        return [(one.category, one.share) for one in page.categories]

    assert shares([3, 1, None]) == [("1", 0.5), ("3", 0.5)]
    assert shares([None, None, "x"]) == [("x", 1.0)]
    assert shares([None, None, None]) == []


# As records, text and HTML


def test_records_are_of_built_in_types():
    page = signed_in().profile("ann")
    record = page.to_dict()
    assert json.loads(json.dumps(record)) == json.loads(json.dumps(page.to_records()[0]))
    assert record["as_of"] == "2024-03-01T10:00:00+00:00"
    assert record["last_purchases"][0]["timestamp"] == "2024-02-09T10:00:00+00:00"
    assert record["suggestions"][0]["reasons"][0]["item_id"] == "lamp"

    def types(value):
        if isinstance(value, dict):
            return set().union(*map(types, value.values()))
        return set().union(*map(types, value)) if isinstance(value, list | tuple) else {type(value)}

    assert types(record) <= {str, int, float, bool, type(None)}
    assert repr(page) == "Profile('ann', known=True, 7 events)"
    integers = eg.Recommender("popularity").fit(log_of({1: [10], 2: [10, 20]})).profile(np.int64(1))
    assert json.dumps(integers.to_dict()).startswith('{"customer_id": 1, "known": true')


def test_the_facts_are_a_table_of_their_own():
    table = signed_in().profile("ann").summary()
    assert table.title == "Customer ann, as of 2024-03-01 10:00 UTC"
    assert table.rows[0] == ("known as", "ann, web:a81")
    assert [row[0] for row in table.rows] == [
        "known as", "seen", "events", "channels", "bought", "returned", "rhythm", "categories",
    ]  # fmt: skip


def test_markup_in_names_stays_text():
    items = {"item_id": ["<i>", "b"], "title": ["<b>Lamp</b> & co", None], "category": ["<u>", "x&y"]}
    visits = {"<ann>": [{"item_id": "<i>", "channel": "<web>"}, {"item_id": "b", "channel": "app"}]}
    recommender = eg.Recommender("popularity").fit(log_of(visits, items=items))
    page = recommender.profile("<ann>")._repr_html_()
    for text in (
        "&lt;ann&gt;",
        "&lt;i&gt;",
        "&lt;b&gt;Lamp&lt;/b&gt; &amp; co",
        "&lt;web&gt;",
        "&lt;u&gt;",
        "x&amp;y",
    ):
        assert text in page
    recommender.availability = eg.Availability.from_frame({"item_id": ["b"], "channel": ["app"]})
    short = recommender.profile("<ann>", channel="<script>")
    assert "<script>" in str(short)
    assert "&lt;script&gt;" in short._repr_html_()
    for shown in (page, short._repr_html_(), recommender.profile("<nobody>")._repr_html_()):
        assert not {"<ann>", "<i>", "<b>", "<web>", "<u>", "<script>", "<nobody>"} & set(shown.split())
        assert "<script" not in shown.replace("&lt;", "")


def test_a_page_fits_a_terminal_however_long_the_names():
    long = "Hand-carved\nlamp of old oak " * 9
    items = {"item_id": [f"i-{'9' * 60}{n}" for n in range(15)], "title": [f"{n} {long}" for n in range(15)],
             "category": [f"{n} {long}" for n in range(15)]}  # fmt: skip
    visits = {
        "a" * 300: [{"item_id": item, "channel": f"{n}{long}", "event_type": "purchase"}
                    for n, item in enumerate(items["item_id"][:12])],
        "bob": items["item_id"],
    }  # fmt: skip
    recommender = eg.Recommender("item_knn").fit(log_of(visits, items=items))
    for n in range(9):
        recommender.link("a" * 300, ("web", f"{n}{'b' * 90}"))
    shown = str(recommender.profile(("web", f"0{'b' * 90}"), k=4))
    assert shown.splitlines()[1].startswith("known as") is False  # the heading goes on
    assert max(map(len, shown.splitlines())) == 100
    assert "and 4 more" in " ".join(shown.split())
    assert "Bought last (10 of 12 purchases)\n" in shown
    assert "\nHand" not in shown
    whole = recommender.profile("a" * 300, k=4).to_dict()
    assert whole["customer_id"] == "a" * 300
    assert whole["last_purchases"][0]["item_id"] == items["item_id"][11]


def test_arguments_are_checked_as_those_of_recommend():
    recommender = shop()
    with pytest.raises(errors.ArgumentError, match=r"^k=0: expected an integer of at least 1\.$"):
        recommender.profile("ann", k=0)
    with pytest.raises(errors.NotFittedError):
        eg.Recommender().profile("ann")
    windows = [{"item_id": "lamp", "ends": "2024-06-01"}]
    recommender.availability = eg.Availability.from_frame(windows)
    with pytest.raises(errors.ArgumentError, match="has windows of time"):
        recommender.profile("ann")
    assert recommender.profile("dee", at=datetime(2024, 5, 1, tzinfo=UTC)).suggestions.item_ids == ["lamp"]
    ended = recommender.profile("dee", at=datetime(2024, 5, 1, tzinfo=UTC) + timedelta(days=31))
    assert ended.suggestions.item_ids == []
    assert "What" not in str(ended)
