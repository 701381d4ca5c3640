"""Leave the last item of each customer out, and rank all items for it.

Models learn from all but the last two items of each customer, and the second stage from the last but one.
Then the last but one is observed, and the last is asked for. Under `refit.` stand the figures of models that
learned from the last but one too.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.quality.common import Run, ints, judged, log_of, main, relevant_of, say

KS = (10, 20)
NAMES = ("recall", "ndcg", "mrr")


def judge(run: Run) -> dict[str, float]:
    table = run.read("sequences.parquet")
    user, item, position = (ints(table, name) for name in ("user_id", "item_id", "position"))
    order = np.lexsort((position, user))
    user, item, position = user[order], item[order], position[order]
    ends = np.append(np.flatnonzero(user[1:] != user[:-1]), len(user) - 1)
    behind = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(user))
    last, before_last, train = behind == 0, behind == 1, behind > 1

    def part(which: np.ndarray) -> dict[str, np.ndarray]:
        return {"customer_id": user[which], "item_id": item[which], "position": position[which]}

    customers = run.sample_of(user[last & np.isin(user, user[train])])
    log, validation = log_of(part(train)), log_of(part(before_last))
    say(repr(log))

    def figures(recommender: Any, prefix: str) -> dict[str, float]:
        with run.clock("listing"):
            found = recommender.recommend_many(customers, k=max(KS))
        relevant = relevant_of(customers, user[last], item[last], found.items)
        return judged(found, relevant, NAMES, KS, prefix)

    recommender = run.recommender()
    with run.clock("fit"):
        recommender.fit(log, validation, refit=False)
    run.learned(recommender)
    asked = before_last & np.isin(user, customers)
    with run.clock("observing"):
        recommender.observe(pa.table(part(asked)).to_pylist())
    metrics = figures(recommender, "")
    if not run.skip_refit:
        recommender = run.recommender()
        with run.clock("refit.fit"):
            recommender.fit(log, validation, refit=True)
        metrics |= figures(recommender, "refit.")
    return metrics


if __name__ == "__main__":
    main(judge, "leave_last_out", __doc__)
