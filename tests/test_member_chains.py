"""Chains of layers in C: value and gradient of torch's layers for any shapes; torch's layers where they are not."""

import copy
import shutil

import pytest
import torch
from torch import nn

from kdlib.models.students import build_student
from kdlib.training import member_chains
from kdlib.training.member_chains import is_chain, load_library
from kdlib.training.population import Population

needs_compiler = pytest.mark.skipif(load_library() is None, reason="no C compiler here")
CPU = torch.device("cpu")


def chain(channels, blocks, affine=True, bias=True):
    """Return a chain of blocks (outputs, kernel, stride, padding)."""
    layers = []
    for out, kernel, stride, padding in blocks:
        layers += [nn.Conv2d(channels, out, kernel, stride, padding, bias=bias)]
        layers += [nn.GroupNorm(1, out, affine=affine), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def members(make, count=3):
    """Return networks that differ in all their parameters."""
    torch.manual_seed(0)
    networks = [make() for _ in range(count)]
    for network in networks:
        for value in network.parameters():
            nn.init.normal_(value, 0.1, 0.5)
    return networks


def outcome(networks, inputs):
    """Return outputs of a population and the gradients of all parameters."""
    population = Population(networks, CPU)
    outputs = population(inputs)
    weights = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    (outputs * weights).sum().backward()
    return outputs.detach(), {name: value.grad for name, value in population.parameters.items()}


def alone(networks, inputs):
    """Return the same, of each network by itself, in torch and double precision."""
    networks = [copy.deepcopy(network).double() for network in networks]
    outputs = torch.stack([network(own.double()) for network, own in zip(networks, inputs, strict=True)])
    weights = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    (outputs * weights).sum().backward()
    names = [name for name, _ in networks[0].named_parameters()]
    return outputs.detach(), {
        name: torch.stack([network.get_parameter(name).grad for network in networks]) for name in names
    }


def smooth_rows(networks, rows, shape):
    """Return rows for each network at which no ReLU turns within rounding: there a gradient is none."""
    drawn = torch.randn(len(networks), 2 * rows + 8, *shape, generator=torch.Generator().manual_seed(1))
    kept = []
    for network, own in zip(networks, drawn, strict=True):
        values, clear = own.double(), torch.ones(len(own), dtype=torch.bool)
        for layer in copy.deepcopy(network).double():
            if isinstance(layer, nn.ReLU):
                clear &= values.flatten(1).abs().amin(1) > 3e-6
            values = layer(values)
        kept.append(own[clear][:rows])
    return torch.stack(kept)


@needs_compiler
@pytest.mark.parametrize("rows", [1, 16, 21, 32, 50])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("shape", "blocks", "affine", "bias"),
    [
        ((1, 16, 16), [(8, 4, 2, 1), (8, 3, 1, 1), (32, 3, 2, 1)], False, True),
        ((2, 7, 5), [(3, 3, 2, 1), (12, 3, 1, 1)], True, False),
        ((3, 9, 9), [(11, 5, 3, 2), (9, 1, 1, 0), (17, 2, 2, 0)], True, True),
        ((1, 2, 2), [(8, 3, 1, 1), (16, 3, 1, 2)], True, True),
        ((2, 4, 5), [(16, 3, 2, 1), (32, 3, 1, 1), (20, 2, 1, 0)], True, True),
    ],
)
def test_a_chain_is_what_torch_makes_of_it(shape, blocks, affine, bias, threads, rows):
    networks = members(lambda: chain(shape[0], blocks, affine, bias))
    inputs = smooth_rows(networks, rows, shape)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        outputs, gradients = outcome(networks, inputs)
    finally:
        torch.set_num_threads(before)
    expected, expected_gradients = alone(networks, inputs)
    torch.testing.assert_close(outputs.double(), expected, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, value in expected_gradients.items():
        size = value.abs().max()
        torch.testing.assert_close(gradients[name].double() / size, value / size, rtol=1e-3, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("student", ["cnn", "mel-cnn"])
def test_students_of_images_and_spectrograms_are_chains(student, monkeypatch):
    networks = members(lambda: build_student(student, (1, 16, 12), 4, 5))
    assert is_chain(networks[0].body)
    inputs = torch.randn(3, 20, 1, 16, 12)
    population = Population(networks, CPU)
    in_c = population(inputs)
    same = population.on_same(inputs[0])
    monkeypatch.setattr(member_chains, "load_library", lambda: None)
    for fast, plain in zip((*in_c, *same), (*population(inputs), *population.on_same(inputs[0])), strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)


@needs_compiler
def test_a_member_without_finite_weights_has_no_finite_features():
    networks = members(lambda: chain(1, [(8, 3, 1, 1), (8, 3, 1, 1)]))
    nn.init.constant_(networks[1][0].weight, float("nan"))
    features = Population(networks, CPU)(torch.randn(3, 16, 1, 4, 4))
    assert features[1].isnan().all()
    assert features[[0, 2]].isfinite().all()


@needs_compiler
def test_a_member_is_computed_the_same_whoever_is_beside_it():
    networks = members(lambda: build_student("cnn", (1, 16, 16), 4, 5))
    inputs = torch.randn(3, 32, 1, 16, 16)
    features, _, _ = Population(networks, CPU)(inputs)
    single, _, _ = Population(networks[1:2], CPU)(inputs[1:2])
    assert torch.equal(features[1:2], single)
    _, together = outcome([network.body for network in networks], inputs)
    weights = torch.linspace(-1, 1, 3 * 32 * 16).view(3, 32, 16)[1:2]
    population = Population([networks[1].body], CPU)
    (population(inputs[1:2]) * weights).sum().backward()
    for name, value in population.parameters.items():
        assert torch.equal(together[name][1:2], value.grad)


@needs_compiler
@pytest.mark.parametrize("student", ["cnn", "mel-cnn"])
def test_twenty_steps_are_those_of_a_plain_loop(student):
    """Of gradient descent, whose steps are as exact as its gradients."""
    networks = members(lambda: build_student(student, (1, 16, 16), 4, 5))
    for network in networks:
        for value in network.parameters():
            nn.init.normal_(value, 0, 0.2)
    rng = torch.Generator().manual_seed(2)
    population, plain = Population(networks, CPU), [copy.deepcopy(network).double() for network in networks]
    optimizers = [torch.optim.SGD(network.parameters(), 0.05) for network in plain]
    descent = torch.optim.SGD(population.parameters.values(), 0.05)
    for _ in range(20):
        inputs, labels = torch.randn(3, 24, 1, 16, 16, generator=rng), torch.randint(0, 5, (3, 24), generator=rng)
        descent.zero_grad()
        logits = population(inputs)[1]
        sum(nn.functional.cross_entropy(*pair) for pair in zip(logits, labels, strict=True)).backward()
        descent.step()
        for network, optimizer, own, known in zip(plain, optimizers, inputs, labels, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(own.double())[1], known).backward()
            optimizer.step()
    for number, network in enumerate(plain):
        for name, value in network.state_dict().items():
            torch.testing.assert_close(population.parameters[name][number].double(), value, rtol=0, atol=1e-5)


def test_other_networks_are_no_chains():
    assert not is_chain(nn.Linear(2, 2))
    assert not is_chain(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    assert not is_chain(build_student("mlp", (1, 4, 4), 2, 3).body)
    assert not is_chain(build_student("cp-resnet", (1, 16, 16), 2, 3).body)
    plain = chain(1, [(8, 3, 1, 1)])
    assert is_chain(plain)
    for number, other in ((0, nn.Conv2d(2, 8, 3, groups=2)), (1, nn.GroupNorm(2, 8)), (2, nn.GELU())):
        changed = copy.deepcopy(plain)
        changed[number] = other
        assert not is_chain(changed)
    two = chain(1, [(8, 3, 1, 1), (8, 3, 1, 1)])
    two[4].eps = 1e-3
    assert not is_chain(two), "one number for all layers"
    two[4] = nn.GroupNorm(1, 8, bias=False)
    assert not is_chain(two), "scale and shift, or neither"


@needs_compiler
def test_what_is_too_large_or_wants_a_gradient_is_left_to_torch(monkeypatch):
    monkeypatch.setattr(member_chains._Computed, "apply", lambda *_: pytest.fail("computed in C"))
    networks = members(lambda: chain(1, [(8, 3, 2, 1)]))
    population = Population(networks, CPU)
    assert population(torch.zeros(3, 2, 1, 128, 64)).shape == (3, 2, 8)
    assert population(torch.zeros(3, 2, 1, 4, 4, requires_grad=True)).requires_grad
    precise = Population([network.double() for network in networks], CPU)
    assert precise(torch.zeros(3, 2, 1, 4, 4).double()).shape == (3, 2, 8)


@pytest.fixture
def unloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    load_library.cache_clear()
    yield tmp_path
    load_library.cache_clear()


def test_without_a_compiler_or_on_request_nothing_is_compiled(unloaded, monkeypatch):
    monkeypatch.setenv(member_chains.SWITCH, "0")
    assert load_library() is None
    monkeypatch.delenv(member_chains.SWITCH)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    load_library.cache_clear()
    assert load_library() is None
    assert not list(unloaded.rglob("*.so"))


@needs_compiler
def test_a_compiler_that_fails_is_as_good_as_none(unloaded, monkeypatch):
    monkeypatch.setattr(member_chains, "FLAGS", ("-such-a-flag-is-not-known",))
    assert load_library() is None
    assert not list(unloaded.rglob("*.so"))


@needs_compiler
def test_what_others_could_have_written_is_not_loaded(unloaded):
    assert load_library() is not None
    (built,) = unloaded.rglob("*.so")
    built.chmod(0o722)
    load_library.cache_clear()
    assert load_library() is None
