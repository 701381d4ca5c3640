"""What is shown: stages on a terminal, tables and reasons that fit its width."""

import sys

import pytest

from engagelib.cli._show import because, fitted, shortened, stage
from engagelib.recommender.recommendations import Reason
from engagelib.tables import Table


def like(title, contribution, item_id="i-1"):
    return Reason("similar_item", item_id, title, contribution)


def test_a_stage_is_told_on_a_terminal_only(capsys, monkeypatch):
    with stage("Fitting"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with stage("Fitting"):
        assert capsys.readouterr().err == "Fitting ... "
    assert capsys.readouterr().err == "0.0 s\n"


def test_an_error_within_a_stage_gets_a_line_of_its_own(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(KeyError), stage("Fitting"):
        raise KeyError
    assert capsys.readouterr().err == "Fitting ... \n"


def test_a_text_is_cut_to_its_width_and_white_space_folded():
    assert shortened("a  lamp\nof oak", 13) == "a lamp of oak"
    assert shortened("a lamp of oak", 12) == "a lamp of..."
    assert shortened(None, 12) == ""


def test_a_wide_table_loses_the_end_of_its_widest_column():
    table = Table(("what", "count", "remark"), (("rows", 7, "x" * 80), ("items", None, "short")), "Log")
    lines = fitted(table, 40).splitlines()
    assert max(map(len, lines)) == 40
    assert lines[3].endswith("xxx...")
    assert fitted(table, 200) == str(table)


def test_reasons_name_three_items_with_their_parts_and_sum_the_rest():
    reasons = (like("Lamp", 2.0), like(None, 1.5), Reason("other_items", None, None, 0.5), like("Desk", 0.4))
    assert because(reasons[:1], 4.0) == "from Lamp 50%"
    assert because(reasons[1:3], 2.0) == "from i-1 75%, other items 25%"
    assert because(reasons, 4.4) == "from Lamp 45%, i-1 34%, Desk 9%, all else 11%"


def test_long_titles_are_cut_only_as_far_as_they_must():
    long = [like("Hand-carved lamp of old oak with a shade", 1.0)] * 3
    line = because(long, 3.0)
    assert 85 <= len(line) <= 93
    assert line.count("... 33%") == 3
    assert because([like("Lamp of old oak, large", 1.0)] * 3, 3.0).count("...") == 0


def test_an_item_that_only_fills_the_list_says_so():
    assert because((Reason("popular", None, None, 0.0),), 0.0) == "from popularity: it completes the list"
    assert because((Reason("popular", None, None, 2.0),), 2.0) == "from its popularity 100%"
