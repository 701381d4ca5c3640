"""Figures are what one would count by hand, and nothing is judged by what it was fitted on."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import Recommender, errors
from engagelib.evaluation import (
    EVALUATION_METRICS,
    Comparison,
    Evaluation,
    _asking,
    _bootstrap,
    compare,
    evaluate,
)
from engagelib.events import EventLog
from engagelib.models import model_names
from engagelib.splitting import Split, split_by_position, split_by_session, split_by_time
from engagelib.times import to_datetime

START = datetime(2024, 1, 1, tzinfo=UTC)
CUT = "2024-01-02"


def log_of(rows, **keywords):
    """Make a log of rows "customer item day[ event_type]"; sessions are customers and days."""
    cells = [(*row.split(), "purchase")[:4] for row in rows]
    columns = {
        "customer_id": [who for who, *_ in cells],
        "item_id": [what for _, what, *_ in cells],
        "timestamp": [START + timedelta(days=float(day)) for _, _, day, _ in cells],
        "event_type": [kind for *_, kind in cells],
        "session_id": [f"{who}{day}" for who, _, day, _ in cells],
    }
    return EventLog.from_frame(columns, **keywords)


class Told(Recommender):
    """A recommender that lists what it was told, whatever it was fitted on."""

    def __init__(self, lists):
        super().__init__("popularity")
        self.lists = lists
        self.asked = []

    def recommend_many(self, customer_ids, *, k, **keywords):
        self.asked.append(keywords)
        found = np.full((len(customer_ids), k), -1, np.int32)
        for row, who in enumerate(customer_ids):
            items = [self.items_.find(item) for item in self.lists.get(who, ())][:k]
            found[row, : len(items)] = items
        return SimpleNamespace(item_index=found)


# Bought by everybody on the first day, so that p, q, r, s is the order of popularity.
BASKETS = {"a": "pqrs", "b": "pqr", "c": "pq", "d": "p"}
BEFORE = [f"{who} {item} 0" for who, items in BASKETS.items() for item in items]
# d finds q at rank 1 and misses s; c finds s at rank 2 and misses an item that was new; b buys p again;
# e is not known.
AFTER = ["d q 1", "d s 1", "c s 1", "c new 1", "b p 1", "e p 1", "b q 1 view"]
SHOP = log_of(BEFORE + AFTER)
SPLIT = split_by_time(SHOP, at=CUT)
THIRD = 1 / math.log2(3)


# Golden cases


def test_figures_are_those_worked_out_by_hand():
    found = evaluate(Recommender("popularity"), SPLIT, k=2)
    assert found.metrics == pytest.approx(
        {
            "recall@2": 0.5,
            "precision@2": 0.5,
            "hit_rate@2": 1.0,
            "ndcg@2": (1 / (1 + THIRD) + THIRD / (1 + THIRD)) / 2,
            "mrr@2": (1 + 1 / 2) / 2,
            "map@2": (1 / 2 + 1 / 4) / 2,
            "coverage@2": 3 / 4,  # q and r for d, r and s for c, s for b
            "gini@2": (-3 * 0 - 1 * 1 + 1 * 2 + 3 * 2) / (4 * 5),  # p never, q once, r and s twice
            "novelty@2": ((math.log2(4 / 3) + 1) / 2 + (1 + 2) / 2) / 2,
            # q was met by a, b and c, r by a and b, s by a.
            "diversity@2": 1 - (2 / math.sqrt(3 * 2) + 1 / math.sqrt(2 * 1)) / 2,
        },
        abs=1e-12,
    )
    assert (found.n_customers, found.n_unknown, found.n_nothing_to_find) == (2, 1, 1)


def test_repeats_count_where_lists_may_hold_them():
    found = evaluate(Recommender("popularity"), SPLIT, k=2, repeat=True)
    # Everybody is shown p and q: d finds one of two, c none of two, b the only one.
    assert found.metrics["recall@2"] == pytest.approx(0.5, abs=1e-12)
    assert found.metrics["precision@2"] == pytest.approx((0.5 + 0 + 0.5) / 3, abs=1e-12)
    assert found.metrics["coverage@2"] == 2 / 4
    assert (found.n_customers, found.n_unknown, found.n_nothing_to_find) == (3, 1, 0)
    assert evaluate(Recommender("popularity"), SPLIT, k=2, exclude_seen="none").metrics == found.metrics


def test_lists_may_be_judged_by_other_events():
    found = evaluate(Recommender("popularity"), SPLIT, k=2, events=("view",), repeat=True)
    assert found.metrics["recall@2"] == 1.0
    assert (found.n_customers, found.n_unknown, found.n_nothing_to_find) == (1, 1, 2)
    both = evaluate(Recommender("popularity"), SPLIT, k=2, events=("purchase", "view"), repeat=True)
    assert both.metrics["recall@2"] == pytest.approx((0.5 + 0 + 1) / 3, abs=1e-12)


def test_seen_is_what_lists_leave_out():
    log = log_of(["a p 0 view", "a q 0", "b r 0", "a p 1", "a r 1", "b r 1"])
    split = split_by_time(log, at=CUT)
    told = Told({"a": ["r", "p"], "b": ["p", "q"]})
    recall = {
        exclude: evaluate(told, split, exclude_seen=exclude, names=("recall",)).metrics["recall@10"]
        for exclude in ("purchased", "any", "none")
    }
    # b bought r before; a looked at p before.
    assert recall == {"purchased": 1.0, "any": 1.0, "none": 0.5}
    assert evaluate(told, split, exclude_seen="purchased").n_customers == 1
    told.lists["a"] = ["p"]
    assert evaluate(told, split, exclude_seen="purchased", names=("recall",)).metrics["recall@10"] == 0.5
    with_repeats = evaluate(told, split, exclude_seen="any", repeat=True, names=("recall",))
    assert (with_repeats.metrics["recall@10"], with_repeats.n_customers) == (0.0, 2)


def test_a_perfect_recommender_reaches_1():
    lists = {"d": ["q", "s"], "c": ["s"], "b": ["p"]}
    log = log_of([*BEFORE, "d q 1", "d s 1", "c s 1", "b p 1"])
    found = evaluate(Told(lists), split_by_time(log, at=CUT), k=(2, 5), repeat=True)
    perfect = {
        name: value for name, value in found.metrics.items() if name[:3] in {"rec", "ndc", "mrr", "map"}
    }
    assert perfect == dict.fromkeys(perfect, 1.0)
    assert len(perfect) == 8


def test_items_not_for_sale_are_neither_found_nor_missed():
    goods = {"item_id": ["p", "q", "r", "s", "new"], "for_sale": [True, False, True, True, False]}
    found = evaluate(
        Recommender("popularity"), split_by_time(log_of(BEFORE + AFTER, items=goods), at=CUT), k=2
    )
    # d is shown r and s and looked for s alone; c the same.
    assert found.metrics["recall@2"] == 1.0
    assert found.metrics["mrr@2"] == 0.5
    assert found.metrics["coverage@2"] == 2 / 3  # b is shown s, too; p, r and s are for sale


def test_either_log_may_say_what_is_not_for_sale():
    without_q = {"item_id": ["q"], "for_sale": [False]}
    recommender = Recommender("popularity").fit(log_of(BEFORE, items=without_q))
    assert evaluate(recommender, log_of(AFTER), k=2).metrics["recall@2"] == pytest.approx((1 + 0.5) / 2)
    recommender = Recommender("popularity").fit(log_of(BEFORE))
    without_new = log_of(AFTER, items={"item_id": ["new"], "for_sale": [False]})
    assert evaluate(recommender, without_new, k=2).metrics["recall@2"] == pytest.approx((0.5 + 1) / 2)


# Definition

ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from("pqrstu"),
        st.sampled_from("01"),
        st.sampled_from(["view", "purchase"]),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(
    rows=ROWS,
    lists=st.dictionaries(st.sampled_from("abcd"), st.permutations("pqrs").map(lambda items: items[:3])),
    repeat=st.booleans(),
    exclude=st.sampled_from(["purchased", "any", "none"]),
    k=st.integers(1, 4),
)
def test_evaluate_counts_what_the_definition_says(rows, lists, repeat, exclude, k):
    # The items p to s and the customer z are always known; a purchase and a view make "purchased" differ.
    rows = [
        *rows,
        *(("z", item, "0", "view") for item in "pqrs"),
        ("z", "p", "0", "purchase"),
        ("z", "u", "1", "purchase"),
    ]
    split = split_by_time(log_of([" ".join(row) for row in rows]), at=CUT)
    found = evaluate(
        Told(lists),
        split,
        k=k,
        exclude_seen=exclude,
        repeat=repeat,
        names=("recall", "precision", "coverage"),
    )

    trained = {who for who, _, day, _ in rows if day == "0"}
    known = {item for _, item, day, _ in rows if day == "0"}
    tested = {who for who, _, day, _ in rows if day == "1"}
    recalls, precisions = [], []
    for who in sorted(tested & trained):
        bought = {item for one, item, day, kind in rows if (one, day, kind) == (who, "0", "purchase")}
        seen = {item for one, item, day, _ in rows if (one, day) == (who, "0")}
        hidden = seen if exclude == "any" else set()
        hidden = hidden - bought if repeat else hidden | bought
        wanted = {
            item for one, item, day, kind in rows if (one, day, kind) == (who, "1", "purchase")
        } - hidden
        if wanted:
            hits = len(wanted & set(lists.get(who, [])[:k]))
            recalls.append(hits / len(wanted))
            precisions.append(hits / k)
    shown = {item for who in tested & trained for item in lists.get(who, [])[:k]}
    assert found.metrics == pytest.approx(
        {
            f"recall@{k}": np.mean(recalls),
            f"precision@{k}": np.mean(precisions),
            f"coverage@{k}": len(shown) / len(known),
        }
    )
    assert found.n_customers == len(recalls)
    assert found.n_unknown == len(tested - trained)
    assert found.n_customers + found.n_unknown + found.n_nothing_to_find == len(tested)


# Laws


def shop(seed=0, n=600):
    """Draw a log in which customers like one half of the items."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, 40, n)
    item = rng.integers(0, 30, n) * 2 + customer % 2
    day = rng.uniform(0, 10, n)
    return log_of([f"c{who} i{what} {when:.6f}" for who, what, when in zip(customer, item, day, strict=True)])


