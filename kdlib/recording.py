"""The recorded race: what a real race of baseline, raw and compressed came to, for those who have not run one yet.

Two files beside this module, of `python -m kdlib record`: JSON, and arrays as safetensors. Reading them needs neither
torch nor scikit-learn, so the first page can show them at once. `tests/test_recording.py` holds what they contain.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kdlib.cache import atomic_path
from kdlib.results import RunResult

FOLDER = Path(__file__).parent / "recordings"
NAME = "race"
DIGITS = 4  # of numbers in curves


@dataclass(frozen=True)
class Formation:
    """How the spaces of a compressed run formed, and what became of one item in them.

    Attributes:
        rows: (r,) validation rows that are followed.
        classes: (r,) class of each.
        class_names: of these.
        epochs: (t,) after how many epochs each snapshot was taken; 0 is before training.
        places: space -> (t, r, 2) on its map.
        raw: (d_t,) teacher embedding of one item.
        compressed: (t, d_c) what the compressor makes of it.
        picture: (h, w) in [0, 1], the item itself.
        label: its class.
        known_raw: "target" or attribute -> how well it is read from the raw embeddings of the rows, an estimate.
        known: "target" or attribute -> (t,) the same for the compressed ones.
        chance: "target" or attribute -> share of its most frequent value among the rows, what guessing reaches.
    """

    rows: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    epochs: np.ndarray
    places: dict[str, np.ndarray]
    raw: np.ndarray
    compressed: np.ndarray
    picture: np.ndarray
    label: str
    known_raw: dict[str, float]
    known: dict[str, np.ndarray]
    chance: dict[str, float]


@dataclass(frozen=True)
class Recording:
    """A race that was run once, on some machine.

    Attributes:
        results: of baseline, raw and compressed, without arrays.
        formation: of the compressed run.
        recorded: when, seconds since 1970.
        machine: where, in words.
        version: of kdlib.
        seconds: from the launch until all three runs were done.
        teacher_width: numbers per item in the teacher's embedding.
    """

    results: list[RunResult] = field(repr=False)
    formation: Formation = field(repr=False)
    recorded: float
    machine: str
    version: str
    seconds: float
    teacher_width: int

    def describe(self) -> str:
        """Return when and where it was recorded, in words.

        Example:
            >>> load_recording().describe()
        """
        day = datetime.fromtimestamp(self.recorded, UTC)
        when = f"{day.day} {day:%B %Y}"
        return f"Recorded on {when}: {self.machine}, KD Lab {self.version}; it took {self.seconds:.0f} s there."


@lru_cache(maxsize=1)
def load_recording() -> Recording:
    """Return the recorded race that comes with this version.

    Raises:
        FileNotFoundError: this installation comes without it.

    Example:
        >>> [result.spec.method for result in load_recording().results]
        ['baseline', 'raw', 'mlp']
    """
    from safetensors.numpy import load_file

    about = json.loads((FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))
    arrays = load_file(FOLDER / f"{NAME}.safetensors")
    results = [RunResult.from_dict(result) for result in about.pop("results")]
    return Recording(results, _unpack(about.pop("formation"), arrays), **about)


def save_recording(recording: Recording, folder: Path = FOLDER) -> None:
    """Write a recording where `load_recording` finds it; curves are rounded to four digits.

    Args:
        recording: what to write.
        folder: where to.
    """
    from safetensors.numpy import save_file

    formation, about = _pack(recording.formation)
    results = [_rounded(result).to_dict() for result in recording.results]
    fields = {name: getattr(recording, name) for name in ("recorded", "machine", "version", "seconds", "teacher_width")}
    text = json.dumps(fields | {"formation": about, "results": results}, separators=(",", ":"))
    folder.mkdir(exist_ok=True)
    with atomic_path(folder / f"{NAME}.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    with atomic_path(folder / f"{NAME}.safetensors") as temporary:
        save_file(formation, temporary)


def _pack(formation: Formation) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a formation, small, and the rest as what JSON can hold."""
    arrays = {
        "rows": formation.rows.astype(np.int32),
        "classes": formation.classes.astype(np.int16),
        "epochs": formation.epochs.astype(np.int32),
        "raw": formation.raw.astype(np.float16),
        "compressed": formation.compressed.astype(np.float16),
        "picture": np.round(255 * formation.picture).astype(np.uint8),
    }
    arrays |= {f"places/{name}": value.astype(np.float16) for name, value in formation.places.items()}
    arrays |= {f"known/{name}": value.astype(np.float32) for name, value in formation.known.items()}
    about = {"class_names": list(formation.class_names)}
    about |= {name: getattr(formation, name) for name in ("label", "known_raw", "chance")}
    return {name: np.ascontiguousarray(value) for name, value in arrays.items()}, about


def _unpack(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Formation:
    def group(name: str) -> dict[str, np.ndarray]:
        named = {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}
        return {key: value.astype(np.float32) for key, value in named.items()}

    known = group("known")
    return Formation(
        arrays["rows"],
        arrays["classes"],
        tuple(about["class_names"]),
        arrays["epochs"],
        group("places"),
        arrays["raw"].astype(np.float32),
        arrays["compressed"].astype(np.float32),
        arrays["picture"].astype(np.float32) / 255,
        about["label"],
        about["known_raw"],
        {name: known[name] for name in about["known_raw"]},
        about["chance"],
    )


def _rounded(result: RunResult) -> RunResult:
    """Return a result whose curves take little room."""

    def short(values: Sequence[float]) -> list[float]:
        return [round(value, DIGITS) for value in values]

    history = [
        replace(point, **{name: short(getattr(point, name)) for name in ("prediction", "distance", "teacher", "val")})
        for point in result.history
    ]
    return replace(result, history=history)
