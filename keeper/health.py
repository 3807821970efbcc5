# SPDX-License-Identifier: MIT
"""
Whether the keeper works, and whether it could hedge now.

- healthy: each job is within its deadlines.
- ready: the head that was read last is recent, a cycle has ended well lately, and the journal
  took what was last written to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keeper.errors import JournalUnavailable, KeeperError
from keeper.runner import TickReport
from keeper.snapshot import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An answer to `/health` or `/ready`."""

    good: bool
    said: Mapping[str, Any]


class Health:
    """
    What was last seen of chain, cycle and journal.

    Parameters
    ----------
    head_secs : float
        Oldest head that is recent; None when the chain's time is not the world's: then a head is
        as old as its reading, and as recent as a good tick.
    good_tick_secs : float
        How long ago the last good tick may be.
    """

    def __init__(
        self,
        *,
        head_secs: float | None,
        good_tick_secs: float,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.late: Callable[[], dict[str, str]] = dict  # jobs not within their deadlines
        self.good_tick_secs = good_tick_secs
        self._head_secs = head_secs
        self._wall, self.monotonic = wall, monotonic
        self._started_at = monotonic()
        self._good_at: float | None = None
        self._head: Block | None = None
        self._head_at: float | None = None
        self._journal_fault = ""

    def note(self, report: TickReport, error: KeeperError | None) -> None:
        """Take note of a tick."""
        if report.reading is not None:
            self._head, self._head_at = report.reading.block, self.monotonic()
        if error is None:
            self._good_at = self.monotonic()
        broken = isinstance(error, JournalUnavailable)
        self._journal_fault = str(error) if broken else report.unrecorded

    def health(self) -> State:
        """Return whether each job is within its deadlines."""
        late = self.late()
        return State(good=not late, said={"healthy": not late, "late": late})

    def ready(self) -> State:
        """Return whether the keeper could hedge now, and else why not."""
        why = list(self._unready())
        said = {
            "ready": not why,
            "why": why,
            "head": self._head.number if self._head is not None else None,
            "head_age_secs": self._head_age(),
            "good_tick_age_secs": self._age(self._good_at),
        }
        return State(good=not why, said=said)

    def without_good_tick_secs(self) -> float:
        """Return how long ago the last good tick, or else the start, was."""
        at = self._started_at if self._good_at is None else self._good_at
        return self.monotonic() - at

    def _unready(self) -> Iterator[str]:
        head_age, good_age = self._head_age(), self._age(self._good_at)
        oldest = self.good_tick_secs if self._head_secs is None else self._head_secs
        if head_age is None:
            yield "no head has been read yet"
        elif head_age > oldest:
            yield f"the head is {head_age:.0f} s old, allowed are {oldest:g} s"
        if good_age is None:
            yield "no tick has ended well yet"
        elif good_age > self.good_tick_secs:
            yield f"the last good tick was {good_age:.0f} s ago, allowed {self.good_tick_secs:g} s"
        if self._journal_fault:
            yield self._journal_fault

    def _age(self, at: float | None) -> float | None:
        return None if at is None else round(self.monotonic() - at, 3)

    def _head_age(self) -> float | None:
        """Return the head's age by its own time, or since it was read where that says nothing."""
        if self._head_secs is None or self._head is None:
            return self._age(self._head_at)
        return round(self._wall() - self._head.at, 3)