@pytest.mark.parametrize(
    "split",
    [split_by_time(shop(), test_days=2), split_by_position(shop()), split_by_session(shop(), test_share=0.2)],
    ids=lambda split: split.by,
)
def test_a_fitted_recommender_and_one_to_fit_are_judged_alike(split):
    recommender = Recommender()
    found = evaluate(recommender, split)
    assert found == evaluate(recommender, split) == evaluate(Recommender().fit(split.train), split)
    assert 0 < found.metrics["recall@10"] < 1


def test_a_test_log_alone_is_judged_like_its_split():
    split = split_by_time(shop(), test_days=2)
    recommender = Recommender().fit(split.train)
    assert evaluate(recommender, split.test).metrics == pytest.approx(evaluate(recommender, split).metrics)


def test_blocks_do_not_change_the_answer(monkeypatch):
    split = split_by_time(shop(), test_days=2)
    found = evaluate(Recommender(), split)
    monkeypatch.setattr(_asking, "_BLOCK", 7)
    assert evaluate(Recommender(), split) == found


def test_several_cuts_are_judged_by_prefixes_of_one_list():
    split = split_by_time(shop(), test_days=2)
    recommender = Recommender().fit(split.train)
    both = evaluate(recommender, split, k=(3, 10)).metrics
    assert both == evaluate(recommender, split, k=3).metrics | evaluate(recommender, split, k=10).metrics


