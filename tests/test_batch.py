"""Batch: parts say what single answers say, survive a kill, and are never mixed with those of another job."""

import fcntl
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import engagelib as eg
from engagelib.batch import recommend_all
from engagelib.datasets import make_shop_tables
from engagelib.errors import ArgumentError, ArtifactError, NotEnoughDataError, NotFittedError

COLUMNS = ["customer_id", "rank", "item_id", "score", "source", "model_version"]
N_CUSTOMERS = 230


def shop_log(n_customers=N_CUSTOMERS, *, ids="str", n_events=3_000):
    """A small shop; `ids="int"` numbers customers and items instead."""
    events = make_shop_tables(n_customers, 60, n_events, rng=3)[0]
    events = events.filter(pa.compute.is_valid(events["customer_id"]))
    if ids == "int":
        for name in ("customer_id", "item_id"):
            number = pa.array([int(text[2:]) for text in events[name].to_pylist()])
            events = events.set_column(events.column_names.index(name), name, number)
    return eg.EventLog.from_frame(events)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("batch") / "shop.engage"
    eg.Recommender().fit(shop_log()).save(path)
    return path


@pytest.fixture
def recommender(model):
    return eg.load(model)


def run(recommender, out, **arguments):
    return recommend_all(recommender, out, **{"part_size": 50, "progress": False} | arguments)


