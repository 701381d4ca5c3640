"""Coupons: the chance that a household which was sent a campaign redeems a coupon of it, checked by time.

The Complete Journey, as packaged: 27 campaigns of 2017. A row is a household and a campaign that it was
sent; what is known of it are its purchases, earlier campaigns and earlier redemptions before the campaign
began. The earlier campaigns teach, later ones calibrate, the last ones judge. Nothing is said of what
sending is worth: who was sent what was no matter of chance.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response import ActionResponse
from engagelib.actions.response.events import platt
from engagelib.actions.response.solving import sigmoid
from engagelib.metrics import brier_score, expected_calibration_error, log_loss, reliability_table

_DAY = 86_400_000_000
_NAMES = (
    "baskets before",
    "baskets of 28 days",
    "spent of 28 days",
    "spent of 90 days",
    "days since the last basket",
    "with coupons of 90 days",
    "campaigns before",
    "redemptions before",
    "campaigns redeemed before",
    "days the campaign runs",
    "coupons of the campaign",
    "bought of the campaign, 90 days",
)


def run(data: Path) -> list[dict[str, Any]]:
    """Return a row for the last campaigns, and a row a bin."""
    start = time.process_time()
    rows = pairs(data / "complete_journey")
    began = np.unique(rows["start"])
    # By when campaigns began: six tenths teach, two calibrate, two judge.
    teach = rows["start"] < began[int(0.6 * len(began))]
    judge = rows["start"] >= began[int(0.8 * len(began))]
    middle = ~teach & ~judge
    model = ActionResponse().fit(_decisions(rows, teach))
    code = rows["kind"]

    def odds(which: np.ndarray) -> np.ndarray:
        chance = model.predict(rows["features"][which])[np.arange(which.sum()), code[which]]
        return np.asarray(np.log(chance / (1 - chance)))

    factor, shift = platt(odds(middle), rows["met"][middle])
    chance, met = sigmoid(factor * odds(judge) + shift), rows["met"][judge]
    plain = sigmoid(odds(judge))
    found: dict[str, Any] = {
        "benchmark": "coupons",
        "figure": "chance of a redemption, last campaigns",
        "rows": len(met),
        "taught_by": int(teach.sum()),
        "met": float(met.mean()),
        "forecast": float(chance.mean()),
        "value": expected_calibration_error(chance, met),
        "ece_before_calibration": expected_calibration_error(plain, met),
        "brier": brier_score(chance, met),
        "brier_of_the_mean": float(met.mean() * (1 - met.mean())),
        "log_loss": log_loss(chance, met),
        "auc": auc(chance, met),
        "cpu_seconds": time.process_time() - start,
    }
    bins = reliability_table(chance, met, 5).to_records()
    return [found, *({"benchmark": "coupons", "figure": "reliability", **row} for row in bins)]


def _decisions(rows: dict[str, np.ndarray], which: np.ndarray) -> LoggedDecisions:
    """Take the three kinds of campaign for actions, which share what moves all of them."""
    return LoggedDecisions(
        actions=tuple(rows["kinds"].tolist()),
        action=rows["kind"][which].astype(np.int32),
        reward=rows["met"][which],
        features=rows["features"][which],
        feature_names=_NAMES,
        customer=rows["household"][which],
        time=rows["start"][which],
    )


def auc(chance: np.ndarray, met: np.ndarray) -> float:
    """Return how often what came about was given a higher chance than what did not; equal ones count half."""
    _, place, n = np.unique(chance, return_inverse=True, return_counts=True)
    rank = (n.cumsum() - (n - 1) / 2)[place]
    n_met = met.sum()
    return float((rank[met == 1].sum() - n_met * (n_met + 1) / 2) / (n_met * (len(met) - n_met)))


def pairs(folder: Path) -> dict[str, np.ndarray]:
    """Return households and the campaigns that they were sent, what was known of them then, and what came."""
    campaigns = _read(folder / "campaign_descriptions.parquet")
    sent = _read(folder / "campaigns.parquet")
    place = np.searchsorted(campaigns["campaign_id"], sent["campaign_id"])
    start, end = campaigns["start_date"][place], campaigns["end_date"][place]
    household, campaign = sent["household_id"], sent["campaign_id"]
    redeemed = _read(folder / "coupon_redemptions.parquet")
    pair = household * 100 + campaign
    known = redeemed["household_id"] * 100 + redeemed["campaign_id"]
    met = np.isin(pair, known)
    kinds, kind = np.unique(campaigns["campaign_type"], return_inverse=True)
    coupons = _read(folder / "coupons.parquet", ["product_id", "campaign_id"])
    of_campaign = coupons["campaign_id"] * 10**9 + coupons["product_id"]
    features = np.column_stack(
        [
            *_bought(folder, household, start, campaign, np.unique(of_campaign)),
            _before(household, start, household, start),
            _before(redeemed["household_id"], redeemed["redemption_date"], household, start),
            _before(household[met], end[met], household, start),
            (end - start) / _DAY,
            np.bincount(coupons["campaign_id"], minlength=100)[campaign],
        ]
    )
    # What was bought of the campaign stands last.
    features = features[:, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 6]]
    return {
        "household": household,
        "start": start,
        "met": met.astype(np.float64),
        "features": features,
        "kind": kind[place],
        "kinds": kinds,
    }


def _read(path: Path, names: list[str] | None = None) -> dict[str, np.ndarray]:
    """Read columns as arrays; times as int64 microseconds."""
    found = {}
    table = pq.read_table(path, columns=names)
    for name in table.column_names:
        column = table[name].combine_chunks()
        if str(column.type).startswith("timestamp"):
            column = pc.cast(pc.cast(column, "timestamp[us]", safe=False), "int64")
        found[name] = np.asarray(column.to_numpy(zero_copy_only=False))
    if "campaign_type" in found:
        order = np.argsort(found["campaign_id"])
        found = {name: part[order] for name, part in found.items()}
    return found


def _before(
    who: np.ndarray, when: np.ndarray, household: np.ndarray, start: np.ndarray, days: float | None = None
) -> np.ndarray:
    """Count what each household did before a moment, in the last days where they are given."""
    order = np.lexsort((when, who))
    edges = np.unique(start)
    found = _reach(who[order], when[order], edges, household, start)
    if days is not None:
        since = start - int(days * _DAY)
        found = found - _reach(who[order], when[order], np.unique(since), household, since)
    else:
        found = found - np.searchsorted(who[order], household)
    return found.astype(np.float64)


def _reach(
    who: np.ndarray, when: np.ndarray, edges: np.ndarray, household: np.ndarray, moment: np.ndarray
) -> np.ndarray:
    """Return how many of the sorted events lie before a household's moment, or belong to one before it."""
    width = len(edges) + 1
    key = who * width + np.searchsorted(edges, when, "right")
    return np.asarray(np.searchsorted(key, household * width + np.searchsorted(edges, moment), "right"))


