"""Embedding from Data & teachers: a button, progress that another browser sees too, cancel, and going on."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)
SHOWN = re.compile(r"slow:1000 · [\d,]+ of 2,997 items")


def test_embedding_is_begun_seen_from_elsewhere_cancelled_and_gone_on_with(visit):
    page = visit("/data_teachers?dataset=digits")
    line = page.get_by_text("slow:1000 · 2,997 items to embed")
    expect(line).to_be_visible(timeout=SLOW)
    row = page.get_by_test_id("stHorizontalBlock").filter(has=line).last
    row.get_by_role("button", name="Embed").click()
    expect(page.get_by_text(re.compile(SHOWN.pattern + ", about .* to go"))).to_be_visible(timeout=SLOW)
    other = visit("/data_teachers?dataset=digits")
    expect(other.get_by_text(SHOWN)).to_be_visible(timeout=SLOW)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text(re.compile(SHOWN.pattern + " are embedded"))).to_be_visible(timeout=SLOW)
    expect(other.get_by_text(re.compile(SHOWN.pattern + " are embedded"))).to_be_visible(timeout=SLOW)
    page.close()
    other.get_by_role("button", name="Go on").click()
    expect(other.get_by_text(re.compile("slow:1000 · "))).to_have_count(0, timeout=SLOW)
