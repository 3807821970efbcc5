# SPDX-License-Identifier: MIT
"""
The life of a transaction, as rules: which state may follow which, and in which ways it may fail.

    planned -> signed -> accepted -> mined -> final
       |          |         |  ^--reorg--' |
       '----------'---------'-------------'---> failed

What was mined and is at its end opens again, as accepted, when a reorganisation deeper than the
confirmations took it off the chain.

Pure: the journal applies them, and refuses every other step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keeper.errors import InvariantBroken
from keeper.snapshot import Address

REBALANCE: Final = "rebalance"  # the purpose of a transaction that a decision wants


class TxState(StrEnum):
    """How far a transaction got."""

    PLANNED = "planned"
    SIGNED = "signed"
    ACCEPTED = "accepted"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"


class Failure(StrEnum):
    """How a transaction failed."""

    ABANDONED = "abandoned"  # by the keeper: it stopped, its time was over, the key is another's
    REFUSED = "refused"  # by the chain in simulation, by a limit, by the node or by the signer
    DROPPED = "dropped"  # gone from the pool, and not to be sent again
    SUPERSEDED = "superseded"  # another transaction took its nonce
    REVERTED = "reverted"  # mined without effect


STEPS: Final[Mapping[TxState, frozenset[TxState]]] = {
    TxState.PLANNED: frozenset({TxState.SIGNED, TxState.FAILED}),
    TxState.SIGNED: frozenset({TxState.ACCEPTED, TxState.MINED, TxState.FAILED}),
    TxState.ACCEPTED: frozenset({TxState.MINED, TxState.FAILED}),
    TxState.MINED: frozenset({TxState.FINAL, TxState.ACCEPTED, TxState.FAILED}),
    TxState.FINAL: frozenset({TxState.ACCEPTED}),
    TxState.FAILED: frozenset(),  # but see `steps_from`
}
_UNMINED: Final = frozenset(
    {Failure.ABANDONED, Failure.REFUSED, Failure.DROPPED, Failure.SUPERSEDED}
)
FAILURES: Final[Mapping[TxState, frozenset[Failure]]] = {  # by the state before
    TxState.PLANNED: frozenset({Failure.ABANDONED, Failure.REFUSED}),
    TxState.SIGNED: _UNMINED,
    TxState.ACCEPTED: _UNMINED,
    TxState.MINED: frozenset({Failure.REVERTED}),
    TxState.FINAL: frozenset(),
    TxState.FAILED: frozenset(),
}
OPEN: Final = (TxState.PLANNED, TxState.SIGNED, TxState.ACCEPTED, TxState.MINED)
ENDED: Final = (TxState.FINAL, TxState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tx:
    """
    A row of `transactions`.

    `vault` is what it is about: a vault, or a venue that is kept up. `book` is the contract that
    is called. Only a rebalance has a decision and a plan; `plan_deadline` is for all of them the
    chain's time from which they are not sent again.
    """

    id: int
    purpose: str
    decision_row: int | None
    decision_id: str
    vault: Address
    book: Address
    sender: Address
    plan_nonce: int | None
    plan_deadline: int
    calldata: bytes
    state: TxState
    failure: Failure | None  # None also for those that failed before it was recorded
    planned_at: int
    account_nonce: int | None
    tx_hash: str | None
    raw: bytes | None
    gas_limit: int | None
    max_fee: int | None
    priority_fee: int | None
    sends: int
    block_number: int | None
    block_hash: str | None
    succeeded: bool | None
    gas_used: int | None
    effective_gas_price: int | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Bytes that were signed for a transaction; several of one nonce may be on their way."""

    tx_hash: str
    cancels: bool  # they only free the nonce
    signed_at: float  # wall clock


def steps_from(tx: Tx) -> frozenset[TxState]:
    """Return which states may follow; one that reverted may be carried out once more, too."""
    reverted = tx.failure is Failure.REVERTED
    return STEPS[TxState.FINAL] if reverted else STEPS[tx.state]


def check_step(tx: Tx, state: TxState, failure: Failure | None = None) -> None:
    """
    Refuse a step that no transaction may take.

    Raises
    ------
    InvariantBroken
        If there is no such step, or no such failure from there.
    """
    if state not in steps_from(tx):
        raise InvariantBroken(f"transaction {tx.id}: no step from {tx.state} to {state}")
    if (state is TxState.FAILED) != (failure is not None):
        raise InvariantBroken(f"transaction {tx.id}: a failure, and only one, has a kind")
    if failure is not None and failure not in FAILURES[tx.state]:
        raise InvariantBroken(f"transaction {tx.id}: {tx.state} cannot end as {failure}")
