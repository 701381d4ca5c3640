"""Published files: each is read as it was published, in any of its forms, and altered ones are refused."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from engagelib import errors
from engagelib.datasets import load_hillstrom, load_open_bandit

EMAIL = """recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend
10,2) $100 - $200,142.44,1,0,Surburban,0,Phone,Womens E-Mail,0,0,0
6,3) $200 - $350,329.08,1,1,Rural,1,Web,No E-Mail,0,0,0
7,2) $100 - $200,180.65,0,1,Urban,1,Multichannel,Mens E-Mail,1,1,29.99
"""
SHOWN = """,timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,\
user_feature_3,user-item_affinity_0,user-item_affinity_1
0,2019-11-24 00:00:34.762830+00:00,1,3,0,0.5,81ce,03a5,7bc9,0e57,0.0,2.0
1,2019-11-24 00:00:54+00:00,0,1,1,0.0125,81ce,03a5,7bc9,0e57,1.0,0.0
"""
ALTERED = "Hint: the file may be damaged, or altered since it was published."

NO_CHANCE = "in row 0 (1 row): expected a chance above 0 and at most 1."


@pytest.fixture
def email(tmp_path):
    path = tmp_path / "email.csv"
    path.write_text(EMAIL)
    return path


@pytest.fixture
def shown(tmp_path):
    for policy, campaign in (("random", "all"), ("random", "men"), ("bts", "all")):
        folder = tmp_path / "obd" / policy / campaign
        folder.mkdir(parents=True)
        (folder / f"{campaign}.csv").write_text(SHOWN)
        (folder / "item_context.csv").write_text(",item_id,item_feature_0\n0,0,1.5\n")
    return tmp_path / "obd"


def refused(kind, text, call, *arguments, **named):
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    assert str(caught.value) == text
    return caught.value


def test_the_e_mail_test_is_read_from_csv_and_parquet_alike(email, tmp_path):
    table = load_hillstrom(email)
    assert table.to_pylist()[2] == {
        "recency": 7,
        "history_segment": "2) $100 - $200",
        "history": 180.65,
        "mens": 0,
        "womens": 1,
        "zip_code": "Urban",
        "newbie": 1,
        "channel": "Multichannel",
        "segment": "Mens E-Mail",
        "visit": 1,
        "conversion": 1,
        "spend": 29.99,
    }
    assert {str(kind) for kind in table.schema.types} == {"int64", "double", "large_string"}
    whole = csv.read_csv(email).append_column("user_id", pa.array([0, 1, 2]))
    whole = whole.set_column(11, "spend", pa.array([0.0, 0.0, 29.99], pa.float32()))
    pq.write_table(whole, tmp_path / "email.parquet")
    again = load_hillstrom(str(tmp_path / "email.parquet"))
    assert again.schema == table.schema
    assert again.drop_columns("spend") == table.drop_columns("spend")


@pytest.mark.parametrize(
    ("old", "new", "column", "row", "rest"),
    [
        (",Mens E-Mail", ",Kids E-Mail", "segment", 2,
         "'Kids E-Mail' in row 2 (1 row): expected one of Mens E-Mail, No E-Mail, Womens E-Mail."),
        ("1,1,29.99", "2,1,29.99", "visit", 2, "2 in row 2 (1 row): expected 0 or 1."),
        ("\n10,", "\n13,", "recency", 0, "13 in row 0 (1 row): expected whole months from 1 to 12."),
        ("29.99", "-3.5", "spend", 2, "-3.5 in row 2 (1 row): expected money of at least 0."),
        ("142.44", "", "history", 0, "None in row 0 (1 row): expected money of at least 0."),
    ],
)  # fmt: skip
def test_altered_e_mail_tests_are_refused(email, old, new, column, row, rest):
    email.write_text(EMAIL.replace(old, new))
    text = f"the e-mail test: column {column!r} holds {rest} {ALTERED}"
    error = refused(errors.SchemaError, text, load_hillstrom, email)
    assert (error.column, error.row) == (column, row)


def test_other_files_are_refused_by_name(email, tmp_path):
    email.write_text("recency,spend\n1,2\n")
    text = (
        "the e-mail test: columns missing: history_segment, history, mens, womens, "
        "zip_code, newbie, channel, "
        "segment and 2 more. Found: recency, spend. Hint: expected the file as it was published; was another "
        "one meant, or were its columns renamed?"
    )
    assert refused(errors.SchemaError, text, load_hillstrom, email).column == "history_segment"
    for load in (load_hillstrom, load_open_bandit):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
            load(tmp_path / "nowhere.csv")
    email.write_text(EMAIL.replace(",Phone,", ",7,").replace(",Web,", ",7,").replace("Multichannel", "7"))
    pq.write_table(csv.read_csv(email), tmp_path / "email.parquet")
    text = "column 'channel' is of type int64: expected text."
    refused(errors.SchemaError, text, load_hillstrom, tmp_path / "email.parquet")
    email.write_text(EMAIL.replace("329.08", "inf"))
    text = "column 'history': infinite (1 row, first at 1). Hint: expected the file as it was published."
    refused(errors.SchemaError, text, load_hillstrom, email)


def test_impressions_are_read_from_the_published_folder(shown):
    table = load_open_bandit(shown)
    assert len(table) == 6
    assert table.slice(2, 1).to_pylist() == [
        {
            "timestamp": datetime(2019, 11, 24, 0, 0, 34, 762830, UTC),
            "policy": "random",
            "campaign": "men",
            "item_id": 1,
            "position": 3,
            "click": 0,
            "propensity_score": 0.5,
            "user_feature_0": "81ce",
            "user_feature_1": "03a5",
            "user_feature_2": "7bc9",
            "user_feature_3": "0e57",
            "user_item_affinity": [0.0, 2.0],
        }
    ]
    assert table["policy"].to_pylist() == ["random"] * 4 + ["bts"] * 2
    assert len(load_open_bandit(shown, campaign="all")) == 4
    assert load_open_bandit(shown, policy="bts") == load_open_bandit(shown / "bts" / "all" / "all.csv")


def test_impressions_are_read_from_one_file(shown, tmp_path):
    table = load_open_bandit(shown)
    path = tmp_path / "impressions.parquet"
    pq.write_table(table.rename_columns({"policy": "behavior_policy"}), path)
    assert load_open_bandit(path) == table
    assert load_open_bandit(path, policy="random", campaign="men") == table.slice(2, 2)
    bare = table.rename_columns({"policy": "behavior_policy"}).drop_columns("user_item_affinity")
    pq.write_table(bare, path)
    found = load_open_bandit(path)
    assert found["user_item_affinity"].null_count == 6
    assert found.schema == table.schema


@pytest.mark.parametrize(
    ("old", "new", "column", "rest"),
    [
        (",0.5,", ",0.0,", "propensity_score", f"0.0 {NO_CHANCE}"),
        (",0.5,", ",1.5,", "propensity_score", f"1.5 {NO_CHANCE}"),
        (",0.5,", ",,", "propensity_score", f"None {NO_CHANCE}"),
        (",1,3,0,", ",1,3,2,", "click", "2 in row 0 (1 row): expected 0 or 1."),
        (",1,3,0,", ",1,4,0,", "position", "4 in row 0 (1 row): expected 1, 2 or 3."),
        (",1,3,0,", ",2,3,0,", "item_id", "2 in row 0 (1 row): expected the number of an item, from 0."),
    ],
)  # fmt: skip
def test_altered_impressions_are_refused(shown, old, new, column, rest):
    path = shown / "bts" / "all" / "all.csv"
    path.write_text(SHOWN.replace(old, new))
    text = f"Open Bandit: column {column!r} holds {rest} {ALTERED}"
    refused(errors.SchemaError, text, load_open_bandit, path)


def test_other_impressions_are_refused(shown, tmp_path):
    for name, given, expected in (("policy", "best", "random, bts"), ("campaign", "kids", "all, men, women")):
        text = f"{name}={given!r}: expected {expected} or None."
        refused(errors.ArgumentError, text, load_open_bandit, shown, **{name: given})
    text = f"Open Bandit: {shown} holds no file as bts/men/men.csv."
    refused(FileNotFoundError, text, load_open_bandit, shown, policy="bts", campaign="men")
    path = tmp_path / "loose.csv"
    path.write_text(SHOWN.replace(",click", ",clicked"))
    text = (
        "Open Bandit: columns missing: click, behavior_policy, campaign. Found: "
        "timestamp, item_id, position, "
        "clicked, propensity_score, user_feature_0, user_feature_1, user_feature_2 and "
        "3 more. Hint: expected "
        "the file as it was published; was another one meant, or were its columns renamed?"
    )
    refused(errors.SchemaError, text, load_open_bandit, path)
    path = shown / "bts" / "all" / "all.csv"
    path.write_text(SHOWN.replace("2019-11-24 00:00:54+00:00", "1815-06-18 11:00:00+00:00"))
    text = (
        "column 'timestamp' spans the year 1815 (1 row). Times before the year 1990 are refused. "
        "Hint: expected the file as it was published."
    )
    refused(errors.SchemaError, text, load_open_bandit, path)
