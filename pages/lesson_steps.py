"""A lesson on the page: the list, one step with its text, question, run and result."""

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from kdlib import runs, store
from kdlib.lessons import Lesson, Measured, Step
from kdlib.runs import sweeps
from kdlib.spec import RunSpec
from kdlib.store import DONE, RunInfo
from pages import address, glossary, lesson_place, live, run_tables
from pages.lesson_questions import show_question
from pages.lesson_views import VIEWS, Shown
from pages.text import escape, show_errors


def show_list(lessons: Sequence[Lesson]) -> None:
    """Show all lessons, with what was read to its end."""
    st.title("Lessons")
    st.markdown(
        "Short lessons with real runs on this machine. Each asks what you expect before it shows what comes out."
    )
    finished = lesson_place.finished()
    for start in range(0, len(lessons), 2):
        for column, lesson in zip(st.columns(2), lessons[start : start + 2], strict=False):
            with column.container(border=True, height="stretch"):
                done = " :material/check_circle:" if lesson.number in finished else ""
                st.markdown(f"**{lesson.number} · {escape(lesson.title)}**{done}")
                st.markdown(escape(lesson.summary))
                with st.container(horizontal=True, vertical_alignment="center"):
                    label = "Again" if lesson.number in finished else "Begin"
                    st.button(
                        f"{label}: {lesson.title}",
                        key=f"begin-{lesson.number}",
                        on_click=lesson_place.go,
                        args=(lesson,),
                        type="secondary" if finished else "primary" if lesson.number == 1 else "secondary",
                    )
                    st.caption(f"about {lesson.minutes} minutes")


def show_lesson(lesson: Lesson, lessons: Sequence[Lesson]) -> None:
    """Show the step of a lesson that the address names."""
    number = lesson_place.step_number(lesson)
    step = lesson.steps[number]
    _show_head(lesson, number)
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.subheader(step.title, anchor=False)
        glossary.show_text(step.prose)
    _Part(lesson, number, step).show(left, right)
    _show_ways(lesson, number, lessons)


