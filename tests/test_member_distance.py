"""The distance of all members in one piece: value and gradient of the one of a member, for any features."""

import pytest
import torch
from torch.func import vmap

from kdlib.training.losses import LOSSES, distance_correlation
from kdlib.training.member_distance import distance_correlations


def features(scale=1.0, dtype=torch.float64, rows=12):
    """Return features and targets of seven members, some of which do not vary or have equal rows."""
    rng = torch.Generator().manual_seed(0)
    students = torch.randn(7, rows, 9, generator=rng, dtype=dtype) * scale
    targets = torch.randn(7, rows, 5, generator=rng, dtype=dtype)
    students[2, 0] = students[2, -1]
    students[3], students[4], targets[5] = 0, scale, 2
    targets[6, 1:] = 0
    return students.requires_grad_(), targets


def outcome(function, students, targets):
    values = function(students, targets)
    weights = torch.linspace(0.5, 2, len(values), dtype=values.dtype)
    (gradient,) = torch.autograd.grad((values * weights).sum(), students)
    return values.detach(), gradient


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
@pytest.mark.parametrize("rows", [1, 2, 12, 33])
def test_it_is_the_distance_of_each_member_with_its_gradient(scale, rows):
    given = features(scale, rows=rows)
    values, gradient = outcome(distance_correlations, *given)
    expected, expected_gradient = outcome(vmap(distance_correlation), *given)
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient * scale, expected_gradient * scale, rtol=1e-8, atol=1e-9)


def test_it_is_finite_in_single_precision_for_any_size():
    for scale in (0.0, 1e-36, 1e-20, 1.0, 1e20, 1e36):
        values, gradient = outcome(distance_correlations, *features(scale, torch.float32))
        assert torch.cat([values, gradient.flatten()]).isfinite().all(), scale


def test_a_step_along_the_gradient_is_what_it_says():
    students, targets = features()
    values, gradient = outcome(lambda *given: distance_correlations(*given)[:2], students, targets)
    step = 1e-6 * gradient / gradient.norm()
    with torch.no_grad():
        moved = distance_correlations(students + step, targets)[:2]
    weights = torch.tensor([0.5, 2], dtype=values.dtype)
    assert ((moved - values) * weights).sum().item() == pytest.approx((gradient * step).sum().item(), rel=1e-4)


def test_different_numbers_of_rows_are_refused():
    with pytest.raises(ValueError, match="same number of rows"):
        distance_correlations(torch.zeros(2, 3, 4), torch.zeros(2, 4, 4))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.together])
def test_every_loss_that_has_one_for_all_members_means_the_same_by_it(name):
    students, targets = features()
    together = LOSSES[name].together(students, targets)
    torch.testing.assert_close(together, vmap(LOSSES[name].function)(students, targets))
