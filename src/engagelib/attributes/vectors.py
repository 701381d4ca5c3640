"""Vectors: what an item is like by its attributes, as one sparse row of length 1 an item."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from engagelib.attributes.attributes import ItemAttributes
from engagelib.scoring import Rows

# How these were found stands in docs/decisions/0020-diversity-and-new-items.md.
_STEP: Final = 0.7
"""Two prices are unlike from a factor of two on: the logarithm of it, about."""

_CROWD: Final = 1000
"""Items that are compared with each other for one value they share; a value of more says little."""

_WORD: Final = r"[^\p{L}\p{N}]+"


class _Column(NamedTuple):
    """What one attribute says: of which items it has which feature, with what weight before rarity.

    `feature` counts from 0 within the column; an item has a feature at most once.
    """

    item: np.ndarray
    feature: np.ndarray
    value: np.ndarray


def has_content(attributes: ItemAttributes) -> bool:
    """Say whether any attribute tells items apart: one value that some items share and others don't."""
    return any(len(_features(column, attributes.n_items).item) for column in _columns(attributes))


def item_vectors(attributes: ItemAttributes) -> Rows:
    """Return what each item is like, float32, shape (n_items, n_features), each row of length 1 or empty.

    Features are the values of texts, such as a brand, of booleans and of whole numbers; the words of titles,
    without regard to case; and places on a scale of logarithms for prices and other numbers above 0, between
    the two nearest of which a number lies. Each weighs by its rarity, the logarithm of how many items there
    are for each that has it. What one item alone has, or all of them, tells nothing. Dates and times are not
    read, nor is `for_sale`.

    The inner product of two rows is their likeness, in [0, 1]. A value that thousands of items share is split
    among groups of them, so that no product of the vectors with themselves explodes; the same items stay
    together under all such values.
    """
    n_items = attributes.n_items
    items, features, values, n_features = [], [], [], 0
    for column in _columns(attributes):
        found = _features(column, n_items)
        items.append(found.item)
        features.append(n_features + found.feature)
        values.append(found.value)
        n_features += int(found.feature.max(initial=-1)) + 1
    if not items:
        return Rows(
            np.zeros(n_items + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), (n_items, 0)
        )
    item, feature, value = (np.concatenate(parts) for parts in (items, features, values))
    length = np.sqrt(np.bincount(item, value**2, minlength=n_items))
    value /= length[item]
    feature = _split_crowds(item, feature, n_features, n_items)
    n_features = int(feature.max(initial=-1)) + 1
    order = np.lexsort((feature, item))
    indptr = np.append(0, np.cumsum(np.bincount(item, minlength=n_items)))
    return Rows(
        indptr, feature[order].astype(np.int32), value[order].astype(np.float32), (n_items, n_features)
    )


def _columns(attributes: ItemAttributes) -> Iterator[_Column]:
    """Go through the attributes that say what an item is like."""
    if "title" in attributes.names:
        yield _words(attributes)
    for codes, _ in attributes.texts.values():
        yield _coded(codes)
    for name, numbers in attributes.numbers.items():
        kind = attributes.kinds.get(name, "number")
        if kind in ("date", "time"):
            continue
        known = np.flatnonzero(np.isfinite(numbers))
        is_scale = kind == "number" and (name == "price" or (numbers[known] % 1 != 0).any())
        if is_scale and (name == "price" or (numbers[known] > 0).all()):
            yield _scale(numbers)
        else:
            codes = np.full(len(numbers), -1)
            codes[known] = np.unique(numbers[known], return_inverse=True)[1]
            yield _coded(codes)


def _coded(codes: np.ndarray) -> _Column:
    known = np.flatnonzero(codes >= 0)
    return _Column(known, codes[known].astype(np.int64), np.ones(len(known)))


def _scale(numbers: np.ndarray) -> _Column:
    """Put each number above 0 between two places of a scale, the nearer the more."""
    item = np.flatnonzero(numbers > 0)
    place = np.log(numbers[item]) / _STEP
    below = np.floor(place)
    share = place - below
    first = (below - below.min(initial=np.inf)).astype(np.int64) if len(item) else np.zeros(0, np.int64)
    # Two places of weights sqrt(1 - share) and sqrt(share) are together of length 1, wherever a number lies.
    both = np.concatenate([np.sqrt(1.0 - share), np.sqrt(share)])
    kept = both > 0
    return _Column(np.tile(item, 2)[kept], np.append(first, first + 1)[kept], both[kept])


def _words(attributes: ItemAttributes) -> _Column:
    """Take titles apart into words, each of them once an item."""
    import pyarrow.compute as pc

    words = pc.split_pattern_regex(pc.utf8_lower(attributes.titles.to_arrow()), _WORD)
    item = pc.list_parent_indices(words).to_numpy()
    encoded = pc.list_flatten(words).dictionary_encode()
    code = encoded.indices.to_numpy()
    empty = pc.equal(encoded.dictionary, "").to_numpy(zero_copy_only=False)
    kept = ~empty[code]
    cells = np.unique(item[kept].astype(np.int64) * max(len(empty), 1) + code[kept])
    item, code = np.divmod(cells, max(len(empty), 1))
    return _Column(item, code, np.ones(len(item)))


def _features(column: _Column, n_items: int) -> _Column:
    """Weigh features by their rarity, and leave out those that tell nothing."""
    count = np.bincount(column.feature)
    tells = (count > 1) & (count < n_items)
    rarity = np.log(n_items / np.maximum(count, 1))
    place = np.cumsum(tells) - 1
    kept = tells[column.feature]
    item, feature, value = (part[kept] for part in column)
    return _Column(item, place[feature], value * rarity[feature])


def _split_crowds(item: np.ndarray, feature: np.ndarray, n_features: int, n_items: int) -> np.ndarray:
    """Give the items of a crowded feature several in its stead, each for at most `_CROWD` of them."""
    count = np.bincount(feature, minlength=n_features)
    n_groups = -(-count // _CROWD)
    if not (n_groups > 1).any():
        return feature
    shuffled = np.random.default_rng(0).permutation(n_items)
    order = np.lexsort((shuffled[item], feature))
    starts = np.append(0, np.cumsum(count))[:-1]
    group = np.empty(len(feature), np.int64)
    of = feature[order]
    group[order] = (np.arange(len(feature)) - starts[of]) * n_groups[of] // count[of]
    first = np.append(0, np.cumsum(n_groups))[:-1]
    return np.asarray(first[feature] + group)
