"""Every student: shapes, a tenfold range of sizes, no running statistics."""

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from kdlib.models import students
from kdlib.models.students import STUDENTS


@pytest.mark.parametrize("name", list(STUDENTS))
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 8, 8), (3, 32, 24)])
def test_maps_inputs_to_features_of_the_width_it_tells(name, shape):
    body = STUDENTS[name](shape, 4)
    assert body(torch.zeros(2, *shape)).shape == (2, body.features)
    assert not list(body.buffers())


@pytest.mark.parametrize("name", list(STUDENTS))
def test_width_dial_spans_a_tenfold_range_of_parameters(name):
    small, large = (sum(p.numel() for p in STUDENTS[name]((1, 16, 16), width).parameters()) for width in (4, 32))
    assert large >= 10 * small


@pytest.mark.parametrize("name", list(STUDENTS))
def test_rows_do_not_see_each_other(name):
    body = STUDENTS[name]((1, 16, 16), 4)
    x = torch.randn(6, 1, 16, 16)
    torch.testing.assert_close(body(x)[2:3], body(x[2:3]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", list(STUDENTS))
def test_members_of_a_population_compute_what_each_computes_alone(name):
    members = [students.build_student(name, (1, 16, 16), 3, 5) for _ in range(2)]
    x = torch.randn(2, 4, 1, 16, 16)
    parameters, _ = stack_module_state(members)
    together = vmap(lambda p, rows: functional_call(members[0], p, (rows,))[1])(parameters, x)
    for member, logits, rows in zip(members, together, x, strict=True):
        torch.testing.assert_close(logits, member(rows)[1], atol=1e-5, rtol=1e-4)


def test_mel_cnn_goes_from_ten_thousand_to_a_million_parameters():
    small, large = (sum(p.numel() for p in STUDENTS["mel-cnn"]((1, 32, 32), width).parameters()) for width in (3, 32))
    assert small < 10_000
    assert large == pytest.approx(1e6, rel=0.05)


def test_a_depthwise_separable_network_is_cheaper_than_a_full_one():
    sizes = {
        name: sum(p.numel() for p in STUDENTS[name]((1, 32, 32), 16).parameters()) for name in ("mel-cnn", "mobile-fcn")
    }
    assert sizes["mobile-fcn"] < sizes["mel-cnn"] / 5


def test_adapter_is_there_only_when_asked_for():
    without, with_adapter = (students.build_student("mlp", (4,), 2, 3, width) for width in (0, 5))
    features, logits, matched = without(torch.randn(7, 4))
    assert torch.equal(features, matched)
    assert logits.shape == (7, 3)
    assert with_adapter(torch.randn(7, 4))[2].shape == (7, 5)


def test_unknown_student_lists_the_choices():
    with pytest.raises(ValueError, match="choose one of: cnn, mlp"):
        students.build_student("vit", (1, 16, 16), 4, 10)
