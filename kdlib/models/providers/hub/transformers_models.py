"""Networks of transformers: pictures and sounds, prepared by the model's own processor.

The embedding is the pooled output where the weights have one, else the mean of the tokens.
"""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.data.dataset import AUDIO, IMAGE
from kdlib.models.providers.hub import files, loading
from kdlib.models.providers.hub.opened import OpenedNetwork

PACKAGE, PROCESSOR = "transformers", "preprocessor_config.json"
UNUSED = re.compile(r"mask|pool")  # weights that embedding does without, where the files lack them

find_files = files.find_files  # a model is called as its repository
list_teachers, get = partial(loading.list_teachers, "hf"), partial(loading.get, "hf")


def open_network(folder: Path, reference: str) -> OpenedNetwork:
    """Return the network whose files lie in a folder.

    Raises:
        ValueError: it takes neither pictures nor sounds, needs code of its own, or lacks weights.
    """
    import torch
    from transformers import (  # pyright: ignore[reportMissingImports]
        AutoFeatureExtractor,
        AutoImageProcessor,
        AutoModel,
        logging,
    )

    logging.set_verbosity_error()
    logging.disable_progress_bar()

    if not (folder / PROCESSOR).exists():
        raise ValueError(f"{reference} takes neither pictures nor sounds: it has no {PROCESSOR}")
    rate = int(json.loads((folder / PROCESSOR).read_text()).get("sampling_rate") or 0)
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    processor = (AutoFeatureExtractor if rate else AutoImageProcessor).from_pretrained(folder, **local)
    model, report = AutoModel.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **local
    )
    missing = sorted(report["missing_keys"])
    if any(not UNUSED.search(key) for key in missing):
        raise ValueError(f"its files lack weights, {missing[0]} among them; choose another model")
    # A pooler that the files lack would hold random numbers.
    pooled = not any("pool" in key for key in missing)
    features = getattr(model, f"get_{'audio' if rate else 'image'}_features", model)  # without the part for text

    @torch.inference_mode()
    def embed_one(item: np.ndarray) -> np.ndarray:
        prepared = processor(item, return_tensors="pt", **({"sampling_rate": rate} if rate else {}))
        return _pool(features(**prepared), pooled).numpy()

    parameters = sum(each.numel() for each in model.eval().parameters())
    return OpenedNetwork(embed_one, AUDIO if rate else IMAGE, parameters, rate)


def _pool(output: Any, pooled: bool) -> Any:
    """Return one vector (d_t,) of a model's output for one item."""
    if not hasattr(output, "last_hidden_state"):
        return output[0]
    vector = getattr(output, "pooler_output", None)
    if pooled and vector is not None:
        return vector[0].flatten()
    hidden = output.last_hidden_state[0]  # (tokens, d_t) or (d_t, h, w)
    return hidden.mean(0) if hidden.ndim == 2 else hidden.mean((1, 2))
