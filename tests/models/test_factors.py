"""Factor models: the optimum of what is folded in, what `implicit` finds, and what a score is made of."""

import re
import signal
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_info, threadpool_limits

from engagelib import ALS, BPR, Histories
from engagelib.errors import ArgumentError, MissingExtraError, NotEnoughDataError, NotFittedError
from engagelib.models import als
from engagelib.models.alike import alike_columns
from engagelib.models.factors import average_alike
from engagelib.models.training import implicit_matrix, run_apart
from engagelib.scoring import Factors, _kernels
from engagelib.testing import histories_of, random_log

SMALL = {"n_factors": 6, "n_epochs": 5}


def histories(**keywords):
    return Histories.from_log(random_log(**keywords))


def loss_of(confidence, customers, items, penalty):
    """The loss that ALS minimises by its definition, in float64."""
    cells, customers, items = (part.astype(np.float64) for part in (confidence.toarray(), customers, items))
    errors = np.where(cells > 0, cells, 1.0) * ((cells > 0) - customers @ items.T) ** 2
    return errors.sum() + penalty * ((customers**2).sum() + (items**2).sum())


def best_customers(confidence, items, penalty):
    """Customers' factors that minimise the loss, each by its normal equations."""
    cells, items = confidence.toarray().astype(np.float64), items.astype(np.float64)
    weights = np.where(cells > 0, cells, 1.0)
    matrices = np.einsum("cn,nf,ng->cfg", weights, items, items) + penalty * np.eye(items.shape[1])
    return np.linalg.solve(matrices, (cells @ items)[:, :, None])[:, :, 0]


def turned_back(model):
    """Return the items' factors in coordinates in which the penalty is the same in every direction."""
    turned = model.factors_.array.astype(np.float64)
    # Of Y = W M the products are M' W'W M, and M' M with the penalty.
    rest = np.eye(model.n_factors) - turned.T @ turned
    return turned @ np.linalg.cholesky(model.penalty_ * np.linalg.inv(rest))


# ALS


def test_the_gradient_vanishes_at_the_folded_factor():
    log = histories(n_customers=50, n_items=40, n_events=1500)
    model = ALS(regularization=0.3, alpha=9.0, **SMALL).fit(log)
    confidence = model._confidence(model.interest(log))
    vectors = model.factors_.array.astype(np.float64)
    factors = model.fold(model.interest(log)).astype(np.float64)
    for row, factor in enumerate(factors):
        items = confidence.indices[confidence.indptr[row] : confidence.indptr[row + 1]]
        c = confidence.data[confidence.indptr[row] : confidence.indptr[row + 1]].astype(np.float64)
        error = vectors[items] @ factor
        gradient = factor + vectors[items].T @ ((c - 1) * error) - vectors[items].T @ c
        assert np.abs(gradient).max() < 2e-6 * max(np.abs(vectors[items].T @ c).max(initial=0), 1e-9)


def histories_with_twins():
    """Histories in which three of ten items come with four others each time."""
    rng = np.random.default_rng(0)
    visits = {}
    for customer in range(40):
        items = rng.choice(10, 4, replace=False).tolist()
        items += [10 * n + item for item in items if item < 3 for n in range(1, 5)]
        visits[customer] = [{"item_id": item, "position": 0} for item in items]
    return histories_of({**visits, 40: [(99, "login")]}, time_kind="position")


@pytest.mark.parametrize(("regularization", "twins"), [(0.2, False), (0.7, False), (0.5, True)])
def test_scores_are_those_of_the_factors_that_implicit_itself_solves_for(regularization, twins):
    from implicit.cpu.als import AlternatingLeastSquares

    log = histories_with_twins() if twins else histories(n_customers=60, n_items=50, n_events=2000)
    model = ALS(8, regularization=regularization, alpha=5.0).fit(log)
    confidence = implicit_matrix(model._confidence(model.interest(log)))
    assert confidence.shape[0] < log.n_histories, "some histories hold nothing that counts"
    with threadpool_limits(1, user_api="blas"):
        learner = AlternatingLeastSquares(factors=8, regularization=model.penalty_, num_threads=1)
        learner.item_factors = turned_back(model).astype(np.float32)
        theirs = learner.recalculate_user(np.arange(confidence.shape[0]), confidence) @ learner.item_factors.T
    rows = np.flatnonzero(np.diff(model.interest(log).indptr))
    every = np.tile(np.arange(log.n_items), (len(rows), 1))
    ours = model.score_pairs(log.take(rows), every)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5)
    assert np.abs(ours).max() > 0.3


