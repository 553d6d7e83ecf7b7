"""Prefixes: a member that is taught the first k numbers learns what it would from a target that has no others."""

import copy

import pytest
import torch
from torch.func import grad, vmap
from torch.nn import functional

from kdlib.checks import check, resolve
from kdlib.groups import build_group, member_rates
from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.models.compressors import COMPRESSORS, mlp
from kdlib.models.nesting import head_number
from kdlib.models.projectors import PROJECTORS
from kdlib.pipeline import _embed, _training_data, build_stepper, compare, run
from kdlib.spec import NESTED, RunSpec
from kdlib.training import shards
from kdlib.training.label_losses import soft_labels
from kdlib.training.loop import train
from kdlib.training.losses import LOSSES, MEAN, MIXED
from kdlib.training.prefixes import Prefixes
from kdlib.training.step_loss import MethodGroup, TrainingData
from kdlib.training.stepper import batches
from kdlib.training.target_normalisers import TARGET_NORMALISERS


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small are slower on more, and far slower beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WIDTH, KEPT = 8, (1, 2, 4, 8)
EXACT = [name for name, loss in LOSSES.items() if loss.tail != MIXED]
CPU = torch.device("cpu")


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def masked(loss, features, targets):
    """Return the losses (m,) of members with the prefixes `KEPT`, computed by masks under vmap."""
    prefixes = Prefixes([KEPT], [KEPT], loss, CPU)
    distances = vmap(loss.function)(prefixes.cut_features(features), prefixes.cut(0, targets))
    return prefixes.rescale(distances)


@pytest.mark.parametrize("name", EXACT)
def test_a_loss_of_what_is_masked_is_that_of_what_is_cut_off_value_and_gradient(name):
    loss = LOSSES[name]
    features = draw(len(KEPT), 9, WIDTH if loss.pointwise else 5)
    targets = draw(len(KEPT), 9, WIDTH, seed=1)
    gradients = grad(lambda given: masked(loss, given, targets).sum())(features)
    for member, kept in enumerate(KEPT):
        target = targets[member, :, :kept]
        own = features[member, :, :kept] if loss.pointwise else features[member]
        assert float(masked(loss, features, targets)[member]) == pytest.approx(float(loss.function(own, target)))
        expected = functional.pad(grad(loss.function)(own, target), (0, features.shape[-1] - own.shape[-1]))
        torch.testing.assert_close(gradients[member], expected, atol=1e-10, rtol=1e-8)


def test_the_losses_that_are_refused_are_another_thing_for_what_is_masked():
    for name in set(LOSSES) - set(EXACT):
        features, targets = draw(len(KEPT), 9, WIDTH), draw(len(KEPT), 9, WIDTH, seed=1)
        cut = LOSSES[name].function(features[1, :, :2], targets[1, :, :2])
        assert float(masked(LOSSES[name]._replace(tail=MEAN), features, targets)[1]) != pytest.approx(float(cut))


@pytest.mark.parametrize("name", [name for name, entry in TARGET_NORMALISERS.items() if entry.moving])
def test_a_normaliser_of_learning_targets_treats_each_number_by_itself(name):
    normalise, targets = TARGET_NORMALISERS[name].function, draw(20, WIDTH) * torch.arange(1, WIDTH + 1)
    for kept in KEPT:
        torch.testing.assert_close(normalise(targets)[:, :kept], normalise(targets[:, :kept].clone()))


@pytest.mark.parametrize("name", PROJECTORS)
def test_the_first_outputs_of_a_projector_do_not_depend_on_what_makes_the_others(name):
    torch.manual_seed(0)
    projector = PROJECTORS[name](12, WIDTH)
    *_, last = projector.named_parameters()
    changed = copy.deepcopy(projector)
    for key, value in changed.named_parameters():
        if value.shape[0] == WIDTH and key.rpartition(".")[2] in ("weight", "bias"):
            value.data[4:] += 1
    rows = torch.randn(5, 12)
    assert last[1].shape[0] == WIDTH
    torch.testing.assert_close(changed(rows)[:, :4], projector(rows)[:, :4], atol=1e-5, rtol=0)
    assert not torch.allclose(changed(rows)[:, 4:], projector(rows)[:, 4:])


# Whole trainings


N, K, D_T, SIZE, EPOCHS = 60, 3, 10, 12, 4  # 20 steps
HEADS = (2, 4, 8)


@pytest.fixture
def rows():
    labels = torch.arange(N) % K
    inputs = draw(N, 6, dtype=torch.float32) + 2 * functional.one_hot(labels, 6)
    return TrainingData(inputs, labels, draw(N, D_T, seed=2, dtype=torch.float32), inputs[:20], labels[:20])


