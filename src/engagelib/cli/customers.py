"""The command `profile`: the page of one customer, for a member of staff."""

import json
from pathlib import Path

import click

from engagelib.cli._asking import COUNT, FOLDER, JSON, NAMESPACE, identity, opened, place_options


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--customer", "-c", required=True, metavar="ID", help="The customer.")
@NAMESPACE
@click.option(
    "-k", "--k", type=COUNT, metavar="N", default=5, show_default=True, help="How many items to suggest."
)
@place_options
@JSON
def profile(
    model: Path,
    *,
    customer: str,
    namespace: str | None,
    k: int,
    as_json: bool,
    availability: Path | None,
    channel: str | None,
    location: str | None,
    at: str | None,
) -> None:
    """Show who a customer is: what was bought and returned, how often, and what to show next.

    MODEL is a folder that `engagelib fit` wrote. Later events than --at are not read.
    """
    recommender, place = opened(model, availability=availability, channel=channel, location=location, at=at)
    page = recommender.profile(identity(customer, namespace, recommender), k=k, **place)
    click.echo(json.dumps(page.to_dict(), ensure_ascii=False, indent=1) if as_json else str(page))
