"""NextBestAction: what it ranks, why not the rest, and that many are answered as each alone."""

import json
import math
from datetime import timedelta

import numpy as np
import pytest
from actions_cases import NOW, shop_actions, shop_log

import engagelib as eg
from engagelib import Action, Availability, NextBestAction, errors
from engagelib.actions.arbitration import SUPPRESSED_BY
from engagelib.actions.customers import STAGES

PLACES = [
    {"channel": "web", "at": NOW},
    {"channel": "store", "at": NOW - timedelta(days=120)},
    {"at": NOW + timedelta(days=30)},
]


@pytest.mark.parametrize("place", PLACES)
def test_many_are_answered_as_each_alone(nba, place):
    ids = [*list(nba.recommender.customers_)[:120], "nobody"]
    table = nba.recommend_many(ids, k=6, **place)
    counts = np.zeros(table.suppressed.shape, int)
    for row, customer in enumerate(ids):
        alone = nba.recommend(customer, **place)
        assert table.actions(row) == alone.actions
        np.testing.assert_allclose(
            table.priority[row, : len(alone)], [one.priority for one in alone], rtol=1e-6
        )
        expected = [math.nan if one.p_success is None else one.p_success for one in alone]
        np.testing.assert_allclose(table.p_success[row, : len(alone)], expected, rtol=1e-6)
        assert table.stages[table.stage[row]] == alone.stage.name
        for one in alone.suppressed:
            counts[nba._fitted().arbiter.known[one.action], SUPPRESSED_BY.index(one.rule)] += 1
    assert counts.tolist() == table.suppressed.tolist()


def test_what_is_remembered_of_a_place_holds_from_one_edge_of_a_window_to_the_next(log):
    starts, ends = NOW + timedelta(days=1), NOW + timedelta(days=3)
    actions = [Action("early", value=1, ends=starts), Action("late", value=1, starts=starts, ends=ends)]
    nba = NextBestAction(actions).fit(log)
    second = timedelta(seconds=1)
    open_at = {
        NOW: {"early"}, starts - second: {"early"}, starts: {"late"}, ends - second: {"late"}, ends: set(),
    }  # fmt: skip
    for _ in range(2):
        for moment, names in [*open_at.items(), *reversed(open_at.items())]:
            assert set(nba.recommend("k000", at=moment).actions) - {"nothing"} == names
            table = nba.recommend_many(["k000"], at=moment, k=3)
            assert set(table.actions(0)) - {"nothing"} == names


def test_every_action_is_listed_or_suppressed_with_its_terms(nba):
    for customer in list(nba.recommender.customers_)[:50]:
        found = nba.recommend(customer, at=NOW)
        assert sorted([*found.actions, *(one.action for one in found.suppressed)]) == sorted(
            ["nothing", "review", "win-back", "refer", "lamp-offer", "old"]
        )
        assert [one.rank for one in found] == list(range(1, len(found) + 1))
        assert [one.priority for one in found] == sorted((one.priority for one in found), reverse=True)
        for one in found:
            if one.action == "nothing":
                assert (one.priority, one.cost, one.basis) == (0.0, 0.0, "none")
                continue
            assert one.priority == pytest.approx(one.p_success * one.value * one.lever - one.cost)
            assert 0 <= one.p_success <= 1
        assert ("old", "window") in [one[:2] for one in found.suppressed]
        json.dumps(found.to_records(), allow_nan=False)


def test_a_shorter_list_is_the_beginning_of_the_longer(nba):
    customer = nba.recommender.customers_[3]
    whole = nba.recommend(customer, at=NOW)
    for k in range(1, 8):
        assert nba.recommend(customer, at=NOW, k=k)[:] == whole[:k]


def test_an_unknown_customer_and_nobody_are_answered_without_an_error(nba):
    for customer in ("nobody", None, 7, 7.5, True, ("web", "x")):
        found = nba.recommend(customer, at=NOW)
        assert not found.known
        assert found.stage.name == "unknown"
        assert "nothing" in found.actions
        json.dumps(found.to_records(), allow_nan=False)


def test_chances_are_those_of_the_events_and_a_flat_guess_where_there_are_none(nba):
    found = {one.action: one for one in nba.recommend(nba.recommender.customers_[0], at=NOW)}
    assert found["lamp-offer"].basis == "event log"
    assert nba.response_.outcomes == ("rating", "purchase")
    summary = str(nba.summary())
    assert "a flat guess for referral (no such event in the log)" in summary
    assert "no decisions: nothing to open it, and chances are not effects of acting" in summary
    assert "not checked: there is no decision log to count in" in summary


