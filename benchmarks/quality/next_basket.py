"""Predict the next basket of each customer, from dated baskets or from their order alone.

Lists are those of a plain call: the log decides which items are bought again. `recall_new` is of lists with
nothing bought before, judged by the items of the basket that the customer never bought before.
"""

import numpy as np

from benchmarks.quality.common import Run, ints, judged, log_of, main, relevant_of, say

KS = (10, 20)
NAMES = ("recall", "ndcg", "hit_rate")


def judge(run: Run) -> dict[str, float]:
    table = run.read("baskets.parquet")
    user, item, basket = (ints(table, name) for name in ("user_id", "item_id", "basket_index"))
    history = run.split(table, "history", "future")
    columns = {
        "customer_id": user[history],
        "item_id": item[history],
        "order_id": _numbers(user, basket)[history],
    }
    if "timestamp" in table.column_names:
        columns["timestamp"] = table["timestamp"].filter(history)
    else:
        columns["position"] = basket[history]
    log = log_of(columns)
    say(repr(log))
    future = ~history
    customers = run.sample_of(user[future])
    recommender = run.fitted(log)
    with run.clock("listing"):
        found = recommender.recommend_many(customers, k=max(KS))
    metrics = judged(found, relevant_of(customers, user[future], item[future], found.items), NAMES, KS)
    with run.clock("listing"):
        found = recommender.recommend_many(customers, k=max(KS), repeat=False)
    new = future & ~np.isin(_numbers(user, item), _numbers(user, item)[history])
    relevant = relevant_of(customers, user[new], item[new], found.items)
    new_alone = judged(found, relevant, ("recall",), KS)
    return metrics | {name.replace("recall", "recall_new"): value for name, value in new_alone.items()}


def _numbers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return one number for each pair."""
    _, number = np.unique(second, return_inverse=True)
    return first * (number.max(initial=0) + 1) + number


if __name__ == "__main__":
    main(judge, "next_basket", __doc__)
