"""What the server does beside showing pages: headers that tell browsers what is allowed, and a warm start."""

import gc
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime.pages_manager import PagesManager
from streamlit.starlette import App

from kdlib import engine
from kdlib.cache import keep_private
from pages.hosts import OwnHostsOnly

# Streamlit writes inline styles and loads components from blobs; nothing is fetched from, or sent to, another host.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{name} {allowed}" for name, allowed in POLICY.items()),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), payment=()",
}
log = logging.getLogger("kdlib.app")


class Headers:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and its answer back, with the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


ASSETS = Path(__file__).parent.parent / "assets"
# What is written into the page, after which tag. The server's root, seen from any page: without it Streamlit's page
# asks below its own address first, and a browser's console holds two errors for every address that was shared. And our
# styles, which come after Streamlit's own that way and are there from the beginning: nothing jumps when they come. And
# what every page does: numbers that change count, links lead to sections.
ADDED = {
    b"<head>": b"<script>window.__streamlit = { BACKEND_BASE_URL: new URL('./', location.href).href }</script>",
    b"<body>": b"<style>" + (ASSETS / "app.css").read_bytes() + b"</style>"
    b'<script type="module" src="./page/index.js"></script>',
}


class Page:
    """Writes `ADDED` into the page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and its answer back, a page with what is added."""
        # Perhaps a page, which then must not be compressed.
        if scope["type"] == "http" and "." not in scope["path"].rpartition("/")[2]:
            headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": headers}
        begun: list[Message] = []
        body = bytearray()

        async def with_additions(message: Message) -> None:
            if message["type"] == "http.response.start" and MutableHeaders(scope=message).get(
                "content-type", ""
            ).startswith("text/html"):
                begun.append(message)
            elif begun:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    page = bytes(body)
                    for tag, text in ADDED.items():
                        page = page.replace(tag, tag + text, 1)
                    if body:
                        MutableHeaders(scope=begun[0])["content-length"] = str(len(page))
                    await send(begun[0])
                    await send({**message, "body": page})
            else:
                await send(message)

        await self.app(scope, receive, with_additions if scope["type"] == "http" else send)


PagesManager.uses_pages_directory = (
    False  # app.py has the page list; a first visit to /distill would otherwise run that file alone
)
MIDDLEWARE = [Middleware(Headers), Middleware(OwnHostsOnly), Middleware(Page)]


async def item(request: Request) -> Response:
    """Answer item?dataset=...&row=... with the item's picture, with &sound=1 with its sound."""

    def made() -> bytes | None:
        from pages import items  # loads for longer than the server may take to start

        found = items.sound if "sound" in request.query_params else items.answer
        return found(request.query_params.get("dataset", ""), request.query_params.get("row", ""))

    content = await run_in_threadpool(made)
    if content is None:
        return Response(status_code=404)
    kind = "audio/wav" if "sound" in request.query_params else "image/png"
    return Response(content, media_type=kind, headers={"cache-control": "private, max-age=3600"})


async def sound(request: Request) -> Response:
    """Answer sound?dataset=...&row=... with the item's sound."""

    def made() -> bytes | None:
        from pages import items

        return items.answer_sound(request.query_params.get("dataset", ""), request.query_params.get("row", ""))

    played = await run_in_threadpool(made)
    if played is None:
        return Response(status_code=404)
    return Response(played, media_type="audio/wav", headers={"cache-control": "private, max-age=3600"})


SCRIPTS = {path.relative_to(ASSETS).as_posix(): path for path in ASSETS.glob("*/*.js")}


async def script(folder: str, request: Request) -> Response:
    """Answer FOLDER/NAME.js with a module of a component.

    Browsers ask each time, so that modules of one version meet.
    """
    path = SCRIPTS.get(f"{folder}/{request.path_params['name']}")
    if path is None:
        return Response(status_code=404)
    return FileResponse(path, media_type="text/javascript", headers={"cache-control": "no-cache"})


FOLDERS = sorted({name.partition("/")[0] for name in SCRIPTS})
ROUTES = [
    Route("/item", item),
    Route("/sound", sound),
    *(Route(f"/{folder}/{{name}}", partial(script, folder)) for folder in FOLDERS),
]


usable = threading.Event()  # set when a visitor can use a page
UNVISITED = 5.0  # seconds after which the rest is loaded although nobody has come
libraries_ready = threading.Event()  # not set while `warm_up` imports what the first page then shows numbers with
libraries_ready.set()  # without a server nothing is imported ahead
store_ready = threading.Event()  # not set while `warm_up` imports the store: two threads in it at once once broke both
store_ready.set()


def start_engine() -> None:
    """Start the engine, so that nobody waits for it, and let it go on with what it was embedding when it ended."""
    try:
        engine.start()
        libraries_ready.wait()  # what follows loads them too
        from kdlib.spaces import embedding_jobs

        embedding_jobs.resume_interrupted()
    except (ValueError, OSError) as error:  # the pages will say so to whoever comes
        log.warning("starting the engine: %s", error)


def warm_up() -> None:
    """Load what the first page shows numbers with, then what a first click needs: libraries that take seconds."""
    gc.disable()  # it would look through thousands of modules again and again
    try:
        from kdlib import catalog, planning, runs, store
        from kdlib.analysis import frames
        from kdlib.analysis.figures.curves import plot_curves
        from kdlib.data import datasets
        from kdlib.models import embedding
        from kdlib.spec import RunSpec
        from pages import run_tables, show  # noqa: F401

        datasets.load(RunSpec.dataset)
        planning.estimate_cost([RunSpec()])
        libraries_ready.set()
        store.connect()
        runs.list_runs(limit=1)
        store_ready.set()
        plot_curves(frames.curves([], []), "val", 1, {})
        catalog.list_entries("teachers")
        embedding.embed(RunSpec.teacher, RunSpec.dataset)
    except (ValueError, OSError) as error:
        log.warning("warming up: %s", error)
    finally:
        store_ready.set()
        libraries_ready.set()  # whatever went wrong here, a page meets it itself and shows it
        # Streamlit collects all garbage after every run of a script. Libraries are most of what it would look through,
        # a tenth of a second each time, twice a second and visitor while something is live; frozen, they are spared.
        gc.freeze()
        gc.enable()


def prepare() -> None:
    """Start the engine and load the libraries, after the first page: they would compete for its cores."""
    usable.wait(UNVISITED)
    threading.Thread(target=start_engine, name="start_engine", daemon=True).start()
    warm_up()


@asynccontextmanager
async def lifespan(_app: App) -> AsyncIterator[dict[str, Any]]:
    """Answer the first visit at once, and get everything else ready after it."""
    keep_private()
    libraries_ready.clear()
    store_ready.clear()
    threading.Thread(target=prepare, name="prepare", daemon=True).start()
    yield {}
