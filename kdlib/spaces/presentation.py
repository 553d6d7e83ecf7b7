"""What one sees in the spaces: colours of rows, tables of what was measured, probes, and the replay."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from kdlib import runs
from kdlib.analysis.projection import project, project_frames
from kdlib.colours import PALETTE
from kdlib.data.datasets import Dataset
from kdlib.models import embedding
from kdlib.results import RunResult
from kdlib.spaces.results import Scorecard
from kdlib.spec import BASELINE
from kdlib.summary import Probe
from kdlib.training.replay import stack_snapshots

UNKNOWN = "#9aa0a6"
WRONG, RIGHT = "#d55e00", "#56b4e9"
SCALE = ("#2c4f9e", "#5d6f9c", "#8b8c8f", "#bfae6a", "#f0d43c")  # cividis, a little lighter at its dark end


@dataclass(frozen=True)
class Colouring:
    """What rows are coloured by.

    Attributes:
        codes: (n,) int16, the entry of each row.
        names: of the entries.
        colours: of the entries.
        shapes: of the entries: 0 disc, 1 square, 2 triangle, 3 diamond; more entries than colours differ in shape.
        note: what the colours mean, if the names do not say it.
    """

    codes: np.ndarray
    names: tuple[str, ...]
    colours: tuple[str, ...]
    shapes: tuple[int, ...]
    note: str = ""


def first_label(labels: np.ndarray) -> np.ndarray:
    """Return one class per row, (n,) int64: the label, or the first of several known ones; -1 where none is known."""
    if labels.ndim == 1:
        return labels.astype(np.int64)
    positive = np.nan_to_num(labels) > 0
    return np.where(positive.any(1), positive.argmax(1), -1)


def predictions(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted class of each row, and whether that is one of its labels: 1 right, 0 wrong, -1 not known."""
    predicted = logits.argmax(1)
    if labels.ndim == 1:
        return predicted, np.where(labels < 0, -1, predicted == labels).astype(np.int64)
    true_values = labels[np.arange(len(predicted)), predicted]
    return predicted, np.where(np.isnan(true_values), -1, true_values > 0).astype(np.int64)


