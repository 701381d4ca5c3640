"""The contract: what every model has to keep to, as tests to inherit."""

import json
import tempfile
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.histories import Histories
from engagelib.models import Model, restore_model
from engagelib.recommender import Recommender
from engagelib.scoring import Rows, TopK
from engagelib.testing._logs import Event, histories_of, random_log
from engagelib.vocabulary import Id


class ModelContract:
    """What the recommender relies on, as tests that pytest collects from a subclass.

    A model's author writes

    ```python
    class TestMyModel(ModelContract):
        def make_model(self):
            return MyModel(depth=3)
    ```

    Every test is a method without arguments, and raises `AssertionError` with a sentence where the model
    breaks a rule. None needs pytest.
    """

    def make_model(self) -> Model:
        """Return a new model, not fitted; to be written by the subclass."""
        raise NotImplementedError("a subclass of ModelContract returns its model in make_model()")

    # What a list looks like

    def test_lists_are_in_form_for_any_k(self) -> None:
        """Falling scores, ties to the lower index, no item twice, padding at the end; k is unbounded."""
        histories, model = self._fitted()
        for k in (1, 2, 7, histories.n_items, histories.n_items + 5):
            check_form(model.score_topk(histories, k), (histories.n_histories, k), histories.n_items)

    def test_ties_go_to_the_lower_index(self) -> None:
        """Items that nothing tells apart come in the order of their index."""
        at_once = [{"item_id": item, "position": 0} for item in (5, 3, 1, 4, 2, 0)]
        visits: dict[Id, list[Event]] = {customer: [*at_once] for customer in range(4)}
        histories = histories_of({**visits, 4: [0], 5: [6], 6: [6, 7]}, time_kind="position")
        model = self.make_model().fit(histories)
        found = model.score_topk(histories, 8)
        check_form(found, (7, 8), 8)
        for row in range(7):
            alike = [item for item in found.items(row) if 1 <= item <= 5]
            assert alike == sorted(alike), f"row {row} lists items of equal evidence as {alike}"

    def test_a_shorter_list_is_the_beginning_of_a_longer_one(self) -> None:
        """The k best items are the first k of any longer list."""
        histories, model = self._fitted()
        longest = model.score_topk(histories, histories.n_items)
        for k in (1, 3, 10):
            shorter = model.score_topk(histories, k)
            begun = TopK(longest.item_index[:, :k], longest.score[:, :k])
            assert same_lists(shorter, begun), f"the lists for k={k} are no beginnings of longer ones"

    def test_an_empty_history_gets_an_answer(self) -> None:
        """An unknown customer is a history without events: no error, whatever is listed."""
        histories, model = self._fitted()
        nobody = histories.take(np.array([-1, 0, -1]))
        found = model.score_topk(nobody, 4)
        check_form(found, (3, 4), histories.n_items)
        assert found.items(0) == found.items(2), "two empty histories get different lists"
        check_form(model.score_topk(histories.take(np.zeros(0, int)), 4), (0, 4), histories.n_items)
        pairs = model.score_pairs(nobody, np.zeros((3, 2), np.int32))
        assert pairs.shape == (3, 2), "score_pairs returns another shape than it was asked for"

    # What may be listed

    def test_exclusions_are_struck_out_and_nothing_else(self) -> None:
        """With some items excluded the list is the whole ranking without them."""
        histories, model = self._fitted()
        marks = np.random.default_rng(1).random((histories.n_histories, histories.n_items)) < 0.3
        marks[0] = True
        found = model.score_topk(histories, 5, exclude=csr_array(marks.astype(np.float32)))
        self._check_struck_out(model, histories, found, marks)
        assert found.items(0) == [], "a row that excludes every item lists one"

    def test_what_is_stored_counts_as_excluded_whatever_its_value(self) -> None:
        """An exclusion stored as 0 is an exclusion."""
        histories, model = self._fitted()
        marks = np.random.default_rng(2).random((histories.n_histories, histories.n_items)) < 0.3
        exclude = csr_array(marks.astype(np.float32))
        exclude.data[:] = 0
        self._check_struck_out(model, histories, model.score_topk(histories, 5, exclude=exclude), marks)

    def test_exclusions_may_come_as_rows_without_values(self) -> None:
        """A recommender passes `Rows`, whose values are None; `to_matrix` makes a SciPy matrix of them."""
        histories, model = self._fitted()
        marks = np.random.default_rng(4).random((histories.n_histories, histories.n_items)) < 0.3
        given = csr_array(marks.astype(np.float32))
        rows = Rows(given.indptr, given.indices, None, given.shape)
        self._check_struck_out(model, histories, model.score_topk(histories, 5, exclude=rows), marks)

    def test_unavailable_items_are_struck_out_and_nothing_else(self) -> None:
        """With some items unavailable the list is the whole ranking without them."""
        histories, model = self._fitted()
        available = np.random.default_rng(3).random(histories.n_items) < 0.5
        marks = np.tile(~available, (histories.n_histories, 1))
        found = model.score_topk(histories, 5, available=available)
        self._check_struck_out(model, histories, found, marks)
        nothing = model.score_topk(histories, 5, available=np.zeros(histories.n_items, bool))
        assert not nothing.counts.any(), "items are listed although none is available"

    # What a score is

    def test_a_batch_equals_its_single_answers(self) -> None:
        """A customer's list does not depend on who else is asked about, bit for bit."""
        histories, model = self._fitted()
        rows = np.array([3, 0, -1, 3, histories.n_histories - 1, 7])
        batch = model.score_topk(histories.take(rows), 6)
        whole = model.score_topk(histories, 6)
        for place, row in enumerate(rows.tolist()):
            single = model.score_topk(histories.take(np.array([row])), 6)
            assert same_lists(single, _row(batch, place)), f"row {row} differs in a batch of six"
            assert row < 0 or same_lists(single, _row(whole, row)), f"row {row} differs among all"

    def test_pairs_score_as_lists_do(self) -> None:
        """`score_pairs` gives listed items their score, bit for bit, and no other item more than 0.

        `score_item` gives every history the same.
        """
        histories, model = self._fitted()
        found = model.score_topk(histories, histories.n_items)
        pairs = model.score_pairs(histories, found.item_index)
        assert pairs.dtype == np.float32, "score_pairs returns another type than float32"
        expected = np.where(found.item_index >= 0, found.score, np.float32(0))
        assert pairs.tobytes() == expected.tobytes(), "score_pairs and score_topk disagree"
        every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
        scores = model.score_pairs(histories, every)
        for item in range(histories.n_items):
            column = model.score_item(histories, item)
            agree = column.tobytes() == np.ascontiguousarray(scores[:, item]).tobytes()
            assert agree, f"score_pairs and score_item disagree on item {item}"
        np.put_along_axis(scores, np.where(found.item_index >= 0, found.item_index, 0), 0.0, axis=1)
        listed = found.counts > 0
        assert (scores[listed] <= 0).all(), "an item that no list holds has a score above 0"

    def test_contributions_sum_to_the_score(self) -> None:
        """What `contributions` names lies in the history, and adds up to the score."""
        histories, model = self._fitted()
        for row in range(12):
            history = histories.block(row, row + 1)
            items = np.append(model.score_topk(history, 6).items(0), [0, histories.n_items - 1])
            items = np.unique(items).astype(np.int32)
            found = model.contributions(history, items)
            if found is None:
                return
            assert np.isin(found.item_index, history.item_index).all(), "an item outside the history speaks"
            sums = np.bincount(found.listed, found.value, minlength=len(items))
            scores = model.score_pairs(history, items[None, :])[0]
            assert np.allclose(sums, scores, rtol=1e-4, atol=1e-6), (
                f"contributions sum to {sums.tolist()}, the scores are {scores.tolist()}"
            )

    def test_returned_purchases_do_not_count(self) -> None:
        """Whoever gave everything back is an empty history."""
        visits: dict[Id, list[Event]] = {n: [n % 3, 3, 4, 5 + n % 2] for n in range(12)}
        visits[20] = [3, 4, (4, "return"), (3, "return")]
        histories = histories_of(visits)
        model = self.make_model().fit(histories)
        rows = np.array([histories.customers.find(20), -1])
        found = model.score_topk(histories.take(rows), 6)
        assert same_lists(_row(found, 0), _row(found, 1)), "purchases that were returned count"

    def test_similar_items_are_in_form(self) -> None:
        """`similar_topk` lists no unavailable item, and never the item itself; None is an answer too."""
        histories, model = self._fitted()
        available = np.random.default_rng(4).random(histories.n_items) < 0.5
        for item in range(0, histories.n_items, 3):
            found = model.similar_topk(item, 5, available=available)
            if found is None:
                return
            check_form(found, (1, 5), histories.n_items)
            assert item not in found.items(0), f"item {item} is like itself"
            assert available[found.items(0)].all(), "an unavailable item is listed"

    # As of a moment

    def test_events_after_the_moment_do_not_count(self) -> None:
        """`at` answers as if later events had never been: purchases, and returns of earlier ones."""
        for time_kind in ("timestamp", "position"):
            histories = Histories.from_log(random_log(time_kind=time_kind))
            model = self.make_model().fit(histories)
            assert histories.time is not None
            for share in (0.0, 0.3, 0.8):
                at = int(np.quantile(histories.time, share)) - 1
                past = histories.until(at)
                found = model.score_topk(histories, 6, at=at)
                wrong = f"events after `at` change the answer ({time_kind}, {share:.0%} of the log)"
                assert same_lists(found, model.score_topk(past, 6, at=at)), wrong
                pairs = [model.score_pairs(block, found.item_index, at=at) for block in (histories, past)]
                assert pairs[0].tobytes() == pairs[1].tobytes(), wrong

    # Fitting

    def test_a_refit_equals_a_fresh_fit(self) -> None:
        """Nothing of an earlier fit remains, be it on more items or fewer."""
        histories, fresh = self._fitted()
        for other in (random_log(9, 60, 300, rng=1), random_log(3, 5, 20, rng=2)):
            model = self.make_model().fit(Histories.from_log(other))
            again = model.fit(histories)
            assert again is model, "fit returns something else than the model"
            self._check_same(again, fresh, histories, "a refit differs from a fresh fit")

    def test_fitting_and_scoring_leave_the_histories_alone(self) -> None:
        """Neither changes an array of the histories, nor needs to write to one."""
        histories = Histories.from_log(random_log())
        arrays = histories.to_arrays()
        before = {name: values.copy() for name, values in arrays.items()}
        for values in (histories.indptr, histories.item_index, histories.event_type, histories.time):
            assert values is not None
            values.flags.writeable = False
        model = self.make_model()
        given = repr(model.params())
        model.fit(histories).score_topk(histories, 5)
        for name, values in arrays.items():
            assert np.array_equal(values, before[name], equal_nan=values.dtype.kind == "f"), f"{name} changed"
        assert repr(model.params()) == given, "fit changed the arguments that the model was made with"

    def test_before_fit_it_says_so(self) -> None:
        """Everything that needs a fitted model raises `NotFittedError`, in the library's own words."""
        histories = histories_of({1: [1, 2]})
        model = self.make_model()
        text = str(errors.not_fitted(type(model).__name__))
        for what, call in {
            "score_topk": lambda: model.score_topk(histories, 1),
            "score_pairs": lambda: model.score_pairs(histories, np.zeros((1, 1), np.int32)),
            "to_arrays": model.to_arrays,
        }.items():
            said = "nothing"
            try:
                call()
            except Exception as error:
                said = str(error) if isinstance(error, errors.NotFittedError) else repr(error)
            assert said == text, f"before fit, {what} says: {said}"

    def test_the_order_of_rows_does_not_matter(self) -> None:
        """Events come in the order of their times, wherever they stand in the log; ties have no order.

        Sums over events of one moment may differ by rounding, and by no more.
        """
        histories, model = self._fitted()
        other = Histories.from_log(random_log(shuffled=True))
        self._check_same(self.make_model().fit(other), model, histories, "the order of rows matters")
        scores = []
        for shuffled in (False, True):
            histories = Histories.from_log(random_log(5, 10, 1500, tied=True, shuffled=shuffled))
            every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
            scores.append(self.make_model().fit(histories).score_pairs(histories, every))
        first, second = scores
        assert np.allclose(first, second, rtol=1e-4, atol=1e-6), "the order of rows within one moment matters"

    def test_renaming_ids_renames_the_answer(self) -> None:
        """Ids are names: others in the same order give the same answer."""
        histories, model = self._fitted()
        renamed = self.make_model().fit(Histories.from_log(random_log(prefix="x")))
        self._check_same(renamed, model, histories, "the spelling of ids matters")

    def test_small_and_odd_logs_are_learned_from(self) -> None:
        """One event, one item, one customer, no times, no item in any event of a customer.

        A model that needs an order may refuse a log without, by `NotEnoughDataError`.
        """
        for histories in (
            histories_of({1: [1]}),
            histories_of({1: [1, 1, 1], 2: [1]}),
            histories_of({1: ["a", "b", "c"]}),
            histories_of({1: [1, 2], 2: [2, 3], 3: [1, 3]}, time_kind="position"),
            histories_of({1: [1, 2], 2: [2, 3], 3: [1, 3]}, time_kind="set"),
            histories_of({1: [1, (1, "return")], 2: [2, (2, "return")]}),
            histories_of({1: [1, 2], 2: [{"item_id": None, "event_type": "survey"}]}),
        ):
            try:
                model = self.make_model().fit(histories)
            except errors.NotEnoughDataError:
                assert histories.time_kind == "set", f"it refuses to learn from {histories!r}"
                continue
            found = model.score_topk(histories, 4)
            check_form(found, (histories.n_histories, 4), histories.n_items)
            for name, values in model.to_arrays().items():
                finite = values.dtype.kind != "f" or np.isfinite(values).all()
                assert finite, f"{name} holds NaN or infinity after learning from {histories!r}"

    # Saving and serving

    def test_it_comes_back_as_it_was_saved(self) -> None:
        """Plain arrays in mapped files, and arguments in JSON, make the same model again."""
        histories, model = self._fitted()
        with tempfile.TemporaryDirectory() as folder:
            mapped = {}
            for name, values in model.to_arrays().items():
                file = Path(folder) / f"{name}.npy"
                np.save(file, values, allow_pickle=False)
                mapped[name] = np.load(file, mmap_mode="r" if values.size else None)
            params = json.loads(json.dumps(model.params()))
            back = restore_model(model.name, params, mapped)
            owner = type(back).__name__
            assert type(back) is type(model), (
                f"the name {model.name!r} belongs to {owner}: give it one of its own"
            )
            self._check_same(back, model, histories, "a saved model answers differently")
            assert repr(back) == repr(model), f"{model!r} comes back as {back!r}"
            mapped.clear()
            del back  # some systems do not remove files that are still mapped

    def test_a_recommender_serves_it(self) -> None:
        """Alone and in a blend, for known and unknown customers, with reasons that sum to the score."""
        log = random_log()
        for others in ((), ("popularity",)):
            recommender = Recommender([self.make_model(), *others]).fit(log)
            for customer in (*recommender.customers_.ids(range(5)), "nobody", None):
                listed = recommender.recommend(customer, k=8, session=["i001"], basket=["i002"], explain=True)
                json.dumps(listed.to_records())
                assert "i002" not in listed.item_ids, "an item in the basket is listed"
                for entry in listed:
                    total = sum(reason.contribution for reason in entry.reasons)
                    assert np.isclose(total, entry.score, rtol=1e-4, atol=1e-6), (
                        f"the reasons for {entry.item_id} sum to {total}, its score is {entry.score}"
                    )

    def _fitted(self) -> tuple[Histories, Model]:
        histories = Histories.from_log(random_log())
        return histories, self.make_model().fit(histories)

    def _check_struck_out(self, model: Model, histories: Histories, found: TopK, marks: np.ndarray) -> None:
        whole = model.score_topk(histories, histories.n_items)
        check_form(found, found.item_index.shape, histories.n_items)
        for row in range(len(found)):
            stays = [item for item in whole.items(row) if not marks[row, item]]
            assert found.items(row) == stays[: found.item_index.shape[1]], (
                f"row {row} lists {found.items(row)}, the whole ranking without what is ruled out is {stays}"
            )

    def _check_same(self, model: Model, other: Model, histories: Histories, wrong: str) -> None:
        arrays, expected = model.to_arrays(), other.to_arrays()
        assert sorted(arrays) == sorted(expected), wrong
        for name, values in arrays.items():
            assert np.array_equal(values, expected[name]), f"{wrong}: {name}"
        lists = [one.score_topk(histories, 6) for one in (model, other)]
        assert same_lists(*lists), wrong


