# SPDX-License-Identifier: MIT
"""
What stands between the dashboard and a browser: who may ask, and what a page may do.

A page of somebody else's could point its own name at this machine (DNS rebinding) and then read
the dashboard as if it were its own; so only names that the operator gave are answered. Nothing is
ever loaded from elsewhere, and no script or style stands in a page, so that a text from the chain
cannot become one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
READING: Final = ("GET", "HEAD")
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Shield:
    """
    Answers only known hosts and only reading, and adds the headers.

    Parameters
    ----------
    hosts : iterable of str
        Names beside the loopback ones, without port, lower case.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = {*LOOPBACK, *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        host = host_of(Headers(scope=scope).get("host", ""))
        if host not in self._hosts:
            return PlainTextResponse("This name is not one of the dashboard's.\n", 421)
        if scope["method"] not in READING:
            return PlainTextResponse("The dashboard only reads.\n", 405, {"allow": "GET, HEAD"})
        return None


def host_of(header: str) -> str:
    """
    Return the name in a Host header, without the port.

    >>> host_of("LocalHost:8080"), host_of("[::1]:80"), host_of("::1")
    ('localhost', '[::1]', '[::1]')
    """
    header = header.strip().lower()
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return f"[{header}]" if header.count(":") > 1 else header.partition(":")[0]
