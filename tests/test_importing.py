"""From a file to a dataset: what is understood, what is refused in words, what a stop leaves behind."""

import errno
import io
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from PIL import Image

from kdlib.checks import check, default_spec
from kdlib.data import datasets, imported, importing, intake
from kdlib.data.importing import ImportPlan
from kdlib.data.intake import IntakeError
from kdlib.models import embedding
from kdlib.progress import CancelledError
from tests.file_writers import wav, zipped
from tests.small_tables import ROWS, imported_table, table

READ = intake.read


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, files_read_here):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# --- what is understood


def test_what_the_names_of_columns_suggest(tmp_path):
    plan = importing.guess_plan(
        importing.stage(table(tmp_path / "a.npz", split=np.array((["train"] * 7 + ["val", "test", "test"]) * 9)))
    )
    assert (plan.target, plan.id, plan.inputs, plan.tables, plan.split) == (("label",), "id", "x", ("y",), "split")


def test_the_rest_is_drawn_by_class_and_always_alike(tmp_path):
    source = importing.stage(table(tmp_path / "a.npz"))
    draft = importing.build_draft(source, importing.guess_plan(source))
    assert draft.classes == ["NA", "ash", "birch"]
    assert {name: list(row.values()) for name, row in draft.counts().items()} == {
        name: [22, 2, 6] for name in draft.classes
    }
    rng = np.random.default_rng(1)
    order = rng.permutation(90)
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "b.npz", **{name: arrays[name][order] for name in arrays.files})
    other = importing.stage(tmp_path / "b.npz")
    again = importing.build_draft(other, importing.guess_plan(other))
    assert dict(zip(again.ids, again.splits, strict=True)) == dict(zip(draft.ids, draft.splits, strict=True))


def test_answers_with_gaps_are_several_labels_an_item(tmp_path):
    text = "id,loud,fast,e0,e1\n" + "".join(f"{i},{i % 2},{['', '0', '1'][i % 3]},{i},{i * i % 7}\n" for i in range(60))
    (tmp_path / "a.csv").write_text(text)
    source = importing.stage(tmp_path / "a.csv")
    draft = importing.build_draft(source, replace(importing.guess_plan(source), target=("loud", "fast")))
    assert draft.labels.shape == (60, 2)
    assert np.isnan(draft.labels[:, 1]).sum() == 20
    assert draft.classes == ["loud", "fast"]
    (tmp_path / "a.csv").write_text(text.replace("\n7,1,0,", "\n7,1,perhaps,"))
    source = importing.stage(tmp_path / "a.csv")
    with pytest.raises(IntakeError, match="line 9, column 'fast': 'perhaps' is not 0, 1 or blank"):
        importing.build_draft(source, replace(importing.guess_plan(source), target=("loud", "fast")))


