"""Every refusal of a recommender, with the whole of its text."""

import re

import numpy as np
import pandas as pd
import pytest

import engagelib as eg
from engagelib import EventLog, Recommender, store
from engagelib.errors import (
    ArgumentError,
    ArtifactError,
    NotEnoughDataError,
    NotFittedError,
    SchemaError,
    UnknownCustomerError,
    UnknownItemError,
)
from engagelib.testing import log_of, random_log


def refused(error, text):
    return pytest.raises(error, match=f"^{re.escape(text)}$")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"k": 0}, "k=0: expected an integer of at least 1."),
        ({"k": 2.0}, "k=2.0: expected an integer of at least 1."),
        ({"k": True}, "k=True: expected an integer of at least 1."),
        ({"k": None}, "k=None: expected an integer of at least 1."),
        ({"exclude_seen": "bought"}, 'exclude_seen=\'bought\': expected "purchased", "any" or "none".'),
        ({"exclude_seen": ["any"]}, 'exclude_seen=[\'any\']: expected "purchased", "any" or "none".'),
        ({"repeat": 1}, "repeat=1: expected True, False or None."),
        ({"repeat": []}, "repeat=[]: expected True, False or None."),
        ({"on_unknown": "fail"}, 'on_unknown=\'fail\': expected "popular" or "raise".'),
        ({"exclude": "i001"}, "exclude='i001': expected a list of ids. Hint: put a single id into a list."),
        (
            {"candidates": "i001"},
            "candidates='i001': expected a list of ids. Hint: put a single id into a list.",
        ),
        ({"exclude": 5}, "exclude=5: expected a list of ids. Hint: put a single id into a list."),
        (
            {"at": "yesterday"},
            "at='yesterday': expected a datetime, a date, a numpy.datetime64 or a text in ISO 8601, "
            "from 1990 to 2200.",
        ),
    ],
)
def test_bad_arguments(recommender, call, text):
    with refused(ArgumentError, text):
        recommender.recommend("c001", **call)
    with refused(ArgumentError, text):
        recommender.recommend_many(["c001"], **call)


@pytest.mark.parametrize("name", ["session", "basket"])
def test_a_single_id_is_no_list(recommender, name):
    text = f"{name}='i001': expected a list of ids. Hint: put a single id into a list."
    with refused(ArgumentError, text):
        recommender.recommend("c001", **{name: "i001"})
    with refused(ArgumentError, "items='i001': expected a list of ids. Hint: put a single id into a list."):
        recommender.rank("c001", "i001")
    with refused(
        ArgumentError, "customer_ids='c001': expected a list of ids. Hint: put a single id into a list."
    ):
        recommender.recommend_many("c001")


def test_a_moment_needs_times():
    recommender = Recommender().fit(random_log(time_kind="position"))
    text = (
        "at needs a timestamp for each event; this log tells order by 'position'. "
        "Hint: read the log with a 'timestamp' column."
    )
    with refused(NotEnoughDataError, text):
        recommender.recommend("c001", at="2024-01-01")
    with refused(NotEnoughDataError, text):
        recommender.audience("i001", at="2024-01-01")


def test_unknown_customers_on_request(recommender):
    for customer, text in {
        "zoe": "customer 'zoe' is unknown to this model or log.",
        7: "customer 7 is unknown: ids here are strings, and this one is of type int.",
    }.items():
        with refused(UnknownCustomerError, text):
            recommender.recommend(customer, on_unknown="raise")
        with refused(UnknownCustomerError, text):
            recommender.recommend_many(["c001", customer], on_unknown="raise")
    assert recommender.recommend(None, on_unknown="raise").item_ids
    assert recommender.recommend("c001", on_unknown="raise").known
    integers = Recommender().fit(log_of({1: [1, 2]}))
    with refused(
        UnknownCustomerError, "customer '1' is unknown: ids here are integers, and this one is of type str."
    ):
        integers.recommend("1", on_unknown="raise")


def test_unknown_items(recommender):
    for ask in (recommender.similar, recommender.audience):
        with refused(UnknownItemError, "item 'i999' is unknown to this model or log."):
            ask("i999")
        with refused(
            UnknownItemError, "item 3 is unknown: ids here are strings, and this one is of type int."
        ):
            ask(3)
        with refused(ArgumentError, "k=0: expected an integer of at least 1."):
            ask("i001", 0)


