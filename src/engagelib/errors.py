"""Every deliberate error of the library: what was given, what was expected, the likely cause.

Each class is also the built-in exception that a caller would guess. The functions below the classes
word the messages, one function for each refusal, so that the wording stands in one place.
"""

from collections.abc import Iterable, Sequence


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


class NotEnoughDataError(EngageError, ValueError):
    """The log lacks what was asked of it, such as times, sessions or enough events."""


class LeakError(EngageError, ValueError):
    """Training data reaches into what it is to be tested on."""


class ArtifactError(EngageError, OSError):
    """A saved model is missing, damaged, foreign or written by a newer version."""


class MissingExtraError(EngageError, ImportError):
    """An optional package that a feature needs is not installed."""


# Wording. Each function returns the exception; the caller raises it, so that tracebacks end where the
# fault was found.


def bad_argument(name: str, given: object, expected: str, hint: str = "") -> ArgumentError:
    """Word an argument outside its range: `k=0: expected an integer of at least 1.` is one such text."""
    return ArgumentError(_sentence(f"{name}={given!r}: expected {expected}.", hint))


def not_fitted(what: str) -> NotFittedError:
    """Word the use of `what`, a class name, before `fit`."""
    return NotFittedError(f"this {what} is not fitted yet. Call fit() first, or load() a saved one.")


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Word a feature whose optional package is not installed."""
    return MissingExtraError(f"{package} is not installed. Hint: pip install 'engagelib[{extra}]'.")


def _sentence(message: str, hint: str) -> str:
    return f"{message} Hint: {hint}" if hint else message


def _listed(names: Iterable[object], limit: int = 8) -> str:
    """Spell out the first names of a list, and how many there are beyond."""
    shown: Sequence[object] = list(names)
    text = ", ".join(str(name) for name in shown[:limit])
    return f"{text} and {len(shown) - limit:,} more" if len(shown) > limit else text or "none"


# ids


def mixed_ids(kinds: Iterable[str], column: str = "") -> SchemaError:
    """Word ids of more than one type, or of a type that no id can have."""
    return SchemaError(
        f"{_holder(column)} values of type {_listed(kinds)}: expected either integers or strings throughout. "
        "Hint: 1 and '1' are two ids; bring the column to one type before reading it.",
        column=column or None,
    )


def large_ids(column: str = "") -> SchemaError:
    """Word integer ids that 64 bits with a sign do not hold."""
    return SchemaError(
        f"{_holder(column)} integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
        "Hint: read such ids as strings.",
        column=column or None,
    )


def unencodable(column: str = "") -> SchemaError:
    """Word text with half a surrogate pair, which Python can hold and UTF-8 can't."""
    return SchemaError(
        f"{_holder(column)} text with a lone surrogate: expected text that UTF-8 can hold. "
        "Hint: it may come from a file decoded as something that it is not.",
        column=column or None,
    )


def _holder(column: str) -> str:
    return f"column {column!r} holds" if column else "the ids hold"


# Reading a log. `rows` are the first offending rows, counted from 0.


def missing_column(
    column: str,
    found: Iterable[str],
    likely: str | None = None,
    *,
    asked_for: str | None = None,
    renames: bool = True,
    in_index: bool = False,
) -> SchemaError:
    """Word a column that the table does not have: a required one, or one that `columns=` names."""
    if asked_for:
        message = (
            f"column {column!r}, which columns= names as {asked_for!r}, is missing. Found: {_listed(found)}."
        )
        return SchemaError(message, column=column)
    hint = (
        f'pass columns={{"{column}": "{likely or "your name for it"}"}}.' if renames else "rename the column."
    )
    hint = "it is the frame's index, which is not read; pass frame.reset_index()." if in_index else hint
    return SchemaError(
        _sentence(f"column {column!r} is missing. Found: {_listed(found)}.", hint), column=column
    )


def wrong_type(column: str, given: object, expected: str, hint: str = "") -> SchemaError:
    """Word a column whose type can't be what it should hold."""
    return SchemaError(
        _sentence(f"column {column!r} is of type {given}: expected {expected}.", hint), column=column
    )


def float_ids(column: str) -> SchemaError:
    """Word a column of ids that are floating-point numbers."""
    hint = (
        "a null among integers often turns them into floats, which are exact only up to 2**53; "
        'read the column as a nullable integer, such as pandas\' "Int64".'
    )
    return wrong_type(column, "float", "ids as integers or strings", hint)


