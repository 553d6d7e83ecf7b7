"""A report in a real browser: from the app's download to a file that is opened from disk and asks nobody."""

import pytest
from playwright.sync_api import expect

from kdlib.data import datasets
from kdlib.export.report import write_report
from tests.browser.conftest import SLOW
from tests.stored_runs import store_all
from tests.test_report import hostile as hostile_runs

pytestmark = pytest.mark.timeout(300)
hostile = hostile_runs


@pytest.fixture
def open_file(chromium):
    """Return a function that opens a file; afterwards it has asked nobody, and no console has heard anything."""
    contexts, complaints = [], []

    def open_page(path, width=1440, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a label ran as code: {dialog.message}"))
        page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        expect(page.locator(".main-svg").first).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def drawn(page):
    """Return for each figure whether it holds marks."""
    marks = ".points path, .point path, .js-line, .trace image, .heatmaplayer image"
    return page.eval_on_selector_all(
        "[data-figure]", f"places => places.map(place => place.querySelectorAll('{marks}').length > 0)"
    )


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_report_from_disk_draws_all_figures_and_asks_nobody(fresh_home, tmp_path, open_file, width, scheme):
    write_report(store_all(), tmp_path / "report.html")
    page = open_file(tmp_path / "report.html", width, scheme)
    assert len(drawn(page)) >= 6
    assert all(drawn(page))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink = page.evaluate("getComputedStyle(document.querySelector('.xtick text, .ytick text')).fill")
    assert (sum(map(int, ink[4:-1].split(", "))) > 384) == (scheme == "dark"), "axes are read on the page's colour"


def test_on_paper_no_figure_is_wider_than_the_sheet_and_the_screen_comes_back(fresh_home, tmp_path, open_file):
    write_report(store_all(), tmp_path / "report.html")
    page = open_file(tmp_path / "report.html")
    widths = "() => [...document.querySelectorAll('.main-svg')].map(svg => svg.clientWidth)"
    before = max(page.evaluate(widths))
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert max(page.evaluate(widths)) <= 680 < before
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"Math.max(...({widths})()) === {before}")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_hostile_names_stay_text_in_a_report(hostile, tmp_path, open_file):
    write_report(hostile, tmp_path / "report.html")
    page = open_file(tmp_path / "report.html")
    assert all(drawn(page))
    for name in datasets.load("<i>hostile</i>`|").classes:
        expect(page.get_by_text(name).first).to_be_attached()
    assert page.locator("img, main a, main i, main b").count() == 0


def test_a_report_is_downloaded_in_the_app(visit, server, tmp_path, open_file):
    page = visit("/distill?dataset=digits&labels=60&epochs=2&seeds=2&width=2&teacher=random&methods=raw,mlp&dim=4")
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    expect(page.get_by_role("link", name="See the spaces")).to_be_visible(timeout=SLOW)
    page.goto(page.url.replace("/distill", "/compare"))
    for name, ending in (("Page", "html"), ("Notebook", "ipynb"), ("Markdown", "md")):
        page.get_by_role("button", name="Report").click()
        with page.expect_download(timeout=SLOW) as download:
            page.get_by_role("button", name=name, exact=True).click()
        assert download.value.suggested_filename == f"report.{ending}"
        download.value.save_as(tmp_path / f"report.{ending}")
        page.keyboard.press("Escape")
    assert all(drawn(open_file(tmp_path / "report.html")))
