"""Built both ways: with a compiler the kernel is native, and without one the package is still whole."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (PROJECT / "src").exists(), reason="there is no source tree to build")

ASK = """
import sys
sys.path[:0] = sys.argv[1:]  # what is installed for editing would come first otherwise
import engagelib
from engagelib.testing import random_log
recommender = engagelib.Recommender("item_knn").fit(random_log())
scoring, = (row[1] for row in engagelib.show_versions().rows if row[0] == "scoring")
print(engagelib.__file__, scoring, *recommender.recommend("c003", k=5).item_ids, sep="\\n")
"""


def built(folder, **environment):
    """Build a wheel, as `pip install` does, and unpack it."""
    # Unoptimised: it is built to be tried, not to be fast.
    arguments = ["--config-settings=cmake.build-type=Debug", f"--config-settings=build-dir={folder}/objects"]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    done = subprocess.run(
        [*command, f"--wheel-dir={folder}", *arguments, str(PROJECT)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return wheel.name, folder / "unpacked"


def answer(unpacked):
    """Ask a recommender of the unpacked wheel, in a process that knows nothing of this tree."""
    packages = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.pop("ENGAGELIB_KERNEL", None)
    done = subprocess.run(
        [sys.executable, "-S", "-c", ASK, str(unpacked), *packages],
        env=environment,
        cwd=unpacked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    home, scoring, *items = done.stdout.split("\n")[:-1]
    assert Path(home).is_relative_to(unpacked)
    return scoring, items


@pytest.fixture(scope="module")
def reference_build(tmp_path_factory):
    """What is built where the compiler does not work."""
    return built(tmp_path_factory.mktemp("reference"), CXX="false")


def test_without_a_compiler_the_package_is_whole(reference_build):
    name, unpacked = reference_build
    assert name.endswith("-py3-none-any.whl")
    assert not list(unpacked.rglob("*.so"))
    scoring, items = answer(unpacked)
    assert scoring == "reference"
    assert len(items) == 5


@pytest.mark.skipif(
    not (os.environ.get("CXX") or shutil.which("c++")), reason="there is no compiler to build the kernel with"
)
def test_with_a_compiler_the_kernel_is_native(tmp_path, reference_build):
    name, unpacked = built(tmp_path)
    assert not name.endswith("-any.whl")
    (library,) = (path for path in unpacked.rglob("_kernel.*") if path.suffix != ".pyi")
    assert library.parent == unpacked / "engagelib" / "scoring" / "native"
    assert not [*unpacked.rglob("*.cpp"), *unpacked.rglob("*.hpp")]
    assert answer(unpacked) == ("native", answer(reference_build[1])[1])
