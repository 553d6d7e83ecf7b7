"""Who may talk to the server: the machinery of ASGI with a server that listens on port 8501."""

import pytest

from pages import server
from pages.hosts import OwnHostsOnly
from tests.coroutines import run_async

OWN = ["localhost:8501", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST:8501"]
FOREIGN = [
    "evil.example",
    "evil.example:8501",
    "localhost",
    "localhost:8502",
    "localhost.evil.example:8501",
    "127.0.0.1",
    "",
    "localhost:8501@evil.example",
]
FOREIGN_ORIGINS = [
    "http://localhost:8502",
    "http://evil.example",
    "https://localhost:8502",
    "null",
    "",
    "file://",
    "http://localhost",
    "http://localhost:8501.evil.example",
]


def ask(kind, host=("localhost:8501",), origin=(), path="/", port=8501, scheme=None):
    """Return the status of an answer: 200 and 101 from the app behind, 403 and, for a web socket, 1008 if refused."""
    headers = [(b"host", each.encode()) for each in host] + [(b"origin", each.encode()) for each in origin]
    scope = {
        "type": kind,
        "path": path,
        "headers": headers,
        "server": ("127.0.0.1", port),
        "scheme": scheme or {"http": "http"}.get(kind, "ws"),
    }
    sent = []

    async def app(_scope, _receive, send):
        await send(
            {"type": "http.response.start", "status": 200}
            if kind == "http"
            else {"type": "websocket.accept", "code": 101}
        )

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    run_async(OwnHostsOnly(app)(scope, receive, send))
    return sent[0].get("status") or sent[0]["code"]


@pytest.mark.parametrize("host", OWN)
def test_the_server_answers_to_its_own_names(host):
    assert (ask("http", [host]), ask("websocket", [host])) == (200, 101)
    assert ask("websocket", [host], [f"http://{host}"]) == 101


@pytest.mark.parametrize("path", ["/", "/item", "/_stcore/health", "/_stcore/stream", "/static/x.js"])
@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_once_got_an_answer(host, path):
    assert ask("http", [host], path=path) == 403
    assert ask("websocket", [host], path=path) == 1008


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_of_another_port_or_site_once_opened_the_web_socket(origin):
    assert ask("websocket", origin=[origin]) == 1008
    assert ask("http", origin=[origin]) == 403


@pytest.mark.parametrize("hosts", [[], ["localhost:8501", "evil.example"]])
def test_a_request_names_one_host(hosts):
    assert ask("http", hosts) == 403


def test_a_port_that_is_not_said_is_the_scheme_s():
    assert ask("http", ["localhost"], port=80) == 200
    assert ask("http", ["localhost"], port=443) == 403
    assert ask("http", ["localhost"], port=443, scheme="https") == 200


def test_a_proxy_s_names_are_added_by_configuration(monkeypatch):
    monkeypatch.setenv("KDLIB_ALLOWED_HOSTS", " Lab.example.org , other.example:8443")
    assert ask("websocket", ["lab.example.org"], ["https://lab.example.org"]) == 101
    assert ask("http", ["127.0.0.1:8501"], ["https://lab.example.org:1234"]) == 200
    assert ask("http", ["other.example:8443"]) == 200
    assert ask("http", ["other.example"]) == 403
    assert ask("http", ["evil.example"]) == 403


def test_the_configured_address_is_a_name_of_the_server_unless_it_means_everywhere(monkeypatch):
    for address, host in (("10.1.2.3", "10.1.2.3:8501"), ("fd00::1", "[fd00::1]:8501"), ("lab", "lab:8501")):
        monkeypatch.setattr("pages.hosts.st.get_option", lambda _name, address=address: address)
        assert ask("http", [host]) == 200
    monkeypatch.setattr("pages.hosts.st.get_option", lambda _name: "0.0.0.0")
    assert ask("http", ["0.0.0.0:8501"]) == 403


def test_the_server_has_the_guard_around_every_route():
    assert OwnHostsOnly in [middleware.cls for middleware in server.MIDDLEWARE]
