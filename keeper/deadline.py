# SPDX-License-Identifier: MIT
"""
The time that a job has, passed down to everything that waits or sends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from keeper.errors import DeadlineExceeded


class Deadline:
    """
    Ends by itself after some seconds, or when whoever waits for the job gives it up.

    A job that is given up may still be stuck in a system call. `check` stands before every step
    that has an effect, so such a job wakes up, sees that its time is over, and does nothing.
    """

    def __init__(self, secs: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ends = monotonic() + secs
        self._given_up = threading.Event()

    def remaining(self) -> float:
        """Return seconds left, at least zero."""
        if self._given_up.is_set():
            return 0.0
        return max(0.0, self._ends - self._monotonic())

    def check(self, stage: str) -> None:
        """Raise `DeadlineExceeded` when nothing is left; `stage` names what was to come."""
        if self.remaining() <= 0.0:
            raise DeadlineExceeded(stage)

    def give_up(self) -> None:
        """End it now."""
        self._given_up.set()

    def sleep(self, secs: float) -> None:
        """Wait, but not beyond the end."""
        self._given_up.wait(min(secs, self.remaining()))
