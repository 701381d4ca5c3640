"""The commands `next-action` and `decisions`: what to do next for a customer, and what was it worth."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engagelib.cli._asking import COUNT, FOLDER, JSON, NAMESPACE, identity, place_options, placed
from engagelib.cli._edge import Failure, in_file
from engagelib.cli._show import fitted, judged

if TYPE_CHECKING:
    from engagelib.actions import LoggedDecisions, NextBestAction
    from engagelib.vocabulary import Id

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_SQLITE: Final = b"SQLite format 3\x00"


@click.command("next-action")
@click.argument("model", type=FOLDER)
@click.option("--customer", "-c", metavar="ID", help="The customer; without one, an anonymous visitor.")
@NAMESPACE
@click.option(
    "-k", "--k", type=COUNT, metavar="N", help="Length of the list; all candidates where not given."
)
@place_options
@click.option(
    "--decisions", "-d", "log", type=_FILE, metavar="LOG",
    help="Decision log in which earlier contacts are counted.",
)  # fmt: skip
@JSON
@click.option("--all", "everybody", is_flag=True, help="Rank for every customer, and count what is best.")
@click.option(
    "--out", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="With --all: a Parquet file for the lists.",
)  # fmt: skip
def next_action(
    model: Path,
    *,
    customer: str | None,
    namespace: str | None,
    k: int | None,
    log: Path | None,
    as_json: bool,
    everybody: bool,
    out: Path | None,
    **place: Any,
) -> None:
    """Rank what to do next for a customer, with every term, and say why not the rest.

    MODEL is a folder that `NextBestAction.save` wrote. Nothing is written down. Where actions have windows,
    cooldowns or limits, the answer is for --at, or else for the clock's time.
    """
    if everybody and (customer is not None or as_json):
        raise click.UsageError("--all goes without --customer and --json.")
    if out is not None and not everybody:
        raise click.UsageError("--out needs --all.")
    nba = _opened(model, log)
    if place["at"] is None and (why := nba.needs_moment_):
        place["at"] = datetime.now(UTC).replace(microsecond=0).isoformat()
        click.echo(f"Note: answered for {place['at']}, the clock's time, as {why}.", err=True)
    where = placed(nba.recommender, **place, by_actions=_places(nba))
    if everybody:
        table = nba.recommend_many(k=1 if k is None else k, **where)
        if out is not None:
            import pyarrow.parquet as pq

            pq.write_table(table.to_table(), out)
        click.echo(fitted(table.summary()))
        return
    found = nba.recommend(identity(customer, namespace, nba.recommender), k=k, **where)
    if as_json:
        answer = {
            "customer_id": found.customer_id,
            "known": found.known,
            "at": found.at.isoformat(),
            "stage": found.stage.name,
            "stage_since": None if found.stage.since is None else found.stage.since.isoformat(),
            "stage_reason": found.stage.reason,
            "is_control": found.is_control,
            "expected_value": found.expected_value,
            "actions": found.to_records(),
            "suppressed": [one._asdict() for one in found.suppressed],
        }
        click.echo(json.dumps(answer, ensure_ascii=False, indent=1))
    else:
        click.echo(str(found))


@click.group()
def decisions() -> None:
    """Look at what was decided, and at what it brought."""


@decisions.command()
@click.argument("log", type=_FILE)
@click.option(
    "--estimator", type=click.Choice(["ips", "snips", "dr"]), default="dr", show_default=True,
    help="How values are estimated from what another policy did.",
)  # fmt: skip
@click.option(
    "--outcome", metavar="NAME", default="success", show_default=True,
    help="Which outcome counts; a decision without one counts 0.",
)  # fmt: skip
@click.option(
    "--until",
    metavar="TIME",
    help="Only decisions before it: those whose outcomes have had the time to come.",
)
@click.option(
    "--model", "-m", type=FOLDER, metavar="MODEL", help="Also judge what this saved model would do first."
)
@JSON
def evaluate(
    log: Path, *, estimator: str, outcome: str, until: str | None, model: Path | None, as_json: bool
) -> None:
    """Estimate what other policies would have brought, on the decisions that were logged.

    LOG is a decision log, or a table of decisions (Parquet or CSV) with the columns customer_id, at, action,
    p_logged and outcome. For each action the policy is judged that takes it wherever it might have been
    taken, and leaves the customer alone elsewhere; gains are over the best of these and over what was done.
    """
    from engagelib.errors import NoSupportError
    from engagelib.evaluation import evaluate_policy

    with in_file(log):
        logged = _read(log, outcome, until)
        policies, left_out = dict[str, Any](), dict[str, NoSupportError]()
        wanted = {name: logged.prefer(name) for name in logged.actions}
        if model is not None:
            wanted = {str(model): _opened(model, None).choose(logged)} | wanted
        for name, chosen in wanted.items():
            try:
                # Whether the log can tell at all does not depend on the estimator; this one is quick.
                evaluate_policy(logged, chosen, estimators=("ips",))
                policies[name] = chosen
            except NoSupportError as error:
                left_out[name] = error
        if not policies:
            raise next(iter(left_out.values()))
        found = evaluate_policy(logged, policies, estimators=(estimator,))
    for name, unanswered in left_out.items():
        why = str(unanswered).partition(" Hint: ")[0].partition(" The largest")[0]
        click.echo(f"Note: {name!r} is not judged: {why}", err=True)
    if as_json:
        click.echo(json.dumps(found.to_records(), ensure_ascii=False, indent=1, default=str))
    else:
        click.echo(judged(found))


@decisions.command()
@click.argument("log", type=_FILE)
def summary(log: Path) -> None:
    """Say of each action how often it was decided, and with what success."""
    from engagelib.actions import DecisionLog

    with DecisionLog(log) as opened:
        click.echo(fitted(opened.summary()))


def _opened(model: Path, log: Path | None) -> "NextBestAction":
    from engagelib.loading import load

    loaded = load(model)
    if not hasattr(loaded, "recommender"):
        raise Failure(f"{model} holds a recommender alone: expected what NextBestAction.save() wrote.", 1)
    nba: NextBestAction = loaded
    if log is not None:
        from engagelib.actions import DecisionLog

        nba.decision_log = DecisionLog(log)
    return nba


def _places(nba: "NextBestAction") -> "dict[str, list[Id]]":
    """Return the channels and the locations that actions and limits name."""
    limits = [*nba.limits, *(limit for action in nba.actions for limit in action.limits)]
    channels = [channel for action in nba.actions for channel in action.channels or ()]
    channels += [limit.channel for limit in limits if limit.channel is not None]
    return {
        "channel": channels,
        "location": [location for action in nba.actions for location in action.locations or ()],
    }


def _read(log: Path, outcome: str, until: str | None) -> "LoggedDecisions":
    from engagelib.actions import DecisionLog, read_decisions

    with log.open("rb") as file:
        is_log = file.read(len(_SQLITE)) == _SQLITE
    if is_log:
        with DecisionLog(log) as opened:
            return read_decisions(opened, outcome=outcome, until=until)
    return read_decisions(log, outcome=outcome, until=until)