def _show_head(lesson: Lesson, number: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(f"{lesson.number} · {escape(lesson.title)}", width="content", anchor=False)
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.caption(f"step {number + 1} of {len(lesson.steps)}", width="content")
            texts = " ".join([*(s.prose for s in lesson.steps), *(e.text for s in lesson.steps for e in s.explain)])
            glossary.show_words(glossary.named_terms(texts))
            _show_link(lesson, number)
    st.progress((number + 1) / len(lesson.steps))


def _show_link(lesson: Lesson, number: int) -> None:
    """Show what makes an address for others, and what enlarges the page."""

    def present() -> None:
        if st.session_state["present-toggle"]:
            st.query_params["present"] = "1"
        else:
            st.query_params.pop("present", None)

    with st.popover("Share", icon=":material/link:", type="tertiary"):
        st.session_state["present-toggle"] = lesson_place.presenting()
        st.toggle("Present: large, without the menu", key="present-toggle", on_change=present)
        group = st.text_input(
            "Class",
            lesson_place.class_name(),
            max_chars=60,
            key="link-class",
            help="Everybody who opens the link can share predictions under this name, on this server. No other names.",
        )
        hide = st.multiselect(
            "Leave out", list(lesson_place.HIDEABLE), key="link-hide", format_func=lesson_place.HIDEABLE.__getitem__
        )
        here = st.checkbox("Begin at this step", key="link-here")
        st.code(
            lesson_place.link(lesson, step=number if here else 0, group=group, hide=hide),
            language=None,
            wrap_lines=True,
        )


def _show_ways(lesson: Lesson, number: int, lessons: Sequence[Lesson]) -> None:
    """Show the buttons to the step before, the next step, and the other lessons."""
    following = next((each for each in lessons if each.number > lesson.number), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Back", key="back", icon=":material/arrow_back:", disabled=number == 0, on_click=lesson_place.go,
            args=(lesson, number - 1),
        )  # fmt: skip
        last = number + 1 == len(lesson.steps)
        if not last:
            st.button(
                "Next", key="next", icon=":material/arrow_forward:", icon_position="right", type="primary",
                on_click=lesson_place.go, args=(lesson, number + 1),
            )  # fmt: skip
        if "list" in lesson_place.hidden():
            return
        if last:
            st.button("Finish", key="finish", icon=":material/check:", on_click=lesson_place.finish, args=(lesson,))
            if following:
                st.button(
                    f"Next lesson: {following.title}", key="following", icon=":material/arrow_forward:",
                    icon_position="right", type="primary", on_click=_follow, args=(lesson, following),
                )  # fmt: skip
        st.button("All lessons", key="all", type="tertiary", on_click=lesson_place.go, args=(None,))


def _follow(lesson: Lesson, following: Lesson) -> None:
    lesson_place.finish(lesson)
    lesson_place.go(following)


def find_runs(specs: dict[str, RunSpec]) -> dict[str, RunInfo]:
    """Return name -> run of the specs that the store has a run of: a done one, else an active one, else the last."""
    found = {}
    for name, spec in specs.items():
        candidates = [runs.get(run.id) if run.active else run for run in store.find(identity=spec.identity)]
        if candidates:
            found[name] = min(candidates, key=lambda run: (run.state != DONE, not run.active, -run.created))
    return found


class _Part:
    """Question, run and result of a step."""

    def __init__(self, lesson: Lesson, number: int, step: Step) -> None:
        self.lesson, self.number, self.step = lesson, number, step
        self.key = f"{lesson.name}-{number + 1}"
        self.answer = lesson_place.answers().get(number)
        self.asked = step.predict is not None and "prediction" not in lesson_place.hidden()

    def show(self, left: Any, right: Any) -> None:
        """Show all of it: words and controls on the left, what is to be seen on the right."""
        with left:
            specs = self.step.specs(self._choose())
            waiting = self.asked and show_question(self.step.predict, self.key, self.number, self.answer)
        views = [VIEWS[name] for name in self.step.show]
        with right, show_errors():
            if waiting:
                st.info(
                    "What comes out is shown here once you have said what you expect.", icon=":material/visibility_off:"
                )
                return
            if not any(view.needs_runs for view in views):
                for view in views:
                    view.draw(Shown(self.key, specs, {}, {}, lesson_place.presenting()))
                return
            infos = find_runs(specs)
            ready = len(infos) == len(specs) and all(run.state == DONE for run in infos.values())
            if ready:
                self._show_result(specs, infos, left)
            else:
                self._show_running(specs, infos)

    def _choose(self) -> dict[str, Any]:
        return {
            name: st.segmented_control(
                name.replace("_", " ").capitalize(), options, default=options[0], required=True,
                key=f"{self.key}-{name}",
            )
            for name, options in self.step.choose.items()
        }  # fmt: skip

    def _show_running(self, specs: dict[str, RunSpec], infos: dict[str, RunInfo]) -> None:
        """Show what starts the runs, or how far they are."""
        active = any(run.active for run in infos.values())
        if not active:
            missing = len(specs) - sum(run.state == DONE for run in infos.values())
            for name, run in infos.items():
                if run.state != DONE:
                    st.warning(f"{escape(name)} {run.state}. {escape(run.reason)}", icon=":material/error:")
            st.markdown(f"{missing} of {len(specs)} trainings are still to be run, on this machine, now.")
            if st.button("Run it", key="run", type="primary", icon=":material/play_arrow:"):
                launch(specs)
                st.rerun()
            return

        def draw() -> list[RunInfo]:
            current = find_runs(specs)
            share = sum(run.progress if run.active else 1.0 for run in current.values()) / len(specs)
            left = run_tables.remaining_time(list(current.values()), time.time())
            st.progress(min(share, 1.0), text=f"Training {len(specs)} students: {left}")
            VIEWS["curves"].draw(Shown(f"{self.key}-live", specs, current, {}, lesson_place.presenting()))
            return list(current.values())

        live.draw_while_active(draw, list(infos.values()))

    def _show_result(self, specs: dict[str, RunSpec], infos: dict[str, RunInfo], left: Any) -> None:
        results = {name: address.load_results([run])[0] for name, run in infos.items()}
        shown = Shown(self.key, specs, infos, results, lesson_place.presenting())
        for name in self.step.show:
            VIEWS[name].draw(shown)
        measured = Measured(results, self.answer or ())
        with left:
            if self.asked and self.step.predict and self.answer:
                from pages.lesson_questions import show_outcome

                show_outcome(self.step.predict, self.answer, measured)
            if "explanation" not in lesson_place.hidden():
                for text in measured.explain(self.step):
                    glossary.show_text(text)


def launch(specs: dict[str, RunSpec]) -> None:
    """Start what the store lacks of some runs; the same runs of others are waited for, not trained again."""
    sweeps.launch(list(specs.values()), user=address.visitor())
