"""Predict what a random split took out of each customer's items; nothing is known of order or time.

Recall is divided by the number of items taken out; the best list of NDCG is as long as k or as there are.
"""

from benchmarks.quality.common import Run, ints, judged, log_of, main, relevant_of, say

KS = (10, 20)
NAMES = ("recall", "ndcg", "hit_rate")


def judge(run: Run) -> dict[str, float]:
    table = run.read("interactions.parquet")
    user, item, train = ints(table, "user_id"), ints(table, "item_id"), run.split(table, "train", "test")
    log = log_of({"customer_id": user[train], "item_id": item[train]})
    say(repr(log))
    customers = run.sample_of(user[~train])
    recommender = run.fitted(log)
    with run.clock("listing"):
        found = recommender.recommend_many(customers, k=max(KS))
    relevant = relevant_of(customers, user[~train], item[~train], found.items)
    return judged(found, relevant, NAMES, KS)


if __name__ == "__main__":
    main(judge, "random_split", __doc__)
