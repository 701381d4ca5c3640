"""The contract of models: the library's own keep to it, an outside one can, and broken ones are found out."""

from engagelib.models import ItemKNN, Popularity
from engagelib.testing import ModelContract


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
