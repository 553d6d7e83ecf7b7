"""Compare in a real browser: the answer stands above every control, and small tables are cards on a phone."""

import re
import subprocess
import sys

import pandas as pd
import pytest
from playwright.sync_api import expect

from pages.small_table import as_html
from tests.browser.conftest import ROOT, SLOW

pytestmark = pytest.mark.timeout(300)
STORE = "from tests.stored_runs import store_all; print(','.join(store_all('compare')))"


@pytest.fixture(scope="module")
def stored(server):
    done = subprocess.run(
        [sys.executable, "-c", STORE], cwd=ROOT, env=server.env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def top(locator):
    return locator.bounding_box()["y"]


def test_the_answer_and_its_figure_stand_above_every_control_of_the_page(visit, stored):
    page = visit(f"/compare?runs={stored}", height=900)
    answer = page.locator(".st-key-answer p").first
    expect(answer).to_contain_text(re.compile("helps|does not help|it is open"), timeout=SLOW)
    bars = page.locator(".barlayer .point").first
    expect(bars).to_be_visible()
    expect(page).to_have_title("3 runs · Compare · KD Lab")
    below = [page.get_by_role("button", name=name) for name in ("Save figure", "Report", "Export")]
    below.append(page.get_by_role("radio", name="Differences"))
    assert top(answer) < top(bars) < min(top(each) for each in below)
    assert max(top(each) for each in below[:3]) < 900, "all of it fits a screen"


def test_a_small_table_is_cards_on_a_phone_and_a_table_elsewhere(visit, stored):
    for width, display, count in ((1440, "table-row", 4), (390, "grid", 3)):
        page = visit(f"/compare?runs={stored}&show=Table", width=width, height=844)
        rows = page.get_by_role("table").get_by_role("row")
        expect(rows).to_have_count(count, timeout=SLOW)  # with its heading, and without
        assert rows.last.evaluate("row => getComputedStyle(row).display") == display
        assert page.get_by_role("rowheader").first.inner_text() == "no teacher (baseline)"
        assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth") <= width


DRAW = """(place, html) => {
  place.innerHTML = html;
  window.said = [];
  const record = () => {
    window.said.push([...place.querySelectorAll("tbody tr")].map((row) => row.innerText));
    requestAnimationFrame(record);
  };
  requestAnimationFrame(record);
}"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_table_that_is_drawn_anew_counts_stays_sorted_and_keeps_the_focus(visit, stored, motion):
    page = visit(f"/compare?runs={stored}&show=Table")
    page.emulate_media(reduced_motion=motion)
    place = page.get_by_test_id("stHtml").filter(has=page.get_by_role("table"))
    expect(place).to_be_visible(timeout=SLOW)
    names = [f"run {letter}" for letter in "abcdefg"]
    before, after = [10.0, 70.0, 30.0, 50.0, 20.0, 40.0, None], [80.0, 70.0, 30.0, 50.0, 20.0, 40.0, 60.0]
    tables = [as_html(pd.DataFrame({"run": names, "accuracy": values}), "t") for values in (before, after)]
    place.evaluate("(place, html) => { place.innerHTML = html; }", tables[0])
    sort, rows = page.get_by_role("button", name="accuracy"), place.get_by_role("rowheader")
    sort.press("Enter")
    sort.press("Enter")
    expect(rows).to_have_text([f"run {letter}" for letter in "bdfceag"])
    place.evaluate(DRAW, tables[1])
    expect(rows).to_have_text([f"run {letter}" for letter in "abgdfce"])
    expect(sort).to_be_focused()
    expect(place.get_by_role("row").nth(1)).to_have_text(re.compile("run a.*80.0", re.DOTALL))
    said = [" ".join(line.split()) for frame in page.evaluate("window.said") for line in frame]
    counted = [float(line.split()[-1]) for line in said if line.startswith("run a")]
    assert counted == sorted(counted)
    assert (len(set(counted)) > 2) == (motion != "reduce"), "from what the same row said, wherever it stood"
    assert {line for line in said if line.startswith("run b")} == {"run b 70.0"}


def test_other_runs_are_chosen_behind_the_title(visit, stored):
    page = visit(f"/compare?runs={stored}&open=choose&text=compare")
    boxes = page.get_by_test_id("stPopoverBody").get_by_role("checkbox")
    expect(boxes).to_have_count(3, timeout=SLOW)
    assert all(box.is_checked() for box in boxes.all())
    page.get_by_test_id("stPopoverBody").get_by_text("compare raw", exact=True).click()
    expect(page.get_by_text("2 runs chosen")).to_be_visible()
    expect(boxes).to_have_count(3)
