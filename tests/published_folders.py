"""Writers of small folders that are laid out like published datasets."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.file_writers import encoded

INSTRUMENTS = ("accordion", "banjo", "bass")


def openmic_keys(count: int) -> list[str]:
    return [f"{number // 10:03d}{number:03d}_{3840 * number}" for number in range(count)]


def openmic_arrays(count: int = 60, kind: str = "int64") -> dict[str, np.ndarray]:
    """Return arrays as `openmic-2018.npz` has them: clip i is labelled for i mod 3 and, on even rows, one more."""
    rng = np.random.default_rng(0)
    relevance = np.round(rng.random((count, len(INSTRUMENTS))), 5)
    mask = np.arange(count)[:, None] % 3 == np.arange(3)
    mask |= (np.arange(count)[:, None] % 2 == 0) & ((np.arange(count)[:, None] + 1) % 3 == np.arange(3))
    return {
        "X": rng.integers(0, 256, (count, 10, 128)).astype(kind),
        "Y_true": np.where(mask, relevance, 0.5),
        "Y_mask": mask,
        "sample_key": np.array(openmic_keys(count)),
    }


def write_openmic(path: Path, arrays: dict[str, np.ndarray], audio: Sequence[str] = ()) -> Path:
    """Write the folder: arrays, classes, the table of labels, partitions of two thirds and one third, recordings."""
    keys = [str(key) for key in arrays["sample_key"]]
    (path / "partitions").mkdir(parents=True)
    np.savez_compressed(path / "openmic-2018.npz", **arrays)
    (path / "class-map.json").write_text(json.dumps({name: row for row, name in enumerate(INSTRUMENTS)}))
    lines = ["sample_key,instrument,relevance,num_responses"]
    for row, column in np.argwhere(arrays["Y_mask"])[::-1].tolist():
        lines.append(f"{keys[row]},{INSTRUMENTS[column]},{arrays['Y_true'][row, column]:.5f},3")
    (path / "openmic-2018-aggregated-labels.csv").write_text("\n".join(lines) + "\n")
    for split, part in (("train", keys[: 2 * len(keys) // 3]), ("test", keys[2 * len(keys) // 3 :])):
        (path / "partitions" / f"split01_{split}.csv").write_text("\n".join(part) + "\n")
    sound = encoded("OGG") if audio else b""
    for key in audio:
        (path / "audio" / key[:3]).mkdir(parents=True, exist_ok=True)
        (path / "audio" / key[:3] / f"{key}.ogg").write_bytes(sound)
    return path


def write_magnatagatune(path: Path, clips: Sequence[tuple[str, str, set[int]]], tags: int = 60) -> Path:
    """Write the annotations: clips as (id, path of the mp3, tags that it has)."""
    path.mkdir(parents=True, exist_ok=True)
    rows = [["clip_id", *(f"tag {tag}" for tag in range(tags)), "mp3_path"]]
    rows += [[name, *("01"[tag in has] for tag in range(tags)), mp3] for name, mp3, has in clips]
    lines = ["\t".join(f'"{cell}"' for cell in row) for row in rows]
    (path / "annotations_final.csv").write_text("\n".join(lines) + "\n")
    return path
