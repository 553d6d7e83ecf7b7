"""Work that a click starts in the page's own run: only a click outside of fragments ends one.

A part of a page has a name, with which the keys of what it keeps in the session begin.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import streamlit as st

from kdlib.progress import OnProgress, Progress
from pages.text import escape, show_errors


def lock_key(part: str) -> str:
    """Return under which key of the session the lock is that is held while work of a part runs."""
    return f"lock-of-{part}"


def button(part: str, label: str, job: Callable[..., None] | None, *, key: str, primary: bool = True) -> None:
    """Show a button whose click has a job done, in the next run of the whole page; without a job it is disabled.

    The job is that of the run the click began. A callback would be that of the run before, which on a busy machine does
    not know of what was chosen or typed last.
    """
    clicked = st.button(label, type="primary" if primary else "secondary", disabled=job is None, key=key)
    if clicked and job is not None:
        st.session_state[f"{part}-job"] = job
        st.rerun()


def arrive(part: str, name: str) -> None:
    """Note the name of what the part has made, which the next run of the whole page shows."""
    st.session_state[f"{part}-arrived"] = name


def has_arrived(part: str) -> bool:
    """Return whether the whole page has yet to show what the part has made."""
    return f"{part}-arrived" in st.session_state


def show_arrival(part: str, key: str) -> None:
    """Choose what the part has just made in the box of that key; to be called before the box is drawn."""
    if has_arrived(part):
        st.session_state[key] = name = st.session_state.pop(f"{part}-arrived")
        st.toast(f"Imported as {escape(name)}", icon=":material/check:")


def work_or_draw(part: str, draw: Callable[[], None]) -> None:
    """Do the job that waits, if there is one; otherwise draw the part.

    A click that stops a job begins the next run of the page while the one before still cleans up: it is waited for.
    """
    job, working = st.session_state.pop(f"{part}-job", None), st.session_state.setdefault(lock_key(part), Lock())
    if job is None:
        with working:
            pass
        draw()
        return
    with working, show_errors():
        job()


@contextmanager
def progress_bar(part: str, doing: str) -> Iterator[OnProgress]:
    """Yield a callback that moves a bar beside a button that stops.

    A click on it makes Streamlit end this run inside the next call that draws, as leaving the page does; what runs then
    ends its child process and removes its files.
    """
    with st.container(border=True):
        st.button(f"Stop {doing.split()[0].lower()}", icon=":material/stop_circle:", key=f"{part}-stop")
        bar = st.progress(0.0, escape(doing))

        def move(progress: Progress) -> None:
            count = f": {progress.step:,} of {progress.steps:,}" if progress.steps else ""
            bar.progress(progress.share, escape(doing + count))

        yield move
