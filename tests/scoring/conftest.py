"""Every test of the kernel runs against each implementation."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _on_each_kernel(kernel):
    """Take the fixture of every test from the room above."""
