"""All benchmarks by name, in the order in which they run."""

from typing import Final

from benchmarks.speed import als, dense, ease, growth, ingest, memory, one_customer, opening, sparse, threads
from benchmarks.speed.suite import Benchmark

_ROOMS = (sparse, dense, one_customer, ease, als, threads, ingest, opening, memory, growth)

BENCHMARKS: Final[dict[str, Benchmark]] = {each.name: each for room in _ROOMS for each in room.BENCHMARKS}


def chosen(wanted: list[str]) -> list[Benchmark]:
    """Return those of a name, or else those that begin with it, such as "dense"; all for an empty list."""
    found: set[str] = set() if wanted else set(BENCHMARKS)
    for name in wanted:
        alike = {name} if name in BENCHMARKS else {each for each in BENCHMARKS if each.startswith(name)}
        if not alike:
            raise ValueError(f"no benchmark begins with {name!r}; there are {', '.join(BENCHMARKS)}")
        found |= alike
    return [each for name, each in BENCHMARKS.items() if name in found]
