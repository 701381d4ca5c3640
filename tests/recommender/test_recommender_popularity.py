"""Popularity in a recommender: by location among the models, and what it counts where it fills."""

import re

import numpy as np
import pyarrow as pa
import pytest

from engagelib import ItemKNN, Popularity, Recommender
from engagelib.attributes import ItemAttributes
from engagelib.errors import NotEnoughDataError
from engagelib.models import LinearModel
from engagelib.recommender.choosing import choose_filler, choose_models, fit_models
from engagelib.scoring import ItemWeights
from engagelib.testing import histories_of, log_of, random_log


class Unweighted(LinearModel):
    """A model from outside that reads every event, and takes no weights."""

    name = "unweighted"

    def fit(self, histories):
        met = histories.seen("any")
        self.item_weights_ = ItemWeights((met.T @ met).tocsr())
        return self

    def inputs(self, block, *, at=None):
        return block.seen("any", at=at)


def places():
    """Snow sells in the north, sun in the south; no two items were met by one customer."""
    return {
        f"{place}{n}": [{"item_id": item, "location": place}]
        for place, item, count in (("north", "snow", 2), ("south", "sun", 3))
        for n in range(count)
    }


def fitted_by_choice(models, histories, **rest):
    nothing = ItemAttributes.from_table(pa.table({"item_id": ["snow"]}), histories.items)
    return fit_models(choose_models(models, histories, nothing, **rest).core, histories, nothing)


@pytest.mark.parametrize("models", ["auto", "popularity", Popularity(), ["item_knn", "popularity"]])
def test_popularity_among_the_models_knows_locations_where_asked(models):
    histories = histories_of(places())
    model = fitted_by_choice(models, histories, by_location=True)[-1].for_location(
        histories.tables["location"].find("north")
    )
    assert histories.items.ids(model.score_topk(histories, 5).items(0)) == ["snow"]
    fitted = fitted_by_choice(models, histories)
    assert fitted[-1].for_location(0) is fitted[-1]


def test_the_recipe_stays_as_it_was():
    recipe = Popularity()
    fitted_by_choice(recipe, histories_of(places()), by_location=True)
    assert repr(recipe) == "Popularity()"
    assert not hasattr(recipe, "scores_")


def test_locations_come_back_with_a_saved_model():
    recommender = Recommender("popularity", popular_by=("location",)).fit(random_log())
    learned = recommender._serving.learned
    back = type(learned).from_arrays(learned.to_arrays(), learned.facts())
    for code in (None, 0, 1, 2):
        mine, theirs = (some[0].for_location(code) for some in (recommender.models_, back.models))
        assert mine.scores_.tobytes() == theirs.scores_.tobytes()
        assert mine.ranking_.tobytes() == theirs.ranking_.tobytes()


LISTENED = {
    "ann": [("z", "listen"), ("y", "listen")],
    "bob": [("z", "listen"), ("a", "skip"), ("a", "skip"), ("a", "skip")],
    "cyd": [("z", "listen"), ("y", "listen"), ("b", "listen")],
}


def test_what_fills_counts_what_the_models_count():
    weights = {"listen": 1}
    recommender = Recommender(["item_knn", ItemKNN(event_weights=weights)])
    with pytest.raises(NotEnoughDataError, match=r"^no event type of the log counts as interest"):
        recommender.fit(log_of(LISTENED))  # the first of the two counts none of these types
    for models in (ItemKNN(event_weights=weights), [Unweighted(), ItemKNN(event_weights=weights)]):
        recommender = Recommender(models).fit(log_of(LISTENED))
        assert recommender.recommend("nobody").item_ids == ["z", "y", "b", "a"]
        assert recommender.popularity_.event_weights == weights


def test_the_first_weights_given_are_taken_and_else_the_defaults():
    histories = histories_of({"ann": [("a", "view"), "b"]})
    for models, expected in (
        ([ItemKNN()], None),
        ([ItemKNN(), Popularity(event_weights={"view": 2})], {"view": 2}),
        ([ItemKNN(event_weights={"purchase": 3}), Popularity(event_weights={"view": 2})], {"purchase": 3}),
        ([Unweighted()], None),
    ):
        assert choose_filler(models, histories, by_location=False).event_weights == expected


def test_types_that_nothing_weighs_count_alike():
    recommender = Recommender(Unweighted()).fit(log_of(LISTENED))
    assert recommender.popularity_.event_weights == {"listen": 1.0, "skip": 1.0}
    assert recommender.recommend("nobody").item_ids == ["a", "z", "y", "b"]
    assert np.allclose(np.sort(recommender.popularity_.scores_)[-2:], 3, rtol=0.1)


def test_a_log_in_which_nothing_counts_is_refused():
    log = log_of({1: [(1, "Purchase"), (2, "Purchase")]})
    hint = ' Hint: name yours when the log is read, as in event_types={"listen": "view"}.'
    found = "no event type of the log counts as interest (found: Purchase): expected one of "
    for models, known in (
        ("auto", "view, wishlist, cart, purchase"),
        ("popularity", "view, wishlist, cart, purchase"),
        ("item_knn", "view, wishlist, cart, purchase"),
        (ItemKNN(event_weights={"views": 1}), "views"),
        (Popularity(event_weights={}), "none"),
    ):
        with pytest.raises(NotEnoughDataError, match=f"^{re.escape(f'{found}{known}.{hint}')}$"):
            Recommender(models).fit(log)
