"""Probabilities: learned from everybody before a moment and what came after it, and served with each list."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engagelib as eg
from engagelib import EventLog, Recommender, Rule
from engagelib.attributes import ItemAttributes
from engagelib.datasets import make_shop
from engagelib.histories import Histories
from engagelib.models import ItemKNN, Popularity
from engagelib.ranking import World, draw_slice, learn_calibration, learn_ranker
from engagelib.ranking.calibrating import DEPTH, Pairs, draw_pairs, fit_line, forecast_of
from engagelib.ranking.calibration import NUMBERS, Calibration, customer_numbers
from engagelib.ranking.lists import thinned
from engagelib.recommender.choosing import fit_models
from engagelib.recommender.repeating import learn_repeats
from engagelib.testing import random_log
from engagelib.times import DAY

START = 19_000 * DAY


@pytest.fixture(scope="module")
def log():
    return make_shop(2_500, 60, 60_000).log


@pytest.fixture(scope="module")
def shop(log):
    return Recommender(["ease", "popularity"], ranker="logistic").fit(log)


@pytest.fixture(scope="module")
def held(log):
    histories = Histories.from_log(log)
    return histories, draw_slice(histories, "purchase", np.random.default_rng(0))


def by_popularity(before):
    """List by popularity alone, with scores in (0, 1)."""
    model = Popularity().fit(before)

    def listed(block):
        best = model.score_topk(block, DEPTH)
        return best.item_index, best.score / (1 + best.score)

    return listed


def learned(histories, held, *, unseen=None):
    return learn_calibration(
        histories, held, "purchase", by_popularity(held.before),
        by_odds=True, unseen=unseen, rng=np.random.default_rng(0),
    )  # fmt: skip


# What is known of a customer

events = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 40), st.sampled_from(["view", "purchase"])), min_size=1
)


@given(events=events, at=st.one_of(st.none(), st.integers(0, 45)))
def test_numbers_of_a_customer_are_what_their_definition_says(events, at):
    quarter = DAY // 4
    log = EventLog.from_frame(
        {
            "customer_id": [f"c{customer}" for customer, _, _ in events],
            "item_id": ["a"] * len(events),
            "event_type": [kind for _, _, kind in events],
            "timestamp": np.array([START + step * quarter for _, step, _ in events], "datetime64[us]"),
        }
    )
    block = Histories.from_log(log)
    moment = None if at is None else START + at * quarter
    found = customer_numbers(block, moment, "purchase")
    now = START + quarter * (max(step for _, step, _ in events) if at is None else at)
    for row, name in enumerate(block.customers.ids(range(block.n_customers))):
        own = [
            (START + step * quarter, kind)
            for customer, step, kind in events
            if f"c{customer}" == name and START + step * quarter <= now
        ]
        expected = [math.nan] * len(NUMBERS)
        if own:
            times = [time for time, _ in own]
            expected = [
                (now - max(times)) / DAY,
                (now - min(times)) / DAY,
                sum(kind == "purchase" for _, kind in own),
                len({time // DAY for time in times}),
            ]
        np.testing.assert_array_equal(found[row], expected)
        np.testing.assert_array_equal(
            customer_numbers(block.block(row, row + 1), moment, "purchase")[0], expected
        )


# What a probability is


def made(weight, *, by_odds, start=-1.0):
    weight, none = np.array(weight, np.float64), np.zeros((5, 0))
    return Calibration("purchase", 30.0, 1, 1, 1, 0.1, 0.0, 0.0, 0.0, none, by_odds, weight, start)


@given(
    score=st.floats(2**-10, 1 - 2**-10, width=32),
    numbers=st.tuples(*[st.floats(0, 1000)] * len(NUMBERS)),
    weight=st.tuples(*[st.floats(-2, 2)] * (1 + len(NUMBERS))),
    by_odds=st.booleans(),
)
def test_a_probability_is_the_logistic_function_of_the_weighted_sum(score, numbers, weight, by_odds):
    found = made(weight, by_odds=by_odds).of_numbers(np.array([[score]], np.float32), np.array([numbers]))
    bent = math.log(score / (1 - score)) if by_odds else math.log(score)
    odds = weight[0] * bent - 1.0
    odds += sum(part * math.log1p(number) for part, number in zip(weight[1:], numbers, strict=True))
    assert found[0, 0] == pytest.approx(1 / (1 + math.exp(-odds)), rel=1e-9)


def test_there_is_no_probability_without_a_score_or_a_history():
    numbers = np.array([[1.0, 2.0, 3.0, 1.0], [math.nan] * 4])
    score = np.array([[0.5, 0.0, -np.inf, -1.0], [0.5, 0.0, -np.inf, -1.0]], np.float32)
    found = made([1, 0, 0, 0, 0], by_odds=True).of_numbers(score, numbers)
    assert np.isnan(found).tolist() == [[False, True, True, True], [True] * 4]


def test_the_highest_score_a_float_holds_gives_a_probability():
    found = made([1, 0, 0, 0, 0], by_odds=True).of_numbers(np.ones((1, 1), np.float32), np.ones((1, 4)))
    assert 0.99 < found[0, 0] <= 1


# What it is learned from


def test_whoever_was_there_before_is_looked_at_whether_they_came_back_or_not(held):
    histories, part = held
    known = histories.until(part.before.newest)
    found = learned(histories, part).calibration
    was_there = np.diff(known.indptr[: known.n_customers + 1]) > 0
    assert found.n_customers == was_there.sum() > part.block.n_histories
    assert found.n_pairs == found.n_customers * DEPTH
    assert found.horizon_days == pytest.approx((histories.newest - part.before.newest) / DAY)


def test_a_listed_item_came_about_where_the_customer_bought_it_after_the_moment(held):
    histories, part = held
    cut = part.before.newest
    known = histories.until(cut).as_of(cut)
    listed = by_popularity(part.before)
    pairs = draw_pairs(histories, part.before, "purchase", listed, unseen=None, rng=np.random.default_rng(0))
    rows = np.flatnonzero(np.diff(known.indptr[: known.n_customers + 1]) > 0)
    items, _ = listed(known.take(rows))
    bought = set()
    kinds = [histories.event_types[code] for code in histories.event_type.tolist()]
    for row, item, time, kind in zip(
        histories.rows().tolist(), histories.item_index.tolist(), histories.time.tolist(), kinds, strict=True
    ):
        if time > cut and kind == "purchase" and item >= 0:
            bought.add((row, item))
    expected = [
        (row, item) in bought
        for row, some in zip(rows.tolist(), items.tolist(), strict=True)
        for item in some
    ]
    assert pairs.is_met.tolist() == expected
    assert sum(expected) > 100


def test_what_came_after_the_moment_changes_nothing_but_what_came_about(held):
    histories, part = held
    of_all, of_none = (
        draw_pairs(
            some,
            part.before,
            "purchase",
            by_popularity(part.before),
            unseen=None,
            rng=np.random.default_rng(0),
        )
        for some in (histories, histories.until(part.before.newest))
    )
    for name in ("numbers", "customer", "score"):
        np.testing.assert_array_equal(getattr(of_all, name), getattr(of_none, name))
    assert of_all.is_met.any()
    assert not of_none.is_met.any()


def test_customers_that_a_ranker_was_taught_by_are_not_looked_at(held):
    histories, part = held
    known = histories.until(part.before.newest)
    unseen = np.flatnonzero(np.arange(histories.n_histories) % 3 == 0)
    found = learned(histories, part, unseen=unseen)
    was_there = np.diff(known.indptr[: known.n_customers + 1]) > 0
    n_customers = int(was_there[unseen[unseen < len(was_there)]].sum())
    assert f"{n_customers:,} customers" in (found.choice)


def test_a_judge_leaves_out_the_same_share_of_those_who_came_back_and_of_all_others(held, log, monkeypatch):
    _, part = held
    taught = []

    def thinned_and_noted(lists, rng):
        taught.append(part.rows[lists.row])
        return thinned(lists, rng)

    monkeypatch.setattr("engagelib.ranking.learning.thinned", thinned_and_noted)
    attributes = ItemAttributes.from_table(log.item_table, log.items)
    models = fit_models([ItemKNN(), Popularity()], part.before, attributes)
    found = learn_ranker(
        World(models, part, learn_repeats(part.before).share), "purchase", kind="logistic",
        attributes=attributes, excluded=lambda block, at: None, rng=np.random.default_rng(0),
    )  # fmt: skip
    came_back = np.zeros(part.before.n_histories, bool)
    came_back[part.rows] = True
    unseen = np.zeros(part.before.n_histories, bool)
    unseen[found.unseen] = True
    # Of half a quarter, and all of the other half, of whom the ranker was told nothing.
    assert unseen[came_back].mean() == pytest.approx(0.625, abs=0.05)
    assert unseen[~came_back].mean() == pytest.approx(0.625, abs=0.05)
    assert found.judge is not found.ranker
    judge, ranker = taught[0], np.concatenate(taught)
    assert not unseen[judge].any()
    assert set(ranker[unseen[ranker]]) == set(ranker) - set(judge)


def drawn_pairs(weight, start, n_customers=3_000, rng=0):
    """Customers and scores whose chances are known."""
    rng = np.random.default_rng(rng)
    numbers = rng.exponential(30, (n_customers, len(NUMBERS)))
    customer = np.repeat(np.arange(n_customers), 10)
    score = rng.uniform(0.01, 0.99, len(customer)).astype(np.float32)
    pairs = Pairs(numbers, customer, score, np.zeros(len(customer), bool))
    chance = forecast_of(pairs, np.array(weight), start, by_odds=True)
    return Pairs(numbers, customer, score, rng.random(len(chance)) < chance)


def test_a_line_finds_the_weights_that_chances_were_drawn_with():
    weight = [0.8, -0.4, 0.1, 0.3, 0.2]
    found, start = fit_line(drawn_pairs(weight, -1.5), by_odds=True)
    np.testing.assert_allclose(found, weight, atol=0.06)
    assert start == pytest.approx(-1.5, abs=0.3)


def test_a_line_forecasts_as_many_as_came_about():
    pairs = drawn_pairs([0.8, -0.4, 0.1, 0.3, 0.2], -1.5)
    forecast = forecast_of(pairs, *fit_line(pairs, by_odds=True), by_odds=True)
    assert forecast.mean() == pytest.approx(pairs.is_met.mean(), rel=1e-3)


def test_a_higher_score_never_means_less_chance():
    pairs = drawn_pairs([-0.8, -0.4, 0.1, 0.3, 0.2], -1.5)
    found, start = fit_line(pairs, by_odds=True)
    assert found[0] == 0
    forecast = forecast_of(pairs, found, start, by_odds=True)
    assert forecast.mean() == pytest.approx(pairs.is_met.mean(), rel=1e-3)


def test_customers_are_judged_by_what_was_learned_from_others(monkeypatch, held):
    taught, judged = [], []

    def fit(pairs, *, by_odds):
        taught.append(set(pairs.customer.tolist()))
        return fit_line(pairs, by_odds=by_odds)

    def forecast(pairs, weight, start, *, by_odds):
        judged.append(set(pairs.customer.tolist()))
        return forecast_of(pairs, weight, start, by_odds=by_odds)

    monkeypatch.setattr("engagelib.ranking.calibrating.fit_line", fit)
    monkeypatch.setattr("engagelib.ranking.calibrating.forecast_of", forecast)
    found = learned(*held).calibration
    assert len(judged) == 5
    assert len(taught) == 6
    assert not any(one & other for one, other in zip(taught, judged, strict=False))
    assert set().union(*judged) == taught[-1] == set(range(found.n_customers))


def test_too_few_that_came_about_teach_nothing(held):
    histories, part = held
    few = histories.keeping(
        (histories.time <= part.before.newest) | (np.arange(histories.n_events) % 200 == 0)
    ).as_of(histories.newest)
    found = learned(few, part)
    assert found.calibration is None
    assert found.choice.startswith("none: of ")
    assert found.choice.endswith(" days, at least 100 are needed to learn from")


# What a recommender serves


def chances(entries):
    return [entry.probability for entry in entries]


def test_probabilities_fall_along_a_list_and_lie_between_0_and_1(shop):
    for customer in shop.customers_.ids(range(0, 1_000, 50)):
        scored = [entry for entry in shop.recommend(customer, k=20) if entry.score > 0]
        found = chances(scored)
        assert all(0 <= chance <= 1 for chance in found)
        assert found == sorted(found, reverse=True)


def test_what_fills_a_list_has_no_probability(log):
    own = Recommender([ItemKNN(n_neighbours=3), "repeat"], ranker="logistic").fit(log)
    own.observe({"customer_id": "new", "item_id": own.items_.ids([7])[0], "event_type": "purchase"})
    entries = own.recommend("new", k=60, rules=[Rule.pin(items=own.items_.ids([8]))])
    assert {entry.probability is None for entry in entries} == {True, False}
    assert all((entry.probability is None) == (entry.score <= 0) for entry in entries)


def test_who_has_no_history_has_no_probability(shop):
    assert chances(shop.recommend(None)) == chances(shop.recommend("nobody")) == [None] * 10
    known = shop.customers_.ids([0])[0]
    before = np.datetime64(int(shop.histories_.time.min()) - DAY, "us")
    assert chances(shop.recommend(known, at=before)) == [None] * 10


def test_what_was_just_bought_counts_as_soon_as_it_was_observed(log):
    own = Recommender(["ease", "popularity"], ranker="logistic").fit(log)
    customer = own.customers_.ids([0])[0]
    (before,) = customer_numbers(own._serving.live.find(customer)[1], None, "purchase")
    own.observe({"customer_id": customer, "item_id": own.items_.ids([7])[0], "event_type": "purchase"})
    (after,) = customer_numbers(own._serving.live.find(customer)[1], None, "purchase")
    assert after[2] == before[2] + 1
    assert after[0] < before[0]


@pytest.mark.parametrize("days", [None, 60])
def test_many_at_once_have_the_probabilities_of_each_alone(shop, days):
    at = None if days is None else np.datetime64(shop.histories_.newest - days * DAY, "us")
    table = shop.recommend_many(at=at, probabilities=True)
    for row, customer in enumerate(shop.customers_.ids(range(300))):
        alone = chances(shop.recommend(customer, at=at))
        many = table.probability[row][table.item_index[row] >= 0].tolist()
        assert [math.nan if chance is None else chance for chance in alone] == pytest.approx(
            many, rel=0, abs=0, nan_ok=True
        )
    assert shop.recommend_many(at=at).probability is None


def test_probabilities_are_a_column_of_the_table(shop):
    table = shop.recommend_many([*shop.customers_.ids([0, 1]), "nobody"], probabilities=True)
    column = table.to_table()["probability"]
    assert column.to_pylist()[:20] == table.probability[:2].ravel().tolist()
    assert column.to_pylist()[20:] == [None] * 10
    assert "probability" not in shop.recommend_many().to_table().column_names
    assert "probability" in str(shop.recommend(shop.customers_.ids([0])[0]))


def test_a_boost_changes_the_score_and_not_the_probability(shop):
    customer = shop.customers_.ids([3])[0]
    plain = {entry.item_id: entry for entry in shop.recommend(customer)}
    first = next(iter(plain))
    boosted = {
        entry.item_id: entry for entry in shop.recommend(customer, rules=[Rule.boost(3, items=[first])])
    }
    assert boosted[first].score == pytest.approx(3 * plain[first].score)
    assert boosted[first].probability == pytest.approx(plain[first].probability, rel=1e-5)


def test_a_saved_recommender_gives_the_same_probabilities(shop, tmp_path):
    shop.save(tmp_path / "shop.engage")
    back = eg.load(tmp_path / "shop.engage")
    for customer in shop.customers_.ids(range(20)):
        assert chances(back.recommend(customer)) == chances(shop.recommend(customer))
    assert str(back.calibration_) == str(shop.calibration_)
    assert back.calibration_.facts() == shop.calibration_.facts()


def test_a_calibration_says_how_far_it_can_be_trusted(shop):
    found = shop.calibration_
    assert found.event == "purchase"
    assert found.n_met >= 100
    assert found.ece < 0.02
    assert found.reliability.n.sum() == found.n_pairs
    assert found.mean_probability == pytest.approx(found.n_met / found.n_pairs, rel=0.1)
    assert str(found).startswith("Chance of 'purchase' within ")
    assert found._repr_html_().startswith("<table>")
    rows = {row["what"]: row["value"] for row in shop.summary().to_records()}
    assert rows["probabilities"].startswith(f"of 'purchase' within {found.horizon_days:,.1f} days")


def test_erasing_a_customer_is_pending_for_the_calibration(log, tmp_path):
    own = Recommender(["item_knn", "popularity"], ranker="logistic").fit(log)
    own.forget(own.customers_.ids([0])[0])
    own.save(tmp_path / "shop.engage")
    rows = {row["what"]: row["value"] for row in own.summary().to_records()}
    assert rows["erasure pending: calibration"] == "1 customers, until it is fitted again"


@pytest.mark.parametrize("time_kind", ["position", "set"])
def test_without_timestamps_there_are_none_and_the_summary_says_so(time_kind):
    found = Recommender(["item_knn", "popularity"], ranker="logistic").fit(
        random_log(n_customers=300, n_items=50, n_events=6_000, time_kind=time_kind)
    )
    rows = {row["what"]: row["value"] for row in found.summary().to_records()}
    assert found.calibration_ is None
    assert rows["probabilities"] == f"none: the log has no timestamps, order by {time_kind}"
    assert set(chances(found.recommend("c001"))) == {None}
    assert found.recommend_many(["c001"], probabilities=True).probability is None


def test_without_a_second_stage_there_are_none_and_the_summary_says_so(log):
    found = Recommender("item_knn").fit(log)
    rows = {row["what"]: row["value"] for row in found.summary().to_records()}
    assert found.calibration_ is None
    assert rows["probabilities"] == "none: no span of time was held back for a second stage"


def test_lists_by_another_ranker_than_the_calibrated_one_have_none(shop):
    learned = shop._serving.learned
    assert learned.ranker_of_new is not learned.ranker
    customer = shop.customers_.ids([3])[0]
    assert set(chances(shop.recommend(customer, exclude_seen="any"))) == {None}
    table = shop.recommend_many([customer], exclude_seen="any", probabilities=True)
    assert np.isnan(table.probability).all()
