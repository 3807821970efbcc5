# SPDX-License-Identifier: MIT
"""
`hedgevault dashboard`.

Its configuration is the keeper's; of the key it needs nothing and reads nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import requests
import uvicorn

from keeper.alarm import told_before
from keeper.alerts import standing_in
from keeper.chain import Chain, Node
from keeper.config import Config
from keeper.errors import ConfigInvalid
from keeper.journal_pages import JournalPages
from keeper.redaction import Redactor
from keeper.rpc import secrets_of
from keeper.web.app import Desk, create_app
from keeper.web.lookups import Lookups
from keeper.web.shield import host_of
from keeper.web.view.health import Terms, own_words
from keeper.web.watcher import Sources, Watcher
from keeper.words import Level, Remark

ASK_SECS: Final = 1.0  # for the keeper's own endpoints
MOST_CLIENTS: Final = 256  # each open page holds a stream
BACKLOG: Final = 64  # connections that wait to be taken
FAREWELL_SECS: Final = 1  # for pages that are still being read


def serve(
    config: Config,
    node: Node,
    *,
    host: str,
    port: int,
    names: Sequence[str],
    every_secs: float,
    announce: Callable[[str], None],
) -> None:
    """
    Serve the dashboard until SIGINT or SIGTERM.

    Parameters
    ----------
    node : Node
        As the keeper's own, which the configuration gives.
    names : sequence of str
        Host names beside the loopback ones under which it may be asked for.
    announce : callable
        Is told the address once it listens.

    Raises
    ------
    ConfigInvalid
        If it cannot listen there.
    """
    with _listening(host, port) as listener, desk(config, node, names, every_secs, host) as found:
        server = _Server(
            uvicorn.Config(
                create_app(found),
                log_config=None,
                access_log=False,
                limit_concurrency=MOST_CLIENTS,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=FAREWELL_SECS,
            ),
            found.watcher.end,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        announce(_address(listener))
        server.run(sockets=[listener])


@contextmanager
def desk(
    config: Config, node: Node, names: Sequence[str], every_secs: float, host: str = ""
) -> Iterator[Desk]:
    """Open chain and journal and look at them until the block ends."""
    chain = Chain(replace(node, attempts=1), log=_Silent())  # what fails is tried a look later
    hide = Redactor([*secrets_of(config.chain.urls), *_password(config)])
    watcher = Watcher(
        Sources(
            chain=chain,
            open_journal=partial(_open_journal, config),
            vaults=config.vaults,
            first_block=config.first_block,
            lives_now=config.chain.clock == "wall",
        ),
        every_secs=every_secs,
    )
    watcher.start()
    with closing(watcher):
        yield Desk(
            watcher=watcher,
            lookups=Lookups(chain, config.first_block),
            terms=Terms(
                safety=config.safety,
                upkeep=config.upkeep_safety if config.upkeep.do else None,
            ),
            own_words=partial(_own_words, config),
            standing=lambda: standing_in(told_before(config.alerts_path)),
            hide=hide,
            hosts=[host_of(name) for name in (*names, *([host] if _is_one(host) else []))],
        )


class _Server(uvicorn.Server):
    """
    Ends in order at a signal; uvicorn's own would send it to the process once more.

    Parameters
    ----------
    on_end : callable
        Lets go of pages that wait for news.
    """

    def __init__(self, config: uvicorn.Config, on_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_end = on_end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let the server end."""
        self._on_end()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let both signals end the server, and be as they were afterwards."""
        both = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(each, self.handle_exit) for each in both]
        try:
            yield
        finally:
            for each, handler in zip(both, before, strict=True):
                signal.signal(each, handler)


class _Silent:
    """A log for what the pages say themselves."""

    def info(self, event: str, **fields: Any) -> None:
        """Say nothing."""

    warning = error = info


def _password(config: Config) -> list[str]:
    """Return the password of the journal's database, if it has one."""
    where = config.journal
    return [] if isinstance(where, Path) or not where.password else [where.password]


def _open_journal(config: Config) -> JournalPages:
    return JournalPages.existing(config.journal, config.chain.chain_id)


def _own_words(config: Config) -> Sequence[Remark]:
    """Ask the keeper's own `/health` and `/ready`, where it serves them."""
    section = config.http
    if section.port == 0:
        words = "The keeper serves no /health and /ready ([http] has no port); "
        return [Remark(level=Level.UNKNOWN, words=f"{words}what follows is from its journal.")]
    place = f"http://{section.host}:{section.port}"
    try:
        asked = [requests.get(f"{place}/{p}", timeout=ASK_SECS).json() for p in ("health", "ready")]
    except (requests.RequestException, ValueError):
        words = f"The keeper does not answer at {place}: it may not be running."
        return [Remark(level=Level.ACT, words=words)]
    return own_words(*asked)


def _is_one(host: str) -> bool:
    """Return whether a host stands for one address and not for all."""
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return bool(host)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as fault:
        listener.close()
        words = (getattr(fault, "strerror", None) or str(fault)).lower()
        raise ConfigInvalid(f"cannot listen on {host} port {port}: {words}") from fault
    with closing(listener):
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
