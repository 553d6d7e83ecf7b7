"""Every student: shapes, a tenfold range of sizes, no running statistics; what the larger inputs cost."""

from inspect import signature

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from kdlib.analysis.costs import multiply_adds
from kdlib.models import students
from kdlib.models.students import STUDENTS
from kdlib.spec import DEEP_STUDENTS

CLIP = (1, 128, 1000)  # 128 mel bands, 10 s


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


def test_the_dial_for_depth_is_where_the_spec_says():
    assert set(DEEP_STUDENTS) == {name for name, build in STUDENTS.items() if "depth" in signature(build).parameters}


def test_a_resnet_of_width_64_and_depth_2_is_torchvisions_resnet_18():
    """11,689,512 parameters with its head of 1,000 classes; GroupNorm has as many as BatchNorm."""
    student = students.build_student("resnet", (3, 224, 224), 64, 1000, depth=2)
    assert sum(p.numel() for p in student.parameters()) == 11_689_512
    assert multiply_adds(student, torch.zeros(1, 3, 224, 224)) == pytest.approx(1.81e9, rel=0.01)


def test_depth_adds_blocks_and_leaves_other_students_alone():
    shallow, deep = (students.build_student("resnet", (1, 16, 16), 4, 5, depth=depth) for depth in (1, 3))
    assert len(deep.body) == len(shallow.body) + 8
    assert len(students.build_student("cnn", (1, 16, 16), 4, 5, depth=3).body) == len(STUDENTS["cnn"]((1, 16, 16), 4))


def count_activations(body, shape):
    """Return the numbers that all layers put out for one item: what training keeps of it."""
    counts = []
    for layer in body.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _layer, _inputs, output: counts.append(output.numel()))
    body(torch.zeros(1, *shape))
    return sum(counts)


@pytest.mark.parametrize("name", ["cp-resnet", "mobile-fcn"])
def test_ten_seconds_of_128_mel_bands_once_cost_a_gigabyte_a_batch(name):
    body = STUDENTS[name](CLIP, 8)
    assert body(torch.randn(2, *CLIP)).shape == (2, body.features)
    assert 4 * count_activations(body, CLIP) < 8e6  # bytes
    assert multiply_adds(body, torch.zeros(1, *CLIP)) < 25e6


def map_sizes(name, shape):
    """Return the sizes that the map has on its way through a student, each once."""
    sizes = []
    x = torch.zeros(1, *shape)
    for layer in STUDENTS[name](shape, 4):
        x = layer(x)
        if x.ndim == 4 and tuple(x.shape[2:]) not in sizes:
            sizes.append(tuple(x.shape[2:]))
    return sizes


@pytest.mark.parametrize(
    ("name", "shape", "sizes"),
    [
        ("cp-resnet", (1, 32, 32), [(16, 16), (8, 8), (1, 1)]),
        ("cp-resnet", (1, 32, 333), [(16, 167), (8, 83), (1, 1)]),
        ("cp-resnet", (3, 64, 64), [(32, 32), (16, 16), (1, 1)]),
        ("cp-resnet", CLIP, [(64, 500), (32, 250), (16, 125), (8, 62), (1, 1)]),
        ("mobile-fcn", (1, 32, 32), [(16, 16), (8, 8), (4, 4), (1, 1)]),
        ("mobile-fcn", (1, 32, 333), [(16, 167), (8, 84), (4, 42), (1, 1)]),
        ("mobile-fcn", (3, 64, 64), [(32, 32), (16, 16), (8, 8), (1, 1)]),
        ("mobile-fcn", CLIP, [(64, 500), (32, 250), (16, 125), (8, 63), (4, 32), (1, 1)]),
    ],
)
def test_only_inputs_above_16384_places_are_halved_more_often(name, shape, sizes):
    assert map_sizes(name, shape) == sizes


def test_large_pictures_have_the_stem_of_imagenet_small_ones_that_of_cifar():
    assert isinstance(STUDENTS["resnet"]((3, 64, 64), 4)[3], nn.MaxPool2d)
    assert map_sizes("resnet", (3, 224, 224))[-2] == (7, 7)
    assert map_sizes("resnet", (3, 32, 32))[-2] == (4, 4)


def test_adapter_is_there_only_when_asked_for():
    without, with_adapter = (students.build_student("mlp", (4,), 2, 3, width) for width in (0, 5))
    features, logits, matched = without(torch.randn(7, 4))
    assert torch.equal(features, matched)
    assert logits.shape == (7, 3)
    assert with_adapter(torch.randn(7, 4))[2].shape == (7, 5)


def test_unknown_student_lists_the_choices():
    with pytest.raises(ValueError, match="choose one of: cnn, mlp"):
        students.build_student("vit", (1, 16, 16), 4, 10)
