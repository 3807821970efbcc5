# SPDX-License-Identifier: MIT
"""
Connections to PostgreSQL that wait for no answer for ever.

The server ends its own slow statements, TCP sees a machine that is gone; this is for what takes
connections and says nothing: a server without a disk, a pooler without a server, a firewall. After
such a silence no connection is tried for a while, so that who wants one knows at once, and whoever
watches without the journal loses no time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final

import psycopg
from psycopg.errors import ConnectionTimeout

MORE_SECS: Final = 0.5  # than the server has, so that its own words come first


class PatientConnection(psycopg.Connection[Any]):
    """Closes itself when an answer does not come in time."""

    patience_secs: float = 10.0
    on_silence: Callable[[], None] = staticmethod(lambda: None)

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer, but not for ever."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Return what psycopg asks again and again, with and without news, until it is over."""
        ends = time.monotonic() + self.patience_secs
        try:
            wanted = next(gen)
            while True:
                news = yield wanted
                if not news and time.monotonic() >= ends:
                    self.pgconn.finish()
                    self.on_silence()
                    raise psycopg.OperationalError(
                        f"connection: no answer for {self.patience_secs:g} s"
                    )
                wanted = gen.send(news)
        except StopIteration as end:
            return end.value


class Opener:
    """
    Opens connections, none for a while after one that was silent.

    Parameters
    ----------
    answer_secs : float
        That an answer may take.
    rest_secs : float
        Without a try after a silence.
    """

    def __init__(self, answer_secs: float, rest_secs: float) -> None:
        self._answer_secs, self._rest_secs = answer_secs, rest_secs
        self._lock = threading.Lock()
        self._not_before = 0.0

    def open(self, *args: Any, **options: Any) -> PatientConnection:
        """
        Open one.

        Raises
        ------
        psycopg.OperationalError
            If the server is out of reach or says nothing, or has said nothing a moment ago.
        """
        with self._lock:
            left = self._not_before - time.monotonic()
        if left > 0:
            raise psycopg.OperationalError(
                f"connection: there was no answer, it is tried again in {left:.0f} s"
            )
        try:
            found = PatientConnection.connect(*args, **options)
        except ConnectionTimeout:
            self._silent()
            raise
        found.patience_secs = self._answer_secs + MORE_SECS
        found.on_silence = self._silent
        return found

    def _silent(self) -> None:
        with self._lock:
            self._not_before = time.monotonic() + self._rest_secs
