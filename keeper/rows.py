# SPDX-License-Identifier: MIT
"""
Rows of the journal and the records that they stand for.

A row that cannot be, after a fault of a disk or by somebody's hand, raises one of `UNREADABLE`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper import tables
from keeper.errors import Fault
from keeper.lifecycle import Failure, Tx, TxState
from keeper.plan import REBALANCE as REBALANCE_CALL
from keeper.plan import Plan, decode_plan, encode_plan, turnover
from keeper.policy import Memory, Policy, decode_memory, decode_policy
from keeper.snapshot import Address, Block, Snapshot, decode_vault
from keeper.strategy import Decision, Rebalance

UNREADABLE: Final = (
    zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    DecodingError, Fault,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A decision to write, with its inputs."""

    snapshot: Snapshot
    memory: Memory
    decision: Decision
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEntry:
    """
    A call to write that no decision wants.

    `purpose` is the method, `about` a venue or a vault; `deadline` and `at` are the chain's time
    from which it is not sent again, and now.
    """

    purpose: str
    about: Address
    to: Address
    calldata: bytes
    sender: Address
    deadline: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision with all that it rested on."""

    id: int
    tick_id: int
    job: str
    decision_id: str
    kind: str
    reason: str
    snapshot: Snapshot
    policy: Policy
    memory_before: Memory
    memory_after: Memory
    plan: Plan | None
    figures: dict[str, Any]
    objection: str | None


def seen(job: str, started: float, block: Block) -> dict[str, Any]:
    """Return what a tick has seen, as columns."""
    return {
        "job": job,
        "started_at": started,
        "block_number": block.number,
        "block_hash": block.hash,
        "parent_hash": block.parent_hash,
        "block_at": block.at,
    }


def decision_values(tick_id: int, policy_hash: str, entry: Entry) -> dict[str, Any]:
    """Return a decision with its inputs, as columns."""
    decision = entry.decision
    return {
        "tick_id": tick_id,
        "vault": entry.snapshot.vault.vault,
        "decision_id": decision.decision_id.hex(),
        "kind": type(decision).__name__.lower(),
        "reason": decision.reason,
        "words": zlib.compress(entry.snapshot.words, 1),
        "policy_hash": policy_hash,
        "memory_before": entry.memory.encode().decode(),
        "memory_after": decision.memory.encode().decode(),
        "plan": encode_plan(decision.plan) if isinstance(decision, Rebalance) else None,
        "figures": json.dumps(dict(entry.figures), sort_keys=True),
    }


def transaction_row(row: Mapping[Any, Any]) -> Tx:
    """Return the transaction of a row, whose bytes and numbers are what they were."""
    fields = dict(row)
    for column in tables.transactions.c:
        value = fields[column.name]
        if isinstance(column.type, sa.BigInteger) and not isinstance(value, int | None):
            raise TypeError(f"{column.name} is no number")
    fields["state"] = TxState(fields["state"])
    fields["failure"] = None if fields["failure"] is None else Failure(fields["failure"])
    tx = Tx(**fields)
    if tx.raw is not None and tx.tx_hash != "0x" + keccak(tx.raw).hex():
        raise ValueError("its bytes are not those of its hash")
    return tx


def decision_query() -> sa.Select[Any]:
    """Return decisions with policy and block."""
    return (
        sa.select(
            tables.decisions,
            tables.policies.c.text.label("policy"),
            tables.ticks.c.job,
            tables.ticks.c.block_number,
            tables.ticks.c.block_hash,
            tables.ticks.c.parent_hash,
            tables.ticks.c.block_at,
        )
        .join(tables.policies, tables.policies.c.hash == tables.decisions.c.policy_hash)
        .join(tables.ticks, tables.ticks.c.id == tables.decisions.c.tick_id)
    )


def decision_row(row: Mapping[Any, Any]) -> DecisionRow:
    """Return the decision of a row of `decision_query`."""
    words = zlib.decompress(row["words"])
    block = Block(
        number=row["block_number"],
        hash=row["block_hash"],
        parent_hash=row["parent_hash"],
        at=row["block_at"],
        base_fee=0,  # no part of a decision
    )
    plan = row["plan"]
    return DecisionRow(
        id=row["id"],
        tick_id=row["tick_id"],
        job=row["job"],
        decision_id=row["decision_id"],
        kind=row["kind"],
        reason=row["reason"],
        snapshot=Snapshot(block=block, vault=decode_vault(words), words=words),
        policy=decode_policy(row["policy"].encode()),
        memory_before=decode_memory(row["memory_before"].encode()),
        memory_after=decode_memory(row["memory_after"].encode()),
        plan=None if plan is None else decode_plan(plan),
        figures=json.loads(row["figures"]),
        objection=row["objection"],
    )


def traded(tx: Tx) -> int:
    """Return what a rebalance has traded or may yet trade, raw asset units."""
    plan = tx.calldata[len(REBALANCE_CALL) :]
    return 0 if tx.state is TxState.FAILED else turnover(decode_plan(plan))
