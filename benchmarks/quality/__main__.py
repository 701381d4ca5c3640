"""The command line: `python -m benchmarks.quality --table FILE...` prints ours beside published figures."""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.quality.published import published_for

_MAIN = {
    "leave_last_out": ("recall@10", "ndcg@10"),
    "sessions": ("recall@20", "mrr@20"),
    "purchases": ("hit_rate@10", "ndcg@10", "unseen.hit_rate@10", "unseen.ndcg@10"),
    "random_split": ("recall@20", "ndcg@20"),
    "next_basket": ("recall@10", "ndcg@10", "recall_new@10"),
}


def main() -> None:
    """Print the tables of what protocols wrote with `--json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--table", type=Path, nargs="+", required=True, metavar="FILE")
    files = parser.parse_args().table
    print(tables([json.loads(line) for file in files for line in file.read_text().splitlines() if line]))


def tables(found: list[dict[str, Any]]) -> str:
    """Return a Markdown table for each run: what was published, in rising order, and ours."""
    return "\n\n".join(map(_table, found))


def _table(found: dict[str, Any]) -> str:
    others = published_for(found["data"])
    own = _MAIN[found["protocol"]]
    columns = (
        own if others is None else (*others.metrics, *(name for name in own if name not in others.metrics))
    )
    lines = [f"### {found['data'] if others is None else others.title}", ""]
    customers = f"{found['customers']:,}"
    whom = f"{customers} of its customers" if found["limit_customers"] else f"{customers} customers or visits"
    lines.append(
        f"`{found['protocol']}`, {whom}, models {', '.join(found.get('models', ()))}; "
        f"{found['seconds']:,.0f} s, {found['peak_mib']:,.0f} MiB."
    )
    if others is not None:
        lines.append(f"{'Measured with other code' if others.measured else 'Published'}: {others.source}.")
    lines += ["", f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, values in () if others is None else others.rows.items():
        by_metric = dict(zip(others.metrics, values, strict=True)) if others else {}
        lines.append(f"| {name} | {' | '.join(_shown(by_metric.get(column)) for column in columns)} |")
    for prefix in ("", "refit."):
        if prefix + columns[0] in found:
            name = "engagelib, the last but one learned from too" if prefix else "engagelib"
            cells = (f"**{_shown(found.get(prefix + column))}**" for column in columns)
            lines.append(f"| **{name}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".removeprefix("0")


if __name__ == "__main__":
    main()
