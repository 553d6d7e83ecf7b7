"""Deep links: what of each page an address opens, so that a teacher can link to it; without a browser and an engine."""

import json
import re
from pathlib import Path

import pytest

from tests import stored_runs
from tests.opened_pages import PAGES, opened

LINKS = {  # page -> what an address can say -> what then is set
    "start": {"size=Class": ("size", "Class"), "curves=true": ("curves", True)},
    "data_teachers": {
        "dataset=digits": ("dataset", "digits"),
        "sample=3": ("sample", 3),
        "own=true": ("own", True),
        "network=true": ("network", True),
    },
    "distill": {
        "mode=Step through it": ("mode", "Step through it"),
        "teacher=parity": ("teacher", "parity"),
        "methods=lda": ("methods", ["lda"]),
        "curve=Distance loss": ("curve", "distance"),
        "open=code": ("code", True),
        "grid=true": ("grid", True),
        "mode=Landscape&axis=labels": ("axis", "labels"),
        "mode=Landscape&values-dim=3": ("values-dim", ["3"]),
    },
    "compare": {
        "show=Table": ("show", "Table"),
        "show=Size and cost&against=latency per item, ms": ("against", "latency_ms"),
        "show=Dimension&sweeping=true": ("sweeping", True),
        "show=Dimension&sweep=lda": ("sweep", ["lda"]),
        "show=Width x precision&judge=kNN accuracy": ("judge", "knn"),
        "open=report": ("report", True),
        "open=take": ("take", True),
        "open=choose": ("choose", True),
    },
    "try_it": {"upload=true": ("upload", True), "open=choose": ("choose", True)},
    "runs": {
        "text=mlp": ("text", "mlp"),
        "only-teacher=random": ("only-teacher", ["random"]),
        "states=done": ("states", ["done"]),
        "page=2": ("page", 2),
        "open=take": ("take", True),
    },
}
ELSEWHERE = {"lessons", "embeddings", "dial"}  # their own tests hold their links


def test_every_page_is_listed():
    assert set(LINKS) | ELSEWHERE == set(PAGES)


def test_a_page_scrolls_to_sections_that_there_are():
    script = (Path(__file__).parent.parent / "assets" / "page" / "links.js").read_text(encoding="utf-8")
    [names] = re.findall(r"const SECTIONS = (\[.*?\])", script)
    keys = {key for links in LINKS.values() for key, _ in links.values()} | {"below"}  # of Embeddings
    assert set(json.loads(names)) <= keys


@pytest.mark.parametrize(("page", "address"), [(page, each) for page, links in LINKS.items() for each in links])
def test_an_address_opens_what_it_names(page, address, app_home):
    runs = stored_runs.store_all()
    query = dict(part.split("=") for part in address.split("&"))
    app = opened(page, runs=",".join(runs), **query)
    assert not app.exception
    key, value = LINKS[page][address]
    assert app.session_state[key] == value
