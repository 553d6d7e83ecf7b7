"""A person's own network, from its file to a teacher that one can distill from, and away again; and an evil file."""

import pickle

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW
from tests.browser.keyboard import settle
from tests.evil_models import image_model

pytestmark = pytest.mark.timeout(600)


def upload(page, path):
    page.locator("summary", has_text="Add a teacher").click()
    settle(page)
    page.locator("input[type=file]").last.set_input_files(path)
    check = page.get_by_role("button", name="Check it", exact=True)
    expect(check).to_be_enabled(timeout=SLOW)
    check.click()


def test_an_evil_network_is_refused_in_words(visit, tmp_path):
    (tmp_path / "m.onnx").write_bytes(pickle.dumps({"a": 1}))
    page = visit("/data_teachers?dataset=digits")
    upload(page, tmp_path / "m.onnx")
    expect(page.get_by_text("Refused: m.onnx is a pickle")).to_be_visible(timeout=SLOW)


def test_a_network_is_uploaded_tried_kept_offered_and_removed(visit, tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(image_model().SerializeToString())
    page = visit("/data_teachers?dataset=digits")
    upload(page, tmp_path / "tiny.onnx")
    expect(page.get_by_text("tiny.onnx: 424 parameters")).to_be_visible(timeout=SLOW)
    page.get_by_role("combobox", name="Embedding").click()
    page.get_by_role("option", name="features: n × 8").click()
    page.get_by_role("button", name="Try it on three items").click()
    expect(page.get_by_text("Time per item", exact=True)).to_be_visible(timeout=SLOW)
    page.get_by_role("textbox", name="Source task").fill("colours")
    page.get_by_role("textbox", name="Source task").press("Enter")
    page.get_by_role("button", name="Keep this teacher").click()
    expect(page.get_by_text("source task: colours")).to_be_visible(timeout=SLOW)

    other = visit("/distill?dataset=digits&teacher=onnx:tiny")
    expect(other.get_by_role("combobox", name="Teacher", exact=True)).to_have_value("onnx:tiny", timeout=SLOW)

    page.bring_to_front()
    page.get_by_role("button", name="Remove this teacher").click()
    page.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_text("source task: colours")).not_to_be_visible(timeout=SLOW)
