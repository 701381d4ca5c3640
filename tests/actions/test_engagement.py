"""What engagement asks for, point by point, as a shop sees it: over the public names alone."""

from datetime import timedelta

import numpy as np
import pytest
from actions_cases import NOW, START

import engagelib as eg

EVERYWHERE = ("web", "app", "store", "call centre")


@pytest.fixture(scope="module")
def saved(nba, tmp_path_factory):
    """A shop with something for everybody and something for the loyal, saved."""
    actions = [
        eg.Action("newsletter", value=5, cost=0.01),
        eg.Action("refer-a-friend", value=50, kind="referral", eligible={"stage": ["repeat", "loyal"]}),
    ]
    path = tmp_path_factory.mktemp("shop") / "shop.engage"
    eg.NextBestAction(actions, recommender=nba.recommender).fit().save(path)
    return path


@pytest.fixture
def shop(saved):
    """The shop as a worker opens it, with three customers who have just come."""
    return with_three(eg.load(saved))


def with_three(shop):
    """Let three customers be seen: one buys often, one looks only, one is new."""
    for months in range(6):
        at = NOW - timedelta(days=200 - 30 * months)
        shop.observe({"customer_id": "often", "item_id": f"i{months:02d}", "value": 20.0, "timestamp": at})
    for days in range(8):
        at = NOW - timedelta(days=20 - days)
        shop.observe({"customer_id": "looks", "event_type": "view", "item_id": "i07", "timestamp": at})
    shop.observe({"customer_id": "new", "item_id": "i03", "timestamp": NOW - timedelta(days=5)})
    return shop


def shop_of(nba, *actions, **settings):
    """Return another shop over the same events, which changes nothing of the first."""
    return eg.NextBestAction(actions, recommender=nba.recommender, **settings).fit()


def events(*listed):
    """Return events of one customer, each a day after the one before, up to now."""
    return [
        {"timestamp": NOW - timedelta(days=len(listed) - place), **event}
        for place, event in enumerate(listed)
    ]


def buys(customer, *items):
    """Return purchases to observe."""
    return events(*({"customer_id": customer, "item_id": item, "value": 10.0} for item in items))


def rule_of(found, action):
    """Return the rule that suppresses an action, None where it is listed."""
    return None if action in found.actions else {one.action: one.rule for one in found.suppressed}[action]


# 1. Known by the whole history, browsing and purchases, from the moment of sign-in.


def test_1_whoever_signs_in_is_known_by_all_they_did_browsing_too(shop):
    names = {row["name"] for row in shop.features_.to_records()}
    assert {"n_purchases", "browse_to_buy", "value"} <= names
    often, looks = shop.recommend("often", at=NOW), shop.recommend("looks", at=NOW)
    assert (often.stage.name, looks.stage.name) == ("loyal", "interest")
    answers = (often, looks, shop.recommend("nobody", at=NOW))
    chances = {one.p_success for found in answers for one in found if one.action == "newsletter"}
    assert len(chances) == 3
    # A visitor without a name browses, and signs in.
    shop.observe(buys("device-9", "i01", "i02"))
    assert not shop.recommend("signs-in", at=NOW).known
    shop.link("signs-in", "device-9")
    found = shop.recommend("signs-in", at=NOW)
    assert found.known
    assert found.stage.name == "repeat"


# 2. One customer across channels; staff see the history, the suggestion and the reasons.


def test_2_web_app_store_and_call_centre_give_one_answer(shop):
    for customer in ("often", "looks", "new", "nobody"):
        answers = [shop.recommend(customer, channel=channel, at=NOW) for channel in EVERYWHERE]
        assert all(one[:] == answers[0][:] and one.stage == answers[0].stage for one in answers)
        shown = [shop.recommender.recommend(customer, channel=channel, at=NOW) for channel in EVERYWHERE]
        assert all(one.item_ids == shown[0].item_ids for one in shown)


def test_2_only_what_may_be_done_there_differs(nba):
    actions = [eg.Action("push", value=5, channels=["app"]), eg.Action("talk", value=4, channels=["store"])]
    shop = shop_of(nba, *actions)
    app, store = (shop.recommend("k001", channel=channel, at=NOW) for channel in ("app", "store"))
    assert (app.actions, store.actions) == (["push", "nothing"], ["talk", "nothing"])
    assert app.suppressed == (("talk", "channel", "not in 'app'"),)


def test_2_staff_see_the_history_the_suggestion_and_the_reasons(shop):
    page = str(shop.recommender.profile("often", at=NOW))
    assert "i05" in page
    found = shop.recommend("often", at=NOW)
    text = str(found)
    assert "For customer often: loyal (" in text
    assert all(term in text for term in ("newsletter", "p_success", "value", "cost", "lever", "basis"))
    for one in found:
        if one.action != "nothing":
            assert one.priority == pytest.approx(one.p_success * one.value * one.lever - one.cost)
    assert "Not now" in str(shop.recommend("looks", at=NOW))


# 3. New events change the next answer without a refit.