def test_lists_are_asked_for_as_of_the_cut():
    told = Told({})
    evaluate(told, SPLIT, exclude_seen="any", repeat=True)
    just_before = to_datetime(SPLIT.cut - 1)
    assert told.asked == [{"at": just_before, "exclude_seen": "any", "repeat": True}]
    told = Told({})
    evaluate(told, split_by_position(shop()))
    assert told.asked == [{"at": None, "exclude_seen": "purchased", "repeat": None}]


# Leaks

REFIT = "expected training events only. Hint: fit it on split.train, or pass it unfitted with the split."
EARLIER = "expected earlier events only. Hint: fit it on split.train, or pass it unfitted with the split."
# The last two events of a come at one moment: the order of rows alone says which is tested.
TIES = log_of(["a p 1", "a q 3", "a r 3", "b p 2", "b q 5"])
POSITIONS = EventLog.from_frame(
    {"customer_id": ["a", "a", "b", "b"], "item_id": ["p", "q", "p", "r"], "position": [1, 2, 1, 2]}
)
LEAKS = {
    "time": (
        lambda: (SHOP, SPLIT),
        "the recommender was fitted on 7 events at or after 2024-01-02 00:00 UTC, where the test begins "
        f"(of 4 customers, first: 'b'): {EARLIER}",
    ),
    "time, at the very cut": (
        lambda: (log_of([*BEFORE, "a p 1"]), SPLIT),
        "the recommender was fitted on 1 event at or after 2024-01-02 00:00 UTC, where the test begins "
        f"(of 1 customer, first: 'a'): {EARLIER}",
    ),
    "time, a test log alone": (
        lambda: (SHOP, SPLIT.test),
        "the recommender was fitted on 7 events at or after 2024-01-02 00:00 UTC, where the test begins "
        f"(of 4 customers, first: 'b'): {EARLIER}",
    ),
    "position": (
        lambda: (TIES, split_by_position(TIES)),
        f"the recommender was fitted on test events of 2 customers (first: 'a'): {REFIT}",
    ),
    "position, one customer by a tie": (
        lambda: (TIES.select(np.arange(4)), split_by_position(TIES)),
        f"the recommender was fitted on test events of 1 customer (first: 'a'): {REFIT}",
    ),
    "position, a test log alone": (
        lambda: (POSITIONS, split_by_position(POSITIONS).test),
        f"the recommender was fitted on test events of 2 customers (first: 'a'): {REFIT}",
    ),
    "session": (
        lambda: (TIES, split_by_session(TIES)),
        f"the recommender was fitted on test events of 1 session (first: 'b5'): {REFIT}",
    ),
    "session, fitted without session ids": (
        lambda: (
            EventLog.from_frame(TIES.to_table().drop_columns("session_id")),
            split_by_session(TIES, test_share=0.5),
        ),
        f"the recommender was fitted on test events of 2 customers (first: 'a'): {REFIT}",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_recommender_that_saw_the_test_is_refused(name):
    log, split = LEAKS[name][0]()
    recommender = Recommender("popularity").fit(log)
    with pytest.raises(errors.LeakError, match=f"^{re.escape(LEAKS[name][1])}$"):
        evaluate(recommender, split, repeat=True)
    if isinstance(split, Split):
        with pytest.raises(errors.LeakError, match=f"^{re.escape(LEAKS[name][1])}$"):
            compare({"first": Recommender("popularity"), "second": recommender}, split, repeat=True)


@pytest.mark.parametrize("rows", [[0, 1, 3], [0, 3]], ids=["training", "less than training"])
def test_training_alone_is_no_leak(rows):
    split = split_by_position(TIES)
    recommender = Recommender("popularity").fit(TIES.select(np.array(rows)))
    assert evaluate(recommender, split).n_customers == 2
    recommender = Recommender("popularity").fit(POSITIONS.select(np.array([0, 2])))
    assert evaluate(recommender, split_by_position(POSITIONS).test).n_customers == 2


def test_a_log_without_an_order_is_taken_as_it_is():
    train = EventLog.from_frame({"customer_id": ["a", "b", "b"], "item_id": ["p", "p", "q"]})
    test = EventLog.from_frame({"customer_id": ["a"], "item_id": ["q"]})
    assert evaluate(Recommender("popularity").fit(train), test).metrics["recall@10"] == 1.0


# Comparing


def comparison(**keywords):
    contenders = {
        "popularity": Recommender("popularity"),
        "neighbours": Recommender("item_knn"),
        "auto": Recommender(),
    }
    return compare(contenders, split_by_time(shop(n=3000), test_days=1), repeat=True, k=5, **keywords)


def test_differences_sum_up():
    found = comparison()
    assert list(found.rows) == ["popularity", "neighbours", "auto"]
    first, second, third = found.rows.values()
    assert (first.difference, first.low, first.high) == (None, None, None)
    for row in (second, third):
        assert row.difference == pytest.approx(row.metrics["ndcg@5"] - first.metrics["ndcg@5"], abs=1e-12)
        assert row.low <= row.difference <= row.high
    assert second.difference > 0.01
    assert second.low > 0


def test_each_row_is_what_evaluate_finds():
    split = split_by_time(shop(n=3000), test_days=1)
    alone = evaluate(Recommender("item_knn"), split, repeat=True, k=5)
    found = comparison()
    row = found.rows["neighbours"]
    assert row.metrics == pytest.approx({name: alone.metrics[name] for name in row.metrics})
    assert found.n_customers == alone.n_customers


def test_the_same_seed_gives_the_same_intervals():
    assert comparison() == comparison(rng=0) == comparison(rng=np.random.default_rng(0))
    assert comparison().rows["neighbours"].low != comparison(rng=1).rows["neighbours"].low


def test_two_of_a_kind_do_not_differ():
    pair = {"one": Recommender("popularity"), "other": Recommender("popularity")}
    row = compare(pair, SPLIT).rows["other"]
    assert (row.difference, row.low, row.high) == (0.0, 0.0, 0.0)


def test_intervals_are_those_of_the_normal_law_for_many_customers(monkeypatch):
    rng = np.random.default_rng(0)
    differences = rng.normal([[0.1], [-0.2]], [[1.0], [3.0]], (2, 4000))
    low, high = _bootstrap.mean_intervals(differences, 4000, np.random.default_rng(1))
    error = differences.std(axis=1) / math.sqrt(4000)
    np.testing.assert_allclose((low - differences.mean(axis=1)) / error, [-1.96, -1.96], atol=0.1)
    np.testing.assert_allclose((high - differences.mean(axis=1)) / error, [1.96, 1.96], atol=0.1)


def test_only_customers_whom_all_know_are_compared():
    told = {"d": ["q", "s"], "c": ["s"]}
    half = Told(told).fit(log_of([row for row in BEFORE if row[0] != "c"]))
    found = compare({"all": Told(told), "half": half}, SPLIT, metric="recall", k=2)
    assert found.n_customers == 1
    assert found.rows["all"].metrics["recall@2"] == found.rows["half"].metrics["recall@2"] == 1.0


def test_the_compared_metric_is_shown_in_any_case():
    pair = {"one": Recommender("popularity"), "other": Recommender("popularity")}
    found = compare(pair, SPLIT, metric="mrr", k=2, names=("recall",))
    assert found.metric == "mrr@2"
    assert found.rows["one"].metrics == {"mrr@2": 0.75, "recall@2": 0.5}


# What it looks like


def test_an_evaluation_shows_itself_as_a_table():
    found = evaluate(Recommender("popularity"), SPLIT, k=(1, 2), names=("recall", "coverage"))
    assert str(found) == (
        "2 customers judged; 1 unknown to the recommender, 1 with nothing to find; 95% intervals\n"
        "events=('purchase',), exclude_seen='purchased', repeat=None\n"
        "metric        @1   low@1  high@1      @2   low@2  high@2\n"
        "--------  ------  ------  ------  ------  ------  ------\n"
        "recall    0.2500  0.0000  0.5000  0.5000  0.5000  0.5000\n"
        "coverage  0.7500  0.4573  1.0000  0.7500  0.4733  1.0000"
    )
    one = evaluate(Recommender("popularity"), SPLIT, k=1, names=("recall",))
    assert str(one).splitlines()[2].split() == ["metric", "@1", "low", "high"]
    assert '<td style="text-align:right">0.2500</td>' in found._repr_html_()
    records = found.to_records()
    assert json.loads(json.dumps(records))[0] == {
        "metric": "recall",
        "@1": 0.25,
        "low@1": 0.0,
        "high@1": 0.5,
        "@2": 0.5,
        "low@2": 0.5,
        "high@2": 0.5,
    }


def test_a_comparison_shows_itself_as_a_table():
    found = compare(
        {"good": Told({"d": ["q", "s"], "c": ["s"]}), "bad": Told({})},
        SPLIT,
        metric="hit_rate",
        k=2,
        names=("recall",),
    )
    assert str(found) == (
        "2 customers judged; difference in hit_rate@2 to 'good', 95% interval\n"
        "events=('purchase',), exclude_seen='purchased', repeat=None\n"
        "recommender  hit_rate@2  recall@2  difference      low     high\n"
        "-----------  ----------  --------  ----------  -------  -------\n"
        "good             1.0000    0.7500\n"
        "bad              0.0000    0.0000     -1.0000  -1.0000  -1.0000"
    )
    assert "<caption>2 customers judged" in found._repr_html_()
    record = json.loads(json.dumps(found.to_records()))[1]
    assert record == {"recommender": "bad", "hit_rate@2": 0.0, "recall@2": 0.0} | dict.fromkeys(
        ("difference", "low", "high"), -1.0
    )


# What is refused

PAIR = {"one": Recommender("popularity"), "other": Recommender("popularity")}
NUMBERED = EventLog.from_frame(
    {"customer_id": [1, 1], "item_id": ["p", "q"], "timestamp": ["2024-01-01", "2024-01-02"]}
)
ITEMS = EventLog.from_frame(
    {"customer_id": ["a", "a"], "item_id": [1, 2], "timestamp": ["2024-01-01", "2024-01-02"]}
)
TYPES = "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type."
KNOWN = ", ".join(EVALUATION_METRICS)
MODELS = ", ".join(model_names())
RULE = (
    "on an item for sale that the lists may hold. Hint: the test log has purchase, view; "
    'exclude_seen="none" or repeat=True count items met before.'
)


def told(**keywords):
    return evaluate(Told({}), SPLIT, **keywords)


def compared(**keywords):
    return compare(PAIR, SPLIT, **keywords)


REFUSED = {
    "no split": (
        lambda: evaluate(Told({}), "log"),
        errors.ArgumentError,
        "split='str': expected a Split, or an EventLog to test on.",
    ),
    "no recommender": (
        lambda: evaluate(3, SPLIT),
        errors.ArgumentError,
        f"recommender='int': expected a Recommender, a Model, \"auto\", or one of {MODELS}.",
    ),
    "not fitted, and nothing to fit on": (
        lambda: evaluate(Recommender(), SPLIT.test),
        errors.NotFittedError,
        "the recommender is not fitted, and a test log alone gives nothing to fit it on. "
        "Hint: pass the Split, or fit the recommender on what came before.",
    ),
    "empty test": (
        lambda: evaluate(Told({}), SHOP.select(np.zeros(len(SHOP), bool))),
        errors.NotEnoughDataError,
        "the test log leaves no event for testing: it is empty. Expected events on both sides.",
    ),
    "no k": (lambda: told(k=0), errors.ArgumentError, "k=0: expected an integer of at least 1."),
    "no cuts": (
        lambda: told(k=()),
        errors.ArgumentError,
        "k=(): expected an integer of at least 1, or several.",
    ),
    "one of several k": (
        lambda: told(k=(5, 1.5)),
        errors.ArgumentError,
        "k=1.5: expected an integer of at least 1.",
    ),
    "one event type": (
        lambda: told(events="view"),
        errors.ArgumentError,
        "events='view': expected a sequence of event types. Hint: one type is events=('view',).",
    ),
    "no event type": (
        lambda: told(events=()),
        errors.ArgumentError,
        "events=(): expected a sequence of event types.",
    ),
    "other metric": (
        lambda: told(names=("auc",)),
        errors.ArgumentError,
        f"names='auc': expected metrics out of {KNOWN}.",
    ),
    "other exclusion": (
        lambda: told(exclude_seen="all"),
        errors.ArgumentError,
        'exclude_seen=\'all\': expected "purchased", "any" or "none".',
    ),
    "other repeats": (
        lambda: told(repeat="yes"),
        errors.ArgumentError,
        "repeat='yes': expected True, False or None.",
    ),
    "nobody known": (
        lambda: evaluate(Told({}).fit(log_of(["y p 0"])), log_of(["a p 1"])),
        errors.NotEnoughDataError,
        "the recommender knows none of the test log's 1 customer: expected at least one. "
        "Hint: anonymous visits can't be judged; are both logs of the same shop?",
    ),
    "nothing to find": (
        lambda: evaluate(Told({}), split_by_time(log_of(["a p 0", "b p 0", "a p 1", "b q 1 view"]), at=CUT)),
        errors.NotEnoughDataError,
        "none of 2 known customers has anything to find in the test log: "
        f"expected events of type purchase, {RULE}",
    ),
    "customers of another type": (
        lambda: evaluate(Recommender("popularity").fit(NUMBERED), SPLIT),
        errors.SchemaError,
        f"the test log: column 'customer_id' holds strings, the log holds integers. {TYPES}",
    ),
    "items of another type": (
        lambda: evaluate(Recommender("popularity").fit(ITEMS), SPLIT),
        errors.SchemaError,
        f"the test log: column 'item_id' holds strings, the log holds integers. {TYPES}",
    ),
    "order told in another way": (
        lambda: evaluate(Recommender("popularity").fit(POSITIONS), SPLIT),
        errors.SchemaError,
        "the test log tells order by 'timestamp', the log fitted on by 'position': expected the same. "
        "Hint: make both from one log.",
    ),
    "one to compare": (
        lambda: compare({"one": Told({})}, SPLIT),
        errors.ArgumentError,
        "recommenders=['one']: expected at least two recommenders, as a mapping of names to them, or a list.",
    ),
    "nobody to evaluate": (
        lambda: evaluate({}, SPLIT),
        errors.ArgumentError,
        "recommenders=[]: expected at least one recommender, as a mapping of names to them, or a list.",
    ),
    "a number to compare": (
        lambda: compare(3, SPLIT),
        errors.ArgumentError,
        "recommenders='int': expected at least two recommenders, as a mapping of names to them, or a list.",
    ),
    "two of a name to compare": (
        lambda: compare([Told({}), "item_knn", "popularity"], SPLIT),
        errors.ArgumentError,
        "two recommenders of the list are called 'popularity': expected names that differ. "
        "Hint: pass a mapping, as in {'first': ..., 'second': ...}.",
    ),
    "an unknown name to compare": (
        lambda: compare({"one": Told({}), "other": "oracle"}, SPLIT),
        errors.ArgumentError,
        f"recommenders['other']='oracle': expected a Recommender, a Model, \"auto\", or one of {MODELS}.",
    ),
    "several on a test log": (
        lambda: evaluate(PAIR, SPLIT.test),
        errors.ArgumentError,
        "split='EventLog': expected a Split, to judge several recommenders by.",
    ),
    "several by nothing that customers have": (
        lambda: evaluate(PAIR, SPLIT, names=("coverage",)),
        errors.ArgumentError,
        "names=('coverage',): expected at least one of recall, precision, hit_rate, ndcg, mrr, map, novelty, "
        "diversity.",
    ),
    "names as one": (
        lambda: told(names="recall"),
        errors.ArgumentError,
        "names='recall': expected a sequence of names. Hint: one name is names=('recall',).",
    ),
    "no names": (
        lambda: told(names=()),
        errors.ArgumentError,
        f"names=(): expected at least one of {KNOWN}.",
    ),
    "an argument that lists are judged by": (
        lambda: told(ask={"k": 3}),
        errors.ArgumentError,
        "ask='k': expected arguments of recommend_many other than customer_ids, k, at, exclude_seen, repeat.",
    ),
    "an argument by itself": (
        lambda: told(ask="fill"),
        errors.ArgumentError,
        "ask='fill': expected a mapping of arguments, as in {\"rules\": [...]}, or None.",
    ),
    "other segments": (
        lambda: told(by_segment=("age",)),
        errors.ArgumentError,
        "by_segment=('age',): expected True, False, or some of history, repeat, channel.",
    ),
    "one segment as text": (
        lambda: told(by_segment="repeat"),
        errors.ArgumentError,
        "by_segment='repeat': expected True, False, or some of history, repeat, channel.",
    ),
    "channels that the log has not": (
        lambda: told(by_segment=("channel",)),
        errors.NotEnoughDataError,
        "by_segment=\"channel\" needs the column 'channel', which this log does not have.",
    ),
    "comparing on a test log": (
        lambda: compare(PAIR, SPLIT.test),
        errors.ArgumentError,
        "split='EventLog': expected a Split.",
    ),
    "comparing coverage": (
        lambda: compared(metric="coverage"),
        errors.ArgumentError,
        "metric='coverage': expected one of recall, precision, hit_rate, ndcg, mrr, map, novelty, diversity.",
    ),
    "no resamples": (
        lambda: compared(n_resamples=0),
        errors.ArgumentError,
        "n_resamples=0: expected an integer of at least 1.",
    ),
    "negative seed": (
        lambda: compared(rng=-1),
        errors.ArgumentError,
        "rng=-1: expected an integer of at least 0 or a numpy.random.Generator.",
    ),
    "seed as a flag": (
        lambda: compared(rng=True),
        errors.ArgumentError,
        "rng=True: expected an integer of at least 0 or a numpy.random.Generator.",
    ),
    "nobody known to all": (
        lambda: compare({"one": Told({}), "other": Told({}).fit(log_of(["y p 0"]))}, SPLIT),
        errors.NotEnoughDataError,
        "the recommenders together know none of the test log's 4 customers: expected at least one. "
        "Hint: anonymous visits can't be judged; are both logs of the same shop?",
    ),
    "nothing to compare by": (
        lambda: compared(events=("rating",)),
        errors.NotEnoughDataError,
        "none of 3 known customers has anything to find in the test log: "
        f"expected events of type rating, {RULE}",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong(name):
    call, kind, text = REFUSED[name]
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        call()


def test_nothing_is_fitted_before_arguments_are_checked():
    recommender = Recommender("popularity")
    with pytest.raises(errors.ArgumentError):
        evaluate(recommender, SPLIT, exclude_seen="all")
    with pytest.raises(errors.ArgumentError):
        compare({"one": recommender, "other": Recommender()}, SPLIT, repeat=1)
    assert not hasattr(recommender, "histories_")


def test_results_are_of_the_named_kinds():
    assert isinstance(evaluate(Recommender("popularity"), SPLIT), Evaluation)
    assert isinstance(compare(PAIR, SPLIT), Comparison)
