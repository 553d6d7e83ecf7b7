"""`kdlib embed`: here and now, kept when it is stopped, exported, and with what the teacher then knows."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from kdlib.analysis import teacher_report
from kdlib.analysis.teacher_report import TeacherReport
from kdlib.cli.main import main
from kdlib.models import embedding
from tests import slow_teachers
from tests.live_engine import ROOT, wait_until


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    embedding._embeddings.cache_clear()
    yield tmp_path / "home"
    embedding._embeddings.cache_clear()


def test_it_embeds_exports_and_says_what_the_teacher_knows(tmp_path, capsys):
    path = tmp_path / "e.npz"
    assert main(["embed", "--dataset", "digits", "--teacher", "random", "--export", str(path)]) == 0
    line = capsys.readouterr().out.strip()
    report = teacher_report.cached("random", "digits")
    assert isinstance(report, TeacherReport)
    assert line == f"random on digits: 2,997 x 256 numbers; {report.target.describe()}"
    assert f"{100 * report.target.accuracy:.1f} % ({100 * report.target.ood:.1f} % out of domain" in line
    with np.load(path, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["embedding"], embedding.embed("random", "digits"))
        assert len(set(arrays["id"])) == 2997


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher", "nobody"], "nobody"),
        (["--teacher", "tones-simclr"], "takes sounds"),
        (["--teacher", "random", "--export", "e.csv"], ".parquet"),
        (["--teacher", "random", "--pooling", "min"], "mean+std"),
    ],
)
def test_what_cannot_be_is_one_line(more, message, capsys, home):
    assert main(["embed", "--dataset", "digits", *more]) == 2
    assert message in capsys.readouterr().err
    assert not list(home.glob("cache/embeddings/*"))


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(home):
    # Started by a shell in the background, tests and what they start are deaf to Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "import sys; from kdlib.models.providers import PROVIDERS; PROVIDERS['slow'] = 'tests.slow_teachers'\n"
    code += "from kdlib.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "embed", "--dataset", "digits", "--teacher", "slow:30"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(slow_teachers.asked()) > 5 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "of 2,997 items are kept; the same command goes on with them" in said
    before = len(slow_teachers.asked())
    assert before < 30
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("slow:30 on digits: 2,997 x 2 numbers")
    rows = [row for _, first, last in slow_teachers.asked() for row in range(first, last + 1)]
    assert set(rows) == set(range(2997))
    assert len(rows) - 2997 <= slow_teachers.BATCH
