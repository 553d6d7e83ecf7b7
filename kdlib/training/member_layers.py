"""Layers of a population: where vmap's own way of mapping a layer over members is slow, a faster one.

The maps of all members lie side by side as channels, (b, m · c, h, w), as one wide network in groups would have them.
vmap does so for convolutions only, and between them puts members first and back again: copies of every map.
`tests/test_population.py` compares the whole with each member alone.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 16  # places of a map up to which torch's group normalisation is slow: it loops over places

NARROW = 3  # channels that an output sees (first layers, depthwise) up to which maps with channels last are faster


def use_member_layers(network: nn.Module) -> nn.Module:
    """Return the network, its layers of the kinds that are here in their faster form. Names of parameters stay.

    Example:
        >>> type(use_member_layers(nn.GroupNorm(1, 4))).__name__
        'MemberGroupNorm'
    """
    for module in network.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = MemberGroupNorm
        elif type(module) is nn.Conv2d and module.padding_mode == "zeros":
            module.__class__ = MemberConv2d
        elif type(module) is nn.AdaptiveAvgPool2d and module.output_size == 1:
            module.__class__ = MemberMean
    return network


class MemberConv2d(nn.Conv2d):
    """Convolution whose bias is added where it is computed, not in a pass of its own over all maps."""

    def forward(self, input: Tensor) -> Tensor:
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        return _Convolution.apply(input, self.weight, self.bias, *geometry)


class MemberGroupNorm(nn.GroupNorm):
    """Group normalisation."""

    def forward(self, input: Tensor) -> Tensor:
        return _GroupNorm.apply(input, self.weight, self.bias, self.num_groups, self.eps)


class MemberMean(nn.AdaptiveAvgPool2d):
    """Mean over the places of a map, (..., h, w) -> (..., 1, 1)."""

    def forward(self, input: Tensor) -> Tensor:
        return input.mean((-1, -2), keepdim=True)


class _Mapped(torch.autograd.Function):
    """An operation that says itself how it is mapped over members; what it then computes has gradients as usual."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Store nothing: a population computes under vmap only."""


class _Convolution(_Mapped):
    """(b, c, h, w) -> (b, out, h', w')."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
        return functional.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        x, weight, bias, stride, padding, dilation, groups = arguments
        members = info.batch_size
        if in_dims[0] is not None:
            x, groups = _merge(x, in_dims[0]), members * groups
        elif groups > 1:
            x, groups = x.repeat(1, members, 1, 1), members * groups
        layout = torch.channels_last if weight.shape[2] <= NARROW else torch.contiguous_format
        x, bias = x.contiguous(memory_format=layout), bias if bias is None else bias.flatten()
        outputs = functional.conv2d(x, weight.flatten(0, 1), bias, stride, padding, dilation, groups)
        return outputs.unflatten(1, (members, -1)), 1


class _GroupNorm(_Mapped):
    """(b, c, ...) normalised per row and group."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float) -> Tensor:
        return functional.group_norm(x, groups, weight, bias, eps)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        x, weight, bias, groups, eps = arguments
        maps = _merge(x, in_dims[0]) if in_dims[0] is not None else x.repeat(1, info.batch_size, *[1] * (x.ndim - 2))
        places = maps[0, 0].numel()
        if groups == 1 and 1 < places <= SMALL and maps.is_contiguous():
            maps = _normalise_rows(maps.unflatten(1, (info.batch_size, -1)), weight, bias, eps)
        else:
            weight, bias = (each if each is None else each.flatten() for each in (weight, bias))
            maps = functional.group_norm(maps, info.batch_size * groups, weight, bias, eps)
        return maps.unflatten(1, (info.batch_size, -1)), 1


def _merge(x: Tensor, dim: int) -> Tensor:
    """Return what the members have, as channels side by side: (b, m · c, ...). `dim`: where members are."""
    return x.movedim(dim, 1).flatten(1, 2)


def _normalise_rows(maps: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Return maps (b, m, c, ...) normalised over all but b and m, as (b, m · c, ...)."""
    rows = maps.flatten(2)  # (b, m, c · places)
    rows = functional.layer_norm(rows, rows.shape[2:], eps=eps)
    if weight is not None and bias is not None:
        places = rows.shape[2] // maps.shape[2]
        rows = torch.addcmul(bias.repeat_interleave(places, -1), rows, weight.repeat_interleave(places, -1))
    return rows.reshape(len(maps), -1, *maps.shape[3:])
