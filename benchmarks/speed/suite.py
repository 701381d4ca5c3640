"""What a benchmark is: data to prepare, contenders to run on it, and the ratios that count."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed.data import Data


class SkippedError(Exception):
    """A contender can't run here; the text says why."""


@dataclass(frozen=True)
class Work:
    """What is measured: one call, after everything that it needs was read.

    Attributes
    ----------
    run
        The call.
    units
        How many customers, items or events it deals with.
    warm
        Called before measuring, so that lazy imports and first allocations are not counted.
    figures
        More to say about what `run` returned; names such as `cpu_seconds` replace what was measured.
    """

    run: Callable[[], Any]
    units: float
    warm: Callable[[], Any] | None = None
    figures: Callable[[Any], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Comparison:
    """One contender's figure, alone or against that of another, and what is asked of it.

    Against another, `least` asks how many times as fast the contender is, `most` which share of the other's
    figure it may take. With `share` and neither of them it is shown as a share. Targets hold at `sizes`.
    """

    contender: str
    to: str | None = None
    measure: str = "cpu_seconds"
    least: float | None = None
    most: float | None = None
    share: bool = False
    sizes: tuple[str, ...] = ("medium", "large")


@dataclass(frozen=True)
class Benchmark:
    """A question, and those who answer it.

    Attributes
    ----------
    prepare
        Writes the data, once; it finds what an earlier benchmark wrote.
    threads
        Threads that a contender may use, where it is not one.
    axis
        For a growth curve, what `x` counts in the figures of its contenders.
    """

    name: str
    about: str
    unit: str
    prepare: Callable[[Data], None]
    contenders: Mapping[str, Callable[[Data], Work]]
    comparisons: tuple[Comparison, ...] = ()
    threads: Mapping[str, int] = field(default_factory=dict)
    axis: str | None = None


def against(
    ours: str,
    peers: Mapping[str, float | None],
    *,
    share: Iterable[str] = (),
    sizes: tuple[str, ...] = ("medium", "large"),
) -> tuple[Comparison, ...]:
    """Compare with peers: each by the least factor in speed, or in `share` the most of their time."""
    return tuple(
        Comparison(ours, peer, most=target, share=True, sizes=sizes)
        if peer in share
        else Comparison(ours, peer, least=target, sizes=sizes)
        for peer, target in peers.items()
    )
