# SPDX-License-Identifier: MIT
"""
The life of a transaction: simulate, sign, send, wait for it, and find it again after a crash.

The journal is written before each network call that has an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from keeper.chain import Envelope, Signed
from keeper.deadline import Deadline
from keeper.errors import (
    REASONS,
    CallRefused,
    ChainUnavailable,
    Fault,
    NonceTaken,
    SendRefused,
    TransactionDropped,
    Unsendable,
    meaning,
)
from keeper.guard import Safety
from keeper.journal import Journal
from keeper.lifecycle import Failure, Signature, Tx, TxState
from keeper.plan import Plan, calldata
from keeper.policy import Policy
from keeper.reading import Reading, Receipt
from keeper.rows import CallEntry
from keeper.snapshot import Address, Snapshot
from keeper.units import BPS, mul_div_up

FIRST_POLL_SECS: Final = 0.05
LONGEST_POLL_SECS: Final = 2.0
BUMP_BPS: Final = 1_250  # of both fees; nodes ask for a tenth more
TRANSFER_GAS: Final = 21_000
LOST_AFTER_BLOCKS: Final = 3  # without receipt and unknown, its nonce used or its call refused
FILL: Final = "fill"  # the purpose of a transaction that only uses a nonce
FILL_SECS: Final = 600  # of the chain's time, until another is made instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a transaction may cost; wei per gas."""

    max_fee: int
    priority_fee: int
    max_gas: int
    gas_margin_bps: int
    replace_after_secs: float = 60.0  # that bytes wait in the pool before better paid ones follow
    max_replacements: int = 8  # of one nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the operator told this process to do."""

    vaults: tuple[Address, ...]
    policy: Policy
    safety: Safety
    fees: Fees
    live: bool
    kill_file: Path
    confirmations: int
    receipt_wait_secs: float


class Edge(Protocol):
    """What the runner needs of a chain; `keeper.chain.Chain`, or a stand-in in tests."""

    @property
    def requests(self) -> int:
        """Return how many HTTP requests were made."""

    def read(
        self,
        vaults: tuple[Address, ...],
        sender: Address | None,
        watched: list[str],
        deadline: Deadline,
    ) -> Reading:
        """Read everything at one block."""

    def simulate(self, sender: Address, to: Address, calldata: bytes, gas: int) -> int:
        """Return the gas a call takes, or raise `CallRefused`."""

    def send(self, signed: Signed) -> None:
        """Hand over signed bytes."""

    def receipt(self, tx_hash: str) -> tuple[Receipt | None, int]:
        """Return receipt and head."""

    def known(self, tx_hash: str) -> bool:
        """Return whether the node has the transaction."""

    def reason_of(self, sender: Address, to: Address, calldata: bytes, block_number: int) -> str:
        """Return why a mined call reverted."""


class Key(Protocol):
    """What the runner needs of a signer."""

    address: Address

    def sign(self, envelope: Envelope) -> Signed:
        """Sign with every field given."""


