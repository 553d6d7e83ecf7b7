"""Adding a network: read it, try it, keep it; each step that touches the foreign file is a child process.

A draft waits in a folder of its own in `teachers_folder`, whose name begins with a dot, until it is kept or thrown
away; one that nobody touched for a day is thrown away with the next.
"""

import json
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from kdlib.data.dataset import AUDIO, ITEM_NAMES
from kdlib.data.intake.child import run_child
from kdlib.data.intake.limits import MB, IntakeError, Limits, describe_os_error
from kdlib.models.providers.onnx.network import Network
from kdlib.models.providers.onnx.plan import Plan
from kdlib.models.providers.onnx.preparation import prepare
from kdlib.models.providers.onnx.store import About, Card, check_name, keep, teachers_folder
from kdlib.models.providers.onnx.trial import ITEMS, ITEMS_FILE, MODEL_FILE, Trial
from kdlib.progress import OnProgress

DRAFT, UPLOAD, TRIAL = "draft.json", "upload", "trial"
STALE_SECONDS = 86_400
TRIAL_DATASETS = {AUDIO: "tones"}  # built-in items of a modality, "digits" for the others


@dataclass(frozen=True)
class Draft:
    """A network that was read and waits to be kept.

    Attributes:
        token: names its folder.
        path: of the foreign file.
        network: what it holds.
    """

    token: str
    path: Path
    network: Network

    @property
    def folder(self) -> Path:
        """Return where what was made of it lies."""
        return _folder(self.token)


def _folder(token: str) -> Path:
    return teachers_folder() / f".{token}.adding"


def stage(path: Path, limits: Limits | None = None, on_progress: OnProgress | None = None) -> Draft:
    """Read an ONNX file where it lies.

    Args:
        path: of the file; weights that it keeps in other files lie beside it.
        limits: by default as the environment sets them.
        on_progress: as in `intake.read`.

    Raises:
        IntakeError: it is refused.
        CancelledError: `on_progress` asked to stop.

    Example:
        >>> draft = stage(Path("model.onnx"))
        >>> [tensor.name for tensor in draft.network.outputs]
    """
    if not path.is_file():
        raise IntakeError(f"there is no file {path}")
    return _stage(secrets.token_hex(8), path.absolute(), limits, on_progress)


def stage_uploads(uploads: Sequence[tuple[str, bytes | memoryview]], on_progress: OnProgress | None = None) -> Draft:
    """Read what came over the network: name and bytes of an ONNX file, and of the files beside it.

    Raises:
        IntakeError: it is refused, or none of the files, or more than one, is called .onnx.
        CancelledError: `on_progress` asked to stop.
    """
    models = [name for name, _ in uploads if name.lower().endswith(".onnx")]
    if len(models) != 1:
        raise IntakeError(f"expected one file called .onnx, with the files it names beside it, got {len(models)}")
    token = secrets.token_hex(8)
    upload = _folder(token) / UPLOAD
    try:
        upload.mkdir(mode=0o700, parents=True)
        for name, content in uploads:
            plain = PurePosixPath(name.replace("\\", "/")).name
            (upload / (plain if plain not in ("", ".", "..") else "data")).write_bytes(content)
        return _stage(token, upload / PurePosixPath(models[0].replace("\\", "/")).name, None, on_progress)
    except OSError as error:
        discard(token)
        raise IntakeError(f"{models[0]} cannot be taken in: {describe_os_error(error)}") from error


def _stage(token: str, path: Path, limits: Limits | None, on_progress: OnProgress | None) -> Draft:
    _delete_stale()
    folder = _folder(token)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = _run(path, folder, limits or Limits.current(), None, on_progress)
        network = Network.from_dict(record)
        (folder / DRAFT).write_text(json.dumps({"path": str(path), "network": network.to_dict()}), encoding="utf-8")
    except BaseException:
        discard(token)
        raise
    return Draft(token, path, network)


