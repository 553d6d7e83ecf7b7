"""Removing a named attribute: what the adversary sees, training as if alone, what is refused, and that it works."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from kdlib import groups, pipeline
from kdlib.analysis.linear_probe import probe_accuracies
from kdlib.analysis.measure import ScaledEmbeddings
from kdlib.checks import check, removable_attributes, resolve
from kdlib.data import datasets
from kdlib.models.branches import AdversaryBranch, whitened
from kdlib.models.compressors import COMPRESSORS, mlp
from kdlib.models.students import build_student
from kdlib.spec import REMOVING, RunSpec
from kdlib.training import losses
from kdlib.training.augmentation import draw_noise
from kdlib.training.loop import compress, train
from kdlib.training.step_loss import TEACHER_STREAM, MethodGroup, TrainingData
from kdlib.training.stepper import batches

N, K, D_T, D_C, SIZE, EPOCHS, COUNT = 60, 3, 10, 4, 20, 3, 40
SPEC = RunSpec(dataset="digits", teacher="random", labels=60, method="adversarial", attribute="ink", dim=4)


def seeded(seed, build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def branch(seed=0):
    return seeded(seed, lambda: AdversaryBranch(mlp(D_T, D_C), (D_C,), K))


def coded(values):
    columns = functional.one_hot(values).float()
    columns = columns - columns.mean(0)
    return columns / columns.var(0, correction=0).sum().sqrt()


def test_the_adversary_is_the_best_linear_one():
    rows, values = torch.randn(200, D_T, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 5
    rows[:, 0] += values
    one = branch()
    *_, cost = one(rows, rows, coded(values))
    z, y = one.compressor(rows).detach().double().numpy(), coded(values).double().numpy()
    left = y - np.c_[z, np.ones(200)] @ np.linalg.lstsq(np.c_[z, np.ones(200)], y, rcond=None)[0]
    assert cost.item() == pytest.approx(3 * (1 - np.square(left).sum() / np.square(y).sum()), rel=1e-2)
    assert 0.1 < cost.item() / 3 < 1


def test_the_compressor_cannot_win_by_scale_or_by_turning():
    rows = torch.randn(100, D_C, generator=torch.Generator().manual_seed(0))
    target = coded(torch.arange(100) % 3)

    def explained(rows):
        return (whitened(rows).mT @ target / 100).square().sum().item()

    for changed in (
        rows * 1e-3,
        rows * 1e3 + 5,
        rows @ torch.tensor([[1.0, 2, 0, 0], [0, 1, 0, 3], [0, 0, 1, 0], [1, 0, 0, 2]]),
    ):
        assert explained(changed) == pytest.approx(explained(rows), rel=1e-2)
    empty = whitened(torch.cat([rows[:, :2], torch.zeros(100, 1), torch.ones(100, 1)], 1))
    assert empty.isfinite().all()
    assert whitened(torch.zeros(5, 3)).isfinite().all()


def plain_loop(student, branch, rows, attributed, seed):
    """One member as one would write it without populations."""
    student, branch = copy.deepcopy(student), copy.deepcopy(branch)
    others, known, _ = attributed
    optimizer = torch.optim.AdamW([*student.parameters(), *branch.parameters()], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=EPOCHS * (N // SIZE))
    step = 0
    for epoch in range(EPOCHS):
        for index in batches([seed], epoch, N, SIZE)[:, 0]:
            y, compressed = rows.labels[index], branch.compressor(rows.embeddings[index])
            chosen = (draw_noise([seed], step, COUNT, 1, TEACHER_STREAM)[0, :, 0] * len(known)).long()
            z = branch.compressor(others[chosen])
            z = z - z.mean(0)
            covariance = z.T @ z / COUNT
            floor = 1e-4 * covariance.diagonal().mean() + 1e-12
            cross = z.T @ known[chosen] / COUNT
            share = (cross * torch.linalg.solve(covariance + floor * torch.eye(D_C), cross)).sum()
            _, logits, _ = student(rows.inputs[index])
            features = student.body(rows.inputs[index])
            total = 0.5 * functional.cross_entropy(logits, y) + 0.5 * losses.cka(features, compressed.detach())
            optimizer.zero_grad()
            (total + functional.cross_entropy(branch.heads[0](compressed), y) + 3 * share).backward()
            optimizer.step()
            step += 1
            schedule.step() if step < EPOCHS * (N // SIZE) else None
    return student, branch


def test_every_member_trains_as_if_alone():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    rows = TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:20], labels[:20])
    attributed = torch.randn(90, D_T, generator=rng), coded(torch.arange(90) % 5), COUNT
    students = [seeded(seed, lambda: build_student("mlp", (6,), 2, K)) for seed in range(2)]
    branches = [branch(seed) for seed in range(2)]
    group = MethodGroup(students, [0, 1], branches, distance_weight=0.5, attributed=attributed)
    trained = train(
        [group], rows, loss="cka", epochs=EPOCHS, batch_size=SIZE, lr=0.01, score=lambda logits: [0.0] * len(logits)
    )
    for member in range(2):
        student, alone = plain_loop(students[member], branches[member], rows, attributed, member)
        for population, expected in ((trained.students, student), (trained.teachers[0], alone)):
            for key, value in expected.state_dict().items():
                torch.testing.assert_close(population.member(member).state_dict()[key], value, atol=1e-4, rtol=0)


def test_what_the_adversary_sees_are_training_rows_whose_attribute_is_known(monkeypatch):
    context = resolve(SPEC)
    attribute, train_rows = context.data.attributes["ink"], context.data.splits["train"]
    values = attribute.values.copy()
    values[train_rows[::3]] = -1
    monkeypatch.setitem(context.data.attributes, "ink", type(attribute)(values, attribute.names))
    embeddings = np.arange(len(values) * 2, dtype=np.float32).reshape(-1, 2)
    seen, known, _ = groups._attributed(context, ScaledEmbeddings(embeddings, np.zeros(2, np.float32), 1.0))
    rows = (seen[:, 0] / 2).long().numpy()
    np.testing.assert_array_equal(rows, train_rows[values[train_rows] >= 0])
    np.testing.assert_allclose(known.mean(0), 0, atol=1e-6)
    assert known.var(0, correction=0).sum() == pytest.approx(1, abs=1e-4)
    for category in np.unique(values[rows]):
        assert len(known[values[rows] == category].unique(dim=0)) == 1
    monkeypatch.setattr(groups, "MOST_CATEGORIES", 1)
    most = np.bincount(values[rows]).argmax()
    first = groups._attributed(context, ScaledEmbeddings(embeddings, np.zeros(2, np.float32), 1.0))[1][:, 0] > 0
    np.testing.assert_array_equal(first, values[rows] == most)
    assert groups._attributed(resolve(SPEC.replace(dim=128)), ScaledEmbeddings(embeddings, 0, 1.0))[2] == 512


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attribute": ""}, "adversarial removes an attribute, none is named; choose one of: ink"),
        ({"attribute": "colour"}, "adversarial removes an attribute, got 'colour'; choose one of: ink"),
    ],
)
def test_an_attribute_that_does_not_exist_is_refused_with_the_choices(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        check(SPEC.replace(**changes))
    check(SPEC.replace(method="mlp", **changes))  # which removes none


def test_data_without_an_attribute_that_differs_are_refused(monkeypatch):
    data = datasets.load("digits")
    attribute = data.attributes["ink"]
    assert removable_attributes(data) == ["ink"]
    monkeypatch.setitem(data.attributes, "ink", type(attribute)(np.zeros_like(attribute.values), attribute.names))
    with pytest.raises(ValueError, match="none of digits differs among its training rows; choose another compressor"):
        check(SPEC)


def test_what_removes_is_what_the_registry_says():
    assert set(REMOVING) == {name for name, entry in COMPRESSORS.items() if entry.removes}


def _probes(spec):
    """Return how well a linear probe reads each attribute and the target from the compressed test rows, per seed."""
    context = resolve(spec.replace(student="mlp", width=2, distance_weight=0.0, seeds=3))
    embeddings, data = pipeline._embed([context], None), context.data
    group, _ = groups.build_group(context, embeddings, None)
    trained = train(
        [group],
        pipeline._training_data(context, embeddings),
        loss=spec.loss,
        epochs=spec.epochs,
        batch_size=spec.batch_size,
        lr=spec.lr,
        score=lambda logits: [0.0] * len(logits),
    )
    rows = [context.labelled, data.splits["test"]]
    spaces = [compress(trained.teachers[0], torch.from_numpy(embeddings[each]))["compressed"].numpy() for each in rows]
    known = {"target": data.labels} | {name: each.values for name, each in data.attributes.items()}
    return {name: np.array(probe_accuracies(spaces[0], y[rows[0]], spaces[1], y[rows[1]])) for name, y in known.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "attribute", "chance"), [("cluttered-digits", "position", 0.136), ("tones", "pitch", 0.141)]
)
def test_a_linear_probe_reads_no_more_of_the_attribute_than_by_chance_and_the_target_stays(dataset, attribute, chance):
    from kdlib.checks import default_spec

    spec = default_spec(dataset)
    plain, removed = (_probes(spec.replace(method=name, attribute=attribute)) for name in ("mlp", "adversarial"))
    assert (plain[attribute] > chance + 0.08).all()
    assert (removed[attribute] < chance + 0.04).all()
    assert (removed["target"] > plain["target"] - 0.03).all()
