"""Predict one held-out purchase of each customer from what they viewed, put into carts and bought.

Lists leave out what was bought. Under `unseen.` they leave out all that the customer met, as if only items
that are new to the customer could be shown.
"""

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.quality.common import Run, ints, judged, log_of, main, relevant_of, say

KS = (10, 20)
NAMES = ("hit_rate", "ndcg", "mrr")


def judge(run: Run) -> dict[str, float]:
    table = run.read_one("events_train.parquet", "interactions_train.parquet")
    test = run.read("heldout_buy_test.parquet")
    kind = table["event_type"].cast(pa.string())
    columns = {
        "customer_id": ints(table, "user_id"),
        "item_id": ints(table, "item_id"),
        "event_type": pc.replace_substring_regex(kind, "^buy$", "purchase"),
    }
    if "timestamp" in table.column_names:
        columns["timestamp"] = table["timestamp"]
    log = log_of(columns)
    say(repr(log))
    owners, items = ints(test, "user_id"), ints(test, "item_id")
    customers = run.sample_of(owners)
    recommender = run.fitted(log)
    metrics: dict[str, float] = {}
    for prefix, exclude_seen in (("", "purchased"), ("unseen.", "any")):
        with run.clock("listing"):
            found = recommender.recommend_many(customers, k=max(KS), exclude_seen=exclude_seen)
        metrics |= judged(found, relevant_of(customers, owners, items, found.items), NAMES, KS, prefix)
    return metrics


if __name__ == "__main__":
    main(judge, "purchases", __doc__)
