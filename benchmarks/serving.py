"""The figures of docs/figures.md on serving: availability, live events, forked workers, many threads.

`python -m benchmarks.serving [--events N] [--json FILE]`. Each measurement runs in a process of its own, on a
made-up shop. Of two ways to answer, calls take turns within one process, and the ratio counts.
"""

import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks._measuring import Task, memory_of_forked, per_call_us, run_tasks

_TASKS: dict[str, Task] = {}
_N_WORKERS = 4


def task(function: Task) -> Task:
    """Register a measurement under its name."""
    _TASKS[function.__name__] = function
    return function


def make_model(folder: Path, n_events: int) -> None:
    """Fit and save a shop, and a table of what can be had."""
    import pyarrow.parquet as pq

    from engagelib import EventLog, Recommender
    from engagelib.datasets import make_shop_tables

    n_customers, n_items = max(n_events // 40, 50), max(n_events // 100, 50)
    events, items, availability = make_shop_tables(n_customers, n_items, n_events, rng=0)
    log = EventLog.from_frame(events, items=items, max_events_per_customer=n_events)
    Recommender("item_knn").fit(log).save(folder / "shop.engage")
    pq.write_table(availability, folder / "availability.parquet")


@task
def masked(folder: Path, n_events: int) -> dict[str, float]:
    """Answer with and without availability, in turns."""
    import engagelib as eg

    plain, bound = eg.load(folder / "shop.engage"), eg.load(folder / "shop.engage")
    bound.availability = eg.Availability.from_frame(folder / "availability.parquet")
    customers = _customers(plain, 3000)
    calls = {
        "unmasked": plain.recommend,
        "masked": lambda customer: bound.recommend(customer, channel="web", at="2026-01-01"),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for customer in customers[:200]:
        for call in calls.values():
            call(customer)
    for customer in customers:
        for name, call in calls.items():
            begin = time.thread_time()
            call(customer)
            times[name].append(time.thread_time() - begin)
    figures = {f"{name}_median_us": statistics.median(taken) * 1e6 for name, taken in times.items()}
    return {
        "items": len(plain.items_),
        **figures,
        "ratio": figures["masked_median_us"] / figures["unmasked_median_us"],
    }


@task
def update(folder: Path, n_events: int) -> dict[str, float]:
    """Change what can be had, with the masks of three channels at hand."""
    import engagelib as eg

    shop = eg.load(folder / "shop.engage")
    available = eg.Availability.from_frame(folder / "availability.parquet")
    begin = time.perf_counter()
    shop.availability = available
    figures = {"rows": available.n_rows, "assign_ms": (time.perf_counter() - begin) * 1e3}
    for channel in ("web", "app", None):
        shop.recommend(None, channel=channel, at="2026-01-01")
    rng = np.random.default_rng(0)
    items = shop.items_.ids(rng.permutation(len(shop.items_)).tolist())
    for n in (1, 1000):
        asked = [(items[place : place + n], place % 2 == 0) for place in range(300 if n == 1 else 30)]
        found = per_call_us(lambda ask: available.update(*ask), asked)
        figures |= {f"{n}_items_{name}": value for name, value in found.items() if name != "cpu_us"}
    return figures


@task
def observe(folder: Path, n_events: int) -> dict[str, float]:
    """Take note of one event, and answer the customer whom it is about."""
    import engagelib as eg

    shop = eg.load(folder / "shop.engage")
    customers, items = _customers(shop, 5000), shop.items_.ids(range(100))
    events = [
        {"customer_id": customer, "item_id": items[place % 100], "timestamp": "2026-01-01T10:00:00"}
        for place, customer in enumerate(customers)
    ]
    found = per_call_us(shop.observe, events)
    before = per_call_us(eg.load(folder / "shop.engage").recommend, customers[:1000])
    first = per_call_us(shop.recommend, customers[1000:2000])
    later = per_call_us(shop.recommend, customers[1000:2000])
    return {
        "observe_median_us": found["median_us"],
        "observe_p99_us": found["p99_us"],
        "answer_untouched_median_us": before["median_us"],
        "first_answer_after_median_us": first["median_us"],
        "next_answer_after_median_us": later["median_us"],
    }


@task
def workers(folder: Path, n_events: int) -> dict[str, float]:
    """Fork four workers from a warm parent, let each answer, and read their memory."""
    import engagelib as eg

    shop = eg.load(folder / "shop.engage")
    customers = _customers(shop, 2000)
    shop.recommend(customers[0])

    def answer_all():
        for customer in customers:
            shop.recommend(customer)

    memory = memory_of_forked(_N_WORKERS, answer_all)[:-1]
    mib = 2**20
    return {
        "model_mib": sum(file.stat().st_size for file in folder.rglob("*.npy")) / mib,
        "workers": _N_WORKERS,
        "resident_mib_each": statistics.mean(found.rss for found in memory) / mib,
        "proportional_mib_each": statistics.mean(found.pss for found in memory) / mib,
        "private_mib_each": statistics.mean(found.uss for found in memory) / mib,
        "proportional_mib_all": sum(found.pss for found in memory) / mib,
    }


@task
def threads(folder: Path, n_events: int) -> dict[str, float]:
    """Let 16 threads ask while one observes, one changes availability and one swaps the model, for 20 s."""
    import engagelib as eg

    paths = folder / "shop.engage", folder / "other.engage"
    shop = eg.load(paths[0])
    shop.save(paths[1])
    customers, items = _customers(shop, 2000), shop.items_.ids(range(200))
    shop.availability = eg.Availability.from_frame({"item_id": list(shop.items_)})
    done, counts, failures, swaps = threading.Event(), [0] * 16, [], [0, 0, 0]

    def guarded(work, number):
        while not done.is_set():
            try:
                work(number)
            except Exception as error:
                failures.append(error)

    def read(number):
        place = counts[number]
        found = shop.recommend(customers[(place * 16 + number) % len(customers)], channel="web")
        assert len(found) == 10
        counts[number] += 1

    def write(_):
        shop.observe({"customer_id": customers[swaps[0] % len(customers)], "item_id": items[swaps[0] % 200]})
        swaps[0] += 1

    def turn_over(_):
        shop.availability.update([items[swaps[1] % 200]], swaps[1] % 2 == 0)
        swaps[1] += 1
        time.sleep(0.001)

    def swap(_):
        assert shop.reload(paths[swaps[2] % 2])
        swaps[2] += 1
        time.sleep(0.01)

    crew = [threading.Thread(target=guarded, args=(read, number)) for number in range(16)]
    crew += [threading.Thread(target=guarded, args=(work, 0)) for work in (write, turn_over, swap)]
    sys.setswitchinterval(1e-3)
    for thread in crew:
        thread.start()
    done.wait(20)
    done.set()
    for thread in crew:
        thread.join()
    names = ("events_observed", "availability_updates", "models_swapped")
    return {"requests": sum(counts), "failures": len(failures), **dict(zip(names, swaps, strict=True))}


def _customers(shop, n):
    rng = np.random.default_rng(1)
    return shop.customers_.ids(rng.permutation(len(shop.customers_))[:n].tolist())


if __name__ == "__main__":
    run_tasks("benchmarks.serving", __doc__, _TASKS, make_model, 2_000_000)
