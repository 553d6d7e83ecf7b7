"""A person's own table from upload to maps and deletion, and an evil file."""

import pickle
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW
from tests.browser.keyboard import settle
from tests.browser.test_app import launch
from tests.file_writers import wav, zipped

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def table(tmp_path):
    """A CSV of four species, their sounds in 6 numbers and a teacher's 8."""
    rng = np.random.default_rng(0)
    species = np.arange(120) % 4
    centres = rng.normal(size=(4, 6))
    sound, net = (
        centres[species] + rng.normal(size=(120, 6)),
        (centres @ rng.normal(size=(6, 8)))[species] + rng.normal(size=(120, 8)),
    )
    names = ["robin", "wren", "NA", "owl"]
    lines = ["id,kind,place," + ",".join([f"sound{i}" for i in range(6)] + [f"net{i}" for i in range(8)])]
    for row, (one, other) in enumerate(zip(sound, net, strict=True)):
        lines.append(
            f"{row:03d},{names[species[row]]},{'wood' if row % 3 else 'lake'},"
            + ",".join(f"{value:.3f}" for value in (*one, *other))
        )
    path = tmp_path / "birds.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def upload(page, path):
    page.locator("summary", has_text="Add your own data").click()
    settle(page)
    page.locator("input[type=file]").first.set_input_files(path)
    read = page.get_by_role("button", name="Read", exact=True)
    expect(read).to_be_enabled(timeout=SLOW)
    read.click()


def test_an_evil_file_is_refused_in_words(visit, tmp_path):
    (tmp_path / "numbers.npz").write_bytes(pickle.dumps({"a": 1}))
    page = visit("/data_teachers?dataset=digits")
    upload(page, tmp_path / "numbers.npz")
    expect(page.get_by_text("Refused: numbers.npz is a pickle")).to_be_visible(timeout=SLOW)


def test_reading_shows_how_far_it_is_and_a_click_stops_it_and_leaves_nothing(visit, server, tmp_path):
    """15,000 recordings outlast the click; what reads them and what it wrote are gone before the page says it."""
    recording = wav(0.25)
    zipped(*((f"{'ab'[row % 2]}/{row}.wav", recording) for row in range(15_000)), compression=8)(tmp_path / "many.zip")
    page = visit("/data_teachers?dataset=digits")
    upload(page, tmp_path / "many.zip")
    expect(page.get_by_text(re.compile(r"Reading many\.zip: [\d,]+ of 15,000"))).to_be_visible(timeout=SLOW)
    assert list((server.home / "staging").iterdir())
    page.get_by_role("button", name="Stop reading").click()
    expect(page.get_by_text("Reading many.zip was stopped; nothing of it is left.")).to_be_visible(timeout=SLOW)
    assert not list((server.home / "staging").iterdir())
    expect(page.get_by_role("button", name="Read", exact=True)).to_be_visible()


def test_a_table_is_uploaded_mapped_distilled_and_deleted(visit, table):
    page = visit("/data_teachers?dataset=digits")
    upload(page, table)
    expect(page.get_by_text("birds.csv: 120 rows")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("4 classes; a student gets 6 numbers per item")).to_be_visible(timeout=SLOW)
    page.get_by_role("combobox", name="Attributes").click()
    page.get_by_role("option", name="place").click()
    page.keyboard.press("Escape")
    name = page.get_by_role("textbox", name="Name", exact=True)
    name.fill("a/b")
    name.press("Enter")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("a name has 1 to 40 letters")).to_be_visible(timeout=SLOW)
    expect(page.locator("[data-testid=stMultiSelect]", has_text="Attributes")).to_contain_text("place")
    name.fill("birds")
    name.press("Enter")
    page.get_by_role("button", name="Import", exact=True).click()
    page.wait_for_url(re.compile("dataset=birds%40"), timeout=SLOW)
    expect(page.get_by_text("These items are rows of numbers")).to_be_visible(timeout=SLOW)
    expect(page.locator(".heatmaplayer image, .hm image").first).to_be_visible(timeout=SLOW)
    card = page.get_by_role("combobox", name="Card of a teacher")
    expect(card).to_have_value(re.compile("birds@"))  # not the name that was there before
    card.click()
    page.get_by_role("option", name=re.compile("birds@")).last.click()
    expect(page.locator("summary", has_text="Add your own data")).to_be_visible()
    expect(page.get_by_text("Your data", exact=True)).to_be_hidden()
    page.get_by_role("link", name="Distill from one of them").click()
    page.get_by_role("button", name=re.compile("^Teacher, frozen")).click()
    expect(page.get_by_role("combobox", name="Teacher", exact=True)).to_have_value(re.compile(r"birds@\w+/net"))
    page.get_by_role("button", name=re.compile("^Student")).click()
    expect(page.get_by_role("combobox", name="Student", exact=True)).to_have_value("mlp")
    page.get_by_role("button", name=re.compile("^Training")).click()
    page.get_by_role("slider", name="Seeds").press("Home")
    ids = launch(page)
    expect(page.get_by_role("link", name="Compare in every detail")).to_be_visible(timeout=SLOW)
    page.goto(f"{page.url.split('/distill')[0]}/embeddings?runs={ids}")
    expect(page.get_by_text("Trustworthiness").first).to_be_visible(timeout=SLOW)
    page.get_by_role("link", name="Data & teachers").click()
    page.get_by_role("combobox", name="Dataset").click()
    page.get_by_role("option", name=re.compile("birds@")).click()
    page.get_by_role("button", name="Delete this dataset").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("combobox", name="Dataset")).to_have_value("cluttered-digits", timeout=SLOW)
