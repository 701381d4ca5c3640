"""Rules: what a shop wants shown more, first or never, by attribute or by name, whatever was learned."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes, check_where
from engagelib.cells import as_number
from engagelib.vocabulary import Id, Vocabulary

Effect = Literal["boost", "pin", "remove"]

MOST_FACTORS: Final = 32
"""Items are ranked apart for each distinct factor, at most so many."""

LARGEST_FACTOR: Final = 1e6
"""Factors count from one over this to this: a boosted score then stays finite and above 0 in float32."""

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "boost": ("effect", "factor", "where", "items"),
    "pin": ("effect", "where", "items", "most"),
    "remove": ("effect", "where", "items"),
}


@dataclass(frozen=True, repr=False)
class Rule:
    """One wish of the shop: an effect, and the items that it is for.

    Made by `Rule.boost`, `Rule.pin` and `Rule.remove`, which check what they are given. Items are named
    either by conditions on their attributes, `where`, as `ItemAttributes.matches` takes them, or by their
    ids, `items`.

    Attributes
    ----------
    effect
        "boost", "pin" or "remove".
    where, items
        Which items; one of the two is None.
    factor
        What scores are multiplied by; of a boost alone.
    most
        How many items are pinned at most, None for all; of a pin alone.
    """

    effect: Effect
    where: Mapping[str, Any] | None = None
    items: tuple[Id, ...] | None = None
    factor: float | None = None
    most: int | None = None

    @classmethod
    def boost(
        cls, factor: float, *, where: Mapping[str, Any] | None = None, items: Iterable[Id] | None = None
    ) -> Self:
        """Multiply scores: above 1 moves items up, below 1 down. Items without a score stay without.

        Parameters
        ----------
        factor
            Finite and above 0. Several boosts of one item multiply; below 1e-6 and above 1e6 counts as that,
            for one and for all together.

        Raises
        ------
        ArgumentError
            If an argument is not as above, or not one of `where` and `items` is given.
        """
        number = as_number(factor)
        if not 0 < number < math.inf:
            hint = "remove() keeps items out of every list." if number == 0 else ""
            raise errors.bad_argument("factor", factor, "a finite number above 0", hint)
        where, items = _which_items("boost", where, items)
        return cls("boost", where, items, factor=number)

    @classmethod
    def pin(
        cls,
        *,
        where: Mapping[str, Any] | None = None,
        items: Iterable[Id] | None = None,
        most: int | None = None,
    ) -> Self:
        """Put items at the top of the list: those named by `items` in that order, those of `where` by score.

        Parameters
        ----------
        most
            How many at most, at least 1. None is 1 for `where`, and all for `items`.

        Raises
        ------
        ArgumentError
            If an argument is not as above, or not one of `where` and `items` is given.
        """
        where, items = _which_items("pin", where, items)
        if most is not None and (
            isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1
        ):
            raise errors.bad_argument("most", most, "an integer of at least 1, or None")
        if most is None:
            return cls("pin", where, items, most=None if where is None else 1)
        return cls("pin", where, items, most=int(most))

    @classmethod
    def remove(cls, *, where: Mapping[str, Any] | None = None, items: Iterable[Id] | None = None) -> Self:
        """Keep items out of every list, also where another rule pins them.

        Raises
        ------
        ArgumentError
            If not one of `where` and `items` is given, or it is not as it should be.
        """
        where, items = _which_items("remove", where, items)
        return cls("remove", where, items)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make the rule that `to_record` wrote down, or one that was written by hand.

        Raises
        ------
        ArgumentError
            If `record` is no mapping, or holds a name or a value that such a rule can't have.
        """
        if not isinstance(record, Mapping):
            expected = 'a Rule or a mapping such as {"effect": "remove", "items": ["i-17"]}'
            raise errors.bad_argument("rule", record, expected)
        effect = record.get("effect")
        if not isinstance(effect, str) or effect not in _FIELDS:
            raise errors.bad_argument("effect", effect, '"boost", "pin" or "remove"')
        unknown = [name for name in record if name not in _FIELDS[effect]]
        if unknown:
            raise errors.rules.unknown_fields(effect, unknown, _FIELDS[effect])
        given = {name: value for name, value in record.items() if name != "effect"}
        if effect == "boost":
            return cls.boost(given.pop("factor", None), **given)
        return cls.pin(**given) if effect == "pin" else cls.remove(**given)

    def to_record(self) -> dict[str, Any]:
        """Return the rule as built-in types that JSON gives back as they were."""
        record: dict[str, Any] = {"effect": self.effect}
        if self.factor is not None:
            record["factor"] = self.factor
        if self.where is not None:
            record["where"] = check_where(self.where)
        if self.items is not None:
            record["items"] = list(self.items)
        if self.most is not None:
            record["most"] = self.most
        return record

    def __repr__(self) -> str:
        given = {name: value for name, value in self.to_record().items() if name != "effect"}
        return f"Rule.{self.effect}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


