"""Wording of what a decision log, and what learns from one, is refused for."""

from engagelib.errors._classes import (
    ArgumentError,
    ArtifactError,
    DecisionLogBusyError,
    UnknownDecisionError,
)
from engagelib.errors._common import listed, sentence, shown


def unknown_decision(decision_id: object) -> UnknownDecisionError:
    """Word an outcome of a decision that was never logged."""
    return UnknownDecisionError(
        f"decision_id={shown(decision_id)} is not in the decision log. "
        "Hint: was it logged in another file, or its customer erased?"
    )


def repeated_decision(decision_id: object) -> ArgumentError:
    """Word a decision whose id is taken."""
    return ArgumentError(
        f"decision_id={shown(decision_id)} is in the decision log already: expected a new one. "
        "Hint: leave decision_id out, and one is drawn."
    )


def busy(path: object, seconds: float) -> DecisionLogBusyError:
    """Word a log that another writer did not let go of in time."""
    return DecisionLogBusyError(
        f"the decision log {path} was held by another writer for {seconds:g} seconds. "
        "Hint: keep deciding(...) blocks short, write batch jobs in parts, or raise timeout_seconds."
    )


def step_open(path: object) -> DecisionLogBusyError:
    """Word a write beside a step that the same thread has open, which would wait for itself."""
    return DecisionLogBusyError(
        f"this thread has a step of the decision log {path} open, and would wait for itself. "
        "Hint: inside deciding(...) write with step.append(...), or leave the block first."
    )


def step_over() -> ArgumentError:
    """Word the use of a step outside its block, or in a process forked inside of it."""
    return ArgumentError(
        "this step of a decision log is over: expected a call inside its `with` block, "
        "in the process that opened it."
    )


def traces_left(path: object, seconds: float) -> DecisionLogBusyError:
    """Word an erasure whose bytes a reader still holds in the log's journal."""
    return DecisionLogBusyError(
        f"the customer was erased from the decision log {path}, but others kept it in use "
        f"for {seconds:g} seconds, so bytes of what was erased remain in its files. "
        "Hint: call erase(...) again when nobody else reads or writes the log."
    )


def closed(path: object) -> ArgumentError:
    """Word the use of a log after `close`."""
    return ArgumentError(f"the decision log {path} is closed. Hint: open it again with DecisionLog(path).")


def inherited(path: object) -> ArgumentError:
    """Word a log in a child that was forked while the log was in use."""
    return ArgumentError(
        f"the decision log {path} was inherited from a process that forked while a step of it was open. "
        "Hint: open it anew with DecisionLog(path) in a process that is started, not forked, or fork outside "
        "of deciding(...)."
    )


def no_folder(path: object) -> ArtifactError:
    """Word a path in a folder that is not there."""
    return ArtifactError(
        f"the decision log {path} can't be made: its folder does not exist. Hint: make the folder first."
    )


def foreign_log(path: object, found: str) -> ArtifactError:
    """Word a file that is no decision log."""
    return ArtifactError(
        f"{path} is no decision log: {found}. "
        "Hint: give the path of a log that engagelib made, or of a file that does not exist yet."
    )


def newer_log(path: object, version: int, known: int) -> ArtifactError:
    """Word a log in a layout that this release does not know."""
    return ArtifactError(
        f"the decision log {path} has layout {version}; this release reads layouts up to {known}. "
        "Hint: it was written by a newer engagelib; upgrade this one."
    )


def damaged_log(path: object, text: str) -> ArtifactError:
    """Word a log that SQLite can't make sense of any more."""
    return ArtifactError(
        f"the decision log {path} is damaged: {text.rstrip('.')}. Hint: restore it from a copy, or recover "
        "what is left with `sqlite3 FILE .recover`."
    )


def bad_row(field: str, given: object, expected: str, hint: str = "") -> ArgumentError:
    """Word a decision or an outcome with a value that can't be logged."""
    return ArgumentError(sentence(f"{field}={shown(given)}: expected {expected}.", hint))


def unlike_eligible(action: str, p_logged: object, found: object) -> ArgumentError:
    """Word a decision whose chance is not the one that its action was drawn with."""
    stands = f"{action!r} has {found}" if found is not None else f"{action!r} is not among them"
    return ArgumentError(
        f"action={action!r} with p_logged={p_logged}: in eligible {stands}. "
        "Expected the action to be one of those, with the probability it was drawn with."
    )


def unknown_actions(given: object, known: object) -> ArgumentError:
    """Word actions that a bandit does not have."""
    return ArgumentError(
        f"action {shown(given)} is not one of the bandit's actions. Known: {listed(known)}. "  # type: ignore[arg-type]
        "Hint: add it with add_action(...) first."
    )


def altered_bandit(name: str, found: str, expected: str) -> ArtifactError:
    """Word a stored bandit whose numbers contradict each other."""
    return ArtifactError(
        f"the stored bandit is broken: {name} {found}, expected {expected}. "
        "Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )
