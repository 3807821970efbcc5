# SPDX-License-Identifier: MIT
"""
One cycle: read, settle what is in flight, decide, guard, simulate, sign, send, confirm, record.

The only place where reading, deciding, sending and recording meet. Order matters: the journal is
written before each network call that has an effect, a transaction in flight is resolved from the
chain before anything new is decided, and a key has one transaction in flight at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from keeper.chain import Envelope, Reading, Receipt, Signed
from keeper.deadline import Deadline
from keeper.errors import (
    CallRefused,
    ChainUnavailable,
    Fault,
    Halt,
    KeeperError,
    TransactionDropped,
    meaning,
)
from keeper.guard import Safety, objection
from keeper.journal import Entry, Journal, Tx, TxState
from keeper.plan import calldata
from keeper.policy import Memory, Policy
from keeper.risk import Risk, assess
from keeper.snapshot import Address, Snapshot
from keeper.strategy import Decision, Hold, Rebalance, Refuse, decide
from keeper.units import BPS, mul_div_up

FIRST_POLL_SECS: Final = 0.05
LONGEST_POLL_SECS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a transaction may cost; wei per gas."""

    max_fee: int
    priority_fee: int
    max_gas: int
    gas_margin_bps: int


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

    requests: int

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


@dataclass(slots=True, kw_only=True)
class Verdict:
    """One vault in one tick."""

    snapshot: Snapshot
    memory: Memory
    decision: Decision
    risk: Risk | None
    row: int = 0  # in the journal
    note: str = ""  # what became of the plan

    def entry(self) -> Entry:
        """Return what goes into the journal."""
        figures = figures_of(self.risk) if self.risk is not None else {}
        return Entry(
            snapshot=self.snapshot, memory=self.memory, decision=self.decision, figures=figures
        )

    def figures(self) -> dict[str, Any]:
        """Return what goes into the canonical line."""
        kind = type(self.decision).__name__.lower()
        said: dict[str, Any] = {
            "vault": self.snapshot.vault.vault,
            "decision": kind,
            "reason": self.decision.reason,
        }
        if self.note:
            said["note"] = self.note
        return said | (figures_of(self.risk) if self.risk is not None else {})


@dataclass(slots=True, kw_only=True)
class TickReport:
    """What a tick saw and did."""

    job: str
    started: float  # wall clock
    asked: int  # requests made before it
    tick_id: int | None = None
    reading: Reading | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    sent: list[Tx] = field(default_factory=list)
    waiting: list[Tx] = field(default_factory=list)


def figures_of(risk: Risk) -> dict[str, Any]:
    """Return the figures of the canonical line and the journal."""
    basis = [venue.basis_bps for venue in risk.venues]
    funding = [venue.funding_year_bps for venue in risk.venues]
    distances = [v.distance_bps for v in risk.venues if v.distance_bps is not None]
    return {
        "nav": str(risk.nav),
        "equity": str(risk.equity),
        "delta": str(risk.delta),
        "gap": str(risk.gap),
        "exposure_bps": risk.exposure_bps,
        "target_bps": risk.target_exposure_bps,
        "drift_bps": risk.drift_bps,
        "margin_ratio_bps": risk.margin_ratio_bps,
        "distance_bps": min(distances, default=None),
        "basis_bps": basis[0] if len(basis) == 1 else basis,
        "funding_year_bps": funding[0] if len(funding) == 1 else funding,
    }


