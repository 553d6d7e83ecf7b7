"""One step after another: as a plain loop takes them, with both or one part learning, and what a batch comes to."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.training import losses
from kdlib.training.loop import train
from kdlib.training.step_loss import MethodGroup, StepLoss, TrainingData
from kdlib.training.stepper import BOTH, COMPRESSOR, STUDENT, Stepper, batches

N, K, D_T, D_C, SIZE, EPOCHS, LR, WEIGHT = 60, 3, 10, 4, 16, 4, 0.01, 0.3


@pytest.fixture
def rows():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    return TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:20], labels[:20])


def _group(method="linear"):
    torch.manual_seed(3)
    student = students.build_student("mlp", (6,), 2, K)
    if method == "baseline":
        return MethodGroup([student], [0])
    if method == "fixed":
        targets = torch.randn(1, N, 5, generator=torch.Generator().manual_seed(5))
        return MethodGroup([student], [0], targets=targets, distance_weight=WEIGHT)
    return MethodGroup([student], [0], [TeacherBranch(nn.Linear(D_T, D_C), (D_C,), K)], distance_weight=WEIGHT)


def _stepper(rows, group):
    step_loss = StepLoss([group], rows, "cosine_distance", torch.device("cpu"))
    return Stepper(step_loss, epochs=EPOCHS, batch_size=SIZE, lr=LR)


def _plain_loop(group, rows, learning, steps):
    """The chain in ordinary PyTorch; what shall not learn is given to no optimizer."""
    student, teacher = copy.deepcopy(group.students[0]), copy.deepcopy(group.teachers[0])
    learn = {
        BOTH: [*student.parameters(), *teacher.parameters()],
        STUDENT: [*student.parameters()],
        COMPRESSOR: [*teacher.parameters()],
    }[learning]
    optimizer = torch.optim.AdamW(learn, lr=LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=EPOCHS * (N // SIZE))
    order = torch.cat([batches([0], epoch, N, SIZE)[:, 0] for epoch in range(EPOCHS)])
    for index in order[:steps]:
        y = rows.labels[index]
        features, logits, _ = student(rows.inputs[index])
        compressed, head_logits = teacher(rows.embeddings[index])
        total = (1 - WEIGHT) * functional.cross_entropy(logits, y)
        total = total + WEIGHT * losses.cosine_distance(features, compressed.detach())
        total = total + functional.cross_entropy(head_logits[-1], y)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
    return student, teacher


@pytest.mark.parametrize("learning", [BOTH, STUDENT, COMPRESSOR])
@pytest.mark.parametrize("steps", [1, 7])
def test_weights_after_some_steps_are_those_of_a_plain_loop(rows, learning, steps):
    group = _group()
    stepper = _stepper(rows, group)
    stepper.learn_only(learning)
    for _ in range(steps):
        stepper.step()
    student, teacher = _plain_loop(group, rows, learning, steps)
    plain = [*student.state_dict().items()], [*teacher.state_dict().items()]
    populations = stepper.step_loss.students, stepper.step_loss.teachers[0]
    for weights, population in zip(plain, populations, strict=True):
        for name, value in weights:  # float32, summed in another order: some 1e-7
            torch.testing.assert_close(population.parameters[name][0].detach(), value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("learning", "frozen"), [(STUDENT, "teachers0"), (COMPRESSOR, "students")])
def test_what_does_not_learn_keeps_every_bit_even_after_it_has_learned(rows, learning, frozen):
    stepper = _stepper(rows, _group())
    for _ in range(5):  # the optimizer has momentum by now
        stepper.step()
    stepper.learn_only(learning)
    before = {name: population.state() for name, population in stepper.state.populations.items()}
    for _ in range(3):
        stepper.step()
    for name, population in stepper.state.populations.items():
        same = [torch.equal(before[name][key], value) for key, value in population.state().items()]
        assert all(same) if name == frozen else not any(same)


def test_all_steps_are_the_training(rows):
    stepper, group = _stepper(rows, _group()), _group()
    while not stepper.over:
        stepper.step()
    trained = train(
        [group],
        rows,
        loss="cosine_distance",
        epochs=EPOCHS,
        batch_size=SIZE,
        lr=LR,
        score=lambda logits: [0.0] * len(logits),
    )
    for name, value in trained.students.parameters.items():
        assert torch.equal(stepper.step_loss.students.parameters[name], value)
    with pytest.raises(ValueError, match="all 12 steps have been taken"):
        stepper.step()


def test_looking_changes_nothing_and_shows_the_losses_of_the_next_step(rows):
    stepper = _stepper(rows, _group())
    stepper.step()
    before = stepper.fingerprint()
    view = stepper.view()
    assert stepper.fingerprint() == before
    assert view.places.tolist() == batches([0], 0, N, SIZE)[1, 0].tolist()
    parts = stepper.step()
    assert stepper.fingerprint() != before
    for name, value in parts._asdict().items():
        assert view.losses[name] == pytest.approx(float(value.detach()), abs=1e-6)
    total = (1 - WEIGHT) * view.losses["prediction"] + WEIGHT * view.losses["distance"] + view.losses["teacher"]
    assert view.losses["total"] == pytest.approx(total, abs=1e-6)
    assert view.losses["distance"] == pytest.approx(
        float(losses.cosine_distance(torch.from_numpy(view.features), torch.from_numpy(view.target))), abs=1e-6
    )


def test_the_same_rows_can_be_watched_while_others_are_learned_from(rows):
    stepper = _stepper(rows, _group())
    places = np.array([5, 1, 8])
    first = stepper.view(places)
    stepper.step()
    then = stepper.view(places)
    assert first.places.tolist() == then.places.tolist() == [5, 1, 8]
    assert not np.array_equal(first.features, then.features)


@pytest.mark.parametrize(("method", "width"), [("baseline", None), ("fixed", 5)])
def test_a_chain_without_a_compressor_that_learns_says_so(rows, method, width):
    stepper = _stepper(rows, _group(method))
    target = stepper.view().target
    assert (None if target is None else target.shape[1]) == width
    assert not stepper.compresses
    with pytest.raises(ValueError, match="no compressor that learns"):
        stepper.learn_only(COMPRESSOR)
    with pytest.raises(ValueError, match="who learns must be"):
        stepper.learn_only("nobody")
