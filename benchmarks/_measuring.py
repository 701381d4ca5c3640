"""Measuring: CPU and wall time of a block or a call, and running each task in a process of its own."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

Task = Callable[[Path, int], dict[str, float]]


class Watch:
    """CPU and wall time of a block, and how far memory rose above what it was before."""

    def __enter__(self) -> "Watch":
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._running = True
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s, self.wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self._running = False
        self._sampler.join()
        self.gib_above = (self._peak - self._before) / 2**30

    def _sample(self) -> None:
        while self._running:
            self._peak = max(self._peak, self._process.memory_info().rss)
            time.sleep(0.01)


def per_call_us(call: Callable[[Any], object], arguments: list[Any]) -> dict[str, float]:
    """Median and 99th percentile of a call's wall time in microseconds, and its mean CPU time."""
    for argument in arguments[:50]:
        call(argument)
    walls = []
    cpu = time.process_time()
    for argument in arguments:
        begin = time.perf_counter()
        call(argument)
        walls.append(time.perf_counter() - begin)
    cpu = time.process_time() - cpu
    median, p99 = np.percentile(walls, [50, 99]) * 1e6
    return {"median_us": float(median), "p99_us": float(p99), "cpu_us": cpu / len(arguments) * 1e6}


def versions() -> dict[str, str]:
    """Say what was measured on what."""
    from importlib.metadata import version

    names = ("engagelib", "numpy", "scipy", "pyarrow")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {load}",
    }


def run_tasks(
    module: str,
    about: str | None,
    tasks: Mapping[str, Task],
    prepare: Callable[[Path, int], None],
    n_events: int,
) -> None:
    """Run every task in a process of its own, on what `prepare` made; with `--task`, one of them in this one.

    Each task gets the folder and the number of events; its figures are printed, and written as JSON where
    asked.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--events", type=int, default=n_events, help="rows of the log")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--task", choices=sorted(tasks), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(tasks[options.task](options.folder, options.events)))
        return
    figures: dict[str, Any] = {"versions": versions()}
    print("  ".join(f"{name} {value}" for name, value in figures["versions"].items()))
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options.events)
        for chosen, function in tasks.items():
            command = [sys.executable, "-m", module, "--task", chosen, "--folder", name]
            output = subprocess.check_output([*command, "--events", str(options.events)])
            figures[chosen] = json.loads(output)
            print(f"\n{chosen}: {(function.__doc__ or '').splitlines()[0]}")
            for key, value in figures[chosen].items():
                print(f"  {key:<28} {value:>14,.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
