"""NextBestAction in production: refits, reloads under threads, erasure, and arguments that are none."""

import json
import sys
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
from actions_cases import NOW, decisions_table, shop_actions, shop_log

import engagelib as eg
from engagelib import Action, ContactLimit, DecisionLog, NextBestAction, errors, load
from engagelib.actions import CustomerFeatures, Lifecycle


def refusal(call, kind=errors.ArgumentError):
    """Return the text with which something is refused."""
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_fitting_again_starts_afresh():
    nba = NextBestAction([Action("a", value=1)])
    nba.fit(shop_log(30))
    nba.observe({"customer_id": "late", "item_id": "i01", "timestamp": NOW})
    nba.fit(shop_log(60))
    assert not nba.recommend("late", at=NOW).known
    fresh = NextBestAction([Action("a", value=1)]).fit(shop_log(60))
    assert nba.recommend("k001", at=NOW)[:] == fresh.recommend("k001", at=NOW)[:]
    nba.fit()  # the same events, as when decisions have come in
    assert nba.recommend("k001", at=NOW)[:] == fresh.recommend("k001", at=NOW)[:]


def test_a_refused_fit_leaves_one_that_can_be_fitted():
    nba = NextBestAction([Action("a", value={"feature": "spent"})])
    with pytest.raises(errors.ArgumentError, match="'value' of action 'a' asks for 'spent'"):
        nba.fit(shop_log(30))
    with pytest.raises(errors.ArgumentError, match="'value' of action 'a' asks for 'spent'"):
        nba.fit(shop_log(30))


def test_a_value_of_an_unknown_feature_is_refused_with_decisions_too(log):
    nba = NextBestAction([Action("lamp-offer", value={"feature": "spent"})])
    text = refusal(lambda: nba.fit(log, decisions=decisions_table(log, n=300)))
    assert text.startswith("'value' of action 'lamp-offer' asks for 'spent': expected one of recency_days, ")


def test_decisions_without_a_moment_are_refused(log):
    table = decisions_table(log, n=300)
    del table["at"]
    nba = NextBestAction([Action("lamp-offer")])
    assert refusal(lambda: nba.fit(log, decisions=table), errors.SchemaError) == (
        "column 'at' is missing. Found: customer_id, action, p_logged, outcome. Hint: rename the column."
    )


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("rng", -1, "rng=-1: expected an integer of at least 0, as draws must be the same again."),
        ("rng", None, "rng=None: expected an integer of at least 0, as draws must be the same again."),
        ("lever_bounds", 3, "lever_bounds=3: expected a lowest and a highest finite number, at least 0."),
        ("lever_bounds", (2, 1),
         "lever_bounds=(2, 1): expected a lowest and a highest finite number, at least 0."),
        ("lever_bounds", (0, np.inf),
         "lever_bounds=(0, inf): expected a lowest and a highest finite number, at least 0."),
        ("uplift", 1, 'uplift=1: expected True, False or "auto".'),
        ("features", 3, "features is of type int: expected a CustomerFeatures, or None."),
        ("lifecycle", Lifecycle, "lifecycle is of type type: expected a Lifecycle, or None."),
        ("decision_log", "d.sqlite", "decision_log is of type str: expected a DecisionLog, or None."),
        ("recommender", 3, "recommender is of type int: expected a Recommender, or None."),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused_when_they_are_given(name, given, expected):
    assert refusal(lambda: NextBestAction([Action("a")], **{name: given})) == expected


def test_a_place_that_is_no_id_is_refused(nba):
    assert refusal(lambda: nba.recommend("k001", at=NOW, channel=["web"])) == (
        "channel=['web']: expected a text, an integer, or None for any."
    )
    assert refusal(lambda: nba.recommend_many(at=NOW, location=7.5)) == (
        "location=7.5: expected a text, an integer, or None for any."
    )


def test_every_setting_comes_back_from_a_file(log, tmp_path):
    nba = NextBestAction(
        shop_actions(),
        limits=[ContactLimit(2, "36h", channel="web", kind="offer")],
        control_share=0.2, control_salt="s", horizon_days=14, uplift=False, gate=False, explore="epsilon",
        floor=0.2, lever_bounds=(0.1, 5), prior_sd=0.2, rng=np.int64(7), lifecycle=Lifecycle(loyal_from=3),
        features=CustomerFeatures(window_days=(7,), n_categories=2, low_rating=3.0, low_survey=5.0),
    ).fit(log)  # fmt: skip
    nba.save(tmp_path / "shop.engage")
    again = load(tmp_path / "shop.engage")
    assert again._settings() == nba._settings()
    assert again.features.facts() == nba._fitted().learned.known.features.facts()
    assert again.features_.to_records() == nba.features_.to_records()
    assert again.limits[0].span == nba.limits[0].span


