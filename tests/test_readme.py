"""The README does what it says: its Python runs, its commands parse, its files are there."""

import re
import shlex
from pathlib import Path

import pytest

from kdlib.cli import parser

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run(capsys):
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
    assert "baseline" in capsys.readouterr().out


@pytest.mark.parametrize("line", re.findall(r"^python -m kdlib (.*)$", TEXT, re.MULTILINE))
def test_commands_parse(line):
    assert parser().parse_args(shlex.split(line, comments=True)).handler


def test_what_it_points_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    for name in re.findall(r"`((?:kdlib|tests|pages|app)[\w/]*\.py)`", TEXT):
        assert (ROOT / name).exists(), name