def parts(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.glob("part-*.parquet"))}


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def tree(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("ids", ["str", "int"])
@pytest.mark.parametrize("arguments", [{}, {"exclude_seen": "any", "fill": False, "at": "2024-06-01"}])
def test_the_parts_hold_what_single_answers_hold(tmp_path, ids, arguments):
    recommender = eg.Recommender(["item_knn", "popularity"]).fit(shop_log(ids=ids))
    version = recommender.save(tmp_path / "model")
    result = run(recommender, tmp_path / "out", k=7, **arguments)
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == COLUMNS
    kind = pa.int64() if ids == "int" else pa.string()
    assert table.schema.types == [kind, pa.int32(), kind, pa.float32(), pa.string(), pa.string()]
    expected = [
        {
            "customer_id": customer,
            "rank": entry.rank,
            "item_id": entry.item_id,
            "score": entry.score,
            "source": entry.source,
            "model_version": version,
        }
        for customer in recommender.customers_
        for entry in recommender.recommend(customer, k=7, **arguments)
    ]
    assert table.to_pylist() == expected
    n = len(recommender.customers_)
    assert (result.n_customers, result.n_rows, result.n_parts_found) == (n, len(expected), 0)
    assert result.n_parts_written == len(parts(tmp_path / "out")) == -(-n // 50)


def test_probabilities_are_a_column_where_there_is_a_calibration(tmp_path):
    log = eg.EventLog.from_frame(make_shop_tables(2_500, 60, 60_000)[0])
    recommender = eg.Recommender(["item_knn", "popularity"], ranker="logistic").fit(log)
    assert recommender.calibration_ is not None
    run(recommender, tmp_path / "out", k=4, part_size=1_000, probabilities=True)
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == [*COLUMNS[:-1], "probability", COLUMNS[-1]]
    found = recommender.recommend_many(None, k=4, probabilities=True).to_table()["probability"]
    assert table["probability"].to_pylist() == found.to_pylist()
    assert len(parts(tmp_path / "out")) == 3
    run(recommender, tmp_path / "plain", k=4)
    assert pq.read_table(tmp_path / "plain").column_names == COLUMNS


def test_the_part_size_changes_where_parts_end_and_nothing_else(recommender, tmp_path):
    tables = []
    for size in (1 + N_CUSTOMERS, 50, 7):
        run(recommender, tmp_path / str(size), part_size=size)
        tables.append(pq.read_table(tmp_path / str(size)))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    first = pq.read_table(tmp_path / "7" / "part-00000.parquet")
    assert first["customer_id"].unique().to_pylist() == recommender.customers_.ids(range(7))


def test_a_finished_job_is_marked_and_left_as_it_is(recommender, tmp_path):
    run(recommender, tmp_path / "out")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    assert {"_SUCCESS", "_job.json"} < {file.name for file in before}
    # A default, spelled out, and what is no part of the job.
    again = run(recommender, tmp_path / "out", exclude_seen="purchased", n_threads=2)
    assert (again.n_parts_written, again.n_parts_found) == (0, 5)
    assert again.n_rows == pq.read_table(tmp_path / "out").num_rows
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()} == before


def test_missing_and_cut_parts_are_written_again(recommender, tmp_path):
    out = tmp_path / "out"
    run(recommender, out)
    whole = parts(out)
    (out / "part-00001.parquet").unlink()
    (out / "part-00003.parquet").write_bytes(whole["part-00003.parquet"][:-20])
    result = run(recommender, out)
    assert (result.n_parts_written, result.n_parts_found) == (2, 3)
    assert parts(out) == whole


# A kill

CHILD = """
import os, signal, sys
import engagelib as eg
from engagelib.batch import recommend_all

model, out, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
fsync = os.fsync
def dying(descriptor):
    global n
    n -= 1
    if not n:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = dying
recommend_all(eg.load(model), out, part_size=50, progress=False)
"""


# Files are synced, and then the folder: 1 and 2 are the job's, 3 to 12 those of five parts, 13 `_SUCCESS`.
@pytest.mark.parametrize(("n_synced", "n_found"), [(1, 0), (2, 0), (3, 0), (6, 2), (9, 3), (13, 5)])
def test_a_killed_run_goes_on_where_it_stopped(recommender, model, tmp_path, n_synced, n_found):
    out = tmp_path / "out"
    child = subprocess.run([sys.executable, "-c", CHILD, str(model), str(out), str(n_synced)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert not (out / "_SUCCESS").exists()
    for file in out.glob("part-*.parquet"):
        pq.read_table(file)
    result = run(recommender, out)
    assert result.n_parts_found == n_found
    run(recommender, tmp_path / "straight")
    assert tree(out) == tree(tmp_path / "straight")
    table = pq.read_table(out)
    assert len(table.group_by(["customer_id", "rank"]).aggregate([])) == len(table)
    assert len(table["customer_id"].unique()) == len(recommender.customers_)


def test_an_exception_leaves_whole_parts_only(recommender, tmp_path, monkeypatch):
    out, ask = tmp_path / "out", recommender.recommend_many

    def failing(customer_ids, **arguments):
        if (out / "part-00001.parquet").exists():
            raise KeyboardInterrupt
        return ask(customer_ids, **arguments)

    failing.__signature__ = inspect.signature(ask)
    monkeypatch.setattr(recommender, "recommend_many", failing)
    with pytest.raises(KeyboardInterrupt):
        run(recommender, out)
    assert names(out) == ["_job.json", "part-00000.parquet", "part-00001.parquet"]
    monkeypatch.undo()
    assert run(recommender, out).n_parts_found == 2


def test_a_full_disk_leaves_no_half_part(recommender, tmp_path, monkeypatch):
    def full(table, stream):
        stream.write(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left on device"):
        run(recommender, tmp_path / "out")
    assert names(tmp_path / "out") == ["_job.json"]


# Other jobs


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 5}, "k is 10 there and 5 here"),
        ({"part_size": 60}, "part_size is 50 there and 60 here"),
        ({"exclude": ["i-00001"]}, "exclude is [] there and ['i-00001'] here"),
        ({"at": "2024-03-01"}, "at is None there and '2024-03-01T00:00:00+00:00' here"),
        (
            {"k": 5, "fill": False, "part_size": 60, "exclude_seen": "any"},
            "exclude_seen is 'purchased' there and 'any' here; fill is True there and False here; "
            "k is 10 there and 5 here; and 1 more",
        ),
    ],
)
def test_a_folder_of_other_settings_is_refused(recommender, tmp_path, change, says):
    out = tmp_path / "out"
    run(recommender, out)
    before = tree(out)
    text = (
        f"{out} holds another job: {says}. Expected the same model and settings, to go on where it stopped. "
        "Hint: choose another folder, or pass overwrite=True."
    )
    with pytest.raises(ArtifactError, match=re.escape(text) + "$"):
        run(recommender, out, **change)
    assert tree(out) == before


