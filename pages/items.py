"""Items as one can look at them: as pictures, inside a page or fetched by the browser when a pointer rests on one."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kdlib import datasets

ADDRESS = "item"  # below the app's own address: item/<dataset>/<row>


def picture(data: datasets.Dataset, row: int) -> np.ndarray:
    """Return what shows an item, (h, w) or (h, w, 3) in [0, 1]; the one place that knows how an item becomes visible."""
    values = data.inputs[row]
    grey = values if values.shape[0] == 3 else values.mean(0, keepdims=True)
    low, high = float(grey.min()), float(grey.max())
    return np.squeeze(np.moveaxis((grey - low) / max(high - low, 1e-9), 0, -1))


def enlarged(shown: np.ndarray, side: int = 64) -> np.ndarray:
    """Return a small picture with every pixel repeated, so that a browser does not blur it."""
    times = max(1, side // max(shown.shape[:2]))
    return shown.repeat(times, 0).repeat(times, 1)


def png(shown: np.ndarray) -> bytes:
    """Return a picture in [0, 1] as PNG."""
    written = io.BytesIO()
    Image.fromarray((255 * np.clip(shown, 0, 1)).astype(np.uint8)).save(written, "PNG")
    return written.getvalue()


def address(shown: np.ndarray) -> str:
    """Return a picture in [0, 1] as a data address."""
    return f"data:image/png;base64,{base64.b64encode(png(shown)).decode()}"


def addresses(data: datasets.Dataset, rows: Sequence[int]) -> list[str]:
    """Return the pictures of some rows as data addresses."""
    return [address(enlarged(picture(data, row))) for row in rows]


async def _item(request: Request) -> Response:
    name, row = request.path_params["dataset"], request.path_params["row"]

    def make() -> bytes | None:
        if name not in datasets.DATASETS:
            return None
        data = datasets.load(name)
        return png(picture(data, row)) if row < len(data.inputs) else None

    made = await run_in_threadpool(make)
    if made is None:
        return Response(status_code=404)
    return Response(made, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


ROUTES = [Route(f"/{ADDRESS}/{{dataset}}/{{row:int}}", _item)]
