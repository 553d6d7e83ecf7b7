"""Embeddings belong to items and teacher: other labels embed nothing again, and what is removed takes them along."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kdlib.data import datasets, imported, importing
from kdlib.data.importing import InputFormat
from kdlib.models import embedding
from kdlib.models.providers import onnx
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.teacher import Teacher
from kdlib.spaces import deletion, embedding_jobs
from tests.evil_models import image_model
from tests.file_writers import picture, zipped
from tests.small_media import noise


@pytest.fixture(autouse=True)
def home(fresh_home, files_read_here):
    for loaded in (embedding._embeddings, datasets._load):  # of other tests, whose files are elsewhere
        loaded.cache_clear()
    yield fresh_home
    embedding._embeddings.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """Return how many rows two teachers were asked for: of "sees-inputs" and "sees-originals"."""
    counts = {}
    for name, originals in (("sees-inputs", False), ("sees-originals", True)):

        def embed_rows(data, rows, name=name, originals=originals):
            counts[name] = counts.get(name, 0) + len(rows)
            seen = [data.look(int(row)) if originals else data.inputs[row] for row in rows]
            return np.array([[each.astype(float).sum(), row] for each, row in zip(seen, rows, strict=True)], np.float32)

        teacher = Teacher("counts", "none", None, lambda embed_rows=embed_rows: embed_rows, originals=originals)
        monkeypatch.setitem(TEACHERS, name, teacher)
    return counts


def pictures(tmp_path, labels, changed=None, size=64):
    """Import twelve pictures with the labels of a table beside them; return the name of the dataset."""
    contents = [noise(row) for row in range(12)]
    if changed is not None:
        contents[changed][5, 7, 1] ^= 1
    zipped(*((f"{row:03d}.png", picture(content)) for row, content in enumerate(contents)))(tmp_path / "own.zip")
    rows = "\n".join(f"{row:03d}.png,{labels[row % len(labels)]}" for row in range(12))
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}\n")
    beside = [(tmp_path / "labels.csv", "labels.csv")]
    source = importing.stage(tmp_path / "own.zip", beside=beside, form=InputFormat(size=size))
    plan = replace(importing.guess_plan(source), target=("label",))
    return importing.store_dataset(source, importing.build_draft(source, plan), "own")


@pytest.mark.parametrize("teacher", ["sees-inputs", "sees-originals"])
def test_the_same_pictures_with_other_labels_are_not_embedded_again(teacher, tmp_path, asked):
    one, two = pictures(tmp_path, "ab"), pictures(tmp_path, "abcc")
    assert one != two
    first = embedding.embed(teacher, one)
    assert asked == {teacher: 12}
    assert embedding.is_embedded(teacher, two)
    np.testing.assert_array_equal(embedding.embed(teacher, two), first)
    assert asked == {teacher: 12}
    changed = pictures(tmp_path, "ab", changed=3)
    assert not embedding.is_embedded(teacher, changed)
    differs = (embedding.embed(teacher, changed) != first).any(axis=1)
    assert np.flatnonzero(differs).tolist() == [3]
    assert asked == {teacher: 24}


def test_another_size_for_the_student_counts_for_a_teacher_that_sees_it_alone(tmp_path, asked):
    one, two = pictures(tmp_path, "ab", size=64), pictures(tmp_path, "ab", size=16)
    for name in (one, two):
        for teacher in ("sees-inputs", "sees-originals"):
            embedding.embed(teacher, name)
    assert asked == {"sees-inputs": 24, "sees-originals": 12}


def test_a_dataset_of_an_earlier_version_finds_its_embeddings_under_their_old_name(tmp_path, home):
    name = pictures(tmp_path, "ab")
    (path,) = home.glob("data/*/card.json")
    card = json.loads(path.read_text())
    assert set(card.pop("items")) == {"inputs", "originals"}
    path.write_text(json.dumps(card))
    datasets.items.cache_clear()
    for originals in (True, False):
        assert datasets.items(name, originals) == imported.cards()[name].hash
    datasets.items.cache_clear()


def test_embeddings_stay_until_the_last_dataset_that_has_them_is_deleted(tmp_path, home, asked):
    one, two = pictures(tmp_path, "ab"), pictures(tmp_path, "abcc")
    embedding.embed("sees-originals", one)
    assert embedding.is_shared("sees-originals", one)
    deletion.delete_dataset(one)
    assert embedding.is_embedded("sees-originals", two)
    deletion.delete_dataset(two)
    assert not list(home.glob("cache/embeddings/*"))
    assert asked == {"sees-originals": 12}


def test_a_network_that_is_removed_takes_its_embeddings_along(tmp_path, home, monkeypatch):
    monkeypatch.setattr(datasets, "DATASETS", {"digits": datasets.DATASETS["digits"]})  # making the others takes time
    (tmp_path / "m.onnx").write_bytes(image_model().SerializeToString())
    draft = onnx.stage(tmp_path / "m.onnx")
    plan = onnx.make_plan(draft.network, onnx.Wishes(output="features"))
    onnx.keep_draft(draft, plan, onnx.try_out(draft, plan), "tiny", onnx.About())
    embedding.embed("random", "digits")
    (others,) = home.glob("cache/embeddings/*.npy")
    for dataset in ("digits", pictures(tmp_path, "ab")):
        embedding.embed("onnx:tiny", dataset)
    embedding_jobs._write(embedding.entry_key("onnx:tiny", "digits"), embedding_jobs._Record("onnx:tiny", "digits"))
    assert len(list(home.glob("cache/embeddings/*.npy"))) == 3
    deletion.delete_teacher("tiny")
    assert list(home.glob("cache/embeddings/*")) == [others]
    assert not list(home.glob("embedding/*.json"))
    assert not onnx.cards()
    with pytest.raises(ValueError, match="unknown added teacher"):
        deletion.delete_teacher("tiny")
    with pytest.raises(ValueError, match="unknown added teacher"):
        deletion.delete_teacher("random")
