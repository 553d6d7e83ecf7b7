"""From the card of a network that was added to a teacher. Nothing here downloads."""

import logging
import re
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from kdlib.cache import content_key
from kdlib.data.dataset import AUDIO, Dataset
from kdlib.models.providers import PROVIDERS, TeacherEntry
from kdlib.models.providers.hub.cards import HubCard, check_name, read_cards
from kdlib.models.providers.hub.opened import OpenedNetwork
from kdlib.models.providers.pictures import look_at
from kdlib.models.providers.waves import listen_at
from kdlib.models.teacher import EmbedRows, Teacher

VERSION = 1  # of how items are prepared and outputs pooled
MISSING_OPERATOR = re.compile(r"operator torchvision::(\w+) does not exist")
MOST_OPERATORS = 20
_declarations: list[Any] = []  # what torch forgets with the object that declared it
log = logging.getLogger("kdlib.models.hub")


def list_teachers(scheme: str) -> dict[str, TeacherEntry]:
    """Return the networks of a hub that were added."""
    return {
        name: TeacherEntry(describe(card), card.source_task or "not said", card.supervised, card.modality)
        for name, card in read_cards(scheme).items()
    }


def describe(card: HubCard) -> str:
    """Return what a network is, in one line."""
    return f"{card.name.partition(':')[2]}, {card.parameters:,} parameters"


def get(scheme: str, reference: str) -> Teacher:
    """Return the network that was added under a name.

    Raises:
        ValueError: no name of a model, or it was not added.
    """
    name = f"{scheme}:{reference}"
    check_name(name)
    card = read_cards(scheme).get(name)
    if card is None:
        raise ValueError(
            f"{name} was not added yet; `kdlib teacher add {name}` does so, from the local cache or the hub"
        )
    return Teacher(
        describe(card),
        card.source_task or "not said",
        card.supervised,
        partial(_load, card),
        card.modality,
        version=content_key(version=VERSION, revision=card.revision, weights=card.weights_hash),
        batch=8,
        originals=True,
        width=card.width,
        parameters=card.parameters,
        licence=card.licence,
        origin=f"{name} at {card.revision}",
        weights_hash=card.weights_hash,
        seconds_per_item=card.seconds_per_item,
    )


def _load(card: HubCard) -> EmbedRows:
    scheme, reference = check_name(card.name)
    files = load_library(scheme).find_files(reference, card.revision, download=False)
    if files.hash_weights() != card.weights_hash:
        raise ValueError(f"the weights of {card.name} changed since it was added; remove it and add it again")
    network = open_network(card.name, files.folder)
    return partial(_embed_rows, network)


def _embed_rows(network: OpenedNetwork, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    def embed(row: int) -> np.ndarray:
        item = listen_at(dataset, row, network.rate) if network.modality == AUDIO else look_at(dataset, row)
        return network.embed_one(item)

    return np.stack([embed(int(row)) for row in rows]).astype(np.float32)


def load_library(scheme: str) -> ModuleType:
    """Return the module of a hub, once it is certain that its library can be loaded.

    Raises:
        ValueError: it is not installed, or was built for another torch.
    """
    module = import_module(PROVIDERS[scheme])
    declare_torchvision_operators()
    if find_spec(module.PACKAGE) is None:
        raise ValueError(
            f"{scheme}: needs the package {module.PACKAGE}, which is not installed; `make hub` installs it"
        )
    try:
        import_module(module.PACKAGE)
    except (ImportError, OSError, RuntimeError) as error:
        log.warning("%s cannot be loaded", module.PACKAGE, exc_info=True)
        raise ValueError(
            f"{scheme}: needs the package {module.PACKAGE}, which cannot be loaded here; `make hub` says why"
        ) from error
    return module


def declare_torchvision_operators() -> None:
    """Let torchvision, which timm needs and transformers takes, load beside a torch that it was not built for.

    PyPI builds it for graphics cards. With a torch for processors its compiled part is left out, but its Python part
    describes operators of that part (such as `nms`) and fails where they are not declared. Pictures are prepared
    without them; one that is called all the same raises an error.
    """
    if "torchvision" in sys.modules or find_spec("torchvision") is None:
        return
    import torch

    for _ in range(MOST_OPERATORS):
        try:
            import_module("torchvision")
        except RuntimeError as error:
            missing = MISSING_OPERATOR.search(str(error))
            if missing is None:
                return  # who needs it says so
            _declarations.append(torch.library.Library("torchvision", "FRAGMENT"))
            _declarations[-1].define(f"{missing[1]}(Tensor x) -> Tensor")
            for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[module]
        except (ImportError, OSError):
            return
        else:
            return


def open_network(name: str, folder: object) -> OpenedNetwork:
    """Return a network whose files are in a folder.

    Raises:
        ValueError: its library cannot load it.
    """
    scheme, reference = check_name(name)
    library = load_library(scheme)
    try:
        return library.open_network(folder, reference)
    except ValueError as error:
        raise ValueError(f"{name} cannot be loaded: {_first_line(error)}") from error
    except Exception as error:  # errors of the libraries have no common class
        log.warning("%s cannot be loaded", name, exc_info=True)
        raise ValueError(f"{name} cannot be loaded: {type(error).__name__}, {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]
