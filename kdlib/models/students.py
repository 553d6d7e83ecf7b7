"""Students: the small networks that learn the target task.

A builder maps an input shape and a width to a module `(b, ...) -> (b, d_s)` with its d_s as attribute `features`. No
running statistics (GroupNorm, not BatchNorm), so that many students train as one under `torch.vmap`. To add one, write
the builder and give it a line in `STUDENTS`; one with a parameter `depth` has a depth dial. `tests/test_students.py`
runs the contract over every entry.
"""

from collections.abc import Callable
from inspect import signature
from math import prod

from torch import Tensor, nn

from kdlib.models.projectors import Widths, build_adapter
from kdlib.registry import lookup

InputShape = tuple[int, ...]
PLACES = 16_384  # pixels, or mel bands times frames, from which students for spectrograms halve their maps more often


class Student(nn.Module):
    """A student as it is trained: body, head and, for pointwise losses, an adapter of its features to the target.

    Args:
        body: (b, ...) -> (b, d_s), with its d_s as `features`.
        classes: k.
        adapter_width: d_c of the target where a pointwise loss compares entry by entry, of several separate teachers
            one each; 0 for no adapter.
        projector: what the adapter is, a name in `PROJECTORS`.
    """

    def __init__(self, body: "Body", classes: int, adapter_width: Widths = 0, projector: str = "linear") -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.features, classes)
        self.adapter = build_adapter(projector, body.features, adapter_width)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (b, d_s), logits (b, k) and the features as the distance loss sees them."""
        features = self.body(inputs)
        return features, self.head(features), self.adapter(features)


class Body(nn.Sequential):
    """Layers that know how wide their output is."""

    def __init__(self, layers: list[nn.Module], features: int) -> None:
        super().__init__(*layers)
        self.features = features


def cnn(input_shape: InputShape, width: int) -> Body:
    """Small convolutional network for images: strided convolutions until 4 x 4, then a mean over the places.

    Args:
        input_shape: (channels, height, width) of one image.
        width: channels after the first layer; d_s is four times that.
    """
    channels, *size = input_shape
    layers: list[nn.Module] = []

    def block(wide: int, out: int, kernel: int, stride: int) -> None:
        layers.extend(
            [nn.Conv2d(wide, out, kernel, stride=stride, padding=1), nn.GroupNorm(1, out, affine=False), nn.ReLU()]
        )

    block(channels, width, 4, 2)
    block(width, width, 3, 1)
    wide, longest = width, max(size) // 2
    while longest > 4:
        block(wide, 4 * width, 3, 2)
        wide, longest = 4 * width, longest // 2
    if wide == width:  # an image that small has no place left to halve
        block(width, 4 * width, 3, 1)
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=4 * width)


def mel_cnn(input_shape: InputShape, width: int) -> Body:
    """Convolutional network for spectrograms, from 10 thousand to 1 million parameters by its width.

    Four times half as many mel bands and frames, where there are that many. Width 3 gives 9,000 parameters, 4 gives
    15,000, 10 gives 96,000, 32 gives 980,000; d_s is eight times the width.

    Args:
        input_shape: (channels, mels, frames) of one spectrogram.
        width: channels after the first layer.
    """
    layers: list[nn.Module] = []
    wide = input_shape[0]
    for number, out in enumerate((width, 2 * width, 4 * width, 8 * width)):
        layers += [*_convolution(wide, out, 3, stride=2 if min(input_shape[1:]) >> number > 2 else 1), nn.ReLU()]
        wide = out
    layers += [*_convolution(wide, wide, 3), nn.ReLU()]
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=wide)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut: (b, wide, h, w) -> (b, out, h, w)."""

    def __init__(self, wide: int, out: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        first, second = kernels
        self.way = nn.Sequential(*_convolution(wide, out, first), nn.ReLU(), *_convolution(out, out, second))
        self.shortcut = nn.Identity() if wide == out else nn.Conv2d(wide, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.way(x) + self.shortcut(x))


def cp_resnet(input_shape: InputShape, width: int) -> Body:
    """Residual network whose view is kept narrow, after CP-ResNet: late layers look at single places only.

    Source: Koutini et al. 2021, Receptive Field Regularization for Deep Audio CNNs; a student of Ding & Lerch 2023.
    Differs: four residual blocks instead of twelve, GroupNorm. Above 16,384 places (128 mel bands x 1,000 frames) it
    averages 2 x 2 places before more of its blocks, so that the late layers see maps of the usual size.

    Args:
        input_shape: (channels, mels, frames) of one spectrogram.
        width: channels of the first blocks; d_s is four times that.
    """
    extra = _extra_halvings(input_shape)
    halved = (extra > 0, min(input_shape[1:]) >= 8, extra > 1, extra > 2)  # before each block
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, 5, stride=2), nn.ReLU()]
    wide = width
    for out, kernels, pooled in zip((1, 2, 4, 4), ((3, 1), (3, 3), (3, 1), (1, 1)), halved, strict=True):
        layers += [*([nn.AvgPool2d(2)] if pooled else []), _Residual(wide, out * width, kernels)]
        wide = out * width
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=4 * width)


