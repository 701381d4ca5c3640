"""One contender, run and measured in this process: started by `benchmarks.speed.running`.

`python -m benchmarks.speed.child SIZE BENCHMARK CONTENDER FOLDER` prints its figures as JSON; for the
contender "prepare" it writes the benchmark's data instead.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks._measuring import Peak
from benchmarks.speed.catalogue import BENCHMARKS
from benchmarks.speed.data import SIZES, Data
from benchmarks.speed.suite import SkippedError, Work


def measure(work: Work) -> dict[str, Any]:
    """Run a piece of work once: CPU and wall time, and how far memory rose above what it was before."""
    if work.warm:
        work.warm()
    peak = Peak()
    cpu, wall = time.process_time(), time.perf_counter()
    result = work.run()
    found = {
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.perf_counter() - wall,
        "peak_mib": peak.mib_above(),
        "units": work.units,
    }
    return found | dict(work.figures(result) if work.figures else {})


def main(size: str, benchmark: str, contender: str, folder: str, n_threads: str = "1") -> None:
    """Do what the command line says."""
    # It converts its own input to another type, and then warns of having done so.
    warnings.filterwarnings("ignore", message="Method expects CSR input")
    data, chosen = Data(Path(folder), SIZES[size]), BENCHMARKS[benchmark]
    if contender == "prepare":
        chosen.prepare(data)
        return
    try:
        work = chosen.contenders[contender](data)
        with threadpool_limits(int(n_threads)):
            found = measure(work)
    except SkippedError as why:
        found = {"skipped": str(why)}
    except ImportError as why:
        found = {"skipped": f"{why.name} is not installed"}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
