"""MagnaTagATune as it is published: commonest tags, the split by folder, recordings or embeddings, what is missing."""

import io

import numpy as np
import pytest
import soundfile

from kdlib.cli.main import main
from kdlib.data import datasets, imported
from kdlib.data.intake import IntakeError, Limits, reading
from tests.published_folders import write_magnatagatune

FOLDERS = "0123456789abcdef"


def clips(count=160):
    """Return clips in all folders in turn; tag t is on every (t + 2)nd of them, so that earlier tags are commoner."""
    return [
        (str(2 + number), f"{FOLDERS[number % 16]}/clip-{number}.mp3", {t for t in range(60) if number % (t + 2) == 0})
        for number in range(count)
    ]


def write_audio(path, names):
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(0).normal(0, 0.1, 8000), 16000, format="MP3")
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(out.getvalue())


def understood(path, tmp_path):
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    contents = reading.read(path, path.name, out, Limits(), layout="magnatagatune")
    return contents, {column.name: np.load(out / column.file) for column in contents.columns}


def test_the_fifty_commonest_tags_and_the_split_by_folder(tmp_path):
    _, values = understood(write_magnatagatune(tmp_path / "mtat", clips()), tmp_path)
    assert values["classes"].tolist() == [f"tag {tag}" for tag in range(50)]
    assert values["labels"].shape == (160, 50)
    assert values["labels"][:, 5].tolist() == [number % 7 == 0 for number in range(160)]
    by_folder = {name[0]: split for name, split in zip(values["file"], values["split"], strict=True)}
    assert by_folder == dict.fromkeys("0123456789ab", "train") | {"c": "val"} | dict.fromkeys("def", "test")


def test_rare_tags_that_come_first_are_left_out(tmp_path):
    rows = [(name, mp3, {59 - t for t in range(60) if int(name) > 2 * t}) for name, mp3, _ in clips()]
    _, values = understood(write_magnatagatune(tmp_path / "mtat", rows), tmp_path)
    assert values["classes"].tolist() == [f"tag {tag}" for tag in range(10, 60)]


@pytest.mark.parametrize("place", [".", "mp3", "audio"])
def test_recordings_are_read_and_empty_ones_left_out(place, tmp_path):
    """The published archive has three mp3 files of 0 bytes."""
    path = write_magnatagatune(tmp_path / "mtat", clips(32))
    names = [mp3 for _, mp3, _ in clips(32)]
    write_audio(path / place, names)
    (path / place / names[5]).write_bytes(b"")
    contents, values = understood(path, tmp_path)
    assert contents.kind == "sounds"
    assert values["spectrogram"].shape[:3] == (31, 1, 32)
    assert names[5] not in values["file"]
    assert "1 clip is left out" in contents.notes[0]
    (path / place / names[7]).unlink()
    with pytest.raises(IntakeError, match=r"audio is there for 31 of 32 clips: '7/clip-7\.mp3'"):
        understood(path, tmp_path)


@pytest.mark.parametrize("ids", ["file", "number"])
def test_embeddings_beside_it_stand_in_for_recordings(ids, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    path = write_magnatagatune(tmp_path / "mtat", clips(640), tags=5)
    names = np.array([(mp3 if ids == "file" else name) for name, mp3, _ in clips(640)][::-1])
    embedding = np.random.default_rng(0).normal(size=(640, 8)).astype(np.float32)
    np.savez(tmp_path / "openl3.npz", id=names, embedding=embedding)
    options = ["--format", "magnatagatune", "--name", "mtat", "--embeddings", str(tmp_path / "openl3.npz")]
    assert main(["import", str(path), *options]) == 0
    data = datasets.load(imported.resolve_name("mtat"))
    assert data.classes == tuple(f"tag {tag}" for tag in range(5))
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 480, "val": 40, "test": 120}
    row = data.ids.tolist().index("0/clip-0.mp3")
    np.testing.assert_array_equal(data.inputs[row], embedding[-1])


def test_without_recordings_and_embeddings_it_is_said_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    path = write_magnatagatune(tmp_path / "mtat", clips(64))
    assert main(["import", str(path), "--format", "magnatagatune"]) == 2
    complaint = capsys.readouterr().err
    assert "there is no audio: no folders 0 to f in mtat" in complaint
    assert "give embeddings (--embeddings)" in complaint


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("2", "g/a.mp3", set())], "has the mp3_path 'g/a.mp3'"),
        ([("2", "a/../../etc/passwd", set())], "has the mp3_path"),
        ([("2\t3", "a/a.mp3", set())], "line 2 has"),
    ],
)
def test_damaged_annotations_are_refused_in_words(rows, message, tmp_path):
    path = write_magnatagatune(tmp_path / "mtat", rows)
    text = (path / "annotations_final.csv").read_text()
    (path / "annotations_final.csv").write_text(text.replace('"2\t3"', "2\t3"))
    with pytest.raises(IntakeError, match=message):
        understood(path, tmp_path)


def test_other_files_are_refused_in_words(tmp_path):
    path = write_magnatagatune(tmp_path / "mtat", clips(16))
    file = path / "annotations_final.csv"
    good = file.read_text()
    for text, message in (
        (good.replace('"1"', '"2"', 1), "has '2' for 'tag 0', not 0 or 1"),
        (good.replace("clip_id", "number"), "must begin with clip_id"),
        (good.splitlines()[0], "has no rows"),
    ):
        file.write_text(text)
        with pytest.raises(IntakeError, match=message):
            understood(path, tmp_path)
    with pytest.raises(IntakeError, match="is a file; MagnaTagATune is the folder"):
        understood(file, tmp_path)