def _run(path: Path, folder: Path, limits: Limits, plan: Plan | None, on_progress: OnProgress | None) -> dict:
    """Return what the child process says of a file. A large file gets more memory, as it must be held as a whole."""
    files = [each for each in path.parent.iterdir() if each.is_file()] if plan else [path]
    size = min(limits.model_mb, sum(each.stat().st_size for each in files) // MB)
    room = replace(limits, memory_mb=limits.memory_mb + 4 * size, dataset_mb=max(limits.dataset_mb, limits.model_mb))
    words = [str(path), path.name, str(folder.resolve()), json.dumps(asdict(room))]
    words.append(json.dumps(plan and plan.to_dict()))
    return run_child("kdlib.models.providers.onnx", words, path.name, folder.resolve(), room, on_progress)


def reopen(token: str) -> Draft:
    """Return the draft that waits under a token.

    Raises:
        IntakeError: it is gone.
    """
    path = _folder(token) / DRAFT
    if not token.isalnum() or not path.exists():
        raise IntakeError("this network is no longer waiting; choose its file again")
    with suppress(FileNotFoundError):
        os.utime(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    return Draft(token, Path(record["path"]), Network.from_dict(record["network"]))


def discard(token: str) -> None:
    """Throw away a draft; the file that it was made of stays where it lies."""
    if token.isalnum():
        shutil.rmtree(_folder(token), ignore_errors=True)


def _delete_stale() -> None:
    for path in teachers_folder().glob(".*.*ing"):
        with suppress(FileNotFoundError):
            if time.time() - max(each.stat().st_mtime for each in (path, *path.rglob("*"))) > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def try_out(
    draft: Draft, plan: Plan, dataset: str = "", limits: Limits | None = None, on_progress: OnProgress | None = None
) -> Trial:
    """Embed three items with a network, in a child process, and return what came of it.

    Args:
        draft: the network.
        plan: how it embeds.
        dataset: whose items; by default built-in ones of the modality.
        limits: by default as the environment sets them.
        on_progress: as in `intake.read`.

    Raises:
        ValueError: the network or its embeddings are refused, or the dataset has no such items.
        CancelledError: `on_progress` asked to stop.

    Example:
        >>> try_out(draft, make_plan(draft.network, Wishes())).width
    """
    from kdlib.data import datasets  # loads scikit-learn, which a list of teachers does not need

    dataset = dataset or TRIAL_DATASETS.get(plan.modality, "digits")
    data = datasets.load(dataset)
    if data.modality != plan.modality:
        takes, holds = ITEM_NAMES[plan.modality], ITEM_NAMES[data.modality]
        raise IntakeError(f"{draft.network.file} takes {takes}, but {dataset} holds {holds}")
    rows = np.linspace(0, len(data.inputs) - 1, ITEMS).astype(int).tolist()
    folder = draft.folder / TRIAL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    np.savez(folder / ITEMS_FILE, *(prepare(data, row, plan) for row in rows))
    record = _run(draft.path, folder, limits or Limits.current(), plan, on_progress)
    return replace(Trial(**record), dataset=dataset)


def keep_draft(draft: Draft, plan: Plan, trial: Trial, name: str, about: About) -> str:
    """Keep the network that was tried last, and return its name in every list; the draft is gone.

    Raises:
        IntakeError: the name cannot be one or is taken, or the disk does not take it.

    Example:
        >>> keep_draft(draft, plan, trial, "dino", About("match views of a picture", supervised=False))
        'onnx:dino'
    """
    network, folder = draft.network, draft.folder / TRIAL
    card = Card(
        check_name(name), time.time(), network.file, network.hash, network.bytes, network.parameters, plan, trial, about
    )
    for path in folder.iterdir():
        if not path.name.startswith(MODEL_FILE.partition(".")[0]):
            path.unlink()
    full_name = keep(folder, card)
    discard(draft.token)
    return full_name
