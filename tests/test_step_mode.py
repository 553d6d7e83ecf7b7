"""Step mode without a browser: what a click does to the training of this visitor, and what the page says instead."""

import pytest
import torch

from kdlib import step_sessions
from kdlib.models import embedding
from kdlib.pipeline import build_stepper
from kdlib.spec import RunSpec
from kdlib.training.stepper import COMPRESSOR, STUDENT
from pages.step_mode import SESSION, STEP_MODE
from tests.opened_pages import opened, texts

SPEC = RunSpec(dataset="digits", labels=100, teacher="random", dim=4, epochs=3, width=2)
QUERY = {"dataset": "digits", "labels": "100", "teacher": "random", "dim": "4", "epochs": "3", "width": "2"}


@pytest.fixture(autouse=True)
def one_thread():
    """As steps are taken in the app: sums of other parts would be rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def home(app_home):
    embedding._embeddings.cache_clear()  # another test's home held them
    return app_home


@pytest.fixture
def stepping(home):
    embedding.embed(SPEC.teacher, SPEC.dataset)
    return opened("distill", mode=STEP_MODE, **QUERY)


def session(app):
    return app.session_state[SESSION]


def test_one_batch_is_one_step_and_an_epoch_is_all_of_its_batches(stepping):
    plain, _ = build_stepper(SPEC)
    assert not stepping.exception
    assert session(stepping).stepper.fingerprint() == plain.fingerprint()
    stepping.button(key="step-batch").click().run()
    plain.step()
    assert session(stepping).stepper.fingerprint() == plain.fingerprint()
    stepping.button(key="step-epoch").click().run()
    assert session(stepping).stepper.state.done == 3
    assert stepping.get("bidi_component")


def test_after_the_last_batch_there_is_only_starting_again(stepping):
    for _ in range(3):
        stepping.button(key="step-epoch").click().run()
    assert session(stepping).stepper.over
    assert stepping.button(key="step-batch").disabled
    assert stepping.button(key="step-slow").disabled
    stepping.button(key="step-restart").click().run()
    assert session(stepping).stepper.state.done == 0
    assert not stepping.button(key="step-batch").disabled


def test_another_chain_is_another_training(stepping):
    stepping.button(key="step-batch").click().run()
    stepping.select_slider(key="dim").set_value(8).run()
    assert session(stepping).spec.dim == 8
    assert session(stepping).stepper.state.done == 0


def test_a_training_that_made_room_starts_again_and_the_page_says_so(stepping):
    stepping.button(key="step-batch").click().run()
    session(stepping).close()
    stepping.run()
    assert not stepping.exception
    assert "made room" in texts(stepping)
    assert session(stepping).stepper.state.done == 0


def test_where_no_compressor_learns_the_student_does(stepping):
    stepping.segmented_control(key="learning").set_value(COMPRESSOR).run()
    assert session(stepping).stepper.learning == COMPRESSOR
    stepping.selectbox(key="stepped").select("raw").run()
    assert session(stepping).stepper.learning == STUDENT
    assert "no compressor that learns" in texts(stepping)
    stepping.selectbox(key="stepped").select("baseline").run()
    assert not stepping.exception
    assert not stepping.error, texts(stepping)


def test_a_student_that_is_too_large_is_a_word(stepping, monkeypatch):
    monkeypatch.setattr(step_sessions, "MAX_OPERATIONS", 10.0)
    stepping.select_slider(key="width").set_value(8).run()
    assert "choose a smaller student" in texts(stepping)


def test_items_that_nobody_has_embedded_are_offered_to_the_engine(home, monkeypatch):
    from kdlib.spaces import embedding_jobs

    asked = []
    monkeypatch.setattr(embedding_jobs, "request", lambda *names: asked.append(names))
    app = opened("distill", mode=STEP_MODE, **QUERY)
    assert "has to embed the items first" in texts(app)
    app.button(key="embed-for-steps").click().run()
    assert asked == [("random", "digits")]


def test_sounds_with_several_labels_are_stepped_through_as_well(home):
    embedding.embed("tones-random", "mixtures")
    app = opened("distill", mode=STEP_MODE, dataset="mixtures", teacher="tones-random", labels="100")
    app.button(key="step-batch").click().run()
    assert not app.error, texts(app)
    assert session(app).stepper.state.done == 1
