"""`report` and `fit`: a log under other names, bad rows, the clock, and a model at the end."""

import json
import os
import re
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from cli_cases import CSV, NAMES, real, refused, run, titles, write_log
from pyarrow import csv

import engagelib as eg
from engagelib.datasets import make_shop_tables


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    return path


def test_report_reads_other_names_and_says_what_is_in_it(log):
    shown = run("report", log, *NAMES).stdout
    for line in (
        r"rows read +7",
        r"customers +3",
        r"items +4",
        r"event type purchase +6",
        r"event type view +1",
    ):
        assert re.search(line, shown), line
    assert "2024-01-01 10:00 to 2024-01-06 10:00 UTC" in shown


def test_the_clock_is_printed_and_can_be_set(log):
    first = run("report", log, *NAMES).stdout.splitlines()[0]
    now = datetime.now(UTC)
    moment = re.fullmatch(r"Now: (.*) UTC \(the clock's time\); later events are bad rows", first)
    assert abs((datetime.fromisoformat(moment[1] + "+00:00") - now).total_seconds()) < 120
    shown = run("report", log, *NAMES, "--at", "2024-01-05").stdout
    assert shown.startswith("Now: 2024-01-05 00:00 UTC (--at); later events are bad rows\n")
    assert re.search(r"rows set aside +2", shown)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_rejected_rows_are_written_with_their_reasons(log, tmp_path, suffix):
    log.write_text(CSV + ",sofa,bought,2024-01-07T10:00\n4,sofa,bought,2924-01-07T10:00\n")
    out = tmp_path / f"rejected.{suffix}"
    shown = run("report", log, *NAMES, "--rejected", out).stdout
    assert f"2 rejected rows written to {out}\n" in shown
    rejected = (pq.read_table if suffix == "parquet" else csv.read_csv)(out)
    assert rejected["row"].to_pylist() == [7, 8]
    assert rejected["reason"].to_pylist() == [
        "customer_id: null, without a session_id or order_id",
        "timestamp: outside the years 1990 to 2200",
    ]
    assert rejected["item_id"].to_pylist() == ["sofa", "sofa"]


def test_report_sets_bad_rows_aside_and_fit_stops_unless_told_otherwise(log, tmp_path):
    log.write_text(CSV + ",sofa,bought,2024-01-07T10:00\n")
    assert re.search(r"rows set aside +1", run("report", log, *NAMES).stdout)
    run("report", log, *NAMES, "--on-bad", "raise", exit_code=1)
    run("fit", log, *NAMES, "-o", tmp_path / "model", exit_code=1)
    shown = run("fit", log, *NAMES, "-o", tmp_path / "model", "--on-bad", "quarantine").stdout
    assert "7 events of 3 customers and 4 items; 1 rows set aside" in shown


def test_fit_saves_what_the_library_fits(tmp_path):
    log = write_log(tmp_path / "log.parquet")
    (tmp_path / "items.csv").write_text(
        "item_id,title\n" + "".join(f"{row['item_id']},{row['title']}\n" for row in titles())
    )
    out = tmp_path / "deep" / "shop.engage"
    shown = run("fit", log, "--items", tmp_path / "items.csv", "--out", out).stdout
    assert "12 events of 5 customers and 6 items; 0 rows set aside" in shown
    loaded = eg.load(out)
    assert shown.endswith(f"Saved as version {loaded.model_version_} of {out}\n")
    assert str(loaded.summary()) in shown
    straight = eg.Recommender().fit(eg.EventLog.read(log, items=titles()))
    assert loaded.recommend("c-2").to_records() == straight.recommend("c-2").to_records()
    assert loaded.recommend("c-2")[0].title.startswith("Thing ")


def test_models_and_locations_are_passed_on(tmp_path):
    log, out = write_log(tmp_path / "log.parquet"), tmp_path / "model"
    run("fit", log, "-o", out, "-m", "item_knn", "-m", "popularity", "--popular-by", "location")
    loaded = eg.load(out)
    assert [model.name for model in loaded.models_] == ["item_knn", "popularity"]
    assert tuple(loaded.popular_by) == ("location",)
    run("fit", log, "-o", out, "-m", "popularity")
    assert [model.name for model in eg.load(out).models_] == ["popularity"]


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """A log that is long enough to learn an order and probabilities from."""
    path = tmp_path_factory.mktemp("cli") / "long.parquet"
    pq.write_table(make_shop_tables(2_500, 60, 60_000)[0], path)
    return path


def test_the_ranker_the_target_and_probabilities_are_passed_on(long_log, tmp_path):
    out, models = tmp_path / "model", ("-m", "item_knn", "-m", "popularity")
    job = ("--at", "2030-01-01", *models, "--ranker", "logistic", "--target", "view")
    shown = run("fit", long_log, "-o", out, *job).stdout
    assert "ranked by" in shown
    assert re.search(r"probabilities +of 'view' within", shown)
    loaded = eg.load(out)
    straight = eg.Recommender(["item_knn", "popularity"], ranker="logistic", target="view")
    straight.fit(eg.EventLog.read(long_log, at="2030-01-01"))
    assert dict(loaded.summary().rows)["ranked by"] == dict(straight.summary().rows)["ranked by"]
    assert dict(loaded.summary().rows)["ranked by"].startswith("a logistic ranker over ")
    parts = tmp_path / "parts"
    result = run("recommend", out, "--all", "-o", parts, "-k", "3", "--probabilities")
    assert result.stderr == ""
    table = pq.read_table(parts)
    first = [row["probability"] for row in table.slice(0, 3).to_pylist()]
    expected = loaded.recommend(loaded.customers_[0], k=3)
    assert first == [entry.probability for entry in expected]
    assert None not in first


