"""Memory of workers on one model: forked from a process that has it open, or started apart."""

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import psutil

from benchmarks._measuring import memory_of_forked
from benchmarks.speed.data import Data
from benchmarks.speed.opening import prepare
from benchmarks.speed.suite import Benchmark, Comparison, SkippedError, Work

_N_ASKED = 2_000

_WORKER = """
import sys
import engagelib
recommender = engagelib.load({path!r})
for customer in {customers!r}:
    recommender.recommend(customer)
print("ready", flush=True)
sys.stdin.readline()
"""


def _customers(data: Data) -> list[int]:
    n = data.size.n_model_items // 50
    found: list[int] = np.random.default_rng(1).permutation(n)[:_N_ASKED].tolist()
    return found


def forked(data: Data, n_workers: int) -> Work:
    import os

    if not hasattr(os, "fork") or not sys.platform.startswith("linux"):
        raise SkippedError("proportional memory is read on Linux alone")
    import engagelib

    recommender = engagelib.load(data.folder / "opened.engage")
    customers = _customers(data)
    recommender.recommend(customers[0])

    def answer_all() -> None:
        for customer in customers:
            recommender.recommend(customer)

    return Work(
        lambda: memory_of_forked(n_workers, answer_all),
        units=n_workers,
        figures=partial(_summed, data=data),
    )


def apart(data: Data, n_workers: int) -> Work:
    if not sys.platform.startswith("linux"):
        raise SkippedError("proportional memory is read on Linux alone")
    code = _WORKER.format(path=str(data.folder / "opened.engage"), customers=_customers(data))

    def run() -> list[Any]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        workers = [
            subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) for _ in range(n_workers)
        ]
        for worker in workers:
            assert worker.stdout
            worker.stdout.readline()
        memory = [psutil.Process(worker.pid).memory_full_info() for worker in workers]
        for worker in workers:
            worker.communicate("\n")
        return memory

    return Work(run, units=n_workers, figures=partial(_summed, data=data))


def _summed(memory: list[Any], data: Data) -> dict[str, float]:
    mib = 2**20
    return {
        "peak_mib": sum(found.pss for found in memory) / mib,
        "private_mib": sum(found.uss for found in memory) / mib,
        "resident_mib": sum(found.rss for found in memory) / mib,
        "model_mib": data.facts("opened")["gib"] * 1024,
        # What workers did is not in this process's time.
        "cpu_seconds": 0.0,
    }


BENCHMARKS = (
    Benchmark(
        "memory",
        f"workers that answered {_N_ASKED:,} customers each; peak is the proportional memory of all together",
        "workers",
        prepare,
        {
            "1 process": partial(apart, n_workers=1),
            "4 processes, started apart": partial(apart, n_workers=4),
            "4 forked workers and their parent": partial(forked, n_workers=4),
        },
        (
            Comparison("4 processes, started apart", "1 process", "peak_mib", share=True),
            Comparison("4 forked workers and their parent", "1 process", "peak_mib", share=True),
        ),
    ),
)
