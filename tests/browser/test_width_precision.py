"""Width x precision in a real browser: launched, measured by the engine, and one click takes the chosen one away."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SLOW

pytestmark = pytest.mark.timeout(600)
SMALL = "dataset=digits&labels=60&epochs=3&seeds=2&width=2&teacher=random&methods=matryoshka&dim=4"


def test_one_click_takes_the_cheapest_that_is_good_enough_away(visit, tmp_path):
    page = visit(f"/distill?{SMALL}")
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    expect(page.get_by_role("link", name="See the spaces")).to_be_visible(timeout=SLOW)
    run_id = re.search(r"runs=([0-9a-f]{32})", page.url).group(1)
    page.close()
    page = visit(f"/compare?runs={run_id}&show=Width+x+precision&judge=knn")
    sentence = page.get_by_text(re.compile(r"[\d,]+ numbers in \w+ are good enough"))
    expect(sentence).to_be_visible(timeout=SLOW)
    numbers, precision = re.search(r"([\d,]+) numbers in (\w+) are", sentence.inner_text()).groups()
    with page.expect_download(timeout=SLOW) as waited:
        page.get_by_role("button", name="npz").click()
    path = tmp_path / waited.value.suggested_filename
    waited.value.save_as(path)
    assert precision in path.name
    with np.load(path, allow_pickle=False) as arrays:
        assert len(arrays["id"]) == len(arrays["embedding"]) == 2997
        if precision == "int8":
            assert arrays["embedding"].shape[1] == int(numbers.replace(",", ""))