def test_3_the_next_answer_knows_what_just_happened(log):
    recommender = eg.Recommender("item_knn", ranker=None)
    shop = with_three(eg.NextBestAction([eg.Action("newsletter", value=5)], recommender=recommender).fit(log))
    before, shown = shop.recommend("new", at=NOW), recommender.recommend("new", at=NOW).item_ids
    assert before.stage.name == "first_purchase"
    shop.observe({"customer_id": "new", "item_id": shown[0], "timestamp": NOW})
    after = shop.recommend("new", at=NOW)
    assert after.stage.name == "repeat"
    assert after[0].p_success != before[0].p_success
    assert recommender.recommend("new", at=NOW).item_ids != shown
    assert shop.recommend_many(["new"], at=NOW, k=2).actions(0) == after.actions


# 4. Nothing that can't be fulfilled is ever suggested.


def test_4_what_is_not_there_is_never_suggested_items_and_actions(log):
    nights = {"starts": NOW, "ends": NOW + timedelta(days=2)}
    shop = eg.NextBestAction(
        [
            eg.Action("lamp-offer", value=90, kind="offer", items=["i01"]),
            eg.Action("tasting", value=80, locations=["Bern"], **nights),
            eg.Action("push", value=70, channels=["app"]),
        ]
    ).fit(log)
    shop.recommender.availability = eg.Availability.from_frame(
        {
            "item_id": ["i01", "i02", "i03"],
            "location": ["Bern", "Basel", None],
            "starts": [None, None, NOW + timedelta(days=1)],
        }
    )
    for days in range(-1, 3):
        at = NOW + timedelta(days=days)
        for channel in ("app", "web"):
            for location in ("Bern", "Basel"):
                place = {"channel": channel, "location": location, "at": at}
                there = {"i01" if location == "Bern" else "i02"} | ({"i03"} if days >= 1 else set())
                may = {"nothing"} | ({"lamp-offer"} if location == "Bern" else set())
                may |= {"tasting"} if location == "Bern" and 0 <= days < 2 else set()
                may |= {"push"} if channel == "app" else set()
                for customer in ("k001", "nobody"):
                    assert set(shop.recommend(customer, **place).actions) == may
                    assert set(shop.recommender.recommend(customer, **place).item_ids) <= there
                table = shop.recommend_many(**place, k=9)
                assert all(set(table.actions(row)) == may for row in range(len(table)))
    # Sold out, from one call to the next.
    shop.recommender.availability.update(["i01"], available=False)
    sold_out = shop.recommend("k001", location="Bern", at=NOW)
    assert rule_of(sold_out, "lamp-offer") == "items"
    assert "i01" not in shop.recommender.recommend("k001", location="Bern", at=NOW).item_ids


# 5. A lifecycle per customer; no referral after a bad experience.


def test_5_customers_rise_from_interest_to_loyal_with_the_fourth_purchase_and_lapse(shop):
    assert shop.recommend("grows", at=NOW).stage.name == "unknown"
    view = {"customer_id": "grows", "event_type": "view", "item_id": "i09", "timestamp": NOW}
    shop.observe(view)
    stages = [shop.recommend("grows", at=NOW).stage.name]
    for days in range(1, 6):
        bought = {
            "customer_id": "grows",
            "item_id": f"i{days:02d}",
            "timestamp": NOW + timedelta(days=days),
        }
        shop.observe(bought)
        stages.append(shop.recommend("grows", at=NOW + timedelta(days=days)).stage.name)
    assert stages == ["interest", "first_purchase", "repeat", "repeat", "loyal", "loyal"]
    later = [shop.recommend("grows", at=NOW + timedelta(days=days)).stage.name for days in (40, 400)]
    assert later == ["lapsing", "lost"]
    referred = {"customer_id": "grows", "event_type": "referral", "timestamp": NOW + timedelta(days=6)}
    shop.observe(referred)
    assert shop.recommend("grows", at=NOW + timedelta(days=7)).stage.name == "referral"


def test_5_each_stage_has_its_own_actions(nba):
    stages = ("interest", "first_purchase", "repeat", "loyal", "lapsing", "lost")
    shop = shop_of(nba, *(eg.Action(stage, value=9, eligible={"stage": stage}) for stage in stages))
    table = shop.recommend_many(at=NOW, k=9)
    seen = set()
    for row in range(len(table)):
        stage = table.stages[table.stage[row]]
        assert set(table.actions(row)) - {"nothing"} <= {stage}
        seen.add(stage)
    assert seen >= set(stages) - {"interest"}


BAD = {
    "low rating": ({"event_type": "rating", "item_id": "i01", "rating": 1}, {"rating": 5}),
    "return": ({"event_type": "return", "item_id": "i01", "value": -10.0}, None),
    "complaint": ({"event_type": "complaint"}, None),
    "low survey score": ({"event_type": "survey", "rating": 3}, {"rating": 10}),
}


