"""The value of customers: published parameters, forecasts held against what came, and what fits take."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engagelib import EventLog, Histories
from engagelib.actions.value import (
    BetaGeometric,
    Engaged,
    GammaGamma,
    LifetimeValue,
    PurchaseSummary,
    summarise_purchases,
)

PUBLISHED = {
    "r": 0.2426,
    "alpha": 4.4135,
    "a": 0.7929,
    "b": 2.4258,
    "p": 6.249,
    "q": 3.745,
    "v": 15.447,
}
"""Parameters of the 2,357 customers over 39 weeks: Fader, Hardie and Lee (2005), Fader and Hardie (2013)."""

WEEKS = 39
N_CUSTOMERS = 1_000_000
_TRUTH, _MONEY = (0.25, 30.0, 0.8, 2.5), (6.2, 3.7, 15.0)


def run(data: Path) -> list[dict[str, Any]]:
    """Return a row for each figure: `name`, what is `expected` of it, what was `found`, and `reached`.

    `data` is the folder of the CDNOW files, or one above it named `cdnow`.
    """
    folder = data / "cdnow" if (data / "cdnow").is_dir() else data
    return [*_parameters(folder), *_forecast(folder), *_speed()]


def _parameters(folder: Path) -> list[dict[str, Any]]:
    table = pq.read_table(folder / "sample_summary.parquet")
    columns = ("frequency", "recency_weeks", "T_weeks", "mean_value")
    summary = PurchaseSummary.from_columns(*(table[name].to_numpy() for name in columns), by_days=7)
    purchases, money = BetaGeometric().fit(summary), GammaGamma().fit(summary)
    found = dict(zip(PUBLISHED, [*purchases.parameters, *money.parameters], strict=True))
    rows = [
        _row(f"parameter {name}", value, found[name], abs(found[name] - value) < 0.001 * value)
        for name, value in PUBLISHED.items()
    ]
    report = purchases.report_
    assert report is not None  # it was just fitted
    rows.append(_row("log likelihood of BG/NBD", -9582.4, report.log_likelihood, report.converged))
    return rows


def _forecast(folder: Path) -> list[dict[str, Any]]:
    """Fit on 39 weeks of the whole cohort, forecast the next 39."""
    table = pq.read_table(folder / "transactions.parquet")
    days = table["date"].cast(pa.timestamp("us"))
    log = EventLog.from_frame(
        {
            "customer_id": table["user_id"],
            "item_id": pa.array(np.zeros(len(table), np.int64)),
            "timestamp": days,
            "value": table["amount"],
        },
        max_events_per_customer=2**31,
    )
    histories = Histories.from_log(log)
    cut, horizon = np.datetime64("1997-09-30T23:59"), 7 * WEEKS
    before = summarise_purchases(histories, cut, by_days=7)
    after = summarise_purchases(histories, cut + np.timedelta64(horizon, "D"), by_days=7)
    known = before.has_bought
    came = (after.frequency - before.frequency)[known]
    model = LifetimeValue(horizon_days=horizon).fit(before)
    expected = model.predict(before)
    forecast, chance = expected.expected_purchases[known], expected.p_purchase[known]
    total = forecast.sum() / came.sum() - 1
    # Published tracking plots are of all repeat purchases since the beginning.
    seen = before.frequency[known].sum()
    whole = (seen + forecast.sum()) / (seen + came.sum()) - 1
    rows = [
        _row("repeat purchases up to week 78, error of the sum", 0.0, whole, None),
        _row("repeat purchases of weeks 40 to 78, error of the sum", 0.0, total, None),
        _row("correlation of forecast and purchases", None, float(np.corrcoef(forecast, came)[0, 1]), None),
        _row("customers who buy, error of the sum", 0.0, chance.sum() / (came > 0).sum() - 1, None),
    ]
    money = histories.until(int(after.at or 0))
    late = (money.time > int(before.at or 0)) & money.of_type("purchase")
    spent = float(np.nansum(money.numbers["value"][late]))
    rows.append(
        _row(
            "money of weeks 40 to 78, error of the sum",
            0.0,
            np.nansum(expected.expected_value) / spent - 1,
            None,
        )
    )
    engaged = Engaged(horizon_days=90).fit(histories)
    report = engaged.report_
    rows += [
        _row("engaged within 90 days, ECE as BG/NBD has it", None, report.ece_before, None),
        _row("engaged within 90 days, ECE calibrated", None, report.ece, report.ece < report.ece_before),
        _row("engaged within 90 days, Brier as BG/NBD has it", None, report.brier_before, None),
        _row(
            "engaged within 90 days, Brier calibrated",
            None,
            report.brier,
            report.brier <= report.brier_before,
        ),
    ]
    at, one = int(histories.newest or 0), [histories.take(np.array([row])) for row in range(2000)]
    begin = time.process_time()
    for history in one:
        model.one(history, at)
    micros = (time.process_time() - begin) / len(one) * 1e6
    rows.append(_row("one customer, microseconds of CPU", 100, micros, micros < 100))
    return rows


def _speed() -> list[dict[str, Any]]:
    rows = []
    for kind, summary in (
        ("whole days and cents", _drawn(whole=True)),
        ("all different", _drawn(whole=False)),
    ):
        begin = time.process_time()
        purchases = BetaGeometric().fit(summary)
        money = GammaGamma().fit(summary)
        seconds = time.process_time() - begin
        report = purchases.report_
        assert report is not None  # both were just fitted
        assert money.report_ is not None
        distinct = f"{report.n_distinct:,} and {money.report_.n_distinct:,} distinct rows"
        name = f"both models on {N_CUSTOMERS:,} customers, {kind} ({distinct}), seconds of CPU"
        rows.append(_row(name, 10, seconds, seconds < 10 and report.converged and money.report_.converged))
        begin = time.process_time()
        purchases.expected_purchases(summary, 365)
        rows.append(
            _row(f"forecast of them, {kind}, seconds of CPU", None, time.process_time() - begin, None)
        )
    return rows


def _drawn(*, whole: bool) -> PurchaseSummary:
    """Draw a million customers by the story that the models tell."""
    rng = np.random.default_rng(0)
    n, (r, alpha, a, b), (p, q, v) = N_CUSTOMERS, _TRUTH, _MONEY
    rate, drop, age = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), rng.uniform(90, 720, n)
    x, recency, clock, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.arange(n)
    while len(alive):
        clock[alive] += rng.exponential(1 / rate[alive])
        alive = alive[clock[alive] <= age[alive]]
        x[alive] += 1
        recency[alive] = clock[alive]
        alive = alive[rng.random(len(alive)) > drop[alive]]
    times = np.maximum(x, 1)
    mean_value = rng.gamma(p * times) / rng.gamma(q, 1 / v, n) / times
    if whole:
        age, recency, mean_value = np.floor(age), np.floor(recency), np.round(mean_value, 2)
    return PurchaseSummary.from_columns(x, recency, age, mean_value)


def _row(
    name: str, expected: float | None, found: float, reached: "bool | np.bool_ | None"
) -> dict[str, Any]:
    return {
        "benchmark": "value",
        "name": name,
        "expected": expected,
        "found": round(float(found), 5),
        "reached": None if reached is None else bool(reached),
    }


def main() -> None:
    """Print every row as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.value", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder")
    for row in run(parser.parse_args().data):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
