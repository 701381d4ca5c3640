"""What `NextBestAction` takes: one customer in a hurry, a campaign for many, and a million in flat memory.

There are 20 actions with conditions, channels, cooldowns, windows and limits, some worth a share of what the
customer is expected to bring. One customer is asked for on the bundled log, with a decision log that holds
some contacts of most customers; once as fitted on the log alone, and once more after a fit with decisions
and with no gate, so that chances and what outcomes teach both differ by customer. Many are asked for in a
made-up shop. What is flat is that the call rises as far above what it returns for a million customers as for
a tenth of them: each size is measured in a process of its own.
"""

import contextlib
import ctypes
import gc
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measuring import Peak
from benchmarks.decisions.common import figure
from engagelib import Action, ContactLimit, NextBestAction
from engagelib.actions.decisions import DecisionLog, DecisionRow
from engagelib.datasets import load_online_retail, make_shop

_DAY = 86_400_000_000
_TARGET_MS, _TARGET_RATE = 0.5, 10_000.0
_TARGET_BYTES = 9.0
"""A row number is 8 bytes; it says whom to answer for."""


def run(data: Path | None = None, *, n_calls: int = 2000, n_many: int = 1_000_000) -> list[dict[str, Any]]:
    """Return a row a figure; `data` is not read. `n_many` customers are asked for at once, at most."""
    return [*one_by_one(n_calls), *many(n_many)]


def actions() -> list[Action]:
    """Return 20 actions with rules of most kinds."""
    found = [
        Action("welcome", value=3, cost=0.1, applicable={"stage": ["first_purchase"]}, cooldown="30d"),
        Action("second-order", value=6, cost=0.3, kind="offer", benefit=5.0, channels=["web", "app", "email"],
               applicable={"stage": ["first_purchase"], "days_since_purchase": {"min": 7}}),
        Action("replenish", value=5, cost=0.05, applicable={"days_overdue": {"min": 0}}, cooldown="14d"),
        Action("win-back", value={"feature": "expected_value", "times": 0.3}, cost=0.5, kind="offer",
               applicable={"stage": ["lapsing", "lost"]}, benefit=10.0, cooldown="60d"),
        Action("refer", value=20, cost=0.1, kind="referral", cooldown="90d",
               eligible={"stage": ["loyal", "advocacy", "referral"]}),
        Action("review", value=2, cost=0.05, kind="review", suitable={"return_share": {"max": 0.5}},
               applicable={"days_since_purchase": {"min": 3, "max": 30}}, cooldown="30d"),
        Action("survey", value=1, cost=0.02, kind="survey", eligible={"n_purchases": {"min": 2}},
               limits=[ContactLimit(1, "90d", kind="survey")]),
        Action("premium", value={"feature": "expected_value", "times": 0.1}, cost=1.0, kind="offer",
               eligible={"value_90d": {"min": 100}, "stage": ["repeat", "loyal", "advocacy"]}),
        Action("store-visit", value=8, cost=0.4, channels=["store"]),
        Action("spring-sale", value=7, cost=0.2, kind="offer", starts="2011-03-01", ends="2011-05-01"),
    ]  # fmt: skip
    found += [
        Action(
            f"category-{place}", value=4 + place / 2, cost=0.1 + place / 50, lever=1 + place / 20,
            channels=["email", "app"] if place % 2 else None, cooldown=f"{7 + place}d",
            applicable={"n_purchases": {"min": place % 3}},
            suitable={"recency_days": {"max": 200 + 10 * place}},
        )
        for place in range(10)
    ]  # fmt: skip
    return found


LIMITS = (ContactLimit(3, "7d"), ContactLimit(1, "1d", channel="email"), ContactLimit(2, "30d", kind="offer"))


