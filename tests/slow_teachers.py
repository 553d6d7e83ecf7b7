"""Teachers "slow:<milliseconds a batch>", with "!<row>" the process dies at that row; each batch asked for is noted."""

import json
import os
import signal
import time

import numpy as np

from kdlib.cache import home
from kdlib.models.providers import PROVIDERS, TeacherEntry
from kdlib.models.teacher import Teacher
from kdlib.spaces import embedding_jobs

BATCH = 100
ABOUT = ("Takes its time", "wait", False)


def list_teachers() -> dict[str, TeacherEntry]:
    return {"slow:1000": TeacherEntry(*ABOUT, "image")}


def get(reference: str) -> Teacher:
    milliseconds, _, deadly = reference.partition("!")

    def embed_rows(data, rows):
        with (home() / "asked.jsonl").open("a") as stream:
            stream.write(json.dumps([os.getpid(), int(rows[0]), int(rows[-1])]) + "\n")
        if deadly and int(deadly) in rows:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(int(milliseconds) / 1000)
        return np.stack([rows, data.inputs[rows].sum((1, 2, 3))], axis=1).astype(np.float32)

    return Teacher(*ABOUT, lambda: embed_rows, batch=BATCH)


def asked() -> list[list[int]]:
    """Return process, first and last row of each batch so far."""
    path = home() / "asked.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def compute(*arguments) -> None:
    """Do a job in a worker, which has not heard of these teachers."""
    PROVIDERS["slow"] = "tests.slow_teachers"
    embedding_jobs.compute(*arguments)
