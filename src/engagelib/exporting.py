"""Exporting: columns become the frame that callers work with."""

from collections.abc import Mapping
from typing import Any


def frame_of(columns: Mapping[str, Any]) -> Any:
    """Return a pandas frame of columns, or a pyarrow table where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        import pyarrow as pa

        return pa.table(dict(columns))
    return pd.DataFrame(columns)
