"""Cases that the tests of value share: simulated customers, small logs, and formulas for one customer."""

import math
from decimal import Decimal, getcontext

import numpy as np
from hypothesis import strategies as st

import engagelib as eg
from engagelib.actions.value import PurchaseSummary

DAY = 86_400_000_000
TRUTH = (0.6, 20.0, 0.9, 3.0)
MONEY_TRUTH = (5.0, 4.0, 30.0)

POSITIVE = st.floats(0.05, 20)
CUSTOMERS = st.lists(
    st.tuples(st.integers(0, 12), st.floats(0, 1), st.floats(0.5, 300)), min_size=1, max_size=8
).map(lambda rows: [(x, (part * age if x else 0.0), age) for x, part, age in rows])


def simulated(n, rng=0, *, truth=TRUTH, money=MONEY_TRUTH, days=(200, 600), until=0.0):
    """Draw customers by the story that the models tell.

    Returns the summary, and how many purchases each makes in the `until` days after it.
    """
    rng = np.random.default_rng(rng)
    r, alpha, a, b = truth
    rate, drop = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n)
    age = np.floor(rng.uniform(*days, n))
    x, recency, clock, later = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    alive = np.arange(n)
    while len(alive):
        clock[alive] += rng.exponential(1 / rate[alive])
        alive = alive[clock[alive] <= age[alive] + until]
        seen = alive[clock[alive] <= age[alive]]
        x[seen] += 1
        recency[seen] = clock[seen]
        later[alive[clock[alive] > age[alive]]] += 1
        alive = alive[rng.random(len(alive)) > drop[alive]]
    p, q, v = money
    count = np.maximum(x, 1)
    mean_value = rng.gamma(p * count) / rng.gamma(q, 1 / v, n) / count
    return PurchaseSummary.from_columns(x, recency, age, mean_value), later


def log_likelihood_of(parameters, x, recency, age):
    """Fader, Hardie and Lee (2005), equation 3 and appendix: one customer, by gamma functions."""
    r, alpha, a, b = parameters
    beta = math.lgamma(a + b) + math.lgamma(b + x) - math.lgamma(b) - math.lgamma(a + b + x)
    first = math.lgamma(r + x) - math.lgamma(r) + r * math.log(alpha) + beta
    alive = (alpha + age) ** -(r + x)
    gone = a / (b + x - 1) * (alpha + recency) ** -(r + x) if x > 0 else 0.0
    return first + math.log(alive + gone)


def money_log_likelihood_of(parameters, x, mean):
    """Fader and Hardie (2013), equation 1a: one customer."""
    p, q, v = parameters
    return (
        math.lgamma(p * x + q)
        - math.lgamma(p * x)
        - math.lgamma(q)
        + q * math.log(v)
        + (p * x - 1) * math.log(mean)
        + p * x * math.log(x)
        - (p * x + q) * math.log(v + x * mean)
    )


def expected_purchases_of(parameters, x, recency, age, horizon):
    """Fader, Hardie and Lee (2005), equation 10, in 80 digits: the hypergeometric series as it is printed."""
    getcontext().prec = 80
    r, alpha, a, b = map(Decimal, parameters)
    x, recency, age, horizon = Decimal(x), Decimal(recency), Decimal(age), Decimal(horizon)
    top, middle, below, z = r + x, b + x, a + b + x - 1, horizon / (alpha + age + horizon)
    term = total = Decimal(1)
    k = 0
    while abs(term) > Decimal(10) ** -60 * abs(total) or k < 20:
        term *= (top + k) * (middle + k) / ((below + k) * (k + 1)) * z
        total += term
        k += 1
    shrink = ((top) * ((alpha + age) / (alpha + age + horizon)).ln()).exp()
    alive = 1 - shrink * total
    gone = a / (b + x - 1) * (top * ((alpha + age) / (alpha + recency)).ln()).exp() if x > 0 else 0
    return float((a + b + x - 1) / (a - 1) * alive / (1 + gone))


def log_of(rows):
    """Make histories of rows (customer, item, day, value, order, event type)."""
    names = ("customer_id", "item_id", "timestamp", "value", "order_id", "event_type")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    start = np.datetime64("2024-01-01T00:00")
    columns["timestamp"] = [start + np.timedelta64(round(day * 24 * 60), "m") for day in columns["timestamp"]]
    columns["timestamp"] = np.array(columns["timestamp"], "datetime64[us]")
    if all(order is None for order in columns["order_id"]):
        del columns["order_id"]
    return eg.Histories.from_log(eg.EventLog.from_frame(columns))


def day_of(day):
    """Return the microseconds of a day of these logs."""
    return int(np.datetime64("2024-01-01", "us").astype(np.int64)) + round(day * DAY)


def shop(n=400, rng=0):
    """Make histories of simulated shoppers, with views besides, over 400 days."""
    generator = np.random.default_rng(rng)
    rate, drop = generator.gamma(1.5, 1 / 45, n), generator.beta(1, 6, n)
    rows = []
    for customer in range(n):
        day = generator.uniform(0, 250)
        while day < 400:
            money = round(float(generator.gamma(4, 10)), 2)
            rows.append((customer, int(generator.integers(50)), day, money, None, "purchase"))
            rows.append((customer, int(generator.integers(50)), day, None, None, "view"))
            if generator.random() < drop[customer]:
                break
            day += generator.exponential(1 / rate[customer])
    return log_of(rows)
