"""RecTools answering for one customer, run by a Python of its own, which needs nothing else from here.

`python rectools_peer.py HISTORY_FOLDER ROWS.npy N_CALLS` prints its figures as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from implicit.nearest_neighbours import CosineRecommender
from rectools.dataset import Dataset
from rectools.models import ImplicitItemKNNWrapperModel

K = 10


def main(history: str, rows: str, n_calls: str) -> None:
    """Fit on the histories and time single calls."""
    parts = {name: np.load(Path(history) / f"{name}.npy") for name in ("indptr", "indices", "data")}
    customer = np.repeat(np.arange(len(parts["indptr"]) - 1), np.diff(parts["indptr"]))
    table = pd.DataFrame(
        {
            "user_id": customer,
            "item_id": parts["indices"],
            "weight": parts["data"],
            "datetime": pd.Timestamp("2025-01-01"),
        }
    )
    dataset = Dataset.construct(table)
    model = ImplicitItemKNNWrapperModel(CosineRecommender(K=100, num_threads=1))
    model.fit(dataset)
    known = set(customer.tolist())
    asked = [row for row in np.load(rows).tolist() if row in known][: int(n_calls) + 5]

    def ask(row: int) -> list:
        found = model.recommend(users=[row], dataset=dataset, k=K, filter_viewed=True)
        return found["item_id"].tolist()

    for row in asked[-5:]:
        ask(row)
    taken = []
    for row in asked[:-5]:
        begin = time.thread_time_ns()
        ask(row)
        taken.append(time.thread_time_ns() - begin)
    median, p99 = np.percentile(taken, [50, 99]) / 1e3
    seconds = sum(taken) / 1e9
    print(json.dumps({"median_us": median, "p99_us": p99, "cpu_seconds": seconds, "units": len(taken)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
