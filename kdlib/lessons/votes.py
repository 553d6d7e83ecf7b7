"""What a class predicted: one small file per class in the data folder, an answer a line.

No names: a line says which question, which answer, and a code that only tells one browser session from another. Of
several answers of one session the last counts. Sizes are capped, so that a class cannot fill the disk.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdlib.cache import home
from kdlib.runs.commands import named_lock

MAX_NAME = 60  # characters of the name of a class
MAX_BYTES = 400_000  # of the file of a class: some thousand answers
MAX_CLASSES = 2_000  # files
MAX_NUMBERS = 16  # of one answer


def clean_class(name: str) -> str:
    """Return the name of a class as it is shown: at most 60 characters, none of them invisible; "" for none.

    Example:
        >>> clean_class("  8 b\\n ")
        '8 b'
    """
    visible = (
        c if not c.isspace() else " " for c in name if c.isspace() or not unicodedata.category(c).startswith("C")
    )
    return " ".join("".join(visible).split())[:MAX_NAME]


def share(name: str, question: str, session: str, answer: Sequence[float]) -> None:
    """Write down the answer of one browser session.

    Args:
        name: of the class, any text.
        question: what was asked, such as "03-dial 2".
        session: tells one browser session from another.
        answer: the number of a choice from 1 up, or numbers.

    Raises:
        ValueError: no name or no answer; the class has too many answers, or the server too many classes.

    Example:
        >>> share("8b", "01-embeddings 2", "3f2a", [2])
    """
    if not clean_class(name):
        raise ValueError("a class needs a name, got none")
    if not 1 <= len(answer) <= MAX_NUMBERS:
        raise ValueError(f"an answer has 1 to {MAX_NUMBERS} numbers, got {len(answer)}")
    path = _path(name)
    who = hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()[:16]
    line = json.dumps([question[:80], who, [round(float(number), 4) for number in answer]]) + "\n"
    with named_lock(f"class-{path.stem}"):
        size = path.stat().st_size if path.exists() else 0
        if size + len(line) > MAX_BYTES:
            raise ValueError("this class has too many answers; open the lesson with another name in ?class=")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not size and sum(1 for _ in path.parent.iterdir()) >= MAX_CLASSES:
            raise ValueError(f"this server holds {MAX_CLASSES:,} classes already; use one of these names")
        with path.open("a", encoding="utf-8") as file:
            file.write(line)


def read(name: str, question: str) -> list[list[float]]:
    """Return the answers of a class to a question, one per browser session, in the order of the first answers.

    Example:
        >>> read("8b", "01-embeddings 2")
        [[2.0]]
    """
    try:
        text = _path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    answers: dict[str, list[float]] = {}
    for line in text.splitlines():
        about, who, answer = _parse(line)
        if about == question[:80]:
            answers[who] = answer
    return list(answers.values())


def _parse(line: str) -> tuple[str, str, list[float]]:
    try:
        about, who, answer = json.loads(line)
        return str(about), str(who), [float(number) for number in answer]
    except (ValueError, TypeError):  # a line that was cut off when the disk was full
        return "", "", []


def _path(name: str) -> Path:
    """Return the file of a class: its name hashed, so that no name can lead elsewhere."""
    return home() / "classes" / f"{hashlib.sha256(clean_class(name).encode()).hexdigest()[:24]}.jsonl"


def counts(answers: Sequence[Sequence[float]], choices: int) -> list[int]:
    """Return how many chose each of so many choices.

    Example:
        >>> counts([[2.0], [2.0], [9.0]], 3)
        [0, 2, 0]
    """
    chosen: list[Any] = [answer[0] for answer in answers if answer]
    return [chosen.count(place + 1) for place in range(choices)]
