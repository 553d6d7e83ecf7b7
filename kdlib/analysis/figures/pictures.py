"""Items of a dataset as pictures: a sheet of images, a spectrogram."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from kdlib.analysis.figures.style import escape, new_figure

# Plotly's Magma; its own first colour is one that Streamlit replaces by a colour of its theme.
LOUDNESS_COLOURS = ("#0c0824", "#50127b", "#b6377a", "#fb8861", "#fcfdbf")

MAX_FRAMES = 500  # of a spectrogram that are drawn: more are finer than the figure


def plot_gallery(tiles: np.ndarray, rows: Sequence[str], columns: Sequence[str], column_title: str) -> go.Figure:
    """Return a sheet of pictures, one per class and category of an attribute.

    Args:
        tiles: (r, c, h, w, 3) in [0, 1]; NaN where there is no such item. From `items.gallery_tiles`.
        rows: names of the classes, r of them.
        columns: names of the categories, c of them.
        column_title: the attribute.

    Example:
        >>> tiles, categories = gallery_tiles(data, "ink")
        >>> plot_gallery(tiles, data.classes, categories, "ink").show()
    """
    r, c, height, width, _ = tiles.shape
    framed = np.zeros((r, c, height + 2, width + 2, 4), np.uint8)  # transparent around the tiles
    framed[:, :, 1:-1, 1:-1, :3] = np.round(255 * np.nan_to_num(tiles))
    framed[:, :, 1:-1, 1:-1, 3] = np.where(np.isnan(tiles[..., 0]), 0, 255)
    sheet = framed.transpose(0, 2, 1, 3, 4).reshape(r * (height + 2), c * (width + 2), 4)
    figure = new_figure(escape(column_title), "class", height=80 + 46 * r)
    figure.add_image(source=_png_address(sheet), hoverinfo="skip")
    x, y = _tile_centers(c, width + 2), _tile_centers(r, height + 2)
    figure.update_xaxes(showgrid=False, fixedrange=True, side="top", constrain="domain")
    figure.update_xaxes(tickvals=x, ticktext=[escape(name) for name in columns])
    figure.update_yaxes(showgrid=False, fixedrange=True, autorange="reversed", scaleanchor="x", constrain="domain")
    figure.update_yaxes(tickvals=y, ticktext=[escape(name) for name in rows])
    figure.update_layout(margin={"l": 48, "r": 8, "t": 64, "b": 8})
    return figure


def plot_spectrogram(picture: np.ndarray, hertz: np.ndarray, seconds: float) -> go.Figure:
    """Return what a sound looks like: time to the right, frequency upwards, dark is quiet.

    Args:
        picture: (mels, frames) in [0, 1], low frequencies first.
        hertz: (mels,) the middle of each band.
        seconds: length of the sound.

    Example:
        >>> plot_spectrogram(data.inputs[0, 0], spectrograms.frequencies(RATE), seconds=0.77).show()
    """
    picture = picture[:, :: -(-picture.shape[1] // MAX_FRAMES)]
    mels, frames = picture.shape
    figure = new_figure("time, s", "frequency, Hz", height=260)
    times = (np.arange(frames) + 0.5) * seconds / frames
    figure.add_heatmap(
        z=np.round(picture, 3), x=np.round(times, 4), y=list(range(mels)),
        colorscale=list(LOUDNESS_COLOURS), showscale=False,
        customdata=np.repeat(np.round(hertz)[:, None], frames, 1),
        hovertemplate="%{x:.2f} s, %{customdata:.0f} Hz<extra></extra>",
    )  # fmt: skip
    ticks = list(range(0, mels, max(1, mels // 5)))
    figure.update_yaxes(tickvals=ticks, ticktext=[f"{hertz[i]:,.0f}" for i in ticks], showgrid=False)
    figure.update_xaxes(showgrid=False)
    figure.update_layout(margin={"t": 8})
    return figure


def _png_address(pixels: np.ndarray) -> str:
    """Return a picture (h, w, 4) uint8 as a data address."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"


def _tile_centers(count: int, size: int) -> list[float]:
    """Return the middle of each of some tiles, in pixels of the sheet. `size` is that of a tile with its frame."""
    return [(i + 0.5) * size - 0.5 for i in range(count)]
