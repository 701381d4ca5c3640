"""Running: contenders take turns, each in a process of its own, and their medians and ratios are drawn up."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.speed.suite import Benchmark, Comparison

Figures = dict[str, Any]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
)
_MEASURES = ("cpu_seconds", "wall_seconds", "peak_mib")


def run_benchmark(
    benchmark: Benchmark, folder: Path, size: str, repeat: int, say: Callable[[str], None]
) -> tuple[Figures, list[Figures]]:
    """Prepare the data, let the contenders take turns, and return facts about the run and its rows."""
    say(f"{benchmark.name}: {benchmark.about}")
    begin = time.perf_counter()
    ready = _child(benchmark, "prepare", folder, size, n_threads=os.cpu_count() or 1)
    if "skipped" in ready:
        say(f"  {_shown(ready)}")
    prepared, before = time.perf_counter(), os.getloadavg()[0]
    rounds: list[dict[str, Figures]] = []
    out: dict[str, Figures] = dict.fromkeys(benchmark.contenders, ready) if "skipped" in ready else {}
    for turn in range(repeat):
        rounds.append({})
        for name in benchmark.contenders:
            if name in out:
                continue
            found = _child(benchmark, name, folder, size, benchmark.threads.get(name, 1))
            if "skipped" in found:
                out[name] = found
            else:
                rounds[-1][name] = found
            say(f"  {turn + 1}/{repeat}  {name:<44} {_shown(found)}")
    facts = {
        "benchmark": benchmark.name,
        "about": benchmark.about,
        "unit": benchmark.unit,
        "load_before": round(before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "prepare_seconds": round(prepared - begin, 1),
        "seconds": round(time.perf_counter() - prepared, 1),
    }
    return facts, draw_rows(benchmark, rounds, out, size)


def draw_rows(
    benchmark: Benchmark, rounds: list[dict[str, Figures]], out: dict[str, Figures], size: str
) -> list[Figures]:
    """Return one row for each contender and thing that it is compared by.

    Measures are medians over rounds; a ratio is the median of those within a round, since its contenders
    met the same load.
    """
    rows = []
    for name in benchmark.contenders:
        runs = [found[name] for found in rounds if name in found and name not in out]
        row = {"benchmark": benchmark.name, "contender": name, "size": size, **_medians(runs)}
        if name in out:
            row["note"] = out[name]["skipped"]
        compared = [each for each in benchmark.comparisons if each.contender == name] if runs else []
        judged = [_judged(each, rounds, row, size) for each in compared]
        rows += [row | each for each in [found for found in judged if found] or [_UNJUDGED]]
    if benchmark.axis:
        rows.append(_exponent(benchmark, rows, size))
    return rows


_UNJUDGED: Figures = {"measure": None, "ratio_to": None, "ratio_is": None, "ratio": None} | dict.fromkeys(
    ("ratio_lowest", "ratio_highest", "target", "reached")
)


def _medians(runs: list[Figures]) -> Figures:
    if not runs:
        return dict.fromkeys((*_MEASURES, "units_per_cpu_second"))
    units, cpu = runs[0]["units"], median(run["cpu_seconds"] for run in runs)
    found: Figures = {name: median(run[name] for run in runs) for name in _MEASURES}
    found["units_per_cpu_second"] = units / cpu if cpu else None
    others = {}
    for name, value in runs[0].items():
        if name not in (*_MEASURES, "units"):
            values = [run[name] for run in runs]
            others[name] = median(values) if isinstance(value, int | float) else value
    return found | {"figures": others}


def _judged(asked: Comparison, rounds: list[dict[str, Figures]], row: Figures, size: str) -> Figures | None:
    is_share = asked.share or asked.most is not None
    is_asked = size in asked.sizes and (asked.least is not None or asked.most is not None)
    found: Figures = _UNJUDGED | {"measure": asked.measure}
    if asked.to is None:
        value = row[asked.measure] if asked.measure in row else row["figures"][asked.measure]
    else:
        pairs = [
            (each[asked.contender][asked.measure], each[asked.to][asked.measure])
            for each in rounds
            if asked.to in each and asked.contender in each
        ]
        ratios = sorted(
            _quotient(ours, theirs) if is_share else _quotient(theirs, ours) for ours, theirs in pairs
        )
        if not ratios:
            return None
        value = median(ratios)
        found |= {"ratio_to": asked.to, "ratio_is": "share" if is_share else "times as fast", "ratio": value}
        found |= {"ratio_lowest": ratios[0], "ratio_highest": ratios[-1]}
    if is_asked and asked.least is not None:
        found |= {"target": f"at least {asked.least:g}", "reached": value >= asked.least}
    elif is_asked:
        assert asked.most is not None
        found |= {"target": f"at most {asked.most:g}", "reached": value <= asked.most}
    return found


def _quotient(upper: float, lower: float) -> float:
    return upper / lower if lower else math.inf


def _exponent(benchmark: Benchmark, rows: list[Figures], size: str) -> Figures:
    """Fit `cpu = c x^exponent` by least squares of logarithms."""
    points = [
        (math.log(row["figures"]["x"]), math.log(row["cpu_seconds"]))
        for row in rows
        if row["cpu_seconds"] and row["figures"].get("x")
    ]
    value = None
    if len({x for x, _ in points}) > 1:
        middle, height = fmean(x for x, _ in points), fmean(y for _, y in points)
        value = sum((x - middle) * (y - height) for x, y in points) / sum(
            (x - middle) ** 2 for x, _ in points
        )
    empty = dict.fromkeys((*_MEASURES, "units_per_cpu_second"))
    return {
        "benchmark": benchmark.name,
        "contender": f"exponent in {benchmark.axis}",
        "size": size,
        **empty,
        "figures": {},
        **_UNJUDGED,
        "ratio_is": "exponent",
        "ratio": value,
    }


def _child(benchmark: Benchmark, contender: str, folder: Path, size: str, n_threads: int) -> Figures:
    environment = dict(os.environ) | dict.fromkeys(_THREAD_VARIABLES, str(n_threads))
    command = [sys.executable, "-m", "benchmarks.speed.child", size, benchmark.name, contender, str(folder)]
    done = subprocess.run(
        [*command, str(n_threads)], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        # A peer that crashes is a finding too, and no reason to end the run; its words are on the terminal.
        what = "making the data" if contender == "prepare" else "it"
        return {"skipped": f"{what} ended with code {done.returncode}"}
    if contender == "prepare":
        return {}
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def _shown(found: Figures) -> str:
    if "skipped" in found:
        return f"skipped: {found['skipped']}"
    more = "".join(
        f"  {name} {value:,.4g}"
        for name, value in found.items()
        if name not in (*_MEASURES, "units") and isinstance(value, int | float)
    )
    cpu, wall, peak = (found[name] for name in _MEASURES)
    return f"cpu {cpu:9.3f} s  wall {wall:9.3f} s  peak {peak:8.1f} MiB{more}"
