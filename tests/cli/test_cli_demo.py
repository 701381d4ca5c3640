"""The demo: the whole way on the bundled log, pleasant to read, and telling what the library says."""

import re

import numpy as np
import pytest
from cli_cases import real, refused
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from threadpoolctl import threadpool_limits

import engagelib as eg
from engagelib.datasets import load_online_retail
from engagelib.demo import bought_last, campaign, check, last_to_order, serve, shop_actions
from engagelib.evaluation import ImplicitAdapter, compare
from engagelib.splitting import split_by_time


@pytest.fixture(scope="module")
def log():
    return load_online_retail()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What a user sees, and the model that was saved on the way."""
    out = tmp_path_factory.mktemp("demo") / "shop.engage"
    done = real("demo", "--save", out, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, out


def test_the_text_fits_a_terminal(shown):
    assert max(map(len, shown[0].splitlines())) <= 100


@pytest.fixture(scope="module")
def judged(log):
    """The same check by hand, without what takes its time: the default."""
    split = split_by_time(log, test_days=28)
    with threadpool_limits(1, "blas"):
        als = AlternatingLeastSquares(random_state=0)
    named = {
        "popularity": eg.Recommender("popularity"),
        "implicit ALS": ImplicitAdapter(als),
        "implicit BM25": ImplicitAdapter(BM25Recommender()),
    }
    return [compare(named, split), compare(named, split, exclude_seen="any", repeat=False)]


def figures(text, name, n):
    """Read the numbers of the first row of that name."""
    row = re.search(rf"^{name}((?: +[-+]?[01]\.\d{{4}}| to)+)$", text, re.MULTILINE)
    found = re.findall(r"[-+]?[01]\.\d{4}", row[1])
    assert len(found) == n
    return found


def test_the_figures_of_the_others_are_those_of_compare(shown, judged):
    everything, new = judged
    for name, row in everything.rows.items():
        of_all = [f"{row.metrics[f'{metric}@10']:.4f}" for metric in ("recall", "ndcg", "coverage")]
        of_new = [f"{new.rows[name].metrics[f'{metric}@10']:.4f}" for metric in ("recall", "ndcg")]
        assert figures(shown[0], name, 5) == of_all + of_new
    assert f"{everything.n_customers:,} customers judged by whatever they bought since" in shown[0]
    assert f"new: {new.n_customers:,} by items new to them alone" in shown[0]


def test_the_default_beats_every_other_one_and_gains_are_its_figures_less_theirs(shown):
    above, _, below = shown[0].partition("ndcg@10, default minus")
    default = figures(above, "default", 5)
    for name in ("popularity", "implicit ALS", "implicit BM25"):
        theirs, gains = figures(above, name, 5), [float(text) for text in figures(below, name, 6)]
        for place, gain in ((1, gains[:3]), (4, gains[3:])):
            assert gain[0] == pytest.approx(float(default[place]) - float(theirs[place]), abs=1.01e-4)
            assert gain[1] < gain[0] < gain[2]
            assert gain[1] > 0


def test_gains_are_the_other_way_round_than_compare_says(log):
    split = split_by_time(log, test_days=28)
    some = {"popularity": eg.Recommender("popularity"), "default": eg.Recommender("item_knn")}
    found = check(some, split)
    for place, asked in enumerate(({}, {"exclude_seen": "any", "repeat": False})):
        row = compare(some, split, **asked).rows["default"]
        mean, low, high = found.gains()["popularity"][place]
        assert mean == pytest.approx(row.difference)
        assert (low, high) == (pytest.approx(row.low, abs=2e-3), pytest.approx(row.high, abs=2e-3))


def test_it_says_what_ranks_and_how_likely_each_item_is(shown, log):
    text, recommender = shown[0], eg.load(shown[1]).recommender
    ranked = dict(recommender.summary().rows)["ranked by"]
    assert f"Ranked by {ranked.partition(';')[0]} Customer " in " ".join(text.split())
    calibration = recommender.calibration_
    for n_orders in (3, 12):
        chances = [entry.probability for entry in recommender.recommend(last_to_order(log, n_orders)[0], k=5)]
        spelled = ", ".join(f"{chance:.0%}" for chance in chances)
        days = f"{calibration.horizon_days:.0f} days"
        assert f"   Chance of a purchase within {days}, in the order shown: {spelled}\n" in text


def test_the_customers_are_those_of_the_rule_and_the_lists_those_of_the_model(shown, log):
    text, recommender = shown[0], eg.load(shown[1]).recommender
    for n_orders in (3, 12):
        customer, n_alike = last_to_order(log, n_orders)
        assert (
            f"Customer {customer}: of the {n_alike} customers with {n_orders} orders, the last to order"
            in text
        )
        section = text.split(f"Customer {customer}: ")[1].split("\nCustomer ")[0]
        items = re.findall(r"^ {3} +\d+ {2}(\S+) ", section, re.MULTILINE)
        assert items == recommender.recommend(customer, k=5).item_ids
        assert section.count("\n       from ") == 5
    assert "engagelib fit LOG --out shop.engage" in text


def test_what_happens_while_it_serves_is_what_the_library_answers(shown, log):
    text, recommender = shown[0], eg.load(shown[1]).recommender
    customer, other = (last_to_order(log, n_orders)[0] for n_orders in (3, 12))
    section = text.split("\n4. While it serves: ")[1]
    page = str(recommender.profile(customer)).partition("\n\n")[0]
    assert page in section
    looked_at = recommender.recommend(other, k=1)[0]
    titles = [entry.title for entry in recommender.recommend(customer, k=3, repeat=False)]
    steps = serve(recommender, customer, 999_999, looked_at)
    assert steps[0].answer == titles
    for step in steps:
        assert f"\n{step.what}\n   {'; '.join(step.answer)}"[:95] in section


def test_what_to_do_next_is_what_the_saved_model_says(shown, log):
    nba = eg.load(shown[1])
    section = shown[0].split("\n5. What to do next: ")[1]
    customer = last_to_order(log, 3)[0]
    # What is told was observed on the way: the customer bought two things and looked at one.
    steps = serve(nba.recommender, customer, 999_999, nba.recommender.recommend(None, k=1)[0])
    assert len(steps) == 6
    found = nba.recommend(customer, at="2011-12-09T12:50", channel="email")
    rows = dict(re.findall(r"^ +\d+  (\S.*?\S) {2,}.*? (-?\d+\.\d{4}) .*$", section, re.MULTILINE))
    assert "nothing" in rows
    for word in ("p_success", "lever", "cost", "Not now", "Expected to bring in 28 days", "Decided: "):
        assert word in section
    stage = found.stage
    assert stage.name == "loyal"  # by what was bought while it served, the fourth time
    assert f"For customer {customer}: {stage.name} ({stage.reason})" in section
    judged = section[section.index("Three weeks of decisions") :]
    assert {"nothing", "sample", "invite"} <= set(re.findall(r"^(\w+)", judged, re.MULTILINE))
    assert "control group" in judged


def test_a_campaign_is_judged_by_what_was_written_down(log, tmp_path):
    customer = last_to_order(log, 3)[0]
    recommender = eg.Recommender("popularity", ranker=None).fit(log)
    store = eg.DecisionLog(tmp_path / "decisions.sqlite")
    actions = shop_actions(recommender.recommend(customer, k=1)[0].item_id)
    nba = eg.NextBestAction(
        actions, recommender=recommender, decision_log=store, control_share=0.2, floor=0.5
    ).fit()
    found = campaign(nba, "2011-12-12", n_weeks=2, effect=0.3)
    assert len(store) == 2 * len(recommender.customers_)
    values = {name: value["dr"] for name, value in found.policies.items()}
    better, idle, worse = (values[f"{name}"] for name in ("sample", "nothing", "invite"))
    assert better.value.low > idle.value.value
    assert worse.over_logging.high < 0
    # Who is left alone answers with the chance that was made up.
    assert found.control.low < 0.1 < found.control.high


def test_an_item_sells_out_one_is_bought_and_a_visitor_signs_in(log):
    recommender = eg.Recommender("item_knn").fit(log)
    customer, visitor = last_to_order(log, 3)[0], 999_999
    (heart,) = recommender.rank(None, ["85123A"])
    first, sold_out, instead, bought, looked, signed_in = serve(recommender, customer, visitor, heart)
    gone, taken = first.answer[0], sold_out.answer[0]
    assert (sold_out.what, bought.what) == (f"Sold out: {gone}", f"Bought just now: {taken}")
    for answer in (sold_out.answer, instead.answer, bought.answer, looked.answer, signed_in.answer):
        assert gone not in answer
        assert len(answer) == 3
    assert not {taken} & {*bought.answer, *signed_in.answer}
    assert looked.what == f"Visitor 999999 looks at: {heart.title}"
    assert looked.answer != signed_in.answer
    assert signed_in.answer == [entry.title for entry in recommender.recommend(customer, k=3, repeat=False)]
    page = recommender.profile(visitor)
    assert (page.customer_id, page.identities) == (customer, (visitor,))
    assert page.n_events == np.count_nonzero(log.columns["customer_id"] == log.customers.find(customer)) + 2


def test_the_rule_against_a_count_by_hand():
    def row(customer, order, item, day, event_type="purchase"):
        return {"customer_id": customer, "order_id": order, "item_id": item, "event_type": event_type,
                "timestamp": f"2024-01-{day:02d}"}  # fmt: skip

    rows = [
        row("a", 1, "x", 1), row("a", 1, "y", 1), row("a", 2, "x", 2),
        row("b", 3, "x", 3), row("b", 4, "y", 9), row("b", 5, "y", 9, "return"),
        row("c", 6, "x", 9), row("c", 7, "post", 9), row("c", 7, "x", 9),
        row("d", 8, "x", 20), row(None, 9, "x", 21), row(None, 10, "x", 22),
    ]  # fmt: skip
    items = [{"item_id": "post", "for_sale": False}, {"item_id": "x", "title": "An x"}]
    log = eg.EventLog.from_records(rows, items=items)
    assert last_to_order(log, 2) == ("b", 3)
    assert last_to_order(log, 1) == ("d", 1)
    assert bought_last(log, "a", 5) == ([("2024-01-02", "x", "An x"), ("2024-01-01", "y", "")], 0)
    assert bought_last(log, "a", 1) == ([("2024-01-02", "x", "An x")], 1)
    assert bought_last(log, "c", 5) == ([("2024-01-09", "x", "An x")], 0)


def test_a_place_it_can_not_save_to_is_refused_at_once(tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    message = refused("demo", "--save", tmp_path, exit_code=1)
    assert message.startswith(f"{tmp_path} is not an artifact and has photo.jpg in it: ")
