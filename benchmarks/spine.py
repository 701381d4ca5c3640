"""The figures of docs/figures.md: reading a log, looking an id up, opening a model, answering, the demo.

`python -m benchmarks.spine [--events N] [--json FILE]`. Each measurement runs in a process of its own, on
data made by the library. CPU time comes first, since other work on the machine disturbs it least.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks._measuring import Task, Watch, per_call_us, publish_drawn_model, run_tasks

_TASKS: dict[str, Task] = {}


def task(function: Task) -> Task:
    """Register a measurement under its name."""
    _TASKS[function.__name__] = function
    return function


@task
def ingest(folder: Path, n_events: int) -> dict[str, float]:
    """Turn a table of events with string ids into Histories."""
    import pyarrow.parquet as pq

    from engagelib import EventLog, Histories

    table = pq.read_table(folder / "events.parquet")
    with Watch() as watch:
        log = EventLog.from_frame(table)
        histories = Histories.from_log(log)
    with Watch() as drawing:
        histories.matrix(half_life_days=60)
    return {
        "rows": len(table),
        "input_gib": table.nbytes / 2**30,
        "cpu_s": watch.cpu_s,
        "wall_s": watch.wall_s,
        "gib_above_input": watch.gib_above,
        "matrix_cpu_s": drawing.cpu_s,
    }


@task
def lookup(folder: Path, n_events: int) -> dict[str, float]:
    """Find single ids among as many string ids as there are events."""
    import pyarrow as pa

    from engagelib import Vocabulary

    digits = pa.array(np.arange(0, 3 * n_events, 3)).cast(pa.string())
    ids = pa.compute.binary_join_element_wise("customer-", digits, "")
    with Watch() as watch:
        vocabulary = Vocabulary.from_values(ids)
    asked = vocabulary.ids(np.random.default_rng(0).integers(0, len(vocabulary), 20_000).tolist())
    return {"ids": len(vocabulary), "build_cpu_s": watch.cpu_s, **per_call_us(vocabulary.find, asked)}


@task
def open_model(folder: Path, n_events: int) -> dict[str, float]:
    """Load a recommender of about a gigabyte and answer once, from the disk and from memory."""
    import engagelib
    from engagelib import store

    path = folder / "large.engage"
    publish_drawn_model(path, n_items=1_000_000, n_neighbours=100)

    figures = {"gib": store.open_artifact(path).size_bytes / 2**30}
    if _forget_pages(path):
        begin = time.perf_counter()
        recommender = engagelib.load(path)
        loaded = time.perf_counter()
        recommender.recommend(0)
        figures["cold_load_ms"] = (loaded - begin) * 1e3
        figures["cold_first_answer_ms"] = (time.perf_counter() - loaded) * 1e3
    begin = time.perf_counter()
    recommender = engagelib.load(path)
    loaded = time.perf_counter()
    recommender.recommend(0)
    figures["warm_first_answer_ms"] = (time.perf_counter() - loaded) * 1e3
    return {**figures, **per_call_us(lambda _: engagelib.load(path), [None] * 100)}


def _forget_pages(folder: Path) -> bool:
    """Drop what the system holds of the files in memory; False where there is no such call."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for file in folder.rglob("*.npy"):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


@task
def first_answer(folder: Path, n_events: int) -> dict[str, float]:
    """Import the library, open the bundled shop's model and answer once, in a new process."""
    from engagelib import Recommender
    from engagelib.datasets import load_online_retail

    Recommender().fit(load_online_retail()).save(folder / "shop.engage")
    code = (
        "import time, engagelib; "
        f"engagelib.load({str(folder / 'shop.engage')!r}).recommend(12583); "
        "print(time.process_time())"
    )
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    return {"cpu_s": float(np.median(runs))}


@task
def answer(folder: Path, n_events: int) -> dict[str, float]:
    """Answer for single customers and for all of the bundled shop."""
    from engagelib import Recommender
    from engagelib.datasets import load_online_retail

    log = load_online_retail()
    with Watch() as fitting:
        recommender = Recommender().fit(log)
    customers = list(recommender.customers_)
    with Watch() as everyone:
        recommender.recommend_many()
    return {
        "fit_cpu_s": fitting.cpu_s,
        "customers_per_cpu_s": len(customers) / everyone.cpu_s,
        **per_call_us(recommender.recommend, customers[:2000]),
    }


@task
def demo(folder: Path, n_events: int) -> dict[str, float]:
    """Run `engagelib demo` as a user would."""
    before, begin = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "engagelib.cli", "demo"], check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_s": time.perf_counter() - begin, "cpu_s": cpu}


def make_events(folder: Path, n_events: int) -> None:
    """Write a synthetic log with string ids."""
    import pyarrow.parquet as pq

    from engagelib.datasets import make_shop_tables

    n_customers, n_items = max(n_events // 50, 10), max(n_events // 200, 10)
    events = make_shop_tables(n_customers, n_items, n_events, rng=0)[0]
    columns = ["customer_id", "item_id", "event_type", "timestamp", "session_id"]
    pq.write_table(events.select(columns), folder / "events.parquet")


if __name__ == "__main__":
    run_tasks("benchmarks.spine", __doc__, _TASKS, make_events, 10_000_000)
