"""`recommend`, `verify` and `show-versions`: the library's answers as text, as JSON and as Parquet."""

import json
import re

import pyarrow.parquet as pq
import pytest
from cli_cases import real, refused, run, save_model

import engagelib as eg
from engagelib import scoring, store
from engagelib.versions import show_versions


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "shop.engage"
    save_model(path)
    return path


def listed(shown):
    """The items of a printed list."""
    return re.findall(r"^ +\d+ +(\S+) ", shown, re.MULTILINE)


def test_a_customer_gets_the_librarys_list_with_titles(model):
    shown = run("recommend", model, "--customer", "c-2", "-k", "3").stdout
    found = eg.load(model).recommend("c-2", k=3)
    assert listed(shown) == found.item_ids
    assert shown.startswith("For customer c-2\n")
    assert "Thing 3" in shown


def test_reasons_stand_below_each_item(model):
    shown = run("recommend", model, "-c", "c-2", "--explain").stdout
    assert shown.count("\n    from ") == len(listed(shown))
    assert re.search(r"\n    from Thing \d \d+%", shown)
    assert "popularity: it completes the list" in shown


def test_options_reach_the_library(model):
    recommender = eg.load(model)
    shown = run(
        "recommend", model, "-s", "i-1", "-s", "i-4", "-b", "i-2", "-e", "i-3", "--exclude-seen", "none"
    )
    asked = recommender.recommend(
        session=["i-1", "i-4"], basket=["i-2"], exclude=["i-3"], exclude_seen="none"
    )
    assert listed(shown.stdout) == asked.item_ids
    assert shown.stdout.startswith("For an anonymous visitor\n")
    assert asked.shortfall in shown.stdout


def test_an_unknown_customer_is_shown_what_is_popular_and_told_so(model):
    shown = run("recommend", model, "-c", "nobody", "-k", "2").stdout
    assert shown.startswith("Customer nobody is unknown to this model: this is what is popular\n")
    assert listed(shown) == eg.load(model).recommend(None, k=2).item_ids


def test_unknown_items_are_counted(model):
    shown = run("recommend", model, "-c", "c-1", "-e", "i-99", "-e", "i-98", "-s", "i-97").stdout
    assert "Ignored in --exclude: 2 unknown\n" in shown
    assert "Ignored in --session: 1 unknown\n" in shown


def test_json_is_the_record_of_the_library(model):
    answer = json.loads(run("recommend", model, "-c", "c-2", "-x", "--json", "-e", "i-99").stdout)
    found = eg.load(model).recommend("c-2", explain=True, exclude=["i-99"])
    assert answer["items"] == json.loads(json.dumps(found.to_records()))
    assert {name: answer[name] for name in ("customer_id", "known", "shortfall", "ignored")} == {
        "customer_id": "c-2",
        "known": True,
        "shortfall": found.shortfall,
        "ignored": {"exclude": 1},
    }


def test_typed_ids_become_integers_where_the_models_are(tmp_path):
    save_model(tmp_path / "model", ids="int")
    shown = run("recommend", tmp_path / "model", "-c", "2", "-s", "4", "-e", "3").stdout
    assert shown.startswith("For customer 2\n")
    assert "Ignored" not in shown
    found = eg.load(tmp_path / "model").recommend(2, session=[4], exclude=[3])
    assert listed(shown) == [str(item) for item in found.item_ids]
    for text in ("02", "2.0", " 2", "+2", "two", "99999999999999999999"):
        assert "unknown to this model" in run("recommend", tmp_path / "model", "-c", text).stdout


def test_a_location_ranks_what_is_popular_or_is_said_to_change_nothing(tmp_path, model):
    save_model(tmp_path / "local", popular_by=("location",))
    recommender = eg.load(tmp_path / "local")
    for location in ("york", "hull"):
        result = run("recommend", tmp_path / "local", "--location", location)
        assert listed(result.stdout) == recommender.recommend(location=location).item_ids
        assert result.stderr == ""
    assert recommender.recommend(location="york").item_ids != recommender.recommend(location="hull").item_ids
    unknown = run("recommend", tmp_path / "local", "-l", "bath")
    assert unknown.stderr == "Note: --location changes nothing: 'bath' is unknown to this model.\n"
    assert "Ignored" not in unknown.stdout
    assert run("recommend", model, "-l", "york").stderr == (
        "Note: --location changes nothing: no --availability names locations, and in this model what is "
        "popular is the same everywhere (fit with --popular-by location).\n"
    )


