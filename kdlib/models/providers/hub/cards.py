"""Networks out of hubs that were added: `KDLIB_HOME/hub-teachers/` holds a card for each, not its weights."""

import json
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from kdlib.cache import atomic_path, home

FOLDER = "hub-teachers"
PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
REFERENCES = {  # scheme -> how its models are called
    "hf": re.compile(rf"{PART}(/{PART})?"),
    "timm": re.compile(PART),
    "torchaudio": re.compile(r"[A-Z][A-Z0-9_]{0,95}"),
}
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
EXAMPLES = {"hf": "facebook/dinov2-small", "timm": "resnet18.a1_in1k", "torchaudio": "WAV2VEC2_BASE"}
log = logging.getLogger("kdlib.models.hub")


@dataclass(frozen=True)
class HubCard:
    """What is known of a network that was added.

    Attributes:
        name: "scheme:reference".
        revision: of its files: a commit, or the hash of the weights where the library has no commits.
        weights_hash: SHA-256 of the weights.
        modality: of the items it takes.
        rate: of the sound it takes, Hz; 0 for pictures.
        width: d_t.
        parameters: of the network.
        seconds_per_item: measured when it was added, for a second of sound or a picture of 224 x 224.
        licence: as its files say, "" where they do not.
        source_task: as a person said, "" where nobody did.
        supervised: as in `Teacher`.
    """

    name: str
    revision: str
    weights_hash: str
    modality: str
    rate: int
    width: int
    parameters: int
    seconds_per_item: float
    licence: str = ""
    source_task: str = ""
    supervised: bool | None = None


def check_name(name: str) -> tuple[str, str]:
    """Return scheme and reference of a name.

    Raises:
        ValueError: it is no name of a model: a path, an address, or other characters.

    Example:
        >>> check_name("hf:facebook/dinov2-small")
        ('hf', 'facebook/dinov2-small')
    """
    scheme, _, reference = name.partition(":")
    if scheme not in REFERENCES:
        raise ValueError(f"unknown hub {scheme[:40]!r}, choose one of: {', '.join(REFERENCES)}")
    if not REFERENCES[scheme].fullmatch(reference) or ".." in reference:
        raise ValueError(
            f"a model of {scheme}: is called like {EXAMPLES[scheme]}, by letters, digits, '.', '_' and '-' alone, "
            f"got {reference[:100]!r}"
        )
    return scheme, reference


def read_cards(scheme: str = "") -> dict[str, HubCard]:
    """Return name -> card of the networks that were added, of one hub or of all.

    Example:
        >>> read_cards("timm")
        {}
    """
    found = {}
    for path in sorted((home() / FOLDER).glob("*.json")):
        try:
            card = HubCard(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            log.warning("%s holds no card of a network", path, exc_info=True)
            continue
        if scheme in ("", card.name.partition(":")[0]):
            found[card.name] = card
    return found


def write_card(card: HubCard) -> None:
    """Keep a card."""
    with atomic_path(_path(card.name)) as temporary:
        temporary.write_text(json.dumps(asdict(card), indent=1) + "\n")


def remove(name: str) -> None:
    """Forget a network that was added; its files stay in the cache of its library.

    Raises:
        ValueError: there is none of that name.
    """
    check_name(name)
    if not _path(name).exists():
        raise ValueError(f"there is no teacher {name}; there are: {', '.join(read_cards()) or 'none'}")
    _path(name).unlink()


def _path(name: str) -> Path:
    return home() / FOLDER / (name.replace(":", "--", 1).replace("/", "--") + ".json")
