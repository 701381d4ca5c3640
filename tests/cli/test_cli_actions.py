"""What to do next, and what it was worth: the commands `next-action` and `decisions`."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from cli_cases import refused, run

import engagelib as eg
from engagelib.actions import read_decisions
from engagelib.actions.decisions import DecisionRow
from engagelib.datasets import make_shop
from engagelib.times import to_microseconds

AT = "2026-01-01T12:00:00+00:00"
"""Just after the made-up log ends."""

NOW = datetime.fromisoformat(AT)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A saved next best action over a made-up shop, and the library over it."""
    folder = tmp_path_factory.mktemp("shop")
    recommender = eg.Recommender("popularity", ranker=None).fit(make_shop(150, 80, 5000).log)
    item = recommender.items_[0]
    actions = [
        eg.Action("review", title="Ask for a review", value=4, cost=0.01, channels=["app", "web"]),
        eg.Action("offer", value=9, kind="offer", items=[item], benefit=2),
        eg.Action("call", value=3, cooldown="30d", locations=["york"]),
    ]
    eg.NextBestAction(actions, recommender=recommender).fit().save(folder / "model")
    return folder / "model", eg.load(folder / "model")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """One log of decisions as SQLite, Parquet and CSV: three actions, one of them hardly ever taken."""
    folder = tmp_path_factory.mktemp("decisions")
    store = eg.DecisionLog(folder / "d.sqlite")
    rng = np.random.default_rng(0)
    chances = {"nothing": 0.4, "mail": 0.59, "call": 0.01}
    rows = []
    for place in range(600):
        action = str(rng.choice(list(chances), p=list(chances.values())))
        at = to_microseconds(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=place))
        rows.append(
            DecisionRow(
                f"k{place % 200}", at, action, p_logged=chances[action], eligible=list(chances.items())
            )
        )
    ids = store.append_many(rows)
    good = [
        id_ for id_, row in zip(ids, rows, strict=True) if rng.random() < {"mail": 0.5}.get(row.action, 0.2)
    ]
    store.record_many({"decision_id": good, "value": [1.0] * len(good)})
    store.record_many(
        {"decision_id": ids, "value": rng.integers(0, 11, 600).astype(float), "name": ["nps"] * 600}
    )
    store.write_parquet(folder / "d.parquet")
    columns = ["customer_id", "at", "action", "p_logged", "outcome", "outcome:nps"]
    pa_csv.write_csv(store.to_table().select(columns), folder / "d.csv")
    return folder, store


def answer(*arguments):
    """Return what a command answers in JSON."""
    return json.loads(run(*arguments, "--json").stdout)


# next-action


def test_the_next_action_is_the_librarys_answer(shop):
    model, nba = shop
    customer = nba.recommender.customers_[5]
    text = run("next-action", model, "-c", customer, "--at", AT)
    assert text.stdout == f"{nba.recommend(customer, at=AT)}\n"
    assert text.stderr == ""
    assert "Ask for a review" in text.stdout
    expected = nba.recommend(customer, at=AT, channel="store", location="york", k=2)
    place = ("--channel", "store", "--location", "york", "--at", AT)
    found = answer("next-action", model, "-c", customer, "-k", "2", *place)
    assert found == {
        "customer_id": customer, "known": True, "at": AT, "stage": expected.stage.name,
        "stage_since": expected.stage.since.isoformat(), "stage_reason": expected.stage.reason,
        "is_control": False, "expected_value": expected.expected_value, "actions": expected.to_records(),
        "suppressed": [{"action": "review", "rule": "channel", "detail": "not in 'store'"}],
    }  # fmt: skip


def test_an_unknown_customer_and_an_anonymous_visitor_are_answered(shop):
    model, nba = shop
    assert answer("next-action", model, "-c", "nobody", "--at", AT)["stage"] == "unknown"
    assert answer("next-action", model, "-c", "7", "--namespace", "web", "--at", AT)["customer_id"] == "web:7"
    assert run("next-action", model).stdout.startswith("For an anonymous visitor: unknown (no event)")
    assert answer("next-action", model)["at"] == nba.recommend().at.isoformat()


