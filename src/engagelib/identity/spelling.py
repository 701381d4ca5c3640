"""Spelling: an identity becomes one id, alone or in whole columns."""

from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np

from engagelib import errors
from engagelib.vocabulary import Id

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.frames import Refused

Identity = Id | tuple[str, Id]
"""An id in the default namespace, or a namespace and an id in it."""

# Up to so many cells, namespaces times ids, a table of all of them is quicker than hashing the rows.
_FEW_CELLS = 2**22


def spelled(identity: Identity) -> Id:
    """Return the one id that stands for an identity, in logs and in answers.

    A plain id is itself: text is brought to Unicode's NFC, NumPy's integers to Python's. The pair
    `("web", 77)` is the text `"web:77"`, and that text is the pair: the three of `("web", 77)`,
    `("web", "77")` and `"web:77"` are one identity. Ids of one namespace are of one type, and the spelling
    does not keep it. `77` and `"77"`, both in the default namespace, are two identities.

    Raises
    ------
    ArgumentError
        If it is neither an id nor a pair, or the namespace is empty or holds a ":".
    """
    kind = type(identity)
    if kind is str:
        # The type is known, which only mypy does not see.
        return identity if identity.isascii() else normalize("NFC", identity)  # type: ignore
    if kind is int:
        return identity  # type: ignore[return-value]
    return _spelled_rarely(identity)


def _spelled_rarely(identity: Any) -> Id:
    if isinstance(identity, str):
        # Of a subclass the text itself, whatever else it prints as.
        return normalize("NFC", str.__str__(identity))
    if isinstance(identity, int | np.integer) and not isinstance(identity, bool):
        return int(identity)
    if not isinstance(identity, tuple) or len(identity) != 2 or isinstance(identity[1], tuple):
        raise errors.identity.no_identity(identity)
    namespace, id_ = identity
    if not isinstance(namespace, str) or not namespace or ":" in namespace:
        raise errors.identity.bad_namespace(namespace)
    try:
        return normalize("NFC", f"{str.__str__(namespace)}:{spelled(id_)}")
    except errors.ArgumentError:
        raise errors.identity.no_identity(identity) from None


def encode_namespaces(
    array: "pa.ChunkedArray", column: str, refused: "Refused"
) -> tuple[np.ndarray, "pa.Array"]:
    """Turn a column of namespaces into codes, int32 with -1 for the default one, and distinct NFC texts.

    Null and empty text stand for the default namespace. A text with a ":" is refused.

    Raises
    ------
    SchemaError
        If the column does not hold text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from engagelib.frames import encode_ids
    from engagelib.strings import is_text

    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not is_text(kind) and not pa.types.is_null(kind):
        hint = 'text_ids=True reads a column "channel" or "location" of integers as text.'
        raise errors.log.wrong_type(column, kind, "text, the namespace of each row's id", hint)
    codes, namespaces = encode_ids(array, column, refused)
    bad = pc.match_substring(namespaces, ":").to_numpy(zero_copy_only=False)
    if bad.any():
        refused.add(np.append(bad, False)[codes], column, "a namespace with a ':' in it")
    return codes, namespaces


def spell_pairs(
    codes: np.ndarray, ids: "pa.Array", namespace_codes: np.ndarray, namespaces: "pa.Array"
) -> tuple[np.ndarray, "pa.Array"]:
    """Spell a column of ids, each in the namespace of its row, as text throughout.

    Parameters
    ----------
    codes, ids
        The id of each row, -1 for none, and the distinct ids, integers or NFC text.
    namespace_codes, namespaces
        The namespace of each row, -1 for the default one, and the distinct namespaces.

    Returns
    -------
    The spelling of each row, int32, -1 where there is no id, and the distinct spellings, large_string.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    n_ids = len(ids)
    cell, distinct = _distinct(
        np.where(codes < 0, -1, (namespace_codes.astype(np.int64) + 1) * n_ids + codes),
        (len(namespaces) + 1) * n_ids,
    )
    texts = ids.cast(pa.large_string()).take(pa.array(distinct % max(n_ids, 1)))
    namespace = distinct // max(n_ids, 1) - 1
    named = namespaces.take(pa.array(namespace, mask=namespace < 0))
    separator = pa.scalar(":", pa.large_string())
    plain = texts.filter(pa.array(namespace < 0))
    texts = pc.coalesce(pc.binary_join_element_wise(named, texts, separator), texts)
    # A plain id may be spelled like a pair, and is that pair then.
    return unify(cell, texts) if pc.any(pc.match_substring(plain, ":")).as_py() else (cell, texts)


def unify(codes: np.ndarray, ids: "pa.Array") -> tuple[np.ndarray, "pa.Array"]:
    """Make the ids behind some codes distinct; a code of -1 stays."""
    import pyarrow.compute as pc

    distinct = pc.unique(ids)
    if len(distinct) == len(ids):
        return codes, ids
    places = pc.index_in(ids, value_set=distinct).to_numpy(zero_copy_only=False)
    return np.append(places, np.int32(-1))[codes], distinct


def _distinct(cells: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct cells in [0, n_cells); return the number of each, int32, and the cells."""
    import pyarrow as pa

    if n_cells > max(_FEW_CELLS, 2 * len(cells)):
        encoded = pa.array(cells, mask=cells < 0).dictionary_encode()
        return encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_numpy()
    used = np.zeros(n_cells + 1, bool)
    used[cells] = True
    used[-1] = False
    places = (np.cumsum(used, dtype=np.int32) - 1).astype(np.int32)
    places[-1] = -1
    return places[cells], np.flatnonzero(used)
