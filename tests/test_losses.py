"""Every distance: right against slow loops, finite where it could break, the same under vmap."""

import math

import pytest
import torch
from torch.func import grad, vmap

from kdlib.registry import first_line
from kdlib.training.label_losses import soft_labels
from kdlib.training.losses import LOSSES
from tests import loss_references

B, D_S, D_C = 9, 6, 4
RELATIONAL = [name for name, loss in LOSSES.items() if not loss.pointwise]
POINTWISE = [name for name, loss in LOSSES.items() if loss.pointwise]
# 0 when student == target; the others still have negatives, or columns that are correlated
ALIGNED = [name for name in LOSSES if name not in ("info_nce", "crd", "vicreg")]


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(name, b=B, d_s=D_S, d_c=D_C, seed=0, dtype=torch.float32):
    """Return a random student and target of the widths the loss takes."""
    return draw(b, d_s, seed=seed, dtype=dtype), draw(
        b, d_s if LOSSES[name].pointwise else d_c, seed=seed + 1, dtype=dtype
    )


def rotation(d, seed=7):
    return torch.linalg.qr(draw(d, d, seed=seed)).Q


# The contract, for every line of the table.


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("b", "d_s", "d_c"), [(9, 6, 4), (5, 3, 40), (16, 1, 2), (2, 3, 2)])
def test_equals_its_slow_reference(name, b, d_s, d_c):
    s, t = pair(name, b, d_s, d_c, seed=b)
    expected = getattr(loss_references, name)(s.double().numpy(), t.double().numpy())
    assert float(LOSSES[name].function(s, t)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_keeps_its_precision_under_a_large_common_offset(name):
    s, t = pair(name, b=32, d_s=16)
    shifted = s + 100
    expected = getattr(loss_references, name)(shifted.double().numpy(), t.double().numpy())
    # float32 itself keeps 100 to 4e-6; info_nce divides the error of a cosine by its temperature
    assert float(LOSSES[name].function(shifted, t)) == pytest.approx(expected, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_is_one_number_and_its_help_line_names_the_range(name):
    value = LOSSES[name].function(*pair(name))
    assert value.shape == ()
    assert value >= 0
    assert "0 (" in first_line(LOSSES[name].function)


@pytest.mark.parametrize("name", LOSSES)
def test_vmap_equals_the_loop(name):
    members = [pair(name, seed=10 * m) for m in range(3)]
    s, t = (torch.stack(part) for part in zip(*members, strict=True))
    function = LOSSES[name].function
    torch.testing.assert_close(vmap(function)(s, t), torch.stack([function(*member) for member in members]))
    torch.testing.assert_close(vmap(grad(function))(s, t), torch.stack([grad(function)(*member) for member in members]))
    shared = vmap(function, in_dims=(0, None))(s, t[0])  # one target for all members
    torch.testing.assert_close(shared, torch.stack([function(x, t[0]) for x in s]))


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_the_value(name):
    s, t = pair(name, b=5, d_s=3, d_c=2, dtype=torch.float64)
    assert torch.autograd.gradcheck(LOSSES[name].function, (s.requires_grad_(), t.requires_grad_()))


@pytest.mark.parametrize("name", RELATIONAL)
def test_gradient_is_right_at_very_large_and_small_scales(name):
    s, t = pair(name)
    gradient = grad(LOSSES[name].function)(s, t)
    for scale in (1e-25, 1e25):
        torch.testing.assert_close(grad(LOSSES[name].function)(s * scale, t) * scale, gradient, rtol=1e-3, atol=1e-6)


DEGENERATE = {
    "zero": torch.zeros(B, D_S),
    "one zero row": torch.cat([torch.zeros(1, D_S), draw(B - 1, D_S)]),
    "identical rows": draw(1, D_S).expand(B, D_S),
    "two equal rows": torch.cat([draw(1, D_S, seed=3), draw(1, D_S, seed=3), draw(B - 2, D_S)]),
    "opposite rows": torch.stack([draw(D_S), -draw(D_S)]),
    "batch of two": draw(2, D_S),
    "batch of one": draw(1, D_S),
    "width one": draw(B, 1),
    "width one, zero row": torch.tensor([[0.0], [1.0], [-2.0]]),
    "scale 1e-40": draw(B, D_S) * 1e-40,
    "scale 1e-30": draw(B, D_S) * 1e-30,
    "scale 1e30": draw(B, D_S) * 1e30,
    "mixed scales": draw(B, D_S) * torch.logspace(-30, 30, B)[:, None],
    "offset 1e6": draw(B, D_S) + 1e6,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", DEGENERATE)
def test_value_and_gradients_stay_finite(name, case):
    x = DEGENERATE[case]
    for other in (draw(*x.shape, seed=5), x, torch.zeros_like(x), torch.ones_like(x)):
        for s, t in ((x, other), (other, x)):
            s, t = s.clone().requires_grad_(), t.clone().requires_grad_()
            value = LOSSES[name].function(s, t)
            value.backward()
            overflows = name == "mse" and case in (
                "scale 1e30",
                "mixed scales",
            )  # squares of 1e30: said in its docstring
            assert value.isfinite() or overflows
            assert s.grad.isfinite().all()
            assert t.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", ["zero", "one zero row", "identical rows", "two equal rows"])
def test_gradient_does_not_explode_where_rows_vanish_or_coincide(name, case):
    x = DEGENERATE[case]
    gradient = grad(LOSSES[name].function)(x, draw(*x.shape, seed=5))
    assert gradient.abs().max() < 100  # dividing by an unguarded norm gives 1e7 and more, or NaN


@pytest.mark.parametrize("name", ALIGNED)
def test_student_equal_to_target_is_the_minimum(name):
    s, _ = pair(name)
    assert float(LOSSES[name].function(s, s)) == pytest.approx(0, abs=1e-6)
    assert grad(LOSSES[name].function)(s, s).abs().max() < 1e-5
    assert float(LOSSES[name].function(*pair(name))) > 1e-3


def test_info_nce_is_lowest_for_the_matching_rows():
    s, _ = pair("info_nce")
    info_nce = LOSSES["info_nce"].function
    assert info_nce(s, s) < info_nce(s, s.roll(1, 0))
    assert info_nce(s, s, temperature=0.01) < 1e-3
    assert float(info_nce(torch.ones(5, 3), torch.ones(5, 3))) == pytest.approx(
        math.log(5), abs=1e-6
    )  # nothing to tell apart


@pytest.mark.parametrize("name", RELATIONAL)
def test_relational_distances_do_not_see_rotation_scale_and_extra_columns(name):
    s, t = pair(name)
    turned = torch.cat([3 * t @ rotation(D_C), torch.zeros(B, 2)], dim=1)
    function = LOSSES[name].function
    torch.testing.assert_close(function(s, turned), function(s, t), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(function(s @ rotation(D_S), t), function(s, t), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["distance_correlation", "rkd_distance", "rkd_angle", "cka"])
def test_distances_made_of_differences_do_not_see_a_shift(name):
    s, t = pair(name)
    torch.testing.assert_close(LOSSES[name].function(s + 5, t), LOSSES[name].function(s, t), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_rows_does_not_matter_but_their_pairing_does(name):
    s, t = pair(name)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(2))
    function = LOSSES[name].function
    torch.testing.assert_close(function(s[order], t[order]), function(s, t))
    assert abs(float(function(s[order], t) - function(s, t))) > 1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_descent_brings_the_student_to_the_target(name):
    s, t = pair(name)
    before = float(LOSSES[name].function(s, t))
    s = s.clone().requires_grad_()
    optimiser = torch.optim.Adam([s], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        value = LOSSES[name].function(s, t)
        value.backward()
        optimiser.step()
    assert value.item() < 0.3 * before


# Hand-worked cases in the plane.

SQUARE = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
LINE = torch.tensor([[1.0, 0.0], [2.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosine_distance", 0.5),  # [[1 0] [0 1]] against [[1 1] [1 1]]: two of four entries differ by 1
        ("distance_correlation", 0.0),  # two points: one distance, so always the same pattern
        ("rkd_distance", 0.0),  # the same in units of the mean distance
        ("cka", 0.0),  # two centred points always lie on a line
        (
            "similarity_preserving",
            (4 - 6 * 5**-0.5) / 4,
        ),  # (1, 0) and (0, 1) against (1, 2) / √5 twice: 2 - 2/√5 and 2 - 4/√5
        ("pkt", 0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))),  # (1/2, 1/2) against (1, 1/2) / 1.5
        ("mse", 5 / 4),  # differences (0, 0) and (-2, 1)
        ("cosine", 0.5),  # 0° and 90°
        # T = 0.1 and N / M = 1/2: own targets at cosines 1 and 0, foreign ones at 1 and 0
        (
            "crd",
            (math.log(1 + math.exp(-10) / 2) + math.log(1 + 1 / 2) + math.log(1 + 2 * math.exp(10)) + math.log(3)) / 2,
        ),
        ("log_sum", math.log(1 + 2 * 2**4 + 2 * 1)),  # columns (1, -1), (-1, 1) against (-1, 1), (0, 0)
        # mean squares of the differences of the columns: 2 and 1/2
        ("rid", (math.log(1 + 2000) + math.log(1 + 500)) / 2),
        # 5/4; columns of variance 1/2 each; their covariance -1/2, twice, over d = 2 and 25
        ("vicreg", 5 / 4 + 1 - math.sqrt(0.5 + 1e-4) + 0.25 / 25),
    ],
)
def test_two_points_in_the_plane(name, expected):
    assert float(LOSSES[name].function(SQUARE, LINE)) == pytest.approx(expected, abs=1e-6)


def test_rkd_angle_of_a_right_angle_against_a_line():
    corner, line = (
        torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]),
    )
    # cosines at the three corners: 0, 1/√2, 1/√2 against 1, -1, 1, each of them twice; the same point on both legs: 1
    # in both
    expected = (
        2 * (loss_references.huber(-1) + loss_references.huber(1 + 0.5**0.5) + loss_references.huber(0.5**0.5 - 1)) / 27
    )
    assert float(LOSSES["rkd_angle"].function(corner, line)) == pytest.approx(expected, abs=1e-6)


# What a person reads.


@pytest.mark.parametrize("name", LOSSES)
def test_different_numbers_of_rows_are_refused(name):
    with pytest.raises(ValueError, match=r"^student and target need the same number of rows, got 64 and 63$"):
        LOSSES[name].function(draw(64, 3), draw(63, 3))


@pytest.mark.parametrize("name", POINTWISE)
def test_a_pointwise_loss_refuses_different_widths_even_those_that_broadcast(name):
    with pytest.raises(ValueError, match=rf"^{name} needs student and target of the same width, got 8 and 1$"):
        LOSSES[name].function(draw(4, 8), draw(4, 1))


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be above 0, got"):
        soft_labels(draw(2, 3), draw(2, 3), temperature)
    with pytest.raises(ValueError, match="temperature must be above 0, got"):
        LOSSES["info_nce"].function(draw(2, 3), draw(2, 3), temperature=temperature)
