"""Who may talk to the server: pages that it served itself.

A page of another site could otherwise read and change everything here, through a name that suddenly means this machine
(DNS rebinding) or through a web socket, which browsers open to anyone. So a request must name this server in `Host`,
and where a browser says in `Origin` which page asks, that page must be ours too. `KDLIB_ALLOWED_HOSTS` adds names for a
server behind a proxy: `lab.example.org` (any port) or `lab.example.org:8443`, separated by commas.
"""

import os
import re

import streamlit as st
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
EVERYWHERE = ("0.0.0.0", "::")  # addresses to listen at, which nobody calls a server by
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::([0-9]{1,5}))?")
ORIGIN = re.compile(r"(https?)://(.+)")
PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
REFUSAL = "This address is not one of this server's own. Its owner can allow it with KDLIB_ALLOWED_HOSTS.\n"


class OwnHostsOnly:
    """Refuses every request, and every web socket, that does not come from a page of this server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or _allowed(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(REFUSAL, 403)(scope, receive, send)
        else:
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008, "reason": "foreign host or origin"})


def _allowed(scope: Scope) -> bool:
    headers, port = Headers(scope=scope), (scope.get("server") or ("", None))[1]
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or not _ours(hosts[0], PORTS.get(scope.get("scheme", "http"), 80), port):
        return False
    for origin in origins:
        parts = ORIGIN.fullmatch(origin.lower())
        if parts is None or not _ours(parts[2], PORTS[parts[1]], port):
            return False
    return True


def _ours(host: str, default_port: int, own_port: int | None) -> bool:
    """Return whether "name" or "name:port" is this server.

    Args:
        default_port: where no port is said.
        own_port: the server listens there, None for a socket of the file system.
    """
    parts = HOST.fullmatch(host.lower())
    if parts is None:
        return False
    name, port = parts[1], int(parts[2] or default_port)
    address = str(st.get_option("server.address") or "").lower()
    own_names = (
        {*OWN_NAMES, f"[{address}]" if ":" in address else address} if address not in EVERYWHERE else {*OWN_NAMES}
    )
    allowed = {each.strip().lower() for each in os.environ.get("KDLIB_ALLOWED_HOSTS", "").split(",") if each.strip()}
    return (name in own_names and own_port in (None, port)) or name in allowed or f"{name}:{port}" in allowed
