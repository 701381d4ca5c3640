"""What deciding answers with: ranked actions and their terms, decisions, and tables for many customers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from engagelib.actions.arbitration import SUPPRESSED_BY, Suppression
from engagelib.exporting import frame_of
from engagelib.tables import Cell, Table, html_table, text_table
from engagelib.vocabulary import Id, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.actions.customers import Stage


class RankedAction(NamedTuple):
    """One candidate, and every term of its priority.

    `priority = chance * value * lever - cost`, where `chance` is `uplift` if there is one, else `p_success`.

    Attributes
    ----------
    action, title
        Its name, and what people read.
    rank
        Place in the list, from 1.
    priority
        What doing it is expected to bring, in money; 0 for doing nothing.
    p_success
        The chance of a success if it is done, in [0, 1]; for "nothing" the chance without any action, None
        where that is not known.
    uplift
        How much doing it raises that chance; None where no control group or randomisation tells.
    value, lever, cost
        What a success is worth to the shop, the shop's own weight, what doing it costs.
    basis
        Where the chance comes from: "decisions"; "constant", the same for everybody because nothing better
        has proved itself; "event log", the chance that the event comes about anyway; "prior", next to
        nothing is known; "none" for doing nothing.
    """

    action: str
    title: str
    rank: int
    priority: float
    p_success: float | None
    uplift: float | None
    value: float
    lever: float
    cost: float
    basis: str


@dataclass(frozen=True, eq=False)
class ActionRecommendations(Sequence[RankedAction]):
    """The actions that may be done for a customer, best first, and those that may not.

    Attributes
    ----------
    customer_id
        As it was asked for; None for an anonymous visitor.
    known
        Whether there is a history of this customer.
    stage
        Where they stand in the lifecycle, since when and why.
    at
        The moment of the answer.
    is_control
        Whether they belong to the control group, and are left alone.
    suppressed
        Every other action, with the first rule that stands against it.
    expected_value
        What the customer is expected to bring within the horizon of `NextBestAction.value_`, in money; None
        where nothing is expected of anybody, as in a log without values.
    """

    _entries: tuple[RankedAction, ...]
    customer_id: Any
    known: bool
    stage: "Stage"
    at: datetime
    is_control: bool
    suppressed: tuple[Suppression, ...]
    expected_value: float | None = None

    @overload
    def __getitem__(self, index: int) -> RankedAction: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RankedAction, ...]: ...
    def __getitem__(self, index: int | slice) -> RankedAction | tuple[RankedAction, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[RankedAction]:
        return iter(self._entries)

    @property
    def actions(self) -> list[str]:
        """Names of the actions, best first; "nothing" is always among them."""
        return [entry.action for entry in self._entries]

    def to_records(self) -> list[dict[str, Any]]:
        """Return one mapping an action, of built-in types alone, ready for `json.dumps`."""
        return [entry._asdict() for entry in self._entries]

    def to_frame(self) -> Any:
        """Return a pandas frame, or a pyarrow table where pandas is not installed."""
        names = RankedAction._fields
        return frame_of({name: [getattr(entry, name) for entry in self._entries] for name in names})

    def __str__(self) -> str:
        parts = [text_table(*self._shown(), title=self._title())]
        if self.suppressed:
            parts.append(text_table(*self._left_out(), title="Not now"))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"ActionRecommendations({self.actions!r})"

    def _repr_html_(self) -> str:
        parts = [html_table(*self._shown(), title=self._title())]
        if self.suppressed:
            parts.append(html_table(*self._left_out(), title="Not now"))
        return "".join(parts)

    def _title(self) -> str:
        who = "an anonymous visitor" if self.customer_id is None else f"customer {self.customer_id}"
        text = f"For {who}: {self.stage.name.replace('_', ' ')} ({self.stage.reason})"
        return f"{text}; of the control group" if self.is_control else text

    def _shown(self) -> tuple[list[str], list[tuple[Cell, ...]]]:
        rows = [
            (
                entry.rank, entry.title, entry.priority, entry.p_success, entry.uplift, entry.value,
                entry.lever, entry.cost, entry.basis,
            )
            for entry in self._entries
        ]  # fmt: skip
        names = ["rank", "action", "priority", "p_success", "uplift", "value", "lever", "cost", "basis"]
        kept = [place for place, name in enumerate(names) if any(row[place] is not None for row in rows)]
        return [names[place] for place in kept], [tuple(row[place] for place in kept) for row in rows]

    def _left_out(self) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
        return ("action", "rule", "why"), [tuple(one) for one in self.suppressed]


@dataclass(frozen=True)
class Decision:
    """An action that was drawn and written down.

    Attributes
    ----------
    decision_id
        What `NextBestAction.record` takes.
    customer_id
        The customer, by the id that stays.
    action, title
        What to do; "nothing" is to leave them alone.
    p_logged
        The chance that it was drawn, in (0, 1]; 1 for the control group, of whom nothing is drawn.
    p_success, uplift, value, lever, cost, priority, basis
        As for `RankedAction`.
    is_control
        Whether they belong to the control group.
    at, channel, location
        When and where.
    probabilities
        By name the chance of each action that could have been drawn.
    suppressed
        Every other action, with the first rule that stands against it.
    """

    decision_id: str
    customer_id: Id
    action: str
    title: str
    p_logged: float
    p_success: float | None
    uplift: float | None
    value: float
    lever: float
    cost: float
    priority: float
    basis: str
    is_control: bool
    at: datetime
    channel: Id | None
    location: Id | None
    probabilities: Mapping[str, float]
    suppressed: tuple[Suppression, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return the decision as built-in types, ready for JSON."""
        plain = {**self.__dict__, "at": self.at.isoformat(), "probabilities": dict(self.probabilities)}
        return plain | {"suppressed": [one._asdict() for one in self.suppressed]}


