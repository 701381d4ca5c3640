"""Asking a saved shop: what can be had, rules, pages of customers, and items for an item or a basket."""

import json
import re
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from cli_cases import refused, run

import engagelib as eg
from engagelib.datasets import make_shop

AT = "2026-01-01T12:00:00+00:00"
"""Just after the made-up log ends."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A saved model of a made-up shop, the table of what can be had, and the library over both."""
    folder = tmp_path_factory.mktemp("shop")
    made = make_shop(150, 80, 5000)
    eg.Recommender("item_knn").fit(made.log).save(folder / "model")
    pq.write_table(made.availability, folder / "offers.parquet")
    recommender = eg.load(folder / "model")
    recommender.availability = eg.Availability.from_frame(made.availability)
    assert recommender.availability.has_windows
    return folder, recommender


@pytest.fixture(scope="module")
def plain(shop):
    """The library over the model alone."""
    return eg.load(shop[0] / "model")


def items_of(command, *options):
    """The items of a list in JSON."""
    return [entry["item_id"] for entry in json.loads(run(*command, *options, "--json").stdout)["items"]]


def test_a_profile_is_the_librarys_page(shop, plain):
    folder, _ = shop
    customer = plain.customers_[5]
    assert run("profile", folder / "model", "-c", customer).stdout == f"{plain.profile(customer)}\n"
    at = "2025-09-01"
    shown = run("profile", folder / "model", "-c", customer, "--at", at, "-k", "2", "--json").stdout
    assert json.loads(shown) == json.loads(json.dumps(plain.profile(customer, at=at, k=2).to_dict()))
    unknown = run("profile", folder / "model", "--customer", "7", "--namespace", "web").stdout
    assert unknown.startswith("Customer web:7 (unknown), as of 2025-")
    assert refused("profile", folder / "model", exit_code=2).startswith("Missing option '--customer' / '-c'.")


def test_only_what_can_be_had_is_listed_by_every_command(shop, plain):
    folder, recommender = shop
    model, offers = folder / "model", ("--availability", folder / "offers.parquet")
    channel, location = recommender.availability.channels[0], recommender.availability.locations[0]
    where = {"channel": channel, "location": location, "at": AT}
    options = (*offers, "--channel", channel, "--location", location, "--at", AT)
    customer, item = plain.customers_[3], plain.items_[7]
    asked = {
        ("recommend", model, "-c", customer): recommender.recommend(customer, **where),
        ("substitutes", model, "--item", item): recommender.substitutes(item, **where),
        ("complete", model, "-b", item): recommender.complete([item], **where),
    }
    for command, found in asked.items():
        assert items_of(command, *options) == found.item_ids
        assert run(*command, *options).stderr == ""
        assert found.item_ids != items_of(command)
    page = json.loads(run("profile", model, "-c", customer, *options, "--json").stdout)
    assert page == json.loads(json.dumps(recommender.profile(customer, **where).to_dict()))


def test_where_there_are_windows_the_clock_is_asked_and_printed(shop, tmp_path):
    folder, recommender = shop
    ids = list(recommender.items_)
    offers = tmp_path / "offers.csv"
    rows = [f"{id_},{'2020' if place % 2 else '2200'}-01-01" for place, id_ in enumerate(ids)]
    offers.write_text("\n".join(["item_id,ends", *rows]))
    result = run("recommend", folder / "model", "-a", offers, "-k", "200", "--json")
    noted = re.fullmatch(r"Note: what can be had is looked up at (.*), the clock's time.\n", result.stderr)
    assert abs((datetime.fromisoformat(noted[1]) - datetime.now(UTC)).total_seconds()) < 120
    for_sale = {id_ for id_, sold in zip(ids, recommender.for_sale_.tolist(), strict=True) if sold}
    listed = {entry["item_id"] for entry in json.loads(result.stdout)["items"]}
    assert listed == for_sale & set(ids[::2])
    earlier = run("recommend", folder / "model", "-a", offers, "-k", "200", "--at", "2019-06-01", "--json")
    assert {entry["item_id"] for entry in json.loads(earlier.stdout)["items"]} == for_sale
    assert earlier.stderr == ""
    job = run("recommend", folder / "model", "-a", offers, "--all", "-o", tmp_path / "parts", "-k", "1")
    noted = re.search(
        r" at (\S+), the clock's time; to go on with this job later, pass it as --at\.", job.stderr
    )
    command = ("recommend", folder / "model", "-a", offers, "--all", "-o", tmp_path / "parts", "-k", "1")
    assert "1 were there already" in run(*command, "--at", noted[1]).stdout


