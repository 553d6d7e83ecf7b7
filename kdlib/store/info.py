"""What the store knows of a run: `RunInfo`, made from a run of MLflow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from kdlib.spec import TUNED_FIELDS, RunSpec
from kdlib.store.reading import StoredRun
from kdlib.summary import Summary

PLAN = "kdlib.plan."  # tags with this beginning hold the plans of groups
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ACTIVE = (QUEUED, RUNNING)
STATUS = {QUEUED: "SCHEDULED", RUNNING: "RUNNING", DONE: "FINISHED", FAILED: "FAILED", CANCELLED: "KILLED"}
STATES = {status: state for state, status in STATUS.items()}


@dataclass(frozen=True)
class RunInfo:
    """What the store knows of a run without opening its files.

    Attributes:
        id: 32 hexadecimal digits.
        name, user: as given at launch.
        spec: what is computed.
        state: "queued", "running", "done", "failed" or "cancelled".
        reason: why it failed, otherwise "".
        progress: share of the training steps done, 0 to 1.
        metrics: the latest value of every metric: `{"test/accuracy": 0.74, "test/accuracy_ci95": 0.02, ...}`;
            fractions.
        created, ended: seconds since 1970; `ended` is None while it is not over.
        submitted: when it was last handed to the engine (at launch or by a resume).
        resumes: how often a person resumed it.
        engine: names the engine it was handed to, the only one that knows whether its worker is alive.
        unsynced: points that are on the worker's disk and not yet in the store.
        cancelling: a cancel was requested and the worker has not stopped yet.
        phase: of a running run, one of `PHASES`; "" where that is not known, as of a run on another machine.
        phase_share: share of the phase that is done, 0 to 1.
        plans: of the groups that go on by themselves, what is planned: group -> JSON, see `kdlib.runs.sequences`.
    """

    id: str
    name: str
    user: str
    spec: RunSpec
    state: str
    created: float
    reason: str = ""
    progress: float = 0.0
    metrics: Mapping[str, float] | None = None
    ended: float | None = None
    submitted: float = 0.0
    resumes: int = 0
    engine: str = ""
    unsynced: int = 0
    cancelling: bool = False
    phase: str = ""
    phase_share: float = 0.0
    plans: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ACTIVE

    @property
    def setting(self) -> RunSpec:
        """What a run with a grid, or a tuned one, was trained with, once it is over; otherwise the spec."""
        metrics = self.metrics or {}
        if self.spec.grid and not self.spec.tune:
            values = {name: metrics.get(f"chosen/{name}") for name in self.spec.grid}
            cells = (cell for cell in self.spec.cells if {name: getattr(cell, name) for name in values} == values)
            return next(cells, self.spec)
        chosen = {name: metrics.get(f"chosen/{name}") for name in TUNED_FIELDS}
        if not self.spec.tune or chosen["lr"] is None:
            return self.spec
        return self.spec.replace(tune=0, **{name: value for name, value in chosen.items() if value is not None})

    @property
    def progress_label(self) -> str:
        """How far it is, as text: "40 %" of the training steps, or of another phase "measuring 40 %"."""
        if self.phase in ("", "training"):
            return f"{100 * self.progress:.0f} %"
        return f"{self.phase} {100 * self.phase_share:.0f} %"

    @property
    def metric(self) -> str:
        """The metric that counts first: "accuracy", or "map" for several labels an item."""
        return "map" if "test/map" in (self.metrics or {}) else "accuracy"

    def accuracy(self, split: str = "test") -> Summary | None:
        """Return `metric` over the seeds, whose own values the store does not have; None when there is no result."""
        metrics = self.metrics or {}
        if f"{split}/{self.metric}" not in metrics:
            return None
        return Summary(metrics[f"{split}/{self.metric}"], metrics.get(f"{split}/{self.metric}_ci95"), [])


def to_run_info(run: StoredRun) -> RunInfo | None:
    """Return a run of MLflow as ours, None when it is none, or of a version whose spec cannot be read here."""
    tags = run.tags
    try:
        spec = RunSpec.from_record(json.loads(tags["kdlib.spec"]))
    except (KeyError, TypeError, ValueError):
        return None
    state = STATES.get(run.status, FAILED)
    created = run.started / 1000
    return RunInfo(
        id=run.id,
        name=run.name,
        user=tags.get("mlflow.user", ""),
        spec=spec,
        state=state,
        created=created,
        reason=tags.get("kdlib.reason", "") if state == FAILED else "",
        progress=1.0 if state == DONE else run.metrics.get("progress", 0.0),
        metrics=run.metrics,
        ended=run.ended / 1000 if run.ended and state not in ACTIVE else None,
        submitted=float(tags.get("kdlib.submitted", created)),
        resumes=int(tags.get("kdlib.resumes", 0)),
        engine=tags.get("kdlib.engine", ""),
        plans={key.removeprefix(PLAN): value for key, value in tags.items() if key.startswith(PLAN)},
    )
