"""The dial in a real browser: it turns at once, without a run of the page's script; keys, sweep, charts, colours."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)
SMALL = "dataset=digits&labels=60&epochs=3&seeds=2&width=2&teacher=random&methods=matryoshka&dim=16"
WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16]


@pytest.fixture(scope="module")
def trained(server, chromium):
    """Return the id of a small finished run that holds every width, trained by the app."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/distill?{SMALL}")
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    expect(page.get_by_role("link", name="See the spaces")).to_be_visible(timeout=SLOW)
    run_id = re.search(r"runs=([0-9a-f]{32})", page.url).group(1)
    context.close()
    return run_id


def opened(visit, run: str, **size: int):
    page = visit(f"/dial?run={run}", **size)
    expect(page.locator("[data-dial] [data-sentence]")).to_contain_text("16 of 16 numbers", timeout=SLOW)
    page.wait_for_timeout(300)  # until the maps are painted
    return page


def ask(page, question: str):
    return page.locator("[data-dial]").evaluate(f"(root) => {{ const view = root.view; return {question}; }}")


def painted(page, name: str) -> np.ndarray:
    """Return the pixels of a map."""
    picture = page.screenshot(clip=page.locator(f"[data-panel={name}]").bounding_box())
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """Return the share of pixels that differ."""
    return float((np.abs(before - after).max(-1) > 40).mean())


def numbers(page) -> list[str]:
    return page.locator("[data-dial] .card-head").all_inner_texts()


def test_the_slider_changes_map_and_numbers_without_a_run_of_the_script(visit, trained):
    page = opened(visit, trained)
    frames, before, words = [], painted(page, "trained"), numbers(page)
    watched = page.context.new_cdp_session(page)
    watched.send("Network.enable")
    for event in ("Network.webSocketFrameSent", "Network.webSocketFrameReceived"):
        watched.on(event, lambda frame: frames.append(frame))
    slider = page.get_by_role("slider", name="Numbers per item")
    delays = []
    for index in (8, 5, 3, 2, 1):
        slider.fill(str(index))
        expect(page.locator("[data-dial] [data-width]")).to_have_text(str(WIDTHS[index]))
        delays.append(ask(page, "view.delay"))
    page.wait_for_timeout(1000)  # a run of the script would have begun by then
    print(f"ms from input to redraw: {', '.join(f'{delay:.1f}' for delay in delays)}")
    assert all(0 < delay < 1000 for delay in delays)
    assert not frames
    assert changed(before, painted(page, "trained")) > 0.01
    assert [a != b for a, b in zip(words, numbers(page), strict=True)].count(True) >= 3
    expect(page.locator("[data-dial] [data-sentence]")).to_contain_text("2 of 16 numbers, 8 bytes per item.")
    assert slider.get_attribute("aria-valuetext").startswith("2 of 16 numbers")
    page.locator("h1").click()
    page.keyboard.press("r")  # runs the script again, which is seen
    expect(page.locator("[data-dial] [data-width]")).to_have_text("2")
    page.wait_for_timeout(500)
    assert frames
    assert ask(page, "view.scene.time") == 1
    assert "2 of 16 numbers" in page.get_by_role("img", name="Trained on the target").get_attribute("aria-label")


def test_arrow_keys_turn_it_and_the_space_bar_sweeps_from_wide_to_narrow(visit, trained):
    page = opened(visit, trained)
    width = page.locator("[data-dial] [data-width]")
    page.get_by_role("slider", name="Numbers per item").focus()
    page.keyboard.press("ArrowLeft")
    expect(width).to_have_text("14")
    page.keyboard.press("Home")
    expect(width).to_have_text("1")
    page.keyboard.press(" ")  # from the narrowest it begins anew
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(width).not_to_have_text("1")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert ask(page, "view.scene.time % 1") == 0
    page.get_by_role("button", name="Play").click()
    expect(width).to_have_text("1")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_who_wants_little_motion_sees_it_jump(visit, trained):
    page = opened(visit, trained)
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Play").click()
    times = [ask(page, "view.scene.time") for _ in range(40)]
    assert all(time % 1 == 0 for time in times)
    expect(page.locator("[data-dial] [data-width]")).not_to_have_text("16")


def test_a_chart_turns_the_dial_and_colours_are_chosen_in_the_component(visit, trained):
    page = opened(visit, trained)
    plot = page.locator("[data-dial] .plot").first
    box = plot.bounding_box()
    plot.click(position={"x": box["width"] / 2, "y": 20})
    expect(page.locator("[data-dial] [data-width]")).to_have_text("4")
    before = painted(page, "pca")
    legend = page.locator("[data-dial] [data-legend] button")
    expect(legend).to_have_count(10)
    legend.first.click()
    expect(legend.first).to_have_attribute("aria-pressed", "true")
    assert changed(before, painted(page, "pca")) > 0.01
    legend.first.click()
    expect(legend.first).to_have_attribute("aria-pressed", "false")
    x, y = ask(page, "[view.panels[1].box.left + view.panels[1].box.width / 2, view.panels[1].box.height / 2]")
    place = ask(page, "view.scene.nearest(1, [0, 0], 9)")
    assert place >= 0
    stage = page.locator("[data-dial] [data-stage]").bounding_box()
    offset = ask(page, f"view.scene.point(1, {place})")
    unit = ask(page, "view.panels[1].camera.zoom * Math.min(view.panels[1].box.width, view.panels[1].box.height) / 2")
    page.mouse.move(stage["x"] + x + offset[0] * unit, stage["y"] + y - offset[1] * unit)
    expect(page.locator("[data-dial] [data-tip]")).to_be_visible()
    assert ask(page, "view.hovered") == place


def test_a_phone_shows_all_of_it_and_nothing_is_wider_than_the_screen(visit, trained):
    page = opened(visit, trained, width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    slider = page.get_by_role("slider", name="Numbers per item")
    assert slider.bounding_box()["width"] > 300
    for card in page.locator("[data-dial] .card").all():
        box = card.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_the_first_screen_holds_slider_maps_numbers_and_curves(visit, trained):
    page = opened(visit, trained, height=900)
    parts = ["[data-slider]", "[data-panel=trained]", "[data-panel=pca]", "[data-sentence]", ".card >> nth=-1"]
    for part in parts:
        box = page.locator("[data-dial]").locator(part).bounding_box()
        assert box["y"] + box["height"] <= 900, part
