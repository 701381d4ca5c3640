"""What "auto" means for a half-life: one rule, a number of days for each model."""

from typing import Literal

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories

HalfLife = float | Literal["auto"] | None


def check_half_life(half_life_days: HalfLife, name: str = "half_life_days") -> None:
    """Refuse what is neither "auto", None nor a number above 0."""
    if half_life_days is None or (isinstance(half_life_days, str) and half_life_days == "auto"):
        return
    if not as_number(half_life_days) > 0:
        raise errors.bad_argument(name, half_life_days, '"auto", None or a number above 0')


def resolve_half_life(half_life_days: HalfLife, histories: Histories, auto: float) -> float | None:
    """Return the half-life to draw a matrix with: "auto" decays only where the log has timestamps."""
    if half_life_days == "auto":
        return auto if histories.time_kind == "timestamp" else None
    return half_life_days


HalfLifeSteps = float | Literal["auto"] | None


def check_half_life_steps(half_life_steps: HalfLifeSteps, histories: Histories) -> None:
    """Refuse what is neither "auto", None nor a number above 0, and a number where nothing has an order."""
    if half_life_steps is None or (isinstance(half_life_steps, str) and half_life_steps == "auto"):
        return
    if not as_number(half_life_steps) > 0:
        raise errors.bad_argument("half_life_steps", half_life_steps, '"auto", None or a number above 0')
    if histories.time_kind == "set":
        raise errors.log.needs_order("half_life_steps")


def resolve_half_life_steps(
    half_life_steps: HalfLifeSteps, histories: Histories, auto: float
) -> float | None:
    """Return the half-life in steps to draw with: "auto" decays only where the log has positions."""
    if half_life_steps == "auto":
        return auto if histories.time_kind == "position" else None
    return half_life_steps
