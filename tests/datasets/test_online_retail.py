"""The bundled log holds what its page says, and stays small."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from engagelib import datasets

FOLDER = Path(datasets.__file__).parent / "online_retail"
SERVICES = ["POST", "DOT", "C2", "M", "m", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS"]
NO_GOODS = [*SERVICES, "gift_0001_20", "22016", "23444", "23574"]


@pytest.fixture(scope="module")
def events():
    return pq.read_table(FOLDER / "events.parquet")


@pytest.fixture(scope="module")
def items():
    return pq.read_table(FOLDER / "items.parquet")


@pytest.fixture(scope="module")
def goods(items):
    return items.filter(items["for_sale"])


def test_counts_are_those_of_the_source(events, items):
    assert events.num_rows == 541_909
    assert events["customer_id"].null_count == 135_080
    assert len(events["customer_id"].drop_null().unique()) == 4_372
    assert len(events["item_id"].unique()) == items.num_rows == 4_070
    assert len(events["order_id"].unique()) == 25_900
    assert pc.sum(pc.less(events["quantity"], 0)).as_py() == 10_624
    assert pc.sum(pc.starts_with(events["order_id"], "C")).as_py() == 9_288
    assert events["location"].null_count == 446


def test_columns_have_the_types_that_a_log_expects(events):
    types = {field.name: field.type for field in events.schema}
    assert types == {
        "customer_id": pa.int32(),
        "item_id": pa.string(),
        "timestamp": pa.timestamp("ms", tz="UTC"),
        "quantity": pa.int32(),
        "value": pa.float64(),
        "order_id": pa.string(),
        "location": pa.string(),
    }
    for name in ("item_id", "timestamp", "quantity", "value", "order_id"):
        assert events[name].null_count == 0


def test_rows_stand_in_their_original_order(events):
    times = events["timestamp"].to_numpy()
    assert (times[1:] >= times[:-1]).all()
    assert events["timestamp"][0].as_py() == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert events["timestamp"][-1].as_py() == datetime(2011, 12, 9, 12, 50, tzinfo=UTC)
    assert events.drop(["timestamp"]).slice(0, 1).to_pylist() == [
        {
            "customer_id": 17850,
            "item_id": "85123A",
            "quantity": 6,
            "value": 15.3,
            "order_id": "536365",
            "location": "United Kingdom",
        }
    ]


def test_money_is_in_whole_pence_and_sums_to_the_turnover(events):
    pence = events["value"].to_numpy() * 100
    assert abs(pence - pence.round()).max() < 1e-6
    assert pence.sum() / 100 == pytest.approx(9_747_747.93)  # quantity times price over the source


def test_codes_that_differ_in_case_stay_apart(items):
    ids = set(items["item_id"].to_pylist())
    assert {"85123A", "85123a", "M", "m"} <= ids
    assert len({name.upper() for name in ids}) == 4_070 - 112


def test_each_item_for_sale_has_a_title_and_a_price(goods):
    assert goods.num_rows == 3_903
    assert goods["title"].null_count == goods["price"].null_count == 0
    assert pc.min(goods["price"]).as_py() > 0
    titles = dict(zip(goods["item_id"].to_pylist(), goods["title"].to_pylist(), strict=True))
    assert titles["85123A"] == "White hanging heart t-light holder"
    assert titles["22866"] == "Hand warmer scotty dog design"
    assert not [title for title in titles.values() if title != title.strip() or "  " in title]


def test_no_remark_of_a_stock_keeper_is_a_title(items):
    remarks = {"check", "damages", "found", "lost", "adjustment", "thrown away", "amazon", "ebay", "?", "wet"}
    assert not remarks & {(title or "").lower() for title in items["title"].to_pylist()}


@pytest.mark.parametrize("code", NO_GOODS)
def test_what_is_no_goods_is_not_for_sale(items, goods, code):
    assert code in items["item_id"].to_pylist()
    assert code not in goods["item_id"].to_pylist()


def test_odd_codes_of_real_goods_are_for_sale(goods):
    assert {"DCGS0003", "DCGSSBOY", "DCGSSGIRL"} <= set(goods["item_id"].to_pylist())


def test_the_bundle_is_small_and_names_its_donor():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_200_000
    page = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "Daqing Chen" in page
    assert "CC0" in page
    assert "19(3), 2012" in page


def test_the_log_reads_without_a_loss():
    log = datasets.load_online_retail()
    assert len(log) == 541_909
    assert log.n_customers == 4_372
    assert log.n_items == 4_070
    assert log.rejected.num_rows == 0
    kinds = log.to_table()["event_type"].cast(pa.string()).to_pylist()
    assert kinds.count("return") == 10_624
    assert kinds.count("purchase") == 541_909 - 10_624


def test_importing_the_room_does_not_import_arrow():
    code = "import engagelib.datasets, sys; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
