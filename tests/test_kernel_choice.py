"""Which implementation of the kernel answers, and who may choose it."""

import os
import subprocess
import sys

import pytest

NAMED = "from engagelib.scoring import implementation; print(implementation())"
MISSING = "import sys; sys.modules['engagelib.scoring.native._kernel'] = None\n"


def told(code, kernel=None):
    """Run code in a process of its own; return what it prints, and the last line of its error."""
    environment = {name: value for name, value in os.environ.items() if name != "ENGAGELIB_KERNEL"}
    if kernel is not None:
        environment["ENGAGELIB_KERNEL"] = kernel
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip(), done.stderr.strip().rpartition("\n")[2]


def test_the_native_kernel_answers_where_it_was_built():
    pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    assert told(NAMED) == told(NAMED, "") == told(NAMED, "native") == ("native", "")


def test_the_reference_answers_where_it_is_asked_for_or_alone():
    assert told(NAMED, "reference") == ("reference", "")
    assert told(MISSING + NAMED) == ("reference", "")


def test_a_kernel_that_is_asked_for_and_missing_is_an_error_that_says_so():
    _, error = told(MISSING + NAMED, "native")
    assert error == (
        "engagelib.errors.MissingExtraError: ENGAGELIB_KERNEL=native: expected the kernel in C++, "
        "which can't be imported (import of engagelib.scoring.native._kernel halted; None in sys.modules). "
        "Hint: install a compiler (GCC 11, Clang 14 or newer), then `pip install --verbose --force-reinstall "
        "--no-deps engagelib`; without the variable answers come from the kernel in NumPy."
    )


def test_a_name_that_is_none_of_theirs_is_refused():
    _, error = told(NAMED, "fast")
    assert error == (
        "engagelib.errors.ArgumentError: ENGAGELIB_KERNEL='fast': expected \"native\", "
        '"reference" or nothing.'
    )


def test_a_kernel_that_was_built_and_is_broken_is_no_secret():
    broken = (
        "import sys, warnings, importlib.abc\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'engagelib.scoring.native._kernel':\n"
        "            raise ImportError('no GLIBCXX_3.4.99')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "warnings.simplefilter('error')\n"
    )
    _, error = told(broken + NAMED)
    assert error == (
        "RuntimeWarning: the kernel in C++ can't be loaded (no GLIBCXX_3.4.99): answers come from the one in "
        "NumPy, many times slower. Hint: install engagelib again, on the machine that it shall run on."
    )
