"""The linked maps in a real browser: selection, neighbours, hover, keyboard, morph and replay."""

import math
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from kdlib import spaces
from kdlib.analysis.neighbours import find_neighbours
from kdlib.data import datasets
from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)
SMALL = "dataset=digits&labels=60&epochs=3&seeds=2&width=2&teacher=random&methods=mlp&dim=4"


@pytest.fixture(scope="module")
def trained(server, chromium):
    """Return the id of a small finished run, trained by the app."""
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


def ask(page, question: str, key: str = "maps"):
    """Return what a map component says: `view` is the object that draws, `scene` what it draws."""
    number = 0 if key == "maps" else 1
    return (
        page.locator("[data-kd]")
        .nth(number)
        .evaluate(f"(root) => {{ const view = root.view, scene = view.scene; return {question}; }}")
    )


def opened(visit, run: str, **query: str):
    page = visit(f"/embeddings?runs={run}" + "".join(f"&{name}={value}" for name, value in query.items()))
    expect(page.locator("[data-panel=student]").first).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("600 of 600 rows as seed 0")).to_be_visible(timeout=SLOW)
    return page


def at(page, panel: int, point: int) -> tuple[float, float]:
    """Return where in the window a point of a map is."""
    box = page.locator("[data-stage]").first.bounding_box()
    x, y = ask(page, f"view.screen(view.panels[{panel}], {point})")
    return box["x"] + x, box["y"] + y


def test_a_lasso_in_one_map_highlights_the_same_rows_in_the_others(visit, trained):
    page = opened(visit, trained)
    box = page.locator("[data-panel=compressed]").bounding_box()
    middle, radius = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), 50
    inside = {
        ask(page, f"scene.rows[{i}]") for i in range(0, 600, 7) if math.dist(at(page, 1, i), middle) < radius - 4
    }  # a sample: one question each
    student = page.locator("[data-panel=student]").bounding_box()
    before = page.screenshot(clip=student)
    page.mouse.move(middle[0] + radius, middle[1])
    page.mouse.down()
    for step in range(1, 41):
        page.mouse.move(
            middle[0] + radius * math.cos(math.tau * step / 40), middle[1] + radius * math.sin(math.tau * step / 40)
        )
    page.mouse.up()
    expect(page.get_by_role("status").first).to_have_text(re.compile(r"\d+ of 600 rows selected"))
    chosen = set(ask(page, "scene.highlighted()"))
    assert inside
    assert inside <= chosen
    assert len(chosen) < 600
    assert page.screenshot(clip=student) != before
    data = datasets.load("digits")
    first = str(data.ids[min(chosen)])
    table = page.get_by_test_id("stDataFrame").last
    expect(table).to_be_visible()
    expect(table.locator("td", has_text=first)).to_have_count(1)
    page.get_by_role("button", name="Clear selection").first.click()
    expect(page.get_by_text("Nothing is selected")).to_be_visible()


def test_one_row_shows_its_neighbours_of_the_real_spaces_and_is_kept_in_the_address(
    visit, trained, server, monkeypatch
):
    page = opened(visit, trained)
    page.mouse.click(*at(page, 0, 11))
    expect(page.get_by_role("heading", name="Its 10 nearest neighbours")).to_be_visible()
    (row,) = ask(page, "scene.highlighted()")
    page.wait_for_url(re.compile(f"row={row}"))
    monkeypatch.setenv("KDLIB_HOME", str(server.home))
    loaded = spaces.load_spaces(trained)
    place = loaded.rows.tolist().index(row)
    before, after = (set(find_neighbours(loaded.spaces[name], 10)[place].tolist()) for name in ("raw", "compressed"))
    for kind, rows in (("kept", before & after), ("lost", before - after), ("gained", after - before)):
        expect(page.get_by_text(f"{kind}: {len(rows)}", exact=True).first).to_be_visible()
    again = opened(visit, trained, row=str(row))
    expect(again.get_by_role("heading", name="Its 10 nearest neighbours")).to_be_visible()
    assert ask(again, "scene.highlighted()") == [row]


def test_other_colours_leave_the_selection_as_it_is(visit, trained):
    page = opened(visit, trained)
    page.get_by_role("button", name="3", exact=True).click()
    expect(page.get_by_text("Nothing is selected")).to_be_hidden()
    chosen = ask(page, "scene.highlighted()")
    assert chosen
    page.get_by_role("combobox", name="Colour by").click()
    page.get_by_role("option", name="ink").click()
    expect(page.get_by_role("button", name="little", exact=True)).to_be_visible()
    assert ask(page, "scene.highlighted()") == chosen


