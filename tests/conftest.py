"""What every test shares: a data folder of its own (never the user's), and the `--slow` switch."""

import os
import shutil
import tempfile

import pytest

_HOME = pytest.StashKey[tuple[str, str | None]]()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    """One folder for the whole session, so that a dataset or an embedding is built once and then read from the cache."""
    config.stash[_HOME] = (tempfile.mkdtemp(prefix="kdlib-tests-"), os.environ.get("KDLIB_HOME"))
    os.environ["KDLIB_HOME"] = config.stash[_HOME][0]


def pytest_unconfigure(config):
    folder, before = config.stash[_HOME]
    shutil.rmtree(folder, ignore_errors=True)
    if before is None:
        os.environ.pop("KDLIB_HOME", None)
    else:
        os.environ["KDLIB_HOME"] = before


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
