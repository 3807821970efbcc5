# SPDX-License-Identifier: MIT
"""
What stands on every page: how fresh it is, and what could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.web.seen import Seen, Source
from keeper.words import Level, Remark, moment, span


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The mark in the head of a page, and the notices under it."""

    level: Level
    word: str
    detail: str
    notices: tuple[Remark, ...]
    version: int


def status(seen: Seen, wall: float) -> Status:
    """
    Return how fresh what is shown is.

    Parameters
    ----------
    wall : float
        Unix seconds of this machine, now.
    """
    level, word = _word(seen, wall)
    detail = "nothing is known yet"
    if seen.block is not None:
        detail = f"block {seen.block.number:,}, {moment(seen.block.at)}"
    return Status(
        level=level,
        word=word,
        detail=detail,
        notices=tuple(_notices(seen, wall)),
        version=seen.version,
    )


def _word(seen: Seen, wall: float) -> tuple[Level, str]:
    if _is_late(seen, wall):
        return Level.WATCH, "Late"
    if not seen.chain_fault:
        return Level.GOOD, "Live"
    if seen.source is Source.CHAIN:
        return Level.ACT, "Chain not readable"
    if seen.source is Source.JOURNAL:
        return Level.WATCH, "From the journal"
    return Level.UNKNOWN, "Nothing known"


def _notices(seen: Seen, wall: float) -> list[Remark]:
    said = []
    if _is_late(seen, wall):
        words = f"The last look was {span(wall - seen.looked_at)} ago; the next one is late."
        said.append(Remark(level=Level.WATCH, words=words))
    if seen.chain_fault:
        said.append(Remark(level=Level.ACT, words=_outage(seen, wall)))
    if seen.noticed_fault:
        words = f"What was logged cannot be read: {seen.noticed_fault}. "
        words += "Exits in kind and what waits at the owner are missing, or as they were."
        said.append(Remark(level=Level.WATCH, words=words))
    if seen.journal_fault:
        words = f"The journal cannot be read: {seen.journal_fault}. "
        words += "Decisions and charts are missing; what stands on the chain is not."
        said.append(Remark(level=Level.WATCH, words=words))
    return said


def _is_late(seen: Seen, wall: float) -> bool:
    return not seen.chain_fault and 0 < seen.looked_at < wall - seen.due_secs


def _outage(seen: Seen, wall: float) -> str:
    words = f"The chain cannot be read: {seen.chain_fault}."
    if seen.source is Source.CHAIN:
        return f"{words} Shown is what was read {span(wall - seen.looked_at)} ago."
    if seen.source is Source.JOURNAL:
        return f"{words} Shown is what the keeper's journal saw last."
    return f"{words} There is nothing to show yet."