def test_who_is_only_in_the_customer_table_can_be_erased(tmp_path):
    customers = {"customer_id": ["never-came", "k001"], "plan": ["plan-of-never-came", "b"]}
    nba = NextBestAction([Action("a")]).fit(shop_log(30), customers=customers)
    nba.forget("never-came")
    nba.save(tmp_path / "shop.engage")
    for file in (tmp_path / "shop.engage").rglob("*"):
        assert not file.is_file() or b"never-came" not in file.read_bytes(), file
    with pytest.raises(errors.UnknownCustomerError):
        nba.forget("never-came")


def test_threads_that_ask_while_another_reloads_get_one_version_or_the_other(tmp_path):
    small, large = tmp_path / "small.engage", tmp_path / "large.engage"
    items = {"item_id": [f"b{n}" for n in range(60)], "category": ["new"] * 60}
    days = [NOW - timedelta(days=n % 90) for n in range(600)]
    more = eg.EventLog.from_frame(
        {
            "customer_id": [f"k{n % 40:03d}" for n in range(600)],
            "item_id": [f"b{n % 60}" for n in range(600)],
            "timestamp": days,
        },
        items=items,
    )
    NextBestAction([Action("one", value=2, items=["i19"]), Action("b")]).fit(shop_log(40)).save(small)
    NextBestAction([Action("two", value=3, items=["b59"]), Action("b"), Action("c")]).fit(more).save(large)
    answers = {}
    for path in (small, large):
        found = load(path)
        answers[path] = (found.recommend("k001", at=NOW)[:], found.recommend_many(["k001"], at=NOW).names)
    nba, failures, seen = load(small), [], set()
    is_over = threading.Event()
    take_over = nba.recommender.take_over

    def slowly(fresh):
        take_over(fresh)
        time.sleep(0.02)  # the recommender is of the new version, and all else not yet

    nba.recommender.take_over = slowly

    def ask():
        while not is_over.is_set():
            try:
                answer = nba.recommend("k001", at=NOW)[:], nba.recommend_many(["k001"], at=NOW).names
                for part in range(2):
                    known = [
                        place for place, path in enumerate(answers) if answer[part] == answers[path][part]
                    ]
                    assert known, answer[part]
                    seen.update(known)
            except Exception as error:  # a thread's error would be lost
                failures.append(repr(error))
                return

    threads = [threading.Thread(target=ask) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for turn in range(12):
            nba.reload((large, small)[turn % 2])
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert not failures
    assert seen == {0, 1}


def test_a_recommender_that_was_fitted_anew_by_itself_is_asked_about_its_own_items(log):
    nba = NextBestAction([Action("a", value=9, items=["i01"])]).fit(log)
    nba.recommender.availability = eg.Availability.from_frame({"item_id": ["i01"]})
    assert "a" in nba.recommend("k001", at=NOW).actions
    rows = {"customer_id": ["k001"] * 3, "item_id": ["a00", "a01", "i01"], "timestamp": [NOW] * 3}
    nba.recommender.fit(eg.EventLog.from_frame(rows))  # "i01" is another number now
    assert nba.recommender.items_.find("i01") == 2
    assert nba.recommend("k001", at=NOW).suppressed == ()
    nba.recommender.availability.update(["i01"], available=False)
    assert [one.rule for one in nba.recommend("k001", at=NOW).suppressed] == ["items"]


def test_what_is_forgotten_while_a_job_learns_does_not_come_back(nba, tmp_path, monkeypatch):
    found = NextBestAction(
        [Action("a", value=1)], recommender=eg.Recommender("popularity", ranker=None),
        decision_log=DecisionLog(tmp_path / "d"), floor=0.5,
    ).fit(shop_log(30))  # fmt: skip
    customers = list(found.recommender.customers_)
    for customer in customers:
        found.record(found.decide(customer, at=NOW).decision_id)
    assert found.decision_log.contacts(customers[0])  # or nothing would be taught by them
    entered = []
    inner = type(found.bandit_).learn_from

    def slow(self, log, **arguments):
        report = inner(self, log, **arguments)
        thread = threading.Thread(target=lambda: (found.forget(customers[0]), entered.append(1)))
        thread.start()
        thread.join(0.3)
        late.append(thread)
        return report

    late = []
    monkeypatch.setattr(type(found.bandit_), "learn_from", slow)
    found.update(at=NOW + timedelta(days=40))
    late[0].join()
    assert entered
    left = found.decision_log.to_table().to_pylist()
    assert customers[0] not in [row["customer_id"] for row in left]
    assert int(found.bandit_.n_rows_.sum()) == sum(row["action"] == "a" for row in left)


@pytest.mark.parametrize("explore", ["posterior", "epsilon"])
def test_a_campaign_draws_what_it_logs(nba, tmp_path, explore):
    actions = [Action(name, value=value) for name, value in (("a", 1.0), ("b", 1.01), ("c", 0.99))]
    found = NextBestAction(
        actions, recommender=nba.recommender, decision_log=DecisionLog(tmp_path / "d"), explore=explore,
        floor=0.4, prior_sd=0.01,
    ).fit()  # fmt: skip
    names = ["nothing", "a", "b", "c"]
    for day in range(12):
        found.decide_many(at=NOW + timedelta(days=day))
    table = found.decision_log.to_table().to_pylist()
    chances = np.zeros((len(table), 4))
    drawn = np.zeros((len(table), 4))
    for place, row in enumerate(table):
        for name, chance in json.loads(row["eligible"]):
            chances[place, names.index(name)] = chance
        drawn[place, names.index(row["action"])] = 1
        assert row["p_logged"] == chances[place, names.index(row["action"])]
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-12)
    # Each count is a sum of independent draws: as many standard deviations off as chance allows.
    sd = np.sqrt((chances * (1 - chances)).sum(axis=0))
    off = (drawn.sum(axis=0) - chances.sum(axis=0)) / sd
    assert np.abs(off).max() < 3.5, off
    # Also among those of whom it was unlikely.
    for low, high in ((0.0, 0.15), (0.15, 0.5), (0.5, 1.0)):
        some = (chances > low) & (chances <= high)
        if some.sum() > 50:
            spread = np.sqrt((chances * (1 - chances))[some].sum())
            assert abs((drawn[some] - chances[some]).sum()) < 3.5 * spread


