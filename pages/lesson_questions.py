"""The question of a step: what is asked before the result, and what became of it."""

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from kdlib.lessons import Measured, Prediction
from kdlib.lessons.conditions import UnknownNumberError, format_number
from pages import glossary, lesson_votes
from pages.chain import ASSETS
from pages.lesson_place import Place
from pages.text import escape

CLOSE = 0.1  # of the range of a number: as near a guess must be to count as right


def show_question(place: Place, prediction: Prediction) -> bool:
    """Show the question of a step; return whether it is still to be answered."""
    glossary.show_text(f"**{prediction.ask}**")
    if place.answer is not None:
        return False
    if prediction.choices:
        values = _choice(prediction, place.key)
    elif prediction.at:
        values = _curve(prediction, place.key)
    else:
        values = _number(prediction, place.key)
    lesson_votes.share_box(place)
    st.button(
        "This is what I expect",
        key=f"{place.key}-answer",
        type="primary",
        disabled=values is None,
        on_click=_submit,
        args=(place, values),
    )
    return True


def _submit(place: Place, values: list[float]) -> None:
    values = _set_now(place) or values  # a click may be quicker than the page
    place.give_answer(values)
    st.session_state[f"{place.key}-launch"] = True
    if lesson_votes.is_shared(place):
        lesson_votes.share(place, values)


def _set_now(place: Place) -> list[float] | None:
    """Return what is set at this moment; None if nothing is, or nothing that is an answer."""
    choice, number, curve = (st.session_state.get(f"{place.key}-{kind}") for kind in ("choice", "number", "curve"))
    if choice is not None:
        return [choice + 1.0]
    if number is not None:
        return [float(number)]
    drawn = [float(value) for value in curve["values"] or ()] if curve else []
    return drawn if drawn and place.step.predict and place.step.predict.accepts(drawn) else None


def _choice(prediction: Prediction, key: str) -> list[float] | None:
    choices = list(prediction.choices)
    chosen = st.radio(
        prediction.ask,
        range(len(choices)),
        index=None,
        key=f"{key}-choice",
        label_visibility="collapsed",
        format_func=lambda place: escape(choices[place]),
    )
    return None if chosen is None else [chosen + 1.0]


def _number(prediction: Prediction, key: str) -> list[float]:
    middle = (prediction.low + prediction.high) / 2
    chosen = st.slider(
        prediction.ask,
        prediction.low,
        prediction.high,
        middle,
        prediction.step,
        key=f"{key}-number",
        format=f"%g {prediction.unit.replace('%', '%%')}",
        label_visibility="collapsed",
    )
    return [chosen]


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html, css, js = ((ASSETS / "guess" / f"guess.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component("kd_guess", html=html, css=css, js=js)


def _curve(prediction: Prediction, key: str) -> list[float]:
    """Show a curve whose points are dragged, or moved with the keyboard; return them."""
    start = [(prediction.low + prediction.high) / 2] * len(prediction.at)
    drawn = _component()(
        key=f"{key}-curve",
        data={
            "kind": key,
            "label": prediction.ask,
            "values": start,
            "low": prediction.low,
            "high": prediction.high,
            "step": prediction.step,
            "at": [int(place) if place.is_integer() else place for place in prediction.at],
            "axis": prediction.axis,
            "unit": prediction.unit,
        },
        default={"values": start},
        on_values_change=lambda: None,
    )
    values = [float(value) for value in drawn["values"] or start]
    return values if prediction.accepts(values) else start


def show_outcome(prediction: Prediction, answer: list[float], measured: Measured) -> None:
    """Show what was predicted beside what came out."""
    try:
        if prediction.choices:
            right, text = _choice_outcome(prediction, int(answer[0]) - 1, measured)
        elif prediction.at:
            right, text = _curve_outcome(prediction, answer, measured)
        else:
            right, text = _number_outcome(prediction, answer[0], measured)
    except UnknownNumberError as error:
        st.info(f"Nothing to hold your answer against: {escape(error)}.", icon=":material/help:")
        return
    (st.success if right else st.info)(text, icon=":material/check_circle:" if right else ":material/lightbulb:")


def _choice_outcome(prediction: Prediction, said: int, measured: Measured) -> tuple[bool, str]:
    true = measured.came_true(prediction)
    text = f"You said: **{escape(prediction.choices[said])}**. "
    if true is None:
        return False, text + "None of the answers came out clearly."
    if said == true:
        return True, text + "That is what came out."
    return False, text + f"What came out: **{escape(prediction.choices[true])}**."


def _number_outcome(prediction: Prediction, said: float, measured: Measured) -> tuple[bool, str]:
    value, unit = measured.value(prediction.value[0]), escape(prediction.unit)
    text = f"You said **{format_number(said)} {unit}**, measured: **{format_number(value)} {unit}**."
    return abs(value - said) <= CLOSE * (prediction.high - prediction.low), text


def _curve_outcome(prediction: Prediction, said: list[float], measured: Measured) -> tuple[bool, str]:
    values = [measured.value(each) for each in prediction.value]
    off = sum(abs(a - b) for a, b in zip(values, said, strict=True)) / len(values)
    unit = "points" if prediction.unit == "%" else escape(prediction.unit)
    text = f"Your curve is off by **{format_number(off)}** {unit} on average."
    return off <= CLOSE * (prediction.high - prediction.low), text
