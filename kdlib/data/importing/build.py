"""From columns to a dataset: labels, splits and attributes as a plan says, with everything that speaks against it."""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from kdlib.data import texts
from kdlib.data.datasets import AUDIO, IMAGE, TEXT, VECTOR
from kdlib.data.importing import splits
from kdlib.data.importing.guess import TABLE_AXES, guess_plan
from kdlib.data.importing.plan import ImportPlan, parse_names
from kdlib.data.importing.source import Column, Source, id_column
from kdlib.data.intake import IntakeError

BINARY_WORDS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0, "": np.nan}
MAX_CLASSES, MAX_CATEGORIES = 1000, 100
SMALL_TEST_SET = 50  # items of a test set below which an interval says little


@dataclass(frozen=True)
class DatasetDraft:
    """A dataset before it is kept.

    Attributes:
        plan: what it was made by, with every column filled in.
        ids: (n,) names of the items.
        labels: (n,) int64, or (n, k) float32 with NaN.
        classes: the k class names.
        splits: (n,) name of each item's split, "" for an item that is in none.
        attributes: name -> (categories (n,), their names).
        modality: of the inputs.
        shape: of one input.
        notes: what was done to it.
        warnings: what its owner should worry about.
    """

    plan: ImportPlan
    ids: np.ndarray
    labels: np.ndarray
    classes: list[str]
    splits: np.ndarray
    attributes: dict[str, tuple[np.ndarray, list[str]]]
    modality: str
    shape: tuple[int, ...]
    notes: list[str]
    warnings: list[str]

    @property
    def split_names(self) -> list[str]:
        """Return train, val and test, then the out-of-domain sets."""
        return ["train", "val", "test", *sorted({name for name in self.splits.tolist() if name.startswith("ood:")})]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return class -> split -> labelled items; with several labels an item, how many have that one."""
        counts, names = {}, self.split_names
        for number, name in enumerate(self.classes):
            is_member = self.labels == number if self.labels.ndim == 1 else self.labels[:, number] == 1
            counted = Counter(self.splits[is_member].tolist())
            counts[name] = {split: counted[split] for split in names}
        return counts


def build_draft(source: Source, plan: ImportPlan) -> DatasetDraft:
    """Return the dataset that the plan describes.

    Raises:
        IntakeError: it cannot be; the message names the row, class, column or count, and the way out.
    """
    notes, warnings = list(source.notes), []
    tables = tuple(name for name in plan.tables if name not in plan.target)
    plan = replace(
        plan, inputs=plan.inputs or guess_plan(source).inputs, id=plan.id or id_column(source.columns), tables=tables
    )
    words = {name: source.values(name).tolist() for name in source.text_columns}
    ids = _ids(source, words.get(plan.id) if plan.id else None)
    if plan.pattern:
        if not plan.id:
            raise IntakeError("a pattern takes names of files apart, but no column holds names")
        words |= parse_names(plan.pattern, words[plan.id])
    if not plan.target:
        raise IntakeError(f"which column holds the labels? There are: {', '.join(words)}")

    labels, classes = _labels(source, plan, words)
    if plan.inputs in plan.target:
        raise IntakeError(f"{plan.inputs!r} cannot be both the class and what the student gets; choose another column")
    if not plan.inputs:
        why = f" ({source.notes[0]})" if source.notes else ""
        missing = f"no recordings, pictures, texts or numbers that a student could learn from{why}"
        raise IntakeError(f"{source.name} holds {missing}; add them, or give embeddings (--embeddings)")
    warnings += _check_columns(source, plan)
    split_of = _planned_splits(source, plan, words)
    groups = labels if labels.ndim == 1 else np.where(np.isnan(labels).all(axis=1), -1, 0)
    if labels.ndim == 1:
        _check_sizes(labels, classes)
    split_of, split_notes = splits.complete_splits(split_of, groups, ids)
    notes += split_notes + splits.limit_sizes(split_of, ids)
    if labels.ndim == 1:
        splits.check_classes(split_of, labels, classes)
    else:
        _check_answers(split_of, labels, classes)
    attributes, left_out = _attributes(plan, words, split_of)
    shape = source.columns[plan.inputs].shape[1:]
    modality, shape = _modality(source, plan, shape)
    draft = DatasetDraft(plan, ids, labels, classes, split_of, attributes, modality, shape, notes + left_out, warnings)
    return replace(draft, warnings=warnings + _find_warnings(draft))


def _check_columns(source: Source, plan: ImportPlan) -> list[str]:
    """Return warnings about the numbers of inputs and embeddings.

    Raises:
        IntakeError: one cannot be what it is to be.
    """
    warnings: list[str] = []
    for name in dict.fromkeys((plan.inputs, *plan.tables)):
        choices = source.input_columns if name == plan.inputs else source.number_columns
        if name not in choices:
            what = "numbers or texts" if name == plan.inputs and source.kind == "table" else "numbers"
            raise IntakeError(f"{name!r} is no column of {what}; there are: {', '.join(choices)}")
        warnings += _check_numbers(source, source.columns[name])
    for name in plan.tables:
        if len(source.columns[name].shape) not in TABLE_AXES:
            raise IntakeError(
                "an embedding is one list of numbers per item, or one for each of its frames; "
                f"{name!r} has the shape {source.columns[name].shape[1:]}"
            )
    return warnings


def _ids(source: Source, names: list[str] | None) -> np.ndarray:
    if names is None:
        return np.array([f"row-{row:07d}" for row in range(source.rows)])
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if not name:
            raise IntakeError(f"{source.describe_row(row)} has no id")
        if name in seen:
            raise IntakeError(
                f"the id {name!r} is there twice, in {source.describe_row(seen[name])} and {source.describe_row(row)}; "
                "ids must be unique"
            )
        seen[name] = row
    return np.array(names)


def _labels(source: Source, plan: ImportPlan, words: dict[str, list[str]]) -> tuple[np.ndarray, list[str]]:
    names = words.get("classes") or (source.values("classes").tolist() if "classes" in source.columns else [])
    first = plan.target[0]
    if len(plan.target) == 1 and first in words:
        return _class_labels(first, words[first], names)
    if len(plan.target) == 1 and first in source.number_columns:  # a matrix of answers, a column per class
        matrix = np.array(source.values(first), dtype=np.float32)
        wrong = ~(np.isnan(matrix) | np.isin(matrix, (0, 1))).reshape(len(matrix), -1).all(axis=1)
        if matrix.ndim != 2 or wrong.any():
            where = f", {source.describe_row(int(np.argmax(wrong)))} does not" if wrong.any() else ""
            raise IntakeError(
                "several labels an item are columns of 0, 1 and NaN for unknown; "
                f"{first!r}{where or ' has another shape'}"
            )
        return matrix, names if len(names) == matrix.shape[1] else [
            f"{first} {number}" for number in range(matrix.shape[1])
        ]
    matrix = np.empty((source.rows, len(plan.target)), np.float32)
    for number, name in enumerate(plan.target):
        if name not in words:
            raise IntakeError(f"there is no column {name!r} with labels; there are: {', '.join(words)}")
        for row, text in enumerate(words[name]):
            answer = BINARY_WORDS.get(text.strip().lower())
            if answer is None:
                raise IntakeError(
                    f"{source.describe_row(row)}, column {name!r}: {text!r} is not 0, 1 or blank for unknown"
                )
            matrix[row, number] = answer
    return matrix, list(plan.target)


def _class_labels(name: str, values: list[str], names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Return indices and class names; a class is called exactly as it is written, only a blank is a missing label."""
    labelled = {text for text in values if text}
    if len(labelled) > MAX_CLASSES:
        raise IntakeError(
            f"the column {name!r} has {len(labelled):,} different values, at most {MAX_CLASSES:,} can be classes"
        )
    numeric = all(text.isdecimal() for text in labelled)
    classes = sorted(labelled, key=lambda text: (int(text), text)) if numeric else sorted(labelled)
    place = {text: number for number, text in enumerate(classes)} | {"": -1}
    labels = np.array([place[text] for text in values], dtype=np.int64)
    if numeric and names and all(int(text) < len(names) for text in classes):
        classes = [names[int(text)] for text in classes]
    return labels, classes


