"""Deciding: chances that are what they say, written down in one step with what limits contacts."""

import json
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from actions_cases import NOW, decisions_table, shop_actions

from engagelib import Action, ContactLimit, DecisionLog, NextBestAction, errors, evaluate_policy, load
from engagelib.actions import read_decisions
from engagelib.actions.chances import moved
from engagelib.actions.decisions import DecisionRow

WEB = {"channel": "web", "at": NOW}


def fresh(nba, tmp_path, actions=None, **more):
    """Return one over the same events with a log of its own."""
    log = DecisionLog(tmp_path / "more.sqlite")
    chosen = shop_actions() if actions is None else actions
    return NextBestAction(chosen, recommender=nba.recommender, decision_log=log, **more).fit()


PLAIN = [
    Action("a", value=2, cost=0.1),
    Action("b", value=1),
    Action("c", value=1, eligible={"stage": "loyal"}),
]


@pytest.mark.parametrize("explore", ["posterior", "epsilon"])
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_actions_are_drawn_with_the_chances_that_are_logged(nba, tmp_path, explore, share):
    found = fresh(nba, tmp_path, PLAIN, explore=explore, floor=0.3, control_share=share)
    customer = next(one for one in nba.recommender.customers_ if not found.recommend(one, at=NOW).is_control)
    counts, chances = Counter(), None
    for minute in range(400):
        decision = found.decide(customer, at=NOW + timedelta(minutes=minute))
        counts[decision.action] += 1
        chances = decision.probabilities
        assert decision.p_logged == chances[decision.action]
        assert sum(chances.values()) == pytest.approx(1.0, abs=1e-12)
        assert decision.p_logged > 0
    for name, chance in chances.items():
        assert counts[name] / 400 == pytest.approx(
            chance, abs=4.5 * np.sqrt(chance * (1 - chance) / 400) + 1e-9
        )


def test_the_control_group_is_left_alone_for_certain_and_told_apart_in_the_log(nba, tmp_path):
    found = fresh(nba, tmp_path, PLAIN, control_share=0.4)
    n_control = 0
    for customer in list(nba.recommender.customers_)[:60]:
        decision = found.decide(customer, at=NOW)
        if decision.is_control:
            n_control += 1
            assert decision.action == "nothing"
            assert decision.p_logged == 1.0
            assert decision.probabilities == {"nothing": 1.0}
    assert 12 < n_control < 36
    table = found.decision_log.to_table()
    assert sum(table["is_control"].to_pylist()) == n_control


def test_the_same_draw_again_from_the_same_state_and_moment(nba, tmp_path):
    found = fresh(nba, tmp_path, PLAIN)
    first = [found.decide(one, at=NOW).action for one in list(nba.recommender.customers_)[:20]]
    again = [found.decide(one, at=NOW).action for one in list(nba.recommender.customers_)[:20]]
    assert first == again


def test_what_is_written_down_is_what_was_decided(deciding):
    customer = deciding.recommender.customers_[4]
    decision = deciding.decide(customer, **WEB, location="Bern")
    (row,) = deciding.decision_log.to_table().to_pylist()
    assert (row["decision_id"], row["customer_id"], row["action"]) == (
        decision.decision_id, customer, decision.action,
    )  # fmt: skip
    assert (row["channel"], row["location"], row["at"]) == ("web", "Bern", NOW)
    assert row["p_logged"] == decision.p_logged
    assert dict(json.loads(row["eligible"])) == pytest.approx(dict(decision.probabilities))
    assert len(row["features"]) == len(deciding._fitted().learned.known.design_names)
    assert row["features_version"] == deciding._fitted().learned.known.version
    record = decision.to_record()
    assert json.loads(json.dumps(record, allow_nan=False))["action"] == decision.action


