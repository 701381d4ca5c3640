"""Opening: a new process imports the library, opens a model and answers once."""

import json
import subprocess
import sys
import time
from typing import Any

from benchmarks._measuring import publish_drawn_model
from benchmarks.speed.data import Data
from benchmarks.speed.suite import Benchmark, Comparison, Work

HEAVY = ("implicit", "pandas", "polars", "pyarrow", "sklearn")

_REPORT = """
import sys, json, time
cpu = time.process_time()
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
except ImportError:
    peak = 0.0
heavy = [name for name in {heavy!r} if name in sys.modules]
print(json.dumps(dict(cpu_seconds=cpu, peak_mib=peak, heavy_modules=len(heavy), imported=", ".join(heavy))))
"""


def prepare(data: Data) -> None:
    """Save a model of as many items as asked, with 100 neighbours each."""
    if data.has("opened"):
        return
    path = data.folder / "opened.engage"
    publish_drawn_model(path, data.size.n_model_items, 100)
    n_bytes = sum(file.stat().st_size for file in path.rglob("*.npy"))
    data.keep("opened", {}, {"gib": n_bytes / 2**30})


def _script(code: str, data: Data, gib: float | None = None) -> Work:
    """Run code in a Python of its own, which reports on itself from its very start."""

    def run() -> dict[str, Any]:
        begin = time.perf_counter()
        program = code + _REPORT.format(heavy=HEAVY)
        output = subprocess.check_output([sys.executable, "-c", program], text=True)
        return {**json.loads(output.splitlines()[-1]), "wall_seconds": time.perf_counter() - begin}

    return Work(run, units=1, figures=lambda found: found if gib is None else {**found, "model_gib": gib})


def answer(data: Data) -> Work:
    path = data.folder / "opened.engage"
    code = f"import engagelib; r = engagelib.load({str(path)!r}); assert len(r.recommend(1, k=10)) == 10\n"
    return _script(code, data, data.facts("opened")["gib"])


BENCHMARKS = (
    Benchmark(
        "opening",
        "a new process, from its start: import, open a model from the page cache, answer one customer",
        "processes",
        prepare,
        {
            "import, open, answer once": answer,
            "import engagelib": lambda data: _script("import engagelib\n", data),
            "import numpy, scipy.sparse": lambda data: _script("import numpy, scipy.sparse\n", data),
        },
        (
            Comparison("import, open, answer once", most=0.6, sizes=("large",)),
            Comparison("import, open, answer once", measure="heavy_modules", most=0),
            Comparison("import, open, answer once", "import numpy, scipy.sparse", share=True),
        ),
    ),
)
