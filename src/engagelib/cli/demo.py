"""The command `demo`: the whole way on a real shop's log, from the report to answers that change live."""

import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from engagelib.cli._show import WIDTH, fitted, judged, shortened, stage, suggestions

if TYPE_CHECKING:
    from engagelib.actions import NextBestAction
    from engagelib.events import EventLog
    from engagelib.recommender import Recommendation, Recommendations, Recommender
    from engagelib.vocabulary import Id

_TEST_DAYS: Final = 28
_K: Final = 5
_N_NEWEST: Final = 6
_FEW_ORDERS, _MANY_ORDERS = 3, 12
_VISITOR: Final = 999_999
_INDENT: Final = "   "

_CONTROL_SHARE: Final = 0.1
_FLOOR: Final = 0.3  # of the draws: so much is tried that three weeks can tell something

_NEXT = """\
Next, with a log of your own (a CSV or Parquet file with at least customer_id and item_id):

   engagelib report LOG                                  what is in it, and which rows are bad
   engagelib fit LOG --out shop.engage                   learn from it
   engagelib recommend shop.engage --customer ID -x      one customer, with reasons
   engagelib recommend shop.engage --all --out lists     every customer, as Parquet files
   engagelib profile shop.engage --customer ID           who a customer is, for a member of staff

With actions of your own, saved from Python (`engagelib.NextBestAction`):

   engagelib next-action shop.engage --customer ID       what to do next, with every term
   engagelib decisions evaluate decisions.sqlite         what was done, and what it was worth

`engagelib COMMAND --help` says more; --columns customer_id=NAME tells it your names of columns."""


@click.command()
@click.option("--save", type=click.Path(path_type=Path), metavar="MODEL",
    help="Also save the model, to try the other commands on.")  # fmt: skip
def demo(save: Path | None) -> None:
    """Report, evaluate, fit and recommend on the log of a real shop that comes with the library.

    The log is a year of a British gift shop (UCI Online Retail). It takes a minute or two.
    """
    from engagelib.actions import DecisionLog, NextBestAction
    from engagelib.datasets import load_online_retail
    from engagelib.demo import last_to_order, shop_actions
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
    with stage("Learning what to do next"):
        actions = shop_actions(best[0].item_id)
        nba = NextBestAction(
            actions, recommender=recommender, control_share=_CONTROL_SHARE, floor=_FLOOR
        ).fit()
    saved = "" if save is None else f"Saved as version {nba.save(save)} of {save}\n"

    _head("4. While it serves: who is on the phone, and answers that change without learning anew")
    page = str(recommender.profile(customers[0]))
    click.echo(page.partition("\n\n")[0] + "\n")  # the lists behind the facts stand above
    click.echo(_served(recommender, customers[0], best[1]))

    _head("5. What to do next: stage, value, and actions with every term, for the same customer")
    with TemporaryDirectory() as folder:
        nba.decision_log = DecisionLog(Path(folder) / "decisions.sqlite")
        click.echo(_acted(nba, customers[0]))
        nba.decision_log.close()
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
    named = contenders()
    for name, contender in named.items():
        with stage(f"Fitting {name}"):
            contender.fit(split.train)
    with stage("Asking each for 10 items for each customer, twice"):
        return str(check(named, split))


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


def _acted(nba: "NextBestAction", customer: "Id") -> str:
    """Say where customers stand, what to do for one, and what three weeks of decisions were worth."""
    from engagelib.actions.customers import STAGES
    from engagelib.demo import campaign
    from engagelib.times import to_datetime

    live = nba.recommender.serving_.live
    now = to_datetime(live.newest or 0)
    found = nba.recommend(customer, at=now, channel="email")
    stages = nba.stages([now])
    counted = [(name, int(n)) for name, n in zip(STAGES, stages.counts[0], strict=True) if n]
    named = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counted)
    lines = [textwrap.fill(f"Customers by stage: {named}", WIDTH), ""]
    lines += [str(found), ""]
    if found.expected_value is not None:
        lines.append(f"Expected to bring in {nba.horizon_days:g} days: {found.expected_value:,.2f}\n")
    held = [one.action for one in found if one.action == "invite"]
    nba.observe({"customer_id": customer, "event_type": "complaint"})
    later = nba.recommend(customer, at=now, channel="email")
    gone = [one.detail for one in later.suppressed if one.rule == "bad_experience"]
    if held and gone:
        lines.append(f"A complaint comes in, and no friend is asked for: {gone[0]}\n")
    decision = nba.decide(customer, at=now, channel="email")
    chances = ", ".join(f"{name} {chance:.0%}" for name, chance in decision.probabilities.items())
    lines.append(textwrap.fill(f"Decided: {decision.title}. It was drawn from: {chances}", WIDTH))
    lines.append("")
    with stage("Deciding for everybody, three weeks in a row"):
        table = judged(campaign(nba, now))
    words = (
        f"Three weeks of decisions for everybody, {_CONTROL_SHARE:.0%} of the customers left alone to "
        "compare with. What came of them is made up here. This is what a shop would learn of each action, "
        "done wherever it might have been:"
    )
    return "\n".join([*lines, textwrap.fill(words, WIDTH), "", table])


def _head(text: str) -> None:
    click.secho(f"\n{text}\n", bold=True)


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())
