"""Where a visitor is in the lessons and how they look: all of it in the address, so that it survives a reload.

`lesson` and `step`: the place. `answers`: predictions in this lesson. `finished`: lessons that were read to their end.
`class`: whose votes are collected. `hide`: what a link leaves out. `present`: large, without the rest of the app.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2 import component

from kdlib.lessons import Lesson, Step
from kdlib.lessons.votes import clean_class
from pages.chain import ASSETS
from pages.text import escape

HIDEABLE = {  # what a link can leave out -> in words
    "nav": "the menu of the app",
    "list": "the way to the other lessons",
    "prediction": "questions before a result",
    "explanation": "explanations of a result",
    "settings": "what is run",
}
CHROME = '[data-testid="stHeader"] { display: none; } .stMainBlockContainer { padding-top: 1rem; }'


def hidden() -> set[str]:
    """Return what the address leaves out, names in `HIDEABLE`."""
    return {name for name in st.query_params.get("hide", "").split(",") if name in HIDEABLE}


def presenting() -> bool:
    """Return whether the lesson is shown to a room."""
    return st.query_params.get("present", "") == "1"


def class_name() -> str:
    """Return the class whose predictions are collected, "" for none."""
    return clean_class(st.query_params.get("class", ""))


def session() -> str:
    """Return what tells this browser session from another."""
    return st.session_state.setdefault("class-session", secrets.token_hex(8))


def apply_looks() -> None:
    """Enlarge the text and leave out the menu, as far as the address says so."""
    st.html(ASSETS / "lessons.css")
    if "nav" in hidden() or presenting():
        st.html(f"<style>{CHROME}</style>")
    if presenting():
        st.html(ASSETS / "present.css")
    unknown = {name for name in st.query_params.get("hide", "").split(",") if name} - set(HIDEABLE)
    if unknown:
        names = ", ".join(HIDEABLE)
        st.info(f"This address hides {escape(sorted(unknown)[0][:40])}, which is none of: {names}.")


@st.cache_resource(show_spinner=False)
def _focus() -> Callable[..., Any]:
    return component("kd_focus", js=(ASSETS / "focus.js").read_text(encoding="utf-8"))


def move_focus(place: str, title: str, *, answered: bool = False) -> None:
    """Let the keyboard go on where the page has changed: at the heading of a step, or at a question just answered.

    Args:
        place: names the step.
        title: of it, by which its heading is known to be there.
        answered: whether its question is.
    """
    _focus()(key="focus", data={"place": place, "title": title, "answered": answered}, width=1, height=1)


def step_number(lesson: Lesson) -> int:
    """Return the place of the step that is open, from 0 up."""
    text = st.query_params.get("step", "1")
    return min(max(int(text), 1), len(lesson.steps)) - 1 if text.isascii() and text.isdecimal() else 0


def go(lesson: Lesson | None, step: int = 0) -> None:
    """Open a step of a lesson, or the list."""
    if lesson is None or st.query_params.get("lesson") not in (str(lesson.number), lesson.name):
        st.query_params.pop("answers", None)
    if lesson is None:
        for name in ("lesson", "step"):
            st.query_params.pop(name, None)
    else:
        st.query_params.update({"lesson": str(lesson.number), "step": str(step + 1)})


def finish(lesson: Lesson) -> None:
    """Note that a lesson was read to its end, and open the list."""
    st.query_params["finished"] = ",".join(map(str, sorted(finished() | {lesson.number})))
    go(None)


def finished() -> set[int]:
    """Return the numbers of the lessons that were read to their end."""
    texts = st.query_params.get("finished", "").split(",")
    return {int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 4}


def answers() -> dict[int, list[float]]:
    """Return place of a step -> what was predicted there."""
    found = {}
    for part in st.query_params.get("answers", "").split("_"):
        step, _, numbers = part.partition("-")
        try:
            values = [float(number) for number in numbers.split("~")]
        except ValueError:
            continue
        if step.isascii() and step.isdecimal() and all(isfinite(value) for value in values):
            found[int(step) - 1] = values
    return found


def answer(step: int, values: Sequence[float] | None) -> None:
    """Keep what was predicted at a step; None takes it back."""
    kept = answers()
    kept.pop(step, None)
    kept |= {step: list(values)} if values is not None else {}
    texts = (f"{place + 1}-{'~'.join(f'{value:g}' for value in numbers)}" for place, numbers in sorted(kept.items()))
    st.query_params["answers"] = "_".join(texts)
    if not kept:
        st.query_params.pop("answers", None)


@dataclass(frozen=True)
class Place:
    """A step on the page.

    Attributes:
        lesson, number: which; the number from 0 up.
        step: what is there.
        answer: what was predicted; None if nothing was, or nothing that is an answer.
    """

    lesson: Lesson
    number: int
    step: Step
    answer: list[float] | None

    @property
    def key(self) -> str:
        """A prefix for keys of elements."""
        return f"{self.lesson.name}-{self.number + 1}"

    @property
    def question(self) -> str:
        """What names the question among those of a class."""
        return f"{self.lesson.name} {self.number + 1}"

    def give_answer(self, values: Sequence[float] | None) -> None:
        """Keep what was predicted here; None takes it back."""
        answer(self.number, values)


def place_in(lesson: Lesson) -> Place:
    """Return the step of a lesson that the address names."""
    number = step_number(lesson)
    step, given = lesson.steps[number], answers().get(number)
    return Place(lesson, number, step, given if given and step.predict and step.predict.accepts(given) else None)


def link(lesson: Lesson, *, step: int = 0, group: str = "", hide: Sequence[str] = (), present: bool = False) -> str:
    """Return an address of a lesson that can be given to others: without answers."""
    query = {"lesson": str(lesson.number)} | ({"step": str(step + 1)} if step else {})
    query |= {"class": group} if group else {}
    query |= {"hide": ",".join(hide)} if hide else {}
    query |= {"present": "1"} if present else {}
    base = (st.context.url or "").partition("?")[0]
    return f"{base}?{urlencode(query, safe=',')}"
