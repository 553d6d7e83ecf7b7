"""The page Lessons without a browser: steps, questions, results, classes, addresses."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from kdlib.data import datasets
from kdlib.lessons import measured, read_lesson, votes
from kdlib.spaces import Spaces
from kdlib.spec import RunSpec
from pages import lesson_files, lesson_steps, lesson_views
from tests import stored_runs
from tests.opened_pages import opened, texts

FOCUS = "kd_focus"
FILES = sorted(lesson_files.FOLDER.glob("*.md"))
HEAD = '+++\ntitle = "A"\nminutes = 3\nsummary = "b"\n+++\n\n'


def in_class(lesson: str, **query: str) -> AppTest:
    return opened("lessons", lesson=lesson, **query)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_first_step_of_every_lesson_opens(path, app_home):
    number = str(read_lesson(path).number)
    app = in_class(number)
    assert not app.exception
    assert not app.error, texts(app)
    assert not app.warning, "no lesson is left out"
    assert any(button.label in ("Next", "This is what I expect") for button in app.button)


def store_runs(step: int, lesson: str = "01-embeddings-as-teachers") -> None:
    """Put small results under the specs that a step asks for into the store."""
    specs = read_lesson(lesson_files.FOLDER / f"{lesson}.md").steps[step].specs()
    small = {each.spec.method: each for each in stored_runs.trained()}
    for name, spec in specs.items():
        stored_runs.store_result(replace(small[spec.method], spec=spec), name)


def test_a_result_is_shown_only_after_the_answer_and_the_answer_survives_a_reload(app_home):
    store_runs(1)
    app = in_class("1", step="2")
    assert not app.get("plotly_chart"), "the result is there before the question is answered"
    assert app.button(key="01-embeddings-as-teachers-2-answer").disabled
    app.radio(key="01-embeddings-as-teachers-2-choice").set_value(2).run()
    app.button(key="01-embeddings-as-teachers-2-answer").click().run()
    assert not app.exception
    assert not app.error, texts(app)
    assert app.get("plotly_chart")
    assert "You said: **The one with 16 numbers**" in texts(app)
    assert app.query_params["answers"] == "2-3"
    again = in_class("1", step="2", answers="2-3")
    assert "You said: **The one with 16 numbers**" in texts(again)
    assert again.get("plotly_chart")


def test_the_distances_of_a_lesson_are_drawn_by_what_draws_those_of_step_mode(app_home, monkeypatch):
    store_runs(0, "04-which-distance")
    rows, rng = datasets.load(RunSpec.dataset).splits["test"][:200], np.random.default_rng(0)
    places = {name: rng.normal(size=(200, 4)).astype(np.float32) for name in ("raw", "compressed", "student")}
    view = Spaces(RunSpec(), rows, 200, places, np.zeros((200, 10)), "key")
    monkeypatch.setattr(lesson_views.spaces, "load_spaces", lambda _: view)
    monkeypatch.setattr(measured, "load_spaces", lambda _: view)
    app = in_class("4", step="1", answers="1-1")
    assert not app.exception
    assert not app.error, texts(app)
    shown = [json.loads(each.proto.json) for each in app.get("bidi_component")]
    [batch] = [data for data in shown if "matrices" in data]
    assert [matrix["name"].partition(",")[0] for matrix in batch["matrices"]] == ["Teacher", "Compressed", "Student"]
    assert not any(matrix["difference"] for matrix in batch["matrices"])
    assert batch["items"]
    assert all(len(matrix["values"]) == len(batch["items"]) ** 2 for matrix in batch["matrices"])


def test_a_step_says_how_long_its_result_takes_and_a_room_is_not_told_the_settings(app_home):
    assert re.search(r"It takes 3 trainings on this machine, .*\d+ (s|min)\.", texts(in_class("1", step="2")))
    store_runs(1)
    assert "It takes" not in texts(in_class("1", step="2"))
    assert "600 labels ·" in texts(in_class("1", step="2", answers="2-3")).replace("\\", "")
    assert "600 labels ·" not in texts(in_class("1", step="2", answers="2-3", present="1")).replace("\\", "")


def test_the_focus_is_told_where_the_page_has_changed(app_home):
    def place(app):
        [data] = [
            json.loads(each.proto.json) for each in app.get("bidi_component") if each.proto.component_name == FOCUS
        ]
        return data

    assert place(opened("lessons"))["place"] == "list"
    assert place(in_class("1")) == {"place": "01-embeddings-as-teachers-1", "title": "The task", "answered": False}
    assert place(in_class("1", step="2", answers="2-3"))["answered"]


def test_the_runs_of_a_step_are_launched_by_its_answer_once(app_home, monkeypatch):
    launched = []
    monkeypatch.setattr(lesson_steps.sweeps, "launch", lambda specs, **_: launched.append(specs))
    app = in_class("1", step="2")
    app.radio(key="01-embeddings-as-teachers-2-choice").set_value(0).run()
    app.button(key="01-embeddings-as-teachers-2-answer").click().run()
    assert [[spec.method for spec in specs] for specs in launched] == [["baseline", "raw", "mlp"]]
    app.run()
    assert len(launched) == 1
    assert app.button(key="run"), "what the store lacks can be run by hand"


def test_hide_leaves_out_the_question_and_the_explanation(app_home):
    store_runs(1)
    app = in_class("1", step="2", hide="prediction,explanation,settings,list,nav")
    assert app.get("plotly_chart")
    assert not app.radio
    assert "points" not in texts(app)
    assert not [button for button in app.button if button.label == "All lessons"]
    assert "none of" in texts(in_class("1", hide="everything"))


def test_a_class_votes_before_the_result_is_shown(app_home):
    store_runs(1)
    for session, answer in (("a", 1), ("b", 3), ("c", 3)):
        votes.share("8 b", "01-embeddings-as-teachers 2", session, [answer])
    app = in_class("1", step="2", **{"class": "8 b"})
    assert not app.get("plotly_chart")
    app.radio(key="01-embeddings-as-teachers-2-choice").set_value(1)
    app.checkbox(key="01-embeddings-as-teachers-2-share").check().run()
    app.button(key="01-embeddings-as-teachers-2-answer").click().run()
    assert "4 answers" in texts(app)
    assert votes.counts(votes.read("8 b", "01-embeddings-as-teachers 2"), 3) == [1, 1, 2]
    assert "You said" not in texts(app)
    app.button(key="reveal").click().run()
    assert not app.exception
    assert "You said" in texts(app)


def test_an_answer_that_is_not_shared_stays_out_of_the_class(app_home):
    app = in_class("2", step="2", **{"class": "8 b"})
    app.slider(key="02-teachers-know-too-much-2-number").set_value(40.0).run()
    app.button(key="02-teachers-know-too-much-2-answer").click().run()
    assert votes.read("8 b", "02-teachers-know-too-much 2") == []
    assert app.query_params["answers"] == "2-40"


def test_a_broken_lesson_is_named_on_the_page_and_the_others_stay(app_home, tmp_path, monkeypatch):
    folder = tmp_path / "lessons"
    folder.mkdir()
    (folder / "01-good.md").write_text(f"{HEAD}## One\nText.\n")
    (folder / "02-bad.md").write_text(f"{HEAD}## One\n```toml\n[set]\ntecher = 1\n```\n")
    monkeypatch.setattr(lesson_files, "FOLDER", folder)
    app = opened("lessons")
    assert "02-bad.md:10: unknown control" in texts(app).replace("\\", "")
    assert [button.key for button in app.button if button.key.startswith("begin")] == ["begin-1"]


@pytest.mark.parametrize(
    "query", [{"lesson": "99"}, {"lesson": "1", "step": "-4"}, {"lesson": "1", "answers": "x-_2-nan"}]
)
def test_an_odd_address_is_no_error(query, app_home):
    app = opened("lessons", **query)
    assert not app.exception
    assert not app.error


def test_steps_lessons_and_what_was_finished_are_walked_through(app_home):
    app = in_class("6")
    app.button(key="next").click().run()
    assert app.query_params["step"] == "2"
    app.button(key="next").click().run()
    app.button(key="following").click().run()
    assert (app.query_params["lesson"], app.query_params["step"], app.query_params["finished"]) == ("7", "1", "6")
    app.button(key="all").click().run()
    assert "lesson" not in app.query_params
    assert any(button.label == "Begin lesson 6 again" for button in app.button)


def test_what_a_visitor_chooses_is_what_is_run(app_home, monkeypatch):
    launched = []
    monkeypatch.setattr(lesson_steps.sweeps, "launch", lambda specs, **_: launched.append(specs))
    app = in_class("1", step="3")
    app.segmented_control(key="01-embeddings-as-teachers-3-dim").set_value(4).run()
    app.button(key="run").click().run()
    assert not app.exception
    assert {spec.dim for spec in launched[0] if spec.method == "mlp"} == {4}


def test_nothing_but_a_term_becomes_markup():
    def script():
        from pages import glossary

        glossary.show_text("a < b <img src=x onerror=alert(1)> </div><!-- [[probe|<b>probe</b>]]")

    [shown] = AppTest.from_function(script).run().markdown
    assert "<img" not in shown.value
    assert "</div" not in shown.value
    assert "<!--" not in shown.value
    assert "<b>" not in shown.value
    assert '<span class="kd-term"' in shown.value