def bad_rows(column: str, reason: str, rows: Sequence[int], count: int, hint: str = "") -> SchemaError:
    """Word rows of one column that are refused for one reason."""
    hint = hint or 'on_bad="quarantine" sets such rows aside in log.rejected.'
    plural = "row" if count == 1 else "rows"
    message = f"column {column!r}: {reason} ({count:,} {plural}, first at {_listed(rows, 5)})."
    return SchemaError(_sentence(message, hint), column=column, row=rows[0] if len(rows) else None)


def implausible_times(
    column: str,
    years: tuple[int, int],
    rows: Sequence[int],
    count: int,
    units: tuple[str, str | None],
    *,
    numeric: bool = True,
) -> SchemaError:
    """Word times outside the years 1990 to 2200; `units` are the unit read and the one that would fit.

    Where the column was not `numeric`, the wrong unit was chosen before it came here.
    """
    read, fitting = (_UNITS.get(unit or "") for unit in units)
    remedy = "pass" if numeric else "pass the numbers themselves with"
    looks = f'these look like {fitting} read as {read}; {remedy} unit="{units[1]}".' if fitting else ""
    hint = looks or 'check the column; on_bad="quarantine" sets such rows aside in log.rejected.'
    span = f"the years {years[0]} to {years[1]}" if years[0] != years[1] else f"the year {years[0]}"
    limit = "after the year 2200" if years[1] > 2200 else "before the year 1990"
    plural = "row" if count == 1 else "rows"
    message = f"column {column!r} spans {span} ({count:,} {plural}). Times {limit} are refused."
    return SchemaError(_sentence(message, hint), column=column, row=rows[0] if len(rows) else None)


_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def no_rows(what: str) -> SchemaError:
    """Word a table without a single row."""
    return SchemaError(
        f"{what} has no rows: expected at least one event. "
        "Hint: check the path, query or filter that it came from."
    )


def arrow_refused(text: str, column: str | None = None) -> SchemaError:
    """Word a table that Arrow itself could not take over."""
    where = f"column {column!r}" if column else "the table"
    hint = "bring the values of each column to one type, and all columns to one length."
    return SchemaError(_sentence(f"{where} could not be read: {text.rstrip('.')}.", hint), column=column)


def unreadable_file(path: object, text: str) -> SchemaError:
    """Word a file whose content is not what its name says."""
    return SchemaError(
        f"{path} could not be read: {text.rstrip('.')}. "
        "Hint: expected Parquet, or CSV in UTF-8 with one header line, as the file's name says."
    )


def repeated_column(column: str) -> SchemaError:
    """Word a table in which a name that is to be read stands twice."""
    return SchemaError(
        f"column {column!r} stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them.",
        column=column,
    )


def repeated_items(count: int, first: object) -> SchemaError:
    """Word an item table that names an item more than once."""
    return SchemaError(
        f"items: {count:,} item {'id stands' if count == 1 else 'ids stand'} more than once, "
        f"the first is {first!r}: "
        "expected one row for each item. Hint: keep the newest row of each item.",
        column="item_id",
    )


def other_id_type(column: str, given: str, expected: str, where: str) -> SchemaError:
    """Word ids whose type differs from those they are to be joined with."""
    spelled = {"int": "integers", "str": "strings"}
    return SchemaError(
        f"{where}: column {column!r} holds {spelled[given]}, the log holds {spelled[expected]}. "
        "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type.",
        column=column,
    )


def other_time_kind(given: str, expected: str) -> SchemaError:
    """Word logs to be joined whose order is told in different ways."""
    return SchemaError(
        f"the log to append tells order by {given!r}, this log by {expected!r}: expected the same. "
        "Hint: give both a 'timestamp', or both a 'position'."
    )


def nothing_to_learn(n_events: int) -> NotEnoughDataError:
    """Word a log in which no event names an item."""
    return NotEnoughDataError(
        f"none of the log's {n_events:,} events names an item: expected at least one. "
        "Hint: look at log.report() and log.rejected."
    )


def no_weighted_events(event_types: Iterable[str], known: Iterable[str]) -> NotEnoughDataError:
    """Word a log in which no event says anything about interest, as its types are unknown."""
    return NotEnoughDataError(
        f"no event type of the log counts as interest (found: {_listed(event_types)}): expected one of "
        f"{_listed(known)}. Hint: name yours when the log is read, as in "
        'event_types={"listen": "view"}.'
    )


def no_likeness(models: Iterable[str]) -> NotEnoughDataError:
    """Word a question for similar items to models that know of none."""
    return NotEnoughDataError(
        f"no model knows which items are alike (models: {_listed(models)}). "
        "Hint: fit with item_knn among the models."
    )


