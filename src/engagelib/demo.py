"""What the demo shows beside the answers: a check, customers, what happens meanwhile, and a campaign."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from engagelib.tables import Cell, text_table
from engagelib.times import Moment, spell, to_datetime, to_microseconds

if TYPE_CHECKING:
    from engagelib.actions import Action, NextBestAction
    from engagelib.evaluation import Comparison, PolicyEvaluation
    from engagelib.events import EventLog
    from engagelib.recommender import Recommendation, Recommender
    from engagelib.splitting import Split
    from engagelib.vocabulary import Id

_DEFAULT: Final = "default"
_MEASURES: Final = ("recall", "ndcg", "coverage")


def contenders() -> dict[str, Any]:
    """Return what the demo compares, none of it fitted: the default, popularity, and two of `implicit`.

    `implicit`'s models are at their own defaults. There are two, as each is the better one at times: BM25
    where items are bought again, ALS for items new to the customer.
    """
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import BM25Recommender
    from threadpoolctl import threadpool_limits

    from engagelib.evaluation import ImplicitAdapter
    from engagelib.recommender import Recommender

    with threadpool_limits(1, "blas"):  # it warns of more; fitting sees to its threads
        als = AlternatingLeastSquares(random_state=0)
    return {
        "popularity": Recommender("popularity"),
        "implicit ALS": ImplicitAdapter(als),
        "implicit BM25": ImplicitAdapter(BM25Recommender()),
        _DEFAULT: Recommender(),
    }


class Check(NamedTuple):
    """How the default did beside others; prints as two tables.

    Attributes
    ----------
    all_items
        Judged by whatever customers bought in the test, bought before or not.
    new_items
        Judged by the items that they had not met before, in lists of such items alone.
    """

    all_items: "Comparison"
    new_items: "Comparison"

    def gains(self) -> "dict[str, tuple[tuple[float, float, float], ...]]":
        """Return the default's NDCG@10 less that of each other one, with its 95% interval, on both."""
        found = {}
        for name in self.all_items.rows:
            if name == _DEFAULT:
                continue
            # What is compared with the first is the others less the default.
            apart = [one.rows[name].differences["ndcg@10"] for one in self]
            found[name] = tuple((-each.mean, -each.high, -each.low) for each in apart)
        return found

    def __str__(self) -> str:
        names = [name for name in self.all_items.rows if name != _DEFAULT]
        rows: list[tuple[Cell, ...]] = []
        for name in (*names, _DEFAULT):
            of_new = self.new_items.rows[name].metrics
            measured = [*self.all_items.rows[name].metrics.values(), of_new["recall@10"], of_new["ndcg@10"]]
            rows.append((name, *measured))
        columns = ("recommender", "recall@10", "ndcg@10", "coverage@10", "new: recall@10", "new: ndcg@10")
        spelled: list[tuple[Cell, ...]] = [
            (
                name,
                *(
                    text
                    for mean, low, high in both
                    for text in (f"{mean:+.4f}", f"{low:+.4f} to {high:+.4f}")
                ),
            )
            for name, both in self.gains().items()
        ]
        gained = ("ndcg@10, default minus", "all", "95% interval", "new", "95% interval")
        return (
            f"{text_table(columns, rows)}\n"
            f"{self.all_items.n_customers:,} customers judged by whatever they bought since; new: "
            f"{self.new_items.n_customers:,} by items new to them alone\n\n"
            f"{text_table(gained, spelled)}"
        )


def check(judged: Mapping[str, Any], split: "Split") -> Check:
    """Compare what `contenders` names on a split, by all items and by those new to the customer alone."""
    from engagelib.evaluation import compare

    default_first = {_DEFAULT: judged[_DEFAULT], **judged}
    return Check(
        compare(default_first, split, names=_MEASURES),
        compare(default_first, split, names=_MEASURES, exclude_seen="any", repeat=False),
    )


def last_to_order(log: "EventLog", n_orders: int) -> "tuple[Id, int]":
    """Find the customer who ordered last of those with exactly so many orders.

    Returns
    -------
    The customer, of several at the same moment the first in the order of ids; and how many customers have
    so many orders.
    """
    customer, order = log.columns["customer_id"], log.columns["order_id"]
    rows = np.flatnonzero(_is_purchase(log) & (customer >= 0) & (order >= 0))
    pairs = np.unique(np.stack([customer[rows], order[rows]]), axis=1)
    alike = np.bincount(pairs[0], minlength=log.n_customers) == n_orders
    newest = np.zeros(log.n_customers, np.int64)
    np.maximum.at(newest, customer[rows], log.columns["time"][rows])
    return log.customers[int(np.argmax(np.where(alike, newest, -1)))], int(alike.sum())


def bought_last(log: "EventLog", customer_id: "Id", n: int) -> tuple[list[tuple[str, str, str]], int]:
    """List the items for sale that a customer bought last.

    Returns
    -------
    The date, id and title of at most n items, newest first, each once; and how many items there are beyond.
    """
    item = log.columns["item_id"]
    theirs = _is_purchase(log) & (log.columns["customer_id"] == log.customers.find(customer_id))
    rows = np.flatnonzero(theirs & np.append(log.item_for_sale(), False)[item])
    rows = rows[np.argsort(log.columns["time"][rows], kind="stable")][::-1]
    items, first = np.unique(item[rows], return_index=True)
    newest = rows[np.sort(first)[:n]]
    index = item[newest].tolist()
    dates = [spell(time)[:10] for time in log.columns["time"][newest].tolist()]
    titles = log.item_texts("title").take(index)
    return list(zip(dates, map(str, log.items.ids(index)), titles, strict=True)), len(items) - len(newest)


