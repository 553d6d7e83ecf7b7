"""Chains of convolution, normalisation and ReLU of all members, in C: half of the time that torch needs for small maps.

Libraries for convolutions work on many channels at once; the members of a population have eight to some dozens each.
`member_chains.c` works on many rows of a batch at once instead, and one member passes through all layers before the
next, so that its maps stay in the cache. It is compiled when it is first needed, in a second or two, and kept in the
data folder. Where there is no compiler, or `KDLIB_NATIVE=0`, torch's layers do the same.
`tests/test_member_chains.py` compares the two.
"""

import copy
import ctypes
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdlib.cache import atomic_path, home

SOURCE = Path(__file__).with_suffix(".c")
SWITCH = "KDLIB_NATIVE"  # environment variable: "0" leaves everything to torch
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast", "-shared", "-fPIC")
COMPILERS = ("cc", "gcc", "clang")
COMPILE_SECONDS = 120
LANES = 16  # rows that are computed at once
MOST_PLACES, MOST_CHANNELS = 2**12, 128  # of an input, and of a layer, up to which this is the faster way


class Layer(NamedTuple):
    """A convolution, as `layer` in the C source."""

    channels: int
    height: int
    width: int
    out: int
    kernel: int
    stride: int
    padding: int
    out_height: int
    out_width: int


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL | None:
    """Return the compiled source, compiling it if need be; None where that cannot be.

    Example:
        >>> load_library() is not None
        True
    """
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if os.environ.get(SWITCH) == "0" or compiler is None or os.name != "posix":
        return None
    try:
        path = home() / "cache" / "native" / f"{_key(compiler)}.so"
        if not path.exists():
            with atomic_path(path) as temporary:
                command = [compiler, *FLAGS, "-x", "c", str(SOURCE), "-o", str(temporary), "-lm"]
                subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
                temporary.chmod(0o700)
        about = path.stat()
        if about.st_uid != os.getuid() or about.st_mode & 0o022:  # somebody else may have written it
            return None
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


def _key(compiler: str) -> str:
    """Return a name for what comes of the source here: another processor takes other instructions."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, timeout=10).stdout
    cpu = Path("/proc/cpuinfo")
    flags = (
        next((line for line in cpu.read_text().splitlines() if line.startswith("flags")), "") if cpu.exists() else ""
    )
    parts = [SOURCE.read_bytes(), version, platform.machine().encode(), flags.encode(), " ".join(FLAGS).encode()]
    return sha256(b"\0".join(parts)).hexdigest()[:24]


def is_chain(module: nn.Module) -> bool:
    """Return whether a module is convolutions with normalisation over all maps and ReLU, then a mean over the places.

    Example:
        >>> is_chain(build_student("cnn", (1, 16, 16), 8, 10).body)
        True
    """
    if not isinstance(module, nn.Sequential):
        return False
    *blocks, mean, flat = [*module] if len(module) > 2 else [nn.Identity()] * 3
    if len(blocks) % 3 or not isinstance(mean, nn.AdaptiveAvgPool2d) or mean.output_size != 1:
        return False
    if not (isinstance(flat, nn.Flatten) and all(map(_is_block, blocks[::3], blocks[1::3], blocks[2::3]))):
        return False
    return len({norm.eps for norm in blocks[1::3]}) == 1


def _is_block(convolution: nn.Module, norm: nn.Module, relu: nn.Module) -> bool:
    if not (isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.GroupNorm) and isinstance(relu, nn.ReLU)):
        return False
    square = all(len(set(each)) == 1 for each in (convolution.kernel_size, convolution.stride, convolution.padding))
    plain = convolution.groups == 1 and set(convolution.dilation) == {1} and convolution.padding_mode == "zeros"
    whole = norm.num_groups == 1 and (norm.weight is None) == (norm.bias is None)
    return square and plain and whole and convolution.out_channels <= MOST_CHANNELS


class MemberChain:
    """The chain that all members of a population begin with.

    Args:
        blocks: what `is_chain` holds of, of one member.
        prefix: of the names of its parameters, "body." or nothing.
    """

    def __init__(self, blocks: nn.Module, prefix: str) -> None:
        *self._blocks, _, _ = blocks.children()
        self._names = [f"{prefix}{number}.{kind}" for number in range(len(self._blocks)) for kind in ("weight", "bias")]

    def fits(self, inputs: Tensor) -> bool:
        """Return whether the compiled source computes it for maps (..., c, h, w), and is there."""
        small = inputs.ndim >= 4 and inputs.shape[-1] * inputs.shape[-2] <= MOST_PLACES
        plain = inputs.device.type == "cpu" and inputs.dtype == torch.float32 and not inputs.requires_grad
        return small and plain and load_library() is not None

    def __call__(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Return features (m, b, d) of maps (m, b, c, h, w), with the parameters (m, ...) of a population."""
        values = [parameters.get(name) for name in self._names]
        chosen = [value for place in range(0, len(values), 6) for value in values[place : place + 4]]
        chosen = [value if value is None else value.contiguous() for value in chosen]  # C reads them by their address
        rows = inputs.shape[1]
        maps = inputs.permute(0, 2, 3, 4, 1)
        if rows % LANES:
            maps = nn.functional.pad(maps, (0, LANES - rows % LANES))
        layers = layers_of(self._blocks[::3], inputs.shape[2:])
        return _Computed.apply(maps.contiguous(), layers, self._blocks[1].eps, *chosen)[:, :rows]