def one_by_one(n_calls: int = 2000, n_decisions: int = 20_000) -> list[dict[str, Any]]:
    """Return the CPU milliseconds of calls for one customer of the bundled log."""
    log = load_online_retail()
    customers = list(log.customers)
    asked = np.random.default_rng(1).integers(0, len(customers), n_calls)
    whom = [customers[place] for place in asked.tolist()]
    newest = int(log.columns["time"].max())
    now = datetime.fromtimestamp(newest / 1e6, UTC) + timedelta(days=1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, decisions in (
            ("the log alone", None),
            ("decisions too", decided(customers, newest, n_decisions)),
        ):
            kept = DecisionLog(Path(folder) / name.replace(" ", "-"))
            nba = NextBestAction(actions(), decision_log=kept, limits=LIMITS, control_share=0.05, gate=False)
            nba.fit(log, decisions)
            contact(kept, nba, customers, newest)
            nba.update(at=now)
            where = {"channel": "email", "at": now}
            for what, call, target in (
                ("recommend", partial(nba.recommend, **where), _TARGET_MS),
                ("decide", partial(nba.decide, **where), None),
            ):
                rows += _calls(f"{what}, 20 actions, learned from {name}", call, whom, target)
            kept.close()
    return rows


def decided(customers: list[Any], newest: int, n: int) -> dict[str, Any]:
    """Return random decisions of the three months before the log ends, a third of them to do nothing."""
    rng = np.random.default_rng(2)
    names = ["nothing", *(action.name for action in actions())]
    chances = np.array([1 / 3, *[2 / 3 / 20] * 20])
    action, who = rng.choice(len(names), n, p=chances), rng.integers(0, len(customers), n)
    return {
        "customer_id": [customers[place] for place in who.tolist()],
        "at": (newest - rng.integers(1, 90 * _DAY, n)).astype("datetime64[us]"),
        "action": [names[place] for place in action.tolist()],
        "p_logged": chances[action],
        "outcome": (rng.random(n) < 0.1 + 0.002 * action).astype(float),
    }


def contact(log: DecisionLog, nba: NextBestAction, customers: list[Any], newest: int) -> None:
    """Write down two contacts a customer, on average, and what came of those that are old enough."""
    rng = np.random.default_rng(3)
    names, n = [action.name for action in nba.actions], 2 * len(customers)
    known = nba._state.learned.known
    features = rng.normal(size=(n, len(known.design_names))).astype(np.float32)
    drawn = zip(
        rng.integers(0, len(customers), n).tolist(), rng.integers(0, len(names), n).tolist(),
        (newest - rng.integers(1, 60 * _DAY, n)).tolist(), features, strict=True,
    )  # fmt: skip
    ids = log.append_many(
        DecisionRow(
            customers[who], at, names[action], 0.05, channel="email" if action % 2 else "app", p_success=0.1,
            features=row, features_version=known.version, eligible=[("nothing", 0.95), (names[action], 0.05)],
        )
        for who, action, at, row in drawn
    )  # fmt: skip
    log.record_many({"decision_id": ids, "value": (rng.random(n) < 0.1).astype(float)})


def _calls(
    name: str, call: Callable[[Any], object], whom: list[Any], target: float | None
) -> list[dict[str, Any]]:
    """Return the median, the 90th and the 99th percentile of the CPU time of calls, in milliseconds."""
    for one in whom[:100]:
        call(one)
    times = np.empty(len(whom))
    for place, one in enumerate(whom):
        begin = time.thread_time()
        call(one)
        times[place] = time.thread_time() - begin
    median, p90, p99 = (np.percentile(times, [50, 90, 99]) * 1e3).tolist()
    return [
        figure(f"{name}: median CPU", median, target, unit="ms"),
        figure(f"{name}: 90th percentile", p90, unit="ms"),
        figure(f"{name}: 99th percentile", p99, unit="ms"),
    ]


def many(n_many: int = 1_000_000) -> list[dict[str, Any]]:
    """Return what `recommend_many` takes for a tenth of the customers and for all, and `decide_many`."""
    from benchmarks.decisions.common import measured_apart

    smaller, larger = (measured_apart("serving", "recommend", n) for n in (n_many // 10, n_many))
    rows = []
    for found in (smaller, larger):
        what = f"recommend_many, {found['customers']:,} customers, 20 actions"
        rows += [
            figure(f"{what}: customers a second of CPU", found["rate"], _TARGET_RATE, least=True),
            figure(f"{what}: memory above the model and the answer", found["working_mib"], unit="MiB"),
            figure(f"{what}: the answer", found["answer_mib"], unit="MiB"),
        ]
    more = larger["customers"] - smaller["customers"]
    name = "recommend_many: memory that grows with customers, the answer apart"
    for how, target in (("allocated", _TARGET_BYTES), ("working", None)):
        grown = (larger[f"{how}_mib"] - smaller[f"{how}_mib"]) * 2**20 / more
        told = "as arrays are allocated" if target else "as the system counts it"
        rows.append(figure(f"{name}, {told}", grown, target, unit="bytes a customer"))
    found = measured_apart("serving", "decide", max(n_many // 50, 1))
    what = f"decide_many, {found['customers']:,} customers, 20 actions"
    return [
        *rows,
        figure(f"{what}: customers a second of CPU", found["rate"], unit=""),
        figure(f"{what}: memory above the model", found["working_mib"], unit="MiB"),
    ]


def measured(part: str, n_customers: int) -> dict[str, float]:
    """Measure a call for that many customers of a made-up shop, in this process."""
    shop = make_shop(n_customers, 500, 5 * n_customers)
    nba = NextBestAction(actions(), limits=LIMITS, control_share=0.05)
    now = "2026-01-02"
    if part == "recommend":
        nba.fit(shop.log)
        nba.recommend_many(list(shop.log.customers)[:100], channel="email", at=now)
        give_back()
        peak, begin = Peak(), time.process_time()
        table = nba.recommend_many(channel="email", at=now, k=3)
        seconds, above = time.process_time() - begin, peak.mib_above()
        answer = size_of(table) / 2**20
        del table
        # The system counts whole pages, and what the allocator keeps; this counts arrays alone.
        tracemalloc.start()
        nba.recommend_many(channel="email", at=now, k=3)
        allocated = tracemalloc.get_traced_memory()[1] / 2**20 - answer
        return _found(n_customers, seconds, above, answer) | {"allocated_mib": allocated}
    with tempfile.TemporaryDirectory() as folder, DecisionLog(Path(folder) / "log") as log:
        nba.decision_log = log
        nba.fit(shop.log)
        nba.decide_many(list(shop.log.customers)[:100], channel="email", at="2026-01-01")
        give_back()
        peak, begin = Peak(), time.process_time()
        nba.decide_many(channel="email", at=now)
        return _found(n_customers, time.process_time() - begin, peak.mib_above(), 0.0)


def give_back() -> None:
    """Give memory that fitting freed back to the system: a rise would else hide in it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # Linux alone has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def size_of(table: Any) -> int:
    """Return the bytes of the arrays of an answer."""
    return sum(part.nbytes for part in vars(table).values() if isinstance(part, np.ndarray))


def _found(n: int, seconds: float, above: float, answer: float) -> dict[str, float]:
    return {
        "customers": n, "rate": n / seconds, "seconds": seconds, "answer_mib": answer,
        "working_mib": max(above - answer, 0.0),
    }  # fmt: skip