class Step(NamedTuple):
    """Something that happened while the recommender served, and the answer that came next, as titles."""

    what: str
    answer: list[str]


def serve(
    recommender: "Recommender",
    customer_id: "Id",
    visitor_id: "Id",
    looked_at: "Recommendation",
    *,
    k: int = 3,
) -> list[Step]:
    """Let an item sell out, the customer buy one, and a visitor turn out to be the customer; no refit.

    Parameters
    ----------
    recommender
        It is changed: its availability, and what it observed and linked.
    customer_id, visitor_id
        A known customer, and an id that nobody has.
    looked_at
        What the visitor looks at.
    k
        Length of each answer, of items new to the customer.
    """
    from engagelib.availability import Availability

    def new_to(who: "Id") -> "list[Recommendation]":
        return list(recommender.recommend(who, k=k, repeat=False))

    on_shelf = Availability.from_frame({"item_id": list(recommender.items_)})
    recommender.availability = on_shelf
    steps, found = [], new_to(customer_id)
    steps.append(Step(f"Next for customer {customer_id}", _titles(found)))
    gone = found[0]
    on_shelf.update([gone.item_id], False)
    found = new_to(customer_id)
    steps.append(Step(f"Sold out: {_title(gone)}", _titles(found)))
    steps.append(Step("What could stand in for it", _titles(recommender.substitutes(gone.item_id, k))))
    bought = found[0]
    recommender.observe({"customer_id": customer_id, "item_id": bought.item_id})
    steps.append(Step(f"Bought just now: {_title(bought)}", _titles(new_to(customer_id))))
    recommender.observe({"customer_id": visitor_id, "item_id": looked_at.item_id, "event_type": "view"})
    steps.append(Step(f"Visitor {visitor_id} looks at: {_title(looked_at)}", _titles(new_to(visitor_id))))
    recommender.link(customer_id, visitor_id)
    steps.append(Step(f"The visitor signs in as {customer_id}", _titles(new_to(visitor_id))))
    return steps


def shop_actions(item_id: "Id") -> "list[Action]":
    """Return what a gift shop might do for a customer; one action needs an item to be on the shelf."""
    from engagelib.actions import Action, ContactLimit

    margin = 0.3
    return [
        Action("news", value={"feature": "mean_order_value", "times": margin * 0.1}, cost=0.05,
               applicable={"recency_days": {"min": 7}}, title="Send the news", cooldown="7d"),
        Action("voucher", kind="offer", value={"feature": "mean_order_value", "times": margin}, cost=5.0,
               benefit=5.0, applicable={"stage": ["lapsing", "lost"]}, title="Voucher to come back"),
        Action("sample", kind="offer", value={"feature": "mean_order_value", "times": margin * 0.5}, cost=2.0,
               benefit=4.0, items=[item_id], applicable={"stage": ["repeat", "loyal", "advocacy"]},
               limits=[ContactLimit(1, "30d", action="sample")], title="Sample with the next parcel"),
        Action("invite", kind="referral", success="referral", value=12.0, cost=0.1,
               eligible={"stage": ["loyal", "advocacy"]}, title="Ask to invite a friend"),
        Action("welcome", value=4.0, cost=0.05, applicable={"stage": ["interest", "first_purchase"]},
               title="Welcome, and how to order again"),
    ]  # fmt: skip


def campaign(
    nba: "NextBestAction", at: "Moment", *, n_weeks: int = 3, effect: float = 0.06, rng: int = 0
) -> "PolicyEvaluation":
    """Decide for every customer week by week, make up what came of it, and judge what else could have been.

    Parameters
    ----------
    nba
        With a decision log, which is written to.
    at
        The first moment.
    n_weeks
        How often.
    effect
        Outcomes are made up: a customer answers with the chance of 0.1, `effect` more after a voucher or a
        sample, and as much less after an invitation.
    rng
        The seed.
    """
    from engagelib.actions import read_decisions
    from engagelib.evaluation import evaluate_policy

    generator = np.random.default_rng(rng)
    first = to_datetime(to_microseconds(at))
    for week in range(n_weeks):
        decided = nba.decide_many(at=first + timedelta(weeks=week), channel="email")
        action = np.array(decided["action"].to_pylist())
        more = np.isin(action, ("voucher", "sample")).astype(float) - (action == "invite")
        answered = generator.random(len(action)) < 0.1 + effect * more
        nba.record_many({"decision_id": decided["decision_id"], "value": answered.astype(float)})
    logged = read_decisions(nba.decision_log)
    policies = {name: logged.prefer(name) for name in ("nothing", "sample", "invite")}
    return evaluate_policy(logged, policies, estimators=("dr",))


def _titles(entries: "Iterable[Recommendation]") -> list[str]:
    return [_title(entry) for entry in entries]


def _title(entry: "Recommendation") -> str:
    return entry.title or str(entry.item_id)


def _is_purchase(log: "EventLog") -> np.ndarray:
    return np.asarray(log.columns["event_type"] == log.vocabularies["event_type"].find("purchase"))