def _bought(
    folder: Path, household: np.ndarray, start: np.ndarray, campaign: np.ndarray, of_campaign: np.ndarray
) -> list[np.ndarray]:
    """Return counts and sums of purchases before each campaign began."""
    names = ["household_id", "basket_id", "product_id", "sales_value", "coupon_disc", "transaction_timestamp"]
    bought = _read(folder / "transactions.parquet", names)
    order = np.lexsort((bought["transaction_timestamp"], bought["household_id"]))
    bought = {name: part[order] for name, part in bought.items()}
    who, when = bought["household_id"], bought["transaction_timestamp"]
    _, first = np.unique(bought["basket_id"], return_index=True)

    def window(values: np.ndarray, days: float) -> np.ndarray:
        total = np.append(0.0, np.cumsum(values))
        since = start - int(days * _DAY)
        stop = _reach(who, when, np.unique(start), household, start)
        return np.asarray(total[stop] - total[_reach(who, when, np.unique(since), household, since)])

    until = _reach(who, when, np.unique(start), household, start)
    none = until == np.searchsorted(who, household)
    recency = np.where(none, np.nan, (start - when[np.maximum(until - 1, 0)]) / _DAY)
    matching = np.zeros(len(household))
    for one in np.unique(campaign).tolist():
        mine = campaign == one
        offered = np.isin(bought["product_id"], of_campaign[of_campaign // 10**9 == one] % 10**9)
        matching[mine] = window(offered.astype(np.float64), 90)[mine]
    return [
        _before(who[first], when[first], household, start),
        _before(who[first], when[first], household, start, 28),
        window(bought["sales_value"], 28),
        window(bought["sales_value"], 90),
        recency,
        window((bought["coupon_disc"] > 0).astype(np.float64), 90),
        matching,
    ]
