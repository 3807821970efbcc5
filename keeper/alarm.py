# SPDX-License-Identifier: MIT
"""
Alerts with what surrounds them: a lock, the file that outlives the process, targets, one log line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keeper.alerts import Alerts, Message, Stage
from keeper.delivery import Delivery


class Alarm:
    """
    Alerts that any thread may set and one thread rings.

    Parameters
    ----------
    path : Path
        File with what was told, for the next process; None keeps it in memory.
    """

    def __init__(
        self,
        alerts: Alerts,
        delivery: Delivery,
        *,
        log: Any,
        path: Path | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.targets = delivery.targets
        self._alerts, self._delivery = alerts, delivery
        self._log, self._path, self._wall = log, path, wall
        self._lock = threading.Lock()
        self._kept, self._file_fault = "", ""
        self._quiet = False

    def note(self, alert: str, subject: str, words: str | None) -> None:
        """Say that a condition holds, with words, or that it does not, with None."""
        with self._lock:
            self._alerts.note(alert, subject, words, self._wall())

    def note_all(self, alert: str, holds: Mapping[str, str]) -> None:
        """Say for which subjects a condition holds; for others it does not."""
        with self._lock:
            self._alerts.note_all(alert, holds, self._wall())

    def active(self) -> set[str]:
        """Return the ids of what has been told and is not over."""
        with self._lock:
            return {name for name, _subject in self._alerts.active()}

    def ring(self) -> list[Message]:
        """Log what is due, hand it to the targets and return it."""
        if self._quiet:
            return []
        with self._lock:
            due = self._alerts.advance(self._wall())
        for message in due:
            self._say(message)
            self._delivery.put(message)
        self._keep()
        return due

    def stand_by(self) -> None:
        """Leave telling to the keeper that leads."""
        self._quiet = True

    def lead(self) -> None:
        """Tell, and go on where whoever led before has stopped."""
        if self._quiet:
            self._quiet = False
            with self._lock:
                self._alerts.adopt(told_before(self._path) if self._path is not None else "")

    def close(self, patience_secs: float) -> None:
        """Try for some seconds to deliver what waits."""
        self._delivery.close(patience_secs)
        if not self._quiet:
            self._keep()

    def _say(self, message: Message) -> None:
        say = self._log.info if message.stage is Stage.RESOLVED else self._log.warning
        said = {"alert": message.alert, "stage": message.stage.value, "about": message.subject}
        say("alert", **said, words=message.words, secs=round(message.secs, 1))

    def _keep(self) -> None:
        """
        Write down what has been told and taken, when it is another than before.

        What no target has taken is left out: the next process tells it again.
        """
        untaken = self._delivery.untaken()
        with self._lock:
            text = self._alerts.encode(untaken)
        if self._path is None or text == self._kept:
            return
        try:
            fresh = self._path.with_name(f"{self._path.name}-new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._path)
            self._kept, self._file_fault = text, ""
        except OSError as fault:
            words = f"{self._path}: {(fault.strerror or str(fault)).lower()}"
            if words != self._file_fault:
                self._log.warning("alerts are not kept", error=words)
            self._file_fault = words


def told_before(path: Path) -> str:
    """Return what an earlier process told, or nothing."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
