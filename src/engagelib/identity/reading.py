"""Reading: a table of links becomes groups of identities."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib import errors
from engagelib.identity.linked import Linked, link_rows
from engagelib.identity.spelling import encode_namespaces, spell_pairs
from engagelib.strings import is_text
from engagelib.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.frames import Refused

_SIDES: Final = (("customer_id", "namespace"), ("same_as", "same_as_namespace"))
_COLUMNS: Final = tuple(name for side in _SIDES for name in side)


def read_links(source: Any, columns: Mapping[str, str] | None, *, as_text: bool) -> Linked:
    """Link the rows of a table; see `IdentityMap.from_frame`."""
    import pyarrow as pa

    from engagelib.frames import Refused, ids_as_text

    table = _open(source, columns)
    if as_text:
        table = ids_as_text(table, ("customer_id", "same_as"))
    refused = Refused(np.zeros(table.num_rows, np.uint8))
    sides = [_read_side(table, *names, refused) for names in _SIDES]
    refused.raise_first("a link needs two ids, each with the namespace that it is known by in the log.")
    empty = (pa.array([], pa.int64()), pa.array([], pa.large_string()))
    ids = [*empty, *(ids for side in sides for _, ids in side)]
    texts = Vocabulary.from_values(pa.concat_arrays([some for some in ids if is_text(some.type)]))
    numbers = Vocabulary.from_values(pa.concat_arrays([some for some in ids if not is_text(some.type)]))
    first, second = (_places(side, numbers, texts) for side in sides)
    linked = first != second
    first, second = first[linked], second[linked]
    if not len(first):
        return Linked.empty()
    # A row that links an identity with itself says nothing, and brings none into the map.
    used = np.zeros(len(numbers) + len(texts), bool)
    used[first] = used[second] = True
    if not used.all():
        place = np.cumsum(used) - 1
        first, second = place[first], place[second]
        texts, numbers = texts.subset(used[len(numbers) :]), numbers.subset(used[: len(numbers)])
    return Linked.from_groups(numbers, texts, *link_rows(len(numbers) + len(texts), first, second))


def _open(source: Any, columns: Mapping[str, str] | None) -> "pa.Table":
    """Open a table of links, and bring its columns under our names."""
    import pyarrow as pa

    from engagelib.frames import index_names, open_table

    names = {} if columns is None else columns
    if not isinstance(names, Mapping) or not all(
        ours in _COLUMNS and isinstance(theirs, str) for ours, theirs in names.items()
    ):
        example = '{"same_as": "visitor"}'
        expected = f"a mapping of {', '.join(_COLUMNS)} to names in the table, such as {example}"
        raise errors.bad_argument("columns", columns, expected)
    taken = {ours: names.get(ours, ours) for ours in _COLUMNS}
    ids, texts = ({taken[side[part]] for side in _SIDES} for part in (0, 1))
    table = open_table(source, "the table of links", ids=ids, texts=texts)
    for ours, theirs in taken.items():
        if table.column_names.count(theirs) > 1:
            raise errors.log.repeated_column(theirs)
        if theirs in table.column_names:
            continue
        if ours in names:
            raise errors.log.missing_column(theirs, table.column_names, asked_for=ours)
        if ours in ("customer_id", "same_as"):
            in_index = ours in index_names(table)
            raise errors.log.missing_column(ours, table.column_names, in_index=in_index)
    return pa.table({ours: table[name] for ours, name in taken.items() if name in table.column_names})


def _read_side(
    table: "pa.Table", column: str, namespace: str, refused: "Refused"
) -> list[tuple[np.ndarray, "pa.Array"]]:
    """Read one of the two identities of each row.

    Returns
    -------
    Codes of shape (n_rows,) and the spelled identities behind them, for each of their types; a row has a
    code of -1 in all but one of these.
    """
    from engagelib.frames import encode_ids, naming

    with naming(column):
        codes, ids = encode_ids(table[column], column, refused)
    refused.add(codes < 0, column, "null")
    if namespace not in table.column_names:
        return [(codes, ids)]
    with naming(namespace):
        named, namespaces = encode_namespaces(table[namespace], namespace, refused)
    if is_text(ids.type):
        return [spell_pairs(codes, ids, named, namespaces)]
    # Integers stay what they are where no namespace makes text of them.
    plain, paired = np.where(named < 0, codes, -1), np.where(named < 0, -1, codes)
    return [(plain, ids), spell_pairs(paired, ids, named, namespaces)]


def _places(side: list[tuple[np.ndarray, "pa.Array"]], numbers: Vocabulary, texts: Vocabulary) -> np.ndarray:
    """Return the place of the identity of each row, int64: integers first."""
    places = np.full(len(side[0][0]), -1, np.int64)
    for codes, ids in side:
        place = len(numbers) + texts.indices(ids) if is_text(ids.type) else numbers.indices(ids)
        places = np.maximum(places, np.append(place, -1)[codes])
    return places