@pytest.mark.parametrize("settings", [{}, {"regularization": 0.1, "alpha": 20.0}, {"n_epochs": 3}])
@pytest.mark.parametrize("kernel", ["native", "reference"])
def test_the_loss_is_at_most_that_of_what_implicit_learns(settings, kernel):
    from implicit.cpu.als import AlternatingLeastSquares

    if kernel == "native":
        pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    log = histories(n_customers=120, n_items=70, n_events=3000)
    with _kernels.using(kernel):
        model = ALS(12, **settings).fit(log)
    confidence = implicit_matrix(model._confidence(model.interest(log)))
    with threadpool_limits(1, user_api="blas"):
        # From the same start, which the seed determines.
        learner = AlternatingLeastSquares(
            factors=12,
            regularization=model.penalty_,
            iterations=model.n_epochs,
            num_threads=1,
            random_state=0,
        )
        learner.fit(confidence, show_progress=False)
        learner.item_factors = learner.recalculate_item(np.arange(log.n_items), confidence.T.tocsr())
    losses = [
        loss_of(confidence, best_customers(confidence, items, model.penalty_), items, model.penalty_)
        for items in (turned_back(model), learner.item_factors)
    ]
    assert losses[0] <= 1.001 * losses[1]


def test_the_last_turn_of_the_items_is_exact():
    log = histories(n_customers=60, n_items=40, n_events=1500)
    turns, solves = [], []

    class Watching(ALS):
        def _train(self, confidence):
            kernel = _kernels.active
            turn, solve = kernel.als_half_step, kernel.als_solve
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(kernel, "als_half_step", lambda *a, **k: turns.append(a) or turn(*a, **k))
                patched.setattr(
                    kernel, "als_solve", lambda *a, **k: solves.append((a, solve(*a, **k))) or solves[-1][1]
                )
                return super()._train(confidence)

    model = Watching(8).fit(log)
    (((_, customers, penalty), items),) = solves
    assert len(turns) == 2 * model.n_epochs
    assert customers is turns[-2][2], "the customers are those that were learned"
    confidence = implicit_matrix(model._confidence(model.interest(log)))
    assert penalty == model.penalty_
    np.testing.assert_allclose(items, best_customers(confidence.T, customers, penalty), rtol=1e-4, atol=1e-6)
    turned, lower = model.factors_.array, np.linalg.cholesky(items.T @ items + penalty * np.eye(8))
    np.testing.assert_allclose(turned @ lower.T, items, rtol=1e-4, atol=1e-6)


