# SPDX-License-Identifier: MIT
"""
Everything that a report of a live or finished keeper rests on: its journal and the chain's events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.audit import Ledger
from keeper.audit_state import System
from keeper.events import Event
from keeper.journal import DecisionRow, Journal
from keeper.lifecycle import REBALANCE, Tx
from keeper.replay import Batch, Verdict, block_times, replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a history is made from: one vault's journal and all events of its system."""

    decisions: Sequence[DecisionRow]
    transactions: Sequence[Tx]
    events: Sequence[Event]
    ledger: Ledger
    block_times: Mapping[int, int]  # of every block with an event or a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A replay of all events, the journal's rows, and when each block was."""

    verdict: Verdict
    records: Records
    ticks: list[dict[str, Any]]


def gather(
    batch: Batch, journal: Journal, system: System, first_block: int, last_block: int
) -> Evidence:
    """
    Read chain and journal; nothing is written.

    Parameters
    ----------
    batch : callable
        `keeper.chain.Chain.batch`.
    journal : Journal
        The keeper's, also while it runs.
    system : System
        One vault with its book and venues.
    first_block, last_block : int
        From at or before deployment to where the state is compared.
    """
    verdict = replay(batch, system, first_block, last_block)
    transactions = [
        tx for tx in journal.transactions() if (tx.vault, tx.purpose) == (system.vault, REBALANCE)
    ]
    blocks = {event.log.block for event in verdict.events}
    blocks |= {tx.block_number for tx in transactions if tx.block_number is not None}
    records = Records(
        decisions=[row for row in journal.decisions() if row.snapshot.vault.vault == system.vault],
        transactions=transactions,
        events=verdict.events,
        ledger=verdict.ledger,
        block_times=block_times(batch, blocks),
    )
    return Evidence(verdict=verdict, records=records, ticks=journal.ticks())