def test_text_ids_that_look_like_integers_are_found(tmp_path):
    log, offers = tmp_path / "log.csv", tmp_path / "offers.csv"
    log.write_text("customer_id,item_id,channel\n1,10,1\n1,20,1\n2,10,2\n")
    offers.write_text("item_id,channel\n10,1\n20,2\n")
    for text_ids in ((), ("--text-ids",)):
        run("fit", log, "-o", tmp_path / "model", *text_ids)
        for channel, expected in (("1", 10), ("2", 20)):
            command = ("recommend", tmp_path / "model", "-a", offers, "--channel", channel)
            assert items_of(command) == [str(expected) if text_ids else expected]
            assert run(*command).stderr == ""


def test_places_that_change_nothing_are_said_to(shop, plain, tmp_path):
    folder, _ = shop
    model, offers = folder / "model", tmp_path / "offers.csv"
    assert run("recommend", model, "--channel", "web").stderr == (
        "Note: --channel changes nothing: no --availability names channels.\n"
    )
    offers.write_text(f"item_id,location\n{plain.items_[0]},york\n{plain.items_[1]},\n")
    unnamed = run("profile", model, "-c", "x", "-a", offers, "--channel", "web", "-l", "hull")
    assert unnamed.stderr == (
        "Note: --channel changes nothing: no --availability names channels.\n"
        "Note: --availability does not name 'hull': only what can be had at every location is listed.\n"
    )
    assert items_of(("recommend", model, "-a", offers, "-l", "hull")) == [plain.items_[1]]
    named = run("recommend", model, "-a", offers, "-l", "york")
    assert (named.stderr, "Ignored" in named.stdout) == ("", False)
    offers.write_text(f"item_id,channel\n{plain.items_[0]},web\n")
    nothing = run("recommend", model, "-a", offers, "--channel", "fax")
    assert nothing.stderr == (
        "Note: --availability does not name 'fax': only what can be had in every channel is listed.\n"
    )
    assert nothing.stdout == (
        "For an anonymous visitor: this is what is popular\n0 of 10 items asked for: the catalogue has 80, "
        "0 of these can be had in channel 'fax', 0 of these are for sale and not left out by the call.\n"
    )


def test_rules_are_those_of_the_library(shop, plain, tmp_path):
    model, customer, rules = shop[0] / "model", plain.customers_[3], tmp_path / "rules.json"
    best = plain.recommend(customer, k=3).item_ids
    records = [{"effect": "remove", "items": best[:1]}, {"effect": "pin", "items": [plain.items_[9]]}]
    rules.write_text(json.dumps(records))
    command = ("recommend", model, "-c", customer, "--rules", rules)
    expected = plain.recommend(customer, rules=records)
    assert items_of(command) == expected.item_ids
    assert expected.item_ids[0] == plain.items_[9]
    out = tmp_path / "parts"
    job = ("recommend", model, "--all", "-o", out, "-k", "4", "--rules", rules)
    run(*job)
    table = pq.read_table(out)
    many = plain.recommend_many(k=4, rules=records).to_table()
    assert table["item_id"].equals(many["item_id"].cast(table["item_id"].type))
    rules.write_text("[]")
    assert "rules is [{" in refused(*job, exit_code=1)
    for removing in (("substitutes", "-i"), ("complete", "-b")):
        command = (removing[0], model, removing[1], best[0])
        gone = items_of(command)[0]
        rules.write_text(json.dumps([{"effect": "remove", "items": [gone]}]))
        assert items_of(command, "--rules", rules) == items_of(command, "-k", "11")[1:]


