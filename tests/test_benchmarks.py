import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

pytest.importorskip("psutil")

from benchmarks.speed.als import objective
from benchmarks.speed.catalogue import chosen
from benchmarks.speed.report import tables
from benchmarks.speed.running import draw_rows
from benchmarks.speed.suite import Benchmark, Comparison, against

ROOT = Path(__file__).parents[1]

ROW_KEYS = {
    "benchmark",
    "contender",
    "size",
    "cpu_seconds",
    "wall_seconds",
    "peak_mib",
    "units_per_cpu_second",
    "ratio_to",
    "ratio",
    "target",
    "reached",
}


def run(cpu, wall=1.0, units=10, **more):
    return {"cpu_seconds": cpu, "wall_seconds": wall, "peak_mib": 2.0, "units": units, **more}


def drawn(comparisons, rounds, out=None, size="medium", axis=None):
    names = dict.fromkeys(name for found in (*rounds, out or {}) for name in found)
    benchmark = Benchmark("b", "about", "units", print, names, comparisons, axis=axis)
    return draw_rows(benchmark, rounds, out or {}, size)


def test_measures_are_medians_over_rounds():
    rows = drawn((), [{"a": run(1.0)}, {"a": run(5.0)}, {"a": run(2.0)}])
    assert len(rows) == 1
    assert rows[0].keys() >= ROW_KEYS
    assert rows[0]["cpu_seconds"] == 2.0
    assert rows[0]["units_per_cpu_second"] == 5.0
    assert rows[0]["ratio"] is rows[0]["target"] is rows[0]["reached"] is None


def test_a_ratio_is_the_median_of_those_within_rounds():
    rounds = [{"a": run(1.0), "b": run(2.0)}, {"a": run(4.0), "b": run(12.0)}, {"a": run(1.0), "b": run(9.0)}]
    row = drawn(against("a", {"b": 3.0}), rounds)[0]
    assert (row["ratio"], row["ratio_lowest"], row["ratio_highest"]) == (3.0, 2.0, 9.0)
    assert (row["ratio_to"], row["ratio_is"]) == ("b", "times as fast")
    assert (row["target"], row["reached"]) == ("at least 3", True)


def test_a_target_that_is_missed_says_so():
    row = drawn(against("a", {"b": 3.1}), [{"a": run(1.0), "b": run(3.0)}])[0]
    assert (row["target"], row["reached"]) == ("at least 3.1", False)


@pytest.mark.parametrize(("most", "reached"), [(0.5, True), (0.4, False)])
def test_a_share_is_of_the_other_and_asked_to_be_small(most, reached):
    rows = drawn(against("a", {"b": most}, share=("b",)), [{"a": run(1.0), "b": run(2.0)}])
    assert (rows[0]["ratio"], rows[0]["ratio_is"], rows[0]["reached"]) == (0.5, "share", reached)


def test_a_figure_alone_is_held_against_its_target():
    asked = (Comparison("a", measure="median_us", most=60.0),)
    rounds = [{"a": run(1.0, median_us=each)} for each in (50.0, 61.0, 70.0)]
    row = drawn(asked, rounds)[0]
    assert (row["ratio"], row["target"], row["reached"]) == (None, "at most 60", False)
    assert row["figures"] == {"median_us": 61.0}


def test_targets_hold_at_their_sizes_alone():
    row = drawn(against("a", {"b": 3.0}), [{"a": run(1.0), "b": run(2.0)}], size="tiny")[0]
    assert (row["ratio"], row["target"], row["reached"]) == (2.0, None, None)


def test_a_contender_that_did_not_run_is_a_row_without_figures():
    rows = drawn(against("a", {"b": 3.0}), [{"a": run(1.0)}], {"b": {"skipped": "not here"}})
    assert [row["contender"] for row in rows] == ["a", "b"]
    assert rows[0]["ratio"] is rows[0]["target"] is None
    assert (rows[1]["cpu_seconds"], rows[1]["note"]) == (None, "not here")
    assert rows[1].keys() >= ROW_KEYS


def test_the_exponent_of_a_growth_curve_is_fitted():
    rounds = [{f"x{n}": run(3.0 * n**1.5, x=float(n)) for n in (1, 2, 4)}]
    row = drawn((), rounds, axis="customers")[-1]
    assert row["contender"] == "exponent in customers"
    assert row["ratio"] == pytest.approx(1.5)
    assert row.keys() >= ROW_KEYS


