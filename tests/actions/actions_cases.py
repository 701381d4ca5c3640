"""A small shop with all that actions ask about: several channels, returns, ratings, complaints, surveys."""

from datetime import UTC, datetime, timedelta

import numpy as np

from engagelib import Action, ContactLimit, EventLog

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=300)

ITEMS = {
    "item_id": [f"i{number:02d}" for number in range(20)],
    "category": ["lamps" if number % 2 else "rugs" for number in range(20)],
}


def shop_log(n_customers=300, *, rng=0, n_days=300):
    """Return the log of a shop whose customers buy at rates of their own, some of them no more."""
    rng = np.random.default_rng(rng)
    rows = []
    for customer in range(n_customers):
        rate = rng.gamma(1.2, 0.02)
        ends = n_days if rng.random() < 0.6 else rng.uniform(20, n_days)
        day = rng.uniform(0, n_days * 0.7)
        while day < ends:
            channel = ["web", "app", "store"][int(rng.integers(3))]
            item = f"i{int(rng.integers(20)):02d}"
            kind = "purchase" if rng.random() < 0.4 else "view"
            rows.append((customer, day, kind, item, channel, round(float(rng.gamma(2, 15)) + 1, 2), np.nan))
            if kind == "purchase" and rng.random() < 0.1:
                rows.append((customer, day + 2.0, "return", item, channel, -rows[-1][5], np.nan))
            if kind == "purchase" and rng.random() < 0.3:
                rows.append((customer, day + 3.0, "rating", item, channel, np.nan, int(rng.integers(1, 6))))
            if rng.random() < 0.02:
                rows.append((customer, day + 1.0, "complaint", None, channel, np.nan, np.nan))
            day += rng.exponential(0.4 / rate)
    rows = [row for row in rows if row[1] < n_days]
    columns = list(zip(*rows, strict=True))
    return EventLog.from_frame(
        {
            "customer_id": [f"k{customer:03d}" for customer in columns[0]],
            "timestamp": [START + timedelta(days=day) for day in columns[1]],
            "event_type": list(columns[2]),
            "item_id": list(columns[3]),
            "channel": list(columns[4]),
            "value": list(columns[5]),
            "rating": list(columns[6]),
        },
        items=ITEMS,
    )


def shop_actions():
    """Return actions with rules of every kind."""
    return [
        Action("review", value=2, cost=0.05, success="rating", kind="review", channels=["web", "app"],
               applicable={"days_since_purchase": {"max": 30}}, cooldown="30d"),
        Action("win-back", value={"feature": "expected_value", "times": 0.3}, cost=0.5, kind="offer",
               applicable={"stage": ["lapsing", "lost"]}, benefit=5.0),
        Action("refer", value=20, cost=0.1, success="referral", kind="referral",
               eligible={"stage": ["loyal", "advocacy", "referral"]}),
        Action("lamp-offer", value=8, cost=0.2, kind="offer", items=["i01"], benefit=3.0, lever=1.5,
               limits=[ContactLimit(1, "7d", channel="web")]),
        Action("old", value=100, starts="2024-01-01", ends="2024-02-01"),
    ]  # fmt: skip


def decisions_table(log, *, n=4000, rng=1, effect=lambda n_bought: 0.1, actions=("lamp-offer",), alone=0.3):
    """Return random decisions about customers of a log, and outcomes with a known effect."""
    rng = np.random.default_rng(rng)
    customers = list(log.customers)
    bought = log.columns["event_type"] == log.vocabularies["event_type"].find("purchase")
    counts = np.bincount(log.columns["customer_id"][bought], minlength=len(customers))
    who = rng.integers(0, len(customers), n)
    names = ["nothing", *actions]
    chances = np.array([alone, *[(1 - alone) / len(actions)] * len(actions)])
    action = rng.choice(len(names), n, p=chances)
    p = 0.15 + np.where(action > 0, effect(counts[who]), 0.0)
    return {
        "customer_id": [customers[row] for row in who.tolist()],
        "at": [NOW - timedelta(hours=float(hours)) for hours in rng.uniform(24, 24 * 60, n)],
        "action": [names[place] for place in action.tolist()],
        "p_logged": chances[action],
        "outcome": (rng.random(n) < p).astype(float),
    }
