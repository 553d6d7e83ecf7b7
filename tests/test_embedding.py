"""Embeddings: in batches, from the cache, row by row; what is interrupted goes on where it was."""

import dataclasses

import numpy as np
import pytest

from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.models.providers.built_in import TEACHERS
from kdlib.models.teacher import Teacher


@pytest.fixture(autouse=True)
def home(fresh_home):
    """What an earlier test left in memory may lie in another data folder."""
    embedding._embeddings.cache_clear()
    yield fresh_home
    embedding._embeddings.cache_clear()


def counting(first_bad: int = 10**9):
    """Return a teacher whose embedding of a row is its number and the sum of its pixels, and the rows it was asked."""
    asked: list[int] = []

    def embed_rows(data, rows):
        if rows[-1] >= first_bad:
            raise KeyboardInterrupt
        asked.extend(rows.tolist())
        return np.stack([rows, data.inputs[rows].sum((1, 2, 3))], axis=1).astype(np.float32)

    return Teacher("counts", "none", None, lambda: embed_rows, batch=100), asked


def test_embeddings_come_from_the_cache_the_second_time(monkeypatch):
    first = embedding.embed("random", "digits")
    embedding._embeddings.cache_clear()
    broken = dataclasses.replace(TEACHERS["random"], load=lambda: pytest.fail("embedded again"))
    monkeypatch.setitem(TEACHERS, "random", broken)
    np.testing.assert_array_equal(embedding.embed("random", "digits"), first)


def test_every_row_gets_its_own_embedding(monkeypatch):
    teacher, asked = counting()
    monkeypatch.setitem(TEACHERS, "counting", teacher)
    inputs = datasets.load("digits").inputs
    got = embedding.embed("counting", "digits")
    np.testing.assert_array_equal(got, np.stack([np.arange(len(inputs)), inputs.sum((1, 2, 3))], axis=1))
    assert asked == list(range(len(inputs)))


def test_an_interrupted_embedding_computes_no_finished_batch_again(monkeypatch):
    monkeypatch.setitem(TEACHERS, "counting", counting(first_bad=350)[0])
    with pytest.raises(KeyboardInterrupt):
        embedding.embed("counting", "digits")
    teacher, asked = counting()
    monkeypatch.setitem(TEACHERS, "counting", teacher)
    got = embedding.embed("counting", "digits")
    assert asked == list(range(300, len(got)))
    np.testing.assert_array_equal(got[:, 0], np.arange(len(got)))


def test_an_embedding_that_is_not_finite_names_the_row(monkeypatch):
    def embed_rows(_data, rows):
        values = np.zeros((len(rows), 3), np.float32)
        values[rows == 107, 1] = np.nan
        return values

    monkeypatch.setitem(TEACHERS, "broken", Teacher("", "none", None, lambda: embed_rows))
    with pytest.raises(ValueError, match="row 107"):
        embedding.embed("broken", "digits")


def test_a_teacher_that_loses_rows_is_refused(monkeypatch):
    monkeypatch.setitem(
        TEACHERS, "short", Teacher("", "none", None, lambda: lambda _, rows: np.zeros((len(rows) - 1, 3)))
    )
    with pytest.raises(ValueError, match="expected one row each"):
        embedding.embed("short", "digits")


def test_the_width_is_known_without_embedding_everything(monkeypatch):
    teacher, asked = counting()
    monkeypatch.setitem(TEACHERS, "counting", teacher)
    assert embedding.embedding_width("counting", "digits") == 2
    assert asked == [0]
    embedding._width.cache_clear()


def test_a_teacher_that_knows_its_speed_gets_batches_of_a_second(monkeypatch):
    teacher, asked = counting()
    sizes = []

    def embed_rows(data, rows):
        sizes.append(len(rows))
        return teacher.load()(data, rows)

    monkeypatch.setitem(
        TEACHERS, "slow", dataclasses.replace(teacher, load=lambda: embed_rows, seconds_per_item=0.01, batch=1000)
    )
    embedding.embed("slow", "digits")
    assert set(sizes[:-1]) == {100}
    assert len(asked) == 2997


def framed(frames: bool = True):
    """Return a teacher whose frames of a row are its number times 0, 1, ... 4, in two columns."""

    def embed_rows(_data, rows):
        return rows[:, None, None] * np.arange(5.0)[:, None] * np.ones(2, np.float32)

    return Teacher("frames", "none", None, lambda: embed_rows, frames=frames)


@pytest.mark.parametrize(
    ("pooling", "factors"), [("mean", [2] * 2), ("max", [4] * 2), ("mean+std", [2, 2] + [2**0.5] * 2)]
)
def test_frames_are_pooled_where_embeddings_are_read(pooling, factors, monkeypatch):
    monkeypatch.setitem(TEACHERS, "framed", framed())
    got = embedding.embed("framed", "digits", pooling=pooling)
    np.testing.assert_allclose(got, np.arange(2997)[:, None] * np.array(factors), rtol=1e-5)
    assert embedding.embedding_width("framed", "digits", pooling) == len(factors)
    embedding._width.cache_clear()


def test_another_pooling_embeds_nothing_again(monkeypatch):
    monkeypatch.setitem(TEACHERS, "framed", framed())
    embedding.embed("framed", "digits")
    monkeypatch.setitem(TEACHERS, "framed", dataclasses.replace(framed(), load=lambda: pytest.fail("embedded again")))
    assert embedding.embed("framed", "digits", pooling="max").shape == (2997, 2)
    embedding.delete_embeddings("framed", "digits")
    assert not list((embedding.datasets.imported.home() / "cache" / "embeddings").glob("*.npy"))


def test_frames_that_were_not_announced_are_refused(monkeypatch):
    monkeypatch.setitem(TEACHERS, "framed", framed(frames=False))
    with pytest.raises(ValueError, match="expected one row each"):
        embedding.embed("framed", "digits")
    monkeypatch.setitem(TEACHERS, "framed", dataclasses.replace(counting()[0], frames=True))
    with pytest.raises(ValueError, match="expected some frames each"):
        embedding.embed("framed", "digits")


def test_what_is_embedded_is_known_without_reading_it(monkeypatch):
    monkeypatch.setitem(TEACHERS, "counting", counting(first_bad=350)[0])
    assert embedding.count_embedded("counting", "digits") == (0, 2997)
    with pytest.raises(KeyboardInterrupt):
        embedding.embed("counting", "digits")
    assert embedding.count_embedded("counting", "digits") == (300, 2997)
    monkeypatch.setitem(TEACHERS, "counting", counting()[0])
    embedding.embed("counting", "digits")
    assert embedding.is_embedded("counting", "digits")
