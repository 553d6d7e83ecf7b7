"""Augmentation: what each does to a hand-made input; each member as if alone; resuming; what fits which items."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import vmap
from torch.nn import functional

from kdlib import RunSpec, pipeline
from kdlib.checks import check
from kdlib.data.dataset import AUDIO, IMAGE, VECTOR
from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.training import losses
from kdlib.training.augmentation import (
    AUGMENTATIONS,
    compatible_augmentations,
    draw_noise,
    flip_crop,
    mixup,
    specaugment,
)
from kdlib.training.loop import train
from kdlib.training.step_loss import MethodGroup, TrainingData
from kdlib.training.stepper import batches

SHAPE = (1, 8, 16)
N, K, D_T, D_C, SIZE, EPOCHS = 24, 3, 10, 4, 8, 3
SETTINGS = {"loss": "cosine_distance", "epochs": EPOCHS, "batch_size": SIZE, "lr": 0.01}


@pytest.fixture(autouse=True)
def one_thread():
    """More threads may add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def zero(logits):
    return [0.0] * len(logits)


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_members_with_their_own_noise_get_what_each_gets_alone(name):
    function, numbers, *_ = AUGMENTATIONS[name]
    inputs, noise = torch.randn(3, 5, *SHAPE), torch.rand(3, 5, numbers)
    together = vmap(function)(inputs, noise)
    assert together.shape == inputs.shape
    assert torch.equal(together, torch.stack([function(*member) for member in zip(inputs, noise, strict=True)]))


@pytest.mark.parametrize("name", [name for name, entry in AUGMENTATIONS.items() if entry.numbers])
def test_inputs_differ_from_step_to_step_and_are_the_same_in_the_same_step(name):
    function, numbers, *_ = AUGMENTATIONS[name]
    inputs = torch.randn(16, *SHAPE)
    one, again, later = (function(inputs, draw_noise([3], step, 16, numbers)[0]) for step in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, later)
    assert not torch.equal(one, inputs)


def test_noise_depends_on_seed_and_step_alone():
    noise = draw_noise([4, 0, 4], step=7, rows=5, numbers=3)
    assert noise.shape == (3, 5, 3)
    assert torch.equal(noise[0], noise[2])
    assert torch.equal(noise[1], draw_noise([0], step=7, rows=5, numbers=3)[0])
    assert not torch.equal(noise[0], noise[1])
    assert 0 <= noise.min() <= noise.max() < 1


def test_a_picture_is_mirrored_and_shifted_with_its_border_reflected():
    columns = torch.arange(16.0).expand(1, 1, 8, 16)
    still = torch.tensor([[0.9, 0.5, 0.5]])  # the middle of the possible shifts
    assert torch.equal(flip_crop(columns, still), columns)
    assert torch.equal(flip_crop(columns, torch.tensor([[0.1, 0.5, 0.5]])), columns.flip(3))
    shifted = flip_crop(columns, torch.tensor([[0.9, 0.5, 0.0]]))[0, 0, 0]
    assert shifted.tolist() == [2, 1, *range(14)]
    rows = columns.mT.contiguous()
    assert flip_crop(rows, torch.tensor([[0.9, 0.999999, 0.5]]))[0, 0, :, 0].tolist() == [*range(2, 16), 14, 13]


def test_shifts_up_to_an_eighth_are_equally_likely():
    places = torch.arange(16.0).expand(5000, 1, 8, 16)
    noise = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0))
    noise[:, 0] = 0.9
    counts = flip_crop(places, noise)[:, 0, 4, 8].long().bincount(minlength=16)
    assert counts[6:11].min() > 900
    assert counts.sum() == counts[6:11].sum()


def test_a_spectrogram_loses_one_band_and_one_stretch_of_time():
    item = torch.arange(8 * 16.0).reshape(1, 1, 8, 16)
    masked = specaugment(item, torch.tensor([[0.99, 0.5, 0.99, 0.0]]))[0, 0]
    hidden = masked == item.mean()
    assert hidden.all(1).nonzero()[:, 0].tolist() == [3, 4]  # a quarter of 8, in the middle of the places it may have
    assert hidden.all(0).nonzero()[:, 0].tolist() == [0, 1, 2, 3]  # a quarter of 16, at the beginning
    assert torch.equal(masked[~hidden], item[0, 0][~hidden])
    assert torch.equal(specaugment(item, torch.zeros(1, 4)), item)


def test_masks_reach_every_place():
    noise = torch.rand(2000, 4, generator=torch.Generator().manual_seed(0))
    noise[:, 0] = 0
    hidden = specaugment(torch.arange(128.0).reshape(1, 1, 8, 16).expand(2000, 1, 8, 16), noise)[:, 0, 0] == 63.5
    assert hidden.any(0).all()
    assert hidden.sum(1).max() == 4


def test_rows_are_mixed_with_the_one_before_them():
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]])
    mixed = mixup(inputs, torch.tensor([[0.75], [0.5], [1.0]]))
    assert mixed.tolist() == [[0.75 + 1, 1.0], [0.5, 0.5], [4.0, 4.0]]


def rows(multi_label=False):
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, *SHAPE, generator=rng) + functional.one_hot(labels, 16)[:, None, None]
    if multi_label:
        labels = (torch.rand(N, K, generator=rng) < 0.5).float()
        labels[torch.rand(N, K, generator=rng) < 0.2] = torch.nan
    return TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:9], labels[:9])