class Sending:
    """Sends plans of one key and follows what it sent."""

    def __init__(
        self,
        *,
        chain: Edge,
        journal: Journal,
        orders: Orders,
        signer: Key | None,
        check: Callable[[], None],
        wall: Callable[[], float],
        log: Any,
    ) -> None:
        self._check = check  # whether another keeper has taken over
        self._chain = chain
        self._journal = journal
        self._orders = orders
        self._signer = signer
        self._wall = wall
        self._log = log
        self._highest_nonce: int | None = None  # that the chain had for the key
        self._gap_since: int | None = None  # block

    def plan(self, row: int, snapshot: Snapshot, plan: Plan) -> Tx:
        """Write that the plan of one decision, `row` in the journal, is to be carried out."""
        signer = self._signer
        assert signer is not None  # noqa: S101  # whoever calls has looked
        return self._journal.plan(row, snapshot, plan, calldata(plan), signer.address, self._wall())

    def execute_call(self, call: CallEntry, reading: Reading, deadline: Deadline) -> Tx:
        """Make a call that no decision wants; see `carry_out`."""
        tx = self._journal.plan_call(call, self._wall())
        return self.carry_out(tx, reading, reading.nonce, deadline)

    def carry_out(self, tx: Tx, reading: Reading, nonce: int, deadline: Deadline) -> Tx:
        """
        Simulate, sign and send what is planned, and wait for it.

        Returns
        -------
        Tx
            As far as it came; failed with its reason when the chain refuses the call.

        Raises
        ------
        Fault
            If the node does not answer, or time is over.
        """
        signer = self._signer
        assert signer is not None  # noqa: S101  # whoever calls has looked
        try:
            deadline.check("simulating")
            envelope = self._envelope(tx, reading, nonce)
            deadline.check("signing")
            signed = signer.sign(envelope)
        except Unsendable as refused:
            return self._fail(tx, Failure.REFUSED, str(refused))
        except Fault as fault:
            self._fail(tx, Failure.ABANDONED, str(fault))
            raise
        return self._send(tx, signed, envelope, deadline)

    def refused_by_venue(self, tx: Tx, part: bytes) -> bool:
        """Return whether a part of what `tx` does is refused, and not for a reason of our own."""
        try:
            self._chain.simulate(tx.sender, tx.book, part, self._orders.fees.max_gas)
        except CallRefused as refused:
            own = refused.reason in REASONS and not refused.reason.startswith("venue: ")
            return not own
        except Fault:  # the node does not say
            return False
        return False

    def fee_objection(self, base_fee: int) -> str | None:
        """Return why nothing is sent at this base fee, or None."""
        cap = self._orders.fees.max_fee
        return f"the base fee is {base_fee} wei, over the cap of {cap}" if base_fee > cap else None

    def _envelope(self, tx: Tx, reading: Reading, nonce: int) -> Envelope:
        """Ask the chain to carry the call out for nothing; return what to sign."""
        fees = self._orders.fees
        used = self._chain.simulate(tx.sender, tx.book, tx.calldata, fees.max_gas)
        if used > fees.max_gas:
            raise Unsendable(f"the transaction takes {used} gas, allowed are {fees.max_gas}")
        gas = min(mul_div_up(used, BPS + fees.gas_margin_bps, BPS), fees.max_gas)
        # six full blocks of rising base fee
        max_fee = min(2 * reading.block.base_fee + fees.priority_fee, fees.max_fee)
        cost = gas * max_fee
        if reading.balance < cost:
            raise Unsendable(f"the key has {reading.balance} wei, the plan may cost {cost}")
        return Envelope(
            to=tx.book,
            calldata=tx.calldata,
            nonce=nonce,
            gas=gas,
            max_fee=max_fee,
            priority_fee=min(fees.priority_fee, max_fee),
        )

    def _send(self, tx: Tx, signed: Signed, envelope: Envelope, deadline: Deadline) -> Tx:
        try:
            deadline.check("sending")
        except Fault as late:
            tx = self._journal.sign(tx, signed, envelope, self._wall())
            self._fail(tx, Failure.ABANDONED, f"never sent: {late}")
            raise
        tx = self._journal.sign(tx, signed, envelope, self._wall(), sending=True)
        deadline.check("sending")
        self._check()
        try:
            self._chain.send(signed)
        except SendRefused as refused:
            if not (isinstance(refused, NonceTaken) and self._chain.known(signed.tx_hash)):
                return self._fail(tx, Failure.REFUSED, str(refused))
        # ChainUnavailable goes up: the node may have it, so the row stays signed
        tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall())
        return self._await(tx, deadline)

    def _await(self, tx: Tx, deadline: Deadline) -> Tx:
        """Poll for the receipt as long as a tick may; later ticks go on."""
        wait = Deadline(self._orders.receipt_wait_secs)
        poll = FIRST_POLL_SECS
        while tx.state in (TxState.ACCEPTED, TxState.MINED):
            try:
                receipt, head = self._chain.receipt(str(tx.tx_hash))
            except ChainUnavailable:
                return tx  # it is in the journal; the next tick asks again
            tx = self._settle(tx, receipt, head)
            if tx.state in (TxState.FINAL, TxState.FAILED):
                break
            if min(wait.remaining(), deadline.remaining()) <= poll:
                break
            deadline.sleep(poll)
            poll = min(poll * 1.5, LONGEST_POLL_SECS)
        return tx

    # What is in flight

    @property
    def _sender(self) -> Address | None:
        return self._signer.address if self._signer is not None else None

    def resolve(self, open_ones: list[Tx], reading: Reading, deadline: Deadline) -> list[Tx]:
        """
        Bring each open transaction to where the chain has it; return those still open.

        A dry run leaves them as they are: they belong to whoever sends.
        """
        if not self._orders.live:
            return open_ones
        waiting = self._undone(reading)
        signed = self._journal.signatures(open_ones)
        for found in open_ones:
            tx = self._resolve_one(found, signed[found.id], reading, deadline)
            if tx.state not in (TxState.FINAL, TxState.FAILED):
                waiting.append(tx)
        return waiting + self._filled(waiting, reading, deadline)

    def _undone(self, reading: Reading) -> list[Tx]:
        """
        Open again what ended on the chain and is on it no more; the next tick resolves it.

        The chain's nonce tells: it falls only when a reorganisation is deeper than the
        confirmations. It may have fallen before the start, too.
        """
        if self._sender is None:
            return []
        if self._highest_nonce is None:
            self._highest_nonce = self._journal.next_nonce(self._sender)
        before, nonce = self._highest_nonce, reading.nonce
        self._highest_nonce = max(nonce, before)
        if nonce >= before:
            return []
        opened = []
        for tx in self._journal.mined_from(self._sender, nonce, reading.block.number):
            why = f"block {tx.block_number} was replaced, deeper than the confirmations"
            self._log.warning("undone", tx=tx.tx_hash, was=tx.state, nonce=tx.account_nonce)
            opened.append(
                self._journal.advance(tx, TxState.ACCEPTED, self._wall(), why, succeeded=None)
            )
        return opened

    def _filled(self, waiting: list[Tx], reading: Reading, deadline: Deadline) -> list[Tx]:
        """
        Use the nonce for want of which nothing of this key is mined; return what does it.

        Only after some blocks: the node may show, or mine again, what had it.
        """
        nonces = {tx.account_nonce or 0 for tx in waiting if tx.sender == self._sender}
        open_here = {reading.nonce} & nonces or reading.pending_nonce > reading.nonce
        if open_here or max(nonces, default=0) <= reading.nonce:
            self._gap_since = None
            return []
        head = reading.block.number
        self._gap_since = head if self._gap_since is None else self._gap_since
        why_not = self._orders.kill_file.exists() or self.fee_objection(reading.block.base_fee)
        if head - self._gap_since < LOST_AFTER_BLOCKS or why_not:
            return []
        self._log.warning("gap", nonce=reading.nonce, waiting=[tx.tx_hash for tx in waiting])
        return self._fill(reading, deadline)

    def _fill(self, reading: Reading, deadline: Deadline) -> list[Tx]:
        signer = self._signer
        assert signer is not None  # noqa: S101  # what waits is of its key
        own, now = signer.address, reading.block.at
        call = CallEntry(
            purpose=FILL, about=own, to=own, calldata=b"", sender=own, deadline=now + FILL_SECS,
            at=now,
        )  # fmt: skip
        try:
            tx = self.execute_call(call, reading, deadline)
        except ChainUnavailable as fault:  # the next tick looks what became of it
            self._log.warning("not filled", nonce=reading.nonce, error=str(fault))
            return []
        return [] if tx.state in (TxState.FINAL, TxState.FAILED) else [tx]

    def _resolve_one(
        self, tx: Tx, signed: list[Signature], reading: Reading, deadline: Deadline
    ) -> Tx:
        if tx.state is TxState.PLANNED or tx.tx_hash is None:
            return self._fail(tx, Failure.ABANDONED, "the keeper stopped before it was signed")
        hashes = [each.tx_hash for each in signed] or [tx.tx_hash]
        receipt = next(filter(None, map(reading.receipts.get, hashes)), None)
        if receipt is not None:
            # The answers of a batch may straddle a block: then the snapshot is too old for it.
            newer = receipt.block_number > reading.block.number
            cancelled = any(each.cancels and each.tx_hash == receipt.tx_hash for each in signed)
            if newer:
                return tx
            head = reading.block.number
            return self._freed(tx, receipt, head) if cancelled else self._settle(tx, receipt, head)
        if tx.state is TxState.MINED:
            detail = f"block {tx.block_number} was replaced"
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall(), detail, succeeded=None)
        if tx.sender != self._sender:
            expired = reading.block.at > tx.plan_deadline
            why = "of another key, and its plan expired"
            return self._fail(tx, Failure.ABANDONED, why) if expired else tx
        if tx.sends == 0:
            return self._fail(tx, Failure.ABANDONED, "the keeper stopped before it was sent")
        return self._unmined(tx, signed, reading, deadline)

    def _unmined(self, tx: Tx, signed: list[Signature], reading: Reading, deadline: Deadline) -> Tx:
        """Deal with a transaction that is signed, perhaps sent, and has no receipt."""
        expired = reading.block.at > tx.plan_deadline
        taken = tx.account_nonce is not None and reading.nonce > tx.account_nonce
        hashes = [each.tx_hash for each in signed] or [str(tx.tx_hash)]
        if any(map(self._chain.known, reversed(hashes))):
            tx = self._waits(tx)
            return tx if taken else self._replaced(tx, signed, reading, deadline)
        if taken:
            why = "another transaction of this key took its place"
            return self._missed(tx, reading, Failure.SUPERSEDED, why)
        if expired or tx.account_nonce == 0:
            # Expired plans revert. Nonce 0 is renumbered by Ganache and would run again.
            why = str(TransactionDropped(str(tx.tx_hash), "not in the pool"))
            return self._fail(tx, Failure.DROPPED, why)
        if self._orders.kill_file.exists():
            return tx
        try:
            return self._send_again(tx, deadline)
        except NonceTaken:
            return tx  # by it or by another: the next tick looks
        except Unsendable as refused:
            return self._missed(tx, reading, Failure.REFUSED, f"not sent again: {refused}")
        except ChainUnavailable as fault:
            self._log.warning("not sent again", tx=tx.tx_hash, error=str(fault))
            return tx

    def _waits(self, tx: Tx) -> Tx:
        self._journal.present(tx)
        if tx.state is TxState.SIGNED:
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall())
        return tx

    def _replaced(
        self, tx: Tx, signed: list[Signature], reading: Reading, deadline: Deadline
    ) -> Tx:
        """
        Pay more for what waits in the pool too long; free its nonce when its plan has expired.

        The call is not simulated again: a node that counts its pool would carry it out on top of
        itself. Whatever of one nonce is mined, the others are void.
        """
        signer, fees = self._signer, self._orders.fees
        waited = self._wall() - signed[-1].signed_at if signed else 0.0
        waits = 0 <= waited < fees.replace_after_secs  # less than none: the clock was set back
        if signer is None or waits or self._orders.kill_file.exists():
            return tx
        envelope = self._better(tx, reading)
        if envelope is None or len(signed) > fees.max_replacements:
            self._log.warning("stuck", tx=tx.tx_hash, why="waits in the pool at the fee cap")
            return tx
        deadline.check("replacing")
        cancels = envelope.calldata != tx.calldata
        try:
            new = signer.sign(envelope)
            now = self._wall()
            tx = self._journal.sign(tx, new, envelope, now, cancels=cancels, sending=True)
            deadline.check("replacing")
            self._check()
            self._chain.send(new)
        except (Unsendable, ChainUnavailable) as fault:  # what was sent before still waits
            self._log.warning("not replaced", tx=tx.tx_hash, error=str(fault))
        else:
            self._log.info("replaced", tx=new.tx_hash, max_fee=envelope.max_fee, cancels=cancels)
        return tx

    def _better(self, tx: Tx, reading: Reading) -> Envelope | None:
        """Return what pays 12.5 % more on both fees, or None when the cap forbids that."""
        fees, expired = self._orders.fees, reading.block.at > tx.plan_deadline
        least = mul_div_up(tx.max_fee or 0, BPS + BUMP_BPS, BPS)
        priority = mul_div_up(max(tx.priority_fee or 0, 1), BPS + BUMP_BPS, BPS)
        wanted = min(2 * reading.block.base_fee + priority, fees.max_fee)
        max_fee = max(least, wanted)
        if max_fee > fees.max_fee or tx.account_nonce is None:
            return None
        return Envelope(
            to=tx.sender if expired else tx.book,
            calldata=b"" if expired else tx.calldata,
            nonce=tx.account_nonce,
            gas=TRANSFER_GAS if expired else tx.gas_limit or fees.max_gas,
            max_fee=max_fee,
            priority_fee=min(priority, max_fee),
        )

    def _freed(self, tx: Tx, receipt: Receipt, head: int) -> Tx:
        """Note that the nonce was freed, once that cannot be replaced."""
        if head - receipt.block_number + 1 < self._orders.confirmations:
            return tx
        why = f"its plan expired, and {receipt.tx_hash} freed the nonce"
        return self._fail(tx, Failure.SUPERSEDED, why)

    def _missed(self, tx: Tx, reading: Reading, failure: Failure, why: str) -> Tx:
        """
        Give a transaction up when it has been missed for some blocks.

        Not at once: Anvil counts a nonce before it shows the receipt, and behind one address
        there may be nodes of different heads.
        """
        head = reading.block.number
        lost = head - self._journal.absent(tx, head) >= LOST_AFTER_BLOCKS
        return self._fail(tx, failure, why) if lost else tx

    def _send_again(self, tx: Tx, deadline: Deadline) -> Tx:
        """Send the same bytes; the caller's snapshot is older than what they do."""
        raw = tx.raw
        assert raw is not None  # noqa: S101  # it is signed
        self._chain.simulate(tx.sender, tx.book, tx.calldata, self._orders.fees.max_gas)
        deadline.check("sending again")
        tx = self._journal.count_send(tx)
        deadline.check("sending again")
        self._check()
        self._chain.send(Signed(tx_hash=str(tx.tx_hash), raw=raw))
        if tx.state is TxState.SIGNED:
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall(), "sent again")
        return tx

    def _settle(self, tx: Tx, receipt: Receipt | None, head: int) -> Tx:
        """Apply a receipt."""
        if receipt is None:
            return tx
        if tx.state is not TxState.MINED or tx.block_hash != receipt.block_hash:
            tx = self._mined(tx, receipt)
        if head - receipt.block_number + 1 < self._orders.confirmations:
            return tx
        if tx.sender == self._sender:
            self._highest_nonce = max(self._highest_nonce or 0, (tx.account_nonce or 0) + 1)
        if receipt.succeeded:
            return self._journal.advance(tx, TxState.FINAL, self._wall())
        return self._fail(tx, Failure.REVERTED, f"reverted: {self._why(tx, receipt)}")

    def _mined(self, tx: Tx, receipt: Receipt) -> Tx:
        if tx.state is TxState.MINED:
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall(), "moved by a reorg")
        return self._journal.advance(
            tx,
            TxState.MINED,
            self._wall(),
            tx_hash=receipt.tx_hash,
            raw=self._journal.bytes_of(receipt.tx_hash, tx),
            block_number=receipt.block_number,
            block_hash=receipt.block_hash,
            succeeded=receipt.succeeded,
            gas_used=receipt.gas_used,
            effective_gas_price=receipt.effective_gas_price,
        )

    def _why(self, tx: Tx, receipt: Receipt) -> str:
        try:
            reason = self._chain.reason_of(tx.sender, tx.book, tx.calldata, receipt.block_number)
        except Fault:
            reason = ""
        return meaning(reason)

    def _fail(self, tx: Tx, failure: Failure, why: str) -> Tx:
        return self._journal.advance(tx, TxState.FAILED, self._wall(), why, failure=failure)
