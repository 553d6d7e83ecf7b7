"""Students: the small networks that learn the target task.

A builder maps an input shape and a width to a module `(b, ...) -> (b, d_s)` that tells its d_s as `features`. No running statistics
(GroupNorm, not BatchNorm), so that many students train as one under `torch.vmap`. To add one, write the builder and give it a line in
`STUDENTS`; `tests/test_students.py` runs the contract over every entry.
"""

from collections.abc import Callable
from math import prod

from torch import Tensor, nn

from kdlib.registry import choose

InputShape = tuple[int, ...]


class Student(nn.Module):
    """A student as it is trained: body, head and, for pointwise losses, an adapter.

    Args:
        body: (b, ...) -> (b, d_s), with its d_s as `features`.
        classes: k.
        adapter_width: d_c of the target where a pointwise loss compares entry by entry; 0 for no adapter.
    """

    def __init__(self, body: nn.Module, classes: int, adapter_width: int = 0) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.features, classes)
        self.adapter = nn.Linear(body.features, adapter_width) if adapter_width else nn.Identity()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (b, d_s), logits (b, k) and what the distance loss sees: the features, adapted where there is an adapter."""
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
        layers.extend([nn.Conv2d(wide, out, kernel, stride=stride, padding=1), nn.GroupNorm(1, out, affine=False), nn.ReLU()])

    block(channels, width, 4, 2)
    block(width, width, 3, 1)
    wide, longest = width, max(size) // 2
    while longest > 4:
        block(wide, 4 * width, 3, 2)
        wide, longest = 4 * width, longest // 2
    if wide == width:  # an image that small has no place left to halve
        block(width, 4 * width, 3, 1)
    return Body([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], features=4 * width)


def mlp(input_shape: InputShape, width: int) -> Body:
    """Two fully connected layers, for inputs of any shape.

    Args:
        input_shape: of one input; it is flattened.
        width: d_s is four times that, as in `cnn`.
    """
    hidden = 4 * width
    layers = [nn.Flatten(), nn.Linear(prod(input_shape), hidden), nn.GroupNorm(1, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return Body(layers, features=hidden)


STUDENTS: dict[str, Callable[[InputShape, int], Body]] = {"cnn": cnn, "mlp": mlp}
ANY_SHAPE = {"mlp"}  # the others take (channels, height, width)


def fitting(input_shape: InputShape) -> dict[str, Callable[[InputShape, int], Body]]:
    """Return the students that can take inputs of that shape."""
    return {name: build for name, build in STUDENTS.items() if len(input_shape) == 3 or name in ANY_SHAPE}


def build(name: str, input_shape: InputShape, width: int, classes: int, adapter_width: int = 0) -> Student:
    """Return an untrained student. Its weights come from torch's global generator: seed it around the call."""
    return Student(choose(STUDENTS, name, "student")(input_shape, width), classes, adapter_width)