@dataclass(frozen=True, eq=False)
class ActionTable:
    """Ranked actions for many customers as arrays.

    Attributes
    ----------
    customer_ids
        Whom each row is for.
    names
        The actions; the first is "nothing".
    action_index
        Places in `names`, int16 of shape (n_customers, k), best first, -1 where a list is short.
    priority, p_success
        float32 of the same shape, NaN where a list is short; `p_success` also where it is not known.
    stage
        int8 codes into `stages`, shape (n_customers,).
    is_control
        bool, shape (n_customers,).
    suppressed
        How many customers each rule kept from each action: shape (n_actions, n_rules), in the order of
        `names` without "nothing", and of `SUPPRESSED_BY`.
    """

    customer_ids: Sequence[Id] | Vocabulary
    names: tuple[str, ...]
    action_index: np.ndarray
    priority: np.ndarray
    p_success: np.ndarray
    stage: np.ndarray
    stages: tuple[str, ...]
    is_control: np.ndarray
    suppressed: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.action_index)

    def __repr__(self) -> str:
        n_rows, k = self.action_index.shape
        return f"ActionTable({n_rows:,} customers, k={k})"

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def actions(self, row: int) -> list[str]:
        """Return the actions of one customer, best first."""
        return [self.names[place] for place in self.action_index[row].tolist() if place >= 0]

    def summary(self) -> Table:
        """Say of each action how many customers it is best for, and what keeps the others from it."""
        n_actions = len(self.names)
        best = np.bincount(self.action_index[:, 0].astype(np.int64), minlength=n_actions)
        rows: list[tuple[Cell, ...]] = []
        for place, name in enumerate(self.names):
            kept = self.suppressed[place - 1] if place else np.zeros(len(SUPPRESSED_BY), np.int64)
            why = [f"{rule} {kept[at]:,}" for at, rule in enumerate(SUPPRESSED_BY) if kept[at]]
            rows.append((name, int(best[place]), int(kept.sum()), ", ".join(why)))
        columns = ("action", "best for", "suppressed for", "by")
        return Table(columns, tuple(rows), title=f"{len(self):,} customers")

    def to_table(self) -> "pa.Table":
        """Return an Arrow table of customer_id, rank, action, priority, p_success, stage and is_control."""
        import pyarrow as pa

        from engagelib import errors
        from engagelib.recommender.recommendations import plain_ids

        row, place = np.nonzero(self.action_index >= 0)
        ids = self.customer_ids
        try:
            customers = ids.to_arrow() if isinstance(ids, Vocabulary) else pa.array(ids)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise errors.log.mixed_ids(sorted({type(one).__name__ for one in ids}), "customer_id") from error
        named = pa.DictionaryArray.from_arrays(
            pa.array(self.action_index[row, place].astype(np.int32)), pa.array(self.names)
        )
        stages = pa.DictionaryArray.from_arrays(
            pa.array(self.stage[row].astype(np.int32)), pa.array(self.stages)
        )
        return pa.table(
            {
                "customer_id": plain_ids(customers.take(pa.array(row))),
                "rank": pa.array((place + 1).astype(np.int32)),
                "action": named.cast(pa.string()),
                "priority": pa.array(self.priority[row, place]),
                "p_success": pa.array(self.p_success[row, place], from_pandas=True),
                "stage": stages.cast(pa.string()),
                "is_control": pa.array(self.is_control[row]),
            }
        )

    def to_frame(self) -> Any:
        """Return the same as a pandas frame, or as a pyarrow table where pandas is not installed."""
        table = self.to_table()
        return frame_of({name: table[name].to_pylist() for name in table.column_names})
