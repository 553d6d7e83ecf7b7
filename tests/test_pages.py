"""Every page, with an empty and a full store, and what it does with a click; without a browser and an engine."""

import re
import shutil
import sys
import threading

import pytest

from kdlib import runs, store
from kdlib.models.teachers import get_teacher
from kdlib.store import StoreUnavailableError
from pages import server
from pages.sections import SECTIONS
from tests import stored_runs
from tests.file_writers import picture, zipped
from tests.opened_pages import PAGES, opened, tables, texts
from tests.small_media import noise


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def run_ids(home):
    return stored_runs.store_all()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_an_empty_store(page):
    app = opened(page)
    assert not app.exception
    assert not app.error, texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_a_full_store(page, run_ids):
    app = opened(page, runs=",".join(run_ids))
    assert not app.exception
    assert not app.error, texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_does_not_answer_is_a_message_on_every_page(page, run_ids, monkeypatch):
    app = opened(page, runs=",".join(run_ids))

    def away(*_, **__):
        raise StoreUnavailableError("the run store is busy")

    for name in ("get", "list_runs", "history", "result"):
        monkeypatch.setattr(runs, name, away)
    app.run()
    assert not app.exception
    if page not in ("data_teachers", "lessons"):  # they ask the store for nothing
        assert "run store is busy" in texts(app)


def test_an_unknown_error_becomes_an_incident_id_and_a_trace_in_the_log(run_ids, monkeypatch, caplog):
    app = opened("runs")

    def broken(*_, **__):
        raise KeyError("secret detail")

    monkeypatch.setattr(runs, "list_runs", broken)
    app.run()
    incident = app.error[0].value.split()[-1].rstrip(".")
    assert "secret" not in texts(app)
    assert incident in caplog.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("page", ["start", "distill", "compare", "runs"])
def test_runs_that_are_not_there_are_a_word_not_an_error(page):
    app = opened(page, runs="0" * 32)
    assert not app.exception
    assert "not in this store" in texts(app)


def test_a_deleted_artifact_leaves_its_run_out_with_a_word(run_ids):
    folder = store.artifact_path(run_ids[1], "result.json").parent
    shutil.rmtree(folder)
    app = opened("compare", runs=",".join(run_ids))
    assert not app.exception
    assert "have been deleted" in texts(app)


def test_the_race_launches_three_runs_and_puts_them_into_the_address(run_ids, monkeypatch):
    launched = []

    def launch(specs, **about):
        launched.append((list(specs), about["request_id"]))
        return run_ids

    monkeypatch.setattr(runs, "launch", launch)
    app = opened("start")
    app.button(key="go").click().run()
    specs, _ = launched[0]
    assert sorted(spec.method for spec in specs) == ["baseline", "mlp", "raw"]
    assert app.query_params["runs"] == ",".join(run_ids)
    assert len(launched) == 1


