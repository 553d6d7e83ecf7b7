"""The app as a person meets it, nothing faked: race, launch, reload, cancel, compare, addresses, hostile labels."""

import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

from tests.benchmarks import page_vitals
from tests.browser.conftest import ROOT, SLOW

pytestmark = pytest.mark.timeout(600)
QUICK = "dataset=digits&labels=60&epochs=2&seeds=2&width=2&teacher=random"
# Takes minutes: no machine is too late to cancel it.
LONG = "dataset=digits&labels=890&epochs=500&seeds=20&width=8&teacher=random"


def runs_of(page) -> str:
    return parse_qs(urlsplit(page.url).query).get("runs", [""])[0]


def launch(page) -> str:
    """Press Launch and return the ids of what was launched."""
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    page.wait_for_url(re.compile(r"runs="), timeout=SLOW)
    return runs_of(page)


@pytest.fixture(scope="module")
def finished(server, chromium):
    """Return the ids of a small finished comparison."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/distill?{QUICK}")
    ids = launch(page)
    expect(page.get_by_role("link", name="Compare in every detail")).to_be_visible(timeout=SLOW)
    context.close()
    return ids


def test_launch_reload_leave_come_back_and_cancel(visit):
    page = visit(f"/distill?{LONG}")
    ids = launch(page)
    expect(page.get_by_text("Training:")).to_be_visible(timeout=SLOW)
    page.reload()
    expect(page.get_by_text("Training:")).to_be_visible(timeout=SLOW)
    assert runs_of(page) == ids
    page.close()
    again = visit(f"/distill?runs={ids}")
    expect(again.locator(".scatterlayer .points path").first).to_be_visible(timeout=SLOW)
    again.get_by_role("button", name="Cancel").click()
    expect(again.get_by_text("cancelled", exact=True)).to_have_count(3, timeout=SLOW)
    expect(again.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_killed_server_loses_no_run(visit, server):
    page = visit(f"/distill?{LONG}&methods=baseline")
    ids = launch(page)
    expect(page.locator(".scatterlayer .points path").first).to_be_visible(timeout=SLOW)
    page.close()
    server.kill()
    server.start()
    again = visit(f"/distill?runs={ids}")
    expect(again.locator(".scatterlayer .points path").first).to_be_visible(timeout=SLOW)
    again.get_by_role("button", name="Cancel").click()
    expect(again.get_by_text("cancelled", exact=True)).to_be_visible(timeout=SLOW)


def test_two_runs_compared_and_the_table_taken_away(visit, finished):
    page = visit(f"/compare?runs={','.join(finished.split(',')[:2])}")
    expect(page.get_by_text("2 runs chosen")).to_be_visible()
    expect(page.locator(".barlayer .point").first).to_be_visible()
    page.get_by_role("radio", name="Table").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("method,")
    assert len(lines) == 3


def test_a_figure_is_taken_away_as_a_page(visit, finished):
    page = visit(f"/compare?runs={finished}")
    page.get_by_role("button", name="Save figure").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML page").click()
    assert "Plotly.newPlot" in download.value.path().read_text()


@pytest.fixture(scope="module")
def listed(server):
    """Put six runs into the store, three of which are found by "few"."""
    code = "from tests.stored_runs import store_all; store_all('listed'); store_all('listed few')"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=server.env, check=True)


def test_a_click_in_the_list_of_runs_chooses_and_a_slash_searches(visit, listed):
    page = visit("/runs?text=listed")
    expect(page).to_have_title("Runs · KD Lab")
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    boxes = page.get_by_role("checkbox", name=re.compile("^listed"))
    expect(boxes).to_have_count(6)
    boxes.first.click()
    expect(page.get_by_role("button", name="Delete")).to_be_enabled()  # the list was drawn anew alone, all else stayed
    page.wait_for_function("/runs=[0-9a-f]{32}/.test(location.search)")
    page.get_by_role("checkbox", name="All runs of this list").click()
    expect(page.get_by_text("6 chosen", exact=True)).to_be_visible()
    boxes.nth(1).click()
    expect(page.get_by_text("5 chosen", exact=True)).to_be_visible()
    page.locator("body").press("/")
    search = page.get_by_role("textbox", name="Search")
    expect(search).to_be_focused()
    expect(search).to_have_value("listed")


def test_a_list_of_runs_is_sorted_by_a_column_and_stays_so_when_it_changes(visit, listed):
    page = visit("/runs?text=listed")
    names = page.get_by_role("rowheader")
    expect(names).to_have_count(6)
    newest = names.all_inner_texts()
    sort, age = (page.get_by_role("button", name=name, exact=True) for name in ("name", "age"))
    sort.focus()
    page.keyboard.press("Enter")
    expect(names).to_have_text(sorted(newest, key=str.lower))
    expect(page.get_by_role("columnheader", name="name")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("checkbox", name="listed raw").click()  # the server sends all of it again
    expect(page.get_by_role("button", name="Delete")).to_be_enabled()
    expect(names).to_have_text(sorted(newest, key=str.lower))
    assert page.get_by_role("row").filter(has=page.locator(":checked")).get_by_role("rowheader").inner_text() == (
        "listed raw"
    )
    sort.click()
    sort.click()
    expect(names).to_have_text(newest)
    age.click()
    expect(names).to_have_text(newest)
    age.click()
    expect(names).to_have_text(newest[::-1])


@pytest.mark.parametrize("width", [1440, 390])
def test_a_few_runs_are_cards_that_the_keyboard_alone_chooses(visit, listed, width):
    page = visit("/runs?text=listed+few", width=width)
    expect(page.get_by_role("checkbox")).to_have_count(3)
    page.locator("body").press("/")
    expect(page.get_by_role("textbox", name="Search")).to_be_focused()
    boxes = [page.get_by_role("checkbox", name=f"listed few {method}") for method in ("mlp", "raw")]
    while not boxes[0].evaluate("box => box === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Delete")).to_be_enabled()
    page.keyboard.press("Tab")
    expect(boxes[1]).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_text("2 chosen", exact=True)).to_be_visible()
    page.wait_for_function("/runs=[0-9a-f]{32}(,|%2C)[0-9a-f]{32}/.test(location.search)")
    page.reload()
    expect(page.get_by_text("2 chosen", exact=True)).to_be_visible()
    assert [box.is_checked() for box in boxes] == [True, True]
    expect(page.get_by_role("img", name=re.compile("^from .* %$"))).to_have_count(3)
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth") <= width


def test_the_address_is_the_screen(visit):
    page = visit("/distill?teacher=parity&dim=8&labels=250&methods=raw&methods=pca")
    expect(page.get_by_role("slider", name=re.compile("Dimension"))).to_have_attribute("aria-valuetext", "8")
    page.get_by_role("spinbutton", name="Labels").fill("300")
    page.get_by_role("spinbutton", name="Labels").press("Enter")
    page.wait_for_url(re.compile("labels=300"))
    other = visit(page.url.removeprefix(page.url.split("/distill")[0]))
    expect(other.get_by_role("spinbutton", name="Labels")).to_have_value("300")
    expect(other.get_by_role("slider", name=re.compile("Dimension"))).to_have_attribute("aria-valuetext", "8")
    expect(other.get_by_role("combobox", name="Teacher", exact=True)).to_have_value("odd or even (parity)")


RECORD = """() => {
  const nav = [...document.querySelectorAll("*")].find((each) => each.shadowRoot?.querySelector("[data-word=labels]"));
  const word = nav.shadowRoot.querySelector("[data-word=labels]");
  window.said = [];
  const record = (now) => {
    if (window.said.at(-1)?.[1] !== word.textContent) window.said.push([now, word.textContent]);
    requestAnimationFrame(record);
  };
  requestAnimationFrame(record);
}"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_number_that_changes_counts_for_a_fifth_of_a_second_or_not_at_all(visit, motion):
    page = visit("/distill?labels=250")
    page.emulate_media(reduced_motion=motion)
    expect(page.locator("[data-word=labels]")).to_have_text("250 labels")
    page.evaluate(RECORD)
    page.get_by_role("spinbutton", name="Labels").fill("890")
    page.get_by_role("spinbutton", name="Labels").press("Enter")
    expect(page.locator("[data-word=labels]")).to_have_text("890 labels")
    said = page.evaluate("window.said")
    numbers = [int(text.removesuffix(" labels")) for _, text in said]
    assert numbers == sorted(numbers)
    assert (len(numbers) > 2) == (motion != "reduce"), numbers
    if motion != "reduce":
        assert said[-1][0] - said[1][0] < 400, "180 ms, and some for a busy machine"


