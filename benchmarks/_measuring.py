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


class Peak:
    """How far memory rises above what it is now, without a thread that watches.

    Linux keeps the highest resident size and lets a process reset it. Elsewhere the highest since the start
    of the process counts, so that what was read before may hide a rise.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self._reset = True
        except OSError:
            self._reset = False
        self._before = self._process.memory_info().rss

    def mib_above(self) -> float:
        """Return the rise since this was made, in MiB."""
        return max(self._highest() - self._before, 0) / 2**20

    def _highest(self) -> int:
        if self._reset:
            status = Path("/proc/self/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024
        if sys.platform == "win32":
            return int(self._process.memory_info().peak_wset)
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_of_forked(n_workers: int, work: Callable[[], object]) -> list[Any]:
    """Fork workers that each do the work and then wait; return the memory of each while all are there.

    The last one is this process, from which they were forked.
    """
    children = []
    for _ in range(n_workers):
        read, write = os.pipe()
        hold_read, hold_write = os.pipe()
        child = os.fork()
        if not child:
            os.close(hold_write)
            work()
            os.write(write, b"x")
            os.read(hold_read, 1)
            os._exit(0)
        children.append((child, read, hold_write))
    for _, read, _ in children:
        os.read(read, 1)
    workers = [psutil.Process(child) for child, _, _ in children]
    memory = [process.memory_full_info() for process in (*workers, psutil.Process())]
    # A later child holds the pipes of the earlier ones too, so all are closed before the first is waited for.
    for _, _, hold in children:
        os.close(hold)
    for child, _, _ in children:
        os.waitpid(child, 0)
    return memory


def publish_drawn_model(path: Path, n_items: int, n_neighbours: int) -> None:
    """Save a recommender of item neighbours that are drawn rather than fitted, which would take far longer.

    To open and to read they are the same.
    """
    from engagelib import EventLog, Recommender, store

    rng = np.random.default_rng(0)
    customers = np.repeat(np.arange(-(-n_items // 50)), 50)[:n_items]
    # All items once, in any order, so that there are weights for each of them.
    log = EventLog.from_frame({"customer_id": customers, "item_id": rng.permutation(n_items)})
    Recommender("popularity").fit(log).save(path)
    saved = store.open_artifact(path)
    weights = {
        "indptr": np.arange(0, n_items * n_neighbours + 1, n_neighbours, dtype=np.int32),
        "indices": rng.integers(0, n_items, n_items * n_neighbours, dtype=np.int32),
        "data": rng.random(n_items * n_neighbours, dtype=np.float32),
    }
    arrays = {name: array for name, array in saved.arrays.items() if not name.startswith("models.0.")}
    arrays |= {f"models.0.{name}": array for name, array in weights.items()}
    models = [{"name": "item_knn", "params": {"n_neighbours": n_neighbours}}]
    store.publish(path, saved.kind, arrays, {**saved.meta, "models": models}, keep=0)


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
