"""Networks of timm: pictures, prepared as the model's own configuration says; the layer before the classes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kdlib.data.dataset import IMAGE
from kdlib.models.providers.hub import files, loading
from kdlib.models.providers.hub.opened import OpenedNetwork

PACKAGE = "timm"

list_teachers, get = partial(loading.list_teachers, "timm"), partial(loading.get, "timm")


def find_files(reference: str, revision: str, download: bool) -> files.ModelFiles:
    """Return the files of a model, as `files.find_files` does."""
    return files.find_files(f"timm/{reference}", revision, download)


def open_network(folder: Path, reference: str) -> OpenedNetwork:  # noqa: ARG001 - as for the other libraries
    """Return the network whose files lie in a folder."""
    import timm  # pyright: ignore[reportMissingImports]
    import torch
    from timm.data import config, transforms_factory  # pyright: ignore[reportMissingImports]

    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform: Any = transforms_factory.create_transform(**config.resolve_model_data_config(model), is_training=False)

    @torch.inference_mode()
    def embed_one(picture: np.ndarray) -> np.ndarray:
        prepared = transform(Image.fromarray(np.ascontiguousarray(picture)))
        return model(torch.as_tensor(prepared)[None])[0].numpy()

    return OpenedNetwork(embed_one, IMAGE, sum(each.numel() for each in model.parameters()))
