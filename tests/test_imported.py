"""Imported data: they are stored as given, work like a built-in dataset, are deleted with what was made of them."""

import json
import shutil

import numpy as np
import pytest

from kdlib import cache, pipeline
from kdlib.analysis import teacher_report
from kdlib.analysis.verdicts import verdict
from kdlib.checks import check, default_spec
from kdlib.data import datasets, imported, importing
from kdlib.models import embedding
from kdlib.spaces import deletion, teacher_jobs
from kdlib.spec import RunSpec
from tests.small_tables import ROWS, imported_table, table


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, files_read_here):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_is_kept_is_what_was_given(tmp_path):
    name = imported_table(tmp_path)
    data = datasets.load(name)
    with np.load(tmp_path / "trees.npz") as given:
        np.testing.assert_array_equal(data.inputs, given["x"])
        np.testing.assert_array_equal(embedding.embed(f"{name}/y", name), given["y"])
        assert [data.classes[label] for label in data.labels] == given["label"].tolist()
    rows = np.concatenate(list(data.splits.values()))
    assert len(set(rows)) == len(rows) == 90
    assert set(data.labelled(3)) < set(data.labelled(30)) <= set(data.splits["train"])


def test_rows_taken_from_disk_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAPPED_BYTES", 0)
    monkeypatch.setattr(cache, "CHUNK_ROWS", 7)
    name = imported_table(tmp_path, title="on disk")
    data, rows = datasets.load(name), np.random.default_rng(0).permutation(90)
    assert isinstance(data.inputs, cache.MappedArray)
    with np.load(tmp_path / "trees.npz") as given:
        np.testing.assert_array_equal(data.inputs[rows], given["x"][rows])
        np.testing.assert_array_equal(data.inputs[10:20], given["x"][10:20])
    data.inputs[rows][:] = 0
    assert data.inputs.any(), "what was taken is a copy"
    spec = default_spec(name).replace(epochs=1, seeds=1, dim=2)
    assert pipeline.run(spec).status == "done"


def test_first_labels_do_not_all_come_from_the_first_rows(tmp_path):
    """Files come sorted: the first labels must not all be of one place."""
    name = imported_table(tmp_path, place=np.array(["a"] * 45 + ["b"] * 45))
    data = datasets.load(name)
    assert len(set(data.attributes["place"].values[data.labelled(12)])) == 2


def test_other_content_is_another_name_and_another_run(tmp_path):
    one, two = imported_table(tmp_path), imported_table(tmp_path, y=ROWS)
    assert one != two
    assert one == imported_table(tmp_path), "the same content is kept once"
    assert RunSpec(dataset=one).identity != RunSpec(dataset=two).identity
    with pytest.raises(ValueError, match="several datasets called 'trees'"):
        imported.resolve_name("trees")


def test_a_table_is_compared_against_another_and_against_itself(tmp_path):
    name = imported_table(tmp_path)
    spec = default_spec(name).replace(epochs=15, seeds=2, dim=3, lr=0.02, teacher=f"{name}/x")
    assert spec.student == "mlp"
    results = pipeline.compare([spec.replace(method=method) for method in ("baseline", "raw", "pca", "mlp")])
    assert [result.status for result in results] == ["done"] * 4
    assert results[0].metrics["test"]["accuracy"].mean > 0.6, "three classes that a network can tell"
    assert verdict(results)


def test_what_does_not_fit_is_refused_in_words(tmp_path):
    name = imported_table(tmp_path)
    spec = default_spec(name)
    with pytest.raises(
        ValueError, match=r"teacher simclr takes images, but trees@.* holds vectors, choose one of: trees@.*/x"
    ):
        check(spec.replace(teacher="simclr"))
    with pytest.raises(ValueError, match=r"knows the items of trees@.* only, but digits holds images"):
        check(RunSpec(dataset="digits", teacher=f"{name}/x", labels=100))
    with pytest.raises(ValueError, match=r"student cnn takes pictures, but .* vectors of shape .* choose one of: mlp"):
        check(spec.replace(student="cnn"))


def test_what_is_half_built_or_half_deleted_is_not_listed(tmp_path, home):
    name = imported_table(tmp_path)
    complete = imported.dataset_folder(name)
    for other in (f".{complete.name}.deleted", ".abc.building"):
        shutil.copytree(complete, home / "data" / other)
        card = json.loads((complete / "card.json").read_text()) | {"name": other, "title": other}
        (home / "data" / other / "card.json").write_text(json.dumps(card))
    assert list(imported.cards()) == [name]
    assert not imported.damaged()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "a"}', "\udcff"])
def test_a_damaged_card_hides_no_other_dataset(text, tmp_path, home):
    intact, broken = imported_table(tmp_path), imported_table(tmp_path, title="others")
    where = imported.dataset_folder(broken)
    (where / "card.json").write_text(text, errors="surrogateescape")
    assert list(imported.cards()) == [intact]
    assert imported.damaged() == [where]
    assert broken not in datasets.describe_datasets()
    (where / "card.json").unlink()
    assert imported.damaged() == [where]


def test_what_is_deleted_is_gone_with_what_was_made_of_it(tmp_path, home):
    name = imported_table(tmp_path)
    teacher_jobs.compute(f"{name}/y", name)
    assert teacher_report.cached(f"{name}/y", name).questions["place"]
    paths = {
        path for path in home.rglob("*") if path.is_file() and "staging" not in path.parts and "locks" not in path.parts
    }
    assert paths
    deletion.delete_dataset(name)
    assert not [path for path in paths if path.exists()]
    with pytest.raises(ValueError, match=f"unknown dataset '{name}'"):
        datasets.load(name)
    with pytest.raises(ValueError, match="built in"):
        deletion.delete_dataset("digits")


@pytest.mark.parametrize("title", ["", "../up", "a/b", "a@b", "<b>", "x" * 50])
def test_a_title_that_cannot_be_a_name_is_refused(title, tmp_path):
    source = importing.stage(table(tmp_path / "a.npz"))
    with pytest.raises(ValueError, match="a name has 1 to 40 letters"):
        importing.store_dataset(source, importing.build_draft(source, importing.guess_plan(source)), title)
