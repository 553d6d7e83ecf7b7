"""Styles of the app: motion is short, and there is none for those who do not want it."""

import re

import pytest

from tests.sample_home import ROOT

STYLES = sorted((ROOT / "assets").rglob("*.css"))
LONGEST = 0.2  # seconds of a motion
MOTION = re.compile(r"(?:transition|animation)(?:-duration)?:[^;}]*")
TIME = re.compile(r"(?<![\w.])(\d*\.?\d+)(ms|s)\b")
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
