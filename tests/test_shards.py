"""Shards: a training shared out among processes comes to what one process makes of it."""

import copy
import sys
from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.results import Point
from kdlib.training import shards
from kdlib.training.loop import train
from kdlib.training.replay import ReplaySample
from kdlib.training.shards import Shard, join_points, split_members, train_in_shards
from kdlib.training.step_loss import MethodGroup, TrainingData

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
N, K, D_T, D_C = 60, 3, 10, 4
SETTINGS = {
    "loss": "cosine_distance",
    "epochs": 4,
    "batch_size": 16,
    "lr": [0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01],
    "augmentation": "none",
    "device": torch.device("cpu"),
}


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    monkeypatch.setattr(shards, "WORTH", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rows():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    return TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:20], labels[:20])


@pytest.fixture
def groups():
    """Seven members, of which four come into the first process: the group of fixed targets is cut in two."""
    torch.manual_seed(3)
    everyone = [students.build_student("mlp", (6,), 2, K) for _ in range(7)]
    targets = torch.randn(3, N, 5, generator=torch.Generator().manual_seed(5))
    teachers = [TeacherBranch(nn.Linear(D_T, D_C), (D_C,), K) for _ in range(2)]
    return [
        MethodGroup(everyone[:2], [0, 1]),
        MethodGroup(everyone[2:5], [0, 1, 0], targets=targets, distance_weight=[0.1, 0.5, 0.9]),
        MethodGroup(everyone[5:], [0, 1], teachers=teachers, distance_weight=0.3, soft_label_weight=0.2),
    ]


def sample(rows):
    places = np.arange(5)
    fixed = [None, np.ones((5, 5), np.float32), None]
    return ReplaySample(places + 100, places, rows.embeddings[:5].numpy(), fixed)


def scored(rows):
    return lambda logits: (logits.argmax(-1) == rows.val_labels).double().mean(1).tolist()


def both(groups, rows, **more):
    """Return the outcome in one process and in two, and what each of them reported."""
    reports = []
    outcomes = []
    for function in (train, train_in_shards):
        own = []
        given = SETTINGS | {"score": scored(rows), "replay_sample": sample(rows)} | more
        outcomes.append(function(copy.deepcopy(groups), rows, on_progress=own.append, **given))
        reports.append(own)
    return outcomes, reports


def assert_equal(one, two):
    """Members may differ in rounding only, and nothing may be in another place."""
    for name, value in one.students.parameters.items():
        torch.testing.assert_close(two.students.parameters[name], value, rtol=1e-4, atol=1e-6)
    assert [each is None for each in one.teachers] == [each is None for each in two.teachers]
    for a, b in zip(one.teachers, two.teachers, strict=True):
        for name, value in {} if a is None else a.parameters.items():
            torch.testing.assert_close(b.parameters[name], value, rtol=1e-4, atol=1e-6)
    assert [point.epoch for point in one.history] == [point.epoch for point in two.history]
    for a, b in zip(one.history, two.history, strict=True):
        for curve in ("prediction", "distance", "teacher", "val"):
            assert getattr(b, curve) == pytest.approx(getattr(a, curve), rel=1e-3, nan_ok=True)
        assert b.gradient_cosine == pytest.approx(a.gradient_cosine, abs=1e-3)


def test_members_learn_the_same_in_two_processes(groups, rows, monkeypatch):
    monkeypatch.setattr("kdlib.training.gradients.COST", 1)  # gradients are compared at every validation
    (one, two), (reported, jointly) = both(groups, rows)
    assert_equal(one, two)
    points = [each.point for each in jointly if each.point]
    assert [point.epoch for point in points] == [each.point.epoch for each in reported if each.point]
    assert all(len(point.val) == 7 for point in points)
    assert jointly[-1].step == jointly[-1].steps == reported[-1].steps
    steps = [each.step for each in jointly]
    assert steps == sorted(steps)


