"""Populations: many networks of one architecture that run and learn as one.

The parameters of m members are stacked to (m, ...) and one vmapped call computes them all. Losses are means over each
member's batch and sums over members, so every member gets exactly the gradient it would get alone;
`tests/test_population.py` compares the two.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from kdlib.training.member_chains import leading_chain
from kdlib.training.member_layers import use_member_layers


class Population:
    """Networks of one architecture with stacked parameters.

    Args:
        members: m modules that differ in their weights only, without buffers.
        device: where they live.

    Attributes:
        parameters: name -> (m, ...), leaf tensors for an optimizer.
        size: m.
        device: as given.

    Example:
        >>> population = Population([nn.Linear(2, 3) for _ in range(5)], torch.device("cpu"))
        >>> population.on_same(torch.zeros(4, 2)).shape
        torch.Size([5, 4, 3])
    """

    def __init__(self, members: Sequence[nn.Module], device: torch.device) -> None:
        stacked, buffers = stack_module_state(list(members))
        if buffers:
            raise ValueError(f"members of a population cannot carry buffers, got {', '.join(buffers)}")
        self.parameters = {name: value.detach().to(device).requires_grad_() for name, value in stacked.items()}
        self.size, self.device = len(members), device
        self._template = copy.deepcopy(members[0]).to("meta")
        network = use_member_layers(copy.deepcopy(self._template))
        self._forward, self._forward_on_same = _mapped(network), _mapped(network, in_dims=(0, None))
        self._chain, rest = leading_chain(self._template) or (None, self._template)
        self._after_chain, self._rest = _mapped(rest), [name for name, _ in rest.named_parameters()]

    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return each member's output for its own inputs, each (m, b, ...)."""
        if self._chain is None or not self._chain.fits(inputs[0]):
            return self._forward(self.parameters, *inputs)
        return self._behind(self._chain(self.parameters, inputs[0]))

    def on_same(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return each member's output for the same inputs (b, ...): faster than expanding them to (m, b, ...)."""
        if self._chain is None or not self._chain.fits(inputs):
            return self._forward_on_same(self.parameters, inputs)
        return self._behind(self._chain(self.parameters, inputs.expand(self.size, *inputs.shape)))

    def _behind(self, features: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs for features (m, b, d) of the chain that the members begin with."""
        return self._after_chain({name: self.parameters[name] for name in self._rest}, features)

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the parameters."""
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take over the parameters of `state`."""
        for name, value in self.parameters.items():
            value.copy_(state[name])

    def subset(self, members: Sequence[int]) -> "Population":
        """Return a population of some members, with copies of their parameters.

        Example:
            >>> population.subset([4, 0]).size
            2
        """
        other = copy.copy(self)
        other.parameters = {
            name: value.detach()[list(members)].requires_grad_() for name, value in self.parameters.items()
        }
        other.size = len(members)
        return other

    def member(self, index: int) -> nn.Module:
        """Return one member as an ordinary module on the CPU."""
        module = copy.deepcopy(self._template)
        module.load_state_dict(
            {name: value[index].detach().cpu().clone() for name, value in self.parameters.items()}, assign=True
        )
        return module


def _mapped(network: nn.Module, in_dims: int | tuple[int | None, ...] = 0) -> Callable[..., Any]:
    """Return a function of the parameters (m, ...) of many such networks and of their inputs."""
    return vmap(lambda parameters, *inputs: functional_call(network, parameters, inputs), in_dims=in_dims)
