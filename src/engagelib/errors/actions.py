"""Wording of what is refused about actions, and about deciding between them."""

from collections.abc import Iterable, Sequence

from engagelib.errors._classes import ArgumentError, NotEnoughDataError, SchemaError
from engagelib.errors._common import listed, shown


def function_rule(action: str, rule: str) -> ArgumentError:
    """Word the saving of a rule that is a function."""
    return ArgumentError(
        f"the {rule!r} rule of action {action!r} is a function, which no file can hold. "
        "Hint: write it as conditions by name, such as {'n_purchases': {'min': 1}}."
    )


def no_mask(action: str, rule: str, dtype: object, shape: tuple[int, ...], n: int) -> ArgumentError:
    """Word a rule's function that gave something else than a mask."""
    return ArgumentError(
        f"the {rule!r} rule of action {action!r} gave an array of {dtype} and shape {shape}: "
        f"expected bool of shape ({n},). Hint: it is handed one array a name, with an entry a customer."
    )


def unknown_feature(action: str, rule: str, name: str, known: Sequence[str]) -> ArgumentError:
    """Word a condition, or a value, on what nothing is known by."""
    alike = [other for other in known if name.casefold() in other.casefold()]
    hint = f"was {alike[0]!r} meant?" if alike else "features depend on the log: features_ lists them all."
    return ArgumentError(
        f"{rule!r} of action {action!r} asks for {shown(name)}: expected one of {listed(known, 12)}. "
        f"Hint: {hint}"
    )


def in_rule(action: str, rule: str, error: ArgumentError) -> ArgumentError:
    """Say which rule of which action an error is about."""
    return ArgumentError(f"{rule!r} of action {action!r}: {error}")


def lever_out_of_bounds(action: str, lever: float, bounds: tuple[float, float]) -> ArgumentError:
    """Word a lever that would outweigh what was learned."""
    return ArgumentError(
        f"lever={lever:g} of action {action!r}: expected from {bounds[0]:g} to {bounds[1]:g}. "
        "Hint: lever_bounds= widens what a shop may put in the scales; value= says what a success is worth."
    )


def needs_moment(why: str) -> ArgumentError:
    """Word a call without `at` where the answer depends on the moment."""
    return ArgumentError(
        f"at=None: expected the moment of the call, because {why}. "
        "Hint: pass at=datetime.now(timezone.utc) when serving; nothing here reads the clock."
    )


def no_decision_log() -> ArgumentError:
    """Word a decision where nothing would keep it."""
    return ArgumentError(
        "this NextBestAction has no decision log: expected one to write to. "
        "Hint: NextBestAction(..., decision_log=DecisionLog(path)), or recommend(), which writes nothing."
    )


def fitted_recommender() -> ArgumentError:
    """Word a log for a recommender that has read one."""
    return ArgumentError(
        "the recommender is fitted already, and a log was given: expected one of them. "
        "Hint: fit() without a log takes the recommender as it is; pass an unfitted one to fit it here."
    )


def no_log() -> ArgumentError:
    """Word fitting without any events."""
    return ArgumentError(
        "log=None: expected an EventLog, or a recommender that is fitted already. "
        "Hint: NextBestAction(actions).fit(log)."
    )


def unknown_action(name: object, known: Iterable[str]) -> ArgumentError:
    """Word the name of an action that there is not."""
    return ArgumentError(f"no action {shown(name)}: expected one of {listed(known, 20)}.")


def repeated_trait(name: str) -> ArgumentError:
    """Word a column of the customer table that is called as a feature is."""
    return ArgumentError(
        f"customers= has a column {name!r}, which is the name of a feature too: expected another name. "
        "Hint: rename the column; conditions ask for either by its name."
    )


def customers_without_id(found: Sequence[str]) -> SchemaError:
    """Word a customer table that does not say whose rows they are."""
    return SchemaError(
        f"customers= has no column 'customer_id': found {listed(found)}. Expected a row a customer.",
        column="customer_id",
    )


def repeated_customers(n: int, first: object) -> SchemaError:
    """Word a customer table with several rows for one."""
    return SchemaError(
        f"{n:,} customers have more than one row in customers=, the first {shown(first)}: expected one each.",
        column="customer_id",
    )


def nobody_to_compare(name: str, n: int) -> NotEnoughDataError:
    """Word a parity check with one of its two groups empty."""
    return NotEnoughDataError(
        f"{n} {name} customers: expected some of both, new and existing. "
        "Hint: new_stages= says which stages of the lifecycle count as new."
    )


def no_uplift(n_alone: int, least: int, *, known: bool = True) -> NotEnoughDataError:
    """Word effects that were asked for where nothing tells them from what comes about anyway."""
    missing = f"decisions hold {n_alone:,} of 'nothing': expected at least {least:,}, drawn by lot"
    if not known:
        missing = "decisions hold no p_logged: expected the chance that each had"
    return NotEnoughDataError(
        f"uplift=True, and {missing}. Hint: an effect is what happens with an action less what happens "
        "without; leave some customers alone by lot (control_share=0.1), and log every decision."
    )


def needs_channel() -> ArgumentError:
    """Word a decision without a channel where actions or limits name channels."""
    return ArgumentError(
        "channel=None: expected the channel of the decision, because actions or limits name channels. "
        "Hint: recommend() without a channel asks what may be done in any; what is done is done in one."
    )


def needs_customer(given: object) -> ArgumentError:
    """Word a decision for nobody."""
    return ArgumentError(
        f"customer_id={shown(given)}: expected an id or a pair of a namespace and an id. "
        "Hint: a decision is written down for somebody; recommend() answers for anonymous visitors."
    )


def no_offer(known: Sequence[str]) -> ArgumentError:
    """Word a parity check of a shop without offers."""
    return ArgumentError(
        f"no action is of kind 'offer', among {listed(known)}: expected at least one. "
        "Hint: Action(..., kind='offer', benefit=5.0) says what the customer gains."
    )


def no_decisions_left() -> NotEnoughDataError:
    """Word decisions of which none is old enough, or none at all."""
    return NotEnoughDataError(
        "no decision is left: expected at least one. Hint: where outcomes are missing, decisions younger "
        "than the horizon are left out, because their outcomes may still come."
    )


def other_features(given: int, expected: int) -> ArgumentError:
    """Word decisions that were logged with other features."""
    return ArgumentError(
        f"the decisions hold {given} features: expected the {expected} that this NextBestAction knows. "
        "Hint: read_decisions(log) reads those that were logged; a refit may have learned other ones."
    )
