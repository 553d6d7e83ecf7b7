"""Exports that come back: what is measured anew, and what of a foreign folder is refused."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kdlib import runs
from kdlib.export import export_student, intake, returning
from kdlib.export.returning import import_student
from kdlib.spaces.rows import load_spaces
from kdlib.trying.answering import answer
from kdlib.trying.items import item_of_row
from tests import exported


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    with exported.data_folder(tmp_path_factory.mktemp("home") / "home", empty_database) as folder:
        yield folder


@pytest.fixture(scope="module")
def original(home, tmp_path_factory):
    """A run, and the export of its seeds 0 to 2."""
    run_id, folder = exported.train_digits(loss="mse"), tmp_path_factory.mktemp("out") / "digits"
    export_student(run_id, folder, "ensemble")
    return run_id, folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original[1], tmp_path / "copy")


@pytest.fixture
def read_here(monkeypatch):
    """The export is read in this process; `test_it_comes_back_as_a_run` uses the child."""

    def run_child(module, arguments, name, folder, limits, on_progress):
        return intake.read_export(type(folder)(arguments[0]), name, folder)

    monkeypatch.setattr(returning, "run_child", run_child)


def change(folder, file, **fields):
    record = json.loads((folder / file).read_text())
    for path, value in fields.items():
        place = record
        *parents, last = path.split("__")
        for key in parents:
            place = place[key]
        place[last] = value
    (folder / file).write_text(json.dumps(record))


def test_it_comes_back_as_a_run(original, tmp_path):
    before, folder = original
    after = import_student(folder)
    run, result = runs.get(after), runs.result(after)
    assert (run.state, run.name, run.spec.seeds) == ("done", "digits (imported)", 3)
    for split, metrics in runs.result(before).metrics.items():
        assert result.metrics[split]["accuracy"].values == pytest.approx(metrics["accuracy"].values)
    for kind in ("student", "predictions"):
        theirs = runs.arrays(before, kind)
        for name, value in runs.arrays(after, kind).items():
            np.testing.assert_allclose(value, theirs[name], atol=1e-5)
    again = tmp_path / "again"
    export_student(after, again, 1)
    assert load_file(again / "student.safetensors").keys() >= {"head.weight", "adapter.weight"}


@pytest.mark.parametrize(
    ("changes", "seed"),
    [
        ({"projector": "orthogonal"}, 1),
        ({"projector": "ensemble"}, "ensemble"),
        ({"method": "vib", "target_normaliser": "standardise"}, "ensemble"),
        ({"method": "pca", "target_normaliser": "whiten"}, 1),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else str(value),
)
def test_it_comes_back_whatever_pulled_it(changes, seed, tmp_path, read_here):
    before = exported.train_digits(loss="mse", **changes)
    export_student(before, tmp_path / "out", seed)
    after = import_student(tmp_path / "out")
    spec = runs.get(after).spec
    assert {name: getattr(spec, name) for name in changes} == changes
    theirs, ours = runs.arrays(before, "student"), runs.arrays(after, "student")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name][[1] if seed == 1 else [0, 1, 2]])
    export_student(after, tmp_path / "again", 0)


def test_its_students_can_be_tried_and_their_space_be_looked_at(original, folder, read_here):
    before, after = original[0], import_student(folder)
    view = load_spaces(after, "test", 1)
    assert list(view.spaces) == ["student"], "what its teacher gave does not come along"
    np.testing.assert_allclose(view.spaces["student"], load_spaces(before, "test", 1).spaces["student"], atol=1e-5)
    said = answer(item_of_row("digits", int(view.rows[0])), [before, after], after)
    np.testing.assert_allclose(said.predictions[1].probabilities, said.predictions[0].probabilities[:3], atol=1e-5)
    assert "imported" in said.absent["compressed"]
    assert len(said.placed["student"].rows)


def test_a_zip_of_one_seed_comes_back_under_another_name(original, tmp_path, read_here):
    before, _ = original
    export_student(before, tmp_path / "one.zip", 2)
    result = runs.result(import_student(tmp_path / "one.zip", "theirs"))
    assert runs.list_runs(limit=1)[0].name == "theirs"
    assert result.metrics["test"]["accuracy"].values == [runs.result(before).metrics["test"]["accuracy"].values[2]]


def test_without_its_data_it_has_the_scores_that_it_states(folder, read_here):
    change(folder, "config.json", result__spec__dataset="birds@12345678")
    change(folder, "config.json", result__metrics__val={"accuracy": {"mean": 9, "ci95": 0, "values": [9, 9, 9]}})
    result = runs.result(import_student(folder))
    assert "val" not in result.metrics  # 900 % is none
    assert len(result.metrics["test"]["accuracy"].values) == 3


def test_no_sweep_takes_it_for_its_own(folder, read_here):
    from kdlib import store

    run_id = import_student(folder)
    assert run_id not in [run.id for run in store.find(identity=runs.get(run_id).spec.identity)]


def test_changed_weights_are_noticed(folder, read_here):
    tensors = load_file(folder / "student.safetensors")
    tensors["0.head.bias"] += 1
    save_file(tensors, folder / "student.safetensors")
    with pytest.raises(ValueError, match="the folder was changed after the export"):
        import_student(folder)


@pytest.mark.parametrize(
    ("file", "fields", "words"),
    [
        ("config.json", {"format": 9}, "another version: format 9"),
        ("config.json", {"student": []}, "does not say which student"),
        ("config.json", {"student__seeds": [0, 1]}, "do not fit the student"),
        ("config.json", {"student__seeds": "012"}, "holds 1 to 1,000 students"),
        ("config.json", {"result__spec__student": "os.system"}, "student"),
        ("config.json", {"result__spec__width": 10**9}, "larger than can be imported"),
        ("config.json", {"result__spec__width": 3}, "do not fit the student"),
        ("config.json", {"result__spec__teacher": "a\u202eb\n"}, "without control characters"),
        ("config.json", {"input__student_shape": [1, 10**9, 10**9]}, "larger than can be imported"),
        ("config.json", {"input": None}, "incomplete"),
        ("labels.json", {"classes": ["a"] * 1001}, "1 to 1,000 class names"),
        ("labels.json", {"classes": [1, 2]}, "must be texts"),
    ],
)
def test_a_hostile_folder_is_refused_in_a_sentence(folder, read_here, file, fields, words):
    change(folder, file, **fields)
    with pytest.raises(ValueError, match=words):
        import_student(folder)


def test_damaged_files_are_refused(folder, tmp_path, read_here):
    with pytest.raises(ValueError, match="there is no export"):
        import_student(tmp_path / "nowhere")
    (folder / "labels.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is no JSON"):
        import_student(folder)
    (folder / "labels.json").unlink()
    with pytest.raises(ValueError, match=r"has no labels\.json"):
        import_student(folder)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        import_student(tmp_path / "a.zip")


def test_a_zip_that_unpacks_to_more_than_it_should_is_refused(tmp_path, read_here):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (5 << 20))
    with pytest.raises(ValueError, match="more than 4 MB"):
        import_student(tmp_path / "bomb.zip")


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path, read_here):
    (folder / "config.json").rename(tmp_path / "outside.json")
    (folder / "config.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(ValueError, match="symbolic link"):
        import_student(folder)
