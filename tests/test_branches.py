"""Teacher branches that learn from something beside the target: formulas, gradients, and training as if alone."""

import copy

import numpy as np
import torch
from torch.nn import functional

from kdlib.models.branches import (
    RATE,
    Bottleneck,
    BottleneckBranch,
)
from kdlib.models.students import build_student
from kdlib.training import losses
from kdlib.training.augmentation import draw_noise
from kdlib.training.loop import train
from kdlib.training.step_loss import TEACHER_STREAM, MethodGroup, TrainingData
from kdlib.training.stepper import batches

N, K, D_T, D_C, SIZE, EPOCHS = 60, 3, 10, 4, 20, 3


def seeded(seed, build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def bottleneck(seed=0):
    return seeded(seed, lambda: BottleneckBranch(Bottleneck(D_T, D_C), (D_C,), K))


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


def plain_loop(student, branch, rows, seed):
    """One member as one would write it without populations: student, compressor, head and what else it learns from."""
    student, branch = copy.deepcopy(student), copy.deepcopy(branch)
    optimizer = torch.optim.AdamW([*student.parameters(), *branch.parameters()], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=EPOCHS * (N // SIZE))
    step = 0
    for epoch in range(EPOCHS):
        for index in batches([seed], epoch, N, SIZE)[:, 0]:
            y, embedding = rows.labels[index], rows.embeddings[index]
            features, logits, _ = student(rows.inputs[index])
            mean, log_variance = branch.compressor.distribution(embedding)
            uniform = draw_noise([seed], step, SIZE, D_C, TEACHER_STREAM)[0].double()
            normal = torch.distributions.Normal(0.0, 1.0).icdf(uniform).float()
            head = branch.heads[0](mean + normal * log_variance.mul(0.5).exp())
            own = 1e-3 * 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
            total = 0.5 * functional.cross_entropy(logits, y) + 0.5 * losses.cka(features, mean.detach())
            optimizer.zero_grad()
            (total + functional.cross_entropy(head, y) + own).backward()
            optimizer.step()
            step += 1
            schedule.step() if step < EPOCHS * (N // SIZE) else None
    return student, branch


def test_every_member_trains_as_if_alone():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    rows = TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:20], labels[:20])
    students = [seeded(seed, lambda: build_student("mlp", (6,), 2, K)) for seed in range(2)]
    branches = [bottleneck(seed) for seed in range(2)]
    group = MethodGroup(students, [0, 1], branches, noise=D_C, distance_weight=0.5)
    trained = train(
        [group], rows, loss="cka", epochs=EPOCHS, batch_size=SIZE, lr=0.01, score=lambda logits: [0.0] * len(logits)
    )
    for member in range(2):
        student, branch = plain_loop(students[member], branches[member], rows, member)
        for population, alone in ((trained.students, student), (trained.teachers[0], branch)):
            for key, value in alone.state_dict().items():
                torch.testing.assert_close(population.member(member).state_dict()[key], value, atol=2e-5, rtol=0)
