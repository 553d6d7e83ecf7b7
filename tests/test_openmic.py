"""OpenMIC-2018 as it is published: labels, splits, embeddings, recordings; what is missing or contradicts itself."""

import resource
import time

import numpy as np
import pytest

from kdlib.cli.main import main
from kdlib.data import datasets, imported, importing
from kdlib.data.intake import IntakeError, Limits, reading
from kdlib.models import teachers
from tests.file_writers import Planted
from tests.published_folders import INSTRUMENTS, openmic_arrays, openmic_keys, write_openmic


def understood(path, tmp_path):
    """Return the contents and column name -> values of the reading of a folder."""
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    contents = reading.read(path, path.name, out, Limits(), layout="openmic")
    return contents, {column.name: np.load(out / column.file) for column in contents.columns}


@pytest.mark.parametrize("kind", ["int64", "uint8", "float16", "float64"])
def test_labels_are_missing_where_the_mask_says_so_and_frames_stay_frames(kind, tmp_path):
    arrays = openmic_arrays(kind=kind)
    contents, values = understood(write_openmic(tmp_path / "openmic-2018", arrays), tmp_path)
    assert values["classes"].tolist() == list(INSTRUMENTS)
    for row in range(60):
        for column in range(3):
            label = values["labels"][row, column]
            if arrays["Y_mask"][row, column]:
                assert label == (arrays["Y_true"][row, column] >= 0.5)
            else:
                assert np.isnan(label)
    np.testing.assert_array_equal(values["vggish"], arrays["X"])
    np.testing.assert_allclose(values["inputs"][7], arrays["X"][7].astype(float).mean(axis=0), rtol=1e-3)
    assert contents.kind == "table"


def test_the_published_partitions_hold_and_a_seeded_share_of_train_is_val(tmp_path):
    path = write_openmic(tmp_path / "openmic-2018", openmic_arrays())
    contents, values = understood(path, tmp_path)
    split = values["split"]
    assert (split[40:] == "test").all()
    assert set(split[:40]) == {"train", "val"}
    assert (split == "val").sum() == 6
    assert "val: 6 of 40 training clips, drawn with seed 0" in contents.notes
    (path / "partitions" / "split01_train.csv").rename(path / "partitions" / "train01.txt")
    again = understood(path, tmp_path)[1]["split"]
    assert (again == split).all()


def test_names_that_are_a_pickle_come_from_the_table_of_labels(tmp_path):
    """The published file holds its names as Python objects."""
    arrays = openmic_arrays()
    path = write_openmic(tmp_path / "openmic-2018", arrays | {"sample_key": np.array(openmic_keys(60), dtype=object)})
    contents, values = understood(path, tmp_path)
    assert values["id"].tolist() == openmic_keys(60)
    assert "sample_key in openmic-2018.npz is a pickle and was not opened" in contents.notes[0]


def _changed_label(text):
    lines = text.splitlines()
    key, instrument, relevance, rest = lines[5].split(",")
    return "\n".join([*lines[:5], f"{key},{instrument},{1 - float(relevance)},{rest}", *lines[6:]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "has no openmic-2018-aggregated-labels.csv; without it, sample_key holds Python objects"),
        (_changed_label, "does not hold the labels"),
        (lambda text: text.rsplit("\n", 2)[0], "does not hold the labels"),
        (lambda text: text.replace("banjo", "cello"), "does not hold the labels"),
        (lambda text: text.replace("000000_0,", "999999_0,"), "does not hold the labels"),
        (lambda text: text.replace("relevance", "doubt"), "begins with sample_key, instrument, doubt"),
    ],
)
def test_names_that_are_a_pickle_are_never_opened_or_guessed(change, message, tmp_path):
    arrays = openmic_arrays()
    path = write_openmic(tmp_path / "openmic-2018", arrays)
    keys = np.array(openmic_keys(60), dtype=object)
    keys[0] = Planted(tmp_path / "planted")
    np.savez(path / "openmic-2018.npz", **arrays | {"sample_key": keys})
    labels = path / "openmic-2018-aggregated-labels.csv"
    if change:
        labels.write_text(change(labels.read_text()))
    else:
        labels.unlink()
    with pytest.raises(IntakeError, match=message):
        understood(path, tmp_path)
    assert not (tmp_path / "planted").exists()


