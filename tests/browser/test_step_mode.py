"""Distill as one screen whose chain is its control, and step mode, held against a plain training."""

import re
import subprocess
import sys

import pytest
import torch
from playwright.sync_api import expect

from kdlib.pipeline import build_stepper
from kdlib.spec import RunSpec
from tests.browser.conftest import ROOT, SLOW

pytestmark = pytest.mark.timeout(600)
SPEC = RunSpec(dataset="digits", labels=120, teacher="random", dim=4, epochs=8, width=2)
QUERY = "dataset=digits&labels=120&teacher=random&dim=4&epochs=8&width=2"
STEPS = "/distill?mode=Step+through+it"


@pytest.fixture(autouse=True)
def one_thread():
    """As steps are taken in the app: sums of other parts would be rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def embedded(server):
    code = f"from kdlib.models.embedding import embed; embed({SPEC.teacher!r}, {SPEC.dataset!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=server.env, check=True)


@pytest.fixture
def stepping(visit, embedded):
    """Return the page of step mode, at step 0."""
    page = visit(f"{STEPS}&{QUERY}")
    expect(page.locator("section.step")).to_have_attribute("data-steps", "0", timeout=SLOW)
    return page


def weights(page) -> str:
    return page.locator("section.step").get_attribute("data-fingerprint")


def matrix(page, number: int) -> str:
    return page.locator(".matrices canvas").nth(number).evaluate("canvas => canvas.toDataURL()")


def test_one_batch_is_exactly_one_step_of_the_training(stepping):
    plain, _ = build_stepper(SPEC)
    assert weights(stepping) == plain.fingerprint()
    for step in (1, 2):
        before = [matrix(stepping, number) for number in range(3)]
        stepping.get_by_role("button", name="One batch").click()
        expect(stepping.locator("section.step")).to_have_attribute("data-steps", str(step))
        plain.step()
        assert weights(stepping) == plain.fingerprint()
        assert all(matrix(stepping, number) != before[number] for number in range(3))


def test_the_terms_add_up_to_the_total(stepping):
    terms = stepping.locator(".sum .term b").all_text_contents()
    numbers = [[float(part) for part in re.findall(r"[\d.]+", term)] for term in terms]
    assert len(numbers) == 3
    total = sum(pair[0] * pair[1] if len(pair) == 2 else pair[0] for pair in numbers)
    shown = float(stepping.locator(".sum .total b").text_content().strip("= "))
    assert total == pytest.approx(shown, abs=0.003)  # each is rounded to three digits


def test_only_what_shall_learn_does(stepping):
    plain, _ = build_stepper(SPEC)
    for part, label in (("student", "Only student"), ("compressor", "Only compressor")):
        stepping.get_by_role("radio", name=label).click()
        expect(stepping.get_by_role("radio", name=label)).to_be_checked()
        stepping.get_by_role("button", name="One batch").click()
        plain.learn_only(part)
        plain.step()
        expect(stepping.locator("section.step")).to_have_attribute("data-steps", str(plain.state.done))
        assert weights(stepping) == plain.fingerprint()


def test_an_epoch_slow_motion_and_a_pause(stepping):
    section = stepping.locator("section.step")
    stepping.get_by_role("button", name="One epoch").click()
    expect(section).to_have_attribute("data-steps", "3")
    stepping.get_by_role("button", name="Slow motion").click()
    expect(section).to_have_attribute("data-steps", re.compile(r"^([5-9]|1\d)$"))  # whoever looks may miss a step
    stepping.get_by_role("button", name="Pause").click()
    expect(stepping.get_by_role("button", name="Slow motion")).to_be_visible()
    paused = section.get_attribute("data-steps")
    stepping.wait_for_timeout(2000)  # three ticks of slow motion
    assert section.get_attribute("data-steps") == paused
    stepping.get_by_role("button", name="Start again").click()
    expect(section).to_have_attribute("data-steps", "0")


def test_the_chain_is_the_control_and_all_of_it_fits_a_screen(visit):
    page = visit("/distill", height=900)
    expect(page.get_by_role("button", name="Launch", exact=True)).to_be_enabled(timeout=SLOW)
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollHeight") <= 900
    part, dial = page.locator("button[data-part=compression]"), page.get_by_role("slider", name=re.compile("Dimension"))
    expect(dial).not_to_be_visible()
    part.focus()
    page.keyboard.press("Enter")
    expect(dial).to_be_visible()
    expect(part).to_have_attribute("aria-expanded", "true")
    page.locator("button[data-part=teacher]").click()
    expect(page.get_by_role("combobox", name="Teacher", exact=True)).to_be_visible()
    expect(dial).not_to_be_visible()
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollHeight") <= 900
    expect(page.get_by_role("button", name="Launch", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("button", name="Show as code")).to_be_in_viewport()
