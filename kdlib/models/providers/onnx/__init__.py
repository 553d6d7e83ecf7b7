"""Networks of other people in ONNX files, as teachers "onnx:<name>"; no code of theirs runs, only onnxruntime's.

    network, plan      what is in a file, and how it embeds an item
    checking, reading  in a child process: what is refused, what is understood, cutting at an inner tensor
    trial              in a child process: three items before anything is kept
    drafts, store      adding, keeping, removing
    preparation        from items to inputs
    running            onnxruntime

`tests/test_onnx_gate.py` checks the gate with one malicious file of every kind (`tests/evil_models.py`).
"""

from functools import partial

from kdlib.models.providers import TeacherEntry
from kdlib.models.providers.onnx.drafts import Draft, discard, keep_draft, reopen, stage, stage_uploads, try_out
from kdlib.models.providers.onnx.network import Network, Tensor
from kdlib.models.providers.onnx.plan import PRESETS, Plan, Wishes, guess_input, make_plan, needs_size
from kdlib.models.providers.onnx.running import Embedder, Runner
from kdlib.models.providers.onnx.store import SCHEME, About, Card, cards, check_name, remove, suggest_name
from kdlib.models.providers.onnx.trial import Trial
from kdlib.models.teacher import BATCH, EmbedRows, Teacher

__all__ = [
    "PRESETS",
    "SCHEME",
    "About",
    "Card",
    "Draft",
    "Network",
    "Plan",
    "Tensor",
    "Trial",
    "Wishes",
    "cards",
    "check_name",
    "discard",
    "get",
    "guess_input",
    "keep_draft",
    "list_teachers",
    "make_plan",
    "needs_size",
    "remove",
    "reopen",
    "stage",
    "stage_uploads",
    "suggest_name",
    "try_out",
]


def list_teachers() -> dict[str, TeacherEntry]:
    """Return the full names of the networks that were added, with what a list says of them."""
    return {
        card.full_name: TeacherEntry(_help(card), card.about.source_task, card.about.supervised, card.plan.modality)
        for card in cards().values()
    }


def get(reference: str) -> Teacher:
    """Return the network that was added under a name.

    Raises:
        ValueError: there is none (any more).
    """
    known = cards()
    if reference not in known:
        listed = ", ".join(each.full_name for each in known.values())
        way_out = f"there are: {listed}" if listed else "kdlib teacher add adds one"
        raise ValueError(f"there is no teacher {SCHEME}:{reference}; {way_out}")
    card = known[reference]
    return Teacher(
        _help(card),
        card.about.source_task,
        card.about.supervised,
        partial(_load, card),
        modality=card.plan.modality,
        version=card.key,
        originals=True,
        batch=max(BATCH, card.plan.batch),
        width=card.trial.width,
        parameters=card.parameters,
        licence=card.about.licence,
        origin=card.file,
        weights_hash=card.hash,
        seconds_per_item=card.trial.seconds_per_item,
    )


def _help(card: Card) -> str:
    return f"{card.file}, {card.parameters:,} parameters, sees {card.plan.describe_input()}"


def _load(card: Card) -> EmbedRows:
    return Embedder(Runner(card.path, card.plan, card.full_name))