class Keeper:
    """The keeper of some vaults with one key."""

    def __init__(
        self,
        *,
        chain: Edge,
        journal: Journal,
        orders: Orders,
        signer: Key | None,
        wall: Callable[[], float] = time.time,
        log: Any = None,
    ) -> None:
        self._chain = chain
        self._journal = journal
        self._orders = orders
        self._signer = signer
        self._wall = wall
        self._log = log if log is not None else structlog.get_logger("keeper")
        self._memories: dict[Address, Memory] = {}  # of the last decisions; the journal has them

    @property
    def sender(self) -> Address | None:
        """Return the key's address."""
        return self._signer.address if self._signer is not None else None

    def tick(self, deadline: Deadline, job: str = "tick") -> TickReport:
        """
        Run one cycle and log one line.

        Raises
        ------
        Fault
            If the cycle failed; it is recorded and logged.
        Halt
            If a person must look.
        """
        report = TickReport(job=job, started=self._wall(), asked=self._chain.requests)
        try:
            self._cycle(report, deadline)
        except KeeperError as error:
            self._end_badly(report, error)
            raise
        self._log_line(report)
        return report

    def watch(self, deadline: Deadline) -> TickReport | None:
        """Look at the vaults; run a cycle only when drift or margin of one is urgent."""
        reading = self._chain.read(self._orders.vaults, self.sender, [], deadline)
        for snapshot in reading.snapshots:
            if snapshot.vault.price_ok and assess(snapshot.vault).urgent:
                return self.tick(deadline, job="margin watch")
        return None

    def recover(self, deadline: Deadline) -> list[Tx]:
        """
        Resolve from the chain what an earlier process left under way; decide nothing.

        Returns
        -------
        list[Tx]
            What is still waiting.
        """
        left = self._journal.in_flight()
        if not left:
            return []
        reading = self._read(left, deadline)
        waiting = self._resolve(left, reading, deadline)
        self._log.info(
            "recovered",
            block=reading.block.number,
            found=len(left),
            waiting=[tx.tx_hash for tx in waiting],
        )
        return waiting

    # The cycle

    def _cycle(self, report: TickReport, deadline: Deadline) -> None:
        open_ones = self._journal.in_flight()
        reading = self._read(open_ones, deadline)
        report.reading = reading
        report.waiting = self._resolve(open_ones, reading, deadline)
        report.verdicts = [self._judge(snapshot) for snapshot in reading.snapshots]
        wanted = [v for v in report.verdicts if isinstance(v.decision, Rebalance)]
        self._record(report, reading, finished=not wanted)
        if wanted and report.tick_id is not None:
            self._act(report, reading, wanted, deadline)
            self._journal.end_tick(report.tick_id, *self._spent_on(report), "ok")

    def _record(self, report: TickReport, reading: Reading, *, finished: bool) -> None:
        """Write the decisions before anything is done about them; one commit when nothing is."""
        entries = [verdict.entry() for verdict in report.verdicts]
        what = (report.job, report.started, reading.block, entries, self._orders.policy)
        if finished:
            report.tick_id, rows = self._journal.write_tick(*what, *self._spent_on(report))
        else:
            report.tick_id, rows = self._journal.open_tick(*what)
        for verdict, row in zip(report.verdicts, rows, strict=True):
            verdict.row = row
            self._memories[verdict.snapshot.vault.vault] = verdict.decision.memory

    def _spent_on(self, report: TickReport) -> tuple[float, int]:
        """Return the time now and the requests that a tick has made."""
        return max(self._wall(), report.started), self._chain.requests - report.asked

    def _read(self, open_ones: list[Tx], deadline: Deadline) -> Reading:
        watched = [tx.tx_hash for tx in open_ones if tx.tx_hash is not None]
        return self._chain.read(self._orders.vaults, self.sender, watched, deadline)

    def _judge(self, snapshot: Snapshot) -> Verdict:
        vault = snapshot.vault.vault
        memory = self._memories.get(vault)
        if memory is None:
            memory = self._journal.memory(vault)
        decision = decide(snapshot, self._orders.policy, memory)
        risk = assess(snapshot.vault) if snapshot.vault.price_wad > 0 else None
        return Verdict(snapshot=snapshot, memory=memory, decision=decision, risk=risk)

    def _act(
        self, report: TickReport, reading: Reading, wanted: list[Verdict], deadline: Deadline
    ) -> None:
        nonce = reading.nonce
        wanted.sort(key=lambda v: not (isinstance(v.decision, Rebalance) and v.decision.urgent))
        for verdict in wanted:
            why_not = self._objection(verdict, report)
            if why_not is not None:
                self._drop(verdict, why_not)
                continue
            tx = self._execute(verdict, reading, nonce, deadline)
            if tx is None:
                continue
            report.sent.append(tx)
            nonce += 1
            if tx.state in (TxState.SIGNED, TxState.ACCEPTED, TxState.MINED):
                report.waiting.append(tx)

    def _objection(self, verdict: Verdict, report: TickReport) -> str | None:
        decision, orders = verdict.decision, self._orders
        if not isinstance(decision, Rebalance):
            return "nothing to send"
        if self._signer is None:
            return "dry run: no key"
        found = objection(
            verdict.snapshot,
            decision.plan,
            policy=orders.policy,
            safety=orders.safety,
            spent=self._journal.spent(verdict.snapshot.block.at),
            sender=self._signer.address,
            killed=orders.kill_file.exists(),
        )
        if found is not None:
            return found
        if not orders.live:
            return "dry run"
        if report.waiting:
            return f"waiting for transaction {report.waiting[0].tx_hash}"
        return None

    def _drop(self, verdict: Verdict, why: str) -> None:
        verdict.note = why
        self._journal.object_to(verdict.row, why)

    # Sending

    def _execute(
        self, verdict: Verdict, reading: Reading, nonce: int, deadline: Deadline
    ) -> Tx | None:
        decision, signer = verdict.decision, self._signer
        assert isinstance(decision, Rebalance)  # noqa: S101  # `_act` sees to both
        assert signer is not None  # noqa: S101
        max_fee = self._max_fee(reading.block.base_fee)
        call = calldata(decision.plan)
        deadline.check("simulating")
        tx = self._journal.plan(
            verdict.row, verdict.snapshot, decision.plan, call, signer.address, self._wall()
        )
        try:
            gas = self._gas(tx)
            self._afford(reading, gas * max_fee)
            deadline.check("signing")
        except Fault as refused:
            self._fail(tx, str(refused))
            if not isinstance(refused, CallRefused):
                raise
            self._drop(verdict, str(refused))
            return None
        tip = min(self._orders.fees.priority_fee, max_fee)
        envelope = Envelope(
            to=tx.book, calldata=call, nonce=nonce, gas=gas, max_fee=max_fee, priority_fee=tip
        )
        return self._send(verdict, tx, signer.sign(envelope), envelope, deadline)

    def _gas(self, tx: Tx) -> int:
        """Return the gas to offer, after the chain has carried the call out for nothing."""
        fees = self._orders.fees
        used = self._chain.simulate(tx.sender, tx.book, tx.calldata, fees.max_gas)
        if used > fees.max_gas:
            raise Fault(f"the transaction takes {used} gas, allowed are {fees.max_gas}")
        return min(mul_div_up(used, BPS + fees.gas_margin_bps, BPS), fees.max_gas)

    def _max_fee(self, base_fee: int) -> int:
        fees = self._orders.fees
        wanted = 2 * base_fee + fees.priority_fee  # six full blocks of rising base fee
        if base_fee > fees.max_fee:
            raise Fault(f"the base fee is {base_fee} wei, over the cap of {fees.max_fee}")
        return min(wanted, fees.max_fee)

    def _afford(self, reading: Reading, cost: int) -> None:
        if reading.balance < cost:
            raise Fault(f"the key has {reading.balance} wei, the transaction may cost {cost}")

    def _send(
        self, verdict: Verdict, tx: Tx, signed: Signed, envelope: Envelope, deadline: Deadline
    ) -> Tx:
        tx = self._journal.advance(
            tx,
            TxState.SIGNED,
            self._wall(),
            tx_hash=signed.tx_hash,
            raw=signed.raw,
            account_nonce=envelope.nonce,
            gas_limit=envelope.gas,
            max_fee=envelope.max_fee,
            priority_fee=envelope.priority_fee,
        )
        try:
            deadline.check("sending")
        except Fault as late:
            self._fail(tx, f"never sent: {late}")
            raise
        tx = self._journal.count_send(tx)
        try:
            self._chain.send(signed)
        except CallRefused as refused:
            self._fail(tx, str(refused.reason))
            raise Fault(refused.reason) from refused
        # ChainUnavailable goes up: the node may have it, so the row stays signed
        tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall())
        tx = self._await(tx, deadline)
        verdict.note = f"{tx.state} {tx.tx_hash}" + (f": {tx.detail}" if tx.detail else "")
        return tx

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

    def _resolve(self, open_ones: list[Tx], reading: Reading, deadline: Deadline) -> list[Tx]:
        """Bring each open transaction to where the chain has it; return those still open."""
        waiting = []
        for found in open_ones:
            tx = self._resolve_one(found, reading, deadline)
            if tx.state not in (TxState.FINAL, TxState.FAILED):
                waiting.append(tx)
        return waiting

    def _resolve_one(self, tx: Tx, reading: Reading, deadline: Deadline) -> Tx:
        if tx.state is TxState.PLANNED or tx.tx_hash is None:
            return self._fail(tx, "the keeper stopped before it was signed")
        receipt = reading.receipts.get(tx.tx_hash)
        if receipt is not None:
            # The answers of a batch may straddle a block: then the snapshot is too old for it.
            newer = receipt.block_number > reading.block.number
            return tx if newer else self._settle(tx, receipt, reading.block.number)
        if tx.state is TxState.MINED:
            detail = f"block {tx.block_number} was replaced"
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall(), detail, succeeded=None)
        if tx.sender != self.sender:
            expired = reading.block.at > tx.plan_deadline
            return self._fail(tx, "of another key, and its plan expired") if expired else tx
        if tx.sends == 0:
            return self._fail(tx, "the keeper stopped before it was sent")
        if tx.account_nonce is not None and reading.nonce > tx.account_nonce:
            return self._fail(tx, "another transaction of this key took its place")
        return self._unmined(tx, reading, deadline)

    def _unmined(self, tx: Tx, reading: Reading, deadline: Deadline) -> Tx:
        """Deal with a transaction that is signed, perhaps sent, and not mined."""
        expired = reading.block.at > tx.plan_deadline
        if self._chain.known(str(tx.tx_hash)):
            if tx.state is TxState.SIGNED:
                tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall())
            if expired:
                # Its plan reverts by now, so it is harmless, but it holds the key's nonce.
                # Replacing it by a better paid one is for later (fee bumping).
                self._log.warning("stuck", tx=tx.tx_hash, why="waits in the pool, plan expired")
            return tx
        if expired or tx.account_nonce == 0:
            # Expired plans revert. Nonce 0 is renumbered by Ganache and would run again.
            return self._fail(tx, str(TransactionDropped(str(tx.tx_hash), "not in the pool")))
        raw = tx.raw
        if not self._orders.live or raw is None or self._orders.kill_file.exists():
            return tx
        try:
            self._chain.simulate(tx.sender, tx.book, tx.calldata, self._orders.fees.max_gas)
            deadline.check("sending again")
            tx = self._journal.count_send(tx)
            self._chain.send(Signed(tx_hash=str(tx.tx_hash), raw=raw))
        except CallRefused as refused:
            return self._fail(tx, f"not sent again: {refused.reason}")
        if tx.state is TxState.SIGNED:
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall(), "sent again")
        return tx  # waiting: what was read is older than what it does

    def _settle(self, tx: Tx, receipt: Receipt | None, head: int) -> Tx:
        """Apply a receipt."""
        if receipt is None:
            return tx
        if tx.state is not TxState.MINED or tx.block_hash != receipt.block_hash:
            tx = self._mined(tx, receipt)
        if head - receipt.block_number + 1 < self._orders.confirmations:
            return tx
        if receipt.succeeded:
            return self._journal.advance(tx, TxState.FINAL, self._wall())
        return self._fail(tx, f"reverted: {self._why(tx, receipt)}")

    def _mined(self, tx: Tx, receipt: Receipt) -> Tx:
        if tx.state is TxState.MINED:
            tx = self._journal.advance(tx, TxState.ACCEPTED, self._wall(), "moved by a reorg")
        return self._journal.advance(
            tx,
            TxState.MINED,
            self._wall(),
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

    def _fail(self, tx: Tx, why: str) -> Tx:
        return self._journal.advance(tx, TxState.FAILED, self._wall(), why)

    # Records

    def _end_badly(self, report: TickReport, error: KeeperError) -> None:
        ended, requests = self._spent_on(report)
        result = _result(error)
        if report.tick_id is None:
            report.tick_id = self._journal.write_fault(
                report.job, report.started, ended, requests, result, str(error)
            )
        else:
            self._journal.end_tick(report.tick_id, ended, requests, result, str(error))
        self._log.warning(
            report.job,
            tick=report.tick_id,
            result=result,
            kind=type(error).__name__,
            error=str(error),
            requests=requests,
            secs=round(ended - report.started, 3),
        )

    def _log_line(self, report: TickReport) -> None:
        said = [verdict.figures() for verdict in report.verdicts]
        ended, requests = self._spent_on(report)
        block = report.reading.block if report.reading is not None else None
        self._log.info(
            report.job,
            tick=report.tick_id,
            result="ok",
            block=block.number if block is not None else None,
            block_at=block.at if block is not None else None,
            requests=requests,
            secs=round(ended - report.started, 3),
            sent=[f"{tx.state} {tx.tx_hash}" for tx in report.sent],
            waiting=[tx.tx_hash for tx in report.waiting],
            **(said[0] if len(said) == 1 else {"vaults": said}),
        )


def _result(error: KeeperError) -> str:
    return "halt" if isinstance(error, Halt) else "fault"


def outcome_words(verdict: Verdict) -> str:
    """Return a verdict in one line for a person."""
    match verdict.decision:
        case Hold(reason=reason):
            return f"hold: {reason}"
        case Refuse(reason=reason):
            return f"refused: {reason}"
        case Rebalance(reason=reason):
            return f"rebalance: {reason}" + (f" -> {verdict.note}" if verdict.note else "")
