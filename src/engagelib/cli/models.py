"""Commands that open a saved model: `recommend` asks it, `verify` checks its files; and `show-versions`."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engagelib.cli._show import shortened, stage, suggestions

if TYPE_CHECKING:
    from engagelib.recommender import Recommender
    from engagelib.recommender.recommendations import Recommendations
    from engagelib.vocabulary import Id, Vocabulary

_COUNT: Final = click.IntRange(min=1)
_FOLDER: Final = click.Path(path_type=Path)
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FOR_ONE: Final = ("customer", "session", "basket", "explain", "as_json")
_FOR_ALL: Final = ("out", "part_size", "overwrite", "progress")


@click.command()
@click.argument("model", type=_FOLDER)
@click.option("--customer", "-c", metavar="ID", help="The customer; without one, an anonymous visitor.")
@click.option("-k", "--k", type=_COUNT, metavar="N", default=10, show_default=True, help="Length of a list.")
@click.option("--explain", "-x", is_flag=True, help="Say below each item what speaks for it.")
@click.option(
    "--session",
    "-s",
    multiple=True,
    metavar="ITEM",
    help="Item looked at just now, oldest first. May be repeated.",
)
@click.option("--basket", "-b", multiple=True, metavar="ITEM", help="Item in the basket. May be repeated.")
@click.option("--exclude", "-e", multiple=True, metavar="ITEM", help="Item never to list. May be repeated.")
@click.option(
    "--exclude-seen",
    type=click.Choice(["purchased", "any", "none"]),
    default="purchased",
    show_default=True,
    help="Leave out what the customer bought, also what was looked at, or nothing.",
)
@click.option("--location", "-l", metavar="ID", help="Where popular items come from, if the model knows.")
@click.option(
    "--at",
    metavar="TIME",
    help="Moment to answer for (ISO 8601); the newest event of the log where not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "everybody", is_flag=True, help="List for every customer, into Parquet parts.")
@click.option(
    "--out",
    "-o",
    type=_FOLDER,
    metavar="DIR",
    help="With --all: folder for the parts. A run that was stopped goes on where it was.",
)
@click.option(
    "--part-size",
    type=_COUNT,
    metavar="N",
    default=20_000,
    show_default=True,
    help="With --all: customers in a part.",
)
@click.option("--overwrite", is_flag=True, help="With --all: replace the parts of another model or settings.")
@click.option(
    "--progress/--no-progress", default=None, help="With --all: a progress bar, by default on a terminal."
)
@click.pass_context
def recommend(ctx: click.Context, /, model: Path, everybody: bool, **options: Any) -> None:
    """List the items to show one customer next, or with --all every customer.

    MODEL is a folder that `engagelib fit` wrote. An unknown customer is shown what is popular.
    """
    _check_combination(ctx, everybody=everybody)
    from engagelib.loading import load

    recommender = load(model)
    items = recommender.items_
    shared = {
        "k": options["k"],
        "at": options["at"],
        "location": _typed_if(options["location"], recommender.histories_.tables.get("location")),
        "exclude": [_typed(item, items) for item in options["exclude"]],
        "exclude_seen": options["exclude_seen"],
    }
    if options["location"] is not None:
        _check_location(recommender, shared["location"])
    if everybody:
        _write_all(recommender, options["out"], {name: options[name] for name in _FOR_ALL[1:]}, shared)
        return
    found = recommender.recommend(
        _typed_if(options["customer"], recommender.customers_),
        session=[_typed(item, items) for item in options["session"]],
        basket=[_typed(item, items) for item in options["basket"]],
        explain=options["explain"],
        **shared,
    )
    click.echo(_as_json(found) if options["as_json"] else _as_text(found, explain=options["explain"]))


@click.command()
@click.argument("model", type=_FOLDER)
def verify(model: Path) -> None:
    """Read every byte of MODEL and compare it with the sums that it was saved with."""
    from engagelib.store import verify_artifact
    from engagelib.tables import Table

    with stage(f"Reading {model}"):
        found = verify_artifact(model)
    rows = (
        ("path", str(model)),
        ("kind", found.kind),
        ("version", found.version),
        ("written by", f"engagelib {found.library_version}"),
        ("arrays", f"{len(found.arrays):,}"),
        ("bytes", f"{found.size_bytes:,}"),
        ("state", "ok"),
    )
    click.echo(str(Table(("what", "value"), rows)))


@click.command("show-versions")
def show_versions() -> None:
    """Print what is installed and which scoring implementation is active."""
    from engagelib import versions

    click.echo(str(versions.show_versions()))


def _check_combination(ctx: click.Context, *, everybody: bool) -> None:
    """Refuse options that say nothing together, rather than pass over one of them."""
    other = _FOR_ONE if everybody else _FOR_ALL
    for parameter in ctx.command.params:
        given = ctx.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
        if parameter.name in other and given:
            clash = "can't go with --all" if everybody else "needs --all"
            raise click.UsageError(f"{max(parameter.opts, key=len)} {clash}.", ctx)
    if everybody and ctx.params["out"] is None:
        raise click.UsageError("--all needs --out DIR, a folder for the parts.", ctx)


def _typed(text: str, vocabulary: "Vocabulary") -> "Id":
    """Read an id as the type of those it is to be found among; what is no integer stays text, unknown."""
    return int(text) if vocabulary.kind == "int" and _INTEGER.fullmatch(text) else text


def _typed_if(text: str | None, vocabulary: "Vocabulary | None") -> "Id | None":
    return text if text is None or vocabulary is None else _typed(text, vocabulary)


def _check_location(recommender: "Recommender", location: "Id") -> None:
    """Say where a location changes nothing."""
    known = recommender.histories_.tables.get("location")
    if not recommender.popular_by:
        reason = "in this model what is popular is the same everywhere (fit with --popular-by location)"
    elif known is None or known.find(location) < 0:
        reason = f"{location!r} is unknown to this model"
    else:
        return
    click.echo(f"Note: --location changes nothing: {reason}.", err=True)


def _write_all(recommender: "Recommender", out: Path, how: dict[str, Any], arguments: dict[str, Any]) -> None:
    from engagelib.batch import recommend_all

    done = recommend_all(recommender, out, **how, **arguments)
    before = f", {done.n_parts_found:,} were there already" if done.n_parts_found else ""
    click.echo(
        f"{done.n_rows:,} rows for {done.n_customers:,} customers in {out}: "
        f"{done.n_parts_written:,} {'part' if done.n_parts_written == 1 else 'parts'} written{before}"
    )


def _as_json(found: "Recommendations") -> str:
    answer = {
        "customer_id": found.customer_id,
        "known": found.known,
        "shortfall": found.shortfall,
        "ignored": dict(found.ignored),
        "items": found.to_records(),
    }
    return json.dumps(answer, ensure_ascii=False, indent=1)


def _as_text(found: "Recommendations", *, explain: bool) -> str:
    if found.customer_id is None:
        title = "For an anonymous visitor"
    elif found.known:
        title = f"For customer {found.customer_id}"
    else:
        title = f"Customer {shortened(str(found.customer_id), 60)} is unknown to this model"
    lines = [title, suggestions(found, explain=explain)]
    if not found.known and all(entry.source == "popular" for entry in found):
        lines[0] += ": this is what is popular"
    # Of the location a note has said so already, with the reason.
    ignored = {name: count for name, count in found.ignored.items() if name != "location"}
    lines += [f"Ignored in --{name}: {count:,} unknown" for name, count in ignored.items()]
    return "\n".join(lines + ([found.shortfall] if found.shortfall else []))