def test_both_kernels_learn_and_fold_the_same_but_for_rounding():
    pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    log, found = histories(n_events=900), []
    for name in ("native", "reference"):
        with _kernels.using(name):
            model = ALS(**SMALL).fit(log)
            found.append((model.factors_.array, model.fold(model.interest(log))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


def test_folding_looks_at_nothing_but_arrays():
    log = histories()
    for model in (ALS(**SMALL), BPR(**SMALL)):
        interest = model.fit(log).interest(log).to_matrix()
        filled = interest[np.diff(interest.indptr) > 0]
        bare = SimpleNamespace(
            **{name: getattr(filled, name) for name in ("indptr", "indices", "data", "shape")}
        )
        assert model.fold(bare).tobytes() == model.fold(filled).tobytes()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of POSIX")
def test_an_interrupt_stops_als_between_two_turns():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt = (threading.main_thread().ident, signal.SIGINT)
    timer = threading.Timer(0.1, signal.pthread_kill, interrupt)
    log = histories()
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            ALS(6, n_epochs=10**9).fit(log)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_confidence_is_one_and_alpha_times_interest():
    log = histories_of({"ann": ["a", "b", "b"], "bob": [("a", "view")]})
    model = ALS(2, alpha=3.0, half_life_days=None).fit(log)
    confidence = model._confidence(model.interest(log)).toarray()
    np.testing.assert_allclose(confidence, [[1 + 3 / 2, 1 + 3 * 2 / 3], [1 + 3 / 6, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("n_customers", "alpha"), [(2, 2.0), (8, 2.0), (60, 0.04 / (61 / 3600)), (4000, 100.0)]
)
def test_what_interest_adds_follows_from_how_few_pairs_met(n_customers, alpha):
    # Customer 0 met two items, every other customer one of their own; nobody met item 9999.
    visits = {c: [c] for c in range(n_customers)} | {0: [0, n_customers - 1], -1: [(9999, "login")]}
    log = histories_of(visits)
    model = ALS(2, n_epochs=1).fit(log)
    assert model.alpha_ == pytest.approx(alpha)
    assert ALS.from_arrays(model.to_arrays(), model.params()).alpha_ == model.alpha_
    assert ALS(2, alpha=7, n_epochs=1).fit(log).alpha_ == 7.0


# Of four customers two met both of two items: 3 and 3 items meet a history, weighed by itself, and so on.
def test_the_penalty_is_in_units_of_noise():
    log = histories_of({1: ["a", "b"], 2: ["a", "b"], 3: ["a"], 4: ["c"]})
    model = ALS(2, regularization=0.5).fit(log)
    rows = (4 + 4 + 1 + 1) / 6
    columns = (9 + 4 + 1) / 6
    assert model.penalty_ == pytest.approx(0.5 * (rows + columns) ** 0.5)


def test_a_log_without_anything_in_common_keeps_its_factors():
    # The penalty lies below the only singular value there is, 1.
    log = histories_of({n: [n] for n in range(9)})
    model = ALS(16).fit(log)
    assert model.penalty_ < 1
    assert model.score_topk(log, 1).item_index[:, 0].tolist() == list(range(9))


@pytest.mark.parametrize("n_threads", [1, 2, 3, None])
def test_threads_change_nothing(n_threads, monkeypatch):
    monkeypatch.setattr(als, "_ENTRIES_A_THREAD", 1)
    log = histories(n_events=900)
    one, many = (ALS(n_threads=threads, **SMALL).fit(log) for threads in (1, n_threads))
    assert one.factors_.array.tobytes() == many.factors_.array.tobytes()


@pytest.mark.parametrize("model", [ALS, BPR])
def test_another_seed_is_another_model(model):
    log = histories()
    first, again, other = (model(**SMALL, rng=rng).fit(log).factors_.array for rng in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("make", [ALS, BPR])
def test_contributions_are_exact(make):
    log = histories()
    model = make(**SMALL).fit(log)
    asked = np.array([5, 0, 11], np.int32)
    for row in (0, 3, 9):
        history = log.block(row, row + 1)
        found = model.contributions(history, asked)
        interest = model.interest(history).to_matrix()
        v = model.factors_.array.astype(np.float64)
        if make is ALS:
            c = model._confidence(interest).toarray()[0].astype(np.float64)
            inverse = np.linalg.inv(np.eye(6) + v.T @ (np.maximum(c - 1, 0)[:, None] * v))
            terms = (v[asked] @ inverse @ v.T) * c
        else:
            share = interest.toarray()[0] / interest.sum()
            terms = (model.scale_ * v[asked, :-1] @ v[:, :-1].T + v[asked, -1:]) * share
        expected = np.zeros((3, log.n_items))
        expected[found.listed, found.item_index] = found.value
        np.testing.assert_allclose(expected, terms, rtol=1e-5, atol=1e-9)


# BPR


def test_bpr_averages_the_factors_of_a_history():
    log = histories()
    model = BPR(**SMALL).fit(log)
    interest = model.interest(log).to_matrix()
    share = interest.toarray() / np.maximum(interest.toarray().sum(axis=1), 1e-30)[:, None]
    v = model.factors_.array.astype(np.float64)
    expected = model.scale_ * (share @ v[:, :-1]) @ v[:, :-1].T + v[:, -1]
    filled = np.diff(interest.indptr) > 0
    every = np.tile(np.arange(log.n_items), (log.n_histories, 1))
    np.testing.assert_allclose(
        model.score_pairs(log, every), expected * filled[:, None], rtol=1e-4, atol=1e-6
    )


def bpr_learner(model, log):
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    interest = model.interest(log).to_matrix()
    learner = BayesianPersonalizedRanking(
        factors=model.n_factors, learning_rate=model.learning_rate, regularization=model.regularization,
        iterations=model.n_epochs, num_threads=1, random_state=model.rng,
    )  # fmt: skip
    learner.fit(implicit_matrix(interest), show_progress=False)
    return learner, np.flatnonzero(np.diff(interest.indptr))


def test_the_scale_is_the_least_squares_fit_to_the_learned_customers():
    log = histories()
    model = BPR(**SMALL).fit(log)
    learner, rows = bpr_learner(model, log)
    means = model.fold(model.interest(log))[rows, :-1] / model.scale_
    scale, *_ = np.linalg.lstsq(means.reshape(-1, 1), learner.user_factors[:, :-1].ravel(), rcond=None)
    assert model.scale_ == pytest.approx(scale[0], rel=1e-4)
    assert BPR.from_arrays(model.to_arrays(), model.params()).scale_ == model.scale_


def test_folded_customers_rank_held_out_items_about_as_well_as_learned_ones():
    # Customers of one kind like the same items; of each customer the last few events are held out.
    log = histories(n_customers=150, n_items=60, n_events=6000, rng=5)
    cut = int(np.quantile(log.time, 0.8))
    train, test = log.until(cut), log.matrix()
    model = BPR(16, n_epochs=60).fit(train)
    learner, rows = bpr_learner(model, train)
    learned = np.zeros((log.n_histories, log.n_items), np.float32)
    learned[rows] = learner.user_factors @ learner.item_factors.T
    every = np.tile(np.arange(log.n_items), (log.n_histories, 1))
    folded = model.score_pairs(train, every)
    met, new = train.matrix().toarray() > 0, test.toarray() > 0

    def auc(scores):
        """Share of pairs of a new item and one never met, in the right order."""
        parts = []
        for row in range(log.n_customers):
            found, never = scores[row, new[row] & ~met[row]], scores[row, ~new[row]]
            if len(found) and len(never) and met[row].any():
                parts.append((found[:, None] > never).mean())
        return np.mean(parts)

    assert auc(learned) > 0.8
    assert auc(folded) > auc(learned) - 0.02


# Items


def test_similar_items_are_ranked_by_cosine():
    for model in (ALS(**SMALL), BPR(**SMALL)):
        log = histories()
        v = model.fit(log).factors_.array.astype(np.float64)
        v = v[:, :-1] if isinstance(model, BPR) else v
        lengths = np.linalg.norm(v, axis=1)
        cosine = (v @ v[4]) / np.maximum(lengths * lengths[4], 1e-30)
        found = model.similar_topk(4, log.n_items)
        positive = np.flatnonzero((cosine > 1e-6) & (np.arange(log.n_items) != 4))
        assert set(found.items(0)) >= set(positive.tolist())
        assert 4 not in found.items(0)
        np.testing.assert_allclose(found.scores(0), cosine[found.items(0)], rtol=1e-4, atol=1e-6)
        assert (found.score[0, : found.counts[0]] <= 1 + 1e-6).all()


@pytest.mark.parametrize("make", [ALS, BPR])
def test_nothing_is_known_of_items_that_nobody_met(make):
    visits = {c: [c % 3, 3 + c % 2, (6, "login")] for c in range(8)} | {
        9: [7, (7, "return")],
        10: [(6, "login")],
    }
    log = histories_of(visits, items={"item_id": list(range(9))})
    model = make(**SMALL).fit(log)
    assert np.flatnonzero(model.factors_.norms).tolist() == [0, 1, 2, 3, 4]
    found = model.score_topk(log, 9)
    assert found.counts.tolist() == [5] * 8 + [0, 0]
    assert model.score_topk(log, 9, available=np.arange(9) > 3).items(0) == [4]
    assert not model.score_pairs(log, np.tile(np.arange(5, 9), (10, 1))).any()
    # As of the day before it came back, a history of an item without factor says nothing either.
    before = log.take(np.array([8]))
    assert model.score_topk(before, 3, at=int(before.time[0])).counts.tolist() == [0]
    assert model.similar_topk(6, 3).counts.tolist() == [0]


def test_a_session_moves_the_answer_of_anybody():
    log = histories()
    for model in (ALS(**SMALL), BPR(**SMALL)):
        model.fit(log)
        met = model.score_topk(log.take(np.array([0])), 1).item_index[0, 0]
        for row in (-1, 5):
            block = log.take(np.array([row]))
            during = block.followed_by(np.array([met]), "view", None)
            scores = [model.score_pairs(one, np.array([[met]]))[0, 0] for one in (block, during)]
            assert scores[1] > scores[0]


# Equal columns


@given(
    columns=st.lists(
        st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0]), min_size=3, max_size=3), min_size=1, max_size=9
    )
)
def test_equal_columns_share_a_number(columns):
    group = alike_columns(csr_array(np.array(columns, np.float32).T))
    seen = []
    for column, number in zip(columns, group.tolist(), strict=True):
        if column not in seen:
            seen.append(column)
        assert number == seen.index(column)


def test_where_an_entry_stands_tells_columns_apart():
    # The same value in 2,000 places, and 2,000 values in the same place.
    places = csr_array(np.eye(2000, dtype=np.float32))
    values = csr_array(np.arange(1, 2001, dtype=np.float32)[None, :])
    for matrix in (places, values):
        assert alike_columns(matrix).tolist() == list(range(2000))
    swapped = csr_array(np.array([[1, 2], [2, 1]], np.float32))
    assert alike_columns(swapped).tolist() == [0, 1]


def test_alike_rows_are_averaged():
    vectors = np.array([[1.0, 2], [3, 4], [5, 6]])
    assert average_alike(vectors, np.array([0, 1, 0])).tolist() == [[3, 4], [3, 4]]
    assert average_alike(np.zeros((0, 2)), np.zeros(0, int)).shape == (0, 2)


@pytest.mark.parametrize("make", [ALS, BPR])
def test_items_that_the_same_customers_met_are_one(make):
    at_once = [{"item_id": item, "position": 0} for item in range(12)]
    log = histories_of({1: at_once, 2: at_once, 3: [*at_once[:6]], 4: [0, 99]}, time_kind="position")
    vectors = make(**SMALL).fit(log).factors_.array
    assert len(np.unique(vectors[1:6], axis=0)) == len(np.unique(vectors[6:12], axis=0)) == 1
    assert len(np.unique(vectors, axis=0)) == 4


# Saving


@pytest.mark.parametrize("make", [ALS, BPR])
def test_opening_computes_nothing(make, monkeypatch):
    log = histories()
    model = make(**SMALL).fit(log)
    arrays = model.to_arrays()
    monkeypatch.setattr(Factors, "__init__", None)
    back = make.from_arrays(arrays, model.params())
    for part in ("array", "by_norm", "norms_by_norm", "place"):
        assert np.shares_memory(getattr(back.factors_, part), arrays[f"factors_{part}"])
    assert back.score_topk(log, 5).score.tobytes() == model.score_topk(log, 5).score.tobytes()


def test_nothing_of_a_customer_is_stored():
    log = histories(n_customers=80)
    for model in (ALS(**SMALL), BPR(**SMALL)):
        lengths = {len(values) for values in model.fit(log).to_arrays().values()}
        assert lengths <= {log.n_items, 1}


# Refusals


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (ALS(0), "n_factors=0: expected an integer of at least 1."),
        (ALS(2.5), "n_factors=2.5: expected an integer of at least 1."),
        (BPR(True), "n_factors=True: expected an integer of at least 1."),
        (BPR(n_epochs=0), "n_epochs=0: expected an integer of at least 1."),
        (ALS(regularization=0), "regularization=0: expected a number above 0, up to 1,000,000."),
        (ALS(alpha=np.nan), 'alpha=nan: expected "auto", or a number above 0, up to 1,000,000.'),
        (ALS(alpha=1e30), 'alpha=1e+30: expected "auto", or a number above 0, up to 1,000,000.'),
        (ALS(alpha="much"), "alpha='much': expected \"auto\", or a number above 0, up to 1,000,000."),
        (BPR(learning_rate=-1), "learning_rate=-1: expected a number above 0, up to 1,000,000."),
        (BPR(regularization="a"), "regularization='a': expected a number above 0, up to 1,000,000."),
        (ALS(half_life_days=0), 'half_life_days=0: expected "auto", None or a number above 0.'),
        (ALS(n_threads=0), "n_threads=0: expected an integer of at least 1, or None."),
        (
            BPR(rng=-1),
            "rng=-1: expected an integer of at least 0. Hint: a seed makes a refit the same model again, "
            "which a generator does not.",
        ),
    ],
)
def test_settings_outside_their_range_are_refused_by_fit(model, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        model.fit(histories_of({1: [1, 2]}))


@pytest.mark.parametrize("make", [ALS, BPR])
def test_a_log_that_lacks_what_is_asked_for_is_refused_by_fit(make):
    text = "half_life_days needs a timestamp for each event; this log tells order by 'set'."
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}"):
        make(half_life_days=3.0).fit(histories_of({1: [1]}, time_kind="set"))
    with pytest.raises(NotEnoughDataError, match=r"^no event type of the log counts as interest"):
        make(event_weights={"listen": 1.0}).fit(histories_of({1: [1]}))


