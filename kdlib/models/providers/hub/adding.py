"""Adding a network out of a hub: find or download its files, try it, keep its card."""

import time

import numpy as np

from kdlib.data.dataset import AUDIO
from kdlib.models.providers.hub.cards import REVISION, HubCard, check_name, write_card
from kdlib.models.providers.hub.loading import load_library, open_network

TRIALS = 3


def add(
    name: str, revision: str = "", source_task: str = "", supervised: bool | None = None, licence: str = ""
) -> HubCard:
    """Return the card of a network that is a teacher from now on; downloads what the local cache does not have.

    Args:
        name: "hf:<id>", "timm:<name>" or "torchaudio:<bundle>".
        revision: commit, branch or tag; by default the newest. The commit is recorded.
        source_task: what it was trained for, if you know.
        supervised: whether that used labels, if you know.
        licence: of its weights, where its files do not say.

    Raises:
        ValueError: one sentence says why not.

    Example:
        >>> card = add("hf:facebook/dinov2-small", source_task="match views of photographs", supervised=False)
        >>> kdlib.models.embedding.embed(card.name, "cluttered-digits")
    """
    scheme, reference = check_name(name)
    if revision and (not REVISION.fullmatch(revision) or ".." in revision):
        raise ValueError(f"a revision is a commit, branch or tag, got {revision[:100]!r}")
    files = load_library(scheme).find_files(reference, revision, download=True)
    network = open_network(name, files.folder)
    rng = np.random.default_rng(0)
    times, width = [], 0
    for _ in range(TRIALS):
        if network.modality == AUDIO:
            item = rng.normal(0, 0.1, network.rate).astype(np.float32)
        else:
            item = rng.integers(0, 256, (224, 224, 3), np.uint8)
        started = time.perf_counter()
        embedding = network.embed_one(item)
        times.append(time.perf_counter() - started)
        if embedding.ndim != 1 or not np.isfinite(embedding).all():
            raise ValueError(f"{name} gives {embedding.shape} for one item, or numbers that are not finite")
        width = len(embedding)
    card = HubCard(
        name,
        files.revision,
        files.hash_weights(),
        network.modality,
        network.rate,
        width,
        network.parameters,
        min(times),
        licence or files.licence,
        source_task,
        supervised,
    )
    write_card(card)
    return card