def groups():
    torch.manual_seed(3)
    everyone = [students.build_student("cnn", SHAPE, 2, K) for _ in range(6)]
    teachers = [TeacherBranch(nn.Linear(D_T, D_C), (D_C,), K) for _ in range(2)]
    targets = torch.randn(2, N, 5, generator=torch.Generator().manual_seed(5))
    soft = {"distance_weight": 0.3, "soft_label_weight": 0.2, "temperature": 2.0}
    return [
        MethodGroup(everyone[:2], [0, 1]),
        MethodGroup(everyone[2:4], [0, 1], targets=targets, distance_weight=0.5),
        MethodGroup(everyone[4:], [0, 1], teachers=teachers, **soft),
    ]


def label_loss(logits, labels):
    """The mean cross-entropy against labels that are probabilities, as one writes it without missing labels."""
    return -(labels * logits.log_softmax(1)).sum(1).mean()


def plain_loop(group, member, data, augmentation):
    """One member in ordinary PyTorch; mixing is of one-hot labels, of targets, and of the teacher's probabilities."""
    function, numbers, _, mixes = AUGMENTATIONS[augmentation]
    student = copy.deepcopy(group.students[member])
    teacher = copy.deepcopy(group.teachers[member]) if group.teachers else None
    optimizer = torch.optim.AdamW([*student.parameters(), *(teacher.parameters() if teacher else ())], lr=0.01)
    steps, weight, seed, step = EPOCHS * (N // SIZE), group.distance_weight, group.seeds[member], 0
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for epoch in range(EPOCHS):
        for index in batches([seed], epoch, N, SIZE)[:, 0]:
            noise = draw_noise([seed], step, SIZE, numbers)[0]
            share = noise[:, :1] if mixes else torch.ones(SIZE, 1)

            def mixed(values, share=share):
                return share * values + (1 - share) * torch.cat([values[-1:], values[:-1]])

            labels = functional.one_hot(data.labels[index], K).float()
            features, logits, _ = student(function(data.inputs[index], noise))
            total = (1 - weight) * label_loss(logits, mixed(labels))
            if teacher is not None:
                compressed, (teacher_logits,) = teacher(data.embeddings[index])
                probabilities = (teacher_logits.detach() / 2).softmax(1)
                entropy = (probabilities * probabilities.log()).sum(1, keepdim=True)
                soft = label_loss(logits / 2, mixed(probabilities)) + mixed(entropy).mean()
                total = total + 0.2 * 4 * soft + label_loss(teacher_logits, labels)
                total = total + weight * losses.cosine_distance(features, mixed(compressed.detach()))
            elif group.targets is not None:
                total = total + weight * losses.cosine_distance(features, mixed(group.targets[member][index]))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            step += 1
            schedule.step() if step < steps else None
    return student, teacher


@pytest.mark.parametrize("augmentation", list(AUGMENTATIONS))
def test_every_member_trains_as_if_alone(augmentation):
    data = rows()
    trained = train(groups(), data, **SETTINGS, score=zero, augmentation=augmentation)
    for number, group in enumerate(groups()):
        for member in range(2):
            student, teacher = plain_loop(group, member, data, augmentation)
            together = trained.students.member(2 * number + member).state_dict()
            for key, value in student.state_dict().items():
                torch.testing.assert_close(together[key], value, atol=1e-4, rtol=0)  # two orders of adding up
            if teacher is not None:
                together = trained.teachers[number].member(member).state_dict()
                for key, value in teacher.state_dict().items():
                    torch.testing.assert_close(together[key], value, atol=1e-4, rtol=0)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("augmentation", list(AUGMENTATIONS))
def test_resuming_equals_never_having_stopped(augmentation, multi_label, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train_on = partial(train, rows=rows(multi_label), **SETTINGS, score=zero, augmentation=augmentation)
    uninterrupted = train_on(groups())
    part = train_on(groups(), checkpoint=path, on_progress=lambda at: at.step >= 4)
    assert part.cancelled
    resumed = train_on(groups(), checkpoint=path)
    assert not resumed.diverged
    states = [(each.students.state(), each.teachers[2].state()) for each in (uninterrupted, resumed)]
    for one, other in zip(*states, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_augmentations_change_the_student_and_not_the_compressor():
    states = {}
    for name in ("none", "flip-crop", "specaugment", "mixup"):
        trained = train(groups(), rows(), **SETTINGS, score=zero, augmentation=name)
        states[name] = trained.students.state(), trained.teachers[2].state()
    plain, compressor = states.pop("none")
    for student, teacher in states.values():
        assert not any(torch.equal(student[key], plain[key]) for key in plain)
        assert all(torch.equal(teacher[key], compressor[key]) for key in compressor)


@pytest.mark.parametrize(
    ("modality", "names"),
    [
        (IMAGE, ["none", "flip-crop", "mixup"]),
        (AUDIO, ["none", "specaugment", "mixup"]),
        (VECTOR, ["none", "mixup"]),
    ],
)
def test_what_fits_which_items(modality, names):
    assert compatible_augmentations(modality) == names


def test_an_augmentation_of_other_items_is_refused_with_the_choices():
    message = "augmentation specaugment is for sounds, but digits holds images; choose one of: none, flip-crop, mixup"
    with pytest.raises(ValueError, match=message):
        check(RunSpec(dataset="digits", labels=60, augmentation="specaugment"))
    with pytest.raises(ValueError, match="unknown augmentation 'blur', choose one of: none, flip-crop"):
        check(RunSpec(dataset="digits", labels=60, augmentation="blur"))


def test_a_run_with_augmentation_is_another_run_with_another_outcome():
    spec = RunSpec(dataset="digits", labels=60, teacher="random", dim=4, epochs=2, seeds=1, width=2)
    plain, varied = (pipeline.run(spec.replace(augmentation=name)) for name in ("none", "flip-crop"))
    assert plain.spec.identity != varied.spec.identity
    assert plain.history != varied.history
    assert varied.status == "done"
