"""README and docs do what they say: their Python runs, their commands parse, what they point to is there.

A Python block that cannot run here is marked by the line before it, `<!-- needs data: which -->`; it must compile all
the same.
"""

import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from kdlib import catalog, engine
from kdlib.analysis import projection
from kdlib.cli.main import parser

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(
    r"(?P<mark><!-- needs data\b.*?-->\s*\n)?^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.M | re.S,
)
COMMAND = re.compile(r"(?:\$ )?(?:[A-Z_]+=\S* )*(?:\S*python[\d.]* -m )?kdlib (?P<arguments>.+)")
PLACES = r"(?:kdlib|tests|pages|assets|docs|\.streamlit|\.ci)/[\w./*-]*"
FILES = r"app\.py|Makefile|LICENSE|README\.md|pyproject\.toml|requirements[\w-]*\.txt"


class Block(NamedTuple):
    language: str
    text: str
    marked: bool


def blocks(text):
    """Return what is fenced."""
    return [Block(each["language"], dedent(each["text"]), bool(each["mark"])) for each in FENCE.finditer(text)]


def prose(text):
    """Return what is not fenced."""
    return FENCE.sub("", text)


def inline(text):
    """Return what stands in backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def commands(text):
    """Return the arguments of each command of ours, from blocks that are no Python and from the prose."""
    lines = [
        line.strip()
        for block in blocks(text)
        if block.language != "python"
        for line in block.text.replace("\\\n", " ").split("\n")
    ]
    return [match["arguments"] for line in lines + inline(text) if (match := COMMAND.fullmatch(line))]


def parse(line):
    words = shlex.split(line, comments=True)
    ends = [index for index, word in enumerate(words) if word in ("|", ">", "&&", ";", "&")]
    return parser().parse_args(words[: min(ends, default=len(words))])


def anchors(text):
    """Return what links can name in a document: its headings, as they are written in an address."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", prose(text), re.M)
    }


def dead_links(document):
    """Return the links of a document that lead nowhere in the project."""
    text, dead = prose(document.read_text(encoding="utf-8")), []
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text):
        path, _, anchor = target.partition("#")
        other = document.parent / path if path else document
        if target.startswith("https://"):
            continue
        if not other.exists() or (anchor and anchor not in anchors(other.read_text(encoding="utf-8"))):
            dead.append(target)
    return dead


def missing_names(text):
    """Return the paths and modules of the project that are named in backticks and do not exist."""
    missing = []
    for name in inline(text):
        if re.fullmatch(f"{PLACES}|{FILES}", name):
            exists = any(ROOT.glob(name.rstrip("/")))
        elif module := re.fullmatch(r"(?:\S*python[\d.]* -m )?((?:kdlib|tests|pages)(?:\.\w+)+)(?: .*)?", name):
            exists = resolves(module[1])
        else:
            continue
        if not exists:
            missing.append(name)
    return missing


def resolves(name):
    try:
        return pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError):
        return False


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request):
    return request.param


@pytest.fixture
def no_engine_left():
    yield
    engine.stop()


@pytest.fixture
def registries_stay():
    """Take back what the examples register: other tests of this process run over all entries."""
    names = {name: name.upper().replace("-", "_") for name in catalog.MODULES}
    registries = [getattr(importlib.import_module(module), names[name]) for name, module in catalog.MODULES.items()]
    registries.append(projection.PROJECTIONS)
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.usefixtures("no_engine_left", "registries_stay")
def test_python_blocks_run(document, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(blocks(document.read_text(encoding="utf-8")), 1):
        if block.language == "python":
            code = compile(block.text, f"{document.name}, block {number}", "exec")
            if not block.marked:
                exec(code, {})
    assert document != ROOT / "README.md" or "baseline" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", dict.fromkeys(line for document in DOCUMENTS for line in commands(document.read_text(encoding="utf-8")))
)
def test_commands_parse(line):
    assert parse(line).handler


def test_links_lead_somewhere(document):
    assert dead_links(document) == []


def test_the_paths_and_modules_it_names_are_there(document):
    assert missing_names(document.read_text(encoding="utf-8")) == []


def test_whatever_a_document_could_say_wrongly_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        """# One & two
Run `kdlib list losses`, not `kdlib`; see `kdlib/nothing.py`, `kdlib/spec.py`,
`kdlib.nothing`, `python -m tests.benchmarks.engine --only start`.
[here](#one--two) [gone](#three) [file](page.md#one--two) [lost](other.md) [web](https://example.org/)

- a list

  ```
  python -m kdlib compare \\
      --dim 8 | head
  KDLIB_HOME=/tmp/x .venv/bin/python -m kdlib runs  # all of them
  [no](link)
  ```

<!-- needs data: a file of yours -->
```python
open("yours")
```

```python
kdlib = 1
```
"""
    )
    text = page.read_text()
    assert [(each.language, each.marked) for each in blocks(text)] == [("", False), ("python", True), ("python", False)]
    assert [" ".join(line.split()) for line in commands(text)] == [
        "compare --dim 8 | head",
        "runs # all of them",
        "list losses",
    ]
    assert parse("compare --dim 8 | head").dim == 8
    with pytest.raises(ValueError, match="unrecognized arguments"):
        parse("compare --width-of-nothing 3")
    assert dead_links(page) == ["#three", "other.md"]
    assert missing_names(text) == ["kdlib/nothing.py", "kdlib.nothing"]
