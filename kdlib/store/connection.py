"""Where the store is, and the words for "it does not answer".

`connect()` gives the client; every call to it stands inside `translate_errors()`, which turns the library's errors into
ours. The local database is made under another name and then renamed, so that a process killed half-way leaves none
rather than half of one.
"""

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
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
    20.0  # how much longer the first call may take: it loads the library, which says nothing about the store
)

# What SQLite says of a file that is cut off, or that another program wrote.
DAMAGE = ("is malformed", "is not a database", "no such table")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Connection:
    """A client of one store and the experiment that holds our runs.

    Attributes:
        file: device and inode of the local database, which differ once it was replaced; None for a server.
    """

    client: "MlflowClient"
    experiment: str
    file: tuple[int, int] | None


_connections: dict[str, Connection] = {}
_copied: dict[str, date] = {}  # address of a store -> the day of its last copy
_loaded: set[str] = set()  # addresses of stores whose library is loaded, whether or not they answer
_connecting = threading.Lock()
_loading = threading.Lock()


def tracking_uri() -> str:
    """Return where runs are kept: `MLFLOW_TRACKING_URI`, by default an SQLite file in the data folder."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"
    path = local_database(uri)
    return f"sqlite:///{path.resolve()}" if path else uri  # a worker has another current folder


def connect() -> Connection:
    """Return the client of the current store. The first call makes the local database, or the experiment on the server.

    Raises:
        StoreUnavailableError: it does not answer.
        StoreDamagedError: the local database cannot be read.
    """
    uri = tracking_uri()
    with _connecting:
        connection = _connections.get(uri)
        if connection is None or connection.file != _file_identity(uri):
            load_library()
            with translate_errors():
                if connection is not None:  # the file was restored or rebuilt meanwhile: what is open is the old one
                    connection.client._tracking_client.store.engine.dispose()
                _connections[uri] = _open_connection(uri)
    path = local_database(uri)
    if path and _copied.get(uri) != date.today() and database.back_up(path):
        _copied[uri] = date.today()
    return _connections[uri]


def _file_identity(uri: str) -> tuple[int, int] | None:
    path = local_database(uri)
    if path is None or not path.exists():
        return None
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def load_library() -> None:
    """Load the library, without talking to the store."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # standard output is for results
    # By default a server that is away blocks a call for many minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    with _loading:
        importlib.import_module("mlflow")  # which sets up its own logging
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # an error comes back as an exception, once is enough
    if local_database(tracking_uri()):
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


def _open_connection(uri: str) -> Connection:
    from mlflow import MlflowClient

    if path := local_database(uri):
        create_database(path)
        database.check(path)  # the library's own complaint is a page long
    client = MlflowClient(tracking_uri=uri)
    _loaded.add(uri)
    return Connection(client, _experiment_id(client, uri), _file_identity(uri))


def _experiment_id(client: "MlflowClient", uri: str) -> str:
    """Return the id of our experiment, which is made where the store does not have it.

    Raises:
        StoreUnavailableError: the store neither has nor makes it.
    """
    from mlflow.exceptions import MlflowException

    with FileLock(home() / "experiment.lock", timeout=60):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            folder = (home().resolve() / "artifacts").as_uri() if local_database(uri) else None
            with suppress(MlflowException):  # another machine made it in this moment
                client.create_experiment(EXPERIMENT, artifact_location=folder)
            experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise StoreUnavailableError(f"the run store at {describe_location()} did not make experiment {EXPERIMENT!r}")
    return experiment.experiment_id


def local_database(uri: str) -> Path | None:
    """Return the SQLite file of a store on this disk, None for a server."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def create_database(path: Path) -> None:
    """Make an empty database, unless the file is there. It appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=120):
        if path.exists():
            return
        from mlflow.store.db.utils import _initialize_tables
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import NullPool

        with atomic_path(path) as temporary:
            engine = create_engine(f"sqlite:///{temporary}", poolclass=NullPool)
            # Its fifty migrations each wait for the disk otherwise, seconds in all; a file that is lost before it is
            # renamed is no loss.
            event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
            _initialize_tables(engine)
            engine.dispose()
            with temporary.open("rb+") as file:
                os.fsync(file)


@contextmanager
def translate_errors(subject: str = "") -> Iterator[None]:
    """Turn the errors of MLflow, and of the disk or network below it, into ours.

    Args:
        subject: the run or file of the call, named in the message when the store does not have it.
    """
    with _loading:  # two threads that import mlflow for the first time at once each see half of it
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        message = next(iter(str(error).strip().splitlines()), "")
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise RunNotFoundError(f"the store does not have {subject}" if subject else message) from error
        if error.error_code in ("INVALID_PARAMETER_VALUE", "INVALID_STATE"):
            raise StoreError(f"the store refuses {subject}: {message}" if subject else message) from error
        raise _unavailable(message) from error
    except SQLAlchemyError as error:
        raise _unavailable(str(error).partition("\n")[0]) from error
    except OSError as error:
        message = f"the run store at {describe_location()} cannot be read or written: {error}"
        raise StoreUnavailableError(message) from error


def _unavailable(reason: str) -> StoreUnavailableError:
    path = local_database(tracking_uri())
    if path and any(words in reason for words in DAMAGE):
        return database.damage_error(path, reason)
    return StoreUnavailableError(f"the run store at {describe_location()} does not answer: {reason}")


def describe_location() -> str:
    """Return where the store is, without user name and password."""
    uri = tracking_uri()
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.username else uri


class Retry:
    """Tries again while the store is unavailable, until a deadline.

    SQLite answers "database is locked" at once when two writers meet in a certain order, however long its time-out; so
    writers try again.

    Example:
        >>> retry = Retry(seconds=20)
        >>> retry(lambda: set_state(run_id, "running"))
    """

    def __init__(self, seconds: float, between: float = 0.05) -> None:
        self.deadline = time.monotonic() + seconds
        self.between = between

    def __call__(self, call: Callable[[], Result]) -> Result:
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


def with_timeout(seconds: float, call: Callable[[], Result]) -> Result:
    """Return what the call returns, if it does so in time; for callers that must not wait for a lock.

    In a process that has not yet talked to the store it may take `LOADING_SECONDS` longer.

    Raises:
        StoreUnavailableError: it takes longer. The call goes on in a thread of its own until the library gives up.

    Example:
        >>> run = with_timeout(4.0, lambda: fetch(run_id))
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # it is raised in the caller's thread, whatever it is
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    wait([future], timeout=seconds + (0 if tracking_uri() in _loaded else LOADING_SECONDS))
    if not future.done():
        message = f"the run store at {describe_location()} is busy; it did not answer within {seconds:.0f} s"
        raise StoreUnavailableError(message)
    return future.result()
