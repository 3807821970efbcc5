# SPDX-License-Identifier: MIT
"""
`/metrics`, `/health` and `/ready` over HTTP: for Prometheus, service managers and people.

Reads only, shows no secret, knows no user: it belongs on the loopback interface or behind
something that asks who is there. Whoever holds a connection holds a thread that ends with the
process; there are only so many.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST

from keeper.errors import ConfigInvalid
from keeper.health import State

MAX_CONNECTIONS: Final = 16
SILENCE_SECS: Final = 10.0  # a client that says nothing for so long is dropped
JSON: Final = "application/json; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


class Endpoints:
    """
    The server, in a thread of its own.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    routes : dict[str, Callable[[], Answer]]
        What to answer, by path.

    Raises
    ------
    ConfigInvalid
        If it cannot listen there.
    """

    def __init__(self, host: str, port: int, routes: dict[str, Callable[[], Answer]]) -> None:
        try:
            self._http = _Server((host, port), _handler(routes))
        except (OSError, OverflowError) as fault:
            words = (getattr(fault, "strerror", None) or str(fault)).lower()
            raise ConfigInvalid(f"http: cannot listen on {host} port {port}: {words}") from fault
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.1,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no more; connections that are held end with the process."""
        self._http.shutdown()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, which may take long."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or drop it when there are too many."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Say nothing of a client that went away."""


def _handler(routes: dict[str, Callable[[], Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "hedgevault", ""
        timeout = SILENCE_SECS

        def do_GET(self) -> None:
            self._reply(with_body=True)

        def do_HEAD(self) -> None:
            self._reply(with_body=False)

        def _reply(self, *, with_body: bool) -> None:
            route = routes.get(self.path.partition("?")[0])
            status, kind, body = route() if route is not None else _not_found(routes)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
            pass

    return Handler


def routes(
    metrics: Callable[[], bytes], health: Callable[[], State], ready: Callable[[], State]
) -> dict[str, Callable[[], Answer]]:
    """Return what is served."""
    return {
        "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics()),
        "/health": lambda: _answer(health()),
        "/ready": lambda: _answer(ready()),
    }


def _answer(state: State) -> Answer:
    status = HTTPStatus.OK if state.good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, JSON, json.dumps(state.said).encode() + b"\n"


def _not_found(routes: dict[str, Callable[[], Answer]]) -> Answer:
    body = json.dumps({"paths": sorted(routes)}).encode() + b"\n"
    return HTTPStatus.NOT_FOUND, JSON, body
