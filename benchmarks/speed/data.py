"""The data of a run: sizes, and arrays that are written once and mapped by every contender."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix

if TYPE_CHECKING:
    from engagelib import EventLog, Histories


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes
    ----------
    n_customers, n_items, n_events
        The made-up shop.
    n_batch
        Customers that a batch answers.
    n_calls
        Calls for one customer each.
    n_ease_items
        Items of the shop that EASE learns from.
    n_model_items
        Items of the model that is opened, with 100 neighbours of 8 bytes each.
    """

    name: str
    n_customers: int
    n_items: int
    n_events: int
    n_batch: int
    n_calls: int
    n_ease_items: int
    n_model_items: int


SIZES = {
    size.name: size
    for size in (
        Size("tiny", 2_000, 1_000, 30_000, 500, 50, 200, 2_000),
        Size("medium", 50_000, 20_000, 2_000_000, 20_000, 3_000, 4_000, 250_000),
        Size("large", 200_000, 50_000, 10_000_000, 20_000, 3_000, 10_000, 1_250_000),
    )
}

EQUAL = {"view": 1.0, "cart": 1.0, "purchase": 1.0}
"""Event weights with which every implementation of a cosine is given the same numbers."""


class Data:
    """A folder of named groups of arrays, and facts beside them."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size

    def has(self, name: str) -> bool:
        """Say whether a group was written."""
        return (self.folder / name / "facts.json").exists()

    def keep(
        self, name: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any] | None = None
    ) -> None:
        """Write a group; its facts come last, so that a group is there whole or not at all."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for key, array in arrays.items():
            np.save(folder / f"{key}.npy", array)
        (folder / "facts.json").write_text(json.dumps(dict(facts or {})))

    def facts(self, name: str) -> dict[str, Any]:
        """Read the facts of a group."""
        found: dict[str, Any] = json.loads((self.folder / name / "facts.json").read_text())
        return found

    def read(self, name: str) -> dict[str, np.ndarray]:
        """Map the arrays of a group and touch every page, so that no contender waits for the disk.

        The maps are private copies on write: some peers refuse arrays that are read-only.
        """
        arrays = {}
        for file in sorted((self.folder / name).glob("*.npy")):
            mapped = np.load(file, mmap_mode="c") if file.stat().st_size > 128 else np.load(file)
            arrays[file.stem] = np.asarray(mapped)
            if arrays[file.stem].size:
                arrays[file.stem].max()
        return arrays

    def keep_csr(self, name: str, matrix: csr_array) -> None:
        """Write a matrix with the types that every contender takes: int32 and float32."""
        matrix = csr_array(matrix)
        matrix.sort_indices()
        parts = {"indptr": np.int32, "indices": np.int32, "data": np.float32}
        arrays = {key: getattr(matrix, key).astype(kind) for key, kind in parts.items()}
        self.keep(name, arrays, {"shape": [int(n) for n in matrix.shape]})

    def csr(self, name: str, kind: type = csr_array, n_rows: int | None = None) -> Any:
        """Map a matrix, as a `csr_array` or the `csr_matrix` that some peers insist on; the first rows."""
        parts, shape = self.read(name), tuple(self.facts(name)["shape"])
        if n_rows is not None and n_rows < shape[0]:
            end = parts["indptr"][n_rows]
            parts = {
                "indptr": parts["indptr"][: n_rows + 1],
                "indices": parts["indices"][:end],
                "data": parts["data"][:end],
            }
            shape = (n_rows, shape[1])
        return kind((parts["data"], parts["indices"], parts["indptr"]), shape=shape, copy=False)

    def matrix(self, name: str, n_rows: int | None = None) -> csr_matrix:
        """Map a matrix as a `csr_matrix`."""
        return self.csr(name, csr_matrix, n_rows)

    def histories(self, name: str = "shop") -> "Histories":
        """Map the histories of a shop."""
        from engagelib import Histories

        return Histories.from_arrays(self.read(f"{name}/histories"), self.facts(f"{name}/histories"))

    def log(self, name: str = "shop") -> "EventLog":
        """Read the log of a shop."""
        import pyarrow.parquet as pq

        from engagelib import EventLog

        folder = self.folder / name
        events = pq.read_table(folder / "events.parquet")
        items = pq.read_table(folder / "items.parquet")
        return EventLog.from_frame(events, items=items, max_events_per_customer=len(events))


def keep_shop(data: Data, name: str, n_customers: int, n_items: int, n_events: int) -> None:
    """Make up a shop and write its tables and histories."""
    if data.has(f"{name}/histories"):
        return
    import pyarrow.parquet as pq

    from engagelib import Histories
    from engagelib.datasets import make_shop_tables

    events, items, _ = make_shop_tables(n_customers, n_items, n_events, rng=0)
    (data.folder / name).mkdir(parents=True, exist_ok=True)
    pq.write_table(events, data.folder / name / "events.parquet")
    pq.write_table(items, data.folder / name / "items.parquet")
    del events, items
    histories = Histories.from_log(data.log(name))
    data.keep(f"{name}/histories", histories.to_arrays(), histories.facts())


def keep_main_shop(data: Data) -> None:
    """Write the shop that most benchmarks share."""
    size = data.size
    keep_shop(data, "shop", size.n_customers, size.n_items, size.n_events)


def keep_neighbours(data: Data, shop: str = "shop", prefix: str = "") -> None:
    """Write what each customer met, and the cosine neighbours of items, 100 each: the same for everybody."""
    if data.has(f"{prefix}weights"):
        return
    from engagelib import ItemKNN

    histories = data.histories(shop)
    met = histories.matrix(event_weights=EQUAL)
    data.keep_csr(f"{prefix}met", met)
    data.keep_csr(f"{prefix}history", met[: histories.n_customers])
    model = ItemKNN("cosine", 100, half_life_days=None, event_weights=EQUAL).fit(histories)
    data.keep_csr(f"{prefix}weights", model.item_weights_.matrix)


def keep_factors(data: Data) -> None:
    """Write the factors of items that ALS learned, and those of customers to ask with."""
    if data.has("factors"):
        return
    from engagelib import ALS
    from engagelib.scoring import Rows

    histories = data.histories()
    model = ALS(64, half_life_days=None).fit(histories)
    interest = model.interest(histories).to_matrix()
    some = interest[: min(data.size.n_batch, histories.n_customers)]
    arrays = {"queries": model.fold(Rows.from_matrix(some)), "items": model.factors_.array}
    data.keep("factors", arrays, {"penalty": float(model.penalty_)})
    confidence = interest.copy()
    confidence.data = 1.0 + 2.0 * confidence.data
    data.keep_csr("confidence", confidence)
