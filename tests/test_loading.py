"""load: what this version can't put together is an ArtifactError that names the folder and both versions."""

from copy import deepcopy

import numpy as np
import pytest

import engagelib as eg
from engagelib import errors, store
from engagelib.testing import random_log


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("loading") / "shop.engage"
    eg.Recommender(["item_knn", "popularity"]).fit(random_log()).save(path)
    return store.open_artifact(path)


FAULTS = {
    "an array is missing": (lambda a, m: a.pop("attributes.for_sale"), "'for_sale' is missing"),
    "an array of a model is missing": (lambda a, m: a.pop("models.0.indices"), "'indices' is missing"),
    "a vocabulary is missing": (
        lambda a, m: [a.pop(name) for name in list(a) if name.startswith("histories.items.")],
        "'items' is missing",
    ),
    "a fact is missing": (lambda a, m: m.pop("choice"), "'choice' is missing"),
    "an unknown parameter": (
        lambda a, m: m["models"][0]["params"].update(shrinkage=2),
        "ItemKNN.__init__() got an unexpected keyword argument 'shrinkage'",
    ),
    "facts of another sort": (lambda a, m: m.update(models=7), "'int' object is not iterable"),
    "arrays that contradict": (
        lambda a, m: a.update({"models.0.data": a["models.0.data"][:-1]}),
        "weights is not a valid CSR matrix: indptr ends at {n:,}, with {n:,} indices and {short:,} values",
    ),
    "an array of another type": (
        lambda a, m: a.update({"models.0.indices": a["models.0.indices"].astype(np.float32)}),
        "weights is not a valid CSR matrix: its indices are int32 and float32",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_together_is_worded(saved, tmp_path, monkeypatch, name):
    alter, fault = FAULTS[name]
    n = len(saved.arrays["models.0.data"])
    arrays, meta = dict(saved.arrays), deepcopy(saved.meta)
    alter(arrays, meta)
    with monkeypatch.context() as patch:
        patch.setattr("engagelib.store._writing.__version__", "9.8.7")
        version = store.publish(tmp_path / "shop.engage", "recommender", arrays, meta)
    with pytest.raises(errors.ArtifactError) as caught:
        eg.load(tmp_path / "shop.engage")
    assert str(caught.value) == (
        f"{tmp_path / 'shop.engage'} (version {version}, written by engagelib 9.8.7) can't be loaded by "
        f"engagelib {eg.__version__}: {fault.format(n=n, short=n - 1)}. Expected the parts that make a "
        "'recommender'. Hint: load it with the engagelib that wrote it, or fit and save it again."
    )
    assert isinstance(caught.value.__cause__, KeyError | TypeError | ValueError)


def test_an_error_about_the_artifact_itself_stays_as_it_is(saved, tmp_path):
    models = [{"name": "oracle", "params": {}}]
    store.publish(tmp_path / "a", "recommender", dict(saved.arrays), {**saved.meta, "models": models})
    with pytest.raises(errors.ArtifactError, match=r"^the file holds a model named 'oracle'"):
        eg.load(tmp_path / "a")
    store.publish(tmp_path / "b", "oracle", {}, {})
    with pytest.raises(errors.ArtifactError) as caught:
        eg.load(tmp_path / "b")
    known = "recommender, next_best_action"
    assert str(caught.value) == f"{tmp_path / 'b'} holds a 'oracle': expected one of {known}."


def test_altered_weights_are_found_when_they_are_used(saved, tmp_path):
    arrays = dict(saved.arrays)
    arrays["models.0.indices"] = arrays["models.0.indices"].copy()
    arrays["models.0.indices"][:] = 2**31 - 1
    store.publish(tmp_path / "shop.engage", "recommender", arrays, saved.meta)
    recommender = eg.load(tmp_path / "shop.engage")
    text = "^entry [0-9]+ of the stored weights leads to item 2147483647 of 30: expected item indices as they"
    for ask in (recommender.recommend_many, lambda: recommender.similar("i003")):
        with pytest.raises(errors.ArtifactError, match=text):
            ask()
