"""Where teachers come from: one module per scheme of names.

built_in      small networks of our own, whose weights ship with kdlib; their names have no scheme
tables        embeddings imported with a dataset, "<dataset>/<table>"
onnx          networks in ONNX files that people added
packaged      networks whose weights come inside Python packages, "pip:<name>"; `networks` defines them, `waves` and
              `pictures` give them recordings and pictures as they take them
hub           networks out of the hubs of transformers, timm and torchaudio, once they were added

A name "scheme:reference" belongs to the module that `PROVIDERS` gives for its scheme. Such a module has
`list_teachers() -> {name: TeacherEntry}` of what is at hand (cheap: no heavy import, nothing is loaded) and
`get(reference) -> Teacher`, which raises a `ValueError` in one sentence where it cannot. To add a scheme, write the
module and give it a line in `PROVIDERS`.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from kdlib.models.teacher import Teacher

PROVIDERS: dict[str, str] = {  # scheme -> module
    "onnx": "kdlib.models.providers.onnx",
    "pip": "kdlib.models.providers.packaged",
    "hf": "kdlib.models.providers.hub.transformers_models",
    "timm": "kdlib.models.providers.hub.timm_models",
    "torchaudio": "kdlib.models.providers.hub.torchaudio_bundles",
}


@dataclass(frozen=True)
class TeacherEntry:
    """What a list says of a teacher.

    Attributes:
        help: what it is, one line in plain words.
        source_task: what it was trained for.
        supervised: as in `Teacher`.
        modality: of the items it takes.
    """

    help: str
    source_task: str
    supervised: bool | None
    modality: str


class Provider(Protocol):
    """What a module in `PROVIDERS` has."""

    def list_teachers(self) -> dict[str, TeacherEntry]:
        """Return the full names of the teachers at hand, with what a list says of them."""
        ...

    def get(self, reference: str) -> Teacher:
        """Return the teacher that the part of a name after the colon stands for."""
        ...


def list_model_teachers() -> dict[str, TeacherEntry]:
    """Return name -> entry of every teacher "scheme:reference" at hand.

    Example:
        >>> sorted(list_model_teachers())
    """
    return {name: entry for scheme in PROVIDERS for name, entry in _module(scheme).list_teachers().items()}


def get_model_teacher(name: str) -> Teacher | None:
    """Return the teacher of a name "scheme:reference", None for a name without a known scheme.

    Raises:
        ValueError: it is not at hand; one sentence says what to do.

    Example:
        >>> get_model_teacher("simclr") is None
        True
    """
    scheme, colon, reference = name.partition(":")
    return _module(scheme).get(reference) if colon and scheme in PROVIDERS else None


def _module(scheme: str) -> Provider:
    return import_module(PROVIDERS[scheme])  # pyright: ignore[reportReturnType]  a module with these two functions
