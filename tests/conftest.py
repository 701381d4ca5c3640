"""What all tests share: examples are judged by their answer, not by how long a busy machine takes for it."""

from hypothesis import settings

settings.register_profile("engagelib", deadline=None)
settings.load_profile("engagelib")


def pytest_addoption(parser):
    """Let one ask for more random calls than a test run has the time for."""
    parser.addoption("--random-calls", type=int, default=3000, help="calls in test_random_calls.py")