def test_limits_hold_across_decisions_of_a_process(nba, tmp_path):
    actions = [Action("a", value=9, cooldown="3d"), Action("b", value=9, channels=["web"])]
    limits = [ContactLimit(2, "7d"), ContactLimit(1, "7d", channel="web")]
    found = fresh(nba, tmp_path, actions, limits=limits, floor=0.05)
    for customer in list(nba.recommender.customers_)[:25]:
        done = []
        for day in range(10):
            at = NOW + timedelta(days=day)
            action = found.decide(customer, channel=("web", "app")[day % 2], at=at).action
            if action != "nothing":
                done.append((day, ("web", "app")[day % 2], action))
        assert done
        for start in range(10):
            week = [one for one in done if start <= one[0] < start + 7]
            assert len(week) <= 2
            assert sum(one[1] == "web" for one in week) <= 1
        days = [one[0] for one in done if one[2] == "a"]
        assert all(later - earlier >= 3 for earlier, later in pairwise(days))


def test_threads_do_not_spend_a_contact_twice(nba, tmp_path):
    found = fresh(nba, tmp_path, [Action("a", value=99)], limits=[ContactLimit(1, "7d")], floor=0.01)
    customers = list(nba.recommender.customers_)[:30]
    start = threading.Barrier(4)

    def work():
        start.wait()
        for customer in customers:
            found.decide(customer, at=NOW)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = found.decision_log.to_table()
    assert table.num_rows == 4 * len(customers)
    done = Counter(row["customer_id"] for row in table.to_pylist() if row["action"] != "nothing")
    assert done
    assert set(done.values()) == {1}


def test_a_campaign_decides_for_many_as_for_each(nba, tmp_path):
    limits = [ContactLimit(1, "7d")]
    found = fresh(nba, tmp_path, PLAIN, limits=limits, control_share=0.2, floor=0.2, explore="epsilon")
    table = found.decide_many(at=NOW)
    ids = list(nba.recommender.customers_)
    assert table["customer_id"].to_pylist() == ids
    assert len(found.decision_log) == len(ids)
    other = NextBestAction(
        PLAIN, recommender=nba.recommender, limits=limits, control_share=0.2, floor=0.2, explore="epsilon",
        decision_log=DecisionLog(tmp_path / "other.sqlite"),
    ).fit()  # fmt: skip
    for row in table.slice(0, 40).to_pylist():
        alone = other.decide(row["customer_id"], at=NOW)
        assert row["is_control"] == alone.is_control
        assert row["p_logged"] == pytest.approx(alone.probabilities[row["action"]], abs=1e-9)
    # A second campaign within the week contacts nobody twice.
    later = found.decide_many(at=NOW + timedelta(days=2))
    first = dict(zip(ids, table["action"].to_pylist(), strict=True))
    for row in later.to_pylist():
        assert row["action"] == "nothing" or first[row["customer_id"]] == "nothing"


def test_outcomes_late_ones_and_many_at_once(deciding):
    ids = [deciding.decide(one, **WEB).decision_id for one in list(deciding.recommender.customers_)[:5]]
    deciding.record(ids[0])
    deciding.record(ids[1], 0.0, at=NOW + timedelta(days=40))
    deciding.record(ids[1], 1.0)
    deciding.record(ids[2], 9, name="nps")
    report = deciding.record_many({"decision_id": [ids[3], "unheard-of"], "value": [1.0, 1.0]})
    assert report.n_recorded == 1
    assert report.rejected.num_rows == 1
    table = deciding.decision_log.to_table()
    assert table["outcome"].to_pylist() == [1.0, 1.0, None, 1.0, None]
    assert table["outcome:nps"].to_pylist() == [None, None, 9.0, None, None]
    with pytest.raises(errors.UnknownDecisionError):
        deciding.record("unheard-of")


# Learning


def outcomes_for(found, *, better="b", n=300, rng=0, **place):
    """Decide for customers day by day, with outcomes that are good after one action alone."""
    rng = np.random.default_rng(rng)
    customers = list(found.recommender.customers_)
    for minute in range(n):
        decision = found.decide(
            customers[minute % len(customers)], at=NOW + timedelta(minutes=minute), **place
        )
        if rng.random() < (0.9 if decision.action == better else 0.05):
            found.record(decision.decision_id)


