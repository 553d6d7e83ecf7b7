"""Styles of the app: one scale of type; motion is short, and there is none for those who do not want it."""

import re

import pytest

from tests.sample_home import ROOT

STYLES = sorted((ROOT / "assets").rglob("*.css"))
LONGEST = 0.2  # seconds of a motion
MOTION = re.compile(r"(?:transition|animation)(?:-duration)?:[^;}]*")
TIME = re.compile(r"(?<![\w.])(\d*\.?\d+)(ms|s)\b")
SCALE = ("0", "0.625rem", "0.75rem", "0.875rem", "1rem", "1.25rem", "1.5rem", "2rem")  # of type; 0 hides
LESS = "@media (prefers-reduced-motion: reduce)"


def times(style: str) -> list[float]:
    """Return all durations and delays of a style in seconds."""
    found = [TIME.findall(rule) for rule in MOTION.findall(style)]
    return [float(number) / (1000 if unit == "ms" else 1) for rule in found for number, unit in rule]


def test_durations_are_read_as_they_are_written():
    assert times("a { transition: width 0.18s, left 300ms; } b { animation: turn 1s; color: red }") == [0.18, 0.3, 1.0]


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_no_motion_is_longer_than_a_fifth_of_a_second(path):
    style = re.sub(r"animation:[^;}]*\binfinite\b", "", path.read_text(encoding="utf-8"))  # says that one waits
    assert all(time <= LONGEST for time in times(style))


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_whatever_moves_stands_still_for_who_wants_less_motion(path):
    style = path.read_text(encoding="utf-8")
    assert not times(style) or LESS in style


@pytest.mark.parametrize("path", [*STYLES, *sorted((ROOT / "pages").glob("*.py"))], ids=lambda path: path.name)
def test_type_has_one_scale(path):
    # html is what a rem is: larger in a presentation
    style = re.sub(r"html \{[^}]*\}", "", path.read_text(encoding="utf-8"))
    found = re.findall(r"font-size:\s*([\d.]+\w*)", style)
    assert {re.sub(r"^\.", "0.", size) for size in found} <= set(SCALE)


GRID = 4  # pixels: space comes in steps of these, of 8 where there is no reason for less
SPACE = re.compile(r"(?<![\w-])(?:margin|padding|gap|row-gap|column-gap)(?:-(?:top|right|bottom|left))?:\s*([^;}'\"]*)")
LENGTH = re.compile(r"(?<![\w.])-?(\d*\.?\d+)(px|rem|em)\b")


def spaces(style: str) -> list[float]:
    """Return all margins, paddings and gaps of a style in pixels, where a letter is 16 high."""
    lengths = [LENGTH.findall(rule) for rule in SPACE.findall(style)]
    return [float(number) * (1 if unit == "px" else 16) for rule in lengths for number, unit in rule]


def test_spaces_are_read_as_they_are_written():
    style = "a { margin: 0 -4.5px; row-gap: .5rem; scroll-padding: 3px; padding-left: 12px; top: 1px; gap: 1em 2px }"
    assert spaces(style) == [4.5, 8, 12, 16, 2]


@pytest.mark.parametrize("path", [*STYLES, *sorted((ROOT / "pages").glob("*.py"))], ids=lambda path: path.name)
def test_space_has_one_grid(path):
    assert [space for space in spaces(path.read_text(encoding="utf-8")) if space % GRID] == []


def test_most_of_the_space_is_in_steps_of_eight():
    found = [space for path in STYLES for space in spaces(path.read_text(encoding="utf-8"))]
    assert sum(space % 8 == 0 for space in found) > len(found) / 2