def test_an_action_is_never_done_without_the_items_it_needs(log):
    nba = NextBestAction([Action("a", value=9, items=["i01"]), Action("b", value=1)]).fit(log)
    rows = {"item_id": ["i01", "i02"], "channel": ["web", "web"]}
    nba.recommender.availability = Availability.from_frame(rows)
    customer = log.customers[0]
    assert "a" in nba.recommend(customer, at=NOW, channel="web").actions
    found = nba.recommend(customer, at=NOW, channel="store")
    assert found.suppressed[0] == ("a", "items", "item 'i01' can't be had there")
    nba.recommender.availability.update(["i01"], available=False)
    assert "a" not in nba.recommend(customer, at=NOW, channel="web").actions
    table = nba.recommend_many(at=NOW, channel="web", k=3)
    assert table.suppressed[0, SUPPRESSED_BY.index("items")] == len(table)


def test_the_same_question_gets_the_same_answer_in_every_channel(log):
    nba = NextBestAction([Action("a", value=2), Action("b", value=1, cost=0.4)]).fit(log)
    for customer in list(log.customers)[:20]:
        answers = [nba.recommend(customer, at=NOW, channel=channel)[:] for channel in ("web", "app", "store")]
        assert answers[0] == answers[1] == answers[2]


def test_what_a_customer_is_expected_to_bring_is_what_the_model_says(nba):
    expected = nba.value_.predict(nba.recommender.histories_, NOW).expected_value.tolist()
    told = [nba.recommend(customer, at=NOW).expected_value for customer in nba.recommender.customers_]
    assert any(value is None for value in told)
    assert told == [None if math.isnan(value) else pytest.approx(value) for value in expected]


def test_what_happens_changes_the_next_answer_without_a_fit(log):
    nba = NextBestAction(shop_actions()).fit(log)
    stages = nba.recommend_many(at=NOW)
    customer = stages.customer_ids[int(np.argmax(stages.stage == STAGES.index("repeat")))]
    bought = {"customer_id": customer, "item_id": "i03", "timestamp": NOW, "value": 10.0}
    n_before = nba.recommend(customer, at=NOW)
    for hours in range(3):
        nba.observe({**bought, "timestamp": NOW + timedelta(hours=hours)})
    later = nba.recommend(customer, at=NOW + timedelta(hours=4))
    assert n_before.stage.name == "repeat"
    assert later.stage.name in ("repeat", "loyal")
    assert later.stage.reason.endswith("less than a day ago")
    assert later.expected_value != n_before.expected_value
    # A complaint keeps a referral away, at once.
    refers = [one for one in list(log.customers) if "refer" in nba.recommend(one, at=NOW).actions]
    nba.observe({"customer_id": refers[0], "event_type": "complaint", "timestamp": NOW})
    found = nba.recommend(refers[0], at=NOW)
    assert ("refer", "bad_experience", "complained less than a day ago") in found.suppressed
    assert "bad_experience" in str(nba.recommend_many(refers[:1], at=NOW))


def test_two_identities_are_one_customer_once_linked(log):
    nba = NextBestAction(shop_actions()).fit(log)
    customer = log.customers[0]
    assert nba.recommend("new-device", at=NOW).stage.name == "unknown"
    nba.link(customer, "new-device")
    assert nba.recommend("new-device", at=NOW)[:] == nba.recommend(customer, at=NOW)[:]
    table = nba.recommend_many(["new-device", customer], at=NOW, k=9)
    assert table.actions(0) == table.actions(1)


def test_the_control_group_is_left_alone_everywhere(log):
    nba = NextBestAction(shop_actions(), control_share=0.3, control_salt="2024").fit(log)
    table = nba.recommend_many(at=NOW, k=9)
    assert 0.2 < table.is_control.mean() < 0.4
    for row in range(60):
        found = nba.recommend(table.customer_ids[row], at=NOW)
        assert found.is_control == table.is_control[row]
        assert table.actions(row) == found.actions
        if found.is_control:
            assert found.actions == ["nothing"]
            assert {one.rule for one in found.suppressed} == {"control"}
            assert "of the control group" in str(found)


