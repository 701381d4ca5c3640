"""The contract of models: the library's own keep to it, an outside one can, and broken ones are found out."""

import numpy as np

from engagelib.attributes import ItemAttributes
from engagelib.models import (
    ALS,
    BPR,
    EASE,
    Content,
    CustomerKNN,
    ItemKNN,
    ItemWalk,
    Popularity,
    Repeat,
    SessionKNN,
    Transitions,
)
from engagelib.strings import StringColumn
from engagelib.testing import ModelContract
from engagelib.vocabulary import Vocabulary


class TestItemKNN(ModelContract):
    def make_model(self):
        return ItemKNN()


class TestItemKNNTfidf(ModelContract):
    def make_model(self):
        return ItemKNN("tfidf", n_neighbours=5, event_weights={"view": 1, "purchase": 0.5, "cart": 2})


class TestItemKNNCosine(ModelContract):
    def make_model(self):
        return ItemKNN("cosine", half_life_days=None)


class TestItemKNNBySteps(ModelContract):
    def make_model(self):
        return ItemKNN(half_life_steps=2.0)


class TestPopularity(ModelContract):
    def make_model(self):
        return Popularity()


class TestPopularityOfPurchases(ModelContract):
    def make_model(self):
        return Popularity(half_life_days=None, event_weights={"purchase": 1.0})


class TestEASE(ModelContract):
    def make_model(self):
        return EASE()


class TestEASEPruned(ModelContract):
    def make_model(self):
        return EASE(0.2, n_neighbours=4, half_life_days=None, event_weights={"view": 1, "purchase": 2})


class TestCustomerKNN(ModelContract):
    def make_model(self):
        return CustomerKNN()


class TestCustomerKNNOfFewNeighbours(ModelContract):
    def make_model(self):
        return CustomerKNN(3, own=0.0, half_life_days=None, max_customers=4)


class TestCustomerKNNOfPurchases(ModelContract):
    def make_model(self):
        return CustomerKNN(8, own=1.0, event_weights={"purchase": 1.0})


class TestRepeat(ModelContract):
    def make_model(self):
        return Repeat()


class TestRepeatOfPurchases(ModelContract):
    def make_model(self):
        return Repeat(half_life_days=None, event_weights={"purchase": 1.0})


class TestALS(ModelContract):
    def make_model(self):
        return ALS()


class TestALSOfFewFactors(ModelContract):
    def make_model(self):
        return ALS(4, regularization=0.1, alpha=40.0, n_epochs=3, half_life_days=None, rng=5)


class TestBPR(ModelContract):
    def make_model(self):
        return BPR(n_epochs=10)


class TestBPROfFewFactors(ModelContract):
    def make_model(self):
        return BPR(3, learning_rate=0.2, n_epochs=5, event_weights={"purchase": 1.0}, rng=5)


class TestItemWalk(ModelContract):
    def make_model(self):
        return ItemWalk()


class TestItemWalkToPurchases(ModelContract):
    def make_model(self):
        return ItemWalk(
            5, event_weights={"view": 1, "cart": 2, "purchase": 3}, target_event_weights={"purchase": 1.0}
        )


class TestTransitions(ModelContract):
    def make_model(self):
        return Transitions()


class TestTransitionsToPurchases(ModelContract):
    def make_model(self):
        return Transitions(
            3, max_gap=2, gap_half_life=None, half_life_steps=None, to_event_weights={"purchase": 1.0}
        )


class TestSessionKNN(ModelContract):
    def make_model(self):
        return SessionKNN()


class TestSessionKNNOfFewNeighbours(ModelContract):
    def make_model(self):
        return SessionKNN(7, max_length=9, max_query=4, before=0.0, half_life_steps=None, half_life_days=None)


class ContentOfPlaces(Content):
    """Content with attributes that follow from an item's place: the contract's logs have no item table."""

    name = "content_of_places"

    def fit(self, histories):
        return self.fit_with(histories, attributes_of_places(histories.n_items))

    def fit_with(self, histories, attributes):
        return super().fit_with(histories, attributes_of_places(histories.n_items))


def attributes_of_places(n_items):
    place = np.arange(n_items) // 8
    names = [f"n{one}" for one in range(max(n_items, 1))]
    return ItemAttributes(
        StringColumn.from_strings([f"Thing {one} of {one % 2}" for one in place.tolist()]),
        np.ones(n_items, bool),
        {"brand": ((place // 2).astype(np.int32), Vocabulary.from_values(names))},
        {"price": 1.0 + place * 0.3},
    )


class TestContent(ModelContract):
    def make_model(self):
        return ContentOfPlaces()


class TestContentPruned(ModelContract):
    def make_model(self):
        return ContentOfPlaces(3, half_life_days=None, event_weights={"view": 1, "purchase": 2})
