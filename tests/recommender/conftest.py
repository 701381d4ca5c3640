import numpy as np
import pytest

from engagelib import Recommender
from engagelib.testing import random_log


def shop_items():
    """A table in which every fifth item is not for sale, some have no title, and some were never met."""
    ids = [f"i{number:03d}" for number in range(34)]
    return {
        "item_id": ids,
        "title": [None if number % 4 == 0 else f"Item <b>{number}</b>" for number in range(34)],
        "for_sale": [number % 5 != 2 for number in range(34)],
    }


@pytest.fixture(scope="session")
def log():
    """Half of the items are bought again and again, the others once by each customer."""
    log = random_log(n_events=900, items=shop_items())
    columns = log.columns
    bought = columns["event_type"] == log.vocabularies["event_type"].find("purchase")
    lasting = bought & (columns["customer_id"] >= 0) & (columns["item_id"] >= 15)
    rows = np.flatnonzero(lasting)
    pairs = columns["customer_id"][rows] * 100 + columns["item_id"][rows]
    _, first = np.unique(pairs, return_index=True)
    keep = ~lasting
    keep[rows[first]] = True
    return log.select(keep)


@pytest.fixture(scope="session")
def alone(log):
    return Recommender("item_knn").fit(log)


@pytest.fixture(scope="session")
def blend(log):
    return Recommender(["item_knn", "popularity"], popular_by=("location",)).fit(log)


@pytest.fixture(scope="session", params=["alone", "blend"])
def recommender(request):
    """One model, then a blend of two."""
    return request.getfixturevalue(request.param)