@dataclass(frozen=True, eq=False)
class Pin:
    """The items of one pin: `mask`, bool of shape (n_items,), or `item_index` in order, int32.

    At most `most` of them are pinned. An item may stand in several pins; the first takes it.
    """

    most: int
    mask: np.ndarray | None = None
    item_index: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class CompiledRules:
    """Rules as arrays over one catalogue.

    Attributes
    ----------
    removed
        True for items never to list, bool of shape (n_items,); None where nothing is removed.
    factor
        What scores are multiplied by, float32 of shape (n_items,), 1 where nothing boosts, 1e-6 to 1e6; None
        where nothing boosts at all.
    groups
        The distinct factors, largest first, each with the mask of its items. Every item stands in one
        of them, those of factor 1 too; empty where nothing boosts.
    pins
        In the order of the rules, without removed items; a pin that no item is left of is left out.
    n_unknown_items
        How many of the ids that rules name the catalogue does not have, each time that they are named. They
        are ignored.
    """

    removed: np.ndarray | None
    factor: np.ndarray | None
    groups: tuple[tuple[float, np.ndarray], ...]
    pins: tuple[Pin, ...]
    n_unknown_items: int


def check_rules(rules: Sequence[Rule | Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Return rules that were given as such or as records.

    Raises
    ------
    ArgumentError
        If `rules` is no sequence of these; the message names the place of the one at fault.
    """
    if not isinstance(rules, Sequence) or isinstance(rules, str | bytes):
        hint = "put a single rule into a list." if isinstance(rules, Rule | Mapping) else ""
        raise errors.bad_argument("rules", rules, "a list of rules", hint)
    checked = []
    for place, rule in enumerate(rules):
        try:
            checked.append(rule if isinstance(rule, Rule) else Rule.from_record(rule))
        except errors.ArgumentError as error:
            raise errors.rules.in_rule(place, error) from error
    return tuple(checked)


def compile_rules(
    rules: Sequence[Rule | Mapping[str, Any]], attributes: ItemAttributes, items: Vocabulary
) -> CompiledRules:
    """Find the items of each rule, and what becomes of each item.

    Parameters
    ----------
    rules
        As `check_rules` takes them. What is removed is removed, wherever that rule stands; boosts multiply in
        any order; pins keep theirs.
    attributes, items
        Of the same catalogue.

    Raises
    ------
    ArgumentError
        If a rule asks for an attribute that there is not, or for a value that it can't have; if there are
        more than `MOST_FACTORS` distinct factors.
    """
    if attributes.n_items != len(items):
        raise errors.rules.other_items(attributes.n_items, len(items))
    found: list[tuple[Rule, np.ndarray]] = []
    n_unknown = 0
    for place, rule in enumerate(check_rules(rules)):
        if rule.where is not None:
            try:
                found.append((rule, attributes.matches(rule.where)))  # a mask
            except errors.ArgumentError as error:
                raise errors.rules.in_rule(place, error) from error
        else:
            index = _indices(items, rule.items or ())
            found.append((rule, index[index >= 0]))  # indices in the order given
            n_unknown += int(np.count_nonzero(index < 0))
    removed = np.zeros(len(items), bool)
    for rule, which in found:
        if rule.effect == "remove":
            removed[which] = True
    factor = _factor([(rule, which) for rule, which in found if rule.effect == "boost"], len(items))
    pins = [_pin(rule, which, removed) for rule, which in found if rule.effect == "pin"]
    return CompiledRules(
        removed=removed if removed.any() else None,
        factor=factor,
        groups=() if factor is None else _groups(factor),
        pins=tuple(pin for pin in pins if pin is not None),
        n_unknown_items=n_unknown,
    )


def _which_items(effect: str, where: Any, items: Any) -> tuple[dict[str, Any] | None, tuple[Id, ...] | None]:
    """Check that one of the two ways to name items is used, and how."""
    if (where is None) == (items is None):
        raise errors.rules.not_one_of_two(effect, both=where is not None)
    if where is None:
        return None, _checked_ids(items)
    if isinstance(where, Mapping) and not where:
        hint = 'it would name every item; {"for_sale": True} names those that can be listed.'
        raise errors.bad_argument("where", where, "at least one condition", hint)
    return check_where(where), None


def _checked_ids(ids: Any) -> tuple[Id, ...]:
    """Return ids as built-in values; a bare text would fall into letters."""
    if isinstance(ids, str | bytes | Mapping) or not isinstance(ids, Iterable):
        raise errors.bad_argument("items", ids, "a list of item ids", "put a single id into a list.")
    for convert in ("to_pylist", "tolist"):  # Arrow and NumPy hand out scalars of their own
        if hasattr(ids, convert):
            ids = getattr(ids, convert)()
    checked: list[Id] = []
    for id_ in ids:
        if isinstance(id_, bool | np.bool_) or not isinstance(id_, str | int | np.integer):
            hint = f"this one is of type {type(id_).__name__}."
            raise errors.bad_argument("an item id", id_, "an integer or a string", hint)
        checked.append(str.__str__(id_) if isinstance(id_, str) else int(id_))
    return tuple(checked)


def _indices(items: Vocabulary, ids: Sequence[Id]) -> np.ndarray:
    """Return the index of each id, -1 where it is unknown; for a few, one by one is quicker."""
    return items.indices(ids) if len(ids) > 32 else np.fromiter(map(items.find, ids), np.int32, len(ids))


def _factor(boosts: Sequence[tuple[Rule, np.ndarray]], n_items: int) -> np.ndarray | None:
    """Multiply the factors of each item, None where all are 1."""
    product = np.ones(n_items)
    for rule, which in boosts:
        assert rule.factor is not None  # every boost has one
        # By indices it takes a fifth of the time that it takes by a mask.
        index = np.flatnonzero(which) if which.dtype == bool else which
        with np.errstate(over="ignore", under="ignore"):
            product[index] *= _clipped(rule.factor)  # once, also for an id that is named twice
    factor = _clipped(product).astype(np.float32)
    return None if (factor == 1).all() else factor


def _clipped(factor: Any) -> Any:
    return np.clip(factor, 1 / LARGEST_FACTOR, LARGEST_FACTOR)


def _groups(factor: np.ndarray) -> tuple[tuple[float, np.ndarray], ...]:
    """Find the distinct factors one by one: of a few that is quicker than sorting all."""
    groups: list[tuple[float, np.ndarray]] = []
    left = np.ones(len(factor), bool)
    while left.any():
        if len(groups) == MOST_FACTORS:
            raise errors.rules.too_many_factors(MOST_FACTORS)
        mask = factor == factor[left.argmax()]
        groups.append((float(factor[left.argmax()]), mask))
        left &= ~mask
    return tuple(sorted(groups, key=lambda group: -group[0]))


def _pin(rule: Rule, which: np.ndarray, removed: np.ndarray) -> Pin | None:
    """Return what a pin puts first, None where nothing is left of it."""
    if rule.where is not None:
        mask = which & ~removed
        return Pin(rule.most or 1, mask=mask) if mask.any() else None
    which = which[~removed[which]]
    _, first = np.unique(which, return_index=True)
    ordered = which[np.sort(first)]
    return Pin(rule.most or len(ordered), item_index=ordered) if len(ordered) else None
