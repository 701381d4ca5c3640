"""The edge: help is quick, a mistake is one line and an exit code, a signal is quiet."""

import os
import re
import resource
import signal
import subprocess
import sys

import click
import pytest
from cli_cases import CSV, real, refused, run, save_model

from engagelib import __version__
from engagelib.cli import main
from engagelib.cli._edge import Failure


def test_help_names_every_command_in_the_order_of_use():
    shown = run("--help").stdout
    asking = ("recommend", "profile", "substitutes", "complete")
    names = ("demo", "report", "fit", *asking, "verify", "show-versions")
    order = [shown.index(f"\n  {name} ") for name in names]
    assert order == sorted(order)
    for command in main.commands:
        assert "Usage: engagelib " + command in run(command, "-h").stdout


def test_the_version_is_the_packages():
    assert run("--version").stdout == f"engagelib, version {__version__}\n"


def test_no_command_shows_the_help_as_a_wrong_use():
    result = run(exit_code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: engagelib [OPTIONS] COMMAND")


def test_help_is_quick_because_nothing_heavy_is_imported():
    spent = []
    for _ in range(3):  # the least disturbed run counts
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert real("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.3
    heavy = "import sys, engagelib.cli; print({'numpy', 'scipy', 'pyarrow', 'tqdm'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True) == "set()\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fitt"], "No such command 'fitt'"),
        (["fit"], "Missing argument 'LOG'. Try 'engagelib fit --help'."),
        (["fit", "{log}"], "Missing option '--out' / '-o'. Try 'engagelib fit --help'."),
        (["fit", "{log}", "--outt", "x"], "No such option"),
        (["report", "nowhere.csv"], "Path 'nowhere.csv' does not exist. Try 'engagelib report --help'."),
        (["report", "{log}", "--unit", "h"], "'h' is not one of 's', 'ms', 'us', 'ns'"),
        (["report", "{log}", "-c", "user"], "'--columns': 'user' is not of the form NAME=NAME"),
        (["report", "{log}", "-e", "=x"], "'--event-type': '=x' is not of the form NAME=NAME"),
        (["report", "{log}", "-c", "item_id=a", "-c", "item_id=b"], "'item_id' is named twice"),
        (["report", "{log}", "-c", "thing=a"], "columns='thing': expected one of customer_id, item_id,"),
        (["report", "{log}", "--rejected", "x.xlsx"], "'x.xlsx' ends in neither .parquet nor .csv"),
        (["report", "{log}", "--at", "soon"], "--at='soon': expected a time in ISO 8601, from 1990"),
        (["fit", "{log}", "-o", "x", "-m", "magic"], "'magic' is not one of auto, "),
        (["fit", "{log}", "-o", "x", "-m", "auto", "-m", "popularity"], "auto decides alone"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(tmp_path, arguments, says):
    log = tmp_path / "log.csv"
    log.write_text(CSV)
    message = refused(*(argument.format(log=log) for argument in arguments), exit_code=2)
    assert says in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "column 'customer_id' is missing. Found: user, sku, what, when. "
             "Hint: pass --columns customer_id=user."),
        (["-c", "customer_id=who"], "column 'who', which --columns names as 'customer_id', is missing. "
                                    "Found: user, sku, what, when."),
        (["-c", "customer_id=user", "-c", "item_id=sku", "-c", "timestamp=when", "--at", "2024-01-05"],
         "column 'timestamp': after 2024-01-05 00:00, the clock's time or --at (2 rows, first at 5, 6). "
         "Hint: --on-bad quarantine sets such rows aside."),
    ],
)  # fmt: skip
def test_a_bad_log_is_one_line_and_exit_code_1(tmp_path, options, says):
    log = tmp_path / "log.csv"
    log.write_text(CSV)
    assert refused("fit", log, "-o", tmp_path / "model", *options, exit_code=1) == says
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("customer_id,item_id,timestamp\n1,2,1704103200000\n",
         "Hint: these look like milliseconds read as seconds; pass --unit ms."),
        ("customer_id,item_id,event_type\n1,,login\n", "Hint: look at `engagelib report`."),
        ("who,item_id\n1,2\n", "Hint: pass --columns customer_id=NAME with your name for it."),
    ],
)  # fmt: skip
def test_hints_are_spelled_as_they_are_typed(tmp_path, header, hint):
    log = tmp_path / "log.csv"
    log.write_text(header)
    assert refused("fit", log, "-o", tmp_path / "model", exit_code=1).endswith(hint)


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "log.parquet").write_bytes(b"PAR1 not really")
    assert "could not be read" in refused("report", tmp_path / "log.parquet", exit_code=1)
    (tmp_path / "log.xlsx").write_bytes(b"PK")
    message = refused("report", tmp_path / "log.xlsx", exit_code=2)
    assert "expected a .parquet, .csv or .tsv file, or a folder of Parquet files." in message


def test_errors_of_the_system_name_the_file(tmp_path):
    save_model(tmp_path / "model")
    (tmp_path / "file").write_text("")
    message = refused(
        "recommend", tmp_path / "model", "--all", "--out", tmp_path / "file" / "parts", exit_code=1
    )
    assert message == f"{tmp_path / 'file' / 'parts'}: Not a directory."


def test_debug_shows_the_traceback(tmp_path):
    plain, debug = real("verify", tmp_path), real("--debug", "verify", tmp_path)
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert plain.stderr.startswith(f"Error: {tmp_path} has no CURRENT file in it")
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr
    assert "engagelib.errors.ArtifactError" in debug.stderr


def test_a_process_exits_as_the_library_says(tmp_path):
    assert real("show-versions").returncode == 0
    wrong = real("recommend", tmp_path, "-k", "0")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    says = "Invalid value for '-k' / '--k': 0 is not in the range x>=1."
    assert wrong.stderr == f"Error: {says} Try 'engagelib recommend --help'.\n"


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("engagelib.versions.show_versions", lambda: 1 / 0)
    assert isinstance(run("show-versions", exit_code=1).exception, ZeroDivisionError)


def test_ctrl_c_is_quiet(tmp_path):
    program = (
        "import os, signal, time, engagelib.loading, engagelib.cli\n"
        "engagelib.loading.load = lambda path: (os.kill(os.getpid(), signal.SIGINT), time.sleep(60))\n"
        "engagelib.cli.main(['recommend', 'model'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
    assert signal.SIGINT + 128 == 130


def test_a_reader_that_leaves_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "engagelib.cli", "show-versions"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_under_the_output_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "engagelib.cli", "show-versions"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert re.match("Error: No space left on device.\n", done.stderr)
    assert "Traceback" not in done.stderr


def test_without_standalone_mode_the_caller_gets_the_error():
    with pytest.raises(click.UsageError, match="No such command 'x'"):
        main(["x"], standalone_mode=False)
    with pytest.raises(Failure, match=r"does not exist"):
        main(["verify", "nowhere"], standalone_mode=False)
    assert main(["--version"], standalone_mode=False) == 0
