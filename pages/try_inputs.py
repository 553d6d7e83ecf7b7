"""What a person gives the students: a drawing, a picture, a recording, a text, numbers, or a sample of the dataset."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from kdlib import trying
from kdlib.analysis import frames
from kdlib.data.datasets import AUDIO, IMAGE, TEXT, VECTOR, Dataset
from pages import tiles
from pages.chain import load_component
from pages.text import escape, show_errors

INK_SIDE = 64  # pixels of a drawing as the paper sends it
MAX_PASTED = 10_000_000  # bytes
SAMPLES = 12
DIGITS = ("digits", "cluttered-digits")
GIVEN = "try-given"  # key of the session: which input was used last
SAMPLE, DRAWING, FILE, RECORDING, WORDS = "sample", "drawing", "file", "recording", "words"


def _used(kind: str) -> Callable[[], None]:
    """Return a callback that notes which input was used last."""

    def note() -> None:
        st.session_state[GIVEN] = kind

    return note


def choose_item(data: Dataset) -> trying.Item | None:
    """Show what an item can be given by and return the one given last; None, with words, if it cannot be one."""
    tag = hashlib.sha256(data.name.encode()).hexdigest()[:12]  # another dataset, other inputs
    sources: dict[str, Callable[[], trying.Item | None]] = {}
    if data.modality == IMAGE and data.look is not None:
        sources |= _picture_inputs(data, tag)
    elif data.modality == AUDIO:
        sources |= _sound_inputs(data, tag)
    elif data.modality in (TEXT, VECTOR):
        sources |= _written_inputs(data, tag)
    about = st.container()  # what belongs to what was given stands right below it, above the samples
    sources[SAMPLE] = _samples(data, tag)
    with about, show_errors():
        item = sources.get(st.session_state.get(GIVEN, SAMPLE), sources[SAMPLE])()
        return item if item is not None else sources[SAMPLE]()
    return None


def _picture_inputs(data: Dataset, tag: str) -> dict[str, Callable[[], trying.Item | None]]:
    drawn = trying.can_be_drawn(data)
    state = {
        "drawing": drawn,
        "largest": MAX_PASTED,
        "hint": "Ctrl+V pastes a picture." if drawn else "Ctrl+V pastes a picture; or upload one below.",
    }
    st.markdown(f"**Draw{' a digit' if data.name in DIGITS else ''}**" if drawn else "**Paste a picture**")
    given = load_component("draw")(
        key=f"{'draw' if drawn else 'paste'}-{tag}",
        data=state,
        default={"given": None},
        on_given_change=_used(DRAWING),
        height="content",
    )["given"]
    striped = False
    if data.name == "cluttered-digits":
        striped = st.toggle(
            "On stripes",
            key="stripes",
            help="What the drawing is put on: nothing but noise, or stripes as behind the pictures of the dataset.",
            bind="query-params",
        )

    def item_given() -> trying.Item | None:
        if not given:
            return None
        content = _decode(given)
        if given["kind"] == "picture":
            return _picture(data, "the pasted picture", content)
        if len(content) != INK_SIDE**2:
            raise ValueError(
                f"a drawing has {INK_SIDE**2:,} bytes, got {len(content):,}; clear the paper and draw again"
            )
        return trying.item_of_drawing(data.name, np.frombuffer(content, np.uint8).reshape(INK_SIDE, INK_SIDE), striped)

    return {DRAWING: item_given, FILE: _upload(data, tag, "Upload a picture", ["png", "jpg", "jpeg", "bmp", "webp"])}


def _decode(given: Any) -> bytes:
    try:
        return base64.b64decode(given["content"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise ValueError("what the paper sent cannot be read; clear it and draw again") from None


def _picture(data: Dataset, name: str, content: bytes) -> trying.Item:
    read = _read_once(data, name, content)
    if not isinstance(read, trying.ReadPicture):
        raise ValueError(f"{name} is no picture; choose another file")
    return trying.item_of_picture(data.name, read.pixels, read.original)


def _read_once(data: Dataset, name: str, content: bytes) -> trying.ReadPicture | trying.ReadSound:
    """Return what a foreign file holds; it is read in a child process, so not again while it stays chosen."""
    key = hashlib.sha256(data.name.encode() + b"\0" + content).hexdigest()
    if st.session_state.get("try-read", ("",))[0] != key:
        with st.spinner(f"Reading {escape(name)}"):
            st.session_state["try-read"] = (key, trying.read_upload(data.name, name, content))
    return st.session_state["try-read"][1]


def _upload(data: Dataset, tag: str, label: str, kinds: list[str]) -> Callable[[], trying.Item | None]:
    with st.expander(label, icon=":material/upload:", key="upload", on_change="rerun", bind="query-params"):
        file = st.file_uploader(
            label,
            kinds,
            key=f"upload-{tag}",
            on_change=_used(FILE),
            label_visibility="collapsed",
            help=f"At most {trying.LARGEST_MB} MB. It is prepared as at an import.",
        )

    def item_given() -> trying.Item | None:
        if file is None:
            return None
        content = file.getvalue()
        return _picture(data, file.name, content) if data.modality == IMAGE else _sound(data, file.name, content, 0.0)

    return item_given


def _sound(data: Dataset, name: str, content: bytes, begin: float | None) -> trying.Item:
    read = _read_once(data, name, content)
    if not isinstance(read, trying.ReadSound):
        raise ValueError(f"{name} is no recording; choose another file")
    seconds = len(read.wave) / read.rate
    start = trying.find_onset(read) if begin is None else begin
    if seconds > 0.1:
        start = st.slider(
            "Begins at, s",
            0.0,
            round(seconds - 0.05, 2),
            min(start, round(seconds - 0.05, 2)),
            0.01,
            key=f"begin-{hashlib.sha256(content).hexdigest()[:12]}",
            help="What lies before is left out. Students hear as much from here on as of the sounds of the dataset.",
        )
    return trying.item_of_wave(data.name, read.rate, read.wave, start)


def _sound_inputs(data: Dataset, tag: str) -> dict[str, Callable[[], trying.Item | None]]:
    recorded = st.audio_input(
        "Record", key=f"record-{tag}", on_change=_used(RECORDING), help="A second or two from the microphone."
    )

    def item_given() -> trying.Item | None:
        return None if recorded is None else _sound(data, "the recording", recorded.getvalue(), None)

    return {RECORDING: item_given, FILE: _upload(data, tag, "Upload a sound", ["wav", "flac", "ogg", "mp3"])}


def _written_inputs(data: Dataset, tag: str) -> dict[str, Callable[[], trying.Item | None]]:
    is_text = data.modality == TEXT
    count = int(np.prod(data.inputs.shape[1:]))
    written = st.text_area(
        "Write a text" if is_text else f"Write {count:,} numbers",
        key=f"words-{tag}",
        on_change=_used(WORDS),
        help="Ctrl+Enter applies it." if is_text else "Separated by commas, blanks or lines; Ctrl+Enter applies them.",
    )

    def item_given() -> trying.Item | None:
        if not written.strip():
            return None
        return (trying.item_of_text if is_text else trying.item_of_numbers)(data.name, written)

    return {WORDS: item_given}


def _samples(data: Dataset, tag: str) -> Callable[[], trying.Item | None]:
    """Show samples of a split, classes in turn."""
    splits = [name for name in ("test", *data.out_of_domain, "val") if len(data.splits[name])]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.selectbox(
            "Or click a sample from",
            splits,
            key=f"samples-{tag}",
            format_func=frames.split_name,
            help="Items that no student was trained on: the test set, sets from out of domain, validation.",
        )
        if st.button("Others", icon=":material/shuffle:", key="others", help="Show other samples."):
            st.session_state["try-turn"] = st.session_state.get("try-turn", 0) + 1
    rows = _sample_rows(data, split, st.session_state.get("try-turn", 0))
    chosen = _addressed_row(data, rows[0])
    key = f"tiles-{tag}"

    def use() -> None:
        st.session_state[GIVEN] = SAMPLE
        st.query_params["row"] = str(int(st.session_state[key]["chosen"]))

    is_sample = st.session_state.get(GIVEN, SAMPLE) == SAMPLE
    tiles.show_tiles(data, rows, key, choose=True, chosen=chosen if is_sample else -1, on_choose=use)
    return lambda: trying.item_of_row(data.name, chosen)


def _addressed_row(data: Dataset, first: int) -> int:
    """Return the row that the address names, another where it names none of this dataset."""
    same = st.session_state.setdefault("try-of", data.name) == data.name
    st.session_state["try-of"] = data.name
    text = st.query_params.get("row", "")
    valid = text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < len(data.inputs)
    if valid and same:
        return int(text)
    st.query_params.pop("row", None)
    return first


def _sample_rows(data: Dataset, split: str, turn: int) -> list[int]:
    """Return rows of a split, other ones each turn; always so for a turn."""
    rows = data.splits[split]
    order = np.random.default_rng(turn).permutation(len(rows))[:SAMPLES]
    return np.sort(rows[order]).tolist()
