"""What the server answers beside pages, asked without a network, and what it loads ahead."""

import gc
import posixpath
import re
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from starlette.responses import HTMLResponse
from starlette.routing import Router
from starlette.types import ASGIApp

from kdlib import planning, runs, store
from kdlib.data import datasets
from kdlib.models import embedding
from pages import maps, server, story, width_dial
from tests.coroutines import run_async

ASSETS = Path(__file__).parent.parent / "assets"
MODULES = sorted(path.relative_to(ASSETS).as_posix() for path in ASSETS.glob("*/*.js"))
IMPORTS = re.compile(r'^import .* from "(.*)";$', re.MULTILINE)


def answered(path: str, app: ASGIApp | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of what the server's own routes answer to a decoded path, or an app."""
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.4"},
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    messages = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        messages.append(message)

    async def ask():
        await (app or Router(routes=server.ROUTES))(scope, receive, send)

    run_async(ask())
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers, b"".join(message.get("body", b"") for message in messages[1:])


@pytest.mark.parametrize("error", [None, ValueError("no such dataset"), OSError("the disk is full"), RuntimeError("?")])
def test_pages_never_wait_for_a_warm_up_that_failed(error, monkeypatch):
    ready = threading.Event()
    monkeypatch.setattr(server, "libraries_ready", ready)

    def load(_):
        assert not ready.is_set()
        if error:
            raise error

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr(planning, "estimate_cost", lambda _: None)
    for module, name in ((store, "connect"), (runs, "list_runs"), (embedding, "embed")):
        monkeypatch.setattr(module, name, lambda *_, **__: None)
    with pytest.raises(RuntimeError) if isinstance(error, RuntimeError) else nullcontext():
        server.warm_up()
    assert ready.is_set()
    assert gc.isenabled()


def test_a_page_brings_the_styles_with_it_after_those_of_streamlit():
    empty = HTMLResponse("<html><head><style></style></head><body><div></div></body></html>")
    status, headers, body = answered("/distill", server.Page(empty))
    assert (status, int(headers["content-length"])) == (200, len(body))
    assert body.startswith(b"<html><head><script>")
    styles = (ASSETS / "app.css").read_bytes()
    script = b'<script type="module" src="./page/index.js"></script>'
    assert b"</head><body><style>" + styles + b"</style>" + script + b"<div>" in body


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_a_component_is_served_as_a_script_and_asked_for_anew(name):
    status, headers, body = answered(f"/{name}")
    assert (status, body) == (200, (ASSETS / name).read_bytes())
    assert headers["content-type"].startswith("text/javascript")  # whatever the machine thinks `.js` is
    assert headers["cache-control"] == "no-cache"  # or modules of two versions would meet after an update


@pytest.mark.parametrize("folder", ["maps", "dial"])
@pytest.mark.parametrize(
    "name", ["", "maps.html", "dial.css", "none.js", "../chain.js", "..\\chain.js", "/etc/passwd", ".", ".."]
)
def test_nothing_else_is_served_from_there(folder, name):
    assert answered(f"/{folder}/{name}")[0] == 404


@pytest.mark.parametrize(
    ("script", "folder"),
    [(maps.SCRIPT, "maps"), (width_dial.SCRIPT, "dial"), (story.SCRIPT, "story"), ('new URL("page/index.js"', "page")],
)
def test_all_modules_of_a_component_are_reached_from_its_script(script, folder):
    waiting, reached = re.findall(r'new URL\("(.*?)"', script), set()
    while waiting:
        name = waiting.pop()
        assert name in MODULES
        if name not in reached:
            reached.add(name)
            imported = IMPORTS.findall((ASSETS / name).read_text(encoding="utf-8"))
            assert all(each.startswith(".") for each in imported), f"{name}: a browser finds relative imports only"
            waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in imported]
    own = {name for name in MODULES if name.startswith(folder)}
    assert own - reached <= {f"{folder}/types.js"}  # which is read by the type check only
