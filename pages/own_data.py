"""Own data, a part of Data & teachers: choose a file, say what each column is, see what comes of it, import, delete."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kdlib.data import imported, importing
from kdlib.spaces import deletion
from pages import page_jobs, show
from pages.own_format import choose_format
from pages.text import escape, show_errors

FORMATS = """
- **Embeddings**: `.npz`, `.npy`, `.parquet` or `.csv` with a column of labels (or several of 0, 1 and blank for \
unknown) and one or
  several embeddings: arrays, lists, or columns `e0, e1, …`. A column `id` ties files together, `split` says train, \
val, test or `ood:name`.
- **A sound font** (`.sf2`): its notes, by instrument family.
- **Texts**: a table with a column of them and a column of labels.
- **Recordings or pictures**: one zip, labels in folder names, in a table beside them, or in file names.
- At most 200 MB here; `python -m kdlib import --help` takes larger files, and folders.
"""
OPEN, STAGED, REFUSED = "own", "own-token", "own-refused"
IMPORTS = "imports"


def show_section() -> None:
    """Show the whole part; what takes long is done in the page's run."""
    page_jobs.work_or_draw(OPEN, _section)


@st.fragment
def _section() -> None:
    """Show the controls; a click in them leaves the rest of the page alone until there is something to do."""
    if page_jobs.has_arrived(OPEN):
        st.rerun()
    opened = st.expander(
        "Add your own data", icon=":material/upload_file:", key=_expander(), on_change="rerun", bind="query-params"
    )
    if not opened.open:
        return
    with opened, show_errors():
        if STAGED in st.session_state:
            _describe(importing.reopen(st.session_state[STAGED]))
        else:
            _choose()


def _expander() -> str:
    """Return the key of the part, another one after each import: a browser opens again what was only set to closed."""
    return f"{OPEN}{st.session_state.get(IMPORTS) or ''}"


def _choose() -> None:
    st.markdown(FORMATS)
    number = st.session_state.setdefault("own-number", 0)  # another key empties the uploaders
    main, beside = st.columns(2)
    chosen = main.file_uploader("Your data", key=f"own-main-{number}")
    help_text = "Labels, metadata or embeddings, matched by id."
    others = beside.file_uploader(
        "Tables beside it (optional)", accept_multiple_files=True, key=f"own-beside-{number}", help=help_text
    )
    if chosen is not None:  # another try
        st.session_state.pop(REFUSED, None)
    form = choose_format()
    _refusal()
    read = None if chosen is None else partial(_read, [chosen, *others], form)
    page_jobs.button(OPEN, "Read", read, key="own-read")


def _read(chosen: Sequence, form: importing.InputFormat) -> None:
    """Read uploaded files; a click that ends this run leaves the message that stands until the work is done."""
    st.session_state[_expander()] = True
    st.session_state[REFUSED] = f"Reading {chosen[0].name} was stopped; nothing of it is left."
    st.session_state["own-number"] += 1
    try:
        with page_jobs.progress_bar(OPEN, f"Reading {chosen[0].name}") as on_progress:
            uploads = [(each.name, each.getbuffer()) for each in chosen]
            st.session_state[STAGED] = importing.stage_uploads(uploads, on_progress, form).token
        del st.session_state[REFUSED]
    except ValueError as error:
        st.session_state[REFUSED] = f"Refused: {error}"
    st.rerun()


def _describe(source: importing.Source) -> None:
    kinds = {"sounds": "recordings", "images": "pictures", "table": "rows"}
    kept = f"; originals kept, {source.original_bytes / 1e6:,.1f} MB" if source.originals else ""
    st.markdown(f"**{escape(source.name)}**: {source.rows:,} {kinds[source.kind]}{kept}")
    rows = [(name, _holds(each), " × ".join(map(str, each.shape[1:]))) for name, each in source.columns.items()]
    show.table(pd.DataFrame(rows, columns=["column", "holds", "shape"]), "The columns that were found")
    plan = _mapping(source, importing.guess_plan(source))
    draft = None
    try:
        draft = importing.build_draft(source, plan)
        _preview(draft)
    except ValueError as error:
        st.error(escape(error), icon=":material/block:")
    name = st.text_input(
        "Name",
        imported.suggest_title(source.name),
        max_chars=40,
        key="own-name",
        help="What it is called in every list.",
    )
    with st.container(horizontal=True):
        job = None if draft is None else partial(_import, source, draft, name)
        page_jobs.button(OPEN, "Import", job, key="own-import")
        st.button("Throw away", on_click=_drop, args=(source,), key="own-drop")
    _refusal()


def _holds(column: importing.Column) -> str:
    if not column.text:
        return "numbers"
    return "long texts" if column.ends else "one value each"


def _refusal() -> None:
    """Show why the last attempt was refused; it stays until the next one, however often the page is drawn anew."""
    if REFUSED in st.session_state:
        st.error(escape(st.session_state[REFUSED]), icon=":material/block:")


def _mapping(source: importing.Source, guessed: importing.ImportPlan) -> importing.ImportPlan:
    """Show the controls that say what each column is, and return what they say."""
    pattern = "" if source.kind == "table" else _pattern()
    values = importing.column_values(source, pattern)
    left, right = st.columns(2)
    plan = _column_roles(left, right, source, replace(guessed, pattern=pattern), values)
    return _split_rules(left, right, plan, values)


def _pattern() -> str:
    return st.text_input(
        "Pattern of the file names (optional)",
        key="own-pattern",
        placeholder="{class}_{speaker}.wav",
        help="Takes file names apart; each part can be the class, an attribute or a set: "
        "{digit}\\_{speaker}\\_{take}.wav",
    )