def leading_chain(network: nn.Module) -> tuple[MemberChain, nn.Module] | None:
    """Return the chain that a network or its `body` is, and what follows it; None where it is none.

    Example:
        >>> leading_chain(nn.Linear(2, 3)) is None
        True
    """
    if is_chain(network):
        return MemberChain(network, ""), nn.Identity()
    body = getattr(network, "body", None)
    if not (isinstance(body, nn.Module) and is_chain(body)):
        return None
    rest = copy.deepcopy(network)
    rest.body = nn.Identity()
    return MemberChain(body, "body."), rest


def layers_of(convolutions: Sequence[Any], shape: Sequence[int]) -> tuple[Layer, ...]:
    """Return what the C source has to know of convolutions that follow one another, from maps of shape (c, h, w)."""
    channels, height, width = shape
    layers = []
    for each in convolutions:
        kernel, stride, padding = each.kernel_size[0], each.stride[0], each.padding[0]
        out_height, out_width = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
        layers.append(Layer(channels, height, width, each.out_channels, kernel, stride, padding, out_height, out_width))
        channels, height, width = each.out_channels, out_height, out_width
    return tuple(layers)


class _Computed(torch.autograd.Function):
    """Maps (m, c, h, w, b) to features (m, b, d) by the compiled source, b a multiple of `LANES`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: tuple[Layer, ...], eps: float, *parameters: Tensor | None) -> Tensor:
        members, rows = x.shape[0], x.shape[-1]
        normalised = [x.new_empty(members, each.out, each.out_height * each.out_width, rows) for each in layers]
        outputs, spreads = [torch.empty_like(each) for each in normalised], [x.new_empty(members, rows) for _ in layers]
        library = load_library()
        assert library is not None
        sizes = torch.tensor(layers)
        kinds = [parameters[kind::4] for kind in range(4)]
        arrays = [*kinds, normalised, spreads, outputs]
        _for_members(
            members,
            lambda first, count: library.chain_forward(
                *_integers(count, rows, len(layers)), _pointer(sizes), ctypes.c_float(eps), _pointer(x, first),
                *(_pointers(each, first) for each in arrays),
            ),
        )  # fmt: skip
        ctx.layers, ctx.sizes = layers, sizes
        ctx.known = [each is not None for each in parameters]
        given = [each for each in parameters if each is not None]
        ctx.save_for_backward(x, *given, *normalised, *spreads, *outputs)
        return outputs[-1].mean(2).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        count, saved = len(ctx.layers), iter(ctx.saved_tensors)
        x = next(saved)
        parameters = [next(saved) if known else None for known in ctx.known]
        normalised, spreads, outputs = ([next(saved) for _ in range(count)] for _ in range(3))
        gradient = gradient.transpose(1, 2).contiguous()
        own = [None if each is None else torch.empty_like(each) for each in parameters]
        library = load_library()
        assert library is not None
        library.chain_backward.restype = ctypes.c_int64
        arrays = [parameters[0::4], parameters[2::4], normalised, spreads, outputs]
        gradients = [own[kind::4] for kind in range(4)]
        done = _for_members(
            x.shape[0],
            lambda first, members: library.chain_backward(
                *_integers(members, x.shape[-1], count), _pointer(ctx.sizes), _pointer(x, first),
                *(_pointers(each, first) for each in arrays), _pointer(gradient, first),
                *(_pointers(each, first) for each in gradients),
            ),
        )  # fmt: skip
        if not all(done):
            raise MemoryError("no memory for the gradients of a convolution; take a smaller batch")
        return None, None, None, *own


def _for_members(members: int, compute: Callable[[int, int], int]) -> list[int]:
    """Call with the first and the number of some members, until all are done: by as many threads as torch has."""
    threads = min(torch.get_num_threads(), members)
    if threads == 1:
        return [compute(0, members)]
    ends = [members * (number + 1) // threads for number in range(threads)]
    starts = [0, *ends[:-1]]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda start, end: compute(start, end - start), starts, ends))


def _integers(*values: int) -> list[ctypes.c_int64]:
    return [ctypes.c_int64(value) for value in values]


def _pointer(values: Tensor, first: int = 0) -> ctypes.c_void_p:
    """Return where the entry `first` of the leading axis begins."""
    return ctypes.c_void_p(values.data_ptr() + first * values[:1].numel() * values.element_size())


def _pointers(values: Sequence[Tensor | None], first: int) -> ctypes.Array:
    return (ctypes.c_void_p * len(values))(*(None if each is None else _pointer(each, first) for each in values))
