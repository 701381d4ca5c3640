"""The e-mail test of the MineThatData challenge: 64,000 customers, three arms drawn at random."""

from os import PathLike
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENTS: Final = ("Mens E-Mail", "No E-Mail", "Womens E-Mail")
"""What customers were sent, by chance."""

_TEXTS: Final = ("history_segment", "zip_code", "channel")
_FLAGS: Final = ("mens", "womens", "newbie", "visit", "conversion")
_COLUMNS: Final = (
    "recency",
    "history_segment",
    "history",
    "mens",
    "womens",
    "zip_code",
    "newbie",
    "channel",
    "segment",
    "visit",
    "conversion",
    "spend",
)


def load_hillstrom(path: "str | PathLike[str]") -> "pa.Table":
    """Read the e-mail test that Kevin Hillstrom published in 2008, from the file as it was published.

    Customers who had bought within a year were sent an e-mail on men's goods, one on women's goods, or none,
    a third each, drawn at random; what they did in the two weeks after it was counted. The file is not part
    of this package.

    Parameters
    ----------
    path
        The CSV file, or Parquet of the same columns. Other columns are left out.

    Returns
    -------
    An Arrow table, a row a customer, without nulls:

    - `recency`: months since the last purchase, int64, 1 to 12;
    - `history_segment`, `history`: money spent in the past year, as a class (text) and in dollars (float64);
    - `mens`, `womens`: whether men's, or women's, goods were bought in the past year, int64, 0 or 1;
    - `zip_code`: Rural, Surburban (as it is spelled) or Urban; `channel`: Phone, Web or Multichannel;
    - `newbie`: whether the customer was new in the past twelve months, int64, 0 or 1;
    - `segment`: what was sent, one of "Mens E-Mail", "No E-Mail", "Womens E-Mail";
    - `visit`, `conversion`: whether the customer came to the site, and bought, int64, 0 or 1;
    - `spend`: money spent, in dollars, float64.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    SchemaError
        If a column is missing, or holds what the published file has not; the message names it.
    """
    import pyarrow as pa

    from engagelib.datasets._published import Published
    from engagelib.frames import open_table

    what = "the e-mail test"
    table = Published(open_table(path, what, ids=(), texts=(*_TEXTS, "segment")), what, _COLUMNS)
    found = {name: table.texts(name) for name in _TEXTS}
    found["segment"] = table.texts("segment", SEGMENTS)
    found |= {name: pa.array(table.whole(name, 0, 1, "0 or 1")) for name in _FLAGS}
    found["recency"] = pa.array(table.whole("recency", 1, 12, "whole months from 1 to 12"))
    for name in ("history", "spend"):
        found[name] = pa.array(
            table.numbers(name, lambda values: np.asarray(values >= 0), "money of at least 0")
        )
    return pa.table({name: found[name] for name in _COLUMNS})
