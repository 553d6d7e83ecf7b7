"""The network of the built-in teachers, and how pictures of any size are brought to the one it sees."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kdlib.data.dataset import AUDIO, IMAGE, to_float
from kdlib.data.digit_sets import CANVAS

WEIGHTS = Path(__file__).parent / "weights"
BATCH = 500  # rows that are embedded at once
CHANNELS = 128  # of the encoder's last layer
WIDTH = 2 * CHANNELS  # d_t
SIZES = {IMAGE: CANVAS, AUDIO: 2 * CANVAS}  # modality -> pixels, or mel bands and frames, of what an encoder sees


class Encoder(nn.Module):
    """The built-in teachers' network: (b, 1, size, size) -> (b, 256), about 240,000 parameters.

    The embedding is mean and maximum over the 4 x 4 places.

    Args:
        size: 16 or 32.
    """

    def __init__(self, size: int = CANVAS) -> None:
        super().__init__()
        self.size = size

        def block(wide: int, out: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(wide, out, 3, stride=stride, padding=1), nn.GroupNorm(4, out), nn.ReLU()]

        self.trunk = nn.Sequential(
            *block(1, 32, size // CANVAS),  # (b, 32, 16, 16)
            *block(32, 64, 2),  # (b, 64, 8, 8)
            *block(64, 128, 2),
            *block(128, CHANNELS, 1),  # (b, 128, 4, 4)
        )

    def forward(self, images: Tensor) -> Tensor:
        places = self.trunk(images)
        return torch.cat([places.mean((2, 3)), places.amax((2, 3))], dim=1)


def to_canvas(inputs: np.ndarray, size: int = CANVAS) -> Tensor:
    """Return pictures (n, c, h, w) of any size as grey (n, 1, size, size): small ones padded, large ones shrunk."""
    images = torch.from_numpy(to_float(inputs)).mean(1, keepdim=True)
    height, width = images.shape[-2:]
    if max(height, width) > size:
        images = nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        height = width = size
    top, left = (size - height) // 2, (size - width) // 2
    return nn.functional.pad(images, (left, size - width - left, top, size - height - top))


@torch.no_grad()
def encode(encoder: Encoder, inputs: np.ndarray) -> np.ndarray:
    """Return the encoder's embeddings (n, d_t) of pictures (n, c, h, w)."""
    parts = [encoder(to_canvas(inputs[start : start + BATCH], encoder.size)) for start in range(0, len(inputs), BATCH)]
    return torch.cat(parts).numpy()