def test_a_link_brings_its_section_into_view_unless_a_person_moves(visit, finished):
    page = visit(f"/compare?runs={finished}&show=Table", width=390, height=844)
    section = page.locator(".st-key-show")
    expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible(timeout=SLOW)
    page.wait_for_function("document.querySelector('.st-key-show')?.getBoundingClientRect().top < 120")
    assert 40 < section.bounding_box()["y"] < 120, "below the bar of pages"
    page.mouse.move(200, 400)
    main = page.get_by_test_id("stMain")
    for _ in range(60):  # a turn of the wheel in the frame in which the page itself scrolls is lost
        page.mouse.wheel(0, -3000)
        page.wait_for_timeout(250)
        if main.evaluate("main => main.scrollTop") == 0:
            break
    page.wait_for_timeout(500)
    assert main.evaluate("main => main.scrollTop") == 0, "who has moved stays there"
    page.get_by_role("radio", name="Why").locator("..").scroll_into_view_if_needed()
    before = page.get_by_test_id("stMain").evaluate("main => main.scrollTop")
    page.get_by_role("radio", name="Why").click()
    page.wait_for_function("/show=Why/.test(location.search)")
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollTop") == before, "a choice on the page is no link"


def test_hostile_labels_are_shown_literally(visit):
    page = visit("/data_teachers?dataset=%3Ci%3Ehostile%3C/i%3E")
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible(timeout=SLOW)
    for text in ("**bold**", "$x^2$", "[link](http://example.org)", "<a href='http://example.org'>a</a>"):
        expect(page.get_by_text(text).first).to_be_visible()
    assert page.locator("a[href*='example.org']").count() == 0
    expect(page.get_by_text("A <b>dataset</b> with **hostile** $x^2$ labels")).to_be_visible()


