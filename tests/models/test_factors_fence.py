"""What `implicit` does to its users on some inputs, and what becomes of the same inputs here, one by one."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

from engagelib import ALS, BPR, Histories, Recommender
from engagelib.errors import ArgumentError, NotFittedError
from engagelib.testing import histories_of, log_of, random_log
from engagelib.testing._contract import check_form, same_lists

MODELS = [ALS(5, n_epochs=4), BPR(5, n_epochs=4)]


@pytest.fixture(params=MODELS, ids=lambda model: model.name)
def model(request):
    return type(request.param)(**request.param.params())


@pytest.fixture(scope="module")
def log():
    return Histories.from_log(random_log())


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


# Ends the process: one object learns from a smaller matrix than before.
def test_a_refit_on_fewer_customers_and_items_is_a_fit(model, log):
    small = Histories.from_log(random_log(4, 5, 30, rng=1))
    fresh = type(model)(**model.params()).fit(small)
    model.fit(log).fit(small)
    assert model.factors_.shape[0] == small.n_items
    assert same_lists(model.score_topk(small, 5), fresh.score_topk(small, 5))


# Ends the process: a history with an item beyond the catalogue.
def test_histories_over_other_items_are_refused_in_words(model, log):
    larger = Histories.from_log(random_log(20, 500, 3000))
    model.fit(log)
    text = re.escape(
        f"the histories are over {larger.n_items} items, and this {type(model).__name__} was fitted on "
        f"{log.n_items}: expected the same items. Hint: fit it anew, or take the histories of the log that "
        "it was fitted on."
    )
    for ask in (
        lambda: model.score_topk(larger, 3),
        lambda: model.score_pairs(larger, np.zeros((larger.n_histories, 1), int)),
        lambda: model.contributions(larger.block(0, 1), np.array([1])),
    ):
        with pytest.raises(ArgumentError, match=f"^{text}$"):
            ask()


def test_an_item_that_is_in_no_vocabulary_moves_nothing():
    recommender = Recommender(["als", "bpr"]).fit(random_log())
    plain, odd = (recommender.recommend("c001", session=session) for session in ((), ["no such item"]))
    assert plain.item_ids == odd.item_ids
    assert odd.ignored == {"session": 1}


# Goes on from where it was: the same object and data give another model.
def test_a_refit_on_the_same_data_is_the_same_model(model, log):
    first = model.fit(log).factors_.array.copy()
    assert model.fit(log).factors_.array.tobytes() == first.tobytes()


# Lists item 0 with score 0, again and again.
def test_a_list_longer_than_the_catalogue_holds_each_item_once(model, log):
    found = model.fit(log).score_topk(log, log.n_items + 20)
    check_form(found, (log.n_histories, log.n_items + 20), log.n_items)
    assert set(found.counts.tolist()) <= {0, log.n_items}


# Lists what is excluded, with a score of -3.4e38.
def test_exclusions_make_a_list_short(model, log):
    model.fit(log)
    marks = np.ones((log.n_histories, log.n_items), np.float32)
    marks[:, [3, 8]] = 0
    found = model.score_topk(log, 5, exclude=csr_array(marks))
    check_form(found, (log.n_histories, 5), log.n_items)
    assert found.counts.max() == 2
    assert set(found.item_index[found.item_index >= 0].tolist()) == {3, 8}
    assert found.score[found.item_index >= 0].min() > -1e6
    recommender = Recommender(model).fit(random_log())
    items = recommender.items_.ids(range(3))
    assert recommender.recommend("c001", k=9, candidates=items, exclude=items[:2]).item_ids == items[2:]


# Lists more than k, or ignores k, where items are named that may or may not be listed.
def test_a_list_has_k_items_whatever_may_be_listed(model, log):
    model.fit(log)
    exclude = csr_array(np.tile(np.arange(log.n_items) % 3 == 0, (log.n_histories, 1)).astype(np.float32))
    available = np.arange(log.n_items) % 2 == 0
    found = model.score_topk(log, 4, exclude=exclude, available=available)
    assert found.item_index.shape == (log.n_histories, 4)
    assert set(found.counts.tolist()) <= {0, 4}
    listed = found.item_index[found.item_index >= 0]
    assert (listed % 2 == 0).all()
    assert (listed % 3 != 0).all()


# Lists items 2, 1 and 0, each with score 0.
def test_an_empty_history_lists_nothing(model, log):
    found = model.fit(log).score_topk(log.take(np.array([-1])), 3)
    assert found.item_index.tolist() == [[-1, -1, -1]]
    assert (found.score == -np.inf).all()


# Refuses a csr_array with a misleading text; ends in a bare TypeError before fit; fails on a RandomState.
def test_any_sparse_matrix_any_seed_and_an_unfitted_model_are_answered_in_words(model, log):
    with pytest.raises(NotFittedError, match=r"is not fitted yet\. Call fit\(\) first"):
        model.score_topk(log, 3)
    model.fit(log)
    marks = np.random.default_rng(0).random((log.n_histories, log.n_items)) < 0.5
    lists = [model.score_topk(log, 4, exclude=make(marks.astype(float))) for make in (csr_array, csr_matrix)]
    assert same_lists(*lists)
    for rng in (np.random.RandomState(0), np.random.default_rng(0), None, 0.5):
        model.rng = rng
        text = f"rng={rng!r}: expected an integer of at least 0."
        with pytest.raises(ArgumentError, match=f"^{re.escape(text)}"):
            model.fit(log)


# Fails at the end of a fit, or takes it in silence: NaN, 1e30 or a negative number as a weight.
def test_weights_that_are_no_weights_are_refused_and_large_ones_are_learned_from(model, log):
    for weight, spelled in ((np.nan, "nan"), (-1.0, "-1.0"), (np.inf, "inf"), (1e31, "1e+31")):
        model.event_weights = {"purchase": weight}
        text = f"event_weights={{'purchase': {spelled}}}: expected weights from 0 to 1e+30; 'purchase' has "
        with pytest.raises(ArgumentError, match=rf"^{re.escape(text + spelled)}\.$"):
            model.fit(log)
    model.event_weights = {"purchase": 1e30, "view": 2e29}
    large = model.fit(log).factors_.array
    assert np.isfinite(large).all()
    check_form(model.score_topk(log, 5), (log.n_histories, 5), log.n_items)
    model.event_weights = {"purchase": 5.0, "view": 1.0}
    np.testing.assert_allclose(model.fit(log).factors_.array, large, rtol=0.02, atol=1e-3)


def test_returns_take_purchases_back_and_are_never_negative(model):
    visits = {n: [{"item_id": item, "quantity": 1.0} for item in (n % 3, 3, 4, 5 + n % 2)] for n in range(12)}
    there_and_back = [
        {"item_id": 7, "quantity": 1.0},
        {"item_id": 7, "quantity": -1.0, "event_type": "return"},
    ]
    learned = []
    for more in ([], there_and_back):
        items = {"item_id": list(range(8))}
        log = histories_of({n: [*events, *more] for n, events in visits.items()}, items=items)
        model.half_life_days = None
        learned.append(model.fit(log).factors_.array.copy())
    assert learned[0].tobytes() == learned[1].tobytes()


# Answers for the last customer.
def test_customer_minus_one_is_nobody(model, log):
    recommender = Recommender(model).fit(log_of({7: [1, 2], 8: [2, 3]}))
    for nobody in (-1, 99):
        listed = recommender.recommend(nobody, k=2)
        assert not listed.known
        assert [entry.source for entry in listed] == ["popular", "popular"]
    found = model.fit(log).score_topk(log.take(np.array([-1, log.n_histories - 1])), 3)
    assert found.counts.tolist() == [0, 3]


ALONE = """
import os, sys
from pathlib import Path
import numpy as np
from engagelib import ALS, BPR, Histories
from engagelib.testing import random_log

