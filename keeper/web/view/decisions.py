# SPDX-License-Identifier: MIT
"""
Decisions in lists: one line each, equal ones in a row as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.journal import Tx, TxState
from keeper.journal_pages import DecisionHead
from keeper.words import Level, moment, short

KIND_WORDS: Final = {"hold": "Left alone", "rebalance": "Rebalance", "refuse": "Refused to decide"}
KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {  # what can be chosen, and its words
    "acted": ("Plans and refusals", ("rebalance", "refuse")),
    "all": ("Everything", ()),
    "rebalance": ("Plans only", ("rebalance",)),
    "refuse": ("Refusals only", ("refuse",)),
    "hold": ("Left alone only", ("hold",)),
}
STATE_WORDS: Final[Mapping[TxState, tuple[Level, str]]] = {
    TxState.PLANNED: (Level.WATCH, "about to be simulated and signed"),
    TxState.SIGNED: (Level.WATCH, "signed, about to be sent"),
    TxState.ACCEPTED: (Level.WATCH, "sent, waiting to be mined"),
    TxState.MINED: (Level.WATCH, "mined, not yet final"),
    TxState.FINAL: (Level.GOOD, "done"),
    TxState.FAILED: (Level.ACT, "failed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLine:
    """One line of a list; `repeats` counts equal decisions in a row that it stands for."""

    row: int
    when: str
    block: str
    vault: str
    vault_short: str
    kind: str
    kind_word: str
    reason: str
    level: Level
    outcome: str
    last: int  # row of the oldest decision that it stands for
    repeats: int = 1


def decision_lines(heads: Sequence[DecisionHead], txs: Sequence[Tx]) -> list[DecisionLine]:
    """Return the lines, newest first as the heads are."""
    by_row = {tx.decision_row: tx for tx in txs}
    kept: list[DecisionLine] = []
    for head in heads:
        line = _line(head, by_row.get(head.id))
        if kept and _alike(kept[-1], line):
            kept[-1] = replace(kept[-1], repeats=kept[-1].repeats + 1, last=line.row)
        else:
            kept.append(line)
    return kept


def outcome(kind: str, objection: str | None, tx: Tx | None) -> tuple[Level, str]:
    """Return what became of a decision."""
    if tx is not None:
        level, words = STATE_WORDS[tx.state]
        if tx.state is TxState.FAILED and tx.sends == 0:
            level, words = Level.WATCH, "not sent"
        return level, f"{words}: {tx.detail}" if tx.detail else words
    if objection:
        return Level.WATCH, f"not sent: {objection}"
    if kind == "refuse":
        return Level.ACT, "nothing may be decided on this"
    return Level.GOOD, "nothing to do" if kind == "hold" else "dry run: not sent"


def _line(head: DecisionHead, tx: Tx | None) -> DecisionLine:
    level, words = outcome(head.kind, head.objection, tx)
    return DecisionLine(
        row=head.id,
        when=moment(head.block_at),
        block=f"{head.block_number:,}",
        vault=head.vault,
        vault_short=short(head.vault),
        kind=head.kind,
        kind_word=KIND_WORDS.get(head.kind, head.kind),
        reason=head.reason,
        level=level,
        outcome=words,
        last=head.id,
    )


def _alike(left: DecisionLine, right: DecisionLine) -> bool:
    same = ("vault", "kind", "outcome")
    if any(getattr(left, name) != getattr(right, name) for name in same):
        return False
    return left.kind == "hold" and _gist(left.reason) == _gist(right.reason)


def _gist(reason: str) -> str:
    """Return a reason without its numbers, which differ from block to block."""
    return "".join(char for char in reason if not char.isdigit())
