"""Try it in a browser: a drawn digit and an uploaded sound are answered; samples by keyboard."""

import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from playwright.sync_api import expect

from kdlib.data import datasets, spectrograms
from kdlib.data.dataset import to_float
from tests.browser.conftest import ROOT, SLOW
from tests.browser.keyboard import settle
from tests.file_writers import picture
from tests.small_media import noise

MLP = "trained, two layers (mlp), 8"
pytestmark = pytest.mark.timeout(600)

# The server has a data folder of its own: runs are put there by a process of its own.
STORE = """
from kdlib import pipeline
from kdlib.spec import RunSpec
from tests import stored_runs
specs = {
    "digits": RunSpec("digits", 200, teacher="random", epochs=8, seeds=3, width=4, dim=8),
    "tones": RunSpec("tones", 100, teacher="tones-random", epochs=2, seeds=2, student="mel-cnn", width=3, dim=8),
}
for name, spec in specs.items():
    results = pipeline.compare([spec.replace(method=method) for method in ("baseline", "raw", "mlp")])
    print(name, ",".join(stored_runs.store_result(result, f"try {name}") for result in results))
"""


@pytest.fixture(scope="module")
def stored(server):
    done = subprocess.run(
        [sys.executable, "-c", STORE], cwd=ROOT, env=server.env, capture_output=True, text=True, check=True
    )
    return dict(line.split() for line in done.stdout.splitlines())


def draw(page, strokes):
    box = page.locator("canvas[data-paper]").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def card(page, run):
    return page.locator("[data-testid=stHtml]").filter(has_text=re.compile(f"^{re.escape(run)}.*seeds agree"))


def test_a_digit_is_drawn_with_the_mouse_undone_and_cleared(visit, stored):
    page = visit(f"/try_it?runs={stored['digits']}")
    expect(page.get_by_text("Answered in")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Its label")).to_be_visible()
    draw(page, [[(0.5, 0.15), (0.3, 0.3), (0.27, 0.6), (0.4, 0.83), (0.6, 0.83), (0.73, 0.6), (0.7, 0.3), (0.5, 0.15)]])
    expect(page.get_by_text("Its label")).not_to_be_visible()  # no sample any more
    expect(card(page, MLP)).to_contain_text(re.compile(re.escape(MLP) + r"\s*0\s*\d+ %"))
    expect(page.get_by_text("The teacher took")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Its label")).to_be_visible()


def test_a_sample_is_chosen_by_keyboard_and_stays_in_the_address(visit, stored):
    page = visit(f"/try_it?runs={stored['digits']}")
    tiles = page.get_by_role("button", name=re.compile("^Choose item"))
    expect(tiles).to_have_count(12, timeout=SLOW)
    tiles.nth(3).focus()
    page.keyboard.press("Enter")
    expect(tiles.nth(3)).to_have_attribute("aria-pressed", "true")
    row = re.search(r"item (\d+)", tiles.nth(3).get_attribute("aria-label"))[1]
    page.wait_for_url(re.compile(f"row={row}"))
    page.reload()
    expect(tiles.nth(3)).to_have_attribute("aria-pressed", "true", timeout=SLOW)


def test_a_sound_is_uploaded_and_a_picture_in_its_place_refused(visit, stored, tmp_path):
    data = datasets.load("tones")
    (tmp_path / "note.wav").write_bytes(spectrograms.wav(*data.listen(int(data.splits["test"][0]))))
    (tmp_path / "noise.wav").write_bytes(picture(noise(0)))
    page = visit(f"/try_it?runs={stored['tones']}")
    expect(page.get_by_text("Answered in")).to_be_visible(timeout=SLOW)
    page.locator("summary", has_text="Upload a sound").click()
    settle(page)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "note.wav")
    expect(page.get_by_text("Its label")).not_to_be_visible(timeout=SLOW)
    expect(card(page, MLP)).to_be_visible()
    expect(page.get_by_role("slider", name="Begins at, s")).to_be_visible()
    settle(page)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "noise.wav")
    expect(page.get_by_text("noise.wav is a picture, but tones holds sounds")).to_be_visible(timeout=SLOW)


def test_what_was_exported_says_the_same_as_the_app(visit, stored, tmp_path):
    """A run is exported on its page, and the program that comes with it reads the item that is tried here."""
    run_id, data = stored["digits"].split(",")[2], datasets.load("digits")
    row = int(data.splits["test"][5])
    page = visit(f"/try_it?runs={run_id}&row={row}")
    said = card(page, MLP)
    expect(said).to_be_visible(timeout=SLOW)
    [(name, percent)] = re.findall(re.escape(MLP) + r"\s*(\d)\s*(\d+) %", said.inner_text())
    page = visit(f"/runs?runs={run_id}")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("combobox", name="Student").click()
    page.get_by_role("option", name=re.compile("All seeds together")).click()
    page.get_by_role("button", name="Make the files").click()
    button = page.get_by_role("button", name=re.compile(r"^Download \("))
    expect(button).to_be_visible(timeout=SLOW)
    with page.expect_download() as download:
        button.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path)
    np.savez(tmp_path / "item.npz", item=np.round(255 * to_float(data.inputs[row])).astype(np.uint8))
    [program] = tmp_path.rglob("predict.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path / "item.npz"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    probability, first = done.stdout.splitlines()[1].split()
    assert first == name
    assert 100 * float(probability) == pytest.approx(int(percent), abs=1.5)  # percent and pixels are rounded
