"""Gradient cosines: as one member after the other, stored with the curves, and seldom enough to cost little."""

import copy
import json

import pytest
import torch
from torch.nn import functional

from kdlib.models.students import build_student
from kdlib.results import Point
from kdlib.training import losses
from kdlib.training.gradients import compared_epochs, gradient_cosines
from kdlib.training.loop import train
from kdlib.training.step_loss import MethodGroup, StepLoss, TrainingData

N, K, D_C = 40, 3, 5
CPU = torch.device("cpu")


@pytest.fixture
def rows():
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(N, 1, 16, 16, generator=rng)
    return TrainingData(inputs, torch.arange(N) % K, torch.zeros(N, 0), inputs[:9], torch.arange(9) % K)


def _groups():
    torch.manual_seed(1)
    members = [build_student("cnn", (1, 16, 16), 2, K) for _ in range(4)]
    targets = torch.randn(2, N, D_C, generator=torch.Generator().manual_seed(2))
    return [MethodGroup(members[:2], [0, 1]), MethodGroup(members[2:], [0, 1], targets=targets, distance_weight=0.3)]


def _slow_cosine(student, inputs, labels, target):
    """Return the cosine for one network in plain PyTorch, parameter by parameter."""
    student = copy.deepcopy(student)
    gradients = []
    for name in ("labels", "teacher"):
        student.zero_grad()
        features, logits, _ = student(inputs)
        loss = functional.cross_entropy(logits, labels) if name == "labels" else losses.cka(features, target)
        loss.backward()
        gradients.append([each.grad.double().clone() for each in student.body.parameters()])
    dot = sum(float((a * b).sum()) for a, b in zip(*gradients, strict=True))
    lengths = [sum(float(each.square().sum()) for each in side) ** 0.5 for side in gradients]
    return dot / lengths[0] / lengths[1]


def test_cosines_equal_those_of_one_member_after_the_other_and_a_baseline_has_none(rows):
    groups = _groups()
    step_loss = StepLoss(groups, rows, "cka", CPU)
    index = torch.stack([torch.randperm(N, generator=torch.Generator().manual_seed(i))[:12] for i in range(4)])
    cosines = gradient_cosines(step_loss.students, step_loss(index, rows.inputs[index], 0))
    assert cosines[:2] == [None, None]
    for member, (student, places) in enumerate(zip(groups[1].students, index[2:], strict=True)):
        slow = _slow_cosine(student, rows.inputs[places], rows.labels[places], groups[1].targets[member][places])
        assert cosines[2 + member] == pytest.approx(slow, abs=1e-4)  # float32, two orders of adding up
    assert abs(cosines[2] - cosines[3]) > 1e-3, "members differ"


def test_without_a_target_there_is_nothing_to_compare(rows):
    step_loss = StepLoss(_groups()[:1], rows, "cka", CPU)
    index = torch.arange(8).expand(2, -1)
    assert gradient_cosines(step_loss.students, step_loss(index, rows.inputs[index], 0)) == [None, None]


def test_training_stores_them_and_is_the_same_with_and_without(rows, monkeypatch):
    torch.set_num_threads(1)  # more threads may add up in another order
    settings = {"loss": "cka", "epochs": 12, "batch_size": 8, "lr": 0.01, "score": lambda logits: [0.0] * len(logits)}
    trained = train(_groups(), rows, **settings)
    given = [point.gradient_cosine for point in trained.history]
    assert given[-1][:2] == [None, None]
    assert all(-1 <= value <= 1 for value in given[-1][2:])
    assert [] in given, "60 steps are too few to compare gradients every epoch"
    restored = [Point.from_dict(json.loads(json.dumps(point.to_dict()))) for point in trained.history]
    assert restored == trained.history
    monkeypatch.setattr("kdlib.training.loop.compared_epochs", lambda *_: set())
    without = train(_groups(), rows, **settings)
    assert all(torch.equal(value, without.students.state()[key]) for key, value in trained.students.state().items())


@pytest.mark.parametrize(("epochs", "steps"), [(range(1, 21), 930), (range(1, 21), 90), (range(1, 3), 2)])
def test_comparing_costs_about_a_fiftieth_of_the_steps_and_always_looks_at_the_end(epochs, steps):
    compared = compared_epochs(set(epochs), steps)
    assert max(epochs) in compared <= set(epochs)
    assert len(compared) <= max(1, steps / 50)


def test_points_stored_before_there_were_cosines_still_load():
    assert Point.from_dict({"epoch": 3, "val": [0.5]}).finite("gradient_cosine") == []