def test_all_writes_parts_and_goes_on(model, tmp_path):
    out = tmp_path / "parts"
    command = ("recommend", model, "--all", "--out", out, "-k", "2", "--part-size", "2")
    assert run(*command).stdout == f"10 rows for 5 customers in {out}: 3 parts written\n"
    table = pq.read_table(out)
    recommender = eg.load(model)
    expected = [item for id_ in recommender.customers_ for item in recommender.recommend(id_, k=2).item_ids]
    assert table["item_id"].to_pylist() == expected
    (out / "part-00001.parquet").unlink()
    again = run(*command).stdout
    assert again == f"10 rows for 5 customers in {out}: 1 part written, 2 were there already\n"
    assert pq.read_table(out).equals(table)
    message = refused(*command[:-1], "3", exit_code=1)
    assert message == (
        f"{out} holds another job: part_size is 2 there and 3 here. Expected the same model and settings, "
        "to go on where it stopped. Hint: choose another folder, or pass --overwrite."
    )
    assert "2 parts written" in run(*command[:-1], "3", "--overwrite").stdout


def test_a_model_without_probabilities_says_so_and_writes_no_column(model, tmp_path):
    result = run("recommend", model, "--all", "-o", tmp_path / "parts", "--probabilities")
    assert result.stderr == "Note: --probabilities changes nothing: this model has learned none.\n"
    assert "probability" not in pq.read_table(tmp_path / "parts").column_names


def test_progress_is_shown_on_request(model, tmp_path):
    assert run("recommend", model, "--all", "-o", tmp_path / "1").stderr == ""
    assert "5/5" in real("recommend", model, "--all", "-o", tmp_path / "2", "--progress").stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--all"], "--all needs --out DIR, a folder for the parts"),
        (["--probabilities"], "--probabilities needs --all"),
        (["--all", "-o", "x", "-c", "c-1"], "--customer can't go with --all"),
        (["--all", "-o", "x", "-s", "i-1"], "--session can't go with --all"),
        (["--all", "-o", "x", "-x"], "--explain can't go with --all"),
        (["--all", "-o", "x", "--json"], "--json can't go with --all"),
        (["--all", "-o", "x", "--namespace", "web"], "--namespace can't go with --all"),
        (["--namespace", "web"], "--namespace needs --customer"),
        (["-c", "c-1", "-o", "x"], "--out needs --all"),
        (["-c", "c-1", "--part-size", "20000"], "--part-size needs --all"),
        (["-c", "c-1", "--overwrite"], "--overwrite needs --all"),
        (["--all", "-o", "x", "--part-size", "0"], "0 is not in the range x>=1"),
        (["--exclude-seen", "some"], "'some' is not one of 'purchased', 'any', 'none'"),
    ],
)
def test_options_that_say_nothing_together_are_refused(model, options, says):
    assert says in refused("recommend", model, *options, exit_code=2)


def test_a_moment_needs_a_model_with_times(model):
    message = refused("recommend", model, "--at", "2024-01-01", exit_code=1)
    assert message.startswith("at needs a timestamp for each event; this log tells order by 'set'.")


def test_verify_reads_everything(model):
    shown = run("verify", model).stdout
    version = eg.load(model).model_version_
    for line in (rf"version +{version}", r"kind +recommender", r"bytes +[\d,]+", r"state +ok"):
        assert re.search(line, shown), line
    victim = next((model / "versions" / version).glob("attributes.for_sale.npy"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert refused("verify", model, exit_code=1) == (
        f"{victim} has another checksum: expected the one it was published with. "
        "Hint: the artifact was damaged, altered or copied in part; save or copy it again."
    )
    victim.write_bytes(data[:-1])
    assert "bytes: expected" in refused("recommend", model, exit_code=1)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    for command in ("verify", "recommend"):
        assert refused(command, tmp_path / "no", exit_code=1) == (
            f"{tmp_path / 'no'} does not exist: expected a folder that save() made. "
            "Hint: check the path; a first save that was cut short leaves nothing to load."
        )


def test_a_model_whose_parts_are_not_this_versions_is_one_line(model):
    artifact = store.open_artifact(model)
    arrays = {name: array for name, array in artifact.arrays.items() if name != "attributes.for_sale"}
    version = store.publish(model, artifact.kind, arrays, artifact.meta)
    assert refused("recommend", model, exit_code=1) == (
        f"{model} (version {version}, written by engagelib {eg.__version__}) can't be loaded by engagelib "
        f"{eg.__version__}: 'for_sale' is missing. Expected the parts that make a 'recommender'. "
        "Hint: load it with the engagelib that wrote it, or fit and save it again."
    )


def test_versions_name_the_scoring_that_is_active():
    table = show_versions()
    found = {row["what"]: row["value"] for row in table.to_records()}
    assert list(found) == [
        "engagelib", "scoring", "python", "platform", "processors",
        "numpy", "scipy", "pyarrow", "threadpoolctl", "implicit", "click", "tqdm",
    ]  # fmt: skip
    assert found["engagelib"] == eg.__version__
    assert found["scoring"] == scoring.implementation()
    assert found["pyarrow"] == __import__("pyarrow").__version__
    assert run("show-versions").stdout == f"{table}\n"


def test_a_package_that_is_missing_is_said_to_be(monkeypatch):
    monkeypatch.setattr("engagelib.versions._PACKAGES", ("no-such-package",))
    assert show_versions().rows[-1] == ("no-such-package", "not installed")
