"""Tuning: a small search for settings, judged on the end of the training log alone."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar, cast

import numpy as np

from engagelib import errors
from engagelib.evaluation._asking import Question, Shown
from engagelib.evaluation._bootstrap import checked_rng
from engagelib.evaluation._evaluating import Options, evaluate
from engagelib.evaluation._measuring import PER_CUSTOMER
from engagelib.events import EventLog
from engagelib.models import Model, make_model
from engagelib.recommender import Recommender
from engagelib.recommender.request import ExcludeSeen, check_count
from engagelib.splitting import Split, split_by_position, split_by_time
from engagelib.tables import Cell, Table

_Recipe = TypeVar("_Recipe", Model, Recommender)


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and how good they were.

    Attributes
    ----------
    params
        What differs from the recipe; nothing in the first trial, which is the recipe as it stands.
    score
        The metric on the end of the training log; NaN where fitting was refused.
    low, high
        Its 95% interval.
    fit_seconds
        Seconds that fitting took.
    refused
        Why fitting was refused, None where it was not.
    """

    params: dict[str, Any]
    score: float
    low: float
    high: float
    fit_seconds: float | None
    refused: str | None = None


def _score(trial: Trial) -> float:
    return -math.inf if math.isnan(trial.score) else trial.score


@dataclass(frozen=True, repr=False)
class Tuned(Shown):
    """What `tune` found; prints as a table, a trial a row, the best first.

    Attributes
    ----------
    trials
        In the order in which they were tried; the first is the recipe as it stands.
    metric
        What they were judged by, such as "ndcg@10".
    split
        On what they were judged: learned on the first part of the training log, tested on its end.
    stopped
        Why the search ended.
    best_params, best_score
        The settings with the highest score, the earlier of equals.
    """

    trials: tuple[Trial, ...]
    metric: str
    split: Split
    stopped: str
    _recipe: "Model | Recommender"

    @property
    def best_trial(self) -> Trial:
        """The trial with the highest score, the earlier of equals."""
        return max(self.trials, key=_score)

    @property
    def best_params(self) -> dict[str, Any]:
        """What the best trial changed of the recipe."""
        return dict(self.best_trial.params)

    @property
    def best_score(self) -> float:
        """The highest score, which is partly luck: judge it anew on a test that is untouched."""
        return self.best_trial.score

    @property
    def best(self) -> Any:
        """A model, or a recommender, with the best settings, not fitted; a new one at each look."""
        return _made(self._recipe, self.best_trial.params)

    def _table(self) -> Table:
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.params))
        order = sorted(
            self.trials, key=lambda trial: -trial.score if math.isfinite(trial.score) else math.inf
        )
        has_refused = any(trial.refused for trial in self.trials)
        rows: list[tuple[Cell, ...]] = [
            (
                *(_cell(trial.params.get(name, "as it is")) for name in names),
                *(None if math.isnan(value) else value for value in (trial.score, trial.low, trial.high)),
                *((trial.refused,) if has_refused else ()),
            )
            for trial in order
        ]
        title = f"{len(self.trials)} trials; {self.stopped}\n{self.split!r}"
        refused = ("refused",) if has_refused else ()
        return Table((*names, self.metric, "low", "high", *refused), tuple(rows), title)


