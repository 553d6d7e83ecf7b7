"""The teacher that fits is offered: the best of those asked, never a network of another world without a word."""

import numpy as np
import pytest

from kdlib import planning
from kdlib.analysis import teacher_report
from kdlib.analysis.failure import Failure
from kdlib.analysis.teacher_report import TargetProbe, TeacherReport
from kdlib.checks import check, default_spec
from kdlib.cli.main import main
from kdlib.data import importing
from kdlib.spec import RunSpec
from tests.opened_pages import opened, texts
from tests.small_tables import imported_table, table


@pytest.fixture(autouse=True)
def home(app_home, files_read_here):
    return app_home


@pytest.fixture
def pictures(tmp_path):
    """Import 90 pictures without any embedding; return the name of the dataset."""
    pixels = np.random.default_rng(0).random((90, 16, 16)).astype(np.float32)
    source = importing.stage(table(tmp_path / "photos.npz", x=pixels, y=None))
    return importing.store_dataset(source, importing.build_draft(source, importing.guess_plan(source)), "photos")


def know(teacher, dataset, accuracy, few=None, ood=None):
    few = None if few is None else TargetProbe(few, 0.1, ood)
    teacher_report.store(teacher, dataset, TeacherReport(64, 8.0, TargetProbe(accuracy, 0.1, ood, few=few)))


def test_nobody_is_the_default_until_somebody_was_asked(pictures):
    spec = default_spec(pictures)
    assert spec.teacher == ""
    check(spec.replace(method="baseline"))
    with pytest.raises(
        ValueError, match=r"no teacher has been asked about photos@\w+ yet: embed one .* simclr, parity"
    ):
        check(spec)
    teacher_report.store("simclr", pictures, Failure("broken"))
    assert default_spec(pictures).teacher == ""


def test_the_best_of_those_asked_is_the_default_and_a_control_never_is(pictures):
    know("random", pictures, 0.9)
    assert default_spec(pictures).teacher == ""
    know("background", pictures, 0.3)
    assert default_spec(pictures).teacher == "background"
    know("simclr", pictures, 0.7)
    assert default_spec(pictures).teacher == "simclr"
    check(default_spec(pictures))


def test_few_labels_are_judged_by_the_probe_that_saw_few(pictures):
    know("simclr", pictures, 0.9, few=0.2)
    know("parity", pictures, 0.5, few=0.4)
    assert default_spec(pictures).labels < 100
    assert default_spec(pictures).teacher == "parity"
    assert teacher_report.best_teacher(pictures, labels=1000) == "simclr"


def test_of_imported_embeddings_the_best_is_taken_once_one_was_asked(tmp_path):
    name = imported_table(tmp_path)
    assert default_spec(name).teacher == f"{name}/x"
    know(f"{name}/y", name, 0.6)
    know(f"{name}/x", name, 0.5)
    spec = default_spec(name)
    assert (spec.teacher, spec.dim) == (f"{name}/y", 4)


def test_built_in_datasets_keep_theirs(monkeypatch):
    know("parity", "digits", 1.0)
    assert default_spec("digits").teacher == RunSpec.teacher
    assert default_spec("mixtures").teacher == "tones-simclr"


@pytest.mark.parametrize("command", ["compare", "launch", "sweep"])
def test_the_command_line_says_so_instead_of_choosing(command, pictures, capsys):
    assert main([command, "--dataset", "photos"]) == 2
    said = capsys.readouterr().err
    assert "no teacher has been asked about photos@" in said
    assert "simclr" in said


def test_code_names_the_teacher_of_imported_data(pictures):
    know("simclr", pictures, 0.7)
    assert "--teacher simclr" in planning.as_code(default_spec(pictures), ["raw"])["Command line"]
    assert "--teacher" not in planning.as_code(default_spec("digits"), ["raw"])["Command line"]


def test_distill_says_what_to_do_and_chooses_nobody(pictures):
    app = opened("distill", dataset=pictures)
    assert not app.exception
    assert app.selectbox(key="teacher").value is None
    assert any("No teacher has been asked about these data yet" in each.value for each in app.info)
    assert not app.error, texts(app)
    assert app.button(key="launch").disabled
    app.multiselect(key="methods").set_value(["baseline"]).run()
    assert not app.button(key="launch").disabled
    assert not app.error, texts(app)
    app.multiselect(key="methods").set_value(["baseline", "raw"]).run()
    app.selectbox(key="teacher").select("parity").run()
    asked = next(each.value for each in app.info if "Nobody has asked" in each.value).replace("\\", "")
    assert "**odd or even (parity)** yet" in asked
    assert "90 items" in asked
    assert not app.button(key="launch").disabled


def test_a_teacher_of_other_data_is_not_taken_along_to_imported_ones(pictures):
    app = opened("distill")
    assert app.selectbox(key="teacher").value == "simclr"
    app.selectbox(key="dataset").select(pictures).run()
    assert app.selectbox(key="teacher").value is None
    assert not app.error, texts(app)
    app.selectbox(key="dataset").select("digits").run()
    assert app.selectbox(key="teacher").value == "simclr"
    know("simclr", pictures, 0.7)
    app.selectbox(key="dataset").select(pictures).run()
    assert app.selectbox(key="teacher").value == "simclr", "it was asked"


def test_distill_says_what_the_teacher_knows_in_and_out_of_domain(pictures):
    know("simclr", pictures, 0.712, ood=0.345)
    app = opened("distill", dataset=pictures)
    [said] = [each.value.replace("\\", "").replace("\u00a0", " ") for each in app.info if "simclr" in each.value]
    assert "reads the target with 71.2 % (34.5 % out of domain; guessing reaches 10.0 %)" in said
