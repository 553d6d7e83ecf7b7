"""What a teacher is: a frozen provider of embeddings with a source task of its own.

Teachers are found by name in `teachers`; each scheme of names has a module in `providers`. What they give is computed
and cached by `embedding`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.data.dataset import IMAGE, ITEM_NAMES, Dataset

EmbedRows = Callable[[Dataset, np.ndarray], np.ndarray]  # dataset, rows (b,) -> (b, d_t) or (b, t, d_t) float32
BATCH = 64  # rows that are embedded at once, unless a teacher says otherwise
UNTRAINED = "none"  # the source task of a network that was never trained


@dataclass(frozen=True)
class Teacher:
    """A provider of embeddings and what is known of it.

    Attributes:
        help: what it is, one line in plain words.
        source_task: what it was trained for.
        supervised: whether its source task used labels; None for an untrained one, or where nobody said.
        load: opens the network and returns a function of a dataset and row numbers (b,) that gives their embeddings
            (b, d_t) float32, or their frames (b, t, d_t); deterministic, and each row by itself whatever batch it comes
            in. It reads `Dataset.look` or `Dataset.listen` for originals, `Dataset.inputs` for what the student sees.
        modality: of the items it takes.
        version: names what decides the embeddings beside name, rows and weights: how items are prepared.
        weights: file whose content decides the embeddings, if there is one; a card beside it ends in .json.
        batch: rows it is given at once.
        originals: whether it sees original pictures, recordings and texts, where a dataset keeps them; otherwise what
            a student gets.
        dataset: the only dataset it knows, for an imported table of embeddings; "" for a teacher that embeds any.
        width: d_t; 0 where it is known only once something was embedded.
        frames: whether it gives several embeddings an item, one after the other in time, which are then pooled.
        parameters: of the network; 0 where nobody knows.
        licence: of the weights.
        origin: where the weights came from.
        weights_hash: SHA-256 of the weights.
        seconds_per_item: measured when it was added; 0 where nobody measured.
    """

    help: str
    source_task: str
    supervised: bool | None
    load: Callable[[], EmbedRows]
    modality: str = IMAGE
    version: str = ""
    weights: Path | None = None
    batch: int = BATCH
    originals: bool = False
    dataset: str = ""
    width: int = 0
    frames: bool = False
    parameters: int = 0
    licence: str = ""
    origin: str = ""
    weights_hash: str = ""
    seconds_per_item: float = 0.0

    @property
    def control(self) -> bool:
        """Whether it was never trained, and only shows what the others know beyond that."""
        return self.source_task == UNTRAINED

    @property
    def card(self) -> dict[str, Any]:
        """Return what was recorded when it was trained: data, seed, version, probe accuracies. Empty if nothing was."""
        path = self.weights and self.weights.with_suffix(".json")
        return json.loads(path.read_text()) if path and path.exists() else {}

    def describe(self) -> dict[str, str]:
        """Return what is known of it, in words for people: name of a fact -> fact. What nobody knows is left out.

        Example:
            >>> get_teacher("simclr").describe()["supervision"]
            'unsupervised'
        """
        card = self.card
        supervision = "unsupervised" if self.supervised is False else "supervised"
        if self.supervised is None:
            supervision = "untrained" if self.source_task == "none" else "not said"
        width, parameters = self.width or card.get("width"), self.parameters or card.get("parameters")
        facts = {
            "what it is": self.help,
            "takes": ITEM_NAMES[self.modality],
            "source task": self.source_task,
            "supervision": supervision,
            "width": f"{width:,}" if width else "",
            "parameters": f"{parameters:,}" if parameters else "",
            "time per item": f"{1000 * self.seconds_per_item:.3g} ms" if self.seconds_per_item else "",
            "licence": self.licence,
            "comes from": self.origin or card.get("data", ""),
            "SHA-256 of the weights": self.weights_hash or card.get("weights_sha256", ""),
        }
        return {name: fact for name, fact in facts.items() if fact}
