"""Repeat against the sums it is defined by, and its refusals."""

import re

import numpy as np
import pytest

from engagelib import Histories
from engagelib.errors import ArgumentError, NotEnoughDataError
from engagelib.models import Repeat, make_model
from engagelib.testing import histories_of, random_log


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_scores_are_the_confidences_of_the_customers_own_items(time_kind):
    histories = Histories.from_log(random_log(time_kind=time_kind))
    every = np.tile(np.arange(histories.n_items), (histories.n_histories, 1))
    half_life = {"timestamp": {"half_life_days": 120.0}, "position": {"half_life_steps": 20.0}, "set": {}}
    expected = histories.matrix(**half_life[time_kind]).toarray()
    model = Repeat().fit(histories)
    assert model.score_pairs(histories, every).tolist() == expected.tolist()
    assert (model.score_topk(histories, 99).counts == (expected > 0).sum(axis=1)).all()
    undecayed = Repeat(half_life_days=None, half_life_steps=None).fit(histories)
    assert undecayed.score_pairs(histories, every).tolist() == histories.matrix().toarray().tolist()


# A rug twenty purchases ago counts half, and two of them as much as the newest; views count a fifth.
def test_recent_and_frequent_items_come_first():
    bought = ["rug", *["tea"] * 2, *[f"c{n:02d}" for n in range(17)], "lamp", ("vase", "view")]
    histories = histories_of({1: bought}, time_kind="position")
    model = Repeat(event_weights={"purchase": 1.0, "view": 0.2}).fit(histories)
    found = model.score_topk(histories, 2)
    assert histories.items.ids(found.items(0)) == ["tea", "lamp"]
    rug, vase = histories.items.find("rug"), histories.items.find("vase")
    rug_score, vase_score = model.score_pairs(histories, np.array([[rug, vase]]))[0]
    np.testing.assert_allclose([rug_score, vase_score], [0.5 ** (21 / 20), 0.2], rtol=1e-6)


def test_an_item_speaks_for_itself_alone():
    histories = histories_of({1: ["a", "b", "b"]})
    model = Repeat(half_life_days=None).fit(histories)
    found = model.contributions(histories, np.array([1, 0]))
    triples = sorted(zip(found.listed.tolist(), found.item_index.tolist(), found.value.tolist(), strict=True))
    assert triples == [(0, 1, 10.0), (1, 0, 5.0)]
    assert model.similar_topk(0, 3).items(0) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"half_life_days": 0}, 'half_life_days=0: expected "auto", None or a number above 0.'),
        ({"half_life_steps": "all"}, "half_life_steps='all': expected \"auto\", None or a number above 0."),
        ({"half_life_steps": -1.0}, 'half_life_steps=-1.0: expected "auto", None or a number above 0.'),
    ],
)
def test_settings_outside_their_range_are_refused_by_fit(settings, text):
    for name in ("repeat", "customer_knn"):
        model = type(make_model(name))(**settings)
        with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
            model.fit(histories_of({1: [1, 2]}))


def test_a_decay_that_the_log_has_no_times_for_is_refused_by_fit():
    histories = histories_of({1: [1, 2]}, time_kind="set")
    for name in ("repeat", "customer_knn"):
        kind = type(make_model(name))
        with pytest.raises(NotEnoughDataError, match=r"^half_life_days needs a timestamp for each event;"):
            kind(half_life_days=9.0).fit(histories)
        with pytest.raises(NotEnoughDataError, match=r"^half_life_steps needs "):
            kind(half_life_steps=9.0).fit(histories)
        with pytest.raises(NotEnoughDataError, match=r"^no event type of the log counts as interest"):
            kind(event_weights={"gaze": 1.0}).fit(histories)
