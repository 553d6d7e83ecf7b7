"""Small tables as HTML: their cells, their names for narrow windows, and that nothing in them is markup."""

import math
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pages import small_table
from tests.opened_pages import parsed_table

HOSTILE = "<script>alert(1)</script> \"quoted\" & 'so'"


def test_a_table_says_what_the_frame_holds():
    frame = pd.DataFrame({"split": ["train", "test"], "items": [12_000, 2_000], "score": [0.25, None]})
    read = parsed_table(small_table.as_html(frame, "The splits"))
    assert read.columns.tolist() == ["split", "items", "score"]
    assert read.to_numpy().tolist() == [["train", "12,000", "0.2"], ["test", "2,000", "–"]]


def test_every_cell_but_the_first_names_its_column_for_a_card():
    html = small_table.as_html(pd.DataFrame({"a": ["x"], "b": [1], "c": ["2"]}), "t")
    assert html.count('data-label="b"') == html.count('data-label="c"') == 1
    assert 'data-label="a"' not in html


@pytest.mark.parametrize("place", ["cell", "column", "alt"])
def test_whatever_a_person_wrote_is_shown_literally(place):
    words = {"cell": "x", "column": "name", "alt": "t"} | {place: HOSTILE}
    html = small_table.as_html(pd.DataFrame({"first": ["x"], words["column"]: [words["cell"]]}), words["alt"])
    assert "<script>" not in html
    read = parsed_table(html)
    assert read.columns[1] == words["column"]
    assert read.iloc[0, 1] == words["cell"]


def test_a_table_stays_a_table_for_a_screen_reader_when_it_is_laid_out_as_cards():
    html = small_table.as_html(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), "t")
    counts = {role: html.count(f'role="{role}"') for role in ("table", "row", "columnheader", "rowheader", "cell")}
    assert counts == {"table": 1, "row": 3, "columnheader": 2, "rowheader": 2, "cell": 2}


def test_a_table_of_more_than_a_few_rows_is_sorted_by_its_columns():
    few, more = (
        small_table.as_html(pd.DataFrame({"a": range(rows), HOSTILE: range(rows)}), "t")
        for rows in (small_table.SORTED - 1, small_table.SORTED)
    )
    assert "<button" not in few
    assert more.count('<button type="button" class="kd-sort">') == 2
    assert "<script>" not in more
    assert parsed_table(more).columns.tolist() == ["a", HOSTILE]
    assert [f'data-row="{row}"' in more for row in (0, 5, 6)] == [True, True, False], "the order in which they came"


def test_numbers_stand_to_the_right_also_where_one_is_missing():
    html = small_table.as_html(pd.DataFrame({"a": ["x", "y"], "b": [1, "–"], "c": ["1 ± 2", "–"]}), "t")
    assert html.count('class="kd-number"') == 2, "the head and a cell of b"
    assert html.count('class="kd-number kd-none"') == 1, "a card leaves out what is not there"
    assert html.count('class="kd-none"') == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), ("", "–"), (math.nan, "–"), (np.int64(1_234), "1,234"), (np.float32(0.5), "0.5"), ("a", "a")],
)
def test_a_cell_in_words(value, text):
    assert small_table.cell_text(value) == text


def test_a_curve_is_drawn_from_the_bottom_up_and_said_in_words():
    html = small_table.as_html(pd.DataFrame({"run": ["x"], "curve": [[0.0, 0.5, 1.0]]}), "t")
    assert 'points="0.0,23.0 50.0,12.0 100.0,1.0"' in unquote(html)
    assert parsed_table(html).iloc[0, 1] == "from 0 to 100 %"
    assert parsed_table(small_table.as_html(pd.DataFrame({"run": ["x"], "curve": [[0.5]]}), "t")).iloc[0, 1] == "–"


def test_a_picture_is_shown_and_its_address_cannot_end_its_markup():
    address = 'item?dataset=a"><script>&row=1'
    html = small_table.as_html(pd.DataFrame({"item": ["x"], "picture": [address]}), "t", picture="picture")
    [picture] = ElementTree.fromstring(html.replace('alt="">', 'alt=""/>')).iter("img")
    assert picture.get("src") == address