def test_no_model_knows_likeness():
    recommender = Recommender("popularity").fit(random_log())
    with refused(
        NotEnoughDataError,
        "no model knows which items are alike (models: popularity). "
        "Hint: fit with item_knn among the models.",
    ):
        recommender.similar("i001")


def test_before_fit():
    recommender = Recommender()
    text = "this Recommender is not fitted yet. Call fit() first, or load() a saved one."
    for ask in (
        recommender.recommend,
        recommender.recommend_many,
        recommender.summary,
        lambda: recommender.rank("a", ["b"]),
        lambda: recommender.similar("a"),
        lambda: recommender.audience("a"),
        lambda: recommender.save("nowhere"),
        lambda: recommender.customers_,
        lambda: recommender.items_,
        lambda: recommender.sources_,
    ):
        with refused(NotFittedError, text):
            ask()
    assert repr(recommender) == "Recommender('auto')"


NAMES = (
    "als, bpr, content, customer_knn, ease, item_knn, item_walk, popularity, repeat, session_knn, transitions"
)


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ("svd", f"models='svd': expected \"auto\", a Model, or one of {NAMES}."),
        (["svd"], f"models='svd': expected a Model, or one of {NAMES}."),
        (["auto"], f"models='auto': expected a Model, or one of {NAMES}."),
        ([], 'models=[]: expected "auto", a name, a Model or a list of these.'),
        (5, 'models=5: expected "auto", a name, a Model or a list of these.'),
        (None, 'models=None: expected "auto", a name, a Model or a list of these.'),
        ([5], f"models=5: expected a Model, or one of {NAMES}."),
    ],
)
def test_models_that_are_none(models, text):
    with refused(ArgumentError, text):
        Recommender(models).fit(random_log())


@pytest.mark.parametrize("popular_by", [("channel",), "location", ("location", "channel")])
def test_popular_by_something_else(popular_by):
    with refused(ArgumentError, f'popular_by={popular_by!r}: expected () or ("location",).'):
        Recommender(popular_by=popular_by).fit(random_log())


def test_popular_by_a_column_that_is_not_there():
    with refused(
        NotEnoughDataError, "by=\"location\" needs the column 'location', which this log does not have."
    ):
        Recommender(popular_by=("location",)).fit(log_of({1: [1]}))


def test_logs_that_teach_nothing():
    itemless = EventLog.from_records([{"customer_id": 1, "item_id": None, "event_type": "survey"}] * 2)
    with refused(
        NotEnoughDataError,
        "none of the log's 2 events names an item: expected at least one. "
        "Hint: look at log.report() and log.rejected.",
    ):
        Recommender().fit(itemless)
    with refused(
        NotEnoughDataError,
        "no event type of the log counts as interest (found: listen, skip): expected one of view, wishlist, "
        'cart, purchase. Hint: name yours when the log is read, as in event_types={"listen": "view"}.',
    ):
        Recommender().fit(log_of({1: [(1, "listen"), (2, "skip")]}))


def test_a_frame_is_no_log():
    with refused(
        ArgumentError,
        "log is of type DataFrame: expected an EventLog, such as EventLog.from_frame(frame) makes.",
    ):
        Recommender().fit(pd.DataFrame({"customer_id": [1], "item_id": [1]}))


def test_a_table_of_customers_of_two_types(recommender):
    found = recommender.recommend_many(["c001", 7], k=1)
    assert len(found.item_ids(1)) == 1
    with refused(
        SchemaError,
        "column 'customer_id' holds values of type int, str: expected either integers or strings throughout. "
        "Hint: 1 and '1' are two ids; bring the column to one type before reading it.",
    ):
        found.to_table()


def test_an_artifact_of_another_kind(tmp_path):
    store.publish(tmp_path / "x", "weather", {"a": np.zeros(1)}, {})
    known = "recommender, next_best_action"
    with refused(ArtifactError, f"{tmp_path / 'x'} holds a 'weather': expected one of {known}."):
        eg.load(tmp_path / "x")
