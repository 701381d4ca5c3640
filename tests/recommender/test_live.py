"""Live: what is observed, linked and forgotten answers as if it had been in the log from the start."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib as eg
from engagelib import errors
from engagelib.histories import Histories
from engagelib.recommender.live import Live
from engagelib.recommender.serving import Serving
from engagelib.testing import log_of, random_log

ITEMS = [f"i{number:03d}" for number in range(30)]
CUSTOMERS = [f"c{number:03d}" for number in range(44)]  # the last four are new
DAY_200 = datetime(2024, 7, 19, tzinfo=UTC)  # the log ends here


def everything(recommender, **how):
    """The lists of all customers, known or not, alone and together."""
    alone = {customer: recommender.recommend(customer, k=12, **how) for customer in CUSTOMERS}
    table = recommender.recommend_many(CUSTOMERS, k=12, **how)
    for row, (customer, listed) in enumerate(alone.items()):
        assert listed.item_ids == table.item_ids(row), customer
        scores = np.array([entry.score for entry in listed], np.float32)
        assert np.array_equal(scores, table.score[row, : len(listed)]), customer
    return {customer: (listed.known, listed.to_records()) for customer, listed in alone.items()}


def with_histories(recommender, log):
    """The same weights over the histories of another log of the same items."""
    learned = recommender._serving.learned
    histories = Histories.from_log(log)
    assert list(histories.items) == list(learned.histories.items)
    other = eg.Recommender(recommender.models)
    other._serving = Serving.over(replace(learned, histories=histories), None, ())
    return other


def rows_of(log):
    return log.to_table().to_pylist()


@pytest.fixture(scope="module", params=["item_knn", "blend"])
def fitted(request):
    """A log in which every item occurs, and what was learned from it."""
    log = random_log(items={"item_id": ITEMS})
    models = {"item_knn": "item_knn", "blend": ["item_knn", "popularity"]}[request.param]
    return log, eg.Recommender(models).fit(log)


def fresh(recommender):
    """The same recommender with nothing observed yet."""
    other = eg.Recommender(recommender.models)
    other._serving = Serving.over(recommender._serving.learned, None, ())
    return other


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from(CUSTOMERS),
            "item_id": st.sampled_from(ITEMS),
            "event_type": st.sampled_from(["view", "cart", "purchase", "return", "wishlist"]),
            "timestamp": st.integers(-150 * 24, 10 * 24).map(lambda hours: DAY_200 + timedelta(hours=hours)),
        },
        optional={"quantity": st.sampled_from([1.0, 2.0]), "session_id": st.just("s1")},
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda event: event["timestamp"],
)


@settings(max_examples=15)
@given(events=EVENTS, in_one_call=st.booleans())
def test_observed_events_count_as_those_of_the_log(fitted, events, in_one_call):
    log, recommender = fitted
    expected = with_histories(recommender, log.append(events))
    observing = fresh(recommender)
    for part in [events] if in_one_call else [[event] for event in events]:
        assert observing.observe(part) == len(part)
        observing.recommend(part[0]["customer_id"])  # what was woven for one call is not kept for the next
    assert everything(observing) == everything(expected)
    at = DAY_200 - timedelta(days=40)
    assert everything(observing, at=at) == everything(expected, at=at)
    for item in ITEMS[::7]:
        found, wanted = (one.audience(item, 60).to_records() for one in (observing, expected))
        assert found == wanted


@settings(max_examples=15)
@given(events=EVENTS, pairs=st.lists(st.tuples(*[st.sampled_from(CUSTOMERS)] * 2), min_size=1, max_size=6))
def test_linked_customers_are_one_wherever_they_stand(fitted, events, pairs):
    log, recommender = fitted
    linking = fresh(recommender)
    groups = {customer: {customer} for customer in CUSTOMERS}
    for place, (first, second) in enumerate(pairs):
        linking.observe(events[place % len(events)])
        kept = linking.link(first, second)
        joint = groups[first] | groups[second]
        groups |= dict.fromkeys(joint, joint)
        assert kept in joint
    taken = [events[place % len(events)] for place in range(len(pairs))]
    found = everything(linking)
    name = {customer: min(group) for customer, group in groups.items()}
    rows = rows_of(log.append(taken))
    merged = eg.EventLog.from_records(
        [{**row, "customer_id": name.get(row["customer_id"], row["customer_id"])} for row in rows],
        items={"item_id": ITEMS},
    )
    expected = everything(with_histories(recommender, merged))
    for customer in CUSTOMERS:
        assert found[customer] == expected[name[customer]]


def test_a_visitor_who_signs_in_is_the_customer_from_the_next_call_on(fitted):
    _, recommender = fitted
    shop, visitor = fresh(recommender), ("web", "a81")
    assert not shop.recommend(visitor).known
    shop.observe([{"customer_id": visitor, "item_id": item} for item in ITEMS[:3]])
    before = shop.recommend(visitor, repeat=False)
    assert before.known
    assert not set(before.item_ids) & set(ITEMS[:3])
    assert shop.link("c003", visitor) == "c003"
    signed_in = shop.recommend("c003", repeat=False)
    assert signed_in.to_records() == shop.recommend(visitor, repeat=False).to_records()
    assert signed_in.to_records() != recommender.recommend("c003", repeat=False).to_records()
    assert not set(signed_in.item_ids) & set(ITEMS[:3])
    shop.observe({"customer_id": visitor, "item_id": signed_in[0].item_id})
    assert signed_in[0].item_id not in shop.recommend("c003", repeat=False).item_ids
    assert shop.identities_.canonical(visitor) == "c003"


def test_a_purchase_leaves_the_list_and_lifts_its_neighbours():
    visits = {number: ["tea", "cup", "pot"] for number in range(5)}
    visits |= {number: ["lamp", "bulb"] for number in range(5, 10)}
    shop = eg.Recommender("item_knn").fit(log_of({**visits, 20: ["tea"]}))
    before = shop.recommend(20, repeat=False)
    assert set(before.item_ids[:2]) == {"cup", "pot"}
    shop.observe({"customer_id": 20, "item_id": "bulb"})
    after = shop.recommend(20, repeat=False)
    assert "bulb" not in after.item_ids
    score = {entry.item_id: entry.score for entry in after}
    assert score["lamp"] > 0
    assert {entry.item_id: entry.score for entry in before}["lamp"] == 0


def test_items_that_were_never_seen_are_kept_and_score_nothing(fitted):
    _, recommender = fitted
    shop = fresh(recommender)
    before = shop.recommend("c001")
    shop.observe({"customer_id": "c001", "item_id": "brand new"})
    assert shop.recommend("c001").to_records() == before.to_records()
    shop.observe({"customer_id": "somebody new", "item_id": "brand new"})
    assert shop.recommend("somebody new").known


@pytest.mark.parametrize("time_kind", ["position", "set"])
def test_without_timestamps_events_come_last(time_kind):
    log = random_log(time_kind=time_kind, items={"item_id": ITEMS})
    shop = eg.Recommender("item_knn").fit(log)
    shop.observe([{"customer_id": "c001", "item_id": ITEMS[place]} for place in (3, 5)])
    _, history = shop._serving.live.find("c001")
    assert history.item_index[-2:].tolist() == [3, 5]
    if time_kind == "position":
        assert (np.diff(history.time) > 0).all()
        shop.observe({"customer_id": "c001", "item_id": ITEMS[7], "position": -4})
        _, history = shop._serving.live.find("c001")
        assert history.item_index[0] == 7


def test_an_event_without_a_time_is_the_newest_of_its_customer(fitted):
    _, recommender = fitted
    shop = fresh(recommender)
    late = DAY_200 + timedelta(days=30)
    shop.observe({"customer_id": "c001", "item_id": ITEMS[3], "timestamp": late})
    shop.observe({"customer_id": "c001", "item_id": ITEMS[5]})
    _, history = shop._serving.live.find("c001")
    assert history.item_index[-2:].tolist() == [3, 5]
    assert history.time[-1] == history.time[-2]
    shop.observe({"customer_id": "c002", "item_id": ITEMS[5]})
    _, history = shop._serving.live.find("c002")
    assert history.time[-1] == shop.histories_.newest


# Forgetting


def test_who_is_forgotten_is_unknown_from_the_next_call_on(fitted):
    _, recommender = fitted
    shop = fresh(recommender)
    nobody = shop.recommend("never seen").to_records()
    shop.observe({"customer_id": "c001", "item_id": ITEMS[0]})
    shop.link("c001", "c002")
    shop.link("c002", ("web", "x"))
    shop.forget(("web", "x"))
    for name in ("c001", "c002", ("web", "x")):
        assert not shop.recommend(name).known
        assert shop.recommend(name).to_records() == nobody
    assert not {"c001", "c002"} & set(shop.audience(ITEMS[0], 99, exclude_seen="none").customer_ids)
    with pytest.raises(
        errors.UnknownCustomerError, match=r"^customer 'c001' is unknown to this model or log\.$"
    ):
        shop.forget("c001")
    shop.observe({"customer_id": "c002", "item_id": ITEMS[4]})
    assert shop.recommend("c002").known
    assert not shop.recommend("c001").known
    _, history = shop._serving.live.find("c002")
    assert history.item_index.tolist() == [4]


# Files


@settings(max_examples=8)
@given(events=EVENTS, pairs=st.lists(st.tuples(*[st.sampled_from(CUSTOMERS)] * 2), max_size=3))
def test_saved_and_loaded_it_answers_the_same(fitted, tmp_path_factory, events, pairs):
    _, recommender = fitted
    shop, path = fresh(recommender), tmp_path_factory.mktemp("live") / "shop.engage"
    shop.observe(events)
    for pair in pairs:
        shop.link(*pair)
    shop.observe([{"session_id": "s77", "item_id": ITEMS[2]}, {"customer_id": "c043", "event_type": "login"}])
    before = everything(shop)
    n_events, n_visits = shop.histories_.n_events, shop.histories_.n_histories - len(shop.customers_)
    shop.save(path)
    assert everything(shop) == before
    back = eg.load(path)
    assert everything(back) == before
    assert back.histories_.n_events == n_events + len(events) + 2
    assert back.histories_.n_histories - len(back.customers_) == n_visits + 1
    assert shop.n_changes_ == 0
    again = path.parent / "again"
    back.save(again)
    assert everything(eg.load(again)) == before


def bytes_of(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("models", ["item_knn", ["item_knn", "popularity"]])
def test_no_file_holds_whom_was_forgotten(tmp_path, models):
    secret = [
        {"item_id": item, "session_id": "visit-of-jane", "order_id": "order-of-jane", "quantity": 77.0}
        for item in ("a", "b")
    ]
    visits = {"jane-doe": secret, **{f"c{number}": ["a", "b", "c"][number % 2 :] for number in range(8)}}
    log = log_of(visits)
    shop, path = eg.Recommender(models).fit(log), tmp_path / "shop.engage"
    shop.save(path)
    assert any(b"jane" in data for data in bytes_of(path).values())
    served = eg.load(path)
    served.link("jane-doe", ("web", "jane-cookie"))
    served.observe({"customer_id": ("web", "jane-cookie"), "item_id": "c", "session_id": "jane-session"})
    served.forget("jane-doe")
    served.save(path)
    assert not [file for file, data in bytes_of(path).items() if b"jane" in data]
    needle = np.array([77.0], np.float32).tobytes()
    assert not [file for file, data in bytes_of(path).items() if needle in data]
    back = eg.load(path)
    assert not back.recommend("jane-doe").known
    # Learned by counting: exactly what a fit without her learns.
    clean = eg.Recommender(models).fit(log.forget("jane-doe"))
    for customer in [*visits, None]:
        assert back.recommend(customer).to_records() == clean.recommend(customer).to_records()
    for item in "abc":
        assert back.similar(item).to_records() == clean.similar(item).to_records()
    assert "erasure pending" not in str(back.summary())


def test_models_that_do_not_count_say_that_erasure_is_pending(tmp_path):
    class Stubborn(eg.ItemKNN):
        """Fitting it takes a night."""

        name = "stubborn"
        counted = False

    shop = eg.Recommender([Stubborn(), "item_knn"]).fit(random_log())
    shop.forget("c001")
    shop.forget("c002")
    shop.save(tmp_path / "a")
    back = eg.load(tmp_path / "a")
    back.forget("c003")
    back.save(tmp_path / "b")
    rows = {row["what"]: row["value"] for row in eg.load(tmp_path / "b").summary().to_records()}
    assert rows["erasure pending: stubborn"] == "3 customers, until it is fitted again"
    assert "erasure pending: item_knn" not in rows


# Reloading


def test_reload_swaps_to_what_was_published_since(tmp_path):
    path = tmp_path / "shop.engage"
    first = random_log(n_events=400)
    eg.Recommender("item_knn").fit(first).save(path)
    served = eg.load(path)
    assert served.reload() is False
    nightly = eg.Recommender("item_knn").fit(random_log())
    version = nightly.save(path)
    newest = datetime.fromtimestamp(nightly.histories_.newest / 1e6, UTC)
    served.link("c005", ("web", "x"))
    served.forget("c006")
    served.observe(
        [
            {"customer_id": "c001", "item_id": "i003", "timestamp": newest},
            {"customer_id": "c002", "item_id": "i003", "timestamp": newest + timedelta(minutes=1)},
        ]
    )
    assert served.reload() is True
    assert served.model_version_ == version
    assert served.histories_.n_events == nightly.histories_.n_events
    nightly.observe({"customer_id": "c002", "item_id": "i003", "timestamp": newest + timedelta(minutes=1)})
    assert served.recommend("c001").to_records() == nightly.recommend("c001").to_records()
    assert served.recommend("c002").to_records() == nightly.recommend("c002").to_records()
    assert served.recommend(("web", "x")).to_records() == nightly.recommend("c005").to_records()
    assert not served.recommend("c006").known
    assert served.reload() is False


def test_a_reload_that_fails_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "shop.engage"
    eg.Recommender("item_knn").fit(random_log()).save(path)
    served = eg.load(path)
    before = served.recommend("c001").to_records()
    (path / "CURRENT").write_text("nonsense")
    with pytest.raises(errors.ArtifactError):
        served.reload()
    assert served.recommend("c001").to_records() == before
    message = (
        "path=None: expected the folder of a saved recommender, because this one was neither loaded nor "
        "saved yet."
    )
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(message)}$"):
        eg.Recommender("item_knn").fit(random_log()).reload()


# Refusals

NOTHING_TAKEN = " No event of this call was taken."
FORM = "expected a mapping, or a list of mappings."
BAD_EVENTS = {
    "no mapping": (7, errors.ArgumentError, f"events is of type int: {FORM}"),
    "a text": ("c1", errors.ArgumentError, f"events is of type str: {FORM}"),
    "no mapping inside": (
        [["c1", "i1"]],
        errors.ArgumentError,
        "events[0] is of type list: expected a mapping, such as a dict.",
    ),
    "a field by another name": (
        {"customer_id": "c1", "item": "i1"},
        errors.SchemaError,
        "events[0] has a field 'item': expected some of channel, customer_id, event_type, item_id, location, "
        "order_id, position, quantity, rating, session_id, timestamp, value. "
        "Hint: live events have the columns of the log; no event of this call was taken.",
    ),
    "no customer": (
        {"item_id": "i1"},
        errors.SchemaError,
        f"events[0] has customer_id=None: expected an id, or else a session_id or order_id.{NOTHING_TAKEN}",
    ),
    "no item": (
        {"customer_id": "c1", "event_type": "view"},
        errors.SchemaError,
        f"events[0] has item_id=None: expected an id: a view is about an item.{NOTHING_TAKEN}",
    ),
    "a boolean item": (
        {"customer_id": "c1", "item_id": True},
        errors.SchemaError,
        f"events[0] has item_id=True: expected an integer or a text.{NOTHING_TAKEN}",
    ),
    "no event type": (
        {"customer_id": "c1", "item_id": "i1", "event_type": 3},
        errors.SchemaError,
        f"events[0] has event_type=3: expected a text, such as view or purchase.{NOTHING_TAKEN}",
    ),
    "an infinite number": (
        {"customer_id": "c1", "item_id": "i1", "value": float("inf")},
        errors.SchemaError,
        f"events[0] has value=inf: expected a finite number.{NOTHING_TAKEN}",
    ),
    "a number for a time": (
        {"customer_id": "c1", "item_id": "i1", "timestamp": 1700000000},
        errors.SchemaError,
        "events[0] has timestamp=1700000000: expected a datetime, a date, a numpy.datetime64 or a text in "
        f"ISO 8601, from 1990 to 2200.{NOTHING_TAKEN}",
    ),
    "a triple for a customer": (
        {"customer_id": ("a", "b", "c"), "item_id": "i1"},
        errors.SchemaError,
        "events[0] has customer_id=('a', 'b', 'c'): expected an integer, a text or a pair of a namespace and "
        f"one of these.{NOTHING_TAKEN}",
    ),
    "an id of another type": (
        {"customer_id": 17, "item_id": "i1"},
        errors.SchemaError,
        "customer 17 is of type int: customers here are text. Hint: link it behind an id of that type, as in "
        'link(17, ("web", "a1")), or fit on a log that was read with text_ids=True.',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "kind", "message"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_bad_events_are_refused_and_none_of_the_call_is_taken(fitted, given, kind, message):
    _, recommender = fitted
    shop = fresh(recommender)
    good = {"customer_id": "c001", "item_id": ITEMS[0]}
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        shop.observe(given)
    if isinstance(given, dict):
        with pytest.raises(kind, match=re.escape(message.replace("events[0]", "events[1]"))):
            shop.observe([good, given])
    assert shop._serving.live.is_empty


def test_a_bad_position_is_refused():
    shop = eg.Recommender("item_knn").fit(random_log(time_kind="position"))
    message = "events[0] has position='first': expected an integer of at most 2**62, or None."
    message += " No event of this call was taken."
    with pytest.raises(errors.SchemaError, match=f"^{re.escape(message)}$"):
        shop.observe({"customer_id": "c001", "item_id": "i001", "position": "first"})


def test_links_between_ids_of_another_type_are_refused(fitted):
    _, recommender = fitted
    with pytest.raises(errors.SchemaError, match=r"^customer 17 is of type int: customers here are text\. "):
        fresh(recommender).link(17, 18)
    shop = fresh(recommender)
    assert shop.link(17, "c001") == "c001"
    assert shop.recommend(17).to_records() == recommender.recommend("c001").to_records()


def test_refitting_drops_what_was_observed(fitted):
    log, recommender = fitted
    shop = eg.Recommender(recommender.models).fit(log)
    shop.observe({"customer_id": "c001", "item_id": ITEMS[0]})
    shop.link("c001", "c002")
    shop.fit(log)
    assert everything(shop) == everything(recommender)


def test_nothing_observed_costs_nothing(fitted):
    _, recommender = fitted
    live = Live.over(recommender.histories_, None)
    assert live.is_empty
    block, known = live.take(None, np.array([0, -1]))
    assert known.tolist() == [True, False]
    assert block.n_histories == 2


# What a shop must not trip over


def test_whom_only_this_process_knew_is_forgotten_in_every_version(tmp_path):
    identities = eg.IdentityMap()
    identities.link(("web", "ghost-cookie"), ("app", "ghost-phone"))  # linked, and never an event
    shop, path = eg.Recommender("item_knn").fit(random_log(identities=identities)), tmp_path / "shop"
    shop.observe(
        {"customer_id": "ghost-guest", "item_id": "i001", "location": "ghost-house", "event_type": "ghost"}
    )
    shop.save(path)
    assert any(b"ghost" in data for data in bytes_of(path).values())
    shop.forget("ghost-guest")
    shop.forget(("web", "ghost-cookie"))
    shop.save(path)
    assert not [file for file, data in bytes_of(path).items() if b"ghost" in data]


def test_a_mistyped_year_is_refused_and_next_year_makes_nobody_a_stranger(fitted):
    _, recommender = fitted
    shop = fresh(recommender)
    newest = "2024-07-18"
    message = (
        "events[0] has timestamp='2199-01-01': expected a moment at most two years after the newest one "
    )
    with pytest.raises(errors.SchemaError, match=f"^{re.escape(message)}known, {newest}"):
        shop.observe({"customer_id": "c001", "item_id": ITEMS[0], "timestamp": "2199-01-01"})
    shop.observe({"customer_id": "c001", "item_id": ITEMS[0], "timestamp": "2025-07-01"})
    at = datetime(2025, 7, 1, tzinfo=UTC)
    for customer in ("c001", "c002"):
        assert shop.recommend(customer).to_records() == shop.recommend(customer, at=at).to_records()
        assert shop.recommend(customer)[0].source != "popular"


@pytest.mark.parametrize(
    ("field", "value"),
    [("item_id", "i\ud800"), ("customer_id", "c\ud800"), ("value", 10**400), ("value", 1e300)],
)
def test_what_no_file_can_hold_is_refused(fitted, field, value):
    _, recommender = fitted
    shop = fresh(recommender)
    with pytest.raises(errors.SchemaError, match=rf"^events\[0\] has {field}="):
        shop.observe({"customer_id": "c001", "item_id": ITEMS[0], field: value})
    assert shop._serving.live.is_empty


def test_a_position_that_is_no_place_is_refused():
    shop = eg.Recommender("item_knn").fit(random_log(time_kind="position"))
    with pytest.raises(errors.SchemaError, match=r"^events\[0\] has position="):
        shop.observe({"customer_id": "c001", "item_id": "i001", "position": 2**70})


def test_who_was_forgotten_stays_so_over_any_reload(tmp_path):
    log, path = random_log(), tmp_path / "shop"
    eg.Recommender("item_knn").fit(log).save(path)
    shop = eg.load(path)
    shop.forget("c001")
    shop.observe({"customer_id": "c001", "item_id": "i001"})
    eg.Recommender("popularity").fit(log.forget("c001")).save(path)
    assert shop.reload()
    eg.Recommender("popularity").fit(log).save(path)
    assert shop.reload()
    _, history = shop._serving.live.find("c001")
    assert history.n_events == 1


def test_everybody_means_those_known_now(fitted):
    _, recommender = fitted
    shop = fresh(recommender)
    shop.forget("c001")
    shop.link("c002", "c003")
    shop.observe({"customer_id": "brand new", "item_id": ITEMS[0]})
    everybody = {*recommender.customers_, "brand new"} - {"c001", "c003"}
    assert set(shop.current_customers()) == everybody
    table = shop.recommend_many(k=3).to_table()
    assert set(table["customer_id"].to_pylist()) == everybody
    assert list(recommender.current_customers()) == list(recommender.customers_)


def test_who_saves_goes_on_as_whoever_loads(fitted, tmp_path):
    log, _ = fitted
    shop, path = eg.Recommender(["item_knn", "popularity"]).fit(log), tmp_path / "shop"
    shop.observe([{"customer_id": "c001", "item_id": ITEMS[0]}, {"session_id": "s99", "item_id": ITEMS[1]}])
    shop.forget("c002")
    assert shop.n_changes_ == 3
    shop.save(path)
    assert (shop.n_changes_, shop._serving.live.is_empty, shop.reload()) == (0, True, False)
    assert everything(shop) == everything(eg.load(path))
    shop.observe({"customer_id": "c001", "item_id": ITEMS[2]})
    shop.save(path)
    assert shop.histories_.n_events == eg.load(path).histories_.n_events
    assert everything(shop) == everything(eg.load(path))


def test_ids_of_two_types_are_refused_where_nobody_is_known_yet():
    rows = [{"customer_id": None, "session_id": one, "item_id": item} for one in "abc" for item in "xy"]
    shop = eg.Recommender("item_knn").fit(eg.EventLog.from_records(rows))
    shop.observe({"customer_id": 1, "item_id": "x"})
    with pytest.raises(errors.SchemaError, match=r"^customer 'a' is of type str: "):
        shop.observe({"customer_id": "a", "item_id": "x"})
    assert shop.audience("y").customer_ids == [1]


def test_a_reload_to_ids_of_another_type_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "shop"
    eg.Recommender("item_knn").fit(random_log()).save(path)
    shop = eg.load(path)
    shop.observe({"customer_id": "c001", "item_id": "i001", "timestamp": "2025-01-01"})
    before = everything(shop)
    eg.Recommender("item_knn").fit(log_of({1: ["a", "b"], 2: ["a", "b"]})).save(path)
    with pytest.raises(
        errors.SchemaError, match=r"^customer 'c001' is of type str: customers here are integers"
    ):
        shop.reload()
    assert everything(shop) == before
