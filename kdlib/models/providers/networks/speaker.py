"""A speaker encoder: recordings of one person lie near one another, whatever is said.

Source: Wan, Wang, Papir, Lopez Moreno 2018, Generalized end-to-end loss for speaker verification, arXiv 1710.10467;
weights and preprocessing as in resemblyzer 0.1.4. Differs: long silences are not cut out.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import fft
from scipy.signal import get_window
from torch import Tensor, nn

from kdlib.data.dataset import Dataset
from kdlib.models.providers.waves import listen_at
from kdlib.models.teacher import EmbedRows

RATE, SPECTRUM, HOP, MELS = 16000, 400, 160, 40  # Hz, samples of 25 ms, samples of 10 ms, bands
WINDOW, WINDOWS_PER_SECOND, COVERAGE = 160, 1.3, 0.75  # frames; a last window must be filled to this share
QUIETEST = 10 ** (-30 / 20)  # root mean square to which quieter recordings are amplified
WIDTH = 256


class SpeakerEncoder(nn.Module):
    """Mel spectrograms (b, frames, 40) to points (b, 256) of unit length, no entry below 0."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, mels: Tensor) -> Tensor:
        """Return embeddings (b, 256) of mel spectrograms (b, frames, 40)."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=1)


def load_network(weights: Path) -> SpeakerEncoder:
    """Return the network of the file of resemblyzer, ready to evaluate."""
    state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    network = SpeakerEncoder()
    network.load_state_dict({key: value for key, value in state.items() if not key.startswith("similarity_")})
    return network.eval()


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    """Return frequencies of Slaney's mel scale: even steps up to 1 kHz, even ratios above."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache
def mel_filters() -> np.ndarray:
    """Return triangular filters (201, 40) from 0 to 8 kHz, each of area 1 in Hz, float32."""
    highest = 15 + 27 * np.log(RATE / 2 / 1000) / np.log(6.4)
    edges = _to_hertz(np.linspace(0, highest, MELS + 2))
    bins = np.fft.rfftfreq(SPECTRUM, 1 / RATE)[:, None]
    rising, falling = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return (np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


def mel_power(wave: np.ndarray) -> np.ndarray:
    """Return the power in 40 mel bands around every 160th sample of a wave at 16 kHz, (frames, 40) float32."""
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(wave, SPECTRUM // 2), SPECTRUM)[::HOP]
    spectra = np.asarray(fft.rfft(framed * np.asarray(get_window("hann", SPECTRUM), np.float32), axis=1))
    return np.square(np.abs(spectra)).astype(np.float32) @ mel_filters()


def cut_windows(wave: np.ndarray) -> np.ndarray:
    """Return the overlapping windows (w, 160, 40) of a recording at 16 kHz, at least one; the last is padded."""
    loudness = float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
    if 0 < loudness < QUIETEST:
        wave = wave * (QUIETEST / loudness)
    step = round(RATE / WINDOWS_PER_SECOND / HOP)
    frames = -(-(len(wave) + 1) // HOP)
    starts = list(range(0, max(1, frames - WINDOW + step + 1), step))
    if len(starts) > 1 and (len(wave) - starts[-1] * HOP) / (WINDOW * HOP) < COVERAGE:
        starts.pop()
    mels = mel_power(np.pad(wave, (0, max(0, (starts[-1] + WINDOW) * HOP - len(wave)))))
    return np.stack([mels[start : start + WINDOW] for start in starts])


def load(weights: Path) -> EmbedRows:
    """Return the function that embeds recordings: the mean of their windows, scaled to unit length, 256 wide."""
    network = load_network(weights)

    @torch.inference_mode()
    def embed_rows(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
        windows = [cut_windows(listen_at(dataset, int(row), RATE)) for row in rows]
        points = network(torch.from_numpy(np.concatenate(windows)))
        means = torch.stack([part.mean(0) for part in points.split([len(each) for each in windows])])
        return nn.functional.normalize(means, dim=1).numpy()

    return embed_rows
