# SPDX-License-Identifier: MIT
"""
Bringing alerts to people: Slack, Telegram, e-mail, PagerDuty, webhooks, through Apprise.

Each target has a queue and a thread of its own, so a target that hangs delays neither a tick nor
another target. A message is tried until the target takes it, with growing pauses, or until the
process ends; what was not delivered is logged and counted, never dropped in silence. A target that
took a message and could not say so may get it twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from apprise import Apprise, NotifyType

from keeper.alerts import ALERTS, Key, Message, Severity, Stage
from keeper.errors import ConfigInvalid
from keeper.redaction import Redactor

FIRST_PAUSE: Final = 1.0  # seconds after a failed try
LONGEST_PAUSE: Final = 60.0
MAX_WAITING: Final = 200  # messages a target; the oldest goes first
TYPES: Final = {Severity.WARNING: NotifyType.WARNING, Severity.CRITICAL: NotifyType.FAILURE}


class Service(Protocol):
    """What a target needs of Apprise; a plugin of it, or a stand-in in tests."""

    def notify(self, body: str, *, title: str, notify_type: Any) -> bool:
        """Send; return whether it was taken."""


class Target:
    """
    One place to which alerts go.

    Parameters
    ----------
    name : str
        Kind and number; the URL holds secrets.
    log : Any
        Gets one line for each message delivered, refused or lost.
    """

    def __init__(
        self,
        name: str,
        service: Service,
        *,
        sender: str,
        hide: Redactor,
        log: Any,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()  # by result
        self._service, self._sender, self._hide, self._log = service, sender, hide, log
        self._first_pause = first_pause
        self._waiting: deque[tuple[float, Message]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"alerts {name}", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Take a message; returns at once."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                _at, oldest = self._waiting.popleft()
                self._lost(oldest, "too many wait")
            self._waiting.append((time.monotonic(), message))
            self._changed.notify_all()

    def untaken(self) -> set[Key]:
        """Return which alerts were raised and have not reached it."""
        with self._changed:
            return {m.key for _at, m in self._waiting if m.stage is Stage.RAISED}

    @property
    def waiting(self) -> int:
        """Return how many messages it has not taken yet."""
        return len(self._waiting)

    @property
    def late_secs(self) -> float:
        """Return how long the oldest message has waited."""
        with self._changed:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def finish(self) -> None:
        """Give what waits one more try each and then end; returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, deadline: float) -> None:
        """Wait until a moment of `time.monotonic`; log what was not taken."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            left = [message for _at, message in self._waiting]
        for message in left:
            self._lost(message, "the keeper stops")

    def _work(self) -> None:
        pause = self._first_pause
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                _at, message = self._waiting[0]
            if self._taken(message):
                pause = self._first_pause
                self._done(message)
                continue
            if self._rest(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    def _rest(self, secs: float) -> bool:
        """Wait before the next try; return whether this was the last one."""
        with self._changed:
            if self._closing:
                return True
            self._changed.wait_for(lambda: self._closing, secs)
            return False

    def _taken(self, message: Message) -> bool:
        over = message.stage is Stage.RESOLVED
        kind = NotifyType.SUCCESS if over else TYPES[ALERTS[message.alert].severity]
        title = self._hide(f"{self._sender}: {message.title}")
        try:
            with _reasons.heard() as said:
                taken = self._service.notify(
                    self._hide(message.body), title=title, notify_type=kind
                )
        except Exception as fault:  # noqa: BLE001  # of any plugin; the next try may be better
            taken, said = False, [repr(fault)]
        if not taken:
            self.counts["refused"] += 1
            why = self._hide("; ".join(said)) or "no reason given"
            self._log.warning("alert", target=self.name, result="refused", title=title, why=why)
        return taken

    def _done(self, message: Message) -> None:
        self.counts["delivered"] += 1
        with self._changed:
            if self._waiting and self._waiting[0][1] is message:
                self._waiting.popleft()
        self._log.info("alert", target=self.name, result="delivered", title=message.title)

    def _lost(self, message: Message, why: str) -> None:
        self.counts["lost"] += 1
        title, body = message.title, message.body
        self._log.error("alert", target=self.name, result="lost", why=why, title=title, body=body)


class Delivery:
    """All targets."""

    def __init__(self, targets: Sequence[Target] = ()) -> None:
        self.targets = tuple(targets)

    def put(self, message: Message) -> None:
        """Give a message to each target; returns at once."""
        for target in self.targets:
            target.put(message)

    def untaken(self) -> set[Key]:
        """Return which alerts were raised and have reached no target."""
        found = [target.untaken() for target in self.targets]
        return set.intersection(*found) if found else set()

    def close(self, patience_secs: float) -> None:
        """Try for some seconds what waits, log the rest; `untaken` still knows it."""
        deadline = time.monotonic() + patience_secs
        for target in self.targets:
            target.finish()
        for target in self.targets:
            target.close(deadline)


class _Reasons(logging.Handler):
    """Apprise answers yes or no; why stands in its log. Each thread hears its own lines."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line for whoever listens in this thread."""
        lines: list[str] | None = getattr(self._local, "lines", None)
        if lines is not None:
            lines.append(record.getMessage())

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        """Collect the lines of a block."""
        lines: list[str] = []
        self._local.lines = lines
        try:
            yield lines
        finally:
            self._local.lines = None


_reasons: Final = _Reasons()


def open_targets(
    urls: Sequence[str], *, field: str, sender: str, hide: Redactor, log: Any
) -> list[Target]:
    """
    Return a target for each URL as Apprise writes them.

    Raises
    ------
    ConfigInvalid
        If Apprise knows no such service; names the number and never the URL.
    """
    logger = logging.getLogger("apprise")
    logger.addHandler(_reasons)
    logger.propagate = False  # its lines quote URLs
    services = [_service(field, number, url) for number, url in enumerate(urls, 1)]
    return [
        Target(f"{kind} {number}", service, sender=sender, hide=hide, log=log)
        for number, (kind, service) in enumerate(services, 1)
    ]


def _service(field: str, number: int, url: str) -> tuple[str, Service]:
    """Return the kind of a service and the service."""
    try:
        service = Apprise.instantiate(url)
    except (TypeError, ValueError):
        service = None
    if service is None:
        raise ConfigInvalid(f"{field}: URL {number} is none that Apprise knows")
    return type(service).__name__.removeprefix("Notify").lower(), service
