"""A grid is so many single runs: every member of a population learns with its own λ, learning rate and soft labels.

In double precision: AdamW divides a gradient by its size, so that the rounding of one that is nearly 0 becomes a step.
What is computed in single precision is compared step by step in `test_member_chains` and `test_member_distance`.
"""

import copy
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional

from kdlib.models import students
from kdlib.models.branches import TeacherBranch
from kdlib.training import losses
from kdlib.training.loop import train
from kdlib.training.optimizer import AdamW, MemberAdamW
from kdlib.training.step_loss import MethodGroup, TrainingData
from kdlib.training.stepper import batches

N, SIZE, EPOCHS, K, D_T, D_C = 32, 8, 5, 3, 10, 4  # 20 steps
TEMPERATURE = 2.0
SHAPES = {"cnn": (1, 16, 16), "mel-cnn": (1, 16, 12), "mlp": (6,)}
CELLS = list(product((0.0, 0.6), (0.001, 0.01), (0.0, 0.5)))  # λ, learning rate, soft labels
MEMBERS = [(cell, seed) for cell in CELLS for seed in (0, 1)]


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small are slower on more, and far slower beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=SHAPES)
def student(request):
    return request.param


def _rows(student):
    rng = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(N, *SHAPES[student], generator=rng).double(), torch.arange(N) % K
    return TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng).double(), inputs[:8], labels[:8])


def _student(student, seed):
    torch.manual_seed(seed)
    return students.build_student(student, SHAPES[student], 4, K).double()


def _teacher(seed):
    torch.manual_seed(100 + seed)
    return TeacherBranch(nn.Linear(D_T, D_C), (D_C,), K).double()


def _group(student, members):
    return MethodGroup(
        [_student(student, seed) for _, seed in members],
        [seed for _, seed in members],
        [_teacher(seed) for _, seed in members],
        distance_weight=[cell[0] for cell, _ in members],
        soft_label_weight=[cell[2] for cell, _ in members],
        temperature=TEMPERATURE,
    )


def _train(student, members, **options):
    score = lambda logits: [0.0] * len(logits)  # noqa: E731
    rates = [cell[1] for cell, _ in members]
    settings = {"loss": "distance_correlation", "epochs": EPOCHS, "batch_size": SIZE, "score": score}
    return train([_group(student, members)], _rows(student), lr=rates, **settings, **options)


def _plain_loop(student, cell, seed):
    """One member in ordinary PyTorch, as one would write it without populations and grids."""
    (weight, rate, soft), rows = cell, _rows(student)
    network, teacher = _student(student, seed), _teacher(seed)
    optimiser = torch.optim.AdamW([*network.parameters(), *teacher.parameters()], lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=EPOCHS * (N // SIZE))
    for epoch in range(EPOCHS):
        for number, index in enumerate(batches([seed], epoch, N, SIZE)[:, 0]):
            labels = rows.labels[index]
            features, logits, _ = network(rows.inputs[index])
            compressed, (guesses,) = teacher(rows.embeddings[index])
            total = (1 - weight) * functional.cross_entropy(logits, labels)
            total = total + weight * losses.distance_correlation(features, compressed.detach())
            divergence = functional.kl_div(
                functional.log_softmax(logits / TEMPERATURE, 1),
                functional.softmax(guesses.detach() / TEMPERATURE, 1),
                reduction="batchmean",
            )
            total = total + soft * TEMPERATURE**2 * divergence + functional.cross_entropy(guesses, labels)
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            if (epoch, number) != (EPOCHS - 1, N // SIZE - 1):
                schedule.step()
    return network, teacher


def _check_equal(module, other, note):
    for key, value in module.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, atol=1e-5, rtol=0, msg=lambda m: f"{note}: {m}")


def test_a_grid_resumed_in_the_middle_equals_a_plain_loop_for_each_member(student, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    stopped = _train(student, MEMBERS, checkpoint=path, signature="a", on_progress=lambda at: at.step >= 10)
    assert stopped.cancelled
    trained = _train(student, MEMBERS, checkpoint=path, signature="a")
    for number, (cell, seed) in enumerate(MEMBERS):
        network, teacher = _plain_loop(student, cell, seed)
        _check_equal(network, trained.students.member(number), (cell, seed))
        _check_equal(teacher, trained.teachers[0].member(number), (cell, seed))


def test_a_grid_equals_single_runs(student):
    together = _train(student, MEMBERS)
    for number, (cell, seed) in list(enumerate(MEMBERS))[::3]:
        alone = _train(student, [(cell, seed)])
        _check_equal(alone.students.member(0), together.students.member(number), (cell, seed))
        _check_equal(alone.teachers[0].member(0), together.teachers[0].member(number), (cell, seed))


def test_the_members_of_a_grid_do_differ(student):
    """The two tests above would pass if no setting had any effect."""
    together = _train(student, MEMBERS)
    values = [
        torch.cat([value.detach().flatten() for value in together.students.member(number).parameters()])
        for number, (_, seed) in enumerate(MEMBERS)
        if seed == 0
    ]
    differences = [float((a - b).abs().max()) for i, a in enumerate(values) for b in values[:i]]
    assert min(differences) > 1e-3


def test_a_snapshot_is_of_the_first_seed_of_every_setting(student):
    from kdlib.training.replay import ReplaySample

    rows = _rows(student)
    sample = ReplaySample(torch.arange(8).numpy(), torch.arange(8).numpy(), rows.embeddings[:8].numpy(), [None])
    trained = _train(student, MEMBERS, replay_sample=sample)
    assert len(trained.replay[0]) == len(CELLS)
    last = trained.replay[0][-1]
    with torch.no_grad():  # the last validation is the best here: equal scores, the later one stays
        features = trained.students.member(len(MEMBERS) - 2)(rows.val_inputs)[0]
        compressed = trained.teachers[0].member(len(MEMBERS) - 2)(rows.embeddings[:8])[0]
    torch.testing.assert_close(torch.from_numpy(last["student"][-1]), features, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.from_numpy(last["compressed"][-1]), compressed, atol=1e-5, rtol=1e-5)


def test_a_member_at_the_highest_rate_takes_exactly_the_step_of_the_optimiser():
    start = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    ours, theirs, slow = (start.clone().requires_grad_() for _ in range(3))
    optimisers = [
        MemberAdamW([ours], [[0.1, 0.001, 0.1]]),
        AdamW([theirs], lr=0.1),
        AdamW([slow], lr=0.001),
    ]
    for optimiser, parameter in zip(optimisers, (ours, theirs, slow), strict=True):
        for _ in range(3):
            parameter.grad = copy.deepcopy(gradient)
            optimiser.step()
    assert torch.equal(ours[[0, 2]], theirs[[0, 2]])
    torch.testing.assert_close(ours[1], slow[1], atol=1e-7, rtol=0)


def test_what_gets_no_gradient_stays_where_it_is_at_every_rate():
    moving, still = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    optimiser = MemberAdamW([moving, still], [[0.1, 0.01]] * 2)
    moving.grad = torch.ones(2, 3)
    optimiser.step()
    assert torch.equal(still, torch.ones(2, 3))
    assert not torch.equal(moving, torch.ones(2, 3))


def test_a_learning_rate_too_high_leaves_the_other_members_alone():
    """A member that runs away to infinity used to be the end of a run; in a grid it is the end of one setting."""
    members = [((0.5, rate, 0.0), 0) for rate in (0.01, 1e30)]
    together, alone = _train("mlp", members), _train("mlp", members[:1])
    assert set(together.diverged) == {1}
    _check_equal(alone.students.member(0), together.students.member(0), members[0])
