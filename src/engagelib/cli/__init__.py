"""The command line: each command reads, asks the library and prints; nothing is computed here."""

import click

from engagelib import __version__
from engagelib.cli._edge import Commands
from engagelib.cli.actions import decisions, next_action
from engagelib.cli.customers import profile
from engagelib.cli.demo import demo
from engagelib.cli.items import complete, substitutes
from engagelib.cli.logs import fit, report
from engagelib.cli.models import show_versions, verify
from engagelib.cli.recommend import recommend

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Commands, context_settings=_CONTEXT)
@click.version_option(__version__, "-V", "--version", prog_name="engagelib")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """What to show each customer next, from what customers looked at and bought.

    Start with `engagelib demo`, which runs on a log that comes with the library. For your own log: `report`
    says what is in it, `fit` learns from it, `recommend` lists items for one customer or for all, and
    `profile` shows who a customer is. `next-action` ranks what to do for a customer, and `decisions` judges
    what was done.
    """


for command in (
    demo, report, fit, recommend, profile, next_action, decisions, substitutes, complete, verify,
    show_versions,
):  # fmt: skip
    main.add_command(command)