def test_the_same_spaces_are_followed(groups, rows):
    (one, two), (reported, jointly) = both(groups, rows)
    assert [len(each) for each in two.replay] == [len(each) for each in one.replay] == [1, 2, 1]
    for a, b in zip(chain(*one.replay), chain(*two.replay), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(b[name], a[name], rtol=1e-3, atol=1e-5)
    frames = [[frame for each in own for frame in each.frames] for own in (reported, jointly)]
    assert [frame["epoch"] for frame in frames[1]] == [frame["epoch"] for frame in frames[0]]
    np.testing.assert_allclose(frames[1][-1]["student"], frames[0][-1]["student"], rtol=1e-3, atol=1e-5)


def test_a_stopped_training_goes_on_from_the_checkpoints_of_its_processes(groups, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "REPORT_SECONDS", 0)
    path = tmp_path / "checkpoint.safetensors"
    given = SETTINGS | {"score": scored(rows), "checkpoint": path, "signature": "s", "epochs": 100}
    stopped = train_in_shards(groups, rows, on_progress=lambda progress: progress.step >= 3, **given)
    assert stopped.cancelled
    assert len(list(tmp_path.glob("checkpoint.shard*"))) == 2
    first = []
    resumed = train_in_shards(groups, rows, on_progress=first.append, **given)
    assert first[0].step >= 3
    assert not resumed.cancelled
    whole = train_in_shards(groups, rows, **given | {"checkpoint": None})
    for name, value in whole.students.parameters.items():
        assert torch.equal(resumed.students.parameters[name], value)
    assert resumed.history == whole.history


def test_a_process_whose_members_all_diverged_does_not_end_the_others(groups, rows):
    groups[2] = MethodGroup(groups[2].students, [0, 1], targets=torch.full((2, N, 5), float("inf")), distance_weight=1)
    groups[1] = groups[1].subset([0, 1])
    rates = [0.01] * 6
    (one, two), _ = both(groups[1:] + groups[:1], rows, lr=rates, replay_sample=None)
    assert one.diverged.keys() == two.diverged.keys() == {2, 3}
    infinite = MethodGroup(groups[2].students, [0, 1], targets=torch.full((2, N, 5), float("inf")), distance_weight=1)
    (one, two), _ = both([groups[0], infinite], rows, lr=0.01, replay_sample=None)
    assert two.diverged == {2: 1, 3: 1}
    assert [point.epoch for point in two.history] == [1, 2, 3, 4]
    assert all(np.isnan(point.prediction[2:]).all() for point in two.history[1:])
    assert one.history[-1].val[:2] == two.history[-1].val[:2]


def test_a_failure_in_a_process_is_an_error_here(groups, rows):
    def score(logits):
        raise ValueError("no score today")

    with pytest.raises(RuntimeError, match="no score today"):
        train_in_shards(groups, rows, **SETTINGS | {"score": score})


def test_small_work_and_other_devices_stay_in_one_process(groups, monkeypatch):
    cpu = torch.device("cpu")
    assert shards.count_shards(groups, cpu, 100) == 2
    assert shards.count_shards(groups[:1], cpu, 100) == 1
    assert shards.count_shards(groups, torch.device("cuda"), 100) == 1
    monkeypatch.setattr(shards, "WORTH", 1000)
    assert shards.count_shards(groups, cpu, 100) == 1


def test_members_are_split_evenly_and_in_order(groups):
    parts = split_members(groups, 3)
    assert [shard.members for shard in parts] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [shard.parts for shard in parts] == [{0: [0, 1], 1: [0]}, {1: [1, 2]}, {2: [0, 1]}]


def test_points_are_joined_when_all_shards_have_reached_them():
    two = [Shard({0: [0]}, [0]), Shard({0: [1]}, [1])]
    first = [Point(epoch, [1.0], [2.0], [3.0], [epoch / 10]) for epoch in (1, 2, 3)]
    second = [Point(1, [4.0], [5.0], [6.0], [0.7])]
    joined = join_points([first, second], set(), two)
    assert [(point.epoch, point.prediction, point.val) for point in joined] == [(1, [1.0, 4.0], [0.1, 0.7])]
    ended = join_points([first, second], {1}, two)
    assert [point.val for point in ended] == [[0.1, 0.7], [0.2, 0.7], [0.3, 0.7]]
    assert np.isnan(ended[2].distance[1])
