"""The rows of each part as figures: what was aimed at, what was found, and whether that was reached."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.decisions.common import Figure, figure

_HOLDS = (0.93, 0.97)
"""How often a 95% interval should hold the truth."""


def figures(part: str, rows: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """Return the figures of a part."""
    return [_AS_FIGURE[part](row) for row in rows]


def _as_told(row: Mapping[str, Any]) -> Figure:
    """Take a row that says itself whether it reached its target."""
    target = row.get("target", row.get("expected"))
    reached = row["reached"]
    found = None if row["found"] != row["found"] else row["found"]
    return {
        "name": row["name"], "target": None if reached is None else target, "found": found,
        "reached": reached, "unit": row.get("unit", ""),
    }  # fmt: skip


def _hillstrom(row: Mapping[str, Any]) -> Figure:
    if row["figure"].startswith("qini"):
        return figure(f"{row['figure']}: {row['learner']}", row["value"], row["target"], least=True)
    interval = f"({row['low']:.4f} to {row['high']:.4f})"
    if "target" in row:
        # What was published has four digits.
        name = f"{row['figure']}: {row['learner']} {interval}"
        return figure(name, round(row["value"], 4), row["target"], least=True)
    return figure(
        f"gain over the best constant, without the gate: {row['learner']} "
        f"({row['gain_low']:.4f} to {row['gain_high']:.4f})",
        row["gain"],
    )


def _synthetic(row: Mapping[str, Any]) -> Figure:
    rows = f"{row['rows']:,} rows"
    if "learner" in row:
        return figure(f"{row['figure']}, {rows}: {row['learner']}", row["value"], row["target"], least=True)
    if "worlds" in row:
        opened = f"the gate opened in {row['opened']} of {row['worlds']} worlds"
        return figure(f"{row['figure']}, {rows}: {opened}", row["value"], row["target"])
    return figure(f"{row['figure']}, {rows}, {row['seeds']:,} seeds", row["value"], _HOLDS)


def _coverage(row: Mapping[str, Any]) -> Figure:
    what = {"value": "value", "over_best": "gain over the best constant", "over_logging": "gain over logging"}
    name = f"{row['policy']} policy, {what[row['figure']]}, {row['estimator']}: 95% intervals that hold it"
    return figure(f"{name}, {row['seeds']:,} seeds", row["coverage"], _HOLDS)


def _open_bandit(row: Mapping[str, Any]) -> Figure:
    own = (row["on_policy_low"], row["on_policy_high"])
    name = f"{row['campaign']}: {row['target']} from decisions of {row['log']}"
    if "refused" in row:
        return figure(f"{name}: refused, too few decisions are alike", None)
    # By lot every item was shown often enough; the other log is thin where the lot is not.
    found = figure(f"{name}, {row['estimator']}", row["value"], own if row["log"] == "random" else None)
    return found | {"target": f"{own[0]:.5f} to {own[1]:.5f}"}


def _coupons(row: Mapping[str, Any]) -> Figure:
    if row["figure"] == "reliability":
        return figure(f"share that redeemed, where {row['probability']:.3f} was forecast", row["share"])
    about = f"{row['rows']:,} judged, AUC {row['auc']:.3f}, Brier {row['brier']:.4f}"
    about += f" (of the mean {row['brier_of_the_mean']:.4f})"
    return figure(f"ECE of {row['figure']} ({about})", row["value"])


_AS_FIGURE: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "value": _as_told,
    "hillstrom": _hillstrom,
    "synthetic": _synthetic,
    "intervals": _synthetic,
    "coverage": _coverage,
    "open_bandit": _open_bandit,
    "coupons": _coupons,
    "bandit": _as_told,
    "serving": _as_told,
}


def table(found: Mapping[str, Any]) -> str:
    """Return the figures of all parts as Markdown, those with a target first."""
    rows = [(part["part"], row) for part in found["parts"] for row in part["figures"]]
    aimed = [(name, row) for name, row in rows if row["reached"] is not None]
    reached = sum(row["reached"] for _, row in aimed)
    lines = [f"{reached} of {len(aimed)} targets reached.", ""]
    lines += ["| part | what | target | found | reached |", "|---|---|---|---|---|"]
    lines += [_line(name, row) for name, row in aimed]
    lines += ["", "Without a target:", "", "| part | what | found |", "|---|---|---|"]
    lines += [_line(name, row) for name, row in rows if row["reached"] is None]
    lines += ["", "| part | seconds | CPU | peak memory | load |", "|---|---|---|---|---|"]
    for part in found["parts"]:
        load = f"{part['load_before']:.1f} to {part['load_after']:.1f}"
        took = f"{part['seconds']:,.0f} | {part['cpu_seconds']:,.0f} | {part['peak_mib']:,.0f} MiB"
        lines.append(f"| {part['part']} | {took} | {load} |")
    lines += [f"\nNot run: {name}, {why}" for name, why in found["missing"].items()]
    return "\n".join(lines)


def _line(part: str, row: Figure) -> str:
    found = "" if row["found"] is None else f"{_number(row['found'])} {row['unit']}".rstrip()
    if row["reached"] is None:
        beside = f" ({row['target']})" if isinstance(row["target"], str) else ""
        return f"| {part} | {row['name']}{beside} | {found} |"
    target = (
        _number(row["target"]) if isinstance(row["target"], int | float) else row["target"] or "see before"
    )
    return f"| {part} | {row['name']} | {target} | {found} | {'yes' if row['reached'] else '**no**'} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
