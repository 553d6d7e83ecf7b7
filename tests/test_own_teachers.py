"""Adding a network on the page, without a browser: what is asked, what a trial shows, what is kept."""

import pytest

from kdlib.models.providers import onnx
from kdlib.models.providers.hub.cards import HubCard, write_card
from pages import own_teachers
from tests.evil_models import image_model
from tests.opened_pages import opened, texts


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def waiting():
    """The page with a network that was read and waits."""
    app = opened("data_teachers", dataset="digits")
    draft = onnx.stage_uploads([("tiny.onnx", image_model(side="side").SerializeToString())])
    app.session_state[own_teachers.OPEN] = True
    app.session_state[own_teachers.STAGED] = draft.token
    return app.run()


def card_of(app):
    return next(box for box in app.selectbox if box.label == "Card of a teacher")


def test_what_the_file_does_not_say_is_asked(waiting):
    assert "tiny\\.onnx**: 424 parameters" in texts(waiting)
    assert waiting.number_input(key="network-size").value == 224
    waiting.selectbox(key="network-output").set_value("places").run()
    assert waiting.session_state["network-pool"] == "mean"
    waiting.text_input(key="network-mean").set_value("a").run()
    assert "the mean consists of numbers separated by commas" in texts(waiting).replace("\\", "")
    assert waiting.button(key="network-try").disabled


def test_a_trial_is_shown_and_belongs_to_its_answers_alone(waiting):
    waiting.number_input(key="network-size").set_value(32).run()
    waiting.button(key="network-try").click().run()
    assert [each.label for each in waiting.metric if each.label == "Width"] == ["Width"]
    assert waiting.button(key="network-keep")
    waiting.selectbox(key="network-output").set_value("features").run()
    assert "network-keep" not in [each.key for each in waiting.button]


def test_a_click_tries_what_was_chosen_just_before_it(waiting):
    waiting.number_input(key="network-size").set_value(32).run()
    waiting.selectbox(key="network-output").set_value("features")  # a busy machine hears of both at once
    waiting.button(key="network-try").click().run()
    assert waiting.session_state[own_teachers.TRIED][0].output == "features"
    assert waiting.button(key="network-keep")


def test_a_kept_network_has_a_card_and_can_be_removed(waiting):
    waiting.number_input(key="network-size").set_value(32).run()
    waiting.button(key="network-try").click().run()
    waiting.text_input(key="network-name").set_value("A/B").run()
    waiting.button(key="network-keep").click().run()
    assert "A teacher's name has 1 to 40" in texts(waiting).replace("\\", "")
    waiting.text_input(key="network-name").set_value("mine").run()
    waiting.button(key="network-keep").click().run()
    assert list(onnx.cards()) == ["mine"]
    assert card_of(waiting).value == "onnx:mine"
    assert "**comes from**: tiny\\.onnx" in texts(waiting)
    waiting.button(key="network-remove").click().run()
    assert not onnx.cards()
    assert not waiting.exception


def add_from_hub(name, **said):
    app = opened("data_teachers", dataset="digits")
    app.session_state[own_teachers.OPEN] = True
    app.run()
    assert app.button(key="network-hub-add").disabled
    app.text_input(key="network-hub-name-0").set_value(name).run()
    for what, value in said.items():
        app.text_input(key=f"network-hub-{what}-0").set_value(value).run()
    return app.button(key="network-hub-add").click().run()


@pytest.mark.parametrize("name", ["hf:../../etc/passwd", "https://example.org/model.bin", "hf:<b>x</b>"])
def test_what_is_no_name_in_a_hub_is_refused_in_a_sentence(name):
    app = add_from_hub(name)
    assert not app.exception
    assert len(app.error) == 1
    assert app.error[0].value.startswith("Refused\\:")
    assert app.text_input(key="network-hub-name-0").value == name


def test_a_network_out_of_a_hub_is_added_with_what_a_person_said_and_can_be_removed(monkeypatch):
    def find_and_try(name, revision, source_task, supervised):
        asked.append((name, revision, source_task, supervised))
        card = HubCard(name, "c0ffee", "0" * 64, "image", 0, 16, 99, 0.001, "MIT", source_task, supervised)
        write_card(card)
        return card

    asked = []
    monkeypatch.setattr("kdlib.models.providers.hub.add", find_and_try)
    app = add_from_hub("hf:tiny/vit", task="views", revision="main")
    assert asked == [("hf:tiny/vit", "main", "views", None)]
    assert card_of(app).value == "hf:tiny/vit"
    assert "**source task**: views" in texts(app)
    app.button(key="network-remove").click().run()
    assert "hf:tiny/vit" not in card_of(app).options


def test_every_teacher_has_a_card():
    app = opened("data_teachers", dataset="digits")
    for name in ("simclr", "random"):
        card_of(app).set_value(name).run()
        assert "**source task**" in texts(app)
    assert "**supervision**: untrained" in texts(app)
