"""What a made-up shop sells: alike items in clusters, prices, titles, and where and when each can be had."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAY = 86_400
SPAN = 365 * DAY
ALWAYS = 10 * SPAN
START = np.datetime64("2025-01-01T00:00:00", "s")  # the log covers the year 2025
CHANNELS = ("web", "app", "store", "call_centre")
STORE = 2
LOCATIONS = ("Bath", "Bristol", "Cardiff", "Durham", "Leeds", "Norwich", "Oxford", "York")
ITEMS_PER_CLUSTER = 12
N_MATERIALS = 4


class Category(NamedTuple):
    """One kind of goods; `repeat_days` is 0 for what lasts, else the usual days until it is used up."""

    name: str
    repeat_days: int
    price: float
    materials: tuple[str, ...]
    nouns: tuple[str, ...]


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split(", "))


def _goods(name: str, repeat_days: int, price: float, materials: str, nouns: str) -> Category:
    return Category(name, repeat_days, price, _split(materials), _split(nouns))


# What lasts and what is used up take turns, so that a shop of few items has both.
CATEGORIES = (
    _goods(
        "Home textiles", 0, 24, "linen, cotton, velvet, wool", "cushion, throw, tablecloth, bath mat, quilt"
    ),
    _goods(
        "Tea", 21, 8, "Assam, breakfast, herbal, jasmine", "loose tea, tea bags, tea caddy refill, iced tea"
    ),
    _goods("Kitchen", 0, 18, "stoneware, enamel, oak, glass", "mug, mixing bowl, teapot, cake stand, jug"),
    _goods(
        "Bath and body", 35, 9, "lavender, oatmeal, citrus, rose", "soap, shampoo, hand cream, bath salts"
    ),
    _goods("Lighting", 0, 45, "brass, paper, glass, rattan", "table lamp, lantern, lampshade, night light"),
    _goods(
        "Pet food", 28, 16, "chicken, salmon, lamb, duck", "dog biscuits, cat food, dog treats, cat treats"
    ),
    _goods("Stationery", 0, 7, "leather, paper, cloth, cork", "notebook, pencil case, diary, desk tidy"),
    _goods("Candles", 45, 14, "beeswax, soya, vanilla, cedar", "candle, tea lights, wax melts, incense"),
    _goods("Toys", 0, 15, "wooden, felt, tin, knitted", "train, doll, puzzle, puppet, rabbit"),
    _goods("Larder", 24, 6, "almond, ginger, chilli, honey", "biscuits, chutney, granola, chocolate"),
    _goods("Garden", 0, 22, "zinc, terracotta, willow, slate", "planter, bird feeder, trug, plant label set"),
    _goods("Bags", 0, 38, "canvas, leather, denim, jute", "tote bag, rucksack, purse, weekend bag"),
)
COLOURS = _split(
    "Blue, Red, Green, White, Black, Yellow, Pink, Grey, Ivory, Navy, Teal, Coral, Mint, Rust, Plum, Sand"
)
FLAIRS = _split(
    "Classic, Organic, Mild, Rich, Fresh, Finest, Golden, Alpine, Country, Royal, Gentle, Pure, Old town, "
    "Island, Summer, Winter"
)
PATTERNS = (None, "striped", "spotted", "floral", "checked", "patterned")
SIZES = (None, "large", "small", "set of two", "gift boxed", "double", "mini", "tall")


@dataclass(frozen=True)
class Catalogue:
    """Items by position: categories and, in them, clusters are contiguous. Times are seconds since START."""

    number: Ints  # the number in the id: positions would betray the clusters
    category: Ints
    cluster: Ints
    cluster_starts: Ints  # (n_clusters + 1,)
    category_starts: Ints  # (n_categories + 1,)
    popularity: Floats  # cumulated from 0, (n_items + 1,)
    flat: Floats  # the same of a flatter distribution
    anchor: Ints  # the most popular item of the cluster, which can always be had everywhere
    price: Floats
    quality: Floats  # mean rating
    repeat_days: Floats  # 0 for what lasts
    on_sale_from: Ints
    on_sale_to: Ints
    channels: Ints  # bits
    locations: Ints  # bits, of store visits
    offered: Bools  # neither sold out nor withdrawn
    for_sale: Bools
    stock: Ints  # pieces, 0 where nobody counts

    def draw(self, rng: np.random.Generator, cumulated: Floats, low: Ints, high: Ints) -> Ints:
        """Draw one position from each range [low, high) in proportion to the weights cumulated there."""
        base = cumulated[low]
        aim = base + rng.random(len(low)) * (cumulated[high] - base)
        # Rounding may reach the end of a range.
        return np.clip(np.searchsorted(cumulated, aim, side="right") - 1, low, high - 1)

    def barred(self, item: Ints, channel: Ints, location: Ints, begins: Ints, ends: Ints) -> Bools:
        """Tell which items could not be had there and then; locations count in stores alone."""
        elsewhere = (channel == STORE) & ((self.locations[item] >> location & 1) == 0)
        closed = (begins < self.on_sale_from[item]) | (ends > self.on_sale_to[item])
        barred: Bools = closed | elsewhere | ((self.channels[item] >> channel & 1) == 0)
        return barred


def make_catalogue(rng: np.random.Generator, n: int) -> Catalogue:
    """Draw a catalogue of `n` items."""
    n_clusters = max(1, n // ITEMS_PER_CLUSTER)
    n_categories = min(len(CATEGORIES), n_clusters)
    cluster = np.sort(np.concatenate([np.arange(n_clusters), rng.integers(n_clusters, size=n - n_clusters)]))
    category = (np.arange(n_clusters) * n_categories // n_clusters)[cluster]
    cluster_starts = np.searchsorted(cluster, np.arange(n_clusters + 1))
    weights = (1.0 + rng.permutation(n)) ** -0.9
    anchor = np.lexsort((weights, cluster))[cluster_starts[1:] - 1][cluster]
    price = np.array([c.price for c in CATEGORIES])[category] * rng.lognormal(0, 0.45, n)
    price = np.where(price < 5, np.maximum(np.round(price * 20), 10) / 20, np.round(price) - 0.01)

    # Most items are simply on sale; an anchor always is.
    kinds = ("free", "channels", "locations", "window", "sold out", "withdrawn")
    kind = rng.choice(len(kinds), size=n, p=(0.80, 0.06, 0.05, 0.05, 0.03, 0.01))
    kind[anchor] = 0
    is_kind = {name: kind == place for place, name in enumerate(kinds)}
    channels = np.where(is_kind["channels"], rng.choice([0b0001, 0b0011, 0b0100, 0b1011], size=n), 0b1111)
    some = np.bitwise_or.reduce(1 << rng.integers(len(LOCATIONS), size=(n, 3)), axis=1)
    opens = SPAN + DAY * rng.integers(-120, 21, size=n)  # some in the future: nobody has bought these yet
    closes = np.maximum(opens, SPAN) + DAY * rng.integers(5, 40, size=n)
    variant = rng.integers(3, size=n)
    ends = np.where(is_kind["window"] & (variant != 1), closes, ALWAYS)
    ends = np.where(is_kind["sold out"], SPAN - DAY * rng.integers(1, 30, size=n), ends)
    ends = np.where(is_kind["withdrawn"], SPAN - DAY * rng.integers(60, 200, size=n), ends)
    return Catalogue(
        number=rng.permutation(n),
        category=category,
        cluster=cluster,
        cluster_starts=cluster_starts,
        category_starts=np.searchsorted(category, np.arange(n_categories + 1)),
        popularity=np.concatenate([[0.0], np.cumsum(weights)]),
        flat=np.concatenate([[0.0], np.cumsum(np.sqrt(weights))]),
        anchor=anchor,
        price=price,
        quality=np.clip(rng.normal(4.1, 0.6, n), 1.5, 5.0),
        repeat_days=np.array([c.repeat_days for c in CATEGORIES])[category] * rng.lognormal(0, 0.3, n),
        on_sale_from=np.where(is_kind["window"] & (variant != 0), opens, 0),
        on_sale_to=ends,
        channels=channels,
        locations=np.where(is_kind["locations"], some, (1 << len(LOCATIONS)) - 1),
        offered=~(is_kind["sold out"] | is_kind["withdrawn"]),
        for_sale=~is_kind["withdrawn"],
        stock=np.where(rng.random(n) < 0.4, rng.geometric(0.04, size=n), 0),
    )


def item_table(catalogue: Catalogue) -> "pa.Table":
    """Spell the items out, in the order of their ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    category, cluster = catalogue.category, catalogue.cluster
    # Items of a cluster share adjective, pattern and material, and differ in noun and size.
    place = np.arange(len(category)) - catalogue.cluster_starts[cluster]
    style = cluster - cluster[catalogue.category_starts[category]]
    lasting = catalogue.repeat_days == 0
    n_nouns = np.array([len(c.nouns) for c in CATEGORIES])
    noun = np.cumsum(n_nouns)[category] - n_nouns[category] + place % n_nouns[category]
    adjective = (style + 5 * category) % len(COLOURS) + np.where(lasting, 0, len(COLOURS))
    pattern = np.where(lasting, style // (len(COLOURS) * N_MATERIALS) % len(PATTERNS), 0)
    material = category * N_MATERIALS + (style // len(COLOURS) + style) % N_MATERIALS
    title = pc.binary_join_element_wise(
        words(COLOURS + FLAIRS, adjective),
        words(PATTERNS, pattern),
        words([word for c in CATEGORIES for word in c.materials], material),
        words([word for c in CATEGORIES for word in c.nouns], noun),
        " ",
        null_handling="skip",
    )
    size = words(SIZES, place // n_nouns[category] % len(SIZES))
    return pa.table(
        {
            "item_id": item_ids(catalogue),
            "title": pc.binary_join_element_wise(title, size, ", ", null_handling="skip"),
            "category": words([c.name for c in CATEGORIES], category),
            "price": catalogue.price,
            "for_sale": catalogue.for_sale,
        }
    ).take(pa.array(np.argsort(catalogue.number)))


def availability_table(catalogue: Catalogue) -> "pa.Table":
    """List what is offered, and where; what only some stores have can be had in every other channel."""
    import pyarrow as pa

    in_all_stores = catalogue.locations == (1 << len(LOCATIONS)) - 1
    everywhere = in_all_stores & (catalogue.channels == (1 << len(CHANNELS)) - 1)
    parts = [(catalogue.offered & everywhere, -1, -1)]
    for channel in range(len(CHANNELS)):
        here = catalogue.offered & ~everywhere & (catalogue.channels >> channel & 1 == 1)
        parts.append((here & (in_all_stores | (channel != STORE)), channel, -1))
    for location in range(len(LOCATIONS)):
        here = catalogue.offered & ~in_all_stores & (catalogue.locations >> location & 1 == 1)
        parts.append((here, STORE, location))
    item = np.concatenate([np.flatnonzero(here) for here, _, _ in parts])
    n_rows = [int(here.sum()) for here, _, _ in parts]
    channel_of = np.repeat([channel for _, channel, _ in parts], n_rows)
    location_of = np.repeat([location for _, _, location in parts], n_rows)
    starts, ends, stock = catalogue.on_sale_from[item], catalogue.on_sale_to[item], catalogue.stock[item]
    return pa.table(
        {
            "item_id": item_ids(catalogue).take(pa.array(item)),
            "channel": words(CHANNELS, channel_of),
            "location": words(LOCATIONS, location_of),
            "starts": times(starts, starts == 0),
            "ends": times(ends, ends == ALWAYS),
            "quantity": pa.array(stock, mask=stock == 0),
        }
    ).take(pa.array(np.lexsort((location_of, channel_of, catalogue.number[item]))))


def ids(prefix: str, n: int, width: int) -> "pa.Array":
    """Spell the ids of 0 to n - 1, as in "c-000123"."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = pc.utf8_lpad(pa.array(np.arange(n)).cast(pa.string()), max(width, len(str(n - 1))), "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def item_ids(catalogue: Catalogue) -> "pa.Array":
    """Spell the id of each position."""
    import pyarrow as pa

    return ids("i-", len(catalogue.number), 5).take(pa.array(catalogue.number))


def words(table: Sequence[str | None], place: NDArray[np.integer]) -> "pa.Array":
    """Look words up; a place below 0 is null."""
    import pyarrow as pa

    return pa.array(table, pa.string()).take(pa.array(place, mask=place < 0))


def times(seconds: Ints, missing: Bools | None = None) -> "pa.Array":
    """Turn seconds since START into times in UTC."""
    import pyarrow as pa

    moments = pa.array(START + seconds.astype("timedelta64[s]"), mask=missing)
    return moments.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
