"""Running the command line, in this process and in one of its own."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

import engagelib as eg
from engagelib.cli import main

CSV = """\
user,sku,what,when
1,lamp,bought,2024-01-01T10:00
1,desk,bought,2024-01-02T10:00
2,lamp,bought,2024-01-03T10:00
2,desk,bought,2024-01-03T11:00
2,sofa,seen,2024-01-04T10:00
3,sofa,bought,2024-01-05T10:00
3,chair,bought,2024-01-06T10:00
"""
NAMES = ("-c", "customer_id=user", "-c", "item_id=sku", "-c", "event_type=what", "-c", "timestamp=when",
         "-e", "bought=purchase", "-e", "seen=view")  # fmt: skip


def run(*arguments, exit_code=0):
    """Run a command in this process."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="engagelib")
    assert result.exit_code == exit_code, (result.stdout, result.stderr, result.exception)
    return result


def refused(*arguments, exit_code):
    """Run a command that fails, and return its one line without the word before it."""
    stderr = run(*arguments, exit_code=exit_code).stderr
    assert stderr.startswith("Error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    return stderr.removeprefix("Error: ").removesuffix("\n")


def real(*arguments, **options):
    """Run a command as a user does, in a process of its own."""
    command = [sys.executable, "-m", "engagelib.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def write_log(path, *, ids="str"):
    """Write a small log: a few carts, two of them alike; ids may be integers."""
    baskets = {1: (1, 2, 3), 2: (1, 2), 3: (2, 3, 4), 4: (1, 4), 5: (4, 5)}
    rows = [
        {"customer_id": customer, "item_id": item, "location": "york" if customer < 4 else "hull"}
        for customer, items in baskets.items()
        for item in items
    ]
    if ids == "str":
        rows = [
            row | {"customer_id": f"c-{row['customer_id']}", "item_id": f"i-{row['item_id']}"} for row in rows
        ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def save_model(path, *, ids="str", **settings):
    """Fit and save on the small log, with a title for each item."""
    log = eg.EventLog.read(write_log(path.with_suffix(".parquet"), ids=ids), items=titles(ids))
    return eg.Recommender(**settings).fit(log).save(path)


def titles(ids="str"):
    """Title the items of the small log."""
    return [{"item_id": n if ids == "int" else f"i-{n}", "title": f"Thing {n}"} for n in range(1, 7)]
