"""The bundled real log: a year of a British gift shop, with its returns, gaps and oddities."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engagelib.events import EventLog

FOLDER = Path(__file__).parent / "online_retail"


def load_online_retail() -> "EventLog":
    """Read the bundled real log, UCI "Online Retail": 541,909 rows of invoices.

    Returns
    -------
    A log of purchases and returns from 1 December 2010 to 9 December 2011, in pounds, with

    - 4,372 customers (integers), and 135,080 rows of 3,710 orders without a customer: anonymous visits;
    - 4,070 items (stock codes, strings), of which 3,903 are for sale: the others are postage, discounts,
      vouchers and the like, or were never sold at a price. Each item for sale has a title and a typical
      price;
    - 25,900 orders in 37 countries (`location`; null in 446 rows);
    - 10,624 rows with negative quantity: 9,288 are cancellations of customers (their `order_id` begins
      with C), the others corrections of stock;
    - times in whole minutes, taken as UTC;
    - 5,270 rows that repeat an earlier row exactly: they are kept.

    Notes
    -----
    The data are CC0 and come with the donor's permission: Daqing Chen, UCI Machine Learning Repository.
    `ATTRIBUTION.md` beside the files gives the source, the paper to cite and every change made.
    """
    from engagelib.events import EventLog

    return EventLog.read(FOLDER / "events.parquet", items=FOLDER / "items.parquet")
