"""Every deliberate error of the library: what was given, what was expected, the likely cause.

The classes are `errors.SchemaError` and so on. How a refusal is worded stands in one module for each room,
as in `errors.log`, one function for each refusal; it returns the exception and the caller raises it, so that
tracebacks end where the fault was found.
"""

from engagelib.errors import (
    actions,
    answering,
    availability,
    batch,
    customers,
    datasets,
    decisions,
    evaluation,
    identity,
    live,
    log,
    metrics,
    models,
    policies,
    response,
    rules,
    scoring,
    store,
    value,
)
from engagelib.errors._classes import (
    ArgumentError,
    ArtifactError,
    DecisionLogBusyError,
    EngageError,
    LeakError,
    MissingExtraError,
    NoSupportError,
    NotEnoughDataError,
    NotFittedError,
    SchemaError,
    TooLargeError,
    UnknownCustomerError,
    UnknownDecisionError,
    UnknownItemError,
)
from engagelib.errors._common import bad_argument, missing_extra, not_fitted, shown, wrong_kind

__all__ = [
    "ArgumentError",
    "ArtifactError",
    "DecisionLogBusyError",
    "EngageError",
    "LeakError",
    "MissingExtraError",
    "NoSupportError",
    "NotEnoughDataError",
    "NotFittedError",
    "SchemaError",
    "TooLargeError",
    "UnknownCustomerError",
    "UnknownDecisionError",
    "UnknownItemError",
    "actions",
    "answering",
    "availability",
    "bad_argument",
    "batch",
    "customers",
    "datasets",
    "decisions",
    "evaluation",
    "identity",
    "live",
    "log",
    "metrics",
    "missing_extra",
    "models",
    "not_fitted",
    "response",
    "policies",
    "rules",
    "scoring",
    "shown",
    "store",
    "value",
    "wrong_kind",
]

# Tracebacks then show the names under which callers import them.
for _exception in (EngageError, *EngageError.__subclasses__()):
    _exception.__module__ = __name__
