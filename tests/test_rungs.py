"""Members that leave a population change nothing for those that stay."""

import pytest
import torch
from torch import nn

from kdlib.models import students
from kdlib.models.branches import Bottleneck, BottleneckBranch, TeacherBranch
from kdlib.progress import CancelledError
from kdlib.training.loop import train
from kdlib.training.rungs import RungTraining, rung_epochs
from kdlib.training.step_loss import MethodGroup, TrainingData
from kdlib.training.target_normalisers import standardise

N, EPOCHS, K, D_T = 32, 8, 3, 10
RATES = [0.001, 0.03, 0.01, 0.002, 0.02, 0.004]  # the highest belongs to one that leaves
SETTINGS = {"loss": "distance_correlation", "epochs": EPOCHS, "batch_size": 8}


@pytest.fixture(autouse=True)
def _one_thread():
    """Bit by bit the same only on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _rows():
    rng = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(N, 6, generator=rng), torch.arange(N) % K
    return TrainingData(inputs, labels, torch.randn(N, D_T, generator=rng), inputs[:8], labels[:8])


def _student(seed):
    torch.manual_seed(seed)
    return students.build_student("mlp", (6,), 4, K)


def _teacher(seed, width):
    torch.manual_seed(100 + seed)
    return TeacherBranch(nn.Linear(D_T, width), (width,), K)


def _groups():
    """Two groups of trained compressors of other widths, and one with fixed targets."""
    targets = torch.randn(2, N, 3, generator=torch.Generator().manual_seed(7))
    return [
        MethodGroup([_student(0), _student(1)], [0, 1], [_teacher(0, 4), _teacher(1, 4)], None, [0.3, 0.6], [0.0, 0.4]),
        MethodGroup([_student(0), _student(1)], [0, 1], [_teacher(0, 2), _teacher(1, 2)], None, [0.5, 0.2], [0.2, 0.1]),
        MethodGroup([_student(0), _student(1)], [0, 1], (), targets, [0.9, 0.1]),
    ]


def _bottleneck(seed):
    torch.manual_seed(100 + seed)
    return BottleneckBranch(Bottleneck(D_T, 4), (4,), K)


def _normalised_groups():
    """The same sizes: teachers that sample, whose targets are standardised batch by batch, and fixed ones normalised.

    The fixed targets differ from what the distance sees, and so do the two members' noise and targets.
    """
    targets = torch.randn(2, N, 3, generator=torch.Generator().manual_seed(7))
    heads = [TeacherBranch(nn.Identity(), (3,), K) for _ in range(2)]
    return [
        MethodGroup(
            [_student(0), _student(1)],
            [0, 1],
            [_bottleneck(0), _bottleneck(1)],
            distance_weight=[0.3, 0.6],
            soft_label_weight=[0.2, 0.0],
            normalise=standardise,
            noise=4,
        ),
        MethodGroup([_student(0), _student(1)], [0, 1], (), targets, [0.9, 0.1]),
        MethodGroup(
            [_student(0), _student(1)],
            [0, 1],
            heads,
            targets,
            [0.9, 0.5],
            [0.0, 0.3],
            normalised=torch.stack([standardise(each) for each in targets.flip(0)]),
        ),
    ]


def _score(logits):
    return [float(each.softmax(-1)[:, 0].mean()) for each in logits]


def _training(groups=_groups):
    return RungTraining(groups(), _rows(), lr=RATES, score=_score, **SETTINGS)


KEPT = {4: [0, 3, 5], 6: [0, 2]}  # at the second rung by their numbers among those that are left: 0 and 5


def _keep(seen=None):
    def keep(epoch, scores, diverged):
        if seen is not None:
            seen.append((epoch, scores, diverged))
        return KEPT.get(epoch, list(range(len(scores))))

    return keep


def test_rungs_are_validated_epochs_before_the_last_one():
    assert rung_epochs(30) == [15, 22]
    assert rung_epochs(8) == [4, 6]
    assert rung_epochs(100) == [50, 75]
    assert rung_epochs(3) == [1, 2]
    assert rung_epochs(1) == []


@pytest.mark.parametrize("groups", [_groups, _normalised_groups])
def test_those_that_stay_learn_as_if_nobody_had_left(groups):
    training, seen = _training(groups), []
    training.run(_keep(seen))
    together = train(groups(), _rows(), lr=RATES, score=_score, **SETTINGS)
    assert [epoch for epoch, *_ in seen] == [4, 6, 8]
    assert [len(scores) for _, scores, _ in seen] == [6, 3, 2]
    state = training.stepper.state
    for place, member in enumerate([0, 5]):
        for name, values in state.best["students"].items():
            # The shares of the highest rate are rounded otherwise once another one is the highest.
            torch.testing.assert_close(values[place], together.students.parameters[name][member], atol=1e-5, rtol=0)
        best = max(point.val[member] for point in together.history)
        assert state.best_score[place] == pytest.approx(best, abs=1e-5)
    for name, values in state.best["teachers0"].items():
        torch.testing.assert_close(values[0], together.teachers[0].parameters[name][0], atol=1e-5, rtol=0)


def test_scores_at_a_rung_are_the_best_so_far():
    seen = []
    _training().run(_keep(seen))
    together = train(_groups(), _rows(), lr=RATES, score=_score, **SETTINGS)
    expected = [max(point.val[m] for point in together.history if point.epoch <= 4) for m in range(6)]
    assert seen[0][1] == expected


def test_a_member_that_diverged_is_told_and_nobody_is_left_when_all_did():
    training, seen = RungTraining(_groups(), _rows(), lr=[*RATES[:5], 1e30], score=_score, **SETTINGS), []

    def keep(epoch, scores, diverged):
        seen.append((epoch, diverged))
        return []

    training.run(keep)
    assert seen == [(4, {5})]


@pytest.mark.parametrize("stop_at", [3, 16, 17, 24, 30])
def test_going_on_from_a_checkpoint_equals_never_having_stopped(tmp_path, stop_at):
    whole = _training()
    whole.run(_keep())
    path, left = tmp_path / "round.safetensors", [6]

    def keep(epoch, scores, diverged):
        kept = _keep()(epoch, scores, diverged)
        left[0] = len(kept)
        return kept

    stopped = _training()
    with pytest.raises(CancelledError):
        stopped.run(keep, lambda step: step >= stop_at, path, lambda: str(left[0]))
    resumed = _training()
    if left[0] < 6:  # who goes on from there builds those that are left
        resumed.stepper = resumed._subset(KEPT[4])
        if left[0] < 3:
            resumed.stepper = resumed._subset(KEPT[6])
    assert resumed.load(path, str(left[0]))
    assert not _training().load(path, "others")
    resumed.run(_keep())
    for name, values in whole.stepper.state.best["students"].items():
        assert torch.equal(values, resumed.stepper.state.best["students"][name])
