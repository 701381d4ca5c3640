"""Commands that ask about items: `substitutes` for one, and what to `complete` a basket with."""

from pathlib import Path
from typing import Any

import click

from engagelib.cli._asking import (
    EXCLUDE,
    FOLDER,
    JSON,
    RULES,
    K,
    as_text,
    opened,
    place_options,
    read_rules,
    typed,
)
from engagelib.cli._asking import as_json as in_json


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--item", "-i", required=True, metavar="ITEM", help="The item that can't be had.")
@K
@place_options
@RULES
@JSON
def substitutes(model: Path, *, item: str, k: int, rules: Path | None, as_json: bool, **where: Any) -> None:
    """List what can stand in for an item that is sold out.

    MODEL is a folder that `engagelib fit` wrote. Of the rules, removals alone count.
    """
    recommender, place = opened(model, **where)
    id_ = typed(item, recommender.items_)
    found = recommender.substitutes(id_, k, rules=read_rules(rules), **place)
    click.echo(in_json(found, item_id=id_) if as_json else as_text(found, f"Instead of item {id_}"))


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--basket", "-b", required=True, multiple=True, metavar="ITEM",
    help="Item in the basket. May be repeated.")  # fmt: skip
@K
@EXCLUDE
@place_options
@RULES
@JSON
def complete(
    model: Path,
    *,
    basket: tuple[str, ...],
    k: int,
    exclude: tuple[str, ...],
    rules: Path | None,
    as_json: bool,
    **where: Any,
) -> None:
    """List what goes with the items of a basket.

    MODEL is a folder that `engagelib fit` wrote. Of the rules, removals alone count.
    """
    recommender, place = opened(model, **where)
    ids = [typed(item, recommender.items_) for item in basket]
    left_out = [typed(item, recommender.items_) for item in exclude]
    found = recommender.complete(ids, k, exclude=left_out, rules=read_rules(rules), **place)
    click.echo(in_json(found, basket=ids) if as_json else as_text(found, "Goes with the basket"))
