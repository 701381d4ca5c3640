"""The exceptions themselves; each is also the built-in exception that a caller would guess."""


class EngageError(Exception):
    """Base of every error that engagelib raises on purpose."""


class ArgumentError(EngageError, ValueError):
    """An argument is outside what the function accepts."""


class SchemaError(EngageError, ValueError):
    """A table does not have the columns, types or values that were asked for.

    Attributes
    ----------
    column
        The column at fault, or None where the table as a whole is.
    row
        The first offending row, counted from 0 in the input, or None.
    """

    def __init__(self, message: str, *, column: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.column = column
        self.row = row


class NotFittedError(EngageError, ValueError, AttributeError):
    """A model or recommender was asked before it was fitted."""


class UnknownCustomerError(EngageError, LookupError):
    """A customer id that the log never held."""


class UnknownItemError(EngageError, LookupError):
    """An item id that neither the log nor the item table held."""


class UnknownDecisionError(EngageError, LookupError):
    """A decision id that the decision log does not hold."""


class DecisionLogBusyError(EngageError, TimeoutError):
    """Another writer held the decision log for longer than the caller would wait."""


class NotEnoughDataError(EngageError, ValueError):
    """The log lacks what was asked of it, such as times, sessions or enough events."""


class TooLargeError(EngageError, ValueError):
    """What was asked for would take more memory than it may."""


class NoSupportError(EngageError, ValueError):
    """The logged decisions can't answer what a policy would have brought."""


class LeakError(EngageError, ValueError):
    """Training data reaches into what it is to be tested on."""


class ArtifactError(EngageError, OSError):
    """A saved model is missing, damaged, foreign or written by a newer version."""


class MissingExtraError(EngageError, ImportError):
    """An optional package, or the kernel in C++, is not installed."""
