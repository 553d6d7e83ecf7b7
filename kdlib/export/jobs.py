"""Exports made by the engine, so that no page waits for one: a zip in the cache, or why there is none."""

import json
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdlib import engine, runs
from kdlib.analysis.failure import Failure
from kdlib.cache import atomic_path, content_key, home

VERSION = 1  # of what an export holds: raise it when the same request would give other files


@dataclass(frozen=True)
class ExportRequest:
    """What a person wants to take away.

    Attributes:
        run: its id.
        seed: as in `export_student`.
        int8: whether with a quantised graph.
    """

    run: str
    seed: str = "best"
    int8: bool = False

    @property
    def path(self) -> Path:
        """Where the zip is once it has been made; the name of the run is part of it, so it counts."""
        key = content_key(version=VERSION, name=runs.get(self.run).name, **asdict(self))
        return home() / "cache" / "export" / f"{key}.zip"


def cached(request: ExportRequest) -> Path | Failure | None:
    """Return the zip if it has been made, a `Failure` if it could not be, None if nobody asked yet.

    Example:
        >>> cached(ExportRequest(run_id, "ensemble"))
    """
    path = request.path
    if path.exists():
        return path
    try:
        return Failure(str(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["error"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def request_export(request: ExportRequest) -> Path | Failure | None:
    """Return what is `cached`; if nothing is, have the engine make it. Repeated requests are one piece of work.

    Example:
        >>> request_export(ExportRequest(run_id))
    """
    answer = cached(request)
    if answer is None:
        engine.submit(compute, asdict(request), key=f"export-{request.path.stem}", priority=1.0)
    return answer


def discard(request: ExportRequest) -> None:
    """Forget why an export failed, so that the next request makes it anew."""
    request.path.with_suffix(".json").unlink(missing_ok=True)


def compute(fields: dict[str, Any]) -> None:
    """Make an export and store it; what goes wrong is stored in its place.

    Args:
        fields: of an `ExportRequest`.
    """
    from kdlib.export.folder import export_student

    request = ExportRequest(**fields)
    path = request.path
    try:
        path.unlink(missing_ok=True)
        export_student(request.run, path, request.seed, int8=request.int8)
    except Exception as error:  # a page that waits must learn that nothing will come
        traceback.print_exc()
        with atomic_path(path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(Failure.of(error).to_dict()), encoding="utf-8")