def test_traits_of_customers_are_asked_about(log):
    customers = {
        "customer_id": ["k000", "k001", "k002"],
        "consent": [True, False, None],
        "plan": ["a", "b", None],
    }
    actions = [
        Action("mail", value=5, eligible={"consent": True}),
        Action("b", eligible={"plan": ["b", None]}),
    ]
    nba = NextBestAction(actions).fit(log, customers=customers)
    assert "mail" in nba.recommend("k000", at=NOW).actions
    assert nba.recommend("k001", at=NOW).suppressed == (("mail", "eligible", "expected consent is True"),)
    assert nba.recommend("k002", at=NOW).suppressed == (("mail", "eligible", "expected consent is True"),)
    assert nba.recommend("k000", at=NOW).suppressed == (("b", "eligible", "expected plan one of b, missing"),)
    table = nba.recommend_many(["k001", "k000", "nobody"], at=NOW, k=3)
    assert [set(table.actions(row)) for row in range(3)] == [
        {"nothing", "b"},
        {"nothing", "mail"},
        {"nothing", "b"},
    ]
    names = nba.features_.to_records()
    assert {"name": "plan", "holds": "text", "one of": "a, b"} in names
    assert {"name": "consent", "holds": "boolean", "one of": ""} in names
    with pytest.raises(errors.ArgumentError) as caught:
        NextBestAction(actions).fit(shop_log(30), customers={"customer_id": ["k000"], "n_events": [3]})
    assert str(caught.value) == (
        "customers= has a column 'n_events', which is the name of a feature too: expected another name. "
        "Hint: rename the column; conditions ask for either by its name."
    )


def test_tastes_come_from_a_factor_model(log):
    recommender = eg.Recommender([eg.ALS(n_factors=12), "popularity"], ranker=None).fit(log)
    nba = NextBestAction([Action("a")], recommender=recommender).fit()
    names = [row["name"] for row in nba.features_.to_records()]
    assert [name for name in names if name.startswith("taste")] == [f"taste_{place}" for place in range(8)]
    plain = NextBestAction([Action("a")], recommender=eg.Recommender("popularity", ranker=None)).fit(log)
    assert "taste_0" not in str(plain.features_)


def test_an_audience_holds_whom_the_action_suits(nba, log):
    found = nba.audience("win-back", at=NOW)
    assert len(found)
    assert list(found.score) == sorted(found.score, reverse=True)
    best = {}
    for customer in log.customers:
        listed = {one.action: one.priority for one in nba.recommend(customer, at=NOW)}
        if listed.get("win-back", 0) > 0:
            best[customer] = listed["win-back"]
    assert dict(zip(found.customer_ids, found.score.tolist(), strict=True)) == pytest.approx(best)
    assert nba.audience("win-back", at=NOW, k=2).customer_ids == found.customer_ids[:2]
    with pytest.raises(errors.ArgumentError, match="no action 'winback': expected one of review, win-back"):
        nba.audience("winback", at=NOW)


def test_stages_add_up_to_all_customers(nba, log):
    found = nba.stages([NOW - timedelta(days=200), NOW])
    assert found.counts.sum(axis=1).tolist() == [len(log.customers)] * 2
    table = nba.recommend_many(at=NOW)
    assert np.bincount(table.stage, minlength=len(STAGES)).tolist() == found.counts[1].tolist()


def test_tables_for_people_and_for_machines(nba):
    found = nba.recommend(nba.recommender.customers_[0], at=NOW)
    assert "Not now" in str(found)
    assert "<table>" in found._repr_html_()
    assert list(found.to_frame().columns[:3]) == ["action", "title", "rank"]
    table = nba.recommend_many(at=NOW, k=2)
    arrow = table.to_table()
    assert arrow.column_names == [
        "customer_id",
        "rank",
        "action",
        "priority",
        "p_success",
        "stage",
        "is_control",
    ]
    assert arrow.num_rows == int((table.action_index >= 0).sum())
    assert len(table.to_frame()) == arrow.num_rows
    assert "best for" in str(table)
    assert "<table>" in table._repr_html_()
    assert repr(table) == f"ActionTable({len(table):,} customers, k=2)"


# Moments


