"""Lessons as a person and a class meet them: with the keyboard alone, a real training, votes from several browsers."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)


def press_until(page, name: str, limit: int = 60) -> None:
    """Press Tab until a button has the focus, then Enter."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        label = page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''")
        if name in label and page.evaluate("document.activeElement.tagName") == "BUTTON":
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"no Tab led to {name}")


def test_a_whole_lesson_with_the_keyboard_alone_and_a_real_training(visit):
    page = visit("/lessons?lesson=2", height=900)
    expect(page.get_by_role("heading", name="2 · Teachers know too much")).to_be_visible()
    press_until(page, "Next")
    expect(page.get_by_role("heading", name="Ask the embedding")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(0)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_value("49")
    press_until(page, "This is what I expect")
    expect(page.get_by_text(re.compile(r"You said 49 %, measured: \d+"))).to_be_visible(timeout=3 * SLOW)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page).to_have_url(re.compile("answers=2-49"))
    page.reload()
    expect(page.get_by_text(re.compile(r"You said 49 %, measured: \d+"))).to_be_visible(timeout=SLOW)
    press_until(page, "Next")
    expect(page.get_by_role("heading", name="And after compression?")).to_be_visible()
    page.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="This is what I expect")).to_be_enabled()
    press_until(page, "This is what I expect")
    expect(page.get_by_text(re.compile("You said:"))).to_be_visible(timeout=SLOW)
    press_until(page, "Next")
    expect(page.get_by_role("heading", name="See it")).to_be_visible()
    press_until(page, "Finish")
    expect(page.get_by_role("button", name="Begin lesson 2 again")).to_be_visible()


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
    hidden = visit("/lessons?lesson=1&hide=nav,list")
    expect(hidden.get_by_role("button", name="Next", exact=True)).to_be_visible()
    expect(hidden.get_by_test_id("stHeader")).to_be_hidden()
    expect(hidden.get_by_role("button", name="All lessons")).to_have_count(0)
    large = visit("/lessons?lesson=1&present=1")
    expect(large.get_by_role("button", name="Next", exact=True)).to_be_visible()
    expect(large.get_by_test_id("stHeader")).to_be_hidden()
    assert large.evaluate(size) > 1.2 * normal


def test_votes_of_two_browsers_appear_in_a_third(visit):
    address = "/lessons?lesson=7&class=8 b <b>"
    third = visit(address + "&present=1")
    expect(third.get_by_text("0 answers")).to_be_visible(timeout=SLOW)
    for number, steps in enumerate((1, 2)):
        page = visit(address)
        page.get_by_role("slider").focus()
        for _ in range(steps):
            page.keyboard.press("ArrowRight")
        expect(page.get_by_role("slider")).to_have_value(str(20 + steps))
        page.get_by_text("Share my answer with the class").click()
        page.get_by_role("button", name="This is what I expect").click()
        expect(page.get_by_text(f"{number + 1} answer")).to_be_visible(timeout=SLOW)
        expect(page.get_by_text("You said")).to_have_count(0)
    expect(third.get_by_text("2 answers")).to_be_visible(timeout=SLOW)
    expect(third.locator(".js-plotly-plot")).to_be_visible()
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
