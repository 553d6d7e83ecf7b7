"""A lesson on the page: the list, one step with its text, question, run and result."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import streamlit as st

from kdlib import engine, planning, runs, store
from kdlib.lessons import Lesson, Measured
from kdlib.results import RunResult
from kdlib.runs import sweeps
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import DONE, RunInfo
from pages import address, glossary, lesson_place, lesson_votes, live, run_tables
from pages.lesson_place import Place
from pages.lesson_questions import show_outcome, show_question
from pages.lesson_views import VIEWS, Shown
from pages.text import describe_range, escape, show_errors

COLUMNS = 3  # of the list of lessons
WAITING = 3  # minutes that the trainings of a lesson add on a busy machine
Specs = dict[str, RunSpec]  # name of a run -> its spec
DISTILL = ("dataset", "teacher", "dim", "loss", "distance_weight", "labels", "epochs", "seeds")  # controls there
FIELD_NAMES = {"dim": "Numbers kept", "distance_weight": "Weight λ of the distance"}


def show_list(lessons: Sequence[Lesson]) -> None:
    """Show all lessons, with what was read to its end."""
    st.title("Lessons", anchor=False)
    lesson_place.move_focus("list", "Lessons")
    st.markdown(
        "Short lessons with real runs on this machine. Each asks what you expect before it shows what comes out."
    )
    finished = lesson_place.finished()
    following = next((lesson for lesson in lessons if lesson.number not in finished), None)
    for start in range(0, len(lessons), COLUMNS):
        for column, lesson in zip(st.columns(COLUMNS), lessons[start : start + COLUMNS], strict=False):
            with column.container(border=True, height="stretch"):
                done = " :material/check_circle:" if lesson.number in finished else ""
                st.markdown(f"**{lesson.number} · {escape(lesson.title)}**{done}")
                st.markdown(escape(lesson.summary))
                with st.container(horizontal=True, vertical_alignment="center"):
                    again = " again" if lesson.number in finished else ""
                    st.button(
                        f"Begin lesson {lesson.number}{again}",
                        key=f"begin-{lesson.number}",
                        on_click=lesson_place.go,
                        args=(lesson,),
                        type="primary" if lesson is following else "secondary",
                    )
                    st.caption(f"{lesson.minutes} to {lesson.minutes + WAITING} minutes")


def show_lesson(lesson: Lesson, lessons: Sequence[Lesson]) -> None:
    """Show the step of a lesson that the address names."""
    place = lesson_place.place_in(lesson)
    st.set_page_config(page_title=f"{lesson.title} · Lessons · KD Lab")
    _show_head(lesson, place.number)
    wide = "dial" in place.step.show  # it holds maps and curves
    left, right = st.columns([4, 9] if wide else [5, 6], gap="large")
    with left, st.container(key="step"):
        st.subheader(place.step.title, anchor=False)
        if not (wide and place.answer and lesson_place.presenting()):  # a room has read it; now it looks at the result
            glossary.show_text(place.step.prose)
    if place.step.show:
        _Part(place).show(left, right)
    _show_ways(lesson, place.number, lessons)
    lesson_place.move_focus(place.key, place.step.title, answered=place.answer is not None)


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
    with st.container(horizontal=True, vertical_alignment="center", key="ways"):
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

    def __init__(self, place: Place) -> None:
        self.place, self.step, self.key = place, place.step, place.key
        hidden = lesson_place.hidden()
        self.explains, self.tells_settings = "explanation" not in hidden, "settings" not in hidden
        self.question = place.step.predict if "prediction" not in hidden else None
        self.votes = bool(self.question and lesson_place.class_name())

    def show(self, left: Any, right: Any) -> None:
        """Show all of it: words and controls on the left, what is to be seen on the right."""
        with left:
            specs = self.step.specs(self._choose())
            with st.container(key="question"):
                waiting = self.question is not None and show_question(self.place, self.question)
        with right, show_errors():
            if waiting or (self.votes and not self._revealed()):
                self._show_waiting(waiting, specs)
            if waiting:
                return
            views = [VIEWS[name.partition(" ")[0]] for name in self.step.show]
            if not any(view.needs_runs for view in views):
                self._draw(specs, {}, {})
                return
            if st.session_state.pop(f"{self.key}-launch", False):
                launch(specs)
            infos = find_runs(specs)
            ready = len(infos) == len(specs) and all(run.state == DONE for run in infos.values())
            if not ready:
                self._show_running(specs, infos)
            elif not self.votes or self._revealed():
                self._show_result(specs, infos, left)
            else:
                st.button("Show the result", key="reveal", type="primary", on_click=self._reveal)
            if self.tells_settings and not lesson_place.presenting():
                _show_settings(specs)

    def _revealed(self) -> bool:
        return bool(st.session_state.get(f"{self.key}-revealed"))

    def _reveal(self) -> None:
        st.session_state[f"{self.key}-revealed"] = True

    def _show_waiting(self, waiting: bool, specs: Specs) -> None:
        """Show what stands where the result will be: what a class predicted, to who has answered or asks for it."""
        if waiting:
            infos = find_runs(specs)
            missing = [spec for name, spec in specs.items() if name not in infos or infos[name].state != DONE]
            wait = f" It takes {_describe_launch(missing)}." if missing else ""
            words = f"The result is shown here once you have said what you expect.{wait}"
            st.info(words, icon=":material/visibility_off:")
        if self.votes and self.question:
            label = "Show the answers of the class"
            if not waiting or st.toggle(label, key=f"{self.key}-peek", value=lesson_place.presenting()):
                lesson_votes.show_votes(self.place, self.question)

    def _choose(self) -> dict[str, Any]:
        return {
            name: st.segmented_control(
                FIELD_NAMES.get(name, name.replace("_", " ").capitalize()),
                options,
                default=options[0],
                required=True,
                key=f"{self.key}-{name}",
            )
            for name, options in self.step.choose.items()
        }

    def _draw(self, specs: Specs, infos: dict[str, RunInfo], results: dict[str, RunResult]) -> None:
        for name in self.step.show:
            view, _, about = name.partition(" ")
            large, said = lesson_place.presenting(), self.place.answer or ()
            VIEWS[view].draw(Shown(self.key, specs, infos, results, large, about, self.step.predict, said))

    def _show_running(self, specs: Specs, infos: dict[str, RunInfo]) -> None:
        """Show what starts the runs, or how far they are."""
        if not any(run.active for run in infos.values()):
            for name, run in infos.items():
                if run.state != DONE:
                    st.warning(f"{escape(name)} {run.state}. {escape(run.reason)}", icon=":material/error:")
            missing = [spec for name, spec in specs.items() if name not in infos or infos[name].state != DONE]
            st.markdown(f"To be run: {_describe_launch(missing)}.")
            if st.button("Run it", key="run", type="primary", icon=":material/play_arrow:"):
                launch(specs)
                st.rerun()
            return

        def draw() -> list[RunInfo]:
            current = find_runs(specs)
            share = sum(run.progress if run.active else 1.0 for run in current.values()) / len(specs)
            left = run_tables.remaining_time(list(current.values()), time.time())
            st.progress(min(share, 1.0), text=f"Training now, for real: {left}")
            if not self.votes or self._revealed():
                VIEWS["curves"].draw(Shown(f"{self.key}-live", specs, current, {}, lesson_place.presenting()))
            return list(current.values())

        live.draw_while_active(draw, list(infos.values()))

    def _show_result(self, specs: Specs, infos: dict[str, RunInfo], left: Any) -> None:
        results = {name: result for name, run in infos.items() for result in address.load_results([run])}
        if len(results) < len(specs):
            return
        answer = self.place.answer
        measured = Measured(results, answer or (), {name: run.id for name, run in infos.items()})
        with left:
            if self.question and answer:
                show_outcome(self.question, answer, measured)
        self._draw(specs, infos, results)
        with left if "dial" in self.step.show else nullcontext(), st.container(key="explanation"):
            for text in measured.explain(self.step) if self.explains else []:
                glossary.show_text(text)
        if self.question and self.votes:
            lesson_votes.show_votes(self.place, self.question, measured)


def _describe_launch(specs: Sequence[RunSpec]) -> str:
    """Return how many trainings some specs are and within which time they will be over, as busy as the machine is."""
    past = runs.list_runs(limit=200, states=[DONE])
    within = planning.estimate_cost(specs, past, engine.status().workers or 2).seconds
    count = "1 training" if len(specs) == 1 else f"{len(specs)} trainings"
    return f"{count} on this machine, {describe_range(*within)}"


def launch(specs: Specs) -> None:
    """Start what the store lacks of some runs; the same runs of others are waited for, not trained again."""
    sweeps.launch(list(specs.values()), user=address.visitor())


def _show_settings(specs: Specs) -> None:
    """Show in words what is run, and the way to a page where all of it can be changed."""
    spec = next((each for each in specs.values() if each.method not in (BASELINE, RAW)), next(iter(specs.values())))
    teachers = ", ".join(dict.fromkeys(each.teacher for each in specs.values() if each.method != BASELINE))
    words = [f"data {spec.dataset}", f"teacher {teachers}" if teachers else "", f"{spec.labels:,} labels"]
    words += [f"{spec.epochs} epochs", "1 seed" if spec.seeds == 1 else f"{spec.seeds} seeds"]
    words += [f"λ {spec.distance_weight:g}"] if len({each.distance_weight for each in specs.values()}) == 1 else []
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(escape(" · ".join(word for word in words if word)), width="content")
        changed = {name: str(getattr(spec, name)) for name in DISTILL if getattr(spec, name) != getattr(RunSpec, name)}
        st.page_link("pages/distill.py", label="Try it on Distill", icon=":material/science:", query_params=changed)
