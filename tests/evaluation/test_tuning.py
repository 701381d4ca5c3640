"""The search tries what it says, ends by its rule, and judges by the log that it was given alone."""

import json
import pickle
import re
from inspect import signature

import joblib
import numpy as np
import pytest
from evaluation_cases import shop

from engagelib import Recommender, errors, evaluate, split_by_position, split_by_time, tune
from engagelib.evaluation import _tuning
from engagelib.events import EventLog
from engagelib.models import ALS, Popularity, model_names

LOG = shop(n=900)
SPLIT = split_by_time(LOG, test_days=2)
POSITIONS = EventLog.from_frame(
    {"customer_id": ["a", "a", "a", "b", "b", "b"], "item_id": list("pqrpqr"), "position": [1, 2, 3, 1, 2, 3]}
)


class Scored(Popularity):
    """Popularity that gets better with its setting, by listing more that can be found; refuses odd ones."""

    name = "scored"

    def __init__(self, level=0, *, half_life_days=None):
        super().__init__(half_life_days=half_life_days)
        self.level = level

    def fit(self, histories):
        if self.level % 2:
            raise errors.bad_argument("level", self.level, "an even number")
        return super().fit(histories)


def searched(space, recipe="item_knn", log=SPLIT.train, **keywords):
    return tune(recipe, space, log, progress=False, repeat=True, **keywords)


def test_the_recipe_comes_first_and_each_combination_once():
    found = searched({"n_factors": [2, 4], "alpha": [0.5, 1.0, 2.0]}, ALS(3, n_epochs=1), patience=None)
    assert found.trials[0].params == {}
    tried = [tuple(trial.params.values()) for trial in found.trials[1:]]
    assert sorted(tried) == [(n, alpha) for n in (2, 4) for alpha in (0.5, 1.0, 2.0)]
    assert tried != sorted(tried)
    assert found.stopped == "all were tried"


def test_scores_are_those_of_evaluate_on_the_end_of_the_log():
    found = searched({"n_factors": [2, 8]}, ALS(3, n_epochs=1), test_days=1.5)
    inner = split_by_time(SPLIT.train, test_days=1.5)
    assert found.split.cut == inner.cut < SPLIT.cut
    assert max(found.split.test.columns["time"]) < SPLIT.cut
    for trial in found.trials:
        model = ALS(trial.params.get("n_factors", 3), n_epochs=1)
        alone = evaluate(model, inner, repeat=True, names=("ndcg",))
        assert trial.score == alone.metrics["ndcg@10"]
        assert (trial.low, trial.high) == alone.intervals["ndcg@10"]
        assert trial.fit_seconds > 0
    assert found.best_score == max(trial.score for trial in found.trials)


def test_the_best_is_new_and_has_the_best_settings():
    recipe = ALS(3, n_epochs=1, rng=7)
    found = searched({"n_factors": [2, 16]}, recipe)
    best = found.best
    assert isinstance(best, ALS)
    assert best.params() == {**recipe.params(), **found.best_params}
    assert found.best is not best
    assert not hasattr(best, "factors_")
    assert not hasattr(recipe, "factors_")


def test_the_search_ends_when_nothing_gets_better():
    # All levels are equal: none is better than the recipe, which comes first.
    found = searched({"level": list(range(2, 40, 2))}, Scored(), patience=3, n_trials=15)
    assert (len(found.trials), found.stopped) == (1 + 3, "3 in a row were no better")
    assert found.best_params == {}
    everything = searched({"level": list(range(2, 40, 2))}, Scored(), patience=None, n_trials=15)
    assert len(everything.trials) == 1 + 15
    assert [trial.params for trial in everything.trials[:4]] == [trial.params for trial in found.trials]


@pytest.mark.parametrize(
    ("scores", "n_trials"),
    [
        ([5, 3, 4, 4.5, 9, 9], 4),  # better than the trial before is not better than the best
        ([5, np.nan, 5, 1, 9], 4),
        ([np.nan, 1, 0, 2, 2, 2, 1, 9], 7),
        ([1, 2, 1, 1, 3, 1, 1], 7),
    ],
)
def test_a_trial_counts_as_better_only_if_it_beats_all_before_it(monkeypatch, scores, n_trials):
    given = iter(scores)
    monkeypatch.setattr(
        _tuning, "_try", lambda _, params, *__: _tuning.Trial(params, next(given), 0.0, 0.0, 0.0)
    )
    found = searched({"level": list(range(2, 2 * len(scores), 2))}, Scored(), patience=3)
    assert len(found.trials) == n_trials
    assert found.best_score == np.nanmax(scores[:n_trials])


def test_several_at_a_time_find_the_same():
    space = {"n_factors": [2, 3, 4, 5, 6, 8]}
    alone = searched(space, ALS(1, n_epochs=1), patience=2)
    # Threads in the place of processes, which take seconds to start.
    with joblib.parallel_config("threading"):
        for n_jobs in (2, 3, -1):
            found = searched(space, ALS(1, n_epochs=1), patience=2, n_jobs=n_jobs)
            assert [(t.params, t.score) for t in found.trials] == [(t.params, t.score) for t in alone.trials]
            assert found.stopped == alone.stopped


def test_a_trial_can_be_sent_to_another_process():
    asked = {"k": 5, "repeat": True, "names": ("ndcg",)}
    for recipe in (ALS(2, n_epochs=1), Recommender(["popularity", "als"])):
        call = (recipe, {}, SPLIT, asked)
        here, there = _tuning._try(*call), _tuning._try(*pickle.loads(pickle.dumps(call)))
        assert (there.score, there.refused) == (here.score, None)


