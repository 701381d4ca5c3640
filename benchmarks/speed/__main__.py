"""The command line: `python -m benchmarks.speed --size medium --json FILE`, or `--table FILE...`."""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.catalogue import BENCHMARKS, chosen
from benchmarks.speed.data import SIZES
from benchmarks.speed.machine import machine, versions
from benchmarks.speed.one_customer import RECTOOLS
from benchmarks.speed.report import tables
from benchmarks.speed.running import run_benchmark
from benchmarks.speed.suite import Benchmark


def main() -> None:
    """Run benchmarks and write what was found, or print the tables of earlier runs."""
    options = _options()
    if options.table:
        print(tables([json.loads(file.read_text()) for file in options.table]))
        return
    if options.rectools:
        os.environ[RECTOOLS] = options.rectools
    found: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "command": _command(options),
        "size": vars(SIZES[options.size]),
        "repeat": options.repeat,
        "benchmarks": [],
        "rows": [],
    }
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for benchmark in options.only:
            facts, rows = run_benchmark(
                benchmark, Path(name), options.size, options.repeat, lambda line: print(line, flush=True)
            )
            found["benchmarks"].append(facts)
            found["rows"] += rows
            found["seconds"] = round(time.perf_counter() - begin, 1)
            if options.json:  # after each, so that a run that is stopped has said something
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    print("\n" + tables([found]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Speed beside peers, each contender in a process of its own.",
        epilog=f"Benchmarks: {', '.join(BENCHMARKS)}.",
    )
    parser.add_argument("--size", choices=list(SIZES), default="medium")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument(
        "--only", type=_names, default=_names(""), help="names of benchmarks or how they begin, with commas"
    )
    parser.add_argument("--repeat", type=_count, default=3, help="turns of each contender; medians count")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder for the data")
    parser.add_argument("--rectools", help="a Python in which RecTools is installed")
    parser.add_argument(
        "--table", type=Path, nargs="+", help="print the tables of these files, and run nothing"
    )
    return parser.parse_args()


def _names(text: str) -> list[Benchmark]:
    try:
        return chosen([name for name in text.split(",") if name])
    except ValueError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def _command(options: argparse.Namespace) -> str:
    """Spell the command without the names of files."""
    command = f"python -m benchmarks.speed --size {options.size} --repeat {options.repeat}"
    if len(options.only) < len(BENCHMARKS):
        command += f" --only {','.join(each.name for each in options.only)}"
    return command + (" --rectools PYTHON" if options.rectools else "")


if __name__ == "__main__":
    main()