def test_no_ranker_is_an_equal_weight_blend(long_log, tmp_path):
    out, models = tmp_path / "model", ("-m", "item_knn", "-m", "popularity")
    run("fit", long_log, "--at", "2030-01-01", "-o", out, *models, "--ranker", "none")
    assert eg.load(out).ranker is None
    assert "ranked by" not in dict(eg.load(out).summary().rows)


def test_an_unknown_ranker_or_target_is_refused(tmp_path):
    log = write_log(tmp_path / "log.parquet")
    message = refused("fit", log, "-o", tmp_path / "model", "--ranker", "trees", exit_code=2)
    assert "'trees' is not one of 'auto', 'blend', 'boosting', 'logistic', 'none'" in message
    message = refused("fit", log, "-o", tmp_path / "model", "--target", "view", exit_code=2)
    assert message.startswith("target='view': expected one of the log's event types on items, purchase")
    assert not (tmp_path / "model").exists()


def test_fit_refuses_a_place_it_can_not_save_to_before_it_reads(log, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("mine")
    log.write_text("no log at all")
    command = ("fit", log, *NAMES, "-o")
    assert refused(*command, tmp_path / "mine", exit_code=1) == (
        f"{tmp_path / 'mine'} is not an artifact and has photo.jpg in it: expected a new path, an empty "
        "folder or a saved artifact. Hint: give the artifact a folder of its own, such as 'shop.engage'."
    )
    monkeypatch.setattr("os.access", lambda place, mode: not mode & os.W_OK)
    assert refused(*command, tmp_path / "new" / "model", exit_code=1) == f"{tmp_path}: Permission denied."
    assert not (tmp_path / "new").exists()


def test_fit_in_a_process_of_its_own_is_silent_on_stderr(log, tmp_path):
    done = real("fit", log, *NAMES, "-o", tmp_path / "model")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Saved as version 000001-" in done.stdout


def test_a_log_without_times_has_nothing_to_compare_with_the_clock(tmp_path):
    log = write_log(tmp_path / "log.parquet")
    for options, note in (
        ((), ""),
        (("--at", "2024-01-01"), "Note: --at changes nothing: this log has no times.\n"),
    ):
        result = run("report", log, *options)
        assert re.search(r"rows kept +12", result.stdout)
        assert result.stderr == note


def test_identities_make_one_customer_of_several_ids(tmp_path):
    log, links = write_log(tmp_path / "log.parquet"), tmp_path / "links.csv"
    links.write_text("customer_id,same_as\nc-1,c-4\nc-5,card-7\n")
    assert re.search(r"customers +4", run("report", log, "--identities", links).stdout)
    fitted = run("fit", log, "-o", tmp_path / "model", "--identities", links).stdout
    assert "12 events of 4 customers and 5 items" in fitted
    loaded = eg.load(tmp_path / "model")
    assert list(loaded.customers_) == ["c-1", "c-2", "c-3", "c-5"]
    assert loaded.profile("card-7").customer_id == "c-5"
    shown = run("profile", tmp_path / "model", "-c", "c-4").stdout
    assert shown == f"{loaded.profile('c-1')}\n".replace("Customer c-1", "Customer c-1, asked for as c-4")


def test_a_namespace_tells_equal_ids_of_two_channels_apart(tmp_path):
    log, links, out = (tmp_path / name for name in ("log.csv", "links.csv", "model"))
    log.write_text(
        "customer_id,item_id,channel\n7,lamp,web\n7,desk,app\n7,sofa,app\n8,lamp,web\n8,desk,web\n"
    )
    links.write_text("customer_id,namespace,same_as,same_as_namespace\n8,web,7,app\n")
    run("fit", log, "-o", out, "--namespace", "channel")
    assert list(eg.load(out).customers_) == ["app:7", "web:7", "web:8"]
    run("fit", log, "-o", out, "--namespace", "channel", "--identities", links)
    loaded = eg.load(out)
    assert list(loaded.customers_) == ["web:7", "web:8"]
    found = json.loads(run("recommend", out, "-c", "7", "--namespace", "app", "--json").stdout)
    assert (found["customer_id"], found["known"]) == ("app:7", True)
    expected = loaded.recommend(("app", 7))
    assert found["items"] == json.loads(json.dumps(expected.to_records()))
    assert "7 is unknown to this model" in run("recommend", out, "-c", "7").stdout
    assert refused("recommend", out, "-c", "7", "--namespace", "a:b", exit_code=2) == (
        "namespace='a:b': expected a text that is not empty and holds no ':'. "
        "Hint: a pair is spelled 'namespace:id', so that the first ':' ends the namespace."
    )
    assert refused("fit", log, "-o", out, "--namespace", "shop", exit_code=1) == (
        "column 'shop', in which --namespace looks for the namespaces, is missing. Found: customer_id, "
        "item_id, channel. Hint: a log that is read without --namespace takes every id as it stands."
    )
    assert refused("fit", log, "-o", out, "--namespace", "", exit_code=2).startswith("column='': expected")
    links.write_text("customer_id,same_as\nx,7\n")
    (tmp_path / "none.csv").write_text("who,same_as\nx,7\n")
    assert refused("fit", log, "-o", out, "--identities", tmp_path / "none.csv", exit_code=1) == (
        f"{tmp_path / 'none.csv'}: column 'customer_id' is missing. Found: who, same_as. "
        "Hint: call that column customer_id."
    )
    assert refused("fit", log, "-o", out, "--identities", links, exit_code=1).endswith(
        "link the log's own id first, or spell all ids as text with --text-ids."
    )
    run("fit", log, "-o", out, "--identities", links, "--text-ids")
    assert eg.load(out).profile("7").customer_id == "x"