def _column_roles(
    left: DeltaGenerator,
    right: DeltaGenerator,
    source: importing.Source,
    guessed: importing.ImportPlan,
    values: Mapping[str, list[str]],
) -> importing.ImportPlan:
    """Let two columns of the page say which columns are class, id, inputs, embeddings and attributes."""
    numbers, ids = source.number_columns, ["", *source.text_columns]
    matrices = [name for name in numbers if len(source.columns[name].shape) == 2]
    embeddings = [name for name in numbers if len(source.columns[name].shape) in importing.TABLE_AXES]
    classes = [*values, *(name for name in matrices if name != guessed.inputs)]
    target = left.multiselect(
        "Class",
        classes,
        _present(guessed.target, values),
        key="own-target",
        help="One column; several hold 0, 1 or blank.",
    )
    help_text = "Names each item; ties files together."
    item_id = right.selectbox("Id", ids, index=ids.index(guessed.id), key="own-id", format_func=_named, help=help_text)
    choices = source.input_columns
    inputs = left.selectbox(
        "What the student gets",
        choices,
        index=_index(choices, guessed.inputs),
        key="own-inputs",
        help="The input it learns from.",
    )
    tables = right.multiselect(
        "Embeddings of teachers",
        embeddings,
        _present(guessed.tables, embeddings),
        key="own-tables",
        help="Each becomes a teacher.",
    )
    names = [name for name in values if name not in target]
    chosen, help_text = _present(guessed.attributes, names), "Known factors beside the class."
    attributes = left.multiselect("Attributes", names, chosen, key="own-attributes", help=help_text)
    return replace(
        guessed,
        target=tuple(target),
        id=item_id or "",
        inputs=inputs or "",
        tables=tuple(tables),
        attributes=tuple(attributes),
    )


def _split_rules(
    left: DeltaGenerator, right: DeltaGenerator, plan: importing.ImportPlan, values: Mapping[str, list[str]]
) -> importing.ImportPlan:
    """Let two columns of the page say which items are for training, for testing, and out of domain."""
    columns = ["", *values]
    split = right.selectbox(
        "Column that says the split",
        columns,
        index=_index(columns, plan.split),
        key="own-split",
        format_func=_named,
        help="It holds train, val, test or ood:name.",
    )
    test = _subset(left, "Test set", "own-test", values)
    left_out = _subset(right, "Left out for out-of-domain", "own-out", values)
    return replace(plan, split=split or "", test=test, leave_out=left_out)


def _subset(
    container: DeltaGenerator, label: str, key: str, values: Mapping[str, list[str]]
) -> tuple[str, tuple[str, ...]]:
    """Let a visitor choose items by the values of a column; return the column and the values, empty without any."""
    columns = ["", *(name for name, categories in values.items() if len(categories) <= importing.MAX_CATEGORIES)]
    column = container.selectbox(
        f"{label}: by", columns, key=f"{key}-by", format_func=_named, help="The column whose values decide."
    )
    if not column:
        return "", ()
    chosen = container.multiselect(
        f"{label}: values", values[column], key=f"{key}-{column}", help="Items with these values."
    )
    return (column, tuple(chosen)) if chosen else ("", ())


def _named(name: str) -> str:
    return name or "–"


def _present(names: Sequence[str], choices: Collection[str]) -> list[str]:
    return [name for name in names if name in choices]


def _index(choices: Sequence[str], name: str) -> int | None:
    return choices.index(name) if name in choices else 0 if choices else None


def _preview(draft: importing.DatasetDraft) -> None:
    counts = draft.counts()
    frame = pd.DataFrame([{"class": name} | row for name, row in counts.items()])
    shape = " × ".join(map(str, draft.shape))
    st.caption(f"{len(counts)} classes; a student gets {shape} numbers per item. Items per class and split:")
    show.table(frame, "How many items each class has in each split")
    for note in draft.notes:
        st.caption(f":material/info: {escape(note)}")
    for warning in draft.warnings:
        st.warning(escape(warning), icon=":material/lightbulb:")


def _import(source: importing.Source, draft: importing.DatasetDraft, name: str) -> None:
    st.session_state[_expander()] = True
    st.session_state[REFUSED] = "Importing was stopped; nothing was kept yet."
    try:
        with page_jobs.progress_bar(OPEN, f"Importing {source.name}") as on_progress:
            stored = importing.store_dataset(source, draft, name, on_progress)
        _drop(source)
        st.session_state[IMPORTS] = st.session_state.get(IMPORTS, 0) + 1
        page_jobs.arrive(OPEN, stored)
    except ValueError as error:
        st.session_state[REFUSED] = str(error)
    st.rerun()


def _drop(source: importing.Source) -> None:
    importing.discard(source.token)
    for key in [key for key in st.session_state if str(key).startswith("own-") and key != "own-number"]:
        del st.session_state[key]


def deletion_controls(name: str) -> None:
    """Show how to get rid of a dataset, if it was imported."""
    if name not in imported.cards():
        return
    with st.popover("Delete this dataset", icon=":material/delete:"):
        st.markdown(f"Delete {escape(name)} with its embeddings? Runs on it keep their results.")
        st.button("Delete for good", type="primary", on_click=_delete, args=(name,), key="own-delete")


def _delete(name: str) -> None:
    with show_errors():
        deletion.delete_dataset(name)


def no_pictures() -> None:
    """Say why items are not shown."""
    show.empty(
        "These items are rows of numbers: there is nothing to look at. What the teachers know of them is told above."
    )
