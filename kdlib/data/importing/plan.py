"""What each column is to be, and how file names are taken apart."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdlib.data import texts
from kdlib.data.intake import IntakeError

PART = re.compile(r"\{(\w+)\}")
Selection = tuple[str, tuple[str, ...]]  # a column and some of its values


@dataclass(frozen=True)
class ImportPlan:
    """What each column of a source is to be.

    Attributes:
        target: one column whose values are the classes, or several with 0, 1 and blank for unknown, one class each.
        id: column that names the items; "" takes the file names, or numbers the rows.
        inputs: column of numbers or texts that the student gets; "" takes the recordings or pictures, otherwise the
            first table, otherwise texts.
        tables: columns of numbers that are embeddings of teachers.
        attributes: further known factors of an item.
        pattern: takes names of files apart: "{digit}_{speaker}_{take}.wav"; each part is a column then.
        split: column with train, val, test or ood:<name>.
        test: items whose column has one of these values are the test set.
        leave_out: items whose column has one of these values are an out-of-domain test set and nothing else.
        text_width: numbers that a student gets of a text.
        source_task: what the imported teachers were trained for, in words.
    """

    target: tuple[str, ...] = ()
    id: str = ""
    inputs: str = ""
    tables: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    pattern: str = ""
    split: str = ""
    test: Selection = ("", ())
    leave_out: Selection = ("", ())
    text_width: int = texts.WIDTH
    source_task: str = "not said"


def pattern_parts(pattern: str) -> list[str]:
    """Return the names of the parts of a pattern.

    Raises:
        IntakeError: it has none, the same twice, or two with nothing between them.
    """
    names = PART.findall(pattern)
    if not names or len(set(names)) < len(names):
        raise IntakeError(
            f"a pattern names its parts, each once, like {{digit}}_{{speaker}}_{{take}}.wav; got {pattern!r}"
        )
    if "}{" in pattern:
        raise IntakeError(f"two parts of a pattern need something between them, got {pattern!r}")
    return names


def parse_names(pattern: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Return part -> its text in every file name.

    A part ends where the text after it first occurs; the last may hold it again. Folders count only if the pattern has
    a slash.

    Raises:
        IntakeError: a name does not fit; it is named.
    """
    parts: dict[str, list[str]] = {name: [] for name in pattern_parts(pattern)}
    between = PART.split(pattern)[::2]
    for full in names:
        name = full if "/" in pattern else full.rpartition("/")[2]
        place = len(between[0])
        values = []
        for text in between[1:-1]:
            end = name.find(text, place + 1)
            values.append(name[place:end] if end >= 0 else "")
            place = end + len(text) if end >= 0 else len(name)
        values.append(name[place : len(name) - len(between[-1])])
        if not (name.startswith(between[0]) and name.endswith(between[-1]) and all(values)):
            raise IntakeError(f"the file name {full!r} does not fit the pattern {pattern!r}")
        for part, value in zip(parts, values, strict=True):
            parts[part].append(value)
    return parts