def _check_sizes(labels: np.ndarray, classes: list[str]) -> None:
    if len(classes) < 2:
        raise IntakeError(
            f"there is one class only ({', '.join(map(repr, classes)) or 'none'}); learning needs two or more"
        )
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    small = [number for number in np.argsort(counts, kind="stable").tolist() if counts[number] < 3]
    if small:
        name, count = classes[small[0]], int(counts[small[0]])
        problem = f"the class {name!r} has {count} sample{'s' if count > 1 else ''}"
        also = f" (and {len(small) - 1} more classes are as small)" if len(small) > 1 else ""
        raise IntakeError(
            f"{problem}{also}; training, validation and test need one each: add items, or blank its labels"
        )


def _check_answers(split_of: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    for split in ["train", "val", "test", *sorted({s for s in split_of.tolist() if s.startswith("ood:")})]:
        rows = labels[split_of == split]
        both = (rows == 1).any(axis=0) & (rows == 0).any(axis=0)
        if not both.any():
            raise IntakeError(f"the split {split} ({len(rows):,} items) has no class with both a 0 and a 1")
        if split == "train" and not both.all():
            name = classes[int(np.argmin(both))]
            raise IntakeError(
                f"the class {name!r} is never both 0 and 1 among the {len(rows):,} training items; leave it out"
            )


def _check_numbers(source: Source, column: Column) -> list[str]:
    """Return warnings about a column of numbers that is to be learned from."""
    if column.bad_row is not None:
        raise IntakeError(
            f"{column.name!r} is not finite (NaN or infinite) in {source.describe_row(column.bad_row)}; "
            f"in all, {column.bad:,} rows are not"
        )
    if 0 in column.shape[1:]:
        raise IntakeError(f"{column.name!r} has width 0: it needs two or more numbers per item")
    if column.constant:
        raise IntakeError(
            f"{column.name!r} is constant: all {source.rows:,} rows are the same, nothing can be learned from it"
        )
    if column.text:
        return [f"{column.name!r} has {column.zero_rows:,} blank texts"] if column.zero_rows else []
    if column.shape[1:] == (1,):
        raise IntakeError(f"{column.name!r} has width 1: it needs two or more numbers per item")
    if column.zero_rows:
        return [f"{column.name!r} has {column.zero_rows:,} rows of zeros: a cosine says nothing about them"]
    return []


def _planned_splits(source: Source, plan: ImportPlan, words: dict[str, list[str]]) -> np.ndarray:
    """Return the split of each item as far as the plan says it."""

    def column(name: str) -> list[str]:
        if name not in words:
            raise IntakeError(f"there is no column {name!r}; there are: {', '.join(words)}")
        return words[name]

    named = splits.parse_splits(column(plan.split), source.describe_row) if plan.split else [""] * source.rows
    chosen = ((plan.test, "test"), (plan.leave_out, f"ood:{plan.leave_out[0]}"))
    longest = max(len(text) for text in ("train", *set(named), *(split for _, split in chosen)))
    split_of = np.array(named, dtype=f"<U{longest}")
    for (name, values), split in chosen:
        if not name:
            continue
        for value in values:
            rows = np.array([text == value for text in column(name)])
            if not rows.any():
                choices = sorted(set(words[name]))
                raise IntakeError(
                    f"no item has {name} {value!r}; "
                    f"there are: {', '.join(choices[:20])}{' ...' if len(choices) > 20 else ''}"
                )
            split_of[rows] = split
    return split_of


def _attributes(
    plan: ImportPlan, words: dict[str, list[str]], split_of: np.ndarray
) -> tuple[dict[str, tuple[np.ndarray, list[str]]], list[str]]:
    """Return name -> (categories, their names), and notes on what was left out."""
    attributes, notes = {}, []
    left_out_by = plan.leave_out[0]
    columns = [*plan.attributes, left_out_by] if left_out_by else plan.attributes
    for name in dict.fromkeys(columns):
        if name not in words:
            raise IntakeError(f"there is no column {name!r}; there are: {', '.join(words)}")
        names = sorted(set(words[name]) - {""})
        if len(names) > MAX_CATEGORIES:
            raise IntakeError(
                f"the attribute {name!r} has {len(names):,} different values, "
                f"at most {MAX_CATEGORIES} can be told apart"
            )
        place = {text: number for number, text in enumerate(names)} | {"": -1}
        values = np.array([place[text] for text in words[name]], dtype=np.int64)
        if len(set(values[split_of == "train"].tolist()) - {-1}) < 2:
            notes.append(f"the attribute {name!r} is the same for all training items and is left out")
        else:
            attributes[name] = (values, names)
    return attributes, notes


def _modality(source: Source, plan: ImportPlan, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Return what an input is and its shape: pictures without channels get one."""
    if plan.inputs == "spectrogram" and source.kind == "sounds":
        return AUDIO, shape
    if source.columns[plan.inputs].text:
        return TEXT, (texts.check_width(plan.text_width),)
    if plan.inputs in plan.tables:  # the frames of a teacher are no picture
        return VECTOR, (math.prod(shape),)
    if len(shape) == 2:
        return IMAGE, (1, *shape)
    return (IMAGE if len(shape) == 3 and shape[0] in (1, 3) else VECTOR), shape


def _find_warnings(draft: DatasetDraft) -> list[str]:
    counted = Counter(draft.splits.tolist())
    small = [f"{name} has {counted[name]}" for name in draft.split_names[1:] if counted[name] < SMALL_TEST_SET]
    warnings = [f"few items to judge by ({', '.join(small)}): scores will jump from item to item"] if small else []
    if draft.labels.ndim == 1:
        sizes = np.bincount(draft.labels[draft.labels >= 0], minlength=len(draft.classes))
        if sizes.max() > 10 * sizes.min():
            most, least = draft.classes[int(sizes.argmax())], draft.classes[int(sizes.argmin())]
            warnings.append(
                f"the classes differ much in size: {most!r} has {sizes.max():,} items, {least!r} has {sizes.min():,}"
            )
        missing = int((draft.labels < 0).sum())
        warnings += [f"{missing:,} items have no label"] if missing else []
    if not draft.plan.tables:
        warnings.append(
            "no teacher's embeddings come with it: have a network that is installed embed it, or add one of yours "
            "(Data & teachers, or kdlib embed and kdlib teacher add)"
        )
    return warnings
