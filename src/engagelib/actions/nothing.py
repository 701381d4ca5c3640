"""Nothing: the action of leaving a customer alone."""

from typing import Final

NOTHING: Final = "nothing"
"""Its name: always a candidate, free and never suppressed; logged like any other action, and no contact."""
