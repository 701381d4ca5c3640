"""The contract is fair to a plain model from outside the library, and finds the fault of each broken one."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import engagelib as eg
from engagelib.errors import ArtifactError
from engagelib.models import LinearModel
from engagelib.models.base import Contributions
from engagelib.scoring import ItemWeights, TopK
from engagelib.testing import ModelContract, histories_of, random_log


class TogetherModel(LinearModel):
    """What an outside author might write: how many customers met both items."""

    name = "together"

    def __init__(self, share=1.0):
        self.share = share

    def fit(self, histories):
        met = histories.matrix(event_weights={"view": 1.0, "purchase": 1.0}).astype(bool).astype(np.float32)
        both = csr_array(met.T @ met).tolil()
        both.setdiag(0)
        self.item_weights_ = ItemWeights(csr_array(both) * np.float32(self.share))
        return self

    def inputs(self, block, *, at=None):
        return block.matrix(event_weights={"view": 1.0, "purchase": 2.0}, at=at)


class TestOutsideModel(ModelContract):
    def make_model(self):
        return TogetherModel(0.5)


class IgnoresExclusions(TogetherModel):
    name = "ignores_exclusions"

    def score_topk(self, block, k, *, at=None, exclude=None, available=None):
        return super().score_topk(block, k, at=at, available=available)


class ReadsExclusionsByValue(TogetherModel):
    name = "reads_exclusions_by_value"

    def score_topk(self, block, k, *, at=None, exclude=None, available=None):
        if exclude is not None:
            exclude = exclude.copy()
            exclude.eliminate_zeros()
        return super().score_topk(block, k, at=at, exclude=exclude, available=available)


class IgnoresStock(TogetherModel):
    name = "ignores_stock"

    def score_topk(self, block, k, *, at=None, exclude=None, available=None):
        return super().score_topk(block, k, at=at, exclude=exclude)


class FiltersAfterwards(TogetherModel):
    """Strikes out from the k best, so that lists come out short."""

    name = "filters_afterwards"

    def score_topk(self, block, k, *, at=None, exclude=None, available=None):
        found = super().score_topk(block, k, at=at, exclude=exclude)
        if available is None:
            return found
        gone = ~available[found.item_index] | (found.item_index < 0)
        order = np.argsort(gone, axis=1, kind="stable")
        items = np.where(gone, -1, found.item_index)
        scores = np.where(gone, np.float32(-np.inf), found.score)
        return TopK(*(np.take_along_axis(part, order, axis=1) for part in (items, scores)))


class Changed(TogetherModel):
    """Changes the arrays that a proper model returns."""

    def score_topk(self, block, k, *, at=None, exclude=None, available=None):
        found = super().score_topk(block, k, at=at, exclude=exclude, available=available)
        return TopK(*self.change(found.item_index.copy(), found.score.copy(), block, k))


class PadsWithItem0(Changed):
    name = "pads_with_item_0"

    def change(self, items, scores, block, k):
        return np.where(items < 0, 0, items).astype(np.int32), np.where(items < 0, np.float32(0), scores)


class ListsLastFirst(Changed):
    name = "lists_last_first"

    def change(self, items, scores, block, k):
        return items[:, ::-1], scores[:, ::-1]


class CutsAtTheCatalogue(Changed):
    name = "cuts_at_the_catalogue"

    def change(self, items, scores, block, k):
        return items[:, : block.n_items], scores[:, : block.n_items]


class TiesToTheHigherIndex(Changed):
    name = "ties_to_the_higher_index"

    def change(self, items, scores, block, k):
        order = np.lexsort((-items, -scores), axis=1)
        return tuple(np.take_along_axis(part, order, axis=1) for part in (items, scores))


class ScalesByTheBatch(Changed):
    name = "scales_by_the_batch"

    def change(self, items, scores, block, k):
        return items, (scores / max(scores.max(initial=1), 1)).astype(np.float32)


class ScalesByK(Changed):
    name = "scales_by_k"

    def change(self, items, scores, block, k):
        return items, (scores / k).astype(np.float32)


class GivesNaN(Changed):
    name = "gives_nan"

    def change(self, items, scores, block, k):
        return items, np.where(items == 3, np.float32(np.nan), scores)


class FallsOverEmptyHistories(Changed):
    name = "falls_over_empty_histories"

    def change(self, items, scores, block, k):
        assert (np.diff(block.indptr) > 0).all(), "an empty history"
        return items, scores


class RoundsPairs(TogetherModel):
    name = "rounds_pairs"

    def score_pairs(self, block, item_index, *, at=None):
        return super().score_pairs(block, item_index, at=at) * np.float32(1.0000001)


class LosesATerm(TogetherModel):
    name = "loses_a_term"

    def contributions(self, block, item_index, *, at=None):
        return Contributions(*(part[1:] for part in super().contributions(block, item_index, at=at)))


class CountsReturns(TogetherModel):
    name = "counts_returns"

    def inputs(self, block, *, at=None):
        return block.seen("any", at=at)


class IgnoresAt(TogetherModel):
    name = "ignores_at"

    def inputs(self, block, *, at=None):
        return super().inputs(block)


class StartsWarm(TogetherModel):
    name = "starts_warm"

    def fit(self, histories):
        warm = hasattr(self, "item_weights_")
        super().fit(histories)
        if warm:
            self.item_weights_ = ItemWeights(self.item_weights_.matrix * np.float32(2))
        return self


class WritesIntoTheLog(TogetherModel):
    name = "writes_into_the_log"

    def fit(self, histories):
        super().fit(histories)
        histories.numbers["quantity"][:5] = 9
        return self


class ForgetsItsArguments(TogetherModel):
    name = "forgets_its_arguments"

    @classmethod
    def from_arrays(cls, arrays, params):
        return super().from_arrays(arrays, {})


class LosesWeights(TogetherModel):
    name = "loses_weights"

    def to_arrays(self):
        return super().to_arrays() | {"data": self.item_weights_.data.round(-1)}


class Nameless(TogetherModel):
    """Would be loaded as the model whose name it inherits."""


class FailsBareBeforeFit(TogetherModel):
    name = "fails_bare_before_fit"

    def to_arrays(self):
        return {name: getattr(self.item_weights_, name) for name in ("indptr", "indices", "data")}


class ReadsIds(TogetherModel):
    name = "reads_ids"

    def fit(self, histories):
        super().fit(histories)
        length = len(str(histories.items[0]))
        self.item_weights_ = ItemWeights(self.item_weights_.matrix * np.float32(length))
        return self


class ReadsTheFirstEvent(TogetherModel):
    name = "reads_the_first_event"

    def fit(self, histories):
        super().fit(histories)
        first = np.float32(
            1 + histories.indptr[1] + (histories.numbers["quantity"][0] if histories.numbers else 0)
        )
        self.item_weights_ = ItemWeights(self.item_weights_.matrix * first)
        return self


class ReadsTheOrderWithinAMoment(TogetherModel):
    name = "reads_the_order_within_a_moment"

    def inputs(self, block, *, at=None):
        x = super().inputs(block, at=at)
        every_other = np.abs(block.item_index) * (np.arange(block.n_events) % 2)
        sums = np.bincount(block.rows(), every_other, minlength=block.n_histories)
        x.data *= 1 + np.repeat(sums, np.diff(x.indptr)).astype(np.float32)
        return x


class ScoresOneItemAlone(TogetherModel):
    name = "scores_one_item_alone"

    def score_item(self, block, item_index, *, at=None):
        return super().score_item(block, item_index, at=at).round(0)


class LikesItself(TogetherModel):
    name = "likes_itself"

    def similar_topk(self, item_index, k, *, available=None):
        found = super().similar_topk(item_index, k, available=available)
        found.item_index[0, 0] = item_index
        return found


class ReadsExclusionsAsRowsWithValues(TogetherModel):
    name = "reads_exclusions_as_rows_with_values"

    def score_topk(self, block, k, *, at=None, exclude=None, available=None):
        assert exclude is None or exclude.data is not None, "no values"
        return super().score_topk(block, k, at=at, exclude=exclude, available=available)


class RefusesOneItem(TogetherModel):
    name = "refuses_one_item"

    def fit(self, histories):
        assert histories.n_items > 1, "a single item"
        return super().fit(histories)


class ListsTheBasket(Changed):
    name = "lists_the_basket"

    def change(self, items, scores, block, k):
        return np.where(items >= 0, 2, items).astype(np.int32), scores


FAULTS = {
    IgnoresExclusions: "test_exclusions_are_struck_out_and_nothing_else",
    ReadsExclusionsByValue: "test_what_is_stored_counts_as_excluded_whatever_its_value",
    ReadsExclusionsAsRowsWithValues: "test_exclusions_may_come_as_rows_without_values",
    IgnoresStock: "test_unavailable_items_are_struck_out_and_nothing_else",
    FiltersAfterwards: "test_unavailable_items_are_struck_out_and_nothing_else",
    PadsWithItem0: "test_lists_are_in_form_for_any_k",
    ListsLastFirst: "test_lists_are_in_form_for_any_k",
    CutsAtTheCatalogue: "test_lists_are_in_form_for_any_k",
    GivesNaN: "test_lists_are_in_form_for_any_k",
    TiesToTheHigherIndex: "test_ties_go_to_the_lower_index",
    ScalesByTheBatch: "test_a_batch_equals_its_single_answers",
    ScalesByK: "test_a_shorter_list_is_the_beginning_of_a_longer_one",
    FallsOverEmptyHistories: "test_an_empty_history_gets_an_answer",
    RoundsPairs: "test_pairs_score_as_lists_do",
    ScoresOneItemAlone: "test_pairs_score_as_lists_do",
    LosesATerm: "test_contributions_sum_to_the_score",
    CountsReturns: "test_returned_purchases_do_not_count",
    IgnoresAt: "test_events_after_the_moment_do_not_count",
    StartsWarm: "test_a_refit_equals_a_fresh_fit",
    WritesIntoTheLog: "test_fitting_and_scoring_leave_the_histories_alone",
    ForgetsItsArguments: "test_it_comes_back_as_it_was_saved",
    LosesWeights: "test_it_comes_back_as_it_was_saved",
    Nameless: "test_it_comes_back_as_it_was_saved",
    FailsBareBeforeFit: "test_before_fit_it_says_so",
    ReadsTheOrderWithinAMoment: "test_the_order_of_rows_does_not_matter",
    ReadsIds: "test_renaming_ids_renames_the_answer",
    LikesItself: "test_similar_items_are_in_form",
    RefusesOneItem: "test_small_and_odd_logs_are_learned_from",
    ListsTheBasket: "test_a_recommender_serves_it",
}


def contract_of(model):
    class Contract(ModelContract):
        def make_model(self):
            return model(0.5)

    return Contract()


@pytest.mark.parametrize("model", FAULTS, ids=lambda model: model.__name__)
def test_each_fault_is_found_by_the_rule_it_breaks(model):
    with pytest.raises(AssertionError):
        getattr(contract_of(model), FAULTS[model])()


def test_every_rule_has_a_model_that_breaks_it():
    rules = {name for name in dir(ModelContract) if name.startswith("test_")}
    assert rules == set(FAULTS.values())


def test_the_contract_names_what_its_author_left_out():
    with pytest.raises(
        NotImplementedError, match=r"^a subclass of ModelContract returns its model in make_model\(\)$"
    ):
        ModelContract().test_lists_are_in_form_for_any_k()


def test_an_outside_model_is_loaded_by_its_name(tmp_path):
    recommender = eg.Recommender([TogetherModel(0.5), "popularity"]).fit(random_log())
    recommender.save(tmp_path / "shop")
    back = eg.load(tmp_path / "shop")
    assert repr(back.models_) == "[TogetherModel(share=0.5), Popularity()]"
    for customer in recommender.customers_.ids(range(5)):
        assert back.recommend(customer).to_records() == recommender.recommend(customer).to_records()


def test_a_model_nobody_defined_is_refused_by_name(tmp_path):
    class Passing(TogetherModel):
        name = "passing"

    eg.Recommender(Passing()).fit(random_log()).save(tmp_path / "shop")
    Passing.name = "another"
    with pytest.raises(ArtifactError) as caught:
        eg.load(tmp_path / "shop")
    text = str(caught.value)
    assert text.startswith("the file holds a model named 'passing': expected one of als, another, ")
    assert "Hint: import the module of a model of your own before loading; any other comes from" in text


def test_histories_by_hand():
    made = histories_of({"ann": ["lamp", ("rug", "view"), {"item_id": "lamp", "quantity": 2}], "bob": []})
    assert made.n_customers == 1
    assert made.items.ids(made.item_index.tolist()) == ["lamp", "rug", "lamp"]
    assert [made.event_types[code] for code in made.event_type] == ["purchase", "view", "purchase"]
    assert np.diff(made.time).tolist() == [86_400_000_000] * 2
    assert np.array_equal(made.numbers["quantity"], [np.nan, np.nan, 2], equal_nan=True)
