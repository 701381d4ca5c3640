"""The demo: the whole way on the bundled log, pleasant to read, and telling what the library says."""

import re

import numpy as np
import pytest
from cli_cases import real, refused

import engagelib as eg
from engagelib.datasets import load_online_retail
from engagelib.demo import bought_last, last_to_order, serve


@pytest.fixture(scope="module")
def log():
    return load_online_retail()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What a user sees, and the model that was saved on the way."""
    out = tmp_path_factory.mktemp("demo") / "shop.engage"
    done = real("demo", "--save", out, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, out


def test_the_text_fits_a_terminal(shown):
    assert max(map(len, shown[0].splitlines())) <= 100


def test_the_default_beats_popularity_and_the_figures_are_those_of_compare(shown, log):
    from engagelib.evaluation import compare
    from engagelib.splitting import split_by_time

    split = split_by_time(log, test_days=28)
    found = compare({"popularity": eg.Recommender("popularity"), "default": eg.Recommender()}, split)
    for name, row in found.rows.items():
        recall, ndcg, coverage = (row.metrics[f"{metric}@10"] for metric in ("recall", "ndcg", "coverage"))
        assert re.search(rf"^{name} +{recall:.4f} +{ndcg:.4f} +{coverage:.4f}$", shown[0], re.MULTILINE)
    assert f"default minus popularity: {found.rows['default'].difference:+.4f} " in shown[0]
    assert found.rows["default"].low > 0


def test_the_customers_are_those_of_the_rule_and_the_lists_those_of_the_model(shown, log):
    text, recommender = shown[0], eg.load(shown[1])
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
    text, recommender = shown[0], eg.load(shown[1])
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
