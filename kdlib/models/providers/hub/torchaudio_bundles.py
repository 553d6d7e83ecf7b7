"""Bundles of torchaudio: sounds; the last layer, averaged over time."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.data.dataset import AUDIO
from kdlib.models.providers.hub import loading
from kdlib.models.providers.hub.files import ModelFiles
from kdlib.models.providers.hub.opened import OpenedNetwork

PACKAGE = "torchaudio"

list_teachers, get = partial(loading.list_teachers, "torchaudio"), partial(loading.get, "torchaudio")


def _find_bundle(reference: str) -> Any:
    from torchaudio import pipelines  # pyright: ignore[reportMissingImports]

    bundles = {name: each for name in dir(pipelines) if hasattr(each := getattr(pipelines, name), "_params")}
    features = [name for name, each in bundles.items() if hasattr(each, "sample_rate") and hasattr(each, "_path")]
    if reference not in features:
        raise ValueError(f"torchaudio has no bundle {reference} of features, choose one of: {', '.join(features)}")
    return bundles[reference]


def find_files(reference: str, revision: str, download: bool) -> ModelFiles:
    """Return the file of weights of a bundle in torch's own cache; its revision is its name.

    Raises:
        ValueError: there is no such bundle, or its weights are not there.
    """
    import torch

    bundle, folder = _find_bundle(reference), Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(bundle._path).name
    if revision not in ("", path.name):
        raise ValueError(f"bundles of torchaudio have no revisions, got {revision!r}")
    if not path.exists():
        if not download:
            raise ValueError(f"the weights of {reference} are not in {folder}; `kdlib teacher add` downloads them")
        try:
            _open(bundle, folder)
        except OSError as error:
            raise ValueError(
                f"the weights of {reference} are not in {folder} and cannot be downloaded ({type(error).__name__}): "
                "check the network, or copy them from a machine that has them"
            ) from error
    return ModelFiles(folder, path.name, (path,))


def _open(bundle: Any, folder: Path) -> Any:
    return bundle.get_model(dl_kwargs={"model_dir": str(folder), "weights_only": True, "progress": False})


def open_network(folder: Path, reference: str) -> OpenedNetwork:
    """Return a bundle whose weights lie in a folder."""
    import torch

    bundle = _find_bundle(reference)
    model = _open(bundle, folder).eval()

    @torch.inference_mode()
    def embed_one(wave: np.ndarray) -> np.ndarray:
        layers, _ = model.extract_features(torch.from_numpy(wave)[None])
        return layers[-1][0].mean(0).numpy()

    return OpenedNetwork(embed_one, AUDIO, sum(each.numel() for each in model.parameters()), int(bundle.sample_rate))
