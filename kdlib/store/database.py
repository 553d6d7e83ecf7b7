"""The SQLite file of the local store, opened without MLflow, whose import takes seconds.

`open_database` turns the errors of SQLite into ours. A copy of the file is kept once a day, the last `COPIES` of them;
`restore_copy` goes back to the newest one. A file that cannot be read is moved aside, never deleted.
"""

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from kdlib.cache import atomic_path, home
from kdlib.store.errors import StoreDamagedError, StoreError, StoreUnavailableError

BUSY_SECONDS = 20.0  # how long to wait for a lock: as long as MLflow waits
COPIES = 3
OTHER_TABLES = ("no such table", "no such column")  # a file of another program, or an empty one
log = logging.getLogger("kdlib.store")


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to an existing database; what is written is committed at the end, or not at all.

    Raises:
        StoreDamagedError: it cannot be read.
        StoreUnavailableError: it is locked, or its disk does not answer.
    """
    try:
        # Not "ro": only who may write can undo what a killed writer left half-done.
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)) as connection,
            connection,
        ):
            yield connection
    except sqlite3.OperationalError as error:
        if str(error).startswith(OTHER_TABLES):
            raise damage_error(path, str(error)) from error
        raise StoreUnavailableError(f"the run store at sqlite:///{path} does not answer: {error}") from error
    except sqlite3.DatabaseError as error:
        raise damage_error(path, str(error)) from error


def damage_error(path: Path, reason: str) -> StoreDamagedError:
    """Return the error that says what is wrong with a database, and how to mend it."""
    repairs = "`python -m kdlib store rebuild` makes it anew from the files of the runs"
    if copy := next(iter(copies(path)), None):
        day = copy.stem.removeprefix(f"{path.stem}-")
        repairs += f"; `python -m kdlib store restore` takes the copy of {day} and adds what came later"
    return StoreDamagedError(f"the run store {path} is damaged ({reason}); {repairs}")


def check(path: Path, *, thoroughly: bool = False) -> None:
    """Return if the database can be read.

    Args:
        thoroughly: read all of it; otherwise just enough to notice a missing part or a file of another kind.

    Raises:
        StoreDamagedError: it cannot.
    """
    with open_database(path) as connection:
        connection.execute("SELECT run_uuid FROM runs LIMIT 1").fetchone()
        message = connection.execute("PRAGMA integrity_check(1)").fetchone()[0] if thoroughly else "ok"
    if message != "ok":
        raise damage_error(path, message.splitlines()[-1])


def move_aside(path: Path) -> Path:
    """Rename a database, together with what a killed writer left beside it, and return its new path."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    os.replace(path, aside)
    with suppress(FileNotFoundError):  # it would be applied to whatever has the old name
        os.replace(f"{path}-journal", f"{aside}-journal")
    return aside


def copies(path: Path) -> list[Path]:
    """Return the daily copies of a database, newest first."""
    return sorted((home() / "backups").glob(f"{path.stem}-????-??-??.db"), reverse=True)


def back_up(path: Path) -> bool:
    """Copy a database unless that was done today; return whether there is nothing left to do today.

    A database without runs is not worth a copy, and one that is damaged must not take the place of a good copy.
    """
    copy = home() / "backups" / f"{path.stem}-{date.today()}.db"
    if copy.exists() or path.parent != home().resolve():  # a database in another folder is its owner's to copy
        return True
    try:
        with FileLock(home() / "backup.lock", timeout=0), open_database(path) as connection:
            if connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is None:
                return False
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise damage_error(path, "a part of it is not as SQLite wrote it")
            with atomic_path(copy) as temporary, closing(sqlite3.connect(temporary)) as target:
                connection.backup(target)
        for old in copies(path)[COPIES:]:
            old.unlink(missing_ok=True)
    except Timeout:
        pass  # another process makes the copy
    except (OSError, StoreError) as error:  # runs go on without a copy
        log.warning("keeping a copy of the run store: %s", error)
    return True


def newest_copy(path: Path) -> Path:
    """Return the newest copy of a database.

    Raises:
        StoreError: there is none.
    """
    for copy in copies(path):
        return copy
    raise StoreError(
        "there is no copy of the run store; `python -m kdlib store rebuild` makes it anew from the files of the runs"
    )


def restore_copy(path: Path) -> Path:
    """Put the newest copy in the place of a database that is not there, and return the copy.

    Raises:
        StoreError: there is none.
    """
    copy = newest_copy(path)
    with atomic_path(path) as temporary:
        shutil.copyfile(copy, temporary)
    return copy
