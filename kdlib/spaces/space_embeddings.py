"""The embeddings of any dataset in one space of a run, computed for the rows that are requested.

What a run stored of its trained compressor and students is applied again, so that new items get theirs too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kdlib import runs
from kdlib.analysis.geometry import sample_rows
from kdlib.analysis.scaling import ScaledEmbeddings
from kdlib.data import datasets
from kdlib.data.dataset import ITEM_NAMES, Dataset, to_float
from kdlib.models import embedding
from kdlib.models.separation import spec_compressor
from kdlib.progress import OnProgress
from kdlib.registry import lookup
from kdlib.spaces.rows import to_raw_space
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import CANCELLED, DONE, RunInfo, RunNotFoundError

SPACES = ("raw", "compressed", "student")
CALIBRATION_ROWS = 20_000  # training rows that ranges are taken from, at most
BATCH = 500  # rows that go through a network at once
CHECKED_ROWS = 200  # on which a compressor is compared with what the run stored
TOLERANCE = 1e-3  # of the largest number: above it a compressor is another one

if TYPE_CHECKING:
    from torch import nn

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SpaceEmbeddings:
    """Embeddings (n, d) of the items of a dataset, computed for the requested rows.

    Attributes:
        ids: (n,) names of the items.
        width: d.
        training: (r, d) those of training rows, on which a precision is calibrated.
    """

    ids: np.ndarray
    width: int
    training: np.ndarray
    _compute: Transform = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (n, d)."""
        return len(self.ids), self.width

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return those of some rows, (b, d) float32."""
        parts = [self._compute(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)


def open_space(
    run_id: str,
    space: str,
    dataset: str = "",
    *,
    member: int = 0,
    width: int | None = None,
    on_progress: OnProgress | None = None,
) -> SpaceEmbeddings:
    """Return the embeddings of a dataset in one space of a finished run.

    Args:
        run_id: of the run.
        space: "raw", "compressed" or "student".
        dataset: whose items; by default those of the run.
        member: which seed.
        width: only so many leading numbers, of a compressor that trains leading numbers to be embeddings.
        on_progress: shown how many items the teacher has embedded, where it has to.

    Raises:
        ValueError: no such run, space, member or width, a dataset that does not fit, or files of the run are gone.
        CancelledError: `on_progress` asked to stop; what is embedded is kept.

    Example:
        >>> open_space(run_id, "compressed")[np.arange(3)].shape
    """
    lookup(dict.fromkeys(SPACES), space, "space")
    run = runs.get(run_id)
    _check_member(run, member)
    spec, items = run.setting, dataset or run.spec.dataset
    data, own = datasets.load(items), datasets.load(spec.dataset)
    try:
        if space == "student":
            return _student_space(run_id, spec, own, data, member, width)
        if spec.method == BASELINE:
            raise ValueError(f"run {run.name} is a baseline: it has no teacher, only --space student")
        embeddings = embedding.embed(spec.teacher, items, on_progress, spec.pooling)
        source = embedding.embed(spec.teacher, spec.dataset, on_progress, spec.pooling)
        if space == "raw" or spec.method in (RAW, "none"):
            _check_full_width(space, width)
            training = to_raw_space(spec, source[calibration_rows(own.labelled(spec.labels, spec.subset))])
            return _space(data, lambda rows: to_raw_space(spec, embeddings[rows]), training, None)
        _check_width(spec, source.shape[1], own, width)
        transform = _compressor(run_id, spec, own, source, member)
    except RunNotFoundError as error:
        raise ValueError(f"the files of run {run.name} have been deleted: {error}") from error
    training = transform(source[calibration_rows(own.labelled(spec.labels, spec.subset))])
    return _space(data, lambda rows: transform(embeddings[rows]), training, width)


def _check_member(run: RunInfo, member: int) -> None:
    if run.state not in (DONE, CANCELLED):
        raise ValueError(f"run {run.name} is {run.state}; only runs that are over have spaces")
    if not 0 <= member < run.spec.seeds:
        raise ValueError(f"run {run.name} has the seeds 0 to {run.spec.seeds - 1}, got {member}")


def _student_space(
    run_id: str, spec: RunSpec, own: Dataset, data: Dataset, member: int, width: int | None
) -> SpaceEmbeddings:
    _check_full_width("student", width)
    _check_inputs(own, data)
    compute = _student(run_id, spec, own, member)
    training = compute(own.inputs[calibration_rows(own.labelled(spec.labels, spec.subset))])
    return _space(data, lambda rows: compute(data.inputs[rows]), training, None)


def calibration_rows(rows: np.ndarray) -> np.ndarray:
    """Return the rows on which a precision is calibrated: all of them, or many.

    Example:
        >>> len(calibration_rows(np.arange(10)))
        10
    """
    return rows[sample_rows(len(rows), CALIBRATION_ROWS)]


def _space(data: Dataset, compute: Transform, training: np.ndarray, width: int | None) -> SpaceEmbeddings:
    """Return the leading `width` numbers, or all, of what `compute` makes of rows of a dataset."""
    kept = training.shape[1] if width is None else width
    return SpaceEmbeddings(
        data.ids, kept, training[:, :kept], lambda rows: np.asarray(compute(rows)[:, :kept], np.float32)
    )


def nested_widths(spec: RunSpec, d_c: int) -> tuple[int, ...]:
    """Return the leading widths that the method of a spec trains to be embeddings, `d_c` itself the last.

    Example:
        >>> nested_widths(RunSpec(method="matryoshka"), 16)
        (2, 4, 8, 16)
    """
    return (d_c,) if spec.method == BASELINE else spec_compressor(spec).prefixes(d_c)


def _check_full_width(space: str, width: int | None) -> None:
    if width is not None:
        raise ValueError(
            f"--width takes leading numbers of a compressed embedding, and the {space} space is of use only whole; "
            "leave it out"
        )


def _check_width(spec: RunSpec, d_t: int, data: Dataset, width: int | None) -> None:
    d_c = spec_compressor(spec).width(d_t, spec.dim, len(data.classes))
    if width is None or width == d_c:
        return
    if len(nested_widths(spec, d_c)) < 2:
        raise ValueError(
            f"the leading numbers of {spec.method} are no embedding by themselves; leave --width out, "
            "or train with the method matryoshka"
        )
    if not 1 <= width <= d_c:
        raise ValueError(f"the embedding has {d_c} numbers, got a width of {width}")


def _check_inputs(own: Dataset, data: Dataset) -> None:
    if (own.modality, own.inputs.shape[1:]) != (data.modality, data.inputs.shape[1:]):
        takes, holds = (f"{ITEM_NAMES[each.modality]} of shape {each.inputs.shape[1:]}" for each in (own, data))
        raise ValueError(f"the student takes {takes} as in {own.name}, but {data.name} holds {holds}")


def _student(run_id: str, spec: RunSpec, data: Dataset, member: int) -> Transform:
    """Return the body of a trained student: inputs (b, ...) as stored -> features (b, d_s)."""
    import torch

    from kdlib.models.students import build_student

    weights = {name.removeprefix("student/"): value[member] for name, value in runs.arrays(run_id, "student").items()}
    with torch.random.fork_rng(devices=[]):
        student = build_student(spec.student, data.inputs.shape[1:], spec.width, len(data.classes), depth=spec.depth)
    state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items() if name.startswith("body.")}
    student.body.load_state_dict({name.removeprefix("body."): value for name, value in state.items()})

    @torch.no_grad()
    def compute(inputs: np.ndarray) -> np.ndarray:
        batches = torch.from_numpy(to_float(inputs)).split(BATCH)
        return torch.cat([student.body(batch) for batch in batches]).numpy()

    return compute


def _compressor(run_id: str, spec: RunSpec, data: Dataset, embeddings: np.ndarray, member: int) -> Transform:
    """Return the compressor of a member: teacher embeddings (b, d_t) -> (b, d_c). It is the run's, or an error.

    A trained one has its stored weights, a fixed one is fitted again, to the same rows.
    """
    labelled, entry = data.labelled(spec.labels, spec.subset), spec_compressor(spec)
    scaled = ScaledEmbeddings.to_unit(
        embeddings, labelled, embedding.block_widths(spec.teacher, spec.dataset, spec.pooling)
    )
    d_c = entry.width(embeddings.shape[1], spec.dim, len(data.classes))
    if entry.trainable:
        network = _trained_compressor(run_id, entry.build(embeddings.shape[1], d_c), member)
    else:
        seed = spec.seed_numbers[member] if entry.seeded else 0
        network = entry.build(d_c, seed).fit(scaled[labelled], data.labels[labelled]).transform

    def compute(rows: np.ndarray) -> np.ndarray:
        return network(((rows - scaled.mean) / scaled.scale).astype(np.float32))

    expected = runs.member_array(run_id, "features", "compressed/val", member)[:CHECKED_ROWS]
    found = compute(embeddings[data.splits["val"][: len(expected)]])
    if np.abs(found - expected).max() > TOLERANCE * np.abs(expected).max():
        raise ValueError(
            f"{spec.teacher} gives other embeddings of {spec.dataset} now than when run {run_id[:8]} was trained, "
            "so its compressor does not fit them; train it again"
        )
    return compute


def _trained_compressor(run_id: str, module: "nn.Module", member: int) -> Transform:
    import torch

    names = list(module.state_dict())
    stored = [runs.member_array(run_id, "features", f"teacher/compressor.{name}", member) for name in names]
    weights = {name: torch.from_numpy(np.array(value)) for name, value in zip(names, stored, strict=True)}
    module.load_state_dict(weights)

    @torch.no_grad()
    def transform(rows: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(rows)).numpy()

    return transform