def test_start_shows_its_picture_and_its_button_before_the_libraries_are_loaded(monkeypatch):
    """The first visitor waited for torch to see how many numbers the teacher gives; `make app` took seconds longer."""
    monkeypatch.setattr(server, "libraries_ready", threading.Event())
    for name in ("kdlib.planning", "kdlib.analysis.frames", "kdlib.data.datasets"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would be an error
    app = opened("start")
    assert not app.exception
    assert not app.error, texts(app)
    assert not app.button(key="go").disabled
    assert app.get("bidi_component")


def test_the_finished_race_says_its_outcome_in_one_sentence(run_ids):
    app = opened("start", runs=",".join(run_ids))
    assert any("n \\= 2" in each.value for each in app.info)


def test_a_refused_spec_says_why_and_cannot_be_launched():
    app = opened("distill")
    app.number_input(key="labels").set_value(10).run()
    app.selectbox(key="dataset").select("digits").run()
    app.number_input(key="labels").set_value(9_000).run()
    assert any("labelled training rows" in each.value for each in app.error)
    assert app.button(key="launch").disabled


def test_what_is_set_is_what_is_launched(run_ids, monkeypatch):
    launched = []
    monkeypatch.setattr(runs, "launch", lambda specs, **about: launched.append(list(specs)) or run_ids)
    app = opened("distill")
    app.selectbox(key="teacher").select("background").run()
    app.select_slider(key="dim").set_value(4).run()
    app.multiselect(key="methods").set_value(["raw", "linear"]).run()
    app.button(key="launch").click().run()
    assert [(spec.method, spec.teacher, spec.dim) for spec in launched[0]] == [
        ("raw", "background", 4),
        ("linear", "background", 4),
    ]


def test_the_augmentations_that_fit_and_a_depth_where_there_is_one_are_launched(run_ids, monkeypatch):
    launched = []
    monkeypatch.setattr(runs, "launch", lambda specs, **about: launched.append(list(specs)) or run_ids)
    app = opened("distill", augmentation="flip-crop", student="resnet", depth="2")
    assert app.selectbox(key="augmentation").options == ["none", "flip-crop", "mixup"]
    app.button(key="launch").click().run()
    assert {(spec.augmentation, spec.student, spec.depth) for spec in launched[0]} == {("flip-crop", "resnet", 2)}
    app.selectbox(key="dataset").select("tones").run()
    assert app.selectbox(key="augmentation").options == ["none", "specaugment", "mixup"]
    assert app.selectbox(key="augmentation").value == "none"
    assert not [slider for slider in app.slider if slider.key == "depth"]
    assert not app.exception


def test_a_projector_where_the_loss_needs_one_and_a_second_teacher_are_launched(run_ids, monkeypatch):
    launched = []
    monkeypatch.setattr(runs, "launch", lambda specs, **about: launched.append(list(specs)) or run_ids)
    app = opened("distill", loss="mse", projector="orthogonal", second_teacher="parity", soft_label_weight="0.5")
    assert app.selectbox(key="projector").options == ["linear", "mlp", "orthogonal", "ensemble"]
    app.selectbox(key="soft_label_loss").select("dist").run()
    app.selectbox(key="target_normaliser").select("standardise").run()
    app.button(key="launch").click().run()
    assert {(spec.projector, spec.teacher, spec.soft_label_loss, spec.target_normaliser) for spec in launched[0]} == {
        ("orthogonal", "simclr+parity", "dist", "standardise")
    }
    app.selectbox(key="loss").select("cka").run()
    assert not [box for box in app.selectbox if box.key == "projector"]
    assert not app.exception


def test_how_two_teachers_teach_is_asked_only_where_there_are_two(run_ids, monkeypatch):
    launched = []
    monkeypatch.setattr(runs, "launch", lambda specs, **about: launched.append(list(specs)) or run_ids)
    app = opened("distill", second_teacher="parity", teacher_mixing="separate")
    assert app.segmented_control(key="teacher_mixing").value == "separate"
    assert "one distance each" in texts(app)
    assert app.query_params["teacher_mixing"] == "separate"
    app.button(key="launch").click().run()
    assert {(spec.teacher, spec.teacher_mixing) for spec in launched[0]} == {("simclr+parity", "separate")}
    app.select_slider(key="dim").set_value(1).run()
    assert "dim 1 cannot be shared evenly by 2 separate teachers" in texts(app)
    app.segmented_control(key="teacher_mixing").set_value("concatenate").run()
    assert "cannot be shared" not in texts(app)
    app.selectbox(key="second_teacher").set_value(None).run()
    assert not [control for control in app.get("segmented_control") if control.key == "teacher_mixing"]
    assert "teacher_mixing" not in app.query_params
    app.button(key="launch").click().run()
    assert {(spec.teacher, spec.teacher_mixing) for spec in launched[1]} == {("simclr", "concatenate")}
    assert not app.exception


def test_an_attribute_is_chosen_where_a_method_removes_one(run_ids, monkeypatch):
    launched = []
    monkeypatch.setattr(runs, "launch", lambda specs, **about: launched.append(list(specs)) or run_ids)
    app = opened("distill", methods=["baseline", "raw", "mlp"])
    assert not [box for box in app.selectbox if box.key == "attribute"]
    app.multiselect(key="methods").select("adversarial").run()
    assert app.selectbox(key="attribute").options == ["background", "position", "rotation"]
    app.selectbox(key="attribute").select("position").run()
    app.button(key="launch").click().run()
    assert {(spec.method, spec.attribute) for spec in launched[0]} >= {("adversarial", "position")}
    app.selectbox(key="dataset").select("digits").run()
    assert app.selectbox(key="attribute").options == ["ink"]
    assert app.selectbox(key="attribute").value == "ink"
    assert not app.exception


def test_distill_opens_for_somebody_who_looked_at_the_data_first():
    app = opened("data_teachers", dataset="digits")
    app.switch_page("pages/distill.py").run()
    assert not app.exception
    assert not app.error, texts(app)
    assert app.selectbox(key="dataset").value == "digits"


def test_the_address_sets_the_controls():
    app = opened("distill", teacher="parity", dim="8")
    assert app.selectbox(key="teacher").value == "parity"
    assert app.select_slider(key="dim").value == 8


def test_a_control_that_shows_plain_names_has_code_names_in_the_address():
    app = opened("distill", methods=["mlp", "raw"], teacher="parity")
    assert app.multiselect(key="methods").value == ["mlp", "raw"]
    assert "odd or even (parity)" in app.selectbox(key="teacher").options
    app.selectbox(key="teacher").select("background")
    app.multiselect(key="methods").set_value(["baseline", "lda"]).run()
    assert app.query_params["teacher"] in ("background", ["background"])
    assert app.query_params["methods"] == ["baseline", "lda"]
    app.selectbox(key="teacher").select("simclr").run()
    assert "teacher" not in app.query_params, "it is what suits the dataset"
    assert opened("distill", methods="raw,mlp").multiselect(key="methods").value == ["raw", "mlp"]
    assert opened("distill", teacher="nobody").selectbox(key="teacher").value == "simclr"


def test_a_preset_sets_every_control():
    app = opened("distill")
    app.select_slider(key="dim").set_value(2).run()
    app.selectbox(key="preset").select("Irrelevant teacher").run()
    assert app.selectbox(key="preset").value is None, "it sets the controls, which may then change"
    assert app.selectbox(key="teacher").value == "background"
    assert app.select_slider(key="dim").value == 16


@pytest.mark.parametrize("section", list(SECTIONS))
def test_every_section_of_compare_shows_something(section, run_ids):
    app = opened("compare")
    app.query_params["runs"] = ",".join(run_ids)
    app.query_params["show"] = section
    app.run()
    assert not app.exception
    assert not app.error, texts(app)
    figures = [
        figure for figure in app.get("plotly_chart") if "accuracy-" in figure.proto.id or "width" in figure.proto.id
    ]
    assert figures or tables(app) or app.get("progress")


@pytest.mark.parametrize("dataset", ["tones", "mixtures"])
def test_sounds_can_be_heard_and_only_teachers_of_sounds_are_asked(dataset):
    app = opened("data_teachers", dataset=dataset)
    assert not app.exception
    assert len(app.get("audio")) == 1
    teacher_names = next(each for each in tables(app) if "source task" in each)["teacher"].tolist()
    assert teacher_names[:4] == [
        "restoring sounds (tones-autoencoder)",
        "version matching (tones-simclr)",
        "pitch (tones-pitch)",
        "untrained network (tones-random)",
    ]
    codes = [name.rpartition("(")[2].removesuffix(")") for name in teacher_names]
    assert all(get_teacher(each).modality == "audio" for each in codes)
    app.selectbox(key="heard").set_value(app.selectbox(key="heard").options[2]).run()
    caption = next(each.value for each in app.caption if "item:" in each.value)
    assert re.search(r"there: \*\*[\w, ]*bow" if dataset == "mixtures" else r"class: \*\*bow", caption)


def test_teacher_and_student_follow_the_dataset():
    app = opened("distill")
    app.selectbox(key="dataset").select("tones").run()
    assert (app.selectbox(key="teacher").value, app.selectbox(key="student").value) == ("tones-simclr", "mel-cnn")
    assert not app.error, texts(app)
    app.selectbox(key="teacher").select("tones-pitch").run()
    app.selectbox(key="dataset").select("mixtures").run()
    assert app.selectbox(key="teacher").value == "tones-pitch", "a teacher that fits is kept"
    app.selectbox(key="dataset").select("digits").run()
    assert (app.selectbox(key="teacher").value, app.selectbox(key="student").value) == ("simclr", "cnn")
    options = app.selectbox(key="teacher").options
    assert "view matching (simclr)" in options
    assert not any("tones" in option for option in options)


@pytest.mark.parametrize("section", ["Differences", "Classes", "Table"])
def test_several_labels_an_item_are_compared_by_map(section, home):
    spec = stored_runs.SPEC.replace(dataset="mixtures", teacher="tones-random", student="mel-cnn", epochs=1)
    run_ids = [
        stored_runs.store_result(each, each.spec.method) for each in stored_runs.trained(spec, ("baseline", "mlp"))
    ]
    app = opened("compare", runs=",".join(run_ids), show=section)
    assert not app.exception
    assert not app.error, texts(app)
    shown = (
        texts(app)
        + "".join(str(each) for each in tables(app))
        + "".join(each.proto.spec for each in app.get("plotly_chart"))
    )
    assert "mAP" in shown or "average precision" in shown
    assert "accuracy, %" not in shown


def test_a_refusal_stays_while_the_page_draws_itself_anew():
    app = opened("data_teachers")
    app.session_state["own"] = True
    app.session_state["own-refused"] = "Refused: it is a pickle"
    for _ in range(2):
        app.run()
        assert "Refused: it is a pickle" in texts(app).replace("\\", "")


def test_what_the_student_gets_is_chosen_before_a_file_is_read(tmp_path, monkeypatch):
    zipped(*((f"{'ab'[row % 2]}/{row}.png", picture(noise(row, 200, 100))) for row in range(12)))(tmp_path / "own.zip")
    file = (tmp_path / "own.zip").read_bytes()
    monkeypatch.setenv("KDLIB_MAX_SIDE", "128")
    app = opened("data_teachers")
    app.session_state["own"] = True
    app.run()
    assert "at most 64 × 64 pixels, sounds of at most 4 s at 16,000 Hz in 32 mel bands" in texts(app)
    assert app.selectbox(key="own-size").options == ["32", "64", "96", "128"]
    app.selectbox(key="own-size").select(96)
    app.number_input(key="own-seconds").set_value(10.0)
    app.run()
    assert "at most 96 × 96 pixels, sounds of at most 10 s" in texts(app)
    app.file_uploader(key="own-main-0").upload("own.zip", file, "application/zip")
    app.run()
    app.button(key="own-read").click().run()
    assert not app.exception
    assert not app.error, texts(app)
    assert "12 pictures; originals kept" in texts(app).replace("\\", "")
    assert "a student gets 3 × 96 × 96 numbers per item" in texts(app)