def unknown_kind(path: str, kind: str, known: Iterable[str]) -> ArtifactError:
    """Word an artifact that holds something this version does not know."""
    return ArtifactError(f"{path} holds a {kind!r}: expected one of {_listed(known)}.")


def unknown_model(name: str, known: Iterable[str]) -> ArtifactError:
    """Word a saved model whose kind this version does not know."""
    return ArtifactError(
        f"the file holds a model named {name!r}: expected one of {_listed(known)}. "
        "Hint: it may come from a newer version of engagelib."
    )


def unknown_customer(customer_id: object, kind: str) -> UnknownCustomerError:
    """Word a customer id that is not there; `kind` is the type of those that are."""
    return UnknownCustomerError(f"customer {customer_id!r} is unknown{_other_type(customer_id, kind)}.")


def unknown_item(item_id: object, kind: str) -> UnknownItemError:
    """Word an item id that is not there; `kind` is the type of those that are."""
    return UnknownItemError(f"item {item_id!r} is unknown{_other_type(item_id, kind)}.")


def _other_type(given: object, kind: str) -> str:
    if isinstance(given, str) == (kind == "str") and not isinstance(given, bool | float):
        return " to this model or log"
    spelled = {"int": "integers", "str": "strings"}[kind]
    return f": ids here are {spelled}, and this one is of type {type(given).__name__}"


def needs_order(what: str) -> NotEnoughDataError:
    """Word something that needs the order of events on a log that has none."""
    return NotEnoughDataError(
        f"{what} needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column."
    )


def needs_column(what: str, column: str) -> NotEnoughDataError:
    """Word something that needs a column which the log does not have."""
    return NotEnoughDataError(f"{what} needs the column {column!r}, which this log does not have.")


def needs_time(what: str, time_kind: str) -> NotEnoughDataError:
    """Word something that needs real times on a log that has none."""
    return NotEnoughDataError(
        f"{what} needs a timestamp for each event; this log tells order by {time_kind!r}. "
        "Hint: read the log with a 'timestamp' column."
    )


# metrics


def item_out_of_range(row: int, position: int, item: int, n_items: int) -> ArgumentError:
    """Word a list that holds an item which the catalogue has not."""
    return bad_argument(
        f"item_index[{row}, {position}]",
        item,
        f"an item below n_items={n_items}, counted from 0, or -1 after the last one",
        "the lists and what they are judged by must number their items alike.",
    )


def padding_before_item(row: int, position: int) -> ArgumentError:
    """Word a list with a hole, which would shift the ranks of what follows."""
    return bad_argument(
        f"item_index[{row}, {position}]", -1, "padding only after the last item of a list, but one follows"
    )


def repeated_item(row: int, item: int) -> ArgumentError:
    """Word a list that holds an item twice, which would count one hit as two."""
    return ArgumentError(
        f"row {row} of item_index holds item {item} more than once: "
        "expected each item at most once in a list."
    )


def rows_differ(name: str, n_rows: int, other: str, n_other: int) -> ArgumentError:
    """Word two arrays that should have a row each for the same customers."""
    return ArgumentError(
        f"{name} has {n_rows:,} rows and {other} has {n_other:,}: expected as many, in the same order."
    )


def not_a_sparse_matrix(name: str, given: str) -> ArgumentError:
    """Word something else where a SciPy sparse matrix is due."""
    return ArgumentError(
        f"{name} is {given}: expected a SciPy sparse matrix of shape (n_rows, n_items). "
        "Hint: wrap a dense array in scipy.sparse.csr_array."
    )


# scoring


def wrong_kind(name: str, given: str, expected: str) -> ArgumentError:
    """Word an operand of the wrong sort: a matrix that is not sparse, indices that are not integers."""
    return ArgumentError(f"{name} is of type {given}: expected {expected}.")


def wrong_dimensions(name: str, shape: tuple[int, ...], expected: str) -> ArgumentError:
    """Word an array with too many or too few dimensions."""
    return ArgumentError(f"{name} has the shape {shape}: expected {expected}.")


def wrong_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...], meaning: str) -> ArgumentError:
    """Word an operand that does not fit the others."""
    return ArgumentError(f"{name} has the shape {shape}: expected {expected}, {meaning}.")


def shapes_differ(
    left: str, left_shape: tuple[int, ...], right: str, right_shape: tuple[int, ...], expected: str
) -> ArgumentError:
    """Word two operands that do not fit each other."""
    return ArgumentError(
        f"{left} has the shape {left_shape} and {right} has the shape {right_shape}: expected {expected}."
    )


