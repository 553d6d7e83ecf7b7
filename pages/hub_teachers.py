"""Networks out of hubs, a part of "Add a teacher": a name, and what only a person knows of it."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from kdlib.models.providers import hub
from pages import page_jobs
from pages.text import escape

ABOUT = """
A network of **transformers** (`hf:facebook/dinov2-small`), **timm** (`timm:resnet18.a1_in1k`) or **torchaudio** \
(`torchaudio:WAV2VEC2_BASE`): weights are read as safetensors, those of torchaudio as plain tensors (torch's \
`weights_only`); no code of a model ever runs. What this machine's cache does not hold is downloaded.
"""


def choose(part: str, number: int, add: Callable[..., None]) -> None:
    """Show the controls; a click has `add` called with name, revision, source task and supervision.

    Args:
        part: of the page, as in `page_jobs`.
        number: another one empties the controls.
        add: does the work, in the page's next run.
    """
    st.markdown(ABOUT)
    left, right = st.columns(2)
    examples = ", ".join(f"`{scheme}:{example}`" for scheme, example in hub.EXAMPLES.items())
    key, line = f"{part}-hub-name-{number}", f"The hub, a colon, and what the network is called there: {examples}."
    name = left.text_input("Name in a hub", key=key, max_chars=200, placeholder="hf:…", help=line)
    key, line = f"{part}-hub-revision-{number}", "Commit, branch or tag; the commit is recorded."
    revision = right.text_input("Revision", key=key, max_chars=96, placeholder="newest", help=line)
    key, line = f"{part}-hub-task-{number}", "What it was trained for."
    task = left.text_input("Source task", key=key, max_chars=80, placeholder="not said", help=line)
    supervision = right.selectbox(
        "Supervision",
        ["not said", "supervised", "unsupervised"],
        key=f"{part}-hub-supervision-{number}",
        help="Whether its source task used labels.",
    )
    supervised = {"supervised": True, "unsupervised": False}.get(supervision or "")
    job = partial(add, name.strip(), revision.strip(), task.strip(), supervised) if name.strip() else None
    page_jobs.button(part, "Add from the hub", job, key=f"{part}-hub-add")


def add(name: str, revision: str, task: str, supervised: bool | None) -> str:
    """Add a network and return its name, while the page shows that it is at work.

    Raises:
        ValueError: one sentence says why not.
    """
    with st.spinner(f"Adding {escape(name)}: finding its files, trying it"):
        return hub.add(name, revision, task, supervised).name
