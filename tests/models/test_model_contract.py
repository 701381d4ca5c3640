"""The contract of models: the library's own keep to it, an outside one can, and broken ones are found out."""

from engagelib.models import ALS, BPR, EASE, ItemKNN, Popularity
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


class TestEASE(ModelContract):
    def make_model(self):
        return EASE()


class TestEASEPruned(ModelContract):
    def make_model(self):
        return EASE(0.2, n_neighbours=4, half_life_days=None, event_weights={"view": 1, "purchase": 2})


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