def test_a_matrix_of_answers_is_the_target_and_no_embedding(tmp_path):
    answers = np.where(np.random.default_rng(3).random((90, 2)) < 0.2, np.nan, np.arange(180).reshape(90, 2) // 3 % 2)
    source = importing.stage(
        table(tmp_path / "a.npz", label=None, place=None, tags=answers, classes=np.array(["loud", "fast"]))
    )
    plan = importing.guess_plan(source)
    assert (plan.target, plan.inputs, plan.tables) == (("tags",), "x", ("y",))
    draft = importing.build_draft(source, plan)
    np.testing.assert_array_equal(draft.labels, answers)
    assert draft.classes == ["loud", "fast"]


def test_pictures_in_folders_are_taken_by_the_built_in_teachers(tmp_path):
    zipped(*((f"{'bright' if row % 2 else 'dark'}/{row}.png", _picture(row)) for row in range(40)))(tmp_path / "a.zip")
    source = importing.stage(tmp_path / "a.zip")
    draft = importing.build_draft(source, importing.guess_plan(source))
    name = importing.store_dataset(source, draft, "pictures")
    data = datasets.load(name)
    assert (data.modality, data.classes, data.inputs.shape) == ("image", ("bright", "dark"), (40, 1, 16, 16))
    assert data.inputs[data.labels == 0].mean() > data.inputs[data.labels == 1].mean()
    assert embedding.embed("random", name).shape == (40, 256)
    check(default_spec(name).replace(teacher="random"))


def _picture(row: int) -> bytes:
    out = io.BytesIO()
    light = np.random.default_rng(row).integers(0, 100, (16, 16), dtype=np.uint8) + np.uint8(100 * (row % 2))
    Image.fromarray(light).save(out, format="PNG")
    return out.getvalue()


def test_file_names_are_taken_apart_and_a_speaker_is_left_out(tmp_path):
    names = [f"{word}_{speaker}_{take}" for word in ("yes", "no") for speaker in ("ann", "bob") for take in range(8)]
    pitches = {"yes": 300, "no": 900}
    write = zipped(
        *((f"takes/{name}.wav", _note(pitches[name.split("_")[0]], seed)) for seed, name in enumerate(names))
    )
    write(tmp_path / "a.zip")
    order = np.random.default_rng(0).permutation(len(names))
    voices = np.random.default_rng(1).normal(size=(len(names), 5)).astype(np.float32)
    np.savez(tmp_path / "voices.npz", ids=np.array(names)[order], embeddings=voices[order])
    source = importing.stage(tmp_path / "a.zip", beside=[(tmp_path / "voices.npz", "")])
    plan = ImportPlan(
        target=("word",), pattern="{word}_{speaker}_{take}.wav", tables=("voices",), test=("take", ("0", "1"))
    )
    plan = replace(plan, leave_out=("speaker", ("bob",)), source_task="who speaks")
    draft = importing.build_draft(source, plan)
    speakers = np.array([name.split("_")[1] for name in draft.ids])
    assert set(draft.splits[speakers == "bob"]) == {"ood:speaker"}
    assert set(draft.splits[speakers == "ann"]) == {"train", "val", "test"}
    name = importing.store_dataset(source, draft, "words")
    data = datasets.load(name)
    assert data.modality == "audio"
    for row in range(len(names)):
        stem = Path(data.ids[row]).stem
        np.testing.assert_array_equal(embedding.embed(f"{name}/voices", name)[row], voices[names.index(stem)])
        assert data.classes[data.labels[row]] == stem.split("_")[0]
    rate, wave = data.listen(3)
    assert (rate, len(wave)) == (8000, 4000)
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(spectrum.argmax() * 2 - pitches[Path(data.ids[3]).stem.split("_")[0]]) < 20


def _note(hertz: int, seed: int) -> bytes:
    time = np.arange(4000) / 8000
    out = io.BytesIO()
    noise = np.random.default_rng(seed).normal(0, 0.01, 4000)
    soundfile.write(out, 0.5 * np.sin(2 * np.pi * hertz * time) + noise, 8000, format="WAV")
    return out.getvalue()


# --- what is refused


def _with(array: np.ndarray, where, value) -> np.ndarray:
    array = array.copy()
    array[where] = value
    return array


SPLIT = np.array((["train"] * 6 + ["val"] * 3 + ["test"] * 3 + ["ood:far"] * 3) * 6)
CONTENT = {
    "NaN": ({"y": _with(ROWS, (17, 2), np.nan)}, "'y' is not finite .* in row 17; in all, 1 rows"),
    "infinite": ({"y": _with(ROWS, (3, 0), np.inf)}, "row 3"),
    "constant": ({"y": np.ones((90, 4))}, "'y' is constant: all 90 rows"),
    "no numbers": ({"y": np.ones((90, 0))}, "'y' has width 0: it needs two or more numbers per item"),
    "one number": ({"y": ROWS[:, :1]}, "'y' has width 1"),
    "same id twice": ({"id": np.array(["a", "b", "a"] * 30)}, "the id 'a' is there twice, in row 0 and row 2"),
    "no id": ({"id": _with(np.array([f"item {row}" for row in range(90)]), 5, "")}, "row 5 has no id"),
    "one class": ({"label": np.full(90, "ash")}, r"one class only \('ash'\)"),
    "a class of one": ({"label": np.array(["oak", *["ash", "elm"] * 44, "elm"])}, "the class 'oak' has 1 sample;"),
    "unseen class": (
        {"split": SPLIT, "label": np.where(SPLIT == "ood:far", "new", np.array(["ash", "elm"] * 45))},
        "the split ood:far has 18 items of class 'new', which training never sees",
    ),
    "split of another name": (
        {"split": _with(SPLIT.astype("<U9"), 4, "later")},
        "row 4: a split is train, val, test or ood:<name>, got 'later'",
    ),
}


@pytest.mark.parametrize("case", CONTENT)
def test_content_that_cannot_be_learned_from_is_refused_before_training(case, tmp_path):
    changes, message = CONTENT[case]
    source = importing.stage(table(tmp_path / "a.npz", **changes))
    with pytest.raises(IntakeError, match=message):
        importing.build_draft(source, importing.guess_plan(source))


def test_rows_of_zeros_are_counted(tmp_path):
    source = importing.stage(table(tmp_path / "a.npz", y=_with(ROWS, slice(4, 7), 0)))
    assert any(
        "'y' has 3 rows of zeros" in warning
        for warning in importing.build_draft(source, importing.guess_plan(source)).warnings
    )


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{a}{b}.wav", "need something between"),
        ("words.wav", "names its parts"),
        ("{a}_{a}.wav", "names its parts"),
        ("{a}-{b}.wav", "'yes_1.wav' does not fit"),
    ],
)
def test_a_pattern_that_does_not_fit_is_named(pattern, message, tmp_path):
    zipped(("yes_1.wav", wav()), ("no_2.wav", wav()))(tmp_path / "a.zip")
    source = importing.stage(tmp_path / "a.zip")
    with pytest.raises(IntakeError, match=message):
        importing.build_draft(source, ImportPlan(target=("a",), pattern=pattern))


