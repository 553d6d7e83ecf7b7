"""PP-OCR's reader: what the text on a strip of a photograph says.

Source: Cui and others 2025, PaddleOCR 3.0 technical report, arXiv 2507.05595; the recognition network PP-OCRv6 (small)
as ONNX in rapidocr 3.10. The embedding is the layer before the characters, averaged over places from left to right.
Differs: a picture is 48 pixels high and as wide as it is; nothing is filled up to a width of 320.
"""

from pathlib import Path

import numpy as np

from kdlib.models.providers.networks.sessions import open_cut_session
from kdlib.models.providers.pictures import look_at, resize
from kdlib.models.teacher import EmbedRows

HEIGHT, STEP, WIDEST = 48, 8, 960  # pixels; a place is as wide as a step
HIDDEN = "p2o.pd_op.transpose.8.0"  # (b, places, 120)


def prepare(picture: np.ndarray) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 as the network takes it, (3, 48, w) float32 in [-1, 1], blue first."""
    width = HEIGHT * picture.shape[1] / picture.shape[0]
    resized = resize(picture, HEIGHT, min(WIDEST, max(HEIGHT, round(width / STEP) * STEP)))
    return (resized[..., ::-1].astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)


def load(weights: Path) -> EmbedRows:
    """Return the function that embeds pictures, 120 wide."""
    session = open_cut_session(weights, HIDDEN)
    name = session.get_inputs()[0].name

    def embed_one(picture: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: prepare(picture)[None]})[0])[0].mean(axis=0)

    return lambda dataset, rows: np.stack([embed_one(look_at(dataset, int(row))) for row in rows])