def test_what_outcomes_teach_moves_the_chances_and_only_the_job_learns(nba, tmp_path):
    actions = [Action("a", value=1), Action("b", value=1)]
    found = fresh(nba, tmp_path, actions, floor=0.5, prior_sd=0.5)
    customer = nba.recommender.customers_[0]
    before = {one.action: one.p_success for one in found.recommend(customer, at=NOW)}
    assert before["a"] == before["b"]
    outcomes_for(found)
    assert {one.action: one.p_success for one in found.recommend(customer, at=NOW)} == before
    found.update(at=NOW + timedelta(days=40))
    after = {one.action: one.p_success for one in found.recommend(customer, at=NOW)}
    assert after["b"] > before["b"] + 0.2
    assert after["a"] < before["a"]
    assert found.recommend(customer, at=NOW).actions[0] == "b"
    # Without a gate that opened, what was learned is the same for everybody, in log-odds.
    moves = {
        round(
            log_odds({x.action: x.p_success for x in found.recommend(one, at=NOW)}["b"])
            - log_odds({x.action: x.p_success for x in nba_chances(found, one)}["b"]),
            6,
        )
        for one in list(nba.recommender.customers_)[:5]
    }
    assert len(moves) == 1
    state = found.bandit_.to_arrays()
    found.update(at=NOW + timedelta(days=40))
    for name, values in found.bandit_.to_arrays().items():
        np.testing.assert_array_equal(values, state[name])


def log_odds(chance):
    """Return the logarithm of what is for it against what is not."""
    return np.log(chance / (1 - chance))


def nba_chances(found, customer):
    """Return what is recommended without what outcomes taught."""
    plain = NextBestAction(found.actions, recommender=found.recommender).fit()
    return plain.recommend(customer, at=NOW)


