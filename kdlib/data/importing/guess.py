"""What the names and shapes of columns suggest that they are."""

from contextlib import suppress

import numpy as np

from kdlib.data.importing.plan import ImportPlan, parse_names
from kdlib.data.importing.source import ID_NAMES, Source, id_column
from kdlib.data.intake import IntakeError

LABELS = ("label", "labels", "class", "target", "y", "category", "tag", "tags", "folder")
SPLITS = ("split", "subset", "partition", "fold", "set")
LONG_TEXT = 20  # mean characters above which different texts are what the items are
TABLE_AXES = (2, 3)  # axes of embeddings (n, d), and of frames (n, t, d)


def guess_plan(source: Source) -> ImportPlan:
    """Return what the names of the columns suggest."""
    text = _guess_text(source)
    texts = [name for name in source.text_columns if name != text]
    answers = [
        name for name in source.number_columns if name.lower() != "y"
    ]  # a matrix called y may as well be an embedding
    role_of = {name: column.role for name, column in source.columns.items()}
    said = [name for name in (*texts, *answers) if role_of[name] == "target"]
    target = next((name for name in (*said, *texts, *answers) if name in said or name.lower() in LABELS), "")
    if not target:
        rest = [name for name in texts if name != id_column(source.columns) and name.lower() not in SPLITS]
        target = rest[0] if rest and source.kind == "table" else ""
    numbers = [name for name in source.number_columns if name != target]
    media = {"sounds": "spectrogram", "images": "picture"}.get(source.kind, "")
    known = [name for name in numbers if role_of[name] == "embeddings" or _is_frames(name)]
    deep = next((name for name in numbers if len(source.columns[name].shape) > 2 and name not in known), "")
    inputs = (
        media
        or next((name for name in numbers if name.lower() in ("inputs", "input")), deep)
        or (numbers[0] if numbers else text)
    )
    tables = tuple(
        name
        for name in numbers
        if len(source.columns[name].shape) in TABLE_AXES and (name != inputs or (len(numbers) == 1 and name != deep))
    )
    return ImportPlan(
        target=(target,) if target else (),
        id=id_column(source.columns),
        inputs=inputs,
        tables=tables,
        attributes=tuple(name for name in texts if role_of[name] == "attribute"),
        split=next((name for name in texts if name.lower() in SPLITS), ""),
    )


def _guess_text(source: Source) -> str:
    """Return the column of text that the items of a table without numbers are, "" if none looks like one."""
    if source.kind != "table" or source.number_columns:
        return ""
    long = [name for name, column in source.columns.items() if column.ends]
    names = [name for name in source.text_columns if name.lower() not in (*LABELS, *SPLITS, *ID_NAMES)]
    lengths = {name: _mean_length(source.values(name)) for name in names}
    wordy = [name for name, length in lengths.items() if length > LONG_TEXT]
    return next(iter((*long, *wordy)), "")


def _mean_length(texts: np.ndarray) -> float:
    """Return the mean number of characters of texts of which most are different, otherwise 0."""
    return float(np.strings.str_len(texts).mean()) if len(set(texts.tolist())) > len(texts) / 2 else 0.0


def _is_frames(name: str) -> bool:
    """Return whether a column is called like embeddings, so that (n, t, d) are their frames and no pictures."""
    return any(word in name.lower() for word in ("embed", "frame"))


def column_values(source: Source, pattern: str = "") -> dict[str, list[str]]:
    """Return the columns of text and the parts of the pattern, each with its different values in order.

    A pattern that does not fit adds nothing: `build_draft` says why.
    """
    values_of = {name: source.values(name).tolist() for name in source.text_columns}
    if pattern:
        with suppress(IntakeError):
            values_of |= parse_names(pattern, values_of[id_column(source.columns)])
    return {name: sorted(set(each) - {""}) for name, each in values_of.items()}
