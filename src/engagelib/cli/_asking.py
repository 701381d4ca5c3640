"""Asking: the options that commands share which ask a saved model, and what they mean to that model."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engagelib.cli._edge import Failure, in_file
from engagelib.cli._show import suggestions

if TYPE_CHECKING:
    from engagelib.recommender import Recommendations, Recommender
    from engagelib.vocabulary import Id, Vocabulary

Command = Callable[..., None]

COUNT: Final = click.IntRange(min=1)
FOLDER: Final = click.Path(path_type=Path)
_FILE: Final = click.Path(exists=True, path_type=Path)
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")

K: Final = click.option(
    "-k", "--k", type=COUNT, metavar="N", default=10, show_default=True, help="Length of a list."
)
EXCLUDE: Final = click.option(
    "--exclude", "-e", multiple=True, metavar="ITEM", help="Item never to list. May be repeated."
)
RULES: Final = click.option(
    "--rules", type=_FILE, metavar="FILE",
    help='JSON list of rules: boost, pin or remove, as in [{"effect": "remove", "items": ["i-1"]}].',
)  # fmt: skip
JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
NAMESPACE: Final = click.option(
    "--namespace", metavar="NS", help="Namespace of the customer's id, such as web."
)
_PLACE: Final = (
    click.option("--availability", "-a", type=_FILE, metavar="FILE",
        help="Table of what can be had: item_id, and any of channel, location, starts, ends, quantity."),
    click.option("--channel", metavar="ID",
        help="Where the customer is: only what can be had in that channel is listed."),
    click.option("--location", "-l", metavar="ID",
        help="At which place: the same, and popular items are those of the place, if the model knows."),
    click.option("--at", metavar="TIME",
        help="Moment to answer for (ISO 8601); the newest event of the log where not given, and the clock's "
        "time where --availability has windows of time."),
)  # fmt: skip


def place_options(command: Command) -> Command:
    """Add the options of where and when the question is asked."""
    for option in reversed(_PLACE):
        command = option(command)
    return command


def opened(
    model: Path,
    *,
    availability: Path | None,
    channel: str | None,
    location: str | None,
    at: str | None,
    for_job: bool = False,
) -> "tuple[Recommender, dict[str, Any]]":
    """Load a model for a question at some place and moment, and say what of that changes nothing.

    Returns
    -------
    The recommender, which knows what can be had, and the arguments of its calls. Of what `NextBestAction`
    saved it is the recommender in it.
    """
    from engagelib.loading import load

    loaded = load(model)
    recommender = getattr(loaded, "recommender", loaded)
    return recommender, placed(
        recommender, availability=availability, channel=channel, location=location, at=at, for_job=for_job
    )


def placed(
    recommender: "Recommender",
    *,
    availability: Path | None,
    channel: str | None,
    location: str | None,
    at: str | None,
    for_job: bool = False,
    by_actions: "Mapping[str, Sequence[Id]] | None" = None,
) -> dict[str, Any]:
    """Tell a recommender what can be had, and return where and when its calls ask.

    `by_actions` holds the channels and the locations that actions and limits name, where actions are ranked.
    """
    moment: str | datetime | None = at
    if availability is not None:
        from engagelib.availability import Availability

        with in_file(availability):
            offered = Availability.from_frame(availability, text_ids=recommender.items_.kind == "str")
        recommender.availability = offered
        if offered.has_windows and at is None:
            moment = datetime.now(UTC).replace(microsecond=0)
            later = "; to go on with this job later, pass it as --at" if for_job else ""
            now = moment.isoformat()
            click.echo(f"Note: what can be had is looked up at {now}, the clock's time{later}.", err=True)
    place = {"channel": channel, "location": location}
    return {"at": moment} | {
        name: None if text is None else _place(recommender, name, text, by_actions)
        for name, text in place.items()
    }


def _place(
    recommender: "Recommender", name: str, text: str, by_actions: "Mapping[str, Sequence[Id]] | None"
) -> "Id":
    """Read the id of a channel or location as the model has them, and say where it changes nothing."""
    offered = recommender.availability
    named: tuple[Id, ...] = () if offered is None else getattr(offered, f"{name}s")
    table = recommender.histories_.tables.get(name)
    actions = () if by_actions is None else by_actions[name]
    every_one = (*named, *actions)
    of_integers = isinstance(every_one[0], int) if every_one else table is not None and table.kind == "int"
    id_ = _as_integer(text) if of_integers else text
    ranks = name == "location" and bool(recommender.popular_by)
    known = table is not None and table.find(id_) >= 0
    if named and id_ not in named:
        every = "in every channel" if name == "channel" else "at every location"
        message = f"--availability does not name {id_!r}: only what can be had {every} is listed"
    elif every_one or (ranks and known and by_actions is None):
        return id_
    elif ranks and by_actions is None:
        message = f"--{name} changes nothing: {id_!r} is unknown to this model"
    else:
        who = "no --availability names" if by_actions is None else "neither actions nor --availability name"
        message = f"--{name} changes nothing: {who} {name}s"
        if name == "location" and by_actions is None:
            message += (
                ", and in this model what is popular is the same everywhere (fit with --popular-by location)"
            )
    click.echo(f"Note: {message}.", err=True)
    return id_


def identity(customer: str | None, namespace: str | None, recommender: "Recommender") -> "Id | None":
    """Return the id of a customer, spelled as the model has it."""
    if namespace is None or customer is None:
        return None if customer is None else typed(customer, recommender.customers_)
    from engagelib.identity import spelled

    return spelled((namespace, customer))


def typed(text: str, vocabulary: "Vocabulary") -> "Id":
    """Read an id as the type of those it is to be found among; what is no integer stays text, unknown."""
    return _as_integer(text) if vocabulary.kind == "int" else text


def _as_integer(text: str) -> "Id":
    return int(text) if _INTEGER.fullmatch(text) else text


def read_rules(path: Path | None) -> list[Any]:
    """Read the rules of a call from a file."""
    if path is None:
        return []
    from engagelib.recommender.rules import check_rules

    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path} is no JSON ({error}): expected a list of rules.", 1) from error
    with in_file(path):
        return list(check_rules(found))


def as_json(found: "Recommendations", **about: Any) -> str:
    """Write a list as JSON, behind what it is about."""
    answer = about | {
        "shortfall": found.shortfall,
        "ignored": dict(found.ignored),
        "items": found.to_records(),
    }
    return json.dumps(answer, ensure_ascii=False, indent=1)


def as_text(found: "Recommendations", title: str, *, explain: bool = False) -> str:
    """Write a list under a title, with what was ignored and why it is short."""
    lines = [title, *([suggestions(found, explain=explain)] if len(found) else [])]
    # Of channel and location a note has said so already, with the reason.
    ignored = {name: n for name, n in found.ignored.items() if name not in ("channel", "location")}
    lines += [f"Ignored in --{name}: {count:,} unknown" for name, count in ignored.items()]
    return "\n".join(lines + ([found.shortfall] if found.shortfall else []))
