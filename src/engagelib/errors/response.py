"""Wording of what response models, uplift and the safe gate refuse."""

from engagelib.errors._classes import ArgumentError, ArtifactError, NotEnoughDataError
from engagelib.errors._common import listed, sentence


def no_decisions(what: str) -> NotEnoughDataError:
    """Word the fit of something on no decision at all."""
    return NotEnoughDataError(
        f"there is no decision to fit {what} on: expected at least 1 whose outcome is known."
    )


def bad_reward(row: int, given: float) -> ArgumentError:
    """Word a reward that is not a number."""
    return ArgumentError(
        f"reward[{row}]={given!r}: expected a finite number. "
        "Hint: leave out decisions whose outcome is not known yet; what is over without success is 0."
    )


def bad_chance(row: int, given: float) -> ArgumentError:
    """Word a logged chance outside (0, 1]."""
    return ArgumentError(
        f"p_logged[{row}]={given!r}: expected a chance above 0 and at most 1. "
        "Hint: the action taken had some chance to be taken; leave out decisions for which it is not known."
    )


def unlike_parts(name: str, given: tuple[int, ...], expected: tuple[int, ...]) -> ArgumentError:
    """Word decisions whose arrays do not fit each other."""
    return ArgumentError(f"decisions.{name} has shape {given}: expected {expected}, a row a decision.")


def unknown_code(row: int, given: int, n_actions: int) -> ArgumentError:
    """Word a code of an action that there is not."""
    return ArgumentError(f"action[{row}]={given}: expected a code from 0 to {n_actions - 1}.")


def wrong_width(given: tuple[int, ...], n_features: int) -> ArgumentError:
    """Word features that are not those that a model was fitted on."""
    return ArgumentError(
        f"features have shape {given}: expected (n, {n_features}), the features that the model was fitted on."
    )


def no_chances(what: str) -> NotEnoughDataError:
    """Word the want of logged chances."""
    return NotEnoughDataError(
        f"{what} needs the chance with which each action was chosen, and p_logged is None. "
        "Hint: decide() writes it down; for a test with equal groups pass 1 / n_actions throughout."
    )


def no_control(control: str, actions: tuple[str, ...]) -> ArgumentError:
    """Word a control that is no action."""
    return ArgumentError(
        sentence(
            f"control={control!r}: expected one of the actions {listed(actions)}.",
            "uplift is counted against customers for whom nothing was done, or one of these actions.",
        )
    )


def no_comparison(control: str, n_control: int, least: int) -> NotEnoughDataError:
    """Word decisions that have nobody to compare with."""
    return NotEnoughDataError(
        f"{n_control:,} decisions took the control {control!r}: expected at least {least}. "
        "Hint: uplift needs customers who were left alone by chance; set a control group aside and fit again."
    )


def not_randomised(control: str) -> NotEnoughDataError:
    """Word decisions of which nobody knows how they came about."""
    return NotEnoughDataError(
        f"nothing says that {control!r} was chosen by chance: p_logged and is_control are both None. "
        "Hint: without a known chance, those who got an action may differ from those who did not; "
        "pass p_logged, or is_control where a control group was drawn at random."
    )


def control_not_drawn(n_control: int, other: str) -> NotEnoughDataError:
    """Word a control group that got something else than the control."""
    return NotEnoughDataError(
        f"{n_control:,} decisions of the control group took {other!r}: expected the control throughout. "
        "Hint: a control group that is treated tells nothing of what would happen without."
    )


def not_savable(kind: str) -> ArgumentError:
    """Word the saving of a learner that has no plain arrays."""
    return ArgumentError(
        f"a learner with {kind} is not saved: expected the base 'logistic'. "
        "Hint: boosted learners are challengers; refit one where it is needed."
    )


def no_times(what: str) -> NotEnoughDataError:
    """Word a log without timestamps."""
    return NotEnoughDataError(
        f"{what} needs times, and the log has none. "
        "Hint: pass a log whose 'timestamp' says when each event happened."
    )


def too_short(days: float, least: float, horizon_days: float) -> NotEnoughDataError:
    """Word a log too short to learn a horizon from, and check it on a later one."""
    return NotEnoughDataError(
        f"the log spans {days:,.1f} days: expected at least {least:,.1f} for horizon_days={horizon_days:g}, "
        "one horizon to know customers by, two to learn from and one, later, to check the chances with. "
        "Hint: take a shorter horizon."
    )


def no_such_outcome(outcome: str, found: tuple[str, ...]) -> ArgumentError:
    """Word an event type that the log does not have."""
    return ArgumentError(f"outcomes holds {outcome!r}: expected event types of the log, {listed(found)}.")


def too_few_events(outcome: str, n_met: int, least: int) -> NotEnoughDataError:
    """Word an event that comes about too seldom to learn its chance."""
    return NotEnoughDataError(
        f"{outcome!r} follows {n_met:,} of the moments looked at: expected at least {least}. "
        "Hint: take a longer horizon, or leave that event type out."
    )


def unfit_arrays(fault: str) -> ArtifactError:
    """Word saved arrays that do not belong together."""
    return ArtifactError(f"the arrays of a response model do not fit each other: {fault}.")
