"""The front door: names, and how little a process that only serves has to import."""

import subprocess
import sys

import pytest

import engagelib
from engagelib import recommender as recommender_room
from engagelib.scoring import implementation
from engagelib.testing import random_log

HEAVY = ["pyarrow", "pandas", "polars", "sklearn", "implicit", "matplotlib", "click", "tqdm"]


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_names_are_sorted_and_there():
    assert engagelib.__all__ == sorted(engagelib.__all__)
    assert len(set(engagelib.__all__)) == len(engagelib.__all__)
    for name in engagelib.__all__:
        assert getattr(engagelib, name).__name__ == name
    assert set(engagelib.__all__) <= set(dir(engagelib))
    for name in dir(engagelib):
        assert getattr(engagelib, name) is not None
    star = {}
    exec("from engagelib import *", star)
    assert set(engagelib.__all__) <= set(star)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"^module 'engagelib' has no attribute 'Recomender'$"):
        _ = engagelib.Recomender


def test_importing_imports_next_to_nothing():
    loaded = run("import engagelib, sys; print(*sys.modules)").split()
    assert not {"numpy", "scipy", *HEAVY} & set(loaded)
    assert [name for name in loaded if name.startswith("engagelib")] == ["engagelib"]


def test_serving_imports_numpy_and_scipy_alone(tmp_path):
    recommender = engagelib.Recommender(["item_knn", "popularity"], popular_by=("location",)).fit(
        random_log()
    )
    recommender.save(tmp_path / "shop.engage")
    code = """
import json, sys
import engagelib as eg
recommender = eg.load(sys.argv[1])
call = {"session": ["i004"], "basket": ["i005"], "location": "l1", "at": "2024-06-01"}
found = recommender.recommend("c003", explain=True, **call)
print(json.dumps(found.to_records()))
str(found), found._repr_html_(), recommender.recommend("nobody"), recommender.summary()
recommender.similar("i003"), recommender.audience("i003"), recommender.rank("c001", ["i001"])
recommender.recommend_many(["c001", "c002"]), recommender.recommend_many()
heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:]))
assert not heavy, heavy
"""
    listed = run(code, str(tmp_path / "shop.engage"), *HEAVY)
    assert '"item_id"' in listed


PLAINLY = """
import sys
import engagelib as eg
recommender = eg.load(sys.argv[1])
rules = [eg.Rule.boost(2.0, items=["i002"]), eg.Rule.pin(items=["i003"]), eg.Rule.remove(items=["i001"])]
call = {"session": ["i004"], "basket": ["i005"], "exclude": ["i006"], "rules": rules, "location": "l1"}
among = {"candidates": ["i002", "i003", "i007"], "at": "2024-06-01"}
assert recommender.recommend("c003").to_records()
assert recommender.recommend("nobody").to_records()
assert recommender.recommend(session=["i004"]).to_records()
for exclude_seen in ("purchased", "any", "none"):
    recommender.recommend("c003", exclude_seen=exclude_seen, repeat=False, **call)
recommender.recommend("c003", **among)
recommender.recommend_many(["c001", "c002", "nobody"], k=50, rules=rules)
print(*sys.modules)
# What can be had is read by Arrow; SciPy has no part in it either.
recommender.availability = eg.Availability.from_frame({"item_id": ["i002", "i003"]})
assert recommender.recommend("c003", **call).to_records()
recommender.recommend_many(["c001", "nobody"])
assert "scipy" not in sys.modules
"""


@pytest.mark.skipif(implementation() != "native", reason="the reference computes with SciPy")
@pytest.mark.parametrize("models", ["item_knn", "ease", "als", "popularity", ["item_knn", "als"]])
def test_plain_serving_imports_numpy_and_no_scipy(tmp_path, models):
    recommender = engagelib.Recommender(models, popular_by=("location",)).fit(random_log())
    recommender.save(tmp_path / "shop.engage")
    loaded = set(run(PLAINLY, str(tmp_path / "shop.engage")).split())
    assert "numpy" in loaded
    staff = {f"engagelib.recommender.{name}" for name in ("pages", "profiling", "wording")}
    assert not {"scipy", "engagelib.scoring.reference", *staff, *HEAVY} & loaded


def test_a_page_for_staff_is_found_where_it_is_asked_for():
    code = "import engagelib.recommender as r; assert 'Profile' in dir(r); print(r.Profile.__module__)"
    assert run(code).strip() == "engagelib.recommender.pages"
    message = r"^module 'engagelib.recommender' has no attribute 'Profil'$"
    with pytest.raises(AttributeError, match=message):
        _ = recommender_room.Profil
