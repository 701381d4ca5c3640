"""Benchmarks of decisions: figures say what they are judged by, and each part that needs no data runs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("psutil")
pytest.importorskip("threadpoolctl")

from benchmarks.decisions import __main__ as command
from benchmarks.decisions import coupons, coverage, hillstrom, open_bandit, serving, synthetic
from benchmarks.decisions.common import figure, measured_apart
from benchmarks.decisions.figures import figures, table

FACTS = {"seconds": 1.5, "cpu_seconds": 1.25, "peak_mib": 8.0, "load_before": 0.5, "load_after": 1.0}


# Definitions: what is reached, by figures that are known


@pytest.mark.parametrize(
    ("found", "target", "least", "reached"),
    [
        (1.0, 1.0, False, True),
        (1.1, 1.0, False, False),
        (1.0, 1.0, True, True),
        (0.9, 1.0, True, False),
        (0.93, (0.93, 0.97), False, True),
        (0.98, (0.93, 0.97), False, False),
        (None, 1.0, False, False),
        (1.0, None, False, None),
    ],
)
def test_a_target_is_the_most_or_the_least_or_both(found, target, least, reached):
    assert figure("it", found, target, least=least)["reached"] is reached


def test_the_default_policy_is_judged_to_the_digits_that_were_published():
    row = {
        "figure": "value of the default, with the gate", "learner": "Mens E-Mail", "value": 0.18226,
        "low": 0.177, "high": 0.187, "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0, "target": 0.1823,
    }  # fmt: skip
    worse = {**row, "value": 0.18224}
    challenger = {name: value for name, value in row.items() if name != "target"}
    found = figures("hillstrom", [row, worse, challenger])
    assert [one["reached"] for one in found] == [True, False, None]
    qini = {"figure": "qini, womens against none", "learner": "shared", "value": 0.0074, "target": 0.0073}
    other = {**qini, "learner": "t", "target": None}
    assert [one["reached"] for one in figures("hillstrom", [qini, other])] == [True, None]


def test_gains_losses_and_intervals_of_made_worlds_have_targets_of_their_own():
    share = {"figure": "share", "rows": 20_000, "learner": "shared", "value": 0.7, "target": 0.68}
    loss = {"figure": "loss", "rows": 20_000, "worlds": 40, "opened": 1, "value": 0.001, "target": 0.0}
    holds = {"figure": "holds", "rows": 3_000, "seeds": 1000, "value": 0.95, "target": "0.93 to 0.97"}
    assert [one["reached"] for one in figures("synthetic", [share, loss])] == [True, False]
    assert [one["reached"] for one in figures("intervals", [holds, {**holds, "value": 0.9}])] == [True, False]


def test_only_what_was_logged_by_lot_must_lie_within_the_other_policys_interval():
    row = {
        "campaign": "all", "log": "random", "target": "bts", "estimator": "dr", "value": 0.005,
        "on_policy_low": 0.003, "on_policy_high": 0.006,
    }  # fmt: skip
    outside, back = {**row, "value": 0.002}, {**row, "log": "bts", "target": "random"}
    refused = {**back, "refused": "10,000 decisions weigh as much as 2"}
    found = figures("open_bandit", [row, outside, back, refused])
    assert [one["reached"] for one in found] == [True, False, None, None]
    assert found[0]["target"] == found[2]["target"] == "0.00300 to 0.00600"
    assert found[3]["found"] is None


def test_a_row_that_judges_itself_is_taken_as_it_is_and_nan_is_no_figure():
    rows = [
        {"name": "fast", "expected": 200.0, "found": 20.0, "reached": True, "unit": "us"},
        {"name": "plain", "expected": 0.0, "found": 0.1, "reached": None},
        {"name": "absent", "expected": None, "found": float("nan"), "reached": None},
    ]
    assert figures("bandit", rows) == [
        {"name": "fast", "target": 200.0, "found": 20.0, "reached": True, "unit": "us"},
        {"name": "plain", "target": None, "found": 0.1, "reached": None, "unit": ""},
        {"name": "absent", "target": None, "found": None, "reached": None, "unit": ""},
    ]


def test_the_table_shows_what_was_missed_and_what_was_not_run():
    rows = [
        figure("fast", 0.3, 0.5, unit="ms"), figure("many", 2_000.0, 10_000.0, least=True),
        figure("plain", 7.0, unit="s"), {**figure("better", 0.1), "reached": True},
    ]  # fmt: skip
    text = table({"parts": [{"part": "serving", "figures": rows, **FACTS}], "missing": {"value": "no file."}})
    assert text.startswith("2 of 3 targets reached.")
    assert "| serving | fast | 0.5 | 0.3 ms | yes |" in text
    assert "| serving | many | 10,000 | 2,000 | **no** |" in text
    assert "| serving | better | see before | 0.1 | yes |" in text
    assert "| serving | plain | 7 s |" in text
    assert "| serving | 2 | 1 | 8 MiB | 0.5 to 1.0 |" in text
    assert text.endswith("Not run: value, no file.")


# Definitions: what parts count, worked out by hand


def test_the_area_of_qini_is_that_of_the_curve_above_a_random_order():
    # Treated 1, 0 and others 0, 1 by falling effect: the curve rises to 1, stays, and falls to 0.
    effect, reward = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    treated = np.array([True, False, True, False])
    # Additional visits after each customer: 1, 1, 1 (2 treated, 1 other), 1 - 1 = 0; mean area by trapezia.
    assert hillstrom.qini(effect, reward, treated) == pytest.approx((0.5 + 1 + 1 + 0.5) / 4 / 2)
    assert hillstrom.qini(np.zeros(4), reward, treated) == 0.0


def test_auc_counts_pairs_in_the_right_order_and_half_the_ties():
    chance, met = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0, 1, 0, 1])
    assert coupons.auc(chance, met) == pytest.approx((2 + 1.5) / 4)


def test_the_truth_of_a_made_world_is_what_is_drawn_from_it():
    decisions, success = synthetic.World(0, n_actions=3, n_features=4, start=-1.0).draw(40_000, 1)
    chosen = success[np.arange(len(success)), decisions.action]
    assert decisions.reward.mean() == pytest.approx(chosen.mean(), abs=0.01)
    assert np.bincount(decisions.action).min() > 1000
    gain, most = synthetic.attained(success.argmax(axis=1), success)
    assert gain == pytest.approx(most)
    constant = np.full(len(success), success.mean(axis=0).argmax())
    assert synthetic.attained(constant, success)[0] == pytest.approx(0.0, abs=1e-12)


def test_what_a_policy_is_worth_on_the_grid_is_what_it_brings():
    decisions, pair = coverage.simulate(60_000, np.random.default_rng(0))
    best = coverage.policies()["best"][pair]
    weight = best[np.arange(len(pair)), decisions.action] / decisions.p_logged
    true = (coverage.policies()["best"] * coverage._expected()).sum(axis=1).mean()
    assert (weight * decisions.reward).mean() == pytest.approx(true, abs=0.01)


# The parts


def test_what_is_made_up_gives_figures():
    for part, rows in (
        ("synthetic", synthetic.gains(1)[:1]),
        ("intervals", [synthetic.coverage(2)]),
        ("coverage", coverage.run(3, 500)),
    ):
        for one in figures(part, rows):
            assert one["found"] is not None
            assert one["unit"] == ""


def test_the_sample_of_the_other_policy_is_judged(tmp_path):
    rng = np.random.default_rng(0)
    n = 2_000
    rows = {
        "item_id": rng.integers(0, 3, 2 * n), "click": rng.random(2 * n) < 0.2,
        "propensity_score": np.full(2 * n, 1 / 3), "position": rng.integers(1, 4, 2 * n),
        "behavior_policy": np.repeat(["random", "bts"], n), "campaign": np.full(2 * n, "all"),
        "timestamp": np.datetime64("2024-01-01", "us") + np.arange(2 * n).astype("timedelta64[s]"),
        **{f"user_feature_{place}": rng.choice(["a", "b"], 2 * n) for place in range(4)},
    }  # fmt: skip
    tables = [pa.table({**rows, "campaign": [name] * 2 * n}) for name in ("all", "men", "women")]
    pq.write_table(pa.concat_tables(tables), tmp_path / "impressions.parquet")
    found = figures("open_bandit", open_bandit.run(tmp_path))
    assert len(found) == 3 * 2 * 3
    assert sum(one["reached"] is None for one in found) == 9
    assert all(0.1 < one["found"] < 0.3 for one in found)


def test_calls_for_one_customer_are_timed_with_rules_that_bind():
    rows = serving.one_by_one(20, n_decisions=1_000)
    assert [row["unit"] for row in rows] == ["ms"] * 12
    assert all(row["found"] > 0 for row in rows)
    assert [row["name"] for row in rows if row["target"]] == [
        "recommend, 20 actions, learned from the log alone: median CPU",
        "recommend, 20 actions, learned from decisions too: median CPU",
    ]
    assert len(serving.actions()) == 20


@pytest.mark.parametrize("part", ["recommend", "decide"])
def test_many_are_asked_for_in_a_process_of_their_own(part):
    found = measured_apart("serving", part, 500)
    assert found["customers"] == 500
    assert found["rate"] == pytest.approx(500 / found["seconds"])
    assert (found["answer_mib"] > 0) == (part == "recommend")


# The command


def test_each_part_runs_in_a_process_of_its_own(tmp_path, monkeypatch, capsys):
    ran, code = [], [3, 0]
    part = {"part": "bandit", "figures": [figure("fast", 0.3, 0.5)], "rows": [], **FACTS}

    def run(arguments, **_):
        ran.append(arguments[1:])
        return type("Done", (), {"stdout": f"noise\n{json.dumps(part)}\n", "returncode": code.pop()})

    monkeypatch.setattr(command.subprocess, "run", run)
    file = tmp_path / "found.json"
    found = command.main(["--only", "bandit", "--json", str(file)])
    assert ran == [["-m", "benchmarks.decisions", "--part", "bandit"]]
    assert json.loads(file.read_text()) == found
    assert found.keys() == {"machine", "versions", "missing", "parts"}
    printed, progress = capsys.readouterr()
    assert "1 of 1 targets reached." in printed
    assert "bandit: " in progress
    assert command.main(["--table", str(file)]) == found
    assert capsys.readouterr().out == printed
    # One that fails is said to have failed, and the others run.
    found = command.main(["--only", "bandit"])
    assert (found["parts"], found["missing"]) == ([], {"bandit": "it failed, with code 3."})


def test_a_part_reports_time_memory_and_load(monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.decisions.coverage.run", coverage_rows)
    found = command.main(["--part", "coverage", "--data", "nowhere"])
    assert json.loads(capsys.readouterr().out) == found
    assert found.keys() == {"part", "figures", "rows", *FACTS}
    assert found["rows"] == [{**coverage_rows()[0], "coverage": 0.95, "bias": None}]
    assert found["figures"][0]["reached"] is True


def coverage_rows():
    row = {"policy": "best", "figure": "value", "estimator": "dr", "seeds": 10, "bias": float("nan")}
    return [{**row, "coverage": np.float64(0.95)}]


def test_what_is_missing_is_said_and_left_out_unless_it_was_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "PARTS", {name: command.PARTS[name] for name in ("value", "coupons")})
    (tmp_path / "cdnow").mkdir()
    (tmp_path / "cdnow" / "transactions.parquet").touch()
    found = command.main(["--data", str(tmp_path)])
    assert found["parts"] == []
    assert found["missing"] == {
        "value": f"{tmp_path / 'cdnow' / 'sample_summary.parquet'} is missing (--data holds: cdnow).",
        "coupons": (
            f"{tmp_path / 'complete_journey' / 'campaign_descriptions.parquet'} is missing "
            "(--data holds: cdnow)."
        ),
    }
    printed, progress = capsys.readouterr()
    assert "Not run: coupons, " in printed
    assert "It is left out." in progress
    with pytest.raises(
        SystemExit, match=r"^value: .*sample_summary\.parquet is missing \(--data holds: cdnow\)"
    ):
        command.main(["--data", str(tmp_path), "--only", "value"])
    with pytest.raises(SystemExit, match=r"^value: --data is missing: expected a folder with cdnow/transac"):
        command.main(["--only", "value"])
    with pytest.raises(SystemExit, match=r"^--only walue: expected some of value, coupons\.$"):
        command.main(["--only", "walue"])