def tune(
    recipe: str | Model | Recommender,
    space: Mapping[str, Sequence[Any]],
    log: EventLog,
    *,
    n_trials: int = 20,
    patience: int | None = 10,
    test_share: float = 0.1,
    test_days: float | None = None,
    metric: str = "ndcg",
    k: int = 10,
    events: Sequence[str] = ("purchase",),
    exclude_seen: ExcludeSeen = "purchased",
    repeat: bool | None = None,
    ask: Mapping[str, Any] | None = None,
    n_jobs: int = 1,
    rng: int | np.random.Generator = 0,
    progress: bool | None = True,
) -> Tuned:
    """Search for settings on the training log: learn from its first part, and judge by its end.

    The recipe as it stands is tried first, then combinations out of `space` in random order. The search ends
    when `n_trials` were tried, or as soon as `patience` of them in a row were no better than the best before
    them. Which trials count does not depend on `n_jobs`.

    Parameters
    ----------
    recipe
        A `Model` or the name of one, or a `Recommender`; it is copied, not fitted.
    space
        Values to try under the name of each setting: an argument of the model, as in
        `{"n_factors": [32, 64]}`. For a `Recommender` it is one of its own, such as "models", or one of a
        model that it names, as in `{"als.n_factors": [32, 64]}`.
    log
        The training log: `split.train`, never the whole log whose end is to be the test. With timestamps
        its end is held out, with positions the last event of each customer.
    n_trials
        Combinations to try beside the recipe, at least 1; where there are no more, all of them.
    patience
        Trials in a row without a better one, after which the search ends, at least 1; None tries all.
    test_share, test_days
        As in `split_by_time`; `test_days` counts where it is given.
    metric
        What to judge by, any metric that single customers have.
    k, events, exclude_seen, repeat, ask
        As in `evaluate`; `k` is one length.
    n_jobs
        Processes, at least 1, or -1 for one a processor (joblib). Models that learn with several threads
        get in each other's way then: give them `n_threads=1`.
    rng
        A seed of at least 0, or a generator, for the order.
    progress
        True shows a bar on stderr, None only where stderr is a terminal, False none.

    Raises
    ------
    ArgumentError
        If a setting or an argument is not known. Values that a model refuses when it is fitted do not end
        the search, but stand in the table as refused; only if all are refused, the first refusal is raised.
    NotEnoughDataError
        If the log has no order, or its end has nothing to be judged by.
    """
    recipe = _checked_recipe(recipe)
    options = _checked_space(recipe, space)
    if not isinstance(log, EventLog):
        hint = "pass split.train." if isinstance(log, Split) else ""
        raise errors.bad_argument("log", type(log).__name__, "the EventLog to learn from", hint)
    if metric not in PER_CUSTOMER:
        raise errors.bad_argument("metric", metric, f"one of {', '.join(PER_CUSTOMER)}")
    k, n_trials, n_jobs = check_count(k, "k"), check_count(n_trials, "n_trials"), _checked_jobs(n_jobs)
    patience = None if patience is None else check_count(patience, "patience")
    generator = checked_rng(rng)
    split = _held_out(log, test_share, test_days)
    Question.check(split, k, events, exclude_seen, repeat, ask)
    asked: Options = {
        "k": k,
        "events": events,
        "exclude_seen": exclude_seen,
        "repeat": repeat,
        "ask": ask,
        "names": (metric,),
    }
    tried = [{}, *_combinations(options, n_trials, generator)]
    trials, stopped = _search(
        recipe, tried, split, asked, patience=patience, n_jobs=n_jobs, progress=progress
    )
    if all(trial.refused for trial in trials):
        # Once more, for the error itself.
        evaluate(_fresh(recipe, trials[0].params), split, **asked)
    return Tuned(tuple(trials), f"{metric}@{k}", split, stopped, recipe)


def _search(
    recipe: Model | Recommender,
    tried: Sequence[dict[str, Any]],
    split: Split,
    asked: Options,
    *,
    patience: int | None,
    n_jobs: int,
    progress: bool | None,
) -> tuple[list[Trial], str]:
    """Try one batch of `n_jobs` after the other, and apply the rule in the order of trials."""
    from tqdm import tqdm

    trials: list[Trial] = []
    best, since = -math.inf, 0
    disable = None if progress is None else not progress
    with _workers(n_jobs) as run, tqdm(total=len(tried), unit=" trials", disable=disable) as bar:
        rest = iter(tried)
        while batch := list(islice(rest, n_jobs)):
            for trial in run((recipe, params, split, asked) for params in batch):
                trials.append(trial)
                bar.update()
                since = 0 if trial.score > best else since + 1
                best = max(best, trial.score) if math.isfinite(trial.score) else best
                if since == patience:
                    return trials, f"{patience} in a row were no better"
    return trials, "all were tried"