def check_form(found: TopK, shape: tuple[int, ...], n_items: int) -> None:
    """Check what every answer of `score_topk` looks like, whatever it lists."""
    items, scores = found.item_index, found.score
    assert items.shape == shape, f"item_index has the shape {items.shape}, {shape} was asked for"
    assert scores.shape == shape, f"score has the shape {scores.shape}, {shape} was asked for"
    types = f"{items.dtype} and {scores.dtype}"
    assert types == "int32 and float32", f"the arrays are of type {types}, not int32 and float32"
    listed = items >= 0
    assert (items[~listed] == -1).all(), "short lists end in -1"
    assert (scores[~listed] == -np.inf).all(), "short lists end in -inf"
    assert (items < n_items).all(), "an item beyond the catalogue is listed"
    assert np.isfinite(scores[listed]).all(), "a listed score is not finite"
    assert not (~listed[:, :-1] & listed[:, 1:]).any(), "padding stands before an item"
    both = listed[:, :-1] & listed[:, 1:]
    assert (scores[:, :-1] >= scores[:, 1:])[both].all(), "scores rise within a list"
    tied = both & (scores[:, :-1] == scores[:, 1:])
    assert (items[:, :-1] < items[:, 1:])[tied].all(), "of two equal scores the higher index comes first"
    in_order = np.sort(items, axis=1)
    repeats = (in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)
    assert not repeats.any(), "a list holds an item twice"


def same_lists(left: TopK, right: TopK) -> bool:
    """Tell whether two answers agree to the last bit."""
    same_items = np.array_equal(left.item_index, right.item_index)
    return (
        same_items
        and np.ascontiguousarray(left.score).tobytes() == np.ascontiguousarray(right.score).tobytes()
    )


def _row(found: TopK, row: int) -> TopK:
    return TopK(found.item_index[row : row + 1], found.score[row : row + 1])
