"""Embeddings as files: what is written is read back by other libraries, and by our own import."""

import numpy as np
import pandas as pd
import pytest

from kdlib.models import embedding_files
from kdlib.models.embedding_files import WRITERS, write_embeddings

ROWS = 2500  # more than are written at a time
IDS = np.array([f"item {row}" for row in range(ROWS)])
EMBEDDINGS = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)


def read_npy(path):
    return IDS, np.load(path, allow_pickle=False)


def read_npz(path):
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["id"], arrays["embedding"]


def read_parquet(path):
    frame = pd.read_parquet(path)
    return frame["id"].to_numpy(), np.stack(frame["embedding"])


READERS = {".npy": read_npy, ".npz": read_npz, ".parquet": read_parquet}


@pytest.mark.parametrize("ending", list(WRITERS))
@pytest.mark.parametrize("rows", [1, ROWS])
def test_what_is_written_is_read_back(ending, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "CHUNK_BYTES", 12 * 1000)
    path = tmp_path / f"e{ending}"
    write_embeddings(path, IDS[:rows], EMBEDDINGS[:rows])
    ids, embeddings = READERS[ending](path)
    assert ids[:rows].tolist() == IDS[:rows].tolist()
    np.testing.assert_array_equal(embeddings, EMBEDDINGS[:rows])
    assert embeddings.dtype == np.float32
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_another_ending_is_refused_with_the_choices(tmp_path):
    with pytest.raises(ValueError, match=r"\.parquet, \.npz, \.npy"):
        write_embeddings(tmp_path / "e.csv", IDS, EMBEDDINGS)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    write_embeddings(path, IDS[:2], EMBEDDINGS[:2])

    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        write_embeddings(path, IDS, EMBEDDINGS)
    assert len(read_npz(path)[0]) == 2
    assert len(list(tmp_path.iterdir())) == 1