def _members(loss):
    """Return a member of every prefix, all with the same initial weights and the same order of rows."""
    torch.manual_seed(3)
    student = students.build_student("mlp", (6,), 3, K, WIDTH if LOSSES[loss].pointwise else 0)
    branch = TeacherBranch(mlp(D_T, WIDTH), HEADS, K)
    return MethodGroup(
        [student] * len(HEADS),
        [0] * len(HEADS),
        [branch] * len(HEADS),
        distance_weight=0.7,
        soft_label_weight=0.3,
        temperature=2.0,
        prefix=HEADS,
        heads=HEADS,
    )


def _plain_loop(group, kept, rows, loss):
    """Train one student on the target z[:, :k] and nothing else of z, in ordinary PyTorch; return it."""
    student, branch = copy.deepcopy(group.students[0]), copy.deepcopy(group.teachers[0])
    if LOSSES[loss].pointwise:
        whole, student.adapter = student.adapter, torch.nn.Linear(student.body.features, kept)
        student.adapter.load_state_dict({key: value[:kept] for key, value in whole.state_dict().items()})
    optimizer = torch.optim.AdamW([*student.parameters(), *branch.parameters()], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=EPOCHS * (N // SIZE))
    steps = [index for epoch in range(EPOCHS) for index in batches([0], epoch, N, SIZE)[:, 0]]
    for number, index in enumerate(steps):
        y = rows.labels[index]
        _, logits, adapted = student(rows.inputs[index])
        compressed, heads = branch(rows.embeddings[index])
        total = 0.3 * functional.cross_entropy(logits, y)
        total = total + 0.7 * LOSSES[loss].function(adapted, compressed[:, :kept].detach())
        total = total + 0.3 * soft_labels(logits, heads[HEADS.index(kept)].detach(), 2.0)
        total = total + sum(functional.cross_entropy(each, y) for each in heads) / len(heads)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if number + 1 < len(steps):
            schedule.step()
    return student, branch


@pytest.mark.parametrize("loss", ["distance_correlation", "cka", "mse", "info_nce", "rid"])
def test_each_member_of_a_population_trains_as_if_its_target_were_the_prefix(loss, rows):
    group = _members(loss)
    settings = {"epochs": EPOCHS, "batch_size": SIZE, "lr": 0.01, "score": lambda logits: [0.0] * len(logits)}
    trained = train([group], rows, loss=loss, **settings)
    for member, kept in enumerate(HEADS):
        student, branch = _plain_loop(group, kept, rows, loss)
        together = trained.students.member(member).state_dict()
        for key, value in student.state_dict().items():
            found = together[key][:kept] if key.startswith("adapter") else together[key]
            torch.testing.assert_close(found, value, atol=1e-5, rtol=0)
        for key, value in branch.state_dict().items():
            torch.testing.assert_close(trained.teachers[0].member(member).state_dict()[key], value, atol=1e-5, rtol=0)


def test_processes_share_out_prefixes_with_their_members(rows, monkeypatch):
    monkeypatch.setattr(shards, "count_shards", lambda *_: 2)
    group = _members("mse")
    assert group.subset([2, 0]).prefix == [8, 2]
    settings = {"loss": "mse", "epochs": EPOCHS, "batch_size": SIZE, "lr": 0.01, "augmentation": "none"}
    settings |= {"score": lambda logits: [0.0] * len(logits), "device": CPU}
    alone, shared = train([group], rows, **settings), shards.train_in_shards([group], rows, **settings)
    for name, value in alone.students.parameters.items():
        torch.testing.assert_close(shared.students.parameters[name], value, atol=1e-5, rtol=0)


SMALL = RunSpec(dataset="digits", teacher="random", labels=100, epochs=3, seeds=2, student="mlp")
NESTED_GRID = SMALL.replace(
    method="matryoshka", dim=8, prefix=[2, 4, 8], distance_weight=[0.4, 0.9], soft_label_weight=0.2, batch_size=16
)


def _train(specs):
    contexts = [resolve(spec) for spec in specs]
    embeddings = _embed(contexts, None)
    built = [build_group(context, embeddings, None)[0] for context in contexts]
    # 20 steps; equal scores: the weights are those of the last one
    return train(
        built,
        _training_data(contexts[0], embeddings),
        loss=specs[0].loss,
        epochs=4,
        batch_size=20,
        lr=member_rates(contexts),
        score=lambda logits: [0.0] * len(logits),
    )


@pytest.mark.parametrize("loss", ["distance_correlation", "mse"])
def test_a_grid_of_prefixes_is_its_settings_trained_one_by_one(loss):
    grid = NESTED_GRID.replace(loss=loss, lr=[0.001, 0.01])
    together = _train([grid])
    assert together.students.size == 2 * 2 * 3 * 2
    for number, cell in enumerate(grid.cells):
        alone = _train([cell])
        for population, single in ((together.students, alone.students), (together.teachers[0], alone.teachers[0])):
            for name, value in single.parameters.items():
                found = population.parameters[name][2 * number : 2 * number + 2]
                torch.testing.assert_close(found, value, atol=1e-5, rtol=0)


def test_the_compressor_is_the_same_whatever_prefix_the_student_is_taught():
    trained = _train([NESTED_GRID.replace(distance_weight=0.5)])
    for value in trained.teachers[0].parameters.values():
        torch.testing.assert_close(value[:2], value[4:], atol=1e-6, rtol=0)
    bodies = trained.students.parameters["head.weight"]
    assert not torch.allclose(bodies[:2], bodies[4:], atol=1e-3)


@pytest.fixture(scope="module")
def result():
    return run(NESTED_GRID)


def test_the_result_is_that_of_the_prefix_that_validation_chose(result):
    cell, kept = result.setting, result.setting.kept
    assert [each.settings for each in result.grid.cells] == [
        {"distance_weight": weight, "prefix": width} for weight in (0.4, 0.9) for width in (2, 4, 8)
    ]
    assert result.grid.best.val.mean == max(each.val.mean for each in result.grid.cells)
    alone = run(cell)
    assert result.metrics["test"].primary.mean == pytest.approx(alone.metrics["test"].primary.mean, abs=0.01)
    for name in ("compressed/test", "replay/compressed", "features/val", "logits/test", "teacher/compressor.0.weight"):
        torch.testing.assert_close(
            torch.from_numpy(result.arrays[name]), torch.from_numpy(alone.arrays[name]), atol=1e-3, rtol=0
        )
    assert result.arrays["compressed/test"].shape[-1] == result.arrays["replay/compressed"].shape[-1] == kept
    assert result.spaces["compressed"].width == kept
    assert result.cost.bytes_per_embedding == 4 * kept


@pytest.mark.parametrize("kept", [2, 4])
def test_a_prefix_asked_alone_is_what_is_measured_with_the_head_that_reads_it(kept):
    spec = NESTED_GRID.replace(distance_weight=0.5, prefix=0)
    whole, part = compare([spec, spec.replace(prefix=kept)])
    assert part.arrays["compressed/test"].shape[-1] == kept
    heads = {f"teacher/heads.{number}.{name}" for number in range(3) for name in ("weight", "bias")}
    assert heads <= set(part.arrays)
    branch = head_number(part.spec)
    weight, bias = (part.arrays[f"teacher/heads.{branch}.{name}"] for name in ("weight", "bias"))
    labels = resolve(spec).data.labels[resolve(spec).data.splits["test"]]
    guesses = (part.arrays["compressed/test"] @ weight.transpose(0, 2, 1) + bias[:, None]).argmax(-1)
    assert part.teacher.head["test"].primary.values == pytest.approx((guesses == labels).mean(1))
    assert whole.spaces["compressed"].width == 8


def test_all_numbers_by_another_name_are_the_same_computation():
    spec = NESTED_GRID.replace(distance_weight=0.5, prefix=0)
    assert spec.replace(prefix=8).identity == spec.identity
    assert spec.replace(prefix=4).identity != spec.identity
    assert spec.replace(method="mlp", prefix=4).identity == spec.replace(method="mlp").identity
    assert spec.replace(method="mlp", prefix=[2, 4]).cells == [spec.replace(method="mlp")]


def test_a_step_shows_the_prefix_alone():
    stepper, _ = build_stepper(NESTED_GRID.replace(distance_weight=0.5))
    assert stepper.view().target.shape[1] == 2


def test_the_nested_methods_are_those_whose_compressor_trains_prefixes():
    assert set(NESTED) == {name for name, entry in COMPRESSORS.items() if len(entry.prefixes(4)) > 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix": 3}, "matryoshka with dim 8 trains the prefixes 2, 4, 8, got 3"),
        ({"prefix": 16}, "trains the prefixes 2, 4, 8, got 16"),
        ({"prefix": -2}, "trains the prefixes 2, 4, 8, got -2"),
        ({"prefix": [0, 4]}, "0, which takes all numbers, stands alone"),
        ({"prefix": 4, "loss": "vicreg"}, "loss vicreg is not the same for a prefix"),
        ({"prefix": 4, "loss": "mse", "projector": "orthogonal", "width": 1}, "projector orthogonal has no prefixes"),
        ({"prefix": 4, "tune": 4}, "tuning searches the width"),
        ({"prefix": 4, "teacher": "random+parity", "teacher_mixing": "separate"}, "each teacher has one of its own"),
    ],
)
def test_what_would_not_be_exact_is_refused(changes, message):
    spec = SMALL.replace(method="matryoshka", dim=8)
    check(spec)
    with pytest.raises(ValueError, match=message):
        check(spec.replace(**changes))
    if "tune" not in changes:
        check(spec.replace(method="mlp", **changes))  # which has no prefixes: the field counts for nothing
