"""The folder of a run on the worker's own disk, which counts until the store has everything.

A run's folder, `KDLIB_HOME/runs/<id>/`, holds

journal.jsonl           one event a line, only ever appended: start, point, end
alive.json              how far it is, rewritten about once a second
checkpoint.safetensors  from which training goes on; with others of this name while a run is tuned
frames/                 where some rows lie in the spaces that form, one file per snapshot, until the result has them
result/                 files of a finished run on their way to the store
cancel                  a request to stop
job.json, synced.json   what was requested; how much of the journal the store has
reserve                 room for the last line of the journal on a full disk

A process may be killed between any two bytes: a torn last line is skipped, everything else is whole or absent.
"""

import json
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from kdlib.cache import Arrays, atomic_path, home
from kdlib.results import Point

RESERVE_BYTES = 32_768  # bytes, some blocks of any disk


@dataclass(frozen=True)
class Job:
    """What a worker has to do.

    Attributes:
        run: the run's id in the store.
        spec: the spec as JSON.
        function: "module:name" of the function that trains, called like `kdlib.pipeline.run`.
        tracking: the address of the store's server; "" for the store in the data folder.
        device: "auto", "cpu", "cuda" or "mps".
        resume: how often a person has resumed the run; a resume starts the count of deaths anew.
        restarts: how often the run is started again after its worker died.
    """

    run: str
    spec: str
    function: str = "kdlib.pipeline:run"
    tracking: str = ""
    device: str = "auto"
    resume: int = 0
    restarts: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a run ended: "done", "failed" or "cancelled", and why it failed."""

    state: str
    reason: str = ""


class RunFolder:
    """The folder of one run. Making the object makes no folder."""

    def __init__(self, run_id: str) -> None:
        if not re.fullmatch(r"[0-9a-f]{32}", run_id):
            raise ValueError(f"a run's id is 32 hexadecimal digits, got {run_id!r}")
        self.path = home().resolve() / "runs" / run_id
        self.journal = self.path / "journal.jsonl"
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.result = self.path / "result"
        self.log = self.path / "error.txt"
        self.frames = self.path / "frames"

    def work_lock(self) -> FileLock:
        """Return the lock of the worker that trains the run; the death of its process frees it."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / "work.lock")

    def launch_lock(self) -> FileLock:
        """Return the lock of the process that hands the run over to an engine; its death frees it."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / "launch.lock")

    def is_being_launched(self) -> bool:
        """Return whether a living process of this machine is handing the run over right now."""
        if not (self.path / "launch.lock").exists():
            return False
        try:
            with FileLock(self.path / "launch.lock", timeout=0):
                return False
        except Timeout:
            return True

    def append(self, kind: str, *, durable: bool = False, **fields: Any) -> None:
        """Add an event to the journal; `durable` waits until the disk has it.

        Raises:
            OSError: the disk is full or gone.
        """
        event = {"kind": kind, "t": round(time.time(), 3)} | fields
        line = json.dumps(event, separators=(",", ":"), default=float) + "\n"
        self.path.mkdir(parents=True, exist_ok=True)
        with self.journal.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the last writer was killed within a line
                    line = "\n" + line
            file.write(line.encode())
            if durable:
                file.flush()
                os.fsync(file.fileno())

    def events(self) -> list[dict[str, Any]]:
        """Return all whole events, oldest first."""
        try:
            lines = self.journal.read_bytes().split(b"\n")[:-1]
        except OSError:
            return []
        return [event for event in map(_parse_event, lines) if event]

    def points(self) -> list[Point]:
        """Return the points in the order of their epochs, each once: a resumed run passes some epochs again."""
        points = {event["epoch"]: event for event in reversed(self.events()) if event["kind"] == "point"}
        return [Point.from_dict(points[epoch]) for epoch in sorted(points)]

    def outcome(self, resume: int) -> Outcome | None:
        """Return how the run ended after its given resume (0: after its launch), None if it has not."""
        ends = [event for event in self.events() if event["kind"] == "end" and event["resume"] == resume]
        return Outcome(ends[0]["state"], ends[0]["reason"]) if ends else None

    def count_starts(self, resume: int) -> int:
        """Return how many workers have begun with it since the given resume."""
        return sum(event["kind"] == "start" and event["resume"] == resume for event in self.events())

    def death_reason(self, resume: int) -> str:
        """Return what is known of why its workers died, as the reason of a failed run."""
        reasons = [event["reason"] for event in self.events() if event["kind"] == "death"]
        alive = self.read("alive.json")
        if reasons:
            cause = f": {reasons[-1]}"
        elif alive.get("limit") and alive["memory"] > 0.8 * alive["limit"]:
            cause = f": out of memory ({alive['memory'] / 1e9:.1f} of {alive['limit'] / 1e9:.1f} GB in use)"
        else:
            cause = ", killed from outside or by the system"
        starts = self.count_starts(resume)
        times = f" {starts} times" if starts > 1 else ""
        return f"its worker died{times}{cause}; a resume goes on from the last checkpoint"

    def write_end(self, resume: int, outcome: Outcome) -> None:
        """Write how the run ended, unless somebody has done so before."""
        with FileLock(self.path / "end.lock", timeout=10):
            if self.outcome(resume) is None:
                self._reserve.unlink(missing_ok=True)
                self.append("end", durable=True, resume=resume, **asdict(outcome))

    def reserve(self) -> None:
        """Reserve the room that the last line needs, so that a run can also write its end on a full disk."""
        self._reserve.write_bytes(bytes(RESERVE_BYTES))

    @property
    def _reserve(self) -> Path:
        return self.path / "reserve"

    def cancel_requested(self, resume: int) -> bool:
        """Return whether it was cancelled, and not resumed since."""
        try:
            return int((self.path / "cancel").read_text()) >= resume
        except (OSError, ValueError):
            return False

    def request_cancel(self, resume: int) -> None:
        """Write down that it shall stop; `resume` counts the resumes so far."""
        with atomic_path(self.path / "cancel") as temporary:
            temporary.write_text(str(resume))

    def write_snapshot(self, frame: dict[str, Any]) -> None:
        """Write one of `Progress.frames`.

        Raises:
            OSError: the disk is full or gone.
        """
        from safetensors.numpy import save_file

        with atomic_path(self.frames / f"{frame['epoch']:08d}.safetensors") as temporary:
            arrays = {name: np.ascontiguousarray(value) for name, value in frame.items() if name != "epoch"}
            save_file(arrays, temporary)

    def read_snapshots(self) -> list[Arrays]:
        """Return the snapshots so far, oldest first."""
        from safetensors.numpy import load_file

        paths = sorted(self.frames.glob("[0-9]*.safetensors"))
        return [load_file(path) | {"epoch": np.array(int(path.stem))} for path in paths]

    def read(self, name: str) -> dict[str, Any]:
        """Return the content of a small JSON file of the folder, {} when there is none."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a small JSON file, whole or not at all."""
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")


def _parse_event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:  # torn by a kill, or by a full disk
        return None
    return event if isinstance(event, dict) and "kind" in event else None
