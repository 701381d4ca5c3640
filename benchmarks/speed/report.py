"""The figures of one or more runs as Markdown: the targets first, then every contender, losses and all."""

from collections.abc import Iterable
from typing import Any

Figures = dict[str, Any]

_HIDDEN = frozenset({"x"})
"""Figures that another column shows already."""


def tables(runs: list[Figures]) -> str:
    """Return a heading a run, a table of targets, and a table a benchmark."""
    return "\n".join(line for run in runs for line in _run(run)).rstrip() + "\n"


def _run(run: Figures) -> Iterable[str]:
    size, machine, versions = run["size"], run["machine"], run["versions"]
    counts = [f"{_number(size[f'n_{what}'])} {what}" for what in ("customers", "items", "events")]
    yield f"## {size['name'].capitalize()}: {', '.join(counts)}\n"
    yield f"`{run['command']}` on {machine['processor']} ({machine['cores']} cores,"
    yield f"{machine['memory_gib']} GiB, {machine['system']}), load {machine['load'][0]} at the start;"
    yield ", ".join(f"{name} {value}" for name, value in versions.items() if value) + "."
    if missing := [name for name, value in versions.items() if not value]:
        yield f"Not installed: {', '.join(missing)}."
    yield ""
    yield from _targets(run)
    for facts in run["benchmarks"]:
        yield from _benchmark(facts, [row for row in run["rows"] if row["benchmark"] == facts["benchmark"]])


def _targets(run: Figures) -> Iterable[str]:
    asked = [row for row in run["rows"] if row["target"]]
    if not asked:
        return
    n_reached = sum(bool(row["reached"]) for row in asked)
    yield f"{n_reached} of {len(asked)} targets reached.\n"
    body = [
        (
            row["benchmark"],
            _what(row),
            _value(row),
            row["target"],
            "reached" if row["reached"] else "**missed**",
        )
        for row in asked
    ]
    yield from _table(("benchmark", "what", "found", "target", ""), body)


def _benchmark(facts: Figures, rows: list[Figures]) -> Iterable[str]:
    yield f"### {facts['benchmark']}\n"
    yield f"{facts['about'][0].upper()}{facts['about'][1:]}."
    yield f"Load {facts['load_before']} before and {facts['load_after']} after.\n"
    grouped: dict[str, list[Figures]] = {}
    for row in rows:
        grouped.setdefault(row["contender"], []).append(row)
    body = []
    for name, alike in grouped.items():
        first = alike[0]
        if first.get("note"):
            body.append((name, "", "", "", "", first["note"]))
            continue
        said = [_compared(row) for row in alike if row["ratio"] is not None]
        shown = {key: value for key, value in first["figures"].items() if key not in _HIDDEN and value != ""}
        said += [_figure(key, value) for key, value in shown.items()]
        measured = ("cpu_seconds", "wall_seconds", "peak_mib", "units_per_cpu_second")
        body.append((name, *(_number(first[key]) for key in measured), "; ".join(said)))
    unit = f"{facts['unit']} a CPU second"
    yield from _table(("contender", "CPU s", "wall s", "peak MiB", unit, "compared, and more"), body)


def _what(row: Figures) -> str:
    if not row["ratio_to"]:
        return f"{row['contender']}: {_measure(row)}"
    return f"{row['contender']}: {_measure(row)}, {row['ratio_is']} {row['ratio_to']}".replace(
        ", share ", " as a share of "
    ).replace(", times as fast ", ", times as fast as ")


def _value(row: Figures) -> str:
    if row["ratio"] is not None:
        return f"{_ratio(row)} ({row['ratio_lowest']:.3g} to {row['ratio_highest']:.3g})"
    measured = row["measure"]
    return _number(row[measured] if measured in row else row["figures"][measured])


def _compared(row: Figures) -> str:
    if row["ratio_is"] == "exponent":
        return f"cost rises with the power {row['ratio']:.2f}"
    measured = "" if row["measure"] == "cpu_seconds" else f" by {_measure(row)}"
    if row["ratio_is"] == "share":
        return f"{_ratio(row)} of {row['ratio_to']}{measured}"
    return f"{_ratio(row)} x as fast as {row['ratio_to']}{measured}"


def _measure(row: Figures) -> str:
    names = {
        "cpu_seconds": "CPU time",
        "wall_seconds": "wall time",
        "peak_mib": "memory",
        "median_us": "median (us)",
        "p99_us": "99th percentile (us)",
    }
    return names.get(row["measure"], row["measure"].replace("_", " "))


def _ratio(row: Figures) -> str:
    # An objective that is a tenth of a percent off is not 1.
    return f"{row['ratio']:.5f}" if row["measure"] == "objective" else f"{row['ratio']:.3g}"


def _figure(name: str, value: Any) -> str:
    shown = value if isinstance(value, str) else _number(value)
    return f"{name.replace('_', ' ')} {shown}"


def _number(value: float | None) -> str:
    """Show three digits, or whole numbers from a hundred on."""
    if value is None:
        return ""
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in body:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
    yield ""
