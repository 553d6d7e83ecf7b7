"""The loop: each member as if alone, a compressor the distance never moves, exact resuming, divergence, cancelling."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.training import losses
from kdlib.training.devices import pick_device
from kdlib.training.loop import train
from kdlib.training.step_loss import MethodGroup, TrainingData
from kdlib.training.stepper import batches

N, K, D_T, D_C = 60, 3, 10, 4
SETTINGS = {
    "loss": "cosine_distance",
    "epochs": 4,
    "batch_size": 16,
    "lr": 0.01,
    "score": lambda logits: [0.0] * len(logits),
}


@pytest.fixture
def rows():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    return TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:20], labels[:20])


def _students(count, adapter=0):
    torch.manual_seed(3)
    return [students.build_student("mlp", (6,), 2, K, adapter) for _ in range(count)]


def _teachers(count):
    torch.manual_seed(4)
    return [TeacherBranch(nn.Linear(D_T, D_C), (D_C,), K) for _ in range(count)]


def _groups():
    everyone, teachers = _students(6), _teachers(2)
    targets = torch.randn(2, N, 5, generator=torch.Generator().manual_seed(5))
    return [
        MethodGroup(everyone[:2], [0, 1]),
        MethodGroup(everyone[2:4], [0, 1], targets=targets, distance_weight=0.5),
        MethodGroup(
            everyone[4:], [0, 1], teachers=teachers, distance_weight=0.3, soft_label_weight=0.2, temperature=2.0
        ),
    ]


def _plain_loop(group, member, rows):
    """One member in ordinary PyTorch, as one would write it without populations."""
    student = copy.deepcopy(group.students[member])
    teacher = copy.deepcopy(group.teachers[member]) if group.teachers else None
    parameters = [*student.parameters(), *(teacher.parameters() if teacher else ())]
    optimiser = torch.optim.AdamW(parameters, lr=0.01)
    size, epochs, weight = 16, 4, group.distance_weight
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=epochs * (N // size))
    for epoch in range(epochs):
        for index in batches([group.seeds[member]], epoch, N, size)[:, 0]:
            y = rows.labels[index]
            features, logits, _ = student(rows.inputs[index])
            total = (1 - weight) * functional.cross_entropy(logits, y)
            if teacher is not None:
                compressed, (teacher_logits,) = teacher(rows.embeddings[index])
                total = (
                    total
                    + weight * losses.cosine_distance(features, compressed.detach())
                    + functional.cross_entropy(teacher_logits, y)
                )
                soft = functional.kl_div(
                    functional.log_softmax(logits / 2, 1),
                    functional.softmax(teacher_logits.detach() / 2, 1),
                    reduction="batchmean",
                )
                total = total + 0.2 * 4 * soft
            elif group.targets is not None:
                total = total + weight * losses.cosine_distance(features, group.targets[member][index])
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            schedule.step() if schedule.last_epoch + 1 < epochs * (N // size) else None
    return student, teacher


def test_every_member_of_every_group_trains_as_if_alone(rows):
    groups = _groups()
    trained = train(groups, rows, **SETTINGS)
    for number, group in enumerate(groups):
        for member in range(2):
            student, teacher = _plain_loop(group, member, rows)
            together = trained.students.member(2 * number + member).state_dict()
            for key, value in student.state_dict().items():
                torch.testing.assert_close(together[key], value, atol=1e-5, rtol=0)
            if teacher is not None:
                together = trained.teachers[number].member(member).state_dict()
                for key, value in teacher.state_dict().items():
                    torch.testing.assert_close(together[key], value, atol=1e-5, rtol=0)


def test_the_distance_never_moves_the_compressor(rows):
    """With λ = 1 and with λ = 0 the compressor ends up the same: it learns from the teacher loss only."""
    states = []
    for weight in (0.0, 1.0):
        trained = train([MethodGroup(_students(1), [0], _teachers(1), distance_weight=weight)], rows, **SETTINGS)
        states.append(trained.teachers[0].state())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_baseline_ignores_the_embeddings(rows):
    other = TrainingData(rows.inputs, rows.labels, rows.embeddings * 100, rows.val_inputs, rows.val_labels)
    first, second = (
        train([MethodGroup(_students(1), [0])], each, **SETTINGS).students.state() for each in (rows, other)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("stop_at", [1, 3, 7, 11])
def test_resuming_equals_never_having_stopped(rows, tmp_path, stop_at):
    torch.set_num_threads(1)  # more threads may add up in another order

    def scored(logits):
        return [float(each.softmax(-1)[:, 0].mean()) for each in logits]

    settings = SETTINGS | {"score": scored}
    uninterrupted = train(_groups(), rows, **settings)
    path = tmp_path / "checkpoint.safetensors"
    part = train(_groups(), rows, **settings, checkpoint=path, signature="a", on_progress=lambda at: at.step >= stop_at)
    assert part.cancelled
    resumed = train(_groups(), rows, **settings, checkpoint=path, signature="a")
    assert not resumed.cancelled
    assert resumed.history == uninterrupted.history
    for one, other in zip(
        [uninterrupted.students, uninterrupted.teachers[2]], [resumed.students, resumed.teachers[2]], strict=True
    ):
        assert all(torch.equal(one.state()[key], other.state()[key]) for key in one.state())


def test_a_checkpoint_of_another_computation_is_not_used(rows, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train(_groups(), rows, **SETTINGS, checkpoint=path, signature="a", on_progress=lambda at: at.step >= 5)
    steps = []
    train(_groups(), rows, **SETTINGS, checkpoint=path, signature="b", on_progress=lambda at: steps.append(at.step))
    assert steps[0] == 1


def test_a_member_that_diverges_leaves_the_others_alone(rows):
    members = _students(2)
    wild = copy.deepcopy(members)
    with torch.no_grad():
        next(wild[1].parameters()).fill_(float("inf"))
    calm = train([MethodGroup(members, [0, 1])], rows, **SETTINGS)
    trained = train([MethodGroup(wild, [0, 1])], rows, **SETTINGS)
    assert trained.diverged == {1: 1}
    assert all(torch.equal(trained.students.state()[key][0], value[0]) for key, value in calm.students.state().items())


def test_a_training_of_diverged_members_only_stops_within_one_epoch(rows):
    steps = []
    settings = SETTINGS | {"lr": 1e30, "epochs": 50}
    trained = train([MethodGroup(_students(2), [0, 1])], rows, **settings, on_progress=lambda at: steps.append(at.step))
    assert set(trained.diverged) == {0, 1}
    assert len(steps) <= 2 * (N // 16)
    assert all(torch.isfinite(value).all() for value in trained.students.state().values()), (
        "the last finite state is kept"
    )


def test_the_best_weights_by_validation_are_kept_per_member(rows):
    turns = iter([[3.0, 0.0], [2.0, 5.0], [1.0, 1.0], [0.0, 2.0]])
    states = []

    def score(logits):
        states.append(logits.clone())
        return next(turns)

    trained = train([MethodGroup(_students(2), [0, 1])], rows, **(SETTINGS | {"score": score}))
    logits = trained.students(rows.val_inputs.expand(2, -1, -1))[1].detach()
    torch.testing.assert_close(logits[0], states[0][0])
    torch.testing.assert_close(logits[1], states[1][1])


def test_members_with_the_same_seed_see_the_same_batches():
    rows = batches([0, 1, 0], epoch=2, rows=50, size=8)
    assert rows.shape == (6, 3, 8)
    assert torch.equal(rows[:, 0], rows[:, 2])
    assert not torch.equal(rows[:, 0], rows[:, 1])
    assert len(rows[:, 0].flatten().unique()) == 48


def test_fewer_rows_than_a_batch_train_all_the_same(rows):
    few = TrainingData(rows.inputs[:5], rows.labels[:5], rows.embeddings[:5], rows.val_inputs, rows.val_labels)
    assert len(train([MethodGroup(_students(1), [0])], few, **SETTINGS).history) == 4


def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(ValueError, match=r"choose one of: auto, .*cpu"):
        pick_device("tpu")
