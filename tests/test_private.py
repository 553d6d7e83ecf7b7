"""The data folder is its owner's alone, whatever the umask and whatever it was before."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from kdlib import cache
from tests.live_engine import ENVIRONMENT

SMALL = [
    "--methods",
    "raw",
    "--dataset",
    "digits",
    "--teacher",
    "random",
    "--labels",
    "60",
    "--epochs",
    "2",
    "--seeds",
    "2",
    "--width",
    "4",
]


def open_to_others(folder):
    """Return what somebody else could read or write below a folder, itself included."""
    paths = [folder, *folder.rglob("*")]
    return [
        f"{stat.filemode(path.lstat().st_mode)} {path}"
        for path in paths
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]


def kdlib(home, *words):
    environment = os.environ | ENVIRONMENT | {"KDLIB_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "kdlib", *words], env=environment, umask=0, check=True, capture_output=True, text=True
    ).stdout


def test_what_commands_workers_and_imports_wrote_could_be_read_by_everyone(tmp_path):
    home, table = tmp_path / "home", tmp_path / "own.npz"
    np.savez(table, x=np.random.default_rng(0).random((60, 4), np.float32), label=np.array(list("ab") * 30))
    try:
        kdlib(home, "compare", *SMALL)
        kdlib(home, "import", str(table), "--target", "label")
        run_id = kdlib(home, "launch", "--methods", "mlp", "--epochs", "3", "--width", "10", "--seeds", "2").strip()
        kdlib(home, "watch", run_id)
        kdlib(home, "cancel", run_id)
    finally:
        kdlib(home, "engine", "stop")
    for part in ("mlflow.db", "cache", "data", "runs", "artifacts", "engine", "locks"):
        assert (home / part).exists()
    assert not open_to_others(home)


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750])
def test_a_folder_from_before_is_closed_when_it_is_opened(tmp_path, monkeypatch, mode):
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(mode)
    monkeypatch.setenv("KDLIB_HOME", str(folder))
    assert stat.S_IMODE(cache.home().stat().st_mode) == 0o700


def test_a_new_folder_is_closed_although_the_process_has_no_umask(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "deep" / "home"))
    before = os.umask(0)
    try:
        assert stat.S_IMODE(cache.home().stat().st_mode) == 0o700
    finally:
        os.umask(before)
