"""A landscape in a real browser: launched with one button, its cells fill in, a click on one opens its run."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)
PLAN = (
    "mode=Landscape&dataset=digits&teacher=random&labels=60&epochs=2&width=2&seeds=2&methods=baseline&methods=mlp"
    "&values-dim=2&values-dim=4&values-dim=8&values-distance_weight=0.2&values-distance_weight=0.8"
)


def test_a_landscape_is_launched_fills_in_and_a_click_opens_a_run(visit):
    page = visit(f"/distill?{PLAN}", height=1400)
    expect(page.get_by_text("4 runs, 7 settings")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Takes")).to_be_visible()
    page.locator(".st-key-launch-landscape button").click()
    expect(page.get_by_text("Nothing launched yet")).to_have_count(0, timeout=SLOW)
    cells = page.locator(".annotation-text")
    expect(cells).to_have_count(6, timeout=SLOW)
    expect(page.get_by_text("All 4 runs are done")).to_be_visible(timeout=SLOW)
    box = page.locator(".heatmaplayer image").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.7 * box["height"])  # width 8, λ 0.2
    opened = page.locator(".st-key-opened-cell")
    expect(opened).to_contain_text("(mlp), 8, λ 0.2: validation", timeout=SLOW)
    opened.get_by_role("link", name="Open its run").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("distance_weight: 0.2,0.8")).to_be_visible(timeout=SLOW)
    assert "runs=" in page.url


def test_a_landscape_fits_a_phone(visit):
    page = visit(f"/distill?{PLAN}", width=390, height=844)
    expect(page.get_by_text("4 runs, 7 settings")).to_be_visible(timeout=SLOW)
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth") <= 390
