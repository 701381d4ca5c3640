"""CustomerFeatures: what is known of customers as of any moment, for many at once and for one in a hurry."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from engagelib import errors
from engagelib.actions.customers.account import Account
from engagelib.actions.customers.arguments import check_pairs, in_blocks, moments_of, number, whole
from engagelib.actions.customers.briefing import brief
from engagelib.actions.customers.columns import Columns, code_places, top_categories
from engagelib.actions.customers.counting import count
from engagelib.actions.customers.ledger import Ledger, Roles
from engagelib.actions.customers.spots import Spots
from engagelib.actions.customers.table import FeatureTable
from engagelib.actions.customers.tastes import tastes_at, tastes_of
from engagelib.attributes import ItemAttributes
from engagelib.drawing import check_unaltered
from engagelib.histories import Histories
from engagelib.times import DAY, Moment, as_microseconds
from engagelib.vocabulary import Vocabulary


class CustomerFeatures:
    """What is known of customers as of a moment, as numbers in named columns.

    An event counts from its time on, and a return takes back from the newest earlier purchases of its item
    from its own time on: nothing later than the moment moves a feature. Without events counts and sums of
    money are 0, all else is NaN; so it is for an unknown customer. What a log does not tell is no column.

    ==============================  ========================================================================
    recency_days, tenure_days       since the last and since the first event
    n_events, n_items               events; distinct items in them
    n_purchases                     occasions: orders, or else days (UTC), returned ones too
    days_since_purchase             since the last purchase
    usual_interval_days             mean of the days from one day on which an occasion began to the next
    days_overdue                    days_since_purchase less usual_interval_days
    browse_to_buy                   views for each occasion
    value, mean_order_value         money of purchases less what was returned; the same for each occasion
    events_30d, purchases_30d,      in the last 30 days: events, occasions begun, and the change of `value`,
    value_30d                       which returns may make negative; the same for each window
    n_returns, return_share         returns; the share of lines bought that came back whole
    mean_rating, last_rating        of ratings, those of surveys left out; of one moment the lowest counts
    last_survey                     the last answer to a survey
    days_since_bad_experience       since the last complaint, return, low answer to a survey or low rating
    event_share:view, ...           share of an event type in the events
    channel_share:web, ...          share of a channel in the events of which the channel is known
    category_share:lamps, ...       share of a category in the lines bought of which it is known
    taste_0, ...                    mean of the vectors of the items met, weighed by event type and recency
    ==============================  ========================================================================

    Parameters
    ----------
    window_days
        Lengths of the windows, each above 0.
    n_categories
        How many categories have a column, those most often bought.
    recent_days
        Age at which an event counts half in the tastes, above 0.
    low_rating, low_survey
        A rating or an answer to a survey up to here is a bad experience.

    Attributes
    ----------
    names_
        The names of the columns, in order.
    """

    def __init__(
        self,
        *,
        window_days: Sequence[float] = (30, 90),
        n_categories: int = 8,
        recent_days: float = 90,
        low_rating: float = 2.0,
        low_survey: float = 6.0,
    ) -> None:
        self.window_days = tuple(window_days)
        self.n_categories = n_categories
        self.recent_days = recent_days
        self.low_rating = low_rating
        self.low_survey = low_survey

    def fit(
        self,
        histories: Histories,
        attributes: ItemAttributes | None = None,
        tastes: np.ndarray | None = None,
    ) -> Self:
        """Learn which columns there are.

        Parameters
        ----------
        histories
            With real times. Event types, channels and whether there is money or a rating are read from them.
        attributes
            Of the same items; its "category" gives the categories. None for no such columns.
        tastes
            Item vectors, float32 of shape (n_items, n_tastes). None for no such columns.

        Raises
        ------
        ArgumentError
            If an argument is out of its range, or attributes or tastes are of other items.
        NotEnoughDataError
            If the log has no real times.
        """
        for place, days in enumerate(self.window_days):
            number(f"window_days[{place}]", days, above=0)
        whole("n_categories", self.n_categories, 0)
        number("recent_days", self.recent_days, above=0)
        number("low_rating", self.low_rating)
        number("low_survey", self.low_survey)
        _needs_time(histories)
        check_unaltered(histories)
        if attributes is not None and attributes.n_items != histories.n_items:
            raise errors.customers.items_differ("attributes", attributes.n_items, histories.n_items)
        vectors = np.zeros((histories.n_items, 0), np.float32) if tastes is None else np.asarray(tastes)
        if vectors.ndim != 2 or len(vectors) != histories.n_items:
            raise errors.customers.tastes_differ(vectors.shape, histories.n_items)
        bought = Roles.of(histories.event_types, histories.item_types).purchases
        categories, of_item = top_categories(histories, attributes, self.n_categories, bought)
        columns = Columns.learn(histories, categories, self.window_days, vectors.shape[1])
        self._learned(columns, of_item, vectors.astype(np.float32))
        return self

    def _learned(self, columns: Columns, category: np.ndarray, vectors: np.ndarray) -> None:
        self.columns_, self.category_, self.tastes_ = columns, category, vectors
        self.names_: tuple[str, ...] = columns.names
        self._channels: tuple[Vocabulary | None, list[int]] = (None, [-1] * len(columns.channels))
        self._limits = (float(self.low_rating), float(self.low_survey))

    def of(self, histories: Histories, row: np.ndarray, moment: np.ndarray) -> FeatureTable:
        """Return the features of some customers, each as of a moment.

        Parameters
        ----------
        histories
            Of the items that were learned from; event types and channels may be others.
        row
            Rows of the histories, -1 for an unknown customer, integers of shape (n,).
        moment
            Microseconds since 1970, int64 of shape (n,).

        Raises
        ------
        ArgumentError
            If the shapes differ, or a row is none of the histories'.
        NotEnoughDataError
            If the histories have no real times.
        NotFittedError
            Before `fit`.
        """
        self._check(histories)
        row, moment = check_pairs(histories, row, moment)
        values = np.empty((len(row), len(self.names_)))
        n_plain = len(self.names_) - self.columns_.n_tastes
        for pairs, some, local in in_blocks(histories, row):
            ledger = Ledger(some)
            spots = Spots.of(ledger.indptr, ledger.time, local, moment[pairs])
            found = count(ledger, spots, self.columns_, self.category_, self._limits)
            block = np.empty((len(pairs), len(self.names_)))
            for place, column in enumerate(found):
                block[:, place] = column
            if self.columns_.n_tastes:
                block[:, n_plain:] = tastes_at(some, spots, self.tastes_, self._half_life)
            values[pairs] = block
        return FeatureTable(self.names_, values)

    def at(self, histories: Histories, moments: Sequence[Moment] | np.ndarray) -> FeatureTable:
        """Return the features of every customer at some moments.

        Parameters
        ----------
        histories
            As for `of`.
        moments
            Datetimes, or texts in ISO 8601; or an array of int64 microseconds since 1970.

        Returns
        -------
        One row a customer and moment: all moments of the first customer come first.
        """
        found = moments_of(moments)
        row = np.repeat(np.arange(histories.n_customers), len(found))
        return self.of(histories, row, np.tile(found, histories.n_customers))

    def one(self, history: Histories, at: Moment | int, *, account: Account | None = None) -> np.ndarray:
        """Return the features of one customer, float64 of shape (n_features,), the same numbers as `of`.

        Tastes agree to rounding: their sums are taken in another order.

        Parameters
        ----------
        history
            A single row, such as `histories.block(row, row + 1)`.
        at
            A moment; or microseconds since 1970, which is quickest.
        account
            The history up to that moment as `account` read it, where somebody else needs it too.
        """
        if not hasattr(self, "names_"):
            raise errors.not_fitted("CustomerFeatures")
        at = as_microseconds(at)
        if account is None:
            account = self.account(history, at)
        table, places = self._channels
        if (current := history.tables.get("channel")) is not table:
            places = code_places(current, self.columns_.channels)
            self._channels = (current, places)  # the next history mostly has the same table
        found = brief(history, at, self.columns_, self.category_, self._limits, places, account)
        if self.columns_.n_tastes:
            found += tastes_of(history, account.end, self.tastes_, self._half_life)
        return np.array(found, np.float64)

    def account(self, history: Histories, at: int) -> Account:
        """Read a single history up to a moment, once for `one` and for the lifecycle's."""
        return Account.of(history, at, "CustomerFeatures", with_money=self.columns_.has_value)

    @property
    def _half_life(self) -> float:
        return float(self.recent_days) * DAY

    def _check(self, histories: Histories) -> None:
        if not hasattr(self, "names_"):
            raise errors.not_fitted("CustomerFeatures")
        _needs_time(histories)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        if not hasattr(self, "names_"):
            raise errors.not_fitted("CustomerFeatures")
        return {"category": self.category_, "tastes": self.tastes_}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        if not hasattr(self, "names_"):
            raise errors.not_fitted("CustomerFeatures")
        params = {
            "window_days": list(self.window_days),
            "n_categories": int(self.n_categories),
            "recent_days": float(self.recent_days),
            "low_rating": float(self.low_rating),
            "low_survey": float(self.low_survey),
        }
        columns = asdict(self.columns_)
        columns |= {name: list(value) for name, value in columns.items() if isinstance(value, tuple)}
        return {"params": params, "columns": columns}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy.

        Raises
        ------
        ArtifactError
            If the arrays are not of the shape that was saved: the file was altered.
        """
        made = cls(**facts["params"])
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts["columns"].items()
        }
        columns, category, vectors = Columns(**parts), arrays["category"], arrays["tastes"]
        if vectors.ndim != 2 or vectors.dtype != np.float32 or vectors.shape[1] != columns.n_tastes:
            found = f"is {vectors.dtype} of shape {vectors.shape}"
            raise errors.customers.altered_features("tastes", found, f"float32 of {columns.n_tastes} columns")
        highest = len(columns.categories)
        if category.shape != vectors.shape[:1] or category.dtype != np.int32:
            found = f"is {category.dtype} of shape {category.shape}"
            raise errors.customers.altered_features("category", found, f"int32 of shape ({len(vectors)},)")
        if len(category) and (category.min() < -1 or category.max() > highest):
            beyond = category.min() if category.min() < -1 else category.max()
            raise errors.customers.altered_features(
                "category", f"holds {beyond}", f"numbers from -1 to {highest}"
            )
        made._learned(columns, category, vectors)
        return made


def _needs_time(histories: Histories) -> None:
    if histories.time_kind != "timestamp":
        raise errors.log.needs_time("CustomerFeatures", histories.time_kind)