def wrong_mask(name: str, dtype: object, shape: tuple[int, ...], n_items: int) -> ArgumentError:
    """Word a mask over the items that is not one."""
    return ArgumentError(
        f"{name} has the type {dtype} and the shape {shape}: expected one bool an item, ({n_items},)."
    )


def broken_rows(name: str, fault: str, hint: str) -> ArgumentError:
    """Word a sparse matrix whose arrays contradict each other."""
    return ArgumentError(_sentence(f"{name} is not a valid CSR matrix: {fault}.", hint))


def not_finite(name: str, position: tuple[int, ...], value: float) -> ArgumentError:
    """Word a NaN, an infinity, or a number too large for float32."""
    return ArgumentError(f"{name}{list(position)} is {value}: expected numbers that are finite in float32.")


def bad_index(name: str, position: tuple[int, ...], value: int, low: int, high: int) -> ArgumentError:
    """Word an item index outside the catalogue."""
    return ArgumentError(f"{name}{list(position)} is {value}: expected item indices from {low} to {high}.")


def ranking_repeats(name: str, position: int, item_index: int) -> ArgumentError:
    """Word a list that names an item twice."""
    return ArgumentError(f"{name}[{position}] is item {item_index} again: expected each item once.")


# store


def no_artifact(folder: object, found: str) -> ArtifactError:
    """Word a path that holds no artifact at all."""
    return ArtifactError(
        f"{folder} {found}: expected a folder that save() made. "
        "Hint: check the path; a first save that was cut short leaves nothing to load."
    )


def damaged_artifact(file: object, found: str, expected: str) -> ArtifactError:
    """Word a part of an artifact that is missing, damaged or not what the manifest says."""
    return ArtifactError(
        f"{file} {found}: expected {expected}. "
        "Hint: the artifact was damaged, altered or copied in part; save or copy it again."
    )


def foreign_manifest(file: object) -> ArtifactError:
    """Word a manifest that is JSON, but not of this library."""
    return ArtifactError(
        f"{file} is not a manifest that engagelib wrote: expected its format, kind and arrays. "
        "Hint: the folder belongs to another program, or was put together by hand."
    )


def newer_format(file: object, given: int, known: int, library_version: str) -> ArtifactError:
    """Word an artifact that a later version of the library wrote."""
    return ArtifactError(
        f"{file} has format version {given}, written by engagelib {library_version}: "
        f"expected at most {known}. Hint: upgrade engagelib to load it."
    )


def foreign_target(folder: object, found: str) -> ArtifactError:
    """Word a place to save to that holds something else."""
    return ArtifactError(
        f"{folder} {found}: expected a new path, an empty folder or a saved artifact. "
        "Hint: give the artifact a folder of its own, such as 'shop.engage'."
    )


def restless_artifact(folder: object, attempts: int) -> ArtifactError:
    """Word an artifact that was replaced each time it was about to be opened."""
    return ArtifactError(
        f"{folder} was replaced {attempts} times while it was being opened: expected a version to stay "
        "for as long as opening it takes. Hint: save less often, or keep more versions."
    )


# batch and command line


def foreign_batch_folder(folder: object, found: str) -> ArtifactError:
    """Word a place for part files that holds something else; overwriting is no way out."""
    return ArtifactError(
        f"{folder} {found}: expected a new path, an empty folder or a batch job of engagelib. "
        "Hint: give the part files a folder of their own."
    )


def other_job(folder: object, differences: Sequence[str]) -> ArtifactError:
    """Word a folder whose parts come from another model or other settings."""
    return ArtifactError(
        f"{folder} holds another job: {'; '.join(differences)}. Expected the same model and settings, "
        "to go on where it stopped. Hint: choose another folder, or pass overwrite=True."
    )


def unsaved_job(folder: object) -> ArtifactError:
    """Word a restart whose model has no version, so that nothing says which model wrote the parts."""
    return ArtifactError(
        f"{folder} holds a job of a recommender that was not saved, so that its parts can't be told from "
        "those of another: expected an empty folder. "
        "Hint: save the recommender before a long run; choose another folder, or pass overwrite=True."
    )


def job_in_place(folder: object) -> ArtifactError:
    """Word a folder with a job in it where resuming was ruled out."""
    return ArtifactError(
        f"{folder} holds a job, and resume=False was given: expected an empty folder. "
        "Hint: choose another folder, or pass overwrite=True."
    )


