"""Several separate teachers: each with a compressor, a head, a projector and a distance of its own."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from kdlib import pipeline
from kdlib.checks import check, resolve
from kdlib.groups import build_group
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import COMPRESSORS
from kdlib.models.projectors import ProjectorParts, build_adapter, projected_width
from kdlib.models.separation import normalise_parts, separate, spec_compressor, widest_dim
from kdlib.models.students import build_student
from kdlib.spec import RunSpec, teaches_separately
from kdlib.training import losses
from kdlib.training.augmentation import draw_noise
from kdlib.training.loop import compress, train
from kdlib.training.population import Population
from kdlib.training.step_loss import TEACHER_STREAM, MethodGroup, StepLoss, TrainingData
from kdlib.training.stepper import batches
from kdlib.training.target_normalisers import phi_s

N, K, D_T, SIZE, EPOCHS, CPU = 60, 3, 6, 20, 3, torch.device("cpu")
BLOCKS = [D_T, D_T]
SPEC = RunSpec(
    dataset="digits", teacher="random+simclr", teacher_mixing="separate", labels=60, epochs=2, width=2, seeds=2, dim=4
)
FIXED = [name for name, entry in COMPRESSORS.items() if not entry.trainable]
TRAINABLE = [name for name, entry in COMPRESSORS.items() if entry.trainable]


def seeded(seed, build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def random_rows(width=2 * D_T):
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % K
    inputs = torch.randn(N, 6, generator=rng) + 2 * functional.one_hot(labels, 6)
    embeddings = torch.randn(N, width, generator=rng) + 2 * functional.one_hot(labels, width)
    return TrainingData(inputs, labels, embeddings, inputs[:20], labels[:20])


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_compressor_gives_what_each_teacher_alone_would_block_by_block(name):
    rows = random_rows(2 * D_T - 1)
    embeddings, labels, blocks = rows.embeddings.numpy(), rows.labels.numpy(), [D_T, D_T - 1]
    entry, both = COMPRESSORS[name], separate(COMPRESSORS[name], blocks)
    width, reports = both.width(sum(blocks), 4, K), []
    compressed = both.build(width, 0).fit(embeddings, labels, reports.append).transform(embeddings)
    columns = both.columns(width)
    assert compressed.shape == (N, width)
    assert [report.step for report in reports] == sorted(report.step for report in reports)
    for part, own in zip(np.split(embeddings, [D_T], 1), columns, strict=True):
        alone = entry.build(entry.width(part.shape[1], 2, K), 0).fit(part, labels).transform(part)
        np.testing.assert_allclose(compressed[:, own], alone, atol=1e-5)


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_trained_compressor_gives_what_each_teacher_alone_would_in_turn(name):
    entry, both = COMPRESSORS[name], separate(COMPRESSORS[name], BLOCKS)
    module, embedding = both.build(2 * D_T, 8), torch.randn(5, 2 * D_T)
    compressed = module(embedding)
    assert both.width(2 * D_T, 8, K) == compressed.shape[1] == 8
    for part, own, columns in zip(module.parts, embedding.split(D_T, -1), both.columns(8), strict=True):
        torch.testing.assert_close(compressed[:, columns], part(own))
    assert both.prefixes(8) == tuple(2 * each for each in entry.prefixes(4))


def test_each_teacher_has_a_head_for_every_leading_width_and_the_last_logits_are_their_mean():
    both = separate(COMPRESSORS["matryoshka"], BLOCKS)
    branch = TeacherBranch(both.build(2 * D_T, 8), both.prefixes(8), K, both.columns(8))
    compressed, logits = branch(torch.randn(5, 2 * D_T))
    assert [head.in_features for head in branch.heads] == [2, 2, 4, 4]
    torch.testing.assert_close(logits[1], branch.heads[1](compressed[:, 1:4:2]))  # the leading 2 of the second teacher
    torch.testing.assert_close(logits[2], branch.heads[2](compressed[:, ::2]))
    torch.testing.assert_close(logits[-1], (logits[-3] + logits[-2]) / 2)
    assert len(logits) == 5


def test_each_teacher_has_a_projector_whose_weights_say_its_width():
    for name in ("linear", "mlp", "orthogonal", "ensemble"):
        adapter = build_adapter(name, 6, (3, 5))
        assert isinstance(adapter, ProjectorParts)
        features = torch.randn(4, 6)
        expected = [part(features) for part in adapter.parts]
        torch.testing.assert_close(adapter(features), torch.cat(expected, 1))
        shapes = {f"adapter.{key}": value.shape for key, value in adapter.state_dict().items()}
        assert projected_width({"head.weight": (9, 6)} | shapes) == (3, 5)


def step_distance(loss, group, rows):
    index = torch.arange(SIZE).expand(len(group.seeds), -1)
    return StepLoss([group], rows, loss, CPU)(index, rows.inputs[index], 0)


def test_the_distance_is_the_mean_of_both_by_hand():
    """mse of the adapted features (1, 2, 10) to the targets (1, 4 | 13): (0 + 4) / 2 = 2 and 9, together 5.5."""
    student = build_student("mlp", (6,), 2, K, (2, 1))
    for part, bias in zip(student.adapter.parts, ([1.0, 2.0], [10.0]), strict=True):
        part.weight.data.zero_()
        part.bias.data = torch.tensor(bias)
    targets = torch.tensor([1.0, 4.0, 13.0]).expand(1, N, 3)
    group = MethodGroup([student], [0], targets=targets, distance_weight=0.5, columns=(slice(0, 2), slice(2, 3)))
    assert step_distance("mse", group, random_rows()).distance.tolist() == [5.5]


@pytest.mark.parametrize("loss", list(losses.LOSSES))
def test_two_equal_teachers_are_one_teacher(loss):
    rows, pointwise = random_rows(), losses.LOSSES[loss].pointwise
    target = torch.randn(1, N, 3, generator=torch.Generator().manual_seed(1))
    alone = seeded(0, lambda: build_student("mlp", (6,), 2, K, 3 * pointwise))
    double = seeded(0, lambda: build_student("mlp", (6,), 2, K, (3, 3) if pointwise else 0))
    if pointwise:
        double.adapter.parts[1].load_state_dict(double.adapter.parts[0].state_dict())
    both = torch.cat([target, target], -1)
    columns = (slice(0, 3), slice(3, 6))
    one = step_distance(loss, MethodGroup([alone], [0], targets=target, distance_weight=0.5), rows)
    two = step_distance(loss, MethodGroup([double], [0], targets=both, distance_weight=0.5, columns=columns), rows)
    torch.testing.assert_close(two.distance, one.distance)
    torch.testing.assert_close(two.total, one.total)


@pytest.mark.parametrize("name", TRAINABLE)
def test_two_equal_teachers_with_one_compressor_each_are_one_teacher(name):
    rows, entry, both = random_rows(D_T), COMPRESSORS[name], separate(COMPRESSORS[name], BLOCKS)
    alone = seeded(0, lambda: entry.branch(entry.build(D_T, 4), entry.prefixes(4), K, entry.columns(4)))
    double = entry.branch(both.build(2 * D_T, 8), both.prefixes(8), K, both.columns(8))
    for part in double.compressor.parts:
        part.load_state_dict(alone.compressor.state_dict())
    for number, head in enumerate(double.heads):
        head.load_state_dict(alone.heads[number // 2].state_dict())
    student, weights = build_student("mlp", (6,), 2, K), {"distance_weight": 0.5, "soft_label_weight": 0.3}
    one = step_distance("cka", MethodGroup([student], [0], [alone], **weights), rows)
    twice = TrainingData(**(vars(rows) | {"embeddings": rows.embeddings.repeat(1, 2)}))
    group = MethodGroup([student], [0], [double], columns=both.columns(8), **weights)
    for before, after in zip(one, step_distance("cka", group, twice), strict=True):
        torch.testing.assert_close(after, before)


def plain_loop(student, branch, rows, seed, loss):
    """One member in ordinary PyTorch: two compressors with a head and a distance each, as one would write it."""
    student, branch = copy.deepcopy(student), copy.deepcopy(branch)
    optimizer = torch.optim.AdamW([*student.parameters(), *branch.parameters()], lr=0.01)
    steps, step = EPOCHS * (N // SIZE), 0
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for epoch in range(EPOCHS):
        for index in batches([seed], epoch, N, SIZE)[:, 0]:
            y, features = rows.labels[index], student.body(rows.inputs[index])
            total, heads = 0.5 * functional.cross_entropy(student.head(features), y), []
            for number in range(2):
                embedding = rows.embeddings[index][:, number * D_T : (number + 1) * D_T]
                compressor, head = branch.compressor.parts[number], branch.heads[number]
                compressed = compressor(embedding)
                adapted = student.adapter.parts[number](features) if loss == "mse" else features
                distance = losses.LOSSES[loss].function(adapted, compressed.detach())
                sampled, own = compressed, 0.0
                if hasattr(compressor, "distribution"):
                    mean, log_variance = compressor.distribution(embedding)
                    uniform = draw_noise([seed], step, SIZE, 8, TEACHER_STREAM)[0][:, number::2].double()
                    normal = torch.distributions.Normal(0.0, 1.0).icdf(uniform).float()
                    sampled = mean + normal * log_variance.mul(0.5).exp()
                    own = 1e-3 * 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
                heads.append(functional.cross_entropy(head(sampled), y) + own)
                total = total + 0.5 * distance / 2
            optimizer.zero_grad()
            (total + sum(heads) / 2).backward()
            optimizer.step()
            step += 1
            schedule.step() if step < steps else None
    return student, branch


@pytest.mark.parametrize(("name", "loss"), [("mlp", "cka"), ("linear", "mse"), ("sparse", "cka"), ("vib", "cka")])
def test_every_member_trains_as_if_alone(name, loss):
    rows, both = random_rows(), separate(COMPRESSORS[name], BLOCKS)
    students = [seeded(s, lambda: build_student("mlp", (6,), 2, K, (4, 4) if loss == "mse" else 0)) for s in (0, 1)]
    branches = [
        seeded(s, lambda: both.branch(both.build(2 * D_T, 8), both.prefixes(8), K, both.columns(8))) for s in (0, 1)
    ]
    noise = 8 if both.noise else 0
    group = MethodGroup(students, [0, 1], branches, distance_weight=0.5, noise=noise, columns=both.columns(8))
    trained = train(
        [group], rows, loss=loss, epochs=EPOCHS, batch_size=SIZE, lr=0.01, score=lambda logits: [0.0] * len(logits)
    )
    for member in range(2):
        student, branch = plain_loop(students[member], branches[member], rows, member, loss)
        for population, alone in ((trained.students, student), (trained.teachers[0], branch)):
            for key, value in alone.state_dict().items():
                torch.testing.assert_close(population.member(member).state_dict()[key], value, atol=1e-5, rtol=0)


def test_the_prediction_of_several_heads_is_the_mean_of_their_logits():
    both = separate(COMPRESSORS["linear"], BLOCKS)
    branch = TeacherBranch(both.build(2 * D_T, 4), both.prefixes(4), K, both.columns(4))
    embeddings = random_rows().embeddings
    outputs = compress(Population([branch], CPU), embeddings)
    expected = sum(head(outputs["compressed"][0][:, own::2]) for own, head in enumerate(branch.heads)) / 2
    torch.testing.assert_close(outputs["logits"][0], expected)


def test_the_target_of_each_teacher_is_normalised_by_itself():
    targets = torch.randn(30, 6)
    normalised = normalise_parts(phi_s, targets, (slice(0, 2), slice(2, 6)))
    torch.testing.assert_close(normalised, torch.cat([phi_s(targets[:, :2]), phi_s(targets[:, 2:])], 1))
    check(SPEC.replace(method="pca", dim=8, target_normaliser="phi_s"))
    with pytest.raises(ValueError, match="width is a power of 2, got 3"):
        check(SPEC.replace(method="pca", dim=6, target_normaliser="phi_s"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_mixing": "stirred"}, "unknown teacher mixing 'stirred', choose one of: concatenate, separate"),
        ({"dim": 5}, "dim 5 cannot be shared evenly by 2 separate teachers; choose a multiple of 2"),
        ({"dim": 514}, "above the width 512 of teacher random\\+simclr; compression needs at most 512"),
        ({"teacher": "random+simclr+parity", "dim": 6, "tune": 3}, "tuning tries widths that 3 separate teachers"),
    ],
)
def test_what_cannot_be_separate_is_refused_in_a_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        check(SPEC.replace(**changes))


def test_a_single_teacher_is_never_separate():
    single = SPEC.replace(teacher="simclr")
    assert single.identity == single.replace(teacher_mixing="concatenate").identity
    assert SPEC.identity != SPEC.replace(teacher_mixing="concatenate").identity
    assert not teaches_separately(single)
    assert not teaches_separately(SPEC.replace(method="baseline"))
    assert spec_compressor(single) is COMPRESSORS["mlp"]
    assert widest_dim(single) == 256


@pytest.mark.parametrize("method", ["raw", "lda", "matryoshka"])
def test_side_by_side_and_separate_train_together_as_each_alone(method):
    specs = [
        SPEC.replace(method=method, teacher_mixing=mixing, soft_label_weight=0.5)
        for mixing in ("concatenate", "separate")
    ]
    together = pipeline.compare(specs)
    for spec, result in zip(specs, together, strict=True):
        alone = pipeline.run(spec)
        assert alone.status == result.status == "done"
        for name in ("logits/test", "compressed/test"):
            np.testing.assert_allclose(result.arrays[name], alone.arrays[name], atol=1e-4)
    assert not np.allclose(together[0].arrays["logits/test"], together[1].arrays["logits/test"], atol=1e-3)


def test_a_grid_of_separate_teachers_has_the_members_of_single_runs():
    grid = SPEC.replace(method="mlp", loss="mse", distance_weight=(0.2, 0.8))
    context = resolve(grid)
    embeddings = pipeline._embed([context], None)
    group, _ = build_group(context, embeddings, None)
    assert len(group.students) == 4
    assert context.adapter_width == context.part_widths == (2, 2)
    assert pipeline.run(grid).status == "done"
