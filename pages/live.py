"""Live parts of a page: drawn again and again by themselves while runs train or the engine computes."""

import time
from collections.abc import Callable, Sequence

import streamlit as st

from kdlib.store import RunInfo
from pages.text import show_errors

TICK = 1.0  # seconds between two draws of a live part, but
EARLY_TICK, EARLY = 0.4, 4.0  # this many in the first seconds after a launch


def draw_while_active(draw: Callable[[], Sequence[RunInfo]], infos: Sequence[RunInfo]) -> None:
    """Draw a part of the page again and again while runs are active; when they are over, the whole page once.

    Args:
        draw: returns the runs it drew.
        infos: the same runs as the page knows them before drawing.
    """
    early = _just_launched(infos)

    def draw_and_check() -> bool:
        current = draw()
        return any(run.active for run in current) and _just_launched(current) == early

    draw_while(draw_and_check, any(run.active for run in infos), EARLY_TICK if early else TICK)


def _just_launched(infos: Sequence[RunInfo]) -> bool:
    """Return whether a visitor launched a moment ago and waits for the first point."""
    return any(run.active and time.time() - run.submitted < EARLY for run in infos)


def draw_while(draw: Callable[[], bool], active: bool, every: float = TICK) -> None:
    """Draw a part of the page again and again while there is more to come; then the whole page once.

    Args:
        draw: returns whether there is more to come.
        active: whether there is, as far as the page knows before drawing.
        every: seconds between two draws.
    """

    @st.fragment(run_every=every if active else None)
    def part() -> None:
        with show_errors():
            if not draw() and active:
                st.rerun()

    part()
