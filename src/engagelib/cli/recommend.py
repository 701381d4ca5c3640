"""The command `recommend`: what to show next, for one customer or for all of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engagelib.cli._asking import (
    COUNT,
    EXCLUDE,
    FOLDER,
    JSON,
    NAMESPACE,
    RULES,
    K,
    as_json,
    as_text,
    identity,
    opened,
    place_options,
    read_rules,
    typed,
)
from engagelib.cli._show import shortened

if TYPE_CHECKING:
    from engagelib.recommender import Recommendations, Recommender

_PLACE: Final = ("availability", "channel", "location", "at")
_FOR_ONE: Final = ("customer", "namespace", "session", "basket", "explain", "as_json")
_FOR_ALL: Final = ("out", "part_size", "overwrite", "progress", "n_threads", "probabilities")


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--customer", "-c", metavar="ID", help="The customer; without one, an anonymous visitor.")
@NAMESPACE
@K
@click.option("--explain", "-x", is_flag=True, help="Say below each item what speaks for it.")
@click.option(
    "--session",
    "-s",
    multiple=True,
    metavar="ITEM",
    help="Item looked at just now, oldest first. May be repeated.",
)
@click.option("--basket", "-b", multiple=True, metavar="ITEM", help="Item in the basket. May be repeated.")
@EXCLUDE
@click.option(
    "--exclude-seen",
    type=click.Choice(["purchased", "any", "none"]),
    default="purchased",
    show_default=True,
    help="Leave out what the customer bought, also what was looked at, or nothing.",
)
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    metavar="D",
    default=0.0,
    show_default=True,
    help="What unlike items are worth, from 0 to 1.",
)
@click.option(
    "--max-per-category",
    type=COUNT,
    metavar="N",
    help="Most items of one category in a list.",
)
@place_options
@RULES
@JSON
@click.option("--all", "everybody", is_flag=True, help="List for every customer, into Parquet parts.")
@click.option(
    "--out",
    "-o",
    type=FOLDER,
    metavar="DIR",
    help="With --all: folder for the parts. A run that was stopped goes on where it was.",
)
@click.option(
    "--part-size",
    type=COUNT,
    metavar="N",
    default=20_000,
    show_default=True,
    help="With --all: customers in a part.",
)
@click.option(
    "--threads",
    "n_threads",
    type=COUNT,
    metavar="N",
    default=1,
    show_default=True,
    help="With --all: threads that share the work.",
)
@click.option(
    "--probabilities",
    is_flag=True,
    help="With --all: a column with the chance of each item, where the model has learned it.",
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
    recommender, place = opened(model, for_job=everybody, **{name: options[name] for name in _PLACE})
    items = recommender.items_
    shared = {
        **place,
        "k": options["k"],
        "exclude": [typed(item, items) for item in options["exclude"]],
        "exclude_seen": options["exclude_seen"],
        "rules": read_rules(options["rules"]),
        "diversity": options["diversity"],
        "max_per_category": options["max_per_category"],
    }
    if everybody:
        _write_all(recommender, options["out"], {name: options[name] for name in _FOR_ALL[1:]}, shared)
        return
    found = recommender.recommend(
        identity(options["customer"], options["namespace"], recommender),
        session=[typed(item, items) for item in options["session"]],
        basket=[typed(item, items) for item in options["basket"]],
        explain=options["explain"],
        **shared,
    )
    if options["as_json"]:
        click.echo(as_json(found, customer_id=found.customer_id, known=found.known))
    else:
        click.echo(as_text(found, _title(found), explain=options["explain"]))


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
    if ctx.params["namespace"] is not None and ctx.params["customer"] is None:
        raise click.UsageError("--namespace needs --customer.", ctx)


def _write_all(recommender: "Recommender", out: Path, how: dict[str, Any], arguments: dict[str, Any]) -> None:
    from engagelib.batch import recommend_all

    if how["probabilities"] and recommender.calibration_ is None:
        click.echo("Note: --probabilities changes nothing: this model has learned none.", err=True)
    done = recommend_all(recommender, out, **how, **arguments)
    before = f", {done.n_parts_found:,} were there already" if done.n_parts_found else ""
    click.echo(
        f"{done.n_rows:,} rows for {done.n_customers:,} customers in {out}: "
        f"{done.n_parts_written:,} {'part' if done.n_parts_written == 1 else 'parts'} written{before}"
    )


def _title(found: "Recommendations") -> str:
    if found.customer_id is None:
        title = "For an anonymous visitor"
    elif found.known:
        title = f"For customer {found.customer_id}"
    else:
        title = f"Customer {shortened(str(found.customer_id), 60)} is unknown to this model"
    if not found.known and all(entry.source == "popular" for entry in found):
        title += ": this is what is popular"
    return title
