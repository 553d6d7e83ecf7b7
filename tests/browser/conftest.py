"""A real server with a real engine on a data folder of its own, and a real Chromium that talks to nobody else."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SLOW = 120_000  # ms; a race on a busy machine
expect.set_options(timeout=60_000)

# A dataset whose every label is an attack, and a teacher that takes its time, known to every process of the app and its
# engine. They are added after the module is executed: a finder that imports does so under the lock of all imports, and
# two threads then wait for one another.
HOSTILE = """
import sys
from dataclasses import replace
from importlib.machinery import PathFinder
def add_hostile(datasets):
    def hostile():
        "A <b>dataset</b> with **hostile** $x^2$ labels"
        data = datasets.digits()
        names = ("<script>alert(1)</script>", "**bold**", "$x^2$", "[link](http://example.org)",
                 "<img src=x onerror=alert(1)>", ":material/home:", "=1+1", "<a href='http://example.org'>a</a>",
                 "# head", "`code`")
        return replace(data, name="<i>hostile</i>", classes=names)
    datasets.DATASETS["<i>hostile</i>"] = hostile
def add_slow(providers):
    providers.PROVIDERS["slow"] = "tests.slow_teachers"
ADD = {"kdlib.data.datasets": add_hostile, "kdlib.models.providers": add_slow}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name not in ADD:
            return None
        spec = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            ADD[name](module)
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The app as `make app` starts it."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (home / "patch").mkdir(parents=True, exist_ok=True)
        (home / "patch" / "sitecustomize.py").write_text(HOSTILE)
        path = os.pathsep.join([str(home / "patch"), str(ROOT)])
        self.env = os.environ | {"KDLIB_HOME": str(home), "KDLIB_ENGINE_IDLE": "120", "PYTHONPATH": path}
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "app.py",
            "--server.port",
            str(self.port),
            "--server.headless",
            "true",
        ]
        with (self.home / "app.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with suppress(OSError), urlopen(f"{self.url}/_stcore/health", timeout=1):
                return
            with suppress(subprocess.TimeoutExpired):
                raise RuntimeError(
                    f"the app ended with {self.process.wait(0.1)}: {(self.home / 'app.log').read_text()[-2000:]}"
                )
        self.kill()
        raise TimeoutError("the app did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the app and its engine."""
        self.kill()
        code = "from kdlib import engine; engine.stop()"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=self.env, check=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    running = Server(home)
    yield running
    running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the app logged beside what the browser saw of a test that failed."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and server is not None:
        report.sections.append(("app.log", (server.home / "app.log").read_text(errors="replace")[-8000:]))
    return report


@pytest.fixture(scope="session")
def chromium():
    assert CHROMIUM, "the browser tests need Chromium on the PATH; `make test` installs it where it can"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, server):
    """Return a function that opens an address in a browser of its own.

    Afterwards no console may hold an error, and nobody else was asked."""
    contexts, complaints = [], []

    def open_page(path: str = "/", width: int = 1440, height: int = 1000):
        context = chromium.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()

        def heard(message):
            if message.type == "error":
                complaints.append(message.text)

        def asked(request):
            if not request.url.startswith((server.url, server.url.replace("http", "ws"), "data:", "blob:")):
                complaints.append(f"asked another host: {request.url}")

        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a label ran as code: {dialog.message}"))
        page.on("request", asked)
        page.goto(server.url + path)
        expect(page.locator("h1")).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
