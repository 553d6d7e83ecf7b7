"""Networks that were added, on disk: `KDLIB_HOME/teachers/<name>/` holds model and card, for their owner only.

A name stands for one network for good: runs say which teacher they had by its name. After a removal the card waits in
`.removed/`, and only the same network can come back under that name.
"""

import json
import logging
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kdlib.cache import content_key, home
from kdlib.data.intake.limits import IntakeError, describe_os_error
from kdlib.models.providers.onnx.plan import Plan
from kdlib.models.providers.onnx.preparation import VERSION
from kdlib.models.providers.onnx.trial import MODEL_FILE, Trial
from kdlib.registry import lookup

SCHEME, CARD, REMOVED = "onnx", "card.json", ".removed"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
SUPERVISIONS = {"supervised": True, "unsupervised": False, "": None}
log = logging.getLogger("kdlib.models.onnx")


@dataclass(frozen=True)
class About:
    """What only a person knows of a network.

    Attributes:
        source_task: what it was trained for.
        supervised: whether its source task used labels; None where nobody says.
        licence: of the weights.
    """

    source_task: str = "not said"
    supervised: bool | None = None
    licence: str = "not said"


@dataclass(frozen=True)
class Card:
    """What is known of a network that was added; stored as `card.json`.

    Attributes:
        name: its own, without the scheme.
        created: seconds since 1970.
        file: name of the file it came from.
        hash: SHA-256 of the weights as they came.
        bytes: of them.
        parameters: numbers in its weights.
        plan: how it embeds.
        trial: what came of the trial.
        about: what a person said.
    """

    name: str
    created: float
    file: str
    hash: str
    bytes: int
    parameters: int
    plan: Plan
    trial: Trial
    about: About

    @classmethod
    def from_dict(cls, record: Any) -> "Card":
        """Return the card that a dict of JSON holds.

        Raises:
            ValueError: it holds no card.
        """
        try:
            known = {each.name: record[each.name] for each in fields(cls)}
            known["plan"], known["trial"] = Plan.from_dict(known["plan"]), Trial(**known["trial"])
            known["about"] = About(**known["about"])
            return cls(**known)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"expected a teacher's card, got {type(record).__name__}: {error}") from error

    @property
    def full_name(self) -> str:
        """Return the name in every list."""
        return f"{SCHEME}:{self.name}"

    @property
    def path(self) -> Path:
        """Return where the network is."""
        return teachers_folder() / self.name / MODEL_FILE

    @property
    def key(self) -> str:
        """Return what decides the embeddings: weights, preparation, tensor and pool."""
        return content_key(version=VERSION, hash=self.hash, plan=self.plan.to_dict())


def teachers_folder() -> Path:
    """Return the folder that holds one folder per network."""
    return home() / "teachers"


def cards() -> dict[str, Card]:
    """Return name -> card of every network that was added, oldest first; unreadable ones are left out.

    Example:
        >>> cards()
        {}
    """
    folders = [path for path in teachers_folder().glob("*") if not path.name.startswith(".")]
    readable = [card for path in folders if (card := _read(path / CARD)) is not None and card.name == path.name]
    return {card.name: card for card in sorted(readable, key=lambda card: card.created)}


def _read(path: Path) -> Card | None:
    try:
        return Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        log.debug("no card in %s: %s", path, error)
        return None


def check_name(name: str) -> str:
    """Return the name without blanks around it.

    Raises:
        IntakeError: it cannot be one.
    """
    name = name.strip()
    if not NAME.fullmatch(name):
        raise IntakeError(
            "a teacher's name has 1 to 40 small letters, digits, dots, dashes or underscores and begins with a letter "
            f"or digit, got {name!r}"
        )
    return name


def suggest_name(file: str) -> str:
    """Return a name made of that of a file, "teacher" where nothing of it is left."""
    return re.sub(r"[^a-z0-9._-]+|^[._-]+", "-", Path(file).stem.lower()).strip("-._")[:40] or "teacher"


def keep(built: Path, card: Card) -> str:
    """Move a folder that holds a network to its place, with its card, and return the full name.

    Args:
        built: a folder inside `teachers_folder`, gone afterwards.
        card: of the network.

    Raises:
        IntakeError: the name cannot be one, or belongs to another network; or the disk does not take it.
    """
    check_name(card.name)
    target = teachers_folder() / card.name
    removed = _read(teachers_folder() / REMOVED / f"{card.name}.json")
    if target.exists():
        raise IntakeError(f"there is a teacher {card.full_name} already; choose another name, or remove it first")
    if removed is not None and removed.key != card.key:
        raise IntakeError(
            f"runs may name {card.full_name}, which was another network before it was removed; choose another name"
        )
    try:
        (built / CARD).write_text(json.dumps(asdict(card), ensure_ascii=False, indent=1), encoding="utf-8")
        for path in built.iterdir():
            path.chmod(0o600)
        built.chmod(0o700)
        os.replace(built, target)
    except OSError as error:
        raise IntakeError(f"{card.file} cannot be kept: {describe_os_error(error)}") from error
    return card.full_name


def remove(name: str) -> None:
    """Remove a network; its embeddings are removed by `spaces.deletion`, runs keep their results.

    Raises:
        ValueError: there is none of that name.
    """
    card = lookup(cards(), name.removeprefix(f"{SCHEME}:"), "added teacher")
    folder = teachers_folder() / card.name
    hidden = folder.with_name(f".{card.name}.{time.time_ns()}.removing")
    (teachers_folder() / REMOVED).mkdir(mode=0o700, exist_ok=True)
    os.replace(folder, hidden)
    os.replace(hidden / CARD, teachers_folder() / REMOVED / f"{card.name}.json")
    shutil.rmtree(hidden)
