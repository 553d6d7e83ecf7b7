"""Files of a model: in the local cache of huggingface_hub, downloaded only for who adds it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

WANTED = ["*.json", "*.safetensors", "README.md"]
LICENCE = re.compile(r"^license:\s*([\w.-]+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ModelFiles:
    """Where the files of a model are.

    Attributes:
        folder: that holds them.
        revision: of them.
        weights: the files of weights, at least one.
        licence: as they say, "" where they do not.
    """

    folder: Path
    revision: str
    weights: tuple[Path, ...]
    licence: str = ""

    def hash_weights(self) -> str:
        """Return the SHA-256 of the weights, the files one after another."""
        digest = hashlib.sha256()
        for path in self.weights:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()


def find_files(repository: str, revision: str, download: bool) -> ModelFiles:
    """Return the files of a repository, from the local cache if they are there.

    Args:
        repository: on the hub.
        revision: a commit, branch or tag; "" for the newest.
        download: get them from the hub where the cache has none.

    Raises:
        ValueError: they are not there, or there are no safetensors among them.
    """
    folder = _find_snapshot(repository, revision)
    if folder is None or not _weights(folder):
        if not download:
            raise ValueError(
                f"{repository} at {revision or 'its newest revision'} is not in the local cache of models; "
                "`kdlib teacher add` downloads it"
            )
        folder = _download_snapshot(repository, revision)
    if not _weights(folder):
        raise ValueError(f"{repository} has no weights as safetensors, and other formats can hold code: choose another")
    readme = folder / "README.md"
    licence = LICENCE.search(readme.read_text(errors="replace")[:4000]) if readme.exists() else None
    return ModelFiles(folder, folder.name, _weights(folder), licence.group(1) if licence else "")


def _weights(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.safetensors")))


def _find_snapshot(repository: str, revision: str) -> Path | None:
    from huggingface_hub import constants, snapshot_download  # pyright: ignore[reportMissingImports]
    from huggingface_hub.errors import LocalEntryNotFoundError  # pyright: ignore[reportMissingImports]

    try:
        found = snapshot_download(
            repository, revision=revision or None, local_files_only=True, cache_dir=constants.HF_HUB_CACHE
        )
    except LocalEntryNotFoundError:
        return None
    return Path(found)


def _download_snapshot(repository: str, revision: str) -> Path:
    from huggingface_hub import constants, snapshot_download  # pyright: ignore[reportMissingImports]

    try:
        folder = snapshot_download(
            repository, revision=revision or None, allow_patterns=WANTED, cache_dir=constants.HF_HUB_CACHE
        )
    except Exception as error:  # its errors and those of its transport have no common class
        raise ValueError(
            f"{repository} is not in the local cache of models and cannot be downloaded ({type(error).__name__}): "
            "check name and network, or copy the cache of a machine that has it"
        ) from error
    return Path(folder)