def test_training_that_goes_astray_is_worded():
    log = histories()
    with pytest.raises(ArgumentError) as caught:
        BPR(8, learning_rate=1e6, regularization=1.0).fit(log)
    assert str(caught.value) == (
        "BPR learned no finite factors with these settings: expected it to converge. "
        "Hint: take a smaller learning_rate, or a smaller regularization."
    )

    def singular(check):
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    with pytest.raises(ArgumentError, match=r"^ALS learned no finite factors .* Hint: take a larger one\.$"):
        run_apart(singular, "ALS", "take a larger one.")


def test_without_implicit_bpr_is_refused_in_words_and_als_learns(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit", None)
    with pytest.raises(MissingExtraError) as caught:
        BPR().fit(histories())
    assert re.fullmatch(
        r"BPR learns by the package implicit, which can't be imported \(.*implicit.*\)\. "
        r"Hint: pip install implicit; a model that was saved answers without it\.",
        str(caught.value),
    )
    assert isinstance(caught.value, ImportError)
    assert ALS(**SMALL).fit(histories()).factors_.norms.max() > 0


@pytest.mark.parametrize("kernel", ["native", "reference"])
def test_als_that_goes_astray_is_worded(kernel):
    if kernel == "native":
        pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    text = (
        "ALS learned no finite factors with these settings: expected it to converge. "
        "Hint: take a larger regularization, or a smaller alpha."
    )
    # Fewer items than factors, and no penalty to speak of.
    with _kernels.using(kernel), pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        ALS(16, regularization=1e-300).fit(histories_of({1: [1, 2], 2: [2, 3]}))


def test_a_fault_of_training_itself_is_not_reworded():
    def broken(check):
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match=r"^out of luck$"):
        run_apart(broken, "ALS", "")


