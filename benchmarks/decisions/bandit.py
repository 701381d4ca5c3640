"""The decision log and the linear bandit: microseconds a call, beside mabwiser where it is installed."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engagelib.actions.bandit import LinearBandit, action_probabilities
from engagelib.actions.decisions import DecisionLog, DecisionRow
from engagelib.times import to_microseconds

N_ACTIONS, N_FEATURES, N_ROWS = 20, 40, 1000
START = to_microseconds("2024-01-01")
NAMES = [f"action-{place}" for place in range(N_ACTIONS)]


def run(data: Path) -> list[dict[str, Any]]:
    """Return a row for each figure: `name`, what is `expected` of it, what was `found`, and `reached`.

    Rows are made up; `data` is not read.
    """
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N_ROWS, N_FEATURES))
    action = rng.integers(0, N_ACTIONS, N_ROWS)
    residual = rng.normal(size=N_ROWS) * 0.3
    rows = _bandit_rows(features, action, residual)
    rows += _peer_rows(features, action, residual, rows[0]["found"])
    with tempfile.TemporaryDirectory() as folder:
        for durability in ("process", "power"):
            rows += _log_rows(Path(folder) / durability, durability, features, action)
    return rows


def _bandit_rows(features: np.ndarray, action: np.ndarray, residual: np.ndarray) -> list[dict[str, Any]]:
    bandit = LinearBandit(NAMES, np.zeros(N_FEATURES), np.ones(N_FEATURES)).update(features, action, residual)
    mean, sd = bandit.posterior(features[0])

    def update(place: int) -> None:
        one = slice(place, place + 1)
        bandit.update(features[one], action[one], residual[one])

    def decide_and_update(place: int) -> None:
        centre, spread = bandit.posterior(features[place])
        (centre + spread * residual[:N_ACTIONS]).argmax()
        update(place)

    started = time.perf_counter()
    bandit.update(features, action, residual)
    batch = (time.perf_counter() - started) / N_ROWS * 1e6
    return [
        _row("posterior, best draw and update, a row", _microseconds(decide_and_update)),
        _row("update, one row at a time", _microseconds(update), 200.0),
        _row("update, a row of a batch of 1,000", batch),
        _row("posterior of 20 actions", _microseconds(lambda place: bandit.posterior(features[place])), 30.0),
        _row(
            "action probabilities of 20 actions",
            _microseconds(lambda place: action_probabilities(mean, sd, rng=place)),
            150.0,
        ),
    ]


def _peer_rows(
    features: np.ndarray, action: np.ndarray, residual: np.ndarray, ours: float
) -> list[dict[str, Any]]:
    try:
        from mabwiser.mab import MAB, LearningPolicy
    except ImportError:
        return [_row("mabwiser, which is not installed", float("nan"), unit="us")]
    rows = []
    names = [NAMES[place] for place in action]
    for name, policy in (("LinTS", LearningPolicy.LinTS()), ("LinUCB", LearningPolicy.LinUCB())):
        peer = MAB(NAMES, policy)
        peer.fit(names, residual, features)

        def step(place: int, peer: Any = peer) -> None:
            one = slice(place, place + 1)
            peer.predict(features[one])
            peer.partial_fit(names[one], residual[one], features[one])

        found = _microseconds(step, n=300)
        rows.append(_row(f"mabwiser {name}: predict and partial_fit, a row", found))
        ratio = found / ours
        rows.append(_row(f"mabwiser {name} to ours", ratio, 20.0, unit="times", reached=ratio >= 20))
    return rows


def _log_rows(path: Path, durability: Any, features: np.ndarray, action: np.ndarray) -> list[dict[str, Any]]:
    eligible = [(name, 1 / N_ACTIONS) for name in NAMES]

    def decision(place: int) -> DecisionRow:
        return DecisionRow(
            place % 100,
            START + place,
            NAMES[action[place]],
            1 / N_ACTIONS,
            p_success=0.1,
            features=features[place],
            eligible=eligible,
        )

    with DecisionLog(path, durability=durability) as log:

        def step(place: int) -> None:
            with log.deciding(place % 100) as open_step:
                open_step.contacts(START)
                open_step.append(decision(place))

        rows = [
            _row(f"append ({durability})", _microseconds(lambda place: log.append(decision(place)))),
            _row(
                f"contacts of a customer with ten ({durability})",
                _microseconds(lambda place: log.contacts(place % 100)),
                40.0,
            ),
            _row(f"atomic step: contacts and append ({durability})", _microseconds(step)),
        ]
        ids = log.append_many(map(decision, list(range(N_ROWS)) * 100))
        started = time.perf_counter()
        log.record_many({"decision_id": ids, "value": np.ones(len(ids))})
        seconds = time.perf_counter() - started
        what = f"record_many of 100,000 outcomes ({durability})"
        return [*rows, _row(what, seconds, unit="s")]


def _microseconds(call: Callable[[int], object], n: int = N_ROWS) -> float:
    """Return the median time of a call."""
    times = np.empty(n)
    for place in range(n):
        started = time.perf_counter()
        call(place)
        times[place] = time.perf_counter() - started
    return float(np.median(times)) * 1e6


def _row(
    name: str, found: float, expected: float | None = None, *, unit: str = "us", reached: bool | None = None
) -> dict[str, Any]:
    if expected is not None and reached is None:
        reached = found <= expected
    return {"name": name, "expected": expected, "found": found, "reached": reached, "unit": unit}