def test_a_sound_is_played(visit):
    page = visit("/data_teachers?dataset=tones")
    player = page.locator("audio")
    expect(player).to_have_attribute("src", re.compile(r"\.wav$"), timeout=SLOW)
    loaded = (
        "a => new Promise((ok, no) => { a.onerror = () => no(a.error.message); "
        "a.oncanplaythrough = () => ok(a.duration); a.load(); })"
    )
    assert player.evaluate(loaded) == pytest.approx(0.77, abs=0.01)
    ended = "a => new Promise(done => { a.onended = () => done(a.currentTime); a.muted = true; a.play(); })"
    assert player.evaluate(ended) == pytest.approx(0.77, abs=0.01)


def test_teachers_follow_the_dataset(visit):
    page = visit("/distill?dataset=mixtures")
    page.get_by_role("button", name=re.compile("^Teacher, frozen")).click()
    expect(page.get_by_role("combobox", name="Teacher", exact=True)).to_have_value("version matching (tones-simclr)")
    page.get_by_role("combobox", name="Teacher", exact=True).click()
    expect(page.get_by_role("option", name=re.compile(r"\(tones-"))).to_have_count(4)
    expect(page.get_by_role("option", name=re.compile(r"^(?!.*\(tones-|pip:)"))).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/data_teachers", "/distill", "/embeddings", "/compare", "/runs"])
def test_no_page_is_wider_than_a_phone(visit, path):
    page = visit(path, width=390, height=844)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=SLOW)
    assert page.get_by_test_id("stMain").evaluate("(main) => main.scrollWidth") <= 390


@pytest.mark.parametrize("page", ["embeddings", "try_it"])
def test_nothing_jumps_on_a_phone_while_a_page_comes(server, chromium, finished, page):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    for _ in range(2):  # the first time the scorecard is still being measured
        seen = page_vitals.visit(context, f"{server.url}/{page}?runs={finished}")
        shifts = seen.shifts()
    context.close()
    assert sum(shift[1] for shift in shifts) <= 0.1, shifts


def test_the_server_tells_browsers_what_is_allowed(server):
    with urlopen(server.url) as answer:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
