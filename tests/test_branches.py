"""Teacher branches that learn from something beside the target: formulas, gradients, and training as if alone."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from kdlib.checks import check
from kdlib.data import datasets
from kdlib.models.branches import (
    RATE,
    AdversarialBranch,
    Bottleneck,
    BottleneckBranch,
    TeacherBranch,
    reversed_gradient,
)
from kdlib.models.compressors import mlp
from kdlib.models.students import build_student
from kdlib.models.teachers import get_teacher
from kdlib.spec import RunSpec
from kdlib.training import losses
from kdlib.training.augmentation import draw_noise
from kdlib.training.loop import compress, train
from kdlib.training.step_loss import TEACHER_STREAM, MethodGroup, TrainingData
from kdlib.training.stepper import batches

N, K, D_T, D_C, SIZE, EPOCHS = 60, 3, 10, 4, 20, 3
ATTRIBUTE = torch.arange(N) // 7 % 4 - (torch.arange(N) % 11 == 0).long() * 10  # some are missing
ATTRIBUTE = ATTRIBUTE.clamp(min=-1)


def seeded(seed, build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def bottleneck(seed=0):
    return seeded(seed, lambda: BottleneckBranch(Bottleneck(D_T, D_C), (D_C,), K))


def adversarial(seed=0):
    return seeded(seed, lambda: AdversarialBranch(nn.Linear(D_T, D_C), (D_C,), K, 4))


def test_the_rate_is_the_divergence_from_a_standard_normal_distribution():
    branch, embedding, noise = bottleneck(), torch.randn(6, D_T), torch.rand(6, D_C)
    mean, _, cost = branch(embedding, noise)
    deviation = (branch.compressor.log_variance(branch.compressor.hidden(embedding)) / 2).exp()
    own, standard = torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0.0, 1.0)
    divergence = torch.distributions.kl_divergence(own, standard).sum(-1).mean()
    torch.testing.assert_close(cost, RATE * divergence)


def test_a_bottleneck_samples_around_the_mean_that_it_gives_without_noise():
    branch, embedding = bottleneck(), torch.randn(1, D_T).expand(20_000, -1)
    mean, logits = branch(embedding)
    np.testing.assert_array_equal(mean.detach(), branch.compressor(embedding).detach())
    noise = torch.rand(20_000, D_C, generator=torch.Generator().manual_seed(0))
    sampled = branch(embedding, noise)[1][-1]
    np.testing.assert_allclose(sampled.mean(0).detach(), logits[-1][0].detach(), atol=0.03)
    deviation = (branch.compressor.distribution(embedding[:1])[1] / 2).exp()
    expected = ((branch.heads[0].weight * deviation) ** 2).sum(-1).sqrt()
    np.testing.assert_allclose(sampled.std(0).detach(), expected.detach(), rtol=0.03)
    assert branch(embedding[:2], torch.tensor([[0.0] * D_C, [1.0] * D_C]))[1][-1].isfinite().all()


def test_a_reversed_gradient_by_hand():
    features = torch.tensor([2.0, -3.0], requires_grad=True)
    values = reversed_gradient(features, 0.5)
    assert values.tolist() == [2.0, -3.0]
    (values * torch.tensor([1.0, 4.0])).sum().backward()
    assert features.grad.tolist() == [-0.5, -2.0]


def test_the_adversary_learns_to_guess_and_the_compressor_to_prevent_it():
    branch, embedding, values = adversarial(), torch.randn(8, D_T), torch.arange(8) % 4
    compressed, logits, cost = branch(embedding, values)
    plain = functional.cross_entropy(branch.adversary(compressed), values)
    torch.testing.assert_close(cost, plain)
    theirs = torch.autograd.grad(plain, list(branch.adversary.parameters()), retain_graph=True)
    ours = torch.autograd.grad(cost, list(branch.adversary.parameters()), retain_graph=True)
    torch.testing.assert_close(ours, theirs)
    theirs = torch.autograd.grad(plain, list(branch.compressor.parameters()), retain_graph=True)
    ours = torch.autograd.grad(cost, list(branch.compressor.parameters()))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, -other)
    assert len(branch(embedding)) == 2
    assert logits[-1].shape == (8, K)


def plain_loop(student, branch, rows, seed, kind):
    """One member as one would write it without populations: student, compressor, head and what else it learns from."""
    student, branch = copy.deepcopy(student), copy.deepcopy(branch)
    optimizer = torch.optim.AdamW([*student.parameters(), *branch.parameters()], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=EPOCHS * (N // SIZE))
    step = 0
    for epoch in range(EPOCHS):
        for index in batches([seed], epoch, N, SIZE)[:, 0]:
            y, embedding = rows.labels[index], rows.embeddings[index]
            features, logits, _ = student(rows.inputs[index])
            if kind == "vib":
                mean, log_variance = branch.compressor.distribution(embedding)
                uniform = draw_noise([seed], step, SIZE, D_C, TEACHER_STREAM)[0].double()
                normal = torch.distributions.Normal(0.0, 1.0).icdf(uniform).float()
                head = branch.heads[0](mean + normal * log_variance.mul(0.5).exp())
                own = 1e-3 * 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
            else:
                mean, known = branch.compressor(embedding), ATTRIBUTE[index] >= 0
                head = branch.heads[0](mean)
                guess = branch.adversary(2 * mean.detach() - mean)
                own = functional.cross_entropy(guess[known], ATTRIBUTE[index][known])
            total = 0.5 * functional.cross_entropy(logits, y) + 0.5 * losses.cka(features, mean.detach())
            optimizer.zero_grad()
            (total + functional.cross_entropy(head, y) + own).backward()
            optimizer.step()
            step += 1
            schedule.step() if step < EPOCHS * (N // SIZE) else None
    return student, branch


@pytest.mark.parametrize("kind", ["vib", "adversarial"])
def test_every_member_trains_as_if_alone(kind):
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    rows = TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:20], labels[:20])
    students = [seeded(seed, lambda: build_student("mlp", (6,), 2, K)) for seed in range(2)]
    branches = [(bottleneck if kind == "vib" else adversarial)(seed) for seed in range(2)]
    group = MethodGroup(
        students,
        [0, 1],
        branches,
        noise=D_C if kind == "vib" else 0,
        attribute=ATTRIBUTE if kind == "adversarial" else None,
        distance_weight=0.5,
    )
    trained = train(
        [group], rows, loss="cka", epochs=EPOCHS, batch_size=SIZE, lr=0.01, score=lambda logits: [0.0] * len(logits)
    )
    for member in range(2):
        student, branch = plain_loop(students[member], branches[member], rows, member, kind)
        for population, alone in ((trained.students, student), (trained.teachers[0], branch)):
            for key, value in alone.state_dict().items():
                torch.testing.assert_close(population.member(member).state_dict()[key], value, atol=2e-5, rtol=0)


def test_the_attribute_that_is_named_is_unlearned_and_most_of_the_target_is_kept():
    data = datasets.load("cluttered-digits")
    train_rows, test_rows = data.labelled(1000), data.splits["test"][:600]
    raw = get_teacher("simclr").load()(data, np.concatenate([train_rows, test_rows]))
    scaled = torch.from_numpy((raw - raw[:1000].mean(0)) / raw[:1000].std())
    values, labels = (torch.from_numpy(each) for each in (data.attributes["background"].values, data.labels))
    rows = TrainingData(torch.zeros(1000, 1), labels[train_rows], scaled[:1000], torch.zeros(4, 1), labels[:4])

    def group(build, **what):
        students = [build_student("mlp", (1,), 1, 10) for _ in range(2)]
        return MethodGroup(students, [0, 1], [seeded(seed, build) for seed in range(2)], **what)

    groups = [
        group(lambda: TeacherBranch(mlp(256, 16), (16,), 10)),
        group(lambda: AdversarialBranch(mlp(256, 16), (16,), 10, 6), attribute=values[train_rows]),
    ]
    trained = train(
        groups, rows, loss="cka", epochs=12, batch_size=50, lr=0.01, score=lambda logits: [0.0] * len(logits)
    )
    background, target = [], []
    for teachers in trained.teachers:
        compressed = compress(teachers, scaled)["compressed"].numpy()
        for known, found in ((values, background), (labels, target)):
            even = [(each - each.mean(0)) / (each.std(0) + 1e-9) for each in compressed]
            pairs = [(each[:1000], each[1000:]) for each in even]
            fits = [LogisticRegression(max_iter=300).fit(fitted, known[train_rows]) for fitted, _ in pairs]
            found.append(np.mean([fit.score(pair[1], known[test_rows]) for fit, pair in zip(fits, pairs, strict=True)]))
    chance = 1 / 6
    assert background[1] - chance < 0.6 * (background[0] - chance), background
    assert target[1] > target[0] - 0.1, target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "unlearns an attribute that is named as removed_attribute, got ''; cluttered-digits has: background, pos"),
        ({"removed_attribute": "ink"}, "got 'ink'; cluttered-digits has: background"),
    ],
)
def test_an_attribute_that_is_not_there_is_refused_with_those_that_are(changes, message):
    with pytest.raises(ValueError, match=message):
        check(RunSpec(method="adversarial", **changes))