@pytest.mark.parametrize(("kind", "rating"), [("rating", 1), ("survey", 3)])
def test_a_bad_rating_counts_in_a_shop_whose_log_held_none(tmp_path, kind, rating):
    days = [NOW - timedelta(days=30 * n) for n in range(5)]
    rows = {"customer_id": ["k"] * 5 + ["other"] * 5, "item_id": list("abcde") * 2, "timestamp": days * 2}
    nba = NextBestAction([Action("refer", value=99, kind="referral")]).fit(eg.EventLog.from_frame(rows))
    assert "refer" in nba.recommend("k", at=NOW).actions
    item = {"item_id": "a"} if kind == "rating" else {}
    nba.observe({"customer_id": "k", "event_type": kind, "rating": rating, "timestamp": NOW, **item})
    nba.observe({"customer_id": "other", "item_id": "b", "timestamp": NOW})
    assert "refer" not in nba.recommend("k", at=NOW).actions
    assert nba.recommend_many(["other", "k"], at=NOW, k=2).actions(1) == ["nothing"]
    nba.save(tmp_path / "shop.engage")
    for asked in (nba, load(tmp_path / "shop.engage")):
        found = asked.recommend("k", at=NOW)
        assert [(one.action, one.rule) for one in found.suppressed] == [("refer", "bad_experience")]
        table = asked.recommend_many(["nobody", "other", "k"], at=NOW, k=2)
        assert [table.actions(row) for row in range(3)] == [["refer", "nothing"]] * 2 + [["nothing"]]


def test_two_campaigns_of_one_moment_draw_apart_and_each_the_same_again(nba, tmp_path):
    found = NextBestAction(
        [Action("a", value=1)],
        recommender=nba.recommender,
        decision_log=DecisionLog(tmp_path / "d"),
        floor=1.0,
    ).fit()
    ids = list(nba.recommender.customers_)
    parts = [ids[:100], ids[100:200], ids[:100]]
    drawn = [found.decide_many(part, at=NOW)["action"].to_pylist() for part in parts]
    assert drawn[0] == drawn[2]
    assert 20 < sum(one != other for one, other in zip(drawn[0], drawn[1], strict=True)) < 80


def test_a_version_that_still_knows_the_forgotten_does_not_bring_them_back(tmp_path):
    customers = {"customer_id": ["k001", "never-came", "k002"], "plan": ["x", "x", "x"]}
    job = NextBestAction([Action("a", value=1, eligible={"plan": "x"})]).fit(
        shop_log(30), customers=customers
    )
    job.save(tmp_path / "shop.engage")
    worker = load(tmp_path / "shop.engage")
    for name in ("k001", "never-came"):
        assert "a" in worker.recommend(name, at=NOW).actions
        worker.forget(name)
    job.save(tmp_path / "shop.engage")  # which was not told
    assert worker.reload()
    for name in ("k001", "never-came"):
        assert not worker.recommend(name, at=NOW).known
        assert worker.recommend(name, at=NOW).actions == ["nothing"]
    assert "a" in worker.recommend("k002", at=NOW).actions
