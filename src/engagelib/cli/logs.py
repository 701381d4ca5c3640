"""Commands that read a log: `report` says what is in it, `fit` learns from it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engagelib.cli._edge import in_file
from engagelib.cli._show import stage

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.events import EventLog
    from engagelib.events.log import OnBad, ReadOptions
    from engagelib.identity import IdentityMap

_FILE: Final = click.Path(exists=True, path_type=Path)
_OPTIONS: Final = (
    click.option("--items", "-i", type=_FILE, metavar="ITEMS",
        help="Table of item attributes: item_id, and any of title, category, price, for_sale."),
    click.option("--columns", "-c", multiple=True, metavar="OURS=YOURS",
        help="Your name for one of our columns, as in customer_id=user. May be repeated."),
    click.option("--event-type", "-e", "event_types", multiple=True, metavar="YOURS=OURS",
        help="Our name for one of your event types, as in addtocart=cart. May be repeated."),
    click.option("--text-ids", is_flag=True,
        help="Read ids as text even where every one of them is an integer."),
    click.option("--identities", type=_FILE, metavar="LINKS",
        help="Table of ids that are one customer: customer_id, same_as, and where ids have namespaces "
        "namespace, same_as_namespace."),
    click.option("--namespace", metavar="COLUMN",
        help="Column that says where each customer goes by that id, such as channel: the same id in two of "
        "them is two customers, until --identities links them."),
    click.option("--unit", "-u", type=click.Choice(["s", "ms", "us", "ns"]),
        help="Unit of times that are numbers; seconds where not given."),
    click.option("--at", metavar="TIME",
        help="Refuse events after this moment (ISO 8601, UTC where it names no zone) rather than after now."),
)  # fmt: skip


def _reading_options(on_bad: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of reading a log; `on_bad` is what the command does by default with bad rows."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        bad_rows = click.option(
            "--on-bad", type=click.Choice(["raise", "quarantine"]), default=on_bad, show_default=True,
            help="Stop at the first kind of bad row, or set bad rows aside and count them.",
        )  # fmt: skip
        for option in reversed((*_OPTIONS, bad_rows)):
            command = option(command)
        return click.argument("log", type=_FILE)(command)

    return add


@click.command()
@_reading_options("quarantine")
@click.option(
    "--rejected",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the rows that were set aside, with their reasons, to a .parquet or .csv file.",
)
def report(log: Path, rejected: Path | None, **options: Any) -> None:
    """Say what is in LOG: rows kept and set aside, customers, items, event types, times.

    LOG is a Parquet file, a folder of them, or a CSV or TSV file, with at least customer_id and item_id.
    """
    if rejected is not None and rejected.suffix not in {".parquet", ".csv"}:
        raise click.BadParameter(
            f"{str(rejected)!r} ends in neither .parquet nor .csv.", param_hint="'--rejected'"
        )
    found = _read(log, **options)
    click.echo(str(found.report()))
    if rejected is not None:
        _write_table(found.rejected, rejected)
        click.echo(f"{len(found.rejected):,} rejected rows written to {rejected}")


@click.command()
@_reading_options("raise")
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Folder for the model. A model in it is replaced in one step; the one before is kept beside it.",
)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    default=("auto",),
    metavar="NAME",
    help="Model to use, or auto (the default) to let the log decide. May be repeated: several are blended.",
)
@click.option("--popular-by", type=click.Choice(["location"]), help="Rank what is popular by location.")
@click.option(
    "--ranker",
    type=click.Choice(["auto", "blend", "boosting", "logistic", "none"]),
    default="auto",
    show_default=True,
    help="What puts the models' candidates in order: learned from the end of the log, of the kind named or "
    "the best; none is an equal-weight blend.",
)
@click.option(
    "--target",
    metavar="TYPE",
    help="Event type that lists should lead to, such as view; purchase where not given.",
)
def fit(
    log: Path,
    out: Path,
    models: tuple[str, ...],
    popular_by: str | None,
    ranker: Any,
    target: str | None,
    **options: Any,
) -> None:
    """Learn from LOG and save the model in a folder.

    LOG is read as `engagelib report` reads it; run that first on a new log.
    """
    from engagelib.models import model_names
    from engagelib.recommender import Recommender
    from engagelib.store import check_target

    known = ("auto", *model_names())
    for name in models:
        if name not in known:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(known)}.", param_hint="'--model'")
    if "auto" in models and len(models) > 1:
        raise click.BadParameter("auto decides alone; name the models instead.", param_hint="'--model'")
    check_target(out)
    found = _read(log, **options)
    click.echo(
        f"{len(found):,} events of {found.n_customers:,} customers and {found.n_items:,} items; "
        f"{len(found.rejected):,} rows set aside"
    )
    recommender = Recommender(
        "auto" if models == ("auto",) else list(models),
        popular_by=("location",) if popular_by else (),
        ranker=None if ranker == "none" else ranker,
        target=target,
    )
    with stage("Fitting"):
        recommender.fit(found)
    with stage("Saving"):
        version = recommender.save(out)
    click.echo(f"\n{recommender.summary()}\n\nSaved as version {version} of {out}")


def _read(
    path: Path,
    *,
    items: Path | None,
    columns: tuple[str, ...],
    event_types: tuple[str, ...],
    text_ids: bool,
    identities: Path | None,
    namespace: str | None,
    unit: str | None,
    at: str | None,
    on_bad: "OnBad",
) -> "EventLog":
    """Read a log as of now or `--at`, and say which, because events after it are refused."""
    from engagelib.events import EventLog
    from engagelib.times import spell, to_microseconds

    moment = datetime.now(UTC) if at is None else at
    source = "the clock's time" if at is None else "--at"
    click.echo(f"Now: {spell(to_microseconds(moment, '--at'))} UTC ({source}); later events are bad rows")
    options: ReadOptions = {
        "items": items,
        "columns": _pairs(columns, "--columns"),
        "event_types": _pairs(event_types, "--event-type"),
        "text_ids": text_ids,
        "identities": _map_of(identities, namespace, text_ids=text_ids),
        "unit": unit,
        "at": moment,
        "on_bad": on_bad,
    }
    with stage(f"Reading {path}"):
        log = EventLog.read(path, **options)
    if at is not None and log.time_kind != "timestamp":
        click.echo("Note: --at changes nothing: this log has no times.", err=True)
    return log


def _map_of(links: Path | None, column: str | None, *, text_ids: bool) -> "IdentityMap | None":
    """Make the map of which ids are one customer, None where nothing says so."""
    if links is None and column is None:
        return None
    from engagelib.identity import IdentityMap

    if links is None:
        return IdentityMap(column, text_ids=text_ids)
    with in_file(links):
        return IdentityMap.from_frame(links, column=column, text_ids=text_ids)


def _pairs(given: tuple[str, ...], option: str) -> Mapping[str, str]:
    """Take NAME=NAME apart; the second name may hold an equals sign."""
    pairs = {}
    for text in given:
        left, equals, right = text.partition("=")
        if not (left and equals and right):
            raise click.BadParameter(f"{text!r} is not of the form NAME=NAME.", param_hint=f"'{option}'")
        if left in pairs:
            raise click.BadParameter(f"{left!r} is named twice.", param_hint=f"'{option}'")
        pairs[left] = right
    return pairs


def _write_table(table: "pa.Table", path: Path) -> None:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path)
        return
    from pyarrow import csv

    csv.write_csv(table, path)