def test_another_seed_draws_in_another_order():
    space = {"level": list(range(2, 60, 2))}
    first, again, other = (
        [trial.params for trial in searched(space, Scored(), n_trials=5, rng=rng).trials] for rng in (0, 0, 1)
    )
    assert first == again != other


def test_what_a_model_refuses_is_told_and_does_not_end_the_search():
    found = searched({"level": [1, 2]}, Scored(), patience=None)
    (refused,) = [trial for trial in found.trials if trial.refused]
    assert refused.refused == "level=1: expected an even number."
    assert np.isnan(refused.score)
    assert found.best_params in ({}, {"level": 2})
    assert json.loads(json.dumps(found.to_records()))[-1]["refused"] == refused.refused
    with pytest.raises(errors.ArgumentError, match=r"^level=3: expected an even number\.$"):
        searched({"level": [1, 5]}, Scored(3))


def test_models_and_their_settings_can_be_searched_within_a_recommender():
    recipe = Recommender(["popularity", ALS(2, n_epochs=1)])
    found = searched({"als.n_factors": [3, 5]}, recipe)
    params = [[model.params().get("n_factors") for model in found.best.models]]
    assert params == [[None, found.best_params.get("als.n_factors", 2)]]
    assert found.best.models[1].n_epochs == 1
    assert not hasattr(found.best, "histories_")
    chosen = searched({"models": ["popularity", "item_knn", ["popularity", "item_knn"]]}, Recommender())
    assert len(chosen.trials) == 4
    found = searched({"popular_by": [(), ("location",)]}, Recommender("popularity"))
    assert [trial.params for trial in found.trials[1:]] in (
        [{"popular_by": ()}, {"popular_by": ("location",)}],
        [{"popular_by": ("location",)}, {"popular_by": ()}],
    )
    assert (found.best.models, found.best.popular_by) == ("popularity", ())
    assert isinstance(chosen.best, Recommender)


def test_positions_are_searched_by_the_last_event():
    found = searched({"n_neighbours": [5]}, log=POSITIONS)
    assert found.split.by == "position"
    assert len(found.split.test) == len(split_by_position(POSITIONS).test) == 2


def test_progress_is_shown_where_it_is_asked_for(capsys):
    tune("popularity", {"half_life_days": [None, 5.0]}, SPLIT.train, repeat=True)
    assert "3/3" in capsys.readouterr().err
    searched({"half_life_days": [5.0]}, "popularity")
    assert capsys.readouterr().err == ""


def test_a_search_shows_itself_as_a_table_best_first():
    found = searched({"half_life_days": [1.0, 3.0]}, "popularity")
    lines = str(found).splitlines()
    assert lines[0] == "3 trials; all were tried"
    assert lines[1] == repr(found.split)
    assert lines[2].split() == ["half_life_days", "ndcg@10", "low", "high"]
    scores = [record["ndcg@10"] for record in found.to_records()]
    assert scores == sorted(scores, reverse=True)
    assert "as it is" in str(found)
    assert "<table>" in found._repr_html_()


MODELS = ", ".join(model_names())
REFUSED = {
    "no recipe": (
        lambda: tune(3, {"k": [1]}, LOG),
        errors.ArgumentError,
        "recipe='int': expected a Recommender, a Model or the name of one.",
    ),
    "an unknown model": (
        lambda: tune("oracle", {"k": [1]}, LOG),
        errors.ArgumentError,
        f"models='oracle': expected a Model, or one of {MODELS}.",
    ),
    "no space": (
        lambda: tune("als", {}, LOG),
        errors.ArgumentError,
        'space={}: expected values by setting, as in {"n_factors": [32, 64]}.',
    ),
    "an unknown setting": (
        lambda: tune("popularity", {"n_factors": [1]}, LOG),
        errors.ArgumentError,
        f"space='n_factors': expected settings out of {', '.join(Popularity().params())}.",
    ),
    "a setting of nobody knows which model": (
        lambda: tune(Recommender(), {"als.n_factors": [1]}, LOG),
        errors.ArgumentError,
        f"space='als.n_factors': expected settings out of {', '.join(signature(Recommender).parameters)}.",
    ),
    "one value": (
        lambda: tune("als", {"n_factors": 3}, LOG),
        errors.ArgumentError,
        "space['n_factors']=3: expected at least one value, in a list.",
    ),
    "no value": (
        lambda: tune("als", {"n_factors": []}, LOG),
        errors.ArgumentError,
        "space['n_factors']=[]: expected at least one value, in a list.",
    ),
    "a split": (
        lambda: tune("als", {"n_factors": [1]}, SPLIT),
        errors.ArgumentError,
        "log='Split': expected the EventLog to learn from. Hint: pass split.train.",
    ),
    "a metric of all lists": (
        lambda: tune("als", {"n_factors": [1]}, LOG, metric="coverage"),
        errors.ArgumentError,
        "metric='coverage': expected one of recall, precision, hit_rate, ndcg, mrr, map, novelty, diversity.",
    ),
    "no trials": (
        lambda: tune("als", {"n_factors": [1]}, LOG, n_trials=0),
        errors.ArgumentError,
        "n_trials=0: expected an integer of at least 1.",
    ),
    "no patience": (
        lambda: tune("als", {"n_factors": [1]}, LOG, patience=0),
        errors.ArgumentError,
        "patience=0: expected an integer of at least 1.",
    ),
    "no process": (
        lambda: tune("als", {"n_factors": [1]}, LOG, n_jobs=0),
        errors.ArgumentError,
        "n_jobs=0: expected an integer of at least 1.",
    ),
    "no order": (
        lambda: tune("als", {"n_factors": [1]}, EventLog.from_frame({"customer_id": [1], "item_id": [1]})),
        errors.NotEnoughDataError,
        "tune needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong(name):
    call, kind, text = REFUSED[name]
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        call()
