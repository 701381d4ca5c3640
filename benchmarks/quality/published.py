"""Published figures by data set, each with where it was read; beside them ours are printed."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Published:
    """The figures of others on one data set.

    Attributes
    ----------
    folder
        What a folder of the data begins with.
    title, source
        The data and the split, and where the rows come from.
    metrics
        The columns.
    rows
        By the name of a method, a figure a column; None where none was given.
    measured
        Whether the rows are not of a publication, but were measured with other code on the same folder.
    """

    folder: str
    title: str
    source: str
    metrics: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...]]
    measured: bool = False


_TRANSFORMERS: Final = "README of the repository blondered/transformer_benchmark"

PUBLISHED: Final = (
    Published(
        "amazon_beauty",
        "Amazon Beauty, 5-core, the last item left out, full ranking",
        _TRANSFORMERS,
        ("recall@10", "ndcg@10"),
        {
            "SASRec": (0.0605, 0.0318),
            "S3-Rec": (0.0647, 0.0327),
            "TIGER": (0.0648, 0.0384),
            "HSTU": (0.0704, 0.0389),
            "ActionPiece": (0.0775, 0.0424),
            "LSAN": (0.0785, 0.0410),
            "HSTU, run again": (0.0788, 0.0439),
            "DuoRec": (0.0845, 0.0443),
            "SASRec, sampled softmax": (0.0921, 0.0531),
            "eSASRec": (0.0928, 0.0523),
        },
    ),
    Published(
        "amazon_toys",
        "Amazon Toys, 5-core, the last item left out, full ranking",
        _TRANSFORMERS,
        ("recall@10", "ndcg@10"),
        {
            "SASRec": (0.0675, 0.0374),
            "S3-Rec": (0.0700, 0.0376),
            "LSAN": (0.0711, 0.0370),
            "TIGER": (0.0712, 0.0432),
            "HSTU, run again": (0.0778, 0.0450),
            "eSASRec": (0.0939, 0.0538),
            "SASRec, sampled softmax": (0.0970, 0.0580),
        },
    ),
    Published(
        "gowalla",
        "Gowalla, the split of LightGCN",
        "the BARS leaderboard and the BSPM paper",
        ("recall@20", "ndcg@20"),
        {
            "ItemCF": (0.1570, 0.1214),
            "BPR": (0.1627, 0.1378),
            "EASE": (0.1765, 0.1467),
            "LightGCN": (0.1820, 0.1547),
            "GF-CF": (0.1849, 0.1518),
            "UltraGCN": (0.1862, 0.1580),
            "SimpleX": (0.1872, 0.1557),
            "BSPM-EM": (0.1920, 0.1597),
        },
    ),
    Published(
        "taobao",
        "Taobao, views, carts and purchases, the split of MB-CGCN",
        "the CascadingRank paper; whether its lists were judged as here is not certain",
        ("hit_rate@10", "ndcg@10"),
        {"CascadingRank": (0.3324, 0.1626)},
    ),
    Published(
        "tafeng",
        "Ta-Feng, next basket, the split of the reality check",
        "methods with default settings, on 4,000 of the customers",
        ("recall@10", "recall_new@10"),
        {
            "popularity": (0.0885, None),
            "ALS": (0.1036, None),
            "EASE": (0.1101, None),
            "personal frequency": (0.1104, None),
            "TIFU-KNN": (0.1294, 0.0931),
            "personal frequency, then popularity": (0.1399, None),
        },
        measured=True,
    ),
    Published(
        "complete_journey",
        "Complete Journey, last basket",
        "methods with default settings, on 2,320 households",
        ("ndcg@10",),
        {
            "popularity": (0.082,),
            "personal frequency": (0.171,),
            "personal frequency, recent baskets first": (0.177,),
            "TIFU-KNN": (0.178,),
            "logistic regression on 12 features": (0.181,),
        },
        measured=True,
    ),
    Published(
        "diginetica",
        "Diginetica, next click",
        "neighbours without tuning, and transitions alone",
        ("recall@20", "mrr@20"),
        {"transitions": (0.4648, 0.1557), "session neighbours": (0.5237, 0.1844)},
        measured=True,
    ),
    Published(
        "retailrocket_sessions",
        "RetailRocket, next click",
        "neighbours without tuning, and transitions alone",
        ("recall@20", "mrr@20"),
        {"transitions": (0.5052, 0.2360), "session neighbours": (0.5657, 0.2746)},
        measured=True,
    ),
    Published(
        "retailrocket_mb",
        "RetailRocket, views, carts and purchases with times",
        "methods with default settings",
        ("hit_rate@10", "ndcg@10", "unseen.hit_rate@10", "unseen.ndcg@10"),
        {
            "cosine": (0.037, 0.020, None, None),
            "popularity": (0.039, 0.021, None, None),
            "ALS on purchases": (0.055, 0.041, None, None),
            "neighbours among customers": (0.098, 0.069, None, None),
            "ALS on all events, weighted 1, 3, 5": (0.098, 0.064, 0.110, 0.075),
        },
        measured=True,
    ),
)


def published_for(folder: str) -> Published | None:
    """Return what was published of a folder's data, by how its name begins; None where nothing was."""
    return next((each for each in PUBLISHED if folder.startswith(each.folder)), None)
