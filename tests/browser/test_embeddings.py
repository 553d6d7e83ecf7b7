"""The linked maps in a real browser: selection, neighbours, hover, keyboard, morph and replay."""

import math
import re
import time

import numpy as np
import pytest
from playwright.sync_api import expect

from kdlib import spaces
from kdlib.analysis.neighbours import find_neighbours
from kdlib.data import datasets
from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)
ROWS = "The selected rows"
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


def opened(visit, run: str, height: int = 1000, **query: str):
    page = visit(f"/embeddings?run={run}" + "".join(f"&{name}={value}" for name, value in query.items()), height=height)
    expect(page.locator("[data-panel=student]").first).to_be_visible(timeout=SLOW)
    expect(page.get_by_text(re.compile("of [0-9,]+ rows as seed 0"))).to_be_visible(timeout=SLOW)
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
    drawer = page.get_by_role("complementary", name="Selected items").first
    expect(drawer.get_by_role("heading", name=f"{len(chosen)} items")).to_be_visible()
    tiles = drawer.locator(".tiles [data-row].pick")
    assert {int(tile.get_attribute("data-row")) for tile in tiles.all()} == set(sorted(chosen)[:120])
    assert page.wait_for_function("(img) => img.naturalWidth", arg=drawer.locator("img").first.element_handle())
    maps = page.locator("[data-panel=student]").bounding_box()
    assert drawer.bounding_box()["x"] >= maps["x"] + maps["width"], "beside the maps"
    data = datasets.load("digits")
    page.get_by_role("radio", name="Selected rows").click()
    table = page.locator(f".kd-table[aria-label^='{ROWS}'], [data-testid=stDataFrame]")  # by how many were chosen
    expect(table.locator("td, th", has_text=str(data.ids[min(chosen)]))).to_have_count(1)
    page.get_by_role("button", name="Clear selection").first.click()
    expect(page.get_by_text("Nothing is selected")).to_be_visible()
    expect(drawer).to_be_hidden()


def test_one_row_shows_its_neighbours_of_the_real_spaces_and_is_kept_in_the_address(
    visit, trained, server, monkeypatch
):
    page = opened(visit, trained)
    page.mouse.click(*at(page, 0, 11))
    expect(page.get_by_role("heading", name="What did it forget?")).to_be_visible()
    (row,) = ask(page, "scene.highlighted()")
    page.wait_for_url(re.compile(f"row={row}"))
    monkeypatch.setenv("KDLIB_HOME", str(server.home))
    loaded = spaces.load_spaces(trained)
    place, data = loaded.rows.tolist().index(row), datasets.load("digits")
    same = {}
    for space in ("raw", "compressed"):
        tiles = page.locator(f"[data-group={space}] .tile")
        expect(tiles).to_have_count(8)
        shown = [int(tile.get_attribute("data-row")) for tile in tiles.all()]
        assert shown == loaded.rows[find_neighbours(loaded.spaces[space], 8)[place]].tolist()
        marked = ["same" in tile.get_attribute("class") for tile in tiles.all()]
        assert marked == [bool(data.labels[each] == data.labels[row]) for each in shown]
        same[space] = sum(marked)
    words = f"In the raw space {same['raw']} of 8 neighbours have the same class, in the compressed space"
    expect(page.get_by_text(f"{words} {same['compressed']} of 8.")).to_be_visible()
    again = opened(visit, trained, row=str(row))
    expect(again.locator("[data-group=compressed] .tile")).to_have_count(8)
    assert ask(again, "scene.highlighted()") == [row]


def test_other_colours_leave_the_selection_as_it_is(visit, trained):
    page = opened(visit, trained)
    page.get_by_role("button", name="3", exact=True).click()
    expect(page.get_by_role("complementary", name="Selected items").first).to_be_visible()
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
    expect(page.get_by_role("heading", name="Space by space")).to_be_visible(timeout=SLOW)
    page.get_by_role("radio", name="Selected rows").click()
    expect(page.get_by_role("region", name=ROWS).get_by_role("rowheader")).to_have_count(1)
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
    expect(page.locator("[data-group=raw] .tile")).to_have_count(8)
    assert page.locator("[data-points]").first.evaluate(
        "(canvas) => canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)"
    )


