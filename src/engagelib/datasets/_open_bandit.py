"""Open Bandit: impressions of a fashion shop, with the chance that each item had of being shown."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from engagelib import errors

if TYPE_CHECKING:
    import pyarrow as pa

POLICIES: Final = ("random", "bts")
CAMPAIGNS: Final = ("all", "men", "women")

_FEATURES: Final = tuple(f"user_feature_{place}" for place in range(4))
_NEEDED: Final = ("timestamp", "item_id", "position", "click", "propensity_score", *_FEATURES)
_AFFINITY: Final = "user-item_affinity_"
_WHAT: Final = "Open Bandit"


def load_open_bandit(
    path: "str | PathLike[str]", *, policy: str | None = None, campaign: str | None = None
) -> "pa.Table":
    """Read the impressions of the Open Bandit data set, from the files as they were published.

    Two policies showed items in three campaigns: one at random, the other by Thompson sampling. The files are
    not part of this package.

    Parameters
    ----------
    path
        The published folder, with files as `random/all/all.csv`; one of these files; or a Parquet or CSV file
        of the same columns, with `behavior_policy` and `campaign` besides.
    policy
        "random" or "bts" for the impressions of one policy; None for both.
    campaign
        "all", "men" or "women" for those of one campaign; None for all three.

    Returns
    -------
    An Arrow table, a row an impression, without nulls but in the affinities:

    - `timestamp`: when, timestamp[us, UTC];
    - `policy`, `campaign`: which policy chose, and in which campaign, text;
    - `item_id`: the item shown, int64, counted from 0 within the campaign; `position`: where, int64, 1 to 3;
    - `click`: whether it was clicked, int64, 0 or 1;
    - `propensity_score`: the chance that the policy had to show that item there, float64 in (0, 1];
    - `user_feature_0` to `user_feature_3`: hashed features of the user, text;
    - `user_item_affinity`: how often the user met each item before, list of float64; null where the file has
      none.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or nothing in the folder that was asked for.
    SchemaError
        If a column is missing, or holds what the published files have not; the message names it.
    ArgumentError
        If the policy or the campaign is another one.

    References
    ----------
    Y. Saito, S. Aihara, M. Matsutani, Y. Narita, Open Bandit Dataset and Pipeline, NeurIPS Datasets and
    Benchmarks, 2021.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, given, among in (("policy", policy, POLICIES), ("campaign", campaign, CAMPAIGNS)):
        if given is not None and given not in among:
            raise errors.bad_argument(name, given, f"{', '.join(among)} or None")
    place = Path(path)
    policies, campaigns = ((policy,) if policy else POLICIES), ((campaign,) if campaign else CAMPAIGNS)
    if not place.is_dir():
        table = _read(place)
    else:
        parts = [
            (file, one, other)
            for one in policies
            for other in campaigns
            if (file := place / one / other / f"{other}.csv").is_file()
        ]
        if not parts:
            expected = f"file as {policies[0]}/{campaigns[0]}/{campaigns[0]}.csv"
            raise errors.datasets.no_files(_WHAT, place, expected)
        table = pa.concat_tables([_read(*part) for part in parts])
    for name, given in (("policy", policy), ("campaign", campaign)):
        if given is not None:
            table = table.filter(pc.equal(table[name], given))
    return table


def _read(file: Path, policy: str = "", campaign: str = "") -> "pa.Table":
    """Read one file; the folders that it lies in tell what its columns do not."""
    import pyarrow as pa

    from engagelib.datasets._published import Published
    from engagelib.frames import Refused, open_table, read_times

    opened = open_table(file, _WHAT, ids=(), texts=_FEATURES)
    if not policy and "behavior_policy" not in opened.column_names:
        names = [part.name for part in file.absolute().parents[:2]]
        if names[0] in CAMPAIGNS and names[1] in POLICIES:
            campaign, policy = names
    needed = _NEEDED if policy else (*_NEEDED, "behavior_policy", "campaign")
    table = Published(opened, _WHAT, needed)
    refused = Refused(np.zeros(len(opened), np.int32))
    times = read_times(opened["timestamp"], None, refused)
    refused.raise_first("expected the file as it was published.")

    def told(name: str, given: str, among: tuple[str, ...]) -> "pa.ChunkedArray":
        if not given:
            return table.texts(name, among)
        return pa.chunked_array([pa.array([given] * len(opened), pa.large_string())])

    affinity, n_arms = _affinity(opened)
    most = 2**31 if n_arms is None else n_arms - 1
    found = {
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "policy": told("behavior_policy", policy, POLICIES),
        "campaign": told("campaign", campaign, CAMPAIGNS),
        "item_id": pa.array(table.whole("item_id", 0, most, "the number of an item, from 0")),
        "position": pa.array(table.whole("position", 1, 3, "1, 2 or 3")),
        "click": pa.array(table.whole("click", 0, 1, "0 or 1")),
        "propensity_score": pa.array(
            table.numbers(
                "propensity_score",
                lambda values: np.asarray((values > 0) & (values <= 1)),
                "a chance above 0 and at most 1",
            )
        ),
    }
    found |= {name: table.texts(name) for name in _FEATURES}
    return pa.table(found | {"user_item_affinity": affinity})


def _affinity(opened: "pa.Table") -> "tuple[pa.Array | pa.ChunkedArray, int | None]":
    """Return the affinities as one list a row, and how many items they are about where all are alike."""
    import pyarrow as pa

    kind = pa.large_list(pa.float64())
    if "user_item_affinity" in opened.column_names:
        return opened["user_item_affinity"].cast(kind), None
    names = [name for name in opened.column_names if name.startswith(_AFFINITY)]
    names.sort(key=lambda name: int(name.removeprefix(_AFFINITY)))
    if not names:
        return pa.nulls(len(opened), kind), None
    values = np.stack([opened[name].cast(pa.float64()).to_numpy() for name in names], axis=1)
    offsets = pa.array(np.arange(len(opened) + 1) * len(names), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, pa.array(values.ravel())), len(names)