def mobile_fcn(input_shape: InputShape, width: int) -> Body:
    """Fully convolutional network of depthwise separable convolutions, like MobileNets: few multiply-adds for its size.

    Source: Howard et al. 2017, MobileNets; a small fully convolutional network is a student of Ding & Lerch 2023.
    Differs: GroupNorm, no inverted bottlenecks. Above 16,384 places (128 mel bands x 1,000 frames) more of its blocks
    halve the map.

    Args:
        input_shape: (channels, mels, frames) of one spectrogram.
        width: channels after the first layer; d_s is eight times that.
    """
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, 3, stride=2), nn.ReLU()]
    wide = width
    for number, out in enumerate((2 * width, 4 * width, 8 * width, 8 * width)):
        halved = number < 2 + _extra_halvings(input_shape) and min(input_shape[1:]) >> number > 4
        layers += [
            *_convolution(wide, wide, 3, stride=2 if halved else 1, groups=wide),
            nn.ReLU(),
            *_convolution(wide, out, 1),
            nn.ReLU(),
        ]
        wide = out
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=wide)


def _extra_halvings(input_shape: InputShape) -> int:
    """Return how often both sides of an input (channels, height, width) are halved until it has `PLACES` or fewer."""
    halvings, places = 0, prod(input_shape[1:])
    while places > PLACES:
        halvings, places = halvings + 1, places // 4
    return halvings


class _BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: (b, wide, h, w) -> (b, out, h / stride, w / stride)."""

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(*_convolution(wide, out, 3, stride), nn.ReLU(), *_convolution(out, out, 3))
        projected = stride > 1 or wide != out
        self.shortcut = nn.Sequential(*_convolution(wide, out, 1, stride)) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.way(x) + self.shortcut(x))


def resnet(input_shape: InputShape, width: int, depth: int = 1) -> Body:
    """Residual network of four stages, like torchvision's ResNets, with a depth dial: for photographs.

    Depth 2 and width 64 are a ResNet-18, depth 1 a ResNet-10. Pictures under 64 pixels have the stem that He et al. use
    for CIFAR: one 3 x 3 convolution instead of a 7 x 7 of stride 2 and pooling.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, table 1. Differs: GroupNorm (Wu & He 2018)
    instead of BatchNorm, all stages equally deep.

    Args:
        input_shape: (channels, height, width) of one picture.
        width: channels of the first stage; d_s is eight times that.
        depth: blocks per stage.
    """
    large = min(input_shape[1:]) >= 64
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, *((7, 2) if large else (3, 1))), nn.ReLU()]
    layers += [nn.MaxPool2d(3, stride=2, padding=1)] if large else []
    wide = width
    for stage in range(4):
        out = width * 2**stage
        for block in range(depth):
            layers.append(_BasicBlock(wide, out, stride=2 if stage and not block else 1))
            wide = out
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=wide)


def _convolution(wide: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps (or halves) the size, and what normalises it."""
    return [nn.Conv2d(wide, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.GroupNorm(1, out)]


def mlp(input_shape: InputShape, width: int) -> Body:
    """Two fully connected layers, for inputs of any shape.

    Args:
        input_shape: of one input; it is flattened.
        width: d_s is four times that, as in `cnn`.
    """
    hidden = 4 * width
    layers = [
        nn.Flatten(),
        nn.Linear(prod(input_shape), hidden),
        nn.GroupNorm(1, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
    ]
    return Body(layers, features=hidden)


STUDENTS: dict[str, Callable[..., Body]] = {
    "cnn": cnn,
    "mlp": mlp,
    "mel-cnn": mel_cnn,
    "cp-resnet": cp_resnet,
    "mobile-fcn": mobile_fcn,
    "resnet": resnet,
}
ANY_SHAPE = {"mlp"}  # the others take (channels, height, width)


def compatible_students(input_shape: InputShape) -> list[str]:
    """Return the names of the students that can take inputs of that shape."""
    return [name for name in STUDENTS if len(input_shape) == 3 or name in ANY_SHAPE]


def build_student(
    name: str,
    input_shape: InputShape,
    width: int,
    classes: int,
    adapter_width: Widths = 0,
    depth: int = 1,
    projector: str = "linear",
) -> Student:
    """Return an untrained student. Its weights come from torch's global generator: seed it around the call.

    `depth` counts for students that have such a dial; the others do without.

    Example:
        >>> build_student("cnn", (1, 16, 16), width=8, classes=10)(torch.zeros(2, 1, 16, 16))[1].shape
        torch.Size([2, 10])
    """
    build = lookup(STUDENTS, name, "student")
    dials = {"depth": depth} if "depth" in signature(build).parameters else {}
    return Student(build(input_shape, width, **dials), classes, adapter_width, projector)
