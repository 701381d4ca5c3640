"""Predict the next click of a visit from the clicks before it, among all items, those clicked already too.

Visits are anonymous, of views alone; each prefix of the test is a visit that goes on now.
"""

import numpy as np
import pyarrow as pa

from benchmarks.quality.common import Run, ints, judged, log_of, main, relevant_of, say

KS = (10, 20)
NAMES = ("recall", "mrr", "ndcg")


def judge(run: Run) -> dict[str, float]:
    table, test = run.read("train_sessions.parquet"), run.read("test_prefix_target.parquet")
    items = table["items"].combine_chunks()
    lengths = items.value_lengths().to_numpy()
    starts = np.cumsum(lengths) - lengths
    n_clicks = int(lengths.sum())
    log = log_of(
        {
            "customer_id": pa.nulls(n_clicks, pa.int64()),
            "session_id": np.repeat(ints(table, "session_id"), lengths),
            "item_id": items.flatten().to_numpy().astype(np.int64),
            "position": np.arange(n_clicks) - np.repeat(starts, lengths),
            "event_type": ["view"] * n_clicks,
        }
    )
    say(repr(log))
    test = test.take(run.sample_of(np.arange(len(test))))
    recommender = run.fitted(log)
    with run.clock("listing"):
        found = recommender.recommend_many(sessions=test["prefix"], k=max(KS), exclude_seen="none")
    number = np.arange(len(test))
    relevant = relevant_of(number, number, ints(test, "target"), found.items)
    return judged(found, relevant, NAMES, KS)


if __name__ == "__main__":
    main(judge, "sessions", __doc__)
