"""Where the store is, and the words for "it does not answer".

`connect()` gives the client; every call to it stands inside `asking()`, which turns the library's errors into ours. The local database is
made under another name and then renamed, so that a process killed half-way leaves none rather than half of one.
"""

import importlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

from kdlib.cache import atomic_path, home
from kdlib.store import database
from kdlib.store.errors import RunNotFoundError, StoreDamagedError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "KD Lab"
LOADING_SECONDS = (
    20.0  # seconds that the first question may take longer: loading the library says nothing about the store
)

DAMAGE = (
    "is malformed",
    "is not a database",
    "no such table",
)  # what SQLite says of a file that is cut off, or another one

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Connection:
    """A client of one store and the experiment that holds our runs.

    Attributes:
        file: what tells the local database from another of the same name, None for a server.
    """

    client: "MlflowClient"
    experiment: str
    file: tuple[int, int] | None


_connections: dict[str, Connection] = {}
_copied: dict[str, date] = {}  # stores of which there is a copy of that day
_loaded: set[str] = set()  # stores whose library is there, whether or not they answer
_connecting = threading.Lock()
_loading = threading.Lock()


def tracking_uri() -> str:
    """Return where runs are kept: `MLFLOW_TRACKING_URI`, by default an SQLite file in the data folder."""
    given = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"
    path = local_database(given)
    return f"sqlite:///{path.resolve()}" if path else given  # a worker has another current folder


def connect() -> Connection:
    """Return the client of the current store; the first call makes the local database, or asks the server for our experiment.

    Raises:
        StoreUnavailableError: it does not answer.
        StoreDamagedError: the local database cannot be read.
    """
    uri = tracking_uri()
    with _connecting:
        known = _connections.get(uri)
        if known is None or known.file != _file(uri):
            load_library()
            with translate_errors():
                if known is not None:  # restored or rebuilt meanwhile: what is open is the old file
                    known.client._tracking_client.store.engine.dispose()
                _connections[uri] = _connect(uri)
    path = local_database(uri)
    if path and _copied.get(uri) != date.today() and database.keep_copy(path):
        _copied[uri] = date.today()
    return _connections[uri]


def _file(uri: str) -> tuple[int, int] | None:
    path = local_database(uri)
    if path is None or not path.exists():
        return None
    about = path.stat()
    return about.st_dev, about.st_ino


def load_library() -> None:
    """Load the library, without asking it anything."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # standard output is for answers
    os.environ.setdefault(
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"
    )  # by default a server that is away blocks a call for many minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    with _loading:
        importlib.import_module("mlflow")  # which sets up its own logging
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # an error comes back as an exception, once is enough
    if local_database(tracking_uri()):
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


def _connect(uri: str) -> Connection:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if path := local_database(uri):
        _make_database(uri)
        database.check(path)  # the library's own complaint is a page long
    client = MlflowClient(tracking_uri=uri)
    _loaded.add(uri)
    with FileLock(home() / "experiment.lock", timeout=60):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            where = (home().resolve() / "artifacts").as_uri() if local_database(uri) else None
            with suppress(MlflowException):  # another machine made it in this moment
                client.create_experiment(EXPERIMENT, artifact_location=where)
            experiment = client.get_experiment_by_name(EXPERIMENT)
    return Connection(client, experiment.experiment_id, _file(uri))


def local_database(uri: str) -> Path | None:
    """Return the SQLite file of a store on this disk, None for a server."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _make_database(uri: str) -> None:
    path = local_database(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=120):
        if path.exists():
            return
        import sqlalchemy
        from mlflow.store.db.utils import _initialize_tables

        with atomic_path(path) as temporary:
            engine = sqlalchemy.create_engine(f"sqlite:///{temporary}", poolclass=sqlalchemy.pool.NullPool)
            # Its fifty migrations each wait for the disk otherwise, seconds in all; a file that is lost before it is renamed is no loss.
            sqlalchemy.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
            _initialize_tables(engine)
            engine.dispose()
            with temporary.open("rb+") as written:
                os.fsync(written)


@contextmanager
def translate_errors(what: str = "") -> Iterator[None]:
    """Turn the errors of MLflow, and of the disk or network below it, into ours.

    Args:
        what: the run or file asked for, named in the message when the store does not have it.
    """
    with _loading:  # two threads that import mlflow for the first time at once each see half of it
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        first = next(iter(str(error).strip().splitlines()), "")
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise RunNotFoundError(f"the store does not have {what}" if what else first) from error
        if error.error_code in ("INVALID_PARAMETER_VALUE", "INVALID_STATE"):
            raise StoreError(f"the store refuses {what}: {first}" if what else first) from error
        raise _unavailable(first) from error
    except SQLAlchemyError as error:
        raise _unavailable(str(error).partition("\n")[0]) from error
    except OSError as error:
        raise StoreUnavailableError(
            f"the run store at {describe_location()} cannot be read or written: {error}"
        ) from error


def _unavailable(why: str) -> StoreUnavailableError:
    path = local_database(tracking_uri())
    if path and any(words in why for words in DAMAGE):
        return database.damaged(path, why)
    return StoreUnavailableError(f"the run store at {describe_location()} does not answer: {why}")


def describe_location() -> str:
    """Return where the store is, without user name and password."""
    uri = tracking_uri()
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.username else uri


class Retry:
    """Tries again while the store is unavailable, until a deadline.

    SQLite answers "database is locked" at once when two writers meet in a certain order, however long its time-out; so writers ask again.
    """

    def __init__(self, seconds: float, between: float = 0.05) -> None:
        self.deadline = time.monotonic() + seconds
        self.between = between

    def __call__(self, call: Callable[[], Answer]) -> Answer:
        """Return what the call returns.

        Raises:
            StoreUnavailableError: from the last attempt.
        """
        while True:
            try:
                return call()
            except StoreDamagedError:
                raise
            except StoreUnavailableError:
                if time.monotonic() + self.between > self.deadline:
                    raise
                time.sleep(self.between)
                self.between = min(self.between * 2, 2.0)


def with_timeout(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return what the call returns, if it does so in time; for callers that have something better to do than to wait for a locked database.

    In a process that has not yet talked to the store it may take `LOADING_SECONDS` longer.

    Raises:
        StoreUnavailableError: it takes longer. The call goes on in a thread of its own until the library gives up.
    """
    box: queue.SimpleQueue[tuple[Answer | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((call(), None))
        except Exception as error:  # it is raised in the caller's thread, whatever it is
            box.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = box.get(timeout=seconds + (0 if tracking_uri() in _loaded else LOADING_SECONDS))
    except queue.Empty:
        raise StoreUnavailableError(
            f"the run store at {describe_location()} is busy; it did not answer within {seconds:.0f} s"
        ) from None
    if error is not None:
        raise error
    return answer
