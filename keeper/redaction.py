# SPDX-License-Identifier: MIT
"""
No key leaves the process in words: not in a log, not in an alert.

Addresses of nodes and of chat services carry their key in the path, the query or the name before
the `@`, so of each URL only scheme, host and port are kept. Some services have the key where
others have the host (`slack://token/...`): their addresses are registered whole, with their parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

HIDDEN: Final = "***"
URL: Final = re.compile(r"\b([a-z][a-z0-9+.-]*)://([^\s\"'<>)\]}]+)", re.IGNORECASE)
# Where requests quotes a path apart from its host: "Max retries exceeded with url: /v3/key".
BARE_PATH: Final = re.compile(r"\burl: (/[^\s\"'<>)\]}]+)", re.IGNORECASE)
PRIVATE_KEY: Final = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{64}(?![0-9a-zA-Z])", re.IGNORECASE)
PLAIN_SCHEMES: Final = ("http", "https", "ws", "wss")  # after them stands a host
SHORTEST_SECRET: Final = 8  # characters; shorter parts are words such as "json" or a channel


class Redactor:
    """
    Takes secrets out of texts.

    Parameters
    ----------
    secrets : Iterable[str]
        Texts, mostly URLs, of which no part of eight characters or more may be shown.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        parts = {part for secret in secrets for part in _parts(secret)}
        self._secrets = sorted(parts, key=len, reverse=True)  # a part never spoils the whole

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = BARE_PATH.sub(f"url: /{HIDDEN}", text)
        return PRIVATE_KEY.sub(HIDDEN, URL.sub(_host_only, text))

    def line(self, _logger: Any, _method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a log line without secrets; a processor of structlog."""
        return {name: self._value(value) for name, value in fields.items()}

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self(value)
            case Mapping():
                return {name: self._value(found) for name, found in value.items()}
            case list() | tuple():
                return [self._value(found) for found in value]
            case _:
                return value


def _host_only(found: re.Match[str]) -> str:
    scheme, rest = found.group(1), found.group(2)
    if scheme.lower() not in PLAIN_SCHEMES:
        return f"{scheme}://{HIDDEN}"
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    return f"{scheme}://{host}" + (f"/{HIDDEN}" if rest != authority else "")


def _parts(secret: str) -> set[str]:
    """Return the secret and what of it could be quoted alone."""
    if "://" not in secret:
        return {secret} if secret else set()
    parts = urlsplit(secret)
    host = parts.hostname or ""
    known = host if parts.scheme in PLAIN_SCHEMES or "." in host else None  # tokens have no dots
    pieces = re.split(r"[/?#&=@:]", secret.split("://", 1)[1])
    wanted = {piece for piece in pieces if len(piece) >= SHORTEST_SECRET}
    wanted |= {unquote(piece) for piece in wanted}
    return {piece for piece in wanted if piece.lower() != known}
