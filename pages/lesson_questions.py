"""The question of a step: what is asked before the result, and what became of it."""

from functools import partial

import streamlit as st

from kdlib.lessons import Measured, Prediction
from kdlib.lessons.conditions import UnknownNumberError, format_number
from pages import lesson_place
from pages.text import escape


def show_question(prediction: Prediction, key: str, number: int, answer: list[float] | None) -> bool:
    """Show the question of a step; return whether it is still to be answered.

    Args:
        prediction: the question.
        key: a prefix for keys.
        number: place of the step.
        answer: what was answered before.
    """
    st.markdown(f"**{prediction.ask}**")
    if answer is not None and valid(prediction, answer):
        return False
    values = _choice(prediction, key) if prediction.choices else _number(prediction, key)
    st.button(
        "This is what I expect",
        key=f"{key}-answer",
        type="primary",
        disabled=values is None,
        on_click=partial(lesson_place.answer, number, values),
    )
    return True


def valid(prediction: Prediction, answer: list[float]) -> bool:
    """Return whether an answer, which may come from an address, is one to this question."""
    if prediction.choices:
        return len(answer) == 1 and answer[0] in range(1, len(prediction.choices) + 1)
    inside = all(prediction.low <= value <= prediction.high for value in answer)
    return len(answer) == len(prediction.value) and inside


def _choice(prediction: Prediction, key: str) -> list[float] | None:
    choices = list(prediction.choices)
    chosen = st.radio(prediction.ask, choices, index=None, key=f"{key}-choice", label_visibility="collapsed")
    return None if chosen is None else [choices.index(chosen) + 1.0]


def _number(prediction: Prediction, key: str) -> list[float] | None:
    middle = (prediction.low + prediction.high) / 2
    chosen = st.slider(
        prediction.ask, prediction.low, prediction.high, middle, prediction.step, key=f"{key}-number",
        format=f"%g {prediction.unit.replace('%', '%%')}", label_visibility="collapsed",
    )  # fmt: skip
    return [chosen]


def show_outcome(prediction: Prediction, answer: list[float], measured: Measured) -> None:
    """Show what was predicted beside what came out."""
    if prediction.choices:
        said, true = int(answer[0]) - 1, measured.came_true(prediction)
        right = said == true
        came = (
            f"What came out: **{escape(prediction.choices[true])}**." if true is not None else "None of these came out."
        )
        text = f"You said: **{escape(prediction.choices[said])}**. " + ("That is what came out." if right else came)
    else:
        try:
            value = measured.value(prediction.value[0])
        except UnknownNumberError:
            return
        right = abs(value - answer[0]) <= (prediction.high - prediction.low) / 10
        unit = escape(prediction.unit)
        text = f"You said **{format_number(answer[0])} {unit}**, measured are **{format_number(value)} {unit}**."
    (st.success if right else st.info)(text, icon=":material/check_circle:" if right else ":material/lightbulb:")
