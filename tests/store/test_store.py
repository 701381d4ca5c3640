"""What is published comes back whole, or the version before it does, or an error names the file."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from store_crash_child import arrays_of

from engagelib import store
from engagelib.errors import ArgumentError, ArtifactError
from engagelib.store import _reading, _writing
from engagelib.store._format import sum_of_manifest

CHILD = str(Path(__file__).with_name("store_crash_child.py"))
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
N_KILLED, N_MOMENTS = 50, 15  # publishers that die at the least; and of them, at moments of no choice
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals, links and permissions")


def save(path, generation, **options):
    return store.publish(path, "test", arrays_of(generation), {"generation": generation}, **options)


def generation_of(artifact):
    """The publish that all of an artifact is of; fails on a mixture."""
    generation = artifact.meta["generation"]
    for name, array in arrays_of(generation, artifact.arrays["a"].size).items():
        np.testing.assert_array_equal(artifact.arrays[name], array)
    return generation


def contents(path):
    """What lies in the folder of an artifact beside the lock, and in its `versions`."""
    names = {entry.name for entry in path.iterdir()} - {".lock"}
    return names, sorted(entry.name for entry in (path / "versions").iterdir())


def contents_after(path):
    save(path, 2)
    return contents(path)


def current(path):
    return path / "versions" / (path / "CURRENT").read_text().strip()


def current_after(path, generation):
    save(path, generation)
    return current(path)


def rewrite_manifest(path, change):
    """Alter the manifest as a forger would, who sums it anew and renames the version after the sum."""
    old = current(path)
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["sum"]
    change(manifest)
    total = sum_of_manifest(manifest)
    (old / "manifest.json").write_text(json.dumps({**manifest, "sum": total}))
    forged = f"{old.name.split('-')[0]}-{total[:8]}"
    old.rename(old.with_name(forged))
    (path / "CURRENT").write_text(forged)


def child(path, generation, mode, number):
    command = [sys.executable, CHILD, str(path), str(generation), mode, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.engage"


# Round trip


@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_]{0,5}(\.[a-z0-9_]{1,5}){0,2}", fullmatch=True),
        hnp.arrays(
            dtype=st.sampled_from(DTYPES).map(np.dtype),
            shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    ),
    order=st.sampled_from("CF"),
)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_as_they_were(tmp_path_factory, arrays, order):
    path = tmp_path_factory.mktemp("store") / "shop.engage"
    given_arrays = {name: np.asarray(array, order=order) for name, array in arrays.items()}
    store.publish(path, "test", given_arrays, {})
    artifact = store.open_artifact(path, verify="full")
    assert list(artifact.arrays) == sorted(arrays)
    for name, array in artifact.arrays.items():
        assert array.dtype == arrays[name].dtype
        assert array.shape == arrays[name].shape
        assert array.tobytes() == arrays[name].tobytes()  # bit for bit: NaN and -0.0 too
        assert type(array) is np.ndarray
        assert not array.flags.writeable
        # Anything else that reads .npy files can read these, without pickle.
        np.testing.assert_array_equal(np.load(current(path) / f"{name}.npy"), array)
    shutil.rmtree(path)


@pytest.mark.parametrize("dtype", [">i4", "f2", "c16", "<M8[ns]", "<m8[s]", "U5", "S3"])
def test_other_plain_dtypes_come_back(path, dtype):
    array = np.arange(6).astype(dtype).reshape(2, 3)
    store.publish(path, "test", {"a": array}, {})
    got = store.verify_artifact(path).arrays["a"]
    assert got.dtype == array.dtype
    assert got.tobytes() == array.tobytes()


def test_views_that_are_not_contiguous_come_back(path, monkeypatch):
    monkeypatch.setattr(_writing, "_CHUNK_BYTES", 64)  # many chunks
    base = np.arange(2 * 30 * 40).reshape(2, 30, 40)
    views = {
        "reversed": base[::-1, ::-1],
        "steps": base[:, ::3, 1::7],
        "moved": np.moveaxis(base, 0, -1),
        "same": np.broadcast_to(np.arange(5), (9, 5)),
        "unaligned": np.frombuffer(b"x" + bytes(range(80)), np.uint8)[1:].view(np.int64),
    }
    store.publish(path, "test", views, {})
    got = store.verify_artifact(path).arrays
    for name, view in views.items():
        np.testing.assert_array_equal(got[name], view)


def test_an_artifact_says_what_it_is(path):
    meta = {"factors": 64, "names": ["é", "\ud800"], "nested": {"none": None, "yes": True, "x": 0.1}}
    version = store.publish(path, "model.item_knn", {"a": np.arange(3)}, meta)
    artifact = store.open_artifact(str(path))
    assert re.fullmatch("000001-[0-9a-f]{8}", version)
    assert artifact.version == version
    assert artifact.path == path
    assert artifact.kind == "model.item_knn"
    assert artifact.meta == meta
    assert (
        artifact.library_version
        == json.loads((current(path) / "manifest.json").read_text())["library_version"]
    )
    assert artifact.size_bytes == sum(file.stat().st_size for file in current(path).iterdir())
    with pytest.raises(TypeError):
        artifact.arrays["b"] = np.arange(2)
    with pytest.raises(ValueError, match="read-only"):
        artifact.arrays["a"][0] = 1


def test_the_same_content_has_the_same_sum(tmp_path):
    first, second = save(tmp_path / "a", 1), save(tmp_path / "b", 1)
    assert first == second
    assert save(tmp_path / "a", 1) == first.replace("000001", "000002")


@POSIX
def test_files_have_the_permissions_that_the_umask_leaves(path):
    old = os.umask(0o027)
    try:
        save(path, 1)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o750
    assert current(path).stat().st_mode & 0o777 == 0o750
    for file in [path / "CURRENT", *current(path).iterdir()]:
        assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("order", ["C", "F"])
def test_no_second_copy_is_made_in_memory(path, order):
    array = np.ones((2, 8_000_000), np.float32, order=order)
    tracemalloc.start()
    try:
        store.publish(path, "test", {"a": array}, {})
        store.open_artifact(path, verify="full")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < array.nbytes / 4


def test_opening_does_not_read_the_arrays(path):
    store.publish(path, "test", {f"a{n}": np.ones(2_000_000) for n in range(10)}, {})
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        store.open_artifact(path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05  # reading and summing these 160 MB takes longer


def test_the_module_imports_nothing_heavier_than_numpy():
    code = (
        "import sys; import engagelib.store; "
        "print(sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    found = set(re.findall(r"'(\w+)'", got))
    assert {"engagelib", "numpy"} <= found
    assert not found & {"scipy", "pyarrow", "pandas", "sklearn", "implicit", "joblib", "click", "tqdm"}


# Versions


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_as_many_previous_versions_stay_as_were_asked_for(path, keep):
    versions = [save(path, n, keep=keep) for n in range(6)]
    assert contents(path) == ({"CURRENT", "versions"}, versions[5 - keep :])
    assert [version[:6] for version in versions] == [f"{n:06d}" for n in range(1, 7)]


def test_an_opened_artifact_outlives_its_files(path):
    save(path, 1)
    artifact = store.open_artifact(path)
    for n in range(2, 5):
        save(path, n, keep=0)
    assert not (path / "versions" / artifact.version).exists()
    assert generation_of(artifact) == 1


def test_what_is_mapped_from_an_artifact_can_be_saved_to_it(path):
    save(path, 1)
    for _ in range(3):
        artifact = store.open_artifact(path)
        store.publish(path, artifact.kind, artifact.arrays, artifact.meta, keep=0)
    assert generation_of(store.verify_artifact(path)) == 1
    loaded = np.load(current(path) / "a.npy", mmap_mode="r")
    store.publish(path, "test", {**artifact.arrays, "a": loaded}, artifact.meta)
    assert generation_of(store.verify_artifact(path)) == 1


def test_a_version_that_never_became_current_is_swept_and_not_kept(path):
    first = save(path, 1)
    save(path, 2)
    (path / "CURRENT").write_text(first)  # as if the second publisher had died before its last step
    third = save(path, 3)
    assert contents(path) == ({"CURRENT", "versions"}, [first, third])
    assert third.startswith("000003-")


def test_a_damaged_current_is_replaced_and_the_newest_version_kept(path, caplog):
    save(path, 1)
    second = save(path, 2)
    (path / "CURRENT").write_text("gone")
    third = save(path, 3)
    assert contents(path)[1] == [second, third]
    assert caplog.messages == [
        f"replacing a damaged file: {path}/CURRENT holds 'gone': expected the id of a version. {DAMAGE}"
    ]


def test_files_of_others_in_the_folder_stay(path):
    save(path, 1)
    (path / "README").write_text("mine")
    (path / "versions" / "notes").mkdir()
    save(path, 2)
    save(path, 3)
    assert (path / "README").read_text() == "mine"
    assert (path / "versions" / "notes").is_dir()


def test_a_failure_leaves_the_artifact_as_it_was(path, monkeypatch):
    version = save(path, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="No space left"):
                save(path, 2)
        assert not [name for folder in contents(path) for name in folder if name.startswith(".new")]
        assert generation_of(store.verify_artifact(path)) == 1
    latest = save(path, 3)
    assert contents(path) == ({"CURRENT", "versions"}, [version, latest])


@pytest.mark.parametrize("which", ["files", "folders"])
def test_what_can_not_be_deleted_does_not_fail_a_publish(path, monkeypatch, caplog, which):
    versions = [save(path, n) for n in range(2)]
    rename = Path.rename

    def refuse(victim, *_):
        raise PermissionError(13, "Permission denied", victim.name)

    def refuse_old(victim, target):
        return refuse(victim) if victim.name in versions else rename(victim, target)

    with monkeypatch.context() as patch:
        if which == "files":
            patch.setattr(shutil, "rmtree", refuse)
            expected = r"/\.new-\w{16} stays: \[Errno 13\] Permission denied: '\.new-\w{16}'"
        else:
            patch.setattr(Path, "rename", refuse_old)
            expected = rf"an old version stays: \[Errno 13\] Permission denied: '{versions[0]}'"
        versions.append(save(path, 2))
    assert re.search(expected, caplog.messages[0])
    assert generation_of(store.verify_artifact(path)) == 2
    assert len(contents(path)[1]) == 3
    versions.append(save(path, 3))
    assert contents(path)[1] == versions[2:]


def test_half_a_deleted_version_is_never_kept_as_a_previous_one(path, monkeypatch):
    versions = [save(path, n) for n in range(2)]

    def interrupted(folder):
        (folder / "a.npy").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(path, 2)
    versions.append(current(path).name)
    versions.append(save(path, 3, keep=5))
    assert contents(path) == ({"CURRENT", "versions"}, versions[1:])


@POSIX
def test_everything_is_synced_before_the_switch_and_the_switch_after(path, monkeypatch):
    synced = []
    at_switch = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        fsync(descriptor)
        status = os.fstat(descriptor)
        synced.append((status.st_ino, status.st_size))

    def watched_replace(source, target):
        at_switch.extend(synced)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    save(path, 1)
    version = current(path)
    for file in [path / "CURRENT", *version.iterdir()]:
        assert (file.stat().st_ino, file.stat().st_size) in at_switch  # the whole of it
    for folder in (version, version.parent, path, path.parent):
        assert folder.stat().st_ino in [number for number, _ in at_switch]
    assert synced[-1][0] == path.stat().st_ino
    assert len(synced) > len(at_switch)


# Crashes


@POSIX
def test_a_publisher_killed_at_any_step_leaves_the_old_or_the_new_version(path):
    save(path, 0)
    save(path, 1)
    steps = int(child(path, 2, "count", 0).communicate()[0])
    assert steps + N_MOMENTS >= N_KILLED  # else the child no longer sees what the store does
    old = 2
    switched = []
    for step in range(1, steps + 1):
        killed = child(path, old + 1, "die", step)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        found = generation_of(store.open_artifact(path, verify="full"))
        assert found in (old, old + 1)
        switched.append(found == old + 1)
        before = current(path).name
        old += 2
        after = save(path, old)
        assert contents(path) == ({"CURRENT", "versions"}, [before, after])
    assert len(switched) == steps
    assert switched == sorted(switched)  # one step is the switch; what comes after it is tidying
    assert 0 < sum(switched) < steps


@POSIX
def test_a_publisher_killed_at_any_moment_leaves_a_whole_version(path):
    save(path, 0)
    moments = random.Random(0)
    old = 0
    for _ in range(N_MOMENTS):
        killed = child(path, old + 1, "publish", 1000)
        killed.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        killed.kill()
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        found = generation_of(store.open_artifact(path, verify="full"))
        assert found >= old
        before = current(path).name
        old = found + 1001
        after = save(path, old)
        assert contents(path) == ({"CURRENT", "versions"}, [before, after])


@POSIX
def test_a_first_publisher_killed_at_any_step_leaves_nothing_or_all(path):
    steps = int(child(path, 1, "count", 0).communicate()[0])
    outcomes = set()
    for step in range(1, steps + 1, 2):
        shutil.rmtree(path, ignore_errors=True)
        child(path, 1, "die", step).communicate()
        try:
            outcomes.add(generation_of(store.open_artifact(path, verify="full")))
        except ArtifactError:
            outcomes.add(None)
            assert not (path / "CURRENT").exists()
        kept = [current(path).name] if (path / "CURRENT").exists() else []
        assert contents_after(path) == ({"CURRENT", "versions"}, [*kept, current(path).name])
    assert outcomes == {None, 1}


# Publishers and readers at the same time


@POSIX
@pytest.mark.parametrize("keep", [0, 1])
def test_threads_publish_while_others_read(path, keep):
    save(path, 0)
    failures, seen, done = [], set(), threading.Event()

    def write(first):
        try:
            for n in range(first, first + 8):
                save(path, n, keep=keep)
        except Exception as error:
            failures.append(error)

    def read():
        try:
            while not done.is_set():
                seen.add(generation_of(store.open_artifact(path, verify="full")))
        except Exception as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(first,)) for first in (100, 200, 300)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert failures == []
    assert len(seen) > 1
    assert current(path).name.startswith("000025-")  # 1 + 3 * 8, none lost
    assert len(contents(path)[1]) == 1 + keep


@POSIX
def test_processes_publish_while_another_reads(path):
    save(path, 0)
    writers = [child(path, first, "publish", 15) for first in (100, 200)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        artifact = store.open_artifact(path, verify="full")
        seen.add(generation_of(artifact))
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert len(seen) > 1
    assert current(path).name.startswith("000031-")
    assert len(contents(path)[1]) == 2


def test_a_reader_whose_version_is_swept_takes_the_next(path, monkeypatch):
    save(path, 1)
    open_version = _reading._open_version
    opened = []

    def slow(folder, version, *, full):
        opened.append(version)
        if len(opened) < 3:
            save(path, 1 + len(opened), keep=0)
        return open_version(folder, version, full=full)

    monkeypatch.setattr(_reading, "_open_version", slow)
    assert generation_of(store.open_artifact(path)) == 3
    assert len(set(opened)) == 3


def test_a_reader_gives_up_in_the_end(path, monkeypatch):
    save(path, 1)
    open_version = _reading._open_version

    def slow(folder, version, *, full):
        save(path, 2, keep=0)
        return open_version(folder, version, full=full)

    monkeypatch.setattr(_reading, "_open_version", slow)
    monkeypatch.setattr(_reading, "_ATTEMPTS", 3)
    expected = (
        f"{path} was replaced 3 times while it was being opened: expected a version to stay for as long as "
        "opening it takes. Hint: save less often, or keep more versions."
    )
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


@POSIX
@pytest.mark.parametrize("without", ["module", "support"])
def test_without_locks_old_versions_are_swept_but_nothing_that_may_be_in_use(
    path, monkeypatch, caplog, without
):
    if without == "module":
        monkeypatch.setattr(_writing, "fcntl", None)
    else:

        def refuse(*_):
            raise OSError(37, "No locks available")

        monkeypatch.setattr(_writing.fcntl, "flock", refuse)
    first = save(path, 1)
    at_work = path / "versions" / ".new-0123456789abcdef"
    at_work.mkdir()
    finished = path / "versions" / "000002-01234567"
    finished.mkdir()
    third = save(path, 3)
    assert contents(path)[1] == [at_work.name, first, finished.name, third]
    fourth = save(path, 4)
    assert contents(path)[1] == [at_work.name, third, fourth]
    assert (f"publishing without a lock: {path}/.lock: [Errno 37] No locks available" in caplog.messages) == (
        without == "support"
    )


# Damage. Each case: what is done to the artifact, what is found at which place, and what was expected.

DAMAGE = "Hint: the artifact was damaged, altered or copied in part; save or copy it again."


def exactly(text):
    return f"^{re.escape(text)}$"


def npy(file, descr="'<i8'", order="False", shape="(1000,)", body=8000):
    """Write a .npy file of the size that the manifest has for `a`, with another header."""
    size = file.stat().st_size
    header = (
        f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".ljust(size - body - 11) + "\n"
    )
    file.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(body))


def alter(file, old, new):
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new))


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def bomb(file):
    size = file.stat().st_size
    with file.open("wb") as stream:
        np.lib.format.write_array(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
        stream.write(bytes(size - stream.tell()))


DAMAGES = {
    "truncated": (
        lambda v: os.truncate(v / "a.npy", 5000),
        "a.npy has 5,000 bytes: expected 8,128.",
    ),
    "longer": (
        lambda v: os.truncate(v / "a.npy", 8200),
        "a.npy has 8,200 bytes: expected 8,128.",
    ),
    "emptied": (lambda v: os.truncate(v / "a.npy", 0), "a.npy has 0 bytes: expected 8,128."),
    "file missing": (lambda v: (v / "b.c.npy").unlink(), "b.c.npy is missing: expected a file."),
    "manifest missing": (
        lambda v: (v / "manifest.json").unlink(),
        "manifest.json is missing: expected a file.",
    ),
    "manifest no JSON": (
        lambda v: (v / "manifest.json").write_bytes(b"\x93NUMPY"),
        "manifest.json is not JSON: expected the manifest of an artifact.",
    ),
    "manifest deep": (
        lambda v: (v / "manifest.json").write_text("[" * 100_000),
        "manifest.json is not JSON: expected the manifest of an artifact.",
    ),
    "manifest cut": (
        lambda v: os.truncate(v / "manifest.json", 100),
        "manifest.json is not JSON: expected the manifest of an artifact.",
    ),
    "manifest altered": (
        lambda v: alter(v / "manifest.json", b'"generation": 7', b'"generation": 8'),
        "manifest.json has another checksum: expected the one it was published with.",
    ),
    "sum altered": (
        lambda v: alter(v / "manifest.json", b'"sum": "', b'"sum": "0'),
        "manifest.json has another checksum: expected the one it was published with.",
    ),
    "manifest with infinity": (
        lambda v: alter(v / "manifest.json", b'"generation": 7', b'"generation": 1e999'),
        "manifest.json has another checksum: expected the one it was published with.",
    ),
    "other dtype": (
        lambda v: npy(v / "a.npy", descr="'<f8'"),
        "a.npy has dtype <f8: expected <i8.",
    ),
    "other shape": (
        lambda v: npy(v / "a.npy", shape="(500, 2)"),
        "a.npy has shape (500, 2): expected (1000,) in C order.",
    ),
    "Fortran order": (
        lambda v: npy(v / "a.npy", order="True"),
        "a.npy has shape (1000,) in Fortran order: expected (1000,) in C order.",
    ),
    "longer header": (
        lambda v: npy(v / "a.npy", body=7992),
        "a.npy has 8,128 bytes: expected 8,136 for its shape (1000,).",
    ),
    "objects": (lambda v: bomb(v / "a.npy"), "a.npy has dtype |O: expected <i8."),
    "records": (
        lambda v: npy(v / "a.npy", descr="[('x', '<i8')]"),
        "a.npy has dtype |V8: expected <i8.",
    ),
    "code in the header": (
        lambda v: npy(v / "a.npy", descr="__import__('os').mkdir('exploded')"),
        "a.npy has no readable header: expected one of .npy version 1.0.",
    ),
    "unknown dtype": (
        lambda v: npy(v / "a.npy", descr="'nonsense'"),
        "a.npy has no readable header: expected one of .npy version 1.0.",
    ),
    "no .npy file": (
        lambda v: (v / "a.npy").write_bytes(bytes(8128)),
        "a.npy has no readable header: expected one of .npy version 1.0.",
    ),
    "later .npy version": (
        lambda v: alter(v / "a.npy", b"NUMPY\x01", b"NUMPY\x02"),
        "a.npy has no readable header: expected one of .npy version 1.0.",
    ),
    "a folder for a file": (
        lambda v: ((v / "a.npy").unlink(), (v / "a.npy").mkdir()),
        "a.npy can't be read (Is a directory): expected an ordinary file.",
    ),
    "a pipe for a file": (
        lambda v: ((v / "a.npy").unlink(), os.mkfifo(v / "a.npy")),
        "a.npy is not an ordinary file: expected one.",
    ),
    "a link for a file": (
        lambda v: ((v / "a.npy").rename(v / "z.npy"), (v / "a.npy").symlink_to(v / "z.npy")),
        "a.npy is a symbolic link: expected an ordinary file.",
    ),
    "a link for the manifest": (
        lambda v: ((v / "manifest.json").rename(v / "m"), (v / "manifest.json").symlink_to(v / "m")),
        "manifest.json is a symbolic link: expected an ordinary file.",
    ),
}


@POSIX
@pytest.mark.parametrize("verify", ["quick", "full"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_the_file_named(path, tmp_path, monkeypatch, damage, verify):
    monkeypatch.chdir(tmp_path)
    save(path, 7)
    version = current(path)
    change, message = DAMAGES[damage]
    change(version)
    with pytest.raises(ArtifactError, match=exactly(f"{version}/{message} {DAMAGE}")):
        store.open_artifact(path, verify=verify)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("at", [0, 70, 127, 128, 4000, 8127])
def test_one_altered_byte_is_found_by_the_full_check(path, at):
    save(path, 7)
    file = current(path) / "a.npy"
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"^{re.escape(str(file))} "):
        store.verify_artifact(path)
    if at >= 128:
        expected = f"{file} has another checksum: expected the one it was published with. {DAMAGE}"
        with pytest.raises(ArtifactError, match=exactly(expected)):
            store.verify_artifact(path)
        store.open_artifact(path)  # the quick check does not read the data


def test_every_altered_byte_of_the_manifest_is_found_by_the_quick_check(path):
    save(path, 7)
    file = current(path) / "manifest.json"
    data = file.read_bytes()
    meaning = json.loads(data)
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1
        file.write_bytes(altered)
        try:
            same = json.loads(altered) == meaning
        except ValueError:
            same = False
        if same:  # white space became other white space
            store.open_artifact(path)
        else:
            with pytest.raises(ArtifactError, match=rf"^{re.escape(str(file))} "):
                store.open_artifact(path)


def test_the_manifest_of_another_version_is_found(path):
    first = current_after(path, 1)
    second = current_after(path, 2)
    shutil.copy(first / "manifest.json", second / "manifest.json")
    expected = (
        f"{second}/manifest.json has another checksum: expected the one it was published with. {DAMAGE}"
    )
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "../../etc",
        "000001",
        "000001-0123456g",
        "/000001-01234567",
        "000001-01234567\n\n",
        "é",
        "0" * 99,
    ],
)
def test_rubbish_in_current_is_refused(path, text):
    save(path, 1)
    (path / "CURRENT").write_text(text, encoding="utf-8")
    shown = text.encode()[:64].decode("ascii", "backslashreplace")
    expected = f"{path / 'CURRENT'} holds {shown!r}: expected the id of a version. {DAMAGE}"
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


def test_a_current_that_names_a_missing_version_is_refused(path):
    save(path, 1)
    (path / "CURRENT").write_text("000009-01234567\n")
    expected = f"{path / 'versions' / '000009-01234567'} is missing: expected a folder. {DAMAGE}"
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


@pytest.mark.parametrize("case", ["absent", "file", "empty folder", "foreign folder", "no CURRENT"])
def test_what_is_no_artifact_is_refused(path, case):
    found = "has no CURRENT file in it"
    if case == "absent":
        found = "does not exist"
    elif case == "file":
        path.write_text("x")
        found = "is a file"
    elif case == "no CURRENT":
        save(path, 1)
        (path / "CURRENT").unlink()
    else:
        path.mkdir()
        if case == "foreign folder":
            (path / "model.pkl").write_bytes(b"x")
    expected = (
        f"{path} {found}: expected a folder that save() made. "
        "Hint: check the path; a first save that was cut short leaves nothing to load."
    )
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '{"name": "app", "manifest_version": 3}'])
def test_a_foreign_manifest_is_refused(path, text):
    save(path, 1)
    file = current(path) / "manifest.json"
    file.write_text(text)
    with pytest.raises(ArtifactError, match=exactly(foreign(file))):
        store.open_artifact(path)


def foreign(file):
    return (
        f"{file} is not a manifest that engagelib wrote: expected its format, kind and arrays. "
        "Hint: the folder belongs to another program, or was put together by hand."
    )


FORGERIES = {
    "no kind": lambda m: m.pop("kind"),
    "meta": lambda m: m.update(meta=[]),
    "library": lambda m: m.update(library_version=None),
    "arrays": lambda m: m.update(arrays=[]),
    "entry": lambda m: m["arrays"].update(a=3),
    "path": lambda m: m["arrays"]["a"].update(file="../../../secret.npy"),
    "name": lambda m: m["arrays"].update({"../x": {**m["arrays"]["a"], "file": "../x.npy"}}),
    "capital": lambda m: m["arrays"].update({"A": {**m["arrays"]["a"], "file": "A.npy"}}),
    "size": lambda m: m["arrays"]["a"].update(size="8128"),
    "shape": lambda m: m["arrays"]["a"].update(shape=1000),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_manifest_gets_no_further(path, forgery):
    save(path, 1)
    rewrite_manifest(path, FORGERIES[forgery])
    with pytest.raises(ArtifactError, match=exactly(foreign(current(path) / "manifest.json"))):
        store.open_artifact(path)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ((-1000,), 0),
        ((-1, -1000), 8000),
        ((0, 2**62), 0),
        ((0, 2**64), 0),
        ((2**64,), 8000),
        ((0,) * 70, 0),
        ((1,) * 70, 8),
    ],
)
def test_a_forged_shape_gets_no_further(path, shape, body):
    store.publish(path, "test", {"a": np.arange(1000)}, {})
    size = 1024 + body
    os.truncate(current(path) / "a.npy", size)
    npy(current(path) / "a.npy", shape=str(shape), body=body)
    rewrite_manifest(path, lambda m: m["arrays"]["a"].update(shape=list(shape), size=size))
    file = current(path) / "a.npy"
    if body == math.prod(shape) * 8 and min(shape) >= 0:
        message = f"has shape {shape}: expected one that NumPy can hold."
    else:
        message = f"has {size:,} bytes: expected {1024 + math.prod(shape) * 8:,} for its shape {shape}."
    with pytest.raises(ArtifactError, match=exactly(f"{file} {message} {DAMAGE}")):
        store.open_artifact(path)


@pytest.mark.parametrize(("descr", "dtype"), [("'|O'", "|O"), ("[('x', '<i8')]", "|V8")])
def test_a_forged_dtype_gets_no_further(path, descr, dtype):
    store.publish(path, "test", {"a": np.arange(1000)}, {})
    npy(current(path) / "a.npy", descr=descr)
    rewrite_manifest(path, lambda m: m["arrays"]["a"].update(dtype=dtype))
    expected = (
        f"{current(path)}/a.npy has dtype {dtype}: expected numbers, booleans, times or strings. {DAMAGE}"
    )
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


def test_a_newer_format_asks_for_an_upgrade(path):
    save(path, 1)
    file = current(path) / "manifest.json"
    alter(file, b'"format_version": 1', b'"format_version": 2')
    version = json.loads(file.read_text())["library_version"]
    expected = (
        f"{file} has format version 2, written by engagelib {version}: expected at most 1. "
        "Hint: upgrade engagelib to load it."
    )
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


@POSIX
@pytest.mark.parametrize("which", ["versions", "version"])
def test_a_link_for_a_folder_is_refused(path, tmp_path, which):
    save(path, 1)
    folder = path / "versions" if which == "versions" else current(path)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    expected = f"{folder} is a symbolic link: expected a folder. {DAMAGE}"
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


@POSIX
def test_a_link_to_an_artifact_is_followed(path, tmp_path):
    save(path, 1)
    link = tmp_path / "latest"
    link.symlink_to(path)
    save(link, 2)
    assert generation_of(store.open_artifact(link)) == 2
    assert link.is_symlink()


def test_a_file_that_can_not_be_read_is_named(path, monkeypatch):
    save(path, 1)
    file = current(path) / "a.npy"
    opened = os.open

    def refuse(name, flags):
        if Path(name) == file:
            raise PermissionError(13, "Permission denied")
        return opened(name, flags)

    monkeypatch.setattr(os, "open", refuse)
    expected = f"{file} can't be read (Permission denied): expected an ordinary file. {DAMAGE}"
    with pytest.raises(ArtifactError, match=exactly(expected)):
        store.open_artifact(path)


def test_an_unknown_check_is_refused(path):
    save(path, 1)
    with pytest.raises(ArgumentError, match=exactly("verify='none': expected 'quick' or 'full'.")):
        store.open_artifact(path, verify="none")


# What is not published

NAME = "expected lower-case words of a-z, 0-9 and _ with dots between, up to 200 characters."
PLAIN = "expected numbers, booleans, times or strings of fixed width."
ONE = np.arange(1)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/a",
        "a\\b",
        "a..b",
        ".a",
        "a.",
        "A",
        "a b",
        "a\n",
        "a\x00",
        "é",
        "1a",
        "a" * 201,
        3,
    ],
)
def test_names_that_could_leave_the_folder_are_refused(path, name):
    with pytest.raises(ArgumentError, match=exactly(f"array name={name!r}: {NAME}")):
        store.publish(path, "test", {name: ONE}, {})
    assert not path.exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([1, 2], "type of array a='list': expected a plain NumPy array."),
        (np.ma.array([1, 2], mask=[0, 1]), "type of array a='MaskedArray': expected a plain NumPy array."),
        (np.array([Bomb()], dtype=object), f"dtype of array a='object': {PLAIN}"),
        (np.zeros(2, "i4,f4"), f"dtype of array a=\"[('f0', '<i4'), ('f1', '<f4')]\": {PLAIN}"),
        (np.zeros(2, "V4"), f"dtype of array a='|V4': {PLAIN}"),
    ],
    ids=["list", "masked", "objects", "records", "void"],
)
def test_arrays_that_need_more_than_their_bytes_are_refused(path, array, message):
    with pytest.raises(ArgumentError, match=exactly(message)):
        store.publish(path, "test", {"a": array}, {})
    assert not path.exists()


@pytest.mark.parametrize(
    "value", [(1, 2), float("nan"), {"deep": [float("inf")]}, {3: "x"}, {1}, b"x", np.float32(1)], ids=repr
)
def test_meta_that_json_would_change_is_refused(path, value):
    expected = (
        f"meta['key']={value!r}: expected what JSON gives back as it was. "
        "Hint: lists for tuples, None for NaN, strings for keys, .item() of a NumPy scalar are fine."
    )
    with pytest.raises(ArgumentError, match=exactly(expected)):
        store.publish(path, "test", {}, {"fine": 1, "key": value})
    assert not path.exists()


def test_meta_without_end_is_refused(path):
    endless = []
    endless.append(endless)
    with pytest.raises(ArgumentError, match=r"^meta\['key'\]=\[\[\.\.\.\]\]: expected what JSON gives back"):
        store.publish(path, "test", {}, {"key": endless})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": ""}, "kind='': expected a word for what is saved."),
        ({"kind": None}, "kind=None: expected a word for what is saved."),
        ({"meta": []}, "meta=[]: expected a dict."),
        ({"keep": -1}, "keep=-1: expected an integer of at least 0."),
        ({"keep": 1.0}, "keep=1.0: expected an integer of at least 0."),
        ({"keep": True}, "keep=True: expected an integer of at least 0."),
    ],
)
def test_other_arguments_are_checked(path, changed, message):
    arguments = {"kind": "test", "arrays": {"a": ONE}, "meta": {}, "keep": 1, **changed}
    with pytest.raises(ArgumentError, match=exactly(message)):
        store.publish(path, **arguments)
    assert not path.exists()


@POSIX
@pytest.mark.parametrize("case", ["file", "foreign", "only CURRENT", "linked versions", "linked lock"])
def test_a_place_that_holds_something_else_is_not_written_to(path, tmp_path, case):
    (tmp_path / "elsewhere").mkdir()
    if case == "file":
        path.write_text("mine")
        found = "is a file"
    elif case.startswith("linked"):
        save(path, 1)
        name = "versions" if case == "linked versions" else ".lock"
        (path / name).rename(tmp_path / "moved")
        (path / name).symlink_to(tmp_path / "moved")
        found = f"has a symbolic link {name} in it"
    else:
        path.mkdir()
        name = "CURRENT" if case == "only CURRENT" else "precious.txt"
        (path / name).write_text("mine")
        found = f"is not an artifact and has {name} in it"
    before = sorted(tmp_path.rglob("*"))
    for write in (store.check_target, lambda path: save(path, 2)):
        with pytest.raises(ArtifactError, match=exactly(not_a_place(path, found))):
            write(path)
        assert sorted(tmp_path.rglob("*")) == before


def not_a_place(path, found):
    return (
        f"{path} {found}: expected a new path, an empty folder or a saved artifact. "
        "Hint: give the artifact a folder of its own, such as 'shop.engage'."
    )


def test_a_place_below_a_file_is_found_before_the_work(path):
    path.write_text("mine")
    for place in (path / "shop.engage", path / "deep" / "shop.engage"):
        with pytest.raises(ArtifactError, match=exactly(not_a_place(path, "is a file"))):
            store.check_target(place)
        with pytest.raises(NotADirectoryError):
            save(place, 1)


@POSIX
@pytest.mark.parametrize("locked", ["the parent", "the folder", "the versions"])
def test_a_place_that_can_not_be_written_is_found_before_the_work(path, monkeypatch, locked):
    if locked != "the parent":
        save(path, 1)
    place = {"the parent": path.parent, "the folder": path, "the versions": path / "versions"}[locked]
    access = os.access  # the superuser may write anywhere, so the answer is given for it

    def refused(asked, mode):
        return Path(asked) != place and access(asked, mode)

    store.check_target(path)
    monkeypatch.setattr(os, "access", refused)
    with pytest.raises(PermissionError) as caught:
        store.check_target(path / "deep" / "er" if locked == "the parent" else path)
    assert str(caught.value) == f"[Errno 13] Permission denied: {str(place)!r}"


def test_an_empty_folder_and_missing_parents_are_written_to(tmp_path, monkeypatch):
    store.check_target(tmp_path)
    store.check_target(tmp_path / "some" / "where" / "shop.engage")
    monkeypatch.chdir(tmp_path)
    store.check_target("relative")
    assert list(tmp_path.iterdir()) == []
    save(tmp_path, 1)
    save(tmp_path / "some" / "where" / "shop.engage", 1)
    assert generation_of(store.open_artifact(tmp_path / "some" / "where" / "shop.engage")) == 1


@POSIX
def test_a_linked_old_version_is_unlinked_and_not_followed(path, tmp_path):
    save(path, 1)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (path / "versions" / "000000-01234567").symlink_to(precious)
    (path / "versions" / ".new-0123456789abcdef").symlink_to(precious)
    (path / ".new-0123456789abcdef").symlink_to(precious / "file")
    first = current(path).name
    second = save(path, 2)
    assert contents(path) == ({"CURRENT", "versions"}, [first, second])
    assert (precious / "file").read_text() == "mine"