@pytest.mark.parametrize(
    ("text", "exit_code", "says"),
    [
        ("[{", 1, "{path} is no JSON (Expecting property name enclosed in double quotes: line 1 column 3 "
                  "(char 2)): expected a list of rules."),
        ("\udcff", 1, "{path} is no JSON ('utf-8' codec can't decode byte 0xff in position 0: invalid start "
                      "byte): expected a list of rules."),
        ("{}", 2, "{path}: rules={}: expected a list of rules. Hint: put a single rule into a list."),
        ('[{"effect": "hide"}]', 2,
         "{path}: rules[0]: effect='hide': expected \"boost\", \"pin\" or \"remove\"."),
        ('[{"effect": "remove", "where": {"colour": "red"}}]', 2,
         "rules[0]: no attribute 'colour': expected one of category, for_sale, price, title. Hint: "
         "attributes are the columns of the item table that was there at the last fit."),
    ],
)  # fmt: skip
def test_rules_that_are_none_are_one_line(shop, tmp_path, text, exit_code, says):
    path = tmp_path / "rules.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    command = ("recommend", shop[0] / "model", "--rules", path)
    assert refused(*command, exit_code=exit_code) == says.replace("{path}", str(path))


def test_files_that_are_no_availability_are_one_line(shop, tmp_path):
    model, path = shop[0] / "model", tmp_path / "offers.csv"
    path.write_text("sku\n1\n")
    message = refused("recommend", model, "-a", path, exit_code=1)
    assert message == (f"{path}: column 'item_id' is missing. Found: sku. Hint: call that column item_id.")
    path.write_text("item_id,ends\n1,1704103200000\n")
    message = refused("recommend", model, "-a", path, exit_code=1)
    assert message.startswith(f"{path}: column 'ends' spans the year")
    assert message.endswith("Hint: these look like milliseconds read as seconds; write times in ISO 8601.")
    for option in ("--availability", "--rules"):
        message = refused("recommend", model, option, tmp_path / "none", exit_code=2)
        assert message == (
            f"Invalid value for '{option}'{' / ' + repr('-a') if option == '--availability' else ''}: "
            f"Path '{tmp_path / 'none'}' does not exist. Try 'engagelib recommend --help'."
        )


def test_items_are_answered_for_as_text_and_as_json(shop, plain):
    model, item = shop[0] / "model", plain.items_[7]
    text = run("substitutes", model, "-i", item, "-k", "3").stdout.splitlines()
    assert text[0] == f"Instead of item {item}"
    assert re.findall(r"^ +\d+ +(\S+) ", "\n".join(text), re.MULTILINE) == plain.substitutes(item, 3).item_ids
    answer = json.loads(run("substitutes", model, "-i", item, "--json").stdout)
    assert (answer["item_id"], answer["ignored"]) == (item, {})
    goes = run("complete", model, "-b", item, "-b", "i-nothing", "-e", plain.items_[0], "-k", "500").stdout
    found = plain.complete([item, "i-nothing"], 500, exclude=[plain.items_[0]])
    assert goes.startswith("Goes with the basket\n")
    assert re.findall(r"^ +\d+ +(\S+) ", goes, re.MULTILINE) == found.item_ids
    assert goes.endswith(f"Ignored in --basket: 1 unknown\n{found.shortfall}\n")
    answer = json.loads(run("complete", model, "-b", item, "-b", "i-nothing", "--json").stdout)
    assert (answer["basket"], answer["ignored"]) == ([item, "i-nothing"], {"basket": 1})
    assert refused("substitutes", model, "-i", "i-nothing", exit_code=1) == (
        "item 'i-nothing' is unknown to this model or log."
    )