def test_a_place_that_actions_name_is_no_idle_option(shop, tmp_path):
    model, nba = shop
    place = ("--channel", "app", "-l", "york", "--at", AT)
    assert run("next-action", model, *place).stderr == ""
    assert run("next-action", model, "--channel", "fax", "--at", AT).stderr == ""
    eg.NextBestAction([eg.Action("a")], recommender=nba.recommender).fit().save(tmp_path / "plain")
    assert run("next-action", tmp_path / "plain", *place).stderr == (
        "Note: --channel changes nothing: neither actions nor --availability name channels.\n"
        "Note: --location changes nothing: neither actions nor --availability name locations.\n"
    )
    actions = [eg.Action("a", value=9, channels=[1, 2])]
    eg.NextBestAction(actions, recommender=nba.recommender).fit().save(tmp_path / "whole")
    for channel, expected in (("1", ["a", "nothing"]), ("3", ["nothing"])):
        found = answer("next-action", tmp_path / "whole", "--channel", channel, "--at", AT)
        assert [one["action"] for one in found["actions"]] == expected


def test_an_action_whose_item_is_gone_is_not_listed(shop, tmp_path):
    model, nba = shop
    offers = tmp_path / "offers.csv"
    offers.write_text(f"item_id\n{nba.recommender.items_[1]}\n")
    found = answer("next-action", model, "--availability", offers, "--at", AT)
    assert ("offer", "items") in [(one["action"], one["rule"]) for one in found["suppressed"]]


def test_earlier_contacts_are_counted_where_the_log_is_given(shop, tmp_path):
    model, nba = shop
    customer = nba.recommender.customers_[5]
    store = eg.DecisionLog(tmp_path / "d.sqlite")
    store.append(DecisionRow(customer, to_microseconds(NOW - timedelta(days=1)), "call"))
    command = ("next-action", model, "-c", customer, "--decisions", tmp_path / "d.sqlite")
    assert ("call", "cooldown") in [
        (one["action"], one["rule"]) for one in answer(*command, "--at", AT)["suppressed"]
    ]
    assert "call" in [one["action"] for one in answer(*command[:4], "--at", AT)["actions"]]
    # Without a moment it is the clock's, long after the log, and that is told.
    late = run(*command)
    assert re.fullmatch(
        r"Note: answered for 20\d\d-\S+\+00:00, the clock's time, as contacts are limited by time\.\n",
        late.stderr,
    )
    assert "lost (silent for" in late.stdout
    assert len(store) == 1


def test_everybody_is_ranked_at_once(shop, tmp_path):
    model, nba = shop
    shown = run(
        "next-action", model, "--all", "--at", AT, "-k", "3", "--out", tmp_path / "lists.parquet"
    ).stdout
    table = nba.recommend_many(at=AT, k=3)
    assert shown == f"{table}\n"
    assert pq.read_table(tmp_path / "lists.parquet").to_pylist() == table.to_table().to_pylist()
    assert run("next-action", model, "--all", "--at", AT).stdout.startswith(f"{len(table)} customers\n")


def test_what_next_action_refuses(shop, tmp_path):
    model, nba = shop
    end = "Try 'engagelib next-action --help'."
    for wrong in (("--all", "-c", "x"), ("--all", "--json")):
        message = refused("next-action", model, *wrong, exit_code=2)
        assert message == f"--all goes without --customer and --json. {end}"
    assert refused("next-action", model, "-o", "x", exit_code=2) == f"--out needs --all. {end}"
    nba.recommender.save(tmp_path / "alone")
    assert refused("next-action", tmp_path / "alone", exit_code=1) == (
        f"{tmp_path / 'alone'} holds a recommender alone: expected what NextBestAction.save() wrote."
    )
    assert refused("next-action", tmp_path / "none", exit_code=1).startswith(
        f"{tmp_path / 'none'} does not exist"
    )
    assert refused("next-action", model, "-k", "0", exit_code=2).startswith("Invalid value for '-k' / '--k'")
    assert refused("next-action", model, "--at", "soon", exit_code=2) == (
        "at='soon': expected a time in ISO 8601, from 1990 to 2200."
    )


def test_the_recommender_inside_answers_too(shop):
    model, nba = shop
    customer = nba.recommender.customers_[5]
    items = [one["item_id"] for one in answer("recommend", model, "-c", customer)["items"]]
    assert items == nba.recommender.recommend(customer).item_ids
    assert run("profile", model, "-c", customer).stdout == f"{nba.recommender.profile(customer)}\n"
    assert "next_best_action" in run("verify", model).stdout


