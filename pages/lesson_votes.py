"""What a class predicted, on the page: the box that shares an answer, and the chart of all answers."""

import streamlit as st

from kdlib.analysis.figures import teaching
from kdlib.lessons import Measured, Prediction, votes
from kdlib.lessons.conditions import UnknownNumberError
from pages import lesson_place, show
from pages.lesson_place import Place
from pages.text import escape, show_errors

EVERY = 1.5  # seconds between two looks for new answers


def share_box(place: Place) -> None:
    """Show, in a class, what shares the answer."""
    name = lesson_place.class_name()
    if name:
        st.checkbox(
            f"Share my answer with the class {escape(name)}",
            key=_box_key(place),
            help="Only the answer is kept, on this server; no names.",
        )


def is_shared(place: Place) -> bool:
    """Return whether the answer is to be shared."""
    return bool(st.session_state.get(_box_key(place)))


def _box_key(place: Place) -> str:
    return f"{place.key}-share"


def share(place: Place, answer: list[float]) -> None:
    """Put an answer of this browser session to those of the class; a message says why it could not be."""
    try:
        votes.share(lesson_place.class_name(), place.question, lesson_place.session(), answer)
    except ValueError as error:
        st.session_state[f"{place.key}-unshared"] = str(error)


def show_votes(place: Place, prediction: Prediction, measured: Measured | None = None) -> None:
    """Show what the class predicted, anew whenever answers come; what came out with it once that is known.

    Args:
        place: of the step.
        prediction: its question.
        measured: what came out; None before it is shown.
    """
    if problem := st.session_state.get(f"{place.key}-unshared"):
        st.warning(escape(problem), icon=":material/error:")

    @st.fragment(run_every=EVERY)
    def part() -> None:
        with show_errors():
            _draw(place, prediction, measured)

    part()


def _draw(place: Place, prediction: Prediction, measured: Measured | None) -> None:
    name = lesson_place.class_name()
    answers = [each for each in votes.read(name, place.question) if prediction.accepts(each)]
    noun = "answer" if len(answers) == 1 else "answers"
    st.markdown(f"**Class {escape(name)}**: {len(answers)} {noun}")
    if not answers:
        st.caption("Answers appear here as they come.")
        return
    try:
        values = [measured.value(each) for each in prediction.value] if measured else None
    except UnknownNumberError:
        values = None
    if prediction.choices:
        true = measured.came_true(prediction) if measured else None
        figure = teaching.plot_votes(votes.counts(answers, len(prediction.choices)), prediction.choices, true)
    elif prediction.at:
        figure = teaching.plot_guesses(prediction.at, answers, values, prediction.axis, prediction.unit, own=False)
    else:
        low, high = prediction.low, prediction.high
        figure = teaching.plot_number_votes(
            [each[0] for each in answers], low, high, prediction.unit, values[0] if values else None
        )
    figure.update_layout(font_size=20 if lesson_place.presenting() else 13)
    show.figure(figure, f"{place.key}-votes{'-done' if measured else ''}", f"What the class {name} predicted")