def test_the_objective_is_that_of_all_cells():
    rng = np.random.default_rng(0)
    confidence = np.where(rng.random((5, 4)) < 0.4, 1 + rng.random((5, 4)), 0).astype(np.float32)
    x, y = rng.random((5, 3)), rng.random((4, 3))
    expected = 0.7 * ((x**2).sum() + (y**2).sum())
    for row, column in np.ndindex(5, 4):
        met = confidence[row, column] > 0
        expected += (confidence[row, column] if met else 1.0) * (met - x[row] @ y[column]) ** 2
    assert objective(csr_array(confidence), x, y, 0.7) == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    file = tmp_path_factory.mktemp("speed") / "found.json"
    command = [sys.executable, "-m", "benchmarks.speed", "--size", "tiny", "--repeat", "1"]
    command += ["--only", "sparse-scoring,opening", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return file, json.loads(file.read_text()), done.stdout


def test_a_small_run_finds_figures_for_every_contender(small_run):
    _, found, _ = small_run
    assert [facts["benchmark"] for facts in found["benchmarks"]] == ["sparse-scoring", "opening"]
    assert found.keys() >= {"machine", "versions", "command", "size", "rows"}
    assert found["machine"].keys() >= {"processor", "cores", "memory_gib", "load"}
    assert found["versions"].keys() >= {"engagelib", "implementation", "python", "numpy", "scipy", "blas"}
    for facts in found["benchmarks"]:
        assert facts.keys() >= {"load_before", "load_after"}
    ran = [row for row in found["rows"] if "note" not in row]
    assert {row["contender"] for row in ran} >= {"engagelib", "implicit item-item", "import engagelib"}
    for row in found["rows"]:
        assert row.keys() >= ROW_KEYS
        assert "note" not in row or row["note"] == "sparse_dot_topn is not installed"
        assert "note" in row or row["cpu_seconds"] > 0


def test_contenders_find_the_same_lists(small_run):
    rows = {row["contender"]: row for row in small_run[1]["rows"]}
    ours, theirs = (rows[name]["figures"] for name in ("engagelib", "implicit item-item"))
    assert ours["entries"] == theirs["entries"] > 0
    assert ours["score_sum"] == pytest.approx(theirs["score_sum"], rel=1e-5)


def test_serving_imports_nothing_heavy(small_run):
    rows = {row["contender"]: row for row in small_run[1]["rows"]}
    assert rows["import, open, answer once"]["figures"]["imported"] == ""


def test_no_folder_or_host_is_written_down(small_run):
    file, found, _ = small_run
    written = file.read_text()
    for private in (
        str(ROOT),
        sys.prefix,
        str(file.parent),
        os.uname().nodename if os.name == "posix" else "\0",
    ):
        assert f"{private}/" not in written
        assert f'"{private}"' not in written
    assert found["command"].endswith("--size tiny --repeat 1 --only sparse-scoring,opening")


def test_the_tables_name_every_contender(small_run):
    _, found, printed = small_run
    text = tables([found])
    assert text.strip() in printed
    for row in found["rows"]:
        assert f"| {row['contender']} |" in text


def test_the_tables_begin_with_targets_reached_and_missed(small_run):
    found = json.loads(json.dumps(small_run[1]))
    rounds = [{"a": run(1.0), "b": run(2.0), "c": run(9.0)}]
    found["rows"] = drawn(against("a", {"b": 3.0, "c": 2.0}), rounds)
    found["benchmarks"] = [found["benchmarks"][0] | {"benchmark": "b"}]
    text = tables([found])
    assert "1 of 2 targets reached." in text
    assert "| b | a: CPU time, times as fast as b | 2 (2 to 2) | at least 3 | **missed** |" in text
    assert "| b | a: CPU time, times as fast as c | 9 (9 to 9) | at least 2 | reached |" in text


def test_a_name_stands_for_itself_or_for_all_that_begin_with_it():
    assert [each.name for each in chosen(["dense-equal-10"])] == ["dense-equal-10"]
    assert [each.name for each in chosen(["sparse-f", "ease"])] == ["sparse-fitting", "ease"]
    assert len(chosen([])) > 20


def test_an_unknown_benchmark_is_refused_by_name():
    with pytest.raises(ValueError, match="no benchmark begins with 'magic'; there are sparse-scoring, "):
        chosen(["sparse", "magic"])


def test_targets_and_ratios_name_contenders_that_there_are():
    for benchmark in chosen([]):
        for asked in benchmark.comparisons:
            assert {asked.contender, asked.to or asked.contender} <= benchmark.contenders.keys()