def test_a_folder_of_another_model_is_refused_and_overwritten_when_asked(recommender, tmp_path):
    out = tmp_path / "out"
    run(recommender, out, part_size=20)
    other = eg.Recommender("popularity").fit(shop_log())
    version = other.save(tmp_path / "other")
    text = f"model_version is {recommender.model_version_!r} there and {version!r} here."
    with pytest.raises(ArtifactError, match=re.escape(text)):
        run(other, out, part_size=20)
    result = run(other, out, overwrite=True)
    assert (result.n_parts_written, result.n_parts_found) == (5, 0)  # and none of the twelve before
    assert names(out) == ["_SUCCESS", "_job.json", *(f"part-0000{n}.parquet" for n in range(5))]
    assert pq.read_table(out)["model_version"].unique().to_pylist() == [version]


def test_resume_off_refuses_even_the_same_job(recommender, tmp_path):
    out = tmp_path / "out"
    run(recommender, out, resume=False)
    text = (
        f"{out} holds a job, and resume=False was given: expected an empty folder. "
        "Hint: choose another folder, or pass overwrite=True."
    )
    with pytest.raises(ArtifactError, match=f"^{re.escape(text)}$"):
        run(recommender, out, resume=False)
    assert run(recommender, out, resume=False, overwrite=True).n_parts_written == 5


def test_a_recommender_that_was_not_saved_writes_null_and_never_resumes(tmp_path):
    out, recommender = tmp_path / "out", eg.Recommender().fit(shop_log())
    run(recommender, out)
    versions = pq.read_table(out)["model_version"]
    assert versions.null_count == len(versions)
    text = (
        f"{out} holds a job of a recommender that was not saved, so that its parts can't be told from those "
        "of another: expected an empty folder. "
        "Hint: save the recommender before a long run; choose another folder, or pass overwrite=True."
    )
    with pytest.raises(ArtifactError, match=f"^{re.escape(text)}$"):
        run(recommender, out)


def test_a_folder_with_anything_else_is_refused_even_to_overwrite(recommender, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    text = (
        f"{tmp_path} is not a batch job and has thesis.txt in it: expected a new path, an empty folder or a "
        "batch job of engagelib. Hint: give the part files a folder of their own."
    )
    for overwrite in (False, True):
        with pytest.raises(ArtifactError, match=f"^{re.escape(text)}$"):
            run(recommender, tmp_path, overwrite=overwrite)
    assert names(tmp_path) == ["thesis.txt"]
    with pytest.raises(ArtifactError, match=re.escape("thesis.txt is a file: expected a new path")):
        run(recommender, tmp_path / "thesis.txt")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "engagelib-batch"}', "\xff"])
def test_a_job_file_that_is_none_makes_the_folder_foreign(recommender, tmp_path, text):
    (tmp_path / "_job.json").write_text(text, "latin-1")
    with pytest.raises(ArtifactError, match=r"is not a batch job and has _job\.json in it"):
        run(recommender, tmp_path, overwrite=True)


