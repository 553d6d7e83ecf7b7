"""Streaming: what is read from disk step by step is bit by bit what would have been in memory."""

import numpy as np
import psutil
import pytest
import torch

from kdlib import RunSpec, pipeline
from kdlib.cache import MappedArray
from kdlib.data import datasets
from kdlib.data.dataset import IMAGE, Dataset, to_float
from kdlib.training import streaming
from kdlib.training.streaming import StreamedRows, fit_in_memory, load_rows, read_ahead

SPEC = RunSpec(dataset="mapped", method="baseline", labels=90, epochs=2, width=2, seeds=2, batch_size=16)


@pytest.fixture(params=[np.uint8, np.float16, np.float32])
def mapped(request, tmp_path):
    """160 pictures of one of the types that are kept on disk, mapped."""
    rng = np.random.default_rng(0)
    values = rng.random((160, 1, 12, 10))
    values = (255 * values if request.param is np.uint8 else values).astype(request.param)
    np.save(tmp_path / "inputs.npy", values)
    return np.load(tmp_path / "inputs.npy", mmap_mode="c").view(MappedArray)


@pytest.fixture
def dataset(mapped, monkeypatch):
    """Those pictures as the dataset "mapped"."""
    splits = {"train": np.arange(100)[::-1], "val": np.arange(100, 130), "test": np.arange(130, 160)}
    data = Dataset("mapped", mapped, np.arange(160) % 3, ("a", "b", "c"), splits, modality=IMAGE)
    monkeypatch.setitem(datasets.DATASETS, "mapped", lambda: data)
    datasets._load.cache_clear()
    yield data
    datasets._load.cache_clear()


@pytest.fixture
def one_thread():
    """Training is reproducible bit by bit on one thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_pictures_of_bytes_become_numbers_from_0_to_1_and_the_rest_stays():
    assert to_float(np.array([0, 51, 255], np.uint8)).tolist() == [0, np.float32(0.2), 1]
    assert to_float(np.array([0.5, -80], np.float16)).tolist() == [0.5, -80]
    same = np.zeros(3, np.float32)
    assert to_float(same) is same


def test_streamed_rows_are_those_of_the_array(mapped):
    numbers = np.array([7, 3, 150, 3, 99])
    streamed, expected = StreamedRows(mapped, numbers), torch.from_numpy(to_float(np.array(mapped[numbers])))
    index = torch.tensor([[4, 0, 0], [1, 3, 2]])
    assert len(streamed) == 5
    assert streamed.shape == expected.shape
    assert torch.equal(streamed[index], expected[index])
    assert torch.equal(load_rows(mapped, numbers), expected)
    assert [len(part) for part in streamed.split(2)] == [2, 2, 1]
    assert torch.equal(torch.cat(list(streamed.split(2))), expected)


@pytest.mark.usefixtures("dataset", "one_thread")
@pytest.mark.parametrize("augmentation", ["none", "flip-crop"])
def test_a_streamed_training_gives_the_same_result_bit_by_bit(monkeypatch, augmentation):
    spec = SPEC.replace(augmentation=augmentation)
    whole = []
    monkeypatch.setattr(pipeline, "load_rows", lambda *given: whole.append(1) or load_rows(*given))
    in_memory = pipeline.run(spec)
    assert len(whole) == 2
    monkeypatch.setenv(streaming.LIMIT, "0.01")
    streamed = pipeline.run(spec)
    assert len(whole) == 2
    assert streamed.history == in_memory.history
    assert streamed.metrics == in_memory.metrics
    assert in_memory.arrays.keys() == streamed.arrays.keys()
    assert all(np.array_equal(in_memory.arrays[key], streamed.arrays[key]) for key in in_memory.arrays)


@pytest.mark.usefixtures("dataset", "one_thread")
def test_a_streamed_training_resumes_where_it_was(monkeypatch, tmp_path):
    monkeypatch.setenv(streaming.LIMIT, "0.01")
    path = tmp_path / "checkpoint.safetensors"
    uninterrupted = pipeline.run(SPEC)
    stopped = pipeline.run(SPEC, checkpoint=path, on_progress=lambda at: at.phase == "training" and at.step >= 3)
    assert stopped.status == "cancelled"
    resumed = pipeline.run(SPEC, checkpoint=path)
    assert resumed.history == uninterrupted.history
    assert all(np.array_equal(resumed.arrays[key], value) for key, value in uninterrupted.arrays.items())


def test_the_next_batch_is_read_while_one_is_used(mapped):
    reads = []

    class Watched(StreamedRows):
        def __getitem__(self, index):
            reads.append(index.tolist())
            return super().__getitem__(index)

    batches = read_ahead(Watched(mapped, np.arange(10)), [torch.tensor([n]) for n in range(4)])
    assert reads == []
    next(batches)
    batches.close()  # waits for what is being read
    assert reads == [[0], [1]]


def test_an_error_while_reading_reaches_the_training(mapped):
    batches = read_ahead(StreamedRows(mapped, np.arange(10)), [torch.tensor([0]), torch.tensor([99])])
    next(batches)
    with pytest.raises(IndexError):
        next(batches)
    assert list(read_ahead(StreamedRows(mapped, np.arange(10)), [])) == []


def test_a_quarter_of_the_available_memory_is_for_inputs(monkeypatch):
    available = type("Memory", (), {"available": 16_000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    rows = np.zeros((100, 1, 10), np.uint8)  # 40 bytes each as float32
    assert fit_in_memory(rows, 100)
    assert not fit_in_memory(rows, 101)
    monkeypatch.setenv(streaming.OWN_MEMORY, "8000")  # as the engine sets it for a worker
    assert not fit_in_memory(rows, 51)
    monkeypatch.setenv(streaming.OWN_MEMORY, "80000000")
    assert fit_in_memory(rows, 100)
    monkeypatch.setenv(streaming.LIMIT, "1")
    assert fit_in_memory(rows, 26_214)
    assert not fit_in_memory(rows, 26_215)
    monkeypatch.setenv(streaming.LIMIT, "much")
    with pytest.raises(ValueError, match="KDLIB_STREAM_MB must be a number of megabytes, got 'much'"):
        fit_in_memory(rows, 1)