def test_hover_shows_the_picture_itself(visit, trained):
    page = opened(visit, trained)
    page.mouse.move(*at(page, 2, 5))
    tip = page.locator("[data-tip]").first
    expect(tip).to_be_visible()
    row = ask(page, "scene.rows[view.hovered]")
    picture = tip.locator("img")
    expect(picture).to_have_attribute("src", f"item?dataset=digits&row={row}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')]"
        ".some(e => e.shadowRoot?.querySelector('[data-tip] img')?.naturalWidth)"
    )
    pixels = picture.evaluate(
        "(img) => { const c = document.createElement('canvas'); "
        "c.width = img.naturalWidth; c.height = img.naturalHeight;"
        "const x = c.getContext('2d'); x.drawImage(img, 0, 0);"
        "return Array.from(x.getImageData(0, 0, c.width, c.height).data).filter((_, i) => i % 4 === 0); }"
    )
    item = datasets.load("digits").inputs[row, 0]
    np.testing.assert_allclose(np.array(pixels).reshape(item.shape) / 255, item / item.max(), atol=0.01)


def test_keyboard_zoom_and_selection_survive_a_rerun(visit, trained):
    page = opened(visit, trained)
    panel = page.locator("[data-panel=raw]")
    panel.focus()
    for key in ("+", "+", "ArrowLeft", "Enter"):
        panel.press(key)
    view = ask(page, "[view.panels[0].camera.zoom, view.panels[0].camera.x]")
    chosen = ask(page, "scene.highlighted()")
    assert len(chosen) == 1
    page.get_by_role("radio", name="Scorecard").click()
    expect(page.get_by_role("heading", name="Space by space")).to_be_visible(timeout=SLOW)
    assert ask(page, "[view.panels[0].camera.zoom, view.panels[0].camera.x]") == view
    assert ask(page, "scene.highlighted()") == chosen
    panel.press("Escape")
    assert ask(page, "scene.highlighted()") == []
    panel.press("0")
    assert ask(page, "view.panels[0].camera.zoom") < view[0]


def test_the_morph_and_the_replay_move_the_points(visit, trained):
    page = opened(visit, trained, below="Replay")
    page.get_by_role("button", name="Morph").first.click()
    expect(page.get_by_role("slider", name="Position").first).to_have_value("2")
    assert ask(page, "view.panels.length") == 1
    np.testing.assert_allclose(
        ask(page, "scene.point(0, 3)"), ask(page, "Array.from(scene.frames[2][0].slice(6, 8))"), atol=1e-6
    )
    slider = page.get_by_role("slider", name="Position").last
    expect(page.locator("output").last).to_have_text("before training")
    start = ask(page, "[0, 1, 2].map((p) => view.screen(view.panels[p], 3))", "replay")
    page.get_by_role("button", name="Play").last.click()
    expect(page.locator("output").last).to_have_text("after epoch 3")
    expect(slider).to_have_value("3")
    end = ask(page, "[0, 1, 2].map((p) => view.screen(view.panels[p], 3))", "replay")
    assert start[0] == end[0]  # the raw space does not move
    assert start[1] != end[1]
    assert start[2] != end[2]
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.querySelector('[data-testid=stMain]').scrollWidth <= 390")


def test_without_webgl_the_maps_are_drawn_flat(visit, trained):
    page = opened(visit, trained)
    page.add_init_script(
        "HTMLCanvasElement.prototype.getContext = (old => function (kind, ...rest) {"
        "return kind === 'webgl2' ? null : old.call(this, kind, ...rest); })(HTMLCanvasElement.prototype.getContext)"
    )
    page.reload()
    expect(page.locator("[data-panel=student]").first).to_be_visible(timeout=SLOW)
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')]"
        ".some(e => e.shadowRoot?.querySelector('[data-kd]')?.view?.scene.count)"
    )
    page.mouse.click(*at(page, 0, 11))
    expect(page.get_by_role("heading", name="Its 10 nearest neighbours")).to_be_visible()
    assert page.locator("[data-points]").first.evaluate(
        "(canvas) => canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)"
    )