def test_embeddings_that_lack_an_item_are_refused_and_leave_nothing(tmp_path, home):
    np.savez(tmp_path / "net.npz", id=np.array([f"item {row:03d}" for row in range(80)]), e=ROWS[:80])
    with pytest.raises(IntakeError, match=r"net\.npz has no row for 10 of 90 items, such as 'item 080'"):
        importing.stage(table(tmp_path / "a.npz"), beside=[(tmp_path / "net.npz", "")])
    assert not list((home / "staging").iterdir())


def test_a_folder_that_is_dropped_while_others_are_swept_does_no_harm(tmp_path, home, monkeypatch):
    """Another session drops what it read between the listing of the waiting room and the look at its age."""
    room = home / "staging"
    room.mkdir(parents=True)
    real, gone = Path.glob, room / "gone"
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [*real(path, pattern), *([gone] if path == room else [])])
    assert importing.stage(table(tmp_path / "a.npz")).rows == 90


def _aged(path: Path, days: float) -> None:
    then = time.time() - days * 24 * 3600
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))


def test_only_what_nobody_has_written_to_for_a_day_is_swept(tmp_path, home):
    waiting = importing.stage(table(tmp_path / "a.npz"))
    opened, left = importing.stage(tmp_path / "a.npz"), importing.stage(tmp_path / "a.npz")
    halves = [home / "data" / name for name in (".1.building", ".2.deleted", ".3.building")]
    for half in halves:
        half.mkdir(parents=True)
        (half / "inputs.npy").write_bytes(b"half of it")
    for folder in (waiting.folder, opened.folder, left.folder, *halves):
        _aged(folder, 2)
    (halves[2] / "inputs.npy").write_bytes(b"is being written")  # which leaves the age of the folder as it is
    (waiting.folder / waiting.columns["x"].file).write_bytes(b"so is this")
    importing.reopen(opened.token)
    recent = imported_table(tmp_path)
    assert waiting.folder.exists()
    assert opened.folder.exists()
    assert not left.folder.exists()
    assert [half.exists() for half in halves] == [False, False, True]
    assert list(imported.cards()) == [recent]


# --- progress and stopping


class LeftError(BaseException):
    """What Streamlit raises inside a page that is left, and Python when somebody presses Ctrl-C."""


def _leave(_):
    raise LeftError


@pytest.mark.parametrize(("on_progress", "raised"), [(lambda _: True, CancelledError), (_leave, LeftError)])
def test_reading_that_is_stopped_leaves_no_process_and_no_folder(on_progress, raised, tmp_path, home, monkeypatch):
    children = psutil.Process().children()
    monkeypatch.setattr(importing.source.intake, "read", READ)
    with pytest.raises(raised):
        importing.stage(table(tmp_path / "a.npz"), on_progress=on_progress)
    with pytest.raises(raised):
        importing.stage_uploads([("a.npz", (tmp_path / "a.npz").read_bytes())], on_progress)
    assert not list((home / "staging").iterdir())
    assert psutil.Process().children() == children


@pytest.mark.parametrize(("on_progress", "raised"), [(lambda _: True, CancelledError), (_leave, LeftError)])
def test_keeping_that_is_stopped_leaves_no_dataset_and_what_was_read(on_progress, raised, tmp_path, home):
    source = importing.stage(table(tmp_path / "a.npz"))
    draft = importing.build_draft(source, importing.guess_plan(source))
    with pytest.raises(raised):
        importing.store_dataset(source, draft, "trees", on_progress)
    assert not list((home / "data").iterdir())
    seen = []
    assert importing.store_dataset(source, draft, "trees", seen.append) in imported.cards()
    assert (seen[-1].step, seen[-1].steps, seen[-1].phase) == (90, 90, "importing")


def test_matching_by_id_reports_and_can_be_stopped(tmp_path, home):
    ids = np.array([f"item {row:03d}" for row in range(90)])
    np.savez(tmp_path / "net.npz", id=ids[::-1], e=ROWS)
    seen = []
    importing.stage(table(tmp_path / "a.npz"), beside=[(tmp_path / "net.npz", "")], on_progress=seen.append)
    assert [(each.step, each.steps) for each in seen] == [(90, 90)]


def test_a_disk_that_is_full_is_named_in_words(tmp_path, home, monkeypatch):
    source = importing.stage(table(tmp_path / "a.npz"))
    draft = importing.build_draft(source, importing.guess_plan(source))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(importing.store.shutil, "copyfile", full)
    with pytest.raises(IntakeError, match="npz cannot be kept: the disk is full"):
        importing.store_dataset(source, draft, "trees")
    assert not list((home / "data").iterdir())