def test_a_neighbour_leads_on_and_a_selection_can_be_come_back_to(visit, trained):
    page = opened(visit, trained)
    page.get_by_role("button", name="3", exact=True).click()
    drawer = page.get_by_role("complementary", name="Selected items").first
    chosen = ask(page, "scene.highlighted()")
    drawer.locator(".pick").nth(2).click()
    expect(drawer.locator("[data-group=raw] .tile")).to_have_count(8)
    assert ask(page, "scene.highlighted()") == [chosen[2]]
    neighbour = int(drawer.locator("[data-group=raw] .tile").first.get_attribute("data-row"))
    drawer.locator("[data-group=raw] .pick").first.hover()
    assert ask(page, "scene.rows[view.hovered]") == neighbour
    drawer.locator("[data-group=raw] .pick").first.click()
    page.wait_for_url(re.compile(f"row={neighbour}$|row={neighbour}&"))
    drawer.get_by_role("button", name=f"Back to {len(chosen)} items").click()
    assert ask(page, "scene.highlighted()") == chosen


def test_the_maps_come_first_and_are_tall(visit, trained):
    page = opened(visit, trained, height=900)
    panel = page.locator("[data-panel=raw]").bounding_box()
    assert panel["y"] <= 230
    assert panel["height"] >= 480
    page.mouse.click(*at(page, 0, 11))
    expect(page.locator("[data-group=compressed] .tile")).to_have_count(8)
    again = page.locator("[data-panel=raw]").bounding_box()
    assert (again["y"], again["height"]) == (panel["y"], panel["height"]), "a selection moves nothing up or down"


def test_the_maps_fill_the_screen_and_esc_leaves(visit, trained):
    page = opened(visit, trained, height=900)
    page.mouse.click(*at(page, 0, 11))
    chosen = ask(page, "scene.highlighted()")
    page.get_by_role("button", name="Full screen").click()
    expect(page.get_by_role("button", name="Leave full screen")).to_be_visible()
    kd = page.locator("[data-kd]").first
    size = "(e) => { const { x, y, width, height } = e.getBoundingClientRect(); return [x, y, width, height]; }"
    assert kd.evaluate(size) == [0, 0, *page.evaluate("[innerWidth, innerHeight]")]
    assert page.locator("[data-panel=raw]").first.bounding_box()["height"] > 600
    expect(page.get_by_role("complementary", name="Selected items").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Full screen", exact=True)).to_be_visible()
    assert ask(page, "scene.highlighted()") == chosen, "Esc leaves the full screen and clears nothing"
    assert kd.evaluate(size)[1] > 0


def test_umap_is_there_after_a_run_before_anybody_asks(visit, trained, server, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(server.home))
    view = spaces.load_spaces(trained)
    elsewhere, deadline = visit("/runs"), time.monotonic() + 300  # it waits for everything else on the machine
    while not (ready := spaces.cached(spaces.SpaceRequest(trained, projection="umap"), view)):
        assert time.monotonic() < deadline, "the engine does not prepare it"
        elsewhere.wait_for_timeout(500)
    assert isinstance(ready, spaces.SpaceMaps)
    page = opened(visit, trained, projection="UMAP")
    page.locator("[data-panel=raw]").first.wait_for()
    assert ask(page, 'scene.labels.map((label) => label.waiting ?? "")') == ["", "", ""]
    place = ready.places["student"][5]
    np.testing.assert_allclose(ask(page, "Array.from(scene.frames[2][0].slice(10, 12))"), place, atol=1e-5)


def test_while_a_projection_is_made_each_map_says_so(visit, trained):
    page = opened(visit, trained, split="noise", projection="UMAP")
    waits = page.locator("[data-panel] .wait:visible")
    expect(waits).to_have_count(3)
    expect(waits.first).to_contain_text("UMAP")
    inside, wait = page.locator("[data-panel=raw]").bounding_box(), waits.first.bounding_box()
    assert inside["y"] < wait["y"] < inside["y"] + inside["height"]
    expect(waits).to_have_count(0, timeout=SLOW)
    expect(page.locator("[data-panel=raw] .note").first).to_contain_text("This map: trustworthiness")


def test_a_link_opens_a_run_and_a_section(visit, trained):
    page = visit(f"/embeddings?run={trained}&below=Replay&colour=ink")
    expect(page.get_by_text("validation rows in the spaces of seed 0")).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("combobox", name="Run")).to_have_value(re.compile(r"\(mlp\), 4 · digits"))
    assert "#" not in page.url
    expect(page.get_by_role("button", name="little", exact=True)).to_be_visible()
