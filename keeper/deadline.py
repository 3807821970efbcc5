# SPDX-License-Identifier: MIT
"""
The time that a job has, passed down to everything that waits or sends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keeper.errors import DeadlineExceeded


class Deadline:
    """
    Ends by itself after some seconds, or when whoever waits for the job gives it up.

    A job that is given up may still be stuck in a system call. `check` stands before every send,
    `effect` around every write, so such a job wakes up, sees that its time is over, and does
    nothing. A job whose time is merely over may still write down how it ended.
    """

    def __init__(self, secs: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ends = monotonic() + secs
        self._given_up = threading.Event()
        self._effect = threading.Lock()

    def remaining(self) -> float:
        """Return seconds left, at least zero."""
        if self._given_up.is_set():
            return 0.0
        return max(0.0, self._ends - self._monotonic())

    def check(self, stage: str) -> None:
        """Raise `DeadlineExceeded` when nothing is left; `stage` names what was to come."""
        if self.remaining() <= 0.0:
            raise DeadlineExceeded(stage)

    @property
    def given_up(self) -> bool:
        """Return whether nobody waits for the job any more."""
        return self._given_up.is_set()

    @contextmanager
    def effect(self, stage: str) -> Iterator[None]:
        """Do what the job may do only while somebody waits for it; `give_up` waits for its end."""
        with self._effect:
            if self._given_up.is_set():
                raise DeadlineExceeded(stage)
            yield

    def hurry(self, secs: float) -> None:
        """Leave no more than so many seconds."""
        self._ends = min(self._ends, self._monotonic() + secs)

    def give_up(self, patience_secs: float = -1.0) -> bool:
        """
        End it now; no `effect` begins any more.

        Returns
        -------
        bool
            Whether none is under way, waiting so long for its end; -1 waits as long as it takes.
        """
        self._given_up.set()
        over = self._effect.acquire(timeout=patience_secs)
        if over:
            self._effect.release()
        return over

    def sleep(self, secs: float) -> None:
        """Wait, but not beyond the end."""
        self._given_up.wait(min(secs, self.remaining()))
