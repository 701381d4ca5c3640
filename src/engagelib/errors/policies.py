"""Wording of what logged decisions, and the judging of policies by them, refuse."""

from collections.abc import Iterable, Sequence

from engagelib.errors._classes import ArgumentError, NoSupportError, NotEnoughDataError, SchemaError
from engagelib.errors._common import listed

_WANTED = "expected the chance that the logging policy had to choose the action taken, above 0 and at most 1"


def no_propensities() -> NoSupportError:
    """Word decisions of which nobody wrote down how likely they were."""
    return NoSupportError(
        f"these decisions have no p_logged: {_WANTED}. Hint: log it when deciding; where actions were drawn "
        "by lot, pass that chance to LoggedDecisions.from_frame(p_logged=...); "
        'evaluate_policy(p_logged="estimate") guesses it from the features, and is right only if they hold '
        "all that the choice depended on."
    )


def bad_propensities(
    what: str, n_bad: int, n: int, rows: Sequence[int], actions: Iterable[str]
) -> NoSupportError:
    """Word chances of the actions taken that can't be divided by; `what` is what is wrong with them."""
    names = list(actions)
    whose = f", action {listed(names)}" if names else ""
    hint = {
        "missing": "a chance that nobody wrote down can't be made up later; leave such decisions out only if "
        "what is missing has nothing to do with what came of them.",
        "0": "what was taken had some chance; was a policy without a floor rounded, or the chance of another "
        "action logged?",
    }.get(what, "was a weight or a percentage logged in the place of a chance?")
    return NoSupportError(
        f"p_logged is {what} in {n_bad:,} of {n:,} decisions (first at {listed(rows, 5)}{whose}): "
        f"{_WANTED}. Hint: {hint}"
    )


def never_taken(actions: Iterable[str], share: float, n_rows: int, n: int) -> NoSupportError:
    """Word a policy that would do what the logging policy never did."""
    return NoSupportError(
        f"the policy gives {_percent(share)} of its probability, in {n_rows:,} of {n:,} decisions, to what "
        f"was never taken: {listed(actions)}. Expected actions that the log holds. Hint: nothing in the log "
        "says what came of them; try them on some customers first."
    )


def not_allowed(actions: Iterable[str], share: float, n_rows: int, n: int) -> NoSupportError:
    """Word a policy that would do what was ruled out."""
    return NoSupportError(
        f"the policy gives {_percent(share)} of its probability, in {n_rows:,} of {n:,} decisions, to "
        f"actions that were not allowed there: {listed(actions)}. Expected probability only where `allowed` "
        "is true. Hint: have the policy choose among what is allowed."
    )


def too_few_effective(effective: float, least: float, n: int, actions: Iterable[str]) -> NoSupportError:
    """Word weights so unequal that a handful of decisions would speak for all."""
    return NoSupportError(
        f"{n:,} decisions weigh as much as {effective:,.1f} for this policy: expected an effective sample "
        f"size of at least {least:g}. The largest weights are of {listed(actions)}, which the logging "
        "policy seldom took where this one does. Hint: log more decisions, give the logging policy a "
        "floor, or judge a policy nearer to it; min_effective= lowers the limit."
    )


def no_clusters(n: int) -> NotEnoughDataError:
    """Word too few rows, or customers, for an interval."""
    return NotEnoughDataError(
        f"an interval needs at least 2 customers with decisions, found {n:,}. Hint: decisions of one "
        "customer count as one piece."
    )


def wrong_shape(name: str, shape: Sequence[int], expected: str) -> ArgumentError:
    """Word an array that does not fit the decisions."""
    return ArgumentError(f"{name} has shape {tuple(shape)}: expected {expected}.")


def unfit_value(name: str, row: int, given: object, expected: str) -> ArgumentError:
    """Word the first entry of an array that can't be."""
    return ArgumentError(f"{name}[{row}]={given!r}: expected {expected}.")


def not_probabilities(policy: str, row: int, total: float) -> ArgumentError:
    """Word a policy whose probabilities are none."""
    return ArgumentError(
        f"the probabilities of {policy} at row {row} sum to {total:.6g}: expected numbers from 0 to 1 that "
        "sum to 1. Hint: scores or expected rewards are no probabilities; pass np.argmax(scores, axis=1) "
        "for the best by score."
    )


def unknown_action(given: object, actions: Iterable[str]) -> ArgumentError:
    """Word an action that the decisions don't know."""
    return ArgumentError(f"action {given!r} is none of these decisions: expected one of {listed(actions)}.")


def no_policy(given: str) -> ArgumentError:
    """Word something that says nothing of what to do."""
    return ArgumentError(
        f"a policy of type {given} can't be judged: expected the name of an action, an array of "
        "probabilities (n, n_actions) or of codes (n,), a function of features, an object with "
        "action_probabilities(features), or a learner with fit(decisions) and predict(features)."
    )


def unknown_actions(column: str, names: Iterable[object], known: Iterable[str], row: int) -> SchemaError:
    """Word actions beyond those that were named."""
    return SchemaError(
        f"column {column!r}: {listed(map(repr, names))} is none of actions= (first at row {row}): expected "
        f"one of {listed(known)}. Hint: name every action that was taken.",
        column=column,
        row=row,
    )


def missing_column(column: str, asked_by: str, found: Iterable[str]) -> SchemaError:
    """Word a column that an argument names and the table lacks."""
    return SchemaError(
        f"column {column!r}, which {asked_by}= names, is missing. Found: {listed(found)}.", column=column
    )


def too_many_values(column: str, n_values: int, limit: int) -> SchemaError:
    """Word a text column that would become more features than make sense."""
    return SchemaError(
        f"column {column!r} holds {n_values:,} different texts: expected at most {limit} of a feature, each "
        "becomes a column. Hint: ids are no features; group rare values first.",
        column=column,
    )


def other_features(given: Sequence[str], expected: Sequence[str]) -> ArgumentError:
    """Word decisions that were described in another way."""
    return ArgumentError(
        f"the features differ: {listed(given)}, expected {listed(expected)}. "
        "Hint: pass the first one's encoding as features= to LoggedDecisions.from_frame() for the others."
    )


def taken_but_not_allowed(row: int, action: str) -> ArgumentError:
    """Word a decision that its own table rules out."""
    return ArgumentError(
        f"decision {row} took {action!r}, which `allowed` rules out there: expected the action taken to be "
        "among those allowed. Hint: do the columns of `allowed` stand in the order of `actions`?"
    )


def one_arm_only(n_treated: int, n: int) -> NoSupportError:
    """Word an uplift without anything to compare with."""
    return NoSupportError(
        f"{n_treated:,} of {n:,} rows are treated: expected some with and some without treatment. Hint: "
        "uplift can't be measured without a control group."
    )


def not_binary_for_score(row: int, value: float) -> ArgumentError:
    """Word an outcome for which no best possible order is known."""
    return ArgumentError(
        f"outcome[{row}]={value!r}: expected 0 or 1, as a normalised score compares with the best possible "
        "order. Hint: normalized=False takes any outcome."
    )


def needs_time() -> NotEnoughDataError:
    """Word folds by time of decisions without."""
    return NotEnoughDataError(
        'split="time" needs the time of each decision, which these do not have. '
        "Hint: pass at= to LoggedDecisions.from_frame()."
    )


def too_few_for_folds(n: int, n_folds: int, what: str) -> NotEnoughDataError:
    """Word fewer customers, or moments, than folds."""
    return NotEnoughDataError(
        f"{n:,} different {what} can't be cut into {n_folds} folds: expected at least {n_folds}. Hint: pass "
        "a smaller n_folds."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