def test_forgetting_a_customer_leaves_nothing_of_them(log, tmp_path):
    actions = [Action("a", value=1), Action("b", value=1)]
    path = tmp_path / "decisions.sqlite"
    customers = {"customer_id": ["k003", "k004"], "plan": ["gold-of-k003", "b"]}
    found = NextBestAction(actions, decision_log=DecisionLog(path), floor=0.5).fit(log, customers=customers)
    outcomes_for(found)
    found.update(at=NOW + timedelta(days=40))
    twin = NextBestAction(actions, decision_log=DecisionLog(tmp_path / "twin.sqlite"), floor=0.5)
    twin.recommender = found.recommender
    found.forget("k003")
    assert not found.recommend("k003", at=NOW).known
    assert "k003" not in found.decision_log.to_table()["customer_id"].to_pylist()
    # The state is what a bandit learns that never met them.
    fresh_bandit = type(found.bandit_).from_arrays(found.bandit_.to_arrays(), found.bandit_.facts())
    again = type(fresh_bandit)(
        fresh_bandit.actions, fresh_bandit.mean, fresh_bandit.scale, prior_sd=fresh_bandit.prior_sd,
        features_version=fresh_bandit.features_version,
    )  # fmt: skip
    again.learn_from(found.decision_log, at=NOW + timedelta(days=40), outcome_window_days=28)
    for mine, other in zip(found.bandit_.weights(), again.weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
    found.save(tmp_path / "shop.engage")
    for folder in (tmp_path / "shop.engage", tmp_path):
        for file in folder.rglob("*"):
            if file.is_file() and not file.name.startswith("twin"):
                assert b"k003" not in file.read_bytes(), file
                assert b"gold-of" not in file.read_bytes() or "texts" in file.name, file
    assert {"what": "customers forgotten since", "value": 1} in found.summary().to_records()
    with pytest.raises(errors.UnknownCustomerError):
        found.forget("k003")


def test_what_would_be_done_in_place_of_logged_decisions(nba, tmp_path):
    found = fresh(nba, tmp_path, PLAIN, floor=0.5, limits=[ContactLimit(1, "7d")])
    for day in range(3):
        found.decide_many(at=NOW + timedelta(days=day))
    logged = read_decisions(found.decision_log)
    assert logged.p_logged is not None
    chosen = found.choose(logged)
    # Without a log nothing was done before, and what may be done is what the decision was drawn from.
    plain = NextBestAction(PLAIN, recommender=nba.recommender).fit()
    rows = found.decision_log.to_table().to_pylist()
    for place in range(0, len(rows), 37):
        row = rows[place]
        may = [name for name, _ in json.loads(row["eligible"])]
        ranked = plain.recommend(row["customer_id"], at=row["at"]).actions
        assert logged.actions[chosen[place]] == next(one for one in ranked if one in may)
    judged = evaluate_policy(logged, chosen, estimators=("snips",)).policies["policy"]["snips"]
    assert judged.value.n == len(logged)
    width = logged.features.shape[1]
    with pytest.raises(errors.ArgumentError) as caught:
        found.choose(replace(logged, features=logged.features[:, 1:], feature_names=logged.feature_names[1:]))
    assert str(caught.value) == (
        f"the decisions hold {width - 1} features: expected the {width} that this NextBestAction knows. "
        "Hint: read_decisions(log) reads those that were logged; a refit may have learned other ones."
    )


def test_no_version_on_disk_keeps_who_stood_in_the_customer_table_alone(log, tmp_path):
    customers = {"customer_id": ["guest-of-honour", "k004"], "plan": ["a", "b"]}
    nba = NextBestAction([Action("a", value=1)]).fit(log, customers=customers)
    path = tmp_path / "shop.engage"
    nba.save(path)
    assert any(b"guest-of-honour" in file.read_bytes() for file in path.rglob("*") if file.is_file())
    nba.forget("guest-of-honour")
    nba.save(path)
    for file in path.rglob("*"):
        assert not file.is_file() or b"guest-of-honour" not in file.read_bytes(), file


# With decisions


def test_effects_are_told_where_some_were_left_alone_by_lot(log):
    table = decisions_table(log, effect=lambda n_bought: 0.2)
    nba = NextBestAction([Action("lamp-offer", value=10, cost=0.5)], recommender=None).fit(
        log, decisions=table
    )
    found = nba.recommend("k000", at=NOW)
    offer = next(one for one in found if one.action == "lamp-offer")
    idle = next(one for one in found if one.action == "nothing")
    assert offer.uplift == pytest.approx(offer.p_success - idle.p_success)
    assert offer.uplift == pytest.approx(0.2, abs=0.06)
    assert offer.priority == pytest.approx(offer.uplift * 10 - 0.5)
    assert "told by those left alone" in str(nba.summary())


def test_the_gate_stays_closed_where_one_action_is_best_for_all(log):
    nba = NextBestAction([Action("lamp-offer", value=10)]).fit(log, decisions=decisions_table(log))
    assert not nba.gate_.opened
    answers = [nba.recommend(one, at=NOW)[:] for one in list(log.customers)[:10]]
    assert len({(one[0].action, one[0].p_success) for one in answers}) == 1
    assert answers[0][0].basis == "constant"
    assert "is used for all" in str(nba.summary())
    free = NextBestAction([Action("lamp-offer", value=10)], gate=False).fit(
        log, decisions=decisions_table(log)
    )
    assert free.gate_ is None
    assert len({free.recommend(one, at=NOW)[0].p_success for one in list(log.customers)[:10]}) > 1


def test_the_gate_opens_where_the_best_action_differs_and_it_pays(log):
    table = decisions_table(log, n=8000, effect=lambda n_bought: np.where(n_bought > 3, 0.5, -0.15))
    nba = NextBestAction([Action("lamp-offer", value=10)]).fit(log, decisions=table)
    assert nba.gate_.opened
    assert nba.gate_.low > 0
    first = Counter(nba.recommend(one, at=NOW).actions[0] for one in log.customers)
    assert min(first["nothing"], first["lamp-offer"]) > 30
    assert {one.basis for one in nba.recommend("k000", at=NOW)} == {"none", "decisions"}


def test_uplift_is_refused_without_those_left_alone(log):
    table = decisions_table(log, alone=0.005)
    n_alone = table["action"].count("nothing")
    with pytest.raises(errors.NotEnoughDataError) as caught:
        NextBestAction([Action("lamp-offer")], uplift=True).fit(log, decisions=table)
    assert str(caught.value) == (
        f"uplift=True, and decisions hold {n_alone} of 'nothing': expected at least 50, drawn by lot. "
        "Hint: an effect is what happens with an action less what happens without; leave some customers "
        "alone by lot (control_share=0.1), and log every decision."
    )
    del table["p_logged"]
    with pytest.raises(errors.NotEnoughDataError) as caught:
        NextBestAction([Action("lamp-offer")], uplift=True).fit(log, decisions=table)
    assert str(caught.value) == (
        "uplift=True, and decisions hold no p_logged: expected the chance that each had. Hint: an effect is "
        "what happens with an action less what happens without; leave some customers alone by lot "
        "(control_share=0.1), and log every decision."
    )
    with pytest.raises(errors.NotEnoughDataError, match="decisions hold 0 of 'nothing'"):
        NextBestAction([Action("lamp-offer")], uplift=True).fit(log)
    nba = NextBestAction([Action("lamp-offer", value=1)]).fit(log, decisions=table)
    assert nba.recommend("k000", at=NOW)[0].uplift is None
    assert "a chance counts what would have come about anyway" in str(nba.summary())


def test_a_decision_log_is_learned_from_once_it_is_mature(log, tmp_path):
    store = DecisionLog(tmp_path / "d.sqlite")
    rng = np.random.default_rng(3)
    customers = list(log.customers)
    rows, early = [], 0
    for place in range(600):
        at = int((NOW - timedelta(days=60 - place / 10)).timestamp() * 1e6)
        action = ["nothing", "a"][place % 2]
        rows.append(
            DecisionRow(
                str(rng.choice(customers)), at, action, p_logged=0.5, eligible=[("nothing", 0.5), ("a", 0.5)]
            )
        )
        early += at <= int((NOW - timedelta(days=28)).timestamp() * 1e6)
    ids = store.append_many(rows)
    store.record_many({"decision_id": ids[1::4], "value": [1.0] * len(ids[1::4])})
    nba = NextBestAction([Action("a", value=1)], decision_log=store).fit(log, decisions=store)
    learned = nba._fitted().learned
    assert abs(learned.n_decisions - early) < 12  # the newest event of the log lies a little before NOW
    assert nba.recommend("k000", at=NOW)[0].uplift is not None


def test_what_a_fit_learned_is_not_learned_again_by_the_job(log, tmp_path):
    store = DecisionLog(tmp_path / "d.sqlite")
    actions = [Action("a", value=1), Action("b", value=1)]
    nba = NextBestAction(actions, decision_log=store, floor=0.5).fit(log)
    outcomes_for(nba)
    job = NextBestAction(actions, decision_log=store).fit(log)
    job.update(at=NOW + timedelta(days=40))
    assert int(job.bandit_.n_rows_.sum()) > 0
    # A log whose decisions are all too young is no reason to fail, and says so.
    young = NextBestAction(actions, decision_log=store).fit(log, decisions=store)
    assert "all decisions are younger than 28 days, and outcomes are missing" in str(young.summary())
    n_early, first = len(store), store.to_table()["decision_id"][0].as_py()

    def later(days):
        at = int((NOW + timedelta(days=days)).timestamp() * 1e6)
        store.append(DecisionRow("k001", at, "a", p_logged=1.0, p_success=0.5))

    later(60)
    fitted = NextBestAction(actions, decision_log=store).fit(log, decisions=store)
    assert fitted._fitted().learned.n_decisions == n_early
    fitted.update(at=NOW + timedelta(days=100))
    assert int(fitted.bandit_.n_rows_.sum()) == 0
    # What is decided afterwards teaches; what came late of earlier decisions is for the next fit.
    later(61)
    store.record(first, 0.25)
    fitted.update(at=NOW + timedelta(days=100))
    assert fitted.bandit_.n_rows_.tolist() == [0, 1, 0]
    assert fitted.bandit_.targets_[1, 0] == -0.5


def test_forecasts_move_in_log_odds_and_stay_chances():
    forecast = np.array([0.02, 0.5, 0.9, 0.3, np.nan])
    mean = np.array([-0.3, 0.2, 0.2, 0.0, 0.1])
    spread = np.full(5, 0.05)
    expected = np.array([0.4, 0.5, 0.7, 0.5, 0.5])
    chance, sd = moved(forecast, mean, spread, expected)
    assert chance[3] == 0.3
    assert np.isnan(chance[4])
    shift = log_odds(np.array([0.1, 0.7, 0.9])) - log_odds(np.array([0.4, 0.5, 0.7]))
    np.testing.assert_allclose(log_odds(chance[:3]), log_odds(forecast[:3]) + shift)
    # Where the forecast is what was expected, the chance is what came about.
    assert chance[1] == pytest.approx(0.7)
    np.testing.assert_allclose(sd[1:4], [0.05, 0.05 * chance[2] * (1 - chance[2]) / 0.09, 0.05])
    unknown = moved(forecast, mean, spread, np.full(5, np.nan))[0]
    np.testing.assert_allclose(unknown[:4], np.clip(forecast + mean, 0.001, 0.999)[:4])
    same = moved(forecast, np.zeros(5), spread, expected)
    assert same[0] is forecast
    assert same[1] is spread


# Files


def test_a_saved_one_answers_alike_and_reloads(log, tmp_path):
    path = tmp_path / "shop.engage"
    nba = NextBestAction(
        shop_actions(),
        limits=[ContactLimit(2, "7d")],
        control_share=0.1,
        decision_log=DecisionLog(tmp_path / "d"),
    )
    nba.fit(log, decisions=decisions_table(log), customers={"customer_id": ["k001"], "plan": ["x"]})
    version = nba.save(path)
    again = load(path)
    again.decision_log = DecisionLog(tmp_path / "again")
    assert again.model_version_ == version == nba.model_version_
    for customer in [*list(log.customers)[:30], "nobody"]:
        one, other = nba.recommend(customer, **WEB), again.recommend(customer, **WEB)
        assert (one[:], one.suppressed, one.stage) == (other[:], other.suppressed, other.stage)
    assert again.gate_.summary() == nba.gate_.summary()
    decision = again.decide("k001", **WEB)
    assert decision.p_logged == nba.decide("k001", **WEB).p_logged
    assert again.decision_log.to_table()["policy_version"].to_pylist() == [version]
    outcomes_for(nba, n=50, channel="web")
    nba.update(at=NOW + timedelta(days=60))
    newer = nba.save(path)
    assert newer != version
    assert again.reload()
    assert not again.reload()
    assert int(again.bandit_.n_rows_.sum()) == int(nba.bandit_.n_rows_.sum()) > 0
    assert again.recommend("k001", **WEB)[:] == nba.recommend("k001", **WEB)[:]
    assert again.decide("k001", **WEB).p_logged > 0


def test_a_rule_that_is_a_function_is_refused_by_save_alone(nba, tmp_path):
    actions = [Action("a", value=1, suitable=lambda known: known["n_purchases"] > 2)]
    found = NextBestAction(actions, recommender=nba.recommender).fit()
    table = found.recommend_many(at=NOW, k=2)
    for row in range(20):
        assert table.actions(row) == found.recommend(table.customer_ids[row], at=NOW).actions
    with pytest.raises(errors.ArgumentError, match="is a function, which no file can hold"):
        found.save(tmp_path / "x")


def test_a_worker_that_only_serves_does_not_import_what_learning_needs(nba, tmp_path):
    import subprocess
    import sys

    nba.save(tmp_path / "shop.engage")
    code = (
        "import sys, engagelib as eg\n"
        "nba = eg.load(sys.argv[1])\n"
        "nba.recommend('k000', at='2024-10-01')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "shop.engage")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    heavy = {"pyarrow", "pandas", "sklearn", "scipy", "sqlite3", "click", "matplotlib"}
    assert not heavy & set(done.stdout.split())