def test_a_second_run_at_the_same_time_is_refused(recommender, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    text = (
        f"another process is writing parts into {tmp_path}: expected one run at a time. "
        "Hint: wait for it, or choose another folder."
    )
    with pytest.raises(ArtifactError, match=f"^{re.escape(text)}$"):
        run(recommender, tmp_path)
    os.close(descriptor)
    run(recommender, tmp_path)


# Settings


def test_a_set_of_ids_is_the_same_setting_in_any_order_and_form(recommender, tmp_path):
    out, ids = tmp_path / "out", recommender.items_.ids(range(30))
    run(recommender, out, exclude=set(ids), candidates=iter(recommender.items_), at="2024-05-01")
    spelled = json.loads((out / "_job.json").read_text())["settings"]["exclude"]
    assert re.fullmatch(r"30 ids with sum [0-9a-f]{16}", spelled)
    again = run(
        recommender,
        out,
        exclude=ids[::-1],
        candidates=list(recommender.items_),
        at=np.datetime64("2024-05-01"),
    )
    assert again.n_parts_found == 5
    assert not set(pq.read_table(out)["item_id"].to_pylist()) & set(ids)
    others = recommender.items_.ids(range(1, 31))
    with pytest.raises(ArtifactError, match=r"exclude is '30 ids with sum \w+' there and '30 ids with sum"):
        run(recommender, out, exclude=others, candidates=list(recommender.items_), at="2024-05-01")


def test_wrong_arguments_are_refused_before_the_folder_is_touched(recommender, tmp_path):
    out = tmp_path / "out"
    for wrong, text in (
        ({"k": 0}, "k=0: expected an integer of at least 1."),
        ({"part_size": 0}, "part_size=0: expected an integer of at least 1."),
        ({"part_size": True}, "part_size=True: expected an integer of at least 1."),
        (
            {"exclude": "i-1"},
            "exclude='i-1': expected a list of ids. Hint: put a single id into a list.",
        ),
        ({"exclude_seen": "all"}, 'exclude_seen=\'all\': expected "purchased", "any" or "none".'),
    ):
        with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
            run(recommender, out, **wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'excluded'"):
        run(recommender, out, excluded=[])
    with pytest.raises(NotFittedError, match="this Recommender is not fitted yet"):
        run(eg.Recommender(), out)
    positions = eg.Recommender().fit(eg.EventLog.from_records([{"customer_id": 1, "item_id": 2}]))
    with pytest.raises(NotEnoughDataError, match="at needs a timestamp for each event"):
        run(positions, out, at="2024-01-01")
    assert not out.exists()


def test_a_log_of_anonymous_visits_gives_one_empty_part_with_types(tmp_path):
    visits = [{"customer_id": None, "item_id": item, "session_id": "s"} for item in ("a", "b")]
    result = run(eg.Recommender().fit(eg.EventLog.from_records(visits)), tmp_path)
    assert (result.n_customers, result.n_rows, result.n_parts_written) == (0, 0, 1)
    table = pq.read_table(tmp_path)
    assert table.column_names == COLUMNS
    assert [table.schema.field(name).type for name in ("customer_id", "item_id")] == [pa.string()] * 2


# Progress and memory


def test_progress_goes_to_stderr_or_nowhere(recommender, tmp_path, capsys):
    for progress, shown in ((True, True), (None, False), (False, False)):  # no terminal here
        run(recommender, tmp_path / str(progress), progress=progress)
        printed = capsys.readouterr()
        assert printed.out == ""
        assert ("230/230" in printed.err) is shown


def peak_bytes(n_customers, folder):
    """Peak of what NumPy and Arrow took while the parts were written."""
    n_events = n_customers * 6
    recommender = eg.Recommender().fit(shop_log(n_customers, n_events=n_events))
    pool, usual = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        recommend_all(recommender, folder, part_size=400, progress=False)
        return tracemalloc.get_traced_memory()[1], pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_memory_does_not_grow_with_the_number_of_customers(tmp_path):
    peak_bytes(400, tmp_path / "warm")  # imports and caches
    small, large = (peak_bytes(n, tmp_path / str(n)) for n in (1_000, 4_000))
    assert large[0] < 1.25 * small[0] + 200_000
    assert large[1] < 1.25 * small[1] + 200_000
