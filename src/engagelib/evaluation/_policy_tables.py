"""PolicyEvaluation: what policies would have brought, as a table, records, a frame or a plot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engagelib import errors
from engagelib.evaluation._asking import Shown
from engagelib.exporting import frame_of
from engagelib.metrics import Estimate, Reliability
from engagelib.tables import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class PolicyValue:
    """What a policy would have brought, by one estimator.

    Attributes
    ----------
    value
        Mean reward a decision.
    over_best
        What it gains on the best constant, decision by decision; None where no constant can be judged.
    over_logging
        What it gains on the logging policy, decision by decision.
    mean_weight
        Mean of the weights before clipping: 1 but for chance where the logged chances are right and cover
        the policy.
    share_clipped
        Share of the decisions whose weight was cut down to `max_weight`.
    warning
        What speaks against the figure, empty where nothing does.
    """

    value: Estimate
    over_best: Estimate | None
    over_logging: Estimate
    mean_weight: float
    share_clipped: float = 0.0
    warning: str = ""


@dataclass(frozen=True)
class Constant:
    """What always taking one action would have brought.

    Attributes
    ----------
    n
        How often it was taken.
    lowest_p_logged
        The smallest chance it was taken by, None where it never was.
    values
        By estimator; empty where the log can't tell.
    refusal
        Why the log can't tell, empty where it can.
    """

    n: int
    lowest_p_logged: float | None
    values: dict[str, PolicyValue] = field(default_factory=dict)
    refusal: str = ""


@dataclass(frozen=True, repr=False, eq=False)
class PolicyEvaluation(Shown):
    """What `evaluate_policy` found; prints as a table, a row for each policy and estimator.

    Attributes
    ----------
    policies
        What each policy would have brought: under its name, by estimator.
    best_constant
        The same of the best constant, chosen for each fold by the others: what is chosen by the same
        decisions as it is judged by looks better than it is. None where no constant can be judged.
    chosen
        The action that was the best constant, fold by fold.
    constants
        What always taking each action would have brought.
    logging
        What the logging policy did bring.
    control
        What came of the control group, None where there is none.
    n_decisions, n_customers
        Judged; the control group is not among them.
    level
        Of all intervals.
    estimated
        Whether the logged chances were guessed from the features.
    max_weight
        As asked for.
    calibration
        What the outcome model expected of the actions taken beside what came of them, where rewards are 0 or
        1 and the doubly robust estimator was asked for.
    pairs
        The difference of each two policies, the second less the first, by estimator.
    """

    policies: dict[str, dict[str, PolicyValue]]
    best_constant: dict[str, PolicyValue] | None
    chosen: tuple[str, ...]
    constants: dict[str, Constant]
    logging: Estimate
    control: Estimate | None
    n_decisions: int
    n_customers: int
    level: float
    estimated: bool
    max_weight: float | None
    calibration: Reliability | None
    pairs: dict[tuple[str, str], dict[str, Estimate]]

    @property
    def estimators(self) -> tuple[str, ...]:
        """The estimators asked for, in order."""
        return tuple(next(iter(self.policies.values())))

    def __getitem__(self, policy: str) -> Mapping[str, PolicyValue]:
        if policy not in self.policies:
            raise errors.bad_argument("policy", policy, f"one of {', '.join(self.policies)}")
        return self.policies[policy]

    def to_frame(self) -> Any:
        """Return the rows as a pandas frame, or a pyarrow table where pandas is not installed."""
        table = self._table()
        return frame_of(dict(zip(table.columns, map(list, zip(*table.rows, strict=True)), strict=True)))

    def by_action(self) -> Table:
        """Return what always taking each action would have brought, best first, and how well it is "
        "covered.
        """
        leading = self.estimators[-1]
        rows: list[tuple[Cell, ...]] = []
        for name, found in sorted(self.constants.items(), key=_rank_of(leading)):
            if not found.values:
                blank: tuple[Cell, ...] = (None, None, None, None, None)
                rows.append((name, found.n, found.lowest_p_logged, *blank, found.refusal))
                continue
            judged = found.values[leading]
            value = judged.value
            effective = round(value.effective_sample_size)
            figures = (value.value, value.low, value.high, effective, judged.mean_weight)
            rows.append((name, found.n, found.lowest_p_logged, *figures, judged.warning))
        names = (
            "action",
            "n",
            "lowest_p_logged",
            leading,
            "low",
            "high",
            "effective_n",
            "mean_weight",
            "note",
        )
        return Table(names, tuple(rows))

    def differences(self) -> Table:
        """Return how far each two policies are apart, by estimator: a table with no row for a single one."""
        rows = [
            (second, first, estimator, found.value, found.low, found.high)
            for (first, second), by_estimator in self.pairs.items()
            for estimator, found in by_estimator.items()
        ]
        return Table(("policy", "less", "estimator", "difference", "low", "high"), tuple(rows))

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw the values with their intervals: see `engagelib.plots.plot_policies`."""
        # Plots lie above this room, so that they are found by name where they are wanted.
        from importlib import import_module

        axes: Axes = import_module("engagelib.plots").plot_policies(self, ax=ax)
        return axes

    def _table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name, by_estimator in self.policies.items():
            rows += [_row(name, estimator, found) for estimator, found in by_estimator.items()]
        if self.best_constant is not None:
            label = f"best constant: {_counted_names(self.chosen)}"
            rows += [_row(label, estimator, found) for estimator, found in self.best_constant.items()]
        for label, mean in (("logging policy", self.logging), ("control group", self.control)):
            if mean is not None:
                figures = (mean.value, mean.low, mean.high, *(None,) * 6, mean.n, None)
                rows.append((label, "as it came", *figures, ""))
        return Table(_COLUMNS, tuple(rows), self._title())

    def _title(self) -> str:
        chances = "p_logged GUESSED from the features" if self.estimated else "p_logged as logged"
        clipped = "" if self.max_weight is None else f", weights clipped at {self.max_weight:g} (biased)"
        return (
            f"{self.n_decisions:,} decisions, {self.n_customers:,} customers, {len(self.constants)} actions; "
            f"{100 * self.level:g}% intervals; {chances}{clipped}"
        )


_COLUMNS = (
    "policy",
    "estimator",
    "value",
    "low",
    "high",
    "over_best",
    "best_low",
    "best_high",
    "over_logging",
    "logging_low",
    "logging_high",
    "effective_n",
    "mean_weight",
    "note",
)


def _row(name: str, estimator: str, found: PolicyValue) -> tuple[Cell, ...]:
    value, logging, best = found.value, found.over_logging, found.over_best
    gain = (None, None, None) if best is None else (best.value, best.low, best.high)
    return (
        name,
        estimator,
        value.value,
        value.low,
        value.high,
        *gain,
        logging.value,
        logging.low,
        logging.high,
        round(value.effective_sample_size),
        found.mean_weight,
        found.warning,
    )


def _rank_of(estimator: str) -> Any:
    """Return a key that sorts constants from the best down, and those without a value last."""

    def key(entry: tuple[str, Constant]) -> tuple[bool, float]:
        values = entry[1].values
        return (not values, -values[estimator].value.value if values else 0.0)

    return key


def _counted_names(chosen: tuple[str, ...]) -> str:
    """Spell which actions were chosen: alone where all folds agree, else in how many folds."""
    names = dict.fromkeys(chosen)
    if len(names) == 1:
        return chosen[0]
    return ", ".join(f"{name} ({chosen.count(name)} of {len(chosen)} folds)" for name in names)