def test_recordings_become_what_the_student_gets(tmp_path):
    path = write_openmic(tmp_path / "openmic-2018", openmic_arrays(12), audio=openmic_keys(12))
    contents, values = understood(path, tmp_path)
    assert contents.kind == "sounds"
    assert values["spectrogram"].shape[:3] == (12, 1, 32)
    assert "inputs" not in values
    (path / "audio" / "000" / "000003_11520.ogg").unlink()
    with pytest.raises(IntakeError, match=r"audio is there for 11 of 12 clips: '000/000003_11520\.ogg'"):
        understood(path, tmp_path)


def _without(name):
    return lambda path: (path / name).unlink()


def _text(name, text):
    return lambda path: (path / name).write_text(text)


def _arrays(**replaced):
    return lambda path: np.savez(path / "openmic-2018.npz", **openmic_arrays() | replaced)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("openmic-2018.npz"), "has no openmic-2018.npz"),
        (_without("class-map.json"), "has no class-map.json"),
        (_without("partitions/split01_test.csv"), "has no partitions/split01_test.csv"),
        (_text("class-map.json", "{"), "class-map.json is damaged: it is no JSON"),
        (_text("class-map.json", "[" * 100_000), "class-map.json is damaged: it is no JSON"),
        (_text("class-map.json", '{"a": 0, "b": 1, "c": 1}'), "must number 3 classes from 0"),
        (_text("partitions/split01_test.csv", openmic_keys(1)[0]), "the clip '000000_0' is in both partitions"),
        (_arrays(X=np.zeros((59, 10, 128))), r"X in openmic-2018\.npz is float64 of shape \(59, 10, 128\)"),
        (_arrays(X=np.zeros((60, 128))), "expected 60 x frames x numbers"),
        (_arrays(Y_mask=np.zeros((60, 2), bool)), "contradicts itself"),
        (_arrays(sample_key=np.array(["a"] * 60)), "60 rows of labels and 1 different names"),
        (_arrays(sample_key=np.array([f"../{number}" for number in range(60)])), "'../0' is no name of a clip"),
        (_text("openmic-2018.npz", "no zip"), "not a whole zip"),
    ],
)
def test_a_damaged_folder_is_refused_in_words(damage, message, tmp_path):
    path = write_openmic(tmp_path / "openmic-2018", openmic_arrays())
    damage(path)
    with pytest.raises(IntakeError, match=message):
        understood(path, tmp_path)


def test_one_command_imports_it_and_the_papers_table_takes_its_title(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    path = write_openmic(tmp_path / "openmic-2018", openmic_arrays(240))
    assert main(["import", str(path), "--format", "openmic", "--name", "openmic"]) == 0
    name = imported.resolve_name("openmic")
    data = datasets.load(name)
    assert data.multi_label
    assert np.isnan(data.labels).any()
    assert data.classes == INSTRUMENTS
    assert data.inputs.shape == (240, 128)
    assert list(imported.cards()[name].tables) == ["vggish"]
    assert imported.cards()[name].tables["vggish"].frames == 10
    assert teachers.get_teacher(f"{name}/vggish").source_task == "video tags of AudioSet (VGGish)"
    options = ["--teachers", "openmic/vggish", "--labels", "60", "--epochs", "1", "--seeds", "1", "--dim", "4"]
    assert main(["paper", "--dataset", "openmic", *options]) == 0
    printed = capsys.readouterr().out
    assert "mAP" in printed
    assert f"{name}/vggish" in printed


def test_the_whole_set_is_imported_quickly_and_its_frames_are_never_in_memory(tmp_path, monkeypatch):
    """A tenth of its size: 2,000 clips of 10 x 128; the process that asks grows by less than those frames take."""
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    path = write_openmic(tmp_path / "openmic-2018", openmic_arrays(2000))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    source = importing.stage(path, layout="openmic")
    importing.store_dataset(source, importing.build_draft(source, importing.guess_plan(source)), "openmic")
    assert time.perf_counter() - started < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2000 * 10 * 128 * 8 / 1024