# decisions


@pytest.mark.parametrize("file", ["d.sqlite", "d.parquet", "d.csv"])
@pytest.mark.parametrize("estimator", ["dr", "ips"])
def test_policies_are_judged_on_what_was_logged(logs, file, estimator):
    folder, store = logs
    result = run("decisions", "evaluate", folder / file, "--estimator", estimator, "--json")
    logged = read_decisions(store)
    policies = {f"{name}": logged.prefer(name) for name in ("mail", "nothing")}
    expected = eg.evaluate_policy(logged, policies, estimators=(estimator,)).to_records()
    found = {row["policy"]: row for row in json.loads(result.stdout)}
    assert set(found) == {row["policy"] for row in expected}
    for row in expected:
        assert found[row["policy"]]["value"] == pytest.approx(row["value"], abs=1e-9)
    assert found["mail"]["low"] > found["nothing"]["high"]
    # One that the log can't judge keeps the others from nothing.
    assert result.stderr.startswith("Note: 'call' is not judged: 600 decisions weigh as much as ")
    assert result.stderr.endswith("expected an effective sample size of at least 30.\n")
    assert result.stderr.count("\n") == 1


def test_the_evaluation_is_a_table_for_people(logs):
    folder, _ = logs
    shown = run("decisions", "evaluate", folder / "d.sqlite").stdout
    assert shown.startswith("600 decisions, 200 customers, 3 actions; 95% intervals; p_logged as logged\n")
    assert "\nover best: more than 'mail' for all\nover done: more than what was done\n" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_another_outcome_and_a_part_of_the_log_can_be_judged(logs):
    folder, store = logs
    for file in ("d.sqlite", "d.csv"):
        command = ("decisions", "evaluate", folder / file, "--estimator", "ips")
        nps = {row["policy"]: row["value"] for row in answer(*command, "--outcome", "nps")}
        assert 3 < nps["logging policy"] < 7
        half = run(*command, "--until", "2024-01-13T12:00").stdout
        assert half.startswith("300 decisions, 200 customers")
    assert len(store) == 600


def test_what_evaluate_refuses(logs, tmp_path):
    folder, _ = logs
    command = ("decisions", "evaluate")
    assert refused(*command, folder / "d.csv", "--outcome", "sales", exit_code=1) == (
        f"{folder / 'd.csv'}: column 'outcome:sales' is missing. Found: customer_id, at, action, p_logged, "
        "outcome, outcome:nps. Hint: rename the column."
    )
    assert refused(*command, folder / "d.sqlite", "--until", "1999-01-01", exit_code=1) == (
        f"{folder / 'd.sqlite'}: no decision is left: expected at least one. Hint: where outcomes are "
        "missing, decisions younger than the horizon are left out, because their outcomes may still come."
    )
    assert refused(*command, folder / "d.sqlite", "--until", "soon", exit_code=2) == (
        f"{folder / 'd.sqlite'}: until='soon': expected a time in ISO 8601, from 1990 to 2200."
    )
    few = tmp_path / "few.csv"
    few.write_text("customer_id,action,p_logged,outcome\n" + "1,a,0.5,1\n2,b,0.5,0\n" * 10)
    assert refused(*command, few, "--until", "2024-01-01", exit_code=1) == (
        f"{few}: column 'at' is missing. Found: customer_id, action, p_logged, outcome. "
        "Hint: rename the column."
    )
    # Where no policy can be judged there is nothing to show.
    assert refused(*command, few, exit_code=1).startswith(f"{few}: ")
    rows = [f"{place % 20},{'ab'[place % 2]},{place % 3 % 2}\n" for place in range(200)]
    few.write_text("".join(["customer_id,action,outcome\n", *rows]))
    assert refused(*command, few, exit_code=1).startswith(f"{few}: these decisions have no p_logged: ")
    assert refused(*command, tmp_path / "none", exit_code=2).startswith("Invalid value for 'LOG'")


def test_the_summary_counts_decisions_by_action(logs):
    folder, store = logs
    assert run("decisions", "summary", folder / "d.sqlite").stdout == f"{store.summary()}\n"
    message = refused("decisions", "summary", folder / "d.csv", exit_code=1)
    assert message.startswith(f"{folder / 'd.csv'} is no decision log: ")
