"""A stand-in for `kdlib.pipeline.run`: same call, same files, no training. The spec says what shall happen.

`epochs` is how many points it makes, `width` how many milliseconds one takes, and `student` what goes wrong on the way.
"""

import errno
import json
import os
import signal
import sys
import time

import numpy as np

from kdlib.cache import atomic_path
from kdlib.progress import Progress
from kdlib.results import CURVES, Cost, Point, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import SplitMetrics, Summary

EATEN = []


def spec(**changes) -> RunSpec:
    """Return a spec of a quick run that goes well."""
    return RunSpec(**{"dataset": "digits", "epochs": 5, "width": 10, "student": "cnn", "seeds": 2} | changes)


def value(spec: RunSpec, epoch: int, member: int) -> float:
    """Return what any curve shows: a function of the spec, so that a repeated epoch is the same."""
    return (int(spec.identity[:6], 16) % 997) / 997 + epoch + member / 10


def run(spec: RunSpec, *, device="auto", on_progress=None, checkpoint=None) -> RunResult:
    first = json.loads(checkpoint.read_text())["epoch"] + 1 if checkpoint and checkpoint.exists() else 0
    history = [point_of(spec, epoch) for epoch in range(first)]
    status, reason = "done", ""
    for epoch in range(first, spec.epochs):
        time.sleep(spec.width / 1000)
        misbehave(spec.student, epoch, spec.epochs)
        point = point_of(spec, epoch)
        history.append(point)
        if on_progress and on_progress(Progress(epoch + 1, spec.epochs, point)):
            status = "cancelled"
            break
        if spec.student == "diverges" and epoch == 2:
            status, reason = "failed", "diverged: 2 of 2 members"
            break
        if checkpoint and epoch % 3 == 2:
            with atomic_path(checkpoint) as temporary:
                temporary.write_text(json.dumps({"epoch": epoch}))
    if spec.student == "slow to save":
        time.sleep(3600)
    accuracy = SplitMetrics({"accuracy": Summary(value(spec, 0, 0), 0.01, [value(spec, 0, 0)] * 2)})
    metrics = {"val": accuracy, "test": accuracy, "ood:rotated": accuracy} if status == "done" else {}
    arrays = {"student/w": np.ones((2, 3)), "features/test": np.ones((2, 4, 3)), "logits/test": np.ones((2, 4, 2))}
    return RunResult(spec, status, reason, metrics, history=history, cost=Cost(seconds=0.1), arrays=arrays)


def point_of(spec: RunSpec, epoch: int) -> Point:
    return Point(epoch, **{name: [value(spec, epoch, member) for member in range(spec.seeds)] for name in CURVES})


def misbehave(how: str, epoch: int, epochs: int) -> None:
    if epoch < epochs // 2:
        return
    if how == "leaves with 3":
        sys.exit(3)
    if how == "vanishes":
        os._exit(0)
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(3600)
    if how == "fills the disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if how == "needs too much":
        raise MemoryError
    if how == "eats memory":
        EATEN.append(np.ones(5_000_000))  # 40 MB
    if how == "has a bug":
        raise KeyError("weights")