def test_the_moment_must_be_given_where_the_answer_depends_on_it(log, deciding):
    plain = NextBestAction([Action("a")], recommender=deciding.recommender).fit()
    newest = plain.recommend("k000")
    assert newest.at == plain.recommend("k000", at=newest.at).at
    for nba, why in (
        (deciding, "actions have windows of time"),
        (NextBestAction([Action("a", cooldown="1d")], recommender=deciding.recommender,
                        decision_log=deciding.decision_log).fit(), "contacts are limited by time"),
    ):  # fmt: skip
        with pytest.raises(errors.ArgumentError) as caught:
            nba.recommend("k000")
        assert str(caught.value) == (
            f"at=None: expected the moment of the call, because {why}. "
            "Hint: pass at=datetime.now(timezone.utc) when serving; nothing here reads the clock."
        )


def test_nothing_after_the_moment_is_read(log):
    at = NOW - timedelta(days=100)
    cut = log.select(log.columns["time"] <= int(at.timestamp() * 1e6))
    actions = [action for action in shop_actions() if action.name != "old"]
    whole = NextBestAction(actions).fit(log)
    early = NextBestAction(actions, recommender=eg.Recommender("popularity", ranker=None)).fit(cut)
    # What was learned differs; what is known of a customer at the moment must not.
    for customer in list(cut.customers)[:40]:
        one, other = whole.recommend(customer, at=at), early.recommend(customer, at=at)
        assert (one.stage.name, one.stage.since, one.stage.reason) == (
            other.stage.name, other.stage.since, other.stage.reason,
        )  # fmt: skip
        assert sorted(one.suppressed) == sorted(other.suppressed)


# Refusals


def test_what_a_next_best_action_refuses(log):
    with pytest.raises(errors.NotFittedError, match="this NextBestAction is not fitted yet"):
        NextBestAction([Action("a")]).recommend("k000")
    with pytest.raises(errors.ArgumentError) as caught:
        NextBestAction([Action("a")]).fit()
    assert str(caught.value) == (
        "log=None: expected an EventLog, or a recommender that is fitted already. "
        "Hint: NextBestAction(actions).fit(log)."
    )
    fitted = eg.Recommender("popularity", ranker=None).fit(log)
    with pytest.raises(errors.ArgumentError) as caught:
        NextBestAction([Action("a")], recommender=fitted).fit(log)
    assert str(caught.value) == (
        "the recommender is fitted already, and a log was given: expected one of them. "
        "Hint: fit() without a log takes the recommender as it is; pass an unfitted one to fit it here."
    )
    with pytest.raises(errors.ArgumentError) as caught:
        NextBestAction([Action("a", lever=3)])
    assert str(caught.value) == (
        "lever=3 of action 'a': expected from 0.5 to 2. Hint: lever_bounds= widens what a shop may put in "
        "the scales; value= says what a success is worth."
    )
    with pytest.raises(errors.NotEnoughDataError, match="NextBestAction"):
        NextBestAction([Action("a")]).fit(eg.EventLog.from_frame({"customer_id": ["a"], "item_id": ["x"]}))
    for name, value, expected in (
        ("control_share", 1.0, "a number from 0 to below 1"),
        ("floor", 0.0, "a number above 0 to 1"),
        ("uplift", "yes", 'True, False or "auto"'),
        ("explore", "ucb", '"posterior" or "epsilon"'),
    ):
        with pytest.raises(errors.ArgumentError) as caught:
            NextBestAction([Action("a")], **{name: value})
        assert str(caught.value) == f"{name}={value!r}: expected {expected}."


def test_deciding_without_a_log_a_customer_or_a_channel(nba, deciding):
    with pytest.raises(errors.ArgumentError) as caught:
        nba.decide("k000", at=NOW)
    assert str(caught.value) == (
        "this NextBestAction has no decision log: expected one to write to. "
        "Hint: NextBestAction(..., decision_log=DecisionLog(path)), or recommend(), which writes nothing."
    )
    with pytest.raises(errors.ArgumentError) as caught:
        deciding.decide("k000", at=NOW)
    assert str(caught.value) == (
        "channel=None: expected the channel of the decision, because actions or limits name channels. "
        "Hint: recommend() without a channel asks what may be done in any; what is done is done in one."
    )
    for nobody in (None, 7.5):
        with pytest.raises(errors.ArgumentError) as caught:
            deciding.decide(nobody, at=NOW, channel="web")
        assert str(caught.value) == (
            f"customer_id={nobody!r}: expected an id or a pair of a namespace and an id. "
            "Hint: a decision is written down for somebody; recommend() answers for anonymous visitors."
        )
    with pytest.raises(errors.ArgumentError, match="customer_id=None"):
        deciding.decide_many(["k000", None], at=NOW, channel="web")
    assert len(deciding.decision_log) == 0
