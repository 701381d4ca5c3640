"""Describing against the loops that define it, and what both implementations agree on to the last bit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib import errors
from engagelib.scoring import TopK, reference, threads
from engagelib.scoring.describing import Clock, ItemFacts, describe, feature_names
from engagelib.scoring.drawing import Events

N_ITEMS, N_TYPES, N_GROUPS, N_CATEGORIES = 4, 3, 2, 2
DAY = 10
GROUP = np.array([1, 0, -1], np.int8)
NAMES = feature_names(["a", "b"], ["fame"], ["goal", "other"], ["price"])


@st.composite
def some_questions(draw):
    """Histories of a few events, and what two models list for them; ties and repeats are common."""
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    n, n_rows = sum(lengths), len(lengths)

    def column(values, size, dtype):
        return np.array(draw(st.lists(values, min_size=size, max_size=size)), dtype)

    time = column(st.integers(0, 30), n, np.int64) if draw(st.booleans()) else None
    if time is not None:
        starts = np.append(0, np.cumsum(lengths))
        for first, last in pairwise(starts):
            time[first:last].sort()
    events = Events(
        np.append(0, np.cumsum(lengths)).astype(np.int64),
        column(st.integers(-1, N_ITEMS - 1), n, np.int32),
        column(st.integers(0, N_TYPES - 1), n, np.int16),
        time,
        column(st.sampled_from([0.0, 0.5, 1.0]), n, np.float32) if draw(st.booleans()) else None,
        N_ITEMS,
    )
    found = []
    for _ in range(2):
        width = draw(st.integers(1, 4))
        items = column(st.integers(-1, N_ITEMS - 1), n_rows * width, np.int32).reshape(n_rows, width)
        score = column(st.sampled_from([-1.0, 0.0, 0.3, 1.0, 7.0]), n_rows * width, np.float32)
        found.append(TopK(items, np.where(items < 0, -np.inf, score.reshape(items.shape)).astype(np.float32)))
    width = draw(st.integers(1, 4))
    candidates = column(st.integers(-1, N_ITEMS - 1), n_rows * width, np.int32).reshape(n_rows, width)
    clock = Clock(*(draw(st.sampled_from(some)) for some in ([None, 5, 20], [20, 35], [0, DAY])))
    facts = ItemFacts(
        column(st.sampled_from([0.0, 1.5]), N_ITEMS, np.float32)[:, None],
        column(st.sampled_from([1.0, 1 / 3, np.nan]), N_ITEMS, np.float32)[:, None],
        column(st.integers(-1, N_CATEGORIES - 1), N_ITEMS, np.int32),
        N_CATEGORIES,
    )
    return found, candidates, events, clock, facts


def said_by(best, row, item):
    """The loops over one list: scaled, score, nearness."""
    pairs = [
        (i, s)
        for i, s in zip(best.item_index[row].tolist(), best.score[row].tolist(), strict=True)
        if i >= 0 and s > 0
    ]
    for listed, score in pairs:
        if listed == item:
            above = sum(other > score for _, other in pairs)
            return [score / max(s for _, s in pairs), score, 1.0 / (1 + above)]
    return [0.0, 0.0, 0.0]


def read_events(events, row, clock):
    """The loops: (item, group, moment, days) of each event of a row that is read."""
    read = []
    for event in range(events.indptr[row], events.indptr[row + 1]):
        group = int(GROUP[events.event_type[event]])
        time = None if events.time is None else int(events.time[event])
        late = time is not None and clock.until is not None and time > clock.until
        gone = events.share is not None and events.share[event] <= 0
        if events.item_index[event] < 0 or group < 0 or late or gone:
            continue
        days = 0.0 if time is None or not clock.day else max(clock.now - time, 0) / clock.day
        read.append((int(events.item_index[event]), group, time, days))
    return read


def due(ages, n_occasions):
    """How long ago the last was, in mean distances between two; 0 where there were not two apart."""
    usual = (max(ages) - min(ages)) / (n_occasions - 1) if n_occasions > 1 else 0
    return min(ages) / usual if usual else 0.0


def features_of(question, row, item):
    """The definition, one candidate at a time, by name."""
    found, _, events, clock, facts = question
    read = read_events(events, row, clock)
    later = sorted({time for _, _, time, _ in read if time is not None}, reverse=True)
    steps = {time: place for place, time in enumerate(later)} | {None: 0}
    lists = [said_by(best, row, item) for best in found]
    values = {}
    for model, said in zip("ab", lists, strict=True):
        values |= dict(zip([f"{model}.scaled", f"{model}.score", f"{model}.nearness"], said, strict=True))
    values["named"] = sum(said[1] > 0 for said in lists) / 2
    values["total"] = sum(said[0] for said in lists) / 2
    values["item.fame"] = facts.columns[item, 0]
    for group, name in enumerate(["goal", "other"]):
        theirs = [(steps[time], days) for met, of, time, days in read if (met, of) == (item, group)]
        values[f"own.{name}.count"] = len(theirs)
        values[f"own.{name}.recency_steps"] = 1 / (1 + min(theirs)[0]) if theirs else 0.0
        values[f"own.{name}.recency_days"] = 1 / (1 + min(days for _, days in theirs)) if theirs else 0.0
    goal = [(time, days) for met, of, time, days in read if (met, of) == (item, 0)]
    n_occasions = len({time for time, _ in goal})
    all_occasions = {time for _, of, time, _ in read if of == 0}
    values["own.occasions"] = n_occasions
    values["own.share_of_occasions"] = n_occasions / len(all_occasions) if all_occasions else 0.0
    values["own.due_steps"] = due([steps[time] for time, _ in goal], n_occasions) if goal else 0.0
    values["own.due_days"] = due([days for _, days in goal], n_occasions) if goal else 0.0
    values["history.n_events"] = len(read)
    values["history.n_items"] = len({met for met, *_ in read})
    values["history.n_goal_events"] = sum(of == 0 for _, of, *_ in read)
    values["history.n_goal_items"] = len({met for met, of, *_ in read if of == 0})
    values["history.n_moments"] = len({time for _, _, time, _ in read})
    values["history.days_since_last"] = min((days for *_, days in read), default=0.0)
    values["history.days_since_first"] = max((days for *_, days in read), default=0.0)
    prices = [float(facts.levels[met, 0]) for met, *_ in read if not np.isnan(facts.levels[met, 0])]
    price = float(facts.levels[item, 0])
    known = bool(prices) and not np.isnan(price)
    values["from_usual.price"] = price - sum(prices) / len(prices) if known else 0.0
    category = facts.category[item]
    theirs = [facts.category[met] for met, *_ in read]
    values["category_share"] = theirs.count(category) / len(read) if read and category >= 0 else 0.0
    values["category_last"] = float(category >= 0 and bool(read) and theirs[-1] == category)
    return values


@given(question=some_questions())
def test_a_candidate_is_described_as_defined(kernel, question):
    found, candidates, events, clock, facts = question
    got = describe(found, candidates, events, GROUP, N_GROUPS, clock, facts)
    assert got.shape == (*candidates.shape, len(NAMES))
    for row, items in enumerate(candidates.tolist()):
        for place, item in enumerate(items):
            if item < 0:
                assert not got[row, place].any()
                continue
            expected = features_of(question, row, item)
            assert dict(zip(NAMES, got[row, place].tolist(), strict=True)) == {
                name: pytest.approx(expected[name], rel=1e-6) for name in NAMES
            }


@given(question=some_questions())
def test_both_implementations_agree_to_the_last_bit(kernel, question):
    found, candidates, events, clock, facts = question
    rest = (candidates, events, GROUP, N_GROUPS, clock, facts)
    with threads(2):
        got = describe(found, *rest)
    assert got.tobytes() == reference.describe(found, *rest, 1).tobytes()


def one_question(**changed):
    parts = {
        "found": [TopK(np.array([[1]], np.int32), np.ones((1, 1), np.float32))],
        "item_index": np.array([[1]], np.int32),
        "events": Events(
            np.array([0, 1]), np.array([0], np.int32), np.zeros(1, np.int16), None, None, N_ITEMS
        ),
        "group": GROUP,
        "n_groups": N_GROUPS,
        "clock": Clock(),
        "facts": ItemFacts(
            np.zeros((N_ITEMS, 0), np.float32),
            np.zeros((N_ITEMS, 0), np.float32),
            np.full(N_ITEMS, -1, np.int32),
            0,
        ),
    }
    return {**parts, **changed}


@pytest.mark.parametrize("item", [-2, N_ITEMS])
@pytest.mark.parametrize("where", ["found", "item_index"])
def test_an_item_that_there_is_not_is_refused(kernel, where, item):
    outside = np.array([[item]], np.int32)
    changed = [TopK(outside, np.ones((1, 1), np.float32))] if where == "found" else outside
    with pytest.raises(errors.ArgumentError) as caught:
        describe(**one_question(**{where: changed}))
    assert str(caught.value) == (
        "the lists or the candidates name an item that is not among the 4, or are not of the same rows: "
        "expected item indices from -1, which is padding, and one row of each for every history."
    )


@pytest.mark.parametrize("events", [
    Events(np.array([0, 2]), np.array([0], np.int32), np.zeros(1, np.int16), None, None, N_ITEMS),
    Events(np.array([0, 1]), np.array([N_ITEMS], np.int32), np.zeros(1, np.int16), None, None, N_ITEMS),
    Events(np.array([0, 1]), np.array([0], np.int32), np.full(1, N_TYPES, np.int16), None, None, N_ITEMS),
])  # fmt: skip
def test_altered_events_are_told(kernel, events):
    assert describe(**one_question(events=events)) is None


def test_after_a_refusal_the_next_answer_is_right(kernel):
    before = describe(**one_question())
    with pytest.raises(errors.ArgumentError):
        describe(**one_question(found=[TopK(np.array([[9]], np.int32), np.ones((1, 1), np.float32))]))
    assert np.array_equal(describe(**one_question()), before)