class _workers:  # noqa: N801
    """Processes that run trials while the block lasts; this very process where one is enough."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def __enter__(self) -> Any:
        if self.n_jobs == 1:
            return lambda calls: (_try(*call) for call in calls)
        from joblib import Parallel, delayed

        self._parallel = Parallel(n_jobs=self.n_jobs)
        pool = self._parallel.__enter__()
        return lambda calls: pool(delayed(_try)(*call) for call in calls)

    def __exit__(self, *failure: object) -> None:
        if self.n_jobs > 1:
            self._parallel.__exit__(*failure)


def _try(recipe: Model | Recommender, params: dict[str, Any], split: Split, asked: Options) -> Trial:
    """Fit and judge one candidate."""
    try:
        found = evaluate(_fresh(recipe, params), split, **asked)
    except (errors.ArgumentError, errors.TooLargeError, errors.NotEnoughDataError) as error:
        return Trial(params, math.nan, math.nan, math.nan, None, str(error))
    ((name, score),) = found.metrics.items()
    return Trial(params, score, *found.intervals[name], found.fit_seconds)


def _fresh(recipe: Model | Recommender, params: Mapping[str, Any]) -> Recommender:
    made = _made(recipe, params)
    return made if isinstance(made, Recommender) else Recommender(made)


def _made(recipe: Model | Recommender, params: Mapping[str, Any]) -> Any:
    """Return a new model or recommender with other settings."""
    if isinstance(recipe, Model):
        return _with(recipe, params)
    models: Any = params.get("models", recipe.models)
    inner: dict[str, dict[str, Any]] = {}
    for name, value in params.items():
        model, _, argument = name.partition(".")
        if argument:
            inner.setdefault(model, {})[argument] = value
    if inner or not isinstance(models, str | Model):
        listed = [models] if isinstance(models, str | Model) else models
        models = [_with(make_model(one), inner.get(_name(one), {})) for one in listed]
    own = {name: value for name, value in params.items() if "." not in name}
    return _with(recipe, {**own, "models": models})


def _with(recipe: _Recipe, params: Mapping[str, Any]) -> _Recipe:
    """Return one of the same class with other settings, as if newly made."""
    settings = {name: getattr(recipe, name) for name in inspect.signature(type(recipe)).parameters}
    return type(recipe)(**{**settings, **params})


def _name(model: str | Model) -> str:
    return model if isinstance(model, str) else model.name


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else repr(value)


def _combinations(
    options: Mapping[str, Sequence[Any]], n_trials: int, generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Draw combinations without repetition, in random order."""
    sizes = [len(values) for values in options.values()]
    n = math.prod(sizes)
    for number in generator.choice(n, min(n_trials, n), replace=False).tolist():
        chosen = {}
        for (name, values), size in zip(options.items(), sizes, strict=True):
            number, place = divmod(number, size)  # noqa: PLW2901
            chosen[name] = values[place]
        yield chosen


def _held_out(log: EventLog, test_share: float, test_days: float | None) -> Split:
    if log.time_kind == "position":
        return split_by_position(log)
    if log.time_kind == "set":
        raise errors.log.needs_order("tune")
    if test_days is not None:
        return split_by_time(log, test_days=test_days)
    return split_by_time(log, test_share=test_share)


def _checked_recipe(recipe: Any) -> Model | Recommender:
    if isinstance(recipe, Recommender | Model):
        return cast(Model | Recommender, _made(recipe, {}))
    if isinstance(recipe, str):
        return make_model(recipe)
    raise errors.bad_argument("recipe", type(recipe).__name__, "a Recommender, a Model or the name of one")


def _checked_space(recipe: Model | Recommender, space: Any) -> dict[str, list[Any]]:
    """Return the values to try, each setting known to the recipe."""
    if not isinstance(space, Mapping) or not space:
        raise errors.bad_argument("space", space, 'values by setting, as in {"n_factors": [32, 64]}')
    known = _settings(recipe, space)
    for name, values in space.items():
        if name not in known:
            raise errors.bad_argument("space", name, f"settings out of {', '.join(known)}")
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise errors.bad_argument(f"space[{name!r}]", values, "at least one value, in a list")
    # NumPy's numbers would not be shown, stored or refused as Python's are.
    return {
        name: values.tolist() if isinstance(values, np.ndarray) else list(values)
        for name, values in space.items()
    }


def _settings(recipe: Model | Recommender, space: Mapping[str, Any]) -> list[str]:
    if isinstance(recipe, Model):
        return list(inspect.signature(type(recipe)).parameters)
    own = list(inspect.signature(type(recipe)).parameters)
    if "models" in space or recipe.models == "auto":
        return own  # which models there are is not known before
    listed = [recipe.models] if isinstance(recipe.models, str | Model) else recipe.models
    inner = [
        f"{_name(one)}.{argument}"
        for one in listed
        for argument in inspect.signature(type(make_model(one))).parameters
    ]
    return [*own, *inner]


def _checked_jobs(n_jobs: Any) -> int:
    if n_jobs == -1:
        from joblib import cpu_count

        return int(cpu_count())
    return check_count(n_jobs, "n_jobs")
