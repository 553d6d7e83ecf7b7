"""Embeddings of a run as a file to download, written by the engine: asked for by a click that waits for them."""

import json
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdlib import engine
from kdlib.analysis.failure import Failure
from kdlib.cache import atomic_path, content_key, home
from kdlib.models.embedding_files import write_embeddings
from kdlib.models.quantization import calibrate
from kdlib.spaces.space_embeddings import open_space

WAIT_SECONDS = 170.0  # that a download waits for its file: after 180 the browser has given up
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ExportRequest:
    """What is to be written.

    Attributes:
        run: id of a finished run.
        space: "raw" or "compressed".
        member: which seed.
        width: leading numbers; None for all.
        precision: a name in `PRECISIONS`.
        ending: of the file: ".parquet", ".npz" or ".npy".
    """

    run: str
    space: str
    member: int
    width: int | None
    precision: str
    ending: str

    @property
    def path(self) -> Path:
        """Where the file is until it is fetched."""
        return home() / "cache" / "exports" / f"{content_key(**asdict(self))}{self.ending}"

    @property
    def command(self) -> str:
        """The command line that writes the same."""
        width = f" --width {self.width}" if self.width else ""
        return (
            f"kdlib embed --run {self.run[:12]} --space {self.space} --seed {self.member}{width} "
            f"--precision {self.precision} --export embeddings{self.ending}"
        )


def fetch(request: ExportRequest, wait: float = WAIT_SECONDS) -> bytes:
    """Return the file, when the engine has written it.

    Args:
        request: what is wanted.
        wait: seconds after which that is given up.

    Raises:
        ValueError: it cannot be written, or not in time.
        EngineError: the engine cannot be started.

    Example:
        >>> fetch(ExportRequest(run_id, "compressed", 0, None, "int8", ".npz"))
    """
    failed = request.path.with_suffix(".json")
    failed.unlink(missing_ok=True)
    engine.submit(write, asdict(request), key=f"export-{request.path.stem}-{time.time_ns()}", priority=2.0)
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if request.path.exists():
            content = request.path.read_bytes()
            request.path.unlink(missing_ok=True)
            return content
        if failed.exists():
            raise ValueError(json.loads(failed.read_text(encoding="utf-8"))["error"])
        time.sleep(POLL_SECONDS)
    raise ValueError(f"the embeddings were not written within {wait:.0f} s; the same by hand: {request.command}")


def write(fields: dict[str, Any]) -> None:
    """Write the file of an `ExportRequest`; what goes wrong is stored beside it."""
    request = ExportRequest(**fields)
    try:
        embeddings = open_space(request.run, request.space, member=request.member, width=request.width)
        quantizer = calibrate(request.precision, embeddings.training)
        write_embeddings(request.path, embeddings.ids, embeddings, quantizer)
    except Exception as error:  # a download that waits for the file must learn that none will come
        traceback.print_exc()
        with atomic_path(request.path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(Failure.of(error).to_dict()), encoding="utf-8")