log = Histories.from_log(random_log(30, 6000, 12_000, rng=1))
model = {"als": ALS(64, n_epochs=1), "bpr": BPR(64, n_epochs=1)}[sys.argv[1]].fit(log)
np.ones((600, 600)) @ np.ones((600, 600))  # wakes the threads of BLAS, where there are any

def others():
    tasks = (task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid()))
    return sum(sum(map(int, (task / "stat").read_text().rpartition(")")[2].split()[11:13])) for task in tasks)

import time
time.sleep(0.2)
before = others()
for row in range(60):
    history = log.block(row % log.n_customers, row % log.n_customers + 1)
    found = model.score_topk(history, 20)
    model.contributions(history, found.item_index[0])
    model.similar_topk(row, 20)
print(others() - before)
"""


# Takes 44 times as long, where the threads of BLAS are left on.
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs Linux's times by thread")  # noqa: PTH110
@pytest.mark.parametrize("name", ["als", "bpr"])
def test_one_customer_wakes_no_thread_of_blas(name):
    assert int(run(ALONE, name)) <= 1, "hundredths of a second in other threads"


QUIET = """
import os, sys
import numpy as np
from engagelib import ALS, BPR, Histories
from engagelib.models import als
from engagelib.testing import random_log

als._ENTRIES_A_THREAD = 1
log = Histories.from_log(random_log())
for model in (ALS(8, n_threads=2), BPR(8, n_epochs=3)):
    model.fit(log).score_topk(log, 3)
if hasattr(os, "fork"):
    child = os.fork()
    if not child:
        ALS(8, n_threads=2).fit(log)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


# Draws a progress bar, warns of BLAS, and a fork of a process that learned with OpenMP hangs.
def test_learning_is_quiet_and_a_fork_learns_too():
    assert run(QUIET) == ""


SERVING = """
import sys
import engagelib as eg
recommender = eg.load(sys.argv[1])
listed = recommender.recommend("c003", session=["i004"], basket=["i005"], explain=True)
assert {entry.source for entry in listed} & {"als", "bpr", "ease"}
recommender.recommend("nobody"), recommender.similar("i003"), recommender.rank("c001", ["i001"])
recommender.recommend_many(["c003", "c004"])
heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:]))
assert not heavy, heavy
"""


def test_serving_one_or_a_few_needs_neither_implicit_nor_threadpoolctl(tmp_path):
    Recommender(["als", "bpr", "ease"]).fit(random_log()).save(tmp_path / "shop.engage")
    run(SERVING, str(tmp_path / "shop.engage"), "implicit", "threadpoolctl", "pyarrow", "sklearn", "tqdm")


def test_a_history_of_any_length_is_answered(model):
    long = histories_of({1: [n % 40 for n in range(3000)], 2: list(range(40)), 3: [1], 4: [1, 2]})
    found = model.fit(long).score_topk(long, 40)
    check_form(found, (4, 40), 40)
    assert found.counts.tolist() == [40] * 4