def test_what_trains_has_one_thread_of_blas_and_is_gone_afterwards():
    seen = {}

    def job(check):
        check(3, loss=1.0)
        seen["thread"] = threading.current_thread()
        return [api["num_threads"] for api in threadpool_info() if api["user_api"] == "blas"]

    run_apart(lambda _: None, "ALS", "")  # loads the libraries that are looked at
    before = [api["num_threads"] for api in threadpool_info() if api["user_api"] == "blas"]
    assert set(run_apart(job, "ALS", "")) == {1}
    assert [api["num_threads"] for api in threadpool_info() if api["user_api"] == "blas"] == before
    assert seen["thread"] is not threading.current_thread()
    assert not seen["thread"].is_alive()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of POSIX")
def test_an_interrupted_caller_stops_the_training():
    epochs, ended = [], []
    # A process in the background of a shell is started with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def job(check):
        interrupt = (threading.main_thread().ident, signal.SIGINT)
        threading.Timer(0.05, signal.pthread_kill, interrupt).start()
        try:
            for epoch in range(500):
                check(epoch)
                epochs.append(epoch)
                time.sleep(0.01)
        finally:
            ended.append(True)

    try:
        with pytest.raises(KeyboardInterrupt):
            run_apart(job, "ALS", "")
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(epochs) < 500
    assert ended, "it returned before the training stopped"


@pytest.mark.parametrize("make", [ALS, BPR])
def test_before_fit_every_question_is_refused(make):
    log = histories_of({1: [1, 2]})
    text = rf"^this {make.__name__} is not fitted yet\. Call fit\(\) first, or load\(\) a saved one\.$"
    for ask in (
        lambda: make().contributions(log, np.array([0])),
        lambda: make().similar_topk(0, 1),
        lambda: make().score_item(log, 0),
        lambda: make().to_arrays(),
    ):
        with pytest.raises(NotFittedError, match=text):
            ask()


def test_what_implicit_is_given_is_plain():
    given = csr_array(np.array([[0, 2.0], [0, 0], [1, 3]]))
    matrix = implicit_matrix(given)
    assert isinstance(matrix, csr_matrix)
    assert matrix.toarray().tolist() == [[0, 2], [1, 3]]
    assert [part.dtype for part in (matrix.data, matrix.indices, matrix.indptr)] == [
        np.float32,
        *[np.int32] * 2,
    ]
