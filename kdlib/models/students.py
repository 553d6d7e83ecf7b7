"""Students: the small networks that learn the target task.

A builder maps an input shape and a width to a module `(b, ...) -> (b, d_s)` with its d_s as attribute `features`. No
running statistics (GroupNorm, not BatchNorm), so that many students train as one under `torch.vmap`. To add one, write
the builder and give it a line in `STUDENTS`; `tests/test_students.py` runs the contract over every entry.
"""

from collections.abc import Callable
from math import prod

from torch import Tensor, nn

from kdlib.registry import lookup

InputShape = tuple[int, ...]


class Student(nn.Module):
    """A student as it is trained: body, head and, for pointwise losses, an adapter.

    Args:
        body: (b, ...) -> (b, d_s), with its d_s as `features`.
        classes: k.
        adapter_width: d_c of the target where a pointwise loss compares entry by entry; 0 for no adapter.
    """

    def __init__(self, body: "Body", classes: int, adapter_width: int = 0) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.features, classes)
        self.adapter = nn.Linear(body.features, adapter_width) if adapter_width else nn.Identity()

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
    Differs: four residual blocks instead of twelve, GroupNorm.

    Args:
        input_shape: (channels, mels, frames) of one spectrogram.
        width: channels of the first blocks; d_s is four times that.
    """
    pool = [nn.AvgPool2d(2)] if min(input_shape[1:]) >= 8 else []
    layers = [
        *_convolution(input_shape[0], width, 5, stride=2), nn.ReLU(), _Residual(width, width, (3, 1)), *pool,
        _Residual(width, 2 * width, (3, 3)), _Residual(2 * width, 4 * width, (3, 1)),
        _Residual(4 * width, 4 * width, (1, 1)),
    ]  # fmt: skip
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=4 * width)


def mobile_fcn(input_shape: InputShape, width: int) -> Body:
    """Fully convolutional network of depthwise separable convolutions, like MobileNets: few multiply-adds for its size.

    Source: Howard et al. 2017, MobileNets; a small fully convolutional network is a student of Ding & Lerch 2023.
    Differs: GroupNorm, no inverted bottlenecks.

    Args:
        input_shape: (channels, mels, frames) of one spectrogram.
        width: channels after the first layer; d_s is eight times that.
    """
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, 3, stride=2), nn.ReLU()]
    wide = width
    for number, out in enumerate((2 * width, 4 * width, 8 * width, 8 * width)):
        halved = number < 2 and min(input_shape[1:]) >> number > 4
        layers += [
            *_convolution(wide, wide, 3, stride=2 if halved else 1, groups=wide),
            nn.ReLU(),
            *_convolution(wide, out, 1),
            nn.ReLU(),
        ]
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


STUDENTS: dict[str, Callable[[InputShape, int], Body]] = {
    "cnn": cnn,
    "mlp": mlp,
    "mel-cnn": mel_cnn,
    "cp-resnet": cp_resnet,
    "mobile-fcn": mobile_fcn,
}
ANY_SHAPE = {"mlp"}  # the others take (channels, height, width)


def compatible_students(input_shape: InputShape) -> list[str]:
    """Return the names of the students that can take inputs of that shape."""
    return [name for name in STUDENTS if len(input_shape) == 3 or name in ANY_SHAPE]


def build_student(name: str, input_shape: InputShape, width: int, classes: int, adapter_width: int = 0) -> Student:
    """Return an untrained student. Its weights come from torch's global generator: seed it around the call.

    Example:
        >>> build_student("cnn", (1, 16, 16), width=8, classes=10)(torch.zeros(2, 1, 16, 16))[1].shape
        torch.Size([2, 10])
    """
    return Student(lookup(STUDENTS, name, "student")(input_shape, width), classes, adapter_width)
