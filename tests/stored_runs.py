"""Finished runs for tests of what reads them: small ones on the plain digits, in the store as a worker leaves them."""

from functools import lru_cache

from kdlib import engine, pipeline, store
from kdlib.engine import Job, Outcome, RunFolder
from kdlib.engine.worker import save_result
from kdlib.results import RunResult
from kdlib.spec import RunSpec

SPEC = RunSpec(dataset="digits", teacher="random", labels=60, epochs=2, width=2, seeds=2, dim=4)
METHODS = ("baseline", "raw", "mlp")


@lru_cache
def trained(spec: RunSpec = SPEC, methods: tuple[str, ...] = METHODS) -> list[RunResult]:
    """Return one small result per method."""
    return pipeline.compare([spec.replace(method=method) for method in methods])


def store_result(result: RunResult, name: str) -> str:
    """Return the id of a run that the store holds as done."""
    run_id = store.create(result.spec, name=name, user="tester", engine=engine.engine_id())
    folder = RunFolder(run_id)
    for point in result.history:
        folder.append("point", **point.to_dict())
    save_result(folder, result)
    folder.write_end(0, Outcome(store.DONE))
    engine.push(Job(run_id, result.spec.to_json()))
    return run_id


def store_all(name: str = "stored") -> list[str]:
    """Return the ids of one stored run per method."""
    return [store_result(result, f"{name} {result.spec.method}") for result in trained()]
