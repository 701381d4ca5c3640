"""Cases that the tests of the event log share: small tables, and generated ones full of odd rows."""

import math
from unicodedata import normalize

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

THREE = {"customer_id": ["ann", "bob", "ann"], "item_id": ["pen", "pen", "ink"]}
NOON = 1_700_000_000
LONG = "l" * 1025
LONGEST = "é" * 512

# The first reading of a process loads libraries, which the usual deadline would take for a fault.
odd_cases = settings(deadline=None, max_examples=60)

SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "item_id": pa.string(),
        "session_id": pa.int64(),
        "event_type": pa.string(),
        "timestamp": pa.int64(),
        "quantity": pa.float64(),
    }
)


def table(**columns):
    """Three good rows, with some columns replaced."""
    return {**THREE, **columns}


def ids(*others):
    return st.sampled_from(["a", "b", "é", "e\u0301", "z\0", LONGEST, "", LONG, None, *others])


# Few distinct values make exact duplicates, bots and two spellings of one id common.
ODD_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": ids(),
            "item_id": ids("b"),
            "session_id": st.sampled_from([None, None, 1, 2]),
            "event_type": st.sampled_from(["view", "purchase", "purchase", "return", "login", None]),
            "timestamp": st.sampled_from([NOON, NOON, NOON + 1, 0, NOON * 1000, None]),
            "quantity": st.sampled_from([1.0, 1.0, -1.0, -0.0, 0.0, None, math.nan, math.inf, -math.inf]),
        }
    ),
    min_size=1,
    max_size=14,
)

MODES = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["keep", "reject"]),
        "max_events_per_customer": st.sampled_from([1, 2, 100]),
    }
)


def as_table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def settle(rows, *, duplicates, max_events_per_customer):
    """Say by plain Python which rows are kept, and as what: a list of (row number, values)."""
    good = [(number, _read(row)) for number, row in enumerate(rows) if not _is_bad(row)]
    if duplicates == "reject":
        seen, distinct = set(), []
        for number, row in good:
            values = tuple(sorted(row.items()))  # equal rows may name their columns in another order
            if values not in seen:
                distinct.append((number, row))
            seen.add(values)
        good = distinct
    owners = [_owner(row) for _, row in good]
    return [
        pair
        for pair, owner in zip(good, owners, strict=True)
        if owners.count(owner) <= max_events_per_customer
    ]


def _is_bad(row):
    texts = [row["customer_id"] or "", row["item_id"] or ""]
    return (
        any(len(text.encode()) > 1024 for text in texts)
        or (not row["customer_id"] and row["session_id"] is None)
        or row["event_type"] is None
        or (not row["item_id"] and row["event_type"] != "login")
        or row["timestamp"] not in {NOON, NOON + 1}
        or (row["quantity"] is not None and math.isinf(row["quantity"]))
    )


def _read(row):
    quantity = None if row["quantity"] is None or math.isnan(row["quantity"]) else row["quantity"]
    kind = "return" if row["event_type"] == "purchase" and (quantity or 0) < 0 else row["event_type"]
    names = {name: normalize("NFC", row[name]) if row[name] else None for name in ("customer_id", "item_id")}
    return {**row, **names, "event_type": kind, "quantity": quantity}


def _owner(row):
    return row["customer_id"] or row["session_id"]


def holds_bytes(data, needle):
    """Say whether any buffer under Arrow tables or NumPy arrays holds these bytes."""
    if isinstance(data, pa.Table):
        chunks = [chunk for column in data.columns for chunk in column.chunks]
        chunks += [chunk.dictionary for chunk in chunks if pa.types.is_dictionary(chunk.type)]
        return any(needle in bytes(part) for chunk in chunks for part in chunk.buffers() if part is not None)
    return needle in data.tobytes()
