"""How the spaces of a compressed run form: what Start draws of it, live, over, or to be recorded."""

from functools import lru_cache
from typing import Any

import numpy as np

from kdlib import runs
from kdlib.analysis.estimates import estimate_knowledge
from kdlib.analysis.projection import project, project_frames
from kdlib.data import datasets
from kdlib.models import embedding
from kdlib.recording import Formation
from kdlib.spaces.presentation import first_label
from kdlib.spec import RunSpec
from kdlib.training.replay import stack_snapshots

ITEM = 0  # place among the rows of the item that is followed
DRAWN = 300  # rows on the maps
MAX_SHOWN = 8  # runs whose last snapshot is kept

_shown: dict[str, tuple[int, Formation]] = {}  # run -> epoch and formation of the snapshot that was shown last


def load_formation(run_id: str, epoch: int | None = None) -> Formation | None:
    """Return how the spaces of a compressed run formed so far; None before its first snapshot.

    Args:
        run_id: of a run with teacher.
        epoch: only the last snapshot up to this epoch, which takes milliseconds; None for all of them.

    Raises:
        ValueError: no such run.

    Example:
        >>> load_formation(run_id).known["target"][-1]
    """
    spec = runs.get(run_id).spec
    arrays: dict[str, Any] = runs.replay(run_id) or stack_snapshots(runs.snapshots(run_id))
    if not arrays or "compressed" not in arrays:
        return None
    finite = np.isfinite(arrays["student"]).all((1, 2))
    count = int(finite.argmin()) if not finite.all() else len(finite)  # a training that diverges ends here
    if epoch is None:
        return build_formation(spec, arrays, slice(0, count)) if count else None
    count = min(count, int((arrays["epochs"] <= epoch).sum()))
    return _moment(spec, run_id, arrays, count - 1) if count else None


def _moment(spec: RunSpec, run_id: str, arrays: dict[str, Any], number: int) -> Formation:
    """Return the formation of one snapshot; a page that is drawn more often than snapshots come computes each once."""
    reached, kept = int(arrays["epochs"][number]), _shown.get(run_id)
    if kept is None or kept[0] != reached:
        kept = reached, build_formation(spec, arrays, slice(number, number + 1))
        _shown[run_id] = kept
        for other in list(_shown)[:-MAX_SHOWN]:
            _shown.pop(other, None)
    return kept[1]


def build_formation(spec: RunSpec, arrays: dict[str, Any], times: slice) -> Formation:
    """Return the formation of snapshots that `stack_snapshots` made arrays of.

    Args:
        spec: of the run.
        arrays: "rows", "epochs", "student" and "compressed".
        times: which snapshots; the last of them is the basis of the maps.
    """
    rows, epochs = arrays["rows"], arrays["epochs"][times]
    data, known_raw, raw, anchor = _constants(spec, tuple(rows.tolist()))
    fixed = len(arrays["compressed"]) == 1  # a compressor that is not trained
    compressed = np.repeat(arrays["compressed"], len(epochs), 0) if fixed else arrays["compressed"][times]
    drawn = slice(0, DRAWN)
    places = {"raw": np.repeat(anchor[None], len(epochs), 0)}
    places |= {name: project_frames(space, anchor) for name, space in
               (("compressed", compressed), ("student", arrays["student"][times]))}  # fmt: skip
    targets = _targets(data, rows)
    known = [estimate_knowledge(space, targets) for space in (compressed[:1] if fixed else compressed)]
    known = known * len(epochs) if fixed else known
    return Formation(
        rows[drawn],
        first_label(data.labels[rows[drawn]]),
        tuple(map(str, data.classes)),
        epochs,
        {name: value[:, drawn] for name, value in places.items()},
        raw,
        compressed[:, ITEM],
        _stretched(datasets.to_float(data.inputs[rows[ITEM]]).mean(0)),
        str(data.classes[first_label(data.labels[rows[ITEM : ITEM + 1]])[0]]),
        known_raw,
        {name: np.array([each[name] for each in known]) for name in targets},
        {
            name: float(np.bincount(values[values >= 0]).max() / max((values >= 0).sum(), 1))
            for name, values in targets.items()
        },
    )


def _stretched(picture: np.ndarray) -> np.ndarray:
    """Return a picture from 0, its darkest place, to 1."""
    low, high = float(picture.min()), float(picture.max())
    return (picture - low) / max(high - low, 1e-9)


@lru_cache(maxsize=8)
def _constants(
    spec: RunSpec, rows: tuple[int, ...]
) -> tuple[datasets.Dataset, dict[str, float], np.ndarray, np.ndarray]:
    """Return what does not change while a run trains: data, what raw knows, the item's raw embedding, the raw map."""
    data = datasets.load(spec.dataset)
    numbers = np.array(rows)
    space = np.asarray(embedding.embed(spec.teacher, spec.dataset, pooling=spec.pooling)[numbers])
    (anchor,) = project("pca", [space]).places
    return data, estimate_knowledge(space, _targets(data, numbers)), space[ITEM] - space.mean(0), anchor


def _targets(data: datasets.Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return "target" and each attribute -> its codes for some rows."""
    return {"target": first_label(data.labels[rows])} | {
        name: attribute.values[rows] for name, attribute in data.attributes.items()
    }
