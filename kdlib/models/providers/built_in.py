"""The built-in teachers: small networks trained on the pool of `cluttered-digits` or, for sounds, of `tones`.

`kdlib.models.pretraining` made them; weights and cards ship in `weights/`. To add one, give it a line in `TEACHERS`
with its source task and the modality it takes; `tests/test_teachers.py` runs the contract over every entry.
"""

from functools import partial

import numpy as np
from safetensors.torch import load_file

from kdlib.data.dataset import AUDIO, IMAGE, Dataset
from kdlib.models.encoder import BATCH, SIZES, WEIGHTS, Encoder, encode
from kdlib.models.teacher import EmbedRows, Teacher

VERSION = "1"  # of `Encoder` and `to_canvas`: raise it when the same weights would give other embeddings


def _load(name: str, modality: str) -> EmbedRows:
    encoder = Encoder(SIZES[modality])
    encoder.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))

    def embed_rows(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
        return encode(encoder, dataset.inputs[rows])

    return embed_rows


def _built_in_teacher(
    name: str, help: str, source_task: str, supervised: bool | None, modality: str = IMAGE
) -> Teacher:
    return Teacher(
        help,
        source_task,
        supervised,
        partial(_load, name, modality),
        modality,
        version=VERSION,
        weights=WEIGHTS / f"{name}.safetensors",
        batch=BATCH,
    )


TEACHERS: dict[str, Teacher] = {
    "autoencoder": _built_in_teacher(
        "autoencoder", "Restores images of which half is hidden", "restore the image (unlabelled pool)", False
    ),
    "simclr": _built_in_teacher(
        "simclr", "Recognises two altered views of the same image", "match views of an image (unlabelled pool)", False
    ),
    "parity": _built_in_teacher("parity", "Tells odd digits from even ones: a related task", "odd or even", True),
    "background": _built_in_teacher(
        "background", "Tells the direction of the stripes: an irrelevant task", "direction of the stripes", True
    ),
    "random": _built_in_teacher("random", "An untrained network: the control for the others", "none", None),
    "tones-autoencoder": _built_in_teacher(
        "tones-autoencoder",
        "Restores sounds of which half is hidden",
        "restore the sound (unlabelled pool)",
        False,
        AUDIO,
    ),
    "tones-simclr": _built_in_teacher(
        "tones-simclr",
        "Recognises two altered versions of the same sound",
        "match versions of a sound (unlabelled pool)",
        False,
        AUDIO,
    ),
    "tones-pitch": _built_in_teacher(
        "tones-pitch", "Tells how high a note is, whatever plays it: another task", "pitch", True, AUDIO
    ),
    "tones-random": _built_in_teacher(
        "tones-random", "An untrained network: the control for the others", "none", None, AUDIO
    ),
}