def colourings(data: Dataset, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return what rows can be coloured by."""
    return ["class", *data.attributes, "prediction", "error", *(f"neighbours lost, {a} → {b}" for a, b in pairs)]


def colours(
    by: str, data: Dataset, rows: np.ndarray, logits: np.ndarray | None, change: dict[str, np.ndarray]
) -> Colouring:
    """Return the colours of rows.

    Args:
        by: one of `colourings`.
        data: the dataset.
        rows: (n,) which of its rows.
        logits: (n, k) what is predicted for them; None is enough unless that is asked for.
        change: "a>b" -> (n,) fraction of neighbours lost; may lack what is not known yet.

    Raises:
        ValueError: unknown `by`, or it is not known yet.

    Example:
        >>> colours("class", data, data.splits["test"], None, {}).names
    """
    if by == "class":
        return _categories(first_label(data.labels[rows]), data.classes)
    if by in data.attributes:
        return _categories(data.attributes[by].values[rows], data.attributes[by].names)
    if by in ("prediction", "error") and logits is not None:
        predicted, correct = predictions(logits, data.labels[rows])
        if by == "prediction":
            return _categories(predicted, data.classes)
        return Colouring(
            np.where(correct < 0, 2, 1 - correct).astype(np.int16),
            ("right", "wrong", "not known"),
            (RIGHT, WRONG, UNKNOWN),
            (0, 3, 0),
        )
    lost = change.get(by.removeprefix("neighbours lost, ").replace(" → ", ">"))
    if lost is None:
        raise ValueError(f"the colours of {by!r} are not known (yet)")
    values, codes = np.unique(np.round(lost, 2), return_inverse=True)
    names = tuple(f"{100 * value:.0f} %" for value in values)
    note = "Colours: how many of its 10 nearest neighbours a row has lost."
    return Colouring(codes.astype(np.int16), names, _shades(len(values)), (0,) * len(values), note)


def _categories(codes: np.ndarray, names: Sequence[str]) -> Colouring:
    count = len(names)
    shades, shapes = [PALETTE[i % len(PALETTE)] for i in range(count)], [i // len(PALETTE) % 4 for i in range(count)]
    names = [str(name) for name in names]
    if (codes < 0).any():
        names, shades, shapes = [*names, "not known"], [*shades, UNKNOWN], [*shapes, 0]
    return Colouring(np.where(codes < 0, count, codes).astype(np.int16), tuple(names), tuple(shades), tuple(shapes))


def _shades(count: int) -> tuple[str, ...]:
    stops = np.array([[int(shade[i : i + 2], 16) for i in (1, 3, 5)] for shade in SCALE])
    at = np.linspace(0, len(stops) - 1, count)
    return tuple(
        "#" + "".join(f"{round(np.interp(place, range(len(stops)), stops[:, i])):02x}" for i in range(3))
        for place in at
    )


def row_table(data: Dataset, rows: np.ndarray, logits: np.ndarray) -> pd.DataFrame:
    """Return one line per row, in words: its id, class, attributes, prediction and whether that is right.

    Example:
        >>> rows = data.splits["test"]
        >>> row_table(data, rows, result.arrays["logits/test"][0])
    """
    predicted, correct = predictions(logits, data.labels[rows])
    label = first_label(data.labels[rows])
    frame: dict[str, np.ndarray | list[str]] = {
        "item": data.ids[rows] if len(data.ids) else rows.astype(str),
        "class": _named(label, data.classes),
    }
    if data.multi_label:
        frame["class"] = [
            ", ".join(str(data.classes[i]) for i in np.flatnonzero(np.nan_to_num(line) > 0)) or "–"
            for line in data.labels[rows]
        ]
    frame |= {
        "prediction": _named(predicted, data.classes),
        "right": np.array(["no", "yes", "–"], dtype=object)[correct],
    }
    frame |= {name: _named(each.values[rows], each.names) for name, each in data.attributes.items()}
    return pd.DataFrame(frame)


def _named(codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return np.array([*map(str, names), "–"], dtype=object)[codes]  # -1 is the last


def pair_frame(card: Scorecard) -> pd.DataFrame:
    """Return one row per pair of spaces and measure, as fractions: "pair", "measure", "value", "chance" (or None).

    Example:
        >>> pair_frame(compute_scorecard(load_spaces(run_id)))
    """
    rows = []
    for name, pair in card.pairs.items():
        label = name.replace(">", " → ")
        rows.append((label, f"neighbours kept @{card.k}", pair.overlap, pair.chance))
        rows.append((label, "linear CKA", pair.cka, None))
        rows.append((label, "distance correlation", pair.distance_correlation, None))
    return pd.DataFrame(rows, columns=["pair", "measure", "value", "chance"])


def pair_table(card: Scorecard) -> pd.DataFrame:
    """Return one row per pair of spaces of a scorecard, in words."""
    rows = [
        {
            "spaces": name.replace(">", " → "),
            "neighbour overlap @10": _percent(pair.overlap),
            "by chance": _percent(pair.chance),
            "linear CKA": _decimals(pair.cka, 2),
            "distance correlation": _decimals(pair.distance_correlation, 2),
        }
        for name, pair in card.pairs.items()
    ]
    return pd.DataFrame(rows)


def space_table(card: Scorecard) -> pd.DataFrame:
    """Return one row per space of a scorecard, in words."""
    rows = [
        {
            "space": name,
            "width": space.width,
            "effective rank": _decimals(space.effective_rank, 1),
            "silhouette by class": _decimals(space.silhouette, 2),
        }
        for name, space in card.spaces.items()
    ]
    return pd.DataFrame(rows)


def _decimals(value: float | None, count: int) -> str:
    return "–" if value is None else f"{value:.{count}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def probe_table(result: RunResult) -> pd.DataFrame:
    """Return one row per question ("split": target, attributes) and space: how well a linear probe reads it there.

    With chance, if known. A cancelled result has none.

    Example:
        >>> probe_table(runs.result(run_id))
    """
    known = result.teacher.probe if result.teacher else Probe()
    target = replace(known, student=result.spaces["student"].probe) if result.spaces else known
    rows = [
        (space, space, question, False, accuracy.mean, accuracy.ci95, accuracy.values, probe.chance)
        for question, probe in ({"target": target} | result.attributes).items()
        for space, accuracy in probe.spaces().items()
    ]
    return pd.DataFrame(rows, columns=["label", "role", "split", "outside", "mean", "ci95", "values", "chance"])


@dataclass(frozen=True)
class Replay:
    """How the spaces of a run's first member formed.

    Attributes:
        rows: (r,) the validation rows that were followed.
        epochs: (t,) after how many epochs each snapshot was taken.
        places: space -> (t, r, 2), all of one basis, that of the last snapshot; raw does not move.
    """

    rows: np.ndarray
    epochs: np.ndarray
    places: dict[str, np.ndarray]


def replay(run_id: str) -> Replay | None:
    """Return the replay of a run as far as it has come, None before its first snapshot.

    Raises:
        ValueError: no such run.

    Example:
        >>> replay(run_id).places["student"].shape
    """
    spec = runs.get(run_id).spec
    arrays: dict[str, Any] = runs.replay(run_id) or stack_snapshots(runs.snapshots(run_id))
    if not arrays:
        return None
    finite = np.isfinite(arrays["student"]).all((1, 2))
    count = int(finite.argmin()) if not finite.all() else len(finite)  # a training that diverges ends here
    if not count:
        return None
    places, anchor = {}, None
    if spec.method != BASELINE:
        embeddings = embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)
        (anchor,) = project("pca", [embeddings[arrays["rows"]]]).places
        places["raw"] = np.repeat(anchor[None], count, 0)
    for name in ("compressed", "student"):
        if name in arrays:
            frames = arrays[name][:count] if len(arrays[name]) > 1 else np.repeat(arrays[name], count, 0)
            places[name] = project_frames(frames, anchor)
    return Replay(arrays["rows"], arrays["epochs"][:count], places)
