"""Where what was computed about spaces is stored: a safetensors file per answer, with its report as JSON.

While an answer is computed, how far it is stands in a small file beside it.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kdlib.analysis.failure import Failure
from kdlib.cache import Arrays, atomic_path, home

Answer = TypeVar("Answer")
Parts = tuple[dict[str, Any], Arrays]  # the report and named arrays of an answer


def answer_path(key: str) -> Path:
    """Return the file of the answer with a key."""
    return home() / "cache" / "spaces" / f"{key}.safetensors"


def read_answer(key: str, from_parts: Callable[[Mapping[str, Any], Arrays], Answer]) -> Answer | Failure | None:
    """Return an answer if it has been computed, None if not, a `Failure` when computing it failed.

    Args:
        key: from `content_key`.
        from_parts: makes it of report and arrays.
    """
    path = answer_path(key)
    try:
        with safe_open(path, framework="np") as file:
            report = dict(json.loads(file.metadata()["report"]))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Failure(str(report["error"])) if "error" in report else from_parts(report, arrays)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError, TypeError, KeyError):
        path.unlink(missing_ok=True)  # damaged by something outside: an answer can always be computed again
        return None


def write_answer(key: str, compute: Callable[[], Parts]) -> None:
    """Compute an answer and store it; what goes wrong is stored as its "error".

    Args:
        key: from `content_key`.
        compute: returns report and arrays.
    """
    try:
        report, arrays = compute()
    except Exception as error:  # a page that waits for the answer must learn that none will come
        traceback.print_exc()
        report, arrays = Failure.of(error).to_dict(), {}
    with suppress(OSError):
        _progress_path(key).unlink(missing_ok=True)
    with atomic_path(answer_path(key)) as temporary:
        contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        save_file(contiguous, temporary, {"report": json.dumps(report)})


def write_progress(key: str, share: float) -> None:
    """Note how far an answer that is being computed is, 0 to 1; `write_answer` removes the note."""
    with atomic_path(_progress_path(key)) as temporary:
        temporary.write_text(f"{share:.3f}", encoding="utf-8")


def read_progress(key: str) -> float | None:
    """Return how far an answer that is being computed is, 0 to 1; None where nobody computes it."""
    try:
        return min(1.0, float(_progress_path(key).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _progress_path(key: str) -> Path:
    return answer_path(key).with_suffix(".progress")
