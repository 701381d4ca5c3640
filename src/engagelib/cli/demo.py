"""The command `demo`: the whole way on a real shop's log, from the report to answers that change live."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from engagelib.cli._show import WIDTH, fitted, shortened, stage, suggestions

if TYPE_CHECKING:
    from engagelib.events import EventLog
    from engagelib.recommender import Recommendation, Recommendations, Recommender
    from engagelib.vocabulary import Id

_TEST_DAYS: Final = 28
_K: Final = 5
_N_NEWEST: Final = 6
_FEW_ORDERS, _MANY_ORDERS = 3, 12
_VISITOR: Final = 999_999
_INDENT: Final = "   "

_NEXT = """\
Next, with a log of your own (a CSV or Parquet file with at least customer_id and item_id):

   engagelib report LOG                                  what is in it, and which rows are bad
   engagelib fit LOG --out shop.engage                   learn from it
   engagelib recommend shop.engage --customer ID -x      one customer, with reasons
   engagelib recommend shop.engage --all --out lists     every customer, as Parquet files
   engagelib profile shop.engage --customer ID           who a customer is, for a member of staff

`engagelib COMMAND --help` says more; --columns customer_id=NAME tells it your names of columns."""


@click.command()
@click.option("--save", type=click.Path(path_type=Path), metavar="MODEL",
    help="Also save the model, to try the other commands on.")  # fmt: skip
def demo(save: Path | None) -> None:
    """Report, evaluate, fit and recommend on the log of a real shop that comes with the library.

    The log is a year of a British gift shop (UCI Online Retail). It takes a minute or two.
    """
    from engagelib.datasets import load_online_retail
    from engagelib.demo import last_to_order
    from engagelib.recommender import Recommender
    from engagelib.store import check_target

    if save is not None:
        check_target(save)
    _head("1. The log: a year of a British online gift shop, bundled with the library")
    with stage("Reading"):
        log = load_online_retail()
    click.echo(fitted(log.report()))

    _head(f"2. The check: learn from all but the last {_TEST_DAYS} days, then see what was bought in these")
    click.echo(_checked(log))

    _head("3. The answers: learned from the whole log, for two customers")
    with stage("Fitting"):
        recommender = Recommender().fit(log)
    click.echo(_ranked(recommender) + "\n")
    customers: list[Id] = []
    best: list[Recommendation] = []
    for n_orders in (_FEW_ORDERS, _MANY_ORDERS):
        customer, n_alike = last_to_order(log, n_orders)
        click.echo(
            f"Customer {customer}: of the {n_alike:,} customers with {n_orders} orders, the last to order\n"
        )
        click.echo(_indented(_history(log, customer)))
        found = recommender.recommend(customer, k=_K, explain=True)
        click.echo(f"\n{_INDENT}What to show next, and why:")
        click.echo(_indented(suggestions(found, explain=True)))
        click.echo(_INDENT + _chances(found, recommender) + "\n")
        customers.append(customer)
        best.append(found[0])
    saved = "" if save is None else f"Saved as version {recommender.save(save)} of {save}\n"

    _head("4. While it serves: who is on the phone, and answers that change without learning anew")
    page = str(recommender.profile(customers[0]))
    click.echo(page.partition("\n\n")[0] + "\n")  # the lists behind the facts stand above
    click.echo(_served(recommender, customers[0], best[1]))
    click.echo(f"\n{saved}\n{_NEXT}" if saved else f"\n{_NEXT}")


def _checked(log: "EventLog") -> str:
    """Compare the default with popularity and with the library `implicit` on the end of the log."""
    from engagelib.demo import check, contenders
    from engagelib.splitting import split_by_time
    from engagelib.times import spell

    split = split_by_time(log, test_days=_TEST_DAYS)
    assert split.cut is not None  # it is a split by time
    click.echo(
        f"Learning from {len(split.train):,} events before {spell(split.cut)}, "
        f"testing on the {len(split.test):,} since\n"
    )
    judged = contenders()
    for name, contender in judged.items():
        with stage(f"Fitting {name}"):
            contender.fit(split.train)
    with stage("Asking each for 10 items for each customer, twice"):
        return str(check(judged, split))


def _history(log: "EventLog", customer: "Id") -> str:
    from engagelib.demo import bought_last
    from engagelib.tables import text_table

    rows, n_more = bought_last(log, customer, _N_NEWEST)
    return f"Bought last:\n{text_table(('', '', ''), rows)}" + (
        f"\nand {n_more:,} more items" if n_more else ""
    )


def _ranked(recommender: "Recommender") -> str:
    """Say what puts the items in order; the summary says all of it."""
    ranked = (str(value) for what, value in recommender.summary().rows if what == "ranked by")
    text = next(ranked, "an equal-weight blend").partition(";")[0]
    return textwrap.fill(f"Ranked by {text}", WIDTH)


def _chances(found: "Recommendations", recommender: "Recommender") -> str:
    """Say how likely each item of a list is to be bought, as far as the log taught it."""
    calibration = recommender.calibration_
    if calibration is None:
        return "Scores are no probabilities: the log taught none."
    chances = ["-" if entry.probability is None else f"{entry.probability:.0%}" for entry in found]
    days = f"{calibration.horizon_days:,.0f} days"
    return f"Chance of a {calibration.event} within {days}, in the order shown: {', '.join(chances)}"


def _served(recommender: "Recommender", customer: "Id", looked_at: "Recommendation") -> str:
    """Say what happened while it served, and what was shown next each time."""
    from engagelib.demo import serve

    lines = []
    for step in serve(recommender, customer, _VISITOR, looked_at):
        lines += [
            shortened(step.what, WIDTH),
            _INDENT + shortened("; ".join(step.answer), WIDTH - len(_INDENT)),
        ]
    return "\n".join(lines)


def _head(text: str) -> None:
    click.secho(f"\n{text}\n", bold=True)


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())