@pytest.mark.parametrize("what", BAD)
def test_5_a_referral_is_never_asked_after_a_bad_experience(shop, what):
    bad, good = BAD[what]
    assert "refer-a-friend" in shop.recommend("often", at=NOW).actions
    if good is not None:  # the same kind of event, of a happy customer
        shop.observe({"customer_id": "often", "timestamp": NOW - timedelta(hours=2), **bad, **good})
        assert rule_of(shop.recommend("often", at=NOW), "refer-a-friend") in (None, "eligible")
    if what == "return":
        shop.observe(buys("often", "i01"))
    shop.observe({"customer_id": "often", "timestamp": NOW - timedelta(hours=1), **bad})
    found = shop.recommend("often", at=NOW)
    assert "newsletter" in found.actions
    assert "refer-a-friend" not in found.actions
    if good is None:
        assert rule_of(found, "refer-a-friend") == "bad_experience"
    assert "refer-a-friend" not in shop.recommend_many(["often"], at=NOW, k=9).actions(0)
    assert "often" not in shop.audience("refer-a-friend", at=NOW).customer_ids


# 6. Worth over a lifetime counts.


def test_6_what_a_customer_will_bring_counts_in_the_ranking(nba):
    ids = list(nba.recommender.customers_)
    actions = [
        eg.Action("keep", value={"feature": "expected_value", "times": 0.5}, cost=1.0),
        eg.Action("click", value=10.0, cost=0.9),
    ]
    shop = eg.NextBestAction(actions, recommender=nba.recommender).fit()
    best = {}
    for customer in ids:
        found = shop.recommend(customer, at=NOW)
        keep = next(one for one in found if one.action == "keep")
        assert keep.value == pytest.approx(0.5 * (found.expected_value or 0.0))
        best.setdefault(found.actions[0], []).append(found.expected_value or 0.0)
    # Two actions with the same chance: for whom much is expected of, the lifetime decides.
    assert min(best["keep"]) > max(best["click"])
    assert min(best["keep"]) > 20.0


# 7. An existing customer is treated no worse than a new one.


def test_7_an_offer_for_new_customers_alone_is_found_out(nba):
    def checked(**rules):
        offer = eg.Action("welcome", value=20, kind="offer", benefit=5.0, **rules)
        return eg.NextBestAction([offer], recommender=nba.recommender).fit().check_parity(at=NOW)

    unfair = checked(eligible={"stage": ["interest", "first_purchase"]})
    assert not unfair.is_fair
    overall = unfair.to_records()[0]
    assert (overall["verdict"], overall["existing"]) == ("less", 0.0)
    assert overall["high"] < 0 < overall["new"]
    assert {"stage=loyal", "stage=repeat"} <= {row["segment"] for row in unfair.to_records()}
    fair = checked()
    assert fair.is_fair
    assert fair.to_records()[0]["gap"] == 0.0


# 8. What was done is measured beyond the click.


def test_8_what_was_done_is_logged_judged_against_those_left_alone_and_followed_up(nba, tmp_path):
    shop = eg.NextBestAction(
        [eg.Action("mail", value=10, cost=0.1), eg.Action("call", value=10, cost=0.1)],
        recommender=nba.recommender, decision_log=eg.DecisionLog(tmp_path / "decisions.sqlite"),
        control_share=0.2, explore="epsilon", floor=0.6,
    ).fit()  # fmt: skip
    rng = np.random.default_rng(0)
    p_success = {"nothing": 0.1, "mail": 0.1, "call": 0.6}
    decided = [shop.decide_many(at=NOW + timedelta(days=day)) for day in range(4)]
    done = [row for table in decided for row in table.to_pylist()]
    succeeded = [rng.random() < p_success[row["action"]] for row in done]
    shop.record_many(
        {"decision_id": [row["decision_id"] for row in done], "value": np.array(succeeded, float)}
    )
    assert all(0 < row["p_logged"] <= 1 for row in done)
    control = [row for row in done if row["is_control"]]
    assert {row["action"] for row in control} == {"nothing"}
    assert 0.1 < len(control) / len(done) < 0.3
    # What each policy would have brought, from what another one did; the control group stays apart.
    logged = eg.actions.read_decisions(shop.decision_log)
    found = eg.evaluate_policy(logged, {"call": "call", "mail": "mail"}, estimators=("dr",))
    value = {row["policy"]: row for row in found.to_records() if row["policy"] in ("call", "mail")}
    for name in ("call", "mail"):
        assert value[name]["low"] < p_success[name] < value[name]["high"]
    assert value["call"]["low"] > value["mail"]["high"]


def test_8_who_clicked_and_did_not_buy_is_an_audience_for_a_survey():
    def one(customer, kind, item, days):
        at = START + timedelta(days=days)
        return {"customer_id": customer, "event_type": kind, "item_id": item, "timestamp": at}

    log = eg.EventLog.from_records(
        [
            one("clicked", "view", "lamp", 8),
            one("bought", "view", "lamp", 8), one("bought", "purchase", "lamp", 9),
            one("other-thing", "view", "lamp", 8), one("other-thing", "purchase", "rug", 9),
            one("long-ago", "view", "lamp", 0), one("long-ago", "purchase", "rug", 1),
        ]
    )  # fmt: skip
    histories = eg.Histories.from_log(log)
    found = eg.actions.clicked_not_bought(histories, at=START + timedelta(days=10), within_days=5)
    assert sorted(found.customer_ids) == ["clicked", "other-thing"]