def busy_batch_folder(folder: object) -> ArtifactError:
    """Word a folder that another process is writing parts into."""
    return ArtifactError(
        f"another process is writing parts into {folder}: expected one run at a time. "
        "Hint: wait for it, or choose another folder."
    )


# splitting and evaluation


def exactly_one(given: Sequence[str], names: Iterable[str]) -> ArgumentError:
    """Word arguments of which one alone must be given."""
    found = _listed(given) if given else "none of them"
    return ArgumentError(f"given: {found}. Expected exactly one of {_listed(names)}.")


def empty_side(side: str, asked: str, found: str) -> NotEnoughDataError:
    """Word a split that leaves nothing for training or for testing."""
    return NotEnoughDataError(f"{asked} leaves no event for {side}: {found}. Expected events on both sides.")


def sides_differ(test: str, train: str, whose: str = "the training log") -> SchemaError:
    """Word a test log whose order is told in another way than that of what it is to judge."""
    return SchemaError(
        f"the test log tells order by {test!r}, {whose} by {train!r}: expected the same. "
        "Hint: make both from one log."
    )


def leaked_over_cut(side: str, events: int, whose: str, cut: str) -> LeakError:
    """Word events on the wrong side of a moment."""
    lie, expected = ("at or after", "before") if side == "training" else ("before", "at or after")
    return LeakError(
        f"{events:,} {side} {_plural(events, 'event lies', 'events lie')} {lie} the cut, {cut} ({whose}): "
        f"expected all {expected} it. Hint: the two logs overlap or were swapped; make both from one log "
        "with split_by_time()."
    )


def leaked_within_customers(n_customers: int, first: object, by: str) -> LeakError:
    """Word customers of whom the training log holds what came after their first test event or visit."""
    have = _plural(n_customers, "customer has", "customers have")
    unit = "visits that start" if by == "session" else "events"
    after = "visit" if by == "session" else "event"
    return LeakError(
        f"{n_customers:,} {have} training {unit} after the first test {after} (first: {first!r}): "
        "expected the test part of each customer to come last. "
        f"Hint: the two logs overlap or were swapped; make both from one log with split_by_{by}()."
    )


def leaked_sessions(n_sessions: int, first: object) -> LeakError:
    """Word sessions that were torn apart."""
    have = _plural(n_sessions, "session has", "sessions have")
    return LeakError(
        f"{n_sessions:,} {have} events in both logs (first: {first!r}): expected whole sessions. "
        "Hint: the two logs overlap, or were split by event; make both from one log with split_by_session()."
    )


def fitted_too_late(events: int, whose: str, cut: str) -> LeakError:
    """Word a recommender that has seen the time it is to be tested on."""
    found = f"{events:,} {_plural(events, 'event', 'events')}"
    return LeakError(
        f"the recommender was fitted on {found} at or after {cut}, where the "
        f"test begins ({whose}): expected earlier events only. {_REFIT}"
    )


def fitted_on_test(n: int, what: str, first: object) -> LeakError:
    """Word a recommender that has seen the test events of some customers, or test sessions."""
    return LeakError(
        f"the recommender was fitted on test events of {n:,} {_plural(n, what, what + 's')} "
        f"(first: {first!r}): expected training events only. {_REFIT}"
    )


_REFIT = "Hint: fit it on split.train, or pass it unfitted with the split."


def no_split_to_fit_on() -> NotFittedError:
    """Word an unfitted recommender that comes with a test log alone."""
    return NotFittedError(
        "the recommender is not fitted, and a test log alone gives nothing to fit it on. "
        "Hint: pass the Split, or fit the recommender on what came before."
    )


def nobody_known(n_customers: int, who: str) -> NotEnoughDataError:
    """Word a test log without any customer that the recommender, or each of several, knows."""
    return NotEnoughDataError(
        f"{who} none of the test log's {n_customers:,} "
        f"{_plural(n_customers, 'customer', 'customers')}: expected at least one. "
        "Hint: anonymous visits can't be judged; are both logs of the same shop?"
    )


def nothing_to_find(n_customers: int, wanted: Iterable[str], found: Iterable[str]) -> NotEnoughDataError:
    """Word a test log in which no known customer did what is looked for."""
    whom = f"{n_customers:,} known {_plural(n_customers, 'customer', 'customers')}"
    return NotEnoughDataError(
        f"none of {whom} has anything to find in the test log: "
        f"expected events of type {_listed(wanted)}, on an item for sale that the lists may hold. "
        f'Hint: the test log has {_listed(found)}; exclude_seen="none" or repeat=True count items met before.'
    )


def _plural(n: int, one: str, many: str) -> str:
    return one if n == 1 else many
