"""Several teachers at once: their embeddings side by side at one scale each, through runs, new items and exports."""

import numpy as np
import pytest

from kdlib import names, pipeline, planning, trying
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.checks import check
from kdlib.cli import main as cli
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.teacher import Teacher
from kdlib.models.teachers import get_teacher, is_built_in
from kdlib.spec import RunSpec
from tests import stored_runs

BOTH = "random+simclr"
SPEC = RunSpec(dataset="digits", teacher=BOTH, labels=60, epochs=1, batch_size=20, width=2, seeds=2, dim=4)


def test_embeddings_stand_side_by_side():
    joined = embedding.embed(BOTH, "digits")
    parts = [embedding.embed(name, "digits") for name in ("random", "simclr")]
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis=1))
    assert embedding.embedding_width(BOTH, "digits") == joined.shape[1] == 512
    assert embedding.block_widths(BOTH, "digits") == [256, 256]
    assert embedding.block_widths("simclr", "digits") == [256]
    assert embedding.is_embedded(BOTH, "digits")
    rows = np.array([3, 5])
    np.testing.assert_allclose(get_teacher(BOTH).load()(datasets.load("digits"), rows), joined[rows], atol=1e-5)


def test_the_order_of_the_teachers_and_each_of_them_count_in_the_key():
    keys = {embedding.entry_key(name, "digits") for name in (BOTH, "simclr+random", "random", "random+parity")}
    assert len(keys) == 4


def test_each_teacher_gets_a_scale_of_its_own_by_hand():
    embeddings = np.array([[1.0, 10.0, 30.0], [3.0, 10.0, 50.0]], np.float32)
    scaled = ScaledEmbeddings.to_unit(embeddings, np.arange(2), [1, 2])
    np.testing.assert_allclose(scaled.mean, [2, 10, 40])
    np.testing.assert_allclose(scaled.scale, [1, 50**0.5, 50**0.5], rtol=1e-6)  # mean of 0, 0, 100 and 100 is 50
    np.testing.assert_allclose(scaled[np.arange(2)], [[-1, 0, -(2**0.5)], [1, 0, 2**0.5]], rtol=1e-6)
    alone = ScaledEmbeddings.to_unit(embeddings, np.arange(2), [3])
    assert alone.scale == ScaledEmbeddings.to_unit(embeddings, np.arange(2)).scale
    constant = ScaledEmbeddings.to_unit(np.ones((2, 2), np.float32), np.arange(2), [1, 1])
    np.testing.assert_array_equal(constant[np.arange(2)], np.zeros((2, 2)))


def test_what_is_known_of_them_is_known_of_both():
    teacher = get_teacher("random+parity")
    assert (teacher.supervised, teacher.width) == (True, 512)
    assert teacher.source_task == f"none + {get_teacher('parity').source_task}"
    assert get_teacher(BOTH).supervised is False
    assert is_built_in(BOTH)
    assert names.teacher_name(BOTH) == "untrained network (random) + view matching (simclr)"


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("simclr+simclr", "have to differ, got 'simclr\\+simclr'; name each once"),
        ("simclr+nobody", "unknown teacher 'nobody'"),
        ("simclr+tones-simclr", "have to take the same items, but simclr takes"),
        ("simclr+framed", "framed gives frames and cannot teach together"),
    ],
)
def test_what_cannot_teach_together_is_refused_in_a_sentence(teacher, message, monkeypatch):
    monkeypatch.setitem(TEACHERS, "framed", Teacher("", "none", None, lambda: None, frames=True, width=2))
    with pytest.raises(ValueError, match=message):
        check(SPEC.replace(teacher=teacher))


@pytest.mark.parametrize("method", ["raw", "pca", "mlp"])
def test_a_run_learns_from_both_and_new_items_find_their_place(method, app_home):
    result = pipeline.run(SPEC.replace(method=method))
    assert result.status == "done"
    assert (result.teacher.name, result.spaces["raw"].width) == (BOTH, 512)
    run_id = stored_runs.store_result(result, method)
    item = trying.item_of_row("digits", 0)
    placed = trying.answer(item, [run_id], run_id).placed
    assert set(placed) == {"raw", "compressed", "student"}
    if method != "raw":
        assert len(placed["compressed"].place) == 4


def test_the_code_that_is_shown_names_both():
    code = planning.as_code(SPEC, ["raw"])
    assert all(BOTH in text for text in code.values())


def test_the_command_line_takes_both(capsys):
    options = "--dataset digits --labels 60 --epochs 1 --seeds 1 --width 2 --dim 4 --methods mlp"
    assert cli.main(["compare", "--teacher", "random + simclr", *options.split()]) == 0
    assert "untrained network (random) + view matching (simclr)" in capsys.readouterr().out
