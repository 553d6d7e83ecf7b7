"""Basic Pitch: which notes sound in a piece of music, and when.

Source: Bittner, Bosch, Rubinstein, Meseguer-Brocal, Ewert 2022, A lightweight instrument-agnostic model for polyphonic
note transcription and multipitch estimation, arXiv 2203.09893; the ONNX file of basic-pitch 0.4.0. The embedding is the
last hidden layer of the notes, 32 channels for each of 88 piano keys, averaged over time and over 8 keys at a time.
Differs: windows of 2 s do not overlap.
"""

from pathlib import Path

import numpy as np

from kdlib.models.providers.networks.sessions import open_cut_session
from kdlib.models.providers.waves import listen_at
from kdlib.models.teacher import EmbedRows

RATE, WINDOW, HOP = 22050, 43844, 256  # Hz, samples, samples to a frame
HIDDEN = "Relu__42:0"  # (w, 32, 172, 88): channels, frames, piano keys
KEYS = 8  # averaged together


def cut_windows(wave: np.ndarray) -> np.ndarray:
    """Return windows (w, 43844, 1) of a recording at 22.05 kHz, at least one; silence fills up the last."""
    count = max(1, -(-len(wave) // WINDOW))
    return np.pad(wave, (0, count * WINDOW - len(wave))).reshape(count, WINDOW, 1)


def load(weights: Path) -> EmbedRows:
    """Return the function that embeds recordings, 352 wide."""
    session = open_cut_session(weights, HIDDEN)
    name = session.get_inputs()[0].name

    def embed_one(wave: np.ndarray) -> np.ndarray:
        hidden = [np.asarray(session.run(None, {name: window[None]})[0])[0] for window in cut_windows(wave)]
        # What fills up the last window does not count.
        hidden[-1] = hidden[-1][:, : max(1, -(-(len(wave) - (len(hidden) - 1) * WINDOW) // HOP))]
        pooled = np.concatenate(hidden, axis=1).mean(axis=1)  # (32, 88)
        return pooled.reshape(len(pooled), -1, KEYS).mean(axis=2).ravel()

    return lambda dataset, rows: np.stack([embed_one(listen_at(dataset, int(row), RATE)) for row in rows])
