"""Lessons as a person and a class meet them: the keyboard alone, a real training, a room, votes of several browsers."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW
from tests.browser.keyboard import check_ring, focused, tab_to

pytestmark = pytest.mark.timeout(600)


def answer_with_keys(page) -> None:
    tab_to(page, "button", "This is what I expect")
    check_ring(page)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_whole_lesson_with_the_keyboard_alone_and_a_real_training(visit, scheme):
    """No click, and no focus that the test sets: from the list of lessons to the end of one, with all three kinds of
    question. The second time its training is there already."""
    page = visit("/lessons", height=900)
    page.emulate_media(color_scheme=scheme)
    expect(page.get_by_role("button", name="Begin lesson 7")).to_be_visible()
    assert tab_to(page, "button", "Begin lesson 3") <= 25
    check_ring(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="One training, every width")).to_be_focused()
    tab_to(page, "slider", "numbers kept: 1")
    check_ring(page)
    for place, key in enumerate(("PageDown", "PageDown", "ArrowDown", "ArrowRight", "PageUp", "PageUp", "PageUp")):
        page.keyboard.press(key)
        if place < 6:
            page.keyboard.press("Tab")
    assert focused(page)["value"] == "60 %"
    assert [point.get_attribute("aria-valuenow") for point in page.locator("svg.plot").get_by_role("slider").all()] == [
        "40", "40", "49", "51", "60", "60", "60",
    ]  # fmt: skip
    answer_with_keys(page)
    outcome = page.get_by_text(re.compile(r"Your curve is off by \d+"))
    expect(outcome).to_be_visible(timeout=3 * SLOW)
    expect(page).to_have_url(re.compile(r"answers=1-40~40~49~51~60~60~60"))
    expect(
        page.get_by_text(re.compile("Eight numbers are nearly enough|there is still something to gain"))
    ).to_be_visible()
    tab_to(page, "button", "Next")
    check_ring(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What goes first?")).to_be_focused()
    tab_to(page, "slider", "With 4 numbers left")
    page.keyboard.press("ArrowLeft")
    answer_with_keys(page)
    expect(page.get_by_text(re.compile(r"You said 49 %, measured: \d+"))).to_be_visible(timeout=SLOW)
    tab_to(page, "slider", "Numbers per item")
    check_ring(page)
    page.keyboard.press("Home")
    expect(page.locator("[data-dial] [data-width]")).to_have_text("1")
    tab_to(page, "button", "Next")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How small is small?")).to_be_focused()
    tab_to(page, "radio", "")
    page.keyboard.press("ArrowDown")
    check_ring(page)
    answer_with_keys(page)
    expect(page.get_by_text(re.compile("You said: "))).to_be_visible(timeout=SLOW)
    tab_to(page, "button", "Finish")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Lessons", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Begin lesson 3 again")).to_be_visible()


def test_an_answer_and_its_result_survive_a_reload(visit):
    page = visit("/lessons?lesson=2&step=2", height=900)
    expect(page.get_by_text(re.compile(r"It takes 1 training on this machine, .* (s|min)\."))).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(0)
    expect(page.get_by_role("button", name="This is what I expect")).to_be_enabled()
    tab_to(page, "slider", "How often does the probe")
    page.keyboard.press("ArrowLeft")
    answer_with_keys(page)
    outcome = page.get_by_text(re.compile(r"You said 49 %, measured: \d+"))
    expect(outcome).to_be_visible(timeout=3 * SLOW)
    said = outcome.inner_text()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"answers=2-49"))
    page.reload()
    expect(outcome).to_have_text(said, timeout=SLOW)


def test_a_word_says_what_it_means_under_the_pointer_and_the_focus(visit):
    page = visit("/lessons?lesson=1")
    word = page.locator(".kd-term", has_text="student").first
    tip = word.locator(".kd-tip")
    expect(tip).to_be_hidden()
    word.focus()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("small network")


def test_a_link_hides_the_menu_and_a_presentation_enlarges_the_text(visit):
    plain = visit("/lessons?lesson=1")
    expect(plain.get_by_test_id("stHeader")).to_be_visible()
    size = "parseFloat(getComputedStyle(document.querySelector('[data-testid=stMarkdownContainer] p')).fontSize)"
    normal = plain.evaluate(size)
    short = visit("/lessons?lesson=3", height=700)
    expect(short.get_by_role("button", name="Next", exact=True)).to_be_in_viewport(ratio=1)
    hidden = visit("/lessons?lesson=1&hide=nav,list")
    expect(hidden.get_by_role("button", name="Next", exact=True)).to_be_visible()
    expect(hidden.get_by_test_id("stHeader")).to_be_hidden()
    expect(hidden.get_by_role("button", name="All lessons")).to_have_count(0)
    large = visit("/lessons?lesson=1&present=1")
    expect(large.get_by_role("button", name="Next", exact=True)).to_be_visible()
    expect(large.get_by_test_id("stHeader")).to_be_hidden()
    assert large.evaluate(size) > 1.2 * normal


@pytest.mark.parametrize(("step", "view"), [(1, ".js-plotly-plot"), (2, "[data-dial]"), (3, "[data-dial]")])
def test_a_presentation_shows_a_step_with_its_result_in_one_screen(visit, step, view):
    page = visit(f"/lessons?lesson=3&step={step}&present=1&answers=1-{'~'.join(['50'] * 7)}_2-50_3-1", height=900)
    outcome = page.get_by_text(re.compile("^(Your curve is off|You said)"))
    expect(outcome.or_(page.get_by_role("button", name="Run it"))).to_be_visible()
    if not outcome.count():  # no other test has trained it before
        page.get_by_role("button", name="Run it").click()
    expect(outcome).to_be_in_viewport(ratio=1, timeout=3 * SLOW)
    expect(page.locator(view).first).to_be_in_viewport(ratio=1)
    expect(page.locator(".st-key-explanation")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Back", exact=True)).to_be_in_viewport(ratio=1)
    assert page.get_by_test_id("stMain").evaluate("(main) => main.scrollHeight") <= 900


def test_votes_of_two_browsers_appear_in_a_third(visit):
    address = "/lessons?lesson=7&class=8 b <b>"
    third = visit(address + "&present=1")
    expect(third.get_by_text("0 answers")).to_be_visible(timeout=SLOW)
    for number, steps in enumerate((1, 2)):
        page = visit(address)
        expect(page.get_by_role("button", name="This is what I expect")).to_be_enabled()
        tab_to(page, "slider", "Best minus worst")
        for _ in range(steps):
            page.keyboard.press("ArrowRight")
        expect(page.get_by_role("slider")).to_have_value(str(20 + steps))
        page.get_by_text("Share my answer with the class").click()
        page.get_by_role("button", name="This is what I expect").click()
        expect(page.get_by_text(f"{number + 1} answer")).to_be_visible(timeout=SLOW)
        expect(page.get_by_text("You said")).to_have_count(0)
    expect(third.get_by_text("2 answers")).to_be_visible(timeout=SLOW)
    expect(third.locator(".js-plotly-plot")).to_have_count(1)  # beside the one before, for a moment
    expect(third.locator(".js-plotly-plot").first).to_be_visible()
    expect(third.get_by_text("8 b <b>").first).to_be_visible()


def test_a_curve_is_drawn_with_the_pointer(visit):
    page = visit("/lessons?lesson=3")
    plot = page.locator("svg.plot")
    expect(plot.get_by_role("slider")).to_have_count(7)
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.15 * box["width"], box["y"] + 0.7 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.2 * box["height"], steps=20)
    page.mouse.up()
    values = [int(each.get_attribute("aria-valuenow")) for each in plot.get_by_role("slider").all()]
    assert values == sorted(values)
    assert values[0] < 40 < 60 < values[-1]
