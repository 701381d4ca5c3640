"""LoggedDecisions: decisions and what came of them, as arrays, for learning from and for judging policies."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.encoding import FeatureEncoding, checked_names, column_of
from engagelib.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.frames import Refused
    from engagelib.vocabulary import Vocabulary

_PARTS: Final = (
    "action",
    "reward",
    "features",
    "p_logged",
    "allowed",
    "customer",
    "time",
    "is_control",
)


@dataclass(frozen=True, eq=False)
class LoggedDecisions:
    """Decisions that were taken, in the order given, and what came of each.

    Attributes
    ----------
    actions
        Names of the actions; codes below are places in it.
    action
        The action taken, int32 codes, shape (n,).
    reward
        What came of it, finite float64, shape (n,); 0 or 1 where it is a success or none.
    features
        What was known of each customer then, float64, shape (n, n_features); NaN is missing.
    feature_names
        One name a column.
    p_logged
        The chance that the logging policy had to choose the action taken, float64 in (0, 1], shape (n,); None
        where nobody wrote it down.
    allowed
        Which actions might have been taken, bool, shape (n, n_actions); None means every action.
    customer
        Who decisions are about, int64 codes, shape (n,): folds and intervals keep a customer in one piece.
        None means each decision is another customer's.
    time
        When it was decided, int64 microseconds since 1970, shape (n,); None where unknown.
    is_control
        Decisions of the control group, bool, shape (n,); None where there is none.
    encoding
        How the features came from columns of a table; None where they were given as arrays.
    customers
        The ids that the codes of `customer` stand for; None where codes were given.
    """

    actions: tuple[str, ...]
    action: np.ndarray
    reward: np.ndarray
    features: np.ndarray
    feature_names: tuple[str, ...]
    p_logged: np.ndarray | None = None
    allowed: np.ndarray | None = None
    customer: np.ndarray | None = None
    time: np.ndarray | None = None
    is_control: np.ndarray | None = None
    encoding: FeatureEncoding | None = None
    customers: "Vocabulary | None" = None

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        action: str = "action",
        reward: str = "outcome",
        p_logged: str | float | None = None,
        features: Iterable[str] | FeatureEncoding = (),
        customer_id: str | None = None,
        at: str | None = None,
        unit: str | None = None,
        is_control: str | None = None,
        actions: Sequence[str] | None = None,
        allowed: str | None = None,
    ) -> Self:
        """Read decisions from a table, one a row, in its order.

        Parameters
        ----------
        frame
            A Parquet or CSV path, a frame with the Arrow stream protocol (pandas, polars, pyarrow, duckdb), a
            mapping of columns or a list of records.
        action
            The column of actions taken: texts, or integers, which are named as they are written.
        reward
            The column of what came of them: numbers or booleans, none missing.
        p_logged
            The column of the chances that the actions taken had, or that chance itself where it was the same
            for all, as 1/3 in a test of three arms drawn by lot. None where nobody knows.
        features
            Columns of what was known then. Numbers stay, null is NaN; booleans become 0 and 1; each value of
            a text column becomes a feature "column=value". Or the `encoding` of other decisions, so that
            these become the same features.
        customer_id
            The column of customers; a row without one is a customer of its own.
        at, unit
            The column of times, and the unit of times that are numbers.
        is_control
            The column that is true for decisions of the control group.
        actions
            Names of all actions, in the order that codes should have. None for those taken, sorted.
        allowed
            A column of lists: the names of the actions that might have been taken.

        Raises
        ------
        SchemaError
            If a column is missing or of the wrong type, or a row holds what it can't: no action, a reward
            that is no finite number, a chance outside (0, 1].
        """
        from engagelib.frames import Refused, open_table

        chosen = features if isinstance(features, FeatureEncoding) else checked_names(features)
        ids = [action] if customer_id is None else [action, customer_id]
        table = open_table(frame, "frame", ids=ids)
        if not table.num_rows:
            raise errors.log.no_rows("the table of decisions")
        refused = Refused(np.zeros(table.num_rows, np.int32))
        names, code = _read_actions(column_of(table, action, "action"), action, actions, refused)
        read: dict[str, Any] = {
            "reward": _read_rewards(column_of(table, reward, "reward"), reward, refused),
            "p_logged": _read_chances(table, p_logged, refused),
        }
        if at is not None:
            from engagelib.frames import read_times

            read["time"] = read_times(column_of(table, at, "at"), unit, refused, column=at)
        refused.raise_first("leave out such rows, or find out what they should hold.")
        if customer_id is not None:
            column = column_of(table, customer_id, "customer_id")
            read["customer"], read["customers"] = _read_customers(column, customer_id)
        if is_control is not None:
            read["is_control"] = _read_flags(column_of(table, is_control, "is_control"), is_control)
        if allowed is not None:
            read["allowed"] = _read_allowed(column_of(table, allowed, "allowed"), allowed, names)
        encoding = (
            chosen if isinstance(chosen, FeatureEncoding) else FeatureEncoding.from_table(table, chosen)
        )
        encoded = encoding.encode_table(table)
        found = cls(names, code, features=encoded, feature_names=encoding.names, encoding=encoding, **read)
        return found.checked()

    def __len__(self) -> int:
        return len(self.action)

    def __repr__(self) -> str:
        chances = "unknown" if self.p_logged is None else "known"
        sizes = f"{len(self):,} decisions, {len(self.actions)} actions, {len(self.feature_names)} features"
        return f"LoggedDecisions({sizes}, p_logged {chances})"

    def checked(self) -> Self:
        """Return the decisions themselves, or say which array does not fit the others.

        The values of `p_logged` are left to those who divide by them.

        Raises
        ------
        ArgumentError
            If shapes disagree, an action has no name, a reward is not finite, a feature is infinite, or an
            action was taken that was not allowed.
        """
        n, n_actions = len(self.action), len(self.actions)
        if len(set(self.actions)) < n_actions or not n_actions:
            raise errors.bad_argument("actions", self.actions, "at least one name, each once")
        shapes = {
            "action": (n,),
            "reward": (n,),
            "features": (n, len(self.feature_names)),
            "allowed": (n, n_actions),
        }
        for name in _PARTS:
            part, shape = getattr(self, name), shapes.get(name, (n,))
            if part is not None and np.shape(part) != shape:
                raise errors.policies.wrong_shape(name, np.shape(part), str(shape))
        faults = {
            "action": ((self.action < 0) | (self.action >= n_actions), f"a code below {n_actions}"),
            "reward": (~np.isfinite(self.reward), "a finite number"),
            "features": (np.isinf(self.features).any(axis=1), "finite numbers, or NaN where one is missing"),
        }
        for name, (bad, expected) in faults.items():
            for row in np.flatnonzero(bad)[:1]:
                given = getattr(self, name)[row].tolist()
                raise errors.policies.unfit_value(name, int(row), given, expected)
        if self.allowed is not None:
            for row in np.flatnonzero(~self.allowed[np.arange(n), self.action])[:1]:
                raise errors.policies.taken_but_not_allowed(int(row), self.actions[self.action[row]])
        return self

    def take(self, index: np.ndarray) -> Self:
        """Return some of the decisions, by place or by mask."""
        parts = {name: getattr(self, name) for name in _PARTS}
        taken: dict[str, Any] = {name: part[index] for name, part in parts.items() if part is not None}
        return replace(self, **taken)

    def with_known(self, *, features: np.ndarray | None, allowed: np.ndarray | None) -> Self:
        """Return the same decisions with features given as an array, and with what else might have been done.

        None leaves either as it is. Features are named "feature 0" and so on.
        """
        more: dict[str, Any] = {} if allowed is None else {"allowed": allowed}
        if features is not None:
            names = tuple(f"feature {place}" for place in range(features.shape[1]))
            more |= {"features": features, "feature_names": names, "encoding": None}
        return replace(self, **more).checked()

    def prefer(self, action: str, otherwise: str = "nothing") -> np.ndarray:
        """Return the policy that takes one action wherever it might have been taken, and elsewhere another.

        Parameters
        ----------
        action, otherwise
            Names of actions. Where neither might have been taken the action that was taken stands.

        Returns
        -------
        Codes, int64 of shape (n,), as `evaluate_policy` takes them.

        Raises
        ------
        ArgumentError
            If there is no such action.
        """
        if action not in self.actions:
            raise errors.bad_argument("action", action, f"one of {', '.join(self.actions)}")
        found = np.full(len(self), self.actions.index(action), np.int64)
        if self.allowed is None:
            return found
        found[~self.allowed[:, found[0] if len(found) else 0]] = -1
        if otherwise in self.actions:
            place = self.actions.index(otherwise)
            found[(found < 0) & self.allowed[:, place]] = place
        return np.where(found < 0, self.action, found)

    @classmethod
    def concat(cls, parts: Sequence["LoggedDecisions"]) -> Self:
        """Put decisions of the same features behind each other; actions are joined by name.

        What only some of the parts have (chances, customers, times, the control group) is left out, save
        `allowed`: a part without it allowed all of its own actions. Codes of customers are taken to mean the
        same in all parts unless all of them have ids.

        Raises
        ------
        ArgumentError
            If there is no part, or their features differ.
        """
        if not parts:
            raise errors.bad_argument("parts", [], "at least one LoggedDecisions")
        first = parts[0]
        for part in parts:
            if part.feature_names != first.feature_names:
                raise errors.policies.other_features(part.feature_names, first.feature_names)
        actions = tuple(dict.fromkeys(name for part in parts for name in part.actions))
        places = [np.array([actions.index(name) for name in part.actions], np.int32) for part in parts]
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("reward", "features", "p_logged", "customer", "time", "is_control")
            if all(getattr(part, name) is not None for part in parts)
        }
        joined["action"] = np.concatenate(
            [place[part.action] for place, part in zip(places, parts, strict=True)]
        )
        same = all(part.actions == actions for part in parts)
        if not same or any(part.allowed is not None for part in parts):
            joined["allowed"] = _join_allowed(parts, places, len(actions))
        if "customer" in joined and all(part.customers is not None for part in parts):
            joined["customer"], joined["customers"] = _join_customers(parts)
        encoding = first.encoding if all(part.encoding == first.encoding for part in parts) else None
        return cls(actions, feature_names=first.feature_names, encoding=encoding, **joined).checked()

    def by_action(self, *, level: float = 0.95) -> Table:
        """Return how often each action was taken and what came of it, on average.

        Parameters
        ----------
        level
            Of the intervals, which take customers as independent; between 0 and 1. An action that fewer than
            two customers got has none.

        Returns
        -------
        A table with columns action, n, mean, low, high. Means of a policy that chose by what it knew don't
        compare actions: `evaluate_policy` does.
        """
        from engagelib.metrics import mean_estimate

        rows: list[tuple[str, int, float | None, float | None, float | None]] = []
        for code, name in enumerate(self.actions):
            there = self.action == code
            n = int(there.sum())
            customer = None if self.customer is None else self.customer[there]
            if (n if customer is None else len(np.unique(customer))) < 2:
                rows.append((name, n, float(self.reward[there].mean()) if n else None, None, None))
                continue
            found = mean_estimate(self.reward[there], customer=customer, level=level)
            rows.append((name, n, found.value, found.low, found.high))
        return Table(("action", "n", "mean", "low", "high"), tuple(rows))


def _read_actions(
    column: "pa.ChunkedArray", name: str, actions: Sequence[str] | None, refused: "Refused"
) -> tuple[tuple[str, ...], np.ndarray]:
    from engagelib.frames import encode_ids, naming

    with naming(name):
        code, distinct = encode_ids(column, name, refused)
    refused.add(code < 0, name, "null")
    found = distinct.to_pylist()
    if actions is None:
        known = tuple(str(action) for action in sorted(found))
    else:
        known = tuple(str(action) for action in actions)
        unknown = [place for place, action in enumerate(found) if str(action) not in known]
        if unknown:
            row = int(np.flatnonzero(np.isin(code, unknown))[0])
            raise errors.policies.unknown_actions(name, [found[place] for place in unknown], known, row)
    places = {action: place for place, action in enumerate(known)}
    place_of = np.array([*(places[str(action)] for action in found), -1], np.int32)
    return known, place_of[code]


def _read_rewards(column: "pa.ChunkedArray", name: str, refused: "Refused") -> np.ndarray:
    import pyarrow as pa

    from engagelib.frames import read_numbers

    rewards = read_numbers(
        column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column, name, refused
    )
    refused.add(np.isnan(rewards), name, "null")
    return rewards


def _read_chances(table: "pa.Table", given: str | float | None, refused: "Refused") -> np.ndarray | None:
    from engagelib.frames import read_numbers

    if given is None:
        return None
    if not isinstance(given, str):
        number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
        if not number or not 0 < given <= 1:
            raise errors.bad_argument(
                "p_logged", given, "the name of a column, or a number above 0 and up to 1"
            )
        return np.full(table.num_rows, float(given))
    chances = read_numbers(column_of(table, given, "p_logged"), given, refused)
    refused.add(np.isnan(chances), given, "null")
    refused.add(~((chances > 0) & (chances <= 1)), given, "no chance above 0 and up to 1")
    return chances


def _read_customers(column: "pa.ChunkedArray", name: str) -> tuple[np.ndarray, "Vocabulary"]:
    from engagelib.frames import Refused, encode_ids, naming
    from engagelib.vocabulary import Vocabulary

    refused = Refused(np.zeros(len(column), np.int32))
    with naming(name):
        code, distinct = encode_ids(column, name, refused)
    refused.raise_first("ids of that length are mostly something else.")
    vocabulary = Vocabulary.from_values(distinct)
    place = np.append(vocabulary.indices(distinct).astype(np.int64), -1)[code]
    return _numbered_apart(place, len(vocabulary)), vocabulary


def _numbered_apart(code: np.ndarray, start: int) -> np.ndarray:
    """Give each row without a customer a number of its own."""
    nobody = code < 0
    code[nobody] = start + np.arange(int(nobody.sum()))
    return code


def _read_flags(column: "pa.ChunkedArray", name: str) -> np.ndarray:
    import pyarrow as pa

    from engagelib.frames import Refused, read_numbers

    refused = Refused(np.zeros(len(column), np.int32))
    flags = read_numbers(
        column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column, name, refused
    )
    refused.add(~np.isin(flags, (0, 1)), name, "neither true nor false")
    refused.raise_first("every decision is the control group's or not.")
    return np.asarray(flags == 1)


def _read_allowed(column: "pa.ChunkedArray", name: str, actions: tuple[str, ...]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise errors.log.wrong_type(name, column.type, "lists of names of actions")
    lists = column.combine_chunks()
    rows = pc.list_parent_indices(lists).to_numpy()
    named = pc.list_flatten(lists).cast(pa.large_string())
    place = pc.fill_null(pc.index_in(named, value_set=pa.array(actions, pa.large_string())), -1).to_numpy()
    allowed = np.zeros((len(column), len(actions)), bool)
    # A name beyond the actions is one that nobody took: nothing is known of it.
    allowed[rows[place >= 0], place[place >= 0]] = True
    return allowed


def _join_allowed(
    parts: Sequence[LoggedDecisions], places: Sequence[np.ndarray], n_actions: int
) -> np.ndarray:
    blocks = []
    for part, place in zip(parts, places, strict=True):
        block = np.zeros((len(part), n_actions), bool)
        block[:, place] = True if part.allowed is None else part.allowed
        blocks.append(block)
    return np.concatenate(blocks)


def _join_customers(parts: Sequence[LoggedDecisions]) -> tuple[np.ndarray, "Vocabulary"]:
    import pyarrow as pa

    from engagelib.vocabulary import Vocabulary

    known = [part.customers for part in parts if part.customers is not None]
    every = Vocabulary.from_values(pa.concat_arrays([ids.to_arrow() for ids in known]))
    codes = []
    for part, ids in zip(parts, known, strict=True):
        place = np.append(every.indices(ids.to_arrow()).astype(np.int64), -1)
        codes.append(place[np.minimum(np.asarray(part.customer), len(ids))])
    return _numbered_apart(np.concatenate(codes), len(every)), every
