"""What all tests share: examples are judged by their answer, not by how long a busy machine takes for it."""

import pytest
from hypothesis import settings

from engagelib.scoring import _kernels

settings.register_profile("engagelib", deadline=None)
settings.load_profile("engagelib")


def pytest_addoption(parser):
    """Let one ask for more random calls than a test run has the time for, and for more of the pages."""
    parser.addoption("--random-calls", type=int, default=3000, help="calls in test_random_calls.py")
    parser.addoption(
        "--exact-figures", action="store_true", help="also of pages whose figures vary by machine"
    )


@pytest.fixture(scope="module", params=["native", "reference"])
def kernel(request):
    """The name of the implementation that answers; what takes this runs once against each."""
    if request.param == "native":
        pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    with _kernels.using(request.param):
        yield request.param
